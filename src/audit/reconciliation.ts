/** What a comparison of a log with D1 and R2 has come to so far. */

/** What does not agree between a log and its copies, and cannot be put right. */
export const FAULTS = {
  /** R2 has other bytes under a segment's key than were sealed. */
  segment_differs: "a segment in R2 is not what was sealed",
  /** R2 has not a segment whose entries have left the object. */
  segment_lost: "a segment in R2 is gone, and so are its entries",
  /** D1 has another row of a segment than the object. */
  segment_row_differs: "a segment's row in D1 is not what was sealed",
  /** D1 has a row of a segment that the object never sealed. */
  segment_row_foreign: "D1 has a segment that was never sealed",
  /** D1 has another row at an entry's place. Its triggers let nobody put it right. */
  entry_differs: "an entry in D1 is not the log's",
  /** D1 has not an entry and does not take it back. */
  entry_missing: "D1 has not an entry, and does not take it back",
  /** D1 has an entry beyond the log's end. */
  entry_foreign: "D1 has an entry that was never written",
  /** D1 lets entries be deleted that the log did not drop. */
  floor_differs: "D1's floor is above the log's",
  /** D1 has another data key than the object, whose own opens under no MASTER_KEY that is there: nobody can tell which is right. */
  key_differs: "D1 has another data key than the log, whose own cannot be opened",
} as const;

/** The kinds of faults. */
export type FaultKind = keyof typeof FAULTS;

/** A fault, and the first entry that it is about. */
export interface LogFault {
  what: FaultKind;
  seq: number;
}

/** What was missing somewhere and is there again. */
export const REPAIRS = {
  /** Entries that D1 had lost. */
  entries: "D1 had lost these entries",
  /** Rows that had left D1 and were there again, as a restored backup brings them. */
  dropped_entries: "D1 had these entries again, though they had left it",
  /** Segments that R2 had lost. */
  segments: "R2 had lost these segments",
  /** Rows of segments that D1 had lost. */
  segment_rows: "D1 had lost the rows of these segments",
  /** Data keys that D1 had lost, or had otherwise than the object. */
  data_keys: "D1 had lost these data keys, or had other ones in their place",
  /** Data keys that were destroyed and that D1 had again. */
  erased_keys: "D1 had these data keys again, though they were destroyed",
} as const;

/** The kinds of repairs. */
export type RepairKind = keyof typeof REPAIRS;

/** A stretch of the log that was repaired; positions are null where it is about none. */
export interface Repair {
  what: RepairKind;
  first: number | null;
  last: number | null;
  /** How many: entries, segments or keys. */
  count: number;
}

/** What a step came to. */
export class Findings {
  readonly checked = { entries: 0, segments: 0, data_keys: 0, erased_keys: 0 };
  readonly repaired: Repair[] = [];
  readonly faults: LogFault[] = [];

  repair(what: RepairKind, count: number, first: number | null = null, last: number | null = null): void {
    if (count > 0) this.repaired.push({ what, first, last, count });
  }

  fault(what: FaultKind, seq: number): LogFault {
    const fault = { what, seq };
    this.faults.push(fault);
    return fault;
  }

  /** How many of each kind were repaired. */
  counts(): Record<RepairKind, number> {
    const counts = { entries: 0, dropped_entries: 0, segments: 0, segment_rows: 0, data_keys: 0, erased_keys: 0 };
    for (const { what, count } of this.repaired) counts[what] += count;
    return counts;
  }
}

/** @returns positions, in order, as stretches without a gap. */
export function stretches(positions: readonly number[]): { first: number; last: number }[] {
  const found: { first: number; last: number }[] = [];
  for (const position of positions) {
    const current = found.at(-1);
    if (current && current.last + 1 === position) current.last = position;
    else found.push({ first: position, last: position });
  }
  return found;
}

/**
 * What a round compares, in this order: D1's floor needs the rows of segments, entries are compared above the floor, and those that are
 * brought back bring their data keys with them.
 */
export const PHASES = ["segments", "floor", "entries", "data_keys", "erased_keys"] as const;
export type Phase = (typeof PHASES)[number];

/** How far a round is. */
export interface Position {
  phase: Phase;
  /** The position, or the key id, with which it goes on; "" at the beginning of a phase. */
  from: string;
}

/** These go on with the id of a key, the others with a place in the log. */
const OF_KEYS: ReadonlySet<Phase> = new Set<Phase>(["data_keys", "erased_keys"]);

const POSITION = /^(segments|floor|entries|data_keys|erased_keys)\.([0-9A-Za-z_]{0,64})$/;

/** @returns a position as text, which `readPosition` takes. */
export function positionText({ phase, from }: Position): string {
  return `${phase}.${from}`;
}

/** @returns a position, or null if the text is none. A forged one names another part of the same log, nothing else. */
export function readPosition(text: string): Position | null {
  const [, phase, from = ""] = POSITION.exec(text) ?? [];
  const known = PHASES.find((each) => each === phase);
  if (known === undefined || (!OF_KEYS.has(known) && !/^(?:\d{1,15})?$/.test(from))) return null;
  return { phase: known, from };
}

/** @returns the beginning of the phase after this one; null after the last. */
export function phaseAfter(phase: Phase): Position | null {
  const next = PHASES[PHASES.indexOf(phase) + 1];
  return next === undefined ? null : { phase: next, from: "" };
}
