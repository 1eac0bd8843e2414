import { z } from "zod";
import type { NewApiKey } from "../../durable-objects/tenant-rpc.ts";
import { Refused, unwrap } from "../errors.ts";
import { isId } from "../ids.ts";
import type { Caller, Scope } from "../oversight/caller.ts";
import { callTenant, notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { agentId, approvalCode, cursor, flag, headerText, limit } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, pendingApprovalShape } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { ownMailboxId } from "./references.ts";
import { apiKeyShape, scopeSchema } from "./shapes.ts";

/** What a key's name may be; it is shown to the operator. */
export const keyName = headerText(100, 1);
/** The scopes a key is to have, each once. */
export const keyScopes = z
  .array(scopeSchema)
  .min(1)
  .max(4)
  .transform((scopes) => [...new Set(scopes)]);
const MAX_BOUND_MAILBOXES = 100;

const createIn = z.strictObject({
  name: keyName,
  scopes: keyScopes,
  mailbox_ids: z
    .array(z.string().max(64))
    .min(1)
    .max(MAX_BOUND_MAILBOXES)
    .nullable()
    .optional()
    .describe("Bind the key to these mailboxes"),
  agent_id: agentId.nullable().optional().describe("Bind the key to this agent"),
  test: flag.optional().describe("An mm_test_ key: what it sends never leaves"),
  approval_code: approvalCode,
});

/** @throws {Refused} `conflicting_scopes` if one key would both send and approve. */
export function refuseConflict(scopes: readonly Scope[]): void {
  if (!scopes.includes("send") || !scopes.includes("oversight")) return;
  throw new Refused("conflicting_scopes", "One key cannot both send and approve.", {
    hint: "Make two keys: one with send for the agent, one with oversight for whoever approves.",
  });
}

/**
 * What a key may hand on: nothing it is bound out of itself. Scopes are another matter, see `whatKeyGivesAway`.
 * @returns the key to make.
 */
async function keyOf(context: OperationContext, input: z.output<typeof createIn>): Promise<NewApiKey> {
  const { caller } = context;
  refuseConflict(input.scopes);
  const mailbox_ids = input.mailbox_ids
    ? [...new Set(input.mailbox_ids)]
    : caller.mailbox_ids && [...caller.mailbox_ids];
  for (const id of mailbox_ids ?? []) {
    if (!isId("mbx", id) || (await ownMailboxId(context, routingOrNotFound(id))) !== id) throw notFound();
    if (caller.mailbox_ids?.includes(id) === false) {
      throw new Refused("mailbox_not_allowed", "This key is bound to other mailboxes and cannot hand this one on.");
    }
  }
  const agent_id = input.agent_id ?? caller.bound_agent_id;
  if (caller.bound_agent_id !== null && agent_id !== caller.bound_agent_id) {
    throw new Refused("agent_not_allowed", "This key is bound to another agent and cannot make a key for this one.");
  }
  return { name: input.name, scopes: input.scopes, mailbox_ids, agent_id, test: input.test ?? caller.test };
}

/** Scopes by which a key oversees or administers. Reading and sending stay under each mailbox's mode, whoever does it. */
const POWERFUL: readonly Scope[] = ["oversight", "admin"];

/** @returns what the operator has to allow before this key is made, in words; null if nothing. */
export function whatKeyGivesAway(caller: Caller, key: NewApiKey): string | null {
  const powers = key.scopes.filter((scope) => POWERFUL.includes(scope));
  const given = [
    ...(powers.length ? [`a new key named “${key.name}” may ${powers.join(" and ")}`] : []),
    ...(caller.test && !key.test ? [`a test key makes the key “${key.name}”, whose mail does leave`] : []),
  ];
  if (given.length === 0) return null;
  const where = key.mailbox_ids === null ? "in all mailboxes" : `in ${key.mailbox_ids.join(", ")}`;
  return `${given.join("; ")} (scopes ${key.scopes.join(", ")}, ${where}).`;
}

export const createApiKey = defineOperation({
  name: "create_api_key",
  summary: "Makes a key. It is shown once. Keys with oversight or admin wait for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  input: createIn,
  output: z.union([apiKeyShape.extend({ key: z.string() }), pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/api-keys" }],
  async handler(context, input) {
    if (context.idempotencyKey !== null) {
      // Only its hash is kept, so the first answer cannot be given again; to take the key and not keep the promise would be worse.
      throw new Refused(
        "invalid_input",
        "create_api_key takes no idempotency key: a key is shown once and cannot be shown again.",
        {
          issues: [{ path: "idempotency_key", message: "is not taken here" }],
          hint: "If the answer was lost, list_api_keys shows the key that was made; revoke it and make another.",
        },
      );
    }
    const { env, caller } = context;
    const key = await keyOf(context, input);
    const words = whatKeyGivesAway(caller, key);
    if (words !== null) {
      const waiting = await operatorApproval(context, { operation: "create_api_key", input, words });
      if (waiting) return { status: 202, body: waiting };
    }
    const made = await callTenant(env, caller.tenant_id, (tenant) => tenant.createKey(caller, key), {
      repeatable: false,
    });
    return { status: 201, body: unwrap(made) };
  },
});

export const listApiKeys = defineOperation({
  name: "list_api_keys",
  summary: "Lists the account's keys, revoked ones too, never the secrets.",
  scope: ["admin"],
  effect: null,
  input: z.strictObject({ limit, cursor }),
  output: z.object({ api_keys: z.array(apiKeyShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/api-keys" }],
  async handler({ env, caller }, { limit, cursor }) {
    if (cursor !== undefined && !isId("key", cursor)) throw foreignCursor();
    const page = await callTenant(env, caller.tenant_id, (tenant) =>
      tenant.listKeys(caller, { limit, cursor: cursor ?? null }),
    );
    return { status: 200, body: unwrap(page) };
  },
});

export const revokeApiKey = defineOperation({
  name: "revoke_api_key",
  summary: "Revokes a key. It stops working within 5 seconds everywhere.",
  scope: ["admin"],
  effect: "administer",
  input: z.strictObject({ id: z.string().min(1).max(64) }),
  output: apiKeyShape,
  rest: [{ method: "DELETE", path: "/v1/api-keys/{id}" }],
  async handler({ env, caller }, { id }) {
    if (!isId("key", id)) throw notFound();
    return {
      status: 200,
      body: unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.revokeKey(caller, id))),
    };
  },
});
