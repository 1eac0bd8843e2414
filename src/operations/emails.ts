import { z } from "zod";
import type { InboxQuery, StoredEmail } from "../../durable-objects/mailbox-rpc.ts";
import { isId } from "../ids.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES, type Status } from "../oversight/statuses.ts";
import { readBodies } from "../store/mail-store.ts";
import { callMailbox, notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { cursor, flag, instant, limit, tagsForm, wholeNumber } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { emailNames, emailOf, findEmail, findMailbox, mailboxNames, mailboxOf } from "./references.ts";
import { type Email, emailShape, emailSummaryShape } from "./shapes/email.ts";
import { formedTags } from "./tags-form.ts";

const STATUSES = [...new Set<Status>([...OUTBOUND_STATUSES, ...INBOUND_STATUSES])] as [Status, ...Status[]];

/** One status, several with commas between them, or a list. */
const statuses = z.preprocess(
  (value) => (typeof value === "string" ? value.split(",") : value),
  z.array(z.enum(STATUSES)).min(1).max(STATUSES.length),
);

const words = z.string().min(1).max(256);
/** The object skips at most this many; beyond it a cursor goes on. */
const MAX_OFFSET = 1_000;

/** The object binds two values for each, and SQLite takes a hundred. */
const MAX_METADATA_FILTERS = 20;

/** Filters that make sense of mail that has just come, too. */
export const arrivalFilters = {
  sender: words.optional().describe("Part of the sender's address or name"),
  subject_contains: words.optional(),
  q: z.string().min(1).max(512).optional().describe("Full text: people, subject and body"),
  has_attachments: flag.optional(),
  thread_id: z.string().max(64).optional(),
  dkim_result: z.string().min(1).max(32).optional(),
  since_id: z.string().max(64).optional().describe("Only what came after this message, the oldest first"),
};

const inboxFields = z.strictObject({
  ...mailboxNames,
  limit,
  cursor,
  offset: wholeNumber(0, MAX_OFFSET).default(0),
  status: statuses.optional(),
  direction: z.enum(["inbound", "outbound"]).optional(),
  ...arrivalFilters,
  date_after: instant.optional(),
  date_before: instant.optional(),
  tag: z.string().min(1).max(321).optional().describe("key, or key:value"),
  unread_only: flag.default(false),
  metadata: z
    .record(z.string().min(1).max(128), z.string().max(1_024))
    .refine((filters) => Object.keys(filters).length <= MAX_METADATA_FILTERS, {
      error: `may have at most ${MAX_METADATA_FILTERS} entries`,
    })
    .default({})
    .describe("metadata.<key>=<value> in a query"),
  tags: tagsForm,
});

type Given<T> = { [Name in keyof T]?: T[Name] | undefined };

/** @returns the object's query; what is not given does not filter. */
export function inboxQuery(given: Given<InboxQuery>): InboxQuery {
  return {
    limit: given.limit ?? 20,
    cursor: given.cursor ?? null,
    offset: given.offset ?? 0,
    status: given.status ?? null,
    direction: given.direction ?? null,
    sender: given.sender ?? null,
    subject_contains: given.subject_contains ?? null,
    q: given.q ?? null,
    date_after: given.date_after ?? null,
    date_before: given.date_before ?? null,
    has_attachments: given.has_attachments ?? null,
    tag: given.tag ?? null,
    thread_id: given.thread_id ?? null,
    dkim_result: given.dkim_result ?? null,
    since_id: given.since_id ?? null,
    unread_only: given.unread_only ?? false,
    metadata: given.metadata ?? {},
  };
}

export const checkInbox = defineOperation({
  name: "check_inbox",
  summary: "Lists a mailbox's messages, the newest first, by any combination of filters.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: inboxFields.transform(({ mailbox_id, mailbox, ...rest }, context) => ({
    ...rest,
    mailbox: mailboxOf({ mailbox_id, mailbox }, context),
  })),
  output: z.object({ emails: z.array(emailSummaryShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/emails" }],
  async handler(context, { mailbox, tags, ...filters }) {
    const page = await callMailbox(context.env, await findMailbox(context, mailbox), (object) =>
      object.list(context.caller, inboxQuery(filters)),
    );
    return { status: 200, body: { ...page, emails: page.emails.map((email) => formedTags(email, tags)) } };
  },
});

export const searchEmail = defineOperation({
  ...checkInbox,
  name: "search_email",
  summary: "The same as check_inbox: finds messages by full text (q) and filters.",
  rest: [],
});

/** Long bodies lie in R2; the object has their beginnings. HTML is given only where it was asked for. */
async function withWholeBodies({ env }: OperationContext, { email, bodies_key }: StoredEmail): Promise<Email> {
  if (bodies_key === null) return email;
  const { html, ...bodies } = await readBodies(env.STORE, bodies_key);
  return { ...email, ...bodies, body: bodies.text, ...("html" in email && { html }) };
}

export const readEmail = defineOperation({
  name: "read_email",
  summary: "Reads one message with its body. An unread one becomes read.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z
    .strictObject({
      ...emailNames,
      mark_read: flag.default(true),
      include_html: flag.default(false).describe("Also the HTML body as it was received"),
      tags: tagsForm,
    })
    .transform(({ mark_read, include_html, tags, ...names }, context) => ({
      mark_read,
      include_html,
      tags,
      reference: emailOf(names, context),
    })),
  output: emailShape,
  rest: [
    { method: "GET", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}" },
    { method: "GET", path: "/v1/emails/{email_id}" },
  ],
  async handler(context, { reference, tags, ...options }) {
    const { id, routing } = await findEmail(context, reference);
    const stored = await callMailbox(context.env, routing, (object) => object.read(context.caller, id, options));
    return { status: 200, body: formedTags(await withWholeBodies(context, stored), tags) };
  },
});

export const getThread = defineOperation({
  name: "get_thread",
  summary: "Reads a thread's messages, the oldest first.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z
    .strictObject({
      thread_id: z.string().min(1).max(64),
      mailbox_id: z.string().max(320).optional(),
      mailbox: z.string().max(320).optional(),
      limit,
      cursor,
      tags: tagsForm,
    })
    .transform(({ mailbox_id, mailbox, ...rest }, context) => ({
      ...rest,
      mailbox: mailbox_id === undefined && mailbox === undefined ? null : mailboxOf({ mailbox_id, mailbox }, context),
    })),
  output: z.object({
    thread_id: z.string(),
    subject: z.string(),
    emails: z.array(emailShape),
    cursor: z.string().nullable(),
  }),
  rest: [{ method: "GET", path: "/v1/mailboxes/{mailbox_id}/threads/{thread_id}" }],
  async handler(context, { thread_id, mailbox, tags, ...page }) {
    if (!isId("thr", thread_id)) throw notFound();
    const routing = routingOrNotFound(thread_id);
    if (mailbox !== null && (await findMailbox(context, mailbox)) !== routing) throw notFound();
    const thread = await callMailbox(context.env, routing, (object) =>
      object.thread(context.caller, thread_id, { limit: page.limit, cursor: page.cursor ?? null }),
    );
    const emails = await Promise.all(thread.emails.map((stored) => withWholeBodies(context, stored)));
    return { status: 200, body: { ...thread, emails: emails.map((email) => formedTags(email, tags)) } };
  },
});

export const markEmail = defineOperation({
  name: "mark_email",
  summary: "Marks a received message as read, unread or archived.",
  scope: ["read"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z
    .strictObject({ ...emailNames, status: z.enum(["read", "unread", "archived"]), tags: tagsForm })
    .transform(({ status, tags, ...names }, context) => ({ status, tags, reference: emailOf(names, context) })),
  output: emailSummaryShape,
  rest: [{ method: "PATCH", path: "/v1/mailboxes/{mailbox_id}/emails/{email_id}" }],
  async handler(context, { reference, status, tags }) {
    const { id, routing } = await findEmail(context, reference);
    const email = await callMailbox(context.env, routing, (object) => object.mark(context.caller, id, { status }));
    return { status: 200, body: formedTags(email, tags) };
  },
});
