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

function encodeTime(ms: number): string {
  let rest = ms;
  let text = "";
  for (let i = 0; i < 10; i++) {
    text = CROCKFORD[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
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
  return `${prefix}_${encodeTime(now)}${tail}`;
}

const ID = /^([a-z]{2,4})_([0-7][0-9A-HJKMNP-TV-Z]{25})$/;

/** @returns whether `text` has the form of an id of that kind; it may still name nothing. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return ID.exec(text)?.[1] === prefix;
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
