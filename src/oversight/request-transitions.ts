/**
 * What waits for a human besides messages: a held read or annotation, a template, an upgrade. DESIGN.md, "A held read":
 * `pending → approved → consumed`, or rejected, expired, cancelled.
 */

export const REQUEST_STATUSES = ["pending", "approved", "consumed", "rejected", "expired", "cancelled"] as const;
export type RequestStatus = (typeof REQUEST_STATUSES)[number];

export type RequestEvent = "ask" | "approve" | "reject" | "expire" | "cancel" | "consume";

export interface RequestTransition {
  /** Null: it is being asked. */
  from: RequestStatus | null;
  event: RequestEvent;
  to: RequestStatus;
}

export const REQUEST_TRANSITIONS: readonly RequestTransition[] = [
  { from: null, event: "ask", to: "pending" },
  { from: "pending", event: "approve", to: "approved" },
  { from: "pending", event: "reject", to: "rejected" },
  { from: "pending", event: "expire", to: "expired" },
  { from: "pending", event: "cancel", to: "cancelled" },
  { from: "approved", event: "consume", to: "consumed" },
  // Approved, and not used in time; or taken back before it was used.
  { from: "approved", event: "expire", to: "expired" },
  { from: "approved", event: "cancel", to: "cancelled" },
];

/** @returns the status a request goes to, or null where the event does not apply to it. */
export function nextRequestStatus(from: RequestStatus | null, event: RequestEvent): RequestStatus | null {
  return REQUEST_TRANSITIONS.find((row) => row.from === from && row.event === event)?.to ?? null;
}
