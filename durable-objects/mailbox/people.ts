import {
  approvalRequestMail,
  digestMail,
  fallBackMail,
  monitoredCopyMail,
  type PersonMail,
} from "../../src/mail/notification.ts";
import { sendSystemMail } from "../../src/mail/system-mail.ts";
import { isSamePerson } from "../../src/oversight/approvals.ts";
import { decisionLink, hashDecisionToken, newDecisionToken } from "../../src/oversight/decision-links.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import { SYSTEM } from "../ledger.ts";
import type { DecisionItem } from "../mailbox-rpc.ts";
import { backoff, GIVE_UP_AFTER, type Timer } from "../timers.ts";
import { nextDigest, seatsNow } from "./ask.ts";
import { ATTEMPT_LIMIT } from "./attempt.ts";
import type { MailboxBase } from "./base.ts";
import { checkpointForMail } from "./checkpoints.ts";
import { findItem, type HeldItem } from "./held-item.ts";
import { approvedAt, NEVER } from "./links.ts";
import type { Message } from "./messages.ts";
import { quorumOf } from "./pending.ts";
import { decisionItem } from "./views.ts";

/** Mail to the people who oversee: requests to decide, one by one or together, and copies of what a monitored mailbox sent. */

/** A digest tells of at most this many items; the console has them all. */
const DIGEST_ITEMS = 25;

/** Makes a fresh link for one person to one item. The token itself goes into their mail and nowhere else. Inside `commit`. */
function addLink(box: MailboxBase, item: HeldItem, { person, seat }: { person: string; seat: string }): string {
  const token = newDecisionToken(box.routing());
  const { hold } = item;
  box.links.add({
    token_hash: hashDecisionToken(token),
    email_id: item.id,
    approver: person,
    content_hash: item.contentHash(),
    expires_at: hold.expires_at === null ? NEVER : Date.parse(hold.expires_at),
    revoked: null,
    used: 0,
    seat: isSamePerson(person, seat) ? null : seat,
  });
  hold.links += 1;
  item.save();
  return decisionLink(box.environment().PUBLIC_URL, token);
}

/** The seat for which a person was asked about an item that still needs them; null if it does not. */
function askedFor(item: HeldItem | null, person: string): { person: string; seat: string } | null {
  if (!item?.isOpen() || approvedAt(item, person) !== null) return null;
  return item.hold.asked.find((asked) => isSamePerson(asked.person, person)) ?? null;
}

/** Serves a `notify` timer: mails one person a fresh link to one item. */
export async function notifyApprover(box: MailboxBase, timer: Timer): Promise<void> {
  const [id = "", person = ""] = timer.ref.split(" ");
  const made = box.commit(() => {
    const item = findItem(box, id);
    const asked = askedFor(item, person);
    if (item && asked) return { item, asked, link: addLink(box, item, asked) };
    box.unschedule("notify", timer.ref);
    return null;
  });
  if (!made) return;
  // The link works from here on. A crash before the mail is out mails another one; both work until one decides.
  await box.flush();
  const { item, asked, link } = made;
  const { escalate_after } = box.settings();
  // The first ones were asked at the beginning, everyone else because time passed.
  const position = item.hold.asked.findIndex((each) => isSamePerson(each.person, person));
  const isEscalation = escalate_after !== null && position >= quorumOf(box, item.hold);
  const mail = approvalRequestMail({
    item: item.view(),
    link,
    approver: person,
    expires_at: item.hold.expires_at,
    on_behalf_of: isSamePerson(asked.seat, person) ? null : asked.seat,
    escalated_after: isEscalation ? escalate_after : null,
    product_url: box.environment().PUBLIC_URL,
    checkpoint: await checkpointForMail(box),
  });
  const about: About = { what: "notification", message: item.message, record: item.record, began: item.createdAt };
  await send(box, timer, about, { ...mail, to: person, id: `${item.pendingId}.${item.hold.links}` });
}

/** Serves a `digest` timer: mails one person links to everything that waits for them. */
export async function sendDigest(box: MailboxBase, timer: Timer): Promise<void> {
  const person = timer.ref;
  const { items, more } = box.commit(() => {
    const waiting = box.waiting
      .all()
      .map((id) => findItem(box, id))
      .flatMap((item) => {
        const asked = askedFor(item, person);
        return item && asked ? [{ item, asked }] : [];
      });
    const shown = waiting.slice(0, DIGEST_ITEMS);
    const items = shown.map(({ item, asked }): { item: DecisionItem; link: string } => ({
      link: addLink(box, item, asked),
      item: item.view(),
    }));
    if (items.length === 0) box.unschedule("digest", person);
    return { items, more: waiting.length - shown.length };
  });
  if (items.length === 0) return;
  await box.flush();
  const mail = digestMail({
    items,
    more,
    approver: person,
    product_url: box.environment().PUBLIC_URL,
    checkpoint: await checkpointForMail(box),
  });
  const began = box.time();
  const about: About = { what: "digest", message: null, record: (entry) => box.recordChecked(entry), began };
  await send(box, timer, about, { ...mail, to: person, id: `${box.settings().id}.${box.now()}` });
  box.commit(() => keepUp(box, person));
}

/** What still waits is told of again in the next digest. */
function keepUp(box: MailboxBase, person: string): void {
  const { notify } = box.settings();
  if (notify === "at_once" || box.isScheduled("digest", person)) return;
  const waits = box.waiting.all().some((id) => askedFor(findItem(box, id), person) !== null);
  if (waits) box.schedule("digest", person, nextDigest(notify, box.now()));
}

/** Serves a `copy` timer: the overseer of a monitored mailbox reads what was sent. */
export async function copyOverseer(box: MailboxBase, timer: Timer): Promise<void> {
  const to = (await seatsNow(box))[0]?.person ?? "";
  const message = box.messages.get(timer.ref);
  const mail = monitoredCopyMail({
    item: decisionItem(box, message),
    status: message.status,
    sent_at: message.record.sent_at,
    product_url: box.environment().PUBLIC_URL,
    checkpoint: await checkpointForMail(box),
  });
  const record: About["record"] = (entry) => box.recordChecked({ ...entry, message: box.messages.get(message.id) });
  const about: About = { what: "copy", message, record, began: message.created_at };
  await send(box, timer, about, { ...mail, to, id: `${message.id}.copy` });
}

/** What a `fell_back` timer's reference says, as JSON. */
export interface FellBack {
  from: Mode;
  to: Mode;
  what: "bounces" | "complaints";
  count: number;
  days: number;
  at: string;
}

/** Serves a `fell_back` timer: people hear that the mailbox has less rope now, and why. */
export async function tellFallBack(box: MailboxBase, timer: Timer): Promise<void> {
  const to = (await seatsNow(box))[0]?.person ?? "";
  const fell = JSON.parse(timer.ref) as FellBack;
  const mail = fallBackMail({
    ...fell,
    mailbox_address: box.settings().address,
    approver: to,
    product_url: box.environment().PUBLIC_URL,
    checkpoint: await checkpointForMail(box),
  });
  const about: About = {
    what: "fall_back_notice",
    message: null,
    record: (entry) => box.recordChecked(entry),
    began: fell.at,
  };
  await send(box, timer, about, { ...mail, to, id: `${box.settings().id}.${Date.parse(fell.at)}` });
}

interface About {
  what: "notification" | "digest" | "copy" | "fall_back_notice";
  message: Message | null;
  record: HeldItem["record"];
  /** ISO 8601: from when on it is tried. */
  began: string;
}

/** Hands one mail over and writes what came of it: done, tried again later, or failed for good with an event. */
async function send(
  box: MailboxBase,
  timer: Timer,
  { what, message, record, began }: About,
  mail: PersonMail & { to: string; id: string },
): Promise<void> {
  const outcome = await sendSystemMail(
    box.environment(),
    { ...mail, date: new Date(box.now()) },
    AbortSignal.timeout(ATTEMPT_LIMIT),
  );
  box.commit(() => {
    const attempts = timer.attempts + 1;
    const tooLate = box.now() >= Date.parse(began) + GIVE_UP_AFTER;
    const failed = outcome.outcome === "refused" || (outcome.outcome === "deferred" && tooLate);
    if (outcome.outcome === "deferred" && !failed) {
      box.schedule(timer.kind, timer.ref, box.now() + backoff(attempts), { attempts });
    } else box.finish(timer);
    const result = outcome.outcome === "accepted" ? "sent" : failed ? "failed" : "deferred";
    record({
      actor: SYSTEM,
      action: `${what}.${result}`,
      detail: { attempt: attempts, code: outcome.code },
      personal: { to: mail.to, response: outcome.response },
    });
    if (failed)
      box.emitEvent("notification.failed" satisfies EventType, { message, data: { what, code: outcome.code } });
  });
}
