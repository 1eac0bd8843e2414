import { z } from "zod";
import { SCOPES } from "../oversight/caller.ts";
import { MODES } from "../oversight/modes.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../oversight/statuses.ts";

/** API.md, "Shapes that clients rely on". The objects answer in these very shapes; doors pass them through. */

const nullableText = z.string().nullable();

/** A point in time, ISO 8601 UTC with milliseconds. */
export const timestamp = z.string().describe("ISO 8601 UTC with milliseconds");

export const modeSchema = z.enum(MODES);
export const scopeSchema = z.enum(SCOPES);

export const mailboxShape = z.object({
  id: z.string(),
  tenant_id: z.string(),
  address: z.string(),
  display_name: nullableText,
  oversight_mode: modeSchema,
  approver_email: nullableText,
  /** The operator has not confirmed the approver yet; until then the operator decides. */
  approver_pending: z.boolean(),
  identity_signing: z.boolean(),
  ai_disclosure: z.boolean(),
  identity_format: z.enum(["compact", "domain"]),
  auto_cc: z.array(z.string()),
  auto_bcc: z.array(z.string()),
  forward_inbound: nullableText,
  signature_block: nullableText,
  default_gate_timing: z.enum(["gate_first", "schedule_first"]),
  scheduling_enabled: z.boolean(),
  mcp_configured: z.boolean(),
  risk_threshold: z.number().nullable(),
  /** Whether keys with `oversight` may decide here; a human switches it on. */
  oversight_keys_may_decide: z.boolean(),
  is_active: z.boolean(),
  created_at: timestamp,
});
export type Mailbox = z.infer<typeof mailboxShape>;

export const attachmentShape = z.object({ name: z.string(), size: z.number(), content_type: z.string() });

export const recipientShape = z.object({
  address: z.string(),
  state: z.enum(["queued", "deferred", "accepted", "bounced", "failed"]),
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
      ai_disclosure: z.boolean(),
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
  domain_intelligence: z.record(z.string(), z.unknown()).nullable(),
  spam_score: z.number().nullable(),
  spam_verdict: nullableText,
  approved_at: timestamp.nullable(),
  approved_by: nullableText,
  approval_ref: nullableText,
  decision_reason: nullableText,
  /** What was wrong with inbound mail (`unparseable`, `large`, `multiple_from`, …). */
  flags: z.array(z.string()),
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

export const PENDING_KINDS = ["send", "inbound", "read", "template", "upgrade"] as const;

export const pendingShape = emailShape.extend({
  email_id: z.string(),
  content_hash: z.string(),
  expires_at: timestamp.nullable(),
  kind: z.enum(PENDING_KINDS),
  html: nullableText,
});
export type PendingItem = z.infer<typeof pendingShape>;

export const decisionShape = z.object({
  status: z.enum(["approved", "approved_and_sent", "rejected"]),
  id: z.string(),
  approval_ref: z.string(),
  decided_by: z.string(),
  decided_at: timestamp,
});
export type Decision = z.infer<typeof decisionShape>;

export const sendAnswerShape = z.object({
  id: z.string(),
  message_id: z.string(),
  status: z.enum(OUTBOUND_STATUSES),
  thread_id: z.string(),
  pending_id: z.string().optional(),
  dkim_domain: z.string(),
  authentication: z.object({ spf: z.string(), dkim: z.string(), dmarc: z.string(), identity_signed: z.boolean() }),
  domain_intelligence: z.record(z.string(), z.unknown()).nullable(),
  message: z.string(),
  idempotent: z.boolean().optional(),
  /** Present for `mm_test_` keys: nothing leaves. */
  sandbox: z.boolean().optional(),
});
export type SendAnswer = z.infer<typeof sendAnswerShape>;

export const apiKeyShape = z.object({
  id: z.string(),
  name: z.string(),
  /** The first characters, enough to recognise the key. */
  prefix: z.string(),
  scopes: z.array(scopeSchema),
  mailbox_ids: z.array(z.string()).nullable(),
  agent_id: nullableText,
  test: z.boolean(),
  created_by: nullableText,
  created_at: timestamp,
  revoked_at: timestamp.nullable(),
});
export type ApiKey = z.infer<typeof apiKeyShape>;

export const accountShape = z.object({
  id: z.string(),
  tenant_id: z.string(),
  name: z.string(),
  operator_email: z.string(),
  /** Approvers the operator has confirmed. */
  approvers: z.array(z.string()),
  mailbox_count: z.number(),
  created_at: timestamp,
});
export type Account = z.infer<typeof accountShape>;
