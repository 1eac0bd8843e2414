import { fromBase64, isObject, toBase64 } from "../identity/encoding.ts";
import { HASH_OCTETS } from "./merkle-tree.ts";

/**
 * The lines of an export (FORMATS.md §6): entries, then, of a part of a log, one proof, then the checkpoint. Each has exactly one
 * spelling, so that whatever another program reads from it is what was checked.
 */

/** Between the entry's last member, which is always `v`, and the hash that an export adds: no entry has it inside. */
export const HASH_MEMBER = ',"hash":"';
const PERSONAL_MEMBER = ',"personal":';

/**
 * @param text the entry's canonical form. @param hash its leaf hash in hex.
 * @param personal what was sealed, opened for a reader who may see it; null for others.
 * @returns the line, without LF.
 */
export function exportLine(text: string, hash: string, personal: Record<string, unknown> | null): string {
  const opened = personal ? `${PERSONAL_MEMBER}${JSON.stringify(personal)}` : "";
  return `${text.slice(0, -1)}${HASH_MEMBER}${hash}"${opened}}`;
}

/** What ties a part of a log, the entries [start, end), to the root of a checkpoint. */
export interface RangeProof {
  start: number;
  end: number;
  /** Roots of the largest complete subtrees of [0, start), largest first. */
  left: Uint8Array[];
  /** That the tree of `end` entries grew into the checkpoint's; none where it is the checkpoint's. */
  consistency: Uint8Array[];
}

/** @returns the line, without LF. */
export function proofLine({ start, end, left, consistency }: RangeProof): string {
  return JSON.stringify({ proof: { start, end, left: left.map(toBase64), consistency: consistency.map(toBase64) } });
}

/** @param note the signed note. @returns the line, without LF. */
export function checkpointLine(note: string): string {
  return JSON.stringify({ checkpoint: note });
}

/** More hashes than any tree has levels are no proof. */
const MAX_HASHES = 64;

function hashesIn(value: unknown): Uint8Array[] | null {
  if (!Array.isArray(value) || value.length > MAX_HASHES) return null;
  const hashes = value.map((each) => (typeof each === "string" ? fromBase64(each) : null));
  return hashes.every((each) => each?.length === HASH_OCTETS) ? (hashes as Uint8Array[]) : null;
}

/** @param value the line as JSON. @returns the proof; null if it is none. */
export function readProof(value: unknown): RangeProof | null {
  const proof = isObject(value) ? value.proof : null;
  if (!isObject(proof)) return null;
  const { start, end } = proof;
  const [left, consistency] = [hashesIn(proof.left), hashesIn(proof.consistency)];
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || !left || !consistency) return null;
  const [from, to] = [start as number, end as number];
  return from >= 0 && from <= to ? { start: from, end: to, left, consistency } : null;
}

/** @param value the line as JSON. @returns the note, not looked at; null if there is none. */
export function readCheckpointLine(value: unknown): string | null {
  return isObject(value) && typeof value.checkpoint === "string" ? value.checkpoint : null;
}
