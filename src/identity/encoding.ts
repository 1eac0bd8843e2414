/** Bytes as text and back, strictly: what has two spellings is refused, so that nobody can rewrite a header that still reads. */

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < BASE64.length; i++) VALUES[BASE64.charCodeAt(i)] = i;

const encoder = new TextEncoder();

/** @returns `text` in UTF-8; a lone surrogate becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** @returns standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const characters = [18, 12, 6, 0].map((shift) => BASE64.charAt((group >> shift) & 63)).join("");
    const left = bytes.length - i;
    text += left >= 3 ? characters : characters.slice(0, left + 1).padEnd(4, "=");
  }
  return text;
}

/** @returns base64url without padding (RFC 4648 §5, RFC 7515 §2). */
export function toBase64url(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/**
 * Reads standard base64 (RFC 4648 §4).
 * @param encoded ASCII codes of nothing but the alphabet and the padding.
 * @returns the bytes; null unless it is their one canonical spelling: padded, no other characters, the unused bits zero (§3.5).
 */
export function base64Bytes(encoded: Uint8Array): Uint8Array | null {
  const length = encoded.length;
  if (length % 4 !== 0) return null;
  const padding = length > 0 && encoded[length - 1] === 0x3d ? (encoded[length - 2] === 0x3d ? 2 : 1) : 0;
  const bytes = new Uint8Array((length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < length - padding; i++) {
    const value = VALUES[encoded[i] ?? 0] ?? -1;
    if (value < 0) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 0xff;
  }
  return (bits & ((1 << held) - 1)) === 0 ? bytes : null;
}

/** @returns the bytes of standard base64 with its padding; null unless it is their one canonical spelling. */
export function fromBase64(text: string): Uint8Array | null {
  return /^[\x20-\x7e]*$/.test(text) ? base64Bytes(utf8(text)) : null;
}

/** @returns the bytes of base64url without padding; null unless it is their one canonical spelling. */
export function fromBase64url(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return null;
  const standard = text.replace(/-/g, "+").replace(/_/g, "/");
  return fromBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, "="));
}

/** @returns `text` of UTF-8 bytes; null if they are none. A byte order mark stays a character. */
export function fromUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    // What the decoder throws for bytes that are not UTF-8 (Encoding Standard, `decode`).
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** @returns what `text` says as JSON; undefined if it is none. */
export function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** @returns whether `value` is a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
