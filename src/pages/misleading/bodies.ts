import { htmlToPlainText } from "../../mail/plain-text.ts";
import { Asides, findLinks, type LinkKeys, linkKeysOf, readable, writesAllLinks } from "./asides.ts";
import { makeVisible } from "./characters.ts";
import { findHunks, type Hunk } from "./difference.ts";
import type { HtmlContent } from "./html-content.ts";
import { shorten, type Warning } from "./warning.ts";

interface Word {
  /** As compared: no case, no compatibility forms. */
  normal: string;
  from: number;
  to: number;
  /** The number of a list item: “3.” at the start of a line, which HTML leaves to the reader's program. */
  marker: boolean;
  /** A link's address written as a whole, which may stand beside the link's words; not a host alone. */
  address: boolean;
}

/** Scripts without spaces are compared sign by sign, so that a line break inside a sentence is no difference. */
const UNSPACED = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*`;
/** Amounts keep their inner punctuation, sign and currency: 1.00 is not 100. */
const WORD = new RegExp(
  String.raw`(?<![\p{L}\p{N}])[-−](?=\p{N})|\p{Sc}|[%‰]|${UNSPACED}|(?:(?!${UNSPACED})[\p{L}\p{M}\p{N}])+(?:[.,:'’/-](?=\p{N})(?:(?!${UNSPACED})[\p{L}\p{M}\p{N}])+)*`,
  "gu",
);
const MOST_EDITS = 200;
const MOST_SHOWN = 4;
const CONTEXT_WORDS = 3;
const NO_LINKS: LinkKeys = new Map();

function plainWords(text: string, from: number, to: number): Word[] {
  return [...text.slice(from, to).matchAll(WORD)].map((match) => {
    const begin = from + match.index;
    const end = begin + match[0].length;
    const lineStart = /(^|\n)[\s>]*$/.test(text.slice(Math.max(0, begin - 16), begin));
    return {
      normal: match[0] === "−" ? "-" : match[0].toLowerCase(),
      from: begin,
      to: end,
      marker: lineStart && /^\p{N}{1,3}$/u.test(match[0]) && /^[.)]\s/.test(text.slice(end, end + 2)),
      address: false,
    };
  });
}

/** @returns the words of a text, where an address of a link of `links` is one word, so that no part of it counts alone. */
function wordsOf(text: string, links: LinkKeys): Word[] {
  const words: Word[] = [];
  let at = 0;
  for (const { from, to, key, whole } of findLinks(text, links)) {
    for (const word of plainWords(text, at, from)) words.push(word);
    words.push({ normal: key, from, to, marker: false, address: whole });
    at = to;
  }
  for (const word of plainWords(text, at, text.length)) words.push(word);
  return words;
}

/**
 * Whether a stretch that the plain text has alone is nothing but asides. Where a word before it is also its last word, the
 * comparison may have cut one word too early; so its other positions count, too.
 */
function isAside(words: readonly Word[], [from, to]: [number, number], asides: Asides): boolean {
  if (to - from > MOST_EDITS) return false;
  for (let shift = 0; shift <= to - from; shift++) {
    if (shift > 0 && words[from + shift - 1]?.normal !== words[to + shift - 1]?.normal) return false;
    if (asides.take(words.slice(from + shift, to + shift))) return true;
  }
  return false;
}

function slice(text: string, words: Word[], [from, to]: [number, number]): string {
  const first = words[Math.max(0, from - CONTEXT_WORDS)];
  const last = words[to - 1];
  if (!first || !last || to === from) return "";
  const lead = from > CONTEXT_WORDS ? "… " : "";
  return lead + shorten(makeVisible(text.slice(first.from, last.to).replace(/\s+/g, " "), "body"), 180);
}

/**
 * Compares what the plain text and the HTML version of a message say, by their words in order. Layout, link addresses,
 * list numbers and letter case are no difference.
 * @param source the HTML that `html` was read from.
 * @returns one warning that shows the first differences, or none.
 */
export function compareBodies(plain: string, html: HtmlContent, source: string): Warning[] {
  const text = readable(plain);
  const formatted = readable(html.text);
  const links = linkKeysOf(html);
  const left = wordsOf(text, links);
  const right = wordsOf(formatted, links);
  const hunks = findHunks(
    left.map((w) => w.normal),
    right.map((w) => w.normal),
    MOST_EDITS,
  );
  const asides = new Asides(html);
  const real = (hunks ?? [whole(left, right)]).filter((hunk) => {
    const onlyText = left.slice(...hunk.left);
    const onlyHtml = right.slice(...hunk.right);
    if (onlyHtml.length === 0) return !isAside(left, hunk.left, asides);
    return onlyText.length > 0 || !onlyHtml.every((w) => w.marker);
  });
  if (real.length === 0 || sameWords(wordsOf(text, NO_LINKS), wordsOf(formatted, NO_LINKS))) return [];
  if (writesAllLinks(html) && sameWords(left, wordsOf(readable(htmlToPlainText(source)), links))) return [];
  const evidence = real.slice(0, MOST_SHOWN).flatMap((hunk) => [
    { label: "Formatted version", text: slice(formatted, right, hunk.right) || "(nothing here)" },
    { label: "Plain text version", text: slice(text, left, hunk.left) || "(nothing here)" },
  ]);
  const more = real.length > MOST_SHOWN ? ` The first ${MOST_SHOWN} of ${real.length} differences:` : "";
  return [
    {
      code: "bodies_differ",
      severity: "danger",
      where: "text",
      message:
        hunks === null
          ? "The plain text version says something quite different from the formatted one. Recipients see one or the other."
          : `The plain text version does not say the same as the formatted one. Recipients see one or the other.${more}`,
      evidence,
    },
  ];
}

/**
 * Whether two texts have the same words. The rendering of the HTML that we make ourselves is the same message, even where table
 * columns stand side by side.
 */
function sameWords(words: readonly Word[], others: readonly Word[]): boolean {
  return words.length === others.length && words.every((word, i) => word.normal === others[i]?.normal);
}

/** Where too much differs to say what: everything after the common beginning. */
function whole(left: Word[], right: Word[]): Hunk {
  let start = 0;
  while (left[start] && left[start]?.normal === right[start]?.normal) start++;
  return { left: [start, left.length], right: [start, right.length] };
}
