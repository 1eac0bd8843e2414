/** Identifiers: a prefix that names the kind and a ULID (https://github.com/ulid/spec), whose first 10 characters are the time. */

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export const ID_PREFIXES = [
  "ten",
  "mbx",
  "em",
  "thr",
  "pend",
  "apr",
  "key",
  "dom",
  "whk",
  "evt",
  "aud",
  "tpl",
  "idk",
  "alw",
  "sig",
  "era",
] as const;
export type IdPrefix = (typeof ID_PREFIXES)[number];

/** A mailbox's routing number: 8 Crockford characters, 40 bits, unique in D1. The mailbox's object is named by it. */
export type RoutingNumber = string;

/** Fills a buffer with random bytes; passed in so that tests are exact. */
export type RandomBytes = (length: number) => Uint8Array;

/** Cryptographically random bytes. */
export const randomBytes: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Of one length, so that texts sort as the numbers do. */
function encodeNumber(value: number, characters: number): string {
  let rest = value;
  let text = "";
  for (let i = 0; i < characters; i++) {
    text = CROCKFORD[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function decodeNumber(text: string): number {
  return [...text].reduce((value, character) => value * 32 + CROCKFORD.indexOf(character), 0);
}

function encodeRandom(characters: number, random: RandomBytes): string {
  let text = "";
  for (const byte of random(characters)) text += CROCKFORD[byte & 31];
  return text;
}

/** @returns a fresh routing number of 40 random bits. */
export function newRoutingNumber(random: RandomBytes = randomBytes): RoutingNumber {
  return encodeRandom(8, random);
}

/**
 * Makes an id.
 * @param prefix the kind.
 * @param now milliseconds since the epoch.
 * @param routing the mailbox's routing number for ids that live inside a mailbox (`em`, `thr`, `pend`, `mbx`, `tpl`, `alw`), else left out.
 * @returns `<prefix>_<26 characters>`.
 */
export function newId(
  prefix: IdPrefix,
  now: number,
  routing?: RoutingNumber,
  random: RandomBytes = randomBytes,
): string {
  const tail = routing === undefined ? encodeRandom(16, random) : encodeRandom(8, random) + routing;
  return `${prefix}_${encodeNumber(now, 10)}${tail}`;
}

/** Places that the 8 characters for them hold: more than a log can have entries. */
const PLACES = 32 ** 8;

/**
 * Makes the id of an audit entry. Within a log ids sort as the entries do, also those of one millisecond and those that were written while
 * the clock had gone back: after the time comes the place, in 8 characters, then 8 random ones, by which logs of one time and place differ.
 * @param at milliseconds since the epoch, never before the previous entry's.
 * @param seq the entry's place in its log.
 * @throws RangeError for a place that does not fit.
 */
export function newEntryId(at: number, seq: number, random: RandomBytes = randomBytes): string {
  if (!Number.isInteger(seq) || seq < 0 || seq >= PLACES) throw new RangeError(`no entry has the place ${seq}`);
  return `aud_${encodeNumber(at, 10)}${encodeNumber(seq, 8)}${encodeRandom(8, random)}`;
}

const ID = /^([a-z]{2,4})_([0-7][0-9A-HJKMNP-TV-Z]{25})$/;

/** @returns whether `text` has the form of an id of that kind; it may still name nothing. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return ID.exec(text)?.[1] === prefix;
}

/** @returns the time and the place that an entry's id says, or null if it is no entry's. Ids made before they had a place say any. */
export function placeInEntryId(id: string): { at: number; seq: number } | null {
  if (!isId("aud", id)) return null;
  return { at: decodeNumber(id.slice(4, 14)), seq: decodeNumber(id.slice(14, 22)) };
}

/** @returns the routing number inside an `mbx_`, `em_`, `thr_`, `pend_`, `tpl_`, `alw_` or `sig_` id, or null if `id` is none. */
export function routingNumberOf(id: string): RoutingNumber | null {
  const match = ID.exec(id);
  if (!match || !["mbx", "em", "thr", "pend", "tpl", "alw", "sig"].includes(match[1] as string)) return null;
  return (match[2] as string).slice(-8);
}

/** `pend_X`, `sig_X` and `em_X` are the same message. @returns the `em_` id, or null if it is none of them. */
export function asEmailId(id: string): string | null {
  const match = ID.exec(id);
  return match && ["em", "pend", "sig"].includes(match[1] ?? "") ? `em_${match[2]}` : null;
}

/** @returns the pending item's id of an email id. */
export function pendingIdOf(emailId: string): string {
  return `pend_${emailId.slice(emailId.indexOf("_") + 1)}`;
}

/** @returns the id of an email's identity signature, of which there is one at most. */
export function signatureIdOf(emailId: string): string {
  return `sig_${emailId.slice(emailId.indexOf("_") + 1)}`;
}
