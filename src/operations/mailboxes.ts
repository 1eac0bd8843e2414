import { z } from "zod";
import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import { Refused } from "../errors.ts";
import { isId } from "../ids.ts";
import { listMailboxes } from "../store/directory.ts";
import { callMailbox, callTenant } from "../store/mailbox-client.ts";
import { approvalCode, cursor, flag, limit } from "./fields.ts";
import { mailboxSettingsIn, readCopies, readMailboxAddress } from "./mailbox-settings.ts";
import { defaultPlan, isReserved, type MailboxPlan, makeMailbox, whatPlanGivesAway } from "./new-mailbox.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, pendingApprovalShape } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { personAddress } from "./people.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { mailboxShape } from "./shapes.ts";

const createIn = z
  .strictObject({
    address: z.string().max(320).optional().describe("A whole address on a verified domain"),
    address_local: z.string().max(64).optional().describe("A local part on the deployment's own domain"),
    ...mailboxSettingsIn,
    identity_signing: flag.optional(),
    approval_code: approvalCode,
  })
  .refine(({ address, address_local }) => (address === undefined) !== (address_local === undefined), {
    error: "one of address and address_local is needed, and only one",
    path: ["address"],
  });

/** @throws {Refused} for an address, approver or copy that is not taken. */
async function planOf({ env, caller }: OperationContext, input: z.output<typeof createIn>): Promise<MailboxPlan> {
  const { address, address_local, approval_code: _code, approver_email, auto_cc, auto_bcc, ...settings } = input;
  const plan = defaultPlan(caller.tenant_id, readMailboxAddress(env, { address, address_local }));
  const approver = approver_email ? await personAddress(env, approver_email, "approver_email") : null;
  const pending =
    approver !== null && !(await callTenant(env, caller.tenant_id, (tenant) => tenant.isConfirmedApprover(approver)));
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  return {
    ...plan,
    ...given,
    auto_cc: readCopies(auto_cc, "auto_cc") ?? [],
    auto_bcc: readCopies(auto_bcc, "auto_bcc") ?? [],
    approver_email: approver,
    approver_pending: pending,
  };
}

export const createMailbox = defineOperation({
  name: "create_mailbox",
  summary: "Makes a mailbox. Modes looser than gated_send wait for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  input: createIn,
  output: z.union([mailboxShape.extend({ idempotent: z.literal(true).optional() }), pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/mailboxes" }],
  async handler(context, input) {
    const { env, caller } = context;
    if (caller.mailbox_ids !== null) {
      throw new Refused("mailbox_not_allowed", "This key is bound to its mailboxes and cannot make another.");
    }
    const plan = await planOf(context, input);
    const words = whatPlanGivesAway(plan);
    // A reservation with these very settings was allowed when it was made.
    if (words !== null && !(await isReserved(env, plan))) {
      const waiting = await operatorApproval(context, { operation: "create_mailbox", input, words });
      if (waiting) return { status: 202, body: waiting };
      await confirmApprover(context, plan);
      plan.approver_pending = false;
    }
    const { mailbox, existed } = await makeMailbox(env, caller, plan, context.now());
    return existed ? { status: 200, body: { ...mailbox, idempotent: true as const } } : { status: 201, body: mailbox };
  },
});

/** The operator allowed a change whose words name the approver they did not know before, and so confirmed the person. */
async function confirmApprover(
  { env, caller }: OperationContext,
  { approver_email, approver_pending }: MailboxPlan | MailboxChange,
): Promise<void> {
  if (!approver_email || !approver_pending) return;
  await callTenant(env, caller.tenant_id, (tenant) => tenant.confirmApprover(caller, approver_email));
}

export const listMailboxesOperation = defineOperation({
  name: "list_mailboxes",
  summary: "Lists the mailboxes that the key may use.",
  scope: ["read"],
  effect: null,
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
  input: z.strictObject(mailboxNames).transform((names, context) => ({ mailbox: mailboxOf(names, context) })),
  output: mailboxShape,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}" }],
  async handler(context, { mailbox }) {
    const routing = await findMailbox(context, mailbox);
    return { status: 200, body: await callMailbox(context.env, routing, (object) => object.describe(context.caller)) };
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

async function changeOf({ env, caller }: OperationContext, input: z.output<typeof updateIn>): Promise<MailboxChange> {
  const { mailbox: _mailbox, approval_code: _code, approver_email, auto_cc, auto_bcc, ...settings } = input;
  const change: Record<string, unknown> = {
    ...settings,
    auto_cc: readCopies(auto_cc, "auto_cc"),
    auto_bcc: readCopies(auto_bcc, "auto_bcc"),
  };
  if (approver_email !== undefined) {
    const approver = approver_email === null ? null : await personAddress(env, approver_email, "approver_email");
    change.approver_email = approver;
    change.approver_pending =
      approver !== null && !(await callTenant(env, caller.tenant_id, (tenant) => tenant.isConfirmedApprover(approver)));
  }
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

export const updateMailbox = defineOperation({
  name: "update_mailbox",
  summary: "Changes a mailbox's settings. Tightening is immediate; loosening waits for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  input: updateIn,
  output: z.union([mailboxShape, pendingApprovalShape]),
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}" }],
  async handler(context, input) {
    const { env, caller } = context;
    const routing = await findMailbox(context, input.mailbox);
    const change = await changeOf(context, input);
    const first = await callMailbox(env, routing, (object) => object.update(caller, change, null));
    if ("mailbox" in first) return { status: 200, body: first.mailbox };
    const words = first.needs_approval.change;
    const waiting = await operatorApproval(context, { operation: "update_mailbox", input, words });
    if (waiting) return { status: 202, body: waiting };
    await confirmApprover(context, change);
    // The object makes the change only if it still gives away exactly what the operator read.
    const second = await callMailbox(env, routing, (object) => object.update(caller, change, words));
    if (!("mailbox" in second)) {
      throw new Refused("wrong_state", "The mailbox was changed meanwhile, so this would give away something else.", {
        hint: "Repeat the call without approval_code.",
      });
    }
    return { status: 200, body: second.mailbox };
  },
});
