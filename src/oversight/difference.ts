import { formatPatch, OMIT_HEADERS, type StructuredPatch, structuredPatch } from "diff";

/** The difference between two texts, for people and for the record. Pure. */

/** Beyond that many lines taken out and put in, one text takes the place of the other: it bounds the time for hostile input. */
const MOST_EDITS = 500;
/** Lines shown around each change. */
const CONTEXT = 3;
/** In UTF-16 units: the record holds the whole earlier version beside it. */
const LONGEST = 256 * 1024;
/** What is no line of either text begins with a backslash, as the form has it. */
const CUT = "\\ The rest of the difference is left out.\n";

/** The text in whole lines: a last line end more or less is no difference, as in the content hash. */
function wholeLines(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n");
  return lines === "" || lines.endsWith("\n") ? lines : `${lines}\n`;
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.slice(0, -1).split("\n");
}

/** All of what was there taken out, and all of what came in its place put in. */
function asWhole(before: string, after: string): StructuredPatch {
  const removed = linesOf(before).map((line) => `-${line}`);
  const added = linesOf(after).map((line) => `+${line}`);
  const hunk = { oldStart: 1, oldLines: removed.length, newStart: 1, newLines: added.length };
  return {
    oldFileName: "",
    newFileName: "",
    oldHeader: undefined,
    newHeader: undefined,
    hunks: [{ ...hunk, lines: removed.concat(added) }],
  };
}

function bounded(difference: string): string {
  if (difference.length <= LONGEST) return difference;
  const cut = difference.slice(0, LONGEST - CUT.length);
  return cut.slice(0, cut.lastIndexOf("\n") + 1) + CUT;
}

/**
 * The difference between two texts, line by line.
 * @returns hunks in unified form, without file names; empty where the texts are the same but for the kind of their line ends.
 *   Texts that differ in more than 500 lines are shown as one taking the place of the other. At most 256 Ki UTF-16 units:
 *   a longer difference ends in a line that says so.
 */
export function unifiedDifference(before: string, after: string): string {
  const [left, right] = [wholeLines(before), wholeLines(after)];
  if (left === right) return "";
  const options = { context: CONTEXT, maxEditLength: MOST_EDITS };
  const patch = structuredPatch("", "", left, right, undefined, undefined, options) ?? asWhole(left, right);
  return bounded(formatPatch(patch, OMIT_HEADERS));
}
