import { describe, expect, test } from "vitest";
import type { Submission } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { OPEN_POLICY, type Policy } from "../../src/oversight/rules/policy-type.ts";
import { decidedBy, mailsTo, somebody } from "../support/approvals.ts";
import {
  advanceClock,
  chainOf,
  checkMailbox,
  decide,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

/** A mailbox's rules in the real object: what they say everywhere the same, what they count, and what they set off. */

const HOUR = 3600_000;
const DAY = 24 * HOUR;

async function ruled(policy: Partial<Policy>, change: Partial<Mailbox> = {}): Promise<TestMailbox> {
  const box = await makeMailbox({ oversight_mode: "autonomous", ...change });
  unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, ...policy }, null));
  return box;
}

async function send(box: TestMailbox, change: Partial<Submission> = {}): Promise<SendAnswer> {
  return unwrap(await box.stub.submit(box.agent, submission(box, change)));
}

const to = (address: string): Pick<Submission, "to"> => ({ to: [{ name: null, address }] });

async function approve(box: TestMailbox, email_id: string): Promise<void> {
  unwrap(await decide(box, box.overseer, { email_id, decision: "approve", reason: null, content_hash: null }));
}

const bcc = [{ name: null, address: "Eve+x@Evil.example" }];
const DECIDING: [rule: string, policy: Partial<Policy>, outcome: "hold" | "block", change: Partial<Submission>][] = [
  ["risk", { risk_hold: 0.01 }, "hold", {}],
  ["risk", { risk_block: 0.01 }, "block", {}],
  ["new_recipients", { new_recipients: "hold" }, "hold", {}],
  ["new_recipients", { new_recipients: "block" }, "block", {}],
  ["blocklist", { blocklist: ["eve@evil.example"] }, "block", { bcc }],
  ["blocklist", { blocklist: ["evil.example"] }, "block", { cc: bcc }],
  ["blocklist", { blocklist: ["*@evil.example"] }, "block", { to: bcc }],
  [
    "content",
    { content: [{ name: "offers", in: ["subject"], keywords: ["offer"], pattern: null, action: "hold" }] },
    "hold",
    {},
  ],
  [
    "content",
    { content: [{ name: "urgent", in: ["tags"], keywords: [], pattern: "^urg", action: "block" }] },
    "block",
    { tags: { urgent: "" } },
  ],
  ["budget", { budgets: { ...OPEN_POLICY.budgets, per_hour: 0 } }, "hold", {}],
];

describe("the rule that decided is the same in the answer, in the pending item and in the audit", () => {
  test.each(DECIDING)("%s %j: %s", async (rule, policy, outcome, change) => {
    const box = await ruled(policy);
    const { id, verdict, pending_id } = await send(box, change);
    expect(verdict).toMatchObject({ outcome, rule, reasons: [{ rule, action: outcome, because: verdict.because }] });
    expect(await status(box, id)).toBe(outcome === "hold" ? "pending_send_approval" : "blocked");
    if (outcome === "hold") {
      const [item] = unwrap(await box.stub.pendingItems(box.overseer, [pending_id ?? ""]));
      expect(item).toMatchObject({ rule, because: verdict.because, reasons: verdict.reasons, risk: verdict.risk });
    } else expect(pending_id).toBeUndefined();
    const entry = (await chainOf(box)).find(
      ({ action }) => action === `message.${outcome === "hold" ? "held" : "blocked"}`,
    );
    expect(entry).toMatchObject({ resource: { id }, detail: { rule, rules: [rule] } });
    await runAlarm(box);
    await checkMailbox(box);
  });
});

describe("a recipient is known only through a delivery that a human approved", () => {
  const held = async (box: TestMailbox, address: string) => (await send(box, to(address))).verdict.outcome === "hold";

  test("not through what a mode let go, nor through an approval alone, nor through a bounce", async () => {
    const box = await ruled({});
    await send(box, to("mode@customer.example"));
    await runAlarm(box);
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, new_recipients: "hold" }, null));
    expect(await held(box, "mode@customer.example")).toBe(true);

    const bounced = await send(box, to("refuse-554@customer.example"));
    await approve(box, bounced.id);
    await runAlarm(box);
    expect(await status(box, bounced.id)).toBe("send_failed");
    expect(await held(box, "refuse-554@customer.example")).toBe(true);

    const { id } = await send(box, to("ana@customer.example"));
    await approve(box, id);
    expect(await held(box, "ana@customer.example")).toBe(true);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await held(box, "Ana@Customer.example")).toBe(false);
    expect(await held(box, "ben@customer.example")).toBe(true);
  });
});

describe("a budget counts what is let go, and nothing else", () => {
  const outcome = async (box: TestMailbox, address = "ana@customer.example") =>
    (await send(box, to(address))).verdict.outcome;
  const budgeted = (budgets: Partial<Policy["budgets"]>) => ruled({ budgets: { ...OPEN_POLICY.budgets, ...budgets } });

  test.each([
    ["per_hour", HOUR],
    ["per_day", DAY],
  ] as const)("%s: there is room again once the time has passed, and not before", async (budget, span) => {
    const box = await budgeted({ [budget]: 2 });
    expect([await outcome(box), await outcome(box), await outcome(box), await outcome(box)]).toEqual([
      "allow",
      "allow",
      "hold",
      "hold",
    ]);
    await advanceClock(box, span - 60_000);
    expect(await outcome(box)).toBe("hold");
    await advanceClock(box, span + 1_000);
    expect(await outcome(box)).toBe("allow");
  });

  test.each(["per_recipient_per_hour", "per_recipient_per_day"] as const)("%s: each has their own", async (budget) => {
    const box = await budgeted({ [budget]: 1 });
    expect(await outcome(box)).toBe("allow");
    expect(await outcome(box, "ben@customer.example")).toBe("allow");
    expect(await outcome(box, "ANA@customer.example")).toBe("hold");
  });
});

describe("a mailbox falls back by itself", () => {
  const fallBack = { mode: "gated_send", bounces: 2, complaints: null, days: 1 } as const;
  async function bounce(box: TestMailbox, n: number): Promise<void> {
    for (let i = 0; i < n; i++) await send(box, to(`refuse-554-${i}@customer.example`));
    await runAlarm(box);
  }
  const mode = async (box: TestMailbox) => unwrap(await box.stub.describe(box.admin)).oversight_mode;

  test("with the bounce that passes the limit: what had not left waits, and people are told", async () => {
    const approver = somebody("ana");
    const box = await decidedBy([approver], { oversight_mode: "autonomous" });
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, fall_back: fallBack }, null));
    const later = await send(box, { send_at: new Date(Date.now() + DAY).toISOString() });
    expect(later.status).toBe("scheduled");
    await bounce(box, 2);
    expect(await mode(box)).toBe("autonomous");
    await bounce(box, 1);
    expect(await mode(box)).toBe("gated_send");
    expect(await status(box, later.id)).toBe("pending_send_approval");
    expect((await send(box)).verdict).toMatchObject({ outcome: "hold", rule: "mode gated_send" });
    await runAlarm(box);
    const entry = (await chainOf(box)).find(({ action }) => action === "mailbox.fell_back");
    expect(entry?.detail).toMatchObject({ from: "autonomous", oversight_mode: "gated_send", count: 3, limit: 2 });
    expect((await mailsTo(approver)).filter(({ text }) => /bounce/i.test(text))).not.toEqual([]);
    await checkMailbox(box);
  });

  test("not for what lies longer back, and never to a looser mode", async () => {
    const box = await ruled({ fall_back: fallBack });
    await bounce(box, 2);
    await advanceClock(box, 3 * DAY);
    await bounce(box, 2);
    expect(await mode(box)).toBe("autonomous");
    const strict = await ruled(
      { fall_back: { ...fallBack, mode: "monitored", bounces: 1 } },
      { oversight_mode: "gated_send" },
    );
    for (let i = 0; i < 3; i++) await approve(strict, (await send(strict, to(`refuse-554-${i}@customer.example`))).id);
    await runAlarm(strict);
    expect(await mode(strict)).toBe("gated_send");
  });
});
