import { comparableAddress } from "./address.ts";
import type { MailAddress } from "./message.ts";

/** A message of the mailbox that an arriving one refers to. */
export interface ReferencedMessage {
  rfc_message_id: string;
  thread_id: string;
  /** Addresses of everyone who sent or received mail in that thread. */
  participants: string[];
}

/**
 * Finds the thread an arriving message belongs to (RFC 5322 §3.6.4). A reference counts only where the sender took part in the
 * thread, or anyone who learned a Message-ID could write into a conversation of others.
 * @param message In-Reply-To and References as Message-IDs with angle brackets, the latter oldest first, and the From mailboxes.
 * @param found the messages among them that this mailbox has, in any order.
 * @returns the thread of the newest reference that counts, or null: it starts a new one.
 */
export function chooseThread(
  message: { in_reply_to: string[]; references: string[]; from: MailAddress[] },
  found: ReferencedMessage[],
): string | null {
  const senders = new Set(message.from.map((mailbox) => comparableAddress(mailbox.address)));
  const newestFirst = [...message.in_reply_to, ...message.references.toReversed()];
  for (const id of newestFirst) {
    for (const candidate of found) {
      if (candidate.rfc_message_id !== id) continue;
      if (candidate.participants.some((address) => senders.has(comparableAddress(address)))) return candidate.thread_id;
    }
  }
  return null;
}
