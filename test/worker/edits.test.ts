import { describe, expect, test } from "vitest";
import type { Edit } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decidedBy, hold, linkOf, shownBy, somebody } from "../support/approvals.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  runAlarm,
  status,
  submission,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

const EDIT = {
  subject: "Offer, corrected",
  body: {
    text: "Hello Ana,\n\nit is 12 euros.",
    html: "<p>Hello Ana,</p><p>it is 12 euros.</p>",
    markdown: "Hello Ana,\n\nit is **12** euros.",
  },
  without: [],
} satisfies Edit;
const approveWith = (edit: Edit) => ({ decision: "approve" as const, note: null, edit });

describe("an approver's edit", () => {
  test("is what is sent; both versions and the difference stay in the record", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { ai_disclosure: true });
    const to = `edited-${crypto.randomUUID()}@customer.example`;
    const id = await hold(box, { to: [{ name: null, address: to }] });
    const before = await shownBy(box, await linkOf(ana));
    expect(await box.stub.decideByLink(await linkOf(ana), approveWith(EDIT))).toMatchObject({
      outcome: { decision: "approved" },
    });
    await runAlarm(box);
    const [mail] = await receivedFor(to);
    expect(mail?.raw).toContain("Subject: Offer, corrected");
    expect(mail?.raw).toContain("it is 12 euros.");
    expect(mail?.raw).toContain("written by an AI agent");
    const revisions = await inObject(box, (object) => object.messages.revisions(object.messages.get(id).seq));
    expect(revisions).toMatchObject([
      { by: ana, content_hash: before.content_hash, before: expect.stringContaining("Subject: Offer\n") },
    ]);
    expect(revisions[0]?.difference).toContain("-Subject: Offer\n+Subject: Offer, corrected");
    const chain = await checkMailbox(box);
    expect(chain.map(({ action }) => action)).toContain("message.edited");
    expect(chain.find(({ action }) => action === "decision.approved")?.detail).toMatchObject({ edited: true });
    expect(unwrap(await box.stub.trackRecord(box.admin))).toMatchObject({ approved: 1, edited: 1, edit_rate: 1 });
  });

  test("may leave recipients out, but not all of To, and adds none", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const [kept, dropped] = ["kept", "dropped"].map((name) => `${name}-${crypto.randomUUID()}@customer.example`) as [
      string,
      string,
    ];
    const people = [kept, dropped].map((address) => ({ name: null, address }));
    const id = await hold(box, { to: people });
    const link = await linkOf(ana);
    const nobody = await box.stub.decideByLink(link, approveWith({ ...EDIT, without: [kept, dropped] }));
    expect(nobody).toMatchObject({ state: "refused", code: "invalid_input" });
    expect(await status(box, id)).toBe("pending_send_approval");
    await box.stub.decideByLink(
      link,
      approveWith({ ...EDIT, without: [dropped.toUpperCase(), "elsewhere@evil.example"] }),
    );
    await runAlarm(box);
    expect(await receivedFor(kept)).toHaveLength(1);
    expect(await receivedFor(dropped)).toEqual([]);
    const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }));
    expect(email.to).toEqual([kept]);
  });

  test("leaves nobody out who gets a copy of everything", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { auto_bcc: ["archive@corp.example"] });
    const id = await hold(box);
    await box.stub.decideByLink(await linkOf(ana), approveWith({ ...EDIT, without: ["Archive@corp.example"] }));
    const bcc = await inObject(box, (object) => object.messages.get(id).record.bcc.map(({ address }) => address));
    expect(bcc).toEqual(["archive@corp.example"]);
  });

  test("voids the approvals of what it was, and under a quorum of two needs a second person", async () => {
    const [ana, ben] = [somebody("ana"), somebody("ben")];
    const box = await decidedBy([ana, ben], { quorum: 2 });
    const id = await hold(box);
    const [first, second] = [await linkOf(ana), await linkOf(ben)];
    await box.stub.decideByLink(first, APPROVED_BY_PERSON);
    expect(await box.stub.decideByLink(second, approveWith(EDIT))).toMatchObject({
      outcome: { decision: "approved_partly", quorum: { approvals: [{ by: ben }] } },
    });
    expect(await status(box, id)).toBe("pending_send_approval");
    // Ana approved something else; her old link says so, and she is asked anew.
    expect(await box.stub.decideByLink(first, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
    await runAlarm(box);
    const again = await linkOf(ana);
    expect(await shownBy(box, again)).toMatchObject({ content: { subject: "Offer, corrected" }, edits: [{ by: ben }] });
    expect(await box.stub.decideByLink(again, APPROVED_BY_PERSON)).toMatchObject({ outcome: { decision: "approved" } });
  });

  test("that a rule blocks is undone, and nothing is decided", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const content = [
      { name: "price list", in: ["body" as const], keywords: ["euros"], pattern: null, action: "block" as const },
    ];
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, content }, null));
    const id = await hold(box);
    const link = await linkOf(ana);
    expect(await box.stub.decideByLink(link, approveWith(EDIT))).toMatchObject({
      state: "refused",
      code: "denied_by_policy",
    });
    expect(await shownBy(box, link)).toMatchObject({ content: { subject: "Offer" }, edits: [] });
    expect(await status(box, id)).toBe("pending_send_approval");
    await checkMailbox(box);
  });

  test("of what some recipients have already leaves nobody out any more; the others get what it says then", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { oversight_mode: "autonomous" });
    const [reached, later] = ["reached", "once-451"].map(
      (name) => `${name}-${crypto.randomUUID()}@customer.example`,
    ) as [string, string];
    const to = [reached, later].map((address) => ({ name: null, address }));
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to })));
    await runAlarm(box);
    unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
    await advanceClock(box, 3600_000);
    await runAlarm(box);
    expect(await status(box, id)).toBe("pending_send_approval");

    const shown = await shownBy(box, await linkOf(ana));
    expect(shown).toMatchObject({ tried: { reached: [reached] } });
    for (const without of [[reached], [later]]) {
      expect(await box.stub.decideByLink(await linkOf(ana), approveWith({ ...EDIT, without }))).toMatchObject({
        state: "refused",
        code: "wrong_state",
      });
    }
    expect(await shownBy(box, await linkOf(ana))).toMatchObject({ content_hash: shown.content_hash, edits: [] });

    await box.stub.decideByLink(await linkOf(ana), approveWith(EDIT));
    await advanceClock(box, 2 * 3600_000);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await receivedFor(reached)).toHaveLength(1);
    expect((await receivedFor(later)).map(({ raw }) => raw)).toEqual([expect.stringContaining("it is 12 euros.")]);
  });

  test("that changes nothing is a plain approval", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box, { subject: "Offer", text: "Hello", html: null, markdown: null });
    const same = { subject: "Offer", body: { text: "Hello", html: null, markdown: null }, without: [] };
    await box.stub.decideByLink(await linkOf(ana), approveWith(same));
    const revisions = await inObject(box, (object) => object.messages.revisions(object.messages.get(id).seq));
    expect(revisions).toEqual([]);
  });
});

describe("an author's edit", () => {
  test("after an approval voids it and holds again", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const send_at = new Date(Date.now() + 3600_000).toISOString();
    const id = await hold(box, { send_at });
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    expect(await status(box, id)).toBe("scheduled");
    const answer = unwrap(await box.stub.edit(box.agent, id, { body: EDIT.body }));
    expect(answer).toMatchObject({ status: "pending_send_approval", pending_id: expect.stringMatching(/^pend_/) });
    expect(await inObject(box, (object) => object.messages.get(id).record.decision)).toBeNull();
    await runAlarm(box);
    expect(await shownBy(box, await linkOf(ana))).toMatchObject({
      content: { text: expect.stringContaining("12 euros") },
    });
    await checkMailbox(box);
  });

  test("is judged anew: a key that decided on the old text decides nothing", async () => {
    const box = await decidedBy([somebody("ana")]);
    const id = await hold(box);
    await box.stub.pendingItems(box.overseer, [id]);
    unwrap(await box.stub.edit(box.agent, id, { subject: "Send money" }));
    const blind = { email_id: id, decision: "approve", reason: null, content_hash: null } as const;
    expect(codeOf(await box.stub.decide(box.overseer, blind))).toBe("content_changed");
    expect(codeOf(await decide(box, box.overseer, blind))).toBe("ok");
  });

  test("of the time alone, too, is not what a person in a session looked at", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box);
    const person = { address: ana, via: "console" } as const;
    const view = await box.stub.openItem(person, id, "show");
    const hash = view.state === "open" ? view.item.content_hash : "";
    const send_at = new Date(Date.now() + 3600_000).toISOString();
    unwrap(await box.stub.edit(box.agent, id, { send_at }));
    const blind = await box.stub.decideInSession(person, id, hash, APPROVED_BY_PERSON);
    expect(blind).toMatchObject({ state: "refused", code: "content_changed" });
    await box.stub.openItem(person, id, "show");
    expect(await box.stub.decideInSession(person, id, hash, APPROVED_BY_PERSON)).toMatchObject({ state: "decided" });
    expect(await status(box, id)).toBe("scheduled");
  });

  test("is for its own key alone, and only before the message leaves", async () => {
    const box = await decidedBy([somebody("ana")]);
    const id = await hold(box);
    const other = { ...box.agent, key_id: box.admin.key_id };
    expect(codeOf(await box.stub.edit(other, id, { subject: "x" }))).toBe("agent_not_allowed");
    unwrap(await box.stub.cancel(box.agent, id, null));
    expect(codeOf(await box.stub.edit(box.agent, id, { subject: "x" }))).toBe("wrong_state");
  });

  test("keeps the mailbox's automatic copies, and counts them", async () => {
    const box = await decidedBy([somebody("ana")], { auto_bcc: ["archive@corp.example"] });
    const id = await hold(box);
    unwrap(await box.stub.edit(box.agent, id, { to: [{ name: null, address: "new@customer.example" }], bcc: [] }));
    const stored = await inObject(box, (object) => {
      const message = object.messages.get(id);
      const { text, html } = object.messages.bodies(message.seq);
      return { ...message.record, text, html };
    });
    expect(stored.bcc.map(({ address }) => address)).toEqual(["archive@corp.example"]);
    expect(contentHash(stored)).toBe(stored.outbound?.content_hash);
    const many = Array.from({ length: 50 }, (_, n) => ({ name: null, address: `r${n}@customer.example` }));
    expect(codeOf(await box.stub.edit(box.agent, id, { to: many }))).toBe("too_many_recipients");
  });
});

test("a decision without a content hash is on what was read, and nothing was", async () => {
  const box = await decidedBy([somebody("ana")]);
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  const blind = { email_id: id, decision: "reject", reason: null, content_hash: null } as const;
  expect(codeOf(await box.stub.decide(box.overseer, blind))).toBe("content_not_seen");
});
