import type { Entry } from "../../src/audit/entry.ts";
import { readSegment, type SegmentEntry, segmentDigest } from "../../src/audit/segment.ts";
import { placeInEntryId } from "../../src/ids.ts";
import type { Mention } from "../../src/mail/mentions.ts";
import { idAt } from "../../src/store/audit-search.ts";
import { kidsNaming, type SealedMentions, sealedMentions } from "./erasure.ts";
import type { Log } from "./log.ts";
import { floorsOf } from "./retention.ts";
import { keyOf, type Segment } from "./segments.ts";

/**
 * Finds the data keys of entries that name a person, the entries of one stretch: in the object, or, of what has left it, in a segment that
 * is sealed in R2. The keys are the object's own, which they do not leave.
 * @param start the stretch's first position.
 */
export async function kidsToErase(log: Log, mention: Mention, start: number): Promise<SealedMentions> {
  if (start >= floorsOf(log).floor) return sealedMentions(log, mention, start);
  const segment = segmentAt(log, start);
  const found = await readBack(log, segment);
  const { first, last } = segment;
  const stretch = { kids: [], waits: [], gone: [], next: last + 1 };
  switch (found) {
    case "gone":
      // A rule of the bucket's, or somebody, let it go: neither object nor D1 have these entries, so that nobody can read them again.
      return { ...stretch, kids: ownKeys(log, segment), gone: [{ log: log.identity().log, first, last }] };
    case "differs":
    case "unread":
      return { ...stretch, waits: [`segment_${found} ${keyOf(log, segment)}`] };
    default:
      return { ...stretch, kids: kidsNaming(log, mention, withKeys(log, found)) };
  }
}

/** The segment of an entry that has left the object. */
function segmentAt(log: Log, seq: number): Segment {
  const [segment] = log
    .storage()
    .exec<Segment>("SELECT * FROM segments WHERE first <= ? ORDER BY first DESC LIMIT 1", seq)
    .toArray();
  if (!segment || segment.last < seq) throw new Error(`entry ${seq} has left the object, and was never sealed`);
  return segment;
}

/**
 * What R2 has of a segment: its entries; nothing (`gone`); others than were sealed (`differs`); or it does not say (`unread`). The last two
 * are no reason to fail: whatever else names the person is erased meanwhile.
 */
async function readBack(log: Log, segment: Segment): Promise<SegmentEntry[] | "gone" | "differs" | "unread"> {
  try {
    const object = await log.environment().STORE.get(keyOf(log, segment));
    // A rule that lets old segments go leaves something; nothing at all is in the bucket of a deployment that is bound to a wrong one.
    if (!object) return (await log.environment().STORE.list({ limit: 1 })).objects.length > 0 ? "gone" : "unread";
    const bytes = new Uint8Array(await object.arrayBuffer());
    return segmentDigest(bytes) === segment.sha256 ? readSegment(bytes, segment.first).entries : "differs";
  } catch (error) {
    console.error(`${keyOf(log, segment)} could not be read, which an erasure waits for`, error);
    return "unread";
  }
}

/** Entries whose data keys are still there, each with the wrapped key of its sealed fields. */
function withKeys(log: Log, entries: readonly SegmentEntry[]): { entry: string; wrapped: string }[] {
  const sealed = entries.flatMap(({ text }) => {
    const kid = (JSON.parse(text) as Entry).sealed?.kid;
    return kid === undefined ? [] : [{ entry: text, kid }];
  });
  const keys = new Map(
    log
      .storage()
      .exec<{ kid: string; wrapped: string }>(
        "SELECT kid, wrapped FROM data_keys WHERE kid IN (SELECT value FROM json_each(?))",
        JSON.stringify([...new Set(sealed.map(({ kid }) => kid))]),
      )
      .toArray()
      .map(({ kid, wrapped }) => [kid, wrapped]),
  );
  return sealed.flatMap(({ entry, kid }) => {
    const wrapped = keys.get(kid);
    return wrapped === undefined ? [] : [{ entry, wrapped }];
  });
}

/**
 * The data keys that entries of a segment had for themselves, which their ids tell: those of a time within the segment's, and at its first
 * and last millisecond, which other segments have entries of too, those of its places. Keys of messages, drafts and requests are not
 * among them: others use them too, and they are destroyed with what they are called after.
 */
function ownKeys(log: Log, { first, last, first_at, last_at }: Segment): string[] {
  const [from, to] = [Date.parse(first_at), Date.parse(last_at)];
  return log
    .storage()
    .exec<{ kid: string }>(
      "SELECT kid FROM data_keys WHERE kid >= ? AND kid < ?",
      idAt(first_at),
      idAt(new Date(to + 1).toISOString()),
    )
    .toArray()
    .map(({ kid }) => kid)
    .filter((kid) => {
      const place = placeInEntryId(kid);
      if (place === null) return false;
      return (place.at > from && place.at < to) || (place.seq >= first && place.seq <= last);
    });
}
