import type { Fault, VerifyingKey } from "./header-form.ts";
import type { PublishedKey } from "./keys.ts";
import { fingerprintOf } from "./public-keys.ts";

/** FORMATS.md §3: which key a signature is of, and whether that key could sign at that time. */

/** Keys tried for one signature: each costs a verification, and a message is a stranger's. */
const MAX_TRIED = 16;

/** The key that a signature verifies with, or why there is none. */
export type KeyJudgement = { key: VerifyingKey; fault: null } | { key: null; fault: Fault };

/** @returns why the key cannot have signed at `at`; null where it can. A life that cannot be read covers no time. */
function lifeFault({ not_before, retired_at, revoked_at }: PublishedKey, at: Date): Fault | null {
  const time = at.getTime();
  if (revoked_at !== null) return { reason: "key_revoked", detail: "The key that it is signed with was revoked." };
  if (not_before !== null && !(time >= Date.parse(not_before))) {
    return { reason: "key_not_yet_valid", detail: "It is signed with a key that was not yet valid at its date." };
  }
  if (retired_at !== null && !(time <= Date.parse(retired_at))) {
    return { reason: "key_retired", detail: "It is signed with a key that was retired before its date." };
  }
  return null;
}

/**
 * Finds the key of a signature. Keys whose life covers `at` come first; of another, it is said why it does not count.
 * @param keys null, or none, where the reader has none that could be meant.
 * @param check whether the signature verifies with that key.
 */
export function judgeKeys(
  keys: readonly PublishedKey[] | null,
  at: Date,
  check: (key: PublishedKey) => boolean,
): KeyJudgement {
  if (!keys?.length) {
    return { key: null, fault: { reason: "key_unknown", detail: "The key that it is signed with is not known." } };
  }
  const alive = keys.filter((key) => lifeFault(key, at) === null);
  const dead = keys.filter((key) => lifeFault(key, at) !== null);
  const found = [...alive, ...dead].slice(0, MAX_TRIED).find(check);
  if (!found) return { key: null, fault: { reason: "signature_invalid", detail: "The signature does not hold." } };
  const fault = lifeFault(found, at);
  return fault ? { key: null, fault } : { key: { kid: found.kid, fingerprint: fingerprintOf(found) }, fault: null };
}
