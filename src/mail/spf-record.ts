import { isIPv4, isIPv6 } from "node:net";
import { DnsError, isQueryableName, type Resolver } from "./dns-over-https.ts";

/** SPF records (RFC 7208): reading them, adding this service to one that is there, and counting what it costs to evaluate. */

export interface SpfTerm {
  /** As it was written. */
  text: string;
  kind: "mechanism" | "modifier";
  /** Lower case. */
  name: string;
  /** `+` where none is written; null for a modifier. */
  qualifier: "+" | "-" | "~" | "?" | null;
  /** What follows `:` or `=`, without a prefix length; null if nothing does. */
  value: string | null;
}

export interface SpfRecord {
  terms: SpfTerm[];
  /** Words that are no term (RFC 7208 §12): with one of them every check ends as `permerror`. */
  invalid: string[];
}

/** RFC 7208 §4.6.4. */
export const MAX_SPF_LOOKUPS = 10;
const MAX_VOID_LOOKUPS = 2;
/** What one count may ask and visit at most, however large a tree somebody publishes. */
const MAX_QUESTIONS = 40;
const MAX_VISITS = 60;
/** How many words or costs a sentence names. */
const MOST_SHOWN = 12;

const MACRO = "%(?:\\{[slodiphcrtv][0-9]*r?[.\\-+,/_=]*\\}|%|_|-)";
const MACRO_STRING = new RegExp(`^(?:[\\x21-\\x24\\x26-\\x7e]|${MACRO})*$`, "i");
const MACRO_AT_END = new RegExp(`${MACRO}$`, "i");
/** RFC 7208 §7.1, `toplabel`. */
const TOP_LABEL = /^(?=.*[a-z-])[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i;
const PREFIX = /^(?:\/(?:0|[1-9]\d?))?(?:\/\/(?:0|[1-9]\d{0,2}))?$/;

/** @returns whether `value` is a domain-spec: a macro-string that ends in a top label or a macro (RFC 7208 §7.1). */
function isDomainSpec(value: string): boolean {
  if (!MACRO_STRING.test(value)) return false;
  if (MACRO_AT_END.test(value)) return true;
  const labels = value.replace(/\.$/, "").split(".");
  return labels.length > 1 && TOP_LABEL.test(labels.at(-1) as string);
}

type ValueRule = (value: string | null, prefix: string) => boolean;

const noValue: ValueRule = (value, prefix) => value === null && prefix === "";
const domain: ValueRule = (value, prefix) => value !== null && prefix === "" && isDomainSpec(value);
const maybeDomain: ValueRule = (value, prefix) => prefix === "" && (value === null || isDomainSpec(value));

const hosts: ValueRule = (value, prefix) => {
  const [, four, six] = /^(?:\/(\d+))?(?:\/\/(\d+))?$/.exec(prefix) ?? [];
  const sizes = Number(four ?? 0) <= 32 && Number(six ?? 0) <= 128;
  return PREFIX.test(prefix) && sizes && (value === null || isDomainSpec(value));
};

function network(isAddress: (text: string) => boolean, bits: number): ValueRule {
  return (value, prefix) =>
    value !== null && isAddress(value) && /^(?:\/(?:0|[1-9]\d{0,2}))?$/.test(prefix) && Number(prefix.slice(1)) <= bits;
}

/** RFC 7208 §5, with what each may carry. */
const MECHANISMS: Readonly<Record<string, ValueRule>> = {
  all: noValue,
  include: domain,
  a: hosts,
  mx: hosts,
  ptr: maybeDomain,
  ip4: network(isIPv4, 32),
  ip6: network(isIPv6, 128),
  exists: domain,
};
/** Mechanisms and modifiers that cost a look-up (RFC 7208 §4.6.4). */
const COSTLY = new Set(["include", "a", "mx", "ptr", "exists", "redirect"]);

/** @returns whether a TXT record's text is an SPF record: the version, then a space or the end (RFC 7208 §4.5). */
export function isSpfRecord(text: string): boolean {
  return /^v=spf1(?: |$)/i.test(text);
}

function readTerm(word: string): SpfTerm | null {
  const modifier = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(word);
  if (modifier) {
    const name = (modifier[1] as string).toLowerCase();
    const value = modifier[2] as string;
    const valid = name === "redirect" || name === "exp" ? isDomainSpec(value) : MACRO_STRING.test(value);
    return valid ? { text: word, kind: "modifier", name, qualifier: null, value } : null;
  }
  const [, sign, written = "", after, prefix = ""] =
    /^([+?~-])?([a-z0-9]+)(?::(.*?))?((?:\/\d*)?(?:\/\/\d*)?)$/i.exec(word) ?? [];
  const name = written.toLowerCase();
  const rule = Object.hasOwn(MECHANISMS, name) ? MECHANISMS[name] : undefined;
  if (!rule?.(after ?? null, prefix)) return null;
  return {
    text: word,
    kind: "mechanism",
    name,
    qualifier: (sign ?? "+") as NonNullable<SpfTerm["qualifier"]>,
    value: after ?? null,
  };
}

/**
 * Reads an SPF record (RFC 7208 §12).
 * @param text a TXT record for which {@link isSpfRecord} holds.
 * @returns its terms in order; a second `redirect` or `exp` is invalid (§6).
 */
export function readSpf(text: string): SpfRecord {
  const record: SpfRecord = { terms: [], invalid: [] };
  for (const word of text.slice("v=spf1".length).split(" ").filter(Boolean)) {
    const term = readTerm(word);
    const once = term?.kind === "modifier" && (term.name === "redirect" || term.name === "exp");
    if (term && !(once && record.terms.some(({ name }) => name === term.name))) record.terms.push(term);
    else record.invalid.push(word);
  }
  return record;
}

function sameDomain(a: string | null, b: string): boolean {
  return a !== null && a.toLowerCase().replace(/\.$/, "") === b.toLowerCase().replace(/\.$/, "");
}

/** What this service wants to be there: the relay's include, or the domain's own MX. */
interface WantedTerm {
  text: string;
  isIt(term: SpfTerm): boolean;
}

function wantedTerms(include: string | null, mx: boolean): WantedTerm[] {
  return [
    ...(mx ? [{ text: "mx", isIt: (term: SpfTerm) => /^[+?~-]?mx$/i.test(term.text) }] : []),
    ...(include === null
      ? []
      : [
          {
            text: `include:${include}`,
            isIt: (term: SpfTerm) => term.name === "include" && sameDomain(term.value, include),
          },
        ]),
  ];
}

/**
 * Several records are one error to whoever checks (RFC 7208 §4.5), so their terms go into one. A redirect holds only where no
 * `all` stands (§6.1); beside other terms than its own record's it becomes an include, which lets the same senders pass.
 */
function joined(records: readonly SpfRecord[]): SpfTerm[] {
  const [only] = records;
  if (records.length === 1 && only) return only.terms;
  const terms = records.flatMap((record) => {
    const ends = record.terms.some(({ name }) => name === "all");
    return record.terms.flatMap((term) => {
      if (term.name !== "redirect") return [term];
      return ends ? [] : [readTerm(`include:${term.value}`) as SpfTerm];
    });
  });
  const alls = terms.filter(({ name }) => name === "all");
  const [first] = alls;
  // Where they differ, nobody has said which is meant; a soft failure loses no mail while the owner decides.
  const all = alls.every(({ qualifier }) => qualifier === first?.qualifier) ? first : readTerm("~all");
  const seen = new Set<string>();
  const once = terms.filter(({ name, text }) => {
    // An explanation may be given once (§6.2).
    const key = name === "exp" ? name : text;
    return name !== "all" && !seen.has(key) && seen.add(key);
  });
  return [...once, all ?? (readTerm("~all") as SpfTerm)];
}

/** Puts `wanted` where it takes effect: before `all`, after which nothing is evaluated (RFC 7208 §5.1), and before modifiers. */
function withTerm(terms: readonly SpfTerm[], wanted: WantedTerm): SpfTerm[] {
  const end = terms.findIndex(({ name }) => name === "all");
  const reached = end < 0 ? terms : terms.slice(0, end);
  const first = reached.find(wanted.isIt);
  if (first?.qualifier === "+") return [...terms];
  const others = terms.filter((term) => !wanted.isIt(term));
  const place = others.findIndex(({ name, kind }) => name === "all" || kind === "modifier");
  const at = place < 0 ? others.length : place;
  return [...others.slice(0, at), readTerm(wanted.text) as SpfTerm, ...others.slice(at)];
}

function quoted(words: readonly string[]): string {
  const shown = words.slice(0, MOST_SHOWN).map((word) => `“${word.slice(0, 100).replace(/[^\x21-\x7e]/g, "\ufffd")}”`);
  return [...shown, ...(words.length > MOST_SHOWN ? [`${words.length - MOST_SHOWN} more`] : [])].join(", ");
}

function problemOf(count: number, records: readonly SpfRecord[]): string | null {
  const invalid = records.flatMap((record) => record.invalid);
  const open = records.some(({ terms }) => terms.some(({ name, qualifier }) => name === "all" && qualifier === "+"));
  const problems = [
    ...(count > 1 ? [`There are ${count} SPF records, and a name may have one: replace all of them by this one.`] : []),
    ...(invalid.length > 0
      ? [`${quoted(invalid)} is no term of SPF and makes the whole record invalid; it is left out.`]
      : []),
    ...(open ? ["“+all” lets every server in the world send for this domain; use “~all” or “-all”."] : []),
  ];
  return problems.length === 0 ? null : problems.join(" ");
}

/**
 * The one SPF record that a name is to have, so that this service may send for it and whoever may send today still may.
 * @param published the TXT records at the name; those that are not SPF records are passed over.
 * @param include the relay's SPF domain, or null.
 * @param mx whether the domain's own MX sends.
 * @returns `value`: what is there, each mechanism, modifier and qualifier kept, with what lacks put in where it takes effect, never
 *   twice; a record of its own ending in `~all` where none is there. `problem`: sentences on what is wrong with what is there (two
 *   records, words that are no terms, `+all`), or null.
 */
export function mergeSpf(
  published: readonly string[],
  include: string | null,
  mx: boolean,
): { value: string; problem: string | null } {
  const texts = published.filter(isSpfRecord);
  const records = texts.map(readSpf);
  const present = records.length === 0 ? [readTerm("~all") as SpfTerm] : joined(records);
  const end = present.findIndex(({ name }) => name === "all");
  // What is repeated after the first `all` is never reached.
  const single = present.filter(({ name }, at) => name !== "all" || at === end);
  const terms = wantedTerms(include, mx).reduce<SpfTerm[]>(withTerm, single);
  const merged = ["v=spf1", ...terms.map(({ text }) => text)].join(" ");
  const [only] = texts;
  const same = texts.length === 1 && only?.split(" ").filter(Boolean).join(" ").toLowerCase() === merged.toLowerCase();
  return { value: same ? (only as string) : merged, problem: problemOf(texts.length, records) };
}

/** What one term of a record costs whoever checks mail. */
export interface SpfCost {
  term: string;
  /** Look-ups, those inside an include counted with it. */
  lookups: number;
}

export interface SpfCount {
  /** Terms that cost a look-up, through all includes and redirects. Counting ends soon after the limit. */
  lookups: number;
  /** Look-ups of `a` and `mx` that found nothing. */
  voids: number;
  /** The record's own terms that cost something, dearest first. */
  costs: SpfCost[];
  /** Names whose `pass` makes this record pass: through includes without another qualifier, and redirects. Lower case. */
  passes_by: Set<string>;
  /** What makes the record fail as it is (`permerror`), in plain sentences; empty if nothing does. */
  problems: string[];
  /** Names that could not be looked up now. With one of them, what is not found here may still be there. */
  unknown: string[];
}

class SpfWalk {
  readonly passes_by = new Set<string>();
  readonly problems = new Set<string>();
  readonly unknown = new Set<string>();
  voids = 0;
  private visits = 0;
  private questions = 0;
  private readonly resolver: Resolver;
  private readonly asked = new Map<string, Promise<string[] | null>>();

  constructor(resolver: Resolver) {
    this.resolver = resolver;
  }

  /** @returns the cost of each of the record's terms. `path`: the names that led here; `passing`: whether a pass here counts. */
  async record(text: string, path: readonly string[], passing: boolean): Promise<SpfCost[]> {
    const { terms, invalid } = readSpf(text);
    const name = path.at(-1) as string;
    if (invalid.length > 0)
      this.problems.add(`The SPF record of ${name} has ${quoted(invalid)}, which is no term of SPF.`);
    const end = terms.findIndex((term) => term.name === "all");
    // After `all` nothing is evaluated, and a redirect not at all where there is one (RFC 7208 §5.1, §6.1).
    const evaluated = end < 0 ? terms : terms.slice(0, end);
    const costly = evaluated.filter((term) => COSTLY.has(term.name));
    return Promise.all(
      costly.map(async (term) => ({ term: term.text, lookups: await this.cost(term, path, passing) })),
    );
  }

  private async cost(term: SpfTerm, path: readonly string[], passing: boolean): Promise<number> {
    if (++this.visits > MAX_VISITS) return 1;
    const own = path.at(-1) as string;
    const name = (term.value ?? own).toLowerCase().replace(/\.$/, "");
    // A macro stands for what only the checked mail has.
    if (name.includes("%")) return 1;
    if (term.name === "a" || term.name === "mx") await this.seek(name, term.name === "a" ? "A" : "MX");
    if (term.name !== "include" && term.name !== "redirect") return 1;
    return 1 + (await this.follow(term, name, path, passing));
  }

  private async follow(term: SpfTerm, name: string, path: readonly string[], passing: boolean): Promise<number> {
    if (path.includes(name)) {
      this.problems.add(
        `The SPF records of ${[...path.slice(path.indexOf(name)), name].join(", ")} include each other in a circle.`,
      );
      return 0;
    }
    const passes = passing && (term.name === "redirect" || term.qualifier === "+");
    if (passes) this.passes_by.add(name);
    const texts = (await this.ask(name, "TXT"))?.filter(isSpfRecord);
    if (texts === undefined) return 0;
    const [only] = texts;
    if (texts.length !== 1 || only === undefined) {
      const found = texts.length === 0 ? "no SPF record" : `${texts.length} SPF records`;
      this.problems.add(`“${term.text}” fails, since ${name} has ${found}.`);
      return 0;
    }
    const costs = await this.record(only, [...path, name], passes);
    return costs.reduce((sum, { lookups }) => sum + lookups, 0);
  }

  private async seek(name: string, type: "A" | "MX"): Promise<void> {
    const found = await this.ask(name, type);
    // An address of the other family is no void look-up either; which is asked depends on the client.
    const other = type === "A" && found?.length === 0 ? await this.ask(name, "AAAA") : found;
    if (found?.length === 0 && other?.length === 0) this.voids++;
  }

  /** @returns what is there, empty if nothing is; null if that cannot be told. */
  private ask(name: string, type: string): Promise<string[] | null> {
    const question = `${type} ${name}`;
    let answer = this.asked.get(question);
    if (answer === undefined) {
      answer = this.look(name, type);
      this.asked.set(question, answer);
    }
    return answer;
  }

  private async look(name: string, type: string): Promise<string[] | null> {
    if (!isQueryableName(name)) return [];
    if (++this.questions > MAX_QUESTIONS) {
      this.unknown.add(name);
      return null;
    }
    try {
      const found: unknown[] = await this.resolver(name, type);
      return found.map((value) => (Array.isArray(value) ? value.join("") : String(value)));
    } catch (error) {
      if (error instanceof DnsError && (error.code === "ENOTFOUND" || error.code === "ENODATA")) return [];
      if (!(error instanceof DnsError)) throw error;
      this.unknown.add(name);
      return null;
    }
  }
}

/**
 * Counts what evaluating a record takes (RFC 7208 §4.6.4), following includes and redirects as they are published now.
 * @param domain whose record it is; `a` and `mx` without a name mean it.
 * @param record the SPF record, for which {@link isSpfRecord} holds.
 * @param resolver asked at most 40 times, in parallel where one answer does not wait for another.
 * @returns the count, and what else is wrong with it. Breakdowns of the DNS are data: they stand in `unknown`.
 */
export async function countLookups(domain: string, record: string, resolver: Resolver): Promise<SpfCount> {
  const walk = new SpfWalk(resolver);
  const costs = await walk.record(record, [domain.toLowerCase()], true);
  costs.sort((a, b) => b.lookups - a.lookups);
  const lookups = costs.reduce((sum, cost) => sum + cost.lookups, 0);
  const problems = [...walk.problems];
  if (lookups > MAX_SPF_LOOKUPS) {
    const dearest = costs
      .slice(0, MOST_SHOWN)
      .map((cost) => `“${cost.term.slice(0, 100)}” costs ${cost.lookups}`)
      .join(", ");
    problems.unshift(
      `The SPF record of ${domain} takes ${lookups} look-ups, and ${MAX_SPF_LOOKUPS} are allowed: ${dearest}.`,
    );
  }
  if (walk.voids > MAX_VOID_LOOKUPS) {
    problems.push(
      `The SPF record of ${domain} asks ${walk.voids} times for names that have no address or MX, and ${MAX_VOID_LOOKUPS} are allowed.`,
    );
  }
  return {
    lookups,
    voids: walk.voids,
    costs,
    passes_by: walk.passes_by,
    problems,
    unknown: [...walk.unknown],
  };
}
