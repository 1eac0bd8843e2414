import { createHash } from "node:crypto";
import { canonical } from "../../src/canonical-json.ts";
import type { Claim } from "../../src/identity/claim.ts";
import { disclosureHeader, identityHeaders, type WrittenIdentity } from "../../src/identity/identity-headers.ts";
import type { SigningKey } from "../../src/identity/keys.ts";
import { fingerprintOf } from "../../src/identity/public-keys.ts";
import { makeReceipt, type Receipt } from "../../src/identity/receipt.ts";
import type { HeaderForm } from "../../src/identity/verdict.ts";
import { randomBytes } from "../../src/ids.ts";
import type { DkimSigningKey } from "../../src/mail/dkim-sign.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { stricter } from "../../src/oversight/modes.ts";
import { domainSigningKeyOf, openIdentityKey } from "../../src/store/identity-keys.ts";
import type { SealedIdentityKey } from "../tenant-rpc.ts";
import type { MailboxBase } from "./base.ts";
import type { IdentityBasis, OutboundRecord, SentIdentity } from "./message-record.ts";
import { type Message, outboundOf } from "./messages.ts";

/** How an attempt of a delivery is signed with its agent's identity (FORMATS.md §2), and what is kept of it. */

/** What one attempt writes into the message, and what is kept once somebody has it. */
export interface AttemptIdentity {
  /** The message's Date. */
  date: Date;
  /** To be written first, byte for byte. */
  headers: [name: string, value: string][];
  /** Null where the mailbox does not sign, or nothing leaves. */
  signed: SentIdentity | null;
  /** Every signature by its form, for the audit log. */
  signature_values: Record<string, string>;
  /** Null where nothing is signed, or the receipt is kept already. */
  receipt: Receipt | null;
}

export interface SigningInput {
  content: MessageContent;
  identityKey: SealedIdentityKey;
  dkimKeys: readonly DkimSigningKey[];
  /** The newest checkpoint of the tenant's audit log, for the receipt. */
  checkpoint: string;
  /** Whether the transport leaves our bytes alone. */
  preserves_bytes: boolean;
}

/** @returns which forms a delivery writes. Nothing of a test key's message, which never leaves: its signature would be a real one. */
export function formsWritten(
  box: MailboxBase,
  { test, forward }: Pick<OutboundRecord, "test" | "forward">,
  preservesBytes: boolean,
): HeaderForm[] {
  const { identity_signing, identity_format } = box.settings();
  // No agent speaks in what others wrote, nor in what a person has passed on by itself.
  if (!identity_signing || test || forward?.form === "redirected" || forward?.standing) return [];
  // The domain's signature covers a Message-ID, and so does the message's own: a transport that writes another leaves both out.
  return preservesBytes ? [identity_format, "identity_sig", "message_signature"] : ["compact", "identity_sig"];
}

/**
 * Signs for one attempt. What somebody has already is not signed anew: all recipients of a message have one Date and one claim,
 * unless its key was rotated meanwhile, or the message was taken back and decided anew.
 */
export function identityOfAttempt(box: MailboxBase, message: Message, input: SigningInput): AttemptIdentity {
  const outbound = outboundOf(message);
  const isSigned = formsWritten(box, outbound, input.preserves_bytes).length > 0;
  const kept = isSigned ? (outbound.identity ?? null) : null;
  const now = new Date(box.now());
  const date = outbound.dated_at && (kept || !isSigned) ? new Date(outbound.dated_at) : now;
  if (!isSigned) {
    const headers = disclosureHeader(outbound.ai_disclosure);
    return { date, headers, signed: null, signature_values: {}, receipt: null };
  }
  if (kept && kept.kid === input.identityKey.kid && canonical(kept.basis) === canonical(basisOf(box, message))) {
    return { date, headers: kept.headers, signed: kept, signature_values: {}, receipt: null };
  }
  return signAnew(box, message, input, now);
}

function signAnew(box: MailboxBase, message: Message, input: SigningInput, date: Date): AttemptIdentity {
  const { content, identityKey, dkimKeys, preserves_bytes } = input;
  const { identity_format } = box.settings();
  const { key, fingerprint } = opened(box, identityKey);
  const written = identityHeaders({
    ...claimed(box, message, identityKey, date),
    covered: covered(message, content, date),
    key,
    sha256: (bytes) => createHash("sha256").update(bytes).digest(),
    domain_key: identity_format === "domain" ? domainSigningKeyOf(dkimKeys) : null,
    preserves_bytes,
  });
  const receipt = makeReceipt(
    {
      claim: written.claim,
      signature_header: signatureHeader(written),
      verified: true,
      key_fingerprint: fingerprint,
      issued_at: date.toISOString(),
      issuer: box.environment().PUBLIC_URL,
      checkpoint: input.checkpoint,
    },
    key,
  );
  const signed: SentIdentity = { kid: key.kid, basis: basisOf(box, message), headers: written.headers };
  return { date, headers: written.headers, signed, signature_values: written.signature_values, receipt };
}

interface OpenedKey {
  key: SigningKey;
  fingerprint: string;
}

/** The key that each mailbox signed with last, so that it is not opened for every message. Lost with the instance. */
const OPENED = new WeakMap<MailboxBase, OpenedKey>();

function opened(box: MailboxBase, sealed: SealedIdentityKey): OpenedKey {
  const known = OPENED.get(box);
  if (known?.key.kid === sealed.kid) return known;
  const fresh = { key: openIdentityKey(box.environment(), sealed), fingerprint: fingerprintOf(sealed.public_jwk) };
  OPENED.set(box, fresh);
  return fresh;
}

function signatureHeader({ headers }: WrittenIdentity): string {
  const found = headers.find(([name]) => name === "X-MultiMail-Identity");
  if (!found) throw new Error("a signed message has no X-MultiMail-Identity");
  return found[1];
}

/**
 * In which mode it leaves, and who allowed it as it is now. Nothing rests on a decision that is void: it leaves by what mode and
 * rules say now, or it would have been taken back. So does what nobody decided on, but it is never said to have had more rope than
 * the mode gave that let it go.
 */
function standing(
  box: MailboxBase,
  message: Message,
): Pick<Claim, "oversight_mode" | "approval_ref" | "approval_kind"> {
  const { mode, decision } = message.record;
  if (decision && !decision.void) {
    return { oversight_mode: mode, approval_ref: decision.approval_ref, approval_kind: decision.kind };
  }
  const now = box.verdictNow(message);
  const { ref = null, kind = null } = (decision ? now : outboundOf(message).verdict).approval ?? {};
  return { oversight_mode: decision ? now.mode : stricter(mode, now.mode), approval_ref: ref, approval_kind: kind };
}

function basisOf(box: MailboxBase, message: Message): IdentityBasis {
  const { oversight_mode, approval_ref } = standing(box, message);
  return { content_hash: outboundOf(message).content_hash, oversight_mode, approval_ref };
}

/** What the message says of who wrote it. A key with no agent is its own agent, as in the audit log. */
function claimed(box: MailboxBase, message: Message, { tenant_id }: SealedIdentityKey, date: Date) {
  const outbound = outboundOf(message);
  const { author } = outbound;
  return {
    claim: {
      agent_id: author.agent_id ?? author.key_id,
      model_id: outbound.model_id,
      model_provider: outbound.model_provider,
      tenant_id,
      ai_disclosure: outbound.ai_disclosure,
      mailbox: box.settings().address,
      sent_at: date.toISOString(),
      nonce: Buffer.from(randomBytes(12)).toString("base64url"),
      email_id: message.id,
      ...standing(box, message),
    },
    key_id: author.key_id,
    key_is_bound: outbound.key_is_bound === true,
  };
}

/** What a recipient reads of it, as the composer writes it. */
function covered({ rfc_message_id }: Message, content: MessageContent, date: Date) {
  return {
    from: content.from.address,
    recipients: [...content.to, ...content.cc].map(({ address }) => address),
    date,
    message_id: rfc_message_id ?? "",
    subject: content.subject,
    // A message without any body has an empty text.
    text: content.text ?? (content.html === null ? "" : null),
    html: content.html,
    attachments_sha256: content.attachments.map(({ sha256 }) => sha256),
  };
}

/** Somebody has it: what it was signed with stays. Inside `commit`. */
export function keepIdentity(box: MailboxBase, message: Message, { date, signed, receipt }: AttemptIdentity): void {
  const outbound = outboundOf(message);
  outbound.dated_at = date.toISOString();
  if (signed) outbound.identity = signed;
  else delete outbound.identity;
  if (receipt) box.messages.saveReceipt(message.seq, receipt);
}
