/** Longer answers say nothing more, and are kept with each recipient. */
const LONGEST = 500;

/** @returns what a far end said, as one line of at most 500 UTF-16 units that can be stored and shown. */
export function responseLine(text: string): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim()
    .slice(0, LONGEST)
    .toWellFormed();
}
