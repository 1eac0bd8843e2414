import { fromJson } from "../identity/encoding.ts";
import { UnreadableKey } from "../identity/public-keys.ts";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { readCheckpointLine } from "./export-line.ts";
import {
  type Note,
  type NoteAlgorithm,
  parseNote,
  parseVerifierKey,
  signedBy,
  type VerifierKey,
} from "./signed-note.ts";

/** What the reader of an export goes by: never what the export brings with it. */
export interface Trust {
  /** Of logs: a checkpoint must be signed by one of them, under the origin that is its name. */
  keys: readonly VerifierKey[];
  /** All of them must have signed the checkpoint too. */
  witnesses: readonly VerifierKey[];
  /** An older checkpoint that the reader kept, and that one of `keys` signed: the log must have grown out of it. */
  after: Checkpoint | null;
  /** The log that it must be; null for whichever one the keys are of. */
  log: string | null;
}

/** The same, as people hand it over. */
export interface GivenTrust {
  /** Verifier keys, one a line. */
  keys: string;
  witnesses?: readonly string[];
  after?: string | null;
  log?: string | null;
}

/** The checkpoint that the reader kept cannot be gone by. The message is for people. */
export class UnusableCheckpoint extends Error {
  override name = "UnusableCheckpoint";
}

const MAX_KEYS = 100;

function keysIn(text: string, algorithm: NoteAlgorithm, otherwise: string): VerifierKey[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new UnreadableKey("There is no verifier key.");
  if (lines.length > MAX_KEYS) throw new UnreadableKey(`These are more than ${MAX_KEYS} verifier keys.`);
  const keys = lines.map((line) => parseVerifierKey(line.trim()));
  if (keys.some((key) => key.algorithm !== algorithm)) throw new UnreadableKey(otherwise);
  return keys;
}

/**
 * Reads verifier keys of logs.
 * @param text one or more, one a line. @throws {UnreadableKey} where one is none, or is a witness's.
 */
export function readLogKeys(text: string): VerifierKey[] {
  return keysIn(text, "ed25519", "This is the key of a witness, and signs no log.");
}

/** The same for the keys of witnesses. @throws {UnreadableKey} where one is none, or is a log's. */
export function readWitnessKeys(text: string): VerifierKey[] {
  return keysIn(text, "cosignature/v1", "This is the key of a log, not of a witness (cosignature/v1).");
}

/** @returns a checkpoint and its note, however it was kept: out of a mail, or as the last line of an export. */
function keptNote(text: string): { note: Note; checkpoint: Checkpoint } | null {
  const plain = `${text.replaceAll("\r\n", "\n").trim()}\n`;
  const note = parseNote(readCheckpointLine(fromJson(plain)) ?? plain);
  const checkpoint = note && parseCheckpoint(note.text);
  return note && checkpoint && { note, checkpoint };
}

/** @returns whether a text is a checkpoint, however it was kept. Whether anybody signed it, `readKeptCheckpoint` tells. */
export function isKeptCheckpoint(text: string): boolean {
  return keptNote(text) !== null;
}

/**
 * Reads the checkpoint that a reader kept.
 * @throws {UnusableCheckpoint} if it is none, or no key of `keys` signed it: it would prove nothing.
 */
export function readKeptCheckpoint(text: string, keys: readonly VerifierKey[]): Checkpoint {
  const kept = keptNote(text);
  if (!kept) throw new UnusableCheckpoint("The older checkpoint is no checkpoint: it was cut, or changed.");
  const { note, checkpoint } = kept;
  const verdicts = keys.filter(({ name }) => name === checkpoint.origin).map((key) => signedBy(note, key).signed);
  if (!verdicts.includes("valid") || verdicts.includes("invalid")) {
    throw new UnusableCheckpoint(
      "The older checkpoint is not signed by the key that was given: it would prove nothing.",
    );
  }
  return checkpoint;
}

/** @throws {UnreadableKey} @throws {UnusableCheckpoint} */
export function readTrust({ keys: keyText, witnesses = [], after = null, log = null }: GivenTrust): Trust {
  const keys = readLogKeys(keyText);
  return {
    keys,
    witnesses: witnesses.flatMap((each) => readWitnessKeys(each)),
    after: after === null ? null : readKeptCheckpoint(after, keys),
    log,
  };
}
