import { newestCheckpoint } from "../ledger/checkpoints.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";

/** The mailbox's checkpoints, which become entries of the tenant's log, and the tenant's, which our mails carry. */

/** The timer by which the tenant is told of a new checkpoint. */
export const REPORT_CHECKPOINT = "report_checkpoint";

function tenantOf(box: MailboxBase) {
  return box.environment().TENANT.getByName(box.identity().tenant_id);
}

/** Serves a `report_checkpoint` timer. A crash after the tenant wrote it reports it again, which writes nothing there. */
export async function reportCheckpoint(box: MailboxBase, timer: Timer): Promise<void> {
  const newest = newestCheckpoint(box);
  if (newest) await tenantOf(box).recordCheckpoint(newest);
  box.commit(() => box.finish(timer));
}

/** @returns the tenant's newest checkpoint, for a mail; null where the tenant does not answer: the mail must not wait for it. */
export async function checkpointForMail(box: MailboxBase): Promise<string | null> {
  try {
    return await tenantOf(box).newestCheckpoint();
  } catch (error) {
    console.error("a mail goes out without a checkpoint", error);
    return null;
  }
}
