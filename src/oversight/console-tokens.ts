import { createHash } from "node:crypto";
import { type RandomBytes, randomBytes } from "../ids.ts";

/**
 * What lets a person into the console: a one-time sign-in link, then a session. Both are the tenant's number and 256 random
 * bits; only the SHA-256 of either is stored. The form ends like a decision link's token (FORMATS.md §7), so one that arrives in
 * inbound mail is blanked by the same guard.
 */

const TOKEN = /^([0-7][0-9A-HJKMNP-TV-Z]{25})-[A-Za-z0-9_-]{43}$/;

/** @param tenantId `ten_…`. @returns a fresh token for that tenant's console. */
export function newConsoleToken(tenantId: string, random: RandomBytes = randomBytes): string {
  return `${tenantId.slice("ten_".length)}-${Buffer.from(random(32)).toString("base64url")}`;
}

/** @returns the tenant's id in a token, or null if `token` has not the form of one. */
export function tenantOfToken(token: string): string | null {
  const number = TOKEN.exec(token)?.[1];
  return number === undefined ? null : `ten_${number}`;
}

/** @returns lower-case hex SHA-256 of the whole token, the tenant's number included. */
export function hashConsoleToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** @returns the address that a person opens to sign in. */
export function signInLink(publicUrl: string, token: string): string {
  return `${publicUrl.replace(/\/$/, "")}/console/enter/${token}`;
}
