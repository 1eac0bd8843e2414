import type { FaultKind, Findings } from "../../src/audit/reconciliation.ts";
import { lookAtSegment, putSegment, type SealedSegment, segmentRows } from "../../src/store/audit-segments.ts";
import { clearFault, faultsFrom } from "./faults.ts";
import type { Log } from "./log.ts";
import { floorsOf } from "./retention.ts";
import { bringRows, bytesOf, keyOf, OBSTACLES, rowOf, SEGMENT, type Segment, segmentsFrom } from "./segments.ts";

/** Comparing the sealed segments of a log with what R2 has, and with D1's rows of them. */

const PAGE_SEGMENTS = 10;
/** How D1's triggers refuse a row of a segment that another one is in the way of. */
const REFUSED_ROW = "a segment begins where the one before ends";

/** Compares up to 10 segments. */
export async function compareSegments(log: Log, from: string, findings: Findings): Promise<string | null> {
  const { DB } = log.environment();
  const { log: name } = log.identity();
  const ours = segmentsFrom(log, Number(from), PAGE_SEGMENTS);
  const last = ours.at(-1);
  const end = last ? last.last + 1 : Number(from);
  // One that is on its way may be there already; whatever lies beyond the last one was never sealed.
  const theirs = await segmentRows(DB, name, Number(from), last && ours.length === PAGE_SEGMENTS ? end : MAX, ROWS);
  const known = new Set(segmentsFrom(log, Number(from), ROWS).map(({ first }) => first));
  for (const { first } of theirs) if (!known.has(first)) findings.fault("segment_row_foreign", first);
  for (const segment of ours) {
    const row = theirs.find(({ first }) => first === segment.first);
    await (segment.stored === 0 ? tryAgain : compareSegment)(log, segment, row, findings);
  }
  return ours.length === PAGE_SEGMENTS ? String(end) : null;
}

const MAX = Number.MAX_SAFE_INTEGER;
/** More than a page: D1 may have rows that are none of the log's. */
const ROWS = 4 * PAGE_SEGMENTS;

async function compareSegment(
  log: Log,
  segment: Segment,
  row: SealedSegment | undefined,
  findings: Findings,
): Promise<void> {
  const { first, last } = segment;
  findings.checked.segments += 1;
  const inR2 = await repairedInR2(log, segment);
  if (inR2 === "repaired") findings.repair("segments", 1, first, last);
  settle(log, findings, first, "segment_differs", inR2 === "differs");
  settle(log, findings, first, "segment_lost", inR2 === "lost");
  const isThere = row !== undefined;
  const isRight = isThere ? isSame(log, segment, row) : await isBrought(log, segment);
  if (isRight && !isThere) findings.repair("segment_rows", 1, first, last);
  settle(log, findings, first, "segment_row_differs", !isRight);
}

/** Writes a segment that R2 has lost once more, if its entries are still here: its bytes are the same as they were. */
async function repairedInR2(log: Log, segment: Segment): Promise<"same" | "repaired" | "differs" | "lost"> {
  const { STORE } = log.environment();
  const key = keyOf(log, segment);
  const standing = await lookAtSegment(STORE, key, segment.sha256);
  if (standing !== "missing") return standing;
  if (segment.first < floorsOf(log).floor) return "lost";
  const put = await putSegment(STORE, key, bytesOf(log, segment), segment.sha256);
  return put === "same" ? "repaired" : put;
}

function isSame(log: Log, segment: Segment, row: SealedSegment): boolean {
  return JSON.stringify(row) === JSON.stringify(rowOf(log, segment));
}

/** Brings a row that D1 has lost. @returns false if another row is in its way. */
async function isBrought(log: Log, segment: Segment): Promise<boolean> {
  try {
    return await bringRows(log, segment);
  } catch (error) {
    if (error instanceof Error && error.message.includes(REFUSED_ROW)) return false;
    throw error;
  }
}

function settle(log: Log, findings: Findings, seq: number, what: FaultKind, isFault: boolean): void {
  if (isFault) findings.fault(what, seq);
  else log.commit(() => clearFault(log, { what, seq }));
}

/** Looks again at a segment that something was in the way of, and has it sealed once nothing is. */
async function tryAgain(log: Log, segment: Segment, row: SealedSegment | undefined, findings: Findings): Promise<void> {
  const { first, sha256 } = segment;
  if (faultsFrom(log, OBSTACLES, first, first + 1).length === 0) return;
  const isInTheWay = (await lookAtSegment(log.environment().STORE, keyOf(log, segment), sha256)) === "differs";
  const isRowInTheWay = row !== undefined && !isSame(log, segment, row);
  settle(log, findings, first, "segment_differs", isInTheWay);
  settle(log, findings, first, "segment_row_differs", isRowInTheWay);
  if (!isInTheWay && !isRowInTheWay) log.commit(() => log.schedule(SEGMENT, log.identity().log, log.now()));
}
