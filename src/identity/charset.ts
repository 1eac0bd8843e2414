/**
 * Character sets that every reader decodes alike. Not among them: those in which ASCII octets can mean other characters (UTF-7,
 * UTF-16, ISO-2022, HZ, Shift_JIS), for then a new label alone would change what people read, and the signed text would stay.
 */

interface Charset {
  /** The decoder's label; null where each octet is the character of its number. */
  label: string | null;
  /** Whether an octet may occur. */
  allows: (octet: number) => boolean;
}

const sevenBit = (octet: number) => octet < 0x80;
/** ISO 8859 has controls where Windows has letters, and many readers take the one for the other. */
const withoutC1 = (octet: number) => octet < 0x80 || octet > 0x9f;
const any = () => true;

const CHARSETS: Readonly<Record<string, Charset>> = {
  "us-ascii": { label: null, allows: sevenBit },
  ascii: { label: null, allows: sevenBit },
  "utf-8": { label: "utf-8", allows: any },
  utf8: { label: "utf-8", allows: any },
  "iso-8859-1": { label: null, allows: withoutC1 },
  "windows-1252": { label: null, allows: withoutC1 },
  "iso-8859-2": { label: "iso-8859-2", allows: withoutC1 },
  "iso-8859-15": { label: "iso-8859-15", allows: withoutC1 },
  "windows-1250": { label: "windows-1250", allows: any },
  "windows-1251": { label: "windows-1251", allows: any },
  "koi8-r": { label: "koi8-r", allows: any },
};

const CHUNK = 8192;

/** @returns each octet as the character of its number. */
export function octetText(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += CHUNK) text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  return text;
}

/** @returns whether text of that charset can be read; null is US-ASCII (RFC 2045 §5.2). */
export function isReadCharset(charset: string | null): boolean {
  return Object.hasOwn(CHARSETS, (charset ?? "us-ascii").toLowerCase());
}

/**
 * @param charset as it is written; null where none is.
 * @returns the text, a byte order mark kept; null where readers may differ, or the octets are none of that character set.
 */
export function decodeCharset(bytes: Uint8Array, charset: string | null): string | null {
  const found = isReadCharset(charset) ? CHARSETS[(charset ?? "us-ascii").toLowerCase()] : undefined;
  if (!found?.label) return found && bytes.every(found.allows) ? octetText(bytes) : null;
  if (!bytes.every(found.allows)) return null;
  try {
    return new TextDecoder(found.label, { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    // TypeError: octets that are none of the encoding. RangeError: a platform without it.
    if (error instanceof TypeError || error instanceof RangeError) return null;
    throw error;
  }
}
