import type { Actor } from "../../src/audit/entry.ts";
import { comparableAddress, domainOf } from "../../src/mail/address.ts";
import type { UnsubscribeView } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { hasEntry } from "./link-uses.ts";
import { type DeliveryRow, type Message, outboundOf } from "./messages.ts";
import { isWaiting } from "./recipient-states.ts";
import { rememberTrouble, tellTenant } from "./returned-mail.ts";

/** Unsubscribe links. Opening one changes nothing but the log; what it names was found in a token that only we make. */

const DIGEST = "unsubscribed";
const DIRECT_WAY = 2_000;
/** Whoever uses the link: a recipient, their mail program, or whom they passed the mail on to. */
const RECIPIENT: Actor = { type: "human", id: "recipient", via: "link" };
/** The position of the link in a footer. */
const EVERYBODY = -1;

function sentMessage(box: MailboxBase, emailId: string): Message | null {
  const message = box.messages.find(emailId);
  if (message?.direction !== "outbound" || message.erased_at !== null) return null;
  return outboundOf(message).test ? null : message;
}

/** Whom the message went to, or was tried for. */
function rowFor(box: MailboxBase, { seq }: Message, whom: number | string): DeliveryRow | null {
  const rows = box.messages.deliveries(seq).filter((row) => !(isWaiting(row) && row.attempts === 0));
  const isMeant = (row: DeliveryRow) =>
    typeof whom === "number" ? row.position === whom : comparableAddress(row.recipient) === comparableAddress(whom);
  return rows.find(isMeant) ?? null;
}

/** Enough for its owner to know it by, and for nobody else. */
function masked(address: string): string {
  return `${address.slice(0, 1)}…@${domainOf(address)}`;
}

type Use =
  | { action: "unsubscribe.opened" }
  | { action: "unsubscribe.refused" }
  | { action: "nothing.changed"; detail: { would_be: "message.unsubscribed" } };

/**
 * Records what is done by a link, unless enough of it was: nobody fills the log by one. Inside `commit`.
 * @param position the link's own; null: a footer's. @param row whom it is about, where that is known.
 */
function recordUse(
  box: MailboxBase,
  message: Message,
  position: number | null,
  row: DeliveryRow | null,
  use: Use,
): void {
  const key = [message.seq, position ?? EVERYBODY];
  const sql = box.storage();
  const counted = "SELECT recorded FROM unsubscribe_links WHERE seq = ? AND position = ?";
  const [link] = sql.exec<{ recorded: number }>(counted, ...key).toArray();
  if (!hasEntry(use.action, link?.recorded ?? 0)) return;
  sql.exec("INSERT INTO unsubscribe_links VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET recorded = recorded + 1", ...key);
  box.record({ message, actor: RECIPIENT, ...use, ...(row && { personal: { recipient: row.recipient } }) });
}

/** What the page of a link shows. @param position null: the link of a footer, which is everybody's. */
export function openUnsubscribe(box: MailboxBase, emailId: string, position: number | null): UnsubscribeView | null {
  const message = sentMessage(box, emailId);
  if (!message) return null;
  const row = position === null ? null : rowFor(box, message, position);
  if (position !== null && !row) return null;
  box.commit(() => recordUse(box, message, position, row, { action: "unsubscribe.opened" }));
  return { from: message.record.from, recipient: row && masked(row.recipient) };
}

/**
 * Unsubscribes one recipient: durable when this returns, and harmless to repeat.
 * @param whom the recipient's position, or an address that somebody typed; one that did not get the message changes nothing, and the
 *   answer does not tell.
 * @returns false if there is no such message or position.
 */
export async function unsubscribe(box: MailboxBase, emailId: string, whom: number | string): Promise<boolean> {
  const message = sentMessage(box, emailId);
  if (!message) return false;
  const row = rowFor(box, message, whom);
  const position = typeof whom === "number" ? whom : null;
  if (!row) {
    if (position !== null) return false;
    // The address itself is not kept: whose it is, nobody here has any business with.
    box.commit(() => recordUse(box, message, position, null, { action: "unsubscribe.refused" }));
    return true;
  }
  const trouble = { email_id: message.id, position: row.position, what: "unsubscribed" as const };
  box.commit(() => record(box, message, { position, row }, trouble));
  // The timer stays where this fails, and the answer is right all the same: it is committed.
  await tellTenant(box, { ref: JSON.stringify(trouble) }).catch((error) =>
    console.error(`the tenant will be told later that somebody unsubscribed from ${message.id}`, error),
  );
  return true;
}

/** Inside `commit`. */
function record(
  box: MailboxBase,
  message: Message,
  { position, row }: { position: number | null; row: DeliveryRow },
  trouble: Parameters<typeof rememberTrouble>[1],
): void {
  const isNew =
    box
      .storage()
      .exec(
        "INSERT INTO returned VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING RETURNING seq",
        message.seq,
        row.position,
        DIGEST,
        box.time(),
      )
      .toArray().length > 0;
  // Also where they did before: the operator may have allowed mail to them again meanwhile.
  rememberTrouble(box, trouble, box.now() + DIRECT_WAY);
  if (!isNew) {
    const detail = { would_be: "message.unsubscribed" } as const;
    recordUse(box, message, position, row, { action: "nothing.changed", detail });
    return;
  }
  box.record({
    message,
    actor: RECIPIENT,
    action: "message.unsubscribed",
    detail: { position: row.position },
    personal: { recipient: row.recipient },
  });
  box.emit("message.unsubscribed", message, { recipient_position: row.position });
}
