import { type DnsAnswer, DnsError, type MxRecord, type Resolver, type TimedResolver } from "./dns-over-https.ts";

/** Answers of the DNS, kept for as long as they say they may be (RFC 1035 §3.2.1, RFC 2308). For one isolate. */

export interface CacheOptions {
  /** @returns milliseconds since the epoch. */
  now(): number;
  /** How many answers are kept; the one that was not asked for the longest gives way. */
  limit: number;
  /** In milliseconds: for how long a question that somebody else has asked already is waited for. */
  patience?: number;
}

/** An answer takes five seconds at most; one that takes half of that is better asked for again. */
const PATIENCE = 2_500;

/** In seconds. A record that was changed to stop abuse is to take effect within the hour, whatever lifetime it had. */
const LONGEST = 3_600;
/** Of an absence (RFC 2308 §7.1 lets it be short): whoever has just published a record waits for it. */
const LONGEST_ABSENCE = 300;
/** Where the resolver does not tell. */
const UNTOLD = 60;
const UNTOLD_ABSENCE = 30;
/** A breakdown is asked about again soon, but not once for every message that waits for it. */
const BREAKDOWN = 3;
/** In characters. A larger answer is rare, and some thousand of them would fill an isolate. */
const MAX_KEPT = 8_192;

type Result = { answer: DnsAnswer } | { error: DnsError };

interface Kept {
  result: Result;
  /** Milliseconds since the epoch. */
  until: number;
}

/** @returns the result of a look-up, and for how many seconds it may be kept. */
type Ask = (domain: string, rrtype: string) => Promise<{ result: Result; seconds: number }>;

function isTimed(resolver: Resolver | TimedResolver): resolver is TimedResolver {
  return "timed" in resolver;
}

const ABSENCES: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"]);

function lifetimeOf(error: DnsError): number {
  // Such a name can never be asked for.
  if (error.code === "EBADNAME") return LONGEST_ABSENCE;
  if (!ABSENCES.has(error.code)) return BREAKDOWN;
  return Math.min(error.ttl ?? UNTOLD_ABSENCE, LONGEST_ABSENCE);
}

function asking(resolver: Resolver | TimedResolver): Ask {
  return async (domain, rrtype) => {
    try {
      if (!isTimed(resolver)) return { result: { answer: await resolver(domain, rrtype) }, seconds: UNTOLD };
      const { answer, ttl } = await resolver.timed(domain, rrtype);
      return { result: { answer }, seconds: Math.min(ttl, LONGEST) };
    } catch (error) {
      if (!(error instanceof DnsError)) throw error;
      return { result: { error }, seconds: lifetimeOf(error) };
    }
  };
}

function sizeOf(result: Result): number {
  return "answer" in result ? JSON.stringify(result.answer).length : 0;
}

/** Each caller gets records of its own, since some sort or change theirs. */
function copyOf(answer: DnsAnswer): DnsAnswer {
  return structuredClone(answer);
}

/**
 * @param resolver who answers; one that is timed also says how long its answers live.
 * @returns a resolver that answers from memory what it may, whatever the case of a name. The same question asked again while it is
 *   open is asked once. Answers are kept for an hour at most, absences for five minutes, breakdowns for seconds.
 */
export function cachedResolver(
  resolver: Resolver | TimedResolver,
  { now, limit, patience = PATIENCE }: CacheOptions,
): Resolver {
  const ask = asking(resolver);
  // A Map keeps the order of insertion: what was asked for last stands last.
  const kept = new Map<string, Kept>();
  const open = new Map<string, Promise<Result>>();

  function keep(question: string, result: Result, seconds: number): void {
    kept.delete(question);
    if (seconds <= 0 || sizeOf(result) > MAX_KEPT) return;
    kept.set(question, { result, until: now() + seconds * 1_000 });
    if (kept.size <= limit) return;
    const [oldest] = kept.keys();
    if (oldest !== undefined) kept.delete(oldest);
  }

  function fromMemory(question: string): Result | null {
    const entry = kept.get(question);
    if (!entry) return null;
    kept.delete(question);
    if (entry.until <= now()) return null;
    kept.set(question, entry);
    return entry.result;
  }

  async function fromAfar(question: string, domain: string, rrtype: string): Promise<Result> {
    try {
      const { result, seconds } = await ask(domain, rrtype);
      keep(question, result, seconds);
      return result;
    } finally {
      open.delete(question);
    }
  }

  /** A request that ends takes its open fetches with it, so who waits for another's must be able to do without. */
  async function joined(other: Promise<Result>, again: () => Promise<Result>): Promise<Result> {
    const gone = Promise.withResolvers<null>();
    const timer = setTimeout(() => gone.resolve(null), patience);
    try {
      return (await Promise.race([other, gone.promise])) ?? (await again());
    } finally {
      clearTimeout(timer);
    }
  }

  function find(domain: string, rrtype: string): Result | Promise<Result> {
    const question = `${rrtype} ${domain.toLowerCase().replace(/\.$/, "")}`;
    const known = fromMemory(question);
    if (known) return known;
    const askNow = () => {
      const asked = fromAfar(question, domain, rrtype);
      open.set(question, asked);
      return asked;
    };
    const other = open.get(question);
    return other ? joined(other, askNow) : askNow();
  }

  function resolve(domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  function resolve(domain: string, rrtype: string): Promise<string[][] | string[]>;
  async function resolve(domain: string, rrtype: string): Promise<DnsAnswer> {
    const result = await find(domain, rrtype);
    if ("error" in result) {
      const { code, ttl } = result.error;
      throw new DnsError(code, rrtype, domain, result.error, ttl);
    }
    return copyOf(result.answer);
  }
  return resolve;
}
