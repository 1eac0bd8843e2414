import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { Entry } from "../../src/audit/entry.ts";
import { unwrap } from "../../src/errors.ts";
import { call, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, person } from "../support/erased-person.ts";
import { admin, ask, begin, eraseWhole, type View, workOn } from "../support/erasing.ts";
import { advanceClock, chainOf, EVERYTHING, inObject, runAlarm, type TestMailbox } from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";
import { arrive } from "../support/returned-mail.ts";
import { advance, inTenant, runAlarm as runTenantAlarm } from "../support/tenant-harness.ts";

/** Erasing a person from entries that have left object and D1, and of which R2 has all, some, or something else. */

const DAY = 24 * 3600_000;

interface Place extends Record<string, SqlStorageValue> {
  first: number;
  last: number;
}

/** A mailbox whose log was sealed on two days and has left object and D1: on each, somebody was searched for; on the first, mail came. */
async function archived() {
  const [tenant, one, two, writer] = [await makeTenant(["autonomous"]), person(), person(), person()];
  const box = boxOf(tenant);
  await withCode(tenant, "/v1/account", { ...admin(tenant), method: "PATCH", json: { audit_retention_days: 30 } });
  expect(await arrive(box.mailbox.address, mailOf(writer, box.mailbox.address), { from: writer.address })).toBeNull();
  unwrap(await box.stub.list(box.agent, { ...EVERYTHING, sender: one.address }));
  await passTo(box, 1.5 * DAY);
  unwrap(await box.stub.list(box.agent, { ...EVERYTHING, sender: two.address }));
  await passTo(box, 3 * DAY);
  const chain: Entry[] = await chainOf(box);
  const [first, second] = chain.filter(({ action }) => action === "inbox.listed");
  const received = chain.find(({ action }) => action === "message.received");
  if (!first?.sealed || !second?.sealed || !received?.sealed) throw new Error("the log has not what it should");
  expect([first.sealed.kid, second.sealed.kid]).toEqual([first.id, second.id]);
  await passTo(box, 45 * DAY);
  const segments = await inObject(box, (_object, { storage: { sql } }) =>
    sql
      .exec<Place>("SELECT first, last FROM segments WHERE last < (SELECT floor FROM keeping) ORDER BY first")
      .toArray(),
  );
  const holding = ({ seq }: Entry) => segments.findIndex(({ first, last }) => first <= seq && seq <= last);
  expect([holding(first), holding(second), holding(received)]).toEqual([0, 1, 0]);
  const keys = segments.map(({ first, last }) => keyOf(tenant.id, box.mailbox.id, first, last));
  return { tenant, box, one, two, writer, keys, segments, kids: [first.id, second.id, received.sealed.kid] as const };
}

const keyOf = (tenantId: string, log: string, first: number, last: number) =>
  `audit/${tenantId}/${log}/${[first, last].map((seq) => String(seq).padStart(12, "0")).join("-")}.ndjson`;

async function passTo(box: TestMailbox, ms: number): Promise<void> {
  await advanceClock(box, ms);
  await runAlarm(box);
}

/** Which of these data keys are there still, in the object and in D1. */
async function keysLeft(box: TestMailbox, kids: readonly string[]): Promise<[object: boolean, d1: boolean][]> {
  const own = await inObject(box, (_object, { storage: { sql } }) =>
    kids.map((kid) => sql.exec("SELECT 1 FROM data_keys WHERE kid = ?", kid).toArray().length > 0),
  );
  const theirs = await Promise.all(
    kids.map((kid) => env.DB.prepare("SELECT 1 FROM data_keys WHERE kid = ?").bind(kid).first()),
  );
  return kids.map((_kid, index) => [own[index] === true, theirs[index] !== null]);
}

const THERE = [true, true];
const DESTROYED = [false, false];

async function erasedEntry(tenant: TestTenant, erasure_id: string): Promise<Entry | undefined> {
  const entries = await inTenant(tenant.id, (_object, { storage: { sql } }) =>
    sql
      .exec<{ entry: string }>("SELECT entry FROM entries")
      .toArray()
      .map(({ entry }) => JSON.parse(entry) as Entry),
  );
  return entries.find(({ action, detail }) => action === "contact.erased" && detail.erasure_id === erasure_id);
}

test("entries that lie in R2 alone are erased with the rest, by the object's own keys", async () => {
  const { tenant, box, one, kids } = await archived();
  // D1 has lost them all: they are in the object, which keeps them when entries leave it.
  await env.DB.prepare("DELETE FROM data_keys WHERE tenant_id = ?").bind(tenant.id).run();
  const { erasure_id } = await eraseWhole(tenant, one.address);
  expect((await keysLeft(box, kids)).map(([own]) => own)).toEqual([false, true, true]);
  expect((await erasedEntry(tenant, erasure_id))?.detail).not.toHaveProperty("gone");
});

test("a segment that R2 has no more holds nothing up: what only it could be read with goes, and the entry names the stretch", async () => {
  const { tenant, box, two, keys, kids, segments } = await archived();
  await env.STORE.delete(keys[0] ?? "");
  expect(await keysLeft(box, kids)).toEqual([THERE, THERE, THERE]);
  const { erasure_id, erased } = await eraseWhole(tenant, person().address);
  // The message is there still, and other entries are sealed by its key.
  expect(await keysLeft(box, kids)).toEqual([DESTROYED, THERE, THERE]);
  expect(erased.entries).toBeGreaterThan(1);
  const gone = [`${box.mailbox.id} 0-${segments[0]?.last}`];
  expect((await erasedEntry(tenant, erasure_id))?.detail).toMatchObject({ gone, entries: erased.entries });
  const traces = (await chainOf(box)).filter(({ action }) => action === "contact.traces_erased");
  // Beside those the account's own log had one: of the operator's being asked.
  expect(traces).toMatchObject([{ detail: { erasure_id, entries: Number(erased.entries) - 1 } }]);
  // The next one goes past it too, and says so too.
  await env.STORE.delete(keys[1] ?? "");
  const next = await eraseWhole(tenant, two.address);
  expect(await keysLeft(box, kids)).toEqual([DESTROYED, DESTROYED, THERE]);
  expect((await erasedEntry(tenant, next.erasure_id))?.detail.gone).toEqual([
    `${box.mailbox.id} 0-${segments[1]?.last}`,
  ]);
});

test("the message whose entries are gone takes its key with it once it is erased", async () => {
  const { tenant, box, writer, keys, kids } = await archived();
  await env.STORE.delete(keys[0] ?? "");
  expect((await eraseWhole(tenant, writer.address)).erased.messages).toBe(1);
  expect(await keysLeft(box, kids)).toEqual([DESTROYED, THERE, DESTROYED]);
});

test("under a legal hold a stretch that is gone takes no keys with it", async () => {
  const { tenant, box, keys, kids } = await archived();
  const path = `/v1/mailboxes/${tenant.mailbox.id}`;
  const id = await begin(tenant, person().address);
  await call(path, { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
  await env.STORE.delete(keys[0] ?? "");
  expect(await workOn(tenant, id)).toMatchObject({ status: "erasing", waits_for: [`legal_hold ${tenant.mailbox.id}`] });
  expect(await keysLeft(box, kids)).toEqual([THERE, THERE, THERE]);
});

test("a segment that is not what was sealed is waited for, and everything else is erased meanwhile", async () => {
  const { tenant, box, two, keys, kids } = await archived();
  const [key = ""] = keys;
  const before = await (await env.STORE.get(key))?.bytes();
  await env.STORE.put(key, "something else");
  const id = await begin(tenant, two.address);
  expect(await workOn(tenant, id)).toMatchObject({ status: "erasing", waits_for: [`segment_differs ${key}`] });
  expect(await keysLeft(box, kids)).toEqual([THERE, DESTROYED, THERE]);
  await env.STORE.put(key, before ?? "");
  await advance(tenant.id, 3600_000);
  expect(await workOn(tenant, id)).toMatchObject({ status: "erased", waits_for: [] });
  expect(await keysLeft(box, kids)).toEqual([THERE, DESTROYED, THERE]);
  expect((await erasedEntry(tenant, id))?.detail).not.toHaveProperty("gone");
});

const NOTHING: R2Objects = { objects: [], delimitedPrefixes: [], truncated: false };
const away = (member: string) => Promise.reject(new Error(`R2 is away: ${member}`));

test.each<[string, Partial<R2Bucket>]>([
  ["an R2 that does not answer", { get: () => away("get") }],
  // A deployment that is bound to the wrong bucket has lost nothing.
  ["a bucket with nothing at all in it", { get: async () => null, list: async () => NOTHING }],
  ["a bucket that does not say whether it has anything", { get: async () => null, list: () => away("list") }],
])("%s is waited for", async (_what, members) => {
  const { tenant, box, one, keys, kids } = await archived();
  const restore = await inObject(box, (object) => {
    const env: Cloudflare.Env = Reflect.get(object, "env");
    const STORE = new Proxy(env.STORE, {
      get: (target, name) => {
        const member: unknown = Reflect.get(members, name) ?? Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
    Reflect.set(object, "env", { ...env, STORE });
    return () => Reflect.set(object, "env", env);
  });
  const id = await begin(tenant, one.address);
  const { status, waits_for } = await workOn(tenant, id);
  expect([status, waits_for]).toEqual(["erasing", keys.map((key) => `segment_unread ${key}`)]);
  expect(await keysLeft(box, kids)).toEqual([THERE, THERE, THERE]);
  restore();
  await advance(tenant.id, 3600_000);
  expect((await workOn(tenant, id)).status).toBe("erased");
  expect(await keysLeft(box, kids)).toEqual([DESTROYED, THERE, THERE]);
});

test("the account's own log is gone past as those of its mailboxes are", async () => {
  const tenant = await makeTenant(["autonomous"]);
  await withCode(tenant, "/v1/account", { ...admin(tenant), method: "PATCH", json: { audit_retention_days: 30 } });
  for (const ms of [3 * DAY, 45 * DAY]) {
    await advance(tenant.id, ms);
    for (let turn = 0; turn < 4; turn++) await runTenantAlarm(tenant.id);
  }
  const own = () =>
    inTenant(tenant.id, (_object, { storage: { sql } }) => ({
      ...sql.exec<{ floor: number }>("SELECT floor FROM keeping").one(),
      left: sql.exec<{ kid: string }>("SELECT kid FROM data_keys WHERE kid GLOB 'aud_*'").toArray().length,
    }));
  const before = await own();
  expect(before.floor).toBeGreaterThan(2);
  expect(before.left).toBeGreaterThan(0);
  for (const { key } of (await env.STORE.list({ prefix: `audit/${tenant.id}/${tenant.id}/` })).objects)
    await env.STORE.delete(key);
  const { body } = await withCode<View>(tenant, "/v1/erase_contact", {
    ...admin(tenant),
    json: { address: person().address },
  });
  const view = await workOn(tenant, body.erasure_id);
  expect(view.status, JSON.stringify(view)).toBe("erased");
  expect((await erasedEntry(tenant, view.erasure_id))?.detail.gone).toEqual([`${tenant.id} 0-${before.floor - 1}`]);
  expect(view.erased.entries).toBeGreaterThanOrEqual(before.left);
  expect((await ask<View>(tenant, { erasure_id: view.erasure_id })).status).toBe(200);
});
