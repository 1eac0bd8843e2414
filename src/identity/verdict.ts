import type { Mode } from "../oversight/modes.ts";
import type { Claim } from "./claim.ts";

/** What a verification found. Plain data; everything that is not valid says why. */

/** Why a header, or the message, is not verified. Programs branch on these; each has its sentence beside it. */
export const IDENTITY_REASONS = [
  "malformed",
  "too_long",
  "repeated",
  "key_unknown",
  "key_in_message",
  "key_not_yet_valid",
  "key_retired",
  "key_revoked",
  "signature_invalid",
  "body_changed",
  "disagrees",
  "missing_signature",
  "missing_part",
  "wrong_sender",
  "foreign_domain",
  "not_a_message",
  "too_large",
  "lookup_failed",
] as const;
export type IdentityReason = (typeof IDENTITY_REASONS)[number];

/** Which of the header forms of FORMATS.md §2 it is. */
export const HEADER_FORMS = ["compact", "domain", "identity_sig", "message_signature"] as const;
export type HeaderForm = (typeof HEADER_FORMS)[number];

/** What was found of one form. */
export interface HeaderVerdict {
  form: HeaderForm;
  /** The header's name as FORMATS.md writes it. */
  header: string;
  valid: boolean;
  /** Null where it is valid. */
  reason: IdentityReason | null;
  /** One sentence for people. */
  detail: string;
  /** The key that it verifies with; null where none does. */
  kid: string | null;
  /** `SHA256:…` (FORMATS.md §3). */
  fingerprint: string | null;
}

/** What the forms say together. From the compact claim where there is one; fields that no form has are null. */
export type AgentMetadata = Pick<Claim, "agent_id"> & {
  [Field in "tenant_id" | "model_id" | "model_provider" | "email_id" | "approval_ref" | "approval_kind" | "sent_at"]:
    | Claim[Field]
    | null;
} & { oversight_mode: Mode; ai_disclosure: boolean | null; key_id: string | null; key_is_bound: boolean };

/** FORMATS.md §2.6. */
export interface MessageVerdict {
  /** Null: the message carries no identity header at all. */
  verified: boolean | null;
  /** Why it is not verified, each once; empty where it is, or where there is nothing to verify. */
  reasons: { reason: IdentityReason; detail: string }[];
  headers: HeaderVerdict[];
  /** The compact form's payload as it was found, whether it is valid or not; null where there is none that can be read. */
  claim: Record<string, unknown> | null;
  /** Null unless `verified`. */
  agent_metadata: AgentMetadata | null;
  /** The identity headers as they stand in the message, lower-cased names; a repeated one has its values joined by LF. */
  identity_headers: Record<string, string>;
}

/** What a reader demands beyond valid signatures. What is left out is not asked. */
export interface IdentityPolicy {
  /** Seconds that may lie between `sent_at` and now. */
  max_age?: number | undefined;
  expected_agent?: string | undefined;
  allowed_modes?: readonly Mode[] | undefined;
  /** Whether the message must (or must not) declare that an AI wrote it. */
  ai_disclosure?: boolean | undefined;
  /** An approval must be named. */
  require_approval?: boolean | undefined;
  /** Nonces that the reader has seen before. */
  seen_nonces?: readonly string[] | undefined;
}

export type PolicyRule = "age" | "agent" | "mode" | "disclosure" | "approval" | "nonce";

/** One rule's answer. A message that is not verified passes none. */
export interface PolicyResult {
  rule: PolicyRule;
  passed: boolean;
  detail: string;
}
