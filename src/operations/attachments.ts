import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";

export const downloadAttachment = defineOperation({
  name: "download_attachment",
  summary: "Downloads one attachment's bytes.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...emailNames, filename: z.string().min(1).max(1_000) })
    .transform(({ filename, ...names }, context) => ({ filename, reference: emailOf(names, context) })),
  output: z.string().describe("The file itself"),
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/attachments/{filename}" }],
  async handler(context, { reference, filename }) {
    const { id, routing } = await findEmail(context, reference);
    const found = await callMailbox(context.env, routing, (object) => object.attachment(context.caller, id, filename));
    const stored = await context.env.STORE.get(found.key);
    if (stored === null) throw new Error("an attachment that the mailbox names is missing in R2");
    return {
      status: 200,
      file: { stream: stored.body, name: found.name, content_type: found.content_type, size: stored.size },
    };
  },
});
