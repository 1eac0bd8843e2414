import { comparableAddress, withoutTag } from "../../src/mail/address.ts";
import type { OutboundStatus } from "../../src/oversight/statuses.ts";
import type { MailboxBase } from "./base.ts";
import { count } from "./counts.ts";
import { stopTrying } from "./delivery.ts";
import { messageItem, type WaitingEvent } from "./held-item.ts";
import { type Message, outboundOf } from "./messages.ts";
import { unwatchPending, watchPending } from "./pending.ts";

/** What a message's new status asks to be done. One table, whichever way it got there; inside `commit`, before it is saved. */
const ON_ENTERING: Partial<Record<OutboundStatus, (box: MailboxBase, message: Message) => void>> = {
  pending_send_approval: (box, message) => {
    box.unschedule("due", message.id);
    watchPending(box, messageItem(box, message));
    box.emit("message.held", message);
  },
  scheduled: (box, message) => {
    const { send_at } = outboundOf(message);
    if (send_at === null) throw new Error(`${message.id} is scheduled for no time`);
    box.schedule("due", message.id, Date.parse(send_at));
    box.emit("message.scheduled", message, { send_at });
  },
  queued: (box, message) => {
    box.unschedule("due", message.id);
    letGo(box, message);
    box.schedule("deliver", message.id, box.now());
  },
  blocked: (box, message) => {
    box.unschedule("due", message.id);
    count(box, "blocked");
    box.emit("message.blocked", message);
  },
  // Of an item taken back while some had it already: they keep it, the rest ends.
  sent: (box, message) => stopTrying(box, message),
};

/** Does what an outbound message's present status asks. */
export function settle(box: MailboxBase, message: Message): void {
  ON_ENTERING[message.status as OutboundStatus]?.(box, message);
}

/** It counts towards the budgets once, at the moment it is let go for the first time. */
function letGo(box: MailboxBase, message: Message): void {
  const outbound = outboundOf(message);
  if (outbound.let_go_at !== null) return;
  outbound.let_go_at = box.time();
  const { per_recipient_per_day, per_recipient_per_hour, per_day, per_hour } = box.rules().budgets;
  const { to, cc, bcc } = message.record;
  if (per_day !== null || per_hour !== null) box.history.addLetGo("", message.seq);
  if (per_recipient_per_day === null && per_recipient_per_hour === null) return;
  // A person's +tags are the person (RFC 5233).
  const people = new Set([...to, ...cc, ...bcc].map(({ address }) => withoutTag(comparableAddress(address))));
  for (const person of people) box.history.addLetGo(person, message.seq);
}

const COUNTED: Partial<Record<WaitingEvent, "approved" | "rejected" | "expired">> = {
  approve: "approved",
  reject: "rejected",
  expire: "expired",
};

/** What follows from a decision, or from its absence: the waiting ends, and the message goes where its status says. */
export function afterDecision(box: MailboxBase, message: Message, event: WaitingEvent): void {
  if (message.direction === "inbound") {
    if (event === "approve") box.announce(message);
    return;
  }
  // What ends in the sandbox says nothing of how an agent does.
  const what = outboundOf(message).test ? undefined : COUNTED[event];
  if (what) count(box, what);
  if (what === "approved" && message.record.decision?.edited) count(box, "edited");
  settle(box, message);
}

/** The waiting of a message ends because it is no longer held at all: cancelled, or changed into what needs no decision. */
export function endWaiting(box: MailboxBase, message: Message): void {
  if (message.record.hold) unwatchPending(box, messageItem(box, message));
}
