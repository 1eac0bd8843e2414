import type { Refusal } from "../../src/errors.ts";
import { auditorMail } from "../../src/mail/notification.ts";
import { sendSystemMail } from "../../src/mail/system-mail.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { makeCheckpoint, newestCheckpoint } from "../ledger/checkpoints.ts";
import { SYSTEM } from "../ledger.ts";
import type { LogCheckpoint } from "../log-rpc.ts";
import { nextDigest } from "../mailbox/ask.ts";
import { backoff, type Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";
import { settingsOf } from "./people.ts";

/** Checkpoints of the tenant's mailboxes as entries of its own log, and its own ones on their way to people outside. */

/** The timer of the auditor's mail. */
export const AUDITOR_MAIL = "auditor_mail";
const MAIL_LIMIT = 30_000;
/** Then the next day's mail says more anyway. */
const MAIL_ATTEMPTS = 8;

/** Whether the caller may ask for the tenant's own log: a key that is bound to mailboxes sees theirs only. */
export function whyNotAuditor(box: TenantBase, caller: Caller): Refusal | null {
  if (!box.isMine(caller)) return { code: "not_found", error: "There is nothing here by that id." };
  if (!caller.scopes.includes("admin"))
    return { code: "missing_scope", error: "This needs a key with the scope admin." };
  if (caller.mailbox_ids === null) return null;
  return { code: "mailbox_not_allowed", error: "This key is bound to its mailboxes and sees their logs only." };
}

/** How large a log was at its newest checkpoint that was told of: a mailbox's to this log, this log's own to the auditor. */
function toldSize(box: TenantBase, log: string): number {
  const [row] = box.rows.exec<{ size: number }>("SELECT size FROM told_checkpoints WHERE log = ?", log).toArray();
  return row?.size ?? 0;
}

/** Inside `commit`. */
function setToldSize(box: TenantBase, log: string, size: number): void {
  box.rows.exec("INSERT OR REPLACE INTO told_checkpoints VALUES (?, ?)", log, size);
}

/** See TenantRpc. One that is not newer than what the log has of that mailbox is known already. */
export function recordCheckpoint(box: TenantBase, { log, size, root, checkpoint, verifier_key }: LogCheckpoint): void {
  box.commit(() => {
    if (toldSize(box, log) >= size) return;
    setToldSize(box, log, size);
    box.record({
      actor: SYSTEM,
      action: "mailbox.checkpointed",
      resource: { type: "log", id: log },
      detail: { size, root, checkpoint, verifier_key },
    });
  });
}

/** @returns the newest checkpoint's note; the first one is made where there is none yet. */
export function newestNote(box: TenantBase): string {
  return (newestCheckpoint(box) ?? box.commit(() => makeCheckpoint(box))).checkpoint;
}

/** Tells the world outside of a new checkpoint, and has the auditor mailed, once a day. Inside `commit`. */
export function announceCheckpoint(
  box: TenantBase,
  { origin, size, root, checkpoint, verifier_key }: LogCheckpoint,
): void {
  box.emitEvent("audit.checkpoint", { origin, size, root, checkpoint, verifier_key });
  const { auditor_email } = settingsOf(box.tenant());
  if (auditor_email !== null && !box.isScheduled(AUDITOR_MAIL, "") && isNewsToAuditor(box)) {
    box.schedule(AUDITOR_MAIL, "", nextDigest("daily", box.now()));
  }
}

/** Whether anything happened since the auditor was mailed but that mail itself, which would otherwise ask for the next one. */
function isNewsToAuditor(box: TenantBase): boolean {
  const others = `SELECT 1 FROM entries WHERE seq >= ? AND json_extract(entry, '$.action') NOT LIKE 'auditor_mail.%' LIMIT 1`;
  return box.rows.exec(others, toldSize(box, box.identity().log)).toArray().length > 0;
}

/** Serves an `auditor_mail` timer: mails the newest checkpoint. Later ones ask for a mail of their own. */
export async function mailAuditor(box: TenantBase, timer: Timer): Promise<void> {
  const { auditor_email: to } = settingsOf(box.tenant());
  const newest = newestCheckpoint(box);
  if (to === null || newest === null) return box.commit(() => box.unschedule(timer.kind, timer.ref));
  const { name } = box.tenant();
  const mail = auditorMail({ ...newest, tenant_name: name, product_url: box.environment().PUBLIC_URL });
  const outcome = await sendSystemMail(
    box.environment(),
    { ...mail, to, id: `checkpoint.${newest.log}.${newest.size}`, date: new Date(box.now()) },
    AbortSignal.timeout(MAIL_LIMIT),
  );
  box.commit(() => {
    const attempts = timer.attempts + 1;
    // The next day brings a newer one.
    const again = outcome.outcome === "deferred" && attempts < MAIL_ATTEMPTS;
    if (again) box.schedule(timer.kind, timer.ref, box.now() + backoff(attempts), { attempts });
    else box.unschedule(timer.kind, timer.ref);
    if (outcome.outcome === "accepted") setToldSize(box, newest.log, newest.size);
    const result = outcome.outcome === "accepted" ? "sent" : again ? "deferred" : "failed";
    box.record({
      actor: SYSTEM,
      action: `auditor_mail.${result}`,
      resource: { type: "log", id: newest.log },
      detail: { size: newest.size, attempt: attempts, code: outcome.code },
      personal: { to, response: outcome.response },
    });
  });
}
