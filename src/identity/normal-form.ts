import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { toBase64url, utf8 } from "./encoding.ts";

/** FORMATS.md §1: the one form of what transports write in several ways. */

/** @returns a body with CRLF and CR as LF, without the LFs at its end. */
export function normalText(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n");
  let end = lines.length;
  // Counted, not matched: `/\n+$/` tries again at every line break of a run that does not end the text.
  while (end > 0 && lines.charCodeAt(end - 1) === 0x0a) end--;
  return lines.slice(0, end);
}

/** SHA-256 of `bytes`, 32 bytes. Platforms bring a faster one than the code that runs on all of them. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** @returns lower-case hex SHA-256. */
export function sha256Hex(bytes: Uint8Array, hashOf: Sha256 = sha256): string {
  return bytesToHex(hashOf(bytes));
}

/** @param text a body as it was decoded. @returns the SHA-256 of its normal form in UTF-8. */
export function textHash(text: string, hashOf: Sha256 = sha256): { hex: string; base64url: string } {
  const hash = hashOf(utf8(normalText(text)));
  return { hex: bytesToHex(hash), base64url: toBase64url(hash) };
}

/** @returns the addr-spec as addresses are compared: lower-case. */
export function comparable(address: string): string {
  return address.trim().toLowerCase();
}

/** @returns `YYYY-MM-DDTHH:MM:SSZ`: a Date field has whole seconds. */
export function wholeSeconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
