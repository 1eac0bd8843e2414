import { Refused } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { findAgentModel, type RegisteredModel } from "../store/directory.ts";
import type { OperationContext } from "./operation.ts";

/** Who acts, and with which model. */

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
  const { acts_by_default: _nobodyNamedIt, ...rest } = caller;
  return { ...rest, agent_id: agentId };
}

/** What a call says of the model that wrote a message. */
export interface NamedModel {
  model_id?: string | undefined;
  model_provider?: string | undefined;
}

/**
 * Completes what a call says of the model from the agent's registration: one look-up in D1, and none where the call says all of it
 * or no agent acts. What the call says goes before the registration, since it is what wrote this very message.
 * @param agentId who acts.
 * @returns null for what neither says.
 */
export async function modelOf(
  { env, caller }: OperationContext,
  agentId: string | null,
  { model_id, model_provider }: NamedModel,
): Promise<{ [Field in keyof RegisteredModel]: string | null }> {
  const isWhole = model_id !== undefined && model_provider !== undefined;
  const registered = isWhole || agentId === null ? null : await findAgentModel(env.DB, caller.tenant_id, agentId);
  return {
    model_id: model_id ?? registered?.model_id ?? null,
    model_provider: model_provider ?? registered?.model_provider ?? null,
  };
}
