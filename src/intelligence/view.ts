import type { IntelligenceView } from "../operations/shapes/domain-intelligence.ts";
import type { DomainFacts, DomainIntelligence } from "./domain-facts.ts";
import { ageInDays, type DomainQuestion, judgeDomains } from "./domain-signals.ts";
import { type Risk, riskFrom } from "./risk.ts";

/** What programs get of the domains that a message goes to (API.md, `domain_intelligence`). */

function viewOf(facts: DomainFacts, now: number): IntelligenceView["domains"][number] {
  return {
    domain: facts.domain,
    dmarc_policy: facts.dmarc,
    mx: facts.mx,
    spf: facts.spf,
    age_days: ageInDays(facts, now),
    disposable: facts.disposable,
    blocklists: facts.listings,
    resembles: facts.resembles,
    unknown: facts.unknown.map(({ source }) => source),
    unknown_because: facts.unknown,
  };
}

/** From what protects least to what protects most. */
const WEAKEST_FIRST: readonly DomainFacts["dmarc"][] = ["absent", "none", null, "quarantine", "reject"];

function weakestPolicy(domains: readonly DomainFacts[]): DomainFacts["dmarc"] {
  return WEAKEST_FIRST.find((policy) => domains.some(({ dmarc }) => dmarc === policy)) ?? null;
}

/**
 * @param intelligence what was looked up.
 * @param risk of the domains alone.
 * @returns the form that programs get. Ages are of when it was looked up.
 */
export function intelligenceView(intelligence: DomainIntelligence, { score, reasons }: Risk): IntelligenceView {
  const { domains, over_budget, looked_up_at } = intelligence;
  return {
    risk_score: score,
    reasons,
    dmarc_policy: weakestPolicy(domains),
    unknown: [...new Set(domains.flatMap(({ unknown }) => unknown.map(({ source }) => source)))],
    domains: domains.map((facts) => viewOf(facts, Date.parse(looked_up_at))),
    over_budget,
    looked_up_at,
  };
}

/** @returns the risk of domains by themselves, whatever is written to them. */
export function assessDomains(question: DomainQuestion): Risk {
  return riskFrom(judgeDomains(question));
}
