import {
  Findings,
  type Phase,
  type Position,
  phaseAfter,
  positionText,
  readPosition,
} from "../../src/audit/reconciliation.ts";
import { countRows } from "../../src/store/audit-rows.ts";
import type { ReconcileAnswer } from "../log-rpc.ts";
import type { Timer } from "../timers.ts";
import { SYSTEM } from "./actors.ts";
import { compareEntries, compareFloor } from "./entry-rows.ts";
import { compareKeys } from "./erased-rows.ts";
import { recordFault, resourceOf } from "./faults.ts";
import { compareDataKeys } from "./key-rows.ts";
import type { Log } from "./log.ts";
import { floorsOf } from "./retention.ts";
import { compareSegments } from "./segment-rows.ts";

/**
 * Compares a log in its object, the authority, with what D1 and R2 have of it: what they miss is written to them again, what they
 * have otherwise is a fault, unless it is a data key, which nothing keeps from being written anew. A round walks the whole log, one bounded
 * step after the other.
 */

/** The daily timer. */
export const RECONCILE = "reconcile";
const DAY = 24 * 3600_000;
/** When something is missing, the next step follows after this. */
const SOON = 1_000;
/** At most so many pages in one step: 500 entries, 10 segments or 500 keys each. */
const PAGES = 20;

/**
 * Compares one page of a phase.
 * @param from where, as it was answered for the page before; "" at the beginning.
 * @returns where the next page begins; null: the phase is done. @throws whatever D1 or R2 throw; repeating is harmless.
 */
export type ComparePage = (log: Log, from: string, findings: Findings) => Promise<string | null>;

const COMPARE: Readonly<Record<Phase, ComparePage>> = {
  segments: compareSegments,
  floor: compareFloor,
  entries: compareEntries,
  data_keys: compareDataKeys,
  erased_keys: compareKeys,
};

/**
 * Compares the next pages, and repairs what is missing on them.
 * @param position null: from the beginning.
 * @returns what was found, and where it goes on; null at the end. What was repaired, and faults that are new, are in the log.
 */
async function reconcile(log: Log, position: Position | null): Promise<{ findings: Findings; next: Position | null }> {
  const findings = new Findings();
  let at: Position | null = position ?? { phase: "segments", from: "" };
  for (let page = 0; at !== null && page < PAGES; page++) {
    const from = await COMPARE[at.phase](log, at.from, findings);
    at = from === null ? phaseAfter(at.phase) : { phase: at.phase, from };
  }
  log.commit(() => {
    for (const fault of findings.faults) recordFault(log, fault);
    if (findings.repaired.length > 0) {
      log.append({ actor: SYSTEM, action: "log.repaired", resource: resourceOf(log), detail: findings.counts() });
    }
  });
  return { findings, next: at };
}

/**
 * Serves a `reconcile` timer: some pages a day, so that a long log costs no more than a short one, and the whole log at once where
 * D1 has too few rows.
 */
export async function reconcileByTimer(log: Log, timer: Timer): Promise<void> {
  const isShort = await hasTooFewRows(log);
  const { reconciled } = log.storage().exec<{ reconciled: string | null }>("SELECT reconciled FROM keeping").one();
  const { findings, next } = await reconcile(log, reconciled === null ? null : readPosition(reconciled));
  const isUrgent = next !== null && (isShort || findings.repaired.length > 0);
  log.commit(() => {
    log.storage().exec("UPDATE keeping SET reconciled = ?", next && positionText(next));
    log.schedule(timer.kind, timer.ref, log.now() + (isUrgent ? SOON : DAY));
  });
}

/** A step that somebody asks for. */
export async function reconcileFor(log: Log, position: Position | null): Promise<ReconcileAnswer> {
  const { findings, next } = await reconcile(log, position);
  const { checked, repaired, faults } = findings;
  return { log: log.identity().log, checked, repaired, faults, cursor: next && positionText(next) };
}

/** Whether D1 lacks entries that it had. */
async function hasTooFewRows(log: Log): Promise<boolean> {
  const { drained } = log.storage().exec<{ drained: number }>("SELECT drained FROM ledger").one();
  const { dropping } = floorsOf(log);
  return (await countRows(log.environment().DB, log.identity().log, dropping, drained)) < drained - dropping;
}
