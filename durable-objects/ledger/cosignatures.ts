import { parseCheckpoint } from "../../src/audit/checkpoint.ts";
import { sameHash } from "../../src/audit/merkle-proof.ts";
import { rootOf } from "../../src/audit/merkle-tree.ts";
import {
  formatNote,
  isBy,
  type Note,
  type NoteSignature,
  parseNote,
  parseVerifierKey,
  signedBy,
  type VerifierKey,
} from "../../src/audit/signed-note.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { LogCheckpoint } from "../log-rpc.ts";
import { sizeOf } from "./chain.ts";
import { checkpointOfSize, keepWitnessed } from "./checkpoints.ts";
import type { Log } from "./log.ts";
import { verifierKeyOfLog } from "./log-key.ts";
import { treeNodes } from "./tree.ts";

/** Co-signatures of witnesses on a log's checkpoints (C2SP tlog-cosignature). */

const NOT_OURS = refused("invalid_checkpoint", "This is no checkpoint that this log has signed.", {
  hint: "Send the whole signed note as get_checkpoint gives it, with the witness's line added at its end.",
});
const NOT_WITNESSED = refused("not_witnessed", "No witness that the account has named has signed this checkpoint.", {
  hint: "An administrator names witnesses with update_account, by their verifier keys.",
});

/** Whether this log signed exactly this note, of exactly its own tree. @returns its size, or null. */
function sizeSigned(log: Log, note: Note): number | null {
  const { origin, verifier_key } = verifierKeyOfLog(log);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint?.origin !== origin || checkpoint.size > sizeOf(log.storage())) return null;
  if (signedBy(note, parseVerifierKey(verifier_key)).signed !== "valid") return null;
  return sameHash(checkpoint.root, rootOf(checkpoint.size, treeNodes(log.storage()))) ? checkpoint.size : null;
}

interface Cosignature {
  key: VerifierKey;
  line: NoteSignature;
  /** Seconds since the epoch. */
  time: number;
}

/** The lines of a note that registered witnesses wrote; of each witness the latest. */
function witnessed(note: Note, witnesses: readonly VerifierKey[]): Cosignature[] {
  return witnesses.flatMap((key) => {
    const lines = note.signatures.flatMap((line) => {
      const verdict = signedBy({ text: note.text, signatures: [line] }, key);
      return verdict.signed === "valid" ? [{ key, line, time: verdict.time ?? 0 }] : [];
    });
    return lines.sort((a, b) => b.time - a.time).slice(0, 1);
  });
}

/**
 * Answers LogRpc's `cosign`. A witness's later co-signature takes the place of its earlier one; what nobody vouches for is not kept,
 * and what is known already changes nothing, whoever brings it again.
 * @param witnesses verifier keys as text.
 */
export function cosign(log: Log, given: string, witnesses: readonly string[]): Outcome<LogCheckpoint> {
  const note = parseNote(given);
  const size = note && sizeSigned(log, note);
  if (!note || size === null) return NOT_OURS;
  const keys = witnesses.map(parseVerifierKey);
  const brought = witnessed(note, keys);
  if (brought.length === 0) return NOT_WITNESSED;
  const before = checkpointOfSize(log, size);
  const beforeNote = parseNote(before?.checkpoint ?? "");
  const known = beforeNote ? witnessed(beforeNote, keys) : [];
  const isLater = ({ key, time }: Cosignature) => !known.some((each) => each.key === key && each.time >= time);
  const fresh = brought.filter(isLater);
  if (before && fresh.length === 0) return accepted(before);
  const kept = [...known.filter(({ key }) => !fresh.some((each) => each.key === key)), ...fresh];
  return log.commit(() => accepted(keep(log, { note, size, kept, fresh })));
}

/** Inside `commit`. */
function keep(
  log: Log,
  { note, size, kept, fresh }: { note: Note; size: number; kept: Cosignature[]; fresh: Cosignature[] },
): LogCheckpoint {
  const own = parseVerifierKey(verifierKeyOfLog(log).verifier_key);
  const signatures = [
    ...note.signatures.filter((line) => isBy(line, own)).slice(0, 1),
    ...kept.map(({ line }) => line),
  ];
  keepWitnessed(log, { size, note: formatNote({ text: note.text, signatures }), witnesses: kept.length });
  log.append({
    actor: { type: "system", id: "witness", via: "system" },
    action: "checkpoint.cosigned",
    resource: { type: "log", id: log.identity().log },
    detail: { size, witnesses: fresh.map(({ key }) => key.name) },
  });
  const done = checkpointOfSize(log, size);
  if (!done) throw new Error("the checkpoint that was just kept is not there");
  return done;
}
