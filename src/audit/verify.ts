import { type Entry, entryText, hashEntryText, NO_PREVIOUS } from "./entry.ts";

/** The first thing wrong with a chain. */
export interface ChainFault {
  seq: number;
  problem: "gap" | "order" | "other_log" | "broken_link" | "wrong_hash" | "time_went_back";
  message: string;
}

/** An entry as exports and the API give it: with its hash beside it. */
export type HashedEntry = Entry & { hash: string };

/** The hashed part of an exported entry: without `hash` and `personal`, which are not part of it. */
function hashedPart(exported: HashedEntry & { personal?: unknown }): Entry {
  const { hash: _hash, personal: _personal, ...entry } = exported;
  return entry;
}

/**
 * Verifies a whole log (FORMATS.md §6): one log, no gaps from 0, each link and each hash, time never backwards.
 * @param entries in order, as exported. Members beside those of an Entry, `hash` and `personal` count as part of the entry.
 * @returns null if all is well, else the first fault.
 */
export function verifyChain(entries: readonly HashedEntry[]): ChainFault | null {
  let previous: HashedEntry | null = null;
  for (const [index, entry] of entries.entries()) {
    const fault = (problem: ChainFault["problem"], message: string): ChainFault => ({ seq: index, problem, message });
    if (entry.log !== (entries[0] as HashedEntry).log)
      return fault("other_log", `entry ${index} is of log ${entry.log}`);
    if (entry.seq > index) return fault("gap", `entry ${index} is missing; ${entry.seq} stands in its place`);
    if (entry.seq < index) return fault("order", `entry ${entry.seq} stands where ${index} belongs`);
    if (entry.prev !== (previous?.hash ?? NO_PREVIOUS)) {
      return fault("broken_link", `entry ${index} does not continue from the hash of entry ${index - 1}`);
    }
    if (hashEntryText(entryText(hashedPart(entry))) !== entry.hash) {
      return fault("wrong_hash", `entry ${index} is not what its hash says`);
    }
    if (previous && entry.at < previous.at)
      return fault("time_went_back", `entry ${index} is older than the one before`);
    previous = entry;
  }
  return null;
}
