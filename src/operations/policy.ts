import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { approvalCode } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { policyIn, policyShape } from "./policy-fields.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { mailboxRecordShape } from "./shapes/mailbox.ts";

/** A mailbox's rules, and what it did under them. */

const setIn = policyIn
  .extend({ ...mailboxNames, approval_code: approvalCode })
  .transform(({ mailbox_id, mailbox, approval_code, ...policy }, context) => ({
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
    policy,
    approval_code,
  }));

export const setPolicy = defineOperation({
  name: "set_policy",
  summary: "Replaces a mailbox's rules. Tightening is immediate; loosening waits for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: setIn,
  output: z.union([policyShape, pendingApprovalShape]),
  rest: [{ method: "PUT", path: "/v1/mailboxes/{mailbox_id}/policy" }],
  async handler(context, input) {
    const { env, caller } = context;
    const routing = await findMailbox(context, input.mailbox);
    const outcome = await withApproval(context, { operation: "set_policy", input }, (approvedWords) =>
      callMailbox(env, routing, (object) => object.setPolicy(caller, input.policy, approvedWords)),
    );
    return "waiting" in outcome ? { status: 202, body: outcome.waiting } : { status: 200, body: outcome.made.policy };
  },
});

const mailboxIn = z.strictObject(mailboxNames).transform((names, context) => ({ mailbox: mailboxOf(names, context) }));

export const getPolicy = defineOperation({
  name: "get_policy",
  summary: "Reads a mailbox's rules.",
  scope: ["read", "admin", "oversight"],
  effect: null,
  recorded: "by_its_object",
  input: mailboxIn,
  output: policyShape,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/policy" }],
  async handler(context, { mailbox }) {
    const routing = await findMailbox(context, mailbox);
    return { status: 200, body: await callMailbox(context.env, routing, (object) => object.policy(context.caller)) };
  },
});

export const getTrackRecord = defineOperation({
  name: "get_track_record",
  summary: "Reads what a mailbox did in the last 30 days: what was decided, changed, bounced and complained about.",
  scope: ["read", "admin", "oversight"],
  effect: null,
  recorded: "by_its_object",
  input: mailboxIn,
  output: mailboxRecordShape,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/record" }],
  async handler(context, { mailbox }) {
    const routing = await findMailbox(context, mailbox);
    return {
      status: 200,
      body: await callMailbox(context.env, routing, (object) => object.trackRecord(context.caller)),
    };
  },
});
