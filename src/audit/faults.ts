/** What can be wrong with an export of a log. Programs go by the code, people by the sentence. */

export const FAULT_CODES = [
  "empty",
  "not_json",
  "not_canonical",
  "not_an_entry",
  "wrong_hash",
  "other_log",
  "gap",
  "duplicate",
  "order",
  "broken_link",
  "time_went_back",
  "after_the_end",
  "truncated",
  "bad_checkpoint",
  "wrong_origin",
  "unknown_key",
  "bad_signature",
  "checkpoint_behind",
  "bad_proof",
  "wrong_root",
  "not_witnessed",
  "checkpoint_older",
  "split_view",
  "not_comparable",
] as const;

export type FaultCode = (typeof FAULT_CODES)[number];

/** The first thing that is wrong. */
export interface Fault {
  code: FaultCode;
  /** The line that it was seen on, from 1; what is missing at the end is on the line after the last. */
  line: number;
  /** The entry that it is about; null where it is about the whole. */
  seq: number | null;
  /** One sentence or two: what is wrong, and what may have happened. */
  message: string;
}

/** @returns the fault. @param seq the entry that it is about, or null. */
export function fault(code: FaultCode, line: number, seq: number | null, message: string): Fault {
  return { code, line, seq, message };
}
