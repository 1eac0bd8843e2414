import { z } from "zod";
import type { ApiKeyChange, NewApiKey } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import { Refused, unwrap } from "../errors.ts";
import { isId } from "../ids.ts";
import type { Scope } from "../oversight/caller.ts";
import { isConflicting, whatNewKeyGivesAway } from "../oversight/key-powers.ts";
import { callTenant, notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { agentId, approvalCode, cursor, flag, headerText, limit } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { ownMailboxId } from "./references.ts";
import { apiKeyShape } from "./shapes/account.ts";
import { scopeSchema } from "./shapes/values.ts";

/** What a key's name may be; it is shown to the operator. */
export const keyName = headerText(100, 1);
/** The scopes a key is to have, each once. */
export const keyScopes = z
  .array(scopeSchema)
  .min(1)
  .max(4)
  .transform((scopes) => [...new Set(scopes)]);
const MAX_BOUND_MAILBOXES = 100;

const boundMailboxes = z.array(z.string().max(64)).min(1).max(MAX_BOUND_MAILBOXES).nullable().optional();

const createIn = z.strictObject({
  name: keyName,
  scopes: keyScopes,
  mailbox_ids: boundMailboxes.describe("Bind the key to these mailboxes"),
  agent_id: agentId.nullable().optional().describe("Bind the key to this agent"),
  test: flag.optional().describe("An mm_test_ key: what it sends never leaves"),
  approval_code: approvalCode,
});

/** @throws {Refused} `conflicting_scopes` if one key would both send and approve. */
export function refuseConflict(scopes: readonly Scope[]): void {
  if (!isConflicting(scopes)) return;
  throw new Refused("conflicting_scopes", "One key cannot both send and approve.", {
    hint: "Make two keys: one with send for the agent, one with oversight for whoever approves.",
  });
}

/**
 * What a key may hand on: nothing it is bound out of itself. Scopes are another matter, see `whatNewKeyGivesAway`.
 * @returns the key to make.
 */
async function keyOf(context: OperationContext, input: z.output<typeof createIn>): Promise<NewApiKey> {
  const { caller } = context;
  refuseConflict(input.scopes);
  const mailbox_ids = input.mailbox_ids
    ? [...new Set(input.mailbox_ids)]
    : caller.mailbox_ids && [...caller.mailbox_ids];
  await refuseForeign(context, mailbox_ids);
  const agent_id = input.agent_id ?? caller.bound_agent_id;
  if (caller.bound_agent_id !== null && agent_id !== caller.bound_agent_id) {
    throw new Refused("agent_not_allowed", "This key is bound to another agent and cannot make a key for this one.");
  }
  return { name: input.name, scopes: input.scopes, mailbox_ids, agent_id, test: input.test ?? caller.test };
}

/** @throws {Refused} `not_found` for a mailbox that is not the tenant's; `mailbox_not_allowed` for one that the caller is bound out of. */
async function refuseForeign(context: OperationContext, mailboxIds: readonly string[] | null): Promise<void> {
  for (const id of mailboxIds ?? []) {
    if (!isId("mbx", id) || (await ownMailboxId(context, routingOrNotFound(id))) !== id) throw notFound();
    if (context.caller.mailbox_ids?.includes(id) === false) {
      throw new Refused("mailbox_not_allowed", "This key is bound to other mailboxes and cannot hand this one on.");
    }
  }
}

export const createApiKey = defineOperation({
  name: "create_api_key",
  summary: "Makes a key. It is shown once. Keys with oversight or admin wait for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
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
    const words = whatNewKeyGivesAway(caller, key);
    if (words !== null) {
      // Nobody is asked for what could not be made.
      unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.mayMakeKeys([key])));
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
  recorded: {
    entry: (_input, body) => access({ action: "keys.listed", detail: { results: body?.api_keys.length ?? 0 } }),
  },
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

const updateIn = z
  .strictObject({
    id: z.string().min(1).max(64),
    name: keyName.optional(),
    scopes: keyScopes.optional(),
    mailbox_ids: boundMailboxes.describe("The mailboxes that the key is bound to; null: all"),
    agent_id: agentId.nullable().optional().describe("The agent that the key is bound to; null: any"),
    approval_code: approvalCode,
  })
  .refine(
    ({ id: _id, approval_code: _code, ...change }) => Object.values(change).some((value) => value !== undefined),
    {
      error: "names nothing to change",
    },
  );

function keyChangeOf({
  id: _id,
  approval_code: _code,
  mailbox_ids,
  ...change
}: z.output<typeof updateIn>): ApiKeyChange {
  const given = { ...change, mailbox_ids: mailbox_ids && [...new Set(mailbox_ids)] };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export const updateApiKey = defineOperation({
  name: "update_api_key",
  summary:
    "Changes a key. Narrowing works within 5 seconds everywhere; whatever widens it waits for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: updateIn,
  output: z.union([apiKeyShape, pendingApprovalShape]),
  rest: [{ method: "PATCH", path: "/v1/api-keys/{id}" }],
  async handler(context, input) {
    const { env, caller } = context;
    const { id } = input;
    if (!isId("key", id)) throw notFound();
    const change = keyChangeOf(input);
    if (change.scopes) refuseConflict(change.scopes);
    await refuseForeign(context, change.mailbox_ids ?? null);
    const outcome = await withApproval(context, { operation: "update_api_key", input }, async (approvedWords) =>
      unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.updateKey(caller, id, change, approvedWords))),
    );
    return "waiting" in outcome ? { status: 202, body: outcome.waiting } : { status: 200, body: outcome.made.key };
  },
});

export const revokeApiKey = defineOperation({
  name: "revoke_api_key",
  summary: "Revokes a key. It stops working within 5 seconds everywhere.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
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
