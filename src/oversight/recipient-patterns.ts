import { Refused } from "../errors.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { matchesGlob } from "./rules/glob.ts";

/**
 * Patterns over recipients, for allowlists, blocklists and the domains of templates. A pattern is an address, a domain, or a
 * glob of either, where `*` is any run of characters; the last label of a domain is always written out.
 */

/** An address is at most 254 octets (RFC 5321 §4.5.3.1.3), a pattern is no longer. */
const MAX_PATTERN = 254;
/** What a glob's local part may be made of besides `*`: a dot-atom without what addresses may not have either. */
const LOCAL_GLOB = /^[a-z0-9#$&'*+\-/=?^_`{|}~.]+$/i;
const DOMAIN_GLOB = /^[a-z0-9.*-]+$/i;
const STARS = /\*{2,}/g;

/** @returns a glob's normal form. */
function globOf(glob: string): string {
  return glob.replace(STARS, "*").toLowerCase();
}

/** @returns the domain in lower-case A-labels, or null if it is none. */
function parseDomain(domain: string): string | null {
  return parseAddress(`a@${domain}`)?.slice(2) ?? null;
}

/** @returns the comparable form of an address that stands alone, or null. */
function parseAddress(text: string): string | null {
  if (/[<>]/.test(text)) return null;
  try {
    const [parsed] = parseAddresses([text], "pattern");
    return parsed && parsed.name === null ? comparableAddress(parsed.address) : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** A domain with `*` in some labels: the labels after the last of those are a domain's own, the others are ASCII. */
function parseDomainGlob(domain: string): string | null {
  const labels = domain.split(".");
  const last = labels.findLastIndex((label) => label.includes("*"));
  const open = labels.slice(0, last + 1).join(".");
  const written = labels.slice(last + 1).join(".");
  if (written === "" || !DOMAIN_GLOB.test(open) || labels.includes("")) return null;
  // A label more, so that a top level alone is a domain too.
  const parsed = parseDomain(`a.${written}`)?.slice(2);
  return parsed === undefined ? null : `${globOf(open)}.${parsed}`;
}

function parseDomainPattern(domain: string): string | null {
  return domain.includes("*") ? parseDomainGlob(domain) : parseDomain(domain);
}

/**
 * Reads a pattern.
 * @param text an address, a domain (`customer.example`, also `@customer.example`), or a glob (`*@customer.example`,
 *   `*.customer.example`, `sales-*@customer.example`).
 * @returns its normal form, in lower case with the domain in A-labels; null if it is none of these, or matches everyone.
 */
export function parseRecipientPattern(text: string): string | null {
  const pattern = text.trim();
  if (pattern.length > MAX_PATTERN) return null;
  const at = pattern.lastIndexOf("@");
  if (at <= 0) return parseDomainPattern(pattern.slice(at + 1));
  if (!pattern.includes("*")) return parseAddress(pattern);
  const local = pattern.slice(0, at);
  const domain = parseDomainPattern(pattern.slice(at + 1));
  return domain !== null && LOCAL_GLOB.test(local) ? `${globOf(local)}@${domain}` : null;
}

/** A pattern's two globs. A domain alone is everyone there. */
function globsOf(pattern: string): { local: string; domain: string } {
  const at = pattern.lastIndexOf("@");
  return { local: at < 0 ? "*" : pattern.slice(0, at), domain: pattern.slice(at + 1) };
}

/** `tagged`: an address is also taken without its tag (`ana+news@` as `ana@`), since many hosts deliver both to one person. */
export type TagReading = "exact" | "tagged";

/** @returns the address in comparable form, then, if it is read so, without its tag. */
function readingsOf(address: string, reading: TagReading): { local: string; domain: string }[] {
  const comparable = comparableAddress(address);
  const at = comparable.lastIndexOf("@");
  if (at < 0) return [];
  const exact = { local: comparable.slice(0, at), domain: comparable.slice(at + 1) };
  const plus = exact.local.indexOf("+");
  return reading === "tagged" && plus > 0 ? [exact, { ...exact, local: exact.local.slice(0, plus) }] : [exact];
}

/**
 * @param patterns in the normal form of `parseRecipientPattern`.
 * @returns the first pattern that matches the address, or null.
 */
export function findRecipientPattern(
  patterns: readonly string[],
  address: string,
  reading: TagReading = "exact",
): string | null {
  const readings = readingsOf(address, reading);
  const matching = patterns.find((pattern) => {
    const { local, domain } = globsOf(pattern);
    return readings.some((read) => matchesGlob(domain, read.domain) && matchesGlob(local, read.local));
  });
  return matching ?? null;
}

/**
 * Whether a pattern matches an address. A domain matches exactly that domain, not those below it.
 * @param pattern in the normal form of `parseRecipientPattern`.
 * @param reading `tagged` only where it tightens: on a blocklist.
 */
export function matchesRecipient(pattern: string, address: string, reading: TagReading = "exact"): boolean {
  return findRecipientPattern([pattern], address, reading) !== null;
}

/** @returns whether `pattern` matches every address that `other` does; both in the normal form of `parseRecipientPattern`. */
export function coversRecipients(pattern: string, other: string): boolean {
  const [wide, narrow] = [globsOf(pattern), globsOf(other)];
  return matchesGlob(wide.domain, narrow.domain) && matchesGlob(wide.local, narrow.local);
}
