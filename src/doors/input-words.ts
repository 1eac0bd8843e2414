import type { z } from "zod";

/**
 * What is wrong with a field, in plain words: a predicate that the field's name goes before. Schemas say it themselves where
 * they have words of their own; this is for everything else.
 */

type RawIssue = z.core.$ZodRawIssue;
type ZodIssue = z.core.$ZodIssue;

/** What a JSON value has to be, by what zod calls it. */
const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "a map",
  null: "null",
};

/** What a size counts, by what it is the size of; numbers have no unit. */
const UNITS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ["character", "characters"],
  array: ["entry", "entries"],
};

const INSTANT = "must be a date and time with its zone, such as 2026-11-21T10:00:00Z";
const FORMATS: Readonly<Record<string, string>> = { date: INSTANT, datetime: INSTANT };
const OTHER_FORMAT = "is not in the form that is needed";
const NEEDED = "is needed";

/** `/^[class]{n}$/` or `/^[class]{n,m}$/`. */
const CHARACTERS_AND_COUNT = /^\/\^\[([^\]\\]+)\]\{(\d+)(?:,(\d+))?\}\$\/$/;

function ofKind(expected: readonly string[]): string {
  const kinds = [...new Set(expected.map((name) => KINDS[name] ?? "another kind of value"))];
  return kinds.length === 0 ? "is of none of the kinds that are taken" : `must be ${kinds.join(" or ")}`;
}

function inForm(format: string, pattern: string | undefined): string {
  const known = FORMATS[format];
  if (known !== undefined) return known;
  const [, characters, least, most] = CHARACTERS_AND_COUNT.exec(pattern ?? "") ?? [];
  if (characters === undefined) return OTHER_FORMAT;
  return `must be ${most === undefined ? least : `${least} to ${most}`} characters of ${characters}`;
}

function counted(count: number | bigint, origin: string): string | null {
  const unit = UNITS[origin];
  return unit ? `${count} ${count === 1 ? unit[0] : unit[1]}` : null;
}

function tooSmall(minimum: number | bigint, origin: string, inclusive: boolean): string {
  if (origin === "string" && minimum === 1) return "may not be empty";
  const size = counted(minimum, origin);
  if (size !== null) return `needs at least ${size}`;
  return inclusive ? `must be at least ${minimum}` : `must be more than ${minimum}`;
}

function tooBig(maximum: number | bigint, origin: string, inclusive: boolean): string {
  const size = counted(maximum, origin);
  if (size !== null) return `may have at most ${size}`;
  return inclusive ? `may be at most ${maximum}` : `must be less than ${maximum}`;
}

/** Each alternative's expected kind, where that is what it failed by. */
function expectedKinds(alternatives: readonly ZodIssue[][]): string[] {
  return alternatives.flat().flatMap((issue) => (issue.code === "invalid_type" ? [issue.expected] : []));
}

/** @returns what a field is not, as a predicate: `is needed`, `must be a string`. For zod's `error` option. */
export function inputWords(issue: RawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? NEEDED : ofKind([issue.expected]);
    case "invalid_union":
      return issue.input === undefined ? NEEDED : ofKind(expectedKinds(issue.errors));
    case "invalid_value":
      if (issue.input === undefined) return NEEDED;
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "too_small":
      return tooSmall(issue.minimum, issue.origin, issue.inclusive !== false);
    case "too_big":
      return tooBig(issue.maximum, issue.origin, issue.inclusive !== false);
    case "invalid_format":
      return inForm(issue.format, issue.pattern);
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "unrecognized_keys":
      return "has a field that is not one of this operation";
    case "invalid_key":
      return "has a key that is not taken";
    case "invalid_element":
      return "has an entry that is not taken";
    case "custom":
      return "is not taken";
  }
}

const PREDICATE = /^(?:is|may|must|needs|has|says|names|cannot|contains)\b/;

/** @returns one sentence of a field's path and what is wrong with it; the empty path is the whole input. */
export function inputSentence(path: string, message: string): string {
  const subject = path === "" ? "The input" : path;
  return PREDICATE.test(message) ? `${subject} ${message}.` : `${subject}: ${message}.`;
}
