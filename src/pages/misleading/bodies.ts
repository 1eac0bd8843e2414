import { htmlToPlainText } from "../../mail/plain-text.ts";
import { makeVisible, withoutHidden } from "./characters.ts";
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

function wordsOf(text: string): Word[] {
  return [...text.matchAll(WORD)].map((match) => {
    const to = match.index + match[0].length;
    const lineStart = /(^|\n)[\s>]*$/.test(text.slice(Math.max(0, match.index - 16), match.index));
    return {
      normal: match[0] === "−" ? "-" : match[0].toLowerCase(),
      from: match.index,
      to,
      marker: lineStart && /^\p{N}{1,3}$/u.test(match[0]) && /^[.)]\s/.test(text.slice(to, to + 2)),
    };
  });
}

function readable(text: string): string {
  return withoutHidden(text).normalize("NFKC").replace(/\r\n?/g, "\n");
}

/** What a text version may say beside the HTML's words: where its links lead, and what its images show. */
function asides(html: HtmlContent): Set<string> {
  const sources = [...html.links.map((link) => link.href), ...html.alternatives];
  const decoded = sources.map((source) => {
    try {
      return decodeURIComponent(source);
    } catch {
      // A stray % is legal in HTML; then the address stands as it is written.
      return source;
    }
  });
  return new Set(
    [...sources, ...decoded, "https http mailto image"].flatMap((s) => wordsOf(readable(s)).map((w) => w.normal)),
  );
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
  const left = wordsOf(text);
  const right = wordsOf(formatted);
  const hunks = findHunks(
    left.map((w) => w.normal),
    right.map((w) => w.normal),
    MOST_EDITS,
  );
  const tolerated = asides(html);
  const real = (hunks ?? [whole(left, right)]).filter((hunk) => {
    const onlyText = left.slice(...hunk.left);
    const onlyHtml = right.slice(...hunk.right);
    if (onlyHtml.length === 0) return !onlyText.every((w) => w.marker || tolerated.has(w.normal));
    return onlyText.length > 0 || !onlyHtml.every((w) => w.marker);
  });
  if (real.length === 0 || isOwnRendering(left, source)) return [];
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

/** Our own rendering of the HTML is the same message, even where table columns stand side by side. */
function isOwnRendering(words: Word[], source: string): boolean {
  const own = wordsOf(readable(htmlToPlainText(source)));
  return own.length === words.length && own.every((word, i) => word.normal === words[i]?.normal);
}

/** Where too much differs to say what: everything after the common beginning. */
function whole(left: Word[], right: Word[]): Hunk {
  let start = 0;
  while (left[start] && left[start]?.normal === right[start]?.normal) start++;
  return { left: [start, left.length], right: [start, right.length] };
}
