import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import type { Decision } from "../../src/operations/shapes/pending.ts";
import { isNewVoice, KEY_SEAT } from "../../src/oversight/approvals.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { type Author, whyNotDecider } from "../../src/oversight/separation.ts";
import type { DecisionRequest } from "../mailbox-rpc.ts";
import { actorOf, isWithheld, type MailboxBase, mayOversee, notFound } from "./base.ts";
import { findItem, type HeldItem } from "./held-item.ts";
import type { MessageRecord, RecordedDecision } from "./message-record.ts";
import { quorumOf, unwatchPending } from "./pending.ts";

/** How long an approved query may be used. */
export const APPROVAL_LIFE = 15 * 60_000;

/** Decides with an `oversight` key. One decision wins; everyone else learns which. */
export function decideByKey(box: MailboxBase, caller: Caller, request: DecisionRequest): Outcome<Decision> {
  const item = findItem(box, request.email_id);
  if (!item) return neverHeld(box, caller, request.email_id);
  if (!box.settings().oversight_keys_may_decide) {
    return refused(
      "oversight_keys_disabled",
      "In this mailbox only people decide, through the link they were mailed.",
      {
        hint: "The operator can switch on decisions by oversight keys with update_mailbox.",
      },
    );
  }
  if (item.kind === "upgrade" && request.decision === "approve") {
    return refused("not_a_decider", "Only the operator's code gives a mailbox more rope.", {
      hint: "The operator was mailed a code; apply_upgrade takes it.",
    });
  }
  const objection = authorsOf(item)
    .map((author) => whyNotDecider(caller, author))
    .find((why) => why !== null);
  if (objection) {
    return refused("self_decision", `Another must decide: ${objection}.`, {
      hint: "Use an oversight key that was made apart from the sending key and is not bound to the same agent.",
    });
  }
  if (!item.isOpen()) return notPending(box, item);
  const stale = whyNotThisRevision(box, caller, item, request.content_hash);
  if (stale) return stale;
  const taken = decide(box, item, actorOf(caller), {
    decision: request.decision,
    kind: "key",
    by: caller.key_id,
    seat: KEY_SEAT,
    reason: request.reason,
    content_hash: item.contentHash(),
  });
  return taken.ok ? accepted(decisionAnswer(box, item, taken.value)) : taken;
}

/** Who submitted it, and whoever wrote at the draft that it was. */
function authorsOf({ author, message }: HeldItem): Author[] {
  return [...(author ? [author] : []), ...(message?.record.outbound?.writers ?? [])];
}

function neverHeld(box: MailboxBase, caller: Caller, id: string): Outcome<never> {
  const message = box.visibleMessage(caller, id);
  if (!message.ok || (isWithheld(message.value) && !mayOversee(caller))) return notFound();
  return endedAs(message.value);
}

/** A decision is on the content it names, or on the revision that this key was last served; on nothing that nobody looked at. */
function whyNotThisRevision(
  box: MailboxBase,
  { key_id }: Caller,
  item: HeldItem,
  named: string | null,
): Outcome<never> | null {
  const seen = named ?? box.waiting.servedTo(item.id, key_id);
  if (seen === null) {
    return refused(
      "content_not_seen",
      "This key has not read the item, so it cannot decide on it without a content_hash.",
      {
        hint: "Read it with get_pending first, or send the content_hash that you decide on.",
      },
    );
  }
  if (seen === item.contentHash()) return null;
  return refused("content_changed", "The content is another by now than the one that was looked at.", {
    hint: "Read the pending item again and decide on what it says now.",
  });
}

const PAST: Partial<Record<string, string>> = { sending: "being sent" };

/** How something that waits no more, or never did, ended without a decision, and whose doing that was. */
function endedAs({ status, record }: { status: string; record?: Pick<MessageRecord, "cancelled"> }): Outcome<never> {
  const { cancelled } = record ?? {};
  if (status === "cancelled" && cancelled) {
    return refused("wrong_state", `Nothing waits here: it was cancelled by ${cancelled.by} at ${cancelled.at}.`, {
      detail: { status, cancelled_by: cancelled.by, cancelled_at: cancelled.at },
    });
  }
  return refused("wrong_state", `Nothing waits here: it is ${PAST[status] ?? status}.`, { detail: { status } });
}

/** 409 with the winner, or with how it ended without a decision. */
function notPending(_box: MailboxBase, item: HeldItem): Outcome<never> {
  const { decision } = item;
  const status = item.status();
  if (!decision) return endedAs(item.message ?? { status });
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

/** A voice that was taken: the last one needed, or one of several. */
export interface Taken {
  recorded: RecordedDecision;
  isFinal: boolean;
}

/**
 * Records one voice and, with the last one that is needed, takes the step, in one transaction. One rejection is enough. The
 * caller has established that the item is open and that this decider may decide it.
 * @returns a refusal, with nothing changed, if the content is not what was looked at, if this person or seat has approved
 *   already, or if approving is not possible any more (a stricter mode or rule).
 */
export function decide(box: MailboxBase, item: HeldItem, actor: Actor, voice: NewDecision): Outcome<Taken> {
  if (item.contentHash() !== voice.content_hash || (voice.decision === "approve" && !item.isUnchanged())) {
    return refused("content_changed", "The content is another by now than the one that was looked at.");
  }
  const { hold } = item;
  // Its timer may be late.
  if (hold.expires_at !== null && Date.parse(hold.expires_at) <= box.now()) {
    return refused("wrong_state", "Nobody decided in time: this has expired.", { detail: { status: "expired" } });
  }
  const spoken = hold.approvals.map(({ seat, by, kind }) => ({ seat, person: kind === "key" ? KEY_SEAT : by }));
  const own = { seat: voice.seat, person: voice.kind === "key" ? KEY_SEAT : voice.by };
  if (voice.decision === "approve" && !isNewVoice(own, spoken)) {
    return refused("already_decided", "This approval counts already; another person must approve too.", {
      detail: { status: item.status(), quorum: quorumView(box, item) },
    });
  }
  return box.commit(() => {
    const recorded: RecordedDecision = { ...voice, approval_ref: newId("apr", box.now()), at: box.time() };
    if (voice.decision === "approve") hold.approvals.push(recorded);
    if (voice.decision === "approve" && hold.approvals.length < quorumOf(box, hold)) {
      return accepted(countVoice(box, item, actor, recorded));
    }
    item.decision = recorded;
    if (!item.step(voice.decision)) {
      item.decision = null;
      if (voice.decision === "approve") hold.approvals.pop();
      return refused("wrong_state", "The mailbox's mode and rules no longer let this be approved.", {
        detail: { status: item.status() },
      });
    }
    return accepted(finish(box, item, actor, recorded));
  });
}

function countVoice(box: MailboxBase, item: HeldItem, actor: Actor, recorded: RecordedDecision): Taken {
  item.save();
  recordVoice(box, item, actor, recorded, "counted");
  return { recorded, isFinal: false };
}

function finish(box: MailboxBase, item: HeldItem, actor: Actor, recorded: RecordedDecision): Taken {
  unwatchPending(box, item);
  item.settle(recorded.decision);
  if (item.request && recorded.decision === "approve" && item.status() === "approved" && item.kind !== "template") {
    box.schedule("expire", item.id, box.now() + APPROVAL_LIFE);
  }
  item.save();
  const verb = recorded.decision === "approve" ? "approved" : "rejected";
  recordVoice(box, item, actor, recorded, verb);
  item.emit(verb, { approval_ref: recorded.approval_ref });
  return { recorded, isFinal: true };
}

function recordVoice(
  box: MailboxBase,
  item: HeldItem,
  actor: Actor,
  recorded: RecordedDecision,
  what: "counted" | "approved" | "rejected",
): void {
  const { hold } = item;
  item.record({
    actor,
    action: `decision.${what}`,
    detail: {
      rule: hold.rule,
      status: item.status(),
      kind: item.kind,
      approval_ref: recorded.approval_ref,
      approval_kind: recorded.kind,
      approvals: hold.approvals.length,
      quorum: quorumOf(box, hold),
      ...(recorded.edited && { edited: true }),
    },
    personal: decidedBy(recorded),
  });
}

function decidedBy({ by, seat, reason, content_hash }: RecordedDecision) {
  return { decided_by: by, ...(seat !== by && { on_behalf_of: seat }), reason, content_hash };
}

/** How far the approvals have come, for people and programs. */
export function quorumView(
  box: MailboxBase,
  { hold }: Pick<HeldItem, "hold">,
): { needed: number; approved: number; approvals: { by: string; at: string }[] } {
  return {
    needed: quorumOf(box, hold),
    approved: hold.approvals.length,
    approvals: hold.approvals.map(({ by, at }) => ({ by, at })),
  };
}

function decisionAnswer(box: MailboxBase, item: HeldItem, { recorded, isFinal }: Taken): Decision {
  const status = recorded.decision === "approve" ? "approved" : "rejected";
  return {
    status: isFinal ? status : "pending",
    id: item.id,
    approval_ref: recorded.approval_ref,
    decided_by: recorded.by,
    decided_at: recorded.at,
    quorum: quorumView(box, item),
  };
}
