import { fromBase64, toBase64 } from "../identity/encoding.ts";
import { HASH_OCTETS } from "./merkle-tree.ts";
import { isNoteName } from "./signed-note.ts";

/** What a log's key signs (C2SP tlog-checkpoint): which log, how many entries, and the root over all of them. */
export interface Checkpoint {
  /** `<host>/logs/<log>` (FORMATS.md §6); the signing key's name is the same. */
  origin: string;
  /** How many entries the tree has. */
  size: number;
  /** 32 octets. */
  root: Uint8Array;
}

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** @returns the note's text, with the LF at its end. @throws RangeError for what no checkpoint can say: a mistake of ours. */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${toBase64(root)}\n`;
  if (!parseCheckpoint(text)) throw new RangeError("this is no checkpoint");
  return text;
}

/**
 * @param noteText a note's text. @returns what it says; null if it is no checkpoint. Lines after the third are extensions, which
 * readers pass over; the signature covers them.
 */
export function parseCheckpoint(noteText: string): Checkpoint | null {
  const [origin = "", written = "", encoded = "", ...extensions] = noteText.split("\n");
  // The text ends in LF, so that the last part is the empty one after it.
  if (extensions.length === 0 || extensions.indexOf("") !== extensions.length - 1) return null;
  const size = SIZE.test(written) ? Number(written) : Number.NaN;
  const root = fromBase64(encoded);
  if (!isNoteName(origin) || !Number.isSafeInteger(size) || root?.length !== HASH_OCTETS) return null;
  return { origin, size, root };
}

/** @returns the origin of a log's checkpoints. @param publicUrl the deployment's address. @throws TypeError if it is none. */
export function originOf(publicUrl: string, log: string): string {
  return `${new URL(publicUrl).host}/logs/${log}`;
}

/** @returns the log of an origin; null if it is not of the form that our logs have. */
export function logOfOrigin(origin: string): string | null {
  return /^[^/]+\/logs\/([A-Za-z0-9_]+)$/.exec(origin)?.[1] ?? null;
}
