import type { LogFault, Repair } from "../src/audit/reconciliation.ts";
import type { Outcome } from "../src/errors.ts";
import type { Caller } from "../src/oversight/caller.ts";

/** A signed checkpoint of a log. Durable when it is returned. */
export interface LogCheckpoint {
  log: string;
  origin: string;
  /** How many entries it commits to. */
  size: number;
  /** The root of the tree, base64. */
  root: string;
  /** When it was made, ISO 8601. */
  at: string;
  /** The signed note (C2SP tlog-checkpoint), with the co-signatures there are. */
  checkpoint: string;
  /** What checks it (C2SP signed-note). */
  verifier_key: string;
  /** How many witnesses have signed it too. */
  witnesses: number;
}

/** What `checkpoint` answers. */
export interface CheckpointAnswer {
  newest: LogCheckpoint;
  /** The newest one that a witness has signed; null: none has. */
  witnessed: LogCheckpoint | null;
  /** How many entries D1 has for certain. */
  drained: number;
}

/** What a proof is asked about. Sizes and positions count entries from 0. */
export type ProofQuestion =
  /** That the entry `seq` is in the tree of `size`. */
  | { kind: "inclusion"; seq: number; size: number }
  /** That the tree of `first` is a beginning of that of `size`. */
  | { kind: "consistency"; first: number; size: number }
  /** What leads from the entries [start, end) to the tree of `size`: the subtrees left of them, and the consistency of `end`. */
  | { kind: "range"; start: number; end: number; size: number };

/** Hashes in base64. */
export interface ProofAnswer {
  /** For a range: the roots of the subtrees left of it, the largest first. */
  left: string[];
  hashes: string[];
  /** For an inclusion: the leaf hash. */
  leaf_hash: string | null;
}

/** What a step of a reconciliation came to. Durable when it is answered. */
export interface ReconcileAnswer {
  log: string;
  /** How many of each were compared. */
  checked: { entries: number; segments: number; data_keys: number; erased_keys: number };
  /** What was missing in D1 or R2, there again, or another data key, and is put right. */
  repaired: Repair[];
  /** What D1 or R2 have otherwise; `seq` is the first entry that it is about. */
  faults: LogFault[];
  /** Where the next step goes on; null: the whole log was compared. */
  cursor: string | null;
}

/** What both objects answer about their log. */
export interface LogRpc {
  /**
   * The newest checkpoint; a new one is made where the log has grown since. D1 is brought up to it first, as far as it can be
   * reached.
   */
  checkpoint(caller: Caller): Promise<Outcome<CheckpointAnswer>>;
  proof(caller: Caller, question: ProofQuestion): Promise<Outcome<ProofAnswer>>;
  /**
   * Compares a part of the log with what D1 and R2 have of it, and repairs what is missing there.
   * @param cursor where an earlier step ended; null: from the beginning. @throws whatever D1 or R2 throw.
   */
  reconcile(caller: Caller, cursor: string | null): Promise<Outcome<ReconcileAnswer>>;
  /**
   * Keeps the co-signatures of witnesses on a checkpoint that this log signed. Anyone may bring them: they prove themselves.
   * `invalid_checkpoint` if the note is not one that this log signed of itself; `not_witnessed` if no registered witness did.
   */
  cosign(log: string, note: string): Promise<Outcome<LogCheckpoint>>;
  /** What checks the log's checkpoints, for anyone. Null: there is no such log. */
  verifierKey(log: string): Promise<{ origin: string; verifier_key: string } | null>;
}
