import { z } from "zod";
import { canonical } from "../canonical-json.ts";
import { Refused, unwrap } from "../errors.ts";
import type { Mode } from "../oversight/modes.ts";
import { callMailbox, callTenant } from "../store/mailbox-client.ts";
import { agreed, octets } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { forCaller } from "./operator-approval.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { mailboxRecordShape, mailboxShape } from "./shapes/mailbox.ts";
import { modeSchema } from "./shapes/values.ts";

/** The trust ladder: an agent asks for a looser mode, the operator is mailed a code, and whoever brings it gets the mode. */

const MAX_REASON_OCTETS = 2 * 1024;

/** What the operator's code is for, as the tenant's object keeps it: the change itself lies in the mailbox's request. */
interface AskedChange {
  operation: "request_upgrade";
  mailbox_id: string;
  pending_id: string;
  oversight_mode: Mode;
  words: string;
}

const requestIn = z
  .strictObject({
    ...mailboxNames,
    oversight_mode: modeSchema.optional().describe("The looser mode that is asked for"),
    target_mode: modeSchema.optional().describe("The same as oversight_mode"),
    mode: modeSchema.optional().describe("The same as oversight_mode"),
    reason: octets(MAX_REASON_OCTETS).optional().describe("Why; people read it beside the request"),
  })
  .transform(({ mailbox_id, mailbox, reason, ...modes }, context) => ({
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
    oversight_mode: agreed(modes, ["oversight_mode", "target_mode", "mode"], context, true) ?? ("read_only" as const),
    reason: reason ?? null,
  }));

const requestShape = z.object({
  status: z.literal("pending_approval"),
  /** The request, among what waits for people; they can reject it. */
  upgrade_id: z.string(),
  /** The same as `upgrade_id`. */
  pending_id: z.string(),
  /** In words, what the operator was asked to allow. */
  change: z.string(),
  /** What the mailbox did, as the operator reads it too. */
  record: mailboxRecordShape,
  /** Who was mailed the code; only keys that administer are told. */
  sent_to: z.string().optional(),
  expires_at: z.string(),
  hint: z.string(),
});

export const requestUpgrade = defineOperation({
  name: "request_upgrade",
  summary: "Asks for a looser mode. The operator is mailed a code, with what the mailbox did in the last 30 days.",
  scope: ["send", "admin"],
  effect: null,
  recorded: "by_its_object",
  input: requestIn,
  output: requestShape,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/request-upgrade" }],
  async handler(context, { mailbox, oversight_mode, reason }) {
    const { env, caller } = context;
    const routing = await findMailbox(context, mailbox);
    const { id: mailbox_id, address } = await callMailbox(env, routing, (object) => object.describe(caller));
    const request = await callMailbox(env, routing, (object) =>
      object.requestUpgrade(caller, { change: { oversight_mode }, reason }),
    );
    const { pending_id, change: words, record } = request;
    const asked: AskedChange = { operation: "request_upgrade", mailbox_id, pending_id, oversight_mode, words };
    const upgrade = { mailbox_id, mailbox_address: address, record };
    const mailed = unwrap(
      await callTenant(
        env,
        caller.tenant_id,
        (tenant) => tenant.askOperator(caller, canonical(asked), words, upgrade),
        { repeatable: false },
      ),
    );
    return {
      status: 202,
      body: {
        status: "pending_approval" as const,
        upgrade_id: pending_id,
        pending_id,
        change: words,
        record,
        ...forCaller(caller, mailed),
        hint: "The operator was mailed a code. Give it to apply_upgrade, with the key that asked.",
      },
    };
  },
});

const code = z.string().min(1).max(64).optional();

const applyIn = z
  .strictObject({
    ...mailboxNames,
    approval_code: code.describe("The code that the operator was mailed"),
    code: code.describe("The same as approval_code"),
  })
  .transform(({ mailbox_id, mailbox, approval_code, code }, context) => ({
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
    approval_code: agreed({ approval_code, code }, ["approval_code", "code"], context, true) ?? "",
  }));

export const applyUpgrade = defineOperation({
  name: "apply_upgrade",
  summary: "Redeems the operator's code for the upgrade that this key asked for last.",
  scope: ["send", "admin"],
  effect: null,
  recorded: "by_its_object",
  input: applyIn,
  output: mailboxShape,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/upgrade" }],
  async handler(context, { mailbox, approval_code }) {
    const { env, caller } = context;
    const routing = await findMailbox(context, mailbox);
    // Before any code is looked at: whether the key may use the mailbox at all.
    const { id } = await callMailbox(env, routing, (object) => object.describe(caller));
    const change = unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.askedUpgrade(caller, id)));
    if (change === null) throw nothingAsked();
    const redeemed = await callTenant(
      env,
      caller.tenant_id,
      (tenant) => tenant.redeemCode(caller, change, approval_code),
      { repeatable: false },
    );
    if (!redeemed.ok && redeemed.refusal.code === "invalid_approval_code") {
      throw new Refused("invalid_approval_code", redeemed.refusal.error, { hint: ASK_AGAIN });
    }
    unwrap(redeemed);
    const { pending_id, words } = JSON.parse(change) as AskedChange;
    // The object makes the change only if it still gives away exactly what the operator read.
    const body = await callMailbox(env, routing, (object) => object.applyUpgrade(caller, pending_id, words));
    return { status: 200, body };
  },
});

const ASK_AGAIN = "Ask with request_upgrade; a code lives 24 hours and survives five tries.";

function nothingAsked(): Refused {
  return new Refused("invalid_approval_code", "This key has no request for this mailbox that a code could be for.", {
    hint: ASK_AGAIN,
  });
}
