import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf } from "../support/erased-person.ts";
import { DAY, HOUR, LogWorld } from "../support/log-world.ts";
import { advanceClock, EVERYTHING, inObject, runAlarm } from "../support/mailbox-harness.ts";
import { arrive } from "../support/returned-mail.ts";

/** Clocks that go back, and those that were ahead: the log stays in its order, and is kept in time. */

interface Page {
  entries: { seq: number; id: string; at: string }[];
  cursor: string | null;
}

async function pageOf(tenant: TestTenant, query: string): Promise<Page> {
  const path = `/v1/audit-log?log=${tenant.mailbox.id}&${query}`;
  const { status, body } = await call<Page>(path, { key: keyOf(tenant, "admin") });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

const seqs = ({ entries }: Page) => entries.map(({ seq }) => seq);
const down = (from: number, count: number) => [...Array(count).keys()].map((i) => from - i);

test("entries of a clock that went back, all at one time, are read newest first, page by page, and by whoever knows the last one", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const box = boxOf(tenant);
  await runAlarm(box);
  await advanceClock(box, -HOUR);
  let arrived = 0;
  const mail = () =>
    `From: <ana@customer.example>\r\nTo: ${box.mailbox.address}\r\nMessage-ID: <${arrived++}@customer.example>\r\n\r\nhello\r\n`;
  const take = async (count: number) => {
    for (let i = 0; i < count; i++)
      expect(await arrive(box.mailbox.address, mail(), { from: "ana@customer.example" })).toBeNull();
    await inObject(box, (object) => object.settled());
  };
  await take(20);
  const all = await pageOf(tenant, "limit=100");
  const newest = all.entries[0]?.seq ?? 0;
  expect(newest).toBeGreaterThanOrEqual(20);
  expect(seqs(all)).toEqual(down(newest, newest + 1));
  expect(new Set(all.entries.slice(0, 20).map(({ at }) => at)).size).toBe(1);
  const paged: number[] = [];
  for (let cursor = ""; ; ) {
    const page = await pageOf(tenant, `limit=7${cursor}`);
    paged.push(...seqs(page));
    if (page.cursor === null) break;
    cursor = `&cursor=${page.cursor}`;
  }
  expect(paged).toEqual(seqs(all));
  // A poller reads until it meets the id that it knows.
  const known = all.entries[0]?.id;
  await take(10);
  const later = await pageOf(tenant, "limit=100");
  const fresh = later.entries.slice(
    0,
    later.entries.findIndex(({ id }) => id === known),
  );
  const size = (later.entries[0]?.seq ?? 0) + 1;
  expect(fresh.map(({ seq }) => seq)).toEqual(down(size - 1, size - 1 - newest));
});

test("entries of one millisecond are in their order", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const box = boxOf(tenant);
  const still = Date.now() + 1_000;
  await inObject(box, (object) => {
    object.clock = () => still;
  });
  for (let i = 0; i < 12; i++) unwrap(await box.stub.list(box.agent, EVERYTHING));
  await inObject(box, (object) => object.settled());
  const listed = await pageOf(tenant, "action=inbox.listed&limit=100");
  expect(listed.entries).toHaveLength(12);
  expect(seqs(listed)).toEqual(down(listed.entries[0]?.seq ?? 0, 12));
});

const AHEAD = 3_650 * DAY;

/** In how long they are due at the latest. */
const TIMERS: [kind: string, within: number][] = [
  ["segment", DAY],
  ["retain", DAY],
  ["reconcile", DAY],
  ["checkpoint", HOUR / 6],
];

const dueOf = (world: LogWorld, kind: string) =>
  world.sql.exec<{ due: number }>("SELECT due FROM timers WHERE kind = ?", kind).toArray()[0]?.due ?? null;

/** The account wants this, as if the operator had allowed it. */
async function keepFor(world: LogWorld, audit_retention_days: number): Promise<void> {
  const { admin, mailbox } = world.box;
  const tenant = env.TENANT.getByName(mailbox.tenant_id);
  const asked = unwrap(await tenant.updateAccount(admin, { audit_retention_days }, null));
  const words = "needs_approval" in asked ? asked.needs_approval.change : null;
  expect(unwrap(await tenant.updateAccount(admin, { audit_retention_days }, words))).toHaveProperty("account");
}

test("a clock that was ten years ahead puts nothing off: sealing, checkpoints and what is daily go by the object's own present", () =>
  LogWorld.run(async (world) => {
    const start = world.now;
    world.fill(3);
    await world.passTime(2 * DAY);
    expect(world.segments()).toHaveLength(1);
    world.now += AHEAD;
    // Everything is due, and set for a day after.
    await world.passTime(HOUR);
    world.fill(3);
    world.now = start + 3 * DAY;
    world.wakeAt = null;
    world.fill(2);
    for (const [kind, within] of TIMERS) expect(dueOf(world, kind), kind).toBeLessThanOrEqual(world.now + within);
    const size = world.size();
    await world.passTime(DAY + HOUR);
    expect(world.segments().at(-1)).toMatchObject({ last: size - 1, stored: 1 });
    const { newest } = world.sql.exec<{ newest: number }>("SELECT max(size) AS newest FROM checkpoints").one();
    expect(newest).toBeGreaterThanOrEqual(size);
    // From here on a segment a day, and none while nothing is new.
    for (let day = 0; day < 3; day++) {
      world.fill(2);
      world.fill(2);
      await world.passTime(DAY);
    }
    await world.passTime(2 * DAY);
    const { length } = world.segments();
    expect(length).toBeGreaterThanOrEqual(4);
    expect(length).toBeLessThanOrEqual(6);
    expect(Number(world.segments().at(-1)?.last)).toBe(world.size() - 1);
    await world.passTime(3 * DAY);
    expect(world.segments()).toHaveLength(length);
    await world.check();
  }));

test("what was full while the clock was ahead is sealed at once, and what is left of it with the day", () =>
  LogWorld.run(async (world) => {
    const start = world.now;
    world.now += AHEAD;
    world.fill(2, 0);
    world.now = start;
    world.wakeAt = null;
    world.fill(1_050 - world.size(), 0);
    await world.passTime(HOUR);
    expect(world.segments().map(({ first, last }) => [first, last])).toEqual([[0, 999]]);
    await world.passTime(DAY);
    expect(world.segments().at(-1)).toMatchObject({ first: 1_000, last: 1_049, stored: 1 });
    await world.check();
  }));

test("entries whose time is still to come are kept as long as the account wants, and no longer", () =>
  LogWorld.run(async (world) => {
    await keepFor(world, 30);
    const start = world.now;
    world.now += AHEAD;
    world.fill(3);
    // Sealed while the clock was ahead; what comes after it says how old they are.
    await world.passTime(DAY + HOUR);
    expect(world.segments().length).toBeGreaterThan(0);
    world.now = start + 2 * DAY;
    world.wakeAt = null;
    world.fill(3);
    await world.passTime(2 * DAY);
    const segments = world.segments();
    const floor = () => world.sql.exec<{ floor: number }>("SELECT floor FROM keeping").one().floor;
    await world.passTime(27 * DAY);
    expect(floor()).toBe(0);
    await world.passTime(4 * DAY);
    expect(floor()).toBe(Number(segments.at(-1)?.last) + 1);
    await world.check();
    expect(
      (await env.DB.prepare("SELECT floor FROM audit_floors WHERE log = ?").bind(world.log).first("floor")) ?? 0,
    ).toBe(floor());
  }));

test("a clock that was behind when entries were sealed lets none of them go early", () =>
  LogWorld.run(async (world) => {
    await keepFor(world, 30);
    const start = world.now;
    world.fill(3);
    world.now -= 400 * DAY;
    world.wakeAt = null;
    world.fill(2);
    await world.passTime(2 * DAY);
    expect(world.segments().length).toBeGreaterThan(0);
    world.now = start + 3 * DAY;
    world.wakeAt = world.now;
    world.fill(1);
    await world.passTime(20 * DAY);
    expect(world.sql.exec<{ floor: number }>("SELECT floor FROM keeping").one().floor).toBe(0);
    await world.check();
  }));
