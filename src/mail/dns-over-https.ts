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

export type DnsErrorCode = "ENOTFOUND" | "ENODATA" | "ETIMEOUT" | "ESERVFAIL" | "EREFUSED" | "EBADNAME";

/** A look-up without an answer. `ENOTFOUND` and `ENODATA` are answers of the DNS; the other codes are breakdowns. */
export class DnsError extends Error {
  readonly code: DnsErrorCode;
  constructor(code: DnsErrorCode, rrtype: string, domain: string, cause?: unknown) {
    super(`${rrtype} ${domain}: ${code}`, { cause });
    this.name = "DnsError";
    this.code = code;
  }
}

/** RR TYPE numbers (RFC 1035 §3.2.2, RFC 3596 §2.1). */
const RR_TYPES: Record<string, number> = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28 };

/** RCODEs that are not a plain answer (RFC 1035 §4.1.1). Any other one is ESERVFAIL. */
const RCODES: Record<number, DnsErrorCode> = { 3: "ENOTFOUND", 5: "EREFUSED" };

/** A DNS message has at most 65,535 octets; escaped as JSON, with names written out, it stays well below this. */
const MAX_RESPONSE_OCTETS = 512 * 1024;
const TIMEOUT_MS = 5_000;

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

interface JsonAnswer {
  status: number;
  truncated: boolean;
  records: { type: number; data: string }[];
}

function readAnswer(body: string): JsonAnswer {
  const json: unknown = JSON.parse(body);
  if (typeof json !== "object" || json === null || !("Status" in json) || typeof json.Status !== "number") {
    throw new Error("not a DNS answer");
  }
  const answers: unknown[] = "Answer" in json && Array.isArray(json.Answer) ? json.Answer : [];
  const records = answers.flatMap((answer) =>
    typeof answer === "object" &&
    answer !== null &&
    "type" in answer &&
    typeof answer.type === "number" &&
    "data" in answer &&
    typeof answer.data === "string"
      ? [{ type: answer.type, data: answer.data }]
      : [],
  );
  return { status: json.Status, truncated: "TC" in json && json.TC === true, records };
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
export function dnsOverHttps(url: string, fetch: typeof globalThis.fetch): Resolver {
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

  function resolve(domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  function resolve(domain: string, rrtype: string): Promise<string[][] | string[]>;
  async function resolve(domain: string, rrtype: string): Promise<MxRecord[] | string[][] | string[]> {
    const type = RR_TYPES[rrtype];
    if (type === undefined) throw new TypeError(`Unknown record type ${rrtype}`);
    if (!isQueryableName(domain)) throw new DnsError("EBADNAME", rrtype, domain);
    const answer = await ask(domain, rrtype);
    if (answer.status !== 0) throw new DnsError(RCODES[answer.status] ?? "ESERVFAIL", rrtype, domain);
    // A truncated set could lack the very record that forbids something.
    if (answer.truncated) throw new DnsError("ESERVFAIL", rrtype, domain);
    // The answer section also has the CNAMEs that were followed.
    const data = answer.records.filter((record) => record.type === type).map((record) => record.data);
    if (data.length === 0) throw new DnsError("ENODATA", rrtype, domain);
    if (rrtype === "TXT") return data.map(parseTxtData);
    if (rrtype === "MX") return data.flatMap(parseMxData);
    return data.map(withoutRoot);
  }
  return resolve;
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
