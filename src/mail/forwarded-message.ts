import { comparableAddress, withoutTag } from "./address.ts";
import { type ArcSealing, sealArc } from "./arc-seal.ts";
import { type AutomaticFlag, MOST_HOPS } from "./automatic-mail.ts";
import type { MailAddress } from "./message.ts";

/**
 * Mail that is passed on. `redirected`: the bytes as they came, with our trace fields and an ARC set before them, so that what
 * others signed still verifies. `attached`: a message of the mailbox's own with those bytes as a file.
 */
export const FORWARD_FORMS = ["redirected", "attached"] as const;
export type ForwardForm = (typeof FORWARD_FORMS)[number];

/** How the lines of a message are written, which decides what mail systems leave alone. */
export interface WireForm {
  /** Every line ends in CRLF, the last one too, and there is no other CR, LF or NUL: SMTP carries it as it is (RFC 5321 §2.3.8). */
  plain_lines: boolean;
  /** Some octets are above 127 (RFC 6152). */
  eight_bit: boolean;
  /** A line is over 998 octets (RFC 5322 §2.1.1). */
  long_lines: boolean;
}

const MAX_LINE_OCTETS = 998;
const [NUL, LF, CR] = [0, 10, 13];

/** @returns how a message is written, in one pass over its octets. */
export function wireForm(raw: Uint8Array): WireForm {
  const form: WireForm = { plain_lines: true, eight_bit: false, long_lines: false };
  let start = 0;
  for (let at = 0; at < raw.length; at++) {
    const octet = raw[at] ?? 0;
    if (octet > 127) form.eight_bit = true;
    else if (octet === NUL || (octet === CR && raw[at + 1] !== LF)) form.plain_lines = false;
    else if (octet === LF) {
      if (raw[at - 1] !== CR) form.plain_lines = false;
      if (at - 1 - start > MAX_LINE_OCTETS) form.long_lines = true;
      start = at + 1;
    }
  }
  if (start !== raw.length) form.plain_lines = false;
  return form;
}

/**
 * Under which media type a message is attached. `message/rfc822` may have no encoding but 7bit and 8bit (RFC 2046 §5.2.1); where
 * its lines would not survive that, it goes as a file in base64. Its bytes are the same either way.
 * @param takes8Bit whether the transport carries octets above 127 as they are.
 */
export function attachedType({ plain_lines, eight_bit, long_lines }: WireForm, takes8Bit: boolean): string {
  return plain_lines && !long_lines && (!eight_bit || takes8Bit) ? "message/rfc822" : "application/octet-stream";
}

/** Under which name an original is attached. */
export const ATTACHED_NAME = "forwarded-message.eml";

/** What is known of a message that someone wants passed on. */
export interface PassableFacts {
  /** As parsing flagged it. */
  flags: readonly string[];
  /** RFC 8058: it has a link that speaks for one recipient. */
  is_promotional: boolean;
}

/** Flags of a message of which there is more than what was read, so that nobody sees what would leave. */
const NOT_READ_WHOLE: ReadonlySet<string> = new Set([
  ...["large", "unparseable", "headers_truncated", "attachments_truncated", "text_truncated", "nesting_truncated"],
]);

/** Why a message is never passed on. The names stand in the audit log. */
export type Unpassable = "link_removed" | "not_read_whole" | "loop" | "promotional";

/** @returns why a message is never passed on, by whomever; null if it may be. */
export function whyUnpassable({ flags, is_promotional }: PassableFacts): Unpassable | null {
  // Its bytes still have the link that was blanked for whoever reads it here.
  if (flags.includes("link_removed")) return "link_removed";
  if (flags.some((flag) => NOT_READ_WHOLE.has(flag))) return "not_read_whole";
  // Two agents that pass everything on to each other stop here at the latest.
  if (flags.includes("mail_loop" satisfies AutomaticFlag)) return "loop";
  return is_promotional ? "promotional" : null;
}

/** @returns whether two addresses are one person's mailbox: their case and +tags do not matter. */
export function isSameMailbox(one: string, other: string): boolean {
  return withoutTag(comparableAddress(one)) === withoutTag(comparableAddress(other));
}

/**
 * @param headers as the message arrived.
 * @returns whether the message was delivered to this mailbox before and passed on from it (RFC 9228 §4), or passed through so many
 *   servers that it goes in a circle (RFC 5321 §6.3).
 */
export function isLooping(headers: readonly (readonly [name: string, value: string])[], mailbox: string): boolean {
  const values = (name: string) => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  if (values("received").length > MOST_HOPS) return true;
  return values("delivered-to").some((value) => isSameMailbox(value.trim().replace(/^<|>$/g, ""), mailbox));
}

/** @returns the subject of a forwarded message: as mail programs write it, within what a header may hold. */
export function forwardSubject(subject: string, maxCharacters: number): string {
  const whole = /^fwd?:/i.test(subject) ? subject : `Fwd: ${subject}`;
  return whole.slice(0, maxCharacters).toWellFormed().trim();
}

/** What is written before the bytes of a redirected message. */
export interface Redirection {
  /** The mailbox that it was delivered to; null for mail that the mailbox itself sent. */
  delivered_to: MailAddress["address"] | null;
  /** Our host name. */
  by: string;
  /** The id of the forwarding. */
  id: string;
  /** Milliseconds since the epoch. */
  now: number;
  /** Null: nothing is sealed. */
  sealing: Omit<ArcSealing, "now"> | null;
}

/** What a redirection came to. */
export interface Redirected {
  raw: Uint8Array;
  /** Whether an ARC set was added; none is to a chain that is full or has ended. */
  is_sealed: boolean;
}

/**
 * Puts the trace fields of this hop and an ARC set before a message (RFC 5321 §4.4, RFC 9228, RFC 8617). Those who get it are in
 * the envelope alone.
 * @param original whose lines end in CRLF.
 * @returns bytes that end with exactly the original's.
 */
export async function redirectMessage(
  original: Uint8Array,
  { delivered_to, by, id, now, sealing }: Redirection,
): Promise<Redirected> {
  const delivered = delivered_to === null ? "" : `Delivered-To: ${delivered_to}\r\n`;
  const arrived = Buffer.concat([Buffer.from(delivered, "latin1"), original]);
  const sealed = sealing === null ? arrived : await sealArc(arrived, { ...sealing, now });
  const received = `Received: by ${by} (MultiMail) id ${id};\r\n ${dateOf(now)}\r\n`;
  const raw = Buffer.concat([Buffer.from(received, "latin1"), sealed]);
  return { raw: new Uint8Array(raw.buffer, raw.byteOffset, raw.length), is_sealed: sealed.length > arrived.length };
}

/** RFC 5322 §3.3. */
function dateOf(now: number): string {
  return new Date(now).toUTCString().replace("GMT", "+0000");
}
