import { RE2JS, RE2JSException, RE2JSSyntaxException } from "re2js";

/** Regular expressions of people, by a matcher whose time is linear in the text (RE2). */

export const MAX_PATTERN_CHARACTERS = 200;
/** A pattern's steps with its repetitions written out; `.{1000}` is as long as a thousand dots. */
export const MAX_PATTERN_STEPS = 1000;

/** A pattern ready for use, or what is wrong with it as a predicate: `is not …`. */
export type CompiledPattern = { isFound: (line: string) => boolean; steps: number } | { problem: string };

function wordsFor(error: RE2JSException): string {
  const unsupported = "; RE2 has no look-around and no back-references";
  if (!(error instanceof RE2JSSyntaxException)) return error.message;
  const where = error.getPattern()?.replace(/^\(\?i\)/, "");
  const isOtherSyntax = where !== undefined && /^(?:\(\?|\\[1-9])/.test(where);
  return `${error.getDescription()}${where ? `: “${where}”` : ""}${isOtherSyntax ? unsupported : ""}`;
}

/** Compiles a pattern in RE2 syntax, without case. It never throws: whatever cannot be used is a problem. */
export function compilePattern(pattern: string): CompiledPattern {
  try {
    const compiled = RE2JS.compile(pattern, RE2JS.CASE_INSENSITIVE);
    const steps = compiled.programSize();
    if (steps > MAX_PATTERN_STEPS) {
      return {
        problem: `has ${steps} steps once its repetitions are written out; it may have at most ${MAX_PATTERN_STEPS}`,
      };
    }
    return { isFound: (line) => compiled.test(line), steps };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return { problem: `is not a regular expression in RE2 syntax (${wordsFor(error)})` };
  }
}
