import { pendingIdOf } from "../../src/ids.ts";
import { recordPending } from "../../src/store/pending-index.ts";
import type { MailboxBase } from "./base.ts";
import type { Message } from "./messages.ts";

/** What waits for a human: how long, its place in D1's cross-mailbox index, and its expiry. */

const HELD_FOR = 7 * 24 * 3600_000;
/** How long an answer waits for the pending index before an alarm takes over. */
const INDEX_PATIENCE = 2_000;

/** @returns ISO 8601: when an item held now expires. */
export function holdUntil(now: number): string {
  return new Date(now + HELD_FOR).toISOString();
}

/** Starts the waiting: notification, expiry, and the index entry. Inside `commit`. */
export function watchPending(box: MailboxBase, message: Message): void {
  if (!message.record.hold) throw new Error(`${message.id} is not held`);
  box.schedule("notify", message.id, box.now());
  box.schedule("expire", message.id, Date.parse(message.record.hold.expires_at));
  box.schedule("index", message.id, box.now() + INDEX_PATIENCE);
}

/** Ends the waiting. Inside `commit`. */
export function unwatchPending(box: MailboxBase, message: Message): void {
  box.unschedule("notify", message.id);
  box.unschedule("expire", message.id);
  box.schedule("index", message.id, box.now() + INDEX_PATIENCE);
}

export function isPending({ status }: Message): boolean {
  return status === "pending_send_approval" || status === "pending_inbound_approval";
}

/** Brings the item's present state to D1's pending index. An older state never overwrites a newer one there. */
export async function indexPending(box: MailboxBase, emailId: string): Promise<void> {
  const message = box.messages.get(emailId);
  const mailbox = box.settings();
  const open = isPending(message);
  await recordPending(box.database(), {
    id: pendingIdOf(emailId),
    tenant_id: mailbox.tenant_id,
    mailbox_id: mailbox.id,
    kind: message.record.hold?.kind ?? "send",
    key_id: message.record.outbound?.author.key_id ?? null,
    created_at: message.created_at,
    open,
    version: box.head(),
  });
  // D1 has it. A crash here repeats the write, which changes nothing. What changed meanwhile keeps its timer.
  if (isPending(box.messages.get(emailId)) === open) box.commit(() => box.unschedule("index", emailId));
}

/** Waits for the pending index, 2 seconds at most; the `index` timer carries on from there. */
export async function indexPendingNow(box: MailboxBase, emailId: string): Promise<void> {
  let patience: ReturnType<typeof setTimeout> | undefined;
  const enough = new Promise<void>((resolve) => {
    patience = setTimeout(resolve, INDEX_PATIENCE);
  });
  const indexed = indexPending(box, emailId).catch((error) => {
    console.error(`the pending index will be written later for ${emailId}`, error);
  });
  await Promise.race([indexed, enough]);
  clearTimeout(patience);
}
