import { type RandomBytes, randomBytes } from "../ids.ts";
import { deriveKey, open, type Sealed, seal } from "../store/secrets.ts";
import type { Entry, SealedFields } from "./entry.ts";

/** Sealed personal fields (FORMATS.md §6): AES-256-GCM under a data key per message, itself wrapped under MASTER_KEY. */

/** A data key. `wrapped` (JSON of {iv, ct}) is what is stored. */
export interface DataKey {
  /** What the key belongs to: an email, mailbox, tenant or key id. */
  kid: string;
  key: Uint8Array;
}

/** @returns a fresh data key. */
export function newDataKey(kid: string, random: RandomBytes = randomBytes): DataKey {
  return { kid, key: random(32) };
}

/** @returns the data key encrypted under MASTER_KEY and bound to its kid, as JSON. */
export function wrapDataKey(masterKey: string, { kid, key }: DataKey): string {
  return JSON.stringify(seal(deriveKey(masterKey, "data-key"), kid, key));
}

/** @throws Error if MASTER_KEY is another or the text was changed. */
export function unwrapDataKey(masterKey: string, kid: string, wrapped: string): DataKey {
  return { kid, key: open(deriveKey(masterKey, "data-key"), kid, JSON.parse(wrapped) as Sealed) };
}

function context(log: string, seq: number): string {
  return `${log}/${seq}`;
}

/** Seals the personal fields of the entry at (log, seq). */
export function sealPersonal(key: DataKey, log: string, seq: number, fields: Record<string, unknown>): SealedFields {
  return { kid: key.kid, ...seal(key.key, context(log, seq), Buffer.from(JSON.stringify(fields))) };
}

/**
 * Opens an entry's personal fields for a reader with the right.
 * @param wrappedKey the stored data key, or null if it was destroyed.
 * @returns the fields, or null if there are none or they were erased.
 * @throws Error if key and ciphertext do not belong together.
 */
export function openPersonal(
  masterKey: string,
  entry: Entry,
  wrappedKey: string | null,
): Record<string, unknown> | null {
  if (!entry.sealed || wrappedKey === null) return null;
  const { key } = unwrapDataKey(masterKey, entry.sealed.kid, wrappedKey);
  const plain = open(key, context(entry.log, entry.seq), entry.sealed);
  return JSON.parse(Buffer.from(plain).toString("utf8"));
}
