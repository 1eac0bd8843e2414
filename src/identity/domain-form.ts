import { MODES, type Mode } from "../oversight/modes.ts";
import { CLAIM_LIMITS } from "./claim.ts";
import { fromBase64, toBase64, utf8 } from "./encoding.ts";
import { HEADER, isOurId, type Read, read, readFields, unread } from "./header-form.ts";
import type { KeyJudgement } from "./key-life.ts";
import type { DomainSigningKey } from "./keys.ts";
import { fingerprintOfEd25519 } from "./public-keys.ts";
import { verifyEd25519 } from "./signatures.ts";

/** FORMATS.md §2.2: signed by the domain's own Ed25519 key. `sig` binds agent and mode to the domain, `msig` to the message. */

export interface DomainFields {
  agent_id: string;
  oversight_mode: Mode;
  approval_ref: string | null;
}

/** What `msig` binds the fields to. */
export interface BoundMessage {
  /** With angle brackets. */
  message_id: string;
  /** base64url SHA-256 of *text*. */
  body_hash: string;
}

export interface DomainForm extends DomainFields {
  sig: Uint8Array;
  /** Null where the header has none: it may be a copy from another message. */
  msig: Uint8Array | null;
}

/** Ed25519 keys tried for one signature. */
const MAX_TRIED = 16;

function domainText({ agent_id, oversight_mode }: DomainFields): string {
  return `${agent_id}:${oversight_mode}`;
}

function messageText(fields: DomainFields, { message_id, body_hash }: BoundMessage): string {
  return `${domainText(fields)}:${fields.approval_ref ?? "-"}:${message_id}:${body_hash}`;
}

/** @returns the header's value and its two signatures, base64. The fields are a claim's: checked already. */
export function writeDomain(
  fields: DomainFields,
  message: BoundMessage,
  key: DomainSigningKey,
): { value: string; sig: string; msig: string } {
  const sig = toBase64(key.sign(utf8(domainText(fields))));
  const msig = toBase64(key.sign(utf8(messageText(fields, message))));
  const approval = fields.approval_ref === null ? "" : `; approval_ref=${fields.approval_ref}`;
  const value = `agent_id=${fields.agent_id}; oversight=${fields.oversight_mode}${approval}; sig=${sig}; msig=${msig}`;
  return { value, sig, msig };
}

/** @returns what the header's value says. */
export function readDomain(value: string): Read<DomainForm> {
  const fields = readFields(HEADER.identity, value, ["agent_id", "oversight", "approval_ref?", "sig", "msig?"]);
  if (fields.fault) return fields;
  const of = (name: string) => fields.value.get(name);
  const agent_id = of("agent_id") ?? "";
  const oversight_mode = MODES.find((mode) => mode === of("oversight"));
  const approval_ref = of("approval_ref") ?? null;
  const sig = fromBase64(of("sig") ?? "");
  const msig = of("msig") === undefined ? null : fromBase64(of("msig") ?? "");
  const isWhole = sig?.length === 64 && (of("msig") === undefined || msig?.length === 64);
  if (!sig || !isWhole || !oversight_mode || !CLAIM_LIMITS.agent_id.test(agent_id)) {
    return unread("malformed", `${HEADER.identity} cannot be read.`);
  }
  if (approval_ref !== null && !isOurId(approval_ref)) return unread("malformed", "The approval is no id.");
  return read({ agent_id, oversight_mode, approval_ref, sig, msig });
}

/**
 * Whether the signatures hold: `sig`, and `msig` where there is one.
 * @param keys of From's domain, 32 bytes each; null where the reader has none.
 */
export function verifyDomain(
  form: DomainForm,
  message: BoundMessage,
  keys: readonly Uint8Array[] | null,
): KeyJudgement {
  if (!keys?.length) {
    return { key: null, fault: { reason: "key_unknown", detail: "The domain's Ed25519 key is not known." } };
  }
  const { sig, msig } = form;
  const key = keys.slice(0, MAX_TRIED).find((candidate) => verifyEd25519(candidate, sig, utf8(domainText(form))));
  if (!key)
    return { key: null, fault: { reason: "signature_invalid", detail: "The domain's signature does not hold." } };
  if (msig && !verifyEd25519(key, msig, utf8(messageText(form, message)))) {
    const detail = "The domain's signature over this message does not hold.";
    return { key: null, fault: { reason: "signature_invalid", detail } };
  }
  return { key: { kid: null, fingerprint: fingerprintOfEd25519(key) }, fault: null };
}
