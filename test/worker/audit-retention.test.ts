import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { treeNodes } from "../../durable-objects/ledger/tree.ts";
import { verifyInclusion } from "../../src/audit/merkle-proof.ts";
import { inclusionProof, rootOf } from "../../src/audit/merkle-tree.ts";
import { unwrap } from "../../src/errors.ts";
import { EntriesMissing, readEntries } from "../../src/store/audit-entries.ts";
import { FATES, type Fate } from "../support/failing-stores.ts";
import { DAY, HOUR, LogWorld } from "../support/log-world.ts";

/** Entries leave the object and D1 once they are older than the account keeps them and R2 holds them; the log stays provable. */

/** The account wants this, as if the operator had allowed it. */
async function keepFor(world: LogWorld, change: { audit_retention_days?: number | null; legal_hold?: boolean }) {
  const { admin, mailbox } = world.box;
  const tenant = env.TENANT.getByName(mailbox.tenant_id);
  const asked = unwrap(await tenant.updateAccount(admin, change, null));
  const words = "needs_approval" in asked ? asked.needs_approval.change : null;
  expect(unwrap(await tenant.updateAccount(admin, change, words))).toHaveProperty("account");
}

/** A log with a segment for each of some days. */
async function daysOf(world: LogWorld, days: number): Promise<void> {
  for (let day = 0; day < days; day++) {
    world.fill(5);
    await world.passTime(DAY);
  }
  await world.passTime(2 * DAY);
}

const floorOf = (world: LogWorld) => world.own()[0]?.seq ?? 0;

describe("entries older than the account's period", () => {
  test("never leave where the account says nothing", () =>
    LogWorld.run(async (world) => {
      await daysOf(world, 3);
      world.now += 400 * DAY;
      await world.passTime(3 * DAY);
      expect(floorOf(world)).toBe(0);
      expect((await world.rows()).length).toBe(world.size());
    }));

  test("leave the object and D1 segment by segment, each day what has become old, and are still read and proved", () =>
    LogWorld.run(async (world) => {
      await keepFor(world, { audit_retention_days: 30 });
      await daysOf(world, 8);
      const whole = await world.check();
      expect(floorOf(world)).toBe(0);
      world.now += 20 * DAY;
      await world.passTime(4 * DAY);
      const floor = floorOf(world);
      expect(floor).toBeGreaterThan(0);
      expect(world.segments().some(({ first }) => first === floor)).toBe(true);
      expect((await world.rows())[0]?.seq).toBe(floor);
      // Nothing that is younger has left.
      const oldest = Date.parse((JSON.parse(world.own()[0]?.entry ?? "") as { at: string }).at);
      expect(world.now - oldest).toBeLessThan(31 * DAY);
      world.now += 50 * DAY;
      await world.passTime(4 * DAY);
      const [dropped] = world.entriesOf("log.dropped").slice(-1);
      expect(dropped?.detail).toMatchObject({
        retention_days: 30,
        first: expect.any(Number),
        last: expect.any(Number),
      });
      // Everything is still there to be read, from D1 or R2, and the tree still proves each entry.
      const all = await world.check();
      expect(all.slice(0, whole.length)).toEqual(whole);
      const nodes = treeNodes(world.sql);
      const size = world.size();
      for (const seq of [0, 1, floor - 1, floor, size - 1]) {
        expect(
          verifyInclusion({
            seq,
            size,
            leafHash: nodes.get(0, seq),
            root: rootOf(size, nodes),
            proof: inclusionProof(seq, size, nodes),
          }),
        ).toBe(true);
      }
    }));

  test("leave room for what goes on: the chain continues where it was", () =>
    LogWorld.run(async (world) => {
      await keepFor(world, { audit_retention_days: 30 });
      await daysOf(world, 3);
      for (let month = 0; month < 4; month++) {
        world.now += 29 * DAY;
        await world.passTime(2 * DAY);
      }
      const size = world.size();
      world.fill(3);
      expect(world.size()).toBe(size + 3);
      await world.passTime(DAY);
      await world.check();
      // An idle log comes to rest: what is new is an entry a month that says so.
      expect(world.entriesOf("log.dropped").length).toBeLessThan(6);
    }));

  test.each([
    ["the account", (world: LogWorld) => keepFor(world, { legal_hold: true })],
    [
      "the mailbox",
      (world: LogWorld) =>
        world.object.commit(() => world.object.saveSettings({ ...world.object.settings(), legal_hold: true })),
    ],
  ])("stay while a legal hold is on %s", (_whose, hold) =>
    LogWorld.run(async (world) => {
      await keepFor(world, { audit_retention_days: 30 });
      await hold(world);
      await daysOf(world, 3);
      await world.passTime(32 * DAY);
      expect(floorOf(world)).toBe(0);
      expect(world.entriesOf("log.dropped")).toEqual([]);
    }),
  );

  test("stay while R2 does not hold exactly what was sealed", () =>
    LogWorld.run(async (world) => {
      await keepFor(world, { audit_retention_days: 30 });
      await daysOf(world, 3);
      const [first] = world.segments();
      await env.STORE.put(world.keyOf(0, Number(first?.last)), "something else");
      await world.passTime(32 * DAY);
      expect(floorOf(world)).toBe(0);
      expect(world.entriesOf("log.fault").map(({ detail }) => detail)).toEqual([{ what: "segment_differs", entry: 0 }]);
    }));

  test("stay while D1 does not have them all", () =>
    LogWorld.run(async (world) => {
      await keepFor(world, { audit_retention_days: 30 });
      world.stores.fates = (call) => (call.startsWith("D1 batch INSERT INTO audit_log") ? "fails" : "served");
      await daysOf(world, 3);
      await world.passTime(40 * DAY);
      expect(floorOf(world)).toBe(0);
      world.stores.fates = () => "served";
      await world.passTime(3 * DAY);
      expect(floorOf(world)).toBeGreaterThan(0);
      await world.check();
    }));
});

const STEPS = ["R2 head", "D1 batch INSERT OR IGNORE INTO audit_floors", "D1 DELETE FROM audit_log"];

describe("interrupted at any step, before or after it took effect, nothing is lost and everything leaves in the end", () => {
  const cases = STEPS.flatMap((step) =>
    FATES.filter((fate) => fate !== "served").map((fate): [string, Fate] => [step, fate]),
  );
  test.each(cases)("%s: %s", (step, fate) =>
    LogWorld.run(async (world) => {
      await daysOf(world, 3);
      world.now += 30 * DAY;
      await world.passTime(HOUR);
      await keepFor(world, { audit_retention_days: 30 });
      let met = 0;
      world.stores.fates = (call) => {
        if (!call.startsWith(step)) return "served";
        met += 1;
        return met === 1 ? fate : "served";
      };
      await world.passTime(DAY);
      await world.check();
      await world.passTime(3 * DAY);
      expect(met).toBeGreaterThan(1);
      const last = world.segments().findLast(({ last }) => last < floorOf(world));
      expect(last).toBeDefined();
      expect((await world.rows())[0]?.seq).toBe(floorOf(world));
      // None of it is left to the reconciler.
      for (const action of ["log.fault", "log.repaired"]) expect(world.entriesOf(action)).toEqual([]);
      await world.check();
    }),
  );
});

test.each<[string, (key: string) => Promise<unknown>, string]>([
  ["R2 has lost", (key) => env.STORE.delete(key), "segment_lost"],
  [
    "somebody has changed",
    async (key) => {
      const text = (await (await env.STORE.get(key))?.text()) ?? "";
      await env.STORE.put(key, text.replace("store.swept", "store.clean"));
    },
    "segment_differs",
  ],
])("a range whose entries have left, and whose segment %s, is an error that names the entry", (_what, harm, fault) =>
  LogWorld.run(async (world) => {
    await keepFor(world, { audit_retention_days: 30 });
    await daysOf(world, 3);
    world.now += 57 * DAY;
    await world.passTime(3 * DAY);
    const [, second] = world.segments();
    await harm(world.keyOf(Number(second?.first), Number(second?.last)));
    const read: number[] = [];
    const reading = (async () => {
      for await (const { seq } of readEntries(env, { log: world.log, start: 0, end: world.size() })) read.push(seq);
    })();
    await expect(reading).rejects.toThrow(EntriesMissing);
    expect(read.at(-1)).toBe(Number(second?.first) - 1);
    await world.passTime(2 * DAY + HOUR);
    expect(world.entriesOf("log.fault").map(({ detail }) => detail)).toEqual([{ what: fault, entry: second?.first }]);
  }),
);

test("a part of what has left is read as the whole is, from anywhere to anywhere", () =>
  LogWorld.run(async (world) => {
    await keepFor(world, { audit_retention_days: 30 });
    await daysOf(world, 3);
    const before = world.own();
    world.now += 57 * DAY;
    await world.passTime(3 * DAY);
    expect(floorOf(world)).toBeGreaterThan(2);
    for (const [start, end] of [
      [0, 1],
      [1, 4],
      [floorOf(world) - 2, floorOf(world) + 1],
      [3, before.length],
      [5, 5],
    ] as const) {
      const read: string[] = [];
      const range = { log: world.log, start, end, keys: true };
      for await (const { text, wrapped } of readEntries(env, range)) {
        read.push(text);
        expect(wrapped !== null).toBe(text.includes('"sealed"'));
      }
      const all = world.own();
      expect(read).toEqual(
        [...Array(end - start).keys()].map(
          (i) => (before[start + i] ?? all.find(({ seq }) => seq === start + i))?.entry,
        ),
      );
    }
  }));
