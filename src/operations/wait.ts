import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { arrivalFilters, inboxQuery } from "./emails.ts";
import { flag, limit, tagsForm, wholeNumber } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { emailSummaryShape } from "./shapes/email.ts";
import { formedTags } from "./tags-form.ts";

/** Seconds. Below the minute after which proxies on the way give an idle connection up. */
const LONGEST_WAIT = 55;
const USUAL_WAIT = 30;

export const waitForEmail = defineOperation({
  name: "wait_for_email",
  summary: "Waits for a received message, and answers as soon as one that matches is there.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...mailboxNames,
      timeout: wholeNumber(1, LONGEST_WAIT).default(USUAL_WAIT).describe("Seconds, 1 to 55"),
      ...arrivalFilters,
      unread_only: flag.optional().describe("Left out: true, unless since_id says what is new"),
      limit,
      tags: tagsForm,
    })
    .transform(({ mailbox_id, mailbox, unread_only, ...rest }, context) => ({
      ...rest,
      // Mail that was read long ago is not what anyone waits for.
      unread_only: unread_only ?? rest.since_id === undefined,
      mailbox: mailboxOf({ mailbox_id, mailbox }, context),
    })),
  output: z.object({ emails: z.array(emailSummaryShape), timed_out: z.boolean() }),
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/wait" }],
  async handler(context, { mailbox, timeout, tags, ...filters }) {
    const query = inboxQuery({ ...filters, direction: "inbound" });
    const until = context.now() + timeout * 1_000;
    // A restarted object knows of no one who waits: the call is repeated for what is left of the time.
    const { emails, timed_out } = await callMailbox(context.env, await findMailbox(context, mailbox), (object) =>
      object.waitFor(context.caller, query, Math.max(0, until - context.now())),
    );
    return { status: 200, body: { emails: emails.map((email) => formedTags(email, tags)), timed_out } };
  },
});
