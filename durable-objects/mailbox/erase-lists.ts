import type { Mention } from "../../src/mail/mentions.ts";
import type { ErasedCounts } from "../contact-erasure.ts";
import type { MailboxBase } from "./base.ts";

/** What a mailbox has of a person beside messages: lists of whom it wrote to and whom it may, and whom it asked. */

/** Rows that have the address in comparable form. */
const BY_ADDRESS = [
  "known_recipients WHERE address",
  "let_go WHERE recipient",
  "same_words WHERE recipient",
  "served WHERE lower(reader)",
] as const;

/** @returns what forgets them; null: there is nothing. */
export function forgetLists(box: MailboxBase, mention: Mention): (() => Partial<ErasedCounts>) | null {
  const allowed = box.allowedRecipients().filter((entry) => mention.isIn([entry.recipient, entry.note]));
  const [rows, links, timers, keys] = [
    rowsOf(box, mention),
    linksOf(box, mention),
    timersOf(box, mention),
    keysOf(box, mention),
  ];
  const lists = allowed.length + rows + links.length + timers.length + keys.length;
  if (lists === 0) return null;
  return () => {
    for (const { id, recipient } of allowed) {
      if (mention.isIn(recipient)) box.removeFromAllowlist(id);
      else box.forgetAllowlistNote(id);
    }
    for (const each of BY_ADDRESS) box.storage().exec(`DELETE FROM ${each} = ?`, mention.address);
    const sql = box.storage();
    sql.exec("DELETE FROM links WHERE token_hash IN (SELECT value FROM json_each(?))", JSON.stringify(links));
    sql.exec("DELETE FROM idempotency WHERE key IN (SELECT value FROM json_each(?))", JSON.stringify(keys));
    for (const { kind, ref } of timers) box.unschedule(kind, ref);
    return { lists };
  };
}

function rowsOf(box: MailboxBase, { address }: Mention): number {
  const counts = BY_ADDRESS.map((each) => `SELECT count(*) AS n FROM ${each} = ?1`).join(" UNION ALL ");
  return box.storage().exec<{ n: number }>(`SELECT sum(n) AS n FROM (${counts})`, address).one().n;
}

/** Links that were mailed to the person, or for their seat. */
function linksOf(box: MailboxBase, mention: Mention): string[] {
  return box
    .storage()
    .exec<{ token_hash: string; approver: string; seat: string | null }>("SELECT token_hash, approver, seat FROM links")
    .toArray()
    .filter(({ approver, seat }) => mention.isIn([approver, seat]))
    .map(({ token_hash }) => token_hash);
}

/** Mail that was about to be sent to the person. */
function timersOf(box: MailboxBase, mention: Mention): { kind: string; ref: string }[] {
  return box
    .storage()
    .exec<{ kind: string; ref: string }>("SELECT kind, ref FROM timers")
    .toArray()
    .filter(({ ref }) => mention.isIn(ref));
}

/** Keys of calls that have the address in their name. */
function keysOf(box: MailboxBase, mention: Mention): string[] {
  return box
    .storage()
    .exec<{ key: string }>("SELECT key FROM idempotency")
    .toArray()
    .map(({ key }) => key)
    .filter((key) => mention.isIn(key));
}
