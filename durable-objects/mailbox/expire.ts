import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { getItem } from "./held-item.ts";
import { unwatchPending } from "./pending.ts";

/** Nobody decided in time, or nobody used what was approved: that is `expired`, not `rejected`. */
export function expirePending(box: MailboxBase, timer: Timer): void {
  box.commit(() => {
    const item = getItem(box, timer.ref);
    box.unschedule("expire", item.id);
    if (!item.step("expire")) return;
    unwatchPending(box, item);
    item.settle("expire");
    item.save();
    item.record({
      actor: SYSTEM,
      action: item.message ? "message.expired" : "request.expired",
      detail: { status: item.status() },
    });
    item.emit("expired");
  });
}
