import { type RandomBytes, randomBytes } from "../ids.ts";
import { DnsError, type Resolver } from "./dns-over-https.ts";

/** What a zone has at the two names that are asked for apart from an alignment check, and the challenge that proves control. */

/** Where a domain's owner proves control, below the domain. */
export const CHALLENGE_LABEL = "_multimail-challenge";

const CHALLENGE_OCTETS = 20;

/** @returns a TXT value that proves control of a domain to whoever made it, and to nobody else: nobody can know it before. */
export function newChallenge(random: RandomBytes = randomBytes): string {
  return `multimail-challenge=${Buffer.from(random(CHALLENGE_OCTETS)).toString("hex")}`;
}

/** @returns the TXT records at a name, each as one text; null if the DNS did not answer. */
async function textsAt(name: string, resolver: Resolver): Promise<string[] | null> {
  try {
    const records = await resolver(name, "TXT");
    return records.map((strings) => (Array.isArray(strings) ? strings.join("") : String(strings)));
  } catch (error) {
    if (!(error instanceof DnsError)) throw error;
    return error.code === "ENOTFOUND" || error.code === "ENODATA" ? [] : null;
  }
}

/** @returns the challenges that are published for a domain, whosever; null if the DNS did not answer. */
export async function publishedChallenges(domain: string, resolver: Resolver): Promise<string[] | null> {
  return (await textsAt(`${CHALLENGE_LABEL}.${domain}`, resolver))?.map((text) => text.trim()) ?? null;
}

/** @returns the SPF records at a domain (RFC 7208 §4.5); null if the DNS did not answer. */
export async function publishedSpf(domain: string, resolver: Resolver): Promise<string[] | null> {
  return (await textsAt(domain, resolver))?.filter((text) => /^v=spf1(?:\s|$)/i.test(text)) ?? null;
}
