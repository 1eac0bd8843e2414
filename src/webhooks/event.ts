/** What the rest of the world can be told of (FORMATS.md §5). */
export const EVENT_TYPES = [
  "message.received",
  "message.held",
  "message.approved",
  "message.rejected",
  "message.expired",
  "message.cancelled",
  "message.sent",
  "message.bounced",
  "message.send_failed",
  "notification.failed",
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
  mailbox: string;
  mailbox_id: string;
  message_id: string;
  email_id: string;
  thread_id: string;
  data: Record<string, unknown>;
}
