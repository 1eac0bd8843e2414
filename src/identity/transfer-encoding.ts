import { base64Bytes } from "./encoding.ts";

/**
 * Content-Transfer-Encoding (RFC 2045 §6), strictly. Readers differ in what they make of an invalid encoding: some stop at padding
 * in the middle, some drop what they do not know, so that a signed text could be cut short for the eyes of some. Such is refused.
 */

const CR = 13;
const LF = 10;
const EQUALS = 0x3d;

const isBlank = (octet: number) => octet === 0x20 || octet === 0x09 || octet === CR || octet === LF;

function fromBase64(encoded: Uint8Array): Uint8Array | null {
  const characters = new Uint8Array(encoded.length);
  let at = 0;
  // Not `filter`, which takes seconds for a message as large as there may be.
  for (let i = 0; i < encoded.length; i++) {
    const octet = encoded[i] ?? 0;
    if (!isBlank(octet)) characters[at++] = octet;
  }
  return base64Bytes(characters.subarray(0, at));
}

/** @returns 0 to 15, or -1 for what is no hexadecimal digit. */
function digit(octet: number | undefined): number {
  if (octet === undefined) return -1;
  return "0123456789abcdef".indexOf(String.fromCharCode(octet).toLowerCase());
}

/** @returns how many octets the line end at `i` has: 2, 1, or 0 where there is none. */
function lineEnd(bytes: Uint8Array, i: number): number {
  if (bytes[i] === CR && bytes[i + 1] === LF) return 2;
  return bytes[i] === LF ? 1 : 0;
}

function fromQuotedPrintable(encoded: Uint8Array): Uint8Array | null {
  const bytes = new Uint8Array(encoded.length);
  let at = 0;
  for (let i = 0; i < encoded.length; i++) {
    if (encoded[i] !== EQUALS) {
      bytes[at++] = encoded[i] ?? 0;
      continue;
    }
    const soft = lineEnd(encoded, i + 1);
    const [high, low] = [digit(encoded[i + 1]), digit(encoded[i + 2])];
    if (soft > 0) i += soft;
    else if (i + 1 === encoded.length) break;
    else if (high < 0 || low < 0) return null;
    else {
      bytes[at++] = high * 16 + low;
      i += 2;
    }
  }
  return bytes.slice(0, at);
}

const DECODERS: Readonly<Record<string, (encoded: Uint8Array) => Uint8Array | null>> = {
  "7bit": (encoded) => encoded,
  "8bit": (encoded) => encoded,
  binary: (encoded) => encoded,
  "quoted-printable": fromQuotedPrintable,
  base64: fromBase64,
};

/** @returns whether the encoding leaves the octets as they are, as that of a multipart must (RFC 2045 §6.4). */
export function isIdentityEncoding(encoding: string | null): boolean {
  return encoding === null || ["7bit", "8bit", "binary"].includes(encoding.trim().toLowerCase());
}

/**
 * @param encoded a part's body without the line break before the boundary.
 * @param encoding the field's value; null where there is none, which is 7bit.
 * @returns the octets, line ends as they are; null for an unknown encoding, or one that is not valid.
 */
export function decodeTransfer(encoded: Uint8Array, encoding: string | null): Uint8Array | null {
  const name = (encoding ?? "7bit").trim().toLowerCase();
  return Object.hasOwn(DECODERS, name) ? (DECODERS[name]?.(encoded) ?? null) : null;
}
