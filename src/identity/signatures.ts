import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { fromBase64url } from "./encoding.ts";
import type { PublicJwk } from "./keys.ts";

/** ECDSA on P-256 with SHA-256 (FIPS 186-5) and Ed25519 (RFC 8032), as FORMATS.md §1 spells them. */

const SCALAR = 32;

/** One DER INTEGER at `start` as 32 bytes; null if it is negative, not minimal or too large (X.690 §8.3, §10.1). */
function scalarAt(der: Uint8Array, start: number): { scalar: Uint8Array; end: number } | null {
  const length = der[start + 1] ?? 0;
  const end = start + 2 + length;
  const digits = der.subarray(start + 2, end);
  const [first = 0, second = 0] = digits;
  if (der[start] !== 0x02 || length === 0 || length > SCALAR + 1 || digits.length !== length) return null;
  if (first >= 0x80 || (first === 0 && length > 1 && second < 0x80)) return null;
  const significant = length > SCALAR ? digits.subarray(1) : digits;
  if (length > SCALAR && first !== 0) return null;
  const scalar = new Uint8Array(SCALAR);
  scalar.set(significant, SCALAR - significant.length);
  return { scalar, end };
}

/** @returns r ‖ s, 64 bytes, of an ECDSA signature in DER (RFC 3279 §2.2.3); null if it is not strictly that. */
export function rawOfDer(der: Uint8Array): Uint8Array | null {
  if (der[0] !== 0x30 || der[1] !== der.length - 2 || der.length > 72) return null;
  const r = scalarAt(der, 2);
  const s = r && scalarAt(der, r.end);
  if (!r || !s || s.end !== der.length) return null;
  const raw = new Uint8Array(2 * SCALAR);
  raw.set(r.scalar);
  raw.set(s.scalar, SCALAR);
  return raw;
}

/** @returns the point 0x04 ‖ x ‖ y (SEC 1 §2.3.3); null if the members are no point of P-256. */
export function pointOf(key: Pick<PublicJwk, "x" | "y">): Uint8Array | null {
  const x = fromBase64url(key.x);
  const y = fromBase64url(key.y);
  if (x?.length !== SCALAR || y?.length !== SCALAR) return null;
  const point = new Uint8Array(1 + 2 * SCALAR);
  point[0] = 0x04;
  point.set(x, 1);
  point.set(y, 1 + SCALAR);
  return p256.utils.isValidPublicKey(point, false) ? point : null;
}

/** @returns whether `der` is the key's signature over the SHA-256 of `bytes`; both signs of s are taken. */
export function verifyP256(key: PublicJwk, der: Uint8Array, bytes: Uint8Array): boolean {
  const raw = rawOfDer(der);
  const point = pointOf(key);
  return raw !== null && point !== null && p256.verify(raw, bytes, point, { lowS: false, format: "compact" });
}

/** @param key 32 bytes. @returns whether `signature` is the key's over `bytes` (RFC 8032 §5.1.7). */
export function verifyEd25519(key: Uint8Array, signature: Uint8Array, bytes: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  return ed25519.verify(signature, bytes, key, { zip215: false });
}
