import { abortAllDurableObjects } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { MAILBOX_SCHEMA } from "../../durable-objects/mailbox/schema.ts";
import { unwrap } from "../../src/errors.ts";
import type { EmailRecord } from "../../src/store/email-record.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf, type Person, person } from "../support/erased-person.ts";
import { admin, ask, boxesOf, eraseWhole, stored } from "../support/erasing.ts";
import { placesOf } from "../support/everything-stored.ts";
import { checkMailbox, decide, inObject, runAlarm, submission, type TestMailbox } from "../support/mailbox-harness.ts";
import { undoSchema } from "../support/older-schema.ts";
import { withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** The mailbox's schema had so many versions before it. */
const BEFORE_APART_KEYS = MAILBOX_SCHEMA.findIndex((statements) =>
  statements.some((each) => each.includes("apart_keys")),
);

/** What an agent marks a message with names whomever it likes: erasing that person takes the mark, and nothing that happened. */

const RIVAL = "rival@evil.example";
const NOTE = "I know this customer.";

/** A mail that a person approved and that was delivered. */
async function delivered(box: TestMailbox, change: Parameters<typeof submission>[1] = {}): Promise<string> {
  const to = [{ name: null, address: RIVAL }];
  const { id } = unwrap(
    await box.stub.submit(box.agent, submission(box, { to, subject: "The price list", ...change })),
  );
  await approve(box, id);
  return id;
}

async function approve(box: TestMailbox, id: string): Promise<void> {
  const asked = { email_id: id, decision: "approve" as const, content_hash: null, reason: NOTE };
  unwrap(await decide(box, box.overseer, asked));
  await runAlarm(box);
}

const tagsPath = ({ mailbox }: TestTenant, id: string) => `/v1/mailboxes/${mailbox.id}/emails/${id}/tags`;
/** As an agent does it, with an ordinary key. */
const tag = (tenant: TestTenant, id: string, tags: object) =>
  call(tagsPath(tenant, id), { key: keyOf(tenant, "agent"), method: "PUT", json: { tags } });

async function recordOf(tenant: TestTenant, id: string): Promise<EmailRecord> {
  const { status, body } = await call<EmailRecord>(`/v1/emails/${id}/record`, admin(tenant));
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** Everything that happened to it is still told, and the message is there. */
async function isWhole(tenant: TestTenant, id: string): Promise<EmailRecord> {
  const box = boxOf(tenant);
  const message = await inObject(box, (object) => object.messages.get(id));
  expect(message).toMatchObject({ erased_at: null, record: { subject: "The price list" } });
  const record = await recordOf(tenant, id);
  expect(record).toMatchObject({
    ...{ to: [RIVAL], subject: "The price list", erased_at: null },
    decisions: [{ note: NOTE, decision: "approved" }],
    attempts: [{ outcomes: expect.anything() }],
  });
  return record;
}

const erasedSteps = ({ steps }: EmailRecord) => steps.filter(({ erased }) => erased).map(({ entry }) => entry?.action);

/** No name of the person is left anywhere, and both logs verify. */
async function isGone(tenant: TestTenant, { address }: Person): Promise<void> {
  expect(placesOf(await stored(tenant), [address])).toEqual([]);
  for (const box of boxesOf(tenant)) await checkMailbox(box);
}

describe("what was marked on a message later never makes an erasure destroy it or its record", () => {
  test("a tag, nor one that was removed again", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const box = boxOf(tenant);
    const [one, two] = [await delivered(box), await delivered(box)];
    for (const id of [one, two]) expect((await tag(tenant, id, { x: who.address, kept: "yes" })).status).toBe(200);
    await tag(tenant, one, { [who.address]: "1" });
    await call(`${tagsPath(tenant, two)}/x`, { key: keyOf(tenant, "agent"), method: "DELETE" });
    const view = await eraseWhole(tenant, who.address);
    expect(view.erased).toMatchObject({ messages: 0, redacted: 1 });
    expect(erasedSteps(await isWhole(tenant, one))).toEqual(["message.tagged", "message.tagged"]);
    expect(erasedSteps(await isWhole(tenant, two))).toEqual(["message.tagged", "message.untagged"]);
    const tags = async (id: string) => inObject(box, (object) => object.messages.get(id).record.tags);
    expect(await tags(one)).toEqual({ x: "(erased)", kept: "yes", "(erased)": "1" });
    expect(await tags(two)).toEqual({ kept: "yes" });
    await isGone(tenant, who);
  });

  test("a tag that it was submitted with", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const id = await delivered(boxOf(tenant), { tags: { x: who.address } });
    await eraseWhole(tenant, who.address);
    await isWhole(tenant, id);
    await isGone(tenant, who);
  });

  test("the reason for which an agent took it back", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const box = boxOf(tenant);
    const to = [{ name: null, address: RIVAL }];
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to, subject: "The price list" })));
    unwrap(await box.stub.cancel(box.agent, id, `for ${who.address}`));
    expect((await eraseWhole(tenant, who.address)).erased).toMatchObject({ messages: 0, redacted: 1 });
    const record = await recordOf(tenant, id);
    expect(record).toMatchObject({ to: [RIVAL], subject: "The price list", status: "cancelled", erased_at: null });
    expect(erasedSteps(record)).toEqual(["message.cancelled"]);
    await isGone(tenant, who);
  });

  test("a draft of it that nobody but the agent saw", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const box = boxOf(tenant);
    const draft = submission(box, { to: [{ name: null, address: who.address }], subject: "x" });
    unwrap(await box.stub.saveDraft(box.agent, { id: draft.id, is_new: true, draft }));
    const change = { to: [{ name: null, address: RIVAL }], subject: "The price list" };
    unwrap(await box.stub.saveDraft(box.agent, { id: draft.id, is_new: false, draft: change }));
    unwrap(await box.stub.sendDraft(box.agent, draft.id));
    await approve(box, draft.id);
    await eraseWhole(tenant, who.address);
    expect(erasedSteps(await isWhole(tenant, draft.id))).toEqual(["draft.created"]);
    await isGone(tenant, who);
  });

  test("a tag from before such entries had keys of their own: the entry stays as it is, and so does the message", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const box = boxOf(tenant);
    const id = await delivered(box);
    await inObject(box, (object) => {
      const message = object.messages.get(id);
      const actor = { type: "agent", id: "key_1", key_id: "key_1", via: "rest" } as const;
      const personal = { tags: { x: who.address } };
      object.commit(() => object.record({ message, actor, action: "message.tagged", detail: { count: 1 }, personal }));
    });
    await eraseWhole(tenant, who.address);
    expect(erasedSteps(await isWhole(tenant, id))).toEqual([]);
  });
});

test("metadata that a message was submitted with is what it says: the message is erased, and that was told before", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  await delivered(box, { metadata: { customer: who.address } });
  expect(unwrap(await box.stub.surveyContact(tenant.id, who.address))).toMatchObject({ messages: 1, redacted: 0 });
  expect((await eraseWhole(tenant, who.address)).erased).toMatchObject({ messages: 1 });
  await isGone(tenant, who);
});

test("what is counted before is what is erased and redacted then", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  const tagged = await delivered(box);
  await tag(tenant, tagged, { x: who.address });
  await delivered(box, { text: `Ask ${who.address}` });
  await delivered(box, { metadata: { deep: { down: encodeURIComponent(who.address) } } });
  await delivered(box);
  const survey = unwrap(await box.stub.surveyContact(tenant.id, who.address));
  expect(survey).toMatchObject({ messages: 2, redacted: 1, more: false });
  await ask(tenant, { address: who.address });
  const asked = (await receivedFor(tenant.operator_email)).at(-1)?.raw ?? "";
  expect(asked.replaceAll("=\r\n", "").replace(/\s+/g, " ")).toContain(
    "Now 2 messages in 1 mailbox of 1 would be erased. 1 message would stay, without the address that was noted of it.",
  );
  const { erased } = await eraseWhole(tenant, who.address);
  expect(erased).toMatchObject({ messages: survey.messages, redacted: survey.redacted });
  expect(unwrap(await box.stub.surveyContact(tenant.id, who.address))).toMatchObject({ messages: 0, redacted: 0 });
});

test("a legal hold of a mailbox also keeps what would only be taken out of a tag", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  await tag(tenant, await delivered(boxOf(tenant)), { x: who.address });
  const held = { method: "PATCH", json: { legal_hold: true } };
  expect((await call(`/v1/mailboxes/${tenant.mailbox.id}`, { ...admin(tenant), ...held })).status).toBe(200);
  expect(await ask(tenant, { address: who.address })).toMatchObject({ status: 409, body: { code: "legal_hold" } });
});

test("a mailbox of before tags had keys of their own gives them such from then on", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  const id = await delivered(box);
  await inObject(box, (_object, { storage: { sql } }) => {
    undoSchema(sql, MAILBOX_SCHEMA.slice(BEFORE_APART_KEYS).flat());
    sql.exec("UPDATE ledger SET schema_version = ?", BEFORE_APART_KEYS);
  });
  await abortAllDurableObjects();
  expect((await tag(tenant, id, { x: who.address })).status).toBe(200);
  await eraseWhole(tenant, who.address);
  await isWhole(tenant, id);
  await isGone(tenant, who);
});

test("a message that is erased itself takes its tags out of the log with it", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  const id = await delivered(box);
  await tag(tenant, id, { customer: who.name });
  await call(`${tagsPath(tenant, id)}/customer`, { key: keyOf(tenant, "agent"), method: "DELETE" });
  await runAlarm(box);
  expect(placesOf(await stored(tenant), [who.name])).not.toEqual([]);
  const { status } = await withCode(tenant, `/v1/emails/${id}/erase`, { ...admin(tenant), json: {} });
  expect(status).toBe(200);
  await runAlarm(box);
  expect(placesOf(await stored(tenant), [who.name])).toEqual([]);
  await checkMailbox(box);
});
