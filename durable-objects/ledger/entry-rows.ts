import type { Entry } from "../../src/audit/entry.ts";
import { type Findings, stretches } from "../../src/audit/reconciliation.ts";
import { type DrainedRow, drainedRow, type EntryRow } from "../../src/store/audit-drain.ts";
import { countRows, positionsFrom, rowsBetween } from "../../src/store/audit-rows.ts";
import { dropRows, floorOf, raiseFloor } from "../../src/store/audit-segments.ts";
import { sizeOf } from "./chain.ts";
import { clearFault, faultsFrom } from "./faults.ts";
import type { Log } from "./log.ts";
import { floorsOf } from "./retention.ts";

/** Comparing the entries of a log with D1's rows of them. */

const PAGE_ROWS = 500;
/** So many rows beyond the log's end are named. */
const NAMED = 10;
/** How D1's triggers refuse a floor that is not over sealed segments. */
const REFUSED_FLOOR = "a floor only rises";

/** Whether D1 lets go of exactly what the log has dropped. */
export async function compareFloor(log: Log, _from: string, findings: Findings): Promise<null> {
  const { DB } = log.environment();
  const owner = log.identity();
  const theirs = await floorOf(DB, owner.log);
  // After the wait: the log may have begun to drop entries meanwhile.
  const { floor, dropping } = floorsOf(log);
  if (theirs > dropping) findings.fault("floor_differs", theirs);
  else log.commit(() => clearFaults(log, 0, Number.MAX_SAFE_INTEGER, "floor_differs", () => false));
  if (floor === 0) return null;
  if (theirs < floor && !(await isRaised(log, floor))) {
    findings.fault("floor_differs", theirs);
    return null;
  }
  findings.repair("dropped_entries", await dropRows(DB, owner.log, floor), 0, floor - 1);
  return null;
}

/** Raises D1's floor. @returns false if D1's rows of segments do not allow it. */
async function isRaised(log: Log, floor: number): Promise<boolean> {
  try {
    await raiseFloor(log.environment().DB, log.identity(), floor);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes(REFUSED_FLOOR)) return false;
    throw error;
  }
}

/** Compares up to 500 entries with D1's rows. */
export async function compareEntries(log: Log, from: string, findings: Findings): Promise<string | null> {
  const { DB } = log.environment();
  const owner = log.identity();
  const sql = log.storage();
  const { drained } = sql.exec<{ drained: number }>("SELECT drained FROM ledger").one();
  const start = Math.max(Number(from), floorsOf(log).dropping);
  if (start >= drained) {
    await compareEnd(log, drained, findings);
    return null;
  }
  const end = Math.min(start + PAGE_ROWS, drained);
  const theirs = new Map((await rowsBetween(DB, owner.log, start, end)).map((row) => [row.seq, row]));
  const ours = entriesBetween(log, start, end);
  findings.checked.entries += ours.length;
  const missing = ours.filter(({ seq }) => !theirs.has(seq)).map(({ seq }) => seq);
  const differing = new Set(ours.filter((row) => differs(row, theirs.get(row.seq), owner)).map(({ seq }) => seq));
  for (const seq of differing) findings.fault("entry_differs", seq);
  log.commit(() => clearFaults(log, start, end, "entry_differs", (seq) => differing.has(seq)));
  await repair(log, missing, findings);
  return String(end);
}

/** What D1 is to have of the entries [start, end) that have not left the object. */
function entriesBetween(log: Log, start: number, end: number): DrainedRow[] {
  const sql = log.storage();
  const rows = sql
    .exec<EntryRow>(
      "SELECT seq, hash, entry FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq",
      Math.max(start, floorsOf(log).dropping),
      end,
    )
    .toArray();
  return rows.map((row) => drainedRow(log.identity(), row, JSON.parse(row.entry) as Entry));
}

function differs(
  ours: DrainedRow,
  theirs: (DrainedRow & { tenant_id: string }) | undefined,
  { tenant_id }: { tenant_id: string },
): boolean {
  return theirs !== undefined && JSON.stringify(theirs) !== JSON.stringify({ ...ours, tenant_id });
}

/** Faults of a stretch that are none any more. Inside `commit`. */
function clearFaults(
  log: Log,
  start: number,
  end: number,
  what: "entry_differs" | "entry_missing" | "floor_differs",
  isStill: (seq: number) => boolean,
): void {
  for (const fault of faultsFrom(log, [what], start, end)) if (!isStill(fault.seq)) clearFault(log, fault);
}

/** Brings entries back to D1 the way they came there. */
async function repair(log: Log, missing: readonly number[], findings: Findings): Promise<void> {
  const { DB } = log.environment();
  for (const { first, last } of stretches(missing)) {
    await log.drainAgain(first, last);
    const isThere = (await countRows(DB, log.identity().log, first, last + 1)) === last - first + 1;
    if (isThere) findings.repair("entries", last - first + 1, first, last);
    else findings.fault("entry_missing", first);
    log.commit(() => clearFaults(log, first, last + 1, "entry_missing", () => !isThere));
  }
}

/** Looks for rows beyond the log's end: entries that it never had. */
async function compareEnd(log: Log, drained: number, findings: Findings): Promise<void> {
  const beyond = await positionsFrom(log.environment().DB, log.identity().log, drained, PAGE_ROWS);
  // After the wait: what was appended and drained meanwhile is the log's own.
  const size = sizeOf(log.storage());
  for (const seq of beyond.filter((each) => each >= size).slice(0, NAMED)) findings.fault("entry_foreign", seq);
}
