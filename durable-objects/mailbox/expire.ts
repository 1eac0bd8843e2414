import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { stopTrying } from "./delivery.ts";
import { unwatchPending } from "./pending.ts";

/** Nobody decided in time: that is `expired`, not `rejected`. */
export function expirePending(box: MailboxBase, timer: Timer): void {
  box.commit(() => {
    const message = box.messages.get(timer.ref);
    box.unschedule("expire", message.id);
    if (message.direction !== "outbound" || !box.advance(message, "expire")) return;
    unwatchPending(box, message);
    if (message.status === "sent") stopTrying(box, message);
    box.messages.save(message);
    box.record({ message, actor: SYSTEM, action: "message.expired", detail: { status: message.status } });
    box.emit("message.expired", message);
  });
}
