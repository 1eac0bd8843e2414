import { canonical } from "../canonical-json.ts";
import { fromJson, isObject } from "../identity/encoding.ts";
import { HASH_MEMBER } from "./export-line.ts";

/** What one line of an export says, once it is certain that every reader of JSON reads the same from it. */
export interface EntryFacts {
  log: string;
  seq: number;
  at: string;
  prev: string;
  /** As the line states it, in hex. */
  hash: string;
  /** The opened personal fields stand beside the entry. No hash covers them. */
  isOpened: boolean;
  /** Where in the line the entry's own brace belongs: what comes before it, and the brace, is what is hashed. */
  end: number;
}

/** Why a line is no entry. */
export interface FormFault {
  code: "not_json" | "not_canonical" | "not_an_entry";
  message: string;
}

/** The end of the entry's own members, as only canonical form has it: `v` sorts after all others. */
const ENTRY_END = `,"v":1${HASH_MEMBER}`;
const REST = /^,"hash":"([0-9a-f]{64})"(?:,"personal":(\{.*\}))?\}$/s;
const HEX_HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** Entries are flat; what is nested deeper is none, and is not walked. */
const MAX_DEPTH = 8;

type Check<Value = unknown> = (value: unknown) => value is Value;

/** Each member of an entry, with what it must be. `sealed` alone may be missing. */
const MEMBERS = {
  action: isText,
  actor: isObject,
  at: (value: unknown): value is string => isText(value) && TIME.test(value),
  detail: isObject,
  id: isText,
  log: isText,
  mode: (value: unknown) => value === null || isText(value),
  prev: (value: unknown): value is string => isText(value) && HEX_HASH.test(value),
  resource: isObject,
  sealed: isObject,
  seq: (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0,
  v: (value: unknown) => value === 1,
} as const satisfies Record<string, Check>;
const OPTIONAL = "sealed";
const CHECKS: Readonly<Record<string, Check>> = MEMBERS;

/** What is certain of the members once each is what it must be. */
type EntryMembers = {
  [Name in Exclude<keyof typeof MEMBERS, typeof OPTIONAL>]: (typeof MEMBERS)[Name] extends Check<infer Value>
    ? Value
    : never;
};

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Whether a value has integers only, no lone surrogates, and an end (FORMATS.md §6). */
function isPlain(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isSafeInteger(value);
  if (typeof value !== "object" || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  return Object.entries(value).every(([name, each]) => name.isWellFormed() && isPlain(each, depth + 1));
}

/** The members that an entry has, and those that this one has beside them. */
function namesIn(entry: Record<string, unknown>): string[] {
  return [...new Set([...Object.keys(CHECKS), ...Object.keys(entry)])];
}

/** Whether a member is neither missing nor wrong, and an entry's. */
function holds(entry: Record<string, unknown>, name: string): boolean {
  if (!Object.hasOwn(entry, name)) return name === OPTIONAL;
  return Object.hasOwn(CHECKS, name) && CHECKS[name]?.(entry[name]) === true;
}

function isEntry(value: Record<string, unknown>): value is EntryMembers {
  return namesIn(value).every((name) => holds(value, name));
}

const NOT_JSON: FormFault = { code: "not_json", message: "This line is not JSON: it was cut, or changed." };
const NOT_CANONICAL: FormFault = {
  code: "not_canonical",
  message:
    "This line is JSON, but not in its one canonical form (RFC 8785): another program may read something else from it than what was hashed.",
};

const CONVERTED: FormFault = {
  code: "not_canonical",
  message: "This line ends in CR and LF: the file was converted on its way. Fetch it again, as it is.",
};

function notAnEntry(what: string): FormFault {
  return { code: "not_an_entry", message: `This line is not an entry: ${what}.` };
}

/** What to say of a line that does not end as an exported entry does. */
function withoutItsEnd(line: string): FormFault {
  const value = fromJson(line);
  if (value === undefined) return NOT_JSON;
  const isMeantAsOne =
    isObject(value) && ["log", "seq", "prev", "hash", "v"].every((name) => Object.hasOwn(value, name));
  if (!isMeantAsOne) return notAnEntry("it has not the members of one, with its hash after them");
  return value.v === 1 ? NOT_CANONICAL : notAnEntry("it is of a version that this program does not know");
}

/**
 * Reads any line, exactly and not fast.
 * @param line without LF.
 * @returns what it says, or why it is no entry.
 */
export function readEntryLine(line: string): EntryFacts | FormFault {
  if (line.endsWith("\r")) return CONVERTED;
  const at = line.indexOf(ENTRY_END);
  if (at < 0) return withoutItsEnd(line);
  const end = at + ENTRY_END.length - HASH_MEMBER.length;
  const text = `${line.slice(0, end)}}`;
  const entry = fromJson(text);
  if (!isObject(entry)) return fromJson(line) === undefined ? NOT_JSON : NOT_CANONICAL;
  if (!isPlain(entry))
    return notAnEntry("it has a number that is no integer, a broken character, or no end of nesting");
  if (canonical(entry) !== text) return NOT_CANONICAL;
  if (!isEntry(entry)) {
    const [wrong = ""] = namesIn(entry).filter((name) => !holds(entry, name));
    return notAnEntry(`its member ${JSON.stringify(wrong.slice(0, 40))} is missing or wrong`);
  }
  const rest = readRest(line.slice(end), Object.hasOwn(entry, OPTIONAL));
  if (!("hash" in rest)) return rest.code === "not_an_entry" && fromJson(line) === undefined ? NOT_JSON : rest;
  const { log, seq, at: time, prev } = entry;
  return { log, seq, at: time, prev, ...rest, end };
}

/**
 * Reads what an export adds to an entry.
 * @param rest the line after the entry's own members. @param isSealed whether the entry has something that can be opened.
 */
export function readRest(rest: string, isSealed: boolean): Pick<EntryFacts, "hash" | "isOpened"> | FormFault {
  const [, hash, personal] = REST.exec(rest) ?? [];
  if (hash === undefined) return notAnEntry("after an entry come only its hash and what was opened");
  if (personal === undefined) return { hash, isOpened: false };
  if (!isObject(fromJson(personal))) return NOT_JSON;
  return isSealed ? { hash, isOpened: true } : notAnEntry("it has opened fields, but nothing was sealed in it");
}

/** @returns whether a line was read. */
export function isFacts(read: EntryFacts | FormFault): read is EntryFacts {
  return "seq" in read;
}
