import { createHmac, timingSafeEqual } from "node:crypto";
import { isId } from "../ids.ts";
import { deriveKeys, type MasterKeys } from "../store/secrets.ts";

/**
 * Tokens that name one recipient of one message and that nobody else can make: what stands in a return path and in an unsubscribe
 * link. Lower-case Crockford base32 throughout, since mail servers may lower-case a local part.
 */

const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
const ULID_CHARACTERS = 26;
const MAC_OCTETS = 10;
const MAC_CHARACTERS = 16;

export type TokenPurpose = "bounce-address" | "unsubscribe";

/** A recipient of a message we sent: their place among its envelope's recipients, from 0. */
export interface RecipientRef {
  /** `em_…` */
  email_id: string;
  position: number;
}

/** @returns a number in exactly so many digits. @throws Error if it has no room. */
export function digitsOf(value: number, length: number): string {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 32 ** length) {
    throw new Error(`${value} cannot be written in ${length} digits of base32`);
  }
  let text = "";
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = DIGITS[rest % 32] + text;
  return text;
}

/** @returns the number that digits of `digitsOf` stand for. */
export function numberOf(digits: string): number {
  let value = 0;
  for (const digit of digits) value = value * 32 + DIGITS.indexOf(digit);
  return value;
}

/** 80 bits of HMAC-SHA256: nobody guesses that over SMTP or HTTP. */
function macOf(key: Uint8Array, body: string): string {
  const mac = createHmac("sha256", key).update(body).digest().subarray(0, MAC_OCTETS);
  let text = "";
  for (let at = 0; at < MAC_OCTETS; at += 5) text += digitsOf(mac.readUIntBE(at, 5), 8);
  return text;
}

/**
 * Makes a token of a message's id, and what else it carries.
 * @param rest lower-case Crockford digits, always as many for one purpose.
 * @throws Error if `emailId` is no email's id.
 */
export function signToken(master: MasterKeys, purpose: TokenPurpose, emailId: string, rest: string): string {
  if (!isId("em", emailId)) throw new Error(`${emailId} is no email's id`);
  const body = emailId.slice("em_".length).toLowerCase() + rest;
  return body + macOf(deriveKeys(master, purpose)[0], body);
}

/**
 * Reads a token, in whichever case it came back. Under MASTER_KEY and, while that is being changed, the one before.
 * @param restLength how many digits the purpose's `rest` has.
 * @returns null for everything that is no token of ours for this purpose.
 */
export function openToken(
  master: MasterKeys,
  purpose: TokenPurpose,
  token: string,
  restLength: number,
): { email_id: string; rest: string } | null {
  const text = token.toLowerCase();
  const bodyLength = ULID_CHARACTERS + restLength;
  if (text.length !== bodyLength + MAC_CHARACTERS || !/^[0-9a-hjkmnp-tv-z]+$/.test(text)) return null;
  const body = text.slice(0, bodyLength);
  const given = Buffer.from(text.slice(bodyLength));
  // Every key is tried, so that the time says nothing of which one fits.
  const fits = deriveKeys(master, purpose).map((key) => timingSafeEqual(Buffer.from(macOf(key, body)), given));
  const email_id = `em_${body.slice(0, ULID_CHARACTERS).toUpperCase()}`;
  return fits.includes(true) && isId("em", email_id) ? { email_id, rest: body.slice(ULID_CHARACTERS) } : null;
}
