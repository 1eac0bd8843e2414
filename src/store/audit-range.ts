import type { Env } from "../env.ts";
import { readEntries } from "./audit-entries.ts";
import { idAt } from "./audit-search.ts";

/** Finds a time's place in a log. */

/** Where a log's entries are. */
interface Place {
  log: string;
  tenant_id: string;
  /** How many entries the log has. */
  size: number;
}

/** As far as an id says when its entry was made: the prefix and ten characters of time. */
const TIMED_LENGTH = "aud_".length + 10;

/** The first entry in D1 of that time or later: ids of one millisecond were in no order once, so that the smallest place among them counts. */
const IN_D1 = `
  SELECT min(seq) AS seq FROM audit_log, (
    SELECT substr(id, 1, ${TIMED_LENGTH}) AS timed FROM audit_log
    WHERE tenant_id = ?1 AND log = ?2 AND id >= ?3 ORDER BY id LIMIT 1
  ) AS first
  WHERE tenant_id = ?1 AND log = ?2 AND id >= first.timed AND id < first.timed || '~'`;

/** The first segment of what has left D1 that reaches to that time. */
const ARCHIVED = `
  SELECT first, last FROM audit_segments
  WHERE log = ?1 AND last_at >= ?2 AND last < (SELECT floor FROM audit_floors WHERE log = ?1)
  ORDER BY first LIMIT 1`;

/**
 * @param iso ISO 8601 UTC with milliseconds.
 * @returns the place of the first entry at that time or later; the log's size if all are earlier. Times never go backwards in a log,
 *   so that everything from there on is later too.
 */
export async function placeOfTime(
  env: Pick<Env, "DB" | "STORE">,
  { log, tenant_id, size }: Place,
  iso: string,
): Promise<number> {
  const segment = await env.DB.prepare(ARCHIVED).bind(log, iso).first<{ first: number; last: number }>();
  if (segment) {
    for await (const { seq, text } of readEntries(env, { log, start: segment.first, end: segment.last + 1 })) {
      if ((JSON.parse(text) as { at: string }).at >= iso) return seq;
    }
  }
  const from = idAt(iso);
  const seq = await env.DB.prepare(IN_D1).bind(tenant_id, log, from).first<number>("seq");
  return Math.min(seq ?? size, size);
}
