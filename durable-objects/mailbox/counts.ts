import type { MailboxRecord } from "../../src/operations/shapes/mailbox.ts";
import type { MailboxBase } from "./base.ts";

/** What happened in the mailbox, by day: its record for people, and what makes it fall back. */

const DAY = 24 * 3600_000;
const RECORD_DAYS = 30;
const KEPT_DAYS = 90;

/** What is counted. `watched_…` start anew whenever a human loosens the mode. */
export type Counted =
  | "sent"
  | "approved"
  | "edited"
  | "rejected"
  | "expired"
  | "blocked"
  | "bounced"
  | "complained"
  | "watched_bounced"
  | "watched_complained";

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Counts one more today. Inside `commit`. */
export function count(box: MailboxBase, what: Counted): void {
  box.history.addCount(dayOf(box.now()), what);
}

/** @returns the sum over the last `days` days, today among them. */
export function countOver(box: MailboxBase, what: Counted, days: number): number {
  return box.history.sumCounts(dayOf(box.now() - (days - 1) * DAY), what);
}

/** Forgets counts nobody asks for any more. Inside `commit`. */
export function forgetOldCounts(box: MailboxBase): void {
  box.history.dropCounts(dayOf(box.now() - KEPT_DAYS * DAY));
}

/** What the mailbox did in the last 30 days. */
export function trackRecord(box: MailboxBase): MailboxRecord {
  const over = (what: Counted) => countOver(box, what, RECORD_DAYS);
  const approved = over("approved");
  const edited = over("edited");
  const rejected = over("rejected");
  const rate = (part: number, whole: number) => (whole === 0 ? null : Math.round((100 * part) / whole) / 100);
  return {
    days: RECORD_DAYS,
    sent: over("sent"),
    approved,
    edited,
    rejected,
    expired: over("expired"),
    blocked: over("blocked"),
    bounced: over("bounced"),
    complained: over("complained"),
    approval_rate: rate(approved, approved + rejected),
    edit_rate: rate(edited, approved),
  };
}
