import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLooser, MODES } from "../../src/oversight/modes.ts";
import { judgeByMode, judgeSend } from "../../src/oversight/policy.ts";
import { whatPolicyLoosens } from "../../src/oversight/policy-loosening.ts";
import type { AttachmentRule, ContentRule, Policy } from "../../src/oversight/rules/policy-type.ts";
import {
  anyAttachmentRule,
  anyContentRule,
  anyPolicy,
  anySend,
  recipient,
  send,
  strictness,
} from "../support/judged-sends.ts";

const RUNS = { numRuns: process.env.SLOW === "1" ? 100_000 : 1000 };
/** For what seldom comes together. */
const MANY_RUNS = { numRuns: 5 * RUNS.numRuns };

const PARTS = [
  ...(["templates_only", "risk_hold", "risk_block", "new_recipients", "blocklist", "content", "attachments"] as const),
  ...(["sending_hours", "budgets"] as const),
];

/** Policies that differ in one part. */
const nearlyAlike = fc
  .tuple(anyPolicy, anyPolicy, fc.constantFrom(...PARTS))
  .map(([base, other, part]): [Policy, Policy] => [base, { ...base, [part]: other[part] }]);

const twoPolicies = fc.oneof(nearlyAlike, fc.tuple(anyPolicy, anyPolicy));

const eachRule = (change: (rule: ContentRule) => Partial<ContentRule>) => (now: Policy) => ({
  ...now,
  content: now.content.map((rule) => ({ ...rule, ...change(rule) })),
});
const eachFileRule = (change: (rule: AttachmentRule) => Partial<AttachmentRule>) => (now: Policy) => ({
  ...now,
  attachments: now.attachments.map((rule) => ({ ...rule, ...change(rule) })),
});
const raised = (limit: number | null) => (limit === null ? null : limit + 1);

/** Ways to loosen a policy, or leave it as it is; none tightens anything. */
const LOOSENINGS: readonly ((now: Policy) => Policy)[] = [
  (now) => ({ ...now, templates_only: false }),
  (now) => ({ ...now, risk_hold: null }),
  (now) => ({ ...now, risk_block: now.risk_block === null ? null : 1 }),
  (now) => ({ ...now, new_recipients: now.new_recipients === "block" ? "hold" : "allow" }),
  (now) => ({ ...now, new_recipients: "allow" }),
  (now) => ({ ...now, blocklist: now.blocklist.slice(1) }),
  (now) => ({ ...now, blocklist: now.blocklist.slice(0, -1) }),
  (now) => ({ ...now, content: now.content.slice(1) }),
  (now) => ({ ...now, content: now.content.slice(0, -1) }),
  eachRule(({ keywords }) => ({ keywords: keywords.slice(1) })),
  eachRule(({ keywords }) => ({ keywords: keywords.slice(0, -1) })),
  eachRule(() => ({ pattern: null })),
  eachRule(({ in: places }) => ({ in: places.slice(1) })),
  eachRule(() => ({ action: "hold" })),
  (now) => ({ ...now, attachments: now.attachments.slice(1) }),
  eachFileRule(({ larger_than }) => ({ larger_than: (larger_than ?? 0) + 100 })),
  eachFileRule(({ types }) => ({ types: types.slice(0, Math.max(1, types.length - 1)) })),
  eachFileRule(() => ({ action: "hold" })),
  (now) => ({ ...now, sending_hours: null }),
  (now) => ({ ...now, sending_hours: now.sending_hours && { ...now.sending_hours, from: "00:00", until: "00:00" } }),
  (now) => ({ ...now, budgets: { ...now.budgets, per_hour: null } }),
  (now) => ({ ...now, budgets: { ...now.budgets, per_recipient_per_day: raised(now.budgets.per_recipient_per_day) } }),
];
const loosened = fc.array(fc.constantFrom(...LOOSENINGS), { minLength: 1, maxLength: 2 });

describe("over arbitrary messages and policies", { timeout: 120_000 }, () => {
  test("a rule more never makes a verdict looser", () => {
    const more = fc.oneof(
      anyContentRule.map((rule) => (now: Policy) => ({ ...now, content: [rule, ...now.content] })),
      anyAttachmentRule.map((rule) => (now: Policy) => ({ ...now, attachments: [...now.attachments, rule] })),
      fc
        .constantFrom("ana@customer.example", "*.example")
        .map((entry) => (now: Policy) => ({ ...now, blocklist: [entry, ...now.blocklist] })),
      fc.constant((now: Policy): Policy => ({ ...now, templates_only: true })),
      fc.constant((now: Policy): Policy => ({ ...now, new_recipients: "block" })),
      fc.constant((now: Policy): Policy => ({ ...now, risk_hold: 0 })),
      fc.constant((now: Policy): Policy => ({ ...now, budgets: { ...now.budgets, per_hour: 0 } })),
    );
    fc.assert(
      fc.property(anySend, anyPolicy, more, (message, policy, add) => {
        const before = strictness(judgeSend({ ...message, policy }));
        expect(strictness(judgeSend({ ...message, policy: add(policy) }))).toBeGreaterThanOrEqual(before);
      }),
      RUNS,
    );
  });

  test("a policy never makes a verdict looser than the mode, but for an approval given beforehand under gated_send", () => {
    fc.assert(
      fc.property(anySend, anyPolicy, (message, policy) => {
        const verdict = judgeSend({ ...message, policy });
        if (strictness(verdict) >= strictness(judgeByMode(message.mode))) return;
        expect(message.mode).toBe("gated_send");
        expect(verdict.approval).not.toBeNull();
        const refs = message.recipients.filter(({ automatic }) => !automatic).map(({ allowlisted }) => allowlisted);
        expect(message.template !== null || (refs.length > 0 && !refs.includes(null))).toBe(true);
      }),
      RUNS,
    );
  });

  test("an allowlist entry taken away never loosens a verdict", () => {
    fc.assert(
      fc.property(anySend, anyPolicy, fc.nat(2), (message, policy, which) => {
        const recipients = message.recipients.map((each, i) => (i === which ? { ...each, allowlisted: null } : each));
        const before = strictness(judgeSend({ ...message, policy }));
        expect(strictness(judgeSend({ ...message, policy, recipients }))).toBeGreaterThanOrEqual(before);
      }),
      RUNS,
    );
  });

  test("a stricter mode never loosens a verdict", () => {
    fc.assert(
      fc.property(anySend, anyPolicy, fc.constantFrom(...MODES), (message, policy, mode) => {
        if (isLooser(mode, message.mode)) return;
        const before = strictness(judgeSend({ ...message, policy }));
        expect(strictness(judgeSend({ ...message, policy, mode }))).toBeGreaterThanOrEqual(before);
      }),
      RUNS,
    );
  });

  test("another recipient never loosens a verdict", () => {
    const another = recipient("new@elsewhere.example");
    fc.assert(
      fc.property(anySend, anyPolicy, (message, policy) => {
        const before = strictness(judgeSend({ ...message, policy }));
        const recipients = [...message.recipients, another];
        expect(strictness(judgeSend({ ...message, policy, recipients }))).toBeGreaterThanOrEqual(before);
      }),
      RUNS,
    );
  });

  test("the rules that stand at all times are no stricter than with those of the moment", () => {
    fc.assert(
      fc.property(anySend, anyPolicy, (message, policy) => {
        const standing = strictness(judgeSend({ ...message, policy, moment: null }));
        expect(strictness(judgeSend({ ...message, policy }))).toBeGreaterThanOrEqual(standing);
      }),
      RUNS,
    );
  });

  test("a verdict agrees with its reasons, and only what is let go has an approval or a copy", () => {
    fc.assert(
      fc.property(anySend, anyPolicy, (message, policy) => {
        const { verdict, reasons, rule, because, approval, copy, mode } = judgeSend({ ...message, policy });
        expect(reasons.length === 0).toBe(verdict === "allow");
        if (verdict !== "allow") {
          const deciding = reasons.find((reason) => reason.action === verdict);
          expect(deciding?.because).toBe(because);
          expect(deciding?.rule === "mode" ? `mode ${mode}` : deciding?.rule).toBe(rule);
          expect(approval).toBeNull();
        }
        expect(copy).toBe(verdict === "allow" && mode === "monitored");
      }),
      RUNS,
    );
  });

  test("whatever a policy loosens for any message, whatPolicyLoosens tells", () => {
    fc.assert(
      fc.property(anySend, twoPolicies, (message, [to, now]) => {
        const judged = (policy: Policy) => strictness(judgeSend({ ...message, policy }));
        if (judged(to) < judged(now)) expect(whatPolicyLoosens(to, now)).not.toEqual([]);
      }),
      MANY_RUNS,
    );
  });

  test("what a human allowed in words cannot be had for another policy that loosens more", () => {
    const apply = (now: Policy, steps: ((now: Policy) => Policy)[]) =>
      steps.reduce((policy, step) => step(policy), now);
    let alike = 0;
    fc.assert(
      fc.property(anySend, anyPolicy, loosened, loosened, (message, now, these, those) => {
        const [allowed, swapped] = [apply(now, these), apply(now, those)];
        const words = whatPolicyLoosens(allowed, now);
        if (words.length === 0 || words.join() !== whatPolicyLoosens(swapped, now).join()) return;
        alike++;
        expect(judgeSend({ ...message, policy: swapped }).verdict).toBe(
          judgeSend({ ...message, policy: allowed }).verdict,
        );
      }),
      MANY_RUNS,
    );
    expect(alike).toBeGreaterThan(MANY_RUNS.numRuns / 50);
  });

  test("the same policy again loosens nothing", () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        expect(whatPolicyLoosens(policy, policy)).toEqual([]);
      }),
      RUNS,
    );
  });
});

test("a send that nothing is wrong with goes", () => {
  expect(judgeSend(send()).verdict).toBe("allow");
});
