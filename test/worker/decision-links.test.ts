import { env } from "cloudflare:workers";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { findDecisionTokens, hashDecisionToken, newDecisionToken } from "../../src/oversight/decision-links.ts";
import { entriesIn } from "../support/audit-fields.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  arrival,
  chainOf,
  checkMailbox,
  inObject,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** A mailbox whose approver's mail is this test's own. */
async function withApprover(change = {}): Promise<TestMailbox & { approver: string }> {
  const approver = `approver-${crypto.randomUUID()}@people.example`;
  const box = await makeMailbox({ approver_email: approver, ...change });
  await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, approver);
  return { ...box, approver };
}

async function tokensMailedTo(approver: string): Promise<string[]> {
  const mails = await receivedFor(approver);
  const parsed = await Promise.all(mails.map(({ raw }) => PostalMime.parse(Buffer.from(raw, "latin1"))));
  return parsed.flatMap(({ text }) => findDecisionTokens(text ?? "").slice(0, 1));
}

async function heldWithLink(change = {}) {
  const box = await withApprover(change);
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  await runAlarm(box);
  const [token] = await tokensMailedTo(box.approver);
  if (!token) throw new Error("no link was mailed");
  return { box, id, token, hash: hashDecisionToken(token) };
}

describe("a held message", () => {
  test("is notified to its approver with one link, which is nowhere else", async () => {
    const { box, token } = await heldWithLink();
    const [mail] = await receivedFor(box.approver);
    const parsed = await PostalMime.parse(Buffer.from(mail?.raw ?? "", "latin1"));
    expect(parsed.html).toContain(token);
    expect(parsed.replyTo ?? []).toEqual([]);
    expect(parsed.from?.address).toBe(`approvals@${env.MAIL_DOMAIN}`);
    await inObject(box, (object) => object.drain());
    const { results } = await env.DB.prepare(
      "SELECT entry FROM audit_log WHERE tenant_id = ? UNION ALL SELECT body FROM events WHERE tenant_id = ?",
    )
      .bind(box.mailbox.tenant_id, box.mailbox.tenant_id)
      .all();
    const secret = token.slice(9);
    expect(JSON.stringify(results)).not.toContain(secret);
    const tables = await inObject(box, (_object, state) =>
      ["links", "messages", "entries", "timers", "settings", "events"].map((table) =>
        state.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
      ),
    );
    expect(JSON.stringify(tables)).not.toContain(secret);
  });

  test("whose approver the operator did not confirm is decided by the operator", async () => {
    const approver = `accomplice-${crypto.randomUUID()}@people.example`;
    const box = await makeMailbox({ approver_email: approver, approver_pending: true });
    unwrap(await box.stub.submit(box.agent, submission(box)));
    await runAlarm(box);
    expect(await receivedFor(approver)).toEqual([]);
  });

  test("is notified again if the relay puts the notification off, and the failure is told if it refuses", async () => {
    const refusing = await withApprover({ approver_email: `refuse-550-${crypto.randomUUID()}@people.example` });
    await env.TENANT.getByName(refusing.mailbox.tenant_id).confirmApprover(
      refusing.admin,
      refusing.mailbox.approver_email ?? "",
    );
    unwrap(await refusing.stub.submit(refusing.agent, submission(refusing)));
    await runAlarm(refusing);
    expect((await chainOf(refusing)).map(({ action }) => action)).toContain("notification.failed");
    const deferring = await withApprover({ approver_email: `defer-451-${crypto.randomUUID()}@people.example` });
    await env.TENANT.getByName(deferring.mailbox.tenant_id).confirmApprover(
      deferring.admin,
      deferring.mailbox.approver_email ?? "",
    );
    unwrap(await deferring.stub.submit(deferring.agent, submission(deferring)));
    await runAlarm(deferring);
    await advanceClock(deferring, 61_000);
    await runAlarm(deferring);
    expect((await chainOf(deferring)).filter(({ action }) => action === "notification.deferred")).toHaveLength(2);
  });
});

describe("a link", () => {
  test("shows exactly what will leave, and opening it a hundred times changes nothing but the log, twenty times", async () => {
    const { box, hash } = await heldWithLink();
    const before = await chainOf(box);
    for (let i = 0; i < 100; i++) {
      expect(await box.stub.openLink(hash)).toMatchObject({
        state: "open",
        approver: box.approver,
        item: { content: { subject: "Offer", to: [{ address: "ana@customer.example" }], text: "Hello Ana" } },
      });
    }
    const opened = (await checkMailbox(box)).slice(before.length);
    expect(opened).toHaveLength(20);
    for (const entry of opened) {
      expect(entry).toMatchObject({
        action: "link.opened",
        actor: { type: "human", id: "approver", via: "link" },
        detail: { state: "open" },
      });
      expect(JSON.stringify(entry)).not.toContain(box.approver);
    }
  });

  test("that is opened or used when it decides no more says so in the log, and a used one does not fill it", async () => {
    const { box, id, hash } = await heldWithLink();
    const wish = { decision: "approve", note: null, edit: null } as const;
    await box.stub.decideByLink(hash, wish);
    for (let i = 0; i < 30; i++) await box.stub.openLink(hash);
    for (let i = 0; i < 30; i++) await box.stub.decideByLink(hash, { ...wish, decision: "reject" });
    const uses = (await entriesIn(box.stub)).filter(({ action }) => action === "link.refused");
    expect(uses).toHaveLength(20);
    for (const use of uses) {
      expect(use).toMatchObject({ resource: { id }, detail: { state: "decided", code: null } });
      expect(use.personal).toEqual({ person: box.approver });
    }
    // Nobody's link is of no log: whoever makes links up must not fill one.
    expect(await box.stub.openLink("0".repeat(64))).toEqual({ state: "unknown" });
    expect((await entriesIn(box.stub)).at(-1)?.action).not.toBe("link.opened");
  });

  test.each(["approve", "reject"] as const)(
    "decides once: %s, and then shows the outcome to whoever opens it",
    async (decision) => {
      const { box, id, hash } = await heldWithLink();
      const first = await box.stub.decideByLink(hash, { decision, note: "as discussed", edit: null });
      expect(first).toMatchObject({
        state: "decided",
        outcome: { just_now: true, decided_by: box.approver, reason: "as discussed" },
      });
      const other = decision === "approve" ? "reject" : "approve";
      expect(await box.stub.decideByLink(hash, { decision: other, note: null, edit: null })).toMatchObject({
        state: "decided",
        outcome: { just_now: false, decision: `${decision === "approve" ? "approved" : "rejected"}` },
      });
      await runAlarm(box);
      expect(await status(box, id)).toBe(decision === "approve" ? "sent" : "rejected");
      expect(await box.stub.openLink(hash)).not.toHaveProperty("item");
      const chain = await checkMailbox(box);
      expect(chain.filter(({ action }) => action.startsWith("decision."))).toMatchObject([
        { actor: { type: "human", via: "link" } },
      ]);
    },
  );

  test("to a test message says so before and after the decision", async () => {
    const box = await withApprover();
    unwrap(await box.stub.submit({ ...box.agent, test: true }, submission(box)));
    await runAlarm(box);
    const [token = ""] = await tokensMailedTo(box.approver);
    expect(await box.stub.openLink(hashDecisionToken(token))).toMatchObject({ item: { test: true } });
    await box.stub.decideByLink(hashDecisionToken(token), APPROVED_BY_PERSON);
    await runAlarm(box);
    expect(await box.stub.openLink(hashDecisionToken(token))).toMatchObject({
      outcome: { test: true, status: "sent" },
    });
  });

  test("that is expired decides nothing, and the item is expired, not rejected", async () => {
    const { box, id, hash } = await heldWithLink();
    await advanceClock(box, 7 * 24 * 3600_000 + 1_000);
    expect(await box.stub.decideByLink(hash, APPROVED_BY_PERSON)).toMatchObject({ state: "expired" });
    await runAlarm(box);
    expect(await status(box, id)).toBe("expired");
    expect(await box.stub.openLink(hash)).toMatchObject({ state: "decided", outcome: { decision: "expired" } });
  });

  test("that is tampered with, of another mailbox, or made up is unknown", async () => {
    const { box, id, token } = await heldWithLink();
    const other = await makeMailbox();
    for (const [stub, text] of [
      [box.stub, `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`],
      [box.stub, newDecisionToken(box.mailbox.id.slice(-8))],
      [other.stub, token],
      [env.MAILBOX.getByName("00000000"), token],
    ] as const) {
      expect(await stub.decideByLink(hashDecisionToken(text), APPROVED_BY_PERSON)).toEqual({ state: "unknown" });
    }
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("for one item does nothing for another", async () => {
    const { box, id, hash } = await heldWithLink();
    const second = unwrap(await box.stub.submit(box.agent, submission(box, { subject: "Another" })));
    await box.stub.decideByLink(hash, APPROVED_BY_PERSON);
    expect(await status(box, second.id)).toBe("pending_send_approval");
    expect(await status(box, id)).toBe("queued");
  });

  test("does nothing for content that was changed after it was mailed", async () => {
    const { box, id, hash } = await heldWithLink();
    await inObject(box, (object) => {
      const message = object.messages.get(id);
      if (message.record.outbound) message.record.outbound.content_hash = "0".repeat(64);
      object.messages.save(message);
    });
    expect(await box.stub.decideByLink(hash, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("that was seen in inbound mail is withdrawn and replaced, but not for ever", async () => {
    const { box, id } = await heldWithLink();
    for (let round = 0; round < 8; round++) {
      const tokens = await tokensMailedTo(box.approver);
      await box.stub.revokeLinks(tokens.map(hashDecisionToken), "it arrived in inbound mail");
      for (const token of tokens)
        expect(await box.stub.decideByLink(hashDecisionToken(token), APPROVED_BY_PERSON)).toMatchObject({
          state: "revoked",
        });
      await runAlarm(box);
    }
    expect(await tokensMailedTo(box.approver)).toHaveLength(5);
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("decides held inbound mail too", async () => {
    const box = await withApprover({ oversight_mode: "gated_all" });
    const received = await box.stub.receive(arrival(box));
    await runAlarm(box);
    const [token] = await tokensMailedTo(box.approver);
    const view = await box.stub.decideByLink(hashDecisionToken(token ?? ""), APPROVED_BY_PERSON);
    expect(view).toMatchObject({ state: "decided", outcome: { status: "unread" } });
    expect(await status(box, received?.email_id ?? "")).toBe("unread");
  });
});
