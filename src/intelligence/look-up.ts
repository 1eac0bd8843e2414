import { isDisposable } from "./disposable-domains.ts";
import { type DomainFacts, type DomainIntelligence, nothingKnown, type UnknownReason } from "./domain-facts.ts";
import { namesOf, resemblanceOf } from "./similar-domains.ts";
import { type Source, type Tools, UNANSWERED_LIFETIME } from "./sources.ts";
import { reasonOf, Unanswered } from "./unanswered.ts";

/** Finds out about domains: what is remembered, then each source in parallel, bounded in time and in new names. */

/** How long one source may take for one domain, in milliseconds, unless a deployment says otherwise. What has not answered then is unknown. */
export const SOURCE_LIMIT = 800;
/** After so many times as long no further source is asked, for a message to many domains. */
const WHOLE = 3;
/** The platform opens six connections at a time; further ones wait for these, and their time would run meanwhile. */
const LANES = 6;

/** What one source said of one domain, or why it said nothing. */
export type Answer = { fact: unknown } | { unknown: UnknownReason };

export interface StoredAnswer {
  domain: string;
  source: string;
  answer: Answer;
  /** Milliseconds since the epoch. */
  expires_at: number;
}

/** What is remembered for one tenant. Another tenant's look-ups are never seen in it, nor in how long an answer takes. */
export interface FactStore {
  /**
   * @returns the answers there are, the domains among these that the tenant looked up before, and domains of its own or that it
   *   writes to.
   */
  read(domains: readonly string[]): Promise<{ answers: StoredAnswer[]; seen: string[]; relatives: string[] }>;
  /**
   * Counts names against the day's budget before they are asked for. Returned means: counted for good.
   * @param day `YYYY-MM-DD`.
   * @returns those that may be asked for.
   */
  admit(names: readonly string[], day: string, budget: number): Promise<string[]>;
  /** Also forgets what is past its time. */
  write(answers: readonly StoredAnswer[], now: number): Promise<void>;
}

export interface LookUp {
  sources: readonly Source[];
  /** @param signal ends whatever the tools have under way. */
  toolsFor(signal: AbortSignal): Tools;
  store: FactStore;
  /** Milliseconds since the epoch. */
  now(): number;
  /** How long one source may take, in milliseconds; left out: `SOURCE_LIMIT`. */
  source_limit?: number;
  /** How many names never looked up before may be looked up in a day (UTC). */
  budget: number;
  /** Hears which names are going to be asked for that never were, before anything is asked. */
  noteNewNames(names: readonly string[]): void;
  /** No query is made: only what is remembered counts. */
  remembered_only: boolean;
}

function timeIsUp(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Unanswered("timeout")), { once: true });
  });
}

/** Asks one source about one domain. @returns its answer, also where it has none within `limit` milliseconds. */
export async function askSource(
  source: Source,
  domain: string,
  toolsFor: LookUp["toolsFor"],
  limit = SOURCE_LIMIT,
): Promise<Answer> {
  const signal = AbortSignal.timeout(limit);
  try {
    return { fact: await Promise.race([source.ask(domain, toolsFor(signal)), timeIsUp(signal)]) };
  } catch (error) {
    return { unknown: signal.aborted ? "timeout" : reasonOf(error) };
  }
}

interface Question {
  domain: string;
  source: Source;
}

/** Asks all questions, as many at a time as there are connections. What is not begun in time is not begun. */
async function askAll(
  questions: readonly Question[],
  { toolsFor, now, source_limit = SOURCE_LIMIT }: Pick<LookUp, "toolsFor" | "now" | "source_limit">,
): Promise<StoredAnswer[]> {
  const answers: StoredAnswer[] = [];
  const late = AbortSignal.timeout(WHOLE * source_limit);
  const rest = questions.values();
  const lane = async () => {
    for (const { domain, source } of rest) {
      const answer: Answer = late.aborted
        ? { unknown: "timeout" }
        : await askSource(source, domain, toolsFor, source_limit);
      const lifetime = "fact" in answer ? source.lifetime : UNANSWERED_LIFETIME[answer.unknown];
      answers.push({ domain, source: source.name, answer, expires_at: now() + lifetime });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return answers;
}

/** The facts of one domain, put together from what each source said; a source without an answer is unknown for `otherwise`. */
function assemble(
  domain: string,
  sources: readonly Source[],
  answers: readonly StoredAnswer[],
  otherwise: UnknownReason,
): DomainFacts {
  const facts = nothingKnown(domain, []);
  facts.disposable = isDisposable(domain);
  for (const source of sources) {
    const found = answers.find((each) => each.domain === domain && each.source === source.name)?.answer;
    if (found && "fact" in found) source.add(facts, found.fact);
    else facts.unknown.push({ source: source.name, reason: found?.unknown ?? otherwise });
  }
  return facts;
}

/** How long the store may take to read or to count, in milliseconds. */
const STORE_LIMIT = 2_000;

/** @returns what the store answers; null where it does not, or not in time: then no name may be asked for. */
async function fromStore<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await Promise.race([answer, timeIsUp(AbortSignal.timeout(STORE_LIMIT))]);
  } catch (error) {
    console.error("the record of what was looked up of domains does not answer", error);
    return null;
  }
}

/** Where nothing can be known, since without the record of names none may be asked for. The message does not wait for it. */
function unreadable(domains: readonly string[], { sources, now }: LookUp): DomainIntelligence {
  return {
    domains: domains.map((domain) => assemble(domain, sources, [], "store")),
    new_names: 0,
    over_budget: [],
    looked_up_at: new Date(now()).toISOString(),
  };
}

/**
 * Looks domains up. It never throws for what the world answers: what is not known is named with its reason.
 * @param domains registrable ones (`askableDomain`), each once.
 */
export async function lookUpDomains(domains: readonly string[], lookUp: LookUp): Promise<DomainIntelligence> {
  const { sources, store, now, budget, remembered_only } = lookUp;
  const kept = await fromStore(store.read(domains));
  if (kept === null) return unreadable(domains, lookUp);
  const fresh = kept.answers.filter(({ expires_at }) => expires_at > now());
  const has = (domain: string, source: Source) =>
    fresh.some((answer) => answer.domain === domain && answer.source === source.name);
  const questions = domains.flatMap((domain) =>
    sources.filter((source) => !has(domain, source)).map((source) => ({ domain, source })),
  );
  const asked = remembered_only ? [] : questions;
  const unseen = [...new Set(asked.map(({ domain }) => domain))].filter((domain) => !kept.seen.includes(domain));
  const day = new Date(now()).toISOString().slice(0, 10);
  const admitted = unseen.length > 0 ? await fromStore(store.admit(unseen, day, budget)) : [];
  if (admitted === null) return unreadable(domains, lookUp);
  if (admitted.length > 0) lookUp.noteNewNames(admitted);
  const over_budget = unseen.filter((domain) => !admitted.includes(domain));
  const answers = await askAll(
    asked.filter(({ domain }) => !over_budget.includes(domain)),
    lookUp,
  );
  // What is not remembered is asked again.
  if (answers.length > 0) await fromStore(store.write(answers, now()));
  const all = [...fresh, ...answers];
  const names = namesOf(kept.relatives);
  return {
    domains: domains.map((domain) => ({
      ...assemble(domain, sources, all, remembered_only ? "not_asked" : "budget"),
      resembles: resemblanceOf(domain, names),
    })),
    new_names: admitted.length,
    over_budget,
    looked_up_at: new Date(now()).toISOString(),
  };
}
