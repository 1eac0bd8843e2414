import { rewrapDataKey } from "../audit/sealing.ts";
import { dkimKeyContext, type StoredDkimKey } from "./domains.ts";
import { identityKeyContext } from "./identity-keys.ts";
import { resealLogKey } from "./log-keys.ts";
import { deriveKeys, type MasterKeys, reseal, type Sealed, type SecretKeys, type SecretPurpose } from "./secrets.ts";

/**
 * Bringing what is sealed under the current MASTER_KEY, page by page (docs/keys.md). What is inside stays as it is, and what is
 * under the current key already is left alone, so that each step can be repeated.
 */

/** What is sealed under keys of MASTER_KEY, by whose row it lies in. */
export const SEALED_KINDS = ["domains", "dkim_keys", "identity_keys", "data_keys", "log_keys"] as const;
export type SealedKind = (typeof SEALED_KINDS)[number];

/** At most as many rows in one page: 500 take some tens of milliseconds, for which an object answers nobody else. */
export const RESEAL_ROWS = 500;

/** A row with something sealed in it. */
export interface SealedRow {
  id: string;
  /** As it is stored. */
  text: string;
}

export interface ResealedRow extends SealedRow {
  /** What is to be stored in its place. */
  resealed: string;
}

/** Where a walk through an object's rows goes on. */
export interface ResealPosition {
  kind: SealedKind;
  /** The id of the last row that is done. */
  after: string;
}

/** What an object is asked. */
export interface ResealRequest {
  /** `masterKeyId` of the one who asks: an object that still runs with the keys from before must not do it. */
  under: string;
  /** Null: from the beginning. */
  position: ResealPosition | null;
}

/** What an object did. Durable when it is returned. */
export interface ResealedPage {
  resealed: Record<SealedKind, number>;
  /** How many rows neither key opens. They are left as they are. */
  unreadable: number;
  /** Where the next page begins; null: there is none. */
  next: ResealPosition | null;
}

/** @returns counts of nothing. */
export function noneResealed(): Record<SealedKind, number> {
  return { domains: 0, dkim_keys: 0, identity_keys: 0, data_keys: 0, log_keys: 0 };
}

function resealIdentityKey(keys: SecretKeys, { id, text }: SealedRow, owner: string): string | null {
  const stored = JSON.parse(text) as { private_key: Sealed };
  const private_key = reseal(keys, identityKeyContext(owner, id), stored.private_key);
  return private_key && JSON.stringify({ ...stored, private_key });
}

function resealDkimKey(keys: SecretKeys, { text }: SealedRow): string | null {
  const stored = JSON.parse(text) as StoredDkimKey & { domain: string };
  const private_key = reseal(keys, dkimKeyContext(stored.domain, stored.selector), stored.private_key);
  return private_key && JSON.stringify({ ...stored, private_key });
}

function resealDomain(keys: SecretKeys, { id, text }: SealedRow): string | null {
  const moved = (JSON.parse(text) as StoredDkimKey[]).map((stored) => ({
    stored,
    private_key: reseal(keys, dkimKeyContext(id, stored.selector), stored.private_key),
  }));
  if (moved.every(({ private_key }) => private_key === null)) return null;
  return JSON.stringify(moved.map(({ stored, private_key }) => (private_key ? { ...stored, private_key } : stored)));
}

/** How each kind is sealed. @returns the row's new text, or null if it is under the current key. @throws Error if no key opens it. */
type ResealRow = (keys: SecretKeys, row: SealedRow, owner: string) => string | null;

const SEALED_BY: Readonly<Record<SealedKind, { purpose: SecretPurpose; reseal: ResealRow }>> = {
  domains: { purpose: "dkim-key", reseal: resealDomain },
  dkim_keys: { purpose: "dkim-key", reseal: resealDkimKey },
  identity_keys: { purpose: "identity-key", reseal: resealIdentityKey },
  data_keys: { purpose: "data-key", reseal: (keys, { id, text }) => rewrapDataKey(keys, id, text) },
  log_keys: { purpose: "log-key", reseal: (keys, { id, text }) => resealLogKey(keys, id, text) },
};

/**
 * Reseals the rows that are under another key than the current one.
 * @param owner the tenant, for what is bound to one.
 * @returns those that are to be written, and how many no key opens; the log names these.
 */
export function resealRows(
  master: MasterKeys,
  kind: SealedKind,
  rows: readonly SealedRow[],
  owner: string,
): { changed: ResealedRow[]; unreadable: number } {
  const { purpose, reseal: resealRow } = SEALED_BY[kind];
  const keys = deriveKeys(master, purpose);
  const changed: ResealedRow[] = [];
  const unreadable: string[] = [];
  for (const row of rows) {
    try {
      const resealed = resealRow(keys, row, owner);
      if (resealed !== null) changed.push({ ...row, resealed });
    } catch {
      // Whatever it failed with, nobody can use the row; the one who asked is told how many there are.
      unreadable.push(row.id);
    }
  }
  if (unreadable.length) console.error(`neither MASTER_KEY opens these ${kind}: ${unreadable.join(", ")}`);
  return { changed, unreadable: unreadable.length };
}
