import { createHash } from "node:crypto";
import { canonical } from "../canonical-json.ts";
import type { MailAddress, MessageContent } from "../mail/message.ts";

/** FORMATS.md §1, *text* and *html*: LF line ends, no trailing LFs. */
export function normalText(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(/\n+$/, "");
}

function shown({ name, address }: MailAddress): string {
  return name === null || name === "" ? address : `${JSON.stringify(name)} <${address}>`;
}

function shownOrNull(addresses: MailAddress[]): string[] | null {
  return addresses.length ? addresses.map(shown) : null;
}

/**
 * The content hash (FORMATS.md §8): what a decision approves.
 * @returns lower-case hex SHA-256 of the RFC 8785 form of everything a recipient can see. Display names, Reply-To and
 * threading are in it; Bcc is in it since an envelope that differs from what was approved must not leave.
 */
export function contentHash(content: MessageContent): string {
  const manifest = {
    v: 1,
    from: shown(content.from),
    reply_to: shownOrNull(content.reply_to),
    to: shownOrNull(content.to),
    cc: shownOrNull(content.cc),
    bcc: shownOrNull(content.bcc),
    subject: content.subject,
    text: content.text === null ? null : normalText(content.text),
    html: content.html === null ? null : normalText(content.html),
    attachments: content.attachments.length
      ? content.attachments.map(({ name, content_type, disposition, sha256 }) => ({
          name,
          type: content_type,
          disposition,
          sha256,
        }))
      : null,
    in_reply_to: content.in_reply_to,
    references: content.references.length ? content.references : null,
  };
  return createHash("sha256").update(canonical(manifest)).digest("hex");
}
