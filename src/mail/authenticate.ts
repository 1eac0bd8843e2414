import "./digest-names-in-workerd.ts";
import { pipeline } from "node:stream/promises";
import type { DKIMResult } from "mailauth";
import { arc } from "mailauth/lib/arc/index.js";
import { DkimVerifier, type ParsedHeaders } from "mailauth/lib/dkim/dkim-verifier.js";
import { evaluateDmarc } from "mailauth/lib/dmarc/index.js";
import { spf } from "mailauth/lib/spf/index.js";
import { getAlignment } from "mailauth/lib/tools.js";
import { domainOf } from "./address.ts";
import { DnsError, type Resolver, withLookupLimit } from "./dns-over-https.ts";
import type { AuthenticationVerdicts, DkimSignatureVerdict, MailAddress } from "./message.ts";
import type { SmtpClient } from "./received-line.ts";

/** DKIM (RFC 6376, 8301, 8463), SPF (RFC 7208), DMARC (RFC 9989) and ARC (RFC 8617) of an arriving message. */

export interface AuthenticationInput {
  /** The message exactly as it arrived. A stream is read to its end and never held whole. */
  raw: Uint8Array | ReadableStream<Uint8Array>;
  /** The envelope's sender; empty for the null reverse-path. */
  envelope_from: string;
  /** The SMTP client, as our own server noted it; null where that is not known. */
  client: SmtpClient | null;
  /** Every mailbox of every From field, as it will be shown. */
  from: MailAddress[];
  /** Our host name; it appears in comments. */
  mta: string;
  /** Milliseconds since the epoch, for the expiry of signatures. Now, if left out. */
  now?: number;
}

/** A message with more signatures than this is no mail but an attack on our processor. */
export const MAX_SIGNATURES_CHECKED = 10;
/** RFC 8301 §3.2. */
const MIN_RSA_BITS = 1024;
/** A larger header section is not authenticated: mailauth joins folded lines in quadratic time. */
export const MAX_HEADER_OCTETS = 512 * 1024;
const MAX_HEADER_LINES = 20_000;
/** Ceilings on look-ups per message; beyond them verdicts are `temperror`. */
const KEY_LOOKUPS = 20;
const SPF_LOOKUPS = 60;
const DMARC_LOOKUPS = 40;
const SPF_MILLISECONDS = 20_000;
/** Large enough that a body of one endless line is not rescanned for every small chunk. */
const CHUNK_OCTETS = 4 * 1024 * 1024;

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

interface CheckedSignature {
  verdict: DkimSignatureVerdict;
  /** Whether it is valid and what a reader sees is what it signed; only then may DMARC rest on it. */
  vouches: boolean;
}

class BoundedDkimVerifier extends DkimVerifier {
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

/** DKIM and ARC canonicalise CRLF lines; a bare LF is taken as one, wherever the chunks are cut. */
async function* crlfChunks(raw: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let last = 0;
  for await (const chunk of raw) {
    let bare = 0;
    for (let i = 0, before = last; i < chunk.length; i++) {
      if (chunk[i] === 10 && before !== 13) bare++;
      before = chunk[i] as number;
    }
    const out = Buffer.alloc(chunk.length + bare);
    let at = 0;
    for (const octet of chunk) {
      if (octet === 10 && last !== 13) out[at++] = 13;
      out[at++] = octet;
      last = octet;
    }
    yield out;
  }
}

/** The stream of the message broke off: no verdict, since another attempt may read it whole. */
class RawUnreadable extends Error {}

async function* chunksOf(raw: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* raw as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new RawUnreadable("the message could not be read to its end", { cause });
  }
}

async function* inLargeChunks(raw: Uint8Array | ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (raw instanceof Uint8Array) {
    for (let at = 0; at < raw.length; at += CHUNK_OCTETS) yield raw.subarray(at, at + CHUNK_OCTETS);
    return;
  }
  let held: Uint8Array[] = [];
  let octets = 0;
  for await (const chunk of chunksOf(raw)) {
    held.push(chunk);
    octets += chunk.length;
    if (octets < CHUNK_OCTETS) continue;
    yield Buffer.concat(held);
    held = [];
    octets = 0;
  }
  if (octets > 0) yield Buffer.concat(held);
}

/** @returns whether the header section at the start of `chunk` is small enough to be worth authenticating. */
function hasModestHeader(chunk: Buffer): boolean {
  const found = chunk.subarray(0, 2).equals(Buffer.from("\r\n")) ? 0 : chunk.indexOf("\r\n\r\n");
  const end = found < 0 ? chunk.length : found;
  if (end > MAX_HEADER_OCTETS) return false;
  let lines = 0;
  for (let i = 0; i < end; i++) if (chunk[i] === 10) lines++;
  return lines <= MAX_HEADER_LINES;
}

class HeaderTooLarge extends Error {}

async function* modest(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let first = true;
  for await (const chunk of chunks) {
    if (first && !hasModestHeader(chunk)) throw new HeaderTooLarge("the header section is too large to be verified");
    first = false;
    yield chunk;
  }
}

/** @returns `text` as one short line. */
function comment(text: string | undefined): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced.
  return text === undefined ? null : text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").slice(0, 300);
}

function isBreakdown(error: unknown): boolean {
  return !(error instanceof Error && "code" in error && ["ENOTFOUND", "ENODATA"].includes(String(error.code)));
}

/** Remembers which names could not be looked up, since mailauth's ARC result does not tell. */
function noting(resolver: Resolver, brokenNames: Set<string>): Resolver {
  const ask = async (domain: string, rrtype: string) => {
    try {
      return await resolver(domain, rrtype);
    } catch (error) {
      if (isBreakdown(error)) brokenNames.add(domain.toLowerCase());
      throw error instanceof Error ? error : new DnsError("ESERVFAIL", rrtype, domain, error);
    }
  };
  return ask as Resolver;
}

/**
 * Answers that a name that nobody can ask for does not exist, as is true. A breakdown it is not: whoever writes one into a
 * signature or envelope would turn the `fail` that DMARC would give into a `temperror`.
 */
function withoutBadNames(resolver: Resolver): Resolver {
  const ask = async (domain: string, rrtype: string) => {
    try {
      return await resolver(domain, rrtype);
    } catch (error) {
      if (error instanceof DnsError && error.code === "EBADNAME") {
        throw new DnsError("ENOTFOUND", rrtype, domain, error);
      }
      throw error;
    }
  };
  return ask as Resolver;
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

function overallDkim(verdicts: DkimSignatureVerdict[], singleFrom: boolean) {
  const none = { dkim_result: "none", dkim_domain: null, dkim_selector: null };
  if (!singleFrom) return verdicts.length > 0 ? { ...none, dkim_result: "permerror" } : none;
  for (const [result, overall] of DKIM_RESULTS) {
    const signature = verdicts.find((verdict) => verdict.aligned && verdict.result === result);
    if (signature) return { dkim_result: overall, dkim_domain: signature.domain, dkim_selector: signature.selector };
  }
  return none;
}

async function judgeArc(verifier: DkimVerifier, resolver: Resolver, brokenNames: Set<string>): Promise<string> {
  const result = await arc(verifier.arc, { resolver, minBitLength: MIN_RSA_BITS, strict: true });
  const chain = Array.isArray(verifier.arc.chain) ? verifier.arc.chain : [];
  const keyNames = chain.flatMap((set) =>
    [set["arc-seal"], set["arc-message-signature"]].map((signature) =>
      `${signature?.parsed?.s?.value}._domainkey.${signature?.parsed?.d?.value}`.toLowerCase(),
    ),
  );
  if (result.status.result === "fail" && keyNames.some((name) => brokenNames.has(name))) return "temperror";
  return result.status.result;
}

interface Signatures {
  checked: CheckedSignature[];
  dkim_signatures: DkimSignatureVerdict[];
  arc_result: string;
  /** The domain of the one From mailbox, or null where there is not exactly one that everyone reads alike. */
  author: string | null;
}

async function judgeSignatures(input: AuthenticationInput, resolver: Resolver): Promise<Signatures> {
  const brokenNames = new Set<string>();
  const asking = noting(withLookupLimit(resolver, KEY_LOOKUPS), brokenNames);
  const verifier = new BoundedDkimVerifier({
    resolver: asking,
    sender: input.envelope_from,
    minBitLength: MIN_RSA_BITS,
    strict: true,
    ...(input.now === undefined ? {} : { curTime: new Date(input.now) }),
  });
  await pipeline(modest(crlfChunks(inLargeChunks(input.raw))), verifier);
  const author = authorDomain(input.from, verifier);
  const rows = verifier.headers ? verifier.headers.parsed : [];
  const repeated = SINGULAR_FIELDS.find((field) => rows.filter((row) => row.key === field).length > 1);
  const checked = verifier.results
    .filter((result) => result.signingDomain !== undefined || result.status.result !== "none")
    .map((result) => judge(result, author, repeated));
  const dkim_signatures = checked.map((signature) => signature.verdict);
  if (verifier.unchecked > 0)
    dkim_signatures.push(notChecked(`${verifier.unchecked} more signatures were not checked`));
  return { checked, dkim_signatures, arc_result: await judgeArc(verifier, asking, brokenNames), author };
}

function notChecked(reason: string): DkimSignatureVerdict {
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

type SpfVerdict = Pick<AuthenticationVerdicts, "spf_result" | "spf_domain" | "spf_comment">;

async function judgeSpf(input: AuthenticationInput, resolver: Resolver): Promise<SpfVerdict> {
  if (input.client === null) {
    return {
      spf_result: "none",
      spf_domain: null,
      spf_comment: "no Received line of our own mail server names the client's address",
    };
  }
  try {
    const result = await spf({
      sender: input.envelope_from,
      ip: input.client.ip,
      helo: input.client.helo,
      mta: input.mta,
      resolver: withLookupLimit(resolver, SPF_LOOKUPS),
      strict: true,
      maxElapsedTime: SPF_MILLISECONDS,
    });
    const { status } = result;
    return { spf_result: status.result, spf_domain: comment(result.domain), spf_comment: comment(status.comment) };
  } catch (error) {
    return { spf_result: "temperror", spf_domain: null, spf_comment: comment(String(error)) };
  }
}

type DmarcVerdict = Pick<AuthenticationVerdicts, "dmarc_result" | "dmarc_policy">;

async function judgeDmarc(signatures: Signatures, spfVerdict: SpfVerdict, resolver: Resolver): Promise<DmarcVerdict> {
  const { author } = signatures;
  if (author === null) return { dmarc_result: "permerror", dmarc_policy: null };
  const spfDomain = spfVerdict.spf_domain ?? "";
  const { response } = await evaluateDmarc({
    headerFrom: [author],
    fromFields: 1,
    spfDomains: spfVerdict.spf_result === "pass" ? [spfDomain] : [],
    dkimDomains: signatures.checked.flatMap(({ verdict, vouches }) =>
      vouches && verdict.domain !== null ? [{ domain: verdict.domain }] : [],
    ),
    resolver: withLookupLimit(resolver, DMARC_LOOKUPS),
    strict: true,
  });
  if (!response) return { dmarc_result: "permerror", dmarc_policy: null };
  const undecided =
    signatures.checked.some(({ verdict }) => verdict.aligned && verdict.result === "temperror") ||
    (spfVerdict.spf_result === "temperror" && spfDomain !== "" && getAlignment(author, [spfDomain]) !== false);
  const result = response.status.result === "fail" && undecided ? "temperror" : response.status.result;
  return { dmarc_result: result, dmarc_policy: response.policy ?? null };
}

/**
 * Judges a message. Only what can be verified counts: no header field that says how the message was judged elsewhere is read.
 * @param input the message, its envelope and who handed it in.
 * @param dns who answers look-ups.
 * @returns the verdicts. A breakdown of the DNS is the verdict `temperror`.
 * @throws Error only if the stream of the message itself breaks off.
 */
export async function authenticateMessage(input: AuthenticationInput, dns: Resolver): Promise<AuthenticationVerdicts> {
  const resolver = withoutBadNames(dns);
  const spfVerdict = await judgeSpf(input, resolver);
  let signatures: Signatures;
  try {
    signatures = await judgeSignatures(input, resolver);
  } catch (error) {
    if (error instanceof RawUnreadable) throw error;
    const result = error instanceof HeaderTooLarge ? "permerror" : "temperror";
    return {
      ...{ dkim_result: result, dkim_domain: null, dkim_selector: null },
      dkim_signatures: [{ ...notChecked(comment(String(error)) ?? ""), result }],
      ...spfVerdict,
      ...{ dmarc_result: result, dmarc_policy: null, arc_result: "none" },
    };
  }
  let dmarc: DmarcVerdict;
  try {
    dmarc = await judgeDmarc(signatures, spfVerdict, resolver);
  } catch {
    dmarc = { dmarc_result: "temperror", dmarc_policy: null };
  }
  const { dkim_signatures, arc_result, author } = signatures;
  return { ...overallDkim(dkim_signatures, author !== null), dkim_signatures, ...spfVerdict, ...dmarc, arc_result };
}
