import { z } from "zod";
import type { Submission } from "../../durable-objects/mailbox-rpc.ts";
import { isId, newId, type RoutingNumber, randomBytes } from "../ids.ts";
import type { Caller } from "../oversight/caller.ts";
import { callMailbox } from "../store/mailbox-client.ts";
import { actingAs, modelOf } from "./acting-agent.ts";
import { attachmentsIn, decodeAttachments } from "./attachments-in.ts";
import { withBrokenDomain } from "./broken-domain.ts";
import { addresses, agreed, cursor, limit, metadata, tags } from "./fields.ts";
import {
  carriedFields,
  contentFields,
  type DraftContentIn,
  type Recipients,
  readRecipients,
  refuseTooLarge,
  renderBody,
  sendAt,
  withDraftContent,
} from "./message-in.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { findEmail, findMailbox, mailboxNames, mailboxOf, type Names } from "./references.ts";
import { type Draft, draftShape, sendAnswerShape } from "./shapes/sending.ts";
import { withStoredFiles } from "./stored-files.ts";
import { renderContent } from "./submission.ts";

const drafted = {
  to: addresses.optional(),
  ...contentFields,
  ...carriedFields,
  attachments: attachmentsIn.optional().describe("In place of those that the draft has"),
  tags: tags.optional().describe("A map of key to text, or a list of keys"),
  metadata: metadata.optional(),
  send_at: sendAt.nullable().optional().describe("When it leaves, once it is sent; null: at once"),
};

const draftNames = {
  draft_id: z.string().min(1).max(64).optional().describe("em_…"),
  id: z.string().min(1).max(64).optional().describe("The same as draft_id"),
  ...mailboxNames,
};

function draftOf({ draft_id, id, mailbox_id, mailbox }: Names<typeof draftNames>, context: z.RefinementCtx) {
  return {
    email: agreed({ draft_id, id }, ["draft_id", "id"], context, true) ?? "",
    mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
  };
}

/** What a call says of a draft. */
interface DraftIn extends Omit<z.output<z.ZodObject<typeof drafted>>, keyof typeof contentFields> {
  content: DraftContentIn;
}

/** Its words: as far as there are any, and rendered. */
async function wordsOf(
  context: OperationContext,
  routing: RoutingNumber,
  content: DraftContentIn,
): Promise<Partial<Submission>> {
  if ("template_id" in content) return renderContent(context, routing, content);
  const { subject, body } = content;
  return { ...(subject !== undefined && { subject }), ...(body && renderBody(body)) };
}

/** Only those lists that the input has. */
function givenRecipients(input: DraftIn): Partial<Recipients> {
  const read = readRecipients(input);
  const given = (["to", "cc", "bcc", "reply_to"] as const).filter((field) => input[field] !== undefined);
  return Object.fromEntries(given.map((field) => [field, read[field]]));
}

/**
 * Who writes, and with which model. A change that names no agent leaves both as they were, but for what it says of the model; one
 * that does brings its registered model, and never takes away a model that the draft has. A key that is bound to an agent can
 * write for no other: its words are not left under the name that the draft has.
 * @param isWritten whether the call brings words or files.
 */
async function writtenBy(
  context: OperationContext,
  { agent_id, bound_agent_id }: Caller,
  input: DraftIn,
  { isNew, isWritten }: { isNew: boolean; isWritten: boolean },
): Promise<Partial<Submission>> {
  const names = isNew || input.agent_id !== undefined || (isWritten && bound_agent_id !== null);
  const model = await modelOf(context, names ? agent_id : null, input);
  const known = Object.entries(model).filter(([, value]) => value !== null);
  return { ...(names && { agent_id }), ...Object.fromEntries(known) };
}

/**
 * Brings a draft to its mailbox, its new files to the store.
 * @param draft `first`: the number of the first file, such that none takes the place of one that the draft still has.
 */
async function save(
  context: OperationContext,
  routing: RoutingNumber,
  draft: { id: string; is_new: boolean; first: number },
  input: DraftIn,
): Promise<Draft> {
  const caller = actingAs(context.caller, input.agent_id ?? null);
  const words = await wordsOf(context, routing, input.content);
  const files = decodeAttachments(input.attachments ?? []);
  refuseTooLarge(context.env, { text: words.text ?? "", html: words.html ?? null, markdown: null }, files);
  const { tags, metadata, oversight_mode, gate_timing, send_at } = input;
  const named = { tags, metadata, oversight_mode, gate_timing, send_at };
  const isWritten = Object.keys(words).length > 0 || input.attachments !== undefined;
  const change: Partial<Submission> = {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    ...givenRecipients(input),
    ...words,
    ...(await writtenBy(context, caller, input, { isNew: draft.is_new, isWritten })),
  };
  const { id, is_new, first } = draft;
  return withStoredFiles(
    context,
    { emailId: id, files, first },
    (attachments) =>
      callMailbox(context.env, routing, (object) =>
        object.saveDraft(caller, {
          id,
          is_new,
          draft: { ...change, ...(input.attachments !== undefined && { attachments }) },
        }),
      ),
    () => true,
  );
}

export const createDraft = defineOperation({
  name: "create_draft",
  summary: "Begins a draft. It may lack anything that send_email needs.",
  scope: ["send"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z.strictObject({ ...mailboxNames, ...drafted }).transform(({ mailbox_id, mailbox, ...message }, context) => ({
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
    draft: withDraftContent(message, context),
  })),
  output: draftShape,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/drafts" }],
  async handler(context, { mailbox, draft }) {
    const routing = await findMailbox(context, mailbox);
    const id = newId("em", context.now(), routing);
    return { status: 201, body: await save(context, routing, { id, is_new: true, first: 0 }, draft) };
  },
});

export const updateDraft = defineOperation({
  name: "update_draft",
  summary: "Changes a draft. What is left out stays as it is.",
  scope: ["send"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...draftNames, ...drafted })
    .transform(({ draft_id, id, mailbox_id, mailbox, ...message }, context) => ({
      reference: draftOf({ draft_id, id, mailbox_id, mailbox }, context),
      draft: withDraftContent(message, context),
    })),
  output: draftShape,
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}/drafts/{draft_id}" }],
  async handler(context, { reference, draft }) {
    const { id, routing } = await findEmail(context, reference);
    const first = Buffer.from(randomBytes(6)).readUIntBE(0, 6);
    return { status: 200, body: await save(context, routing, { id, is_new: false, first }, draft) };
  },
});

export const listDrafts = defineOperation({
  name: "list_drafts",
  summary: "Lists a mailbox's drafts, the newest first.",
  scope: ["send"],
  effect: "read",
  recorded: "by_its_object",
  input: z.strictObject({ ...mailboxNames, limit, cursor }).transform(({ mailbox_id, mailbox, ...page }, context) => ({
    ...page,
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
  })),
  output: z.object({ drafts: z.array(draftShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/drafts" }],
  async handler(context, { mailbox, limit, cursor }) {
    if (cursor !== undefined && !isId("em", cursor)) throw foreignCursor();
    const page = await callMailbox(context.env, await findMailbox(context, mailbox), (object) =>
      object.drafts(context.caller, { limit, cursor: cursor ?? null }),
    );
    return { status: 200, body: page };
  },
});

const oneDraft = z.strictObject(draftNames).transform((names, context) => ({ reference: draftOf(names, context) }));

export const getDraft = defineOperation({
  name: "get_draft",
  summary: "Reads a draft.",
  scope: ["send"],
  effect: "read",
  recorded: "by_its_object",
  input: oneDraft,
  output: draftShape,
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/drafts/{draft_id}" }],
  async handler(context, { reference }) {
    const { id, routing } = await findEmail(context, reference);
    return { status: 200, body: await callMailbox(context.env, routing, (object) => object.draft(context.caller, id)) };
  },
});

export const sendDraft = defineOperation({
  name: "send_draft",
  summary:
    "Sends a draft as whoever calls, under its own id; the draft is gone then. Sending it again answers the same.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  input: oneDraft,
  output: sendAnswerShape,
  rest: [{ method: "POST", path: "/v1/mailboxes/{mailbox_id}/drafts/{draft_id}/send" }],
  async handler(context, { reference }) {
    const { id, routing } = await findEmail(context, reference);
    const answer = await callMailbox(context.env, routing, (object) => object.sendDraft(context.caller, id, true));
    return { status: answer.idempotent ? 200 : 202, body: await withBrokenDomain(context, answer) };
  },
});

export const deleteDraft = defineOperation({
  name: "delete_draft",
  summary: "Deletes a draft with its files.",
  scope: ["send"],
  effect: "annotate",
  recorded: "by_its_object",
  input: oneDraft,
  output: draftShape,
  rest: [{ method: "DELETE", path: "/v1/mailboxes/{mailbox_id}/drafts/{draft_id}" }],
  async handler(context, { reference }) {
    const { id, routing } = await findEmail(context, reference);
    const draft = await callMailbox(context.env, routing, (object) => object.deleteDraft(context.caller, id));
    return { status: 200, body: draft };
  },
});
