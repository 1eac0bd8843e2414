import type { DMARCResult } from "mailauth";
import { evaluateDmarc } from "mailauth/lib/dmarc/index.js";
import { getAlignment } from "mailauth/lib/tools.js";
import type { Signatures } from "./authenticate-dkim.ts";
import { afterShare, isDmarcRequest, whyNone } from "./authenticate-dmarc-record.ts";
import { comment } from "./authenticate-lookups.ts";
import type { SpfVerdict } from "./authenticate-spf.ts";
import type { DmarcCheck, DmarcRequest } from "./authentication-checks.ts";
import { type Resolver, withLookupLimit } from "./dns-over-https.ts";

/**
 * DMARC (RFC 9989): whether DKIM or SPF vouches for the domain that a reader sees, and what its owner asks for if not. The
 * organisational domain is found by the DNS tree walk, not by a list of public suffixes as in RFC 7489.
 */

const DMARC_LOOKUPS = 40;

const UNKNOWN = { by: null, policy: null, policy_domain: null, org_domain: null, alignment: null } as const;

/** @returns a check that came to no policy at all. */
export function noDmarc(result: string, domain: string | null, reason: string): DmarcCheck {
  return { ...UNKNOWN, result, domain, reason, disposition: "none" };
}

const mode = (strict: boolean) => (strict ? "strict" : "relaxed");

/** The texts at `_dmarc` of the domain; none where the DNS does not answer. They only explain, they decide nothing. */
async function published(domain: string, resolver: Resolver): Promise<string[]> {
  try {
    const rows: (string | string[])[] = await resolver(`_dmarc.${domain}`, "TXT");
    return rows.map((row) => (Array.isArray(row) ? row.join("") : row));
  } catch {
    return [];
  }
}

async function reasonForNone(domain: string, resolver: Resolver): Promise<string> {
  const why = whyNone(`_dmarc.${domain}`, await published(domain, resolver));
  return comment(why ?? `Neither ${domain} nor a domain above it has a DMARC record.`) as string;
}

/** A passed check that may vouch for the From domain, and whether it does. */
interface Aligned {
  by: "dkim" | "spf" | null;
  domain: string | null;
}

function alignedBy({ alignment }: DMARCResult): Aligned {
  const { dkim, spf } = alignment;
  if (dkim.result) return { by: "dkim", domain: dkim.result };
  return spf.result ? { by: "spf", domain: spf.result } : { by: null, domain: null };
}

const CHECK_NAMES = { dkim: "A DKIM signature", spf: "SPF" } as const;

function reasonFor(author: string, result: string, response: DMARCResult, { by, domain }: Aligned): string {
  if (by !== null) return `${CHECK_NAMES[by]} of ${domain} passed, which is aligned with the From domain ${author}.`;
  if (result === "temperror") return `The DNS did not answer for what would tell whether ${author} vouches for it.`;
  return `Neither DKIM nor SPF passed for a domain aligned with ${author}; the record at _dmarc.${response.policyDomain} asks for ${response.policy}.`;
}

/** Whether a check that nobody could finish now might have vouched for the From domain. */
function isUndecided({ checked }: Signatures, spf: SpfVerdict, author: string, { alignment }: DMARCResult): boolean {
  const could = (domain: string | null, strict: boolean) =>
    domain !== null && domain !== "" && getAlignment(author, [domain], strict) !== false;
  const dkim = checked.some(
    ({ verdict }) => verdict.result === "temperror" && could(verdict.domain, alignment.dkim.strict),
  );
  return dkim || (spf.spf_result === "temperror" && could(spf.spf_domain, alignment.spf.strict));
}

/** The policy that applies, of a response that has a record. */
function policyOf(response: DMARCResult): DmarcRequest | null {
  return isDmarcRequest(response.policy) ? afterShare(response.rr ?? "", response.policy) : null;
}

/**
 * Judges a message by the record of its From domain.
 * @param signatures what the DKIM signatures came to. Without one single From domain the result is `permerror`.
 * @param spf what SPF came to.
 * @param dns who answers look-ups; a breakdown is the verdict `temperror`.
 */
export async function judgeDmarc(signatures: Signatures, spf: SpfVerdict, dns: Resolver): Promise<DmarcCheck> {
  const { author } = signatures;
  if (author === null) {
    return noDmarc("permerror", null, "There is not exactly one From address that every reader would read alike.");
  }
  const resolver = withLookupLimit(dns, DMARC_LOOKUPS);
  const vouching = signatures.checked.flatMap(({ verdict, vouches }) =>
    vouches && verdict.domain !== null ? [{ domain: verdict.domain }] : [],
  );
  const { response } = await evaluateDmarc({
    headerFrom: [author],
    fromFields: 1,
    spfDomains: spf.spf_result === "pass" ? [spf.spf_domain ?? ""] : [],
    dkimDomains: vouching,
    resolver,
    strict: true,
  });
  if (!response) return noDmarc("permerror", author, `${author} is no domain that can have a DMARC record.`);
  if (response.status.result === "none") {
    const check = noDmarc("none", author, await reasonForNone(author, resolver));
    return { ...check, org_domain: response.domain ?? null };
  }
  if (response.policy === undefined) {
    return noDmarc("temperror", author, `The DNS did not answer for the DMARC record of ${author}.`);
  }
  return withPolicy(author, response, isUndecided(signatures, spf, author, response));
}

function withPolicy(author: string, response: DMARCResult, undecided: boolean): DmarcCheck {
  const found = response.status.result;
  const result = found === "fail" && undecided ? "temperror" : found;
  const policy = policyOf(response);
  const aligned = alignedBy(response);
  const asked: DMARCResult = { ...response, policy: policy ?? "none" };
  return {
    result,
    domain: author,
    reason: comment(reasonFor(author, result, asked, aligned)) as string,
    by: aligned.by,
    policy,
    policy_domain: response.policyDomain ?? null,
    org_domain: response.domain ?? null,
    alignment: {
      dkim: mode(response.alignment.dkim.strict),
      spf: mode(response.alignment.spf.strict),
    },
    disposition: result === "fail" ? (policy ?? "none") : "none",
  };
}
