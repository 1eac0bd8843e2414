import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { hasOwnPeriod } from "../../src/oversight/content-retention.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import type { InboundStatus } from "../../src/oversight/statuses.ts";
import { type InboundEvent, nextInboundStatus } from "../../src/oversight/transitions.ts";
import type { Mark } from "../mailbox-rpc.ts";
import { actorOf, isOperators, type MailboxBase, mayOversee, wrongState } from "./base.ts";
import { messageItem } from "./held-item.ts";
import type { MessageRecord } from "./message-record.ts";
import { isStanding, type Message, outboundOf } from "./messages.ts";
import { isPending, newHold, watchPending } from "./pending.ts";
import { type Permit, permitted } from "./permits.ts";
import { endWaiting, settle } from "./steps.ts";
import { emailSummary } from "./views.ts";

export const MAX_TAGS = 50;

const MARKS: Readonly<Record<Mark["status"], { event: InboundEvent; kind: "mark" | "remove" }>> = {
  read: { event: "read", kind: "mark" },
  unread: { event: "unread", kind: "mark" },
  archived: { event: "archive", kind: "mark" },
  spam_quarantined: { event: "quarantine", kind: "remove" },
  deleted: { event: "delete", kind: "remove" },
};

export function mark(box: MailboxBase, caller: Caller, message: Message, { status }: Mark): Outcome<EmailSummary> {
  const { event, kind } = MARKS[status];
  if (message.direction === "outbound")
    return wrongState(message, "Only received mail is marked; cancel_message stops mail that has not left.");
  return permitted(box, caller, { effect: "annotate", kind, message }, ({ use, detail }) => {
    const asks = event === "unread" && isSetAside(message) && !box.settings().oversight_keys_may_decide;
    const to = nextInboundStatus(message.status as InboundStatus, asks ? "ask" : event);
    if (to === null) return wrongState(message, `A message that is ${message.status} cannot become ${status}.`);
    return box.commit(() => {
      use();
      const from = message.status;
      message.status = to;
      if (asks) askForRelease(box, message);
      else release(box, message);
      box.messages.save(message);
      box.record({
        message,
        actor: actorOf(caller),
        action: "message.marked",
        detail: { from, status: message.status, ...detail },
      });
      return accepted(emailSummary(message, box.settings()));
    });
  });
}

const isSetAside = ({ record }: Message) => record.inbound?.set_aside !== undefined;

const SET_ASIDE_RULE = "set aside on arrival";

/** What was set aside on arrival is the agent's from the moment it is released. Inside `commit`. */
function release(box: MailboxBase, message: Message): void {
  const { inbound } = message.record;
  if (message.status !== "unread" || inbound?.set_aside === undefined) return;
  delete inbound.set_aside;
  box.announce(message);
}

/** A key does not let in what the mailbox keeps out, unless people let keys decide: it puts the message before a person. Inside `commit`. */
function askForRelease(box: MailboxBase, message: Message): void {
  const { record } = message;
  const because = record.inbound?.set_aside ?? "";
  delete record.inbound?.set_aside;
  record.hold = newHold(box, "inbound", { rule: SET_ASIDE_RULE, because, reasons: [] });
  watchPending(box, messageItem(box, message));
}

/** Sets tags beside those there are. Those of a key with `admin` can have the content kept for less long; others never do. */
export function tag(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  tags: Record<string, string>,
): Outcome<Record<string, string>> {
  return permitted(box, caller, { effect: "annotate", kind: "mark", message }, (permit) => {
    const all = { ...message.record.tags, ...tags };
    if (Object.keys(all).length > MAX_TAGS) return refused("invalid_input", `A message has at most ${MAX_TAGS} tags.`);
    const theirs = message.record.operator_tags ?? [];
    const operator_tags = isOperators(caller) ? [...new Set([...theirs, ...Object.keys(tags)])] : theirs;
    const next = { tags: all, operator_tags, former_tags: message.record.former_tags ?? [] };
    return writeTags(box, caller, message, next, { action: "message.tagged", changed: tags, permit });
  });
}

/** Takes a tag off. By a key without `admin` the content is kept no less long for it: that key's period is remembered. */
export function untag(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  key: string,
): Outcome<Record<string, string>> {
  return permitted(box, caller, { effect: "annotate", kind: "mark", message }, (permit) => {
    const { [key]: removed, ...rest } = message.record.tags;
    const { operator_tags = [], former_tags = [] } = message.record;
    const others = (keys: readonly string[]) => keys.filter((each) => each !== key);
    const wasKept = isOperators(caller) && former_tags.includes(key);
    if (removed === undefined && !wasKept) return refused("not_found", "The message has no tag by that name.");
    const stays = !isOperators(caller) && hasOwnPeriod(box.settings().content_retention, key);
    const next = {
      tags: rest,
      operator_tags: others(operator_tags),
      former_tags: stays ? [...others(former_tags), key] : isOperators(caller) ? others(former_tags) : former_tags,
    };
    const changed = { [key]: removed ?? "" };
    return writeTags(box, caller, message, next, { action: "message.untagged", changed, permit });
  });
}

function writeTags(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  { tags, operator_tags, former_tags }: Required<Pick<MessageRecord, "tags" | "operator_tags" | "former_tags">>,
  {
    action,
    changed,
    permit,
  }: { action: "message.tagged" | "message.untagged"; changed: Record<string, string>; permit: Permit },
): Outcome<Record<string, string>> {
  return box.commit(() => {
    permit.use();
    const { operator_tags: _theirs, former_tags: _former, ...record } = message.record;
    message.record = {
      ...record,
      tags,
      ...(operator_tags.length > 0 && { operator_tags }),
      ...(former_tags.length > 0 && { former_tags }),
    };
    box.messages.save(message);
    box.record({
      message,
      apartOf: message.id,
      actor: actorOf(caller),
      action,
      detail: { count: Object.keys(changed).length, ...permit.detail },
      personal: { tags: changed },
    });
    return accepted(tags);
  });
}

/** Where a human is asked about every read, the answer would tell what another wrote. */
function isUnreadable(box: MailboxBase, caller: Caller, message: Message): boolean {
  const isOwn = outboundOf(message).author.key_id === caller.key_id;
  return POLICY.read[box.settings().oversight_mode] === "hold" && !isOwn && !mayOversee(caller);
}

/** Takes back what was not yet handed to the transport. */
export function cancel(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  reason: string | null,
): Outcome<EmailSummary> {
  if (message.direction === "inbound") return wrongState(message, "Only mail on its way out can be cancelled.");
  if (isStanding(message) && !mayOversee(caller)) {
    return refused("agent_not_allowed", "A person has this mail passed on; no agent takes it back.");
  }
  if (isUnreadable(box, caller, message)) {
    return refused("agent_not_allowed", "In this mailbox an agent takes back what it submitted itself.", {
      hint: "The key that submitted the message can cancel it, and so can a key with oversight.",
    });
  }
  return box.commit(() => {
    const waited = isPending(message);
    if (!box.advance(message, "cancel"))
      return wrongState(message, `A message that is ${message.status} cannot be cancelled any more.`);
    message.record.end_reason = reason;
    message.record.cancelled = { by: caller.key_id, at: box.time() };
    if (waited) endWaiting(box, message);
    box.unschedule("deliver", message.id);
    box.unschedule("due", message.id);
    settle(box, message);
    box.messages.save(message);
    box.record({
      message,
      apartOf: message.id,
      actor: actorOf(caller),
      action: "message.cancelled",
      detail: { status: message.status },
      personal: { reason },
    });
    if (message.status === "cancelled") box.emit("message.cancelled", message);
    return accepted(emailSummary(message, box.settings()));
  });
}
