import { DnsError, type DnsErrorCode, type MxRecord, type Resolver, withLookupLimit } from "./dns-over-https.ts";

/** Look-ups for one examination of a domain: a bounded number in bounded time, and a breakdown is an answer like any other. */

export type LookedUp<T> =
  | { state: "found"; values: T[] }
  /** `exists`: the name is there, with records of other types. */
  | { state: "missing"; exists: boolean }
  | { state: "unknown"; code: DnsErrorCode };

export interface LookUps {
  /** TXT records, the character-strings of each joined. */
  txt(name: string): Promise<LookedUp<string>>;
  mx(name: string): Promise<LookedUp<MxRecord>>;
  cname(name: string): Promise<LookedUp<string>>;
  /** What they ask: bounded, each question once. Beyond the bounds it says `ESERVFAIL` or `ETIMEOUT`. */
  resolver: Resolver;
}

const ABSENT: ReadonlySet<DnsErrorCode> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

async function look<T>(answer: Promise<T[]>): Promise<LookedUp<T>> {
  try {
    const values = await answer;
    return values.length > 0 ? { state: "found", values } : { state: "missing", exists: true };
  } catch (error) {
    if (!(error instanceof DnsError)) throw error;
    if (ABSENT.has(error.code)) return { state: "missing", exists: error.code === "ENODATA" };
    return { state: "unknown", code: error.code };
  }
}

/** @returns look-ups through `resolver` of which at most `limit` different ones leave. */
export function lookUps(resolver: Resolver, limit: number): LookUps {
  const bounded = withLookupLimit(resolver, limit);
  return {
    resolver: bounded,
    txt: (name) =>
      look(
        bounded(name, "TXT").then((records) =>
          records.map((strings) => (Array.isArray(strings) ? strings.join("") : strings)),
        ),
      ),
    mx: (name) => look(bounded(name, "MX")),
    cname: (name) => look(bounded(name, "CNAME") as Promise<string[]>),
  };
}

/**
 * Does something with a resolver that stops answering after a while.
 * @param milliseconds after which every look-up still open, and every later one, is `ETIMEOUT`.
 */
export async function withinTime<T>(
  resolver: Resolver,
  milliseconds: number,
  work: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  const end = Promise.withResolvers<never>();
  // It may come to its end without anyone waiting.
  end.promise.catch(() => {});
  const timer = setTimeout(() => end.reject(new DOMException("the time is over", "TimeoutError")), milliseconds);
  const ask = async (domain: string, rrtype: string) => {
    try {
      return await Promise.race([resolver(domain, rrtype), end.promise]);
    } catch (error) {
      if (error instanceof DnsError || !(error instanceof DOMException)) throw error;
      throw new DnsError("ETIMEOUT", rrtype, domain, error);
    }
  };
  try {
    return await work(ask as Resolver);
  } finally {
    clearTimeout(timer);
  }
}
