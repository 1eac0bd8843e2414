import { limitNesting } from "../../mail/html-nesting.ts";
import { withoutHidden } from "../../pages/misleading/characters.ts";
import { readHtml } from "../../pages/misleading/html-content.ts";
import { readAsLatin } from "../../pages/misleading/lookalikes.ts";
import type { ContentPlace } from "./policy-type.ts";
import type { JudgedSend } from "./verdict-type.ts";

/** Texts as content rules read them, so that a word is found however it is written. */

/** UTF-16 units of one text that are read: more than a body may have. Compatibility forms can make a text 18 times as long. */
export const LONGEST_READ = 512 * 1024;

/** One way to read a text. */
export interface Reading {
  /** One line with single spaces, its case kept. */
  line: string;
  /** Without case: words, and every other sign on its own. */
  signs: string[];
  /** The words alone. */
  words: string[];
}

export interface ReadText {
  /**
   * As it is written and, where that differs, as it is shown: overridden letters in their order; and as a hasty reader takes it:
   * look-alike letters as Latin ones, without accents.
   */
  readings: Reading[];
  /** Whether the text was too long to be read to its end. */
  isCut: boolean;
}

/** What looks like a space, also NEXT LINE, the Hangul fillers and BRAILLE PATTERN BLANK; not the BOM, which has no width. */
const BLANKS = /(?:[^\S\ufeff]|[\u0085\u115f\u1160\u2800\u3164\uffa0])+/gu;
const UNREADABLE = /[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
/** RIGHT-TO-LEFT OVERRIDE, up to where it ends (UAX #9, X3). */
const OVERRIDDEN = /\u202e([^\u202c\n\r\u2028\u2029]*)/gu;
const ACCENTS = /\p{M}+/gu;
const ASCII = /^\p{ASCII}*$/u;
/** Scripts written without spaces, where each sign counts as a word. */
const UNSPACED = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]`;
const LETTER = String.raw`(?:(?!${UNSPACED})[\p{L}\p{M}\p{N}])`;
const SIGN = new RegExp(String.raw`${UNSPACED}\p{M}*|${LETTER}+|\S`, "gu");
const WORD = /^[\p{L}\p{M}\p{N}]/u;

function onOneLine(text: string): string {
  // Blanks first, since some of them count as hidden; and again, since compatibility forms can hold spaces.
  const readable = withoutHidden(text.replace(BLANKS, " ")).replace(UNREADABLE, "");
  return readable.normalize("NFKC").replace(BLANKS, " ").trim();
}

/** What is overridden to be shown from right to left, in the order in which it is read. */
function asShown(text: string): string {
  return text.replace(OVERRIDDEN, (_all, run: string) => [...run].reverse().join(""));
}

function asHastilyRead(line: string): string {
  return readAsLatin(line).normalize("NFD").replace(ACCENTS, "").normalize("NFC");
}

/** Case folding: by way of the upper case `ß` is `ss` and `ſ` is `s`; all sigmas are one. Quotes and dashes are one of each kind. */
function folded(line: string): string {
  return line
    .toUpperCase()
    .toLowerCase()
    .replaceAll("ς", "σ")
    .replace(/[‘’ʼ]/g, "'")
    .replace(/[\u2010-\u2015]/g, "-");
}

function readingOf(line: string): Reading {
  const signs = folded(line).match(SIGN) ?? [];
  return { line, signs, words: signs.filter((sign) => WORD.test(sign)) };
}

/** Reads a text in every way that counts. */
export function readText(text: string): ReadText {
  const beginning = text.slice(0, LONGEST_READ);
  const whole = [...new Set([beginning, asShown(beginning)])].map(onOneLine);
  const lines = whole.map((line) => line.slice(0, LONGEST_READ));
  const readings = new Set(lines.flatMap((line) => (ASCII.test(line) ? [line] : [line, asHastilyRead(line)])));
  return {
    readings: [...readings].map(readingOf),
    isCut: text.length > LONGEST_READ || whole.some((line) => line.length > LONGEST_READ),
  };
}

/** What the HTML says: its words, then what only some readers or programs see: hidden text, alternative texts, addresses of links. */
function htmlTexts(html: string): string[] {
  const { text, hidden, alternatives, links } = readHtml(limitNesting(html));
  return [text, [...hidden, ...alternatives, ...links.map(({ href }) => href)].join("\n")];
}

/** The texts in each place. An exhaustive Record: a place left out does not compile. */
const TEXTS: Readonly<Record<ContentPlace, (send: JudgedSend) => string[]>> = {
  subject: ({ subject }) => [subject],
  body: ({ text, html }) => [text, ...(html === null ? [] : htmlTexts(html))],
  tags: ({ tags }) => Object.entries(tags).flat(),
};

/** @returns the distinct texts in a place, read. */
export function readPlace(send: JudgedSend, place: ContentPlace): ReadText[] {
  return [...new Set(TEXTS[place](send))].filter((text) => text !== "").map(readText);
}
