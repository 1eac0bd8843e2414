import { z } from "zod";
import type { Pauses } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import { Refused, unwrap } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { pausedMailboxes } from "../store/directory.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { approvalCode, knownAgentId } from "./fields.ts";
import { changeMailbox } from "./mailboxes.ts";
import { type Answer, defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, type PendingApproval, pendingApprovalShape } from "./operator-approval.ts";
import { findMailbox, mailboxNames } from "./references.ts";

/** The panic switches: of a mailbox, of an agent, of the whole account. Nothing leaves until they are lifted, and nothing is lost. */

const switchIn = z
  .strictObject({
    ...mailboxNames,
    agent_id: knownAgentId.optional().describe("Whatever is sent in this agent's name"),
    tenant: z.literal(true).optional().describe("Everything of the account"),
    approval_code: approvalCode,
  })
  .transform(({ mailbox_id, mailbox, agent_id, tenant, approval_code }, context) => {
    const named = { mailbox_id: mailbox_id ?? mailbox, agent_id, tenant };
    if (Object.values(named).filter((value) => value !== undefined).length !== 1) {
      context.addIssue({
        code: "custom",
        path: ["mailbox_id"],
        message: "says what to stop: exactly one of mailbox_id, agent_id and tenant is needed",
      });
    }
    if (mailbox !== undefined && mailbox_id !== undefined && mailbox !== mailbox_id) {
      context.addIssue({ code: "custom", path: ["mailbox"], message: "says something else than mailbox_id" });
    }
    return { ...named, approval_code };
  });
type SwitchIn = z.output<typeof switchIn>;

const pausesShape = z.object({
  /** Everything of the account stands still. */
  tenant: z.boolean(),
  agents: z.array(z.string()),
  /** Ids, as far as the key may use them; at most 1,000, and behind by a second. */
  mailboxes: z.array(z.string()),
  hint: z.string().optional(),
});
type PausesAnswer = z.output<typeof pausesShape>;

const PAUSES_READ = access({ action: "pauses.read" });

async function throwSwitch(
  context: OperationContext,
  input: SwitchIn,
  paused: boolean,
): Promise<Answer<PausesAnswer | PendingApproval>> {
  const asked = { operation: paused ? "pause_sending" : "resume_sending", input };
  if (input.mailbox_id !== undefined) {
    const routing = await findMailbox(context, input.mailbox_id);
    const { status, body } = await changeMailbox(context, routing, { paused }, asked);
    if (status === 202) return { status, body };
    return { status, body: await standing(context, { id: body.id, paused }) };
  }
  const { env, caller } = context;
  refuseBound(caller);
  const agent = input.agent_id ?? null;
  if (!paused) {
    // What was not thrown is not lifted: it may be thrown in this very moment.
    if (!isThrown(await pausesOf(context), agent)) {
      unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.recordAccess(caller, PAUSES_READ)));
      return { status: 200, body: await standing(context, null) };
    }
    const waiting = await operatorApproval(context, { ...asked, words: resumedWords(agent) });
    if (waiting) return { status: 202, body: waiting };
  }
  unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.setPause(caller, agent, paused)));
  const body = await standing(context, null);
  return { status: 200, body: paused && agent !== null ? { ...body, hint: UNBOUND } : body };
}

function resumedWords(agent: string | null): string {
  return agent === null
    ? "All mail of the account may be sent again."
    : `Mail of the agent ${agent} may be sent again.`;
}

const UNBOUND =
  "A key that is bound to no agent can send in another agent's name. To be sure, pause the mailbox or the tenant, or revoke the key.";

/** What reaches beyond a key's own mailboxes is not for a key that is bound to them. */
function refuseBound({ mailbox_ids }: Caller): void {
  if (mailbox_ids === null) return;
  throw new Refused("mailbox_not_allowed", "This key is bound to its mailboxes; it can pause and resume these only.", {
    hint: "Name one of them as mailbox_id.",
  });
}

function isThrown({ tenant, agents }: Pauses, agent: string | null): boolean {
  return agent === null ? tenant : agents.includes(agent);
}

async function pausesOf({ env, caller }: OperationContext): Promise<Pauses> {
  return unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.pauses(caller)));
}

/** @param just a mailbox whose switch was thrown in this call: D1 may not know yet. */
async function standing(
  context: OperationContext,
  just: { id: string; paused: boolean } | null,
): Promise<PausesAnswer> {
  const { tenant, agents } = await pausesOf(context);
  const known = await pausedMailboxes(context.env.DB, context.caller);
  const others = known.filter((id) => id !== just?.id);
  return { tenant, agents, mailboxes: just?.paused ? [...others, just.id].sort() : just ? others : known };
}

const either = z.union([pausesShape, pendingApprovalShape]);

export const pauseSending = defineOperation({
  name: "pause_sending",
  summary: "Stops all sending of a mailbox, of an agent or of the account, at once. What was to leave waits.",
  scope: ["admin", "oversight"],
  effect: "administer",
  recorded: "by_its_object",
  input: switchIn,
  output: either,
  rest: [{ method: "POST", path: "/v1/pause" }],
  handler: (context, input) => throwSwitch(context, input, true),
});

export const resumeSending = defineOperation({
  name: "resume_sending",
  summary: "Lifts a panic switch. It waits for the operator's code.",
  scope: ["admin", "oversight"],
  effect: "administer",
  recorded: "by_its_object",
  input: switchIn,
  output: either,
  rest: [{ method: "POST", path: "/v1/resume" }],
  handler: (context, input) => throwSwitch(context, input, false),
});

export const getPauses = defineOperation({
  name: "get_pauses",
  summary: "Reads which panic switches are thrown.",
  scope: ["read", "oversight", "admin"],
  effect: null,
  recorded: { entry: () => PAUSES_READ },
  input: z.strictObject({}),
  output: pausesShape,
  rest: [{ method: "GET", path: "/v1/pauses" }],
  handler: async (context) => ({ status: 200, body: await standing(context, null) }),
});
