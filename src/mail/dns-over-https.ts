/** DNS look-ups over HTTPS in the JSON form (`application/dns-json`), answering as Node's dns.promises.resolve does. */

export interface MxRecord {
  exchange: string;
  priority: number;
}

/**
 * Looks up one record type of one name: TXT as lists of character-strings, MX as objects, every other type as text.
 * Throws DnsError; its code is Node's (`ENOTFOUND`, `ENODATA`, `ETIMEOUT`, `ESERVFAIL`, `EREFUSED`, `EBADNAME`).
 */
export interface Resolver {
  (domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  (domain: string, rrtype: string): Promise<string[][] | string[]>;
}

export type DnsAnswer = MxRecord[] | string[][] | string[];

/** A resolver that also tells how long its answers may be kept. */
export interface TimedResolver extends Resolver {
  /** As the resolver itself; `ttl` in seconds is the least of the records that led to the answer (RFC 1035 §3.2.1). */
  timed(domain: string, rrtype: string): Promise<{ answer: DnsAnswer; ttl: number }>;
}

export type DnsErrorCode = "ENOTFOUND" | "ENODATA" | "ETIMEOUT" | "ESERVFAIL" | "EREFUSED" | "EBADNAME";

/** A look-up without an answer. `ENOTFOUND` and `ENODATA` are answers of the DNS; the other codes are breakdowns. */
export class DnsError extends Error {
  readonly code: DnsErrorCode;
  /** Of `ENOTFOUND` and `ENODATA`, for how many seconds that may be kept (RFC 2308 §5); null where the answer did not say. */
  readonly ttl: number | null;
  constructor(code: DnsErrorCode, rrtype: string, domain: string, cause?: unknown, ttl: number | null = null) {
    super(`${rrtype} ${domain}: ${code}`, { cause });
    this.name = "DnsError";
    this.code = code;
    this.ttl = ttl;
  }
}

/** RR TYPE numbers (RFC 1035 §3.2.2, RFC 3596 §2.1). */
const RR_TYPES: Record<string, number> = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28 };

/** RCODEs that are not a plain answer (RFC 1035 §4.1.1). Any other one is ESERVFAIL. */
const RCODES: Record<number, DnsErrorCode> = { 3: "ENOTFOUND", 5: "EREFUSED" };

/** A DNS message has at most 65,535 octets; escaped as JSON, with names written out, it stays well below this. */
const MAX_RESPONSE_OCTETS = 512 * 1024;
const TIMEOUT_MS = 5_000;
/** More aliases in a row than any zone needs. */
const MAX_ALIASES = 16;

// SPF macros put local parts into names (RFC 7208 §7), so every atext character may occur in a label.
const LABEL = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]{1,63}$/;

/** @returns whether `domain` can be asked for: labels of 1 to 63 octets, 253 in all (RFC 1035 §2.3.4). */
export function isQueryableName(domain: string): boolean {
  const name = domain.endsWith(".") ? domain.slice(0, -1) : domain;
  return name.length <= 253 && name.split(".").every((label) => LABEL.test(label));
}

/**
 * @param data a TXT record's `data`: character-strings in quotes with `\"`, `\\` and `\DDD` (RFC 1035 §5.1), or, as some
 *   servers answer, one bare string.
 * @returns the character-strings; each octet is one character.
 */
export function parseTxtData(data: string): string[] {
  if (!data.trimStart().startsWith('"')) return [data];
  const strings: string[] = [];
  // The end of the data ends a match too, or an unclosed quote would be sought again from each escaped one after it.
  for (const match of data.matchAll(/"((?:[^"\\]|\\[\s\S])*)("|\\?$)/g)) {
    if (match[2] !== '"') break;
    strings.push(
      (match[1] as string).replace(/\\(?:([01]\d\d|2[0-4]\d|25[0-5])|([\s\S]))/g, (_all, octet, character) =>
        octet === undefined ? character : String.fromCharCode(Number(octet)),
      ),
    );
  }
  return strings;
}

function parseMxData(data: string): MxRecord[] {
  const match = /^(\d{1,5})\s+(\S+)$/.exec(data.trim());
  return match ? [{ priority: Number(match[1]), exchange: withoutRoot(match[2] as string) }] : [];
}

function readData(rrtype: string, data: readonly string[]): DnsAnswer {
  if (rrtype === "TXT") return data.map(parseTxtData);
  return rrtype === "MX" ? data.flatMap(parseMxData) : data.map(withoutRoot);
}

function withoutRoot(name: string): string {
  return name === "." ? "" : name.replace(/\.$/, "");
}

async function readBounded(response: Response): Promise<string> {
  const declared = Number(response.headers.get("content-length") ?? 0);
  if (declared > MAX_RESPONSE_OCTETS || response.body === null) throw new Error("no usable body");
  const decoder = new TextDecoder();
  let text = "";
  let octets = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    octets += chunk.byteLength;
    if (octets > MAX_RESPONSE_OCTETS) throw new Error("the answer is too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

interface JsonRecord {
  /** Lower case, without the final dot; null where the answer does not say. */
  name: string | null;
  type: number;
  /** In seconds. */
  ttl: number;
  data: string;
}

interface JsonAnswer {
  status: number;
  truncated: boolean;
  records: JsonRecord[];
  authority: JsonRecord[];
}

function normalName(name: string): string {
  return withoutRoot(name).toLowerCase();
}

function readRecords(list: unknown): JsonRecord[] {
  return (Array.isArray(list) ? (list as unknown[]) : []).flatMap((record) => {
    if (typeof record !== "object" || record === null) return [];
    const { name, type, TTL, data } = record as Record<string, unknown>;
    if (typeof type !== "number" || typeof data !== "string") return [];
    const ttl = typeof TTL === "number" && TTL > 0 ? TTL : 0;
    return [{ name: typeof name === "string" ? normalName(name) : null, type, ttl, data }];
  });
}

function readAnswer(body: string): JsonAnswer {
  const json: unknown = JSON.parse(body);
  if (typeof json !== "object" || json === null || !("Status" in json) || typeof json.Status !== "number") {
    throw new Error("not a DNS answer");
  }
  return {
    status: json.Status,
    truncated: "TC" in json && json.TC === true,
    records: readRecords("Answer" in json ? json.Answer : []),
    authority: readRecords("Authority" in json ? json.Authority : []),
  };
}

/**
 * Follows the aliases of an answer from the name that was asked for (RFC 1034 §3.6.2), within that answer only.
 * @returns the records of the wanted type at their end, and the shortest lifetime on the way.
 * @throws Error if they go round in a circle or do not end.
 */
function recordsAt(domain: string, type: number, records: readonly JsonRecord[]): { data: string[]; ttl: number } {
  let name = normalName(domain);
  // Names with other characters than these may come back escaped in ways of the server's own (RFC 1035 §5.1).
  const comparable = records.every((record) => record.name === null || /^[a-z0-9._-]*$/.test(record.name));
  const isAt = (record: JsonRecord) => record.name === null || !comparable || record.name === name;
  const ttls: number[] = [];
  const passed = new Set<string>();
  while (type !== RR_TYPES.CNAME && comparable) {
    const alias = records.find((record) => record.type === RR_TYPES.CNAME && record.name === name);
    if (!alias) break;
    if (passed.has(name) || passed.size >= MAX_ALIASES) throw new Error("the aliases do not end");
    passed.add(name);
    ttls.push(alias.ttl);
    name = normalName(alias.data);
  }
  const found = records.filter((record) => record.type === type && isAt(record));
  return { data: found.map(({ data }) => data), ttl: Math.min(...ttls, ...found.map(({ ttl }) => ttl)) };
}

/** @returns the lifetime of an absence: the SOA record's own, or its last field if that is less (RFC 2308 §5). */
function negativeTtl(authority: readonly JsonRecord[]): number | null {
  const soa = authority.find(({ type }) => type === RR_TYPES.SOA);
  const minimum = /\s(\d+)$/.exec(soa?.data.trim() ?? "")?.[1];
  return soa && minimum !== undefined ? Math.min(soa.ttl, Number(minimum)) : null;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
}

/**
 * Makes a resolver that asks the server at `url`.
 * @param url its `dns-query` address.
 * @param fetch how it is reached.
 * @returns the resolver. Every breakdown of the way there (no connection, HTTP status, unreadable answer) is `ESERVFAIL`, no
 *   answer within 5 seconds is `ETIMEOUT`.
 */
export function dnsOverHttps(url: string, fetch: typeof globalThis.fetch): TimedResolver {
  async function ask(domain: string, rrtype: string): Promise<JsonAnswer> {
    const query = new URL(url);
    query.searchParams.set("name", domain);
    query.searchParams.set("type", rrtype);
    try {
      const response = await fetch(query.href, {
        headers: { accept: "application/dns-json" },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`HTTP ${response.status}`);
      }
      return readAnswer(await readBounded(response));
    } catch (error) {
      throw new DnsError(isTimeout(error) ? "ETIMEOUT" : "ESERVFAIL", rrtype, domain, error);
    }
  }

  async function timed(domain: string, rrtype: string): Promise<{ answer: DnsAnswer; ttl: number }> {
    const type = RR_TYPES[rrtype];
    if (type === undefined) throw new TypeError(`Unknown record type ${rrtype}`);
    if (!isQueryableName(domain)) throw new DnsError("EBADNAME", rrtype, domain);
    const { status, truncated, records, authority } = await ask(domain, rrtype);
    const fail = (code: DnsErrorCode, cause?: unknown) =>
      new DnsError(code, rrtype, domain, cause, negativeTtl(authority));
    if (status !== 0) throw fail(RCODES[status] ?? "ESERVFAIL");
    // A truncated set could lack the very record that forbids something.
    if (truncated) throw fail("ESERVFAIL");
    let found: ReturnType<typeof recordsAt>;
    try {
      found = recordsAt(domain, type, records);
    } catch (error) {
      throw fail("ESERVFAIL", error);
    }
    if (found.data.length === 0) throw fail("ENODATA");
    const answer = readData(rrtype, found.data);
    // Records that say nothing readable are no absence of records.
    if (answer.length === 0) throw fail("ESERVFAIL");
    return { answer, ttl: found.ttl };
  }

  function resolve(domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  function resolve(domain: string, rrtype: string): Promise<string[][] | string[]>;
  async function resolve(domain: string, rrtype: string): Promise<DnsAnswer> {
    return (await timed(domain, rrtype)).answer;
  }
  return Object.assign(resolve, { timed });
}

/**
 * Puts a ceiling on what one message can make us ask.
 * @param resolver who answers.
 * @param limit how many look-ups may leave; the same question twice counts once.
 * @returns a resolver that remembers its answers and says `ESERVFAIL` beyond the limit, so that the verdict is `temperror`.
 */
export function withLookupLimit(resolver: Resolver, limit: number): Resolver {
  const asked = new Map<string, Promise<MxRecord[] | string[][] | string[]>>();
  function resolve(domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  function resolve(domain: string, rrtype: string): Promise<string[][] | string[]>;
  async function resolve(domain: string, rrtype: string): Promise<MxRecord[] | string[][] | string[]> {
    const question = `${rrtype} ${domain.toLowerCase()}`;
    let answer = asked.get(question);
    if (answer === undefined) {
      if (asked.size >= limit) throw new DnsError("ESERVFAIL", rrtype, domain, new Error("too many look-ups"));
      answer = resolver(domain, rrtype);
      asked.set(question, answer);
    }
    // The list is copied because mailauth sorts it in place.
    return [...(await answer)] as MxRecord[] | string[][] | string[];
  }
  return resolve;
}
