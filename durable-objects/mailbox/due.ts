import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { lookUpWhenDue } from "./intelligence.ts";
import { outboundOf } from "./messages.ts";
import { isPending, newHold } from "./pending.ts";
import { settle } from "./steps.ts";

/** Serves a `due` timer: a scheduled message's time has come. It is judged anew, by the rules of the moment and by what the DNS says now. */
export async function sendDue(box: MailboxBase, timer: Timer): Promise<void> {
  // A crash before the commit below leaves the timer, and it is due.
  const keepLookedUp = await lookUpWhenDue(box, box.messages.get(timer.ref));
  box.commit(() => {
    box.unschedule("due", timer.ref);
    const message = box.messages.get(timer.ref);
    if (message.status !== "scheduled") return;
    keepLookedUp(message);
    const verdict = box.verdictAtDue(message);
    if (!box.advance(message, "due", verdict)) throw new Error(`${message.id} is scheduled and cannot become due`);
    const { rule, because, reasons } = verdict;
    outboundOf(message).verdict = verdict;
    message.record.mode = verdict.mode;
    const held = isPending(message);
    if (held) {
      message.record.decision = null;
      message.record.hold = newHold(box, "send", { rule, because, reasons });
    }
    box.record({
      message,
      actor: SYSTEM,
      action: held ? "message.held" : "message.queued",
      detail: { status: message.status, rule },
      personal: { because },
    });
    settle(box, message);
    box.messages.save(message);
  });
}
