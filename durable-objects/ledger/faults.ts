import { FAULTS, type FaultKind, type LogFault } from "../../src/audit/reconciliation.ts";
import { SYSTEM } from "./actors.ts";
import type { Log } from "./log.ts";

/** What does not agree between object, D1 and R2 and cannot be repaired. Each is recorded once, however often it is met. */

/** At most so many faults of a kind are recorded at once: a D1 that is wrong throughout must not fill the log with it. */
const RECORDED = 100;

/** Records a fault, in the log too if it is new. Inside `commit`. */
export function recordFault(log: Log, { what, seq }: LogFault): void {
  const added = log
    .storage()
    .exec(
      `INSERT INTO log_faults SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM log_faults WHERE what = ?1) < ${RECORDED}
       ON CONFLICT DO NOTHING RETURNING seq`,
      what,
      seq,
      new Date(log.now()).toISOString(),
    )
    .toArray();
  if (added.length === 0) return;
  console.error(`the log ${log.identity().log}: ${FAULTS[what]} (entry ${seq})`);
  log.append({ actor: SYSTEM, action: "log.fault", resource: resourceOf(log), detail: { what, entry: seq } });
}

/** What was a fault is none any more. Inside `commit`. */
export function clearFault(log: Log, { what, seq }: LogFault): void {
  const cleared = log
    .storage()
    .exec("DELETE FROM log_faults WHERE what = ? AND seq = ? RETURNING seq", what, seq)
    .toArray();
  if (cleared.length === 0) return;
  log.append({ actor: SYSTEM, action: "log.fault_gone", resource: resourceOf(log), detail: { what, entry: seq } });
}

/** @returns the faults of these kinds from an entry on, in the order of the log. */
export function faultsFrom(log: Log, kinds: readonly FaultKind[], from: number, below: number): LogFault[] {
  return log
    .storage()
    .exec<LogFault & Record<string, SqlStorageValue>>(
      `SELECT what, seq FROM log_faults WHERE seq >= ? AND seq < ?
         AND what IN (SELECT value FROM json_each(?)) ORDER BY seq, what`,
      from,
      below,
      JSON.stringify(kinds),
    )
    .toArray()
    .map(({ what, seq }) => ({ what, seq }));
}

/** What entries about the log itself are about. */
export function resourceOf(log: Log): { type: string; id: string } {
  const { log: id, tenant_id } = log.identity();
  return { type: id === tenant_id ? "tenant" : "mailbox", id };
}
