import { accepted, type Outcome, type Refusal } from "../../src/errors.ts";
import type { PublicJwk } from "../../src/identity/keys.ts";
import { fingerprintOf } from "../../src/identity/public-keys.ts";
import { newId } from "../../src/ids.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { recordIdentityKeys } from "../../src/store/identity-directory.ts";
import { newIdentityKey } from "../../src/store/identity-keys.ts";
import type { Sealed } from "../../src/store/secrets.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { KeyRotation, PublishedIdentityKey, SealedIdentityKey } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";

/** The tenant's identity keys (FORMATS.md §3): one signs, the others stay published. The object is their authority. */

/** The timer that brings a key to D1 where the direct way did not succeed; its ref is the kid. */
export const IDENTITY_KEY = "identity_key";

/** A key as the object keeps it. Times are ISO 8601. */
export interface StoredIdentityKey {
  kid: string;
  public_jwk: PublicJwk;
  private_key: Sealed;
  not_before: string;
  /** Null: it signs. Of a tenant that ever signed, exactly one key is not retired. */
  retired_at: string | null;
  revoked_at: string | null;
  created_at: string;
  /** Counted up with each change. D1 keeps the newest. */
  version: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** The clocks of two machines differ, so a key was valid already shortly before it was made. */
const BACKDATED = 5 * MINUTE;
/** What is under way when a key is replaced is still signed with it. */
const OVERLAP = 5 * MINUTE;
/** A verifier tries at most 16 keys whose lives cover a date, and every key stays published: neither may grow at will. */
const KEYS_PER_DAY = 12;
/** When the timer takes over from the direct way to D1. */
const PROJECT_DELAY = 2 * SECOND;

/** @returns the key that signs, made if there is none yet; durable when this returns. @throws Error before the tenant was provisioned. */
export async function activeIdentityKey(box: TenantBase): Promise<SealedIdentityKey> {
  const before = findActive(box);
  if (before) return sealedOf(box, before);
  // Nothing was awaited since it was looked for, so of two who come first only one makes it.
  const made = box.commit(() => makeFirst(box));
  await publish(box);
  return sealedOf(box, made);
}

function makeFirst(box: TenantBase): StoredIdentityKey {
  const key = makeKey(box);
  box.record({
    actor: SYSTEM,
    action: "identity.key_created",
    resource: { type: "identity_key", id: key.kid },
    detail: { fingerprint: fingerprintOf(key.public_jwk) },
  });
  return key;
}

/** @returns every key, the oldest first, as it is published. Makes the first one where there is none. */
export async function publishedIdentityKeys(box: TenantBase): Promise<PublishedIdentityKey[]> {
  await activeIdentityKey(box);
  return box.rows
    .exec<{ key: string }>("SELECT key FROM identity_keys ORDER BY kid")
    .toArray()
    .map(({ key }) => publishedOf(JSON.parse(key) as StoredIdentityKey));
}

/**
 * Puts a new key in the place of the active one, which stays valid for what is under way.
 * @param revoke a key that somebody else may have: it is worth nothing from now on, and is replaced only if it is the active one.
 *   The operator has allowed it.
 */
export async function rotateIdentityKey(
  box: TenantBase,
  caller: Caller,
  revoke: string | null,
): Promise<Outcome<KeyRotation>> {
  if (!box.isMine(caller)) return notFound();
  await activeIdentityKey(box);
  const outcome = box.commit(() => (revoke === null ? replaceActive(box, caller) : revokeKey(box, caller, revoke)));
  await publish(box);
  return outcome;
}

function replaceActive(box: TenantBase, caller: Caller): Outcome<KeyRotation> {
  const refusal = whyNotNow(box);
  if (refusal) return { ok: false, refusal };
  const retired = retire(box, activeOf(box), box.now() + OVERLAP);
  return accepted({ active: publishedOf(takeOver(box, caller, retired)), replaced: publishedOf(retired) });
}

function revokeKey(box: TenantBase, caller: Caller, kid: string): Outcome<KeyRotation> {
  const key = findIdentityKey(box, kid);
  if (!key) return notFound();
  if (key.revoked_at !== null) {
    noteUnchanged(box, caller, "identity.key_revoked", { type: "identity_key", id: kid });
    return accepted({ active: publishedOf(activeOf(box)), replaced: publishedOf(key) });
  }
  const now = box.now();
  const revoked = retire(box, { ...key, revoked_at: new Date(now).toISOString() }, now);
  box.record({
    actor: actorOf(caller),
    action: "identity.key_revoked",
    resource: { type: "identity_key", id: kid },
  });
  box.emitEvent("identity.key_revoked", { kid, fingerprint: fingerprintOf(key.public_jwk) });
  const active = key.retired_at === null ? takeOver(box, caller, revoked) : activeOf(box);
  return accepted({ active: publishedOf(active), replaced: publishedOf(revoked) });
}

/** Before anything is changed: the operator's own revocations are never refused. */
function whyNotNow(box: TenantBase): Refusal | null {
  const since = new Date(box.now() - DAY).toISOString();
  const made = box.rows
    .exec<{ created_at: string }>(
      "SELECT json_extract(key, '$.created_at') AS created_at FROM identity_keys ORDER BY kid DESC LIMIT ?",
      KEYS_PER_DAY,
    )
    .toArray()
    .filter(({ created_at }) => created_at > since);
  const oldest = made.at(-1);
  if (!oldest || made.length < KEYS_PER_DAY) return null;
  const retry_after = Math.ceil((Date.parse(oldest.created_at) + DAY - box.now()) / SECOND);
  return {
    code: "rate_limited",
    error: `At most ${KEYS_PER_DAY} identity keys are made in a day.`,
    hint: "Every key stays published, and verifiers try those that were valid at a message's date.",
    detail: { retry_after },
  };
}

/** Inside `commit`. @returns the key as it is from now on; one that is retired already stays retired since then. */
function retire(box: TenantBase, key: StoredIdentityKey, at: number): StoredIdentityKey {
  const moment = new Date(at).toISOString();
  const retired_at = key.retired_at !== null && key.retired_at < moment ? key.retired_at : moment;
  const retired = { ...key, retired_at, version: key.version + 1 };
  save(box, retired);
  return retired;
}

/** Makes the key that signs from now on, with its entry and event. Inside `commit`. */
function takeOver(box: TenantBase, caller: Caller, replaced: StoredIdentityKey): StoredIdentityKey {
  const key = makeKey(box);
  const fingerprint = fingerprintOf(key.public_jwk);
  box.record({
    actor: actorOf(caller),
    action: "identity.key_rotated",
    resource: { type: "identity_key", id: key.kid },
    detail: { fingerprint, replaced: replaced.kid, retired_at: replaced.retired_at },
  });
  box.emitEvent("identity.key_rotated", {
    kid: key.kid,
    fingerprint,
    replaced: replaced.kid,
    retired_at: replaced.retired_at,
    revoked: replaced.revoked_at !== null,
  });
  return key;
}

/** Inside `commit`. */
function makeKey(box: TenantBase): StoredIdentityKey {
  const now = box.now();
  const { kid, public_jwk, private_key } = newIdentityKey(box.environment(), box.tenant().id, newId("idk", now));
  const key: StoredIdentityKey = {
    kid,
    public_jwk,
    private_key,
    // A message's Date has whole seconds.
    not_before: new Date(Math.floor((now - BACKDATED) / SECOND) * SECOND).toISOString(),
    retired_at: null,
    revoked_at: null,
    created_at: new Date(now).toISOString(),
    version: 0,
  };
  save(box, key);
  return key;
}

/** Inside `commit`: with the timer that brings it to D1 should the direct way fail. */
function save(box: TenantBase, key: StoredIdentityKey): void {
  box.rows.exec("INSERT OR REPLACE INTO identity_keys VALUES (?, ?)", key.kid, JSON.stringify(key));
  box.schedule(IDENTITY_KEY, key.kid, box.now() + PROJECT_DELAY);
}

/** The direct way to D1. What is decided is decided: if D1 is away the timer brings it there. */
async function publish(box: TenantBase): Promise<void> {
  await box.flush();
  await projectIdentityKeys(box).catch((error) =>
    console.error("identity keys did not reach D1 and will be brought there by their timer", error),
  );
}

/**
 * Brings every key that D1 may not have to it, at once: a rotation is seen whole there, or not at all.
 * @throws whatever D1 threw.
 */
export async function projectIdentityKeys(box: TenantBase): Promise<void> {
  const keys = box.scheduled(IDENTITY_KEY).flatMap((kid) => findIdentityKey(box, kid) ?? []);
  if (keys.length === 0) return;
  const rows = keys.map((key) => ({ ...publishedOf(key), version: key.version }));
  await recordIdentityKeys(box.environment().DB, box.tenant().id, rows);
  box.commit(() => {
    for (const { kid, version } of keys) {
      // Changed meanwhile: its timer stays, and brings that version.
      if (findIdentityKey(box, kid)?.version === version) box.unschedule(IDENTITY_KEY, kid);
    }
  });
}

export function findIdentityKey(box: TenantBase, kid: string): StoredIdentityKey | null {
  return read(box, "kid = ?", kid);
}

function findActive(box: TenantBase): StoredIdentityKey | null {
  return read(box, "json_extract(key, '$.retired_at') IS NULL");
}

function read(box: TenantBase, condition: string, ...bindings: string[]): StoredIdentityKey | null {
  const row = box.rows
    .exec<{ key: string }>(`SELECT key FROM identity_keys WHERE ${condition}`, ...bindings)
    .toArray()[0];
  return row ? (JSON.parse(row.key) as StoredIdentityKey) : null;
}

function activeOf(box: TenantBase): StoredIdentityKey {
  const key = findActive(box);
  if (!key) throw new Error("the tenant has no active identity key");
  return key;
}

function sealedOf(box: TenantBase, { kid, public_jwk, private_key }: StoredIdentityKey): SealedIdentityKey {
  return { tenant_id: box.tenant().id, kid, public_jwk, private_key };
}

/** @returns the key without its private half. */
function publishedOf({ kid, public_jwk, not_before, retired_at, revoked_at }: StoredIdentityKey): PublishedIdentityKey {
  return { kid, public_jwk, not_before, retired_at, revoked_at, active: retired_at === null };
}
