import PostalMime, { type Attachment, addressParser, decodeWords, type Email, type Header } from "postal-mime";
import { Refused } from "../errors.ts";
import type { AttachmentBytes } from "../store/mail-store.ts";
import { parseAddresses } from "./address.ts";
import { markdownFromHtml } from "./markdown-from-html.ts";
import type { MailAddress, ReceivedMessage } from "./message.ts";
import { splitQuotedHistory } from "./quoted-history.ts";

/** Reads arriving mail (RFC 5322, RFC 2045 to 2049, RFC 2231). What cannot be read is kept and flagged, never refused. */

export const PARSE_LIMITS = {
  /** Octets of the header section that are read. */
  headerSection: 256 * 1024,
  /** Octets of all MIME headers together. */
  allHeaders: 1024 * 1024,
  /** Depth of MIME parts. */
  nesting: 100,
  /** Lines, and lines that are not base64: the parser keeps an object for each until the part ends. */
  lines: 160_000,
  plainLines: 100_000,
  /** Of a message of more lines, or one too large, this much is read. */
  prefix: 1024 * 1024,
  prefixLines: 20_000,
  /** Lines that begin like a boundary: each could be a part, and a part costs memory however small it is. */
  boundaryLines: 10_000,
  /** Header fields kept, and characters of them in all and each. */
  fields: 500,
  fieldCharacters: 64 * 1024,
  fieldValue: 8 * 1024,
  addresses: 500,
  references: 100,
  attachments: 100,
  /** Characters of a body. */
  body: 1024 * 1024,
  /** Octets shown as text of what could not be parsed. */
  unparsedText: 256 * 1024,
} as const;

type ParsedFields =
  | "rfc_message_id"
  | "in_reply_to"
  | "references"
  | "from"
  | "reply_to"
  | "to"
  | "cc"
  | "subject"
  | "date"
  | "markdown"
  | "quoted"
  | "text"
  | "html"
  | "headers"
  | "flags";

export interface ParsedMessage extends Pick<ReceivedMessage, ParsedFields> {
  attachments: AttachmentBytes[];
  /** The value of the topmost Received field. */
  first_received: string | null;
}

interface ParseOptions {
  /** Only the beginning is there: headers and text are read, attachments are not. */
  large?: boolean;
}

const LF = 10;
const CR = 13;

/** @returns the octets up to and with the empty line that ends the header section, or the length if there is none. */
function headerSectionLength(raw: Uint8Array): number {
  if (raw[0] === LF) return 1;
  if (raw[0] === CR && raw[1] === LF) return 2;
  for (let i = raw.indexOf(LF); i >= 0; i = raw.indexOf(LF, i + 1)) {
    if (raw[i + 1] === LF) return i + 2;
    if (raw[i + 1] === CR && raw[i + 2] === LF) return i + 3;
  }
  return raw.length;
}

/**
 * Makes the header section one that the parser and the DKIM verifier read alike: a CR that is no line end becomes a space (the
 * parser would take `CR CR LF` for the end of the header), and an endless one is cut at a line end.
 */
function prepare(raw: Uint8Array): { message: Uint8Array; headerLength: number; truncated: boolean } {
  const length = headerSectionLength(raw);
  const kept = length <= PARSE_LIMITS.headerSection ? length : raw.lastIndexOf(LF, PARSE_LIMITS.headerSection - 1) + 1;
  const header = raw.slice(0, kept);
  let changed = kept !== length;
  for (let i = header.indexOf(CR); i >= 0; i = header.indexOf(CR, i + 1)) {
    if (header[i + 1] === LF) continue;
    header[i] = 0x20;
    changed = true;
  }
  if (!changed) return { message: raw, headerLength: length, truncated: false };
  const end = kept === length ? [] : [CR, LF];
  const message = new Uint8Array(header.length + end.length + raw.length - length);
  message.set(header);
  message.set(end, header.length);
  message.set(raw.subarray(length), header.length + end.length);
  return { message, headerLength: header.length + end.length, truncated: kept !== length };
}

/** @returns whether a line is long and without spaces, as base64 is: the parser joins such lines at once. */
function isEncodedLine(line: Uint8Array): boolean {
  return line.length >= 60 && !line.includes(0x20);
}

/**
 * @returns how many octets can be parsed, which is all of them unless there are too many lines; and whether so many lines begin
 *   like a boundary that parts cannot be told.
 */
function survey(message: Uint8Array): { readable: number; boundaries: boolean } {
  const { lines: maxLines, plainLines, prefixLines, prefix, boundaryLines } = PARSE_LIMITS;
  let lines = 0;
  let plain = 0;
  let dashed = 0;
  let prefixEnd = Math.min(prefix, message.length);
  let start = 0;
  for (let end = message.indexOf(LF); end >= 0; end = message.indexOf(LF, start)) {
    if (message[start] === 0x2d && message[start + 1] === 0x2d) dashed++;
    if (!isEncodedLine(message.subarray(start, end))) plain++;
    lines++;
    start = end + 1;
    if (lines <= prefixLines && start <= prefix) prefixEnd = start;
    if (lines > maxLines || plain > plainLines) break;
  }
  const readable = lines > maxLines || plain > plainLines ? prefixEnd : message.length;
  return { readable, boundaries: dashed > boundaryLines };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced.
const LINE_CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced.
const BODY_CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

/** @returns `value` as one line without control characters or lone surrogates. */
function oneLine(value: string, limit: number): string {
  return value.slice(0, limit).replace(LINE_CONTROLS, " ").trim().toWellFormed();
}

/** @returns a body with LF line ends; control characters are U+FFFD. */
function bodyText(value: string): string {
  return value.slice(0, PARSE_LIMITS.body).replace(/\r\n?/g, "\n").replace(BODY_CONTROLS, "\uFFFD").toWellFormed();
}

// RFC 5322 §3.6.8: field-name = 1*ftext.
const FIELD_NAME = /^[!-9;-~]{1,200}$/;

/**
 * RFC 5322 §3.6.4 msg-id, as far as answers depend on it: printable ASCII in angle brackets, at most 250 octets in all. Whatever
 * else calls itself an id would break the References of a reply.
 */
const MESSAGE_ID = /<[!-;=?-~]{1,248}>/g;
/** One that lacks its brackets. */
const BARE_MESSAGE_ID = /^[!-;=?-~]{1,248}$/;

class Fields {
  readonly all: Header[];
  constructor(headers: Header[]) {
    this.all = headers.filter((header) => FIELD_NAME.test(header.originalKey));
  }
  values(name: string): string[] {
    return this.all.filter((header) => header.key === name).map((header) => header.value);
  }
  text(name: string, limit: number): string {
    return oneLine(decodeWords((this.values(name)[0] ?? "").slice(0, limit * 4)), limit);
  }
  addresses(name: string): MailAddress[] {
    return this.values(name)
      .flatMap((value) => addressParser(value, { flatten: true }))
      .flatMap((mailbox) => (mailbox.address ? [mailAddress(mailbox.name, mailbox.address)] : []));
  }
  messageIds(name: string): string[] {
    return this.values(name).flatMap((value) => value.match(MESSAGE_ID) ?? []);
  }
}

/** @returns the mailbox in our normal form; an address that is none (RFC 5322 §3.4.1) is kept as one line of text. */
function mailAddress(name: string, address: string): MailAddress {
  const shown = oneLine(name, 1_000) || null;
  const spec = oneLine(address, 1_000);
  try {
    const [parsed, ...more] = parseAddresses(spec, "address");
    if (parsed && more.length === 0) return { name: shown, address: parsed.address };
  } catch (error) {
    // Senders write what they like; the mail is kept with what they wrote.
    if (!(error instanceof Refused)) throw error;
  }
  return { name: shown, address: spec };
}

function messageId(fields: Fields): string | null {
  const bracketed = fields.messageIds("message-id")[0];
  if (bracketed !== undefined) return bracketed;
  const bare = (fields.values("message-id")[0] ?? "").trim();
  return BARE_MESSAGE_ID.test(bare) ? `<${bare}>` : null;
}

function isoDate(fields: Fields): string | null {
  const date = new Date(fields.text("date", 200));
  const year = date.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? date.toISOString() : null;
}

function boundedHeaders(fields: Fields, flags: Set<string>): [string, string][] {
  const kept: [string, string][] = [];
  let characters = 0;
  for (const { originalKey, value } of fields.all) {
    characters += originalKey.length + Math.min(value.length, PARSE_LIMITS.fieldValue);
    if (kept.length === PARSE_LIMITS.fields || characters > PARSE_LIMITS.fieldCharacters) {
      flags.add("headers_truncated");
      break;
    }
    if (value.length > PARSE_LIMITS.fieldValue) flags.add("headers_truncated");
    kept.push([originalKey, oneLine(decodeWords(value.slice(0, PARSE_LIMITS.fieldValue)), PARSE_LIMITS.fieldValue)]);
  }
  return kept;
}

/** A name by which exactly one attachment of the message can be asked for. */
function attachmentName(attachment: Attachment, n: number, taken: Set<string>): string {
  const fallback = attachment.mimeType === "message/rfc822" ? `message-${n + 1}.eml` : `attachment-${n + 1}`;
  const wanted = oneLine(attachment.filename ?? "", 200).replace(/[/\\]/g, "_") || fallback;
  const name = wanted === "." || wanted === ".." ? fallback : wanted;
  const dot = name.lastIndexOf(".") > 0 ? name.lastIndexOf(".") : name.length;
  let unique = name;
  for (let i = 2; taken.has(unique); i++) unique = `${name.slice(0, dot)} (${i})${name.slice(dot)}`;
  taken.add(unique);
  return unique;
}

function attachmentsOf(email: Email, flags: Set<string>): AttachmentBytes[] {
  if (email.attachments.length > PARSE_LIMITS.attachments) flags.add("attachments_truncated");
  const taken = new Set<string>();
  return email.attachments.slice(0, PARSE_LIMITS.attachments).map((attachment, n) => ({
    name: attachmentName(attachment, n, taken),
    content_type: /^[\w.+-]+\/[\w.+-]+$/.test(attachment.mimeType) ? attachment.mimeType : "application/octet-stream",
    disposition: attachment.disposition === "inline" || attachment.related ? "inline" : "attachment",
    content_id: oneLine(attachment.contentId ?? "", 500).replace(/^<|>$/g, "") || null,
    bytes: bytesOf(attachment.content),
  }));
}

function bytesOf(content: ArrayBuffer | Uint8Array | string): Uint8Array {
  if (typeof content === "string") return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : new Uint8Array(content);
}

type Bodies = Pick<ParsedMessage, "markdown" | "quoted" | "text" | "html">;

function bodiesOf(email: Pick<Email, "text" | "html">, flags: Set<string>): Bodies {
  if ((email.text?.length ?? 0) > PARSE_LIMITS.body || (email.html?.length ?? 0) > PARSE_LIMITS.body) {
    flags.add("text_truncated");
  }
  const html = email.html ? bodyText(email.html) : null;
  const converted = html === null ? null : markdownFromHtml(html);
  if (converted?.truncated) flags.add("text_truncated");
  const text = email.text ? bodyText(email.text) : (converted?.text ?? "");
  const { fresh, quoted } = splitQuotedHistory(converted?.markdown || text);
  return { markdown: fresh.trimEnd(), quoted, text, html };
}

function assemble(email: Email, bodies: Bodies, attachments: AttachmentBytes[], flags: Set<string>): ParsedMessage {
  const fields = new Fields(email.headers);
  const from = fields.addresses("from");
  if (from.length === 0) flags.add("no_from");
  if (from.length > 1 || fields.values("from").length > 1) flags.add("multiple_from");
  const lists = {
    from,
    reply_to: fields.addresses("reply-to"),
    to: fields.addresses("to"),
    cc: fields.addresses("cc"),
  };
  if (Object.values(lists).some((list) => list.length > PARSE_LIMITS.addresses)) flags.add("headers_truncated");
  const references = fields.messageIds("references").slice(-PARSE_LIMITS.references);
  const bounded = (list: MailAddress[]) => list.slice(0, PARSE_LIMITS.addresses);
  return {
    rfc_message_id: messageId(fields),
    in_reply_to: fields.messageIds("in-reply-to").slice(0, PARSE_LIMITS.references),
    references,
    from: bounded(lists.from),
    reply_to: bounded(lists.reply_to),
    to: bounded(lists.to),
    cc: bounded(lists.cc),
    subject: fields.text("subject", 2_000),
    date: isoDate(fields),
    ...bodies,
    headers: boundedHeaders(fields, flags),
    attachments,
    first_received: fields.values("received")[0] ?? null,
    flags: [...flags],
  };
}

const NO_FIELDS: Email = { headers: [], headerLines: [], attachments: [] };

/** Headers as far as they can be read, and the body as the text it is. */
async function withoutParts(message: Uint8Array, headerLength: number, flags: Set<string>): Promise<ParsedMessage> {
  const header = await PostalMime.parse(message.subarray(0, headerLength)).catch(() => NO_FIELDS);
  const readable = new Fields(header.headers).all.length > 0;
  const from = readable ? headerLength : 0;
  const text = new TextDecoder().decode(message.subarray(from, from + PARSE_LIMITS.unparsedText));
  return assemble(header, bodiesOf({ text }, flags), [], flags);
}

/**
 * Reads a message.
 * @param raw its bytes; where `options.large` is set, its first bytes.
 * @returns what is in it. Never throws: what cannot be parsed comes back as text, with the flag `unparseable`.
 */
export async function parseMessage(raw: Uint8Array, options: ParseOptions = {}): Promise<ParsedMessage> {
  const flags = new Set<string>();
  const { message: whole, headerLength, truncated } = prepare(raw);
  const { readable, boundaries } = survey(whole);
  const message = whole.subarray(0, readable);
  const large = options.large === true || readable < whole.length;
  if (large) flags.add("large");
  if (truncated) flags.add("headers_truncated");
  if (boundaries) return await withoutParts(message, headerLength, flags.add("nesting_truncated"));
  try {
    const email = await PostalMime.parse(message, {
      // An attached message is an attachment: its text is not what this sender wrote.
      forceRfc822Attachments: true,
      attachmentEncoding: "arraybuffer",
      maxNestingDepth: PARSE_LIMITS.nesting,
      maxHeadersSize: PARSE_LIMITS.allHeaders,
    });
    if (new Fields(email.headers).all.length === 0) {
      return await withoutParts(message, headerLength, flags.add("unparseable"));
    }
    const attachments = large ? [] : attachmentsOf(email, flags);
    return assemble(email, bodiesOf(email, flags), attachments, flags);
  } catch (error) {
    // Whatever a parser stumbles over must not lose the mail: the sender would only send the same again.
    const reason = error instanceof Error ? error.message : "";
    if (/nesting depth/i.test(reason)) flags.add("nesting_truncated");
    else if (/header size/i.test(reason)) flags.add("headers_truncated");
    else flags.add("unparseable");
    return await withoutParts(message, headerLength, flags);
  }
}
