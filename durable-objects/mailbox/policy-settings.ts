import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import type { AllowlistEntry } from "../../src/operations/shapes/recipient-lists.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { whatPolicyLoosens } from "../../src/oversight/policy-loosening.ts";
import { OPEN_POLICY, type Policy } from "../../src/oversight/rules/policy-type.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";
import { takeBackAll } from "./take-back.ts";
import { noteUnchanged } from "./unchanged.ts";

/** Rules and the allowlist. What loosens is done only in the words that the operator allowed; what tightens takes effect at once. */

export const MAX_ALLOWLIST = 1_000;

type NeedsApproval = { needs_approval: { change: string } };

/** Replaces the policy. */
export function setPolicy(
  box: MailboxBase,
  caller: Caller,
  policy: Policy,
  approvedWords: string | null,
): { policy: Policy } | NeedsApproval {
  const now = box.rules();
  const loosens = whatPolicyLoosens(policy, now);
  const words = loosens.length
    ? `For the rules of the mailbox ${box.settings().address}: ${loosens.join("; ")}.`
    : null;
  if (words !== null && words !== approvedWords) return { needs_approval: { change: words } };
  const changed = (Object.keys(OPEN_POLICY) as (keyof Policy)[]).filter(
    (key) => canonical(policy[key]) !== canonical(now[key]),
  );
  if (changed.length === 0) {
    noteUnchanged(box, caller, "policy.changed");
    return { policy: now };
  }
  return box.commit(() => {
    box.savePolicy(policy);
    box.saveSettings({ ...box.settings(), risk_threshold: policy.risk_block });
    box.record({
      actor: actorOf(caller),
      action: "policy.changed",
      detail: { changed, operator_approved: words !== null },
      personal: { policy: Object.fromEntries(changed.map((key) => [key, policy[key]])) },
    });
    box.schedule("project", box.settings().id, box.now());
    takeBackAll(box, actorOf(caller));
    return { policy };
  });
}

/** @param entry its recipient in the normal form of `parseRecipientPattern`. */
export function allow(
  box: MailboxBase,
  caller: Caller,
  entry: { recipient: string; note: string | null },
  approvedWords: string | null,
): Outcome<{ entry: AllowlistEntry } | NeedsApproval> {
  const known = box.allowedRecipients().find(({ recipient }) => recipient === entry.recipient);
  if (known) {
    noteUnchanged(box, caller, "allowlist.added");
    return accepted({ entry: known });
  }
  if (box.allowedRecipients().length >= MAX_ALLOWLIST) {
    return refused("wrong_state", `An allowlist has at most ${MAX_ALLOWLIST} entries.`, {
      hint: "Remove an entry, or name a domain in place of its addresses.",
    });
  }
  const words = `For the mailbox ${box.settings().address}: mail to ${entry.recipient} leaves without being asked for, where only its mode would hold it.`;
  if (words !== approvedWords) return accepted({ needs_approval: { change: words } });
  return accepted(
    box.commit(() => {
      const added: AllowlistEntry = {
        id: newId("alw", box.now(), box.routing()),
        ...entry,
        approval_ref: newId("apr", box.now()),
        created_at: box.time(),
      };
      box.addToAllowlist(added);
      box.record({
        actor: actorOf(caller),
        action: "allowlist.added",
        detail: { entry_id: added.id, approval_ref: added.approval_ref, operator_approved: true },
        personal: { recipient: added.recipient, note: added.note },
      });
      return { entry: added };
    }),
  );
}

/** Takes an entry away, and what was to leave because of it back. */
export function disallow(box: MailboxBase, caller: Caller, entryId: string): Outcome<AllowlistEntry> {
  const entry = box.allowedRecipients().find(({ id }) => id === entryId);
  if (!entry) return notFound();
  return accepted(
    box.commit(() => {
      box.removeFromAllowlist(entryId);
      box.record({
        actor: actorOf(caller),
        action: "allowlist.removed",
        detail: { entry_id: entryId },
        personal: { recipient: entry.recipient },
      });
      takeBackAll(box, actorOf(caller));
      return entry;
    }),
  );
}

/** One page of the allowlist, in the order of ids. */
export function listAllowlist(
  box: MailboxBase,
  page: { limit: number; cursor: string | null },
): { entries: AllowlistEntry[]; cursor: string | null } {
  const rest = box.allowedRecipients().filter(({ id }) => page.cursor === null || id > page.cursor);
  const entries = rest.slice(0, page.limit);
  return { entries, cursor: rest.length > page.limit ? (entries.at(-1)?.id ?? null) : null };
}
