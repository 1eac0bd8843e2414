import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { personAddress } from "../../src/operations/people.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decidedBy, linkOf, linksOf, mailsTo, shownBy, somebody } from "../support/approvals.ts";
import {
  APPROVED_BY_PERSON,
  arrival,
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

/** DESIGN.md, “What must always hold”: a short direct proof of each rule; the suites of each part say the rest. */

const APPROVE = { decision: "approve", reason: null, content_hash: null } as const;

function outside(name: string): string {
  return `${name}-${crypto.randomUUID()}@customer.example`;
}

async function submit(box: TestMailbox, to: string): Promise<string> {
  return unwrap(await box.stub.submit(box.agent, submission(box, { to: [{ name: null, address: to }] }))).id;
}

test("1. What was held reaches sending only through one approval, by someone other than its author, of exactly the content that is sent", async () => {
  const box = await makeMailbox();
  const to = outside("rule-1");
  const [id, tampered] = [await submit(box, to), await submit(box, outside("tampered"))];
  const both = { ...box.agent, scopes: ["send", "oversight"] as const };
  expect(codeOf(await decide(box, both, { email_id: id, ...APPROVE }))).toBe("self_decision");
  expect(codeOf(await decide(box, box.overseer, { email_id: id, ...APPROVE, content_hash: "0".repeat(64) }))).toBe(
    "content_changed",
  );
  await runAlarm(box);
  expect(await status(box, id)).toBe("pending_send_approval");
  for (const each of [id, tampered]) unwrap(await decide(box, box.overseer, { email_id: each, ...APPROVE }));
  await inObject(box, (object, state) => {
    state.storage.sql.exec("UPDATE bodies SET text = 'send money' WHERE seq = ?", object.messages.get(tampered).seq);
  });
  await runAlarm(box);
  expect([await status(box, id), await status(box, tampered)]).toEqual(["sent", "queued"]);
  expect(await receivedFor(to)).toHaveLength(1);
});

test("2. A pending item gets one decision", async () => {
  const [ana, ben] = [somebody("ana"), somebody("ben")];
  const box = await decidedBy([ana, ben]);
  const id = await submit(box, outside("rule-2"));
  await runAlarm(box);
  const links = [await linkOf(ana), await linkOf(ben)];
  await box.stub.pendingItems(box.overseer, [id]);
  const views = await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      box.stub.decideByLink(links[n % 2] ?? "", { ...APPROVED_BY_PERSON, decision: n % 3 ? "approve" : "reject" }),
    ),
  );
  expect(views.filter((view) => view.state === "decided" && view.outcome.just_now)).toHaveLength(1);
  expect(views.every((view) => view.state === "decided")).toBe(true);
  expect(codeOf(await box.stub.decide(box.overseer, { email_id: id, ...APPROVE }))).toBe("already_decided");
  const decisions = (await checkMailbox(box)).filter(({ action }) => action.startsWith("decision."));
  expect(decisions).toHaveLength(1);
});

test("3. A state change and its audit entry are one transaction", async () => {
  const box = await makeMailbox();
  const id = await submit(box, outside("rule-3"));
  await inObject(box, async (object) => {
    const record = object.record.bind(object);
    object.record = () => {
      throw new Error("no entry can be written");
    };
    await expect(object.cancel(box.agent, id, null)).rejects.toThrow("no entry");
    await expect(object.submit(box.agent, submission(box))).rejects.toThrow("no entry");
    object.record = record;
    expect(object.messages.get(id).status).toBe("pending_send_approval");
    expect(object.waiting.all()).toEqual([id]);
  });
  await checkMailbox(box);
});

test("4. An acknowledged message is never lost", async () => {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const to = outside("rule-4");
  const id = await submit(box, to);
  const came = await box.stub.receive(arrival(box));
  await abortAllDurableObjects();
  const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
  await runAlarm(alive);
  expect([await status(alive, id), await status(alive, came?.email_id ?? "")]).toEqual(["sent", "unread"]);
  expect(await receivedFor(to)).toHaveLength(1);
});

test("5. Nothing is signed before delivery", async () => {
  const box = await makeMailbox();
  const to = outside("rule-5");
  const id = await submit(box, to);
  unwrap(await decide(box, box.overseer, { email_id: id, ...APPROVE, decision: "reject" }));
  await runAlarm(box);
  const rows = await inObject(box, (_object, state) =>
    ["messages", "bodies", "entries", "deliveries", "events"].map((table) =>
      state.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
    ),
  );
  expect(JSON.stringify(rows)).not.toMatch(/DKIM-Signature|X-MultiMail-Signature/i);
  expect((await env.STORE.list({ prefix: `raw/${box.mailbox.tenant_id}/` })).objects).toEqual([]);
  expect(await receivedFor(to)).toEqual([]);
});

test("6. Tightening a mode takes back what has not yet been handed to the transport; loosening one releases nothing that was held", async () => {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const to = outside("rule-6");
  const id = await submit(box, to);
  unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
  expect(await status(box, id)).toBe("pending_send_approval");
  await loosen(box, { oversight_mode: "autonomous" });
  await runAlarm(box);
  expect(await status(box, id)).toBe("pending_send_approval");
  expect(await receivedFor(to)).toEqual([]);
});

test("7. No tenant sees, guesses or times the existence of another's data", async () => {
  const box = await makeMailbox();
  const id = await submit(box, outside("rule-7"));
  const made_up = newId("em", Date.now(), box.mailbox.id.slice(-8));
  const everything = { ...box.stranger, scopes: ["read", "send", "admin", "oversight"] as const };
  const asked = async (email: string) => {
    const { stub } = box;
    return [
      await stub.read(everything, email, { mark_read: true, include_html: true }),
      await stub.cancel(everything, email, null),
      await stub.edit(everything, email, { subject: "x" }),
      await stub.tag(everything, email, { a: "b" }),
      await stub.decide(everything, { email_id: email, ...APPROVE }),
      await stub.pendingItems(everything, [email]),
      await stub.list(everything, EVERYTHING),
      await stub.setPolicy(everything, OPEN_POLICY, null),
    ];
  };
  const answers = await asked(id);
  expect(answers.map(codeOf)).toEqual(answers.map(() => "not_found"));
  expect(answers).toEqual(await asked(made_up));
});

describe("8. No key can loosen its own rope", () => {
  const ana = "ana@people.example";
  const times = { from: "2026-11-21T00:00:00.000Z", until: "2026-11-22T00:00:00.000Z" };
  test.each<[MailboxChange]>([
    [{ oversight_mode: "monitored" }],
    [{ approvers: ["accomplice@elsewhere.example", "ben@people.example"] }],
    [{ quorum: 1 }],
    [{ expires_after: null }],
    [{ escalate_after: 3_600 }],
    [{ delegations: [{ approver: ana, delegate: "accomplice@elsewhere.example", ...times }] }],
    [{ notify: "daily" }],
    [{ paused: false }],
    [{ auto_bcc: ["spy@elsewhere.example"] }],
    [{ ai_disclosure: false }],
    [{ oversight_keys_may_decide: true }],
  ])("%j waits for a human's code", async (change) => {
    const box = await makeMailbox({
      approvers: [ana, "ben@people.example"],
      ...{ quorum: 2, paused: true, ai_disclosure: true, oversight_keys_may_decide: false },
    });
    const before = unwrap(await box.stub.describe(box.admin));
    expect(unwrap(await box.stub.update(box.admin, change, "words that nobody allowed"))).toHaveProperty(
      "needs_approval",
    );
    expect(unwrap(await box.stub.describe(box.admin))).toEqual(before);
  });

  test("rules and the allowlist do too", async () => {
    const box = await makeMailbox();
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, templates_only: true }, null));
    expect(unwrap(await box.stub.setPolicy(box.admin, OPEN_POLICY, null))).toHaveProperty("needs_approval");
    const entry = { recipient: "customer.example", note: null };
    expect(unwrap(await box.stub.allow(box.admin, entry, null))).toHaveProperty("needs_approval");
  });
});

test("9. No agent can obtain a decision link", async () => {
  const ana = somebody("ana");
  const box = await decidedBy([ana]);
  const id = await submit(box, outside("rule-9"));
  await runAlarm(box);
  const [link = ""] = await linksOf(ana);
  const [mail] = await mailsTo(ana);
  const token = /approve\/([0-9A-Z]{8}-[\w-]{43})/.exec(mail?.text ?? "")?.[1] ?? "none";
  const seen = [
    await box.stub.pendingItems(box.agent, [id]),
    await box.stub.list(box.agent, EVERYTHING),
    await box.stub.read(box.agent, id, { mark_read: false, include_html: true }),
  ];
  expect(JSON.stringify(seen)).not.toContain(token.slice(9));
  // It comes back in inbound mail: it is withdrawn, and the person is mailed another.
  expect((await shownBy(box, link)).email_id).toBe(id);
  await box.stub.revokeLinks([link], "it arrived in inbound mail");
  expect(await box.stub.decideByLink(link, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
  await expect(
    personAddress(env, `Approver <x+tag@${env.MAIL_DOMAIN.toUpperCase()}>`, "approvers.0"),
  ).rejects.toMatchObject({
    refusal: { code: "approver_is_mailbox" },
  });
});

test("10. The audit log is append-only in D1 too", async () => {
  const box = await makeMailbox();
  await submit(box, outside("rule-10"));
  await inObject(box, (object) => object.drain());
  const before = await checkMailbox(box);
  for (const statement of ["UPDATE audit_log SET at = '' WHERE log = ?", "DELETE FROM audit_log WHERE log = ?"]) {
    await expect(env.DB.prepare(statement).bind(box.mailbox.id).run()).rejects.toThrow("append-only");
  }
  expect(await checkMailbox(box)).toEqual(before);
});

test("11. A verdict is data, a breakdown is an error", async () => {
  const box = await makeMailbox();
  const { authentication } = arrival(box);
  const came = await box.stub.receive(
    arrival(box, { authentication: { ...authentication, dkim_result: "temperror" } }),
  );
  const read = await box.stub.read(box.agent, came?.email_id ?? "", { mark_read: false, include_html: false });
  expect(unwrap(read).email.dkim_result).toBe("temperror");
  const id = await inObject(box, async (object) => {
    const database = object.database.bind(object);
    object.database = () => {
      throw new Error("D1 is out");
    };
    const { id } = unwrap(await object.submit(box.agent, submission(box)));
    expect(object.isScheduled("index", id)).toBe(true);
    object.database = database;
    object.clock = () => Date.now() + 3_000;
    return id;
  });
  await runAlarm(box);
  const pending = env.DB.prepare("SELECT open FROM pending WHERE id = ?").bind(id.replace("em_", "pend_"));
  expect(await pending.first("open")).toBe(1);
});
