import * as crypto from "node:crypto";

/**
 * SHA-256 (FIPS 180-4) by the platform. Bundles for browsers, which have none that answers at once, take sha256-portable.ts in
 * place of this file (clients/typescript/build.js).
 */

/** One call in place of three: Node has it from 20.12 on. */
const oneShot = crypto.hash as typeof crypto.hash | undefined;

function digest(bytes: Uint8Array, encoding: "binary" | "hex"): string {
  return oneShot ? oneShot("sha256", bytes, encoding) : crypto.createHash("sha256").update(bytes).digest(encoding);
}

/** @returns the 32 bytes of the hash. */
export function sha256(bytes: Uint8Array): Uint8Array {
  // A string of octets and a small array cost a third of a Buffer, and a log of a million entries has two million hashes.
  const octets = digest(bytes, "binary");
  const hash = new Uint8Array(32);
  for (let at = 0; at < 32; at++) hash[at] = octets.charCodeAt(at);
  return hash;
}

/** @returns the hash in lower-case hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return digest(bytes, "hex");
}
