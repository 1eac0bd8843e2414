import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { nextRequestStatus } from "../../src/oversight/request-transitions.ts";
import { whatSettingsLoosen } from "../../src/oversight/settings-loosening.ts";
import type { MailboxChange, UpgradeRequest } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";
import { trackRecord } from "./counts.ts";
import { unwatchPending } from "./pending.ts";
import { askFor, type HeldRequest, hashOf, requestItem } from "./requests.ts";
import { update } from "./settings.ts";
import { noteUnchanged } from "./unchanged.ts";

/** An agent asks for more rope. Only the operator's code gives it; people see the request among what waits, and can reject it. */

const MAX_OPEN = 5;
const CODE_LIFE = 24 * 3600_000;

interface UpgradeContent extends Record<string, unknown> {
  change: MailboxChange;
  words: string;
  reason: string | null;
}

/** Records what is asked for. The same request asked again is the same item. */
export function requestUpgrade(
  box: MailboxBase,
  caller: Caller,
  { change, reason }: { change: MailboxChange; reason: string | null },
): Outcome<UpgradeRequest> {
  const words = whatSettingsLoosen(change, box.settings());
  if (words === null) {
    return refused("invalid_input", "This gives the mailbox no more rope than it has.", {
      hint: "What tightens needs no code: update_mailbox does it at once.",
    });
  }
  const content: UpgradeContent = { change, words, reason };
  const { key_id, created_by, agent_id } = caller;
  const author = { key_id, created_by, agent_id };
  const digest = hashOf({ operation: "request_upgrade", content, author });
  const same = box.requests.openOf(key_id, ["upgrade"], digest).find(({ status }) => status === "pending");
  const answer = (id: string) => accepted({ pending_id: id, change: words, record: trackRecord(box) });
  if (same) {
    noteUnchanged(box, caller, "upgrade.requested");
    return answer(same.id);
  }
  if (box.requests.countOpen(key_id, ["upgrade"]) >= MAX_OPEN) {
    return refused("rate_limited", `At most ${MAX_OPEN} upgrade requests of a key wait at a time.`, {
      detail: { retry_after: 3600 },
    });
  }
  return box.commit(() => {
    const item = askFor(box, {
      kind: "upgrade",
      author,
      operation: "request_upgrade",
      content,
      email_id: null,
      rule: "upgrade",
      because: "The agent asks for more rope; only the operator's code gives it.",
    });
    // No longer than the code lives.
    item.hold.expires_at = new Date(box.now() + CODE_LIFE).toISOString();
    box.schedule("expire", item.id, box.now() + CODE_LIFE);
    item.save();
    item.record({
      actor: actorOf(caller),
      action: "upgrade.requested",
      detail: { pending_id: item.id },
      personal: { change: words, reason },
    });
    return answer(item.id);
  });
}

/** Makes the change, if it still gives away exactly what the operator read. The code has been redeemed. */
export function applyUpgrade(box: MailboxBase, caller: Caller, id: string, approvedWords: string): Outcome<Mailbox> {
  const request = box.requests.find(id);
  if (request?.kind !== "upgrade" || request.key_id !== caller.key_id) return notFound();
  const { change, words } = request.record.content as UpgradeContent;
  if (request.status !== "pending") {
    return refused("wrong_state", `This request is ${request.status}.`, { detail: { status: request.status } });
  }
  if (canonical(words) !== canonical(approvedWords)) return changedMeanwhile();
  return box.commit(() => {
    const made = update(box, caller, change, approvedWords);
    if (!made.ok) return made;
    if (!("mailbox" in made.value)) return changedMeanwhile();
    close(box, caller, request);
    return accepted(made.value.mailbox);
  });
}

function changedMeanwhile(): Outcome<never> {
  return refused("wrong_state", "The mailbox was changed meanwhile, so this would give away something else.", {
    hint: "Ask again with request_upgrade.",
  });
}

function close(box: MailboxBase, caller: Caller, request: HeldRequest): void {
  const item = requestItem(box, request);
  const used = item.step("approve") && nextRequestStatus(request.status, "consume");
  if (!used) throw new Error(`the request ${request.id} is ${request.status} and cannot be granted`);
  request.status = used;
  unwatchPending(box, item);
  item.save();
  item.record({
    actor: actorOf(caller),
    action: "upgrade.applied",
    detail: { pending_id: request.id, operator_approved: true },
  });
  item.emit("approved");
}
