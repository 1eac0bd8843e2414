import { createHash } from "node:crypto";
import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { newId, randomBytes } from "../../src/ids.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";
import { isConflicting, type KeyReach, opposedScopes, whatKeyChangeGivesAway } from "../../src/oversight/key-powers.ts";
import { recordKey } from "../../src/store/tenant-projection.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { ApiKeyChange, KeyUpdateAnswer, NewApiKey } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";
import { publicKey, type StoredKey } from "./stored-key.ts";

/** API keys. The object is their authority; doors look them up in D1. */

/** @param caller null: a human makes it. */
export async function createKey(
  box: TenantBase,
  caller: Caller | null,
  wanted: NewApiKey,
): Promise<Outcome<ApiKey & { key: string }>> {
  if (!box.isProvisioned() || (caller && !box.isMine(caller))) return notFound();
  const refusal = whyNotKey(box, wanted, null);
  if (refusal) return { ok: false, refusal };
  const key = `mm_${wanted.test ? "test" : "live"}_${Buffer.from(randomBytes(32)).toString("base64url")}`;
  const id = newId("key", box.now());
  const stored: StoredKey = {
    ...wanted,
    id,
    prefix: key.slice(0, 12),
    created_by: caller?.key_id ?? null,
    created_at: box.time(),
    revoked_at: null,
    hash: createHash("sha256").update(key).digest("hex"),
  };
  box.commit(() => {
    saveKey(box, stored);
    box.record({
      actor: caller ? actorOf(caller) : { ...SYSTEM, type: "human", id: "operator" },
      action: "key.created",
      resource: { type: "api_key", id },
      detail: { scopes: wanted.scopes, test: wanted.test, mailboxes: wanted.mailbox_ids, agent_id: wanted.agent_id },
      personal: { name: wanted.name },
    });
  });
  // A crash here leaves a key that nobody was told of; its `key` timer still brings it to D1, where it can be revoked.
  await projectKey(box, id);
  return accepted({ ...publicKey(stored), key });
}

/**
 * Separation of duties: one key never sends and approves, and neither does one agent by two keys that are bound to it, or act under
 * it by default.
 * @param id the key's own, where it is there already.
 */
export function whyNotKey(
  box: TenantBase,
  { scopes, agent_id, default_agent_id }: KeyReach & Pick<StoredKey, "default_agent_id">,
  id: string | null,
): Refusal | null {
  if (isConflicting(scopes)) {
    return { code: "conflicting_scopes", error: "One key cannot both send and approve; make two keys." };
  }
  for (const agentId of new Set([agent_id, default_agent_id ?? null])) {
    if (agentId === null) continue;
    const refusal = whyNotBeside(box, { agentId, scopes, except: id, by: ["binding", "default"] });
    if (refusal) return refusal;
  }
  return null;
}

/** How a key comes to act under an agent that no request names. */
const OF_AGENT = {
  binding: "json_extract(key, '$.agent_id')",
  default: "json_extract(key, '$.default_agent_id')",
} as const;

/**
 * Why an agent cannot have a key with these scopes beside its others; null if it can.
 * @param wanted `except`: the key's own id, where it is there already. `by`: which keys count as the agent's.
 */
export function whyNotBeside(
  box: TenantBase,
  wanted: {
    agentId: string;
    scopes: readonly Scope[];
    except: string | null;
    by: readonly [keyof typeof OF_AGENT, ...(keyof typeof OF_AGENT)[]];
  },
): Refusal | null {
  const { agentId, scopes, except, by } = wanted;
  const opposed = opposedScopes(scopes);
  if (opposed.length === 0) return null;
  const other = box.rows
    .exec<{ id: string }>(
      `SELECT id FROM api_keys WHERE (${by.map((way) => `${OF_AGENT[way]} = ?1`).join(" OR ")})
       AND json_extract(key, '$.revoked_at') IS NULL AND id <> ?2
       AND EXISTS (SELECT 1 FROM json_each(api_keys.key, '$.scopes') WHERE value IN (SELECT value FROM json_each(?3))) LIMIT 1`,
      agentId,
      except ?? "",
      JSON.stringify(opposed),
    )
    .toArray()[0];
  if (!other) return null;
  return {
    code: "conflicting_scopes",
    error: `The agent ${agentId} has a key with ${opposed.join(" and ")} already (${other.id}); one agent cannot both send and approve.`,
    hint: "Bind the key to another agent, or revoke the other key first.",
  };
}

export function listKeys(
  box: TenantBase,
  caller: Caller,
  page: { limit: number; cursor: string | null },
): Outcome<{ api_keys: ApiKey[]; cursor: string | null }> {
  if (!box.isMine(caller)) return notFound();
  const rows = box.rows
    .exec<{ key: string }>(
      "SELECT key FROM api_keys WHERE id > ? ORDER BY id LIMIT ?",
      page.cursor ?? "",
      page.limit + 1,
    )
    .toArray()
    .map(({ key }) => publicKey(JSON.parse(key) as StoredKey));
  const api_keys = rows.slice(0, page.limit);
  return accepted({ api_keys, cursor: rows.length > page.limit ? (api_keys.at(-1)?.id ?? null) : null });
}

/** Changes a key. @param approvedWords what the operator allowed, in the very words they read. */
export async function updateKey(
  box: TenantBase,
  caller: Caller,
  keyId: string,
  change: ApiKeyChange,
  approvedWords: string | null,
): Promise<Outcome<KeyUpdateAnswer>> {
  const now = box.isMine(caller) ? box.findKey(keyId) : null;
  if (!now) return notFound();
  if (now.revoked_at !== null) return refused("wrong_state", "This key is revoked; a revoked key stays as it is.");
  const to = withOwnDefault({ ...now, ...change });
  const refusal = whyNotReached(caller, now) ?? whyNotReached(caller, to) ?? whyNotKey(box, to, keyId);
  if (refusal) return { ok: false, refusal };
  const gives = whatKeyChangeGivesAway(keyId, to, now);
  if (gives !== null && gives !== approvedWords) return accepted({ needs_approval: { change: gives } });
  const changed = (Object.keys(change) as (keyof ApiKeyChange)[]).filter(
    (field) => canonical(to[field]) !== canonical(now[field]),
  );
  if (changed.length > 0) {
    to.version = (now.version ?? 0) + 1;
    box.commit(() => {
      saveKey(box, to);
      box.record({
        actor: actorOf(caller),
        action: "key.updated",
        resource: { type: "api_key", id: keyId },
        detail: {
          changed,
          scopes: to.scopes,
          mailboxes: to.mailbox_ids,
          agent_id: to.agent_id,
          ...(to.default_agent_id !== now.default_agent_id && { default_agent_id: to.default_agent_id }),
          operator_approved: gives !== null,
        },
        ...(changed.includes("name") && { personal: { name: to.name } }),
      });
    });
  } else noteUnchanged(box, caller, "key.updated", { type: "api_key", id: keyId });
  await projectKey(box, keyId);
  return accepted({ key: publicKey(to) });
}

/** A key that is bound to an agent has no other as its default. */
function withOwnDefault(key: StoredKey): StoredKey {
  const { agent_id, default_agent_id = null } = key;
  return agent_id === null || default_agent_id === null || default_agent_id === agent_id
    ? key
    : { ...key, default_agent_id: null };
}

/** A key that is bound itself changes no key that reaches further than it does, neither before nor after. */
export function whyNotReached({ mailbox_ids, bound_agent_id }: Caller, key: KeyReach): Refusal | null {
  if (mailbox_ids !== null && !(key.mailbox_ids?.every((id) => mailbox_ids.includes(id)) ?? false)) {
    return {
      code: "mailbox_not_allowed",
      error: "This key is bound to its mailboxes and cannot change a key of others.",
    };
  }
  if (bound_agent_id !== null && key.agent_id !== bound_agent_id) {
    return { code: "agent_not_allowed", error: "This key is bound to an agent and cannot change a key of another." };
  }
  return null;
}

export async function revokeKey(box: TenantBase, caller: Caller, keyId: string): Promise<Outcome<ApiKey>> {
  const stored = box.isMine(caller) ? box.findKey(keyId) : null;
  if (!stored) return notFound();
  if (stored.revoked_at === null) {
    stored.revoked_at = box.time();
    stored.version = (stored.version ?? 0) + 1;
    box.commit(() => {
      saveKey(box, stored);
      box.record({ actor: actorOf(caller), action: "key.revoked", resource: { type: "api_key", id: keyId } });
    });
  } else noteUnchanged(box, caller, "key.revoked", { type: "api_key", id: keyId });
  await projectKey(box, keyId);
  return accepted(publicKey(stored));
}

/** Inside `commit`: with the timer that brings it to D1 should the direct way fail. */
export function saveKey(box: TenantBase, key: StoredKey): void {
  box.rows.exec("INSERT OR REPLACE INTO api_keys VALUES (?, ?)", key.id, JSON.stringify(key));
  box.schedule("key", key.id, box.now() + 2_000);
}

/** Brings a key to D1. @throws Error if there is no such key; whatever D1 threw. */
export async function projectKey(box: TenantBase, id: string): Promise<void> {
  const key = box.findKey(id);
  if (!key) throw new Error(`the key ${id} is missing`);
  await recordKey(box.environment().DB, box.tenant().id, key);
  // Changed meanwhile: the timer stays, and brings that version.
  if (box.findKey(id)?.version === key.version) box.commit(() => box.unschedule("key", id));
}
