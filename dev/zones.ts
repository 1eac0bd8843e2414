import { readFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";

/**
 * The world's DNS: one plain JSON file, `{"<name>": {"TXT": ["…"], "MX": ["10 mx.example"], "A": ["127.0.0.1"], …}}`, that
 * anyone may edit while the world runs.
 */

/** One record, ready for dns-packet and for the JSON form. */
export type ZoneRecord =
  | { type: "A" | "AAAA" | "CNAME" | "NS" | "PTR"; data: string }
  | { type: "MX"; data: { preference: number; exchange: string } }
  | { type: "TXT"; data: string[] };

export type RecordType = ZoneRecord["type"];

/** Record sets by name (lower-case, no dot at the end). */
export type Zones = Map<string, ZoneRecord[]>;

/** An answer: `records` come in order, those of a CNAME chain with the names they were found at (RFC 1034 §4.3.2). */
export interface Answer {
  rcode: "NOERROR" | "NXDOMAIN";
  records: { name: string; record: ZoneRecord }[];
}

/** A character-string holds at most 255 octets (RFC 1035 §3.3); longer text is split, and readers join the parts. */
const CHARACTER_STRING = 255;
const NAME = /^(?:[\w*-]{1,63}\.)*[\w*-]{1,63}$/;
/** A chain of aliases longer than this is a loop. */
const MAX_ALIASES = 8;

/** @returns `name` in lower case and without the dot at its end. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function characterStrings(text: string): string[] {
  const bytes = Buffer.from(text);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length || at === 0; ) {
    let end = Math.min(at + CHARACTER_STRING, bytes.length);
    // A multi-byte character stays in one part.
    while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    parts.push(bytes.subarray(at, end).toString());
    if (end === bytes.length) break;
    at = end;
  }
  return parts;
}

function hostName(value: string): string | null {
  const name = normalName(value);
  return name.length <= 253 && NAME.test(name) ? name : null;
}

function mailExchange(value: string): ZoneRecord | null {
  const match = /^(\d{1,5})\s+(\S+)$/.exec(value);
  const preference = Number(match?.[1]);
  // A lone dot is the null MX of RFC 7505.
  const exchange = match?.[2] === "." ? "." : hostName(match?.[2] ?? "");
  return match && preference <= 65535 && exchange ? { type: "MX", data: { preference, exchange } } : null;
}

function host(type: "CNAME" | "NS" | "PTR") {
  return (value: string): ZoneRecord | null => {
    const data = hostName(value);
    return data === null ? null : { type, data };
  };
}

const READERS: Record<RecordType, (value: string) => ZoneRecord | null> = {
  A: (value) => (isIPv4(value) ? { type: "A", data: value } : null),
  AAAA: (value) => (isIPv6(value) ? { type: "AAAA", data: value } : null),
  CNAME: host("CNAME"),
  NS: host("NS"),
  PTR: host("PTR"),
  MX: mailExchange,
  TXT: (value) => ({ type: "TXT", data: characterStrings(value) }),
};

function isRecordType(type: string): type is RecordType {
  return Object.hasOwn(READERS, type);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a zones file.
 * @throws Error with one sentence that names the first thing wrong in it.
 */
export function parseZones(json: string): Zones {
  const file: unknown = JSON.parse(json);
  if (!isObject(file)) throw new Error("The file must be an object of names.");
  const zones: Zones = new Map();
  for (const [key, sets] of Object.entries(file)) {
    const name = hostName(key);
    if (name === null) throw new Error(`"${key}" is not a domain name.`);
    if (!isObject(sets)) throw new Error(`"${key}" must be an object of record types.`);
    const records = zones.get(name) ?? [];
    for (const [type, values] of Object.entries(sets)) {
      if (!isRecordType(type)) {
        throw new Error(`"${key}" has records of type ${type}; known are ${Object.keys(READERS).join(", ")}.`);
      }
      if (!Array.isArray(values)) throw new Error(`${type} of "${key}" must be a list of strings.`);
      for (const value of values) {
        const record = typeof value === "string" ? READERS[type](value) : null;
        if (!record) throw new Error(`${JSON.stringify(value)} is not a value for ${type} of "${key}".`);
        records.push(record);
      }
    }
    zones.set(name, records);
  }
  return zones;
}

/**
 * Looks up one record set and follows CNAMEs.
 * @returns NXDOMAIN only if neither the name nor anything below it exists (RFC 8020); an existing name without records of
 * that type is NOERROR with no records.
 */
export function lookUp(zones: Zones, name: string, type: string): Answer {
  const records: Answer["records"] = [];
  let at = normalName(name);
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const here = zones.get(at);
    if (!here) {
      const below = `.${at}`;
      const exists = [...zones.keys()].some((other) => other.endsWith(below));
      return { rcode: exists ? "NOERROR" : "NXDOMAIN", records };
    }
    const owner = at;
    for (const record of here) if (record.type === type) records.push({ name: owner, record });
    const alias = here.find((record) => record.type === "CNAME");
    if (alias?.type !== "CNAME" || type === "CNAME") break;
    records.push({ name: owner, record: alias });
    at = normalName(alias.data);
  }
  return { rcode: "NOERROR", records };
}

/** A zones file that is read again whenever its content changes; while it cannot be read, what it said last stays. */
export class ZonesFile {
  readonly path: string;
  readonly #complain: (sentence: string) => void;
  #text: string | null = null;
  #zones: Zones = new Map();

  /** `complain` hears one sentence for each broken version of the file. */
  constructor(path: string, complain: (sentence: string) => void) {
    this.path = path;
    this.#complain = complain;
  }

  /** @returns the zones as the file has them now, or had them last while it could be read. */
  current(): Zones {
    // Reading these few KB each time cannot miss an edit, which comparing modification times can.
    const text = this.#read();
    if (text === this.#text) return this.#zones;
    this.#text = text;
    try {
      this.#zones = parseZones(text);
    } catch (error) {
      this.#complain(`${this.path} is broken, so the records it had before stay. ${sentenceOf(error)}`);
    }
    return this.#zones;
  }

  #read(): string {
    try {
      return readFileSync(this.path, "utf8");
    } catch (error) {
      // An unreadable file is one more broken version: it is reported once, and ends when the file is back.
      return `\0${sentenceOf(error)}`;
    }
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
