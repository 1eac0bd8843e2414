import { z } from "zod";
import { IDENTITY_FORMATS } from "../identity/claim.ts";
import { HEADER_FORMS } from "../identity/verdict.ts";
import { DMARC_FACTS, MX_FACTS, RESEMBLANCES, SPF_FACTS, UNKNOWN_REASONS } from "../intelligence/domain-facts.ts";
import { DMARC_FAIL_ACTIONS } from "../mail/dmarc-action.ts";
import { FORWARD_FORMS } from "../mail/forwarded-message.ts";
import { SUPPRESSION_REASONS } from "../mail/suppression.ts";
import { SCOPES } from "../oversight/caller.ts";
import { MODES } from "../oversight/modes.ts";
import { REQUEST_STATUSES } from "../oversight/request-transitions.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../oversight/statuses.ts";

/** API.md, "Shapes that clients rely on". The objects answer in these very shapes; doors pass them through. */

const nullableText = z.string().nullable();

/** A point in time, ISO 8601 UTC with milliseconds. */
export const timestamp = z.string().describe("ISO 8601 UTC with milliseconds");

export const modeSchema = z.enum(MODES);
export const scopeSchema = z.enum(SCOPES);

export const delegationShape = z.object({
  approver: z.string(),
  delegate: z.string(),
  from: timestamp,
  until: timestamp,
});

/** How people are told of what waits: each item at once, or all of them together. */
export const NOTIFY_RHYTHMS = ["at_once", "hourly", "daily"] as const;

/** Which arriving mail is passed on to whom: whatever meets each condition that is not null. */
export const forwardRuleShape = z.object({
  from_pattern: nullableText,
  subject_contains: nullableText,
  to: z.string(),
});

export const mailboxShape = z.object({
  id: z.string(),
  tenant_id: z.string(),
  address: z.string(),
  display_name: nullableText,
  oversight_mode: modeSchema,
  approver_email: nullableText,
  /** The operator has not confirmed the approver yet; until then the operator decides. */
  approver_pending: z.boolean(),
  /** Everyone who decides, in the order in which they are asked; `approver_email` is the first. Empty: the operator. */
  approvers: z.array(z.string()),
  /** Those of them, and of the delegates, whom the operator has not confirmed yet. */
  approvers_pending: z.array(z.string()),
  /** How many different people must approve. One rejection is enough. */
  quorum: z.int().min(1),
  /** Seconds after which the next approver is asked; null: all are asked at once. */
  escalate_after: z.int().nullable(),
  /** Seconds after which what nobody decided has expired; null: never. */
  expires_after: z.int().nullable(),
  /** Who decides in whose place, and when. */
  delegations: z.array(delegationShape),
  notify: z.enum(NOTIFY_RHYTHMS),
  /** The panic switch: nothing leaves until it is lifted, and nothing is lost. */
  paused: z.boolean(),
  identity_signing: z.boolean(),
  ai_disclosure: z.boolean(),
  identity_format: z.enum(IDENTITY_FORMATS),
  auto_cc: z.array(z.string()),
  auto_bcc: z.array(z.string()),
  /** Who gets everything that arrives. */
  forward_inbound: nullableText,
  /** Who gets what of it. */
  forward_rules: z.array(forwardRuleShape),
  /** What is done with mail that fails DMARC, at most: what its domain asks for is never exceeded. */
  dmarc_fail_action: z.enum(DMARC_FAIL_ACTIONS),
  /** Domains whose ARC seal vouches for mail that fails DMARC only since it was passed on. */
  trusted_arc_sealers: z.array(z.string()),
  signature_block: nullableText,
  default_gate_timing: z.enum(["gate_first", "schedule_first"]),
  scheduling_enabled: z.boolean(),
  mcp_configured: z.boolean(),
  /** The policy's `risk_block`, under the name that clients know. */
  risk_threshold: z.number().nullable(),
  /** Whether keys with `oversight` may decide here; a human switches it on. */
  oversight_keys_may_decide: z.boolean(),
  is_active: z.boolean(),
  /** While it is on, nothing of the mailbox is erased. */
  legal_hold: z.boolean(),
  /** How many days what its messages say is kept, and what is tagged; null: always. */
  content_retention: z.object({ days: z.int().nullable(), tags: z.record(z.string(), z.int().nullable()) }),
  created_at: timestamp,
});
export type Mailbox = z.infer<typeof mailboxShape>;

const riskReasonShape = z.object({ reason: z.string(), weight: z.number(), because: z.string() });

const resemblanceShape = z.object({ kind: z.enum(RESEMBLANCES), twin: z.string() });

/** What is known of one registrable domain. Null: not known, or not asked. */
export const domainFactsShape = z.object({
  domain: z.string(),
  dmarc_policy: z.enum(DMARC_FACTS).nullable(),
  mx: z.enum(MX_FACTS).nullable(),
  spf: z.enum(SPF_FACTS).nullable(),
  /** Whole days since the registration. */
  age_days: z.number().nullable(),
  disposable: z.boolean(),
  blocklists: z.array(z.object({ list: z.string(), meaning: z.string() })),
  /** One of the account's own or known domains that it could be mistaken for. */
  resembles: resemblanceShape.nullable(),
  /** Sources without an answer, which is never taken for a good one. */
  unknown: z.array(z.string()),
  unknown_because: z.array(z.object({ source: z.string(), reason: z.enum(UNKNOWN_REASONS) })),
});

/** What was looked up of the domains that a message goes to, before it was judged. */
export const domainIntelligenceShape = z.object({
  /** 0 to 1, of the domains alone. */
  risk_score: z.number(),
  reasons: z.array(riskReasonShape),
  /** The weakest among the domains. */
  dmarc_policy: z.enum(DMARC_FACTS).nullable(),
  /** Sources that did not answer for one of the domains. */
  unknown: z.array(z.string()),
  domains: z.array(domainFactsShape),
  /** Domains that were not looked up, since the account's budget of new names for the day was used up. */
  over_budget: z.array(z.string()),
  looked_up_at: timestamp,
});
export type IntelligenceView = z.infer<typeof domainIntelligenceShape>;

/** What check_domain_intelligence answers. */
export const domainReportShape = domainIntelligenceShape.extend({
  domain: z.string(),
  /** One label below a public suffix: what most sources are asked about. */
  registrable_domain: z.string(),
  /** The mailbox wrote to it before. */
  known: z.boolean(),
  /** What came of the mailbox's mail to it in the last 90 days. */
  history: z.object({ bounces: z.number(), complaints: z.number(), replies: z.number() }),
});
export type DomainReport = z.infer<typeof domainReportShape>;

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

export const PENDING_KINDS = ["send", "inbound", "read", "annotate", "template", "upgrade"] as const;
export type PendingKind = (typeof PENDING_KINDS)[number];

/** Why a rule tightened the verdict on a message. */
export const reasonShape = z.object({
  rule: z.string(),
  action: z.enum(["hold", "block", "deny"]),
  because: z.string(),
});

/** What to publish in the DNS, as set-up lists it too. */
export const dnsRecordShape = z.object({
  type: z.enum(["TXT", "MX"]),
  name: z.string(),
  value: z.string(),
  purpose: z.enum(["dkim", "spf", "dmarc", "inbound", "identity"]),
  required: z.boolean(),
});

export const riskShape = z.object({
  /** 0 to 1. */
  score: z.number(),
  reasons: z.array(riskReasonShape),
});

/** How far the approvals have come. */
export const quorumShape = z.object({
  needed: z.number(),
  approved: z.number(),
  approvals: z.array(z.object({ by: z.string(), at: timestamp })),
});

/** A message that another passes on. */
const forwardedShape = z.object({
  email_id: z.string(),
  form: z.enum(FORWARD_FORMS),
  from: z.string(),
  to: z.array(z.string()),
  cc: z.array(z.string()),
  subject: z.string(),
  at: timestamp,
  /** Its words where it is attached; null where it leaves as it is: they are the item's own then. */
  text: nullableText,
  html: nullableText,
  attachments: z.array(attachmentShape),
});

export const pendingShape = emailShape.extend({
  /** `pending`, `approved`, `consumed` for what is no message. */
  status: z.enum([...new Set([...OUTBOUND_STATUSES, ...INBOUND_STATUSES, ...REQUEST_STATUSES])] as [
    string,
    ...string[],
  ]),
  email_id: z.string(),
  content_hash: z.string(),
  expires_at: timestamp.nullable(),
  kind: z.enum(PENDING_KINDS),
  html: nullableText,
  /** Which rule held it: `mode gated_send`, `budget`, … */
  rule: z.string(),
  /** The same in a sentence. */
  because: z.string(),
  /** Every rule that would have held it. */
  reasons: z.array(reasonShape),
  risk: riskShape.nullable(),
  quorum: quorumShape,
  send_at: timestamp.nullable(),
  /** What was asked for, where it is no message. */
  request: z.object({ operation: z.string(), input: z.record(z.string(), z.unknown()) }).nullable(),
  /** The message that it passes on. */
  forwarded: forwardedShape.optional(),
});
export type PendingItem = z.infer<typeof pendingShape>;

export const decisionShape = z.object({
  /** `pending`: this approval counts, and others are needed. */
  status: z.enum(["approved", "approved_and_sent", "rejected", "pending"]),
  id: z.string(),
  approval_ref: z.string(),
  decided_by: z.string(),
  decided_at: timestamp,
  quorum: quorumShape,
});
export type Decision = z.infer<typeof decisionShape>;

export const verdictShape = z.object({
  outcome: z.enum(["allow", "hold", "deny", "block"]),
  rule: z.string(),
  because: z.string(),
  reasons: z.array(reasonShape),
  oversight_mode: modeSchema,
  risk: riskShape,
});

/** What a dry run answers: nothing was stored. */
export const dryRunShape = z.object({ dry_run: z.literal(true), verdict: verdictShape, content_hash: z.string() });
export type DryRun = z.infer<typeof dryRunShape>;

export const sendAnswerShape = z.object({
  id: z.string(),
  message_id: z.string(),
  status: z.enum(OUTBOUND_STATUSES),
  thread_id: z.string(),
  pending_id: z.string().optional(),
  dkim_domain: z.string(),
  /** What is done at delivery; nothing is signed before. */
  authentication: z.object({
    spf: z.string(),
    dkim: z.string(),
    /** Of what is passed on as it is. */
    arc: z.string().optional(),
    dmarc: z.string(),
    identity_signed: z.boolean(),
    /** Which forms of FORMATS.md §2 it carries. */
    identity_forms: z.array(z.enum(HEADER_FORMS)),
  }),
  /** Under which get_identity_receipt has the receipt once it was delivered. */
  identity_sig_id: z.string().optional(),
  domain_intelligence: domainIntelligenceShape.nullable(),
  /** What mode and rules said of it, and which rule decided. */
  verdict: verdictShape,
  send_at: timestamp.nullable(),
  /** The human's approval beforehand that let it go: a template's, or an allowlist entry's. */
  approval_ref: z.string().nullable(),
  /** Of forward_email: passed on as it is, or attached to a message of the mailbox's own. */
  form: z.enum(FORWARD_FORMS).optional(),
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

export const agentShape = z.object({
  id: z.string(),
  name: nullableText,
  /** What its mail says wrote it, where a send names no other. */
  model_id: z.string(),
  model_provider: z.string(),
  /** Keys that act as this agent where nobody names one: all of them for a key with admin, else the asking one alone. */
  default_for: z.array(z.string()),
  created_at: timestamp,
  deleted_at: timestamp.nullable(),
});
export type Agent = z.infer<typeof agentShape>;

export const accountShape = z.object({
  id: z.string(),
  tenant_id: z.string(),
  name: z.string(),
  operator_email: z.string(),
  /** Approvers the operator has confirmed. */
  approvers: z.array(z.string()),
  mailbox_count: z.number(),
  /** Where the account can be written to; promotional mail says it. */
  postal_address: nullableText,
  /** After how many days audit entries leave objects and D1 once R2 holds them; null: never. */
  audit_retention_days: z.number().nullable(),
  /** While it is on, nothing is erased. */
  legal_hold: z.boolean(),
  /** Who is mailed the audit log's checkpoints. */
  auditor_email: nullableText,
  /** Verifier keys of those who co-sign checkpoints. */
  witnesses: z.array(z.string()),
  created_at: timestamp,
});
export type Account = z.infer<typeof accountShape>;

/** An address that is not written to. */
export const suppressionShape = z.object({
  /** Null once its person's data was erased. */
  address: nullableText,
  reason: z.enum(SUPPRESSION_REASONS),
  note: nullableText,
  /** The message that came back, was complained about or unsubscribed from. */
  email_id: nullableText,
  created_at: timestamp,
});
export type Suppression = z.infer<typeof suppressionShape>;

/** What a mailbox has done in the last 30 days, for whoever is asked to give it more rope. */
export const mailboxRecordShape = z.object({
  days: z.number(),
  sent: z.number(),
  approved: z.number(),
  /** Of the approved, how many a person had changed. */
  edited: z.number(),
  rejected: z.number(),
  expired: z.number(),
  blocked: z.number(),
  bounced: z.number(),
  complained: z.number(),
  /** Approved of all decided, 0 to 1; null before the first decision. */
  approval_rate: z.number().nullable(),
  /** Edited of all approved, 0 to 1; null before the first approval. */
  edit_rate: z.number().nullable(),
});
export type MailboxRecord = z.infer<typeof mailboxRecordShape>;

export const allowlistEntryShape = z.object({
  id: z.string(),
  /** An address, a domain or a glob, in its normal form. */
  recipient: z.string(),
  note: nullableText,
  /** The human's approval that sends to it refer to. */
  approval_ref: z.string(),
  created_at: timestamp,
});
export type AllowlistEntry = z.infer<typeof allowlistEntryShape>;

export const TEMPLATE_VARIABLE_TYPES = ["text", "number", "date", "email", "url"] as const;
export const templateVariableShape = z.object({
  name: z.string(),
  type: z.enum(TEMPLATE_VARIABLE_TYPES),
  required: z.boolean(),
  /** Characters. */
  max_length: z.number(),
});
export type TemplateVariable = z.infer<typeof templateVariableShape>;

export const templateShape = z.object({
  id: z.string(),
  /** Counted from 1; each change is a new version that waits again. */
  version: z.number(),
  mailbox_id: z.string(),
  name: z.string(),
  subject: z.string(),
  markdown: z.string(),
  variables: z.array(templateVariableShape),
  /** Domains it may be sent to; null: any that the policy lets through. */
  allowed_domains: z.array(z.string()).nullable(),
  /** Of this version. An older approved version is used until this one is. */
  status: z.enum(REQUEST_STATUSES),
  /** The version that send_email uses now; null before one was approved. */
  approved_version: z.number().nullable(),
  /** That version's approval. */
  approval_ref: nullableText,
  pending_id: nullableText,
  decision_reason: nullableText,
  created_at: timestamp,
});
export type Template = z.infer<typeof templateShape>;

export const draftShape = z.object({
  id: z.string(),
  mailbox_id: z.string(),
  to: z.array(z.string()),
  cc: z.array(z.string()),
  bcc: z.array(z.string()),
  reply_to: z.array(z.string()),
  subject: z.string(),
  markdown: nullableText,
  text: nullableText,
  html: nullableText,
  /** The template that subject and body were rendered from. */
  template_id: nullableText,
  attachments: z.array(attachmentShape),
  tags: z.record(z.string(), z.string()),
  metadata: z.record(z.string(), z.unknown()),
  send_at: timestamp.nullable(),
  gate_timing: z.enum(["gate_first", "schedule_first"]).nullable(),
  oversight_mode: modeSchema.nullable(),
  agent_id: nullableText,
  model_id: nullableText,
  model_provider: nullableText,
  created_at: timestamp,
  updated_at: timestamp,
});
export type Draft = z.infer<typeof draftShape>;
