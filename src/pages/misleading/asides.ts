import { withoutHidden } from "./characters.ts";
import type { HtmlContent } from "./html-content.ts";

/**
 * What a text version may say beside the HTML's words: where its links lead, each address whole and as it is written, and what
 * its images show. Never a word of an address alone, nor its decoded form: `?q=Please%20pay` would let the text say what the
 * HTML does not.
 */

/** How many links lead to each address, by `web:`, `mail:` or `tel:` and the address without its scheme. */
export type LinkKeys = ReadonlyMap<string, number>;

/** An address in a text. `whole`: with its scheme, or an e-mail address; not a host and path alone, which may be prose. */
export interface WrittenLink {
  from: number;
  to: number;
  key: string;
  whole: boolean;
}

interface WordOfText {
  normal: string;
  marker: boolean;
  address: boolean;
}

const CHUNK = /[^\s<>"“”«»]+/gu;
const SCHEME = /^(?:https?:\/\/|mailto:|tel:)/i;
const SCHEME_WITHIN = /https?:\/\/|mailto:|tel:/i;
const OPENING = /^[([{'’‘*_`|~]+/;
const CLOSING = /[)\]}'’.,;:!?…*_`|~]$/u;
/** How many closing signs after an address are looked past. */
const MOST_CLOSING = 8;
/** UTF-16 units; a longer address is none, which bounds the time for hostile input. */
const LONGEST_ADDRESS = 2_000;

/** @returns a text as it is compared: what nobody sees left out, compatibility forms and line ends made one. */
export function readable(text: string): string {
  return withoutHidden(text).normalize("NFKC").replace(/\r\n?/g, "\n");
}

/** `local@domain.tld` without spaces, found in one pass. */
function isMailAddress(text: string): boolean {
  const at = text.indexOf("@");
  const dot = text.lastIndexOf(".");
  return at > 0 && at === text.lastIndexOf("@") && dot > at + 1 && dot < text.length - 1 && !/[\s/]/u.test(text);
}

/** The address that `written` is, or null if it cannot be one. */
function addressOf(written: string): { key: string; whole: boolean } | null {
  if (written.length > LONGEST_ADDRESS) return null;
  const text = written.toLowerCase();
  const web = /^https?:\/\/(.+)$/u.exec(text)?.[1];
  if (web !== undefined) return { key: `web:${web.replace(/\/$/, "")}`, whole: true };
  if (text.startsWith("tel:")) return { key: text, whole: true };
  const mail = /^mailto:(.+)$/u.exec(text)?.[1];
  if (mail !== undefined) return { key: `mail:${mail}`, whole: true };
  if (isMailAddress(text)) return { key: `mail:${text}`, whole: true };
  return text === "" ? null : { key: `web:${text.replace(/\/$/, "")}`, whole: false };
}

/** The key of an address that may be written out: absolute, and one run without spaces. */
function keyOf(href: string): string | null {
  const text = readable(href);
  if (!SCHEME.test(text) || /\s/u.test(text) || withoutHidden(href) !== href) return null;
  const address = addressOf(text);
  return address?.whole ? address.key : null;
}

/** @returns the addresses of the links that may be written out, and how often each. */
export function linkKeysOf(html: HtmlContent): LinkKeys {
  const keys = html.links.map(({ href }) => keyOf(href)).filter((key) => key !== null);
  return new Map([...Map.groupBy(keys, (key) => key)].map(([key, all]) => [key, all.length]));
}

/** Whether no address could pass for prose once it is written out, as one with spaces could. */
export function writesAllLinks(html: HtmlContent): boolean {
  return html.links.every(({ href }) => keyOf(href) !== null);
}

/** @returns where `text` writes an address of `links`, in order. */
export function findLinks(text: string, links: LinkKeys): WrittenLink[] {
  if (links.size === 0) return [];
  const found: WrittenLink[] = [];
  for (const match of text.matchAll(CHUNK)) {
    const [chunk] = match;
    const scheme = chunk.search(SCHEME_WITHIN);
    const skipped = scheme >= 0 ? scheme : (OPENING.exec(chunk)?.[0].length ?? 0);
    let candidate = chunk.slice(skipped);
    for (let closing = 0; closing <= MOST_CLOSING; closing++) {
      const address = addressOf(candidate);
      if (address && links.has(address.key)) {
        const from = match.index + skipped;
        found.push({ from, to: from + candidate.length, ...address });
        break;
      }
      if (!CLOSING.test(candidate)) break;
      candidate = candidate.slice(0, -1);
    }
  }
  return found;
}

/** Words as images' alternative texts are compared. */
function wordsOfAlternative(text: string): string {
  return (
    readable(text)
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  ).join(" ");
}

/** The asides of one message; each may be made as often as the HTML has its link or its image. */
export class Asides {
  readonly #links: Map<string, number>;
  readonly #alternatives = new Map<string, number>();
  /** How many words the longest alternative text has: no longer phrase need be tried. */
  #longest = 0;

  constructor(html: HtmlContent) {
    this.#links = new Map(linkKeysOf(html));
    for (const alternative of html.alternatives) {
      const words = wordsOfAlternative(alternative);
      if (words === "") continue;
      this.#alternatives.set(words, (this.#alternatives.get(words) ?? 0) + 1);
      this.#longest = Math.max(this.#longest, words.split(" ").length);
    }
  }

  /** Whether `words` are nothing but list numbers, whole addresses and whole alternative texts; if so, these are used up. */
  take(words: readonly WordOfText[]): boolean {
    const links = new Map(this.#links);
    const alternatives = new Map(this.#alternatives);
    for (let at = 0; at < words.length; ) {
      const length = lengthOfAside(words.slice(at, at + this.#longest + 1), links, alternatives);
      if (length === 0) return false;
      at += length;
    }
    for (const [key, left] of links) this.#links.set(key, left);
    for (const [key, left] of alternatives) this.#alternatives.set(key, left);
    return true;
  }
}

function use(counts: Map<string, number>, key: string): boolean {
  const left = counts.get(key) ?? 0;
  if (left > 0) counts.set(key, left - 1);
  return left > 0;
}

/** How many words the aside has with which `words` begin; 0 if there is none. */
function lengthOfAside(
  words: readonly WordOfText[],
  links: Map<string, number>,
  alternatives: Map<string, number>,
): number {
  const [first] = words;
  if (first === undefined) return 0;
  if (first.marker) return 1;
  if (first.address) return use(links, first.normal) ? 1 : 0;
  // Mail programs write “[image: Logo of Acme]”.
  for (const begin of first.normal === "image" ? [1, 0] : [0]) {
    for (let end = words.length; end > begin; end--) {
      const phrase = wordsOfAlternative(
        words
          .slice(begin, end)
          .map((word) => word.normal)
          .join(" "),
      );
      if (use(alternatives, phrase)) return end;
    }
  }
  return 0;
}
