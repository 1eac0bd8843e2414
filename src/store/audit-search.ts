import { isId, newId } from "../ids.ts";
import type { Caller } from "../oversight/caller.ts";

/** Reads the audit log in D1, newest first. */

/** How many rows one page examines at most; a page of a sparse filter comes back short, with a cursor. */
const EXAMINED_ROWS = 1_000;

export interface AuditFilters {
  /** A mailbox's or the tenant's own id. */
  log: string | null;
  email_id: string | null;
  agent_id: string | null;
  /** `agent`, `human` or `system`; a key's id; or whatever else an actor is called. */
  actor: string | null;
  domain: string | null;
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
  /**
   * On the last page: what was asked for reaches below what D1 has, and some entries before this time lie in R2 alone. Null: it
   * does not.
   */
  archived_before: string | null;
}

interface Condition {
  sql: string;
  value: string;
}

const ACTOR_TYPES: ReadonlySet<string> = new Set(["agent", "human", "system"]);

/** Written as the indexes of 0010 are: an expression that is spelled otherwise finds none. */
function actorCondition(actor: string): Condition {
  if (ACTOR_TYPES.has(actor)) return { sql: "json_extract(entry, '$.actor.type') = ?", value: actor };
  if (isId("key", actor)) return { sql: "key_id = ?", value: actor };
  return { sql: "json_extract(entry, '$.actor.id') = ?", value: actor };
}

type Selecting = Exclude<keyof AuditFilters, "from" | "to">;

/** Each filter has an index of its own. The most selective comes first, and its index is the one that a page walks. */
const CONDITIONS: Readonly<Record<Selecting, (value: string) => Condition>> = {
  email_id: (value) => ({ sql: "email_id = ?", value }),
  log: (value) => ({ sql: "log = ?", value }),
  actor: actorCondition,
  agent_id: (value) => ({ sql: "agent_id = ?", value }),
  action: (value) => ({ sql: "action = ?", value }),
  domain: (value) => ({ sql: "domain = ?", value }),
};

/** @returns the smallest id of an entry at that time (ISO 8601) or later. */
export function idAt(iso: string): string {
  return newId("aud", Date.parse(iso), undefined, (length) => new Uint8Array(length));
}

/** The stretch of an index that is walked, and what is asked of each row there. */
function conditions(
  { tenant_id, mailbox_ids }: Caller,
  filters: AuditFilters,
  before: string | null,
): { walk: Condition[]; ask: Condition[] } {
  // A key that is bound to one mailbox has that mailbox's log and no other.
  const [only, ...others] = mailbox_ids ?? [];
  const narrowed = only !== undefined && others.length === 0 ? { ...filters, log: filters.log ?? only } : filters;
  const selecting = (Object.keys(CONDITIONS) as Selecting[]).flatMap((name) => {
    const value = narrowed[name];
    return value === null ? [] : [CONDITIONS[name](value)];
  });
  const [indexed, ...ask] = selecting;
  const walk: Condition[] = [{ sql: "tenant_id = ?", value: tenant_id }, ...(indexed ? [indexed] : [])];
  if (before !== null) walk.push({ sql: "id < ?", value: before });
  if (filters.from !== null) walk.push({ sql: "id >= ?", value: idAt(filters.from) });
  if (filters.to !== null) walk.push({ sql: "id < ?", value: idAt(filters.to) });
  if (mailbox_ids !== null) ask.push(amongLogs("log", mailbox_ids));
  return { walk, ask };
}

function amongLogs(column: string, logs: readonly string[]): Condition {
  return { sql: `${column} IN (SELECT value FROM json_each(?))`, value: JSON.stringify(logs) };
}

function all(parts: readonly Condition[]): string {
  return parts.map(({ sql }) => sql).join(" AND ");
}

function values(...parts: (readonly Condition[])[]): string[] {
  return parts.flat().map(({ value }) => value);
}

/** What a page asks of D1. */
export interface Question {
  sql: string;
  values: (string | number)[];
}

/** @returns the statement that reads a page, and one row more. */
export function pageQuestion(
  caller: Caller,
  filters: AuditFilters,
  page: { limit: number; before: string | null },
): Question {
  const { walk, ask } = conditions(caller, filters, page.before);
  // What is asked besides stands in the table; the walk itself reads nothing but the index.
  const whole = `SELECT audit_log.* FROM examined CROSS JOIN audit_log
    WHERE audit_log.log = examined.log AND audit_log.seq = examined.seq`;
  return {
    sql: `WITH examined AS MATERIALIZED (
        SELECT log, seq, id FROM audit_log WHERE ${all(walk)} ORDER BY id DESC LIMIT ${EXAMINED_ROWS}
      ), found AS MATERIALIZED (
        SELECT log, seq, id FROM ${ask.length ? `(${whole}) WHERE ${all(ask)}` : "examined"} ORDER BY id DESC LIMIT ?
      )
      SELECT found.id, audit_log.hash, audit_log.entry, data_keys.wrapped, walked.rows AS examined, walked.oldest
      FROM (SELECT count(*) AS rows, min(id) AS oldest FROM examined) walked
      LEFT JOIN found ON 1
      LEFT JOIN audit_log ON audit_log.log = found.log AND audit_log.seq = found.seq
      LEFT JOIN data_keys ON data_keys.kid = json_extract(audit_log.entry, '$.sealed.kid')
      ORDER BY found.id DESC`,
    values: [...values(walk, ask), page.limit + 1],
  };
}

/** One page. A key that is bound to mailboxes sees their entries only. */
export async function findEntries(
  db: D1Database,
  caller: Caller,
  filters: AuditFilters,
  page: { limit: number; before: string | null },
): Promise<AuditPage> {
  const { sql, values } = pageQuestion(caller, filters, page);
  const { results } = await db
    .prepare(sql)
    .bind(...values)
    .all<(AuditRow | Record<keyof AuditRow, null>) & { examined: number; oldest: string | null }>();
  const rows = results.filter((row) => row.id !== null);
  const walked = results[0];
  const shown = rows.slice(0, page.limit).map(({ id, hash, entry, wrapped }) => ({ id, hash, entry, wrapped }));
  if (rows.length > page.limit) return { rows: shown, next: shown.at(-1)?.id ?? null, archived_before: null };
  const next = walked && walked.examined === EXAMINED_ROWS ? walked.oldest : null;
  return { rows: shown, next, archived_before: next === null ? await archivedBefore(db, caller, filters) : null };
}

/** The statement that finds the newest entry that has left D1, among the logs that were asked for. */
export function archiveQuestion(
  { tenant_id, mailbox_ids }: Pick<Caller, "tenant_id" | "mailbox_ids">,
  { log }: Pick<AuditFilters, "log">,
): Question {
  const asked: Condition[] = [{ sql: "audit_floors.tenant_id = ?", value: tenant_id }];
  if (log !== null) asked.push({ sql: "audit_floors.log = ?", value: log });
  if (mailbox_ids !== null) asked.push(amongLogs("audit_floors.log", mailbox_ids));
  return {
    sql: `SELECT max((
        SELECT last_at FROM audit_segments
        WHERE audit_segments.log = audit_floors.log AND first < floor ORDER BY first DESC LIMIT 1
      )) AS archived_before FROM audit_floors WHERE ${all(asked)}`,
    values: values(asked),
  };
}

/** @returns until when entries have left D1, where what is asked for reaches below that; null: it does not. */
export async function archivedBefore(
  db: D1Database,
  caller: Pick<Caller, "tenant_id" | "mailbox_ids">,
  filters: Pick<AuditFilters, "log" | "from">,
): Promise<string | null> {
  const { sql, values } = archiveQuestion(caller, filters);
  const newest = await db
    .prepare(sql)
    .bind(...values)
    .first<string>("archived_before");
  return newest !== null && (filters.from === null || filters.from <= newest) ? newest : null;
}
