import { MODES, type Mode } from "../oversight/modes.ts";
import type { Status } from "../oversight/statuses.ts";

/** What codes mean to the people who decide. Exhaustive, so that a new code cannot appear without its words. */

/** What a mailbox's mode means, as a sentence about the agent. */
export const MODE_WORDS: Record<Mode, { name: string; meaning: string }> = {
  read_only: { name: "Read only", meaning: "The agent may read mail, and may never send." },
  gated_all: { name: "Everything held", meaning: "Whatever the agent sends or reads waits for a person." },
  gated_send: { name: "Sending held", meaning: "The agent reads freely; each message it sends waits for a person." },
  monitored: { name: "Monitored", meaning: "The agent sends by itself; a person gets a copy of each message." },
  autonomous: { name: "Autonomous", meaning: "The agent sends by itself." },
};

const HELD_BY_MODE: Partial<Record<Mode, string>> = {
  gated_all: "In this mailbox all mail, in and out, waits for a person.",
  gated_send: "In this mailbox every outgoing message waits for a person.",
};

/** @returns why a message waits, as a sentence; a rule that is a mode's is told as what the mode means. */
export function heldInWords(heldBy: string): string {
  const mode = MODES.find((name) => heldBy === `mode ${name}` || heldBy === name);
  return mode ? (HELD_BY_MODE[mode] ?? MODE_WORDS[mode].meaning) : heldBy;
}

/** What a message of a test key is, for whoever decides about it. */
export const TEST_MESSAGE = "Test message: it ends in the sandbox and will not leave.";

/** How a message stands, as the end of “This message …”. */
export const STATUS_WORDS: Record<Status, string> = {
  pending_scan: "is being checked",
  pending_send_approval: "waits for a person's decision",
  scheduled: "is scheduled and will be sent later",
  queued: "is about to be sent",
  sending: "is being sent right now",
  sent: "was handed to the recipient's mail server",
  delivered: "was delivered",
  bounced: "was returned by the recipient's mail server",
  complained: "was delivered, and a recipient reported it as spam",
  rejected: "was rejected and will not be delivered",
  cancelled: "was cancelled and will not be sent",
  blocked: "was blocked by a rule and will not be sent",
  expired: "was not decided in time and will not be sent",
  send_failed: "could not be delivered",
  pending_inbound_approval: "waits for a person's decision",
  unread: "is in the agent's inbox, not read yet",
  read: "was read by the agent",
  archived: "was read and put away",
  deleted: "was deleted",
  spam_flagged: "is in the agent's inbox, marked as spam",
  spam_quarantined: "was put aside as spam",
};

const DATE_AND_TIME = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZone: "UTC",
});

/** @returns a time for people: `Sat, 21 Nov 2026, 06:06 UTC`; what is no time is given back as it is. */
export function timeInWords(iso: string): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : `${DATE_AND_TIME.format(at)} UTC`;
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** @returns how long until `iso`: `2 days`, `5 hours`, `less than a minute`. */
export function timeLeft(iso: string, now: number): string {
  const left = Date.parse(iso) - now;
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return "less than a minute";
}

/** @returns a size in bytes for people, in units of 1,000: `1.2 MB`. */
export function sizeInWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} byte${bytes === 1 ? "" : "s"}`;
  const kilobytes = bytes / 1000;
  return kilobytes < 1000 ? `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB` : `${(kilobytes / 1000).toFixed(1)} MB`;
}

/** @returns `2 warnings`, `1 warning`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
