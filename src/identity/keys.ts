/** Keys as the identity formats use them (FORMATS.md §3). */

/** A P-256 private key, by what it does. The platform brings it: `node:crypto` in the worker. */
export interface SigningKey {
  kid: string;
  /** @returns the ECDSA signature with SHA-256 over `bytes`, DER (RFC 3279 §2.2.3). */
  sign(bytes: Uint8Array): Uint8Array;
}

/** A domain's Ed25519 DKIM key, by what it does. */
export interface DomainSigningKey {
  /** @returns the 64-byte signature (RFC 8032). */
  sign(bytes: Uint8Array): Uint8Array;
}

/** A P-256 public key (RFC 7517, RFC 7518 §6.2.1). */
export interface PublicJwk {
  kty: "EC";
  crv: "P-256";
  x: string;
  y: string;
}

/** A published key. Times are ISO 8601; a key from elsewhere (a file, a TXT record) may have no life and no kid. */
export interface PublishedKey extends PublicJwk {
  kid: string | null;
  not_before: string | null;
  retired_at: string | null;
  revoked_at: string | null;
}

/** What a verifier trusts for a message: keys that it found without asking the message. */
export interface TrustedKeys {
  /** Whose they are; null where the reader did not say. */
  tenant_id: string | null;
  p256: readonly PublishedKey[];
  /** Ed25519 keys of From's domain, raw 32 bytes, for the domain-bound form. */
  ed25519: readonly Uint8Array[];
  /** The domains that the tenant may write from, lower-case A-labels; null where whoever gave the keys vouches for From's domain. */
  domains: readonly string[] | null;
}

/** The key document (FORMATS.md §3): the active key at the top, all of them in `keys`. */
export interface KeyDocument extends PublicJwk {
  kid: string;
  alg: "ES256";
  use: "sig";
  tenant_id: string;
  fingerprint: string;
  /** The tenant's verified domains. */
  domains: string[];
  keys: (PublicJwk & {
    kid: string;
    alg: "ES256";
    use: "sig";
    not_before: string;
    retired_at: string | null;
    revoked_at: string | null;
  })[];
}
