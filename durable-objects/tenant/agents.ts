import type { DetailField, Only } from "../../src/audit/actions.ts";
import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import type { Agent } from "../../src/operations/shapes/account.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { recordAgent } from "../../src/store/tenant-projection.ts";
import type { NewEntry } from "../ledger/log.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { AgentChange, AgentRegistration, CreatedAgent } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";
import { keysOfDefault, setDefaults, whyNotDefaults } from "./default-agents.ts";
import { projectKey } from "./keys.ts";

/**
 * Registered agents: what model is behind a name, and which keys act under it by default. A registration gives nobody a right: a
 * key that is bound to no agent may name any. Whose default an agent is stands with the key, so that a key has one.
 */

/** An agent as the object keeps it. */
export interface StoredAgent extends Omit<Agent, "default_for"> {
  /** Counted up with each change, also from a deleted agent to the next of its name. D1 keeps the newest. */
  version: number;
}

/** Registers an agent. The same call again answers the same; `wrong_state` if the agent is there with other values. */
export async function createAgent(
  box: TenantBase,
  caller: Caller,
  wanted: AgentRegistration,
): Promise<Outcome<CreatedAgent>> {
  if (!box.isMine(caller)) return notFound();
  const { id, default_for, ...described } = wanted;
  const unreached = whyNotAdministered(caller, id);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findAgent(box, id);
  if (before && before.deleted_at === null) {
    const { name, model_id, model_provider } = before;
    const same =
      canonical({ ...described, keys: default_for }) ===
      canonical({ name, model_id, model_provider, keys: keysOfDefault(box, id) });
    if (!same) return taken(id);
    noteUnchanged(box, caller, "agent.created", { type: "agent", id });
    await bringToD1(box, id, default_for);
    return accepted({ agent: shown(box, caller, before), existed: true });
  }
  const refusal = whyNotDefaults(box, caller, id, { now: [], wanted: default_for });
  if (refusal) return { ok: false, refusal };
  const agent = { id, ...described, created_at: box.time(), deleted_at: null, version: (before?.version ?? 0) + 1 };
  box.commit(() => {
    saveAgent(box, agent);
    setDefaults(box, id, { now: [], wanted: default_for });
    recordChange(box, caller, "agent.created", agent, { default_for });
  });
  // A crash here leaves what D1 does not know; the timers of the agent and its keys still bring it there.
  await bringToD1(box, id, default_for);
  return accepted({ agent: shown(box, caller, agent), existed: false });
}

function taken(id: string): Outcome<never> {
  return refused("wrong_state", `The agent ${id} is registered already, with other values.`, {
    hint: "update_agent changes it.",
  });
}

/** Changes an agent; what is left out stays. `default_for` takes the place of the keys there were. */
export async function updateAgent(
  box: TenantBase,
  caller: Caller,
  id: string,
  { default_for, ...change }: AgentChange,
): Promise<Outcome<Agent>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller, id);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findAgent(box, id);
  if (!before || before.deleted_at !== null) return notFound();
  const now = keysOfDefault(box, id);
  const keys = { now, wanted: default_for ?? now };
  const refusal = whyNotDefaults(box, caller, id, keys);
  if (refusal) return { ok: false, refusal };
  const agent = { ...before, ...change, version: before.version + 1 };
  const changed = [
    ...(["name", "model_id", "model_provider"] as const).filter((field) => agent[field] !== before[field]),
    ...(canonical(keys.wanted) === canonical(now) ? [] : ["default_for"]),
  ];
  if (changed.length > 0) {
    box.commit(() => {
      saveAgent(box, agent);
      setDefaults(box, id, keys);
      recordChange(box, caller, "agent.updated", agent, { changed, default_for: keys.wanted });
    });
  } else noteUnchanged(box, caller, "agent.updated", { type: "agent", id });
  await bringToD1(box, id, [...now, ...keys.wanted]);
  return accepted(shown(box, caller, agent));
}

/** Deletes an agent: no key acts under it by default, and its model is found no more. Deleting it again answers the same. */
export async function deleteAgent(box: TenantBase, caller: Caller, id: string): Promise<Outcome<Agent>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller, id);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findAgent(box, id);
  if (!before) return notFound();
  const keys = { now: keysOfDefault(box, id), wanted: [] };
  const refusal = whyNotDefaults(box, caller, id, keys);
  if (refusal) return { ok: false, refusal };
  const agent =
    before.deleted_at === null ? { ...before, deleted_at: box.time(), version: before.version + 1 } : before;
  if (before.deleted_at === null) {
    box.commit(() => {
      saveAgent(box, agent);
      setDefaults(box, id, keys);
      recordChange(box, caller, "agent.deleted", agent, { was_default_for: keys.now });
    });
  } else noteUnchanged(box, caller, "agent.deleted", { type: "agent", id });
  await bringToD1(box, id, keys.now);
  return accepted(shown(box, caller, agent));
}

export function getAgent(box: TenantBase, caller: Caller, id: string): Outcome<Agent> {
  const agent = box.isMine(caller) ? findAgent(box, id) : null;
  return agent && agent.deleted_at === null ? accepted(shown(box, caller, agent)) : notFound();
}

/** One page in the order of their ids. @param page `cursor`: the last id of the page before. */
export function listAgents(
  box: TenantBase,
  caller: Caller,
  page: { limit: number; cursor: string | null },
): Outcome<{ agents: Agent[]; cursor: string | null }> {
  if (!box.isMine(caller)) return notFound();
  const rows = box.rows
    .exec<{ agent: string }>(
      "SELECT agent FROM agents WHERE json_extract(agent, '$.deleted_at') IS NULL AND id > ? ORDER BY id LIMIT ?",
      page.cursor ?? "",
      page.limit + 1,
    )
    .toArray()
    .map(({ agent }) => shown(box, caller, JSON.parse(agent) as StoredAgent));
  const agents = rows.slice(0, page.limit);
  return accepted({ agents, cursor: rows.length > page.limit ? (agents.at(-1)?.id ?? null) : null });
}

/** Brings an agent to D1. @throws Error if there is no such agent; whatever D1 threw. */
export async function projectAgent(box: TenantBase, id: string): Promise<void> {
  const agent = findAgent(box, id);
  if (!agent) throw new Error(`the agent ${id} is missing`);
  await recordAgent(box.environment().DB, box.tenant().id, agent);
  // Changed meanwhile: the timer stays, and brings that version.
  if (findAgent(box, id)?.version === agent.version) box.commit(() => box.unschedule("agent", id));
}

/** The agent first: a key that acts by default under an agent has one whose model can be found. */
async function bringToD1(box: TenantBase, agentId: string, keyIds: readonly string[]): Promise<void> {
  if (box.isScheduled("agent", agentId)) await projectAgent(box, agentId);
  const late = new Set(keyIds.filter((id) => box.isScheduled("key", id)));
  await Promise.all([...late].map((id) => projectKey(box, id)));
}

/** Inside `commit`: with the timer that brings it to D1 should the direct way fail. */
export function saveAgent(box: TenantBase, agent: StoredAgent): void {
  box.rows.exec("INSERT OR REPLACE INTO agents VALUES (?, ?)", agent.id, JSON.stringify(agent));
  box.schedule("agent", agent.id, box.now() + 2_000);
}

type AgentAction = `agent.${"created" | "updated" | "deleted"}`;

function recordChange<A extends AgentAction, Detail extends NonNullable<NewEntry["detail"]>>(
  box: TenantBase,
  caller: Caller,
  action: A,
  { id, name, model_id, model_provider }: StoredAgent,
  detail: Detail & Only<Detail, DetailField<A>>,
): void {
  box.recordChecked({
    actor: actorOf(caller),
    action,
    resource: { type: "agent", id },
    detail: { model_id, model_provider, ...detail },
    ...(name !== null && { personal: { name } }),
  });
}

function findAgent(box: TenantBase, id: string): StoredAgent | null {
  const row = box.rows.exec<{ agent: string }>("SELECT agent FROM agents WHERE id = ?", id).toArray()[0];
  return row ? (JSON.parse(row.agent) as StoredAgent) : null;
}

/** Which other keys there are is for administrators to know. */
function shown(box: TenantBase, { key_id, scopes }: Caller, { version: _version, ...agent }: StoredAgent): Agent {
  const keys = keysOfDefault(box, agent.id);
  return { ...agent, default_for: scopes.includes("admin") ? keys : keys.filter((id) => id === key_id) };
}

/** What reaches beyond a key's own mailboxes, or its own agent, is not for a key that is bound to them. */
function whyNotAdministered({ mailbox_ids, bound_agent_id }: Caller, id: string): Refusal | null {
  if (mailbox_ids !== null) {
    return {
      code: "mailbox_not_allowed",
      error: "This key is bound to its mailboxes and cannot register or change agents, which send from all of them.",
    };
  }
  if (bound_agent_id !== null && bound_agent_id !== id) {
    return { code: "agent_not_allowed", error: "This key is bound to an agent and cannot register or change another." };
  }
  return null;
}
