import { newId } from "../../src/ids.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { mailboxPrefixes } from "../../src/store/mail-store.ts";

const DAY = 24 * 3600_000;
/** Uploads older than this that no message names are left over from a submission or an arrival that never finished. */
const ORPHANED_AFTER = DAY;
/** A daily sweep looks this far back, so that each upload is met at least once, and the mailbox's age does not matter. */
const LOOKED_BACK = 3 * DAY;

/**
 * Deletes what lies in the store for this mailbox without a message that knows it. Ids sort by time, so it lists only the
 * last days' keys.
 * @param isKnown whether an email id is a message of the mailbox.
 * @returns how many objects were deleted.
 */
export async function sweepStore(
  store: R2Bucket,
  { tenant_id, id }: Mailbox,
  isKnown: (emailId: string) => boolean,
  now: number,
): Promise<number> {
  let removed = 0;
  for (const prefix of mailboxPrefixes(tenant_id, id)) {
    let startAfter = prefix + newId("em", now - LOOKED_BACK).slice(0, 13);
    for (;;) {
      const page = await store.list({ prefix, startAfter });
      const orphans = page.objects
        .filter(({ uploaded }) => uploaded.getTime() < now - ORPHANED_AFTER)
        .map(({ key }) => key)
        .filter((key) => !isKnown(key.slice(prefix.length).split(/[/.]/)[0] ?? ""));
      if (orphans.length) await store.delete(orphans);
      removed += orphans.length;
      const last = page.objects.at(-1);
      if (!page.truncated || !last) break;
      startAfter = last.key;
    }
  }
  return removed;
}
