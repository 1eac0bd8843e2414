import type { MasterKeys } from "../store/secrets.ts";
import { digitsOf, numberOf, openToken, type RecipientRef, signToken } from "./recipient-token.ts";

/**
 * Return paths, one for each recipient (VERP): a report that comes back names the recipient by the address it comes to, and needs
 * no reading for that. The address is authenticated, so that nobody can forge a bounce, and it expires.
 */

const DAY = 24 * 3600_000;
/** How long after an attempt reports of it are taken. Servers keep trying for five days at most (RFC 5321 §4.5.4.1); complaints take longer. */
export const BOUNCE_LIFE_DAYS = 35;

/** The local part of every return path; no mailbox has it. */
export const BOUNCE_LOCAL_PART = "bounces";

const POSITION_DIGITS = 2;
const DAY_DIGITS = 4;

/** Where one recipient's reports come back to. */
const ADDRESS = /^bounces\+([0-9a-z]{48})@/i;

/**
 * The envelope's sender for one recipient of one attempt. 56 octets before the `@`, of which RFC 5321 §4.5.3.1.1 allows 64.
 * @param domain where bounces come back to us, in A-labels.
 * @param now when the attempt is made, in milliseconds since the epoch: reports are taken for 35 days from then. A message may have
 *   waited for a year before.
 * @throws Error if `email_id` is none, or the position is over 1023.
 */
export function bounceAddress(
  master: MasterKeys,
  { email_id, position }: RecipientRef,
  domain: string,
  now: number,
): string {
  const rest = digitsOf(position, POSITION_DIGITS) + digitsOf(Math.floor(now / DAY), DAY_DIGITS);
  return `${BOUNCE_LOCAL_PART}+${signToken(master, "bounce-address", email_id, rest)}@${domain}`;
}

/**
 * @param address an envelope's recipient, as the mail server got it; its case does not matter.
 * @param now milliseconds since the epoch.
 * @returns whose return path it is; null if it is none of ours, or expired.
 */
export function readBounceAddress(master: MasterKeys, address: string, now: number): RecipientRef | null {
  const token = ADDRESS.exec(address.trim())?.[1];
  const opened = token === undefined ? null : openToken(master, "bounce-address", token, POSITION_DIGITS + DAY_DIGITS);
  if (opened === null) return null;
  const age = Math.floor(now / DAY) - numberOf(opened.rest.slice(POSITION_DIGITS));
  // A day's grace towards the future: clocks of two machines differ around midnight.
  if (age > BOUNCE_LIFE_DAYS || age < -1) return null;
  return { email_id: opened.email_id, position: numberOf(opened.rest.slice(0, POSITION_DIGITS)) };
}

/** @returns whether an address has the form of a return path, of whomever. */
export function isBounceAddress(address: string): boolean {
  return /^bounces(?:\+[^@]*)?@/i.test(address.trim());
}
