import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { oneTagKey, tags as tagsField, tagsForm } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";
import { tagsIn } from "./tags-form.ts";

const tagsAnswer = z.object({
  id: z.string(),
  message_id: z.string(),
  tags: z.union([z.record(z.string(), z.string()), z.array(z.string())]),
});

export const tagEmail = defineOperation({
  name: "tag_email",
  summary: "Sets tags on a message, beside those it has.",
  scope: ["send"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      tags: tagsField.describe(
        "A map of key to text, or a list of keys. Only those of a key with admin can shorten how long the content is kept",
      ),
      tags_form: tagsForm.describe("How the answer gives tags; ?tags= in a query"),
    })
    .transform(({ tags, tags_form, ...names }, context) => ({ tags, tags_form, reference: emailOf(names, context) })),
  output: tagsAnswer,
  rest: [{ method: "PUT", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/tags" }],
  async handler(context, { reference, tags, tags_form }) {
    const { id, routing } = await findEmail(context, reference);
    const all = await callMailbox(context.env, routing, (object) => object.tag(context.caller, id, tags));
    return { status: 200, body: { id, message_id: id, tags: tagsIn(all, tags_form) } };
  },
});

export const getTags = defineOperation({
  name: "get_tags",
  summary: "Reads a message's tags.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...emailNames, tags: tagsForm })
    .transform(({ tags, ...names }, context) => ({ tags, reference: emailOf(names, context) })),
  output: tagsAnswer,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/tags" }],
  async handler(context, { reference, tags }) {
    const { id, routing } = await findEmail(context, reference);
    const all = await callMailbox(context.env, routing, (object) => object.tags(context.caller, id));
    return { status: 200, body: { id, message_id: id, tags: tagsIn(all, tags) } };
  },
});

export const deleteTag = defineOperation({
  name: "delete_tag",
  summary: "Removes one tag from a message.",
  scope: ["send"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      key: oneTagKey.describe("Its period keeps the content as before, unless the key has admin"),
      tags: tagsForm,
    })
    .transform(({ key, tags, ...names }, context) => ({ key, tags, reference: emailOf(names, context) })),
  output: tagsAnswer,
  rest: [{ method: "DELETE", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}/tags/{key}" }],
  async handler(context, { reference, key, tags }) {
    const { id, routing } = await findEmail(context, reference);
    const rest = await callMailbox(context.env, routing, (object) => object.untag(context.caller, id, key));
    return { status: 200, body: { id, message_id: id, tags: tagsIn(rest, tags) } };
  },
});
