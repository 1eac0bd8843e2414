import type { InboundStatus, OutboundStatus } from "./statuses.ts";

/**
 * DESIGN.md, "The state machine", as data. Code never assigns a status: it asks `nextStatus`. Of several rows for one state
 * and event the first whose guards all hold is taken; if none does, the event does not apply and nothing changes.
 */

export type OutboundEvent =
  | "submit"
  | "scan_clear"
  | "scan_hit"
  | "approve"
  | "reject"
  | "cancel"
  | "expire"
  | "edit"
  | "due"
  | "tighten"
  | "attempt"
  | "accepted"
  | "temp_fail"
  | "perm_fail"
  | "recovered"
  | "give_up"
  | "delivered"
  | "bounced"
  | "complained";

/** What the guards look at, established by the caller before it asks. */
export interface OutboundFacts {
  /** What mode and rules say now. */
  verdict: "allow" | "hold" | "deny" | "block";
  /** One valid approval: by another than the author, of exactly this content, quorum met. */
  approved: boolean;
  /** Whether its time has come (true for mail without `send_at`). */
  due: boolean;
  gate_timing: "gate_first" | "schedule_first";
  /** A check is still running. */
  scanning: boolean;
  /** The panic switch of the mailbox, agent or tenant. */
  paused: boolean;
  /** At least one recipient's server took the message. */
  any_accepted: boolean;
}

type Guard = (facts: OutboundFacts) => boolean;

const GUARDS = {
  scanning: (f) => f.scanning,
  blocked: (f) => f.verdict === "block",
  held: (f) => f.verdict === "hold",
  allowed: (f) => f.verdict === "allow",
  approved: (f) => f.approved,
  not_approved: (f) => !f.approved,
  permitted_now: (f) => f.verdict !== "deny" && f.verdict !== "block",
  cleared: (f) => f.verdict === "allow" || (f.approved && f.verdict === "hold"),
  not_cleared: (f) => !(f.verdict === "allow" || (f.approved && f.verdict === "hold")),
  due: (f) => f.due,
  later: (f) => !f.due,
  schedule_first: (f) => f.gate_timing === "schedule_first",
  not_paused: (f) => !f.paused,
  any_accepted: (f) => f.any_accepted,
} satisfies Record<string, Guard>;

export type GuardName = keyof typeof GUARDS;

export interface OutboundTransition {
  /** Null: the message is being submitted. */
  from: OutboundStatus | null;
  event: OutboundEvent;
  guards: readonly GuardName[];
  to: OutboundStatus;
}

/** Where a new, edited or scanned message goes, in this order. `deny` has no row: such a submission is refused. */
function placed(from: OutboundStatus | null, event: OutboundEvent): OutboundTransition[] {
  return [
    { from, event, guards: ["blocked"], to: "blocked" },
    { from, event, guards: ["held", "later", "schedule_first"], to: "scheduled" },
    { from, event, guards: ["held"], to: "pending_send_approval" },
    { from, event, guards: ["allowed", "due"], to: "queued" },
    { from, event, guards: ["allowed", "later"], to: "scheduled" },
  ];
}

export const OUTBOUND_TRANSITIONS: readonly OutboundTransition[] = [
  { from: null, event: "submit", guards: ["scanning"], to: "pending_scan" },
  ...placed(null, "submit"),
  ...placed("pending_scan", "scan_clear"),
  { from: "pending_scan", event: "scan_hit", guards: ["blocked"], to: "blocked" },
  { from: "pending_scan", event: "scan_hit", guards: [], to: "pending_send_approval" },
  { from: "pending_scan", event: "cancel", guards: [], to: "cancelled" },

  { from: "pending_send_approval", event: "approve", guards: ["approved", "permitted_now", "due"], to: "queued" },
  { from: "pending_send_approval", event: "approve", guards: ["approved", "permitted_now", "later"], to: "scheduled" },
  // Taken back after someone had it already: that part is sent and cannot be called back, only the rest ends.
  { from: "pending_send_approval", event: "reject", guards: ["any_accepted"], to: "sent" },
  { from: "pending_send_approval", event: "cancel", guards: ["any_accepted"], to: "sent" },
  { from: "pending_send_approval", event: "expire", guards: ["any_accepted"], to: "sent" },
  { from: "pending_send_approval", event: "reject", guards: [], to: "rejected" },
  { from: "pending_send_approval", event: "cancel", guards: [], to: "cancelled" },
  { from: "pending_send_approval", event: "expire", guards: [], to: "expired" },
  ...placed("pending_send_approval", "edit"),
  ...placed("scheduled", "edit"),

  { from: "scheduled", event: "due", guards: ["cleared"], to: "queued" },
  { from: "scheduled", event: "due", guards: ["blocked"], to: "blocked" },
  { from: "scheduled", event: "due", guards: [], to: "pending_send_approval" },
  { from: "scheduled", event: "cancel", guards: [], to: "cancelled" },
  // Someone has it already: that part is sent and cannot be called back, only the rest is.
  { from: "queued", event: "cancel", guards: ["any_accepted"], to: "sent" },
  { from: "queued", event: "cancel", guards: [], to: "cancelled" },
  { from: "scheduled", event: "tighten", guards: ["not_cleared"], to: "pending_send_approval" },
  { from: "queued", event: "tighten", guards: ["not_cleared"], to: "pending_send_approval" },

  { from: "queued", event: "attempt", guards: ["not_paused"], to: "sending" },
  { from: "queued", event: "give_up", guards: ["any_accepted"], to: "sent" },
  { from: "queued", event: "give_up", guards: [], to: "send_failed" },
  { from: "sending", event: "accepted", guards: [], to: "sent" },
  { from: "sending", event: "temp_fail", guards: [], to: "queued" },
  { from: "sending", event: "perm_fail", guards: [], to: "send_failed" },
  { from: "sending", event: "recovered", guards: [], to: "queued" },
  { from: "sent", event: "delivered", guards: [], to: "delivered" },
  { from: "sent", event: "bounced", guards: [], to: "bounced" },
  { from: "sent", event: "complained", guards: [], to: "complained" },
  { from: "delivered", event: "bounced", guards: [], to: "bounced" },
  { from: "delivered", event: "complained", guards: [], to: "complained" },
];

/** @returns the status an outbound message goes to, or null where the event does not apply to it. */
export function nextStatus(
  from: OutboundStatus | null,
  event: OutboundEvent,
  facts: OutboundFacts,
): OutboundStatus | null {
  const row = OUTBOUND_TRANSITIONS.find(
    (t) => t.from === from && t.event === event && t.guards.every((name) => GUARDS[name](facts)),
  );
  return row?.to ?? null;
}

export type InboundEvent =
  | "arrive"
  | "ask"
  | "approve"
  | "reject"
  | "read"
  | "unread"
  | "archive"
  | "quarantine"
  | "delete";

export interface InboundTransition {
  from: InboundStatus | null;
  event: InboundEvent;
  /** Whether the mode holds arriving mail; left out where that does not matter. */
  held?: boolean;
  to: InboundStatus;
}

const VISIBLE = ["unread", "read", "archived", "spam_flagged"] as const;

export const INBOUND_TRANSITIONS: readonly InboundTransition[] = [
  { from: null, event: "arrive", held: true, to: "pending_inbound_approval" },
  { from: null, event: "arrive", held: false, to: "unread" },
  { from: "pending_inbound_approval", event: "approve", to: "unread" },
  { from: "pending_inbound_approval", event: "reject", to: "rejected" },
  // Its author is not proven, and the mailbox is set to do something about that.
  { from: null, event: "quarantine", to: "spam_quarantined" },
  { from: null, event: "reject", to: "rejected" },
  ...VISIBLE.flatMap((from): InboundTransition[] => [
    { from, event: "read", to: "read" },
    { from, event: "unread", to: "unread" },
    { from, event: "archive", to: "archived" },
    { from, event: "quarantine", to: "spam_quarantined" },
    { from, event: "delete", to: "deleted" },
  ]),
  { from: "spam_quarantined", event: "ask", to: "pending_inbound_approval" },
  { from: "spam_quarantined", event: "unread", to: "unread" },
  { from: "spam_quarantined", event: "delete", to: "deleted" },
];

/** @returns the status an inbound message goes to, or null where the event does not apply to it. */
export function nextInboundStatus(from: InboundStatus | null, event: InboundEvent, held = false): InboundStatus | null {
  const row = INBOUND_TRANSITIONS.find(
    (t) => t.from === from && t.event === event && (t.held === undefined || t.held === held),
  );
  return row?.to ?? null;
}
