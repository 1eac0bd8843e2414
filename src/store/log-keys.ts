import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { deriveKeys, type MasterKeys, open, reseal, type Sealed, type SecretKeys, seal } from "./secrets.ts";

/** The Ed25519 key that signs a log's checkpoints (FORMATS.md §6): made and sealed, and opened for signing. Synchronous. */

export interface NewLogKey {
  /** 32 bytes. */
  public_key: Uint8Array;
  /** The private half, sealed and bound to the log, as JSON. */
  sealed: string;
}

/** Makes a key and seals its private half. */
export function newLogKey(master: MasterKeys, log: string): NewLogKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { x } = publicKey.export({ format: "jwk" });
  if (x === undefined) throw new Error("the key that was made is of another curve");
  const der = privateKey.export({ type: "pkcs8", format: "der" });
  const sealed = JSON.stringify(seal(deriveKeys(master, "log-key"), log, der));
  return { public_key: new Uint8Array(Buffer.from(x, "base64url")), sealed };
}

/**
 * @param publicKey what the key must be the private half of.
 * @returns what signs with it. @throws Error if neither MASTER_KEY opens it, or it is another log's.
 */
export function openLogKey(
  master: MasterKeys,
  log: string,
  sealed: string,
  publicKey: Uint8Array,
): (message: Uint8Array) => Uint8Array {
  const der = open(deriveKeys(master, "log-key"), log, JSON.parse(sealed) as Sealed);
  const key = createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
  const { x } = createPublicKey(key).export({ format: "jwk" });
  if (x !== Buffer.from(publicKey).toString("base64url"))
    throw new Error(`the halves of ${log}'s key do not belong together`);
  return (message) => new Uint8Array(sign(null, message, key));
}

/**
 * Brings a sealed key under the current MASTER_KEY.
 * @param keys those of the purpose `log-key`.
 * @returns what is to be stored, or null if it is under the current one already. @throws Error as `openLogKey`.
 */
export function resealLogKey(keys: SecretKeys, log: string, sealed: string): string | null {
  const moved = reseal(keys, log, JSON.parse(sealed) as Sealed);
  return moved && JSON.stringify(moved);
}
