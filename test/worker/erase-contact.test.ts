import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { verifyChain } from "../../src/audit/verify.ts";
import { unwrap } from "../../src/errors.ts";
import { addressHash } from "../../src/mail/suppression.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { arf } from "../support/bounces.ts";
import { call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, needlesOf, newest, type Person, person } from "../support/erased-person.ts";
import { admin, ask, begin, boxesOf, eraseWhole, PATH, stored, type View, workOn } from "../support/erasing.ts";
import { everythingStored, hashesOf, placesOf } from "../support/everything-stored.ts";
import {
  advanceClock,
  chainOf,
  checkMailbox,
  decide,
  EVERYTHING,
  inObject,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { arrive, returnPath } from "../support/returned-mail.ts";
import { advance, inTenant, runAlarm as runTenantAlarm } from "../support/tenant-harness.ts";

/** Both chains verify, as the objects hold them and as D1 has them. */
async function checkLogs(tenant: TestTenant): Promise<void> {
  for (const box of boxesOf(tenant)) await checkMailbox(box);
  const { results } = await env.DB.prepare("SELECT entry, hash FROM audit_log WHERE log = ? ORDER BY seq")
    .bind(tenant.id)
    .all<{ entry: string; hash: string }>();
  expect(verifyChain(results.map(({ entry, hash }) => ({ ...JSON.parse(entry), hash })))).toBeNull();
}

const to = ({ name, address }: Person) => [{ name, address }];

async function received(box: TestMailbox, who: Person, raw = mailOf(who, box.mailbox.address)): Promise<string> {
  expect(await arrive(box.mailbox.address, raw, { from: who.address })).toBeNull();
  return newest(box);
}

/** A mail of somebody else's. */
const plainMail = (from: string, to: string, subject: string, text: string) =>
  [`From: <${from}>`, `To: ${to}`, `Subject: ${subject}`, "Content-Type: text/plain", "", text, ""].join("\r\n");

/** Whatever an account can have of a person. @returns what would confirm a guess of it. */
async function livedWith(tenant: TestTenant, who: Person): Promise<string[]> {
  const [free, gated, strict] = boxesOf(tenant) as [TestMailbox, TestMailbox, TestMailbox];
  const secrets: string[] = [];
  // Mail both ways, with an attachment, tags, metadata, a complaint.
  const inbound = await received(free, who);
  unwrap(await free.stub.read(free.agent, inbound, { mark_read: true, include_html: true }));
  unwrap(await free.stub.attachment(free.agent, inbound, who.file));
  const outbound = unwrap(
    await free.stub.submit(
      free.agent,
      submission(free, { to: to(who), subject: who.subject, text: who.text, metadata: { customer: who.name } }),
    ),
  );
  await runAlarm(free);
  const path = await returnPath({ name: null, address: who.address });
  // A long mail, whose end alone names the person.
  const long = `${"words and words\r\n".repeat(6_000)}ask ${who.address} about it`;
  await received(gated, person(), plainMail("bob@other.example", gated.mailbox.address, "long", long));
  // Mail of somebody else that names the person in a link.
  const link = `https://x.example/?to=${encodeURIComponent(who.address)}`;
  await received(gated, person(), plainMail("bob@other.example", gated.mailbox.address, "link", link));
  // Held, changed, decided with a note, delivered.
  const held = unwrap(await gated.stub.submit(gated.agent, submission(gated, { to: to(who), subject: "before" })));
  unwrap(await gated.stub.edit(gated.agent, held.id, { subject: who.subject }));
  unwrap(
    await decide(gated, gated.overseer, {
      ...{ email_id: held.id, decision: "approve" as const, content_hash: null },
      reason: `${who.name} asked`,
    }),
  );
  await runAlarm(gated);
  await runAlarm(gated);
  // Searches, drafts, an allowlist entry, a template of old, a held read.
  unwrap(await free.stub.list(free.agent, { ...EVERYTHING, sender: who.address, q: who.name }));
  const draft = submission(free, { to: to(who), subject: who.subject, text: who.text });
  unwrap(await free.stub.saveDraft(free.agent, { id: draft.id, is_new: true, draft }));
  const moved = submission(free, { to: to(who), subject: who.subject });
  unwrap(await free.stub.saveDraft(free.agent, { id: moved.id, is_new: true, draft: moved }));
  const bob = [{ name: null, address: "bob@other.example" }];
  unwrap(await free.stub.saveDraft(free.agent, { id: moved.id, is_new: false, draft: { to: bob, subject: "kept" } }));
  unwrap(await free.stub.sendDraft(free.agent, moved.id));
  for (const entry of [
    { recipient: who.address, note: who.name },
    { recipient: "bob@other.example", note: `a friend of ${who.address}` },
  ]) {
    const asked = unwrap(await gated.stub.allow(gated.admin, entry, null));
    const words = "needs_approval" in asked ? asked.needs_approval.change : null;
    unwrap(await gated.stub.allow(gated.admin, entry, words));
  }
  const template = {
    id: null,
    name: "T",
    subject: "S",
    markdown: `Ask ${who.address}`,
    variables: [],
    allowed_domains: null,
  };
  const { id } = unwrap(await gated.stub.proposeTemplate(gated.agent, template));
  unwrap(await gated.stub.deleteTemplate(gated.agent, id));
  await strict.stub.list(
    { ...strict.agent, asked: { operation: "check_inbox", input: { q: who.address }, approval_ref: null } },
    { ...EVERYTHING, q: who.address },
  );
  // A complaint, and what the account itself has.
  expect(await arrive(path, arf(`Feedback-Type: abuse\nOriginal-Rcpt-To: <${who.address}>`))).toBeNull();
  await runAlarm(free);
  const suppression = "/v1/suppression";
  const headers = { "Idempotency-Key": `suppress ${who.address}` };
  await call(suppression, { ...admin(tenant), headers, json: { address: who.address, note: who.name } });
  await call(`/v1/suppression/${who.address}`, { ...admin(tenant), method: "DELETE" });
  await call(`${suppression}?address=${encodeURIComponent(who.address)}`, admin(tenant));
  await call(`/v1/mailboxes/${free.mailbox.id}/emails?q=${encodeURIComponent(who.address)}`, {
    key: keyOf(tenant, "send"),
  });
  for (const box of [free, gated, strict]) await runAlarm(box);
  await runTenantAlarm(tenant.id);
  secrets.push(
    ...(await inObject(free, (object) => {
      const [one, two] = [object.messages.get(inbound), object.messages.get(outbound.id)];
      const { content_hash = "" } = two.record.outbound ?? {};
      const receipt = object.messages.receipt(two.seq);
      return [
        ...[one.fingerprint ?? "", one.record.inbound?.content_hash ?? "", content_hash, one.rfc_message_id ?? ""],
        receipt?.payload.body_hash ?? "",
        receipt?.jws ?? "",
        receipt?.signature_header ?? "",
      ];
    })),
  );
  return [...secrets, addressHash(tenant.id, who.address), ...hashesOf(who.address), ...hashesOf(who.content)];
}

test("a person is erased from the whole account, and nothing tells of them or confirms a guess; others are as they were", async () => {
  const [tenant, who, other] = [await makeTenant(["autonomous", "gated_send", "gated_all"]), person(), person()];
  const [foreign] = [await makeTenant(["autonomous"])];
  const secrets = await livedWith(tenant, who);
  await received(boxOf(tenant), other);
  await runAlarm(boxOf(tenant));
  await received(boxOf(foreign), who, plainMail(who.address, foreign.mailbox.address, "theirs", "theirs"));
  await runAlarm(boxOf(foreign));
  const needles = [...needlesOf(who), ...secrets];
  const mine = (all: Awaited<ReturnType<typeof stored>>) =>
    all.filter((thing) => [foreign.id, foreign.mailbox.id].every((id) => !`${thing.where} ${thing.text}`.includes(id)));
  const before = await stored(tenant);
  const otherBefore = placesOf(before, needlesOf(other));
  for (const where of [
    ...["R2 raw/", "R2 att/", "R2 body/", "R2 returned/", "messages.record", "bodies", "search_data", "drafts"],
    ...["revisions", "deliveries", "allowlist", "known_recipients", "templates", "requests", "suppressions.address"],
    ...["D1 suppressions", "confirmations", "idempotency", "receipts"],
    ...["opened inbox.listed", "opened suppression.added", "opened operator.asked", "opened message.received"],
    ...["opened allowlist.added", "opened draft.created", "opened suppression.checked"],
  ]) {
    expect(
      placesOf(before, needles).filter((place) => place.includes(where)),
      where,
    ).not.toEqual([]);
  }

  const view = await eraseWhole(tenant, who.address.toUpperCase());
  expect(view.erased).toMatchObject({ drafts: 1, templates: 1, requests: expect.any(Number) });
  expect(view.erased.messages).toBeGreaterThanOrEqual(5);
  expect(view.erased.entries).toBeGreaterThanOrEqual(5);

  const after = await stored(tenant);
  expect(placesOf(mine(after), needles)).toEqual([]);
  const besideWords = (places: string[]) => places.filter((place) => !place.includes("search_data")).sort();
  expect(besideWords(placesOf(after, needlesOf(other)))).toEqual(besideWords(otherBefore));
  expect(placesOf(await everythingStored(foreign.id, [foreign.mailbox.id]), [who.address])).not.toEqual([]);
  await checkLogs(tenant);
  // Nor does what the account gets, with everything opened that can be.
  await call("/v1/export", admin(tenant));
  const taken = await request(`/v1/export?approval_code=${await lastCode(tenant)}`, admin(tenant));
  const whole = { where: "export", text: await taken.text() };
  expect(whole.text).toContain('"type":"end"');
  expect(placesOf([whole], needles)).toEqual([]);
  const entries = await inTenant(tenant.id, (_object, { storage: { sql } }) =>
    sql
      .exec<{ entry: string }>("SELECT entry FROM entries ORDER BY seq")
      .toArray()
      .map(({ entry }) => JSON.parse(entry)),
  );
  const erased = entries.find(({ action }) => action === "contact.erased");
  expect(erased).toMatchObject({
    detail: { erasure_id: view.erasure_id, mailboxes: 3, messages: view.erased.messages },
  });
  expect(erased).not.toHaveProperty("sealed");
  // Whoever did it, and that the operator was asked and confirmed, stays on record.
  expect(entries.map(({ action }) => action)).toEqual(
    expect.arrayContaining(["operator.asked", "operator.confirmed", "contact.erasure_started", "contact.erased"]),
  );
  const kept = unwrap(await boxOf(tenant).stub.list(boxOf(tenant).agent, { ...EVERYTHING, q: "kept" })).emails;
  expect(kept).toMatchObject([{ to: ["bob@other.example"] }]);
  expect((await ask<View>(tenant, { erasure_id: view.erasure_id })).status).toBe(200);
  // It is a new matter from here on: the person can be written to again, and write.
  const again = await received(boxOf(tenant), who);
  expect(again).toMatch(/^em_/);
});

test("mail that comes while it goes on is erased too: the round that finds nothing is the last one", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  const box = boxOf(tenant);
  await received(box, who);
  const id = await begin(tenant, who.address);
  await runTenantAlarm(tenant.id);
  await runTenantAlarm(tenant.id);
  await received(box, who);
  const view = await workOn(tenant, id);
  expect(view).toMatchObject({ status: "erased", erased: { messages: 2 } });
  expect(placesOf(await stored(tenant), needlesOf(who))).toEqual([]);
});

test("a message that leaves meanwhile is waited for", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  const box = boxOf(tenant);
  await received(box, who);
  const id = await begin(tenant, who.address);
  const late = submission(box, { to: to(who), send_at: new Date(Date.now() + 3600_000).toISOString() });
  unwrap(await box.stub.submit(box.agent, late));
  expect(await workOn(tenant, id)).toMatchObject({ status: "erasing", waits_for: [late.id], erased: { messages: 1 } });
  unwrap(await box.stub.cancel(box.agent, late.id, null));
  await advance(tenant.id, 3600_000);
  expect(await workOn(tenant, id)).toMatchObject({ status: "erased", waits_for: [], erased: { messages: 2 } });
  expect(placesOf(await stored(tenant), needlesOf(who))).toEqual([]);
});

test("a legal hold that is set meanwhile stops it, and it goes on once that is lifted", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  await received(boxOf(tenant), who);
  const id = await begin(tenant, who.address);
  const path = `/v1/mailboxes/${tenant.mailbox.id}`;
  await call(path, { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
  expect(await workOn(tenant, id)).toMatchObject({
    status: "erasing",
    waits_for: [`legal_hold ${tenant.mailbox.id}`],
    erased: { messages: 0 },
  });
  expect(placesOf(await stored(tenant), needlesOf(who))).not.toEqual([]);
  await withCode(tenant, path, { ...admin(tenant), method: "PATCH", json: { legal_hold: false } });
  await advance(tenant.id, 3600_000);
  expect((await workOn(tenant, id)).status).toBe("erased");
});

test("a mailbox that does not answer is asked again", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  await received(boxOf(tenant), who);
  const id = await begin(tenant, who.address);
  const restore = await inTenant(tenant.id, (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const away = { eraseContact: () => Promise.reject(new Error("the mailbox is away")) };
    Reflect.set(object, "env", { ...whole, MAILBOX: { getByName: () => away } });
    return () => Reflect.set(object, "env", whole);
  });
  expect((await workOn(tenant, id)).status).toBe("erasing");
  restore();
  await advance(tenant.id, 24 * 3600_000);
  expect((await workOn(tenant, id)).status).toBe("erased");
  expect(placesOf(await stored(tenant), needlesOf(who))).toEqual([]);
});

test("whoever only decided is taken from the decisions, and the messages stay", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  await runAlarm(box);
  unwrap(await decide(box, box.overseer, { email_id: id, decision: "reject", reason: null, content_hash: null }));
  await inObject(box, (object) =>
    object.commit(() => {
      const message = object.messages.get(id);
      const { hold, decision } = message.record;
      if (!hold || !decision) throw new Error("it was never decided");
      Object.assign(hold, { asked: [{ person: who.address, seat: who.address }] });
      Object.assign(decision, { by: who.address, seat: who.address });
      object.messages.save(message);
    }),
  );
  const view = await eraseWhole(tenant, who.address);
  expect(view.erased).toMatchObject({ messages: 0, redacted: 1 });
  const left = await inObject(box, (object) => object.messages.get(id));
  expect(left).toMatchObject({ erased_at: null, record: { subject: "Offer", decision: { by: "(erased)" } } });
  expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
});

describe("nothing is begun", () => {
  const refused = async (tenant: TestTenant, address: string) => {
    const { status, body } = await ask(tenant, { address });
    return { status, code: body.code, where: body.where, under_way: body.under_way };
  };

  test.each<[string, (tenant: TestTenant) => string | Promise<string>, RegExp]>([
    ["the operator", ({ operator_email }) => operator_email, /^operator_email of the account$/],
    ["an approver", () => "approver@people.example", /approvers/],
    ["a mailbox", ({ mailbox }) => mailbox.address, /^address of mbx_/],
    [
      "somebody who gets copies",
      async (tenant) => {
        const box = boxOf(tenant);
        await inObject(box, (object) =>
          object.commit(() =>
            object.saveSettings({ ...object.settings(), auto_bcc: ["boss@acme.example"] } as Mailbox),
          ),
        );
        return "boss@acme.example";
      },
      /^auto_bcc of mbx_/,
    ],
    [
      "somebody whom a template names",
      async (tenant) => {
        const box = boxOf(tenant);
        const template = {
          id: null,
          name: "T",
          subject: "S",
          markdown: "Ask tina@acme.example",
          variables: [],
          allowed_domains: null,
        };
        unwrap(await box.stub.proposeTemplate(box.agent, template));
        return "tina@acme.example";
      },
      /^template tpl_/,
    ],
    [
      "somebody by whom a key is called",
      async (tenant) => {
        await call("/v1/api-keys", { ...admin(tenant), json: { name: "for kim@acme.example", scopes: ["read"] } });
        return "kim@acme.example";
      },
      /^key key_/,
    ],
  ])("for %s: what works here is changed by people first", async (_who, addressOf, where) => {
    const tenant = await makeTenant(["gated_send"]);
    const answer = await refused(tenant, await addressOf(tenant));
    expect(answer).toMatchObject({ status: 409, code: "in_service" });
    expect(
      answer.where.some((place) => where.test(place)),
      JSON.stringify(answer),
    ).toBe(true);
  });

  test("while a message that names the person waits, whoever wrote it", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const box = boxOf(tenant);
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: to(who) })));
    expect(await refused(tenant, who.address)).toMatchObject({ status: 409, code: "wrong_state", under_way: [id] });
  });

  test.each(["/v1/account", "mailbox"])("under a legal hold on %s, in no mailbox", async (what) => {
    const [tenant, who] = [await makeTenant(["autonomous", "autonomous"]), person()];
    for (const box of boxesOf(tenant)) await received(box, who);
    const path = what === "mailbox" ? `/v1/mailboxes/${tenant.mailbox.id}` : what;
    await call(path, { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
    expect(await refused(tenant, who.address)).toMatchObject({ status: 409, code: "legal_hold" });
    for (const box of boxesOf(tenant))
      expect((await chainOf(box)).map(({ action }) => action)).not.toContain("email.erased");
  });

  test("by a legal hold on a mailbox that has nothing of the person", async () => {
    const [tenant, who] = [await makeTenant(["autonomous", "autonomous"]), person()];
    await received(boxOf(tenant), who);
    const path = `/v1/mailboxes/${tenant.mailboxes[1]?.id}`;
    await call(path, { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
    expect((await eraseWhole(tenant, who.address)).erased).toMatchObject({ messages: 1 });
  });

  test.each(["read", "send", "oversight", "agent", "overseer"])("by a key with %s", async (name) => {
    const tenant = await makeTenant(["autonomous"]);
    const { status, body } = await call(PATH, { key: keyOf(tenant, name), json: { address: "ana@customer.example" } });
    expect([status, body.code]).toEqual([403, "missing_scope"]);
  });

  test("by a key that is bound to mailboxes", async () => {
    const tenant = await makeTenant(["autonomous"], (locals) => [
      { name: "bound", scopes: ["admin"], mailboxes: [locals[0]] },
    ]);
    const { status, body } = await call(PATH, {
      key: keyOf(tenant, "bound"),
      json: { address: "ana@customer.example" },
    });
    expect([status, body.code]).toEqual([403, "mailbox_not_allowed"]);
  });

  test("without the operator's code, by a code for another person, or by one twice", async () => {
    const [tenant, one, two] = [await makeTenant(["autonomous"]), person(), person()];
    await received(boxOf(tenant), one);
    await received(boxOf(tenant), two);
    const asked = await ask<{ change: string }>(tenant, { address: one.address });
    expect(asked.body.change).toContain("1 message in 1 mailbox");
    const approval_code = await lastCode(tenant);
    const other = await ask(tenant, { address: two.address, approval_code });
    expect([other.status, other.body.code]).toEqual([403, "invalid_approval_code"]);
    // More of it came since; the code still fits.
    await received(boxOf(tenant), one);
    const { body } = await ask<View>(tenant, { address: one.address, approval_code });
    expect(body.status).toBe("erasing");
    expect((await ask<View>(tenant, { address: one.address })).body.erasure_id).toBe(body.erasure_id);
    await workOn(tenant, body.erasure_id);
    const again = await ask(tenant, { address: one.address, approval_code });
    expect([again.status, again.body.code]).toEqual([403, "invalid_approval_code"]);
    expect(placesOf(await stored(tenant), [two.address])).not.toEqual([]);
  });

  test.each([
    [{}, "invalid_input"],
    [{ address: "a@x.example", erasure_id: "era_1" }, "invalid_input"],
    [{ address: "nobody" }, "invalid_address"],
    [{ address: "a@x.example, b@x.example" }, "invalid_address"],
    [{ erasure_id: "era_0123456789ABCDEFGHJKMNPQRS" }, "not_found"],
  ])("for %j", async (json, code) => {
    expect((await ask(await makeTenant(["autonomous"]), json)).body.code).toBe(code);
  });

  test("of another account's erasure is told", async () => {
    const [tenant, other, who] = [await makeTenant(["autonomous"]), await makeTenant(["autonomous"]), person()];
    await received(boxOf(tenant), who);
    const erasure_id = await begin(tenant, who.address);
    const { status, body } = await ask(other, { erasure_id });
    expect([status, body.code]).toEqual([404, "not_found"]);
    const box = boxOf(tenant);
    const job = {
      tenant_id: other.id,
      erasure_id,
      address: who.address,
      actor: { type: "system", id: "x", via: "system" } as const,
    };
    expect(await box.stub.eraseContact(job, null)).toMatchObject({ ok: false });
    expect(await box.stub.surveyContact(other.id, who.address)).toMatchObject({ ok: false });
  });
});

test("nothing of the call itself is kept under its idempotency key", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  await received(boxOf(tenant), who);
  await ask(tenant, { address: who.address });
  const approval_code = await lastCode(tenant);
  const headers = { "Idempotency-Key": "once" };
  await call(PATH, { ...admin(tenant), headers, json: { address: who.address, approval_code } });
  const rows = await inTenant(tenant.id, (object) => object.rows.exec("SELECT * FROM idempotency").toArray());
  expect(rows).toEqual([]);
});

test("a clock that stands still changes nothing about what is erased", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  await received(boxOf(tenant), who);
  await advanceClock(boxOf(tenant), -3600_000);
  await eraseWhole(tenant, who.address);
  expect(placesOf(await stored(tenant), needlesOf(who))).toEqual([]);
});
