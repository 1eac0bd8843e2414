import { readSegment, type SegmentEntry, segmentDigest } from "../audit/segment.ts";
import type { Env } from "../env.ts";
import { fromJson, isObject } from "../identity/encoding.ts";

/** Reads the entries of one log in their order: from D1, and what has left D1 from the segments that are sealed in R2. */

/** At most so many rows of D1 are in memory at once. */
const PAGE_ROWS = 250;

/** An entry as it is stored, its leaf hash beside its text. */
export interface StoredEntry extends SegmentEntry {
  /** The data key of its sealed fields, wrapped; null if it has none, the key was destroyed, or keys were not asked for. */
  wrapped: string | null;
}

/** Which entries are read: [start, end). */
export interface EntryRange {
  log: string;
  start: number;
  end: number;
  /** Whether the data keys of sealed fields are looked up, too. */
  keys?: boolean;
}

/** Neither D1 nor R2 has an entry as it must be: what was read so far is right, and there is no more. */
export class EntriesMissing extends Error {
  readonly log: string;
  /** The first entry that could not be read. */
  readonly seq: number;
  constructor(log: string, seq: number, why: string) {
    super(`entry ${seq} of ${log} cannot be read: ${why}`);
    this.name = "EntriesMissing";
    this.log = log;
    this.seq = seq;
  }
}

/** A sealed segment, as D1 knows it. */
interface SegmentRow {
  first: number;
  last: number;
  r2_key: string;
  sha256: string;
}

type Stores = Pick<Env, "DB" | "STORE">;

/**
 * Reads entries one after the other, a page of D1 or one segment of R2 in memory at a time.
 * @returns each entry of the range, in order and without a gap; of what comes from R2 each is compared with its hash, what comes from
 *   D1 is as it stands there, and may be no entry at all.
 * @throws {EntriesMissing} at the first entry that is not there, or not as it was sealed; whatever D1 or R2 throw.
 */
export async function* readEntries(env: Stores, range: EntryRange): AsyncGenerator<StoredEntry, void, undefined> {
  const { log, end } = range;
  let next = range.start;
  while (next < end) {
    const rows = await pageOfD1(env.DB, log, next, end);
    const page = rows[0]?.seq === next ? rows : await segmentOf(env, log, next, end);
    const keys = range.keys ? await keysOf(env.DB, page) : null;
    for (const entry of page) yield { ...entry, wrapped: keys?.get(kidOf(entry.text) ?? "") ?? null };
    next += page.length;
  }
}

async function pageOfD1(db: D1Database, log: string, start: number, end: number): Promise<SegmentEntry[]> {
  const { results } = await db
    .prepare(
      `SELECT seq, hash, entry AS text FROM audit_log WHERE log = ? AND seq >= ? AND seq < ? ORDER BY seq LIMIT ${PAGE_ROWS}`,
    )
    .bind(log, start, end)
    .all<SegmentEntry>();
  // What stands after a gap is read once the gap is.
  const gap = results.findIndex(({ seq }, index) => seq !== start + index);
  return gap < 0 ? results : results.slice(0, gap);
}

/** What the segment that has the entry `start` holds from there on. */
async function segmentOf({ DB, STORE }: Stores, log: string, start: number, end: number): Promise<SegmentEntry[]> {
  const segment = await DB.prepare(
    "SELECT first, last, r2_key, sha256 FROM audit_segments WHERE log = ? AND first <= ? ORDER BY first DESC LIMIT 1",
  )
    .bind(log, start)
    .first<SegmentRow>();
  const missing = (why: string) => new EntriesMissing(log, start, why);
  if (!segment || segment.last < start) throw missing("D1 does not have it, and it is in no sealed segment");
  const object = await STORE.get(segment.r2_key);
  if (!object) throw missing(`R2 has no ${segment.r2_key}`);
  const bytes = new Uint8Array(await object.arrayBuffer());
  if (segmentDigest(bytes) !== segment.sha256) throw missing(`${segment.r2_key} is not what was sealed`);
  const { entries } = readSegment(bytes, segment.first);
  if (entries.length !== segment.last - segment.first + 1) throw missing(`${segment.r2_key} is of another length`);
  return entries.filter(({ seq }) => seq >= start && seq < end);
}

/** @returns under which data key an entry's fields are sealed; null if it has none, or is none. */
function kidOf(text: string): string | null {
  const entry = fromJson(text);
  const sealed = isObject(entry) ? entry.sealed : null;
  return isObject(sealed) && typeof sealed.kid === "string" ? sealed.kid : null;
}

/** The wrapped data keys of entries, by kid. */
async function keysOf(db: D1Database, rows: readonly SegmentEntry[]): Promise<Map<string, string>> {
  const kids = [...new Set(rows.flatMap(({ text }) => kidOf(text) ?? []))];
  const { results } = await db
    .prepare("SELECT kid, wrapped FROM data_keys WHERE kid IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(kids))
    .all<{ kid: string; wrapped: string }>();
  return new Map(results.map(({ kid, wrapped }) => [kid, wrapped]));
}
