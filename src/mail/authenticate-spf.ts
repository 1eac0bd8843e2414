import { spf } from "mailauth/lib/spf/index.js";
import { comment } from "./authenticate-lookups.ts";
import type { AuthenticationCheck } from "./authentication-checks.ts";
import { type Resolver, withLookupLimit } from "./dns-over-https.ts";
import type { AuthenticationVerdicts } from "./message.ts";
import type { SmtpClient } from "./received-line.ts";

/** Ceilings on the look-ups and the time of one check; beyond them the verdict is `temperror` (RFC 7208 §4.6.4). */
const SPF_LOOKUPS = 60;
const SPF_MILLISECONDS = 20_000;

export type SpfVerdict = Pick<AuthenticationVerdicts, "spf_result" | "spf_domain" | "spf_comment">;

/** Who handed a message in, and for whom. */
export interface SpfQuestion {
  /** The envelope's sender; empty for the null reverse-path, where the HELO name is checked in its place (RFC 7208 §2.4). */
  envelope_from: string;
  /** The SMTP client, as our own server noted it; null where that is not known. */
  client: SmtpClient | null;
  /** Our host name; it appears in comments and as the macro `r`. */
  mta: string;
}

/**
 * Asks whether the client may send for the domain (RFC 7208).
 * @param resolver who answers look-ups. A breakdown of it is the verdict `temperror`; nothing is thrown.
 * @returns the verdict with its reason; `none` where the client's address is not known.
 */
export async function judgeSpf(question: SpfQuestion, resolver: Resolver): Promise<SpfVerdict> {
  const { client } = question;
  if (client === null) {
    return {
      spf_result: "none",
      spf_domain: null,
      spf_comment: "no Received line of our own mail server names the client's address",
    };
  }
  try {
    const result = await spf({
      sender: question.envelope_from,
      ip: client.ip,
      helo: client.helo,
      mta: question.mta,
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

/** @returns the same as a check. */
export function spfCheck({ spf_result, spf_domain, spf_comment }: SpfVerdict): AuthenticationCheck {
  return { result: spf_result, domain: spf_domain, reason: spf_comment ?? `SPF came to ${spf_result}.` };
}
