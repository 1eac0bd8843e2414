import type { MailboxRecord } from "../operations/shapes/mailbox.ts";
import { count } from "./words.ts";

/** What a mailbox did lately, for whoever is asked to give it more rope. */

function percent(rate: number | null): string {
  return rate === null ? "" : ` (${Math.round(rate * 100)} %)`;
}

/** @returns the record as labels and values, in the order in which they matter. */
export function recordFacts(record: MailboxRecord): [label: string, value: string][] {
  const { sent, approved, edited, rejected, expired, blocked, bounced, complained } = record;
  const decided = approved + rejected;
  return [
    ["Sent", String(sent)],
    [
      "Approved",
      decided === 0
        ? "nothing was decided"
        : `${approved} of ${count(decided, "decision")}${percent(record.approval_rate)}`,
    ],
    [
      "Changed by a person",
      approved === 0 ? "nothing was approved" : `${edited} of the ${approved} approved${percent(record.edit_rate)}`,
    ],
    ["Rejected", String(rejected)],
    ["Not decided in time", String(expired)],
    ["Blocked by a rule", String(blocked)],
    ["Bounced", String(bounced)],
    ["Complaints", String(complained)],
  ];
}

/** @returns over which time the record counts: `In the last 30 days`. */
export function recordTime({ days }: MailboxRecord): string {
  return `In the last ${count(days, "day")}`;
}
