import type { Entry } from "./entry.ts";
import { hashEntryText } from "./entry.ts";
import { isFacts, readEntryLine } from "./entry-facts.ts";
import { exportLine } from "./export-line.ts";

/**
 * Entries as D1 has them. Whoever owns D1 can write anything there, so that nothing in a row is believed, or even read as an entry,
 * before its text is the one that its hash stands for.
 */

/**
 * What is wrong with an entry that is shown. `altered`: D1 has something else in its place, and nothing of that is told.
 * `unreadable`: the entry is right, and its sealed fields were not erased, but cannot be opened.
 */
export const ENTRY_FAULTS = ["altered", "unreadable"] as const;
export type EntryFault = (typeof ENTRY_FAULTS)[number];

/** What people are told of an entry that was altered. */
export const ALTERED_WORDS =
  "This entry was changed after it was written: the database has something else in its place, which is not shown as a step. The log itself holds the original.";

/**
 * @returns the entry that a stored text is; null if it is none, or not the one that its hash stands for. A hash that was altered to
 *   match is not noticed here: only the log knows which one it was.
 */
export function storedEntry(text: string, hash: string): Entry | null {
  if (hashEntryText(text) !== hash) return null;
  return isFacts(readEntryLine(exportLine(text, hash, null))) ? JSON.parse(text) : null;
}
