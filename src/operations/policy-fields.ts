import { z } from "zod";
import { MODES } from "../oversight/modes.ts";
import { parseRecipientPattern } from "../oversight/recipient-patterns.ts";
import { parseTypeGlob } from "../oversight/rules/attachments.ts";
import { isKeyword } from "../oversight/rules/keywords.ts";
import { compilePattern, MAX_PATTERN_CHARACTERS } from "../oversight/rules/patterns.ts";
import { CONTENT_PLACES, DAYS, OPEN_POLICY, type Policy } from "../oversight/rules/policy-type.ts";
import { isTimeZone } from "../oversight/rules/sending-hours.ts";
import { flag, headerText, wholeNumber } from "./fields.ts";

/** A mailbox's policy as it comes in and as it is answered. */

const MAX_BLOCKLIST = 1000;
/** Each may carry a pattern; see MAX_MATCHING_STEPS for what they cost. */
const MAX_CONTENT_RULES = 20;
const MAX_KEYWORDS = 50;
const MAX_KEYWORD_CHARACTERS = 100;
const MAX_ATTACHMENT_RULES = 20;
const MAX_TYPES = 50;
const MAX_TYPE_CHARACTERS = 100;
const MAX_NAME_CHARACTERS = 64;
const MAX_COUNT = 1_000_000;
const MAX_FALL_BACK_DAYS = 90;
/** More than a message may have. */
const MAX_BYTES = 25 * 1024 * 1024;
/** RFC 5321 §4.5.3.1.3, with room for the @ before a domain. */
const MAX_RECIPIENT_PATTERN = 320;

const actionIn = z.enum(["hold", "block"]);
const nameIn = headerText(MAX_NAME_CHARACTERS, 1);

/** A list of which no more is looked at than shows that it is too long. */
function list<Element extends z.ZodType>(element: Element, maximum: number, minimum = 0) {
  return z.preprocess(
    (value) => (Array.isArray(value) ? value.slice(0, maximum + 1) : value),
    z.array(element).min(minimum).max(maximum),
  );
}

/** Text that a parser takes, in the form that it gives. */
function parsed(parse: (text: string) => string | null, maximum: number, message: string) {
  return z
    .string()
    .max(maximum)
    .transform((text, context) => {
      const value = parse(text);
      if (value !== null) return value;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    });
}

const recipientPattern = parsed(
  parseRecipientPattern,
  MAX_RECIPIENT_PATTERN,
  "must be an address, a domain or a glob such as *@customer.example or *.customer.example",
);
const typeGlob = parsed(
  parseTypeGlob,
  MAX_TYPE_CHARACTERS,
  "must be a media type such as application/* or the end of a file name such as .exe",
);

const keyword = z
  .string()
  .max(MAX_KEYWORD_CHARACTERS)
  .refine((text) => text.length > MAX_KEYWORD_CHARACTERS || isKeyword(text), {
    error: "must have something in it that can be read",
  });

const pattern = z
  .string()
  .min(1)
  .max(MAX_PATTERN_CHARACTERS)
  .superRefine((text, context) => {
    // What is too long is not compiled.
    const compiled = text.length > MAX_PATTERN_CHARACTERS ? null : compilePattern(text);
    if (compiled && "problem" in compiled) context.addIssue({ code: "custom", message: compiled.problem });
  });

const contentRule = z
  .strictObject({
    name: nameIn,
    in: list(z.enum(CONTENT_PLACES), CONTENT_PLACES.length, 1).default(() => [...CONTENT_PLACES]),
    keywords: list(keyword, MAX_KEYWORDS).default([]).describe("Whole words or phrases; any of them"),
    pattern: pattern.nullable().default(null).describe("RE2 syntax, without case, over the text as one line"),
    action: actionIn.default("hold"),
  })
  .refine(({ keywords, pattern }) => keywords.length > 0 || pattern !== null, {
    error: "needs at least one entry where there is no pattern",
    path: ["keywords"],
  });

const attachmentRule = z.strictObject({
  name: nameIn,
  types: list(typeGlob, MAX_TYPES).default([]).describe("Media types or ends of names; none: every file"),
  larger_than: wholeNumber(0, MAX_BYTES).nullable().default(null).describe("Bytes"),
  action: actionIn.default("hold"),
});

const localTime = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, { error: "must be a time such as 09:00 or 17:30" });

const sendingHours = z.strictObject({
  time_zone: z.string().max(64).refine(isTimeZone, { error: "must be a time zone such as Europe/Madrid" }),
  days: list(z.enum(DAYS), DAYS.length, 1).default(() => [...DAYS]),
  from: localTime,
  until: localTime.describe("Not included; at or before `from`: of the next day"),
});

const budget = wholeNumber(0, MAX_COUNT).nullable().default(null);
const budgets = z.strictObject({
  per_hour: budget,
  per_day: budget,
  per_recipient_per_hour: budget,
  per_recipient_per_day: budget,
});

const count = wholeNumber(1, MAX_COUNT).nullable().default(null);
const fallBack = z
  .strictObject({
    mode: z.enum(MODES),
    bounces: count,
    complaints: count,
    days: wholeNumber(1, MAX_FALL_BACK_DAYS).default(30),
  })
  .refine(({ bounces, complaints }) => bounces !== null || complaints !== null, {
    error: "is needed where complaints is not given",
    path: ["bounces"],
  });

const risk = z.number().min(0).max(1).nullable();

/** The input of set_policy, which replaces the whole policy: whatever is left out restricts nothing. */
export const policyIn = z.strictObject({
  templates_only: flag.default(OPEN_POLICY.templates_only).describe("Nothing is sent but by an approved template"),
  risk_hold: risk.default(OPEN_POLICY.risk_hold).describe("Mail of this risk (0 to 1) or more is held"),
  risk_block: risk.default(OPEN_POLICY.risk_block).describe("Mail of this risk (0 to 1) or more is blocked"),
  new_recipients: z
    .enum(["allow", "hold", "block"])
    .default(OPEN_POLICY.new_recipients)
    .describe("Mail for someone whom no human approved before"),
  blocklist: list(recipientPattern, MAX_BLOCKLIST)
    .transform((patterns) => [...new Set(patterns)])
    .default([])
    .describe("Addresses, domains and globs that get nothing"),
  content: list(contentRule, MAX_CONTENT_RULES).default([]),
  attachments: list(attachmentRule, MAX_ATTACHMENT_RULES).default([]),
  sending_hours: sendingHours
    .nullable()
    .default(OPEN_POLICY.sending_hours)
    .describe("When mail leaves without being held"),
  budgets: budgets.default(() => ({ ...OPEN_POLICY.budgets })).describe("Messages let go before the next is held"),
  fall_back: fallBack
    .nullable()
    .default(OPEN_POLICY.fall_back)
    .describe("The stricter mode after more than so many bounces or complaints"),
}) satisfies z.ZodType<Policy>;

const nullableNumber = z.number().nullable();

/** A policy as it is answered. */
export const policyShape = z.object({
  templates_only: z.boolean(),
  risk_hold: nullableNumber,
  risk_block: nullableNumber,
  new_recipients: z.enum(["allow", "hold", "block"]),
  blocklist: z.array(z.string()),
  content: z.array(
    z.object({
      name: z.string(),
      in: z.array(z.enum(CONTENT_PLACES)),
      keywords: z.array(z.string()),
      pattern: z.string().nullable(),
      action: actionIn,
    }),
  ),
  attachments: z.array(
    z.object({ name: z.string(), types: z.array(z.string()), larger_than: nullableNumber, action: actionIn }),
  ),
  sending_hours: z
    .object({ time_zone: z.string(), days: z.array(z.enum(DAYS)), from: z.string(), until: z.string() })
    .nullable(),
  budgets: z.object({
    per_hour: nullableNumber,
    per_day: nullableNumber,
    per_recipient_per_hour: nullableNumber,
    per_recipient_per_day: nullableNumber,
  }),
  fall_back: z
    .object({ mode: z.enum(MODES), bounces: nullableNumber, complaints: nullableNumber, days: z.number() })
    .nullable(),
}) satisfies z.ZodType<Policy>;
