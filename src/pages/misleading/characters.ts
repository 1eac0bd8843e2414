/** Characters that a person cannot see, or that reorder what a person sees (Unicode UAX #9, UTS #39 §5). */

export type HiddenKind = "override" | "bidi" | "invisible" | "control";

/**
 * How much a text may contain of what writing systems need. `body`: lines and soft hyphens. `line`: one line of prose.
 * `strict`: file names and addresses, where nothing invisible has a use.
 */
export type TextContext = "body" | "line" | "strict";

/** A stretch of text; `hidden` is null for what may be shown as it is, else the stretch is a single code point. */
interface TextRun {
  text: string;
  hidden: HiddenKind | null;
}

const RTL_LETTER =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;
const OVERRIDES = /[\u202D\u202E]/u;
const BIDI = /[\u061C\u200E\u200F\u202A-\u202C\u2066-\u2069]/u;
const INVISIBLE = new RegExp(
  [
    ...[
      "\\u034F",
      "[\\u17B4\\u17B5]",
      "[\\u180B-\\u180D]",
      "[\\u180E\\u180F]",
      "[\\uFE00-\\uFE0F]",
      "[\\u{E0100}-\\u{E01EF}]",
    ],
    "[\\u00AD\\u115F\\u1160\\u200B-\\u200D\\u2060-\\u2065\\u206A-\\u206F\\u2800\\u3164\\uFEFF\\uFFA0\\uFFF9-\\uFFFB]",
    "[\\u{1BCA0}-\\u{1BCA3}]|[\\u{1D173}-\\u{1D17A}]|[\\u{E0000}-\\u{E00FF}]|[\\u{E01F0}-\\u{E0FFF}]",
  ].join("|"),
  "u",
);
const CONTROL = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const SUSPECT = new RegExp(`${OVERRIDES.source}|${BIDI.source}|${INVISIBLE.source}|${CONTROL.source}`, "u");

/** Scripts whose spelling needs ZWJ and ZWNJ (The Unicode Standard, §23.2). */
const JOINING =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;
/** Scripts written without spaces, where ZWSP marks the words. */
const UNSPACED = /[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;
const EMOJI_END = /[\p{Extended_Pictographic}\p{Emoji_Modifier}]|\uFE0F/u;
const EMOJI = /\p{Extended_Pictographic}/u;
const TAKES_VARIATION = /[\p{Emoji}\p{S}\p{P}\p{Script=Han}\p{Script=Mongolian}\p{Script=Myanmar}]/u;
/** Flags of parts of countries are spelt with tag characters (UTS #51, ED-14a). */
const SUBDIVISION_FLAG = /\u{1F3F4}[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{2,6}\u{E007F}/gu;

function isIdeographicVariation(point: string): boolean {
  return point >= "\u{E0100}" && point <= "\u{E01EF}";
}

function isLegitimate(point: string, before: string, after: string, context: TextContext): boolean {
  switch (point) {
    case "\u00AD":
      return context === "body";
    case "\u200B":
      return context !== "strict" && UNSPACED.test(before);
    case "\u200C":
      return JOINING.test(before);
    case "\u200D":
      return JOINING.test(before) || (EMOJI_END.test(before) && EMOJI.test(after));
    case "\uFEFF":
      return context === "body" && before === "";
  }
  if (isIdeographicVariation(point)) return /\p{Script=Han}/u.test(before);
  if (/[\uFE00-\uFE0F\u180B-\u180D]/u.test(point)) return TAKES_VARIATION.test(before);
  return false;
}

function kindOf(
  point: string,
  before: string,
  after: string,
  context: TextContext,
  rightToLeft: boolean,
): HiddenKind | null {
  if (OVERRIDES.test(point)) return "override";
  if (BIDI.test(point)) return rightToLeft && context !== "strict" ? null : "bidi";
  if (INVISIBLE.test(point)) return isLegitimate(point, before, after, context) ? null : "invisible";
  if (CONTROL.test(point)) return context === "body" && /[\t\n\r\u2028\u2029]/.test(point) ? null : "control";
  return null;
}

/** Where flags' tag characters stand, by UTF-16 offset. */
function flagOffsets(text: string): Set<number> {
  const offsets = new Set<number>();
  for (const match of text.matchAll(SUBDIVISION_FLAG)) {
    for (let i = match.index + 2; i < match.index + match[0].length; i += 2) offsets.add(i);
  }
  return offsets;
}

/** @returns `text` in runs; what a writing system or an emoji needs is left alone, so ordinary mail in any language has one run. */
export function textRuns(text: string, context: TextContext): TextRun[] {
  if (!SUSPECT.test(text)) return text === "" ? [] : [{ text, hidden: null }];
  const rightToLeft = RTL_LETTER.test(text);
  const flags = flagOffsets(text);
  const points = [...text];
  const runs: TextRun[] = [];
  let plain = "";
  let offset = 0;
  points.forEach((point, i) => {
    const hidden = flags.has(offset)
      ? null
      : kindOf(point, points[i - 1] ?? "", points[i + 1] ?? "", context, rightToLeft);
    offset += point.length;
    if (hidden === null) {
      plain += point;
      return;
    }
    if (plain !== "") runs.push({ text: plain, hidden: null });
    plain = "";
    runs.push({ text: point, hidden });
  });
  if (plain !== "") runs.push({ text: plain, hidden: null });
  return runs;
}

/** @returns how a code point is written where it must be seen: `⟦U+202E⟧`. */
export function spelledOut(point: string): string {
  const code = point.codePointAt(0) ?? 0;
  return `⟦U+${code.toString(16).toUpperCase().padStart(4, "0")}⟧`;
}

/** @returns `text` with each hidden character spelled out. */
export function makeVisible(text: string, context: TextContext): string {
  return textRuns(text, context)
    .map((run) => (run.hidden === null ? run.text : spelledOut(run.text)))
    .join("");
}

/** @returns `text` without any character that cannot be seen, whatever its use, for comparing what people read. */
export function withoutHidden(text: string): string {
  return text.replace(new RegExp(`${OVERRIDES.source}|${BIDI.source}|${INVISIBLE.source}`, "gu"), "");
}
