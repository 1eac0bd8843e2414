import { domainToASCII, domainToUnicode } from "node:url";
import { type Issue, Refused } from "../errors.ts";
import type { MailAddress } from "./message.ts";

/**
 * Addresses as people and agents write them. The grammar is RFC 5322 §3.4 without everything that two parsers may read
 * differently: groups, routes, comments, encoded words, folding, domain literals, routing hacks in the local part. What is
 * returned here is what rules judge, what headers show and what RCPT TO gets.
 */

/** RFC 5321 §4.5.3.1: octets. A path is at most 256 with its angle brackets. */
const LIMITS = { local: 64, domain: 255, total: 254, label: 63 } as const;
/** A header line may not exceed 998 octets, and nobody reads a longer name. */
const MAX_NAME_CHARACTERS = 256;

/** atext of RFC 5322 §3.2.3 without `%` and `!`, by which some relays still route to another host (RFC 5321 appendix F.2). */
const ATEXT = "A-Za-z0-9#$&'*+\\-/=?^_`{|}~";
const DOT_ATOM = new RegExp(`^[${ATEXT}]+(?:\\.[${ATEXT}]+)*$`);
/** What may stand between a local part's quotes: atext, dots and spaces, so that no reader can see a delimiter in it. */
const QUOTED_LOCAL = new RegExp(`^[${ATEXT}. ]+$`);
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const HEADER_BREAKERS = /[\r\n\0]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/;
/** IDEOGRAPHIC, FULLWIDTH and HALFWIDTH FULL STOP: IDNA maps them to a dot, a plain parser does not. */
const UNICODE_DOTS = /[\u3002\uff0e\uff61]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

class Unacceptable extends Error {}

type Token =
  | { kind: "text"; value: string }
  | { kind: "quoted"; value: string }
  | { kind: "angle"; value: string }
  | { kind: "comma" };

/** Characters that are only ever part of a form that is refused, with the reason. */
const REFUSED_CHARACTERS: Readonly<Record<string, string>> = {
  "(": "comments are not taken in addresses",
  ")": "comments are not taken in addresses",
  ":": "address groups are not taken; list the members",
  ";": "address groups are not taken; separate addresses with commas",
  "[": "domain literals are not taken",
  "]": "domain literals are not taken",
  "\\": "a backslash is not taken outside quotes",
  ">": "there is a “>” without “<”",
};

function quotedAt(input: string, start: number): { value: string; end: number } {
  let value = "";
  for (let i = start + 1; i < input.length; i++) {
    const character = input.charAt(i);
    if (character === '"') return { value, end: i + 1 };
    if (character === "\\") i++;
    value += input.charAt(i);
  }
  throw new Unacceptable("a quotation mark is not closed");
}

/** Where the angle bracket opened at `start` closes, not counting one inside a quoted local part. */
function angleEnd(input: string, start: number): number {
  for (let i = start + 1; i < input.length; i++) {
    const character = input.charAt(i);
    if (character === '"') i = quotedAt(input, i).end - 1;
    else if (character === ">") return i;
    else if (character === "<") break;
  }
  throw new Unacceptable("an angle bracket is not closed");
}

function tokenize(input: string): Token[] {
  const tokens: Token[] = [];
  let text = "";
  const flush = () => {
    if (text !== "") tokens.push({ kind: "text", value: text });
    text = "";
  };
  for (let i = 0; i < input.length; i++) {
    const character = input.charAt(i);
    const reason = REFUSED_CHARACTERS[character];
    if (reason) throw new Unacceptable(reason);
    if (character === ",") {
      flush();
      tokens.push({ kind: "comma" });
    } else if (character === '"') {
      flush();
      const { value, end } = quotedAt(input, i);
      tokens.push({ kind: "quoted", value });
      i = end - 1;
    } else if (character === "<") {
      flush();
      const end = angleEnd(input, i);
      tokens.push({ kind: "angle", value: input.slice(i + 1, end) });
      i = end;
    } else {
      text += character;
    }
  }
  flush();
  return tokens;
}

/** @returns the domain in lower-case A-labels. */
function parseDomain(domain: string): string {
  if (domain === "") throw new Unacceptable("the domain is missing");
  if (domain.startsWith("[")) throw new Unacceptable("domain literals are not taken");
  if (UNICODE_DOTS.test(domain)) throw new Unacceptable("the domain has a dot that is not a full stop");
  if (!/^[\p{L}\p{M}\p{N}.\-\u200c\u200d]+$/u.test(domain)) {
    throw new Unacceptable("the domain has characters that no domain has");
  }
  const plain = /^[a-z0-9.-]+$/i.test(domain) && !/(^|\.)xn--/i.test(domain);
  const ascii = plain ? domain.toLowerCase() : domainToASCII(domain);
  // Not every platform's conversion looks into labels that are A-labels already.
  if (!plain && /(?:^|\.)xn--/i.test(domainToUnicode(ascii))) throw new Unacceptable("the domain is not valid");
  const labels = ascii.split(".");
  if (ascii === "" || labels.length !== domain.split(".").length) throw new Unacceptable("the domain is not valid");
  if (ascii.length > LIMITS.domain) throw new Unacceptable(`the domain is longer than ${LIMITS.domain} octets`);
  if (labels.length < 2) throw new Unacceptable("the domain has only one label");
  if (labels.some((label) => label.length > LIMITS.label || !LABEL.test(label))) {
    throw new Unacceptable("the domain is not valid");
  }
  if (/^\d+$/.test(labels.at(-1) ?? "")) throw new Unacceptable("an IP address is not a domain");
  return ascii;
}

/** @returns the local part as it goes to RCPT TO: with quotes only where it needs them, so that one mailbox has one form. */
function parseLocal(local: string): string {
  if (local === "") throw new Unacceptable("the part before the @ is missing");
  if (/[^\x20-\x7e]/.test(local)) throw new Unacceptable("the part before the @ must be ASCII");
  if (local.includes("=?")) throw new Unacceptable("encoded words are not taken");
  if (local.length > LIMITS.local)
    throw new Unacceptable(`the part before the @ is longer than ${LIMITS.local} octets`);
  if (DOT_ATOM.test(local)) return local;
  const quoted = /^"(.*)"$/.exec(local)?.[1];
  if (quoted === undefined || !QUOTED_LOCAL.test(quoted)) {
    throw new Unacceptable("the part before the @ has characters that are not taken");
  }
  return DOT_ATOM.test(quoted) ? quoted : local;
}

function parseAddrSpec(text: string): string {
  const spec = text.trim();
  const at = spec.lastIndexOf("@");
  if (at < 0) throw new Unacceptable("there is no @");
  if (spec.startsWith("@")) throw new Unacceptable("routes are not taken");
  const address = `${parseLocal(spec.slice(0, at))}@${parseDomain(spec.slice(at + 1))}`;
  if (address.length > LIMITS.total) throw new Unacceptable(`the address is longer than ${LIMITS.total} octets`);
  return address;
}

function parseName(tokens: readonly Token[]): string | null {
  const words = tokens.map((token) => {
    if (token.kind === "text" && token.value.includes("@")) throw new Unacceptable("there are two addresses in one");
    return token.kind === "comma" ? "" : token.value;
  });
  const name = words.join(" ").replace(/\s+/gu, " ").trim();
  if (name.includes("=?")) throw new Unacceptable("encoded words are not taken; write the name as it is");
  if (name.length > MAX_NAME_CHARACTERS) {
    throw new Unacceptable(`the name is longer than ${MAX_NAME_CHARACTERS} characters`);
  }
  return name === "" ? null : name;
}

function parseMailbox(tokens: readonly Token[]): MailAddress {
  const angles = tokens.filter((token) => token.kind === "angle");
  const last = tokens.at(-1);
  if (angles.length > 1) throw new Unacceptable("there are two addresses in one");
  if (last?.kind === "angle") return { name: parseName(tokens.slice(0, -1)), address: parseAddrSpec(last.value) };
  if (angles.length === 1) throw new Unacceptable("something follows the address");
  const spec = tokens.map((token) => {
    if (token.kind === "quoted") return `"${token.value}"`;
    return token.kind === "text" ? token.value : "";
  });
  if (spec.join("").trim() === "") throw new Unacceptable("it is empty");
  return { name: null, address: parseAddrSpec(spec.join("")) };
}

function splitAtCommas(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  for (const token of tokens) {
    if (token.kind === "comma") parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

function failure(path: string, error: unknown): Issue {
  if (!(error instanceof Unacceptable)) throw error;
  return { path, message: error.message };
}

function refuseText(text: string): void {
  if (CONTROLS.test(text)) throw new Unacceptable("control characters are not taken");
  if (LONE_SURROGATE.test(text)) throw new Unacceptable("it is not valid Unicode");
}

/**
 * Reads mailboxes (RFC 5322 §3.4).
 * @param input a comma-separated list, or one mailbox per element.
 * @param field the input's name, for the paths of issues.
 * @returns the mailboxes in order: the domain in lower-case A-labels, the local part's case kept, needless quotes removed.
 * @throws {Refused} `forbidden_characters` for CR, LF or NUL; `invalid_address` with one issue for each one that is none
 *   (path `field.index`). Refused rather than guessed: groups, routes, comments, encoded words, domain literals, single-label
 *   domains, non-ASCII local parts (there is no SMTPUTF8), `%` and `!` in local parts.
 */
export function parseAddresses(input: string | readonly string[], field: string): MailAddress[] {
  const elements = typeof input === "string" ? [input] : input;
  for (const [index, element] of elements.entries()) {
    refuseControlCharacters(element, typeof input === "string" ? field : `${field}.${index}`);
  }
  const issues: Issue[] = [];
  const found: MailAddress[] = [];
  for (const [index, element] of elements.entries()) {
    try {
      refuseText(element);
      const parts = splitAtCommas(tokenize(element));
      if (typeof input !== "string" && parts.length > 1) throw new Unacceptable("there are two addresses in one");
      for (const [part, tokens] of parts.entries()) {
        try {
          found.push(parseMailbox(tokens));
        } catch (error) {
          issues.push(failure(`${field}.${typeof input === "string" ? part : index}`, error));
        }
      }
    } catch (error) {
      issues.push(failure(`${field}.${index}`, error));
    }
  }
  const first = issues[0];
  if (first) {
    throw new Refused(
      "invalid_address",
      `${first.path} is not an address this service can send to: ${first.message}.`,
      {
        issues,
      },
    );
  }
  return found;
}

/** @returns the form people read, `Name <addr>` or the bare address; `parseAddresses` reads it back as the same. */
export function formatAddress(address: MailAddress): string {
  if (address.name === null || address.name === "") return address.address;
  const plain = /^[\p{L}\p{M}\p{N} .'_+&/-]+$/u.test(address.name);
  const name = plain ? address.name : `"${address.name.replace(/["\\]/g, "\\$&")}"`;
  return `${name} <${address.address}>`;
}

/** @returns an addr-spec's domain in lower-case A-labels where it is one, else lower-cased as it is; empty without an `@`. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  if (at < 0) return "";
  const domain = address.slice(at + 1).trim();
  try {
    return parseDomain(domain);
  } catch (error) {
    if (error instanceof Unacceptable) return domain.toLowerCase();
    throw error;
  }
}

/** @returns the form by which addresses are matched: lower-cased whole, domain in A-labels, needless quotes removed. */
export function comparableAddress(address: string): string {
  const at = address.lastIndexOf("@");
  if (at < 0) return address.trim().toLowerCase();
  const local = address.slice(0, at).trim();
  const inner = /^"(.*)"$/.exec(local)?.[1];
  return `${inner !== undefined && DOT_ATOM.test(inner) ? inner : local}@${domainOf(address)}`.toLowerCase();
}

/** @returns the list without repeated mailboxes; the first of each stays. */
export function uniqueAddresses(list: readonly MailAddress[]): MailAddress[] {
  const seen = new Map<string, MailAddress>();
  for (const entry of list) {
    const key = comparableAddress(entry.address);
    if (!seen.has(key)) seen.set(key, entry);
  }
  return [...seen.values()];
}

/**
 * Refuses what would end a header line (RFC 5322 §2.2). For every value that enters a header.
 * @throws {Refused} `forbidden_characters` for CR, LF or NUL.
 */
export function refuseControlCharacters(value: string, field: string): void {
  if (!HEADER_BREAKERS.test(value)) return;
  throw new Refused("forbidden_characters", `${field} may not contain line breaks or NUL.`, {
    issues: [{ path: field, message: "contains CR, LF or NUL" }],
  });
}

/** @param address in its comparable form. @returns it without the +tag of its local part. */
export function withoutTag(address: string): string {
  const at = address.lastIndexOf("@");
  const plus = address.indexOf("+");
  return plus > 0 && plus < at ? address.slice(0, plus) + address.slice(at) : address;
}
