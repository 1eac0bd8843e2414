import { convert, type SelectorDefinition } from "html-to-text";
import { limitNesting } from "./html-nesting.ts";
import { trimLineEnds } from "./trim.ts";

/** Deeper elements are replaced by an ellipsis; the converter recurses, and a stack is finite. */
const MAX_DEPTH = 100;
const MAX_CHILDREN = 100_000;
/** 4 Mi UTF-16 units; the rest of a longer input is left out. */
const MAX_INPUT = 4 * 1024 * 1024;

const HEADING = { uppercase: false, leadingLineBreaks: 2, trailingLineBreaks: 1 };

/** Tables with more rows than this in all are not aligned in columns, which takes time by the square of the rows. */
const MAX_ALIGNED_ROWS = 1000;

const ALIGNED: SelectorDefinition[] = [
  { selector: "table", format: "dataTable", options: { uppercaseHeaderCells: false } },
];
const UNALIGNED: SelectorDefinition[] = [
  { selector: "table", format: "block" },
  { selector: "tr", format: "block", options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
  { selector: "td", format: "inlineSurround", options: { suffix: "  " } },
  { selector: "th", format: "inlineSurround", options: { suffix: "  " } },
];

const LIMITS = { maxDepth: MAX_DEPTH, maxChildNodes: MAX_CHILDREN, maxInputLength: MAX_INPUT };
const SELECTORS: SelectorDefinition[] = [
  { selector: "a", options: { hideLinkHrefIfSameAsText: true, linkBrackets: ["<", ">"] } },
  { selector: "img", format: "inline" },
  { selector: "h1", options: HEADING },
  { selector: "h2", options: HEADING },
  { selector: "h3", options: HEADING },
  { selector: "h4", options: HEADING },
  { selector: "h5", options: HEADING },
  { selector: "h6", options: HEADING },
  { selector: "ul", options: { itemPrefix: "- " } },
  { selector: "script", format: "skip" },
  { selector: "style", format: "skip" },
];

/**
 * Renders HTML as plain text: links as `text <address>`, tables in columns, quotes with `> `, lines not wrapped.
 * It shows all text there is, hidden or not; reduce the HTML first where that matters.
 * @returns text with LF line ends, without white space around it. Elements nested over 100 deep become `...`.
 */
export function htmlToPlainText(html: string): string {
  const rows = html.match(/<tr\b/gi)?.length ?? 0;
  const selectors = [...SELECTORS, ...(rows > MAX_ALIGNED_ROWS ? UNALIGNED : ALIGNED)];
  const text = convert(limitNesting(html), { wordwrap: false, limits: LIMITS, selectors });
  return trimLineEnds(text.replace(/\r\n?/g, "\n")).trim();
}
