import { createPublicKey, generateKeyPairSync } from "node:crypto";
import type { PublicJwk } from "../identity/keys.ts";
import { identityTxtRecord } from "../identity/txt-record.ts";
import { type RandomBytes, randomBytes } from "../ids.ts";
import type { DkimAlgorithm } from "./dkim-sign.ts";

export interface DkimKey {
  selector: string;
  algorithm: DkimAlgorithm;
  /** PKCS #8. */
  private_key_pem: string;
  /** The value of `p=`: SPKI for RSA (RFC 6376 §3.6.1), the raw 32 bytes for Ed25519 (RFC 8463 §4). */
  public_key_base64: string;
}

/** What a domain's owner has to publish. */
export interface DnsRecord {
  type: "TXT" | "MX";
  /** Fully qualified, without the final dot. */
  name: string;
  /** One value. A TXT value over 255 octets is published as several strings, which readers join. */
  value: string;
  purpose: "dkim" | "spf" | "dmarc" | "inbound" | "identity";
  required: boolean;
}

const RSA_BITS = 2048;

/** @returns the base64 of `p=` for a private key. */
export function dkimPublicKey(privateKeyPem: string, algorithm: DkimAlgorithm): string {
  const key = createPublicKey(privateKeyPem);
  if (algorithm === "rsa-sha256") return key.export({ type: "spki", format: "der" }).toString("base64");
  // The key is the last 32 bytes of its SPKI (RFC 8410 §4).
  return key.export({ type: "spki", format: "der" }).subarray(-32).toString("base64");
}

function newKey(selector: string, algorithm: DkimAlgorithm): DkimKey {
  const { privateKey } =
    algorithm === "rsa-sha256"
      ? generateKeyPairSync("rsa", { modulusLength: RSA_BITS })
      : generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { selector, algorithm, private_key_pem: pem, public_key_base64: dkimPublicKey(pem, algorithm) };
}

const SELECTOR_ENDS: Readonly<Record<DkimAlgorithm, string>> = { "rsa-sha256": "r", "ed25519-sha256": "e" };

/**
 * Makes a domain's keys, by default two: RSA-2048, which every receiver can check, and Ed25519.
 * @param random for the selectors, which differ each time, so that a rotation never reuses a name that resolvers have cached.
 */
export function generateDkimKeys(
  algorithms: readonly DkimAlgorithm[] = ["rsa-sha256", "ed25519-sha256"],
  random: RandomBytes = randomBytes,
): DkimKey[] {
  const suffix = Buffer.from(random(4)).toString("hex");
  return algorithms.map((algorithm) => newKey(`mm${suffix}${SELECTOR_ENDS[algorithm]}`, algorithm));
}

/** @returns the record of one key (RFC 6376 §3.6.1). Required for RSA only: not every receiver checks Ed25519. */
export function dkimDnsRecord(domain: string, key: Omit<DkimKey, "private_key_pem">): DnsRecord {
  const type = key.algorithm === "rsa-sha256" ? "rsa" : "ed25519";
  return {
    type: "TXT",
    name: `${key.selector}._domainkey.${domain}`,
    value: `v=DKIM1; k=${type}; p=${key.public_key_base64}`,
    purpose: "dkim",
    required: type === "rsa",
  };
}

/** @returns the record by which anyone verifies a tenant's mail without asking this service (FORMATS.md §3). */
export function identityDnsRecord(
  domain: string,
  { kid, public_jwk }: { kid: string; public_jwk: PublicJwk },
): DnsRecord {
  return {
    type: "TXT",
    name: `_multimail.${domain}`,
    value: identityTxtRecord({ ...public_jwk, kid }),
    purpose: "identity",
    required: false,
  };
}

/** @returns a TXT value as the strings it is published as, each at most 255 octets (RFC 1035 §3.3). */
export function txtStrings(value: string): string[] {
  return value.match(/[\s\S]{1,255}/g) ?? [""];
}
