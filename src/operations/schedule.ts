import { z } from "zod";
import type { MessageChange } from "../../durable-objects/mailbox-rpc.ts";
import { callMailbox } from "../store/mailbox-client.ts";
import { addresses, someAddresses } from "./fields.ts";
import { bodyFields, bodyIfAny, readRecipients, refuseTooLarge, renderBody, sendAt, subject } from "./message-in.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";
import { sendAnswerShape } from "./shapes/sending.ts";

const changes = {
  send_at: sendAt.nullable().optional().describe("null: at once"),
  subject: subject.optional(),
  ...bodyFields,
  to: someAddresses.optional(),
  cc: addresses.optional().describe("An empty list: nobody"),
  bcc: addresses.optional().describe("An empty list: nobody"),
};

export const editScheduledEmail = defineOperation({
  name: "edit_scheduled_email",
  summary: "Changes a message that waits or is scheduled. It is judged anew, and an approval that it had is void.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...emailNames, ...changes })
    .transform(({ email_id, message_id, mailbox_id, mailbox, markdown, text, body, html, ...rest }, context) => {
      const change = { ...rest, body: bodyIfAny({ markdown, text, body, html }, context) };
      if (Object.values(change).every((value) => value === undefined)) {
        const message = `needs something to change: ${Object.keys(changes).join(", ")}`;
        context.addIssue({ code: "custom", path: [], message });
      }
      return { reference: emailOf({ email_id, message_id, mailbox_id, mailbox }, context), change };
    }),
  output: sendAnswerShape,
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/schedule" }],
  async handler(context, { reference, change }) {
    const { id, routing } = await findEmail(context, reference);
    const { send_at, subject, to, cc, bcc } = change;
    const recipients = readRecipients({ to, cc, bcc });
    const body = change.body && renderBody(change.body);
    if (body) refuseTooLarge(context.env, body, []);
    const wanted: MessageChange = {
      look_up: true,
      ...(send_at !== undefined && { send_at }),
      ...(subject !== undefined && { subject }),
      ...(body && { body }),
      ...(to !== undefined && { to: recipients.to }),
      ...(cc !== undefined && { cc: recipients.cc }),
      ...(bcc !== undefined && { bcc: recipients.bcc }),
    };
    return {
      status: 200,
      body: await callMailbox(context.env, routing, (object) => object.edit(context.caller, id, wanted)),
    };
  },
});
