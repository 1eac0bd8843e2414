import type { Entry } from "../../src/audit/entry.ts";
import type { Log } from "./log.ts";
import { RECONCILE } from "./reconciler.ts";
import { RETAIN } from "./retention.ts";
import { SEGMENT, scheduleSegment } from "./segments.ts";

/** What is done for every log, day by day, so that it is kept: sealing, retention, reconciliation (docs/audit.md, "Keeping"). */

const DAY = 24 * 3600_000;
const DAILY = [RETAIN, RECONCILE];

/** Has what was appended just now kept. Inside `commit`. */
export function scheduleKeeping(log: Log, { seq }: Pick<Entry, "seq">): void {
  // Once for each segment is often enough to see whether a clock that was ahead has put off what is daily.
  if (scheduleSegment(log, { seq })) scheduleDaily(log);
}

/** The same for a log that was begun without all of that. Inside `commit`. */
export function startKeeping(log: Log): void {
  log.schedule(SEGMENT, log.identity().log, log.now());
  scheduleDaily(log);
}

function scheduleDaily(log: Log): void {
  for (const kind of DAILY) log.scheduleBy(kind, log.identity().log, log.now() + DAY);
}
