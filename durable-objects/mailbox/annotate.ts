import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { EmailSummary } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import type { InboundStatus } from "../../src/oversight/statuses.ts";
import { type InboundEvent, nextInboundStatus } from "../../src/oversight/transitions.ts";
import type { Mark } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, wrongState } from "./base.ts";
import { stopTrying } from "./delivery.ts";
import type { Message } from "./messages.ts";
import { isPending, unwatchPending } from "./pending.ts";
import { emailSummary } from "./views.ts";

export const MAX_TAGS = 50;

const MARKS: Readonly<Record<Mark["status"], { event: InboundEvent; kind: "mark" | "remove" }>> = {
  read: { event: "read", kind: "mark" },
  unread: { event: "unread", kind: "mark" },
  archived: { event: "archive", kind: "mark" },
  spam_quarantined: { event: "quarantine", kind: "remove" },
  deleted: { event: "delete", kind: "remove" },
};

/** What the mailbox's mode says of an annotation. @returns null if it may go on. */
function whyNotAnnotate(box: MailboxBase, kind: "mark" | "remove"): Outcome<never> | null {
  const { oversight_mode } = box.settings();
  const verdict = POLICY.annotate[oversight_mode];
  if (verdict === "allow" || (verdict === "mark_and_tag_only" && kind === "mark")) return null;
  return refused("denied_by_mode", `This mailbox is ${oversight_mode}: that change is not an agent's to make.`);
}

export function mark(box: MailboxBase, caller: Caller, message: Message, { status }: Mark): Outcome<EmailSummary> {
  const { event, kind } = MARKS[status];
  const denied = whyNotAnnotate(box, kind);
  if (denied) return denied;
  if (message.direction === "outbound")
    return wrongState(message, "Only received mail is marked; cancel_message stops mail that has not left.");
  const to = nextInboundStatus(message.status as InboundStatus, event);
  if (to === null) return wrongState(message, `A message that is ${message.status} cannot become ${status}.`);
  if (to === message.status) return accepted(emailSummary(message, box.settings()));
  return accepted(
    box.commit(() => {
      const from = message.status;
      message.status = to;
      box.messages.save(message);
      box.record({ message, actor: actorOf(caller), action: "message.marked", detail: { from, status: to } });
      return emailSummary(message, box.settings());
    }),
  );
}

/** Sets tags beside those there are. */
export function tag(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  tags: Record<string, string>,
): Outcome<Record<string, string>> {
  const denied = whyNotAnnotate(box, "mark");
  if (denied) return denied;
  const all = { ...message.record.tags, ...tags };
  if (Object.keys(all).length > MAX_TAGS) return refused("invalid_input", `A message has at most ${MAX_TAGS} tags.`);
  return accepted(writeTags(box, caller, message, all, "message.tagged", tags));
}

export function untag(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  key: string,
): Outcome<Record<string, string>> {
  const denied = whyNotAnnotate(box, "mark");
  if (denied) return denied;
  const { [key]: removed, ...rest } = message.record.tags;
  if (removed === undefined) return refused("not_found", "The message has no tag by that name.");
  return accepted(writeTags(box, caller, message, rest, "message.untagged", { [key]: removed }));
}

function writeTags(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  tags: Record<string, string>,
  action: string,
  changed: Record<string, string>,
): Record<string, string> {
  return box.commit(() => {
    message.record.tags = tags;
    box.messages.save(message);
    box.record({
      message,
      actor: actorOf(caller),
      action,
      detail: { count: Object.keys(changed).length },
      personal: { tags: changed },
    });
    return tags;
  });
}

/** Takes back what was not yet handed to the transport. */
export function cancel(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  reason: string | null,
): Outcome<EmailSummary> {
  if (message.direction === "inbound") return wrongState(message, "Only mail on its way out can be cancelled.");
  return box.commit(() => {
    const waited = isPending(message);
    if (!box.advance(message, "cancel"))
      return wrongState(message, `A message that is ${message.status} cannot be cancelled any more.`);
    message.record.end_reason = reason;
    if (waited) unwatchPending(box, message);
    if (message.status === "sent") stopTrying(box, message);
    box.unschedule("deliver", message.id);
    box.messages.save(message);
    box.record({
      message,
      actor: actorOf(caller),
      action: "message.cancelled",
      detail: { status: message.status },
      personal: { reason },
    });
    if (message.status === "cancelled") box.emit("message.cancelled", message);
    return accepted(emailSummary(message, box.settings()));
  });
}
