import type { Refusal } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { conflictingPair } from "../../src/oversight/key-powers.ts";
import type { TenantBase } from "./base.ts";
import { saveKey, whyNotBeside, whyNotReached } from "./keys.ts";
import type { StoredKey } from "./stored-key.ts";

/**
 * Which keys act under which agent where nobody names one. It stands with the key, so that a key has one default. A default names
 * the agent, as a request would; it binds the key to nothing.
 */

/** Whose default the agent is, revoked keys left out, in the order of their ids. */
export function keysOfDefault(box: TenantBase, agentId: string): string[] {
  return box.rows
    .exec<{ id: string }>(
      `SELECT id FROM api_keys WHERE json_extract(key, '$.default_agent_id') = ?
       AND json_extract(key, '$.revoked_at') IS NULL ORDER BY id`,
      agentId,
    )
    .toArray()
    .map(({ id }) => id);
}

/** Whose default an agent is now, and whose it is to be; both in the order of their ids. */
export interface DefaultKeys {
  now: readonly string[];
  wanted: readonly string[];
}

/** Why these keys cannot have the agent as their default, or cannot lose it by this caller; null if they can. */
export function whyNotDefaults(
  box: TenantBase,
  caller: Caller,
  agentId: string,
  { now, wanted }: DefaultKeys,
): Refusal | null {
  const keys: StoredKey[] = [];
  for (const id of wanted) {
    const key = box.findKey(id);
    if (!key || key.revoked_at !== null) return notTaken(`names ${id}, which is no key of this account`);
    const refusal = now.includes(id) ? null : (whyNotReached(caller, key) ?? whyNotDefault(key, agentId));
    if (refusal) return refusal;
    keys.push(key);
  }
  for (const id of now) {
    const key = wanted.includes(id) ? null : box.findKey(id);
    const refusal = key && whyNotReached(caller, key);
    if (refusal) return refusal;
  }
  return whyNotTogether(box, agentId, keys);
}

function whyNotDefault(key: StoredKey, agentId: string): Refusal | null {
  if (key.agent_id !== null && key.agent_id !== agentId) {
    return notTaken(`names ${key.id}, which is bound to the agent ${key.agent_id}`);
  }
  const other = key.default_agent_id ?? null;
  if (other === null || other === agentId) return null;
  return notTaken(
    `names ${key.id}, whose default is the agent ${other}`,
    "A key has one default; take it from that agent with update_agent first.",
  );
}

function notTaken(message: string, hint?: string): Refusal {
  const issues = [{ path: "default_for", message }];
  return { code: "invalid_input", error: `default_for ${message}.`, issues, ...(hint !== undefined && { hint }) };
}

/** A default is no way around separation of duties: one agent does not send by one of its keys and approve by another. */
function whyNotTogether(box: TenantBase, agentId: string, keys: readonly StoredKey[]): Refusal | null {
  const pair = conflictingPair(keys.map((key) => ({ ...key, agent_id: agentId })));
  if (pair) {
    const [one, other] = pair;
    return {
      code: "conflicting_scopes",
      error: `By the keys ${one.id} and ${other.id} the agent ${agentId} could both send and approve.`,
      issues: [{ path: "default_for", message: "names keys by which one agent could both send and approve" }],
    };
  }
  for (const key of keys) {
    // Those that have it as their default now, and are not named here, are about to lose it.
    const refusal = whyNotBeside(box, { agentId, scopes: key.scopes, except: key.id, by: ["binding"] });
    if (refusal) return refusal;
  }
  return null;
}

/** Inside `commit`. */
export function setDefaults(box: TenantBase, agentId: string, { now, wanted }: DefaultKeys): void {
  const to = (ids: readonly string[], default_agent_id: string | null) => {
    for (const id of ids) {
      const key = box.findKey(id);
      if (!key) throw new Error(`the key ${id} is missing`);
      saveKey(box, { ...key, default_agent_id, version: (key.version ?? 0) + 1 });
    }
  };
  to(
    now.filter((id) => !wanted.includes(id)),
    null,
  );
  to(
    wanted.filter((id) => !now.includes(id)),
    agentId,
  );
}
