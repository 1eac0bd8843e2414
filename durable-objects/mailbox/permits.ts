import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { AskedOperation, Caller } from "../../src/oversight/caller.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import { nextRequestStatus } from "../../src/oversight/request-transitions.ts";
import { actorOf, type MailboxBase, mayOversee } from "./base.ts";
import { APPROVAL_LIFE } from "./decide.ts";
import type { Message } from "./messages.ts";
import { askFor, type HeldRequest, hashOf, requestItem } from "./requests.ts";

/** Reads and annotations: what the mode says of them, and the human's approval that a held one brings. */

/** How many queries of one key may wait, or be approved and not used, at a time. */
export const MAX_OPEN_REQUESTS = 20;

/** More than anyone reads, and sealed it must still fit D1's 2 MB: an entry that does not would hold up all that come after it. */
export const MAX_QUESTION_OCTETS = 1024 * 1024;

/** A template stays approved for good, and an upgrade waits for its code: they are counted apart. */
const QUERIES = ["read", "annotate"] as const;

/** What an agent may do now. */
export interface Permit {
  /** To be called inside the `commit` that records the answer: an approval is used up by it. */
  use(): void;
  /** For that entry's detail. */
  detail: { approval_ref?: string };
}

const FREE: Permit = { use: () => {}, detail: {} };

/** What is asked for, as far as the mode cares. */
export interface Wanted {
  effect: "read" | "annotate" | "send";
  /** Annotations that only mark or tag are allowed under read_only. */
  kind?: "mark" | "remove";
  /** The one message it is about. */
  message?: Message;
}

/** What waits: whatever leaves by it, a look-up asks for something. An exhaustive Record: an effect left out does not compile. */
const KINDS: Readonly<Record<Wanted["effect"], "read" | "annotate">> = {
  read: "read",
  annotate: "annotate",
  send: "read",
};

const EVERYTHING_WAITS = "In this mailbox whatever the agent does waits for a person.";
const HELD_BECAUSE: Readonly<Record<Wanted["effect"], string>> = {
  read: EVERYTHING_WAITS,
  annotate: EVERYTHING_WAITS,
  send: "A look-up tells others the name that the agent chose, so in this mailbox it waits for a person.",
};

/** @returns what the mode says: a permit, the refusal, or `held` with the pending item's id. */
export function permit(box: MailboxBase, caller: Caller, wanted: Wanted): Outcome<Permit> {
  const { oversight_mode, oversight_keys_may_decide } = box.settings();
  const verdict = POLICY[wanted.effect][oversight_mode];
  if (verdict === "allow" || (verdict === "mark_and_tag_only" && wanted.kind === "mark")) return accepted(FREE);
  if (verdict === "allow_with_copy") return accepted(FREE);
  if (verdict !== "hold") {
    const what = wanted.effect === "send" ? "nothing leaves it" : "that change is not an agent's to make";
    return refused("denied_by_mode", `This mailbox is ${oversight_mode}: ${what}.`);
  }
  // Where people let oversight keys decide, these are their instruments; and what a human released may be read freely.
  if (mayOversee(caller) && oversight_keys_may_decide) return accepted(FREE);
  if (wanted.effect === "read" && wanted.message && isReleased(wanted.message)) return accepted(FREE);
  const { asked } = caller;
  if (!asked) {
    return refused(
      "read_needs_approval",
      `This mailbox is ${oversight_mode}: a human must approve what an agent does.`,
    );
  }
  if (Buffer.byteLength(JSON.stringify(asked.input)) > MAX_QUESTION_OCTETS) {
    return refused(
      "too_large",
      "A person must be asked about this, and it is longer than the 1 MiB that they are shown.",
    );
  }
  return asked.approval_ref === null
    ? hold(box, caller, asked, wanted)
    : redeem(box, caller, asked, asked.approval_ref);
}

/**
 * Does what the mode lets a caller do. A refusal tells something, too: an approval that it was got with is used up, and the entry
 * says what was told.
 * @param work records its entry with the permit's detail, in the transaction that uses it up, unless it refuses.
 */
export function permitted<T>(
  box: MailboxBase,
  caller: Caller,
  wanted: Wanted,
  work: (permit: Permit) => Outcome<T>,
): Outcome<T> {
  const given = permit(box, caller, wanted);
  if (!given.ok) return given;
  const { use, detail } = given.value;
  const outcome = work(given.value);
  if (!outcome.ok && detail.approval_ref !== undefined) {
    const { code } = outcome.refusal;
    box.commit(() => {
      use();
      box.record({ actor: actorOf(caller), action: "request.fruitless", detail: { code, ...detail } });
    });
  }
  return outcome;
}

/** Mail that came in while everything was held, and that a human let the agent have. */
export function isReleased({ direction, record }: Message): boolean {
  return direction === "inbound" && record.hold?.kind === "inbound" && record.decision?.decision === "approve";
}

function authorOf({ key_id, created_by, agent_id }: Caller) {
  return { key_id, created_by, agent_id };
}

function hold(box: MailboxBase, caller: Caller, asked: AskedOperation, { effect, message }: Wanted): Outcome<never> {
  const { operation, input: content } = asked;
  const author = authorOf(caller);
  const digest = hashOf({ operation, content, author });
  const same = box.requests.openOf(caller.key_id, QUERIES, digest).find(({ status }) => status === "pending");
  if (same) return heldAnswer(same);
  if (box.requests.countOpen(caller.key_id, QUERIES) >= MAX_OPEN_REQUESTS) {
    return refused(
      "rate_limited",
      `At most ${MAX_OPEN_REQUESTS} queries of a key wait at a time; a human has to decide some first.`,
      {
        detail: { retry_after: 300 },
      },
    );
  }
  const { oversight_mode } = box.settings();
  const item = box.commit(() => {
    const made = askFor(box, {
      kind: KINDS[effect],
      author,
      operation,
      content,
      email_id: message?.id ?? null,
      rule: `mode ${oversight_mode}`,
      because: HELD_BECAUSE[effect],
    });
    made.record({
      actor: actorOf(caller),
      action: "request.held",
      detail: { operation, kind: KINDS[effect], pending_id: made.id, ...(message && { email_id: message.id }) },
      personal: { input: content },
    });
    return made;
  });
  return heldAnswer(item.request as HeldRequest);
}

function heldAnswer({ id, record }: HeldRequest): Outcome<never> {
  return refused("held", "A human must approve this before it is answered.", {
    hint: "Once it is approved, repeat exactly this call with its approval_ref within 15 minutes; get_pending says how it stands.",
    detail: { status: "pending", pending_id: id, expires_at: record.hold.expires_at },
  });
}

/** An approval is for one key, one operation, one input, one use, and 15 minutes. */
function redeem(box: MailboxBase, caller: Caller, { operation, input }: AskedOperation, ref: string): Outcome<Permit> {
  const digest = hashOf({ operation, content: input, author: authorOf(caller) });
  const request = box.requests
    .openOf(caller.key_id, QUERIES, digest)
    .find(({ status, record }) => status === "approved" && record.decision?.approval_ref === ref);
  const fresh = request && Date.parse(request.record.decision?.at ?? "") + APPROVAL_LIFE > box.now();
  if (!request || !fresh || request.record.operation !== operation) {
    box.commit(() =>
      box.record({
        actor: actorOf(caller),
        action: "request.refused",
        detail: { operation },
        personal: { input, approval_ref: ref },
      }),
    );
    return refused(
      "invalid_approval_ref",
      "This approval is not valid for exactly this call by this key, or it is used up.",
      {
        hint: "Repeat the call without approval_ref to ask again. An approval works once, within 15 minutes, for the same operation and input.",
      },
    );
  }
  return accepted({
    use: () => consume(box, caller, request.id),
    detail: { approval_ref: ref },
  });
}

function consume(box: MailboxBase, caller: Caller, id: string): void {
  const request = box.requests.find(id);
  const to = request && nextRequestStatus(request.status, "consume");
  if (!request || to === null) throw new Error(`the approval of ${id} was used in the same moment`);
  request.status = to as HeldRequest["status"];
  box.requests.save(request);
  box.unschedule("expire", id);
  requestItem(box, request).record({
    actor: actorOf(caller),
    action: "request.consumed",
    detail: { operation: request.record.operation },
  });
}
