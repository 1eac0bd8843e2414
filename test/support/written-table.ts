/** Tables written as text, so that people can read a specification and a test can walk all of it. */

/** What the words of a column are: its values, or for a column of conditions the words of each fact. */
export type Column = readonly string[] | Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface Table {
  /** Every combination of the columns, those of conditions one word for each fact. */
  readonly combinations: readonly string[][];
  /** Rows that some other row contradicts or repeats, and combinations without a row. Empty: exactly one row each. */
  readonly faults: readonly string[];
  /** @returns what the row of this combination says. @throws Error if there is none. */
  at(combination: readonly string[]): string;
}

const SEPARATOR = " | ";
const ANY_OTHER = "any other";

/** @returns every choice of one word for each fact, in the order of the facts. */
export function everyCombination(facts: Readonly<Record<string, Readonly<Record<string, unknown>>>>): string[][] {
  return product(Object.values(facts).map((words) => Object.keys(words)));
}

function product(lists: readonly (readonly string[])[]): string[][] {
  return lists.reduce<string[][]>((all, list) => all.flatMap((each) => list.map((word) => [...each, word])), [[]]);
}

function isValues(column: Column): column is readonly string[] {
  return Array.isArray(column);
}

/** The lists of words that one cell allows: one list, or one for each fact. */
function allowed(column: Column, cell: string, others: () => string[]): string[][] {
  const words = cell === "" || cell === "*" ? [] : cell.split(",").map((word) => word.trim());
  if (isValues(column)) {
    if (cell === ANY_OTHER) return [others()];
    const unknown = words.filter((word) => !column.includes(word));
    if (unknown.length > 0 || cell === "") throw new Error(`no column has the value “${unknown.join(", ")}”`);
    return [words.length === 0 ? [...column] : words];
  }
  const facts = Object.values(column).map((values) => Object.keys(values));
  const unknown = words.filter((word) => !facts.some((values) => values.includes(word)));
  if (unknown.length > 0) throw new Error(`no fact is called “${unknown.join(", ")}”`);
  return facts.map((values) => {
    const named = values.filter((word) => words.includes(word));
    return named.length === 0 ? values : named;
  });
}

/**
 * Reads a table: a line for each row, its cells between bars, the last one what the row says.
 * @param columns in their order. `any other` is understood in the second, of the values that no row with the same first one names.
 * @throws Error for a word that no column has.
 */
export function readTable(columns: Readonly<Record<string, Column>>, text: string): Table {
  const kinds = Object.values(columns);
  const rows = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const short = rows.find(({ length }) => length !== kinds.length + 1);
  if (short) throw new Error(`a row has ${short.length} cells: ${short.join(SEPARATOR)}`);
  const said = new Map<string, string>();
  const faults: string[] = [];
  for (const row of rows.flatMap((row) => oneFirst(kinds[0] as Column, row))) {
    const others = () => namedByNoOther(kinds, rows, row[0] as string);
    const choices = kinds.flatMap((column, at) => allowed(column, row[at] as string, others));
    for (const combination of product(choices)) {
      const key = combination.join(SEPARATOR);
      if (said.has(key)) faults.push(`two rows have ${key}`);
      said.set(key, row.at(-1) as string);
    }
  }
  const combinations = product(
    kinds.flatMap((column) =>
      isValues(column) ? [[...column]] : Object.values(column).map((words) => Object.keys(words)),
    ),
  );
  for (const combination of combinations) {
    if (!said.has(combination.join(SEPARATOR))) faults.push(`no row has ${combination.join(SEPARATOR)}`);
  }
  return {
    combinations,
    faults,
    at(combination) {
      const answer = said.get(combination.join(SEPARATOR));
      if (answer === undefined) throw new Error(`no row has ${combination.join(SEPARATOR)}`);
      return answer;
    },
  };
}

/** A row for each of the values of the first cell, since what `any other` means depends on it. */
function oneFirst(column: Column, row: string[]): string[][] {
  const [first = "", ...rest] = row;
  return allowed(column, first, () => [])
    .flat()
    .map((value) => [value, ...rest]);
}

function namedByNoOther(kinds: readonly Column[], rows: readonly string[][], first: string): string[] {
  const [own, column] = kinds;
  if (!own || !column || !isValues(column)) throw new Error(`“${ANY_OTHER}” needs a column of values`);
  const named = rows
    .filter(
      (row) =>
        row[1] !== ANY_OTHER &&
        allowed(own, row[0] as string, () => [])
          .flat()
          .includes(first),
    )
    .flatMap((row) => allowed(column, row[1] as string, () => []).flat());
  return column.filter((value) => !named.includes(value));
}
