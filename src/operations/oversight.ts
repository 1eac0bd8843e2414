import { z } from "zod";
import { access } from "../audit/access.ts";
import { asEmailId, isId, pendingIdOf } from "../ids.ts";
import { callMailbox, mailboxObject, notFound } from "../store/mailbox-client.ts";
import { findPending, type PendingRef } from "../store/pending-search.ts";
import { agreed, cursor, limit, tagsForm } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { emailNames, emailOf, findEmail, sameForm } from "./references.ts";
import { decisionShape, type PendingItem, pendingShape } from "./shapes/pending.ts";
import { formedTags } from "./tags-form.ts";

/** How many items, bodies and all, are asked of the objects at a time; an RPC carries at most 32 MiB. */
const ITEMS_AT_ONCE = 5;
/** A page ends early, with a cursor, when it holds this much: an isolate has 128 MB. */
const PAGE_CHARACTERS = 8 * 1024 * 1024;

export const listPending = defineOperation({
  name: "list_pending",
  summary: "Lists what waits for a human decision, the oldest first. A key with send sees what it submitted itself.",
  scope: ["oversight", "send"],
  effect: null,
  recorded: {
    entry: (_input, body) => access({ action: "pending.listed", detail: { results: body?.pending.length ?? 0 } }),
  },
  input: z.strictObject({ limit, cursor, tags: tagsForm }),
  output: z.object({ pending: z.array(pendingShape), total: z.number().nullable(), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/oversight/pending" }],
  async handler(context, { limit, cursor, tags }) {
    if (cursor !== undefined && !isId("pend", cursor)) throw foreignCursor();
    const page = await findPending(context.env.DB, context.caller, { limit, after: cursor ?? "" });
    const { items, stoppedAt } = await readItems(context, page.items);
    return {
      status: 200,
      body: { pending: items.map((item) => formedTags(item, tags)), total: page.total, cursor: stoppedAt ?? page.next },
    };
  },
});

/** Reads items from their mailboxes, in order, as many as fit. `stoppedAt` is the last one read, if there were more. */
async function readItems(
  context: OperationContext,
  references: readonly PendingRef[],
): Promise<{ items: PendingItem[]; stoppedAt: string | null }> {
  const items: PendingItem[] = [];
  let characters = 0;
  for (let at = 0; at < references.length; at += ITEMS_AT_ONCE) {
    const batch = references.slice(at, at + ITEMS_AT_ONCE);
    const found = await readBatch(context, batch);
    items.push(...found);
    characters += found.reduce(
      (sum, { text, markdown, html }) => sum + 2 * text.length + markdown.length + (html ?? "").length,
      0,
    );
    const last = batch.at(-1);
    if (characters > PAGE_CHARACTERS && last && at + ITEMS_AT_ONCE < references.length)
      return { items, stoppedAt: last.id };
  }
  return { items, stoppedAt: null };
}

/** The index may lag behind: what was decided meanwhile is left out. */
async function readBatch({ env, caller }: OperationContext, batch: readonly PendingRef[]): Promise<PendingItem[]> {
  const byMailbox = Map.groupBy(batch, ({ mailbox_id }) => mailbox_id);
  const found = await Promise.all(
    [...byMailbox].map(([mailboxId, references]) =>
      mailboxObject(env, mailboxId, (object) =>
        object.pendingItems(
          caller,
          references.map(({ id }) => id),
        ),
      ),
    ),
  );
  const byId = new Map(found.flat().map((item) => [item.id, item]));
  return batch.flatMap(({ id }) => byId.get(id) ?? []).filter(({ status }) => status.startsWith("pending"));
}

export const getPending = defineOperation({
  name: "get_pending",
  summary: "Reads one item that waits, or waited, for a human decision.",
  scope: ["oversight", "send"],
  effect: null,
  recorded: "by_its_object",
  input: z
    .strictObject({
      pending_id: z.string().min(1).max(64).optional(),
      email_id: emailNames.email_id,
      message_id: emailNames.message_id,
      tags: tagsForm,
    })
    .transform(({ tags, pending_id, email_id, message_id }, context) => ({
      tags,
      pending:
        agreed(
          sameForm({ pending_id, email_id, message_id }),
          ["pending_id", "email_id", "message_id"],
          context,
          true,
        ) ?? "",
    })),
  output: pendingShape,
  rest: [{ method: "GET", path: "/v1/oversight/pending/{pending_id}" }],
  async handler(context, { pending, tags }) {
    const emailId = asEmailId(pending);
    if (emailId === null) throw notFound();
    const id = pendingIdOf(emailId);
    const [item] = await mailboxObject(context.env, id, (object) => object.pendingItems(context.caller, [id]));
    if (!item) throw notFound();
    return { status: 200, body: formedTags(item, tags) };
  },
});

const verdict = z.enum(["approve", "reject"]);
const note = z.string().max(2_000).optional();

export const decideEmail = defineOperation({
  name: "decide_email",
  summary: "Approves or rejects a held message, where people let oversight keys decide. The first decision stands.",
  scope: ["oversight"],
  effect: "decide",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      decision: verdict.optional(),
      action: verdict.optional().describe("The same as decision"),
      reason: note,
      approver_note: note.describe("The same as reason"),
      content_hash: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional()
        .describe("Decide only if the content is still this one"),
    })
    .transform(({ decision, action, reason, approver_note, content_hash, ...names }, context) => ({
      reference: emailOf(names, context),
      decision: agreed({ decision, action }, ["decision", "action"], context, true) ?? "reject",
      reason: agreed({ reason, approver_note }, ["reason", "approver_note"], context, false),
      content_hash: content_hash ?? null,
    })),
  output: decisionShape,
  rest: [{ method: "POST", path: "/v1/oversight/decide" }],
  async handler(context, { reference, ...request }) {
    const { id, routing } = await findEmail(context, reference);
    // What waits may be no message: a query, a template or an upgrade has no other id than this.
    const decision = await callMailbox(context.env, routing, (object) =>
      object.decide(context.caller, { email_id: pendingIdOf(id), ...request }),
    );
    return { status: 200, body: decision };
  },
});
