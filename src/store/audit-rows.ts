import type { DrainedRow } from "./audit-drain.ts";

/** What D1 has of a log, for whoever compares it with the log itself. */

/** @returns D1's rows of the entries [start, end), in order. @param end not so far that they would not fit in memory. */
export async function rowsBetween(
  db: D1Database,
  log: string,
  start: number,
  end: number,
): Promise<(DrainedRow & { tenant_id: string })[]> {
  const { results } = await db
    .prepare(
      `SELECT seq, id, at, action, mailbox_id, email_id, agent_id, key_id, domain, hash, entry, tenant_id FROM audit_log
       WHERE log = ? AND seq >= ? AND seq < ? ORDER BY seq`,
    )
    .bind(log, start, end)
    .all<DrainedRow & { tenant_id: string }>();
  return results;
}

/** @returns how many rows D1 has of the entries [start, end). */
export async function countRows(db: D1Database, log: string, start: number, end: number): Promise<number> {
  const rows = await db
    .prepare("SELECT count(*) AS rows FROM audit_log WHERE log = ? AND seq >= ? AND seq < ?")
    .bind(log, start, end)
    .first<number>("rows");
  return rows ?? 0;
}

/** @returns the first positions at `start` or after it of which D1 has a row. */
export async function positionsFrom(db: D1Database, log: string, start: number, limit: number): Promise<number[]> {
  const { results } = await db
    .prepare("SELECT seq FROM audit_log WHERE log = ? AND seq >= ? ORDER BY seq LIMIT ?")
    .bind(log, start, limit)
    .all<{ seq: number }>();
  return results.map(({ seq }) => seq);
}

/** A data key as D1 has it. */
export interface KeyRow {
  kid: string;
  tenant_id: string;
  wrapped: string;
}

/** @returns D1's rows of these data keys, by kid. */
export async function keyRows(db: D1Database, kids: readonly string[]): Promise<Map<string, KeyRow>> {
  const { results } = await db
    .prepare("SELECT kid, tenant_id, wrapped FROM data_keys WHERE kid IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(kids))
    .all<KeyRow>();
  return new Map(results.map((row) => [row.kid, row]));
}

/** Writes data keys, in the place of what D1 has of them. */
export async function writeKeys(
  db: D1Database,
  tenantId: string,
  keys: readonly Omit<KeyRow, "tenant_id">[],
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO data_keys (kid, tenant_id, wrapped)
       SELECT json_extract(value, '$.kid'), ?2, json_extract(value, '$.wrapped') FROM json_each(?1) WHERE true
       ON CONFLICT (kid) DO UPDATE SET tenant_id = excluded.tenant_id, wrapped = excluded.wrapped`,
    )
    .bind(JSON.stringify(keys), tenantId)
    .run();
}

/** @returns those of these data keys that D1 has. */
export async function keysAmong(db: D1Database, kids: readonly string[]): Promise<Set<string>> {
  if (kids.length === 0) return new Set();
  const { results } = await db
    .prepare("SELECT kid FROM data_keys WHERE kid IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(kids))
    .all<{ kid: string }>();
  return new Set(results.map(({ kid }) => kid));
}
