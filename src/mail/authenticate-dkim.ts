import "./digest-names-in-workerd.ts";
import type { DKIMResult } from "mailauth";
import { DkimVerifier, type ParsedHeaders } from "mailauth/lib/dkim/dkim-verifier.js";
import { getAlignment } from "mailauth/lib/tools.js";
import { domainOf } from "./address.ts";
import { comment } from "./authenticate-lookups.ts";
import type { AuthenticationCheck } from "./authentication-checks.ts";
import type { AuthenticationVerdicts, DkimSignatureVerdict, MailAddress } from "./message.ts";

/** DKIM (RFC 6376, 8301, 8463): which signatures of a message are valid, and what they vouch for. */

/** A message with more signatures than this is no mail but an attack on our processor. */
export const MAX_SIGNATURES_CHECKED = 10;
/** RFC 8301 §3.2. */
export const MIN_RSA_BITS = 1024;

/** Fields of which RFC 5322 §3.6 and RFC 2045 allow one. A signature covers the last of several, a reader sees the first. */
const SINGULAR_FIELDS = [
  "from",
  "sender",
  "reply-to",
  "to",
  "cc",
  "subject",
  "date",
  "message-id",
  "in-reply-to",
  "references",
  "content-type",
  "content-transfer-encoding",
];

export interface CheckedSignature {
  verdict: DkimSignatureVerdict;
  /** Whether it is valid and what a reader sees is what it signed; only then may DMARC rest on it. */
  vouches: boolean;
}

/** Leaves signatures beyond the first ten alone. */
export class BoundedDkimVerifier extends DkimVerifier {
  unchecked = 0;
  override async messageHeaders(headers: ParsedHeaders): Promise<void> {
    let seen = 0;
    const parsed = headers.parsed.map((row) => {
      if (row.key !== "dkim-signature" || ++seen <= MAX_SIGNATURES_CHECKED) return row;
      this.unchecked++;
      return { ...row, key: "x-unchecked-dkim-signature" };
    });
    await super.messageHeaders({ ...headers, parsed });
  }
}

/** What DKIM came to, and the one author it was judged for. */
export interface Signatures {
  checked: CheckedSignature[];
  dkim_signatures: DkimSignatureVerdict[];
  /** The domain of the one From mailbox, or null where there is not exactly one that everyone reads alike. */
  author: string | null;
  /** A field that occurs twice and may not. */
  repeated: string | undefined;
}

function judge(result: DKIMResult, from: string | null, repeated: string | undefined): CheckedSignature {
  const limited = result.canonBodyLengthLimited === true;
  const domain = result.signingDomain?.toLowerCase() || null;
  const ed25519 = result.algo?.toLowerCase().startsWith("ed25519") === true;
  const verdict: DkimSignatureVerdict = {
    result: result.status.result as DkimSignatureVerdict["result"],
    domain,
    selector: result.selector || null,
    algorithm: result.algo || null,
    key_bits: result.modulusLength ?? (ed25519 && result.publicKey ? 256 : null),
    body_length_limited: limited,
    aligned: from !== null && domain !== null && getAlignment(from, [domain]) !== false,
    comment: comment(result.status.comment),
  };
  if (result.status.policy?.["dkim-rules"] === "weak-key")
    verdict.comment = `RSA key of less than ${MIN_RSA_BITS} bits`;
  const valid = verdict.result === "pass";
  // RFC 8601 §2.7.1: signed, but some aspect of the signature is not acceptable to us.
  if (valid && limited) {
    verdict.result = "policy";
    verdict.comment = "l= leaves part of the body unsigned";
  } else if (valid && repeated !== undefined) {
    verdict.result = "policy";
    verdict.comment = `the header field ${repeated} occurs more than once`;
  }
  return { verdict, vouches: valid && repeated === undefined && !result.status.underSized };
}

/** What the aligned signatures come to, best first; a signature that is broken for good is a `fail`. */
const DKIM_RESULTS: [DkimSignatureVerdict["result"], string][] = [
  ["pass", "pass"],
  ["temperror", "temperror"],
  ["fail", "fail"],
  ["neutral", "fail"],
  ["permerror", "fail"],
  ["policy", "policy"],
];

/** The signature that speaks for the message, if one does. */
function decisive(verdicts: readonly DkimSignatureVerdict[]): [string, DkimSignatureVerdict] | null {
  for (const [result, overall] of DKIM_RESULTS) {
    const signature = verdicts.find((verdict) => verdict.aligned && verdict.result === result);
    if (signature) return [overall, signature];
  }
  return null;
}

type DkimVerdict = Pick<AuthenticationVerdicts, "dkim_result" | "dkim_domain" | "dkim_selector">;

/** @returns what the signatures come to together: of several the best that is aligned with the From domain. */
export function overallDkim({ dkim_signatures, author }: Pick<Signatures, "dkim_signatures" | "author">): DkimVerdict {
  const none = { dkim_result: "none", dkim_domain: null, dkim_selector: null };
  if (author === null) return dkim_signatures.length > 0 ? { ...none, dkim_result: "permerror" } : none;
  const [overall, signature] = decisive(dkim_signatures) ?? [];
  if (!signature || !overall) return none;
  return { dkim_result: overall, dkim_domain: signature.domain, dkim_selector: signature.selector };
}

function reasonFor({ dkim_signatures, author }: Signatures): string {
  if (dkim_signatures.length === 0) return "The message has no signature.";
  if (author === null) return "There is not exactly one From address that a signature could be aligned with.";
  const [, signature] = decisive(dkim_signatures) ?? [];
  if (signature?.result === "pass") {
    return `The signature of ${signature.domain} (selector ${signature.selector}, ${signature.algorithm}) is valid and aligned with the From domain ${author}.`;
  }
  if (signature)
    return `The signature of ${signature.domain} does not count: ${signature.comment ?? signature.result}.`;
  const valid = dkim_signatures.find(({ result }) => result === "pass");
  return valid
    ? `The signature of ${valid.domain} is valid, but that is not the From domain ${author} or aligned with it.`
    : `No signature is aligned with the From domain ${author}, and none is valid.`;
}

/** @returns the same with its reason. */
export function dkimCheck(signatures: Signatures): AuthenticationCheck {
  const { dkim_result, dkim_domain } = overallDkim(signatures);
  return { result: dkim_result, domain: dkim_domain, reason: comment(reasonFor(signatures)) as string };
}

/**
 * Judges the signatures of a message that `verifier` has read to its end.
 * @param from every mailbox of every From field, as it will be shown.
 */
export function judgeDkim(verifier: BoundedDkimVerifier, from: MailAddress[]): Signatures {
  const author = authorDomain(from, verifier);
  const rows = verifier.headers ? verifier.headers.parsed : [];
  const repeated = SINGULAR_FIELDS.find((field) => rows.filter((row) => row.key === field).length > 1);
  const checked = verifier.results
    .filter((result) => result.signingDomain !== undefined || result.status.result !== "none")
    .map((result) => judge(result, author, repeated));
  const dkim_signatures = checked.map((signature) => signature.verdict);
  if (verifier.unchecked > 0)
    dkim_signatures.push(notChecked(`${verifier.unchecked} more signatures were not checked`));
  return { checked, dkim_signatures, author, repeated };
}

/** @returns the verdict on signatures that nobody looked at. */
export function notChecked(reason: string): DkimSignatureVerdict {
  return {
    result: "permerror",
    domain: null,
    selector: null,
    algorithm: null,
    key_bits: null,
    body_length_limited: false,
    aligned: false,
    comment: reason,
  };
}

/** Two parsers read the From field, the one that shows it and mailauth's. Where they differ, nothing is aligned with it. */
function authorDomain(from: MailAddress[], verifier: DkimVerifier): string | null {
  const [shown] = from;
  const [read] = verifier.headerFrom;
  if (verifier.fromFields !== 1 || from.length !== 1 || verifier.headerFrom.length !== 1 || !shown || !read)
    return null;
  const domain = domainOf(shown.address);
  return domain && getAlignment(domain, [read.slice(read.lastIndexOf("@") + 1)], true) ? domain : null;
}
