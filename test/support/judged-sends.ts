import fc from "fast-check";
import { NO_RISK } from "../../src/intelligence/risk.ts";
import { MODES } from "../../src/oversight/modes.ts";
import type { JudgedFile, JudgedRecipient, JudgedSend, Verdict } from "../../src/oversight/policy.ts";
import {
  type AttachmentRule,
  CONTENT_PLACES,
  type ContentRule,
  DAYS,
  OPEN_POLICY,
  type Policy,
  type SendingHours,
} from "../../src/oversight/rules/policy-type.ts";

/** Messages and policies for the tests of the rules: plain ones to change, and arbitrary ones. */

/** Wednesday, 2026-11-25, 12:00 UTC. */
export const NOON = Date.UTC(2026, 10, 25, 12);

export function policy(parts: Partial<Policy> = {}): Policy {
  return { ...OPEN_POLICY, ...parts };
}

export function recipient(address: string, parts: Partial<JudgedRecipient> = {}): JudgedRecipient {
  return { address, automatic: false, known: false, allowlisted: null, ...parts };
}

/** A message to ana@customer.example that nothing is wrong with. */
export function send(parts: Partial<JudgedSend> = {}): JudgedSend {
  return {
    mode: "autonomous",
    policy: OPEN_POLICY,
    recipients: [recipient("ana@customer.example")],
    subject: "Offer",
    text: "Good morning",
    html: null,
    tags: {},
    attachments: [],
    template: null,
    risk: NO_RISK,
    moment: { now: NOON, sent: { hour: 0, day: 0, recipients: {} } },
    ...parts,
  };
}

export function contentRule(parts: Partial<ContentRule>): ContentRule {
  return { name: "words", in: [...CONTENT_PLACES], keywords: [], pattern: null, action: "hold", ...parts };
}

export function attachmentRule(parts: Partial<AttachmentRule>): AttachmentRule {
  return { name: "files", types: [], larger_than: null, action: "hold", ...parts };
}

/** How strict a verdict is; more is stricter. */
export function strictness({ verdict }: Verdict): number {
  return ["allow", "hold", "block", "deny"].indexOf(verdict);
}

const LOCALS = ["ana", "ana+news", "sales-1", "bob"];
const DOMAINS = ["customer.example", "eu.customer.example", "rival.example"];
const WORDS = ["wire", "transfer", "secret", "пароль", "C++"];
const TYPES = ["application/*", "application/pdf", "*/pdf", "image/*", ".exe", ".e*"];

const action = fc.constantFrom("hold", "block");
const atLeast = (values: number[]) => fc.option(fc.constantFrom(...values));

const hours: fc.Arbitrary<SendingHours> = fc.record({
  time_zone: fc.constantFrom("Europe/Madrid", "America/New_York"),
  days: fc.subarray([...DAYS], { minLength: 1 }),
  from: fc.constantFrom("00:00", "09:00", "13:00", "22:00"),
  until: fc.constantFrom("06:00", "12:00", "17:00", "22:00"),
});

export const anyContentRule: fc.Arbitrary<ContentRule> = fc
  .record({
    name: fc.constantFrom("one", "two"),
    in: fc.subarray([...CONTENT_PLACES], { minLength: 1 }),
    keywords: fc.subarray(WORDS),
    pattern: fc.option(fc.constantFrom("wire.*transfer", "\\d{4}", "s[e3]cret")),
    action,
  })
  .filter(({ keywords, pattern }) => keywords.length > 0 || pattern !== null);

export const anyAttachmentRule: fc.Arbitrary<AttachmentRule> = fc.record({
  name: fc.constantFrom("one", "two"),
  types: fc.subarray(TYPES),
  larger_than: atLeast([0, 100, 1000]),
  action,
});

const PATTERNS = [
  "ana@customer.example",
  "customer.example",
  "*.customer.example",
  "sales-*@customer.example",
  "*@rival.example",
];

/** Policies out of few values, so that two of them often differ in one. */
export const anyPolicy: fc.Arbitrary<Policy> = fc.record({
  templates_only: fc.boolean(),
  risk_hold: atLeast([0, 0.3, 0.6, 1]),
  risk_block: atLeast([0, 0.3, 0.6, 1]),
  new_recipients: fc.constantFrom("allow", "hold", "block"),
  blocklist: fc.subarray(PATTERNS, { maxLength: 2 }),
  content: fc.array(anyContentRule, { maxLength: 2 }),
  attachments: fc.array(anyAttachmentRule, { maxLength: 2 }),
  sending_hours: fc.option(hours),
  budgets: fc.record({
    per_hour: atLeast([0, 2, 5]),
    per_day: atLeast([0, 2, 5]),
    per_recipient_per_hour: atLeast([0, 1, 2]),
    per_recipient_per_day: atLeast([0, 1, 2]),
  }),
  fall_back: fc.constant(null),
});

const anyRecipient: fc.Arbitrary<JudgedRecipient> = fc.record({
  address: fc.tuple(fc.constantFrom(...LOCALS), fc.constantFrom(...DOMAINS)).map((parts) => parts.join("@")),
  automatic: fc.boolean(),
  known: fc.boolean(),
  allowlisted: fc.option(fc.constantFrom("apr_1", "apr_2")),
});

const anyFile: fc.Arbitrary<JudgedFile> = fc.record({
  name: fc.constantFrom("offer.pdf", "setup.exe", "photo", "song.mp3"),
  content_type: fc.constantFrom("application/pdf", "image/png", "text/plain"),
  size: fc.constantFrom(0, 100, 101, 5000),
});

const anyText = fc
  .array(fc.constantFrom(...WORDS, "wirе", "hello", "4711", "-"), { maxLength: 4 })
  .map((words) => words.join(" "));

/** Messages out of the same few values as the policies. */
export const anySend: fc.Arbitrary<JudgedSend> = fc.record({
  mode: fc.constantFrom(...MODES),
  policy: fc.constant(OPEN_POLICY),
  recipients: fc.array(anyRecipient, { minLength: 1, maxLength: 3 }),
  subject: anyText,
  text: anyText,
  html: fc.option(anyText.map((text) => `<p>${text}</p>`)),
  tags: fc.dictionary(fc.constantFrom("wire", "kind"), fc.constantFrom("secret", "offer"), { maxKeys: 2 }),
  attachments: fc.array(anyFile, { maxLength: 2 }),
  template: fc.option(
    fc.record(
      {
        id: fc.constant("tpl_1"),
        approval_ref: fc.constant("apr_tpl"),
        allowed_domains: fc.subarray(["customer.example", "rival.example"]),
      },
      { requiredKeys: ["id", "approval_ref"] },
    ),
  ),
  risk: fc.record({ score: fc.constantFrom(0, 0.3, 0.5, 1), reasons: fc.constant([]) }),
  moment: fc.option(
    fc.record({
      now: fc.integer({ min: NOON, max: NOON + 14 * 24 * 3600_000 }),
      sent: fc.record({
        hour: fc.integer({ min: 0, max: 6 }),
        day: fc.integer({ min: 0, max: 6 }),
        recipients: fc.dictionary(
          fc.constantFrom("ana@customer.example", "bob@rival.example"),
          fc.record({ hour: fc.integer({ min: 0, max: 3 }), day: fc.integer({ min: 0, max: 3 }) }),
        ),
      }),
    }),
  ),
});
