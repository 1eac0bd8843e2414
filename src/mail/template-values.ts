import { type ErrorCode, type Issue, Refused } from "../errors.ts";
import type { TemplateVariable } from "../operations/shapes/template.ts";
import { parseAddresses } from "./address.ts";

/** What may be put in a template's placeholders: each value by its type, as text that acts on nothing around it. */

/** More than a person reads. */
const MAX_ISSUES = 20;
const MAX_NAME_CHARACTERS = 64;
const UNKNOWN = "is not a variable of this template";
/** Line ends and control characters of every kind, and what turns the direction of the text around it. */
const FORBIDDEN = /[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const BEGINS_WITH_MARK = /^\p{M}/u;
const NUMBER = /^[+-]?[0-9]+(?:\.[0-9]+)?$/;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
/** An HTML tag or comment, a Markdown autolink, link or image. Other characters of Markdown are often meant as themselves. */
const MARKUP = /<[a-z/!?]|\]\(/i;
const NO_MARKUP = "may not contain markup: HTML tags and Markdown links are the template's own";
/** RFC 3986's characters, and those that only the URL standard takes; nothing that two parsers read differently. */
const URL_FORM = /^https?:\/\/[^\s"<>\\^`{|}]+$/i;
const URL_CHARACTERS = /^[\x21-\x7e]+$/;

class Unacceptable extends Error {
  readonly code: ErrorCode;
  constructor(message: string, code: ErrorCode = "invalid_input") {
    super(message);
    this.code = code;
  }
}

function readNumber(text: string): string {
  if (!NUMBER.test(text)) throw new Unacceptable("must be a number in digits, such as 12.50");
  return text;
}

function readDate(text: string): string {
  const day = DATE.test(text) ? new Date(`${text}T00:00:00Z`) : null;
  if (day === null || Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== text) {
    throw new Unacceptable("must be a date in ISO 8601, such as 2026-11-21");
  }
  return text;
}

/** @returns the addr-spec with its domain in A-labels. */
function readEmail(text: string): string {
  try {
    const [found, ...others] = parseAddresses(text, "v");
    if (found && found.name === null && others.length === 0 && !text.includes("<")) return found.address;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  throw new Unacceptable("must be one email address without a name");
}

/** @returns the URL as it was given where it is plain ASCII, else with its host in A-labels and the rest in percent encoding. */
function readUrl(text: string): string {
  const url = URL_FORM.test(text) && URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw new Unacceptable("must be a web address that begins with https:// or http://");
  if (url.username !== "" || url.password !== "") throw new Unacceptable("may not have a user name before its host");
  return URL_CHARACTERS.test(text) ? text : url.href;
}

/** An exhaustive Record: a new type needs its reader. */
const READERS: Readonly<Record<TemplateVariable["type"], (text: string) => string>> = {
  text: (text) => text,
  number: readNumber,
  date: readDate,
  email: readEmail,
  url: readUrl,
};

function readValue({ type, required, max_length }: TemplateVariable, given: unknown): string {
  if (typeof given !== "string" && typeof given !== "number") throw new Unacceptable("must be text or a number");
  const raw = String(given);
  if (FORBIDDEN.test(raw)) {
    throw new Unacceptable(
      "may not contain line breaks, control characters or changes of direction",
      "forbidden_characters",
    );
  }
  // As HTML shows them, so that every form of the message has the same text.
  const text = raw.replace(/ +/g, " ").trim();
  if (text === "") {
    if (required) throw new Unacceptable("may not be empty");
    return "";
  }
  if (BEGINS_WITH_MARK.test(text))
    throw new Unacceptable("may not begin with a mark that changes the letter before it");
  if ([...text].length > max_length) throw new Unacceptable(`may have at most ${max_length} characters`);
  return READERS[type](text);
}

/**
 * Reads the values for a template's variables.
 * @returns each variable's value; an optional one that is missing is empty. Runs of spaces are one space, and none stands at an end.
 * @throws {Refused} `forbidden_characters` or `invalid_input`, with an issue at `variables.<name>` for each value that is
 *   missing, unknown or not of its type.
 */
export function readValues(
  variables: readonly TemplateVariable[],
  given: Readonly<Record<string, unknown>>,
): Map<string, string> {
  const values = new Map<string, string>();
  const issues: (Issue & { code: ErrorCode })[] = [];
  for (const variable of variables) {
    const { name, required } = variable;
    const path = `variables.${name}`;
    if (Object.hasOwn(given, name)) {
      try {
        values.set(name, readValue(variable, given[name]));
      } catch (error) {
        if (!(error instanceof Unacceptable)) throw error;
        issues.push({ path, message: error.message, code: error.code });
      }
    } else if (required) issues.push({ path, message: "is needed", code: "invalid_input" });
    else values.set(name, "");
  }
  const known = new Set(variables.map(({ name }) => name));
  for (const name of Object.keys(given)) {
    if (issues.length >= MAX_ISSUES) break;
    if (!known.has(name)) issues.push({ path: unknownPath(name), message: UNKNOWN, code: "invalid_input" });
  }
  if (issues.length > 0) throw refusalOf(issues);
  return values;
}

/**
 * Refuses values that hold markup. Rendering escapes it and whatever else a value holds; an agent that tries is told.
 * @throws {Refused} `forbidden_characters`, with an issue at `variables.<name>` for each such value.
 */
export function refuseMarkup(given: Readonly<Record<string, unknown>>): void {
  const found = Object.entries(given).filter(([, value]) => typeof value === "string" && MARKUP.test(value));
  if (found.length === 0) return;
  throw refusalOf(
    found.map(([name]) => ({ path: unknownPath(name), message: NO_MARKUP, code: "forbidden_characters" as const })),
  );
}

/** An answer repeats the caller's own name for a value, without what would act on whoever reads it. */
function unknownPath(name: string): string {
  return `variables.${name.slice(0, MAX_NAME_CHARACTERS).replace(/\p{C}/gu, "\ufffd")}`;
}

function refusalOf(issues: (Issue & { code: ErrorCode })[]): Refused {
  const shown = issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({ path, message }));
  const code = issues.find((issue) => issue.code !== "invalid_input")?.code ?? "invalid_input";
  return new Refused(code, `${shown[0]?.path} ${shown[0]?.message}.`, { issues: shown });
}
