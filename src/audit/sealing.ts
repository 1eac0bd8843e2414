import { type RandomBytes, randomBytes } from "../ids.ts";
import {
  checkMasterKeys,
  deriveKeys,
  type MasterKeys,
  open,
  reseal,
  type Sealed,
  type SecretKeys,
  seal,
} from "../store/secrets.ts";
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
export function wrapDataKey(master: MasterKeys, { kid, key }: DataKey): string {
  return JSON.stringify(seal(deriveKeys(master, "data-key"), kid, key));
}

/** @throws Error if neither MASTER_KEY fits or the text was changed. */
export function unwrapDataKey(master: MasterKeys, kid: string, wrapped: string): DataKey {
  return { kid, key: open(deriveKeys(master, "data-key"), kid, JSON.parse(wrapped) as Sealed) };
}

/**
 * @param keys those of the purpose `data-key`.
 * @returns the data key in a wrapped one; null if no key opens it, or it is none.
 */
export function dataKeyIn(keys: SecretKeys, kid: string, wrapped: string): Uint8Array | null {
  try {
    return open(keys, kid, JSON.parse(wrapped) as Sealed);
  } catch {
    return null;
  }
}

/**
 * Brings a wrapped data key under the current MASTER_KEY; the data key itself stays as it is.
 * @param keys those of the purpose `data-key`.
 * @returns what is to be stored, or null if it is under the current one already. @throws Error as `unwrapDataKey`.
 */
export function rewrapDataKey(keys: SecretKeys, kid: string, wrapped: string): string | null {
  const moved = reseal(keys, kid, JSON.parse(wrapped) as Sealed);
  return moved && JSON.stringify(moved);
}

function context(log: string, seq: number): string {
  return `${log}/${seq}`;
}

/** Seals the personal fields of the entry at (log, seq). */
export function sealPersonal(key: DataKey, log: string, seq: number, fields: Record<string, unknown>): SealedFields {
  return { kid: key.kid, ...seal([key.key], context(log, seq), Buffer.from(JSON.stringify(fields))) };
}

/**
 * Opens an entry's personal fields for a reader with the right.
 * @param wrappedKey the stored data key, or null if it was destroyed.
 * @returns the fields, or null if there are none or they were erased.
 * @throws Error if key and ciphertext do not belong together.
 */
export function openPersonal(
  master: MasterKeys,
  entry: Entry,
  wrappedKey: string | null,
): Record<string, unknown> | null {
  if (!entry.sealed || wrappedKey === null) return null;
  const { key } = unwrapDataKey(master, entry.sealed.kid, wrappedKey);
  const plain = open([key], context(entry.log, entry.seq), entry.sealed);
  return JSON.parse(Buffer.from(plain).toString("utf8"));
}

/** What a reader with the right gets of an entry's sealed fields. */
export interface ReadFields {
  /** Null if there are none, they were erased, or they cannot be opened. */
  personal: Record<string, unknown> | null;
  /** Key or ciphertext is not what it was: nothing was erased, and the log's object may have what D1 has not. */
  unreadable: boolean;
}

/**
 * The same for what was read out of D1: one key that was altered there hides what it sealed, and nothing else. Whether MASTER_KEY is
 * the right one is for the log to say, whose own key is under it too, before anything is read.
 * @throws Error if MASTER_KEY is none at all.
 */
export function readPersonal(master: MasterKeys, entry: Entry, wrappedKey: string | null): ReadFields {
  checkMasterKeys(master);
  try {
    return { personal: openPersonal(master, entry, wrappedKey), unreadable: false };
  } catch {
    return { personal: null, unreadable: true };
  }
}
