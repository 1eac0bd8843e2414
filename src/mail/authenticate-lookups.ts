import { DnsError, type Resolver } from "./dns-over-https.ts";

/** What the checks of an arriving message ask the DNS, and what its answers mean to them. */

/** @returns `text` as one short line. */
export function comment(text: string | undefined): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced.
  return text === undefined ? null : text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").slice(0, 300);
}

export function isBreakdown(error: unknown): boolean {
  return !(error instanceof Error && "code" in error && ["ENOTFOUND", "ENODATA"].includes(String(error.code)));
}

/** Remembers which names could not be looked up, since mailauth's ARC result does not tell. */
export function noting(resolver: Resolver, brokenNames: Set<string>): Resolver {
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
export function withoutBadNames(resolver: Resolver): Resolver {
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

/**
 * Puts an end to waiting: whoever writes a message chooses whose slow servers are asked, one after another.
 * @param clock milliseconds; only differences count.
 * @returns a resolver that says `ETIMEOUT` to whatever is asked once `milliseconds` have passed since now.
 */
export function withinTime(resolver: Resolver, milliseconds: number, clock: () => number): Resolver {
  const end = clock() + milliseconds;
  const ask = async (domain: string, rrtype: string) => {
    if (clock() >= end) throw new DnsError("ETIMEOUT", rrtype, domain);
    return await resolver(domain, rrtype);
  };
  return ask as Resolver;
}
