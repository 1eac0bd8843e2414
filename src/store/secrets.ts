import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { type RandomBytes, randomBytes } from "../ids.ts";

/** Secrets at rest: AES-256-GCM under keys derived from MASTER_KEY by HKDF-SHA256, one per purpose. Synchronous (node:crypto). */

export type SecretPurpose =
  | "dkim-key"
  | "data-key"
  | "log-key"
  | "identity-key"
  | "csrf"
  | "approval-code"
  | "key-id"
  | "bounce-address"
  | "unsubscribe";

/** What every key here is derived from, 32 bytes in base64 each. The worker's `Env` is one. */
export interface MasterKeys {
  MASTER_KEY: string;
  /** The other key while MASTER_KEY is being changed (docs/keys.md). It opens; nothing is sealed under it. */
  MASTER_KEY_PREVIOUS?: string | undefined;
}

/** The keys of one purpose: the first seals, each opens. */
export type SecretKeys = readonly [current: Uint8Array, ...others: Uint8Array[]];

const KEY_BYTES = 32;

function bytesOf(text: string | undefined): Uint8Array | null {
  const bytes = Buffer.from(text ?? "", "base64");
  return bytes.length === KEY_BYTES ? bytes : null;
}

/** The current key, then the previous one if there is one. */
function masterKeyBytes({ MASTER_KEY, MASTER_KEY_PREVIOUS }: MasterKeys): [Uint8Array, ...Uint8Array[]] {
  const current = bytesOf(MASTER_KEY);
  if (!current) {
    throw new Error("MASTER_KEY must be 32 random bytes in base64. Make one with: openssl rand -base64 32");
  }
  if (MASTER_KEY_PREVIOUS === undefined) return [current];
  const previous = bytesOf(MASTER_KEY_PREVIOUS);
  if (previous) return [current, previous];
  throw new Error(
    "MASTER_KEY_PREVIOUS must be the other MASTER_KEY, 32 bytes in base64, or not be set at all. Remove it with: wrangler secret delete MASTER_KEY_PREVIOUS",
  );
}

/** @throws Error if MASTER_KEY is missing, or either key is not 32 base64 bytes; the message says what to do. */
export function checkMasterKeys(master: MasterKeys): void {
  masterKeyBytes(master);
}

/** @returns the 32-byte keys for one purpose. @throws Error as `checkMasterKeys`. */
export function deriveKeys(master: MasterKeys, purpose: SecretPurpose): SecretKeys {
  const derive = (key: Uint8Array) => new Uint8Array(hkdfSync("sha256", key, "", `multimail/${purpose}/v1`, KEY_BYTES));
  const [current, ...others] = masterKeyBytes(master);
  return [derive(current), ...others.map(derive)];
}

/** @returns a name of the current MASTER_KEY that gives nothing of it away: 16 hex digits. */
export function masterKeyId(master: MasterKeys): string {
  return Buffer.from(deriveKeys(master, "key-id")[0]).toString("hex").slice(0, 16);
}

/** AES-256-GCM. `iv` is 12 bytes and `ct` ends with the 16-byte tag, both base64. */
export interface Sealed {
  iv: string;
  ct: string;
}

/** Encrypts `plaintext` under the current key, bound to `context`. */
export function seal(
  [current]: SecretKeys,
  context: string,
  plaintext: Uint8Array,
  random: RandomBytes = randomBytes,
): Sealed {
  const iv = random(12);
  const cipher = createCipheriv("aes-256-gcm", current, iv);
  cipher.setAAD(Buffer.from(context));
  const ct = Buffer.concat([cipher.update(Buffer.from(plaintext)), cipher.final(), cipher.getAuthTag()]);
  return { iv: Buffer.from(iv).toString("base64"), ct: ct.toString("base64") };
}

function openUnder(key: Uint8Array, context: string, sealed: Sealed): Uint8Array {
  const bytes = Buffer.from(sealed.ct, "base64");
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(sealed.iv, "base64"));
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(bytes.length - 16));
  return new Uint8Array(Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - 16)), decipher.final()]));
}

/** Tries the keys in their order. @throws what the current key failed with, if all fail. */
function openByAny(keys: SecretKeys, context: string, sealed: Sealed): { plaintext: Uint8Array; by: Uint8Array } {
  const failures: unknown[] = [];
  for (const key of keys) {
    try {
      return { plaintext: openUnder(key, context, sealed), by: key };
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0];
}

/** Decrypts what `seal` made under any of the keys. @throws Error if no key fits, or the context or a byte is another. */
export function open(keys: SecretKeys, context: string, sealed: Sealed): Uint8Array {
  return openByAny(keys, context, sealed).plaintext;
}

/**
 * Brings what was sealed under another of the keys under the current one.
 * @returns it, or null if it is under the current key already. @throws Error as `open`.
 */
export function reseal(
  keys: SecretKeys,
  context: string,
  sealed: Sealed,
  random: RandomBytes = randomBytes,
): Sealed | null {
  const { plaintext, by } = openByAny(keys, context, sealed);
  return by === keys[0] ? null : seal(keys, context, plaintext, random);
}
