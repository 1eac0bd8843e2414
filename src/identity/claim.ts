import type { Mode } from "../oversight/modes.ts";

/** What a message claims of the agent that wrote it, and of who allowed it (FORMATS.md §1, §2.1). */

/** How an approval came about. */
export const APPROVAL_KINDS = [
  "human_link",
  "human_session",
  "human_passkey",
  "human_reply",
  "key",
  "template",
  "allowlist",
] as const;
export type ApprovalKind = (typeof APPROVAL_KINDS)[number];

/** The payload of the compact form. Readers ignore members they do not know. */
export interface Claim {
  agent_id: string;
  model_id: string | null;
  model_provider: string | null;
  tenant_id: string;
  /** The mode that was applied to this message. */
  oversight_mode: Mode;
  ai_disclosure: boolean;
  /** The mailbox's address. */
  mailbox: string;
  /** ISO 8601 UTC with milliseconds. */
  sent_at: string;
  /** 96 random bits, base64url. */
  nonce: string;
  kid: string;
  email_id: string;
  /** base64url SHA-256 of *text* (FORMATS.md §1). */
  body_hash: string;
  /** The decision's id; null if nobody had to decide. */
  approval_ref: string | null;
  approval_kind: ApprovalKind | null;
}

/** FORMATS.md §1: what a header line that is never folded has room for, and what its readers split it at. */
export const CLAIM_LIMITS = {
  agent_id: /^[A-Za-z0-9._-]{1,64}$/,
  model_id: /^[A-Za-z0-9._:/-]{1,48}$/,
  model_provider: /^[A-Za-z0-9._:/-]{1,16}$/,
  /** Octets. */
  mailbox: 86,
  /** Octets. */
  our_id: 30,
} as const;

/** The form of `X-MultiMail-Identity` (FORMATS.md §2.1 and §2.2). */
export const IDENTITY_FORMATS = ["compact", "domain"] as const;
export type IdentityFormat = (typeof IDENTITY_FORMATS)[number];
