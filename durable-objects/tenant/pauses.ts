import { accepted, type Outcome } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { Pauses } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";

/** The panic switches of agents and of the whole tenant. A mailbox has its own, among its settings. */

/** The row that stands for the whole tenant. No agent has this id. */
const TENANT = "";

/** Whether nothing may leave in that agent's name now. @throws Error before the tenant was provisioned: then nothing leaves either. */
export function isPaused(box: TenantBase, agentId: string | null): boolean {
  return (
    box.rows.exec("SELECT 1 FROM pauses WHERE agent_id IN (?, ?) LIMIT 1", TENANT, agentId ?? TENANT).toArray().length >
    0
  );
}

/** Throws a switch; one that stands so already is left as it is. @param agentId null: the whole tenant. */
export function setPause(box: TenantBase, caller: Caller, agentId: string | null, paused: boolean): Outcome<Pauses> {
  if (!box.isMine(caller)) return notFound();
  const ref = agentId ?? TENANT;
  const resource = agentId === null ? { type: "tenant", id: caller.tenant_id } : { type: "agent", id: agentId };
  const now = box.rows.exec("SELECT 1 FROM pauses WHERE agent_id = ?", ref).toArray().length > 0;
  if (now !== paused) {
    box.commit(() => {
      if (paused) box.rows.exec("INSERT INTO pauses VALUES (?)", ref);
      else box.rows.exec("DELETE FROM pauses WHERE agent_id = ?", ref);
      box.record({
        actor: actorOf(caller),
        action: paused ? "sending.paused" : "sending.resumed",
        resource,
      });
    });
  } else noteUnchanged(box, caller, paused ? "sending.paused" : "sending.resumed", resource);
  return accepted(standing(box));
}

export function pauses(box: TenantBase, caller: Caller): Outcome<Pauses> {
  return box.isMine(caller) ? accepted(standing(box)) : notFound();
}

function standing(box: TenantBase): Pauses {
  const all = box.rows
    .exec<{ agent_id: string }>("SELECT agent_id FROM pauses ORDER BY agent_id")
    .toArray()
    .map(({ agent_id }) => agent_id);
  return { tenant: all.includes(TENANT), agents: all.filter((id) => id !== TENANT) };
}
