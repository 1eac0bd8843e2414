import { type Reading, readText } from "./readable-text.ts";

/**
 * Keywords as tries of words, so that a text is read once however many there are: at each of its words a walk goes at most as
 * deep as the longest keyword.
 */

interface Node {
  next: Map<string, Node>;
  /** The keyword that ends here, as it was given. */
  keyword: string | null;
}

function node(): Node {
  return { next: new Map(), keyword: null };
}

function add(root: Node, path: readonly string[], keyword: string): void {
  let at = root;
  for (const step of path) {
    const next = at.next.get(step) ?? node();
    at.next.set(step, next);
    at = next;
  }
  at.keyword ??= keyword;
}

function find(root: Node, path: readonly string[]): string | null {
  for (let start = 0; start < path.length; start++) {
    let at: Node | undefined = root;
    for (let i = start; at !== undefined; i++) {
      if (at.keyword !== null) return at.keyword;
      at = at.next.get(path[i] ?? "");
    }
  }
  return null;
}

/** @returns whether there is anything in a keyword to look for: it is not only of blanks and what nobody sees. */
export function isKeyword(keyword: string): boolean {
  return readText(keyword).readings.some(({ signs }) => signs.length > 0);
}

/**
 * Prepares keywords. One of words alone is found whatever stands between its words, also line breaks, dashes and the marks of
 * quotes or emphasis; in one with other signs (`C++`, `$500`) every sign counts.
 * @returns a search that gives the first keyword in a reading, as it was given here, or null.
 */
export function keywordSearch(keywords: readonly string[]): (reading: Reading) => string | null {
  const ofWords = node();
  const ofSigns = node();
  for (const keyword of keywords) {
    for (const { signs, words } of readText(keyword).readings) {
      if (signs.length === 0) continue;
      if (signs.length === words.length) add(ofWords, words, keyword);
      else add(ofSigns, signs, keyword);
    }
  }
  return ({ words, signs }) => find(ofWords, words) ?? find(ofSigns, signs);
}
