import { describe, expect, test } from "vitest";
import { deliver } from "../../durable-objects/mailbox/delivery.ts";
import { isTemplateInForce } from "../../durable-objects/mailbox/templates.ts";
import type { NewTemplate, Submission } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decidedBy, hold, linkOf, somebody } from "../support/approvals.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  caller,
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

/** Ways around oversight in full that were tried on this code. Each worked once. */

const someone = (start: string) => ({ name: null, address: `${start}-${crypto.randomUUID()}@customer.example` });
const IN_A_DAY = () => new Date(Date.now() + 24 * 3600_000).toISOString();

const TEMPLATE: NewTemplate = {
  id: null,
  name: "Offer",
  subject: "Offer",
  markdown: "Hello",
  variables: [],
  allowed_domains: null,
};

/** A template that a human approved, as a submission names it. */
async function approvedTemplate(box: TestMailbox): Promise<NonNullable<Submission["template"]>> {
  const { id, version, pending_id } = unwrap(await box.stub.proposeTemplate(box.agent, TEMPLATE));
  const wanted = { email_id: pending_id ?? "", decision: "approve" as const, reason: null, content_hash: null };
  const { approval_ref } = unwrap(await decide(box, box.overseer, wanted));
  return { id, version, approval_ref, allowed_domains: null };
}

describe("a decision link of two approvals", () => {
  test("that comes back in inbound mail after its person approved changes nothing any more", async () => {
    const [ana, bob] = [somebody("ana"), somebody("bob")];
    const box = await decidedBy([ana, bob], { quorum: 2 });
    const id = await hold(box);
    const link = await linkOf(ana);
    await box.stub.decideByLink(link, APPROVED_BY_PERSON);
    expect(await box.stub.revokeLinks([link], "it arrived in inbound mail")).toBe(1);
    const edit = { subject: "Send money", body: null, without: [] };
    expect(await box.stub.decideByLink(link, { decision: "approve", note: null, edit })).toMatchObject({
      state: "revoked",
    });
    expect(await box.stub.decideByLink(link, { decision: "reject", note: null, edit: null })).toMatchObject({
      state: "revoked",
    });
    expect(await status(box, id)).toBe("pending_send_approval");
    expect(await inObject(box, (object) => object.messages.get(id).record.subject)).toBe("Offer");
  });
});

describe("an agent changes what was let go once", () => {
  test("and the new recipients count towards their budgets", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const budgets = { ...OPEN_POLICY.budgets, per_recipient_per_day: 1 };
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, budgets }, null));
    const [ana, bob] = [someone("ana"), someone("bob")];
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [ana] })));
    const content = [
      { name: "greeting", in: ["body" as const], keywords: ["Hello"], pattern: null, action: "hold" as const },
    ];
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, budgets, content }, null));
    expect(await status(box, id)).toBe("pending_send_approval");
    const body = { text: "Bye", html: null, markdown: null };
    expect(unwrap(await box.stub.edit(box.agent, id, { to: [bob], body }))).toMatchObject({ status: "queued" });
    const again = submission(box, { to: [bob], ...body });
    expect(unwrap(await box.stub.submit(box.agent, again))).toMatchObject({
      status: "pending_send_approval",
      verdict: { rule: "budget" },
    });
  });

  test("and it leaves within the sending hours that there are when its time comes", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
    const content = [
      { name: "greeting", in: ["body" as const], keywords: ["Hello"], pattern: null, action: "hold" as const },
    ];
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, content }, null));
    expect(await status(box, id)).toBe("pending_send_approval");
    const body = { text: "Bye", html: null, markdown: null };
    const send_at = IN_A_DAY();
    expect(unwrap(await box.stub.edit(box.agent, id, { body, send_at }))).toMatchObject({ status: "scheduled" });
    const outbound = await inObject(box, (object) => object.messages.get(id).record.outbound);
    expect(outbound?.let_go_at).toBeNull();
  });
});

test("one message to many tags of a person is as many as that person gets", async () => {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const budgets = { ...OPEN_POLICY.budgets, per_recipient_per_day: 2 };
  unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, budgets }, null));
  const to = ["1", "2", "3"].map((tag) => ({ name: null, address: `ana+${tag}@customer.example` }));
  expect(unwrap(await box.stub.submit(box.agent, submission(box, { to: to.slice(0, 2) })))).toMatchObject({
    status: "queued",
  });
  const other = await makeMailbox({ oversight_mode: "autonomous" });
  unwrap(await other.stub.setPolicy(other.admin, { ...OPEN_POLICY, budgets }, null));
  expect(unwrap(await other.stub.submit(other.agent, submission(other, { to })))).toMatchObject({
    verdict: { rule: "budget" },
  });
});

test("a key that read a message for now does not decide, unseen, on the same words for another time", async () => {
  const box = await makeMailbox();
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  await box.stub.pendingItems(box.overseer, [id]);
  unwrap(await box.stub.edit(box.agent, id, { send_at: IN_A_DAY() }));
  const request = { email_id: id, decision: "approve" as const, reason: null, content_hash: null };
  expect(codeOf(await box.stub.decide(box.overseer, request))).toBe("content_changed");
  expect(await status(box, id)).toBe("pending_send_approval");
});

describe("an agent changes a message again and again", () => {
  /** As long as a body may be, in lines. */
  const long = (letter: string) => ({ text: `${letter.repeat(1023)}\n`.repeat(256), html: null, markdown: null });

  test("up to a limit, and who decides still sees the message", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box);
    const codes: string[] = [];
    for (let i = 0; i < 30; i++) {
      codes.push(codeOf(await box.stub.edit(box.agent, id, { body: long(i % 2 ? "x" : "y") })));
    }
    expect(codes).toContain("wrong_state");
    expect(codes.at(-1)).toBe("wrong_state");
    await runAlarm(box);
    const view = await box.stub.openLink(await linkOf(ana));
    expect(view.state).toBe("open");
    expect(JSON.stringify(view).length).toBeLessThan(4 * 1024 * 1024);
  });

  test("into control characters, which take six times as much as JSON", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box, long("\u0001"));
    expect(codeOf(await box.stub.edit(box.agent, id, { body: long("\u0002") }))).toBe("ok");
    await runAlarm(box);
    expect(await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON)).toMatchObject({ state: "decided" });
  });
});

describe("a template's words are all that leaves unasked", () => {
  test("an agent writes nothing into the names of an answer to its own message", async () => {
    const box = await makeMailbox();
    const template = await approvedTemplate(box);
    const to = { name: "Call +1 555 0100 to claim your prize", address: someone("victim").address };
    const bait = unwrap(
      await box.stub.submit(box.agent, submission(box, { to: [to], cc: [{ ...to, address: someone("cc").address }] })),
    );
    unwrap(await box.stub.cancel(box.agent, bait.id, null));
    const reply = { email_id: bait.id, all: true };
    const { id, status: placed } = unwrap(
      await box.stub.submit(box.agent, submission(box, { to: [], reply, template })),
    );
    expect(placed).toBe("queued");
    const { record } = await inObject(box, (object) => object.messages.get(id));
    expect([...record.to, ...record.cc].map(({ name }) => name)).toEqual([null, null]);
  });

  test("what a template is worth now does not take longer the more versions an agent proposes", async () => {
    const box = await makeMailbox();
    const template = await approvedTemplate(box);
    for (let i = 0; i < 20; i++) {
      unwrap(await box.stub.proposeTemplate(box.agent, { ...TEMPLATE, id: template.id, markdown: `Hello ${i}` }));
    }
    const read = await inObject(box, (object) => {
      const plain: SqlStorage = Reflect.get(object.templates, "sql");
      const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
      const exec = (query: string, ...bindings: SqlStorageValue[]) => {
        const cursor = plain.exec(query, ...bindings);
        cursors.push(cursor);
        return cursor;
      };
      Reflect.set(object.templates, "sql", { exec });
      expect(isTemplateInForce(object, template)).toBe(true);
      Reflect.set(object.templates, "sql", plain);
      return cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
    });
    expect(read).toBeLessThan(5);
  });
});

test("whoever wrote a draft does not decide on it, whichever key sends it", async () => {
  const box = await makeMailbox();
  const { tenant_id, id: mailboxId } = box.mailbox;
  const writer = caller(tenant_id, ["read", "send"], { agent_id: "writer" });
  const sender = caller(tenant_id, ["read", "send"], { agent_id: "sender" });
  for (const decider of [
    caller(tenant_id, ["oversight"], { created_by: writer.key_id }),
    caller(tenant_id, ["oversight"], { agent_id: "writer", bound_agent_id: "writer" }),
  ]) {
    const draftId = newId("em", Date.now(), mailboxId.slice(-8));
    const { id: _id, ...words } = submission(box, { agent_id: "writer" });
    unwrap(await box.stub.saveDraft(writer, { id: draftId, is_new: true, draft: words }));
    const { id } = unwrap(await box.stub.sendDraft(sender, draftId));
    const request = { email_id: id, decision: "approve" as const, reason: null, content_hash: null };
    expect(codeOf(await decide(box, decider, request))).toBe("self_decision");
  }
});

describe("a mailbox that is switched off", () => {
  test("sends nothing that waited to leave, and goes on once a human switches it on", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const to = someone("late");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [to] })));
    unwrap(await box.stub.update(box.admin, { is_active: false }, null));
    await inObject(box, (object) => deliver(object, { kind: "deliver", ref: id, due: 0, attempts: 0, leased: 0 }));
    expect(await status(box, id)).toBe("queued");
    expect(await receivedFor(to.address)).toEqual([]);
    await checkMailbox(box);
  });
});

describe("an agent schedules more than can be judged at once", () => {
  const LINE = `<b>lorem</b> <a href="http://x.example/a">x.example</a> `;
  const html = `<p>${LINE.repeat(4_000)}</p>`;

  test("and a human can still tighten: what is not judged yet does not leave, and is taken back after", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const send_at = IN_A_DAY();
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) {
      ids.push(unwrap(await box.stub.submit(box.agent, submission(box, { html, send_at }))).id);
    }
    const late = someone("late");
    const now = unwrap(await box.stub.submit(box.agent, submission(box, { html, to: [late] })));
    const judged = await inObject(box, async (object) => {
      let count = 0;
      const verdictNow = object.verdictNow.bind(object);
      object.verdictNow = (message) => {
        count += 1;
        return verdictNow(message);
      };
      unwrap(await object.update(box.admin, { oversight_mode: "gated_send" }, null));
      object.verdictNow = verdictNow;
      return count;
    });
    expect(judged).toBeLessThan(ids.length);
    await runAlarm(box);
    for (const id of [...ids, now.id]) expect(await status(box, id)).toBe("pending_send_approval");
    expect(await receivedFor(late.address)).toEqual([]);
    await checkMailbox(box);
  });
});

test("what expired is not decided any more, however late its timer is", async () => {
  const box = await makeMailbox();
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  await advanceClock(box, 7 * 24 * 3600_000 + 1_000);
  const request = { email_id: id, decision: "approve" as const, reason: null, content_hash: null };
  expect(codeOf(await decide(box, box.overseer, request))).toBe("wrong_state");
  await runAlarm(box);
  expect(await status(box, id)).toBe("expired");
});

describe("an admin key writes beside the words of an approved template", () => {
  test.each([
    ["in the signature", { signature_block: "Pay to account 4711" }, "Pay to account 4711"],
    ["in its name", { display_name: "Your bank" }, "Your bank"],
  ])("%s: the operator is asked, in these very words", async (_where, change, words) => {
    const box = await makeMailbox();
    expect(unwrap(await box.stub.update(box.admin, change, null))).toHaveProperty("mailbox");
    const other = await makeMailbox();
    await approvedTemplate(other);
    expect(unwrap(await other.stub.update(other.admin, change, null))).toMatchObject({
      needs_approval: { change: expect.stringContaining(words) },
    });
    await loosen(other, change);
    expect(unwrap(await other.stub.describe(other.admin))).toMatchObject(change);
  });
});

test("asking once more does not read everything that the key has asked, which may be 20 MiB", async () => {
  const box = await makeMailbox({ oversight_mode: "gated_all" });
  const asking = (q: string) => ({
    ...box.agent,
    asked: { operation: "check_inbox", input: { q }, approval_ref: null },
  });
  for (let i = 0; i < 15; i++) expect(codeOf(await box.stub.list(asking(`${i}`), EVERYTHING))).toBe("held");
  const read = await inObject(box, async (object) => {
    const plain: SqlStorage = Reflect.get(object.requests, "sql");
    const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
    const exec = (query: string, ...bindings: SqlStorageValue[]) => {
      const cursor = plain.exec(query, ...bindings);
      if (query.includes("record")) cursors.push(cursor);
      return cursor;
    };
    Reflect.set(object.requests, "sql", { exec });
    expect(codeOf(await object.list(asking("7"), EVERYTHING))).toBe("held");
    Reflect.set(object.requests, "sql", plain);
    return cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
  });
  expect(read).toBeLessThan(10);
});

test("an agent whose reads are held learns nothing of another's message by cancelling it", async () => {
  const box = await makeMailbox({ oversight_mode: "gated_all" });
  const other = caller(box.mailbox.tenant_id, ["read", "send"]);
  const { id } = unwrap(await box.stub.submit(other, submission(box, { bcc: [someone("hidden")] })));
  expect(codeOf(await box.stub.cancel(box.agent, id, null))).toBe("agent_not_allowed");
  expect(await status(box, id)).toBe("pending_send_approval");
  expect(codeOf(await box.stub.cancel(other, id, null))).toBe("ok");
  const again = unwrap(await box.stub.submit(other, submission(box)));
  expect(codeOf(await box.stub.cancel(box.overseer, again.id, null))).toBe("ok");
});
