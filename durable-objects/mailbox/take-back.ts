import type { Actor } from "../../src/audit/entry.ts";
import type { Verdict } from "../../src/oversight/policy.ts";
import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { type Message, outboundOf } from "./messages.ts";
import { newHold } from "./pending.ts";
import { settle } from "./steps.ts";

/**
 * Holds again what was to leave, if mode and rules no longer let it go; its approval is void then. Inside `commit`.
 * @returns whether it is held now; it is saved then.
 */
export function takeBackIfTightened(box: MailboxBase, message: Message, actor: Actor): boolean {
  if (message.status !== "queued" && message.status !== "scheduled") return false;
  const verdict = box.verdictNow(message);
  // What waits to be decided once its time has come (schedule_first) was never let go, and is judged then.
  if (isDecidedLater(message, verdict)) return false;
  if (!box.advance(message, "tighten", verdict)) return false;
  const { rule, because, reasons } = verdict;
  message.record.decision = null;
  message.record.mode = verdict.mode;
  message.record.hold = newHold(box, "send", { rule, because, reasons });
  outboundOf(message).verdict = verdict;
  box.unschedule("deliver", message.id);
  box.links.revokeOf(message.id, "the message was taken back, and is decided anew");
  box.record({
    message,
    actor,
    action: "message.taken_back",
    detail: { status: message.status, rule, attempts: outboundOf(message).attempts },
    personal: { because },
  });
  settle(box, message);
  box.messages.save(message);
  return true;
}

function isDecidedLater(message: Message, now: Verdict): boolean {
  const { gate_timing, verdict } = outboundOf(message);
  const undecided = message.record.decision === null && verdict.approval === null;
  return (
    message.status === "scheduled" &&
    gate_timing === "schedule_first" &&
    undecided &&
    verdict.verdict === "hold" &&
    now.verdict === "hold"
  );
}

/** Under way: what the attempt delivers is delivered, but no further attempt may rest on the approval. */
function voidIfTightened(box: MailboxBase, message: Message): void {
  const { decision } = message.record;
  if (message.status !== "sending" || !decision) return;
  if (box.facts(message).approved && box.verdictNow(message).verdict !== "deny") return;
  decision.void = true;
  box.messages.save(message);
}

/**
 * Characters of bodies that are judged in the transaction that tightens. Whoever schedules a thousand long messages must not make
 * it too long for the platform, and so impossible.
 */
const JUDGED_AT_ONCE = 1024 * 1024;
/** What judging costs, however short a message is. */
const LEAST_COST = 16 * 1024;

/**
 * The mailbox was tightened: whatever waits to leave is judged anew. Of very much the rest follows in `take_back` timers, and none of
 * it leaves before: it is judged again before each attempt, and when its time comes. Inside `commit`.
 */
export function takeBackAll(box: MailboxBase, actor: Actor): void {
  let left = JUDGED_AT_ONCE;
  for (const id of [...box.scheduled("deliver"), ...box.scheduled("due")]) {
    const message = box.messages.get(id);
    voidIfTightened(box, message);
    if (message.status !== "queued" && message.status !== "scheduled") continue;
    if (left > 0) takeBackIfTightened(box, message, actor);
    else box.schedule("take_back", id, box.now());
    left -= Math.max(LEAST_COST, box.messages.bodyCharacters(message.seq));
  }
}

/** Serves a `take_back` timer. */
export function takeBackLater(box: MailboxBase, timer: Timer): void {
  box.commit(() => {
    box.unschedule("take_back", timer.ref);
    takeBackIfTightened(box, box.messages.get(timer.ref), SYSTEM);
  });
}
