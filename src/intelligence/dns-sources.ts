import type { Resolver } from "../mail/dns-over-https.ts";
import type { DmarcFact, MxFact, SpfFact } from "./domain-facts.ts";
import { isAbsent } from "./unanswered.ts";

/** What a domain publishes about its mail. Each throws DnsError where the DNS has no answer, which is not the same as no record. */

/** @returns the answer, or an empty list where the DNS says that there is none. */
async function recordsOf<T>(answer: Promise<T[]>): Promise<T[]> {
  try {
    return await answer;
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

async function textsAt(name: string, resolver: Resolver): Promise<string[]> {
  const records = await recordsOf(resolver(name, "TXT") as Promise<string[][]>);
  return records.map((strings) => strings.join(""));
}

/** Who takes the mail of exactly this domain (RFC 5321 §5.1, RFC 7505 §3). */
export async function lookUpMx(domain: string, resolver: Resolver): Promise<MxFact> {
  try {
    const records = await resolver(domain, "MX");
    const [only] = records;
    if (records.length === 1 && only?.exchange === "") return "null";
    // A null MX beside others is an error of the zone, and the others take the mail.
    return records.some(({ exchange }) => exchange !== "") ? "present" : "none";
  } catch (error) {
    if (!isAbsent(error)) throw error;
    if (error.code === "ENOTFOUND") return "no_domain";
  }
  const addresses = await Promise.all(
    ["A", "AAAA"].map((type) => recordsOf(resolver(domain, type) as Promise<string[]>)),
  );
  return addresses.flat().length > 0 ? "implicit" : "none";
}

/** Whether the domain says who sends its mail (RFC 7208 §4.5). */
export async function lookUpSpf(domain: string, resolver: Resolver): Promise<SpfFact> {
  const records = (await textsAt(domain, resolver)).filter((text) => /^v=spf1(?: |$)/i.test(text));
  return records.length > 1 ? "several" : records.length === 1 ? "present" : "absent";
}

const DMARC_POLICY = /^none$|^quarantine$|^reject$/i;

/** @returns the policy of a DMARC record (RFC 9989 §4.7); null for what receivers do not take for one. */
function policyIn(record: string): DmarcFact | null {
  const [version, ...tags] = record.split(";").map((tag) => tag.split("=").map((part) => part.trim()));
  if (version?.[0]?.toLowerCase() !== "v" || version[1] !== "DMARC1") return null;
  const policy = tags.find(([name]) => name?.toLowerCase() === "p")?.[1] ?? "";
  if (DMARC_POLICY.test(policy)) return policy.toLowerCase() as DmarcFact;
  // Without a policy that can be read it asks only for reports.
  return tags.some(([name, value]) => name?.toLowerCase() === "rua" && value !== "") ? "none" : "absent";
}

/** What the domain asks to be done with mail that is forged in its name. More than one record are none. */
export async function lookUpDmarc(domain: string, resolver: Resolver): Promise<DmarcFact> {
  const policies = (await textsAt(`_dmarc.${domain}`, resolver)).map(policyIn).filter((policy) => policy !== null);
  return policies.length === 1 ? (policies[0] as DmarcFact) : "absent";
}
