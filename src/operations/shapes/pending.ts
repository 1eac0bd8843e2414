import { z } from "zod";
import { FORWARD_FORMS } from "../../mail/forwarded-message.ts";
import { REQUEST_STATUSES } from "../../oversight/request-transitions.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../../oversight/statuses.ts";
import { attachmentShape, emailShape } from "./email.ts";
import { nullableText, timestamp } from "./values.ts";
import { reasonShape, riskShape } from "./verdict.ts";

/** What waits for a person, and what they decided. */

export const PENDING_KINDS = ["send", "inbound", "read", "annotate", "template", "upgrade"] as const;
export type PendingKind = (typeof PENDING_KINDS)[number];

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
