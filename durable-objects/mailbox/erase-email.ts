import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { asEmailId } from "../../src/ids.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { EraseAnswer } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";
import { eraseMessage, isUnderWay } from "./erase.ts";
import { eraseOutside, isErasing } from "./erase-store.ts";
import type { Message } from "./messages.ts";

/** Erasing one message, and those that pass it on, because a person allowed exactly that. */

/**
 * Answers MailboxRpc's `erase`.
 * @param approvedWords what the operator allowed, in the very words they read.
 */
export async function eraseEmail(
  box: MailboxBase,
  caller: Caller,
  id: string,
  approvedWords: string | null,
): Promise<Outcome<EraseAnswer>> {
  const emailId = asEmailId(id);
  const message = emailId === null ? null : box.messages.find(emailId);
  if (!message) return notFound();
  if (message.erased_at !== null) {
    box.commit(() => box.record({ message, actor: actorOf(caller), action: "email.erasure_read" }));
    return accepted(await answer(box, message.id));
  }
  const held = await whyHeld(box);
  if (held) return { ok: false, refusal: held };
  const done = box.commit((): Outcome<EraseAnswer | null> => {
    // Another call may have erased it while the account was asked.
    const now = box.messages.get(message.id);
    if (now.erased_at !== null) return accepted(null);
    const all = [now, ...forwardsOf(box, now)];
    const open = all.filter(isUnderWay);
    if (open.length > 0) return stillUnderWay(open);
    const change = wordsFor(box, now, all.length - 1);
    if (change !== approvedWords) return accepted({ needs_approval: { change } });
    for (const each of all) eraseMessage(box, each, { actor: actorOf(caller), erasure_id: null });
    return accepted(null);
  });
  if (!done.ok) return done;
  return accepted(done.value ?? (await answer(box, message.id)));
}

/** Committed. What R2 or D1 did not do at once is left to the timer. */
async function answer(box: MailboxBase, id: string): Promise<EraseAnswer> {
  await eraseOutside(box).catch((error) => console.error(`what lies outside of ${id} will be erased later`, error));
  const { erased_at } = box.messages.get(id);
  return { erasure: { email_id: id, erased_at: erased_at ?? box.time(), is_done: !isErasing(box) } };
}

/** Those that pass a message on, and those that pass on these: each has its content in it. */
export function forwardsOf(box: MailboxBase, { id }: Message): Message[] {
  const found = new Map<string, Message>();
  const open = [id];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const message of box.messages.forwardsOf(next)) {
      if (found.has(message.id) || message.erased_at !== null) continue;
      found.set(message.id, message);
      open.push(message.id);
    }
  }
  return [...found.values()];
}

/** @returns the refusal of whatever removes something while the mailbox or its account is under a legal hold; null: it is not. */
export async function whyHeld(box: MailboxBase): Promise<Refusal | null> {
  if (box.settings().legal_hold) return heldRefusal("This mailbox");
  const tenant = box.environment().TENANT.getByName(box.identity().tenant_id);
  if ((await tenant.keepingTerms()).legal_hold) return heldRefusal("This account");
  // It may have been set while the account was asked.
  return box.settings().legal_hold ? heldRefusal("This mailbox") : null;
}

function heldRefusal(what: string): Refusal {
  return {
    code: "legal_hold",
    error: `${what} is under a legal hold: nothing is erased.`,
    hint: "Only the operator can lift it, with update_mailbox or update_account.",
  };
}

function stillUnderWay(open: readonly Message[]): Outcome<never> {
  const [{ id, status }] = open as [Message];
  return refused("wrong_state", `The message ${id} is ${status}: it has to be decided on, sent or cancelled first.`, {
    hint: "decide_email or cancel_message ends it; what is being sent ends by itself.",
    detail: { status, under_way: open.map((message) => message.id) },
  });
}

/** What the operator reads: which message it is, and nothing that would outlive it. */
function wordsFor(box: MailboxBase, { id, direction, status, created_at, record }: Message, forwards: number): string {
  const came = direction === "inbound" ? "that arrived" : "that was written";
  const files = record.attachments.length;
  const withFiles = files === 0 ? "" : ` with ${files} attachment${files === 1 ? "" : "s"}`;
  const passedOn = forwards === 0 ? "" : `, and ${forwards} message${forwards === 1 ? "" : "s"} that pass it on`;
  return (
    `The message ${id} of the mailbox ${box.settings().address}, ${came} on ${created_at.slice(0, 10)}${withFiles} ` +
    `and is ${status}, is erased for good${passedOn}. That it was there, and what was done with it when, stays on record.`
  );
}
