import { createHash, timingSafeEqual } from "node:crypto";
import { canonical } from "../canonical-json.ts";
import { Refused } from "../errors.ts";
import { ANYONE, type Caller, type Door } from "../oversight/caller.ts";
import { findKey, type KeyRow } from "../store/directory.ts";

/** Who asks: `Authorization: Bearer mm_live_…` or `mm_test_…`. Only a key's SHA-256 is stored and looked up. */

const KEY = /^mm_(?:live|test)_[A-Za-z0-9_-]{43}$/;
/** A revoked key stops within 5 seconds everywhere: what this isolate remembers is younger than that by a margin. */
export const REMEMBERED_MS = 4_000;
const REMEMBERED_KEYS = 10_000;

/** Keys this isolate knows, by hash. Only keys that exist: a new one works at once. */
const remembered = new Map<string, { row: KeyRow; asked: number }>();

const INVALID = "This API key is unknown or revoked.";

/** A key that was revoked. Whoever sends it is told nothing more; its tenant's log says that it was tried. */
export class RevokedKey extends Refused {
  readonly caller: Caller;
  constructor(caller: Caller) {
    super("invalid_key", INVALID);
    this.name = "RevokedKey";
    this.caller = caller;
  }
}

/** @returns the key's row, a revoked one's too; only keys that work are remembered. */
async function lookUp(db: D1Database, hash: string, now: () => number): Promise<KeyRow | null> {
  const asked = now();
  const known = remembered.get(hash);
  // A clock that went back forgets, rather than keeps a key alive.
  if (known && asked >= known.asked && asked - known.asked < REMEMBERED_MS) return known.row;
  remembered.delete(hash);
  const row = await findKey(db, hash);
  if (row === null || row.revoked_at !== null) return row;
  if (remembered.size >= REMEMBERED_KEYS) remembered.clear();
  // From before the question, since D1 may have answered with what was true then.
  remembered.set(hash, { row, asked });
  return row;
}

function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, "hex"), Buffer.from(b, "hex")];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** @returns what follows `Bearer` (RFC 6750 §2.1), or null if the header is not there or says something else. */
export function bearerToken(headers: Headers): string | null {
  return /^Bearer +([^\s]+) *$/i.exec(headers.get("authorization") ?? "")?.[1] ?? null;
}

/**
 * Finds out who asks.
 * @param now milliseconds since the epoch.
 * @returns the caller, its agent being the one the key is bound to, or the key's default.
 * @throws {Refused} `unauthenticated` without a key, `invalid_key` for one that is unknown or revoked.
 */
export async function authenticate(db: D1Database, headers: Headers, via: Door, now: () => number): Promise<Caller> {
  const token = bearerToken(headers);
  if (token === null) {
    throw new Refused("unauthenticated", "This needs an API key.", {
      hint: "Send it as Authorization: Bearer mm_live_…",
    });
  }
  const hash = createHash("sha256").update(token).digest("hex");
  const row = KEY.test(token) ? await lookUp(db, hash, now) : null;
  if (row === null || !sameHash(row.hash, hash)) throw new Refused("invalid_key", INVALID);
  if (row.revoked_at !== null) throw new RevokedKey(callerOf(row, via));
  return callerOf(row, via);
}

function callerOf(row: KeyRow, via: Door): Caller {
  return {
    tenant_id: row.tenant_id,
    key_id: row.id,
    created_by: row.created_by,
    scopes: row.scopes,
    mailbox_ids: row.mailbox_ids,
    agent_id: row.agent_id ?? row.default_agent_id,
    ...(row.agent_id === null && row.default_agent_id !== null && { acts_by_default: true as const }),
    bound_agent_id: row.agent_id,
    test: row.test,
    via,
  };
}

/**
 * The same for a public operation: whoever sends no `Authorization` is anyone, and whoever sends one must have a key.
 * @throws {Refused} as `authenticate`.
 */
export async function authenticateIfAsked(
  db: D1Database,
  headers: Headers,
  via: Door,
  now: () => number,
): Promise<Caller> {
  return headers.has("authorization") ? authenticate(db, headers, via, now) : { ...ANYONE, via };
}

/**
 * Asks again who asks, before a call that took long is answered: what a key learns, it learns no later than 5 seconds after it
 * was revoked or bound elsewhere, however long it waited.
 * @param before the caller as `authenticate` gave it when the call came in.
 * @throws {Refused} `invalid_key` if the key was revoked meanwhile; `unavailable` if what it may do has changed.
 */
export async function authenticateAgain(
  db: D1Database,
  headers: Headers,
  before: Caller,
  now: () => number,
): Promise<void> {
  const after = await authenticate(db, headers, before.via, now);
  if (canonical(after) !== canonical(before)) {
    throw new Refused("unavailable", "This API key was changed while the call was under way; repeat the call.");
  }
}
