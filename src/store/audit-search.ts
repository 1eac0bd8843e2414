import { newId } from "../ids.ts";
import type { Caller } from "../oversight/caller.ts";

/** Reads the audit log in D1, newest first. */

/** How many rows one page examines at most; a page of a sparse filter comes back short, with a cursor. */
const EXAMINED_ROWS = 1_000;

export interface AuditFilters {
  agent_id: string | null;
  domain: string | null;
  email_id: string | null;
  mailbox_id: string | null;
  action: string | null;
  /** ISO 8601, inclusive. */
  from: string | null;
  /** ISO 8601, exclusive. */
  to: string | null;
}

export interface AuditRow {
  id: string;
  hash: string;
  /** The entry's JSON, exactly as hashed. */
  entry: string;
  /** The data key of its sealed fields, wrapped; null if it has none or the key was destroyed. */
  wrapped: string | null;
}

export interface AuditPage {
  rows: AuditRow[];
  /** The id before which the next page goes on; null at the end. */
  next: string | null;
}

/** Filters that have an index of their own, the most selective first. */
const INDEXED = ["email_id", "agent_id", "action"] as const;
const COLUMNS = ["agent_id", "domain", "email_id", "mailbox_id", "action"] as const;

/** @returns the smallest id of an entry at that time or later. */
function idAt(iso: string): string {
  return newId("aud", Date.parse(iso), undefined, (length) => new Uint8Array(length));
}

interface Condition {
  sql: string;
  value: string;
}

/** The stretch of an index that is walked, and what is asked of each row there. */
function conditions(
  caller: Caller,
  filters: AuditFilters,
  before: string | null,
): { walk: Condition[]; ask: Condition[] } {
  const walk: Condition[] = [{ sql: "tenant_id = ?", value: caller.tenant_id }];
  const ask: Condition[] = [];
  const indexed = INDEXED.find((column) => filters[column] !== null);
  for (const column of COLUMNS) {
    const value = filters[column];
    if (value !== null) (column === indexed ? walk : ask).push({ sql: `${column} = ?`, value });
  }
  if (before !== null) walk.push({ sql: "id < ?", value: before });
  if (filters.from !== null) walk.push({ sql: "id >= ?", value: idAt(filters.from) });
  if (filters.to !== null) walk.push({ sql: "id < ?", value: idAt(filters.to) });
  if (caller.mailbox_ids !== null) {
    ask.push({ sql: "mailbox_id IN (SELECT value FROM json_each(?))", value: JSON.stringify(caller.mailbox_ids) });
  }
  return { walk, ask };
}

function all(parts: Condition[]): string {
  return parts.map(({ sql }) => sql).join(" AND ") || "1";
}

/** One page. A key that is bound to mailboxes sees their entries only. */
export async function findEntries(
  db: D1Database,
  caller: Caller,
  filters: AuditFilters,
  page: { limit: number; before: string | null },
): Promise<AuditPage> {
  const { walk, ask } = conditions(caller, filters, page.before);
  const { results } = await db
    .prepare(
      `WITH examined AS MATERIALIZED (
         SELECT log, seq, id, agent_id, domain, email_id, mailbox_id, action FROM audit_log WHERE ${all(walk)}
         ORDER BY id DESC LIMIT ${EXAMINED_ROWS}
       ), found AS MATERIALIZED (SELECT log, seq, id FROM examined WHERE ${all(ask)} ORDER BY id DESC LIMIT ?)
       SELECT found.id, audit_log.hash, audit_log.entry, data_keys.wrapped, walked.rows AS examined, walked.oldest
       FROM (SELECT count(*) AS rows, min(id) AS oldest FROM examined) walked
       LEFT JOIN found ON 1
       LEFT JOIN audit_log ON audit_log.log = found.log AND audit_log.seq = found.seq
       LEFT JOIN data_keys ON data_keys.kid = json_extract(audit_log.entry, '$.sealed.kid')
       ORDER BY found.id DESC`,
    )
    .bind(...walk.map(({ value }) => value), ...ask.map(({ value }) => value), page.limit + 1)
    .all<(AuditRow | Record<keyof AuditRow, null>) & { examined: number; oldest: string | null }>();
  const rows = results.filter((row) => row.id !== null);
  const walked = results[0];
  const shown = rows.slice(0, page.limit).map(({ id, hash, entry, wrapped }) => ({ id, hash, entry, wrapped }));
  if (rows.length > page.limit) return { rows: shown, next: shown.at(-1)?.id ?? null };
  return { rows: shown, next: walked && walked.examined === EXAMINED_ROWS ? walked.oldest : null };
}
