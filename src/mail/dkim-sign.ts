import "./digest-names-in-workerd.ts";
import { finished } from "node:stream/promises";
import { type DkimHeaders, DkimSigner } from "mailauth/lib/dkim/dkim-signer.js";
import { HEADER } from "../identity/header-form.ts";

export type DkimAlgorithm = "rsa-sha256" | "ed25519-sha256";

export interface DkimSigningKey {
  /** `d=`, in A-labels. */
  domain: string;
  selector: string;
  algorithm: DkimAlgorithm;
  /** PKCS #8. */
  private_key_pem: string;
}

/** Signed once more often than they occur, so that none can be added later (RFC 6376 §8.15). */
const OVERSIGNED: readonly string[] = [
  ...["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "References", "In-Reply-To"],
  ...["MIME-Version", "Content-Type"],
  // FORMATS.md §2: nobody adds a claim or a disclosure to a message that was sent without.
  ...Object.values(HEADER),
];
/** A further one of ours, where present, is oversigned too. */
const IDENTITY_HEADER = /^x-(?:multimail|mm)-/;
/** Signed where present. */
const ALSO_SIGNED = ["Sender", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post"];

/**
 * mailauth signs each header that is present. It joins their names into `h=` as they are, so the names that must be signed once
 * more follow the last one: a verifier finds no further header for them and hashes nothing (RFC 6376 §5.4.2).
 */
class OversigningDkimSigner extends DkimSigner {
  from: string | null = null;

  override async messageHeaders(headers: DkimHeaders): Promise<void> {
    this.from = fromDomain(headers);
    const present = headers.parsed.filter((header) => IDENTITY_HEADER.test(header.key));
    const names = [...OVERSIGNED, ...present.map(({ casedKey }) => casedKey)];
    const oversigned = [...new Map(names.map((name) => [name.toLowerCase(), name])).values()];
    this.headerList = [...oversigned, ...ALSO_SIGNED].join(":");
    const signed = new Set(this.headerList.toLowerCase().split(":"));
    // `h=` names headers from the last to the first.
    const last = headers.parsed.find((header) => signed.has(header.key));
    if (last) last.casedKey = [last.casedKey, ...oversigned].join(": ");
    await super.messageHeaders(headers);
  }
}

/** The domain of the single From, which is composed by us and so ends in its address (RFC 5322 §3.6.2). */
function fromDomain(headers: DkimHeaders): string | null {
  const from = headers.parsed.filter((header) => header.key === "from");
  const line = from.length === 1 ? from[0]?.line.toString("latin1").replace(/\r?\n/g, "") : undefined;
  return /@([^\s@<>"]+?)>?\s*$/.exec(line ?? "")?.[1]?.toLowerCase() ?? null;
}

/** Relaxed alignment without a public suffix list: the same domain, or a parent that its owner gave us a key for. */
function isAligned(from: string, signing: string): boolean {
  return from === signing || from.endsWith(`.${signing}`);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * Signs a message (RFC 6376, RFC 8463): relaxed/relaxed, no `l=`, with From, Reply-To, To, Cc, Subject, Date, Message-ID,
 * References, In-Reply-To, MIME-Version, Content-Type and our identity headers oversigned.
 * @param keys one signature is made per key, in this order, whether or not the first suffices.
 * @returns the message with the signatures before it; with no keys, the message.
 * @throws Error if a key's domain is not the From domain's own or a parent of it, or if a key made no signature.
 */
export async function signDkim(raw: Uint8Array, keys: readonly DkimSigningKey[], signTime: Date): Promise<Uint8Array> {
  if (keys.length === 0) return raw;
  const signer = new OversigningDkimSigner({
    canonicalization: "relaxed/relaxed",
    signTime,
    strict: true,
    signatureData: keys.map((key) => ({
      signingDomain: key.domain,
      selector: key.selector,
      algorithm: key.algorithm,
      privateKey: key.private_key_pem,
    })),
  });
  signer.end(Buffer.from(raw));
  await finished(signer);
  const stranger = keys.find((key) => signer.from === null || !isAligned(signer.from, key.domain.toLowerCase()));
  if (stranger) throw new Error(`${stranger.domain} does not sign for a From of ${signer.from ?? "no single domain"}`);
  const [failed] = signer.errors;
  if (failed) {
    throw new Error(`DKIM signature by ${failed.selector}._domainkey.${failed.signingDomain} failed`, {
      cause: failed.err,
    });
  }
  if (signer.signatureHeaders.length !== keys.length) {
    throw new Error(`DKIM made ${signer.signatureHeaders.length} signatures with ${keys.length} keys`);
  }
  return concatenate([Buffer.from(signer.signatureHeaders.map((line) => `${line}\r\n`).join(""), "latin1"), raw]);
}
