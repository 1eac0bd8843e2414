import type { Entry } from "../../src/audit/entry.ts";
import type { FaultKind } from "../../src/audit/reconciliation.ts";
import {
  SEGMENT_CHARACTERS,
  SEGMENT_ENTRIES,
  type SegmentEntry,
  segmentBytes,
  segmentDigest,
  segmentKey,
} from "../../src/audit/segment.ts";
import {
  putSegment,
  recordSegments,
  type SealedSegment,
  segmentRows,
  segmentsEnd,
} from "../../src/store/audit-segments.ts";
import type { Timer } from "../timers.ts";
import { signCheckpoint } from "./checkpoints.ts";
import { clearFault, faultsFrom, recordFault } from "./faults.ts";
import type { Log } from "./log.ts";

/** Sealing the log into R2 (docs/audit.md, "Keeping"). */

/** The timer that seals: at once when a segment is full, a day after what waits longest. */
export const SEGMENT = "segment";
const DAY = 24 * 3600_000;
/** At most so many segments in one go, so that a long log does not keep the object from everything else. */
const AT_ONCE = 8;
/** Rows brought to D1 by one statement. */
const ROWS = 100;

/** What a segment may suffer on its way. Sealing stops before it until it is put right; the log itself goes on. */
export const OBSTACLES = ["segment_differs", "segment_row_differs"] as const satisfies FaultKind[];

/** A segment as the object has it. */
export interface Segment extends Record<string, SqlStorageValue> {
  first: number;
  last: number;
  first_at: string;
  last_at: string;
  /** When it was planned. */
  sealed_at: string;
  /** The checkpoint that it ends with. */
  note: string;
  sha256: string;
  /** 1: R2 has it, and D1 its row. */
  stored: number;
}

/** Has what was appended just now sealed in time. Inside `commit`. @returns whether the timer was set. */
export function scheduleSegment(log: Log, { seq }: Pick<Entry, "seq">): boolean {
  const { log: name } = log.identity();
  // Only once, when it is full: were it done with each entry more, failures would be repeated without a pause.
  const isFull = seq - plannedEnd(log.storage()) + 1 === SEGMENT_ENTRIES;
  if (!isFull) return log.scheduleBy(SEGMENT, name, log.now() + DAY);
  log.schedule(SEGMENT, name, log.now());
  return true;
}

/** @returns the position after the last segment, finished or not. */
function plannedEnd(sql: SqlStorage): number {
  return (
    sql.exec<{ beyond: number }>("SELECT last + 1 AS beyond FROM segments ORDER BY first DESC LIMIT 1").toArray()[0]
      ?.beyond ?? 0
  );
}

/** Serves a `segment` timer. What breaks off is taken up where it was: the plan is kept, and every step may be repeated. */
export async function sealByTimer(log: Log, timer: Timer): Promise<void> {
  for (let sealed = 0; sealed < AT_ONCE; sealed++) {
    const segment = log.commit(() => nextSegment(log, timer, sealed));
    if (!segment) return;
    await log.flush();
    if (!(await seal(log, segment))) return log.commit(() => log.unschedule(timer.kind, timer.ref));
  }
  log.commit(() => log.schedule(timer.kind, timer.ref, log.now()));
}

/**
 * The segment that is to be stored now: one whose way was interrupted, or a new one. Inside `commit`.
 * @param sealed how many the timer has stored already.
 * @returns null if there is none; the timer is set for when there is.
 */
function nextSegment(log: Log, timer: Timer, sealed: number): Segment | null {
  const sql = log.storage();
  const [unfinished] = sql.exec<Segment>("SELECT * FROM segments WHERE stored = 0 ORDER BY first LIMIT 1").toArray();
  if (unfinished) {
    if (faultsFrom(log, OBSTACLES, unfinished.first, unfinished.first + 1).length === 0) return unfinished;
    // Nobody puts it right by waiting; the reconciler looks again each day.
    log.unschedule(timer.kind, timer.ref);
    return null;
  }
  const { entries, isFull, firstAt } = unsealed(sql);
  if (firstAt === null) {
    log.unschedule(timer.kind, timer.ref);
    return null;
  }
  const due = dueOf(log, firstAt, sealed);
  if (isFull || due <= log.now()) return plan(log, entries);
  log.schedule(timer.kind, timer.ref, due);
  return null;
}

/**
 * When entries are to be sealed that do not fill a segment. A time that is still to come was written by a clock that ran ahead, and says
 * nothing: the timer does, which was set for a day after by a clock that did not.
 */
function dueOf(log: Log, firstAt: string, sealed: number): number {
  const at = Date.parse(firstAt);
  if (at <= log.now()) return at + DAY;
  return sealed === 0 ? log.now() : log.now() + DAY;
}

type TimedEntry = SegmentEntry & { at: string };

/** The entries that the next segment would have. */
function unsealed(sql: SqlStorage): { entries: TimedEntry[]; isFull: boolean; firstAt: string | null } {
  const entries: TimedEntry[] = [];
  let characters = 0;
  for (const row of entriesFrom(sql, plannedEnd(sql), SEGMENT_ENTRIES)) {
    if (entries.length > 0 && characters + row.text.length > SEGMENT_CHARACTERS) {
      return { entries, isFull: true, firstAt: entries[0]?.at ?? null };
    }
    entries.push(row);
    characters += row.text.length;
  }
  return { entries, isFull: entries.length === SEGMENT_ENTRIES, firstAt: entries[0]?.at ?? null };
}

function entriesFrom(sql: SqlStorage, from: number, limit: number): Iterable<TimedEntry> {
  return sql.exec<TimedEntry & Record<string, SqlStorageValue>>(
    "SELECT seq, at, hash, entry AS text FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?",
    from,
    limit,
  );
}

/** Fixes a segment to the byte. From here on it is stored as it is, whatever happens in between. */
function plan(log: Log, entries: readonly TimedEntry[]): Segment {
  const [first, last] = [entries[0], entries.at(-1)];
  if (!first || !last) throw new Error("a segment has an entry");
  const note = signCheckpoint(log, last.seq + 1);
  const segment: Segment = {
    first: first.seq,
    last: last.seq,
    first_at: first.at,
    last_at: last.at,
    sealed_at: new Date(log.now()).toISOString(),
    note,
    sha256: segmentDigest(segmentBytes(entries, note)),
    stored: 0,
  };
  const { first_at, last_at, sealed_at, sha256, stored } = segment;
  log
    .storage()
    .exec(
      "INSERT INTO segments (first, last, first_at, last_at, sealed_at, note, sha256, stored) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      first.seq,
      last.seq,
      first_at,
      last_at,
      sealed_at,
      note,
      sha256,
      stored,
    );
  return segment;
}

/** R2 first, then D1's row, then the object's own. @returns false if something else is in the way. @throws whatever R2 or D1 throw. */
async function seal(log: Log, segment: Segment): Promise<boolean> {
  const standing = await putSegment(
    log.environment().STORE,
    keyOf(log, segment),
    bytesOf(log, segment),
    segment.sha256,
  );
  if (standing === "differs") return obstructed(log, "segment_differs", segment);
  // R2 has it. A crash here finds the very same bytes there, which is as good as having written them.
  if (!(await bringRows(log, segment))) return obstructed(log, "segment_row_differs", segment);
  // D1 has its row. A crash here repeats both, and changes neither.
  log.commit(() => {
    log.storage().exec("UPDATE segments SET stored = 1 WHERE first = ?", segment.first);
    for (const what of OBSTACLES) clearFault(log, { what, seq: segment.first });
  });
  return true;
}

function obstructed(log: Log, what: FaultKind, { first }: Segment): false {
  log.commit(() => recordFault(log, { what, seq: first }));
  return false;
}

/** @returns where a segment of this log lies in R2. */
export function keyOf(log: Log, { first, last }: Pick<Segment, "first" | "last">): string {
  const { log: name, tenant_id } = log.identity();
  return segmentKey(tenant_id, name, first, last);
}

/** The bytes of a segment whose entries the object still has. @throws Error if they are not those that were planned. */
export function bytesOf(log: Log, { first, last, note, sha256 }: Segment): Uint8Array {
  const bytes = segmentBytes(entriesFrom(log.storage(), first, last - first + 1), note);
  if (segmentDigest(bytes) !== sha256)
    throw new Error(`the entries ${first} to ${last} are not those that were sealed`);
  return bytes;
}

/** @returns a segment as D1 is to have it. */
export function rowOf(log: Log, segment: Segment): SealedSegment {
  const { first, last, sha256, first_at, last_at, sealed_at } = segment;
  return { first, last, r2_key: keyOf(log, segment), sha256, first_at, last_at, sealed_at };
}

/**
 * Brings the rows up to a segment to D1: usually one, and those before it where D1 has lost them.
 * @returns whether D1 has the segment's row as it must be. @throws whatever D1 throws.
 */
export async function bringRows(log: Log, upTo: Segment): Promise<boolean> {
  const { DB } = log.environment();
  const owner = log.identity();
  const end = await segmentsEnd(DB, owner.log);
  for (let from = Math.min(end, upTo.first); from <= upTo.first; ) {
    const rows = segmentsFrom(log, from, ROWS).filter(({ first }) => first <= upTo.first);
    const last = rows.at(-1);
    if (!last) break;
    await recordSegments(
      DB,
      owner,
      rows.map((row) => rowOf(log, row)),
    );
    from = last.last + 1;
  }
  const [there] = await segmentRows(DB, owner.log, upTo.first, upTo.first + 1, 1);
  return JSON.stringify(there) === JSON.stringify(rowOf(log, upTo));
}

/** @returns the object's segments that begin at an entry or after it, in order. */
export function segmentsFrom(log: Log, from: number, limit: number): Segment[] {
  return log
    .storage()
    .exec<Segment>("SELECT * FROM segments WHERE first >= ? ORDER BY first LIMIT ?", from, limit)
    .toArray();
}
