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
const NAMED: Readonly<Record<string, string>> = {
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

const ascii = (code: number, whole: string) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : whole);

/** HTML, percent and JSON escapes of ASCII, one layer of them. */
function unescaped(text: string): string {
  return text
    .replace(/&#x([0-9a-f]{1,6});?/gi, (whole, hex: string) => ascii(Number.parseInt(hex, 16), whole))
    .replace(/&#(\d{1,7});?/g, (whole, digits: string) => ascii(Number(digits), whole))
    .replace(/&(amp|[a-z]{4,6});/gi, (whole, name: string) =>
      name === "amp" ? "&" : (NAMED[name.toLowerCase()] ?? whole),
    )
    .replace(/%([2-7][0-9a-f])/gi, (whole, hex: string) => ascii(Number.parseInt(hex, 16), whole))
    .replace(/\\[nrt]/g, " ")
    .replace(/\\u00([2-7][0-9a-f])/gi, (whole, hex: string) => ascii(Number.parseInt(hex, 16), whole));
}

/** The text as it is compared: lower-case, without escapes, compatibility forms (NFKC) and characters that nobody sees. */
function readable(text: string): string {
  let plain = text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/[^\u0000-\u007f]/.test(plain)) plain = plain.replace(INVISIBLE, "").normalize("NFKC");
  for (let depth = 0; depth < ESCAPED_DEPTH && /[%&\\]/.test(plain); depth++) {
    const next = unescaped(plain);
    if (next === plain) break;
    plain = next;
  }
  return plain.toLowerCase();
}

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** Characters that make another address of one: a longer local part before it, a longer domain behind it. */
const NO_LONGER_LOCAL = "(?<![\\p{L}\\p{N}][._%+\\-]*)";
const NO_LONGER_DOMAIN = "(?!\\.?[\\p{L}\\p{N}]|-+[\\p{L}\\p{N}])";

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
  // A local part may stand in quotes that it does not need.
  const locals = local.startsWith('"') ? literally(local) : `"?${NO_LONGER_LOCAL}${literally(local)}"?`;
  const pattern = new RegExp(`${locals}[@=](?:${domains.map(literally).join("|")})${NO_LONGER_DOMAIN}`, "u");
  const isInText = (text: string) => {
    if (text.length <= local.length + 1) return false;
    const plain = readable(text);
    // Cheap, and nearly always enough to say no.
    return domains.some((each) => plain.includes(each)) && pattern.test(plain);
  };
  const isIn = (value: unknown): boolean => {
    if (typeof value === "string") return isInText(value);
    if (Array.isArray(value)) return value.some(isIn);
    if (value === null || typeof value !== "object") return false;
    return Object.entries(value).some(([key, inner]) => isInText(key) || isIn(inner));
  };
  return { address, isIn };
}
