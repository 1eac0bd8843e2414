import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { Caller } from "../../src/oversight/caller.ts";

/** A key as the object keeps it. */
export type StoredKey = ApiKey & {
  /** Lower-case hex SHA-256 of the whole key. */
  hash: string;
  /** The agent that acts where neither the request nor the binding names one; absent on keys that never had one. */
  default_agent_id?: string | null;
  /** Counted up with each change; absent on keys that never had one. D1 keeps the newest. */
  version?: number;
};

/** @returns the key without what only the object may know. */
export function publicKey({ hash: _hash, default_agent_id: _agent, version: _version, ...key }: StoredKey): ApiKey {
  return key;
}

/** @returns whether a caller, as a door remembers them, has no more than their key has now. */
export function isWithinKey({ scopes, mailbox_ids, bound_agent_id }: Caller, key: StoredKey): boolean {
  if (key.revoked_at !== null || !scopes.every((scope) => key.scopes.includes(scope))) return false;
  if (key.agent_id !== null && bound_agent_id !== key.agent_id) return false;
  return key.mailbox_ids === null || (mailbox_ids?.every((id) => key.mailbox_ids?.includes(id)) ?? false);
}
