import { createHash } from "node:crypto";
import MailComposer from "nodemailer/lib/mail-composer";
import { addressField, dispositionValue, messageIdsField, textField } from "./header-text.ts";
import type { MessageContent, StoredAttachment } from "./message.ts";

export interface Composition {
  content: MessageContent;
  /** The decoded bytes of `content.attachments`, in their order. */
  attachments: readonly Uint8Array[];
  /** With angle brackets. */
  message_id: string;
  date: Date;
  /** Written first, in this order, byte for byte: never folded, encoded or recased. */
  extra_headers?: readonly (readonly [name: string, value: string])[];
  /** Its one attachment is a mail that is passed on: of the type `message/rfc822` it stays one, its bytes unencoded (RFC 2046 §5.2.1). */
  encloses?: true;
}

/** RFC 5322 §2.1.1, without CRLF. */
const MAX_LINE_OCTETS = 998;
/** RFC 5322 §2.2: printable ASCII without the colon; the value is printable ASCII here, since nothing encodes it. */
const HEADER_NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const HEADER_VALUE = /^[\x20-\x7e]*$/;
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/i;

/**
 * @returns whether an attachment can be sent under this type: `type/subtype` without parameters, and neither `multipart` nor
 *   `message`, whose parts a reader takes for parts of the mail. Anything else is sent as `application/octet-stream`.
 */
export function isAttachmentType(contentType: string): boolean {
  return MEDIA_TYPE.test(contentType) && !/^(?:multipart|message)\//i.test(contentType);
}

/** In UTF-16 units. */
export const MAX_ATTACHMENT_NAME = 255;

/**
 * @returns whether every reader takes a file name as it is: no path, no control characters, nothing that looks like an encoded
 *   word (some readers decode those wherever they find them), at most 255 characters.
 */
export function isAttachmentName(name: string): boolean {
  return name !== "" && name.length <= MAX_ATTACHMENT_NAME && !/[\p{Cc}\p{Cs}/\\]|=\?/u.test(name);
}

function headerLine([name, value]: readonly [string, string]): string {
  const line = `${name}: ${value}`;
  if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value))
    throw new Error(`The header ${name} cannot be written as it is`);
  if (line.length > MAX_LINE_OCTETS) throw new Error(`The header ${name} is longer than ${MAX_LINE_OCTETS} octets`);
  return `${line}\r\n`;
}

function attachment(meta: StoredAttachment, bytes: Uint8Array | undefined) {
  if (bytes === undefined) throw new Error(`The bytes of the attachment ${meta.name} are missing`);
  return {
    // Written below: the composer would leave a name that looks like an encoded word to be decoded.
    filename: false as const,
    content: Buffer.from(bytes),
    contentType: isAttachmentType(meta.content_type) ? meta.content_type : "application/octet-stream",
    contentDisposition: meta.disposition,
    // Quoted-printable changes line ends, and the approved hash is over exact bytes.
    contentTransferEncoding: "base64" as const,
    // Not `cid`, which would move the part before the others.
    ...(meta.content_id !== null && { headers: { "Content-ID": `<${meta.content_id.replace(/[<>\s]/g, "")}>` } }),
  };
}

/** As it stands, whatever is in it: encoded, no mail program would take it for a mail. */
function enclosed(meta: StoredAttachment, bytes: Uint8Array | undefined) {
  const contentTransferEncoding = bytes?.some((octet) => octet > 127) ? ("8bit" as const) : ("7bit" as const);
  return { ...attachment(meta, bytes), contentType: "message/rfc822", contentTransferEncoding };
}

/** @returns a body with CRLF line ends; an empty one as an empty line, since the composer makes no part of nothing. */
function bodyPart(text: string): string {
  return text.replace(/\r\n|\r|\n/g, "\r\n") || "\r\n";
}

/** The fields that a recipient reads. Bcc is not among them. */
function visibleFields(content: MessageContent): string {
  return [
    addressField("From", [content.from]),
    addressField("To", content.to),
    addressField("Cc", content.cc),
    addressField("Reply-To", content.reply_to),
    textField("Subject", content.subject),
    messageIdsField("In-Reply-To", content.in_reply_to === null ? [] : [content.in_reply_to]),
    messageIdsField("References", content.references),
  ].join("");
}

/** The same for the same content, and not to be guessed by whoever writes a body: it depends on every byte of it. */
function boundaryOf({ content, message_id }: Composition): string {
  const seed = JSON.stringify([message_id, content.text, content.html]);
  return createHash("sha256").update(seed).digest("hex").slice(0, 32);
}

/**
 * Composes a message (RFC 5322, MIME) from what was approved and nothing else. Pure: the same input gives the same bytes, so a
 * retry after a lost answer sends the same message.
 * @returns CRLF line ends, no line over 998 octets, ASCII headers (RFC 2047, RFC 2231), never a Bcc.
 * @throws Error if an extra header is not printable ASCII or too long, an address is not ASCII, a message id is none, or an attachment's bytes are
 *   missing: mistakes of ours.
 */
export async function composeMessage(input: Composition): Promise<Uint8Array> {
  const { content } = input;
  if (content.redirected !== undefined) throw new Error("A message that is passed on as it is cannot be composed");
  const composer = new MailComposer({
    messageId: input.message_id,
    date: input.date,
    ...((content.text !== null || content.html === null) && { text: bodyPart(content.text ?? "") }),
    ...(content.html !== null && { html: bodyPart(content.html) }),
    attachments: content.attachments.map((meta, index) =>
      (input.encloses && meta.content_type === "message/rfc822" ? enclosed : attachment)(
        meta,
        input.attachments[index],
      ),
    ),
    baseBoundary: boundaryOf(input),
    disableUrlAccess: true,
    disableFileAccess: true,
    newline: "\r\n",
  });
  const root = composer.compile();
  // A message always has a body, so with attachments it is multipart/mixed, and they are its last parts, in order.
  const parts = root.childNodes.slice(root.childNodes.length - content.attachments.length);
  for (const [index, meta] of content.attachments.entries()) {
    const value = dispositionValue(meta.disposition, meta.name);
    parts[index]?.setHeader("Content-Disposition", { prepared: true, value });
  }
  const ours = `${(input.extra_headers ?? []).map(headerLine).join("")}${visibleFields(content)}`;
  return Buffer.concat([Buffer.from(ours, "latin1"), await root.build()]);
}
