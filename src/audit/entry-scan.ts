import { utf8 } from "../identity/encoding.ts";
import { type EntryFacts, readRest } from "./entry-facts.ts";
import { HASH_MEMBER } from "./export-line.ts";

/**
 * Reads what nearly all lines are, fast: one pass over the octets of a line in ASCII without escapes, flat, in canonical form. It
 * answers null for everything else, which is then read by `readEntryLine`; whatever is read here, is read the same there.
 */

const HASH_DIGITS = 64;
const [QUOTE, BACKSLASH, COMMA, MINUS, ZERO, NINE] = [0x22, 0x5c, 0x2c, 0x2d, 0x30, 0x39] as const;
const [COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, DELETE] = [0x3a, 0x7b, 0x7d, 0x5b, 0x5d, 0x7f] as const;
/** More digits may be more than a safe integer. */
const MAX_DIGITS = 15;
const NOWHERE = -1;

/** By octet: 1 for what a string has as itself (RFC 8785 §3.2.2.2). What is UTF-8 and what is not, is told in the other way. */
const PLAIN = new Uint8Array(256).fill(1, 0x20, DELETE);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;
const ASCII = /^[\x20-\x7e]*$/;
/** By octet: 1 for the digits of lower-case hex. */
const HEX = new Uint8Array(256);
for (const digit of utf8("0123456789abcdef")) HEX[digit] = 1;
/** Digits of a time, and what stands between them. */
const TIME_FORM = utf8("0000-00-00T00:00:00.000Z");

const [TRUE, FALSE, NULL] = [utf8("true"), utf8("false"), utf8("null")] as const;
const LINE_END = utf8('"}');
const VERSION = utf8(',"v":1');
const BEFORE_HASH = utf8(HASH_MEMBER);
/** What stands before each member's value; a quote at the end is the value's own. */
const BEFORE = {
  action: utf8('{"action":'),
  actor: utf8(',"actor":'),
  at: utf8(',"at":"'),
  detail: utf8('","detail":'),
  id: utf8(',"id":'),
  log: utf8(',"log":'),
  mode: utf8(',"mode":'),
  prev: utf8(',"prev":"'),
  resource: utf8('","resource":'),
  sealed: utf8(',"sealed":'),
  seq: utf8(',"seq":'),
};

/** @returns whether these octets stand there. */
function has(octets: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (octets[start + i] !== expected[i]) return false;
  return true;
}

/** Reads one value. @returns the position after it; NOWHERE if none of its kind stands there. */
type Reader = (octets: Uint8Array, start: number) => number;

function afterString(octets: Uint8Array, start: number): number {
  if (octets[start] !== QUOTE) return NOWHERE;
  let at = start + 1;
  while (PLAIN[octets[at] as number] === 1) at++;
  return octets[at] === QUOTE ? at + 1 : NOWHERE;
}

function afterNumber(octets: Uint8Array, start: number): number {
  const isNegative = octets[start] === MINUS;
  const first = isNegative ? start + 1 : start;
  let at = first;
  while ((octets[at] as number) >= ZERO && (octets[at] as number) <= NINE) at++;
  const digits = at - first;
  const isZero = octets[first] === ZERO;
  if (digits === 0 || digits > MAX_DIGITS || (isZero && (digits > 1 || isNegative))) return NOWHERE;
  return at;
}

function afterStrings(octets: Uint8Array, start: number): number {
  if (octets[start + 1] === CLOSE_LIST) return start + 2;
  let at = start;
  do {
    at = afterString(octets, at + 1);
    if (at === NOWHERE) return NOWHERE;
  } while (octets[at] === COMMA);
  return octets[at] === CLOSE_LIST ? at + 1 : NOWHERE;
}

function afterValue(octets: Uint8Array, start: number): number {
  const first = octets[start];
  if (first === QUOTE) return afterString(octets, start);
  if (first === OPEN_LIST) return afterStrings(octets, start);
  for (const literal of [TRUE, FALSE, NULL]) if (has(octets, start, literal)) return start + literal.length;
  return afterNumber(octets, start);
}

/** Whether one name sorts before another, and is not the same (RFC 8785 §3.2.3). Both end with a quote, which none has inside. */
function isBefore(octets: Uint8Array, one: number, other: number): boolean {
  for (let i = 0; ; i++) {
    const octet = octets[one + i] as number;
    const otherOctet = octets[other + i] as number;
    if (octet === otherOctet && octet !== QUOTE) continue;
    return otherOctet !== QUOTE && (octet === QUOTE || octet < otherOctet);
  }
}

/** An object of plain values, its names in order and each there once. */
function afterObject(octets: Uint8Array, start: number): number {
  if (octets[start] !== OPEN) return NOWHERE;
  if (octets[start + 1] === CLOSE) return start + 2;
  let before = NOWHERE;
  let at = start;
  do {
    const name = at + 2;
    const end = afterString(octets, at + 1);
    if (end === NOWHERE || octets[end] !== COLON) return NOWHERE;
    if (before !== NOWHERE && !isBefore(octets, before, name)) return NOWHERE;
    before = name;
    at = afterValue(octets, end + 1);
    if (at === NOWHERE) return NOWHERE;
  } while (octets[at] === COMMA);
  return octets[at] === CLOSE ? at + 1 : NOWHERE;
}

function afterTime(octets: Uint8Array, start: number): number {
  for (let i = 0; i < TIME_FORM.length; i++) {
    const octet = octets[start + i] as number;
    const form = TIME_FORM[i];
    if (form === ZERO ? !(octet >= ZERO && octet <= NINE) : octet !== form) return NOWHERE;
  }
  return start + TIME_FORM.length;
}

function afterHash(octets: Uint8Array, start: number): number {
  for (let i = 0; i < HASH_DIGITS; i++) if (HEX[octets[start + i] as number] !== 1) return NOWHERE;
  return start + HASH_DIGITS;
}

/** What names something is not empty. */
function afterName(octets: Uint8Array, start: number): number {
  const after = afterString(octets, start);
  return after === start + 2 ? NOWHERE : after;
}

function afterMode(octets: Uint8Array, start: number): number {
  return has(octets, start, NULL) ? start + NULL.length : afterName(octets, start);
}

function afterSeq(octets: Uint8Array, start: number): number {
  return octets[start] === MINUS ? NOWHERE : afterNumber(octets, start);
}

/** @returns the position after a member; NOWHERE if it does not stand here. */
function member(octets: Uint8Array, start: number, before: Uint8Array, after: Reader): number {
  return start !== NOWHERE && has(octets, start, before) ? after(octets, start + before.length) : NOWHERE;
}

/**
 * @param octets many lines, or one. @param units the same, one unit an octet (`Line`).
 * @param start where the line begins. @param stop where it ends, before its LF.
 * @returns what the line says; null if it has to be read in the other way. `end` counts from `start`.
 */
export function scanEntryLine(octets: Uint8Array, units: string, start: number, stop: number): EntryFacts | null {
  let at = member(octets, start, BEFORE.action, afterName);
  at = member(octets, at, BEFORE.actor, afterObject);
  at = member(octets, at, BEFORE.at, afterTime);
  const timeEnd = at;
  at = member(octets, at, BEFORE.detail, afterObject);
  at = member(octets, at, BEFORE.id, afterName);
  const log = at + BEFORE.log.length + 1;
  at = member(octets, at, BEFORE.log, afterName);
  const logEnd = at - 1;
  at = member(octets, at, BEFORE.mode, afterMode);
  at = member(octets, at, BEFORE.prev, afterHash);
  const prevEnd = at;
  at = member(octets, at, BEFORE.resource, afterObject);
  const isSealed = at !== NOWHERE && has(octets, at, BEFORE.sealed);
  if (isSealed) at = member(octets, at, BEFORE.sealed, afterObject);
  const seq = at + BEFORE.seq.length;
  at = member(octets, at, BEFORE.seq, afterSeq);
  if (at === NOWHERE || !has(octets, at, VERSION)) return null;
  const end = at + VERSION.length;
  const rest = restOf(octets, units, end, stop, isSealed);
  return (
    rest && {
      log: units.slice(log, logEnd),
      seq: Number(units.slice(seq, at)),
      at: units.slice(timeEnd - TIME_FORM.length, timeEnd),
      prev: units.slice(prevEnd - HASH_DIGITS, prevEnd),
      hash: rest.hash,
      isOpened: rest.isOpened,
      end: end - start,
    }
  );
}

/** What an export adds; null if it is not that. */
function restOf(
  octets: Uint8Array,
  units: string,
  start: number,
  stop: number,
  isSealed: boolean,
): Pick<EntryFacts, "hash" | "isOpened"> | null {
  const end = member(octets, start, BEFORE_HASH, afterHash);
  if (end !== NOWHERE && end === stop - LINE_END.length && has(octets, end, LINE_END)) {
    return { hash: units.slice(end - HASH_DIGITS, end), isOpened: false };
  }
  const added = units.slice(start, stop);
  const rest = ASCII.test(added) ? readRest(added, isSealed) : null;
  return rest && "hash" in rest ? rest : null;
}
