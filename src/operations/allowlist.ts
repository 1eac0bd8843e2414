import { z } from "zod";
import { isId } from "../ids.ts";
import { parseRecipientPattern } from "../oversight/recipient-patterns.ts";
import { callMailbox, notFound } from "../store/mailbox-client.ts";
import { agreed, approvalCode, cursor, headerText, limit } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { allowlistEntryShape } from "./shapes/recipient-lists.ts";

/** Recipients whom a human has approved beforehand: the one exception from what a mode holds. */

const MAX_NOTE_CHARACTERS = 200;
const MAX_RECIPIENT_CHARACTERS = 320;

const recipient = z
  .string()
  .min(1)
  .max(MAX_RECIPIENT_CHARACTERS)
  .optional()
  .describe("An address, a domain (customer.example) or a glob (*@customer.example, *.customer.example)");

const addIn = z
  .strictObject({
    ...mailboxNames,
    recipient,
    address: recipient.describe("The same as recipient"),
    pattern: recipient.describe("The same as recipient"),
    note: headerText(MAX_NOTE_CHARACTERS).nullable().optional().describe("For people"),
    approval_code: approvalCode,
  })
  .transform(({ mailbox_id, mailbox, note, approval_code, ...recipients }, context) => {
    const given = agreed(recipients, ["recipient", "address", "pattern"], context, true);
    const normal = given === null ? null : parseRecipientPattern(given);
    if (given !== null && normal === null) {
      context.addIssue({
        code: "custom",
        path: [
          (["recipient", "address", "pattern"] as const).find((name) => recipients[name] !== undefined) ?? "recipient",
        ],
        message: "must be an address, a domain or a glob such as *@customer.example or *.customer.example",
      });
    }
    return {
      mailbox: mailboxOf({ mailbox_id, mailbox }, context),
      recipient: normal ?? "",
      note: note ?? null,
      approval_code,
    };
  });

export const addToAllowlist = defineOperation({
  name: "add_to_allowlist",
  summary: "Lets mail to a recipient leave where only gated_send would hold it. It waits for the operator's code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: addIn,
  output: z.union([allowlistEntryShape, pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/allowlist" }],
  async handler(context, input) {
    const { env, caller } = context;
    const { recipient, note } = input;
    const routing = await findMailbox(context, input.mailbox);
    const outcome = await withApproval(context, { operation: "add_to_allowlist", input }, (approvedWords) =>
      callMailbox(env, routing, (object) => object.allow(caller, { recipient, note }, approvedWords)),
    );
    if ("waiting" in outcome) return { status: 202, body: outcome.waiting };
    // Without a code only an entry that was there already is answered.
    return { status: outcome.approved ? 201 : 200, body: outcome.made.entry };
  },
});

export const listAllowlist = defineOperation({
  name: "list_allowlist",
  summary: "Lists the recipients whom a human has approved beforehand.",
  scope: ["read", "admin", "oversight"],
  effect: null,
  recorded: "by_its_object",
  input: z
    .strictObject({ ...mailboxNames, limit, cursor })
    .transform(({ limit, cursor, ...names }, context) => ({ mailbox: mailboxOf(names, context), limit, cursor })),
  output: z.object({ entries: z.array(allowlistEntryShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/allowlist" }],
  async handler(context, { mailbox, limit, cursor }) {
    if (cursor !== undefined && !isId("alw", cursor)) throw foreignCursor();
    const routing = await findMailbox(context, mailbox);
    const page = { limit, cursor: cursor ?? null };
    return {
      status: 200,
      body: await callMailbox(context.env, routing, (object) => object.allowlist(context.caller, page)),
    };
  },
});

export const removeFromAllowlist = defineOperation({
  name: "remove_from_allowlist",
  summary: "Takes a recipient off the allowlist at once, and takes back what had not left because of it.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...mailboxNames, entry_id: z.string().min(1).max(64) })
    .transform(({ entry_id, ...names }, context) => ({ mailbox: mailboxOf(names, context), entry_id })),
  output: allowlistEntryShape,
  rest: [{ method: "DELETE", path: "/v1/mailboxes/{mailbox_id}/allowlist/{entry_id}" }],
  async handler(context, { mailbox, entry_id }) {
    const routing = await findMailbox(context, mailbox);
    if (!isId("alw", entry_id)) throw notFound();
    return {
      status: 200,
      body: await callMailbox(context.env, routing, (object) => object.disallow(context.caller, entry_id)),
    };
  },
});
