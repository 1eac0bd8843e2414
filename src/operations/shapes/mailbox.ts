import { z } from "zod";
import { IDENTITY_FORMATS } from "../../identity/claim.ts";
import { DMARC_FAIL_ACTIONS } from "../../mail/dmarc-action.ts";
import { modeSchema, nullableText, timestamp } from "./values.ts";

/** A mailbox: its settings, and what it has done. */

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
  /** How many days what its messages say is kept, and what is tagged; null: always. Only a key with `admin` tags for fewer days. */
  content_retention: z.object({ days: z.int().nullable(), tags: z.record(z.string(), z.int().nullable()) }),
  created_at: timestamp,
});
export type Mailbox = z.infer<typeof mailboxShape>;

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
