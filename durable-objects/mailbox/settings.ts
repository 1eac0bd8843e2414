import { canonical } from "../../src/canonical-json.ts";
import type { Mailbox } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { isLooser, MODES } from "../../src/oversight/modes.ts";
import type { MailboxChange, UpdateAnswer } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { type Message, outboundOf } from "./messages.ts";
import { holdUntil, watchPending } from "./pending.ts";

/** In words, what a change of one setting gives away; null if it only tightens. An exhaustive Record: a new setting needs its line. */
const LOOSENS: { [K in keyof Required<MailboxChange>]: (to: Mailbox[K], now: Mailbox) => string | null } = {
  display_name: () => null,
  oversight_mode: (to, now) =>
    isLooser(to, now.oversight_mode) ? `its oversight mode becomes ${to} (it is ${now.oversight_mode})` : null,
  approver_email: (to, now) =>
    to !== now.approver_email
      ? `its messages are decided by ${to ?? "the operator alone"} (now ${now.approver_email ?? "the operator"})`
      : null,
  approver_pending: (to, now) => (!to && now.approver_pending ? "the operator confirms its approver" : null),
  ai_disclosure: (to, now) => (!to && now.ai_disclosure ? "its mail no longer says that an AI wrote it" : null),
  auto_cc: (to) => (to.length ? `a copy of everything it sends goes to ${to.join(", ")}` : null),
  auto_bcc: (to) => (to.length ? `a hidden copy of everything it sends goes to ${to.join(", ")}` : null),
  signature_block: () => null,
  oversight_keys_may_decide: (to, now) =>
    to && !now.oversight_keys_may_decide ? "programs with an oversight key may decide in place of people" : null,
  is_active: (to, now) => (to && !now.is_active ? "it is switched on again" : null),
};

/** @returns what the change would give away, in words; null if it only tightens or changes nothing. */
export function whatLoosens(change: MailboxChange, now: Mailbox): string | null {
  const said = (Object.keys(change) as (keyof MailboxChange)[])
    .filter((key) => canonical(change[key] ?? null) !== canonical(now[key]))
    .map((key) => (LOOSENS[key] as (to: unknown, now: Mailbox) => string | null)(change[key], now))
    .filter((words) => words !== null);
  return said.length ? `For the mailbox ${now.address}: ${said.join("; ")}.` : null;
}

/** Changes settings; tightening takes back what was not yet handed to the transport. */
export function update(
  box: MailboxBase,
  caller: Caller,
  change: MailboxChange,
  operatorApproved: boolean,
): UpdateAnswer {
  const now = box.settings();
  const loosens = whatLoosens(change, now);
  if (loosens && !operatorApproved) return { needs_approval: { change: loosens } };
  const changed = (Object.keys(change) as (keyof MailboxChange)[]).filter(
    (key) => canonical(change[key] ?? null) !== canonical(now[key]),
  );
  if (changed.length === 0) return { mailbox: now };
  return box.commit(() => {
    const mailbox: Mailbox = { ...now, ...change };
    box.saveSettings(mailbox);
    box.record({
      actor: actorOf(caller),
      action: "mailbox.updated",
      detail: { changed, oversight_mode: mailbox.oversight_mode, operator_approved: loosens !== null },
      personal: Object.fromEntries(changed.map((key) => [key, mailbox[key]])),
    });
    box.schedule("project", mailbox.id, box.now());
    if (MODES.indexOf(mailbox.oversight_mode) < MODES.indexOf(now.oversight_mode)) takeBack(box, caller);
    return { mailbox };
  });
}

/** What waits to leave and would not be let go under the stricter mode waits for a human again; its approval is void. */
function takeBack(box: MailboxBase, caller: Caller): void {
  for (const id of box.scheduled("deliver")) {
    const message = box.messages.get(id);
    if (message.status !== "queued" || !box.advance(message, "tighten")) continue;
    hold(box, caller, message);
  }
}

function hold(box: MailboxBase, caller: Caller, message: Message): void {
  const verdict = box.verdictNow(message);
  message.record.decision = null;
  message.record.mode = verdict.mode;
  message.record.hold = { kind: "send", rule: verdict.rule, expires_at: holdUntil(box.now()), links: 0 };
  box.unschedule("deliver", message.id);
  box.messages.save(message);
  box.record({
    message,
    actor: actorOf(caller),
    action: "message.taken_back",
    detail: { status: message.status, rule: verdict.rule, attempts: outboundOf(message).attempts },
  });
  watchPending(box, message);
  box.emit("message.held", message);
}
