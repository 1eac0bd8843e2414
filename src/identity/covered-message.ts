import { utf8 } from "./encoding.ts";
import { comparable, type Sha256, sha256Hex, textHash, wholeSeconds } from "./normal-form.ts";

/** FORMATS.md §2.4: what `X-MultiMail-Signature` covers, as text that anyone rebuilds from the message alone. */

/** The message, as its recipient has it decoded. */
export interface CoveredMessage {
  /** addr-spec. */
  from: string;
  /** The addr-specs of To and Cc. */
  recipients: readonly string[];
  date: Date;
  /** With angle brackets. */
  message_id: string;
  /** Decoded; empty where there is none. */
  subject: string;
  /** The decoded bodies; null where there is no such part. */
  text: string | null;
  html: string | null;
  /** Lower-case hex SHA-256 of each attachment's decoded bytes, in order. */
  attachments_sha256: readonly string[];
}

/** What the headers beside the signature say. */
export interface CoveredHeaders {
  agent_id: string;
  tenant_id: string;
  oversight_mode: string;
  /** `key_…`, or `key_…; bound`. */
  key: string;
  approval_ref: string | null;
}

/** @returns the text that is signed, each line ended by LF. */
export function signedText(headers: CoveredHeaders, message: CoveredMessage, hashOf?: Sha256): string {
  const body = (text: string | null) => (text === null ? "-" : textHash(text, hashOf).hex);
  return [
    "multimail-message-v1",
    `agent:${headers.agent_id}`,
    `tenant:${headers.tenant_id}`,
    `oversight:${headers.oversight_mode}`,
    `key:${headers.key}`,
    `approval:${headers.approval_ref ?? "-"}`,
    `from:${comparable(message.from)}`,
    `to:${message.recipients.map(comparable).sort().join(",")}`,
    `date:${wholeSeconds(message.date)}`,
    `message-id:${message.message_id}`,
    `subject-sha256:${sha256Hex(utf8(message.subject), hashOf)}`,
    `text-sha256:${body(message.text)}`,
    `html-sha256:${body(message.html)}`,
    `attachments-sha256:${message.attachments_sha256.join(",") || "-"}`,
    "",
  ].join("\n");
}
