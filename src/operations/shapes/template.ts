import { z } from "zod";
import { REQUEST_STATUSES } from "../../oversight/request-transitions.ts";
import { nullableText, timestamp } from "./values.ts";

/** A template, and its variables. */

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
