import { parseArgs } from "node:util";

/** Options of the command line, as tables say them. */

/** A call that cannot be meant as it is; the message is one sentence for people. */
export class UsageError extends Error {
  override name = "UsageError";
}

export interface Option {
  /** How help names its value; null for a switch. */
  value: string | null;
  /** Whether it may be given more than once. */
  many?: true;
  short?: string;
  help: string;
}

export type Options = Readonly<Record<string, Option>>;

/** The values of each option that was given, in order; of a switch, an empty text. */
export type Values = ReadonlyMap<string, readonly string[]>;

/** A call taken apart. */
export interface SortedOut {
  values: Values;
  /** How each option was written. */
  written: ReadonlyMap<string, string>;
  /** What is no option. */
  rest: string[];
}

/**
 * Takes a call apart: which words are options, and their values.
 * @param options all that there are, whatever the command. @throws {UsageError} for others, and for values that do not fit.
 */
export function sortOut(words: readonly string[], options: Options): SortedOut {
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { value, short }]) => [
        name,
        { type: value === null ? ("boolean" as const) : ("string" as const), ...(short && { short }) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string[]>();
  const written = new Map<string, string>();
  const rest: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") rest.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option) throw new UsageError(`There is no option ${rawName}.`);
    if (option.value === null && value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    // `--key --json` forgot the key; who means a file of that name writes `--key=--json`.
    if (option.value !== null && (!value || (!inlineValue && value.startsWith("-"))))
      throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value}.`);
    values.set(name, [...(values.get(name) ?? []), value ?? ""]);
    written.set(name, rawName);
  }
  return { values, written, rest };
}

/**
 * Checks the options of a call against those that its command has.
 * @throws {UsageError} for one that it has not, and for one given twice that may be given once.
 */
export function checkOptions(command: string, { values, written }: SortedOut, options: Options): void {
  for (const [name, given] of values) {
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option) throw new UsageError(`multimail ${command} has no option ${written.get(name)}.`);
    if (given.length > 1 && !option.many) throw new UsageError(`${written.get(name)} is given twice.`);
  }
}

/** @returns what was given for an option that is given once; null if it was not. */
export function one(values: Values, name: string): string | null {
  return values.get(name)?.[0] ?? null;
}

const NAME_WIDTH = 24;

/** @returns a line of help for each. */
export function optionLines(options: Options): string[] {
  return Object.entries(options).map(([name, { value, short, help }]) => {
    const shown = `${short ? `-${short}, ` : ""}--${name}${value === null ? "" : ` ${value}`}`;
    return `  ${shown.padEnd(NAME_WIDTH)}${help}`;
  });
}
