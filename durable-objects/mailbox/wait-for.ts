import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { InboxQuery, Waited } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, mayOversee } from "./base.ts";
import { EXAMINED_ROWS, findMessages } from "./inbox-query.ts";
import type { Message } from "./messages.ts";
import { permit } from "./permits.ts";
import { summaries } from "./reading.ts";
import { MAX_WAITING } from "./waiting-readers.ts";

/** Seconds: one of those who wait has gone by then, most likely. */
const RETRY_AFTER = 10;

/**
 * Answers as soon as there is a message that matches. What is there already is sought among as many of the newest messages
 * as a page examines; after that storage is left alone, and whatever arrives or is released is looked at as it comes.
 */
export async function waitFor(
  box: MailboxBase,
  caller: Caller,
  query: InboxQuery,
  timeoutMs: number,
): Promise<Outcome<Waited>> {
  const since = query.since_id === null ? null : box.visibleMessage(caller, query.since_id);
  if (since && !since.ok) return since;
  const allowed = permit(box, caller, { effect: "read" });
  if (!allowed.ok) return allowed;
  const there = find(box, caller, query, Math.max(since?.value.seq ?? 0, box.messages.newest() - EXAMINED_ROWS + 1));
  if (!there.ok) return there;
  if (there.value.length > 0 || timeoutMs <= 0) return answer(box, caller, query, there.value);
  if (box.readers.isFull) {
    return refused("rate_limited", `At most ${MAX_WAITING} calls wait for mail in a mailbox at a time.`, {
      detail: { retry_after: RETRY_AFTER },
    });
  }
  const came = await box.readers.wait((message) => matches(box, caller, query, message), timeoutMs);
  return answer(box, caller, query, came ? [came] : []);
}

/** Messages that match, the oldest first. @param after only those that were stored later than this `seq`. */
function find(box: MailboxBase, caller: Caller, query: InboxQuery, after: number): Outcome<Message[]> {
  const found = findMessages(box.storage(), query, after, mayOversee(caller));
  return found.ok ? accepted(found.value.messages) : found;
}

/** The same question of one message. One that was held and is released now is new, whatever came meanwhile. */
function matches(box: MailboxBase, caller: Caller, query: InboxQuery, { id, seq }: Message): boolean {
  const found = find(box, caller, { ...query, limit: 1 }, seq - 1);
  return found.ok && found.value[0]?.id === id;
}

function answer(box: MailboxBase, caller: Caller, query: InboxQuery, messages: Message[]): Outcome<Waited> {
  // Asked again: the mode may have been tightened meanwhile, or the same approval used by another call.
  const allowed = permit(box, caller, { effect: "read" });
  if (!allowed.ok) return allowed;
  const { use, detail } = allowed.value;
  const timed_out = messages.length === 0;
  const { limit: _limit, ...asked } = query;
  box.commit(() => {
    use();
    box.record({
      actor: actorOf(caller),
      action: "inbox.waited",
      detail: { results: messages.length, timed_out, ...detail },
      personal: asked,
    });
  });
  return accepted({ emails: summaries(box, messages), timed_out });
}
