import { pendingIdOf } from "../../src/ids.ts";
import type { PendingKind } from "../../src/operations/shapes/pending.ts";
import type { Reason } from "../../src/oversight/policy.ts";
import { recordPending } from "../../src/store/pending-index.ts";
import type { MailboxBase } from "./base.ts";
import { findItem, type HeldItem } from "./held-item.ts";
import type { Hold } from "./message-record.ts";
import type { Message } from "./messages.ts";

/** What waits for a human: how long, its place in D1's cross-mailbox index, and its expiry. */

/** How long an answer waits for the pending index before an alarm takes over. */
const INDEX_PATIENCE = 2_000;

/** A hold that begins now. Mail that came in waits for ever: what a customer wrote is not lost because nobody looked in time. */
export function newHold(
  box: MailboxBase,
  kind: PendingKind,
  why: { rule: string; because: string; reasons: Reason[] },
): Hold {
  const { expires_after, quorum } = box.settings();
  const forEver = kind === "inbound" || expires_after === null;
  return {
    kind,
    ...why,
    expires_at: forEver ? null : new Date(box.now() + expires_after * 1_000).toISOString(),
    quorum,
    approvals: [],
    links: 0,
    asked: [],
    rounds: 0,
  };
}

/** How many people must approve: a quorum raised since counts, a lower one does not. */
export function quorumOf(box: MailboxBase, hold: Hold): number {
  return Math.max(hold.quorum, box.settings().quorum);
}

/** Starts the waiting: who is asked, expiry, and the index entry. Inside `commit`. */
export function watchPending(box: MailboxBase, { id, hold }: HeldItem): void {
  box.waiting.add(id);
  box.schedule("ask", id, box.now());
  if (hold.expires_at !== null) box.schedule("expire", id, Date.parse(hold.expires_at));
  box.schedule("index", id, box.now() + INDEX_PATIENCE);
}

/** Ends the waiting. Inside `commit`. */
export function unwatchPending(box: MailboxBase, { id, hold }: HeldItem): void {
  box.waiting.remove(id);
  box.unschedule("ask", id);
  for (const { person } of hold.asked) box.unschedule("notify", notifyRef(id, person));
  box.unschedule("expire", id);
  box.schedule("index", id, box.now() + INDEX_PATIENCE);
}

/** The `notify` timer's reference: the item, and whom it is mailed to. */
export function notifyRef(itemId: string, person: string): string {
  return `${itemId} ${person}`;
}

export function isPending({ status }: Message): boolean {
  return status === "pending_send_approval" || status === "pending_inbound_approval";
}

/** Brings the item's present state to D1's pending index. An older state never overwrites a newer one there. */
export async function indexPending(box: MailboxBase, id: string): Promise<void> {
  const item = findItem(box, id);
  if (!item) {
    // It was erased meanwhile, and its erasure closes it in the index.
    box.commit(() => box.unschedule("index", id));
    return;
  }
  const mailbox = box.settings();
  const open = item.isOpen();
  await recordPending(box.database(), {
    id: item.pendingId,
    tenant_id: mailbox.tenant_id,
    mailbox_id: mailbox.id,
    kind: item.kind,
    key_id: item.author?.key_id ?? null,
    created_at: item.createdAt,
    open,
    version: box.head(),
  });
  // D1 has it. A crash here repeats the write, which changes nothing. What changed meanwhile keeps its timer.
  if ((findItem(box, id)?.isOpen() ?? false) === open) box.commit(() => box.unschedule("index", id));
}

/** Waits for the pending index, 2 seconds at most; the `index` timer carries on from there. */
export function indexPendingNow(box: MailboxBase, id: string): Promise<void> {
  return withPatience(indexPending(box, id), `the pending index will be written later for ${pendingIdOf(id)}`);
}

/** Waits for a write to D1, 2 seconds at most. Its timer carries on from there, whether it takes longer or fails. */
export async function withPatience(write: Promise<void>, failure: string): Promise<void> {
  let patience: ReturnType<typeof setTimeout> | undefined;
  const enough = new Promise<void>((resolve) => {
    patience = setTimeout(resolve, INDEX_PATIENCE);
  });
  await Promise.race([write.catch((error) => console.error(failure, error)), enough]);
  clearTimeout(patience);
}
