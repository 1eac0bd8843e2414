/** Statuses of outbound mail, in the order a message passes through them, then its ends (API.md, "Statuses"). */
export const OUTBOUND_STATUSES = [
  "pending_scan",
  "pending_send_approval",
  "scheduled",
  "queued",
  "sending",
  "sent",
  "delivered",
  "bounced",
  "complained",
  "rejected",
  "cancelled",
  "blocked",
  "expired",
  "send_failed",
] as const;
export type OutboundStatus = (typeof OUTBOUND_STATUSES)[number];

/** Statuses of inbound mail. */
export const INBOUND_STATUSES = [
  "pending_inbound_approval",
  "unread",
  "read",
  "archived",
  "deleted",
  "spam_flagged",
  "spam_quarantined",
  "rejected",
] as const;
export type InboundStatus = (typeof INBOUND_STATUSES)[number];

export type Status = OutboundStatus | InboundStatus;
