import { Marked } from "marked";
import { htmlToPlainText } from "./plain-text.ts";
import { reduceHtml } from "./safe-html.ts";

/**
 * An instance of its own: `marked`'s global one can be changed by anybody. A line break stays one, as in GitHub's comments:
 * “Best regards,⏎Ada” is two lines to whoever wrote it.
 */
const renderer = new Marked({ gfm: true, breaks: true, async: false });

/** Deeper quotes and lists are no mail's; the parser recurses, and a stack is finite. */
const MAX_CONTAINERS = 32;
const MARKER = "[ \\t]*(?:>|(?:[-*+]|\\d{1,9}[.)])(?=[ \\t]))";
const TOO_DEEP = new RegExp(`^((?:${MARKER}){${MAX_CONTAINERS}})(?:${MARKER})+`, "gm");
/** Two columns for each level; what is indented further starts no list either. */
const TOO_FAR_IN = new RegExp(`^([ \\t]{${4 * MAX_CONTAINERS}})[ \\t]+`, "gm");

/** The parser's time grows with the square of the emphasis marks in a paragraph; beyond this many they are taken as written. */
const MAX_EMPHASIS = 10_000;
const EMPHASIS = /[*_~]/g;

/** Nor is a table of that many columns one that a person reads, and its time grows with the square of them too. */
const MAX_COLUMNS = 200;
const WIDE_ROW = new RegExp(`^(?:[^|\\n\\r\\u2028\\u2029]*\\|){${MAX_COLUMNS}}.*$`, "gm");

/** @returns the source with whatever would cost the parser its stack or its time made plain; mail as people write it is unchanged. */
function bounded(markdown: string): string {
  return markdown
    .replace(TOO_DEEP, "$1 ")
    .replace(TOO_FAR_IN, "$1")
    .replace(WIDE_ROW, (row) => row.replaceAll("|", "&#124;"))
    .split(/(\n[ \t]*\n)/)
    .map((block) => ((block.match(EMPHASIS)?.length ?? 0) > MAX_EMPHASIS ? block.replace(EMPHASIS, "\\$&") : block))
    .join("");
}

/**
 * Renders GitHub-flavoured markdown for a message's two bodies.
 * @returns HTML in the safe subset (raw HTML in the source survives only as far as that allows), and the text made from that very
 *   HTML, so that both say the same.
 */
export function renderMarkdown(markdown: string): { html: string; text: string } {
  const html = reduceHtml(renderer.parse(bounded(markdown), { async: false })).trim();
  return { html, text: htmlToPlainText(html) };
}
