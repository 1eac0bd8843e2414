import { makeVisible } from "../../pages/misleading/characters.ts";
import { shorten } from "../../pages/misleading/warning.ts";

/** How rules write for people. */

const MOST_LISTED = 3;
const LONGEST_NAME = 60;

/** @returns the first of `items` with commas between them, and how many more there are. */
export function listed(items: readonly string[]): string {
  const rest = items.length - MOST_LISTED;
  return items.slice(0, MOST_LISTED).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** @returns the whole of what someone else wrote in quotation marks, with whatever cannot be seen spelled out. */
export function inQuotes(text: string): string {
  return `“${makeVisible(text, "strict")}”`;
}

/** @returns a name that someone else chose as `inQuotes`, but short. */
export function quoted(name: string): string {
  return inQuotes(shorten(name, LONGEST_NAME));
}

/** @returns a number with its noun: `1 message`, `20 messages`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
