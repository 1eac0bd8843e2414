import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";
import { isLooser } from "../../src/oversight/modes.ts";
import { withPeople } from "../../src/oversight/overseers.ts";
import { contradictions, whatSettingsLoosen } from "../../src/oversight/settings-loosening.ts";
import type { MailboxChange, UpdateAnswer } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { scheduleRetention } from "./content-retention.ts";
import { replaceLinks } from "./links.ts";
import { takeBackAll } from "./take-back.ts";
import { noteUnchanged } from "./unchanged.ts";

/** @returns the scopes of which a change needs one. Whoever oversees may throw the panic switch, too. */
export function scopesFor(change: MailboxChange): readonly Scope[] {
  const isPanic = Object.keys(change).every((setting) => setting === "paused");
  return isPanic ? ["admin", "oversight"] : ["admin"];
}

/**
 * Changes settings; tightening takes back what was not yet handed to the transport.
 * @param approvedWords what the operator allowed, in the very words they read; a change that says anything else is not made.
 */
export function update(
  box: MailboxBase,
  caller: Caller,
  change: MailboxChange,
  approvedWords: string | null,
): Outcome<UpdateAnswer> {
  const now = box.settings();
  const loosens = whatSettingsLoosen(change, now, box.templates.anyProposed());
  const isApproved = loosens !== null && loosens === approvedWords;
  // The operator who allows the change confirms the people whom its words name.
  const named = isApproved ? [] : change.approvers_pending;
  const mailbox = withPeople({ ...now, ...change }, change.approvers_pending ? (named ?? []) : now.approvers_pending);
  const issues = contradictions(mailbox);
  if (issues[0]) return refused("invalid_input", `${issues[0].path} ${issues[0].message}.`, { issues });
  if (loosens !== null && !isApproved) return accepted({ needs_approval: { change: loosens } });
  const changed = (Object.keys(change) as (keyof MailboxChange)[]).filter(
    (key) => canonical(mailbox[key]) !== canonical(now[key]),
  );
  if (changed.length === 0) {
    noteUnchanged(box, caller, "mailbox.updated");
    return accepted({ mailbox: now });
  }
  return box.commit(() => {
    box.saveSettings(mailbox);
    box.record({
      actor: actorOf(caller),
      action: "mailbox.updated",
      detail: {
        changed,
        oversight_mode: mailbox.oversight_mode,
        quorum: mailbox.quorum,
        paused: mailbox.paused,
        operator_approved: isApproved,
      },
      personal: Object.fromEntries(changed.map((key) => [key, mailbox[key]])) as MailboxChange,
    });
    box.schedule("project", mailbox.id, box.now());
    follow(box, caller, now, mailbox);
    return accepted({ mailbox });
  });
}

/** Settings after which the same people may have to be asked in another way. */
const ASKING = ["quorum", "escalate_after", "notify", "delegations"] as const satisfies (keyof Mailbox)[];

/** What new settings mean for what waits and for what is on its way out. Inside `commit`. */
function follow(box: MailboxBase, caller: Caller, was: Mailbox, is: Mailbox): void {
  const differs = (key: keyof Mailbox) => canonical(is[key]) !== canonical(was[key]);
  // Bounces and complaints from before count against the mode that a human gives it now no more.
  if (isLooser(is.oversight_mode, was.oversight_mode)) box.history.dropWatchedCounts();
  if (isLooser(was.oversight_mode, is.oversight_mode) || is.quorum > was.quorum) takeBackAll(box, actorOf(caller));
  if (differs("approvers") || differs("approvers_pending")) replaceLinks(box);
  else if (ASKING.some(differs)) for (const id of box.waiting.all()) box.schedule("ask", id, box.now());
  if (differs("delegations")) watchDelegations(box, is);
  if (differs("content_retention")) scheduleRetention(box);
  if ((was.paused && !is.paused) || (!was.is_active && is.is_active)) takeUp(box);
}

/** Whenever somebody's absence begins or ends, others may have to be asked. */
function watchDelegations(box: MailboxBase, { delegations }: Mailbox): void {
  for (const at of new Set(delegations.flatMap(({ from, until }) => [from, until]))) {
    if (Date.parse(at) > box.now()) box.schedule("delegations", at, Date.parse(at));
  }
}

/** What stood still goes on; what is under way has its own timer. */
function takeUp(box: MailboxBase): void {
  for (const id of box.scheduled("deliver")) {
    if (box.messages.get(id).status === "queued") box.schedule("deliver", id, box.now());
  }
}
