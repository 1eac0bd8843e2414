import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, newest, person } from "../support/erased-person.ts";
import { everythingStored, placesOf } from "../support/everything-stored.ts";
import {
  advanceClock,
  arrival,
  caller,
  chainOf,
  checkMailbox,
  EVERYTHING,
  inObject,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";
import { arrive } from "../support/returned-mail.ts";

const DAY = 24 * 3600_000;
const admin = (tenant: TestTenant) => ({ key: keyOf(tenant, "admin") });
const pathOf = ({ mailbox }: TestTenant) => `/v1/mailboxes/${mailbox.id}`;
const patch = (tenant: TestTenant, json: Record<string, unknown>) =>
  call<Mailbox & { status: string; change: string }>(pathOf(tenant), { ...admin(tenant), method: "PATCH", json });

/** An account whose mailbox keeps content for so long. */
async function keeping(content_retention: object): Promise<{ tenant: TestTenant; box: TestMailbox }> {
  const tenant = await makeTenant(["autonomous"]);
  const json = { content_retention };
  const { status } = await withCode(tenant, pathOf(tenant), { ...admin(tenant), method: "PATCH", json });
  expect(status).toBe(200);
  return { tenant, box: boxOf(tenant) };
}

async function daysLater(box: TestMailbox, days: number): Promise<void> {
  await advanceClock(box, days * DAY + 60_000);
  await runAlarm(box);
}

const expiredAt = (box: TestMailbox, id: string) =>
  inObject(box, (object) => object.messages.get(id).content_expired_at);

describe("what messages say", () => {
  test("is removed everywhere after its time; who wrote when to whom, and the sealed record, stay", async () => {
    const { tenant, box } = await keeping({ days: 30 });
    const who = person();
    await arrive(box.mailbox.address, mailOf(who, box.mailbox.address), { from: who.address });
    const id = await newest(box);
    const { id: sent } = unwrap(
      await box.stub.submit(box.agent, submission(box, { subject: who.subject, text: who.text })),
    );
    await runAlarm(box);
    await daysLater(box, 29);
    expect([await expiredAt(box, id), await expiredAt(box, sent)]).toEqual([null, null]);
    await daysLater(box, 31);
    const words = [who.text.split(" ")[0] ?? "", who.content, Buffer.from(who.content).toString("base64")];
    const stored = await everythingStored(tenant.id, [box.mailbox.id]);
    expect(placesOf(stored, words)).toEqual([]);
    const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: true }));
    expect(email).toMatchObject({
      ...{ id, subject: who.subject, from_address: who.address, erased_at: null },
      ...{ content_expired_at: expect.any(String), text: "", html: null, headers: {}, attachments: [] },
    });
    const { results } = await env.DB.prepare("SELECT kid FROM data_keys WHERE kid IN (?, ?)").bind(id, sent).all();
    expect(results).toHaveLength(2);
    expect((await checkMailbox(box)).filter(({ action }) => action === "content.expired")).toMatchObject([
      { actor: { type: "system" }, resource: { type: "email", id }, detail: { days: 30 } },
      { actor: { type: "system" }, resource: { type: "email", id: sent }, detail: { days: 30 } },
    ]);
    const { objects } = await env.STORE.list({ prefix: `raw/${tenant.id}/` });
    expect(objects).toEqual([]);
  });

  test("goes by its tags first", async () => {
    const { box, tenant } = await keeping({ days: 10, tags: { invoice: 100, keep: null, short: 2 } });
    const operator = caller(tenant.id, ["send", "admin"]);
    const ids: string[] = [];
    for (const tags of [["other"], ["invoice"], ["keep", "short"], ["short"]]) {
      const received = await box.stub.receive(arrival(box));
      const id = received?.email_id ?? "";
      unwrap(await box.stub.tag(operator, id, Object.fromEntries(tags.map((tag) => [tag, ""]))));
      ids.push(id);
    }
    const gone = async () => Promise.all(ids.map(async (id) => (await expiredAt(box, id)) !== null));
    await daysLater(box, 3);
    expect(await gone()).toEqual([false, false, false, true]);
    await daysLater(box, 11);
    expect(await gone()).toEqual([true, false, false, true]);
    await daysLater(box, 101);
    expect(await gone()).toEqual([true, true, false, true]);
    await checkMailbox(box);
  });

  test("of what still waits is kept until it has ended", async () => {
    const { box } = await keeping({ days: 1 });
    const send_at = new Date(Date.now() + 20 * DAY).toISOString();
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { send_at })));
    await daysLater(box, 3);
    expect(await expiredAt(box, id)).toBeNull();
    unwrap(await box.stub.cancel(box.agent, id, null));
    await daysLater(box, 5);
    expect(await expiredAt(box, id)).not.toBeNull();
  });

  test("is found again in more messages than are looked at in one step", async () => {
    const { box } = await keeping({ days: 1 });
    for (let n = 0; n < 205; n++) await box.stub.receive(arrival(box));
    await daysLater(box, 2);
    const left = await inObject(box, (object) =>
      object.storage().exec("SELECT 1 FROM messages WHERE content_expired_at IS NULL").toArray(),
    );
    expect(left).toEqual([]);
    const entries = (await chainOf(box)).filter(({ action }) => action === "content.expired");
    expect(new Set(entries.map(({ resource }) => resource.id)).size).toBe(205);
    expect(entries).toHaveLength(205);
  });

  test.each(["mailbox", "account"])("is kept while the %s is under a legal hold", async (what) => {
    const { tenant, box } = await keeping({ days: 1 });
    const received = await box.stub.receive(arrival(box));
    const path = what === "mailbox" ? pathOf(tenant) : "/v1/account";
    await call(path, { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
    await daysLater(box, 3);
    expect(await expiredAt(box, received?.email_id ?? "")).toBeNull();
    await withCode(tenant, path, { ...admin(tenant), method: "PATCH", json: { legal_hold: false } });
    await daysLater(box, 5);
    expect(await expiredAt(box, received?.email_id ?? "")).not.toBeNull();
  });

  test("that was removed can neither be passed on nor downloaded, and is found by its words no more", async () => {
    const { box } = await keeping({ days: 1 });
    const who = person();
    await arrive(box.mailbox.address, mailOf(who, box.mailbox.address), { from: who.address });
    const id = await newest(box);
    await daysLater(box, 2);
    const to = [{ name: null, address: "boss@acme.example" }];
    expect(await box.stub.submit(box.agent, submission(box, { to, forward: { email_id: id } }))).toMatchObject({
      refusal: { code: "wrong_state" },
    });
    expect(await box.stub.attachment(box.agent, id, who.file)).toMatchObject({ refusal: { code: "not_found" } });
    const found = unwrap(await box.stub.list(box.agent, { ...EVERYTHING, q: who.text.split(" ")[0] ?? "" }));
    expect(found.emails).toEqual([]);
  });
});

describe("the setting", () => {
  test("waits for the operator where it keeps less; more is kept at once", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const asked = await patch(tenant, { content_retention: { days: 30 } });
    expect([asked.status, asked.body.change]).toEqual([
      202,
      expect.stringContaining("kept for 30 days (now for good)"),
    ]);
    await withCode(tenant, pathOf(tenant), {
      ...admin(tenant),
      method: "PATCH",
      json: { content_retention: { days: 30 } },
    });
    expect((await patch(tenant, { content_retention: { days: 60 } })).status).toBe(200);
    expect((await patch(tenant, { content_retention: { days: 59 } })).status).toBe(202);
    expect((await patch(tenant, { content_retention: { days: 60, tags: { short: 7 } } })).status).toBe(202);
    const lifted = await patch(tenant, { content_retention: { days: null } });
    expect(lifted.body).toMatchObject({ content_retention: { days: null, tags: {} } });
    const timers = await inObject(boxOf(tenant), (object) => object.scheduled("retention"));
    expect(timers).toEqual([]);
  });

  test("of a new mailbox waits for the operator, too", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const json = { address_local: `kept-${Date.now()}`, content_retention: { days: 30 } };
    const { status, body } = await call<{ change: string }>("/v1/mailboxes", { ...admin(tenant), json });
    expect([status, body.change]).toEqual([202, expect.stringContaining("for 30 days")]);
  });

  test.each([
    [{ days: 0 }],
    [{ days: 36_501 }],
    [{ days: 1.5 }],
    [{ days: 30, tags: { "": 1 } }],
    [{ days: 30, tags: { a: 0 } }],
    [{ days: 30, more: 1 }],
    [{ tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`tag ${n}`, 1])) }],
  ])("is refused as %j", async (content_retention) => {
    const { status } = await patch(await makeTenant(["autonomous"]), { content_retention });
    expect(status).toBe(422);
  });
});
