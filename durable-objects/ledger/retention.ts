import { dropRows, lookAtSegment, raiseFloor } from "../../src/store/audit-segments.ts";
import type { Timer } from "../timers.ts";
import { SYSTEM } from "./actors.ts";
import { clearFault, recordFault, resourceOf } from "./faults.ts";
import type { Log } from "./log.ts";
import { keyOf, type Segment, segmentsFrom } from "./segments.ts";

/**
 * Entries that are older than the account wants to keep them leave the object and D1, whole segments that R2 holds at a time. Their
 * leaf hashes stay, so that proofs of them and over them still can be made.
 */

/** The daily timer. */
export const RETAIN = "retain";
const DAY = 24 * 3600_000;
/** At most so many segments in one go; what is left follows at once. */
const AT_ONCE = 16;

/** How long a log is kept, as its account says it. */
export interface KeepingTerms {
  /** Null: for ever. */
  retention_days: number | null;
  /** Nothing leaves the log while it is on. */
  legal_hold: boolean;
}

/** How far entries have left the object. */
export interface Floors extends Record<string, SqlStorageValue> {
  /** Entries below it are gone from the object. */
  floor: number;
  /** Entries below it are to go, which is in the log; above `floor` only while that is under way. */
  dropping: number;
}

/** @returns how far entries have left the object. */
export function floorsOf(log: Log): Floors {
  return log.storage().exec<Floors>("SELECT floor, dropping FROM keeping").one();
}

/** Serves a `retain` timer. */
export async function retainByTimer(log: Log, timer: Timer): Promise<void> {
  const { retention_days, legal_hold } = await log.keepingTerms();
  const next = legal_hold ? DAY : await retain(log, retention_days);
  log.commit(() => log.schedule(timer.kind, timer.ref, log.now() + next));
}

/** @returns in how many milliseconds to look again. @throws whatever D1 or R2 throw; what was begun is finished the next time. */
async function retain(log: Log, days: number | null): Promise<number> {
  await finishDropping(log);
  if (days === null) return DAY;
  const old = await droppable(log, log.now() - days * DAY);
  const [first, last] = [old[0], old.at(-1)];
  if (!first || !last) return DAY;
  log.commit(() => {
    log.append({
      actor: SYSTEM,
      action: "log.dropped",
      resource: resourceOf(log),
      detail: { first: first.first, last: last.last, segments: old.length, retention_days: days },
    });
    log.storage().exec("UPDATE keeping SET dropping = ?", last.last + 1);
  });
  // The log says that they go. A crash from here on is finished by the next timer, step by step.
  await finishDropping(log);
  return old.length === AT_ONCE ? 0 : DAY;
}

/**
 * The next segments that may leave: all of their entries are older, D1 has them, and R2 holds exactly what was sealed, which is
 * looked up once more.
 */
async function droppable(log: Log, before: number): Promise<Segment[]> {
  const { drained } = log.storage().exec<{ drained: number }>("SELECT drained FROM ledger").one();
  const limit = new Date(before).toISOString();
  const old: Segment[] = [];
  for (const segment of segmentsFrom(log, floorsOf(log).floor, AT_ONCE)) {
    if (segment.stored === 0 || segment.last >= drained || !isOlder(log, segment, limit)) break;
    if (!(await isHeldByR2(log, segment))) break;
    old.push(segment);
  }
  return old;
}

/**
 * Whether all entries of a segment are older than that. Where their time is still to come, a clock that ran ahead wrote it: they are at
 * least as old then as what was sealed last of them and of everything behind them.
 */
function isOlder(log: Log, { first, last_at }: Segment, limit: string): boolean {
  if (Date.parse(last_at) <= log.now()) return last_at < limit;
  const sealed = "SELECT 1 FROM segments WHERE first >= ? AND sealed_at < ? LIMIT 1";
  return log.storage().exec(sealed, first, limit).toArray().length > 0;
}

/** Whether R2 holds the segment; a segment that is missing is written again by the reconciler. */
async function isHeldByR2(log: Log, segment: Segment): Promise<boolean> {
  const standing = await lookAtSegment(log.environment().STORE, keyOf(log, segment), segment.sha256);
  const fault = { what: "segment_differs", seq: segment.first } as const;
  if (standing === "differs") log.commit(() => recordFault(log, fault));
  if (standing === "same") log.commit(() => clearFault(log, fault));
  return standing === "same";
}

/** D1's floor, D1's rows, then the object's: in this order nothing that is gone is missed. Each step may be repeated. */
async function finishDropping(log: Log): Promise<void> {
  const { floor, dropping } = floorsOf(log);
  if (floor === dropping) return;
  const owner = log.identity();
  await raiseFloor(log.environment().DB, owner, dropping);
  await dropRows(log.environment().DB, owner.log, dropping);
  for (const { last } of segmentsFrom(log, floor, dropping - floor)) {
    if (last >= dropping) break;
    log.commit(() => leaveObject(log, last + 1));
  }
}

/** Takes entries out of the object; their hashes stay as leaves of the tree. Inside `commit`. */
function leaveObject(log: Log, below: number): void {
  const sql = log.storage();
  // The newest entry is what the next one continues from.
  const gone = "seq < ? AND seq < (SELECT max(seq) FROM entries)";
  sql.exec(`INSERT INTO tree_nodes SELECT 0, seq, unhex(hash) FROM entries WHERE ${gone}`, below);
  sql.exec(`DELETE FROM entries WHERE ${gone}`, below);
  sql.exec("UPDATE keeping SET floor = ?", below);
}
