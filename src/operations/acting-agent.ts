import { Refused } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";

/**
 * Lets a key act in an agent's name.
 * @param agentId what the request names, or null for the key's own.
 * @throws {Refused} `agent_not_allowed` if the key is bound to another agent.
 */
export function actingAs(caller: Caller, agentId: string | null): Caller {
  if (agentId === null) return caller;
  if (caller.bound_agent_id !== null && caller.bound_agent_id !== agentId) {
    throw new Refused("agent_not_allowed", "This key is bound to another agent and cannot act for this one.", {
      hint: "Leave agent_id out, or use a key that is bound to that agent or to none.",
    });
  }
  return { ...caller, agent_id: agentId };
}
