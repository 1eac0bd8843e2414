import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { ReconcileAnswer } from "../../durable-objects/log-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { deriveKeys, open, type Sealed, seal } from "../../src/store/secrets.ts";
import { FATES } from "../support/failing-stores.ts";
import { DAY, LogWorld } from "../support/log-world.ts";

/** Object, D1 and R2 are compared: what is missing comes back from the object, what differs is a fault that is recorded once. */

/** Entries that each have a data key of their own. */
function addSealed(world: LogWorld, count: number): void {
  const actor = { type: "system", id: "test", via: "system" } as const;
  const entry = { actor, action: "inbox.listed", detail: { results: 0 }, personal: { q: "Ana" } } as const;
  world.object.commit(() => {
    for (let n = 0; n < count; n++) world.object.record(entry);
  });
}

interface Key extends Record<string, SqlStorageValue> {
  kid: string;
  wrapped: string;
}

function ownKeys(world: LogWorld): Key[] {
  return world.sql.exec<Key>("SELECT kid, wrapped FROM data_keys ORDER BY kid").toArray();
}

function keyInD1(kid: string): Promise<(Key & { tenant_id: string }) | null> {
  return env.DB.prepare("SELECT kid, tenant_id, wrapped FROM data_keys WHERE kid = ?").bind(kid).first();
}

/** Has the account let its logs go after the shortest time there is. */
async function keepFor30Days(world: LogWorld): Promise<void> {
  const { admin, mailbox } = world.box;
  const tenant = env.TENANT.getByName(mailbox.tenant_id);
  const change = { audit_retention_days: 30 };
  const asked = unwrap(await tenant.updateAccount(admin, change, null));
  if (!("needs_approval" in asked)) throw new Error("nobody was asked");
  unwrap(await tenant.updateAccount(admin, change, asked.needs_approval.change));
}

/** A log of which some segments are sealed, and some entries are not. */
async function keptLog(world: LogWorld): Promise<void> {
  for (let day = 0; day < 2; day++) {
    world.fill(6);
    await world.passTime(DAY);
  }
  await world.passTime(2 * DAY);
  world.fill(4);
  addSealed(world, 2);
  await world.alarm();
}

/** A whole round, step by step. */
async function reconcile(world: LogWorld): Promise<Omit<ReconcileAnswer, "log" | "cursor">> {
  const whole: ReconcileAnswer["repaired"] = [];
  const faults: ReconcileAnswer["faults"] = [];
  const checked = { entries: 0, segments: 0, data_keys: 0, erased_keys: 0 };
  let cursor: string | null = null;
  do {
    const step: ReconcileAnswer = unwrap(await world.object.reconcile(world.box.admin, cursor));
    whole.push(...step.repaired);
    faults.push(...step.faults);
    for (const kind of ["entries", "segments", "data_keys", "erased_keys"] as const)
      checked[kind] += step.checked[kind];
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
      const data_keys = ownKeys(world).length;
      expect(data_keys).toBeGreaterThan(0);
      expect(checked).toEqual({ entries: size, segments: world.segments().length, data_keys, erased_keys: 0 });
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

  test.each<[string, string]>([
    ["lost", "DELETE FROM data_keys WHERE kid = ?1"],
    ["with other bytes", "UPDATE data_keys SET wrapped = replace(wrapped, 'ct\":\"', 'ct\":\"AAAA') WHERE kid = ?1"],
    [
      "of another entry",
      "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE kid <> ?1) WHERE kid = ?1",
    ],
    ["that are none", "UPDATE data_keys SET wrapped = 'null' WHERE kid = ?1"],
    ["that are not JSON", "UPDATE data_keys SET wrapped = '' WHERE kid = ?1"],
    ["of another tenant, which no erasure would reach", "UPDATE data_keys SET tenant_id = 'ten_x' WHERE kid = ?1"],
  ])("of data keys, by which sealed fields are read: %s", (_what, statement) =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const keys = ownKeys(world);
      for (const { kid } of keys) await env.DB.prepare(statement).bind(kid).run();
      const count = keys.length;
      const expected = { repaired: [{ what: "data_keys", first: null, last: null, count }], faults: [] };
      expect(await reconcile(world)).toMatchObject(expected);
      const { tenant_id } = world.box.mailbox;
      for (const key of keys) expect(await keyInD1(key.kid)).toEqual({ ...key, tenant_id });
      expect(world.entriesOf("log.repaired").map(({ detail }) => detail)).toMatchObject([{ data_keys: count }]);
      expect(await reconcile(world)).toMatchObject({ repaired: [], faults: [] });
    }),
  );

  test("of data keys whose entries have left object and D1", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      await keepFor30Days(world);
      await world.passTime(40 * DAY);
      const left = ownKeys(world).filter(({ kid }) => !world.own().some(({ entry }) => entry.includes(kid)));
      expect(left.length).toBeGreaterThan(0);
      for (const { kid } of left)
        await env.DB.prepare("UPDATE data_keys SET wrapped = '' WHERE kid = ?").bind(kid).run();
      expect((await reconcile(world)).repaired).toMatchObject([{ what: "data_keys", count: left.length }]);
      for (const key of left) expect(await keyInD1(key.kid)).toMatchObject(key);
    }));

  test("of no data key that is not in D1 yet, nor of one that was destroyed meanwhile", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      world.sql.exec("UPDATE ledger SET drained = 0");
      const kids = ownKeys(world).map(({ kid }) => kid);
      for (const kid of kids) await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(kid).run();
      const step = unwrap(await world.object.reconcile(world.box.admin, "data_keys."));
      expect(step).toMatchObject({ repaired: [], checked: { data_keys: kids.length } });
      await world.alarm();
      // As an erasure destroys it while D1 is being asked, and while it is being written to.
      for (const call of ["D1 SELECT kid, tenant_id", "D1 INSERT INTO data_keys"]) {
        const [{ kid } = { kid: "" }] = ownKeys(world);
        expect(kid).not.toBe("");
        await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(kid).run();
        world.stores.fates = (made) => {
          if (!made.startsWith(call)) return "served";
          world.sql.exec("DELETE FROM data_keys WHERE kid = ?", kid);
          world.sql.exec("INSERT OR REPLACE INTO erased_keys VALUES (?, 0)", kid);
          return "served";
        };
        const { repaired } = unwrap(await world.object.reconcile(world.box.admin, "data_keys."));
        // It does not wait for the comparison of destroyed keys, which a large log comes to much later.
        expect(repaired.map(({ what }) => what)).not.toContain("erased_keys");
        world.stores.fates = () => "served";
        await world.alarm();
        expect(await keyInD1(kid)).toBeNull();
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
      const { mailbox } = world.box;
      await keptLog(world);
      const backup = await world.rows();
      await keepFor30Days(world);
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

describe("a data key that reads otherwise in D1", () => {
  const OTHER = { MASTER_KEY: Buffer.alloc(32, 9).toString("base64") };

  test("is left alone where it was only sealed anew, under whichever key opens it", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      Object.assign(world.stores.env, { MASTER_KEY_PREVIOUS: OTHER.MASTER_KEY });
      for (const [index, { kid, wrapped }] of ownKeys(world).entries()) {
        const key = open(deriveKeys(env, "data-key"), kid, JSON.parse(wrapped) as Sealed);
        const anew = JSON.stringify(seal(deriveKeys(index % 2 ? env : OTHER, "data-key"), kid, key));
        await env.DB.prepare("UPDATE data_keys SET wrapped = ? WHERE kid = ?").bind(anew, kid).run();
        expect(await reconcile(world)).toMatchObject({ repaired: [], faults: [] });
        expect(await keyInD1(kid)).toMatchObject({ wrapped: anew });
      }
    }));

  test("is a fault, and kept, where the object's own does not open: D1's may be all that is left", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const [{ kid, wrapped } = { kid: "", wrapped: "" }] = ownKeys(world);
      const { seq } = world.own().find(({ entry }) => entry.includes(`"kid":"${kid}"`)) ?? {};
      world.sql.exec("UPDATE data_keys SET wrapped = '{}' WHERE kid = ?", kid);
      const faults = [{ what: "key_differs", seq }];
      for (let round = 0; round < 2; round++) expect(await reconcile(world)).toMatchObject({ repaired: [], faults });
      expect(await keyInD1(kid)).toMatchObject({ wrapped });
      expect(world.entriesOf("log.fault").map(({ detail }) => detail)).toEqual([{ what: "key_differs", entry: seq }]);
      world.sql.exec("UPDATE data_keys SET wrapped = ? WHERE kid = ?", wrapped, kid);
      expect(await reconcile(world)).toMatchObject({ repaired: [], faults: [] });
      expect(world.entriesOf("log.fault_gone").map(({ detail }) => detail)).toEqual([
        { what: "key_differs", entry: seq },
      ]);
    }));

  test("is not looked into under a MASTER_KEY that is not the log's", () =>
    LogWorld.run(async (world) => {
      await keptLog(world);
      const [{ kid } = { kid: "" }] = ownKeys(world);
      await env.DB.prepare("UPDATE data_keys SET wrapped = '{}' WHERE kid = ?").bind(kid).run();
      Object.assign(world.stores.env, OTHER);
      const size = world.size();
      await expect(world.object.reconcile(world.box.admin, "data_keys.")).rejects.toThrow();
      expect(world.size()).toBe(size);
      expect(await keyInD1(kid)).toMatchObject({ wrapped: "{}" });
      Object.assign(world.stores.env, { MASTER_KEY: env.MASTER_KEY });
      expect((await reconcile(world)).repaired).toMatchObject([{ what: "data_keys" }]);
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
        "data_keys.'",
        "erased_keys.'",
        "segments.9999999999999999",
      ]) {
        const answer = await world.object.reconcile(world.box.admin, cursor);
        expect(answer).toMatchObject({ ok: false, refusal: { code: "invalid_input" } });
      }
      for (const cursor of ["entries.999999", "segments.5", "data_keys.zzz", "erased_keys.zzz", "floor."]) {
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
