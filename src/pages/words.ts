import type { DecisionItem, MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import type { PendingKind } from "../operations/shapes/pending.ts";
import type { Mode } from "../oversight/modes.ts";
import type { RequestStatus } from "../oversight/request-transitions.ts";
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

/** Kinds of items that are no message. */
type RequestKind = Exclude<PendingKind, MessageItem["kind"]>;

/** How what is no message stands, as the end of “The request …” or “The template …”. */
const REQUEST_STATUS_WORDS: Record<RequestKind, Record<RequestStatus, string>> = {
  read: {
    pending: "waits for a person's decision",
    approved: "was allowed once; the agent has not used that yet",
    consumed: "was allowed, and the agent got its answer",
    rejected: "was rejected; the agent sees nothing of what it asked for",
    expired: "was not decided, or not used, in time; the agent sees nothing of what it asked for",
    cancelled: "was taken back; the agent sees nothing of what it asked for",
  },
  annotate: {
    pending: "waits for a person's decision",
    approved: "was allowed once; the agent has not used that yet",
    consumed: "was allowed, and the agent did what it asked for",
    rejected: "was rejected; nothing was changed",
    expired: "was not decided, or not used, in time; nothing was changed",
    cancelled: "was taken back; nothing was changed",
  },
  template: {
    pending: "waits for a person's decision",
    approved: "can be used by the agent from now on",
    consumed: "was used by the agent",
    rejected: "was rejected and cannot be used",
    expired: "was not decided in time and cannot be used",
    cancelled: "was taken back and cannot be used",
  },
  upgrade: {
    pending: "waits for the operator's code",
    approved: "was let through by the operator's code",
    consumed: "was let through by the operator's code",
    rejected: "was rejected; nothing was changed",
    expired: "was not let through in time; nothing was changed",
    cancelled: "was taken back; nothing was changed",
  },
};

const NOUNS: Record<RequestKind, string> = {
  read: "The request",
  annotate: "The request",
  template: "The template",
  upgrade: "The request",
};

function isRequestKind(kind: PendingKind): kind is RequestKind {
  return kind in NOUNS;
}

/** @returns how an item stands, as a whole sentence: `The template was rejected and cannot be used.` */
export function standingInWords(kind: PendingKind, status: Status | RequestStatus): string {
  if (!isRequestKind(kind)) return `The message ${STATUS_WORDS[status as Status] ?? status}.`;
  return `${NOUNS[kind]} ${REQUEST_STATUS_WORDS[kind][status as RequestStatus] ?? status}.`;
}

/** Above this nobody lets a message through without opening it. */
export const HIGH_RISK = 0.5;
const LOW_RISK = 0.25;

/** @returns a risk score for people: `medium (0.42)`. */
export function riskInWords(score: number): string {
  const level = score > HIGH_RISK ? "high" : score > LOW_RISK ? "medium" : "low";
  return `${level} (${score.toFixed(2)})`;
}

const SMALL_NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/** @returns how many more approvals are needed: `one more is needed`. */
export function moreNeeded(n: number): string {
  return `${SMALL_NUMBERS[n] ?? n} more ${n === 1 ? "is" : "are"} needed`;
}

/**
 * @returns how far the approvals have come: `1 of 2 people have approved: ana@acme.example (Sat, 21 Nov 2026, 06:06 UTC); one
 *   more is needed.`; null where one person decides alone.
 */
export function quorumInWords({ needed, approvals }: DecisionItem["quorum"]): string | null {
  if (needed <= 1) return null;
  if (approvals.length === 0) return `${needed} people must approve; nobody has yet.`;
  const who = approvals.map(({ by, at }) => `${by} (${timeInWords(at)})`).join(", ");
  const left = needed - approvals.length;
  const how = `${approvals.length} of ${needed} people have approved: ${who}`;
  return left > 0 ? `${how}; ${moreNeeded(left)}.` : `${how}.`;
}

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
  return durationInWords((Date.parse(iso) - now) / 1000);
}

/** @returns a length of time in its largest whole unit: `2 days`, `5 hours`, `less than a minute`. */
export function durationInWords(seconds: number): string {
  for (const [unit, length] of UNITS) {
    const n = Math.floor((seconds * 1000) / length);
    if (n >= 1) return count(n, unit);
  }
  return "less than a minute";
}

/** @returns a size in bytes for people, in units of 1,000: `1.2 MB`. */
export function sizeInWords(bytes: number): string {
  if (bytes < 1000) return count(bytes, "byte");
  const kilobytes = bytes / 1000;
  return kilobytes < 1000 ? `${kilobytes.toFixed(kilobytes < 10 ? 1 : 0)} kB` : `${(kilobytes / 1000).toFixed(1)} MB`;
}

/** @returns `2 warnings`, `1 warning`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
