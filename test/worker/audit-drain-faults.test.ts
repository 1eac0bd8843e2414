import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/audit/entry.ts";
import { FATES, type Fate } from "../support/failing-stores.ts";
import { HOUR, LogWorld } from "../support/log-world.ts";

/** The drain, whatever D1 does and however often the object is lost: every entry reaches D1 once, in order, and is what it was. */

const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);

/** Small and repeatable: mulberry32. @returns numbers in [0, 1). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** At any moment: D1 has a beginning of the log, without a gap, and the object never believes it has more than it has. */
async function checkBeginning(world: LogWorld): Promise<void> {
  const own = world.own();
  const rows = await world.rows();
  expect(rows).toEqual(own.slice(0, rows.length));
  const { drained } = world.sql.exec<{ drained: number }>("SELECT drained FROM ledger").one();
  expect(drained).toBeLessThanOrEqual(rows.length);
}

/** Timers that are due and done at once: nobody is to be asked about what is not there. */
function backlog(world: LogWorld, count: number): void {
  world.object.commit(() => {
    for (let i = 0; i < count; i++) world.object.schedule("index", `em_none_${i}`, world.now);
  });
}

type Play = (world: LogWorld, random: () => number) => Promise<void> | void;

/** What happens in a story. */
const PLAYS: readonly Play[] = [
  (world, random) => world.fill(Math.ceil(random() * 40), 1_000),
  (world) => world.passTime(HOUR / 60),
  (world, random) => world.passTime(random() * 6 * HOUR),
  (world) => world.restart(),
  (world) => world.alarm(),
  // Two at once, as an alarm and an export ask for it.
  async (world) => {
    if (!(await world.stores.survives(Promise.all([world.object.drain(), world.object.drain()])))) world.restart();
  },
  (world) => backlog(world, 100),
  (world, random) => {
    world.now -= Math.floor(random() * 12 * HOUR);
  },
  // A commit of D1 that nobody noted: what was drained comes again.
  (world, random) => {
    world.sql.exec("UPDATE ledger SET drained = max(0, drained - ?)", Math.floor(random() * 30));
  },
];

describe("every entry arrives once and in order", () => {
  test.each(SEEDS)("seed %i", (seed) =>
    LogWorld.run(async (world) => {
      console.info(`audit drain faults: seed ${seed}`);
      const random = randomFrom(seed);
      let away = false;
      world.stores.fates = (call): Fate => {
        if (!call.startsWith("D1 ")) return "served";
        // D1 stays away for a while, or comes back.
        if (random() < 0.15) away = !away;
        if (away) return random() < 0.5 ? "fails" : "fails_having_worked";
        return random() < 0.4 ? (FATES[Math.floor(random() * FATES.length)] ?? "served") : "served";
      };
      for (let turn = 0; turn < 25; turn++) {
        const play = PLAYS[Math.floor(random() * PLAYS.length)];
        await play?.(world, random);
        await checkBeginning(world);
      }
      world.fill(5);
      world.stores.fates = () => "served";
      await world.passTime(9 * HOUR);
      const own = world.own();
      expect(await world.rows()).toEqual(own);
      expect(own.map(({ seq }) => seq)).toEqual(own.map((_, index) => index));
      const times = own.map(({ entry }) => (JSON.parse(entry) as Entry).at);
      expect(times).toEqual([...times].sort());
      await world.check();
    }),
  );
});

test("D1 is away for hours while the alarm has a full backlog: nothing is lost, and nothing waits longer than it must", () =>
  LogWorld.run(async (world) => {
    const before = await world.rows();
    world.stores.fates = (call) => (call.startsWith("D1 ") ? "fails" : "served");
    for (let hour = 0; hour < 12; hour++) {
      world.fill(30, 1_000);
      backlog(world, 300);
      await world.passTime(HOUR);
    }
    const tried = world.stores.calls.filter((call) => call.startsWith("D1 batch INSERT INTO audit_log")).length;
    // It backs off: an alarm every quarter of a second would be a bill.
    expect(tried).toBeLessThan(40);
    expect(await world.rows()).toEqual(before);
    world.stores.fates = () => "served";
    await world.passTime(4 * HOUR);
    expect(await world.rows()).toEqual(world.own());
    await world.check();
  }));

test("a batch that D1 takes and never answers does not hold the drain for ever, and comes once", async () => {
  await LogWorld.run(async (world) => {
    world.fill(20);
    let met = 0;
    world.stores.fates = (call) => {
      if (!call.startsWith("D1 batch INSERT INTO audit_log")) return "served";
      met += 1;
      return met === 1 ? "lost_having_worked" : "served";
    };
    await world.alarm();
    expect(world.restarts).toBe(1);
    await world.passTime(HOUR);
    expect(await world.rows()).toEqual(world.own());
    await world.check();
  });
});
