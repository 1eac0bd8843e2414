import { createHmac, timingSafeEqual } from "node:crypto";
import { deriveKeys, type MasterKeys } from "../../store/secrets.ts";

/** Current MASTER_KEY first; then the previous one, for pages that were opened before it was changed. */
function secrets(master: MasterKeys, tokenHash: string, contentHash: string): [string, ...string[]] {
  const under = (key: Uint8Array) =>
    createHmac("sha256", key).update(`${tokenHash}\n${contentHash}`).digest("base64url");
  const [current, ...others] = deriveKeys(master, "csrf");
  return [under(current), ...others.map(under)];
}

/** @returns the form's secret: it holds for one link and for the content that was shown with it (HMAC-SHA256, base64url). */
export function csrfSecret(master: MasterKeys, tokenHash: string, contentHash: string): string {
  return secrets(master, tokenHash, contentHash)[0];
}

/** @returns whether a form's secret is the one for this link and content, in constant time for secrets of the same length. */
export function isCsrfSecret(given: string, master: MasterKeys, tokenHash: string, contentHash: string): boolean {
  return secrets(master, tokenHash, contentHash)
    .map((expected) => isSameSecret(given, expected))
    .includes(true);
}

function isSameSecret(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
