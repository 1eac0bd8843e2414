import { z } from "zod";
import { nullableText, scopeSchema, timestamp } from "./values.ts";

/** An account, and who acts for it. */

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
