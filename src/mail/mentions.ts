import { domainToUnicode } from "node:url";
import { comparableAddress } from "./address.ts";

/** Where texts name an address, in whichever readable form. Pure. */

/** Finds one address. */
export interface Mention {
  /** The address in comparable form. */
  address: string;
  /** @returns whether a text, or anything within a value (keys of objects too), names the address. */
  isIn(value: unknown): boolean;
}

const INVISIBLE = /[\u00ad\u200b-\u200d\u2060\ufeff]/g;
/** Names of characters in HTML that stand in an address, or beside one. */
const NAMED: Readonly<Record<string, string>> = {
  amp: "&",
  nbsp: " ",
  shy: "",
  commat: "@",
  period: ".",
  plus: "+",
  lowbar: "_",
  hyphen: "-",
  dash: "-",
  equals: "=",
};
/** An escape may be escaped again, in a link within a link; beyond this nobody reads it. */
const ESCAPED_DEPTH = 3;

const UTF8 = new TextDecoder();

/** What a run of `%XX` is. Octets that are no UTF-8 become U+FFFD, which is part of no address. */
function ofPercents(run: string): string {
  return UTF8.decode(Uint8Array.from(run.slice(1).split("%"), (hex) => Number.parseInt(hex, 16)));
}

const ofCode = (code: number, whole: string) => (code <= 0x10ffff ? String.fromCodePoint(code) : whole);

/** HTML, percent and JSON escapes, one layer of them. */
function unescaped(text: string): string {
  return text
    .replace(/&#x([0-9a-f]{1,6});?/gi, (whole, hex: string) => ofCode(Number.parseInt(hex, 16), whole))
    .replace(/&#(\d{1,7});?/g, (whole, digits: string) => ofCode(Number(digits), whole))
    .replace(/&([a-z]{3,6});/gi, (whole, name: string) => NAMED[name.toLowerCase()] ?? whole)
    .replace(/(?:%[0-9a-f]{2})+/gi, ofPercents)
    .replace(/\\[nrt]/g, " ")
    .replace(/\\u([0-9a-f]{4})/gi, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Without characters that nobody sees, and in compatibility forms (NFKC). */
function seen(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  return /[^\u0000-\u007f]/.test(text) ? text.replace(INVISIBLE, "").normalize("NFKC") : text;
}

/** The text as a reader sees it, without escapes. */
function readable(text: string): string {
  let plain = seen(text);
  for (let depth = 0; depth < ESCAPED_DEPTH && /[%&\\]/.test(plain); depth++) {
    const next = seen(unescaped(plain));
    if (next === plain) break;
    plain = next;
  }
  return plain;
}

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

const LOCAL_SEPARATORS = "._%+-";

/** Whether what stands before makes another address of it, with a longer local part. */
function hasLongerLocal(text: string, start: number): boolean {
  let at = start;
  while (at > 0 && LOCAL_SEPARATORS.includes(text[at - 1] as string)) at--;
  return /[\p{L}\p{N}]$/u.test(text.slice(Math.max(0, at - 2), at));
}

/** What makes another address of one: a longer domain. A sentence may begin behind its last dot, without a space. */
const LONGER_DOMAIN = /(?!(?<=\p{Ll})\.\p{Lu}\p{Ll})\.?[\p{L}\p{N}]|-+[\p{L}\p{N}]/uy;

function hasLongerDomain(text: string, end: number): boolean {
  LONGER_DOMAIN.lastIndex = end;
  return LONGER_DOMAIN.test(text);
}

/**
 * What finds an address: in any case, with its domain in A-labels or U-labels, escaped as in HTML, links and JSON, and as a return path
 * has it (`ana=customer.example`). Another address is not found by it: neither `joana@…`, nor one with a `+tag`, nor one at a
 * domain below.
 */
export function mentionOf(given: string): Mention {
  const address = comparableAddress(given);
  const at = address.lastIndexOf("@");
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)];
  const domains = [...new Set([domain, domainToUnicode(domain).normalize("NFKC").toLowerCase() || domain])];
  const isQuoted = local.startsWith('"');
  // A local part may stand in quotes that it does not need.
  const pattern = new RegExp(
    `${literally(local)}${isQuoted ? "" : '"?'}[@=](?:${domains.map(literally).join("|")})`,
    "giu",
  );
  const isInText = (text: string) => {
    if (text.length <= local.length + 1) return false;
    const plain = readable(text);
    const lowerCase = plain.toLowerCase();
    // Cheap, and nearly always enough to say no.
    if (!domains.some((each) => lowerCase.includes(each))) return false;
    for (const { 0: found, index } of plain.matchAll(pattern)) {
      const isLonger = (!isQuoted && hasLongerLocal(plain, index)) || hasLongerDomain(plain, index + found.length);
      if (!isLonger) return true;
    }
    return false;
  };
  const isIn = (value: unknown): boolean => {
    if (typeof value === "string") return isInText(value);
    if (Array.isArray(value)) return value.some(isIn);
    if (value === null || typeof value !== "object") return false;
    return Object.entries(value).some(([key, inner]) => isInText(key) || isIn(inner));
  };
  return { address, isIn };
}
