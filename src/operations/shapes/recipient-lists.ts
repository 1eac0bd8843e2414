import { z } from "zod";
import { SUPPRESSION_REASONS } from "../../mail/suppression.ts";
import { nullableText, timestamp } from "./values.ts";

/** Whom an account does not write to, and whom a person has allowed beforehand. */

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
