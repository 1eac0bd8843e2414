import { createHash } from "node:crypto";
import { canonical } from "../canonical-json.ts";
import type { MailAddress, MessageContent } from "../mail/message.ts";
import { trimEndOf } from "../mail/trim.ts";

/** FORMATS.md §1, *text* and *html*: LF line ends, no trailing LFs. */
export function normalText(text: string): string {
  return trimEndOf(text.replace(/\r\n?/g, "\n"), "\n");
}

/** The address as in FORMATS.md §1, lower-cased; the name in quotes as JSON writes it, so that no two pairs read alike. */
function shown({ name, address }: MailAddress): string {
  const addrSpec = address.toLowerCase();
  return name === null || name === "" ? addrSpec : `${JSON.stringify(name)} <${addrSpec}>`;
}

function shownOrNull(addresses: MailAddress[]): string[] | null {
  return addresses.length ? addresses.map(shown) : null;
}

/**
 * The content hash (FORMATS.md §8): what a decision approves.
 *
 * The exact form: each of `from`, `reply_to`, `to`, `cc` and `bcc` is written as the lower-cased address alone, or, where there is
 * a display name, as the name as a JSON string (RFC 8785 §3.2.2.2), a space and the lower-cased address in angle brackets:
 * `"Ana \"A\" Ruiz" <ana@customer.example>`. An empty list, of addresses, attachments or references, is null. Text and HTML are in
 * the form of `normalText`; everything else is as it is in the message.
 * @returns lower-case hex SHA-256 of the RFC 8785 form of everything a recipient can see. Display names, Reply-To and
 * threading are in it; Bcc is in it since an envelope that differs from what was approved must not leave. Of a message that is
 * passed on as it is, `redirected` is the hash of its bytes.
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
    // Left out of all others, whose hashes are what they always were.
    ...(content.redirected !== undefined && { redirected: content.redirected }),
  };
  return createHash("sha256").update(canonical(manifest)).digest("hex");
}
