import type { Resolver } from "../mail/dns-over-https.ts";
import { blocklistsIn, lookUpBlocklist } from "./blocklists.ts";
import { lookUpDmarc, lookUpMx, lookUpSpf } from "./dns-sources.ts";
import type { DmarcFact, DomainFacts, MxFact, SpfFact, UnknownReason } from "./domain-facts.ts";
import { lookUpRegistration } from "./registration.ts";

/** Where facts about a domain come from, and how long each of them holds. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How a source reaches the world. Both end with the deadline of the question that they were made for. */
export interface Tools {
  resolver: Resolver;
  fetch: typeof globalThis.fetch;
}

/** One source. */
export interface Source<Fact = unknown> {
  /** A stable name, as `Unknown.source` has it. */
  name: string;
  /** How long an answer is kept, in milliseconds. */
  lifetime: number;
  /** @throws {Unanswered} or DnsError where there is no answer. */
  ask(domain: string, tools: Tools): Promise<Fact>;
  /** Puts an answer where it belongs. */
  add(facts: DomainFacts, fact: Fact): void;
}

/** How long it is remembered that a source did not answer, so that a slow one does not slow down every message. */
export const UNANSWERED_LIFETIME: Readonly<Record<UnknownReason, number>> = {
  timeout: MINUTE,
  failed: MINUTE,
  refused: HOUR,
  no_data: DAY,
  budget: 0,
  store: 0,
  not_asked: 0,
};

const MX: Source<MxFact> = {
  name: "mx",
  lifetime: 6 * HOUR,
  ask: (domain, { resolver }) => lookUpMx(domain, resolver),
  add: (facts, fact) => {
    facts.mx = fact;
  },
};

const SPF: Source<SpfFact> = {
  name: "spf",
  lifetime: 6 * HOUR,
  ask: (domain, { resolver }) => lookUpSpf(domain, resolver),
  add: (facts, fact) => {
    facts.spf = fact;
  },
};

const DMARC: Source<DmarcFact> = {
  name: "dmarc",
  lifetime: 6 * HOUR,
  ask: (domain, { resolver }) => lookUpDmarc(domain, resolver),
  add: (facts, fact) => {
    facts.dmarc = fact;
  },
};

function registrationAt(url: string): Source<string> {
  return {
    name: "rdap",
    // It changes only when the domain is lost and registered anew.
    lifetime: 7 * DAY,
    ask: (domain, { fetch }) => lookUpRegistration(domain, url, fetch),
    add: (facts, fact) => {
      facts.registered_at = fact;
    },
  };
}

function blocklist(list: string): Source<string | null> {
  return {
    name: `blocklist:${list}`,
    lifetime: HOUR,
    ask: (domain, { resolver }) => lookUpBlocklist(domain, list, resolver),
    add: (facts, meaning) => {
      if (meaning !== null) facts.listings.push({ list, meaning });
    },
  };
}

/** What of the deployment's settings decides what is asked. README's table says what each is for. */
export interface SourceSettings {
  RDAP_URL?: string;
  DNS_BLOCKLISTS?: string;
}

/** @returns the sources that are configured. @throws Error for a setting that cannot be read. */
export function sourcesOf({ RDAP_URL, DNS_BLOCKLISTS }: SourceSettings): Source[] {
  return [
    MX,
    SPF,
    DMARC,
    ...(RDAP_URL ? [registrationAt(RDAP_URL)] : []),
    ...blocklistsIn(DNS_BLOCKLISTS).map(blocklist),
  ];
}

/** @returns only who takes the mail of a domain: for a name that is not registrable itself. */
export function mailServerSource(): Source[] {
  return [MX];
}
