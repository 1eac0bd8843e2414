import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { type RandomBytes, randomBytes } from "../ids.ts";

/** Secrets at rest: AES-256-GCM under keys derived from MASTER_KEY by HKDF-SHA256, one per purpose. Synchronous (node:crypto). */

export type SecretPurpose = "dkim-key" | "data-key" | "csrf" | "approval-code";

/** @throws Error if MASTER_KEY is missing or not 32 base64 bytes; the message says how to make one. */
export function masterKeyBytes(masterKey: string | undefined): Uint8Array {
  const bytes = Buffer.from(masterKey ?? "", "base64");
  if (bytes.length !== 32) {
    throw new Error("MASTER_KEY must be 32 random bytes in base64. Make one with: openssl rand -base64 32");
  }
  return bytes;
}

/** @returns the 32-byte key for one purpose. */
export function deriveKey(masterKey: string | undefined, purpose: SecretPurpose): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", masterKeyBytes(masterKey), "", `multimail/${purpose}/v1`, 32));
}

/** AES-256-GCM. `iv` is 12 bytes and `ct` ends with the 16-byte tag, both base64. */
export interface Sealed {
  iv: string;
  ct: string;
}

/** Encrypts `plaintext`, bound to `context`. */
export function seal(
  key: Uint8Array,
  context: string,
  plaintext: Uint8Array,
  random: RandomBytes = randomBytes,
): Sealed {
  const iv = random(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(Buffer.from(context));
  const ct = Buffer.concat([cipher.update(Buffer.from(plaintext)), cipher.final(), cipher.getAuthTag()]);
  return { iv: Buffer.from(iv).toString("base64"), ct: ct.toString("base64") };
}

/** Decrypts what `seal` made. @throws Error if the key, the context or a byte is another. */
export function open(key: Uint8Array, context: string, sealed: Sealed): Uint8Array {
  const bytes = Buffer.from(sealed.ct, "base64");
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(sealed.iv, "base64"));
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(bytes.length - 16));
  return new Uint8Array(Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - 16)), decipher.final()]));
}
