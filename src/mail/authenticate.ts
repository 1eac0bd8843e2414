import "./digest-names-in-workerd.ts";
import { pipeline } from "node:stream/promises";
import { judgeArc } from "./authenticate-arc.ts";
import {
  BoundedDkimVerifier,
  dkimCheck,
  judgeDkim,
  MIN_RSA_BITS,
  notChecked,
  overallDkim,
  type Signatures,
} from "./authenticate-dkim.ts";
import { judgeDmarc, noDmarc } from "./authenticate-dmarc.ts";
import { comment, noting, withinTime, withoutBadNames } from "./authenticate-lookups.ts";
import { crlfChunks, HeaderTooLarge, inLargeChunks, modest, RawUnreadable } from "./authenticate-octets.ts";
import { judgeSpf, type SpfVerdict, spfCheck } from "./authenticate-spf.ts";
import type { ArcCheck, DmarcCheck } from "./authentication-checks.ts";
import { type Resolver, withLookupLimit } from "./dns-over-https.ts";
import type { AuthenticationVerdicts, MailAddress } from "./message.ts";
import type { SmtpClient } from "./received-line.ts";

/** DKIM (RFC 6376, 8301, 8463), SPF (RFC 7208), DMARC (RFC 9989) and ARC (RFC 8617) of an arriving message, put together. */

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
  /** Milliseconds, to tell how long look-ups have taken. The system's, if left out. */
  clock?: () => number;
}

/** Verdicts with the check behind each. */
export type JudgedMessage = AuthenticationVerdicts & Required<Pick<AuthenticationVerdicts, "checks">>;

/** A ceiling on the look-ups for keys per message; beyond it verdicts are `temperror`. */
const KEY_LOOKUPS = 20;
/** What all look-ups for one message may take together, but for the one that is under way then. */
export const LOOKUP_MILLISECONDS = 40_000;

interface Verified {
  signatures: Signatures;
  arc: ArcCheck;
}

async function verify(input: AuthenticationInput, resolver: Resolver): Promise<Verified> {
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
  const signatures = judgeDkim(verifier, input.from);
  return { signatures, arc: await judgeArc(verifier, asking, brokenNames, signatures.repeated) };
}

/** The verdicts on a message that could not be verified at all, for one reason. */
function unverified(error: unknown, spf: SpfVerdict): JudgedMessage {
  const result = error instanceof HeaderTooLarge ? "permerror" : "temperror";
  const reason = comment(String(error)) ?? "";
  const check = { result, domain: null, reason };
  return {
    ...{ dkim_result: result, dkim_domain: null, dkim_selector: null },
    dkim_signatures: [{ ...notChecked(reason), result }],
    ...spf,
    ...{ dmarc_result: result, dmarc_policy: null, arc_result: "none" },
    checks: {
      dkim: check,
      spf: spfCheck(spf),
      dmarc: noDmarc(result, null, reason),
      arc: { ...check, result: "none", sealers: [], covers_message: false },
    },
  };
}

async function dmarcOf(signatures: Signatures, spf: SpfVerdict, resolver: Resolver): Promise<DmarcCheck> {
  try {
    return await judgeDmarc(signatures, spf, resolver);
  } catch (error) {
    return noDmarc("temperror", signatures.author, comment(String(error)) ?? "");
  }
}

/**
 * Judges a message. Only what can be verified counts: no header field that says how the message was judged elsewhere is read,
 * but for those of a valid ARC chain, which say so for others to weigh.
 * @param input the message, its envelope and who handed it in.
 * @param dns who answers look-ups.
 * @returns the verdicts. A breakdown of the DNS is the verdict `temperror`.
 * @throws Error only if the stream of the message itself breaks off.
 */
export async function authenticateMessage(input: AuthenticationInput, dns: Resolver): Promise<JudgedMessage> {
  const resolver = withinTime(withoutBadNames(dns), LOOKUP_MILLISECONDS, input.clock ?? Date.now);
  const spf = await judgeSpf(input, resolver);
  let verified: Verified;
  try {
    verified = await verify(input, resolver);
  } catch (error) {
    if (error instanceof RawUnreadable) throw error;
    return unverified(error, spf);
  }
  const { signatures, arc } = verified;
  const dmarc = await dmarcOf(signatures, spf, resolver);
  return {
    ...overallDkim(signatures),
    dkim_signatures: signatures.dkim_signatures,
    ...spf,
    ...{ dmarc_result: dmarc.result, dmarc_policy: dmarc.policy, arc_result: arc.result },
    checks: { dkim: dkimCheck(signatures), spf: spfCheck(spf), dmarc, arc },
  };
}
