import type { MailAddress } from "./message.ts";

/**
 * Header fields written so that what a reader decodes is what was approved, to the letter. The composer leaves text that only
 * looks like an encoded word as it is, and a reader would decode it to something nobody saw.
 */

/** RFC 2047 §2: an encoded word has at most 75 characters; what remains for text is 45 octets in base64. */
const WORD_OCTETS = 45;
/** RFC 5322 §2.1.1: lines should not be longer. */
const LINE = 76;
/** A word this long is written encoded, since no line may exceed 998 octets. */
const LONGEST_WORD = 400;

const PRINTABLE = /^[\x20-\x7e]*$/;
const ENCODED_WORD_BEGIN = "=?";
/** RFC 5322 §3.2.3. */
const ATOMS = /^[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*$/;

/** @returns `text` as RFC 2047 encoded words of whole characters, one a line. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let piece = "";
  for (const character of text) {
    if (Buffer.byteLength(piece + character) > WORD_OCTETS) {
      words.push(piece);
      piece = "";
    }
    piece += character;
  }
  words.push(piece);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString("base64")}?=`).join("\r\n ");
}

/** Whether `text` reads the same without encoding, and after folding at its spaces. */
function isPlain(text: string): boolean {
  if (!PRINTABLE.test(text) || text.includes(ENCODED_WORD_BEGIN)) return false;
  if (/^ | $| {2}/.test(text)) return false;
  return text.split(" ").every((word) => word.length <= LONGEST_WORD);
}

function fold(line: string): string {
  let folded = "";
  let width = 0;
  for (const [index, word] of line.split(" ").entries()) {
    const breaks = index > 0 && width + word.length + 1 > LINE && folded !== "";
    folded += index === 0 ? word : breaks ? `\r\n ${word}` : ` ${word}`;
    width = breaks ? word.length + 1 : width + word.length + (index > 0 ? 1 : 0);
  }
  return folded;
}

/** @returns the field with its CRLF, or nothing for an empty text. */
export function textField(name: string, text: string): string {
  if (text === "") return "";
  return isPlain(text) ? `${fold(`${name}: ${text}`)}\r\n` : `${name}: ${encodedWords(text)}\r\n`;
}

function phrase(name: string): string {
  if (!isPlain(name)) return encodedWords(name);
  return ATOMS.test(name) ? name : `"${name.replace(/["\\]/g, "\\$&")}"`;
}

function mailbox({ name, address }: MailAddress): string {
  if (!PRINTABLE.test(address)) throw new Error("An address is not ASCII");
  return name === null || name === "" ? address : `${phrase(name)} <${address}>`;
}

/** @returns the field with its CRLF, one mailbox a line, or nothing for none. @throws Error for an address that is not ASCII. */
export function addressField(name: string, addresses: readonly MailAddress[]): string {
  if (addresses.length === 0) return "";
  return `${name}: ${addresses.map(mailbox).join(",\r\n ")}\r\n`;
}

/** RFC 5322 §3.6.4; one alone must fit a line. */
const MESSAGE_ID = /^<[!-;=?-~]{1,900}>$/;

/**
 * @returns the field with its CRLF, folded between ids so that no line grows long, or nothing for none.
 * @throws Error for what is no message id.
 */
export function messageIdsField(name: string, ids: readonly string[]): string {
  if (ids.length === 0) return "";
  if (!ids.every((id) => MESSAGE_ID.test(id))) throw new Error(`The header ${name} names what is no message id`);
  return `${fold(`${name}: ${ids.join(" ")}`)}\r\n`;
}

/** Characters that every reader takes as they are in a quoted file name. */
const SIMPLE_FILE_NAME = /^[\w .()+,@-]{1,60}$/;
/** RFC 2231 §4.1 sections, so that no line grows long. */
const SECTION = 60;

/** @returns the value of Content-Disposition (RFC 2183), the name percent-encoded (RFC 2231, RFC 8187) where it is not simple. */
export function dispositionValue(disposition: "attachment" | "inline", fileName: string): string {
  if (SIMPLE_FILE_NAME.test(fileName) && !/^ | $/.test(fileName)) return `${disposition}; filename="${fileName}"`;
  const encoded = [...Buffer.from(fileName)].map((octet) => {
    const character = String.fromCharCode(octet);
    return /[A-Za-z0-9._-]/.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  const sections = [""];
  for (const piece of encoded) {
    const last = sections.length - 1;
    if ((sections[last] ?? "").length + piece.length > SECTION) sections.push(piece);
    else sections[last] += piece;
  }
  const values = sections.map((section, index) => `${index === 0 ? "UTF-8''" : ""}${section}`);
  const fields = values.map((value, index) =>
    values.length === 1 ? `filename*=${value}` : `filename*${index}*=${value}`,
  );
  return [disposition, ...fields].join(";\r\n ");
}
