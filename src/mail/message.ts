import type { AuthenticationChecks } from "./authentication-checks.ts";
import type { ReceivedIdentity } from "./received-identity.ts";

/** The shapes of mail that modules hand to each other. All are plain data and cross RPC boundaries. */

/** A mailbox address (RFC 5322 §3.4): never a group. */
export interface MailAddress {
  /** Display name, decoded, without quotes; null if there was none. */
  name: string | null;
  /** addr-spec with the domain in lower-case A-labels; the local part keeps its case and, if it needs them, its quotes. */
  address: string;
}

/** An attachment stored in R2 before the object learns of it. */
export interface StoredAttachment {
  name: string;
  content_type: string;
  disposition: "attachment" | "inline";
  content_id: string | null;
  /** Decoded size in bytes. */
  size: number;
  /** Lower-case hex SHA-256 of the decoded bytes. */
  sha256: string;
  /** R2 key. */
  key: string;
}

/** FORMATS.md §8: what a recipient can see, and so what a human approves. Composing reads nothing else. */
export interface MessageContent {
  from: MailAddress;
  reply_to: MailAddress[];
  to: MailAddress[];
  cc: MailAddress[];
  bcc: MailAddress[];
  subject: string;
  text: string | null;
  html: string | null;
  attachments: StoredAttachment[];
  /** Message-IDs with angle brackets. */
  in_reply_to: string | null;
  references: string[];
  /**
   * Lower-case hex SHA-256 of the bytes that leave in place of all this, which is what stands in them; whom it is for is in the
   * envelope alone. Left out of every message that is composed.
   */
  redirected?: string;
}

/** One DKIM signature found on arrival, as judged (RFC 6376). */
export interface DkimSignatureVerdict {
  result: "pass" | "fail" | "neutral" | "none" | "policy" | "temperror" | "permerror";
  domain: string | null;
  selector: string | null;
  algorithm: string | null;
  key_bits: number | null;
  /** Whether `l=` left part of the body unsigned. */
  body_length_limited: boolean;
  /** Whether `domain` is aligned (relaxed) with the single From. */
  aligned: boolean;
  comment: string | null;
}

/** How an inbound message was judged. A verdict is data: `temperror` is stored, not thrown. */
export interface AuthenticationVerdicts {
  /** `pass` only for a valid signature aligned with the single From, without `l=`, RSA ≥ 1024; a valid one of another domain is `none`. */
  dkim_result: string;
  dkim_domain: string | null;
  dkim_selector: string | null;
  dkim_signatures: DkimSignatureVerdict[];
  spf_result: string;
  spf_domain: string | null;
  spf_comment: string | null;
  dmarc_result: string;
  dmarc_policy: string | null;
  arc_result: string;
  /** Each check with its domain and reason; not there on mail that arrived before they were kept. */
  checks?: AuthenticationChecks;
}

/** What the inbound worker hands to the mailbox object after the raw bytes are durable in R2. */
export interface ReceivedMessage {
  id: string;
  /** R2 key of the raw bytes, exactly as received. */
  raw_key: string;
  raw_size: number;
  /** Lower-case hex SHA-256 of the raw bytes (below our own server's Received line) ‖ 0x00 ‖ envelope sender ‖ 0x00 ‖ envelope recipient. */
  fingerprint: string;
  envelope_from: string;
  envelope_to: string;
  rfc_message_id: string | null;
  in_reply_to: string[];
  references: string[];
  from: MailAddress[];
  reply_to: MailAddress[];
  to: MailAddress[];
  cc: MailAddress[];
  subject: string;
  /** The Date header as ISO 8601, or null if there was none that could be read. */
  date: string | null;
  /** The new part as markdown, without quoted history. */
  markdown: string;
  /** The quoted history, markdown; null if there was none. */
  quoted: string | null;
  /** The plain text body, whole. */
  text: string;
  /** The HTML body as received, or null. Never served without a sandbox. */
  html: string | null;
  /** R2 key of a JSON object {markdown, quoted, text, html} where the bodies exceed 64 KiB; the fields above then hold only their beginnings. */
  bodies_key: string | null;
  attachments: StoredAttachment[];
  /** Header names (original case) and decoded values, in order; bounded. */
  headers: [string, string][];
  authentication: AuthenticationVerdicts;
  /** Null: it carries no identity header. */
  identity: ReceivedIdentity | null;
  /** What was wrong with it: `unparseable`, `no_from`, `multiple_from`, `large`, `headers_truncated`, `link_removed` … */
  flags: string[];
}
