import type { Claim } from "./claim.ts";
import { readCompact, verifyCompact } from "./compact-form.ts";
import type { Fields } from "./covered-fields.ts";
import type { CoveredMessage } from "./covered-message.ts";
import { readDomain, verifyDomain } from "./domain-form.ts";
import { type Fault, HEADER, type HeaderName, type Read, type VerifyingKey } from "./header-form.ts";
import { readIdentitySig, verifyIdentitySig } from "./identity-sig-form.ts";
import type { KeyJudgement } from "./key-life.ts";
import type { TrustedKeys } from "./keys.ts";
import { type MessageSignatureForm, readMessageSignature, verifyMessageSignature } from "./message-signature.ts";
import type { MessageParts } from "./mime-leaves.ts";
import { textHash } from "./normal-form.ts";
import type { HeaderForm, HeaderVerdict } from "./verdict.ts";

/** Each header form of a message, read and verified by itself. What they say together is judged elsewhere. */

/** What a form says; what it has no word for is undefined, what it says is not there is null. */
export interface Said {
  agent_id: string;
  oversight_mode: string;
  tenant_id?: string;
  approval_ref: string | null;
  email_id?: string;
}

/** One form, judged. */
export interface Finding {
  verdict: HeaderVerdict;
  /** Null where it cannot be read. */
  said: Said | null;
}

/** All that was found. */
export interface Findings {
  all: Finding[];
  /** The compact form's payload as it was found; null where there is none that can be read. */
  payload: Record<string, unknown> | null;
  /** Null where there is no compact form, or it is no claim. */
  claim: Claim | null;
  /** Null where it cannot be read. */
  signature: MessageSignatureForm | null;
  /** Whether the domain-bound form lacks what binds it to the message. */
  unbound: boolean;
}

/** A message as the forms are judged over it. */
export interface Judged {
  fields: Fields;
  parts: MessageParts;
  covered: Read<CoveredMessage>;
  keys: TrustedKeys | null;
}

function verdictOn(form: HeaderForm, header: HeaderName, judgement: KeyJudgement): HeaderVerdict {
  const { key, fault } = judgement;
  const nobody: VerifyingKey = { kid: null, fingerprint: null };
  if (fault) return { form, header, valid: false, ...fault, ...nobody };
  return { form, header, valid: true, reason: null, detail: "The signature holds.", ...key };
}

function refuse(fault: Fault): KeyJudgement {
  return { key: null, fault };
}

const REPEATED: Fault = { reason: "repeated", detail: "The header is there more than once." };
const BODY_CHANGED: Fault = { reason: "body_changed", detail: "The text is not the one that was signed." };

type Compact = Pick<Findings, "payload" | "claim"> & { finding: Finding };

function judgeCompact(value: string, { parts, keys }: Judged): Compact {
  const form = readCompact(value);
  const { claim, payload, fault } = form;
  const judge = (): KeyJudgement => {
    if (!claim || fault) return refuse(fault ?? REPEATED);
    const judgement = verifyCompact({ ...form, claim }, keys?.p256 ?? null);
    if (judgement.fault) return judgement;
    if (parts.unreadable) return refuse(parts.unreadable);
    return textHash(parts.text ?? "").base64url === claim.body_hash ? judgement : refuse(BODY_CHANGED);
  };
  return { payload, claim, finding: { verdict: verdictOn("compact", HEADER.identity, judge()), said: claim } };
}

type Domain = Pick<Findings, "unbound"> & { finding: Finding };

function judgeDomain(value: string, { parts, covered, keys }: Judged): Domain {
  const form = readDomain(value);
  const judge = (): KeyJudgement => {
    if (form.fault) return refuse(form.fault);
    const fault = parts.unreadable ?? covered.fault;
    // What is not bound to the message can be judged without it.
    if (fault && form.value.msig) return refuse(fault);
    const bound = { message_id: covered.value?.message_id ?? "", body_hash: textHash(parts.text ?? "").base64url };
    return verifyDomain(form.value, bound, keys?.ed25519 ?? null);
  };
  const verdict = verdictOn("domain", HEADER.identity, judge());
  return { unbound: form.value?.msig === null, finding: { verdict, said: form.value } };
}

function judgeIdentitySig(value: string, { parts, covered, keys }: Judged): Finding {
  const form = readIdentitySig(value);
  const judge = (): KeyJudgement => {
    const fault = form.fault ?? parts.unreadable ?? covered.fault;
    if (fault || !form.value || !covered.value) return refuse(fault ?? REPEATED);
    return verifyIdentitySig(form.value, textHash(parts.text ?? "").hex, covered.value.date, keys?.p256 ?? null);
  };
  return { verdict: verdictOn("identity_sig", HEADER.identity_sig, judge()), said: form.value };
}

function judgeSignature({ fields, parts, covered, keys }: Judged): Pick<Findings, "signature"> & { finding: Finding } {
  const form = readMessageSignature((name) => fields.only(name));
  const judge = (): KeyJudgement => {
    const fault = form.fault ?? parts.unreadable ?? covered.fault;
    if (fault || !form.value || !covered.value) return refuse(fault ?? REPEATED);
    return verifyMessageSignature(form.value, covered.value, keys?.p256 ?? null);
  };
  const verdict = verdictOn("message_signature", HEADER.signature, judge());
  return { signature: form.value, finding: { verdict, said: form.value } };
}

/** The forms of `X-MultiMail-Identity` differ in their first character that is not of base64url (FORMATS.md §2.2). */
function isDomainForm(value: string): boolean {
  return /^[A-Za-z0-9_-]*=/.test(value);
}

/** @returns every form that the message has, judged; a header that is there twice is judged as such. */
export function judgeForms(judged: Judged): Findings {
  const { fields } = judged;
  const found: Findings = { all: [], payload: null, claim: null, signature: null, unbound: false };
  const repeated = (form: HeaderForm, header: HeaderName): Finding => ({
    verdict: verdictOn(form, header, refuse(REPEATED)),
    said: null,
  });
  const [identity, twice] = fields.values(HEADER.identity);
  if (identity !== undefined && twice !== undefined) {
    found.all.push(repeated(isDomainForm(identity) ? "domain" : "compact", HEADER.identity));
  } else if (identity !== undefined && isDomainForm(identity)) {
    const { finding, unbound } = judgeDomain(identity, judged);
    found.all.push(finding);
    found.unbound = unbound;
  } else if (identity !== undefined) {
    const { finding, payload, claim } = judgeCompact(identity, judged);
    found.all.push(finding);
    Object.assign(found, { payload, claim });
  }
  const [identitySig, sigTwice] = fields.values(HEADER.identity_sig);
  if (sigTwice !== undefined) found.all.push(repeated("identity_sig", HEADER.identity_sig));
  else if (identitySig !== undefined) found.all.push(judgeIdentitySig(identitySig, judged));
  const signatures = fields.values(HEADER.signature).length;
  if (signatures > 1) found.all.push(repeated("message_signature", HEADER.signature));
  else if (signatures === 1) {
    const { finding, signature } = judgeSignature(judged);
    found.all.push(finding);
    found.signature = signature;
  }
  return found;
}
