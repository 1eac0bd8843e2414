import { createHash } from "node:crypto";
import { type RandomBytes, type RoutingNumber, randomBytes } from "../ids.ts";

/** Decision links (FORMATS.md §7). A token is the mailbox's routing number and 256 random bits; only its SHA-256 is stored. */

const TOKEN = /^([0-9A-HJKMNP-TV-Z]{8})-([A-Za-z0-9_-]{43})$/;
const TOKEN_IN_TEXT = /[0-9A-HJKMNP-TV-Z]{8}-[A-Za-z0-9_-]{43}/g;

/** What stands where a decision link was found in inbound mail. */
export const BLANKED_TOKEN = "[decision link removed]";

/** @returns a fresh token for a decision in the mailbox with that routing number. */
export function newDecisionToken(routing: RoutingNumber, random: RandomBytes = randomBytes): string {
  return `${routing}-${Buffer.from(random(32)).toString("base64url")}`;
}

/** @returns the routing number in a token, or null if `token` has not the form of one. */
export function routingNumberOfToken(token: string): RoutingNumber | null {
  return TOKEN.exec(token)?.[1] ?? null;
}

/** @returns lower-case hex SHA-256 of the token, which is all that is ever stored or logged of it. */
export function hashDecisionToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** @returns the address a person opens. */
export function decisionLink(publicUrl: string, token: string): string {
  return `${publicUrl.replace(/\/$/, "")}/v1/approve/${token}`;
}

/** @returns the distinct strings in `text` that have the form of a token, whatever stands around them. */
export function findDecisionTokens(text: string): string[] {
  return [...new Set(text.match(TOKEN_IN_TEXT) ?? [])];
}

/** @returns `text` with each token replaced by a note. */
export function blankDecisionTokens(text: string): string {
  return text.replace(TOKEN_IN_TEXT, BLANKED_TOKEN);
}
