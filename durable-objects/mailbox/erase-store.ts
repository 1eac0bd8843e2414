import { pendingIdOf } from "../../src/ids.ts";
import { forgetMessages } from "../../src/store/erasure.ts";
import { deleteMail } from "../../src/store/mail-store.ts";
import { forgetKeys } from "../ledger/erasure.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";

/**
 * What lies outside the object of something that is erased in it, or whose content expired: bytes in R2, rows in D1, and the words that
 * the full-text index gives up only when it is merged. Each step can be repeated, and a row of `erasing` stays until all are done.
 */

/** The timer that does it; its ref is the mailbox. */
export const ERASE = "erase";
/** The direct way is tried first. */
const DIRECT_WAY = 2_000;
/** So many items in one statement to D1. */
const ITEMS_AT_ONCE = 50;
/** Pages of the full-text index that are merged before others have their turn. */
const PAGES_AT_ONCE = 200;

/** Remembers what is to be erased outside. Inside `commit`. @param id of a message, draft or request; `wasHeld`: people were asked. */
export function eraseLater(box: MailboxBase, id: string, { wasHeld }: { wasHeld: boolean }): void {
  const closes = wasHeld ? (id.startsWith("em_") ? pendingIdOf(id) : id) : null;
  box
    .storage()
    .exec(
      "INSERT INTO erasing VALUES (?1, ?2) ON CONFLICT DO UPDATE SET closes = coalesce(closes, excluded.closes)",
      id,
      closes,
    );
  box.schedule(ERASE, box.settings().id, box.now() + DIRECT_WAY);
}

/** @returns whether something of these is not gone yet; of anything, where none are named. */
export function isErasing(box: MailboxBase, ids?: readonly string[]): boolean {
  const sql = box.storage();
  const rows =
    ids === undefined
      ? sql.exec("SELECT 1 FROM erasing LIMIT 1")
      : sql.exec("SELECT 1 FROM erasing WHERE id IN (SELECT value FROM json_each(?)) LIMIT 1", JSON.stringify(ids));
  return rows.toArray().length > 0;
}

interface Row extends Record<string, SqlStorageValue> {
  id: string;
  closes: string | null;
}

/**
 * Erases what lies outside. Returned means: nothing of what was to be erased when it was called is left in R2 or D1.
 * @throws whatever R2 or D1 throw; what was done stays done, and the rest is tried again by the timer.
 */
export async function eraseOutside(box: MailboxBase): Promise<void> {
  await mergeWords(box);
  await forgetKeys(box);
  for (;;) {
    const rows = box.storage().exec<Row>("SELECT id, closes FROM erasing ORDER BY id LIMIT ?", ITEMS_AT_ONCE).toArray();
    if (rows.length === 0) return;
    await eraseRows(box, rows);
  }
}

async function eraseRows(box: MailboxBase, rows: readonly Row[]): Promise<void> {
  const { tenant_id, id: mailbox_id } = box.settings();
  const ids = rows.map(({ id }) => id);
  // Of a message whose content alone is gone, events say what they said.
  const erased = ids.filter((id) => box.messages.find(id)?.erased_at !== null);
  const closes = rows.flatMap((row) => row.closes ?? []);
  // A drain that is under way may bring an event as it was before.
  await box.afterDrain();
  await forgetMessages(box.database(), mailbox_id, { sequences: arrivalsOf(box, erased), closes, version: box.head() });
  for (const id of ids) await deleteMail(box.environment().STORE, tenant_id, mailbox_id, id);
  // R2 and D1 have confirmed. A crash here repeats all of it, which changes nothing there.
  box.commit(() =>
    box.storage().exec("DELETE FROM erasing WHERE id IN (SELECT value FROM json_each(?))", JSON.stringify(ids)),
  );
}

/** @returns where the events of these messages' arrival stand. */
function arrivalsOf(box: MailboxBase, ids: readonly string[]): number[] {
  return box
    .storage()
    .exec<{ sequence: number }>(
      `SELECT sequence FROM events WHERE json_extract(event, '$.type') = 'message.received'
         AND json_extract(event, '$.email_id') IN (SELECT value FROM json_each(?))`,
      JSON.stringify(ids),
    )
    .toArray()
    .map(({ sequence }) => sequence);
}

/** Other calls have their turn between the steps: a large index takes many. */
async function mergeWords(box: MailboxBase): Promise<void> {
  while (box.commit(() => box.messages.mergeWords(PAGES_AT_ONCE))) await scheduler.wait(0);
}

/** Serves an `erase` timer. */
export async function eraseByTimer(box: MailboxBase, { kind, ref }: Timer): Promise<void> {
  await eraseOutside(box);
  box.commit(() => {
    if (!isErasing(box)) box.unschedule(kind, ref);
  });
}
