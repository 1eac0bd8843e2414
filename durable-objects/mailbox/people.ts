import { pendingIdOf } from "../../src/ids.ts";
import { approvalRequestMail, monitoredCopyMail } from "../../src/mail/notification.ts";
import { sendSystemMail } from "../../src/mail/system-mail.ts";
import { decisionLink, hashDecisionToken, newDecisionToken } from "../../src/oversight/decision-links.ts";
import { SYSTEM } from "../ledger.ts";
import { backoff, GIVE_UP_AFTER, type Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { ATTEMPT_LIMIT } from "./delivery.ts";
import type { Message } from "./messages.ts";
import { isPending } from "./pending.ts";
import { contentHashOf, decisionItem } from "./views.ts";

/** Mail to the people who oversee: the request to decide, and the copy of what a monitored mailbox sent. */

async function overseer(box: MailboxBase): Promise<string> {
  const { tenant_id, approver_email } = box.settings();
  return box.environment().TENANT.getByName(tenant_id).overseerFor(approver_email);
}

/** Serves a `notify` timer: mails a fresh link. The token itself is in that mail and nowhere else. */
export async function notifyApprover(box: MailboxBase, timer: Timer): Promise<void> {
  const asked = box.settings().approver_email;
  const approver = await overseer(box);
  const env = box.environment();
  const token = newDecisionToken(box.routing());
  const message = box.commit(() => {
    const current = box.messages.get(timer.ref);
    if (!isPending(current) || !current.record.hold) {
      box.unschedule("notify", current.id);
      return null;
    }
    // Another approver was set while we asked: the timer stays, and comes round with that one.
    if (box.settings().approver_email !== asked) return null;
    box.addLink({
      token_hash: hashDecisionToken(token),
      email_id: current.id,
      approver,
      content_hash: contentHashOf(current),
      expires_at: Date.parse(current.record.hold.expires_at),
      revoked: null,
      used: 0,
    });
    current.record.hold.links += 1;
    box.messages.save(current);
    return current;
  });
  if (!message?.record.hold) return;
  // The link works from here on. A crash before the mail is out mails another one; both work until one decides.
  await box.flush();
  const { hold } = message.record;
  const mail = approvalRequestMail({
    item: decisionItem(message, box.messages.bodies(message.seq), box.settings()),
    link: decisionLink(env.PUBLIC_URL, token),
    approver,
    expires_at: hold.expires_at,
    product_url: env.PUBLIC_URL,
  });
  const id = `${pendingIdOf(message.id)}.${hold.links}`;
  await send(box, timer, message, "notification", { ...mail, to: approver, id });
}

/** Serves a `copy` timer: the overseer of a monitored mailbox reads what was sent. */
export async function copyOverseer(box: MailboxBase, timer: Timer): Promise<void> {
  const to = await overseer(box);
  const message = box.messages.get(timer.ref);
  const mail = monitoredCopyMail({
    item: decisionItem(message, box.messages.bodies(message.seq), box.settings()),
    status: message.status,
    sent_at: message.record.sent_at,
    product_url: box.environment().PUBLIC_URL,
  });
  await send(box, timer, message, "copy", { ...mail, to, id: `${message.id}.copy` });
}

interface PersonMail {
  to: string;
  id: string;
  subject: string;
  text: string;
  html: string;
}

/** Hands one mail over and writes what came of it: done, tried again later, or failed for good with an event. */
async function send(
  box: MailboxBase,
  timer: Timer,
  about: Message,
  what: "notification" | "copy",
  mail: PersonMail,
): Promise<void> {
  const outcome = await sendSystemMail(
    box.environment(),
    { ...mail, date: new Date(box.now()) },
    AbortSignal.timeout(ATTEMPT_LIMIT),
  );
  box.commit(() => {
    const attempts = timer.attempts + 1;
    const message = box.messages.get(about.id);
    const tooLate = box.now() >= Date.parse(message.created_at) + GIVE_UP_AFTER;
    const failed = outcome.outcome === "refused" || (outcome.outcome === "deferred" && tooLate);
    if (outcome.outcome === "deferred" && !failed) {
      box.schedule(timer.kind, message.id, box.now() + backoff(attempts), { attempts });
    } else box.finish(timer);
    const result = outcome.outcome === "accepted" ? "sent" : failed ? "failed" : "deferred";
    box.record({
      message,
      actor: SYSTEM,
      action: `${what}.${result}`,
      detail: { attempt: attempts, code: outcome.code },
      personal: { to: mail.to, response: outcome.response },
    });
    if (failed) box.emit("notification.failed", message, { what, code: outcome.code });
  });
}
