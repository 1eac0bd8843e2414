import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { deliver } from "../../durable-objects/mailbox/delivery.ts";
import { notifyApprover } from "../../durable-objects/mailbox/people.ts";
import { backoff } from "../../durable-objects/timers.ts";
import { unwrap } from "../../src/errors.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  arrival,
  chainOf,
  checkMailbox,
  codeOf,
  decide,
  EVERYTHING,
  inObject,
  loosen,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Ways around oversight that were tried on this code. Each worked once. */

const someone = (start: string) => ({ name: null, address: `${start}-${crypto.randomUUID()}@customer.example` });

async function watched(): Promise<TestMailbox & { overseerMail: string }> {
  const overseerMail = `watcher-${crypto.randomUUID()}@people.example`;
  const box = await makeMailbox({ oversight_mode: "monitored", approver_email: overseerMail });
  await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, overseerMail);
  return { ...box, overseerMail };
}

describe("an agent in a monitored mailbox adds a recipient that never answers", () => {
  test("and cancels: what was delivered stays sent, and the overseer has their copy", async () => {
    const box = await watched();
    const [victim, deferring] = [someone("victim"), someone("defer-451")];
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [victim, deferring] })));
    await runAlarm(box);
    unwrap(await box.stub.cancel(box.agent, id, "oops"));
    await runAlarm(box);
    expect(await receivedFor(victim.address)).toHaveLength(1);
    expect(await receivedFor(box.overseerMail)).toHaveLength(1);
    const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }));
    expect(email).toMatchObject({ status: "sent", sent_at: expect.any(String) });
    expect(email.recipients.map(({ state }) => state)).toEqual(["accepted", "failed"]);
  });

  test("and waits: the copy comes with the first delivery, once", async () => {
    const box = await watched();
    await box.stub.submit(box.agent, submission(box, { to: [someone("victim"), someone("defer-451")] }));
    await runAlarm(box);
    await runAlarm(box);
    await advanceClock(box, backoff(1) + 1_000);
    await runAlarm(box);
    await runAlarm(box);
    expect(await receivedFor(box.overseerMail)).toHaveLength(1);
  });

  test("tightening from autonomous to monitored gives the overseer a copy of what had not left", async () => {
    const box = await watched();
    await loosen(box, { oversight_mode: "autonomous" });
    const to = someone("slow");
    await box.stub.submit(box.agent, submission(box, { to: [to] }));
    unwrap(await box.stub.update(box.admin, { oversight_mode: "monitored" }, null));
    await runAlarm(box);
    await runAlarm(box);
    expect(await receivedFor(to.address)).toHaveLength(1);
    expect(await receivedFor(box.overseerMail)).toHaveLength(1);
  });
});

describe("the mode is tightened while an attempt is under way", () => {
  async function sending(mode: "autonomous" | "gated_send") {
    const box = await makeMailbox({ oversight_mode: mode });
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [someone("defer-451")] })));
    if (mode === "gated_send") {
      unwrap(await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }));
    }
    await inObject(box, (object) =>
      object.commit(() => {
        const message = object.messages.get(id);
        object.advance(message, "attempt");
        object.messages.save(message);
      }),
    );
    expect(await status(box, id)).toBe("sending");
    return { box, id };
  }

  test("and the attempt is put off: the message waits for a human, it is not lost", async () => {
    const { box, id } = await sending("autonomous");
    unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
    await runAlarm(box);
    expect(await status(box, id)).toBe("pending_send_approval");
    expect((await chainOf(box)).map(({ action }) => action)).toContain("message.taken_back");
    await advanceClock(box, 3_000);
    await runAlarm(box);
    const pending = await env.DB.prepare("SELECT open FROM pending WHERE id = ?")
      .bind(id.replace("em_", "pend_"))
      .first("open");
    expect(pending).toBe(1);
  });

  test("to read_only and back: the approval is void, and a new one is needed", async () => {
    const { box, id } = await sending("gated_send");
    unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
    await loosen(box, { oversight_mode: "gated_send" });
    await runAlarm(box);
    expect(await status(box, id)).toBe("pending_send_approval");
    await checkMailbox(box);
  });
});

describe("an admin key's change says less to the operator than it gives away", () => {
  test("an unconfirmed approver is named, however harmless the rest of the change", async () => {
    const box = await makeMailbox({ approver_email: "x@evil.example", approver_pending: true });
    const asked = unwrap(
      await box.stub.update(
        box.admin,
        { approvers: ["x@evil.example"], approvers_pending: ["x@evil.example"], auto_cc: ["records@corp.example"] },
        null,
      ),
    );
    expect(asked).toMatchObject({
      needs_approval: { change: expect.stringContaining("x@evil.example becomes an approver") },
    });
  });

  test("words that were allowed before the mailbox was tightened allow nothing after", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const change = { oversight_mode: "autonomous", auto_cc: ["records@corp.example"] } as const;
    const wish = { ...change, auto_cc: [...change.auto_cc] };
    const asked = unwrap(await box.stub.update(box.admin, wish, null));
    const words = "needs_approval" in asked ? asked.needs_approval.change : "";
    expect(words).not.toContain("autonomous");
    unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
    const again = unwrap(await box.stub.update(box.admin, wish, words));
    expect(again).toMatchObject({ needs_approval: { change: expect.stringContaining("autonomous") } });
    expect(unwrap(await box.stub.describe(box.admin)).oversight_mode).toBe("read_only");
  });

  test("taking the operator's copies away needs the operator", async () => {
    const box = await makeMailbox({ auto_bcc: ["archive@corp.example"] });
    expect(unwrap(await box.stub.update(box.admin, { auto_bcc: [] }, null))).toMatchObject({
      needs_approval: { change: expect.stringContaining("archive@corp.example") },
    });
  });
});

async function tokenHashes(box: TestMailbox): Promise<string[]> {
  return inObject(box, (_object, state) =>
    state.storage.sql
      .exec<{ token_hash: string }>("SELECT token_hash FROM links")
      .toArray()
      .map(({ token_hash }) => token_hash),
  );
}

test("a link that decided once decides nothing after the message was taken back", async () => {
  const box = await makeMailbox();
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [someone("defer-451")] })));
  await runAlarm(box);
  const [hash = ""] = await tokenHashes(box);
  expect(await box.stub.decideByLink(hash, APPROVED_BY_PERSON)).toMatchObject({ outcome: { just_now: true } });
  unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
  await loosen(box, { oversight_mode: "gated_send" });
  expect(await status(box, id)).toBe("pending_send_approval");
  expect(await box.stub.decideByLink(hash, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
  expect(await status(box, id)).toBe("pending_send_approval");
});

describe("a message that someone has already is taken back", () => {
  test.each(["cancel", "reject", "expire"])(
    "and ends by %s: what was delivered is sent, the rest failed",
    async (how) => {
      const box = await makeMailbox({ oversight_mode: "autonomous" });
      const to = [someone("victim"), someone("defer-451")];
      const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to })));
      await runAlarm(box);
      unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
      expect(await status(box, id)).toBe("pending_send_approval");
      if (how === "cancel") unwrap(await box.stub.cancel(box.agent, id, null));
      if (how === "reject") {
        unwrap(await decide(box, box.overseer, { email_id: id, decision: "reject", reason: "no", content_hash: null }));
      }
      if (how === "expire") {
        await advanceClock(box, 7 * 24 * 3600_000 + 60_000);
        await runAlarm(box);
      }
      const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }));
      expect(email).toMatchObject({ status: "sent", sent_at: expect.any(String) });
      expect(email.recipients.map(({ state }) => state)).toEqual(["accepted", "failed"]);
      await checkMailbox(box);
    },
  );
});

test("an approver whom the operator confirms gets the links of what waits already", async () => {
  const approver = `late-${crypto.randomUUID()}@people.example`;
  const box = await makeMailbox({ approver_email: approver, approver_pending: true });
  unwrap(await box.stub.submit(box.agent, submission(box)));
  await runAlarm(box);
  expect(await receivedFor(approver)).toEqual([]);
  await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, approver);
  await loosen(box, { approvers: [approver], approvers_pending: [approver] });
  expect(unwrap(await box.stub.describe(box.admin)).approver_pending).toBe(false);
  await runAlarm(box);
  expect(await receivedFor(approver)).toHaveLength(1);
});

test("links of a former approver decide nothing, and the new one is mailed", async () => {
  const [old, fresh] = [`old-${crypto.randomUUID()}@people.example`, `new-${crypto.randomUUID()}@people.example`];
  const box = await makeMailbox({ approver_email: old });
  const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
  await tenant.confirmApprover(box.admin, old);
  await tenant.confirmApprover(box.admin, fresh);
  unwrap(await box.stub.submit(box.agent, submission(box)));
  await runAlarm(box);
  const hashes = await tokenHashes(box);
  await loosen(box, { approvers: [fresh], approvers_pending: [] });
  for (const hash of hashes) {
    expect(await box.stub.decideByLink(hash, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
  }
  await runAlarm(box);
  expect(await receivedFor(fresh)).toHaveLength(1);
  expect((await checkMailbox(box)).filter(({ action }) => action === "link.revoked")).toHaveLength(1);
});

describe("an agent asks for what a human has not released", () => {
  test.each(["zanzibar", "a-b zanzibar"])(
    "no page or cursor tells whether a hidden message has the words %s",
    async (q) => {
      const box = await makeMailbox({ oversight_mode: "gated_all" });
      await box.stub.receive(arrival(box, { text: "the code is a-b zanzibar" }));
      await loosen(box, { oversight_mode: "autonomous" });
      unwrap(await box.stub.submit(box.agent, submission(box, { text: "a-b zanzibar or else" })));
      const ask = async (word: string) => {
        const page = unwrap(await box.stub.list(box.agent, { ...EVERYTHING, q: word, limit: 1 }));
        return [page.emails.length, page.cursor];
      };
      expect(await ask(q)).toEqual([1, null]);
      expect(await ask("else")).toEqual([1, null]);
    },
  );

  test("a thread with a hidden message looks like one without", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id, thread_id } = unwrap(await box.stub.submit(box.agent, submission(box)));
    const reference = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email
      .rfc_message_id;
    unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_all" }, null));
    await box.stub.receive(arrival(box, { in_reply_to: [reference ?? ""] }));
    await loosen(box, { oversight_mode: "autonomous" });
    const page = unwrap(await box.stub.thread(box.agent, thread_id, { limit: 1, cursor: null }));
    expect([page.emails.length, page.cursor]).toEqual([1, null]);
  });
});

describe("a stranger claims to be someone of a thread", () => {
  test.each([
    ["one From that fails DMARC", { dmarc_result: "fail" }, 1],
    ["one From that cannot be judged now", { dmarc_result: "temperror" }, 1],
    ["a broken aligned signature", { dkim_result: "fail" }, 1],
    ["two Froms", { dmarc_result: "none" }, 2],
  ] as const)("%s starts a new thread", async (_what, verdict, froms) => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id, thread_id } = unwrap(await box.stub.submit(box.agent, submission(box)));
    const reference = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email
      .rfc_message_id;
    const plain = arrival(box);
    const from = [...plain.from, { name: null, address: "x@evil.example" }].slice(0, froms);
    const got = await box.stub.receive({
      ...plain,
      from,
      in_reply_to: [reference ?? ""],
      authentication: { ...plain.authentication, ...verdict },
    });
    const { email } = unwrap(
      await box.stub.read(box.agent, got?.email_id ?? "", { mark_read: false, include_html: false }),
    );
    expect(email.thread_id).not.toBe(thread_id);
  });
});

test("a revoked admin key makes no lasting key, though a door may still remember it", async () => {
  const box = await makeMailbox();
  const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
  const wanted = { name: "k", scopes: ["admin" as const], mailbox_ids: null, agent_id: null, test: false };
  const { id } = unwrap(await tenant.createKey(null, wanted));
  const remembered = { ...box.admin, key_id: id };
  unwrap(await tenant.revokeKey(box.admin, id));
  expect(codeOf(await tenant.createKey(remembered, wanted))).toBe("not_found");
});

describe("while work is under way", () => {
  test("the approver changes: the former one is mailed no link", async () => {
    const [old, fresh] = [`old-${crypto.randomUUID()}@people.example`, `new-${crypto.randomUUID()}@people.example`];
    const box = await makeMailbox({ approver_email: old });
    const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
    await tenant.confirmApprover(box.admin, old);
    await tenant.confirmApprover(box.admin, fresh);
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
    const change = { approvers: [fresh], approvers_pending: [] };
    const asked = unwrap(await box.stub.update(box.admin, change, null));
    const words = "needs_approval" in asked ? asked.needs_approval.change : null;
    await inObject(box, async (object) => {
      const notifying = notifyApprover(object, { kind: "notify", ref: id, due: 0, attempts: 0, leased: 0 });
      unwrap(await object.update(box.admin, change, words));
      await notifying;
    });
    await runAlarm(box);
    expect(await receivedFor(old)).toEqual([]);
    expect(await receivedFor(fresh)).toHaveLength(1);
  });

  test("a link is withdrawn before its own mail is out: the person is mailed another one", async () => {
    const approver = `forwarding-${crypto.randomUUID()}@people.example`;
    const box = await makeMailbox({ approver_email: approver });
    await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, approver);
    unwrap(await box.stub.submit(box.agent, submission(box)));
    const withdrawn = await inObject(box, async (object, state) => {
      const flush = object.flush.bind(object);
      let count = 0;
      // Right after the link is committed, and before its mail is handed over.
      object.flush = async () => {
        await flush();
        object.flush = flush;
        object.clock = () => Date.now() + 1_000;
        const { token_hash } = state.storage.sql.exec<{ token_hash: string }>("SELECT token_hash FROM links").one();
        count = await object.revokeLinks([token_hash], "it arrived in inbound mail");
      };
      // First it is found out who is asked, then they are mailed.
      for (let alarm = 0; alarm < 2; alarm++) {
        await object.alarm();
        await object.settled();
      }
      return count;
    });
    expect(withdrawn).toBe(1);
    await runAlarm(box);
    expect(await receivedFor(approver)).toHaveLength(2);
  });

  test("the mailbox becomes monitored: the overseer has a copy of what is being sent", async () => {
    const box = await watched();
    await loosen(box, { oversight_mode: "autonomous" });
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [someone("slow")] })));
    await inObject(box, async (object) => {
      const delivering = deliver(object, { kind: "deliver", ref: id, due: 0, attempts: 0, leased: 0 });
      unwrap(await object.update(box.admin, { oversight_mode: "monitored" }, null));
      await delivering;
    });
    await runAlarm(box);
    expect(await receivedFor(box.overseerMail)).toHaveLength(1);
  });
});
