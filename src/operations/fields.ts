import { z } from "zod";
import type { ErrorCode } from "../errors.ts";
import { CLAIM_LIMITS } from "../identity/claim.ts";

/** Pieces that input schemas are made of. Numbers and booleans are also taken as the text that a query string makes of them. */

/** A zod issue that carries an error code of its own in place of `invalid_input`. */
export function coded(code: ErrorCode): { params: { code: ErrorCode } } {
  return { params: { code } };
}

const HEADER_BREAKERS = /[\r\n\0]/;

/** Text that ends in a header line (RFC 5322 §2.2). @param max characters. */
export function headerText(max: number, min = 0) {
  return z
    .string()
    .min(min)
    .max(max)
    .refine((text) => !HEADER_BREAKERS.test(text), {
      error: "may not contain line breaks or NUL",
      ...coded("forbidden_characters"),
    });
}

/** Text of at most `max` octets in UTF-8. */
export function octets(max: number) {
  return z.string().refine((text) => Buffer.byteLength(text) <= max, { error: `may have at most ${max} octets` });
}

/** A whole number, or its digits. */
export function wholeNumber(min: number, max: number) {
  return z.preprocess(
    (value) => (typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value),
    z.int().min(min).max(max),
  );
}

const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false, "1": true, "0": false };

/** A boolean, or its word. */
export const flag = z.preprocess((value) => (typeof value === "string" ? (FLAGS[value] ?? value) : value), z.boolean());

/** How many items a page has. */
export const limit = wholeNumber(1, 100).default(20);
/** Where a list goes on; as the page before gave it. */
export const cursor = z.string().min(1).max(512).optional();
/** Whether an answer gives tags as a map of key to text, or as a list of keys. */
export const tagsForm = z.enum(["map", "list"]).default("map");

/** A point in time: a date, or ISO 8601 with its offset. @returns ISO 8601 UTC with milliseconds. */
export const instant = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })])
  .transform((text) => new Date(text).toISOString());

/** Sizes are in characters, which are octets here: nothing else than ASCII is taken. */
const CLAIM_TEXT = {
  agent_id: "must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
  model_id: "must be 1 to 48 characters of A-Z a-z 0-9 . _ : / -",
  model_provider: "must be 1 to 16 characters of A-Z a-z 0-9 . _ : / -",
} as const satisfies Partial<Record<keyof typeof CLAIM_LIMITS, string>>;

/** What enters a claim (FORMATS.md §1): anything else would not survive the header fields that it is written into. */
function claimText(field: keyof typeof CLAIM_TEXT) {
  return z.string().regex(CLAIM_LIMITS[field], { error: CLAIM_TEXT[field] });
}

/** An agent that is only looked for, or stopped: it may have got its name before some names were kept back. */
export const knownAgentId = claimText("agent_id");
/** A name to act under. Mail of a key that acts for no agent is signed with the key's own id, so nobody takes such a name. */
export const agentId = knownAgentId.refine((id) => !id.startsWith("key_"), {
  error: "may not begin with key_, as the ids of keys do",
});
export const modelId = claimText("model_id");
export const modelProvider = claimText("model_provider");

/** A code that the operator was mailed. */
export const approvalCode = z.string().min(1).max(64).optional();

/** One address or many. */
export const addresses = z.union([z.string(), z.array(z.string())]);
/** One address or many, but some. */
export const someAddresses = z.union([z.string(), z.array(z.string()).min(1, { error: "needs at least one address" })]);

/**
 * The value of a field that may go by several names.
 * @param names of which the first is the one that issues name.
 * @returns the value, or null if none is there; an issue is added if two differ, or if a required one is missing.
 */
export function agreed<Name extends string, Value>(
  input: { [N in Name]?: Value | undefined },
  names: readonly [Name, ...Name[]],
  context: z.RefinementCtx,
  isRequired: boolean,
): Value | null {
  const given = names.filter((name) => input[name] !== undefined);
  const [first] = given;
  if (first === undefined) {
    if (isRequired) context.addIssue({ code: "custom", path: [names[0]], message: `is needed${alternatives(names)}` });
    return null;
  }
  const value = input[first] as Value;
  for (const name of given) {
    if (input[name] !== value)
      context.addIssue({ code: "custom", path: [name], message: `says something else than ${first}` });
  }
  return value;
}

function alternatives(names: readonly string[]): string {
  return names.length > 1 ? ` (also taken as ${names.slice(1).join(", ")})` : "";
}

const TAG_KEY_CHARACTERS = 64;
const TAG_VALUE_CHARACTERS = 256;
const MAX_TAGS = 50;

const tagKey = headerText(TAG_KEY_CHARACTERS, 1);

/** A map of key to text, or a list of keys. @returns the map. */
export const tags = z
  .union([z.record(tagKey, headerText(TAG_VALUE_CHARACTERS)), z.array(tagKey)])
  .transform((given) => (Array.isArray(given) ? Object.fromEntries(given.map((key) => [key, ""])) : given))
  .refine((map) => Object.keys(map).length <= MAX_TAGS, { error: `may have at most ${MAX_TAGS} entries` });

/** The key of one tag, in a path. */
export const oneTagKey = tagKey;

const METADATA_OCTETS = 16 * 1024;

/** A customer's own map. */
export const metadata = z
  .record(headerText(128, 1), z.unknown())
  .refine((map) => Buffer.byteLength(JSON.stringify(map)) <= METADATA_OCTETS, {
    error: "may have at most 16 KiB as JSON",
  });
