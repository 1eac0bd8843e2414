import { z } from "zod";
import type { AgentChange } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import { unwrap } from "../errors.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { agentId, cursor, headerText, knownAgentId, limit, modelId, modelProvider } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { agentShape } from "./shapes/account.ts";

/** Registered agents: the model behind a name, and the keys that act under it where nobody names an agent. */

const MAX_DEFAULT_KEYS = 100;

const agentName = headerText(100, 1).nullable().describe("For people");
const defaultFor = z
  .array(z.string().min(1).max(64))
  .max(MAX_DEFAULT_KEYS)
  .transform((ids) => [...new Set(ids)].sort())
  .describe("Ids of the keys that act as this agent where neither the request nor a binding names one");

const createIn = z.strictObject({
  id: agentId,
  name: agentName.default(null),
  model_id: modelId.describe("What writes its mail, where a send names no other model"),
  model_provider: modelProvider,
  default_for: defaultFor.default([]),
});

export const createAgent = defineOperation({
  name: "create_agent",
  summary: "Registers an agent. The same call again answers the same; other values are for update_agent.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: createIn,
  output: agentShape,
  rest: [{ method: "POST", path: "/v1/agents" }],
  async handler({ env, caller }, wanted) {
    const made = await callTenant(env, caller.tenant_id, (tenant) => tenant.createAgent(caller, wanted));
    const { agent, existed } = unwrap(made);
    return { status: existed ? 200 : 201, body: agent };
  },
});

export const listAgents = defineOperation({
  name: "list_agents",
  summary: "Lists the account's agents in the order of their ids.",
  scope: ["read", "admin"],
  effect: null,
  recorded: {
    entry: (_input, body) => access({ action: "agents.listed", detail: { results: body?.agents.length ?? 0 } }),
  },
  input: z.strictObject({ limit, cursor }),
  output: z.object({ agents: z.array(agentShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/agents" }],
  async handler({ env, caller }, { limit, cursor }) {
    if (cursor !== undefined && !knownAgentId.safeParse(cursor).success) throw foreignCursor();
    const page = await callTenant(env, caller.tenant_id, (tenant) =>
      tenant.listAgents(caller, { limit, cursor: cursor ?? null }),
    );
    return { status: 200, body: unwrap(page) };
  },
});

/** Any text: what no agent can be called is not there. */
const id = z.string().min(1).max(64);

export const getAgent = defineOperation({
  name: "get_agent",
  summary: "Reads an agent.",
  scope: ["read", "admin"],
  effect: null,
  recorded: { entry: ({ id }) => access({ action: "agent.read", resource: { type: "agent", id } }) },
  input: z.strictObject({ id }),
  output: agentShape,
  rest: [{ method: "GET", path: "/v1/agents/{id}" }],
  async handler({ env, caller }, { id }) {
    return {
      status: 200,
      body: unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.getAgent(caller, id))),
    };
  },
});

const updateIn = z
  .strictObject({
    id,
    name: agentName.optional(),
    model_id: modelId.optional(),
    model_provider: modelProvider.optional(),
    default_for: defaultFor.optional(),
  })
  .refine(({ id: _id, ...change }) => Object.values(change).some((value) => value !== undefined), {
    error: "names nothing to change",
  });

export const updateAgent = defineOperation({
  name: "update_agent",
  summary: "Changes an agent. What was sent or drafted before stays as it is.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: updateIn,
  output: agentShape,
  rest: [{ method: "PATCH", path: "/v1/agents/{id}" }],
  async handler({ env, caller }, { id, ...given }) {
    const change: AgentChange = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const agent = await callTenant(env, caller.tenant_id, (tenant) => tenant.updateAgent(caller, id, change));
    return { status: 200, body: unwrap(agent) };
  },
});

export const deleteAgent = defineOperation({
  name: "delete_agent",
  summary: "Deletes an agent. Keys that acted as it by default act for none; its name can still be given per send.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({ id }),
  output: agentShape,
  rest: [{ method: "DELETE", path: "/v1/agents/{id}" }],
  async handler({ env, caller }, { id }) {
    return {
      status: 200,
      body: unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.deleteAgent(caller, id))),
    };
  },
});
