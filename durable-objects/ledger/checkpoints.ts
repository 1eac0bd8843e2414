import { checkpointText } from "../../src/audit/checkpoint.ts";
import { consistencyProof, inclusionProof, leftOf, rootOf } from "../../src/audit/merkle-tree.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { LogCheckpoint, ProofAnswer, ProofQuestion } from "../log-rpc.ts";
import type { Timer } from "../timers.ts";
import { sizeOf } from "./chain.ts";
import type { Log } from "./log.ts";
import { signedNote, verifierKeyOfLog } from "./log-key.ts";
import { treeNodes } from "./tree.ts";

/** Signed checkpoints of a log (C2SP tlog-checkpoint), and the proofs that lead to them. */

/** The timer of the next one. */
export const CHECKPOINT = "checkpoint";
/** While there is something new, a checkpoint is at most this old. */
const CHECKPOINT_AFTER = 10 * 60_000;

interface CheckpointRow extends Record<string, SqlStorageValue> {
  size: number;
  at: string;
  note: string;
  witnesses: number;
}

/** Has a checkpoint made in time for what was appended just now. Inside `commit`. */
export function scheduleCheckpoint(log: Log): void {
  log.scheduleBy(CHECKPOINT, log.identity().log, log.now() + CHECKPOINT_AFTER);
}

/** Serves a `checkpoint` timer. */
export function checkpointByTimer(log: Log, timer: Timer): void {
  log.commit(() => {
    log.unschedule(timer.kind, timer.ref);
    makeCheckpoint(log);
  });
}

/** @returns the signed note that commits to the first `size` entries. */
export function signCheckpoint(log: Log, size: number): string {
  const { origin } = verifierKeyOfLog(log);
  const root = rootOf(size, treeNodes(log.storage()));
  return signedNote(log, checkpointText({ origin, size, root }));
}

/** The newest checkpoint, made now if the log has grown since the last one. Inside `commit`. */
export function makeCheckpoint(log: Log): LogCheckpoint {
  const sql = log.storage();
  const size = sizeOf(sql);
  const last = newestCheckpoint(log);
  if (last?.size === size) return last;
  const at = new Date(log.now()).toISOString();
  // Those without a witness are not missed: any later one can be shown to contain them.
  sql.exec("DELETE FROM checkpoints WHERE witnesses = 0");
  sql.exec("INSERT INTO checkpoints VALUES (?, ?, ?, 0)", size, at, signCheckpoint(log, size));
  const made = newestCheckpoint(log);
  if (!made) throw new Error("the checkpoint that was just made is not there");
  log.checkpointMade(made);
  return made;
}

function read(log: Log, condition: string, ...bindings: SqlStorageValue[]): LogCheckpoint | null {
  const sql = log.storage();
  const [row] = sql
    .exec<CheckpointRow>(`SELECT * FROM checkpoints WHERE ${condition} ORDER BY size DESC LIMIT 1`, ...bindings)
    .toArray();
  if (!row) return null;
  const { size, at, note: checkpoint, witnesses } = row;
  const root = Buffer.from(rootOf(size, treeNodes(sql))).toString("base64");
  return { log: log.identity().log, ...verifierKeyOfLog(log), size, root, at, checkpoint, witnesses };
}

/** @returns the newest checkpoint there is; null before the first. */
export function newestCheckpoint(log: Log): LogCheckpoint | null {
  return read(log, "1");
}

/** @returns the newest one that a witness has signed too. */
export function witnessedCheckpoint(log: Log): LogCheckpoint | null {
  return read(log, "witnesses > 0");
}

/** @returns the checkpoint of exactly that size, if it is kept. */
export function checkpointOfSize(log: Log, size: number): LogCheckpoint | null {
  return read(log, "size = ?", size);
}

/** Keeps a checkpoint with the co-signatures that `note` has. Inside `commit`. */
export function keepWitnessed(
  log: Log,
  { size, note, witnesses }: { size: number; note: string; witnesses: number },
): void {
  log.storage().exec(
    `INSERT INTO checkpoints VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (size) DO UPDATE SET note = excluded.note, witnesses = excluded.witnesses`,
    size,
    new Date(log.now()).toISOString(),
    note,
    witnesses,
  );
}

const base64 = (hash: Uint8Array) => Buffer.from(hash).toString("base64");

/** Answers LogRpc's `proof`. A position or size that the log has not is `invalid_range`. */
export function proofOf(log: Log, question: ProofQuestion): Outcome<ProofAnswer> {
  const sql = log.storage();
  const nodes = treeNodes(sql);
  const { size } = question;
  if (size > sizeOf(sql)) return refused("invalid_range", `The log has only ${sizeOf(sql)} entries.`);
  switch (question.kind) {
    case "inclusion": {
      const { seq } = question;
      if (seq >= size) return refused("invalid_range", `The entry ${seq} is not among the first ${size}.`);
      const hashes = inclusionProof(seq, size, nodes).map(base64);
      return accepted({ left: [], hashes, leaf_hash: base64(nodes.get(0, seq)) });
    }
    case "consistency": {
      const { first } = question;
      if (first > size) return refused("invalid_range", `A log of ${size} entries did not grow from ${first}.`);
      return accepted({ left: [], hashes: consistencyProof(first, size, nodes).map(base64), leaf_hash: null });
    }
    case "range": {
      const { start, end } = question;
      if (start > end || end > size) return refused("invalid_range", `There is no such range in ${size} entries.`);
      const hashes = consistencyProof(end, size, nodes).map(base64);
      return accepted({ left: leftOf(start, nodes).map(base64), hashes, leaf_hash: null });
    }
  }
}
