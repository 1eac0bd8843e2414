import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import type { Decision } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { whyNotDecider } from "../../src/oversight/separation.ts";
import type { InboundStatus } from "../../src/oversight/statuses.ts";
import { nextInboundStatus } from "../../src/oversight/transitions.ts";
import type { DecisionRequest, LinkOutcome } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, wrongState } from "./base.ts";
import { stopTrying } from "./delivery.ts";
import { contentOf, type Message, type RecordedDecision } from "./messages.ts";
import { isPending, unwatchPending } from "./pending.ts";
import { contentHashOf } from "./views.ts";

/** Decides with an `oversight` key. One decision wins; everyone else learns which. */
export function decideByKey(box: MailboxBase, caller: Caller, request: DecisionRequest): Outcome<Decision> {
  const found = box.visibleMessage(caller, request.email_id);
  if (!found.ok) return found;
  const message = found.value;
  if (!box.settings().oversight_keys_may_decide) {
    return refused(
      "oversight_keys_disabled",
      "In this mailbox only people decide, through the link they were mailed.",
      {
        hint: "The operator can switch on decisions by oversight keys with update_mailbox.",
      },
    );
  }
  const objection = message.record.outbound && whyNotDecider(caller, message.record.outbound.author);
  if (objection) {
    return refused("self_decision", `Another must decide: ${objection}.`, {
      hint: "Use an oversight key that was made apart from the sending key and is not bound to the same agent.",
    });
  }
  if (!isPending(message)) return notPending(message);
  const hash = contentHashOf(message);
  if (request.content_hash !== null && request.content_hash !== hash) {
    return refused("content_changed", "The content is another by now than the one that was looked at.", {
      hint: "Read the pending item again and decide on what it says now.",
    });
  }
  const decided = decide(box, message, actorOf(caller), {
    decision: request.decision,
    kind: "key",
    by: caller.key_id,
    reason: request.reason,
    content_hash: hash,
  });
  return decided
    ? accepted(decisionAnswer(decided))
    : wrongState(message, "The mailbox's mode no longer lets this message leave.");
}

/** 409 with the winner, or with how it ended without a decision. */
function notPending({ status, record: { decision } }: Message): Outcome<never> {
  const past = { queued: "queued", sending: "being sent", sent: "sent" } as Partial<Record<string, string>>;
  if (!decision)
    return refused("wrong_state", `Nothing waits here: the message is ${past[status] ?? status}.`, {
      detail: { status },
    });
  const verb = decision.decision === "approve" ? "approved" : "rejected";
  return refused("already_decided", `This was ${verb} by ${decision.by} at ${decision.at}.`, {
    detail: {
      status,
      decision: verb,
      decided_by: decision.by,
      decided_at: decision.at,
      approval_ref: decision.approval_ref,
    },
  });
}

type NewDecision = Omit<RecordedDecision, "approval_ref" | "at">;

/**
 * Records a decision and takes its step, in one transaction. The caller has established that the item is pending, that this
 * decider may decide it, and that `content_hash` is what was looked at.
 * @returns null, with nothing changed, if approving is not possible any more (a stricter mode, content that is not what was hashed).
 */
export function decide(box: MailboxBase, message: Message, actor: Actor, decision: NewDecision): Message | null {
  return box.commit(() => {
    const { record } = message;
    if (contentHashOf(message) !== decision.content_hash) return null;
    record.decision = { ...decision, approval_ref: newId("apr", box.now()), at: box.time() };
    if (!takeStep(box, message, decision.decision)) {
      record.decision = null;
      return null;
    }
    unwatchPending(box, message);
    if (message.status === "sent") stopTrying(box, message);
    if (message.status === "queued") box.schedule("deliver", message.id, box.now());
    box.messages.save(message);
    const verb = decision.decision === "approve" ? "approved" : "rejected";
    box.record({
      message,
      actor,
      action: `decision.${verb}`,
      detail: { status: message.status, approval_ref: record.decision.approval_ref, approval_kind: decision.kind },
      personal: { decided_by: decision.by, reason: decision.reason, content_hash: decision.content_hash },
    });
    box.emit(`message.${verb}`, message, { approval_ref: record.decision.approval_ref });
    return message;
  });
}

function takeStep(box: MailboxBase, message: Message, event: "approve" | "reject"): boolean {
  if (message.direction === "outbound") {
    // What is approved is what is stored, not what was once hashed.
    const stored = contentHash(contentOf(message, box.messages.bodies(message.seq)));
    if (event === "approve" && stored !== contentHashOf(message)) return false;
    return box.advance(message, event);
  }
  const to = nextInboundStatus(message.status as InboundStatus, event);
  if (to !== null) message.status = to;
  return to !== null;
}

function decisionAnswer({ id, record: { decision } }: Message): Decision {
  if (!decision) throw new Error(`${id} has no decision`);
  return {
    status: decision.decision === "approve" ? "approved" : "rejected",
    id,
    approval_ref: decision.approval_ref,
    decided_by: decision.by,
    decided_at: decision.at,
  };
}

const ENDED: Partial<Record<string, LinkOutcome["decision"]>> = { cancelled: "cancelled", expired: "expired" };

/** How an item that waits no more ended, for whoever opens a link to it. */
export function linkOutcome({ status, record }: Message, justNow: boolean): LinkOutcome {
  const { decision, end_reason } = record;
  const decided = decision && (decision.decision === "approve" ? "approved" : "rejected");
  return {
    status,
    decision: decided ?? ENDED[status] ?? "superseded",
    decided_by: decision?.by ?? null,
    decided_at: decision?.at ?? null,
    reason: decision?.reason ?? end_reason,
    approval_ref: decision?.approval_ref ?? null,
    test: record.outbound?.test ?? false,
    just_now: justNow,
  };
}
