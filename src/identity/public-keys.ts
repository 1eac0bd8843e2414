import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromBase64, fromJson, isObject, toBase64, toBase64url } from "./encoding.ts";
import type { PublicJwk, PublishedKey, TrustedKeys } from "./keys.ts";
import { pointOf } from "./signatures.ts";

/** Public keys as people hand them over: PEM, JWK, JWKS, the key document (FORMATS.md §3). */

/** Text that is no key that can verify. The message is for people; the hint says what to do, where something can be done. */
export class UnreadableKey extends Error {
  readonly hint: string | null;
  constructor(message: string, hint: string | null = null) {
    super(message);
    this.name = "UnreadableKey";
    this.hint = hint;
  }
}

/** Characters of text, and keys in it. */
export const KEY_LIMITS = { text: 64 * 1024, keys: 100 } as const;

/** SubjectPublicKeyInfo up to the key itself: id-ecPublicKey with prime256v1 (RFC 5480 §2.1.1), id-Ed25519 (RFC 8410 §4). */
const P256_PREFIX = [0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8].concat([
  ...[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3, 0x42, 0],
]);
const ED25519_PREFIX = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

const PUBLIC_HINT = "Give the public key; a private key belongs to nobody but its owner.";
const P256_HINT = "Identity keys are P-256 (prime256v1, ES256).";

function hasPrefix(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((octet, index) => bytes[index] === octet);
}

/** @returns the DER SubjectPublicKeyInfo (RFC 5480). @throws Error if the members are no point of the curve: check first. */
export function spkiOf(key: PublicJwk): Uint8Array {
  const point = pointOf(key);
  if (!point) throw new Error("The key is no point of P-256");
  return Uint8Array.from([...P256_PREFIX, ...point]);
}

/** @returns `SHA256:` and unpadded base64 of SHA-256(SPKI DER). @throws Error if the members are no point of the curve. */
export function fingerprintOf(key: PublicJwk): string {
  return `SHA256:${toBase64(sha256(spkiOf(key))).replace(/=+$/, "")}`;
}

/** @param key 32 bytes. @returns the fingerprint of an Ed25519 key: the same, over its SPKI DER (RFC 8410 §4). */
export function fingerprintOfEd25519(key: Uint8Array): string {
  return `SHA256:${toBase64(sha256(Uint8Array.from([...ED25519_PREFIX, ...key]))).replace(/=+$/, "")}`;
}

/** @returns SPKI PEM (RFC 7468 §13), lines in LF. @throws Error if the members are no point of the curve. */
export function publicKeyPem(key: PublicJwk): string {
  const lines = toBase64(spkiOf(key)).match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
}

/** @returns the key of a DER SubjectPublicKeyInfo. @throws {UnreadableKey} if it is not a P-256 key with an uncompressed point. */
export function jwkOfSpki(der: Uint8Array): PublicJwk {
  if (hasPrefix(der, ED25519_PREFIX)) throw new UnreadableKey("This is an Ed25519 key, not a P-256 key.", P256_HINT);
  if (der.length !== P256_PREFIX.length + 65 || !hasPrefix(der, P256_PREFIX)) {
    throw new UnreadableKey("This is not a P-256 public key with an uncompressed point.", P256_HINT);
  }
  const point = der.subarray(P256_PREFIX.length);
  const key = jwk(toBase64url(point.subarray(1, 33)), toBase64url(point.subarray(33)));
  if (point[0] !== 0x04 || !pointOf(key)) throw new UnreadableKey("The key is not a point of the curve P-256.");
  return key;
}

function jwk(x: string, y: string): PublicJwk {
  return { kty: "EC", crv: "P-256", x, y };
}

/** Headings of PEM blocks that are not what is asked for (RFC 7468), with what to say. */
const OTHER_PEM: readonly (readonly [RegExp, string, string])[] = [
  [/PRIVATE KEY/, "This is a private key.", PUBLIC_HINT],
  [/CERTIFICATE/, "This is a certificate.", "Take the key out of it: openssl x509 -in cert.pem -noout -pubkey"],
  [/SSH2?/, "This is an SSH key.", "Convert it: ssh-keygen -e -m PKCS8 -f key.pub"],
  [/^RSA/, "This is an RSA key.", P256_HINT],
];

/** @returns the DER of each `PUBLIC KEY` block. */
function pemBlocks(text: string): Uint8Array[] {
  const headings = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,40})-----/g)].map(([, heading = ""]) => heading);
  for (const heading of headings) {
    const other = OTHER_PEM.find(([pattern]) => pattern.test(heading));
    if (other) throw new UnreadableKey(other[1], other[2]);
  }
  const bodies = [...text.matchAll(/-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----/g)];
  if (bodies.length === 0) throw new UnreadableKey("There is no whole PUBLIC KEY block in this PEM text.");
  return bodies.map(([, body = ""]) => {
    const der = fromBase64(body.replace(/\s+/g, ""));
    if (!der) throw new UnreadableKey("The PEM block is not valid base64.");
    return der;
  });
}

/** ISO 8601 in UTC, as the key document writes it; null and absence are the same. */
function time(member: Record<string, unknown>, name: "not_before" | "retired_at" | "revoked_at"): string | null {
  const value = member[name] ?? null;
  if (value === null) return null;
  if (
    typeof value !== "string" ||
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(value) ||
    !Date.parse(value)
  ) {
    throw new UnreadableKey(`The key's ${name} is not a time.`);
  }
  return value;
}

/** @returns the key of a JWK (RFC 7517), with its life where it says one. */
function jwkMember(member: Record<string, unknown>): PublishedKey {
  const { kty, crv, x, y, kid = null } = member;
  if ("d" in member || kty === "oct") throw new UnreadableKey("This JWK is a private key.", PUBLIC_HINT);
  if (kty === undefined) throw new UnreadableKey("This JSON is no key: it has no kty.");
  if (kty !== "EC" || crv !== "P-256") throw new UnreadableKey("This JWK is not a P-256 key.", P256_HINT);
  if (typeof x !== "string" || typeof y !== "string") throw new UnreadableKey("The JWK's x and y must be strings.");
  if (kid !== null && (typeof kid !== "string" || kid.length > 200)) {
    throw new UnreadableKey("The JWK's kid must be a short string.");
  }
  if (!pointOf({ x, y })) throw new UnreadableKey("The JWK's x and y are not a point of the curve P-256.");
  return {
    ...jwk(x, y),
    kid,
    not_before: time(member, "not_before"),
    retired_at: time(member, "retired_at"),
    revoked_at: time(member, "revoked_at"),
  };
}

/** @returns the P-256 keys of a set (RFC 7517 §5 lets readers pass over other kinds). */
function keySet(keys: readonly unknown[]): PublishedKey[] {
  if (keys.length > KEY_LIMITS.keys) throw new UnreadableKey(`The set has more than ${KEY_LIMITS.keys} keys.`);
  const members = keys.map((member) => {
    if (!isObject(member)) throw new UnreadableKey("The set has something in it that is no key.");
    return member;
  });
  const privateKey = members.find((member) => "d" in member);
  if (privateKey) throw new UnreadableKey("The set has a private key in it.", PUBLIC_HINT);
  const ours = members.filter(({ kty, crv }) => kty === "EC" && crv === "P-256");
  if (ours.length === 0) throw new UnreadableKey("The set has no P-256 key.", P256_HINT);
  return ours.map(jwkMember);
}

function jsonOf(text: string): Record<string, unknown> {
  const value = fromJson(text);
  if (value === undefined) throw new UnreadableKey("This looks like JSON but cannot be read as JSON.");
  if (!isObject(value)) throw new UnreadableKey("This JSON is a list, not a key.", 'A key set is {"keys": […]}.');
  return value;
}

function domainsOf(document: Record<string, unknown>): string[] | null {
  const { domains = null } = document;
  if (domains === null) return null;
  if (!Array.isArray(domains) || !domains.every((domain) => typeof domain === "string" && domain.length <= 255)) {
    throw new UnreadableKey("The key document's domains must be a list of names.");
  }
  return domains.map((domain: string) => domain.toLowerCase());
}

/**
 * Reads what a reader of mail was given to verify with.
 * @param text one or more SPKI PEM blocks, a JWK, a JWKS, or a key document (FORMATS.md §3).
 * @returns its keys; `tenant_id` and `domains` where it is a key document, else null.
 * @throws {UnreadableKey} for anything else: a private key, another curve, a point off the curve, more than 64 KiB.
 */
export function readTrustedKeys(text: string): TrustedKeys {
  if (text.length > KEY_LIMITS.text) throw new UnreadableKey("This is larger than 64 KiB, and no key.");
  const trimmed = text.replace(/^\uFEFF/, "").trim();
  if (trimmed.includes("-----BEGIN ")) {
    const lifeless = { kid: null, not_before: null, retired_at: null, revoked_at: null };
    const p256 = pemBlocks(trimmed).map((der) => ({ ...jwkOfSpki(der), ...lifeless }));
    return { tenant_id: null, p256, ed25519: [], domains: null };
  }
  if (!/^[{[]/.test(trimmed)) {
    throw new UnreadableKey("This is no key.", "A key is SPKI PEM, a JWK, a JWKS or a key document.");
  }
  const document = jsonOf(trimmed);
  const { keys, tenant_id = null } = document;
  if (keys !== undefined && !Array.isArray(keys)) throw new UnreadableKey("The member keys must be a list.");
  if (tenant_id !== null && typeof tenant_id !== "string") throw new UnreadableKey("The tenant_id must be a string.");
  const p256 = keys === undefined ? [jwkMember(document)] : keySet(keys);
  return { tenant_id, p256, ed25519: [], domains: domainsOf(document) };
}

/**
 * @param text as for `readTrustedKeys`. @returns its keys alone. @throws {UnreadableKey} as `readTrustedKeys`.
 */
export function readPublicKey(text: string): PublishedKey[] {
  return [...readTrustedKeys(text).p256];
}

function ed25519Der(text: string): Uint8Array | null {
  if (text.includes("-----BEGIN ")) return pemBlocks(text)[0] ?? null;
  if (!text.startsWith("{")) return fromBase64(text.replace(/\s+/g, ""));
  const { public_key_der } = jsonOf(text);
  return typeof public_key_der === "string" ? fromBase64(public_key_der) : null;
}

/**
 * Reads a domain's Ed25519 key.
 * @param text SPKI PEM, base64 of the SPKI DER, the answer `{"public_key_der": …}`, or base64 of the 32 bytes (RFC 8463 §4).
 * @returns 32 bytes.
 * @throws {UnreadableKey} for anything else.
 */
export function readEd25519(text: string): Uint8Array {
  if (text.length > KEY_LIMITS.text) throw new UnreadableKey("This is larger than 64 KiB, and no key.");
  const der = ed25519Der(text.trim());
  const isSpki = der?.length === ED25519_PREFIX.length + 32 && hasPrefix(der, ED25519_PREFIX);
  const key = isSpki ? der.slice(ED25519_PREFIX.length) : der;
  if (key?.length !== 32 || !ed25519.utils.isValidPublicKey(key)) {
    throw new UnreadableKey("This is not an Ed25519 public key.", "Give SPKI PEM, or base64 of the key.");
  }
  return key;
}
