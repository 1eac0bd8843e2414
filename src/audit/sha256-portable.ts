import { sha256 as digest } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** What sha256.ts is, for browsers. */

/** @returns the 32 bytes of the hash. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return digest(bytes);
}

/** @returns the hash in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return bytesToHex(digest(bytes));
}
