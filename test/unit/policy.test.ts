import { describe, expect, test } from "vitest";
import { isLooser, MODES, type Mode, stricter } from "../../src/oversight/modes.ts";
import { type JudgedSend, judgeByMode, judgeSend, POLICY } from "../../src/oversight/policy.ts";
import { attachmentRule, contentRule, policy, recipient, send } from "../support/judged-sends.ts";

test("the policy table is the design's", () => {
  const rows = Object.entries(POLICY).map(([effect, row]) => [effect, ...MODES.map((mode) => row[mode])].join(" | "));
  expect(rows).toEqual([
    "send | deny | hold | hold | allow_with_copy | allow",
    "read | allow | hold | allow | allow | allow",
    "annotate | mark_and_tag_only | hold | allow | allow | allow",
    "inbound | allow | hold | allow | allow | allow",
  ]);
});

describe("the applied mode is the stricter of mailbox and request", () => {
  test.each(MODES.flatMap((a) => MODES.map((b) => [a, b] as const)))("%s with %s", (a, b) => {
    const applied = stricter(a, b);
    expect([a, b]).toContain(applied);
    expect(isLooser(applied, a)).toBe(false);
    expect(isLooser(applied, b)).toBe(false);
  });
});

test("without a message the mode alone says what the table does", () => {
  expect(MODES.map((mode) => [judgeByMode(mode).verdict, judgeByMode(mode).copy, judgeByMode(mode).rule])).toEqual([
    ["deny", false, "mode read_only"],
    ["hold", false, "mode gated_all"],
    ["hold", false, "mode gated_send"],
    ["allow", true, "mode monitored"],
    ["allow", false, "mode autonomous"],
  ]);
});

const ANA = "ana@customer.example";
const TEMPLATE = { id: "tpl_1", approval_ref: "apr_template" };
const LISTED = [recipient(ANA, { allowlisted: "apr_entry" })];
const HOLDING = policy({ content: [contentRule({ keywords: ["morning"], action: "hold" })] });
const BLOCKING = policy({ content: [contentRule({ keywords: ["morning"], action: "block" })] });
const BLOCKLISTED = policy({ blocklist: [ANA] });
const TEMPLATES_ONLY = policy({ templates_only: true });

/**
 * The whole precedence: what the message and its policy are, then the verdict under each mode in the order of MODES, as
 * `verdict: the rule that decided`, with ` +copy` and the approval that is recorded.
 */
const PRECEDENCE: [what: string, parts: Partial<JudgedSend>, verdicts: string[]][] = [
  [
    "no rule",
    {},
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "hold: mode gated_send",
      "allow: mode monitored +copy",
      "allow: mode autonomous",
    ],
  ],
  [
    "a rule holds",
    { policy: HOLDING },
    ["deny: mode read_only", "hold: mode gated_all", "hold: mode gated_send", "hold: content", "hold: content"],
  ],
  [
    "a rule blocks",
    { policy: BLOCKING },
    ["deny: mode read_only", "block: content", "block: content", "block: content", "block: content"],
  ],
  [
    "one rule holds, another blocks",
    { policy: policy({ content: [...HOLDING.content, ...BLOCKING.content] }) },
    ["deny: mode read_only", "block: content", "block: content", "block: content", "block: content"],
  ],
  [
    "a rule denies, another blocks, another holds",
    { policy: policy({ ...TEMPLATES_ONLY, blocklist: [ANA], content: HOLDING.content }) },
    [
      "deny: mode read_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
    ],
  ],
  [
    "templates only, without one",
    { policy: TEMPLATES_ONLY },
    [
      "deny: mode read_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
    ],
  ],
  [
    "templates only, with one",
    { policy: TEMPLATES_ONLY, template: TEMPLATE },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "allow: template, by template apr_template",
      "allow: mode monitored +copy, by template apr_template",
      "allow: mode autonomous, by template apr_template",
    ],
  ],
  [
    "an approved template",
    { template: TEMPLATE },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "allow: template, by template apr_template",
      "allow: mode monitored +copy, by template apr_template",
      "allow: mode autonomous, by template apr_template",
    ],
  ],
  [
    "an approved template that a rule holds",
    { template: TEMPLATE, policy: HOLDING },
    ["deny: mode read_only", "hold: mode gated_all", "hold: content", "hold: content", "hold: content"],
  ],
  [
    "an approved template that a rule blocks",
    { template: TEMPLATE, policy: BLOCKING },
    ["deny: mode read_only", "block: content", "block: content", "block: content", "block: content"],
  ],
  [
    "a template for another domain",
    { template: { ...TEMPLATE, allowed_domains: ["other.example"] } },
    ["deny: mode read_only", "deny: template", "deny: template", "deny: template", "deny: template"],
  ],
  [
    "everyone on the allowlist",
    { recipients: LISTED },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "allow: allowlist, by allowlist apr_entry",
      "allow: mode monitored +copy",
      "allow: mode autonomous",
    ],
  ],
  [
    "everyone on the allowlist, and a template",
    { recipients: LISTED, template: TEMPLATE },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "allow: template, by template apr_template",
      "allow: mode monitored +copy, by template apr_template",
      "allow: mode autonomous, by template apr_template",
    ],
  ],
  [
    "everyone on the allowlist, and a rule holds",
    { recipients: LISTED, policy: HOLDING },
    ["deny: mode read_only", "hold: mode gated_all", "hold: content", "hold: content", "hold: content"],
  ],
  [
    "on the allowlist and on the blocklist",
    { recipients: LISTED, policy: BLOCKLISTED },
    ["deny: mode read_only", "block: blocklist", "block: blocklist", "block: blocklist", "block: blocklist"],
  ],
  [
    "one of two on the allowlist",
    { recipients: [...LISTED, recipient("bob@customer.example")] },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "hold: mode gated_send",
      "allow: mode monitored +copy",
      "allow: mode autonomous",
    ],
  ],
  [
    "on the allowlist, with an automatic copy to someone who is not",
    { recipients: [recipient("archive@own.example", { automatic: true }), ...LISTED] },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "allow: allowlist, by allowlist apr_entry",
      "allow: mode monitored +copy",
      "allow: mode autonomous",
    ],
  ],
  [
    "for nobody but the automatic copies, which are on the allowlist",
    { recipients: [recipient(ANA, { automatic: true, allowlisted: "apr_entry" })] },
    [
      "deny: mode read_only",
      "hold: mode gated_all",
      "hold: mode gated_send",
      "allow: mode monitored +copy",
      "allow: mode autonomous",
    ],
  ],
  [
    "templates only, without one, and everyone on the allowlist",
    { recipients: LISTED, policy: TEMPLATES_ONLY },
    [
      "deny: mode read_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
      "deny: templates_only",
    ],
  ],
];

function said(parts: Partial<JudgedSend>, mode: Mode): string {
  const { verdict, rule, copy, approval } = judgeSend(send({ ...parts, mode }));
  return `${verdict}: ${rule}${copy ? " +copy" : ""}${approval ? `, by ${approval.kind} ${approval.ref}` : ""}`;
}

describe("deny before block before hold before allow, and only an approval beforehand lifts a gated_send's hold", () => {
  test.each(PRECEDENCE)("%s", (_what, parts, verdicts) => {
    expect(MODES.map((mode) => said(parts, mode))).toEqual(verdicts);
  });
});

/** Every rule with the verdict under `autonomous` when it applies, and the part of a message that sets it off. */
const EACH_RULE: [rule: string, parts: Partial<JudgedSend>][] = [
  ["deny: templates_only", { policy: TEMPLATES_ONLY }],
  ["deny: template", { template: { ...TEMPLATE, allowed_domains: [] } }],
  ["block: blocklist", { policy: BLOCKLISTED }],
  ["hold: risk", { policy: policy({ risk_hold: 0.5 }), risk: { score: 0.5, reasons: [] } }],
  ["block: risk", { policy: policy({ risk_hold: 0.5, risk_block: 0.5 }), risk: { score: 0.5, reasons: [] } }],
  ["hold: content", { policy: HOLDING }],
  ["block: content", { policy: BLOCKING }],
  ["hold: new_recipients", { policy: policy({ new_recipients: "hold" }) }],
  ["block: new_recipients", { policy: policy({ new_recipients: "block" }) }],
  [
    "hold: attachments",
    {
      policy: policy({ attachments: [attachmentRule({})] }),
      attachments: [{ name: "a.pdf", content_type: "application/pdf", size: 1 }],
    },
  ],
  [
    "hold: sending_hours",
    { policy: policy({ sending_hours: { time_zone: "UTC", days: ["thu"], from: "09:00", until: "17:00" } }) },
  ],
  ["hold: budget", { policy: policy({ budgets: { ...policy().budgets, per_hour: 0 } }) }],
];

describe("each rule decides by itself, says why, and leaves no copy and no approval", () => {
  test.each(EACH_RULE)("%s", (expected, parts) => {
    const verdict = judgeSend(send(parts));
    expect(`${verdict.verdict}: ${verdict.rule}`).toBe(expected);
    expect(verdict.because).toMatch(/^[A-Z].*\.$/);
    expect(verdict.reasons.map(({ rule }) => rule)).toContain(verdict.rule);
    expect([verdict.copy, verdict.approval]).toEqual([false, null]);
  });

  test.each(EACH_RULE)("%s: neither an allowlist nor a template lifts it under gated_send", (expected, parts) => {
    const allowlisted = recipient(ANA, { allowlisted: "apr_entry" });
    for (const template of [null, TEMPLATE]) {
      const verdict = judgeSend(send({ mode: "gated_send", recipients: [allowlisted], template, ...parts }));
      // What these two are made for: someone on the allowlist is not new, and a template is what templates_only asks for.
      if (/new_recipients/.test(expected) || (template && /templates_only/.test(expected))) continue;
      expect(`${verdict.verdict}: ${verdict.rule}`).toBe(expected);
    }
  });

  test.each(EACH_RULE)("%s: under monitored it is no copy", (expected, parts) => {
    const verdict = judgeSend(send({ ...parts, mode: "monitored" }));
    expect([`${verdict.verdict}: ${verdict.rule}`, verdict.copy]).toEqual([expected, false]);
  });
});

test("the reasons of every rule that applies are there, not only of the one that decides", () => {
  const all = policy({ ...HOLDING, blocklist: [ANA], new_recipients: "hold", risk_hold: 0.1 });
  const { reasons } = judgeSend(send({ mode: "gated_send", policy: all, risk: { score: 0.2, reasons: [] } }));
  expect(reasons.map(({ rule, action }) => `${rule} ${action}`)).toEqual([
    "mode hold",
    "blocklist block",
    "risk hold",
    "content hold",
    "new_recipients hold",
  ]);
});

test("where the mode denies, no rule is asked", () => {
  const { reasons } = judgeSend(send({ mode: "read_only", policy: BLOCKLISTED }));
  expect(reasons.map(({ rule, action }) => `${rule} ${action}`)).toEqual(["mode deny"]);
});

test("the risk is handed on with every verdict", () => {
  const risk = { score: 0.2, reasons: [{ reason: "new_domain", weight: 0.2, because: "This is new." }] };
  for (const [, parts] of PRECEDENCE)
    for (const mode of MODES) expect(judgeSend(send({ ...parts, mode, risk })).risk).toBe(risk);
});

test("the allowlist's approval is the first recipient's", () => {
  const recipients = ["apr_first", "apr_second"].map((allowlisted, i) =>
    recipient(`r${i}@customer.example`, { allowlisted }),
  );
  const { approval } = judgeSend(send({ mode: "gated_send", recipients }));
  expect(approval).toEqual({ kind: "allowlist", ref: "apr_first" });
});

test("what was let go is judged by the standing rules alone", () => {
  const parts = {
    policy: policy({
      sending_hours: { time_zone: "UTC", days: ["thu"], from: "09:00", until: "17:00" },
      budgets: { per_hour: 0, per_day: 0, per_recipient_per_hour: 0, per_recipient_per_day: 0 },
    }),
  } satisfies Partial<JudgedSend>;
  expect(judgeSend(send(parts)).verdict).toBe("hold");
  expect(judgeSend(send({ ...parts, moment: null })).verdict).toBe("allow");
  expect(judgeSend(send({ policy: BLOCKLISTED, moment: null })).verdict).toBe("block");
});
