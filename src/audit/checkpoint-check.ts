import { missingEntries } from "./chain-reader.ts";
import { type Checkpoint, logOfOrigin, parseCheckpoint } from "./checkpoint.ts";
import type { CompactRange } from "./compact-range.ts";
import type { RangeProof } from "./export-line.ts";
import { type Fault, type FaultCode, fault } from "./faults.ts";
import { sameHash, verifyConsistency } from "./merkle-proof.ts";
import { type Note, parseNote, signedBy, type VerifierKey } from "./signed-note.ts";
import type { Trust } from "./trust.ts";

/** What was read before the checkpoint. */
export interface ReadRange {
  /** Of the entries; null where there are none. */
  log: string | null;
  range: CompactRange;
  proof: RangeProof | null;
  /** The range as it was when it was as large as the tree of `trust.after`; null if it never was. */
  atAfter: CompactRange | null;
  /**
   * That the checkpoint's tree grew out of that of `trust.after` (RFC 9162 §2.1.4), from somebody who has the tree; null without one.
   * It is asked only where the entries do not show it.
   */
  growth: readonly Uint8Array[] | null;
  /** Of the checkpoint. */
  line: number;
}

/** A checkpoint that holds for what was read. */
export interface CheckedCheckpoint {
  checkpoint: Checkpoint;
  signed_by: VerifierKey;
  /** `time`: when each says that it saw the checkpoint, in seconds since the epoch. */
  witnessed_by: { key: VerifierKey; time: number }[];
}

/** @returns a fault of the last line. */
type Refuse = (code: FaultCode, message: string, seq?: number) => Fault;

function isFault<Value extends object>(value: Value | Fault): value is Fault {
  return "code" in value;
}

/** The trusted key that signed the checkpoint. */
function signerOf(note: Note, { origin }: Checkpoint, read: ReadRange, trust: Trust, refuse: Refuse) {
  const named = logOfOrigin(origin);
  const expected = read.log ?? trust.log;
  if (expected !== null && named !== expected) {
    return refuse("wrong_origin", `The checkpoint is of ${origin}, and the entries are of the log ${expected}.`);
  }
  const keys = trust.keys.filter(({ name }) => name === origin);
  if (keys.length === 0) {
    const known = trust.keys.map(({ name }) => name).join(", ");
    return refuse("wrong_origin", `The checkpoint says that it is of ${origin}, and the key given is of ${known}.`);
  }
  const verdicts = keys.map((key) => ({ key, signed: signedBy(note, key).signed }));
  if (verdicts.some(({ signed }) => signed === "invalid")) {
    return refuse("bad_signature", "The checkpoint was changed after it was signed: its signature does not hold.");
  }
  const signer = verdicts.find(({ signed }) => signed === "valid");
  return signer?.key ?? refuse("unknown_key", "The checkpoint is signed by another key than the one given.");
}

/** What joins the entries to the tree; a whole log needs nothing for it. */
function proofOf({ range, proof }: ReadRange): RangeProof {
  return proof ?? { start: range.start, end: range.end, left: [], consistency: [] };
}

/** The entries are those of the checkpoint's tree, or, with a proof, the part of it that they say. */
function rangeFault({ size, root }: Checkpoint, read: ReadRange, refuse: Refuse): Fault | null {
  const { range, proof } = read;
  const [start, end] = [range.start, range.end];
  if (size < end) {
    const message = `The checkpoint is of ${size} entries, and there are entries up to ${end - 1}: nothing stands behind the last ones.`;
    return refuse("checkpoint_behind", message, size);
  }
  if (!proof && start > 0) {
    return fault(
      "gap",
      1,
      0,
      `${missingEntries(0, start - 1)} missing, and there is no proof that this is a part of the log.`,
    );
  }
  if (!proof && end < size) {
    const message = `${missingEntries(end, size - 1)} missing at the end: the checkpoint is of ${size} entries.`;
    return refuse("truncated", message, end);
  }
  const { left, consistency } = proofOf(read);
  const endRoot = range.joined(left);
  if (size === end) {
    if (sameHash(endRoot, root) && consistency.length === 0) return null;
    const message = "The entries do not make the root that was signed: one of them was rewritten, with its hash.";
    return refuse(start > 0 || consistency.length > 0 ? "bad_proof" : "wrong_root", message);
  }
  const isProven =
    end === 0
      ? consistency.length === 0
      : verifyConsistency({ first: end, second: size, firstRoot: endRoot, secondRoot: root, proof: consistency });
  const message =
    "The proof does not lead from these entries to the root that was signed: one or the other was changed.";
  return isProven ? null : refuse("bad_proof", message);
}

/** @returns whether the tree had the older checkpoint's root when it had its size; null where nothing shows it. */
function hasGrownFrom(after: Checkpoint, { size, root }: Checkpoint, read: ReadRange): boolean | null {
  if (after.size === size) return sameHash(root, after.root);
  const then = read.atAfter?.joined(proofOf(read).left);
  if (then) return sameHash(then, after.root);
  if (after.size === 0) return true;
  const claim = { first: after.size, second: size, firstRoot: after.root, secondRoot: root };
  return read.growth && verifyConsistency({ ...claim, proof: read.growth });
}

/** The reader's older checkpoint is of the same log, and the tree had its root when it had its size. */
function afterFault(checkpoint: Checkpoint, read: ReadRange, { after }: Trust, refuse: Refuse): Fault | null {
  if (!after) return null;
  const { origin, size } = checkpoint;
  if (after.origin !== origin) {
    return refuse(
      "wrong_origin",
      `The checkpoint is of ${origin}, and the older one that was given is of ${after.origin}.`,
    );
  }
  if (size < after.size) {
    const message = `The checkpoint is of ${size} entries, and the one that was given, of ${after.size}: entries were cut off.`;
    return refuse("checkpoint_older", message, size);
  }
  const hasGrown = hasGrownFrom(after, checkpoint, read);
  if (hasGrown === null) {
    const message = `The older checkpoint is of ${after.size} entries, which this part of the log does not reach or begins after: export the whole log, or a part that does.`;
    return refuse("not_comparable", message);
  }
  if (hasGrown) return null;
  const message = `The log's first ${after.size} entries are not those that the older checkpoint was signed for: two versions of the log were shown.`;
  return refuse("split_view", message);
}

/**
 * Checks the last line of an export against everything before it.
 * @param text of the note. @returns what holds, or the first fault.
 */
export function checkCheckpoint(text: string, read: ReadRange, trust: Trust): CheckedCheckpoint | Fault {
  const refuse: Refuse = (code, message, seq) => fault(code, read.line, seq ?? null, message);
  const note = parseNote(text);
  const checkpoint = note && parseCheckpoint(note.text);
  if (!checkpoint) return refuse("bad_checkpoint", "The last line is no checkpoint: it was cut, or changed.");
  const signer = signerOf(note, checkpoint, read, trust, refuse);
  if (isFault(signer)) return signer;
  const found = rangeFault(checkpoint, read, refuse);
  if (found) return found;
  const witnessed_by: CheckedCheckpoint["witnessed_by"] = [];
  for (const key of trust.witnesses) {
    const verdict = signedBy(note, key);
    if (verdict.signed !== "valid") {
      const why = verdict.signed === "absent" ? "has not signed it" : "signed something else";
      return refuse("not_witnessed", `The checkpoint lacks its witness: ${key.name} ${why}.`);
    }
    witnessed_by.push({ key, time: verdict.time ?? 0 });
  }
  return afterFault(checkpoint, read, trust, refuse) ?? { checkpoint, signed_by: signer, witnessed_by };
}
