import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { segmentKey } from "../../src/audit/segment.ts";
import { dropRows, floorOf, raiseFloor, recordSegments, segmentRows } from "../../src/store/audit-segments.ts";

/** Whoever can write to D1 directly: nothing of the audit log leaves it but what is sealed, below a floor that only rises. */

const TENANT = "ten_00000000000000000000000000";
let made = 0;

interface TestLog {
  log: string;
  tenant_id: string;
}

function segmentOf({ log, tenant_id }: TestLog, first: number, last: number) {
  const at = "2026-01-01T00:00:00.000Z";
  const r2_key = segmentKey(tenant_id, log, first, last);
  return { first, last, r2_key, sha256: "a".repeat(64), first_at: at, last_at: at, sealed_at: at };
}

/** A log of 30 entries in D1, of which [0, 10) and [10, 20) are sealed. */
async function sealedLog(): Promise<TestLog> {
  made += 1;
  const owner = { log: `mbx_${String(made).padStart(26, "0")}`, tenant_id: TENANT };
  await insertEntries(owner, 0, 30);
  await recordSegments(env.DB, owner, [segmentOf(owner, 0, 9), segmentOf(owner, 10, 19)]);
  return owner;
}

async function insertEntries({ log, tenant_id }: TestLog, first: number, end: number): Promise<void> {
  await env.DB.prepare(
    `WITH RECURSIVE n(i) AS (SELECT ?3 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?4)
     INSERT INTO audit_log (log, seq, id, tenant_id, at, action, hash, entry)
     SELECT ?1, i, 'aud_' || i, ?2, '2026-01-01T00:00:00.000Z', 'first', 'hash', '{}' FROM n`,
  )
    .bind(log, tenant_id, first, end)
    .run();
}

async function run(statement: string, ...values: unknown[]): Promise<string> {
  try {
    const { meta } = await env.DB.prepare(statement)
      .bind(...values)
      .run();
    return `${meta.changes} changed`;
  } catch (error) {
    return String(error);
  }
}

/** Everything the three tables have of a log. */
async function stateOf({ log }: TestLog): Promise<unknown> {
  const tables = ["audit_log", "audit_segments", "audit_floors"];
  const rows = await env.DB.batch(
    tables.map((table) => env.DB.prepare(`SELECT * FROM ${table} WHERE log = ?`).bind(log)),
  );
  return rows.map(({ results }) => results);
}

const ROW = "(log, first, last, tenant_id, r2_key, sha256, entries, first_at, last_at, sealed_at)";
const fakeRow = (first: number, last: number, key = segmentKey(TENANT, "LOG", first, last)) =>
  `INTO audit_segments ${ROW} SELECT ?1, ${first}, ${last}, tenant_id, replace('${key}', 'LOG', ?1), sha256, ${last - first + 1}, first_at, last_at, sealed_at FROM audit_segments WHERE log = ?1 AND first = 0`;

describe("through D1 itself", () => {
  const ATTACKS: [string, string][] = [
    ["an entry is changed", "UPDATE audit_log SET action = 'x' WHERE log = ?1"],
    ["an entry is changed, errors ignored", "UPDATE OR IGNORE audit_log SET action = 'x' WHERE log = ?1"],
    ["an entry is replaced by an update", "UPDATE OR REPLACE audit_log SET seq = seq + 1 WHERE log = ?1"],
    ["an entry is deleted", "DELETE FROM audit_log WHERE log = ?1"],
    ["a sealed entry is deleted without a floor", "DELETE FROM audit_log WHERE log = ?1 AND seq = 0"],
    [
      "an entry is replaced",
      "REPLACE INTO audit_log SELECT log, seq, id, tenant_id, at, 'x', mailbox_id, email_id, agent_id, key_id, domain, hash, entry FROM audit_log WHERE log = ?1",
    ],
    ["a segment is changed", `UPDATE audit_segments SET sha256 = '${"b".repeat(64)}' WHERE log = ?1`],
    ["a segment is deleted", "DELETE FROM audit_segments WHERE log = ?1"],
    [
      "a segment is replaced",
      `REPLACE INTO audit_segments SELECT log, first, last, tenant_id, r2_key, '${"b".repeat(64)}', entries, first_at, last_at, sealed_at FROM audit_segments WHERE log = ?1`,
    ],
    ["a segment is faked beyond a gap", `INSERT ${fakeRow(25, 29)}`],
    ["a segment is faked over another", `INSERT ${fakeRow(15, 29)}`],
    ["a segment is replaced by a longer one", `REPLACE ${fakeRow(10, 29)}`],
    ["a segment is faked under another key", `INSERT ${fakeRow(20, 29, "audit/elsewhere")}`],
    ["a floor is set where nothing is sealed", `INSERT INTO audit_floors VALUES (?1, '${TENANT}', 30)`],
    ["a floor is set where something is sealed", `INSERT INTO audit_floors VALUES (?1, '${TENANT}', 10)`],
  ];

  test.each(ATTACKS)("%s: refused, or without effect", async (_what, statement) => {
    const log = await sealedLog();
    const before = await stateOf(log);
    await run(statement, log.log);
    expect(await stateOf(log)).toEqual(before);
  });

  const FLOORS: [string, string][] = [
    ["beyond what is sealed", "UPDATE audit_floors SET floor = 21 WHERE log = ?1"],
    ["to the end of the log", "UPDATE audit_floors SET floor = 30 WHERE log = ?1"],
    ["into the middle of a segment", "UPDATE audit_floors SET floor = 15 WHERE log = ?1"],
    ["down", "UPDATE audit_floors SET floor = 0 WHERE log = ?1"],
    ["down by a replacement", `REPLACE INTO audit_floors VALUES (?1, '${TENANT}', 0)`],
    ["down by its deletion", "DELETE FROM audit_floors WHERE log = ?1"],
    ["to no number", "UPDATE audit_floors SET floor = 'all' WHERE log = ?1"],
    ["to nothing", "UPDATE OR IGNORE audit_floors SET floor = NULL WHERE log = ?1"],
    ["to that of another log", "UPDATE audit_floors SET log = 'mbx_other' WHERE log = ?1"],
    ["to that of another tenant", "UPDATE audit_floors SET tenant_id = 'ten_other', floor = 20 WHERE log = ?1"],
    [
      "beyond what is sealed by an upsert",
      `INSERT INTO audit_floors VALUES (?1, '${TENANT}', 30) ON CONFLICT DO UPDATE SET floor = 30`,
    ],
  ];

  test.each(FLOORS)("a floor is not moved %s", async (_where, statement) => {
    const log = await sealedLog();
    await raiseFloor(env.DB, log, 10);
    const before = await stateOf(log);
    await run(statement, log.log);
    expect(await stateOf(log)).toEqual(before);
  });

  test("the floor of one log opens no other", async () => {
    const [one, other] = [await sealedLog(), await sealedLog()];
    await raiseFloor(env.DB, one, 20);
    expect(await run("DELETE FROM audit_log WHERE log = ? AND seq < 20", other.log)).toContain("append-only");
  });
});

describe("a floor", () => {
  test("lets exactly what is below it be deleted, and nothing of that come back", async () => {
    const log = await sealedLog();
    await raiseFloor(env.DB, log, 20);
    expect(await floorOf(env.DB, log.log)).toBe(20);
    expect(await run("DELETE FROM audit_log WHERE log = ? AND seq >= 20", log.log)).toContain("append-only");
    expect(await dropRows(env.DB, log.log, 20)).toBe(20);
    expect(await dropRows(env.DB, log.log, 20)).toBe(0);
    await insertEntries(log, 0, 31);
    const { results } = await env.DB.prepare("SELECT seq FROM audit_log WHERE log = ? ORDER BY seq")
      .bind(log.log)
      .all();
    expect(results.map(({ seq }) => seq)).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  });

  test("rises step by step, and raising it to less changes nothing", async () => {
    const log = await sealedLog();
    await raiseFloor(env.DB, log, 10);
    await raiseFloor(env.DB, log, 20);
    await raiseFloor(env.DB, log, 10);
    expect(await floorOf(env.DB, log.log)).toBe(20);
  });

  test("does not rise over a segment whose row is gone, however that happened", async () => {
    const log = await sealedLog();
    const trigger = await env.DB.prepare(
      "SELECT sql FROM sqlite_master WHERE name = 'audit_segments_refuses_delete'",
    ).first<string>("sql");
    await env.DB.prepare("DROP TRIGGER audit_segments_refuses_delete").run();
    await env.DB.prepare("DELETE FROM audit_segments WHERE log = ? AND first = 0").bind(log.log).run();
    await env.DB.prepare(trigger ?? "").run();
    await expect(raiseFloor(env.DB, log, 20)).rejects.toThrow("only rises");
    // What stands after the gap is not sealed twice.
    expect(await run(`INSERT ${fakeRow(0, 12)}`.replace("AND first = 0", "AND first = 10"), log.log)).toContain(
      "begins where",
    );
    await recordSegments(env.DB, log, [segmentOf(log, 0, 9)]);
    await raiseFloor(env.DB, log, 20);
  });
});

test("a segment's row that comes twice is taken once", async () => {
  const log = await sealedLog();
  await recordSegments(env.DB, log, [segmentOf(log, 0, 9), segmentOf(log, 10, 19), segmentOf(log, 20, 29)]);
  const rows = await segmentRows(env.DB, log.log, 0, 100, 10);
  expect(rows.map(({ first }) => first)).toEqual([0, 10, 20]);
});
