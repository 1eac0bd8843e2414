import { NodeHtmlMarkdown } from "node-html-markdown";
import { htmlToPlainText } from "./plain-text.ts";
import { reduceHtml } from "./safe-html.ts";

/** Deeper HTML is cut where it gets there: parsers keep a stack of open elements, and search it for every tag. */
export const MAX_NESTING = 500;
/** With more elements than this the markdown is plain text: the converter's time grows with their square. */
export const MAX_ELEMENTS = 4_000;

const VOID_ELEMENTS = new Set([
  "area",
  "base",
  "br",
  "col",
  "embed",
  "hr",
  "img",
  "input",
  "link",
  "meta",
  "source",
  "wbr",
]);

const converter = new NodeHtmlMarkdown({ bulletMarker: "-", emDelimiter: "*", maxConsecutiveNewlines: 2 });

/** @returns where `html` is nested too deep, or null. Tags that nothing closes count, as they do for a parser. */
function tooDeepAt(html: string): number | null {
  let depth = 0;
  for (const match of html.matchAll(/<(\/?)([a-z][a-z0-9-]*)/gi)) {
    if (VOID_ELEMENTS.has((match[2] as string).toLowerCase())) continue;
    depth = match[1] === "/" ? Math.max(0, depth - 1) : depth + 1;
    if (depth > MAX_NESTING) return match.index;
  }
  return null;
}

function countElements(html: string): number {
  let elements = 0;
  for (let at = html.indexOf("<"); at >= 0; at = html.indexOf("<", at + 1)) if (html[at + 1] !== "/") elements++;
  return elements;
}

/** What an agent reads of an HTML body. */
export interface ConvertedHtml {
  markdown: string;
  /** For where there is no text part. */
  text: string;
  /** Whether the end was left out. */
  truncated: boolean;
}

/**
 * Converts the HTML body of an arriving message, without scripts, hidden text and images.
 * @param html as it arrived.
 */
export function markdownFromHtml(html: string): ConvertedHtml {
  const end = tooDeepAt(html);
  const safe = reduceHtml(end === null ? html : html.slice(0, end));
  const text = htmlToPlainText(safe);
  const markdown = countElements(safe) > MAX_ELEMENTS ? text : converter.translate(safe).trim();
  return { markdown, text, truncated: end !== null };
}
