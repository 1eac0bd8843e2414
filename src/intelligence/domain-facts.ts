import { parse } from "tldts";

/** What is known of the domains that a message goes to. Plain data: it is stored with the message and crosses RPCs. */

/**
 * Who takes a domain's mail. `implicit`: no MX record, but an address (RFC 5321 §5.1). `null`: it says that it takes none
 * (RFC 7505). `none`: nobody. `no_domain`: there is no such name.
 */
export const MX_FACTS = ["present", "implicit", "null", "none", "no_domain"] as const;
export type MxFact = (typeof MX_FACTS)[number];
/** `several`: more than one record, which receivers take for an error (RFC 7208 §4.5). */
export const SPF_FACTS = ["present", "absent", "several"] as const;
export type SpfFact = (typeof SPF_FACTS)[number];
/** `absent`: no record, or none that receivers follow. */
export const DMARC_FACTS = ["none", "quarantine", "reject", "absent"] as const;
export type DmarcFact = (typeof DMARC_FACTS)[number];

/** A blocklist that has the domain, and what its answer means. */
export interface Listing {
  list: string;
  meaning: string;
}

/**
 * Why something is not known. `timeout`: no answer in time. `failed`: the way to the answer broke. `refused`: the blocklist
 * does not answer this resolver. `no_data`: there is no registration data. `budget`: too many new names today. `store`: what
 * was looked up before could not be read. `not_asked`: a test key or a dry run makes no query.
 */
export const UNKNOWN_REASONS = ["timeout", "failed", "refused", "no_data", "budget", "store", "not_asked"] as const;
export type UnknownReason = (typeof UNKNOWN_REASONS)[number];

export interface Unknown {
  /** `mx`, `spf`, `dmarc`, `rdap`, or `blocklist:<list>`. */
  source: string;
  reason: UnknownReason;
}

/** How a name resembles another: it looks the same, is one letter or a word of service off, or has another ending. */
export const RESEMBLANCES = ["lookalike", "near", "ending"] as const;

/** How a name resembles one that is known, and which. */
export interface Resemblance {
  kind: (typeof RESEMBLANCES)[number];
  twin: string;
}

/** What is known of one registrable domain. A source that is not configured is neither known nor unknown. */
export interface DomainFacts {
  /** Registrable, A-labels, lower case. */
  domain: string;
  mx: MxFact | null;
  spf: SpfFact | null;
  dmarc: DmarcFact | null;
  /** ISO 8601; null: not known. */
  registered_at: string | null;
  listings: Listing[];
  /** Mail to it is read by anyone, or by nobody an hour later. */
  disposable: boolean;
  /** One of the tenant's own or known domains that it resembles. */
  resembles: Resemblance | null;
  /** What was asked and not answered. Never taken for good. */
  unknown: Unknown[];
}

/** What was found of a message's domains before it was judged. */
export interface DomainIntelligence {
  domains: DomainFacts[];
  /** Names that this tenant had never looked up before, and that were looked up now. */
  new_names: number;
  /** Domains that were not looked up, since the day's budget of new names was used up: a human decides. */
  over_budget: string[];
  /** ISO 8601. */
  looked_up_at: string;
}

/**
 * The only part of a recipient's domain that may be asked for before a human decided: one label below a suffix under which
 * registries sell names. Suffixes that companies listed for themselves do not count: whoever gets one of those listed has a name
 * server that hears every label below it.
 * @param domain A-labels, lower case.
 * @returns null where there is none: an address literal, a suffix by itself.
 */
export function askableDomain(domain: string): string | null {
  return parse(domain, { allowPrivateDomains: false }).domain;
}

/** @returns the registrable domains of these, each once. */
export function askableDomains(domains: readonly string[]): string[] {
  return [...new Set(domains.map(askableDomain).filter((name) => name !== null))];
}

/** @returns facts of a domain of which nothing is known, and why. */
export function nothingKnown(domain: string, unknown: Unknown[]): DomainFacts {
  return {
    domain,
    mx: null,
    spf: null,
    dmarc: null,
    registered_at: null,
    listings: [],
    disposable: false,
    resembles: null,
    unknown,
  };
}
