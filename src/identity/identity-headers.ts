import type { Claim } from "./claim.ts";
import { writeCompact } from "./compact-form.ts";
import type { CoveredMessage } from "./covered-message.ts";
import { writeDomain } from "./domain-form.ts";
import { HEADER, isOurId, MAX_LINE } from "./header-form.ts";
import { writeIdentitySig } from "./identity-sig-form.ts";
import type { DomainSigningKey, SigningKey } from "./keys.ts";
import { claimHeaders, writeMessageSignature } from "./message-signature.ts";
import { comparable, type Sha256, textHash } from "./normal-form.ts";

/** FORMATS.md §2: every identity header of one message, made at delivery. */

export interface IdentityInput {
  /** What is claimed. The hash of the text and the key's id are found here. */
  claim: Omit<Claim, "body_hash" | "kid">;
  /** The API credential that submitted the message. */
  key_id: string;
  /** Whether that credential is bound to the claim's agent. */
  key_is_bound: boolean;
  covered: CoveredMessage;
  key: SigningKey;
  /** The platform's SHA-256; left out, the one that runs everywhere. */
  sha256?: Sha256;
  /** The domain's key, where `X-MultiMail-Identity` shall have the domain-bound form; null for the compact form. */
  domain_key: DomainSigningKey | null;
  /**
   * Whether the transport leaves our bytes alone. One that writes its own Message-ID and Date leaves nothing that could be signed
   * for the message: `X-MultiMail-Signature` is left out, and the compact form stands in for the domain-bound one.
   */
  preserves_bytes: boolean;
}

export interface WrittenIdentity {
  /** To be written in this order, byte for byte, never folded. */
  headers: [name: string, value: string][];
  /** The claim of the compact form, whether or not that form stands in a header. */
  claim: Claim;
  /** Every signature that stands in a header, by form, in the spelling of its header. */
  signature_values: Record<string, string>;
  kid: string;
}

/** @returns `X-AI-Generated: true` exactly when it is disclosed (FORMATS.md §2.5), also where nothing is signed. */
export function disclosureHeader(aiDisclosure: boolean): [name: string, value: string][] {
  return aiDisclosure ? [[HEADER.disclosure, "true"]] : [];
}

/** What the composer writes: a message without any body has an empty text. */
function asComposed(message: CoveredMessage): CoveredMessage {
  return message.text === null && message.html === null ? { ...message, text: "" } : message;
}

/** Refuses what would make a header that readers cannot verify: mistakes of ours. */
function checkInput({ claim, key_id, covered }: IdentityInput): void {
  if (!isOurId(key_id)) throw new Error("The key's id is not what it may be");
  if (comparable(claim.mailbox) !== comparable(covered.from)) throw new Error("The claim's mailbox is not the sender");
  if (!/^<[\x21-\x3b\x3d\x3f-\x7e]+>$/.test(covered.message_id)) throw new Error("The message has no Message-ID");
  if (!covered.attachments_sha256.every((hash) => /^[0-9a-f]{64}$/.test(hash))) {
    throw new Error("An attachment's hash is not hex");
  }
}

function checkLines(headers: readonly [string, string][]): void {
  for (const [name, value] of headers) {
    if (name.length + 2 + value.length > MAX_LINE)
      throw new Error(`The header ${name} is longer than ${MAX_LINE} octets`);
  }
}

/**
 * Signs a message.
 * @returns its identity headers in a fixed order: the forms that carry a claim, what is claimed in the clear, the signature over
 *   the message, the disclosure.
 * @throws Error for a value outside FORMATS.md §1: such values are refused where they are accepted, so it is a mistake of ours.
 */
export function identityHeaders(input: IdentityInput): WrittenIdentity {
  checkInput(input);
  const { key, key_id, key_is_bound } = input;
  const covered = asComposed(input.covered);
  const body = textHash(covered.text ?? "", input.sha256);
  const claim: Claim = { ...input.claim, kid: key.kid, body_hash: body.base64url };
  const compact = writeCompact(claim, key);
  const domainKey = input.preserves_bytes ? input.domain_key : null;
  const bound = { message_id: covered.message_id, body_hash: claim.body_hash };
  const domain = domainKey && writeDomain(claim, bound, domainKey);
  const identitySig = writeIdentitySig(claim, body.hex, key);
  const fields = { ...claim, key_id, key_is_bound };
  const signature = input.preserves_bytes ? writeMessageSignature(fields, covered, key, input.sha256) : null;
  const headers: [string, string][] = [
    [HEADER.identity, domain ? domain.value : compact.value],
    [HEADER.identity_sig, identitySig.value],
    ...claimHeaders(fields),
    ...(signature === null ? [] : [[HEADER.signature, signature] as [string, string]]),
    ...disclosureHeader(claim.ai_disclosure),
  ];
  checkLines(headers);
  return {
    headers,
    claim,
    signature_values: {
      ...(domain ? { domain: domain.sig, domain_message: domain.msig } : { compact: compact.signature }),
      identity_sig: identitySig.sig,
      ...(identitySig.approval_sig !== null && { identity_sig_approval: identitySig.approval_sig }),
      ...(signature !== null && { message_signature: signature }),
    },
    kid: key.kid,
  };
}
