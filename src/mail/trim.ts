/**
 * Trimming in linear time. A pattern such as `/\n+$/` is tried anew at each of a run's characters, which takes quadratic time
 * where the run does not stand at the end.
 */

/** @returns `text` without the characters of `characters` (UTF-16 units) at its end. */
export function trimEndOf(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** @returns `text` without spaces and tabs before each LF and at its end. */
export function trimLineEnds(text: string): string {
  return text
    .split("\n")
    .map((line) => trimEndOf(line, " \t"))
    .join("\n");
}
