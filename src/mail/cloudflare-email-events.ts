import { z } from "zod";
import { comparableAddress } from "./address.ts";
import type { DeliveryReport, DsnAction } from "./delivery-report.ts";
import { responseLine } from "./transports/response-line.ts";

/** What became of one recipient's copy, as the provider tells it. */
export type ProviderEventKind = "delivered" | "deferred" | "bounced" | "failed" | "rejected" | "complained";

export interface ProviderEvent {
  /** The event's own id: the same event may be told more than once. */
  event_id: string;
  kind: ProviderEventKind;
  /** What the service called the copy when it took it. */
  provider_id: string;
  /** The address in From, by which the mailbox is found. */
  sender: string;
  recipient: string;
  /** Of `deferred` and `bounced`: `hard` is final, `soft` may pass (retries that were used up are soft too). */
  bounce_type: "hard" | "soft" | null;
  /** What the recipient's server said: its reply code, or null. */
  code: number | null;
  /** Enhanced status code (RFC 3463), or null. */
  enhanced_code: string | null;
  /** What was said, or why it was not delivered, in one line; empty if nothing was. */
  response: string;
  /** Milliseconds since the epoch. */
  at: number;
}

const PREFIX = "cf.email.sending.message.";
const KINDS = ["delivered", "deferred", "bounced", "failed", "rejected", "complained"] as const;
const SCHEMA_VERSION = 1;

/** An id or an address: nothing that is longer is one of ours. */
const name = z.string().min(1).max(998);
const words = z.string().nullish();

const eventShape = z.object({
  type: z.enum(KINDS.map((kind) => `${PREFIX}${kind}` as const)),
  source: z.object({ type: z.literal("email.sending") }),
  payload: z.object({
    eventId: name,
    messageId: name,
    sender: name,
    recipient: name,
    delivery: z.object({ smtpStatusCode: words, smtpEnhancedStatusCode: words, smtpResponse: words }).nullish(),
    bounce: z.object({ type: words, reason: words }).nullish(),
    failure: z.object({ reason: words }).nullish(),
    rejection: z.object({ reason: words, party: words, detail: words }).nullish(),
    complaint: z.object({ type: words }).nullish(),
  }),
  metadata: z.object({ eventSchemaVersion: z.literal(SCHEMA_VERSION), eventTimestamp: z.iso.datetime() }),
});
type Payload = z.infer<typeof eventShape>["payload"];

function responseOf({ delivery, bounce, failure, rejection, complaint }: Payload): string {
  const rejected = [rejection?.reason, rejection?.detail].filter(Boolean).join(": ");
  return responseLine(delivery?.smtpResponse || bounce?.reason || rejected || failure?.reason || complaint?.type || "");
}

/** Whatever is not called hard may pass: only what is final may suppress an address. */
function bounceTypeOf(kind: ProviderEventKind, { bounce }: Payload): ProviderEvent["bounce_type"] {
  if (kind !== "bounced" && kind !== "deferred") return null;
  return kind === "bounced" && bounce?.type === "hard" ? "hard" : "soft";
}

/**
 * Reads one message of the queue that an event subscription of Cloudflare's Email Service fills. Format: schema version 1 of source
 * `email.sending`, as documented in November 2026 at developers.cloudflare.com/email-service/platform/event-subscriptions
 * (cloudflare/cloudflare-docs, `partials/queues/event-subscriptions/email-sending-events.mdx`). Members it does not know are left
 * alone. Its documentation's examples are what it was tried with; no message of the real service was at hand.
 * @param body the queue message's body, as parsed from JSON.
 * @returns what it tells; null if it is anything else.
 */
export function readEmailEvent(body: unknown): ProviderEvent | null {
  const { success, data } = eventShape.safeParse(body);
  if (!success) return null;
  const { type, payload, metadata } = data;
  const kind = type.slice(PREFIX.length) as ProviderEventKind;
  const code = /^[2-5]\d\d$/.exec(payload.delivery?.smtpStatusCode ?? "")?.[0];
  return {
    event_id: payload.eventId,
    kind,
    provider_id: payload.messageId,
    sender: payload.sender,
    recipient: payload.recipient,
    bounce_type: bounceTypeOf(kind, payload),
    code: code === undefined ? null : Number(code),
    enhanced_code: /^[245]\.\d{1,3}\.\d{1,3}$/.exec(payload.delivery?.smtpEnhancedStatusCode ?? "")?.[0] ?? null,
    response: responseOf(payload),
    at: Date.parse(metadata.eventTimestamp),
  };
}

/** The form of a report that came as one of these events. */
export const PROVIDER_FORM = "cloudflare";

const ACTION: Readonly<Record<Exclude<ProviderEventKind, "complained">, DsnAction>> = {
  delivered: "delivered",
  deferred: "delayed",
  bounced: "failed",
  failed: "failed",
  rejected: "failed",
};

/** The enhanced status code (RFC 3463) of a failure where the event has none. */
function assumedStatus({ kind, bounce_type }: ProviderEvent): string | null {
  // Refused by the service's policy, which says nothing of the address; or it broke down, and the address may work another time.
  if (kind === "rejected") return "5.7.0";
  if (kind === "failed") return "4.3.0";
  if (kind === "bounced") return bounce_type === "hard" ? "5.1.0" : "4.0.0";
  return null;
}

/** @returns what an event says, as a delivery report; null of a complaint. */
export function deliveryReportOf(event: ProviderEvent): DeliveryReport | null {
  if (event.kind === "complained") return null;
  const { recipient, enhanced_code, code, response } = event;
  const status = {
    action: ACTION[event.kind],
    recipients: [comparableAddress(recipient)],
    status: enhanced_code ?? assumedStatus(event),
    code,
    diagnostic: response,
  };
  return { form: PROVIDER_FORM, statuses: [status], truncated: false };
}
