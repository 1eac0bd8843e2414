import type { Entry } from "../../src/audit/entry.ts";
import { openPersonal } from "../../src/audit/sealing.ts";
import type { Mention } from "../../src/mail/mentions.ts";
import { forgetDataKeys } from "../../src/store/erasure.ts";
import type { GoneStretch } from "../contact-erasure.ts";
import type { Timer } from "../timers.ts";
import type { Log } from "./log.ts";

/** Erasing what a log's entries have sealed: a data key is destroyed, the entries and their hashes stay as they are. */

/** The timer that takes destroyed keys from D1; its ref is the log. */
export const FORGET_KEYS = "forget_keys";
/** So many keys in one statement. */
const KEYS_AT_ONCE = 1_000;
/** So many entries are opened before others have their turn: some tens of milliseconds. */
const ENTRIES_AT_ONCE = 500;

/** @returns whether that data key was destroyed. */
export function isErasedKey(sql: SqlStorage, kid: string): boolean {
  return sql.exec("SELECT 1 FROM erased_keys WHERE kid = ?", kid).toArray().length > 0;
}

/** Destroys data keys: what they sealed is gone here with this transaction, and in D1 soon. Inside `commit`. */
export function destroyKeys(log: Log, kids: readonly string[]): void {
  if (kids.length === 0) return;
  const sql = log.storage();
  const all = JSON.stringify(kids);
  sql.exec("DELETE FROM data_keys WHERE kid IN (SELECT value FROM json_each(?))", all);
  sql.exec(
    "INSERT INTO erased_keys SELECT value, 1 FROM json_each(?) WHERE true ON CONFLICT DO UPDATE SET in_d1 = 1",
    all,
  );
  log.schedule(FORGET_KEYS, log.identity().log, log.now());
}

/** @returns whether D1 may still have a key that was destroyed. */
export function hasKeysToForget(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM erased_keys WHERE in_d1 = 1 LIMIT 1").toArray().length > 0;
}

/**
 * Takes destroyed keys from D1. A crash before the last line repeats it, which is harmless.
 * @throws whatever D1 throws.
 */
export async function forgetKeys(log: Log): Promise<void> {
  const sql = log.storage();
  for (;;) {
    const kids = sql
      .exec<{ kid: string }>("SELECT kid FROM erased_keys WHERE in_d1 = 1 ORDER BY kid LIMIT ?", KEYS_AT_ONCE)
      .toArray()
      .map(({ kid }) => kid);
    if (kids.length === 0) return;
    // A drain that is under way may have read the keys while they were there, and would bring them after this.
    await log.afterDrain();
    await forgetDataKeys(log.environment().DB, log.identity().tenant_id, kids);
    log.commit(() =>
      sql.exec("UPDATE erased_keys SET in_d1 = 0 WHERE kid IN (SELECT value FROM json_each(?))", JSON.stringify(kids)),
    );
  }
}

/** Serves a `forget_keys` timer. */
export async function forgetKeysByTimer(log: Log, { kind, ref }: Timer): Promise<void> {
  await forgetKeys(log);
  log.commit(() => {
    if (!hasKeysToForget(log.storage())) log.unschedule(kind, ref);
  });
}

/** Where a person is named in a stretch of a log. */
export interface SealedMentions {
  /** The data keys under which the person is named; of a stretch that is gone, those that nothing else uses. */
  kids: string[];
  /** What could not be read, and has to be before the person is erased: a word and a segment's key in R2. */
  waits: string[];
  gone: GoneStretch[];
  /** The position that the next stretch begins with; null: there is none. */
  next: number | null;
}

interface Row extends Record<string, SqlStorageValue> {
  seq: number;
  entry: string;
  wrapped: string;
}

/** Opens the entries from `start` on, a bounded number of them, and says under which keys a person is named. */
export function sealedMentions(log: Log, mention: Mention, start: number): SealedMentions {
  const rows = log
    .storage()
    .exec<Row>(
      `SELECT seq, entry, wrapped FROM entries JOIN data_keys ON kid = json_extract(entry, '$.sealed.kid')
       WHERE seq >= ?1 AND seq < ?1 + ${ENTRIES_AT_ONCE} ORDER BY seq`,
      start,
    )
    .toArray();
  const { newest } = log
    .storage()
    .exec<{ newest: number }>("SELECT coalesce(max(seq), -1) AS newest FROM entries")
    .one();
  const next = start + ENTRIES_AT_ONCE;
  return { kids: kidsNaming(log, mention, rows), waits: [], gone: [], next: next > newest ? null : next };
}

/** @param rows entries, each with the wrapped data key of its sealed fields. @returns the keys of those that name the person. */
export function kidsNaming(
  log: Log,
  mention: Mention,
  rows: Iterable<{ entry: string; wrapped: string | null }>,
): string[] {
  const kids = new Set<string>();
  for (const { entry, wrapped } of rows) {
    const parsed = JSON.parse(entry) as Entry;
    const kid = parsed.sealed?.kid;
    if (kid === undefined || kids.has(kid)) continue;
    if (mention.isIn(openPersonal(log.environment(), parsed, wrapped))) kids.add(kid);
  }
  return [...kids];
}
