import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { readTrust } from "../../src/audit/trust.ts";
import { ExportVerifier } from "../../src/audit/verify-export.ts";
import { FATES, type Fate } from "../support/failing-stores.ts";
import { DAY, HOUR, LogWorld } from "../support/log-world.ts";

/** Sealing the log into R2: 1,000 entries or what a day brought, the very same bytes however often it is begun. */

describe("a log is sealed", () => {
  test("at every 1,000 entries at once, and what is left after a day; nothing while nothing is new", () =>
    LogWorld.run(async (world) => {
      world.fill(2_100 - world.size(), 10);
      await world.passTime(HOUR);
      expect(world.segments().map(({ first, last, stored }) => [first, last, stored])).toEqual([
        [0, 999, 1],
        [1000, 1999, 1],
      ]);
      await world.passTime(2 * DAY);
      const size = world.size();
      expect(world.segments().at(-1)).toMatchObject({ first: 2000, stored: 1 });
      // Sealing writes no entry: there would be something new for ever.
      expect(size).toBe(2_100);
      world.now += 30 * DAY;
      await world.passTime(3 * DAY);
      expect(world.segments()).toHaveLength(3);
      expect(world.size()).toBe(size);
      expect(await world.keys()).toEqual(world.segments().map(({ first, last }) => world.keyOf(first, last)));
      await world.check();
    }));

  test("with a row in D1 that says where each segment lies and what it holds", () =>
    LogWorld.run(async (world) => {
      world.fill(10);
      await world.passTime(2 * DAY);
      const { results } = await env.DB.prepare("SELECT * FROM audit_segments WHERE log = ?").bind(world.log).all();
      const [segment] = world.segments();
      const [first, last] = [world.own()[0], world.own()[Number(segment?.last)]];
      expect(results).toEqual([
        {
          log: world.log,
          tenant_id: world.box.mailbox.tenant_id,
          first: 0,
          last: segment?.last,
          entries: Number(segment?.last) + 1,
          r2_key: world.keyOf(0, Number(segment?.last)),
          sha256: segment?.sha256,
          first_at: JSON.parse(first?.entry ?? "").at,
          last_at: JSON.parse(last?.entry ?? "").at,
          sealed_at: expect.any(String),
        },
      ]);
    }));

  test("so that its segments, one after the other, are an export that anyone can check, and the first is one by itself", () =>
    LogWorld.run(async (world) => {
      for (let day = 0; day < 3; day++) {
        world.fill(4);
        await world.passTime(DAY);
      }
      await world.passTime(DAY);
      const found = await world.object.verifierKey(world.log);
      const trust = readTrust({ keys: found?.verifier_key ?? "", log: world.log });
      const lines = await Promise.all(
        (await world.keys()).map(async (key) =>
          Buffer.from(await world.bytesOf(key))
            .toString("utf8")
            .split("\n"),
        ),
      );
      expect(lines.length).toBeGreaterThan(2);
      const entries = lines.flatMap((each) => each.slice(0, -2));
      const texts = [lines[0]?.join("\n"), `${[...entries, lines.at(-1)?.at(-2)].join("\n")}\n`];
      const verdicts = texts.map((text) => {
        const verifier = new ExportVerifier(trust);
        verifier.write(Buffer.from(text ?? ""));
        return verifier.end();
      });
      const [first] = world.segments();
      expect(verdicts).toMatchObject([
        { ok: true, size: Number(first?.last) + 1 },
        { ok: true, size: entries.length, first: 0 },
      ]);
    }));

  test("with nothing personal in what R2 holds", () =>
    LogWorld.run(async (world) => {
      await world.passTime(2 * DAY);
      const [key = ""] = await world.keys();
      const text = Buffer.from(await world.bytesOf(key)).toString("utf8");
      expect(text).toContain('"sealed"');
      for (const secret of ["people.example", world.box.mailbox.address, "personal"])
        expect(text).not.toContain(secret);
    }));

  test("in smaller segments where entries are long, so that each fits in memory", () =>
    LogWorld.run(async (world) => {
      const wordy = "x".repeat(1_400_000);
      for (let i = 0; i < 7; i++) {
        world.object.commit(() =>
          world.object.record({
            actor: { type: "system", id: "test", via: "system" },
            action: "store.swept",
            detail: { removed: wordy as unknown as number },
          }),
        );
      }
      await world.passTime(2 * DAY);
      const lengths = world.segments().map(({ first, last }) => last - first + 1);
      expect(lengths.length).toBeGreaterThan(1);
      expect(Math.max(...lengths)).toBeLessThan(8);
      await world.check();
    }));
});

/** The calls that one segment takes, in order; reads of D1 and R2 among them. */
const STEPS = ["R2 put", "D1 SELECT last + 1", "D1 INSERT INTO audit_segments", "D1 SELECT first, last"];

describe("interrupted at any step, before or after it took effect, a segment becomes the very same bytes", () => {
  const cases = STEPS.flatMap((step) =>
    FATES.filter((fate) => fate !== "served").map((fate): [string, Fate] => [step, fate]),
  );
  test.each(cases)("%s: %s", (step, fate) =>
    LogWorld.run(async (world) => {
      world.fill(20);
      let met = 0;
      world.stores.fates = (call) => {
        if (!call.startsWith(step)) return "served";
        met += 1;
        return met === 1 ? fate : "served";
      };
      await world.passTime(DAY + HOUR);
      const [planned] = world.segments();
      expect(planned).toBeDefined();
      // What comes in between changes nothing of a segment that was planned.
      world.fill(5);
      await world.passTime(8 * HOUR);
      expect(met).toBeGreaterThan(1);
      expect(world.segments()[0]).toEqual({ ...planned, stored: 1 });
      // None of it is left to the reconciler.
      for (const action of ["log.fault", "log.repaired"]) expect(world.entriesOf(action)).toEqual([]);
      await world.check();
    }),
  );

  test("and with every step failing now and then for days", () =>
    LogWorld.run(async (world) => {
      let turn = 0;
      world.stores.fates = (call) => {
        if (!STEPS.some((step) => call.startsWith(step))) return "served";
        turn += 1;
        return FATES[turn % FATES.length] ?? "served";
      };
      for (let day = 0; day < 5; day++) {
        world.fill(7);
        await world.passTime(DAY);
      }
      world.stores.fates = () => "served";
      await world.passTime(2 * DAY);
      expect(world.restarts).toBeGreaterThan(3);
      expect(world.segments().every(({ stored }) => stored === 1)).toBe(true);
      expect(world.segments().at(-1)?.last).toBe(world.size() - 1);
      await world.check();
    }));
});

describe("a key in R2 is never written again", () => {
  test("other bytes that lie there already are a fault: recorded once, sealing stops, the log goes on", () =>
    LogWorld.run(async (world) => {
      world.fill(10);
      const size = world.size();
      await env.STORE.put(world.keyOf(0, size - 1), "somebody was here first");
      await world.passTime(DAY + HOUR);
      expect(Buffer.from(await world.bytesOf(world.keyOf(0, size - 1))).toString()).toBe("somebody was here first");
      expect(world.entriesOf("log.fault").map(({ detail }) => detail)).toEqual([{ what: "segment_differs", entry: 0 }]);
      expect(world.segments()).toMatchObject([{ first: 0, last: size - 1, stored: 0 }]);
      world.fill(10);
      await world.passTime(10 * DAY);
      expect(world.entriesOf("log.fault")).toHaveLength(1);
      expect(world.segments()).toHaveLength(1);
      // D1 goes on having everything.
      expect((await world.rows()).length).toBe(world.size());
      // Somebody takes it away: the reconciler finds that, and sealing goes on with the very segment.
      const [planned] = world.segments();
      await env.STORE.delete(world.keyOf(0, size - 1));
      await world.passTime(3 * DAY);
      expect(world.segments()[0]).toEqual({ ...planned, stored: 1 });
      expect(world.entriesOf("log.fault_gone")).toHaveLength(1);
      expect(world.segments().length).toBeGreaterThan(1);
      await world.check();
    }));

  test("a row in D1 that somebody made up in the segment's place is one, too", () =>
    LogWorld.run(async (world) => {
      world.fill(10);
      const { tenant_id } = world.box.mailbox;
      await env.DB.prepare("INSERT INTO audit_segments VALUES (?, 0, 4, ?, ?, ?, 5, '2026', '2026', '2026')")
        .bind(world.log, tenant_id, world.keyOf(0, 4), "a".repeat(64))
        .run();
      await world.passTime(DAY + HOUR);
      const faults = world.entriesOf("log.fault").map(({ detail }) => detail);
      expect(faults).toEqual([{ what: "segment_row_differs", entry: 0 }]);
      expect(world.segments()[0]).toMatchObject({ stored: 0 });
    }));
});
