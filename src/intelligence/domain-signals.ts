import { isImitation, shapeOf } from "../pages/misleading/domains.ts";
import type { DomainFacts, Resemblance } from "./domain-facts.ts";
import { askableDomain } from "./domain-facts.ts";
import { type Named, namesOf, resemblanceOf } from "./similar-domains.ts";

/** What speaks against a domain that mail goes to. docs/deliverability.md has this table with its reasons. */

/** What this mailbox lived through with a domain in the last 90 days. */
export interface DomainHistory {
  bounces: number;
  complaints: number;
  replies: number;
}

export const NO_HISTORY: DomainHistory = { bounces: 0, complaints: 0, replies: 0 };

/** A recipients' domain with all that is known of it. */
export interface JudgedDomain {
  /** As it stands in the address. */
  domain: string;
  /** This mailbox wrote to it before. */
  known: boolean;
  /** Of its registrable domain; null: nothing was looked up. */
  facts: DomainFacts | null;
  /** Who takes the mail of exactly this name, where that could be asked for; null or left out: not known. */
  own_mx?: DomainFacts["mx"];
  history: DomainHistory;
}

export interface DomainQuestion {
  domains: JudgedDomain[];
  /** Domains this mailbox wrote to before, at most some hundreds. */
  known_domains: readonly string[];
  /** Milliseconds since the epoch. */
  now: number;
}

/** The question, with what several signals need. */
interface Examined extends DomainQuestion {
  names: readonly Named[];
  shapes: ReadonlyMap<string, string>;
}

export interface DomainSignal {
  /** How much it says by itself. Above 0.5: more likely wrong than right. */
  weight: number;
  /** @returns why it applies, in one plain sentence about the first domain that it applies to; null if it does not. */
  why(question: Examined): string | null;
}

const DAY = 24 * 3600_000;
/** Most domains that are used to deceive are used within a month of their registration. */
const YOUNG_DAYS = 30;
const RECENT_DAYS = 180;
const MANY_BOUNCES = 3;

/** Every signal of domains with its weight. A risk's reasons are in this order. */
export const DOMAIN_SIGNALS = {
  new_domain: { weight: 0.2, why: whyNew },
  lookalike_domain: { weight: 0.7, why: firstOf(whyLookalike) },
  near_domain: { weight: 0.5, why: firstOf((judged, question) => whyResembles("near", judged, question)) },
  other_ending: { weight: 0.3, why: firstOf((judged, question) => whyResembles("ending", judged, question)) },
  blocklisted: { weight: 0.7, why: firstOf(whyListed) },
  takes_no_mail: { weight: 0.6, why: firstOf(whyNoMail) },
  young_domain: { weight: 0.5, why: firstOf((judged, { now }) => whyAge(judged, now, 0, YOUNG_DAYS)) },
  recent_domain: { weight: 0.2, why: firstOf((judged, { now }) => whyAge(judged, now, YOUNG_DAYS, RECENT_DAYS)) },
  disposable_domain: { weight: 0.4, why: firstOf(whyDisposable) },
  domain_complaints: { weight: 0.4, why: firstOf(whyComplaints) },
  domain_bounces: { weight: 0.3, why: firstOf(whyBounces) },
  no_dmarc: { weight: 0.1, why: firstOf(whyNoDmarc) },
  no_spf: { weight: 0.1, why: firstOf(whyNoSpf) },
  domain_unknown: { weight: 0.2, why: firstOf(whyUnknown) },
} satisfies Record<string, DomainSignal>;

/** A signal of one domain as one of them all. */
function firstOf(why: (judged: JudgedDomain, question: Examined) => string | null): DomainSignal["why"] {
  return (question) => question.domains.map((judged) => why(judged, question)).find((found) => found !== null) ?? null;
}

function whyLookalike({ domain, known, facts }: JudgedDomain, { shapes, names }: Examined): string | null {
  if (known) return null;
  const twin = shapes.get(shapeOf(domain)) ?? twinOf("lookalike", domain, facts, names);
  if (twin !== null && twin !== undefined && twin !== domain) {
    return `${domain} looks like ${twin}, but it is a different domain.`;
  }
  return isImitation(domain) ? `${domain} is written with letters that only look like others.` : null;
}

function twinOf(
  kind: Resemblance["kind"],
  domain: string,
  facts: DomainFacts | null,
  names: readonly Named[],
): string | null {
  const found = [resemblanceOf(domain, names), facts?.resembles ?? null].find((each) => each?.kind === kind);
  return found?.twin ?? null;
}

const RESEMBLANCE_WORDS: Readonly<Record<Exclude<Resemblance["kind"], "lookalike">, string>> = {
  near: "is nearly",
  ending: "differs only in its ending from",
};

function whyResembles(
  kind: Exclude<Resemblance["kind"], "lookalike">,
  judged: JudgedDomain,
  question: Examined,
): string | null {
  const { domain, known, facts } = judged;
  if (known || whyLookalike(judged, question) !== null) return null;
  const twin = twinOf(kind, domain, facts, question.names);
  return twin === null ? null : `${domain} ${RESEMBLANCE_WORDS[kind]} ${twin}, and it is a different domain.`;
}

function whyListed({ facts }: JudgedDomain): string | null {
  const [first] = facts?.listings ?? [];
  return first && facts ? `The blocklist ${first.list} has ${facts.domain}: ${first.meaning}.` : null;
}

function whyNoMail({ domain, facts, own_mx = null }: JudgedDomain): string | null {
  if (facts?.mx === "no_domain") return `There is no domain ${facts.domain}.`;
  // What the registrable domain says of its own mail says nothing of that of a name below it.
  const mx = own_mx ?? (facts?.domain === domain ? facts.mx : null);
  if (mx === "no_domain") return `There is no domain ${domain}.`;
  if (mx === "null") return `${domain} says that it takes no mail.`;
  return mx === "none" ? `${domain} has no mail server.` : null;
}

/** @returns whole days since the registration; null: not known. */
export function ageInDays({ registered_at }: DomainFacts, now: number): number | null {
  if (registered_at === null) return null;
  return Math.max(0, Math.floor((now - Date.parse(registered_at)) / DAY));
}

function whyAge({ facts }: JudgedDomain, now: number, from: number, until: number): string | null {
  const age = facts && ageInDays(facts, now);
  if (age === null || age < from || age >= until) return null;
  return `${facts?.domain} was registered ${age === 0 ? "today" : `${age} ${age === 1 ? "day" : "days"} ago`}.`;
}

function whyDisposable({ facts }: JudgedDomain): string | null {
  return facts?.disposable ? `${facts.domain} gives anyone an address for a while.` : null;
}

function whyComplaints({ domain, history: { complaints } }: JudgedDomain): string | null {
  if (complaints === 0) return null;
  return complaints === 1
    ? `Someone at ${domain} complained about a message of this mailbox lately.`
    : `${complaints} messages of this mailbox to ${domain} were complained about lately.`;
}

/** One who answers makes up for one that came back: people change jobs everywhere. */
function whyBounces({ domain, history: { bounces, replies } }: JudgedDomain): string | null {
  if (bounces < MANY_BOUNCES || bounces <= replies) return null;
  return `${bounces} messages of this mailbox to ${domain} came back lately.`;
}

/** Of a domain that is not there it says nothing more that it publishes nothing. */
function isThere({ facts }: JudgedDomain): boolean {
  return facts !== null && facts.mx !== "no_domain";
}

function whyNoDmarc(judged: JudgedDomain): string | null {
  const { facts } = judged;
  return isThere(judged) && facts?.dmarc === "absent" ? `${facts.domain} publishes no DMARC policy.` : null;
}

function whyNoSpf(judged: JudgedDomain): string | null {
  const { facts } = judged;
  if (!isThere(judged)) return null;
  if (facts?.spf === "several") return `${facts.domain} publishes several SPF records, which is an error.`;
  return facts?.spf === "absent" ? `${facts.domain} publishes no SPF record.` : null;
}

function whyUnknown({ facts }: JudgedDomain): string | null {
  const sources = facts?.unknown.map(({ source }) => source) ?? [];
  return sources.length === 0 ? null : `No answer about ${facts?.domain} from: ${sources.join(", ")}.`;
}

function whyNew({ domains }: DomainQuestion): string | null {
  const [first, ...rest] = domains.filter(({ known }) => !known);
  if (first === undefined) return null;
  const more = rest.length > 0 ? ` and ${rest.length} more` : "";
  return `This mailbox never wrote to ${first.domain}${more} before.`;
}

/** A reason as risk.ts combines it. */
export interface FoundSignal {
  reason: string;
  weight: number;
  because: string;
}

/**
 * Judges the domains that mail goes to. Pure, and linear in known domains times recipients' domains. A signal counts once, by the
 * first domain that it applies to.
 * @returns what speaks against them, in the order of the table.
 */
export function judgeDomains(question: DomainQuestion): FoundSignal[] {
  const { known_domains } = question;
  const examined: Examined = {
    ...question,
    names: namesOf(known_domains),
    shapes: new Map(known_domains.map((domain) => [shapeOf(domain), domain])),
  };
  return Object.entries<DomainSignal>(DOMAIN_SIGNALS).flatMap(([reason, { weight, why }]): FoundSignal[] => {
    const because = why(examined);
    return because === null ? [] : [{ reason, weight, because }];
  });
}

/** @returns the registrable domain's facts among those that were looked up. */
export function factsOf(domain: string, looked: readonly DomainFacts[]): DomainFacts | null {
  const registrable = askableDomain(domain);
  return looked.find((facts) => facts.domain === registrable) ?? null;
}
