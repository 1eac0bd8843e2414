import type { MailAddress, MessageContent, StoredAttachment } from "../../src/mail/message.ts";
import { findMisleading } from "../../src/pages/misleading.ts";

/** An ordinary message, `part` of which is replaced. */
export function content(part: Partial<MessageContent>): MessageContent {
  return {
    from: { name: "Acme Sales", address: "sales@acme.example" },
    reply_to: [],
    to: [{ name: "Bob", address: "bob@customer.example" }],
    cc: [],
    bcc: [],
    subject: "Offer",
    text: "Hello Bob",
    html: null,
    attachments: [],
    in_reply_to: null,
    references: [],
    ...part,
  };
}

export function file(name: string, content_type = "application/pdf"): StoredAttachment {
  return { name, content_type, disposition: "attachment", content_id: null, size: 1, sha256: "0".repeat(64), key: "k" };
}

export function to(name: string | null, address: string): { to: MailAddress[] } {
  return { to: [{ name, address }] };
}

/** What is found, as `<severity> <code> <where>`. */
export function findings(part: Partial<MessageContent>): string[] {
  return findMisleading(content(part)).map((warning) => `${warning.severity} ${warning.code} ${warning.where}`);
}
