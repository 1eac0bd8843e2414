import type { Actor } from "../../src/audit/entry.ts";
import type { MailboxBase } from "./base.ts";
import { type Message, outboundOf } from "./messages.ts";
import { holdUntil, watchPending } from "./pending.ts";

/**
 * Holds a queued message again if mode and rules no longer let it go; its approval is void then. Inside `commit`.
 * @returns whether it is held now; it is saved then.
 */
export function takeBackIfTightened(box: MailboxBase, message: Message, actor: Actor): boolean {
  if (message.status !== "queued" || !box.advance(message, "tighten")) return false;
  const verdict = box.verdictNow(message);
  message.record.decision = null;
  message.record.mode = verdict.mode;
  message.record.hold = { kind: "send", rule: verdict.rule, expires_at: holdUntil(box.now()), links: 0 };
  box.unschedule("deliver", message.id);
  box.revokeLinksOf(message.id, "the message was taken back, and is decided anew");
  box.messages.save(message);
  box.record({
    message,
    actor,
    action: "message.taken_back",
    detail: { status: message.status, rule: verdict.rule, attempts: outboundOf(message).attempts },
  });
  watchPending(box, message);
  box.emit("message.held", message);
  return true;
}

/** The mailbox was tightened: whatever waits to leave is judged anew. Inside `commit`. */
export function takeBackAll(box: MailboxBase, actor: Actor): void {
  for (const id of box.scheduled("deliver")) {
    const message = box.messages.get(id);
    if (takeBackIfTightened(box, message, actor)) continue;
    const { decision } = message.record;
    // Under way: what the attempt delivers is delivered, but no further attempt may rest on the approval.
    if (message.status === "sending" && decision && box.verdictNow(message).verdict === "deny") {
      decision.void = true;
      box.messages.save(message);
    }
  }
}
