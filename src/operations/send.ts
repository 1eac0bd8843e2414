import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { flag, someAddresses, tagsForm } from "./fields.ts";
import { contentFields, messageFields, sendAt, withContent } from "./message-in.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail, routeMailbox, senderNames, senderOf } from "./references.ts";
import { emailSummaryShape } from "./shapes/email.ts";
import { dryRunShape, sendAnswerShape } from "./shapes/sending.ts";
import { submitMessage } from "./submission.ts";
import { formedTags } from "./tags-form.ts";

const sendFields = { ...senderNames, to: someAddresses, ...contentFields, ...messageFields };

/** What was sent, or what a dry run found. */
const sendOutput = z.union([sendAnswerShape, dryRunShape]);

/** A new message: who sends it, and what it says. */
function newMessage(
  { mailbox_id, mailbox, from, from_address, ...message }: z.output<z.ZodObject<typeof sendFields>>,
  context: z.RefinementCtx,
) {
  const sender = senderOf({ mailbox_id, mailbox, from, from_address }, context);
  return { sender, ...withContent(message, context, false) };
}

export const sendEmail = defineOperation({
  name: "send_email",
  summary:
    "Sends an email, now or later, or holds it for a human where the mailbox's oversight mode or policy says so.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  input: z.strictObject(sendFields).transform(newMessage),
  output: sendOutput,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/send" }],
  async handler(context, { sender, ...message }) {
    return submitMessage(context, "send_email", await routeMailbox(context, sender), message, null);
  },
});

export const scheduleEmail = defineOperation({
  ...sendEmail,
  name: "schedule_email",
  summary: "The same as send_email with a time at which the email leaves.",
  input: z
    .strictObject({ ...sendFields, send_at: sendAt.describe("When it leaves, at most a year away") })
    .transform(newMessage),
  rest: [],
});

export const replyEmail = defineOperation({
  name: "reply_email",
  summary: "Answers a message in its thread. Recipients and subject come from it unless they are given.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      to: someAddresses.optional().describe("Left out: whom the message answered names"),
      reply_all: flag.default(false).describe("Also to the others it was addressed to"),
      ...contentFields,
      ...messageFields,
    })
    .transform(({ email_id, message_id, mailbox_id, mailbox, ...message }, context) => ({
      reference: emailOf({ email_id, message_id, mailbox_id, mailbox }, context),
      ...withContent(message, context, true),
    })),
  output: sendOutput,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/reply/{email_id}" }],
  async handler(context, { reference, reply_all, ...message }) {
    const email = await findEmail(context, reference);
    return submitMessage(context, "reply_email", email.routing, message, { email_id: email.id, all: reply_all });
  },
});

export const cancelMessage = defineOperation({
  name: "cancel_message",
  summary: "Takes back a message that has not been handed over for delivery yet.",
  scope: ["send", "oversight"],
  effect: null,
  recorded: "by_its_object",
  input: z
    .strictObject({ ...emailNames, reason: z.string().max(1_000).optional(), tags: tagsForm })
    .transform(({ reason, tags, ...names }, context) => ({ reason, tags, reference: emailOf(names, context) })),
  output: emailSummaryShape,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/cancel" }],
  async handler(context, { reference, reason, tags }) {
    const email = await findEmail(context, reference);
    const cancelled = await callMailbox(context.env, email.routing, (object) =>
      object.cancel(context.caller, email.id, reason ?? null),
    );
    return { status: 200, body: formedTags(cancelled, tags) };
  },
});
