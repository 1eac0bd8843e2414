import { z } from "zod";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../../oversight/statuses.ts";
import { domainIntelligenceShape } from "./domain-intelligence.ts";
import { modeSchema, nullableText, timestamp } from "./values.ts";

/** A message, whichever way it goes. */

export const attachmentShape = z.object({ name: z.string(), size: z.number(), content_type: z.string() });

export const DELIVERY_STATES = [
  "queued",
  "deferred",
  "accepted",
  "delivered",
  "bounced",
  "returned",
  "complained",
  "suppressed",
  "failed",
] as const;

export const recipientShape = z.object({
  address: z.string(),
  /**
   * `accepted`: their server took it; `delivered`: it said so afterwards. `bounced`: refused at once; `returned`: taken, and sent back
   * later. `suppressed`: not tried, since the address is on the suppression list.
   */
  state: z.enum(DELIVERY_STATES),
  attempts: z.number(),
  response: nullableText,
});

export const emailSummaryShape = z.object({
  id: z.string(),
  message_id: z.string(),
  rfc_message_id: nullableText,
  mailbox_id: z.string(),
  thread_id: z.string(),
  direction: z.enum(["inbound", "outbound"]),
  from: z.string(),
  from_address: nullableText,
  from_domain: nullableText,
  to: z.array(z.string()),
  cc: z.array(z.string()),
  /** Shown to the sender's side only, never in the bytes sent. */
  bcc: z.array(z.string()),
  subject: z.string(),
  status: z.enum([...OUTBOUND_STATUSES, ...INBOUND_STATUSES]),
  oversight_mode: modeSchema,
  created_at: timestamp,
  received_at: timestamp.nullable(),
  sent_at: timestamp.nullable(),
  delivered_at: timestamp.nullable(),
  bounced_at: timestamp.nullable(),
  bounce_type: nullableText,
  has_attachments: z.boolean(),
  attachments: z.array(attachmentShape),
  tags: z.union([z.record(z.string(), z.string()), z.array(z.string())]),
  metadata: z.record(z.string(), z.unknown()),
  agent_id: nullableText,
  agent_metadata: z
    .object({
      agent_id: nullableText,
      model_id: nullableText,
      model_provider: nullableText,
      oversight_mode: modeSchema,
      ai_disclosure: z.boolean().nullable(),
    })
    .nullable(),
  identity_headers: z.record(z.string(), z.string()),
  identity_verified: z.boolean().nullable(),
  dkim_result: nullableText,
  dkim_domain: nullableText,
  dkim_selector: nullableText,
  spf_result: nullableText,
  dmarc_result: nullableText,
  arc_result: nullableText,
  domain_intelligence: domainIntelligenceShape.nullable(),
  spam_score: z.number().nullable(),
  spam_verdict: nullableText,
  approved_at: timestamp.nullable(),
  approved_by: nullableText,
  approval_ref: nullableText,
  decision_reason: nullableText,
  /** What was wrong with inbound mail (`unparseable`, `large`, `multiple_from`, …). */
  flags: z.array(z.string()),
  /** Why a message that is queued has not left; null: it is tried, or not queued. */
  waits_because: nullableText,
  /** When what it said was removed, since the mailbox keeps it no longer; null: it is there. */
  content_expired_at: timestamp.nullable(),
  /** When it was erased: only that there was a message is left then; null: it is there. */
  erased_at: timestamp.nullable(),
});
export type EmailSummary = z.infer<typeof emailSummaryShape>;

export const emailShape = emailSummaryShape.extend({
  markdown: z.string(),
  /** The quoted history, split off. */
  quoted: nullableText,
  text: z.string(),
  /** The same string as `text`. */
  body: z.string(),
  html: nullableText.optional(),
  /** Header names keep their original case. */
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  recipients: z.array(recipientShape),
  /** Per-signature detail and reasons behind the `*_result` fields; null for outbound. */
  authentication: z.record(z.string(), z.unknown()).nullable(),
});
export type Email = z.infer<typeof emailShape>;
