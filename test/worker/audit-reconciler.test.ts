import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { ReconcileAnswer } from "../../durable-objects/log-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { FATES } from "../support/failing-stores.ts";
import { DAY, LogWorld } from "../support/log-world.ts";

/** Object, D1 and R2 are compared: what is missing comes back from the object, what differs is a fault that is recorded once. */

/** A log of which some segments are sealed, and some entries are not. */
async function keptLog(world: LogWorld): Promise<void> {
  for (let day = 0; day < 2; day++) {
    world.fill(6);
    await world.passTime(DAY);
  }
  await world.passTime(2 * DAY);
  world.fill(4);
  await world.alarm();
}

/** A whole round, step by step. */
async function reconcile(world: LogWorld): Promise<Omit<ReconcileAnswer, "log" | "cursor">> {
  const whole: ReconcileAnswer["repaired"] = [];
  const faults: ReconcileAnswer["faults"] = [];
  const checked = { entries: 0, segments: 0, erased_keys: 0 };
  let cursor: string | null = null;
  do {
    const step: ReconcileAnswer = unwrap(await world.object.reconcile(world.box.admin, cursor));
    whole.push(...step.repaired);
    faults.push(...step.faults);
    for (const kind of ["entries", "segments", "erased_keys"] as const) checked[kind] += step.checked[kind];
    cursor = step.cursor;
  } while (cursor !== null);
  return { checked, repaired: whole, faults };
}

describe("what is missing comes back", () => {
  test("nothing is, and nothing is written", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const size = world.size();
      const { checked, repaired, faults } = await reconcile(world);
      expect({ repaired, faults }).toEqual({ repaired: [], faults: [] });
      expect(checked).toEqual({ entries: size, segments: world.segments().length, erased_keys: 0 });
      expect(world.size()).toBe(size);
    }));

  test.each<[string, string[], (world: LogWorld) => object[]]>([
    [
      "entries in the middle",
      [
        "DELETE FROM audit_log WHERE log = ? AND seq BETWEEN 3 AND 5",
        "DELETE FROM audit_log WHERE log = ? AND seq = 8",
      ],
      () => [
        { what: "entries", first: 3, last: 5, count: 3 },
        { what: "entries", first: 8, last: 8, count: 1 },
      ],
    ],
    [
      "the end, as a restored backup loses it",
      ["DELETE FROM audit_log WHERE log = ? AND seq >= 2"],
      (world) => [{ what: "entries", first: 2, last: world.size() - 1, count: world.size() - 2 }],
    ],
    [
      "everything",
      ["DELETE FROM audit_log WHERE log = ?"],
      (world) => [{ what: "entries", first: 0, count: world.size() }],
    ],
  ])("of D1's entries: %s", (_what, statements, repaired) =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const before = await world.rows();
      const expected = repaired(world);
      await world.tamper("audit_log", ...statements);
      expect((await reconcile(world)).repaired).toMatchObject(expected);
      expect(await world.rows()).toEqual(before);
      expect(world.entriesOf("log.repaired")).toHaveLength(1);
      expect(await reconcile(world)).toMatchObject({ repaired: [], faults: [] });
      await world.alarm();
      await world.check();
    }),
  );

  test("of data keys, by which sealed fields are read", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const sealed = world.own().filter(({ entry }) => entry.includes('"sealed"'));
      expect(sealed.length).toBeGreaterThan(0);
      const kids = sealed.map(({ entry }) => JSON.parse(entry).sealed.kid as string);
      for (const kid of kids) await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(kid).run();
      await reconcile(world);
      for (const kid of kids) {
        expect(await env.DB.prepare("SELECT 1 FROM data_keys WHERE kid = ?").bind(kid).first()).not.toBeNull();
      }
    }));

  test("of segments in R2, whose bytes are the same again, and of their rows in D1", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const keys = await world.keys();
      expect(keys.length).toBeGreaterThan(1);
      await env.STORE.delete(keys);
      await world.tamper("audit_segments", "DELETE FROM audit_segments WHERE log = ?");
      const { repaired, faults } = await reconcile(world);
      expect(faults).toEqual([]);
      expect(new Set(repaired.map(({ what }) => what))).toEqual(new Set(["segments", "segment_rows"]));
      expect(await world.keys()).toEqual(keys);
      await world.check();
      expect(await reconcile(world)).toMatchObject({ repaired: [], faults: [] });
    }));

  test("by itself, within a day, all of it at once", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const before = await world.rows();
      await world.tamper("audit_log", "DELETE FROM audit_log WHERE log = ? AND seq >= 1");
      await world.passTime(DAY + 60_000);
      expect((await world.rows()).slice(0, before.length)).toEqual(before);
      await world.check();
    }));
});

describe("a D1 that was restored from before", () => {
  test("lets go again of what had left it, and gets back what it lacks", () =>
    LogWorld.run(async (world) => {
      const { admin, mailbox } = world.box;
      await keptLog(world);
      const backup = await world.rows();
      const tenant = env.TENANT.getByName(mailbox.tenant_id);
      const change = { audit_retention_days: 30 };
      const asked = unwrap(await tenant.updateAccount(admin, change, null));
      if (!("needs_approval" in asked)) throw new Error("nobody was asked");
      unwrap(await tenant.updateAccount(admin, change, asked.needs_approval.change));
      await world.passTime(40 * DAY);
      const floor = world.own()[0]?.seq ?? 0;
      expect(floor).toBeGreaterThan(0);
      await world.tamper("audit_floors", "DELETE FROM audit_floors WHERE log = ?");
      await world.tamper("audit_segments", "DELETE FROM audit_segments WHERE log = ?");
      await world.tamper("audit_log", "DELETE FROM audit_log WHERE log = ?");
      for (const { seq, hash, entry } of backup) {
        await env.DB.prepare(
          "INSERT INTO audit_log (log, seq, id, tenant_id, at, action, hash, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
          .bind(world.log, seq, JSON.parse(entry).id, mailbox.tenant_id, JSON.parse(entry).at, "x", hash, entry)
          .run();
      }
      const { repaired } = await reconcile(world);
      expect(new Set(repaired.map(({ what }) => what))).toEqual(
        new Set(["segment_rows", "dropped_entries", "entries"]),
      );
      expect((await world.rows())[0]?.seq).toBe(floor);
      await world.alarm();
      await world.check();
    }));

  test("forgets again which data keys were destroyed", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const { tenant_id } = world.box.mailbox;
      world.sql.exec("INSERT INTO erased_keys (kid, in_d1) VALUES ('aud_gone', 0)");
      await env.DB.prepare("INSERT INTO data_keys (kid, tenant_id, wrapped) VALUES ('aud_gone', ?, '{}')")
        .bind(tenant_id)
        .run();
      expect((await reconcile(world)).repaired).toEqual([{ what: "erased_keys", first: null, last: null, count: 1 }]);
      await world.alarm();
      expect(await env.DB.prepare("SELECT 1 FROM data_keys WHERE kid = 'aud_gone'").first()).toBeNull();
    }));
});

describe("what differs is a fault, recorded once, and is not made worse", () => {
  const FAULTS: [string, string, string[], object[]][] = [
    [
      "another hash",
      "audit_log",
      ["UPDATE audit_log SET hash = 'x' WHERE log = ? AND seq = 2"],
      [{ what: "entry_differs", seq: 2 }],
    ],
    [
      "another text",
      "audit_log",
      ["UPDATE audit_log SET entry = replace(entry, 'system', 'nobody') WHERE log = ? AND seq = 2"],
      [{ what: "entry_differs", seq: 2 }],
    ],
    [
      "a column that hides an entry from a filter",
      "audit_log",
      ["UPDATE audit_log SET action = 'x', agent_id = 'somebody' WHERE log = ? AND seq = 2"],
      [{ what: "entry_differs", seq: 2 }],
    ],
    [
      "another tenant's entry",
      "audit_log",
      ["UPDATE audit_log SET tenant_id = 'ten_other' WHERE log = ? AND seq = 2"],
      [{ what: "entry_differs", seq: 2 }],
    ],
    [
      "an entry that was never written",
      "audit_log",
      [
        "INSERT INTO audit_log SELECT log, 100000, id, tenant_id, at, action, mailbox_id, email_id, agent_id, key_id, domain, hash, entry FROM audit_log WHERE log = ? AND seq = 2",
      ],
      [{ what: "entry_foreign", seq: 100_000 }],
    ],
    [
      "another row of a segment",
      "audit_segments",
      [
        "UPDATE audit_segments SET sha256 = replace(sha256, substr(sha256, 1, 1), 'f') || '' WHERE log = ? AND first = 0",
        "UPDATE audit_segments SET sealed_at = 'x' WHERE log = ? AND first = 0",
      ],
      [{ what: "segment_row_differs", seq: 0 }],
    ],
    [
      "a floor that nobody raised",
      "audit_floors",
      ["INSERT INTO audit_floors SELECT log, tenant_id, 1 FROM audit_log WHERE log = ? AND seq = 0"],
      [{ what: "floor_differs", seq: 1 }],
    ],
  ];

  test.each(FAULTS)("in D1: %s", (_what, table, statements, faults) =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      await world.tamper(table, ...statements);
      expect((await reconcile(world)).faults).toEqual(faults);
      expect((await reconcile(world)).faults).toEqual(faults);
      await world.passTime(5 * DAY);
      expect(world.entriesOf("log.fault").map(({ detail }) => ({ what: detail.what, seq: detail.entry }))).toEqual(
        faults,
      );
    }),
  );

  test("a floor that was faked, with what D1 then lost: D1 does not take it back, and both are said", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const [segment] = world.segments();
      const end = Number(segment?.last) + 1;
      // All of this is allowed by the triggers: they are the seat belt, the object is the authority.
      await env.DB.batch([
        env.DB.prepare("INSERT INTO audit_floors VALUES (?, ?, 0)").bind(world.log, world.box.mailbox.tenant_id),
        env.DB.prepare("UPDATE audit_floors SET floor = ? WHERE log = ?").bind(end, world.log),
        env.DB.prepare("DELETE FROM audit_log WHERE log = ? AND seq < ?").bind(world.log, end),
      ]);
      const { faults, repaired } = await reconcile(world);
      expect(repaired).toEqual([]);
      expect(faults).toEqual([
        { what: "floor_differs", seq: end },
        { what: "entry_missing", seq: 0 },
      ]);
      // Nothing is lost: the segment has it.
      await world.check();
    }));

  test("a made-up segment after the last one", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const next = Number(world.segments().at(-1)?.last) + 1;
      await env.DB.prepare("INSERT INTO audit_segments VALUES (?, ?, ?, ?, ?, ?, 1, '2026', '2026', '2026')")
        .bind(world.log, next, next, world.box.mailbox.tenant_id, world.keyOf(next, next), "a".repeat(64))
        .run();
      expect((await reconcile(world)).faults).toEqual([{ what: "segment_row_foreign", seq: next }]);
    }));

  test("other bytes in R2, of the same length too; and when they are put right, that is recorded as well", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const [segment] = world.segments();
      const key = world.keyOf(0, Number(segment?.last));
      const bytes = await world.bytesOf(key);
      const changed = Buffer.from(Buffer.from(bytes).toString("utf8").replace("store.swept", "store.clean"));
      await env.STORE.put(key, changed);
      expect((await reconcile(world)).faults).toEqual([{ what: "segment_differs", seq: 0 }]);
      await env.STORE.put(key, bytes);
      expect((await reconcile(world)).faults).toEqual([]);
      expect(world.entriesOf("log.fault_gone").map(({ detail }) => detail)).toEqual([
        { what: "segment_differs", entry: 0 },
      ]);
    }));

  test("a D1 that is wrong throughout does not fill the log", () =>
    LogWorld.run(async (world) => {
      world.fill(400, 10);
      await world.alarm();
      await world.tamper("audit_log", "UPDATE audit_log SET hash = 'x' WHERE log = ?");
      const { faults } = await reconcile(world);
      expect(faults.length).toBeGreaterThan(400);
      expect(world.entriesOf("log.fault")).toHaveLength(100);
    }));
});

describe("a round", () => {
  test("goes on from any cursor that it gave, and none other does harm", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      for (const cursor of [
        "",
        "entries",
        "entries.-1",
        "entries.1e9",
        "keys.a",
        "erased_keys.'",
        "segments.9999999999999999",
      ]) {
        const answer = await world.object.reconcile(world.box.admin, cursor);
        expect(answer).toMatchObject({ ok: false, refusal: { code: "invalid_input" } });
      }
      for (const cursor of ["entries.999999", "segments.5", "erased_keys.zzz", "floor."]) {
        expect(unwrap(await world.object.reconcile(world.box.admin, cursor))).toMatchObject({
          repaired: [],
          cursor: null,
        });
      }
    }));

  test("that breaks off anywhere is taken up again, and repeats no harm", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const before = await world.rows();
      const keys = await world.keys();
      await world.tamper("audit_log", "DELETE FROM audit_log WHERE log = ? AND seq >= 4");
      await env.STORE.delete(keys.slice(1));
      let turn = 0;
      world.stores.fates = () => {
        turn += 1;
        return turn % 4 === 0 ? (FATES[(turn / 4) % FATES.length] ?? "served") : "served";
      };
      await world.passTime(4 * DAY);
      world.stores.fates = () => "served";
      await world.passTime(2 * DAY);
      expect(world.restarts).toBeGreaterThan(2);
      expect((await world.rows()).slice(0, before.length)).toEqual(before);
      expect((await world.keys()).slice(0, keys.length)).toEqual(keys);
      expect(world.entriesOf("log.fault")).toEqual([]);
      await world.check();
    }));

  test("is an administrator's of that tenant", () =>
    LogWorld.run(async (world) => {
      const { agent, stranger } = world.box;
      expect(await world.object.reconcile(agent, null)).toMatchObject({
        ok: false,
        refusal: { code: "missing_scope" },
      });
      expect(await world.object.reconcile(stranger, null)).toMatchObject({ ok: false, refusal: { code: "not_found" } });
    }));
});
