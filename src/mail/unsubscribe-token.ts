import type { MasterKeys } from "../store/secrets.ts";
import { digitsOf, numberOf, openToken, type RecipientRef, signToken } from "./recipient-token.ts";

/**
 * Unsubscribe links. The one in the headers names its recipient (RFC 8058 §3.1: the address alone must be enough); the one in the
 * footer is the same for everybody, since a human approves one text, and the page asks for the address. Neither expires: a person
 * may find the mail after years.
 */

const POSITION_DIGITS = 2;
/** Stands for no recipient in particular. */
const EVERYBODY = 32 ** POSITION_DIGITS - 1;

/** Whose link it is; `position` is null in the footer's. */
export interface UnsubscribeRef {
  email_id: string;
  position: number | null;
}

/** @returns the token for a link. @throws Error if `email_id` is none, or the position has no room. */
export function unsubscribeToken(master: MasterKeys, { email_id, position }: UnsubscribeRef): string {
  if (position === EVERYBODY) throw new Error("no message has so many recipients");
  return signToken(master, "unsubscribe", email_id, digitsOf(position ?? EVERYBODY, POSITION_DIGITS));
}

/** @returns whom a token of ours names; null for any other text. */
export function readUnsubscribeToken(master: MasterKeys, token: string): UnsubscribeRef | null {
  const opened = openToken(master, "unsubscribe", token, POSITION_DIGITS);
  if (opened === null) return null;
  const position = numberOf(opened.rest);
  return { email_id: opened.email_id, position: position === EVERYBODY ? null : position };
}

/** @param publicUrl where this deployment is reached. */
export function unsubscribeUrl(publicUrl: string, master: MasterKeys, ref: UnsubscribeRef): string {
  return `${publicUrl.replace(/\/+$/, "")}/v1/unsubscribe/${unsubscribeToken(master, ref)}`;
}

/** The header fields by which mail programs offer to unsubscribe (RFC 2369 §3.2, RFC 8058 §3). */
export function unsubscribeHeaders(
  publicUrl: string,
  master: MasterKeys,
  recipient: RecipientRef,
): [name: string, value: string][] {
  return [
    ["List-Unsubscribe", `<${unsubscribeUrl(publicUrl, master, recipient)}>`],
    ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
  ];
}
