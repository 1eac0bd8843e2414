import { z } from "zod";
import { HEADER_FORMS } from "../../identity/verdict.ts";
import { FORWARD_FORMS } from "../../mail/forwarded-message.ts";
import { OUTBOUND_STATUSES } from "../../oversight/statuses.ts";
import { domainIntelligenceShape } from "./domain-intelligence.ts";
import { attachmentShape } from "./email.ts";
import { modeSchema, nullableText, timestamp } from "./values.ts";
import { verdictShape } from "./verdict.ts";

/** A message that is being written, and what a send of it answers. */

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
