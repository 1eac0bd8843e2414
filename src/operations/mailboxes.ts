import { z } from "zod";
import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import { access } from "../audit/access.ts";
import { Refused } from "../errors.ts";
import { isId, type RoutingNumber } from "../ids.ts";
import { peopleOf, withPeople } from "../oversight/overseers.ts";
import { listMailboxes } from "../store/directory.ts";
import { callMailbox } from "../store/mailbox-client.ts";
import { approvalCode, cursor, flag, limit } from "./fields.ts";
import { mailboxSettingsIn, readMailboxAddress, readSettings, refuseContradictions } from "./mailbox-settings.ts";
import {
  defaultPlan,
  isReserved,
  type MailboxPlan,
  makeMailbox,
  refuseOtherDomain,
  whatPlanGivesAway,
} from "./new-mailbox.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import {
  type Loosening,
  operatorApproval,
  type PendingApproval,
  pendingApprovalShape,
  withApproval,
} from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { confirmPeople, reservePeople, unconfirmedOf } from "./people.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { type Mailbox, mailboxShape } from "./shapes/mailbox.ts";

const createIn = z
  .strictObject({
    address: z.string().max(320).optional().describe("A whole address on a verified domain"),
    address_local: z.string().max(64).optional().describe("A local part on the deployment's own domain"),
    ...mailboxSettingsIn,
    approval_code: approvalCode,
  })
  .refine(({ address, address_local }) => (address === undefined) !== (address_local === undefined), {
    error: "one of address and address_local is needed, and only one",
    path: ["address"],
  });

/** @throws {Refused} for an address, person or copy that is not taken, or settings that contradict each other. */
async function planOf({ env, caller }: OperationContext, input: z.output<typeof createIn>): Promise<MailboxPlan> {
  const { address, address_local, approval_code: _code, ...settings } = input;
  const plan = {
    ...defaultPlan(caller.tenant_id, readMailboxAddress(env, { address, address_local })),
    ...(await readSettings(env, settings)),
  };
  refuseContradictions(plan);
  await refuseOtherDomain(env, caller, plan);
  return withPeople(plan, await unconfirmedOf(env, caller.tenant_id, peopleOf(plan)));
}

export const createMailbox = defineOperation({
  name: "create_mailbox",
  summary: "Makes a mailbox. Modes looser than gated_send wait for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: createIn,
  output: z.union([mailboxShape.extend({ idempotent: z.literal(true).optional() }), pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/mailboxes" }],
  async handler(context, input) {
    const { env, caller } = context;
    if (caller.mailbox_ids !== null) {
      throw new Refused("mailbox_not_allowed", "This key is bound to its mailboxes and cannot make another.");
    }
    let plan = await planOf(context, input);
    const words = whatPlanGivesAway(plan);
    // A reservation with these very settings was allowed when it was made.
    if (words !== null && !(await isReserved(env, plan))) {
      const waiting = await operatorApproval(context, { operation: "create_mailbox", input, words });
      if (waiting) return { status: 202, body: waiting };
      await confirmPeople(env, caller, plan.approvers_pending);
      plan = withPeople(plan, []);
    }
    await reservePeople(env, caller.tenant_id, peopleOf(plan));
    const { mailbox, existed } = await makeMailbox(env, caller, plan, context.now());
    return existed ? { status: 200, body: { ...mailbox, idempotent: true as const } } : { status: 201, body: mailbox };
  },
});

export const listMailboxesOperation = defineOperation({
  name: "list_mailboxes",
  summary: "Lists the mailboxes that the key may use.",
  scope: ["read"],
  effect: null,
  recorded: {
    entry: (_input, body) => access({ action: "mailboxes.listed", detail: { results: body?.mailboxes.length ?? 0 } }),
  },
  input: z.strictObject({ limit, cursor }),
  output: z.object({ mailboxes: z.array(mailboxShape), total: z.number(), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/mailboxes" }],
  async handler({ env, caller }, { limit, cursor }) {
    if (cursor !== undefined && !isId("mbx", cursor)) throw foreignCursor();
    const { mailboxes, more, total } = await listMailboxes(env.DB, caller, { limit, after: cursor ?? "" });
    return { status: 200, body: { mailboxes, total, cursor: more ? (mailboxes.at(-1)?.id ?? null) : null } };
  },
});

export const getMailbox = defineOperation({
  name: "get_mailbox",
  summary: "Reads one mailbox's settings.",
  scope: ["read"],
  effect: null,
  recorded: "by_its_object",
  input: z.strictObject(mailboxNames).transform((names, context) => ({ mailbox: mailboxOf(names, context) })),
  output: mailboxShape,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}" }],
  async handler(context, { mailbox }) {
    const routing = await findMailbox(context, mailbox);
    const body = await callMailbox(context.env, routing, (object) => object.readSettings(context.caller));
    return { status: 200, body };
  },
});

const updateIn = z
  .strictObject({ ...mailboxNames, ...mailboxSettingsIn, is_active: flag.optional(), approval_code: approvalCode })
  .transform(({ mailbox_id, mailbox, ...change }, context) => ({
    ...change,
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
  }))
  .refine(
    ({ mailbox: _mailbox, approval_code: _code, ...change }) =>
      Object.values(change).some((value) => value !== undefined),
    {
      error: "names no setting to change",
    },
  );

type UpdateIn = z.output<typeof updateIn>;

/** What an input changes, and whom of the people that it leaves in place the operator has not confirmed. */
async function changeOf(
  { env, caller }: OperationContext,
  routing: RoutingNumber,
  { mailbox: _mailbox, approval_code: _code, is_active, ...input }: UpdateIn,
): Promise<MailboxChange> {
  const settings = await readSettings(env, input);
  const change: MailboxChange = { ...settings, ...(is_active !== undefined && { is_active }) };
  if (!change.approvers && !change.delegations) return change;
  const now = await callMailbox(env, routing, (object) => object.describe(caller));
  const people = peopleOf({ ...now, ...settings });
  return { ...change, approvers_pending: await unconfirmedOf(env, caller.tenant_id, people) };
}

/**
 * Changes a mailbox's settings: at once if that gives nothing away, else with the operator's code.
 * @param asked the operation and its input, to which the code is bound.
 * @throws {Refused} as `withApproval`.
 */
export async function changeMailbox(
  context: OperationContext,
  routing: RoutingNumber,
  change: MailboxChange,
  asked: Omit<Loosening, "words">,
): Promise<{ status: 200; body: Mailbox } | { status: 202; body: PendingApproval }> {
  const { env, caller } = context;
  const outcome = await withApproval(
    context,
    asked,
    (approvedWords) => callMailbox(env, routing, (object) => object.update(caller, change, approvedWords)),
    async () => {
      const { approvers = [], delegations = [], approvers_pending = [] } = change;
      await reservePeople(env, caller.tenant_id, peopleOf({ approvers, delegations }));
      await confirmPeople(env, caller, approvers_pending);
    },
  );
  return "waiting" in outcome ? { status: 202, body: outcome.waiting } : { status: 200, body: outcome.made.mailbox };
}

async function update(context: OperationContext, input: UpdateIn) {
  const routing = await findMailbox(context, input.mailbox);
  const change = await changeOf(context, routing, input);
  return changeMailbox(context, routing, change, { operation: "update_mailbox", input });
}

export const updateMailbox = defineOperation({
  name: "update_mailbox",
  summary: "Changes a mailbox's settings. Tightening is immediate; loosening waits for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: updateIn,
  output: z.union([mailboxShape, pendingApprovalShape]),
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}" }],
  handler: update,
});

export const configureMailbox = defineOperation({
  ...updateMailbox,
  name: "configure_mailbox",
  summary: "The same as update_mailbox; a code for the one fits the other.",
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}/configure" }],
});
