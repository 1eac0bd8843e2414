import { canonical } from "../../src/canonical-json.ts";
import type { Mailbox } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { isLooser, MODES } from "../../src/oversight/modes.ts";
import type { MailboxChange, UpdateAnswer } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { replaceLinks } from "./links.ts";
import { takeBackAll } from "./take-back.ts";

/** In words, what a change of one setting gives away; null if it only tightens. An exhaustive Record: a new setting needs its line. */
const LOOSENS: { [K in keyof Required<MailboxChange>]: (to: Mailbox[K], now: Mailbox) => string | null } = {
  display_name: () => null,
  oversight_mode: (to, now) =>
    isLooser(to, now.oversight_mode) ? `its oversight mode becomes ${to} (it is ${now.oversight_mode})` : null,
  approver_email: (to, now) =>
    to !== now.approver_email
      ? `its messages are decided by ${to ?? "the operator alone"} (now ${now.approver_email ?? "the operator"})`
      : null,
  approver_pending: (to, now) => (!to && now.approver_pending ? "its approver counts as confirmed" : null),
  ai_disclosure: (to, now) => (!to && now.ai_disclosure ? "its mail no longer says that an AI wrote it" : null),
  auto_cc: (to, now) => copies("a copy", to, now.auto_cc),
  auto_bcc: (to, now) => copies("a hidden copy", to, now.auto_bcc),
  signature_block: () => null,
  oversight_keys_may_decide: (to, now) =>
    to && !now.oversight_keys_may_decide ? "programs with an oversight key may decide in place of people" : null,
  is_active: (to, now) => (to && !now.is_active ? "it is switched on again" : null),
};

/** Copies carry mail out, and copies that end take it from whoever watched. */
function copies(what: string, to: string[], now: string[]): string {
  return to.length
    ? `${what} of everything it sends goes to ${to.join(", ")} (now ${now.join(", ") || "to nobody"})`
    : `${what} of what it sends no longer goes to ${now.join(", ")}`;
}

/** @returns what the change would give away, in words; null if it only tightens or changes nothing. */
function whatLoosens(change: MailboxChange, now: Mailbox): string | null {
  const said = (Object.keys(change) as (keyof MailboxChange)[])
    .filter((key) => canonical(change[key] ?? null) !== canonical(now[key]))
    .map((key) => (LOOSENS[key] as (to: unknown, now: Mailbox) => string | null)(change[key], now))
    .filter((words) => words !== null);
  // Said however little else changes: with the operator's code the person becomes an approver for the whole account.
  if (change.approver_email && change.approver_pending) {
    said.push(`${change.approver_email} becomes an approver of this account and decides the mailbox's messages`);
  }
  return said.length ? `For the mailbox ${now.address}: ${said.join("; ")}.` : null;
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
): UpdateAnswer {
  const now = box.settings();
  const loosens = whatLoosens(change, now);
  if (loosens !== null && loosens !== approvedWords) return { needs_approval: { change: loosens } };
  const confirmed = loosens !== null && change.approver_pending ? { approver_pending: false } : {};
  const mailbox: Mailbox = { ...now, ...change, ...confirmed };
  const changed = (Object.keys(change) as (keyof MailboxChange)[]).filter(
    (key) => canonical(mailbox[key]) !== canonical(now[key]),
  );
  if (changed.length === 0) return { mailbox: now };
  return box.commit(() => {
    box.saveSettings(mailbox);
    box.record({
      actor: actorOf(caller),
      action: "mailbox.updated",
      detail: { changed, oversight_mode: mailbox.oversight_mode, operator_approved: loosens !== null },
      personal: Object.fromEntries(changed.map((key) => [key, mailbox[key]])),
    });
    box.schedule("project", mailbox.id, box.now());
    if (MODES.indexOf(mailbox.oversight_mode) < MODES.indexOf(now.oversight_mode)) takeBackAll(box, actorOf(caller));
    const { approver_email, approver_pending } = mailbox;
    if (approver_email !== now.approver_email || approver_pending !== now.approver_pending) replaceLinks(box);
    return { mailbox };
  });
}
