import type { Mention } from "../../src/mail/mentions.ts";
import { readEntries } from "../../src/store/audit-entries.ts";
import { ENTRIES_AT_ONCE, kidsNaming, type SealedMentions, sealedMentions } from "./erasure.ts";
import type { Log } from "./log.ts";

/**
 * Finds the data keys of entries that name a person, the entries of one stretch: in the object, or, of what has left it, in the segments that
 * are sealed in R2.
 * @param start the stretch's first position.
 * @throws whatever R2 or D1 throw.
 */
export async function kidsToErase(log: Log, mention: Mention, start: number): Promise<SealedMentions> {
  const { floor } = log.storage().exec<{ floor: number }>("SELECT floor FROM keeping").one();
  if (start >= floor) return sealedMentions(log, mention, start);
  const end = Math.min(start + ENTRIES_AT_ONCE, floor);
  const rows: { entry: string; wrapped: string | null }[] = [];
  const range = { log: log.identity().log, start, end, keys: true };
  for await (const { text, wrapped } of readEntries(log.environment(), range)) rows.push({ entry: text, wrapped });
  return { kids: kidsNaming(log, mention, rows), next: end };
}
