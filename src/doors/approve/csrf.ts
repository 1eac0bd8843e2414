import { createHmac, timingSafeEqual } from "node:crypto";
import { deriveKey } from "../../store/secrets.ts";

/** @returns the form's secret: it holds for one link and for the content that was shown with it (HMAC-SHA256, base64url). */
export function csrfSecret(masterKey: string, tokenHash: string, contentHash: string): string {
  return createHmac("sha256", deriveKey(masterKey, "csrf")).update(`${tokenHash}\n${contentHash}`).digest("base64url");
}

/** @returns whether the form's secret is the expected one, in constant time for secrets of the same length. */
export function isSameSecret(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
