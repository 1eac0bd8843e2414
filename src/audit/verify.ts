import { canonical } from "../canonical-json.ts";
import { ChainReader, missingEntries } from "./chain-reader.ts";
import { type Entry, hashEntryText } from "./entry.ts";
import { type Fault, fault } from "./faults.ts";

/** An entry as exports and the API give it: with its hash beside it. */
export type HashedEntry = Entry & { hash: string };

/** The hashed part of an exported entry: without `hash` and `personal`, which are not part of it. */
function hashedPart(exported: HashedEntry & { personal?: unknown }): Entry {
  const { hash: _hash, personal: _personal, ...entry } = exported;
  return entry;
}

/**
 * Verifies the chain of a whole log that is in memory: one log, no gaps from 0, each link and each hash, time never backwards.
 * Whether the log's key stands behind it, `verifyExport` tells.
 * @param entries in order, as exported. Members beside those of an Entry, `hash` and `personal` count as part of the entry.
 * @returns null if all is well, else the first fault; its `line` counts the entries from 1.
 */
export function verifyChain(entries: readonly HashedEntry[]): Fault | null {
  const reader = new ChainReader();
  const [first] = entries;
  if (first && first.seq > 0) return fault("gap", 1, 0, `${missingEntries(0, first.seq - 1)} missing.`);
  for (const [index, entry] of entries.entries()) {
    const found = reader.isSearching
      ? reader.search(entry, index + 1)
      : reader.next(entry, hashEntryText(canonical(hashedPart(entry))), index + 1);
    if (found) return found;
  }
  return reader.end();
}
