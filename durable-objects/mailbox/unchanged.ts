import type { Action } from "../../src/audit/actions.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import type { Message } from "./messages.ts";

/**
 * Records a call that asked for what stood so already: it was made, and it was answered.
 * @param would_be the action of the entry that it would have left.
 */
export function noteUnchanged(box: MailboxBase, caller: Caller, would_be: Action, message?: Message): void {
  const about = message ? { message } : {};
  box.commit(() => box.record({ ...about, actor: actorOf(caller), action: "nothing.changed", detail: { would_be } }));
}
