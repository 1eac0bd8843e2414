import { z } from "zod";
import { addresses, someAddresses } from "./fields.ts";
import { bodyFields, bodyIfAny, messageFields } from "./message-in.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";
import { dryRunShape, sendAnswerShape } from "./shapes/sending.ts";
import { submitMessage } from "./submission.ts";

const { reply_to: _reply, attachments: _files, ...sentFields } = messageFields;
const { markdown, text, body } = bodyFields;

export const forwardEmail = defineOperation({
  name: "forward_email",
  summary:
    "Passes a message on: as it is, with a seal over what was found of its author when it arrived; with a comment, attached to a message of the mailbox's own.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      to: someAddresses.describe("Who gets it. What is passed on as it is names them nowhere"),
      ...sentFields,
      cc: addresses.optional(),
      bcc: addresses.optional(),
      markdown: markdown.describe("A comment, rendered to HTML and plain text. Left out: passed on as it is"),
      text: text.describe("The comment as plain text"),
      body,
    })
    .transform(({ email_id, message_id, mailbox_id, mailbox, markdown, text, body, ...message }, context) => ({
      reference: emailOf({ email_id, message_id, mailbox_id, mailbox }, context),
      ...message,
      attachments: [],
      content: { subject: null, body: bodyIfAny({ markdown, text, body }, context) ?? { text: "" } },
    })),
  output: z.union([sendAnswerShape, dryRunShape]),
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/forward/{email_id}" }],
  async handler(context, { reference, ...message }) {
    const { id, routing } = await findEmail(context, reference);
    return submitMessage(context, "forward_email", routing, message, null, { email_id: id });
  },
});
