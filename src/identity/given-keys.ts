import type { TrustedKeys } from "./keys.ts";
import { readEd25519, readTrustedKeys, UnreadableKey } from "./public-keys.ts";

/** Keys that a reader hands over as one text: the sender's P-256 keys, and the Ed25519 key of the sender's domain beside them. */

const PEM_BLOCK = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]*-----END PUBLIC KEY-----/g;

/** @returns 32 bytes, or null if the block holds another kind of key. */
function ed25519Of(block: string): Uint8Array | null {
  try {
    return readEd25519(block);
  } catch (error) {
    if (error instanceof UnreadableKey) return null;
    throw error;
  }
}

/**
 * Reads all of them.
 * @param text as for `readTrustedKeys`; PEM blocks of Ed25519 keys may stand between P-256 ones.
 * @throws {UnreadableKey} as `readTrustedKeys`, also where there is no P-256 key: every verified message has a signature by one.
 */
export function readGivenKeys(text: string): TrustedKeys {
  const found = [...text.matchAll(PEM_BLOCK)].map(([block]) => ({ block, key: ed25519Of(block) }));
  const others = found.filter(({ key }) => key === null);
  if (others.length === 0 || others.length === found.length) return readTrustedKeys(text);
  const ed25519 = found.flatMap(({ key }) => key ?? []).filter((key) => key !== null);
  return { ...readTrustedKeys(others.map(({ block }) => block).join("\n")), ed25519 };
}
