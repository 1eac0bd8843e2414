import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Receipt } from "../../src/identity/receipt.ts";
import type { StoredAttachment } from "../../src/mail/message.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { fileNamed } from "../../src/oversight/item-attachments.ts";
import type { InboundStatus } from "../../src/oversight/statuses.ts";
import { nextInboundStatus } from "../../src/oversight/transitions.ts";
import type { EmailPage, InboxQuery, ReadOptions, StoredEmail, ThreadPage } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, mayOversee, notFound } from "./base.ts";
import { findItem } from "./held-item.ts";
import { decodeCursor, encodeCursor, findMessages, RELEASED } from "./inbox-query.ts";
import type { Message } from "./messages.ts";
import { permitted, type Wanted } from "./permits.ts";
import { pendingRequest } from "./request-views.ts";
import { email, emailSummary, pendingItem, withoutOriginal } from "./views.ts";

/** What agents and overseers read. Each answer is an audit entry, and where the mode holds reading it uses up its approval. */

function about(message: Message): Wanted {
  return { effect: "read", message };
}

export function list(box: MailboxBase, caller: Caller, query: InboxQuery): Outcome<EmailPage> {
  return permitted(box, caller, { effect: "read" }, (given) => {
    const found = search(box, caller, query);
    if (!found.ok) return found;
    const { limit: _limit, ...asked } = query;
    box.commit(() => {
      given.use();
      box.record({
        actor: actorOf(caller),
        action: "inbox.listed",
        detail: { results: found.value.messages.length, ...given.detail },
        personal: asked,
      });
    });
    return accepted({ emails: summaries(box, found.value.messages), cursor: found.value.cursor });
  });
}

/** One page of what a caller may know of. Records nothing. */
export function search(
  box: MailboxBase,
  caller: Caller,
  query: InboxQuery,
): Outcome<{ messages: Message[]; cursor: string | null }> {
  const since = query.since_id === null ? null : box.visibleMessage(caller, query.since_id);
  if (since && !since.ok) return since;
  return findMessages(box.storage(), query, since?.value.seq ?? null, mayOversee(caller));
}

export function summaries(box: MailboxBase, messages: readonly Message[]): EmailSummary[] {
  const mailbox = box.settings();
  return messages.map((message) => emailSummary(message, mailbox));
}

export function read(box: MailboxBase, caller: Caller, message: Message, options: ReadOptions): Outcome<StoredEmail> {
  return permitted(box, caller, about(message), (given) => {
    box.commit(() => {
      given.use();
      box.record({
        message,
        actor: actorOf(caller),
        action: "message.read",
        detail: { marked: options.mark_read, ...given.detail },
      });
      if (options.mark_read && message.status === "unread") {
        message.status = nextInboundStatus(message.status as InboundStatus, "read") ?? message.status;
        box.messages.save(message);
      }
    });
    return accepted(storedEmail(box, message, options.include_html));
  });
}

function storedEmail(box: MailboxBase, message: Message, includeHtml: boolean): StoredEmail {
  const bodies = box.messages.bodies(message.seq);
  const whole: Email = email(message, bodies, box.messages.deliveries(message.seq), box.settings());
  if (includeHtml) return { email: whole, bodies_key: bodies.bodies_key };
  const { html: _html, ...rest } = whole;
  return { email: rest, bodies_key: bodies.bodies_key };
}

/** The receipt of what was delivered, so that whoever wrote it can prove it without the service. */
export function identityReceipt(box: MailboxBase, caller: Caller, message: Message): Outcome<Receipt> {
  return permitted(box, caller, about(message), (given) => {
    const receipt = box.messages.receipt(message.seq);
    if (!receipt) return noReceipt(message);
    box.commit(() => {
      given.use();
      box.record({ message, actor: actorOf(caller), action: "identity.receipt_read", detail: given.detail });
    });
    return accepted(receipt);
  });
}

/** Statuses of what has left, at least to somebody. */
const HAS_LEFT: ReadonlySet<string> = new Set(["sent", "delivered", "bounced", "complained"]);

function noReceipt({ direction, status }: Message): Outcome<never> {
  if (direction === "inbound") {
    return refused("not_found", "A receipt is made for what is sent; this message came in.", {
      hint: "identity_verified says what became of its identity headers.",
    });
  }
  return HAS_LEFT.has(status)
    ? refused("not_found", "This message was delivered without an identity signature, so there is no receipt.")
    : refused("wrong_state", "A receipt is made at delivery, and this message was not delivered.", {
        detail: { status },
      });
}

export function thread(
  box: MailboxBase,
  caller: Caller,
  threadId: string,
  page: { limit: number; cursor: string | null },
): Outcome<ThreadPage> {
  return permitted(box, caller, { effect: "read" }, (given) => {
    const cursor = page.cursor === null ? { seq: 0, order: "asc" as const } : decodeCursor(page.cursor);
    if (cursor?.order !== "asc") return refused("invalid_input", "This cursor is not one that this list gave.");
    const all = box.messages.threadFrom(threadId, cursor.seq, page.limit + 1, mayOversee(caller) ? "1" : RELEASED);
    const shown = all.slice(0, page.limit);
    const first = shown[0];
    if (!first) return notFound();
    box.commit(() => {
      given.use();
      box.record({
        actor: actorOf(caller),
        action: "thread.read",
        resource: { type: "thread", id: threadId },
        detail: { results: shown.length, ...given.detail },
      });
    });
    const last = all[page.limit - 1];
    return accepted({
      thread_id: threadId,
      subject: first.record.subject,
      emails: shown.map((message) => storedEmail(box, message, false)),
      cursor: all.length > page.limit && last ? encodeCursor({ seq: last.seq, order: "asc" }) : null,
    });
  });
}

export function tags(box: MailboxBase, caller: Caller, message: Message): Outcome<Record<string, string>> {
  return permitted(box, caller, about(message), (given) => {
    box.commit(() => {
      given.use();
      box.record({ message, actor: actorOf(caller), action: "message.tags_read", detail: given.detail });
    });
    return accepted(message.record.tags);
  });
}

export function attachment(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  filename: string,
): Outcome<StoredAttachment> {
  return permitted(box, caller, about(message), (given) => {
    const found = message.record.attachments.find(({ name }) => name === filename);
    if (!found) return notFound();
    box.commit(() => {
      given.use();
      box.record({
        message,
        actor: actorOf(caller),
        action: "attachment.downloaded",
        detail: { size: found.size, ...given.detail },
        personal: fileNamed(found),
      });
    });
    return accepted(found);
  });
}

/** What waits, or waited, as the caller may see it; an oversight key can decide on what it was served here. */
export function pendingItems(
  box: MailboxBase,
  caller: Caller,
  ids: readonly string[],
  isServed: boolean,
): PendingItem[] {
  return box.commit(() => {
    const items = ids.map((id) => pendingFor(box, caller, id, isServed)).filter((item) => item !== null);
    box.record({ actor: actorOf(caller), action: "pending.read", detail: { items: items.map((item) => item.id) } });
    return items;
  });
}

function pendingFor(box: MailboxBase, caller: Caller, id: string, isServed: boolean): PendingItem | null {
  const item = findItem(box, id);
  if (!item) return null;
  const isOwn = item.author?.key_id === caller.key_id;
  if (!mayOversee(caller) && !isOwn) return null;
  if (isServed && item.isOpen() && mayOversee(caller))
    box.waiting.markServed(item.id, caller.key_id, item.contentHash());
  if (item.request) return pendingRequest(box, item.request);
  if (!item.message) return null;
  const shown = pendingItem(box, item.message);
  return mayOversee(caller) || caller.scopes.includes("read") ? shown : withoutOriginal(shown);
}
