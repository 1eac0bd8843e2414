import { domainToUnicode } from "node:url";
import { parse } from "tldts";
import { Refused } from "../errors.ts";
import { isImitation } from "../pages/misleading/domains.ts";

/** Domains as people give them, read into the one form that is stored: lower-case A-labels (RFC 5890 §2.3.2.1). */

/** RFC 1035 §2.3.4, in octets. */
const MAX_NAME = 253;
const MAX_LABEL = 63;
/**
 * The longest domain that can be used. The longest address that is made below it, `bounces+<44 characters>@bounces.<domain>`,
 * must fit into a path of 254 octets (RFC 5321 §4.5.3.1.3); names of records are shorter.
 */
export const MAX_DOMAIN_OCTETS = 254 - ("bounces+".length + 44) - "@bounces.".length;
/** Nobody means a domain by more text than this. */
const MAX_INPUT = 2_000;

const CHARACTERS = /^[\p{L}\p{M}\p{N}.\-\u3002\uff0e\uff61\u200c\u200d]+$/u;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/** What surrounds a name that was copied from elsewhere: spaces of any kind, and characters of no width. */
const SURROUNDINGS = /^[\s\u200b\u2060]+|[\s\u200b\u2060]+$/g;

/** Names that no public DNS answers for (RFC 6761, 6762, 7686, 8375, 9476), by their last label. `example` and `test` serve tests. */
const SPECIAL_USE = new Set(["alt", "arpa", "internal", "invalid", "local", "localhost", "onion"]);

interface Problem {
  sentence: string;
  hint: string;
}

const GIVE_A_DOMAIN = "Give a domain whose DNS you can change, such as customer.example.";

function only(name: string | undefined): string {
  return name && name.length <= MAX_NAME && CHARACTERS.test(name) ? `Give only the domain: ${name}` : GIVE_A_DOMAIN;
}

/** What people give in place of a domain, the most telling sign first. */
const OTHER_THINGS: readonly { sign: RegExp; sentence: string; hint(text: string): string }[] = [
  { sign: /^$/, sentence: "The domain is empty.", hint: () => GIVE_A_DOMAIN },
  {
    sign: /^[a-z][a-z0-9+.-]*:\/\/|^\/\//i,
    sentence: "That is a web address, not a domain.",
    hint: (text) => only(/\/\/(?:[^/?#]*@)?([^/?#:@]+)/.exec(text)?.[1]),
  },
  {
    sign: /@/,
    sentence: "That is an e-mail address, not a domain.",
    hint: (text) => only(/@([^@>\s]+)[>\s]*$/.exec(text)?.[1]),
  },
  {
    sign: /^\[|^[0-9a-f]*:[0-9a-f:.]*(?:%.*)?$/i,
    sentence: "An IP address is not a domain.",
    hint: () => GIVE_A_DOMAIN,
  },
  {
    sign: /[/?#]/,
    sentence: "That is part of a web address, not a domain.",
    hint: (text) => only(/^[^/?#:]+/.exec(text)?.[0]),
  },
  { sign: /:\d*$/, sentence: "A domain has no port.", hint: (text) => only(/^[^:]+/.exec(text)?.[0]) },
  {
    sign: /\*/,
    sentence: "A wildcard cannot be set up: signatures and records belong to one domain.",
    hint: (text) => (/^\*\.[^*]+$/.test(text) ? only(text.slice(2)) : GIVE_A_DOMAIN),
  },
  {
    sign: /_/,
    sentence: "A domain in an e-mail address has no underscore; names with one are for records below a domain.",
    hint: (text) => only(text.replace(/^(?:[^.]*\.)*_[^.]*\./, "")),
  },
  {
    sign: /["'`<>]/,
    sentence: "The domain has quotation marks or brackets around or in it.",
    hint: (text) => only(text.replace(/["'`<>]/g, "")),
  },
  { sign: /[\s,;]/, sentence: "There is more than one word.", hint: () => "Give one domain, without spaces." },
  {
    sign: /^[.\u3002]|[.\u3002]{2}|[.\u3002]$/,
    sentence: "The domain has an empty label: a dot with nothing before or after it.",
    hint: () => GIVE_A_DOMAIN,
  },
];

/** @returns the A-labels as `new URL` makes them (UTS #46, nontransitional), or null where it takes the name for none. */
function toAscii(name: string): string | null {
  const url = URL.parse(`http://${name}/`);
  return url === null || url.hostname === "" ? null : url.hostname;
}

/** Each A-label must be the one that its own U-label is written as (RFC 5891 §5.4), or two names would be the same to people. */
function isSound(ascii: string): boolean {
  return ascii.split(".").every((label) => {
    if (!label.startsWith("xn--")) return true;
    const unicode = domainToUnicode(label);
    return CHARACTERS.test(unicode) && !/^xn--/i.test(unicode) && toAscii(unicode) === label;
  });
}

function invalidLabels(ascii: string): Problem | null {
  const labels = ascii.split(".");
  const long = labels.find((label) => label.length > MAX_LABEL);
  if (long !== undefined) {
    return {
      sentence: `A part of the domain is ${long.length} octets long; at most ${MAX_LABEL} are possible.`,
      hint: GIVE_A_DOMAIN,
    };
  }
  if (labels.some((label) => !LABEL.test(label))) {
    return { sentence: "A part of a domain may neither begin nor end with a hyphen.", hint: GIVE_A_DOMAIN };
  }
  return null;
}

function tooLong(ascii: string): Problem | null {
  if (ascii.length <= MAX_DOMAIN_OCTETS) return null;
  const reason =
    ascii.length > MAX_NAME
      ? `at most ${MAX_NAME} are possible`
      : `more than ${MAX_DOMAIN_OCTETS} leave no room for the addresses that bounces come back to`;
  return { sentence: `The domain is ${ascii.length} octets long; ${reason}.`, hint: "Use a shorter domain." };
}

/** A name that is well formed, but belongs to nobody who could set it up. */
function notAnyones(ascii: string): Problem | null {
  const labels = ascii.split(".");
  const last = labels.at(-1) as string;
  if (IPV4.test(ascii) || /^(?:\d+|0x[0-9a-f]*)$/.test(last)) {
    return { sentence: "An IP address is not a domain.", hint: GIVE_A_DOMAIN };
  }
  if (labels.length < 2) {
    return { sentence: "The domain has only one label.", hint: `Give the whole domain, such as ${ascii}.example.` };
  }
  if (SPECIAL_USE.has(last)) {
    return { sentence: `Names under .${last} are not in the public DNS.`, hint: GIVE_A_DOMAIN };
  }
  if (parse(ascii, { allowPrivateDomains: true }).publicSuffix === ascii) {
    return {
      sentence: `${ascii} is a public suffix: anyone can register names under it, so nobody can send for all of it.`,
      hint: `Give a domain under it, such as customer.${ascii}.`,
    };
  }
  return null;
}

function read(text: string): { ascii: string } | Problem {
  if (text.length > MAX_INPUT) {
    return { sentence: `The domain is ${text.length} characters long; at most ${MAX_NAME} are possible.`, hint: "" };
  }
  // One dot at the end is the root's, as zone files write it.
  const name = text.replace(SURROUNDINGS, "").replace(/(?<=[^.\u3002\uff0e\uff61])[.\u3002\uff0e\uff61]$/, "");
  const other = OTHER_THINGS.find(({ sign }) => sign.test(name));
  if (other) return { sentence: other.sentence, hint: other.hint(name) };
  if (!CHARACTERS.test(name)) {
    return { sentence: "The domain has characters that no domain has.", hint: GIVE_A_DOMAIN };
  }
  const plain = name.toLowerCase();
  // Of ASCII names a URL's host takes fewer than the DNS has, and shortens some to an IP address.
  const ascii = /^[a-z0-9.-]+$/.test(plain) && !/(?:^|\.)xn--/.test(plain) ? plain : toAscii(name);
  if (ascii === null || (!IPV4.test(ascii) && !isSound(ascii))) {
    return {
      sentence: "The domain is not a valid internationalised name.",
      hint: "Write it in its own letters, or check the label that begins with xn--.",
    };
  }
  const problem = tooLong(ascii) ?? invalidLabels(ascii) ?? notAnyones(ascii);
  return problem ?? { ascii };
}

/**
 * Reads a domain that is to be set up. Surrounding spaces, capitals and the root's dot at the end are tolerated.
 * @param text as a person typed or pasted it, in U-labels or A-labels.
 * @param path the input's name, for the path of the issue.
 * @returns the domain in lower-case A-labels, without the final dot, at most {@link MAX_DOMAIN_OCTETS} octets.
 * @throws {Refused} `invalid_input`, saying what it is instead (a web address, an e-mail address, an IP address, a wildcard, a
 *   public suffix, …) and what to give.
 */
export function readDomainName(text: string, path = "domain"): string {
  const result = read(text);
  if ("ascii" in result) return result.ascii;
  const { sentence, hint } = result;
  throw new Refused("invalid_input", sentence, {
    ...(hint === "" ? {} : { hint }),
    issues: [{ path, message: sentence }],
  });
}

/** @returns a domain of A-labels as people read it, in U-labels; itself where it has no other form. */
export function shownDomain(ascii: string): string {
  if (!/(?:^|\.)xn--/.test(ascii)) return ascii;
  const unicode = domainToUnicode(ascii);
  return unicode === "" ? ascii : unicode;
}

/** @returns one sentence for a domain whose letters imitate Latin ones (UTS #39), to be shown beside it; null for any other. */
export function domainNote(ascii: string): string | null {
  if (!isImitation(ascii)) return null;
  return `The letters of ${shownDomain(ascii)} look like Latin ones and are not; in A-labels it is ${ascii}.`;
}

/** @returns the registrable domain (one label below the public suffix, private suffixes included), or the name itself. */
export function registrableDomain(ascii: string): string {
  return parse(ascii, { allowPrivateDomains: true }).domain ?? ascii;
}
