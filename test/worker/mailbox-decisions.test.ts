import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { MODES } from "../../src/oversight/modes.ts";
import {
  caller,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  loosen,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

const APPROVE = { decision: "approve", reason: null, content_hash: null } as const;

async function held(change = {}): Promise<{ box: TestMailbox; id: string }> {
  const box = await makeMailbox(change);
  const answer = unwrap(await box.stub.submit(box.agent, submission(box)));
  expect(answer.status).toBe("pending_send_approval");
  return { box, id: answer.id };
}

describe("what a mode does with a submission", () => {
  test.each([
    ["read_only", "denied_by_mode"],
    ["gated_all", "pending_send_approval"],
    ["gated_send", "pending_send_approval"],
    ["monitored", "queued"],
    ["autonomous", "queued"],
  ] as const)("%s: %s", async (oversight_mode, expected) => {
    const box = await makeMailbox({ oversight_mode });
    const outcome = await box.stub.submit(box.agent, submission(box));
    expect(outcome.ok ? outcome.value.status : outcome.refusal.code).toBe(expected);
    const chain = await checkMailbox(box);
    expect(chain.at(-1)?.action).toBe(
      { queued: "message.queued", denied_by_mode: "message.refused", pending_send_approval: "message.held" }[expected],
    );
  });

  test.each(MODES)(
    "a request's %s can tighten an autonomous mailbox, never loosen a gated one",
    async (oversight_mode) => {
      const loose = await makeMailbox({ oversight_mode: "autonomous" });
      const tight = await makeMailbox({ oversight_mode: "gated_send" });
      const first = await loose.stub.submit(loose.agent, submission(loose, { oversight_mode }));
      const second = await tight.stub.submit(tight.agent, submission(tight, { oversight_mode }));
      const expected = {
        read_only: "denied_by_mode",
        gated_all: "pending_send_approval",
        gated_send: "pending_send_approval",
      } as Record<string, string>;
      expect(first.ok ? first.value.status : first.refusal.code).toBe(expected[oversight_mode] ?? "queued");
      expect(second.ok ? second.value.status : second.refusal.code).toBe(
        expected[oversight_mode] ?? "pending_send_approval",
      );
    },
  );
});

describe("separation of duties: no way for the author to approve", () => {
  test("a send key has no right to decide", async () => {
    const { box, id } = await held();
    expect(codeOf(await decide(box, box.agent, { email_id: id, ...APPROVE }))).toBe("missing_scope");
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("a key with both scopes, should one ever exist, cannot decide what it wrote", async () => {
    const box = await makeMailbox();
    const both = caller(box.mailbox.tenant_id, ["send", "oversight"]);
    const { id } = unwrap(await box.stub.submit(both, submission(box)));
    expect(codeOf(await decide(box, both, { email_id: id, ...APPROVE }))).toBe("self_decision");
  });

  test.each<[string, (agent: TestMailbox["agent"]) => object]>([
    ["a key that the sending key made", (agent) => ({ created_by: agent.key_id })],
    ["a key made by the same key", (agent) => ({ created_by: agent.created_by })],
    ["a key that acts for the same agent", (agent) => ({ agent_id: agent.agent_id })],
    ["the key that made the sending key", (agent) => ({ key_id: agent.created_by })],
  ])("%s cannot decide", async (_what, related) => {
    const box = await makeMailbox();
    const agent = caller(box.mailbox.tenant_id, ["send"], { created_by: newId("key", 1), agent_id: "writer" });
    const { id } = unwrap(await box.stub.submit(agent, submission(box, { agent_id: "writer" })));
    const decider = { ...caller(box.mailbox.tenant_id, ["oversight"]), ...related(agent) };
    expect(codeOf(await decide(box, decider, { email_id: id, ...APPROVE }))).toBe("self_decision");
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("no key decides where a human did not switch that on", async () => {
    const { box, id } = await held({ oversight_keys_may_decide: false });
    expect(codeOf(await decide(box, box.overseer, { email_id: id, ...APPROVE }))).toBe("oversight_keys_disabled");
  });
});

describe("a decision is on what was seen", () => {
  test("another content hash is refused and changes nothing", async () => {
    const { box, id } = await held();
    const outcome = await decide(box, box.overseer, {
      email_id: id,
      decision: "approve",
      reason: null,
      content_hash: "0".repeat(64),
    });
    expect(codeOf(outcome)).toBe("content_changed");
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("content that is not what was hashed is never approved", async () => {
    const { box, id } = await held();
    await inObject(box, (_object, state) => {
      state.storage.sql.exec("UPDATE bodies SET text = 'send money'");
    });
    expect(codeOf(await decide(box, box.overseer, { email_id: id, ...APPROVE }))).toBe("content_changed");
    expect(await status(box, id)).toBe("pending_send_approval");
  });
});

test("of 1,000 approvals and rejections at once one wins, 999 learn which, and one message is delivered", async () => {
  const box = await makeMailbox();
  const to = `race-${box.mailbox.id.slice(-8)}@customer.example`;
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [{ name: null, address: to }] })));
  const outcomes = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) =>
      decide(box, box.overseer, {
        email_id: id,
        decision: i % 2 ? "approve" : "reject",
        reason: `vote ${i}`,
        content_hash: null,
      }),
    ),
  );
  const winners = outcomes.filter((outcome) => outcome.ok);
  expect(winners).toHaveLength(1);
  const [winner] = winners;
  const losers = outcomes.filter((outcome) => !outcome.ok);
  for (const loser of losers) {
    expect(loser.refusal).toMatchObject({
      code: "already_decided",
      detail: { approval_ref: winner?.ok && winner.value.approval_ref },
    });
  }
  await runAlarm(box);
  const approved = winner?.ok && winner.value.status === "approved";
  expect(await receivedFor(to)).toHaveLength(approved ? 1 : 0);
  const chain = await checkMailbox(box);
  expect(chain.filter(({ action }) => action.startsWith("decision."))).toHaveLength(1);
});

describe("the pending index in D1", () => {
  const row = (id: string) =>
    env.DB.prepare("SELECT open, kind FROM pending WHERE id = ?").bind(id.replace("em_", "pend_")).first();

  test("has an item as soon as the agent is answered, and loses it as soon as the decider is", async () => {
    const { box, id } = await held();
    expect(await row(id)).toEqual({ open: 1, kind: "send" });
    unwrap(await decide(box, box.overseer, { email_id: id, decision: "reject", reason: "no", content_hash: null }));
    expect(await row(id)).toEqual({ open: 0, kind: "send" });
  });

  test("is brought up to date by an alarm where the object was killed before", async () => {
    const { box, id } = await held();
    await inObject(box, (object) => {
      object.commit(() => {
        const message = object.messages.get(id);
        object.advance(message, "cancel");
        object.messages.save(message);
        object.schedule("index", id, object.now());
      });
    });
    await abortAllDurableObjects();
    await runAlarm({ ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) });
    expect(await row(id)).toEqual({ open: 0, kind: "send" });
  });
});

describe("idempotency", () => {
  const keyed = { idempotency: { key: "k1", digest: "d1" } };

  test("same key and content: the first answer, and one message", async () => {
    const box = await makeMailbox();
    const first = unwrap(await box.stub.submit(box.agent, submission(box, keyed)));
    await evictDurableObject(box.stub);
    const again = unwrap(await box.stub.submit(box.agent, submission(box, keyed)));
    expect(again).toEqual({ ...first, idempotent: true });
    expect((await checkMailbox(box)).filter(({ action }) => action === "message.held")).toHaveLength(1);
  });

  test("same key, other content: refused", async () => {
    const box = await makeMailbox();
    unwrap(await box.stub.submit(box.agent, submission(box, keyed)));
    const other = await box.stub.submit(box.agent, submission(box, { idempotency: { key: "k1", digest: "d2" } }));
    expect(codeOf(other)).toBe("idempotency_conflict");
  });

  test("another key's use of the same word is its own", async () => {
    const box = await makeMailbox();
    unwrap(await box.stub.submit(box.agent, submission(box, keyed)));
    const second = caller(box.mailbox.tenant_id, ["send"]);
    expect(unwrap(await box.stub.submit(second, submission(box, keyed))).idempotent).toBeUndefined();
  });

  test("a submission repeated after a reset, with its id, is one message", async () => {
    const box = await makeMailbox();
    const once = submission(box);
    const first = unwrap(await box.stub.submit(box.agent, once));
    await abortAllDurableObjects();
    const stub = env.MAILBOX.getByName(box.mailbox.id.slice(-8));
    expect(unwrap(await stub.submit(box.agent, once))).toEqual(first);
  });
});

describe("another tenant learns nothing", () => {
  test("every method answers not_found, as for a mailbox that was never made", async () => {
    const { box, id } = await held();
    const before = (await checkMailbox(box)).length;
    const never = env.MAILBOX.getByName("00000000");
    for (const stub of [box.stub, never]) {
      const answers = [
        await stub.describe(box.stranger),
        await stub.submit(box.stranger, submission(box)),
        await stub.read(box.stranger, id, { mark_read: true, include_html: false }),
        await stub.cancel(box.stranger, id, null),
        await decide({ stub }, box.stranger, { email_id: id, ...APPROVE }),
        await stub.pendingItems(box.stranger, [id]),
        await stub.update(box.stranger, { is_active: false }, null),
      ];
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
      expect(codeOf(answers[0] as never)).toBe("not_found");
    }
    expect((await checkMailbox(box)).length).toBe(before);
    await inObject({ ...box, stub: never }, (_object, state) => {
      expect(
        state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
      ).toEqual([]);
    });
  });
});

describe("settings", () => {
  test("tightening takes back what was not handed over; loosening needs the operator and releases nothing", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = unwrap(
      await box.stub.submit(
        box.agent,
        submission(box, { to: [{ name: null, address: "defer-451@customer.example" }] }),
      ),
    );
    await runAlarm(box);
    expect(await status(box, id)).toBe("queued");
    unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
    expect(await status(box, id)).toBe("pending_send_approval");
    const loosening = unwrap(await box.stub.update(box.admin, { oversight_mode: "autonomous" }, null));
    expect(loosening).toMatchObject({ needs_approval: { change: expect.stringContaining("autonomous") } });
    expect(unwrap(await box.stub.describe(box.admin)).oversight_mode).toBe("gated_send");
    await loosen(box, { oversight_mode: "autonomous" });
    await runAlarm(box);
    expect(await status(box, id)).toBe("pending_send_approval");
    await checkMailbox(box);
  });

  test("an approval given before the mailbox became read_only lets nothing go", async () => {
    const { box, id } = await held();
    unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
    expect(codeOf(await decide(box, box.overseer, { email_id: id, ...APPROVE }))).toBe("wrong_state");
  });

  test.each([
    [{ approvers: ["accomplice@elsewhere.example"], approvers_pending: [] }],
    [{ auto_bcc: ["spy@elsewhere.example"] }],
    [{ auto_cc: ["spy@elsewhere.example"] }],
    [{ oversight_keys_may_decide: true }],
    [{ ai_disclosure: false }],
  ])("an admin key alone cannot set %j", async (change) => {
    const box = await makeMailbox({ oversight_keys_may_decide: false, ai_disclosure: true, approver_pending: true });
    const before = unwrap(await box.stub.describe(box.admin));
    expect(unwrap(await box.stub.update(box.admin, change, null))).toHaveProperty("needs_approval");
    expect(unwrap(await box.stub.describe(box.admin))).toEqual(before);
  });
});
