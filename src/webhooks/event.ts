/** What the rest of the world can be told of (FORMATS.md §5). */
export const EVENT_TYPES = [
  "message.received",
  "message.held",
  "message.scheduled",
  "message.blocked",
  "message.edited",
  "message.approved",
  "message.rejected",
  "message.expired",
  "message.cancelled",
  "message.sent",
  "message.delivered",
  "message.bounced",
  "message.complained",
  "message.unsubscribed",
  "message.send_failed",
  "notification.failed",
  "request.held",
  "request.approved",
  "request.rejected",
  "request.expired",
  "request.cancelled",
  "mailbox.fell_back",
  "identity.key_rotated",
  "identity.key_revoked",
  "domain.verified",
  "domain.broken",
  "domain.lost",
  "domain.dkim_rotated",
  "audit.checkpoint",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** FORMATS.md §5, "Body". `sequence` is gapless within a log. */
export interface WebhookEvent {
  id: string;
  type: EventType;
  event: EventType;
  event_type: EventType;
  timestamp: string;
  sequence: number;
  tenant_id: string;
  /** Null, as the next one, where it is about the whole tenant. */
  mailbox: string | null;
  mailbox_id: string | null;
  /** Null, as the next two, where it is about no message. */
  message_id: string | null;
  email_id: string | null;
  thread_id: string | null;
  data: Record<string, unknown>;
}

/** What an event is about, and what it tells. */
export type EventSubject = Pick<
  WebhookEvent,
  "mailbox" | "mailbox_id" | "message_id" | "email_id" | "thread_id" | "data"
>;
