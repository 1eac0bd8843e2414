import { MODES, type Mode } from "../../src/oversight/modes.ts";
import { REQUEST_STATUSES, type RequestEvent, type RequestStatus } from "../../src/oversight/request-transitions.ts";
import {
  INBOUND_STATUSES,
  type InboundStatus,
  OUTBOUND_STATUSES,
  type OutboundStatus,
} from "../../src/oversight/statuses.ts";
import type { InboundEvent, OutboundEvent, OutboundFacts } from "../../src/oversight/transitions.ts";
import { everyCombination, readTable, type Table } from "./written-table.ts";

/**
 * What oversight is to do, written for people to read: DESIGN.md's policy table and state machine a second time, and who may do
 * what. The pure modules are held against it in `oversight-table.test.ts`, the real object in `oversight-actors.test.ts` and, as
 * the reference of the model, in `oversight-model.test.ts`.
 *
 * Several words in a cell, with commas between: any of them. `*`: all of them. `any other`: each event that no other row names for
 * that state. A column of conditions says nothing of what is left out. Every combination is in exactly one row.
 */

/** What a mode does with an effect. */
export const EFFECTS = readTable(
  { mode: MODES, effect: ["send", "read", "annotate", "inbound"] as const },
  `
  read_only                         | send                    | deny
  read_only                         | annotate                | mark_and_tag_only
  read_only                         | read, inbound           | allow
  gated_all                         | *                       | hold
  gated_send                        | send                    | hold
  monitored                         | send                    | allow_with_copy
  autonomous                        | send                    | allow
  gated_send, monitored, autonomous | read, annotate, inbound | allow
  `,
);

/**
 * What is said of a message about to leave: by its mode, by the strictest rule that applies, and by what a human approved
 * beforehand. Then the verdict, and who is named as having decided.
 */
export const VERDICTS = readTable(
  {
    mode: MODES,
    rule: ["none", "hold", "block", "deny"] as const,
    beforehand: ["nothing", "allowlist", "template"] as const,
  },
  `
  read_only                                    | *          | *                   | deny: the mode
  gated_all, gated_send, monitored, autonomous | deny       | *                   | deny: the rule
  gated_all, gated_send, monitored, autonomous | block      | *                   | block: the rule
  gated_all                                    | none, hold | *                   | hold: the mode
  gated_send                                   | none, hold | nothing             | hold: the mode
  gated_send                                   | hold       | allowlist, template | hold: the rule
  gated_send                                   | none       | allowlist           | allow: the allowlist, which is its approval
  gated_send                                   | none       | template            | allow: the template, which is its approval
  monitored, autonomous                        | hold       | *                   | hold: the rule
  monitored                                    | none       | nothing, allowlist  | allow: the mode, with a copy
  monitored                                    | none       | template            | allow: the mode, with a copy, and the template is its approval
  autonomous                                   | none       | nothing, allowlist  | allow: the mode
  autonomous                                   | none       | template            | allow: the mode, and the template is its approval
  `,
);

/** What the facts of a message are called in the conditions. Of each, a message has one. */
const FACT_WORDS = {
  verdict: { allow: "allow", hold: "hold", block: "block", deny: "deny" },
  approved: { approved: true, unapproved: false },
  due: { due: true, later: false },
  gate_timing: { "gate first": "gate_first", "schedule first": "schedule_first" },
  scanning: { scanning: true, scanned: false },
  paused: { paused: true, running: false },
  any_accepted: { "some have it": true, "nobody has it": false },
} as const satisfies { [Fact in keyof OutboundFacts]: Record<string, OutboundFacts[Fact]> };

/** Every combination of what the guards look at. */
export const EVERY_FACTS: readonly OutboundFacts[] = everyCombination(FACT_WORDS).map(factsOf);

function factsOf(words: readonly string[]): OutboundFacts {
  const facts = Object.entries(FACT_WORDS).map(([fact, values], at) => [
    fact,
    Object.entries(values).find(([word]) => word === words[at])?.[1],
  ]);
  return Object.fromEntries(facts) as OutboundFacts;
}

function wordsOf(facts: OutboundFacts): string[] {
  return Object.entries(FACT_WORDS).map(([fact, values]) => {
    const value = facts[fact as keyof OutboundFacts];
    return Object.entries(values).find(([, each]) => each === value)?.[0] as string;
  });
}

const OUTBOUND_EVENTS = [
  ...["submit", "scan_clear", "scan_hit", "approve", "reject", "cancel", "expire", "edit", "due", "tighten", "attempt"],
  ...["accepted", "temp_fail", "perm_fail", "recovered", "give_up", "delivered", "bounced", "complained"],
] as readonly OutboundEvent[];

/** A message on its way out. `-`: it is being submitted. `stays`: the event does not apply, and nothing changes. */
export const OUTBOUND = readTable(
  { from: ["-", ...OUTBOUND_STATUSES] as const, event: OUTBOUND_EVENTS, when: FACT_WORDS },
  `
  -                                | submit     | scanning                            | pending_scan
  -                                | submit     | scanned, deny                       | stays
  -                                | submit     | scanned, block                      | blocked
  -                                | submit     | scanned, hold, due                  | pending_send_approval
  -                                | submit     | scanned, hold, later, gate first     | pending_send_approval
  -                                | submit     | scanned, hold, later, schedule first | scheduled
  -                                | submit     | scanned, allow, due                 | queued
  -                                | submit     | scanned, allow, later               | scheduled
  -                                | any other  |                                     | stays

  pending_scan                     | scan_clear | deny                                | stays
  pending_scan                     | scan_clear | block                               | blocked
  pending_scan                     | scan_clear | hold, due                           | pending_send_approval
  pending_scan                     | scan_clear | hold, later, gate first             | pending_send_approval
  pending_scan                     | scan_clear | hold, later, schedule first         | scheduled
  pending_scan                     | scan_clear | allow, due                          | queued
  pending_scan                     | scan_clear | allow, later                        | scheduled
  pending_scan                     | scan_hit   | block                               | blocked
  pending_scan                     | scan_hit   | allow, hold, deny                   | pending_send_approval
  pending_scan                     | cancel     |                                     | cancelled
  pending_scan                     | any other  |                                     | stays

  pending_send_approval            | approve    | unapproved                          | stays
  pending_send_approval            | approve    | approved, block, deny               | stays
  pending_send_approval            | approve    | approved, allow, hold, due          | queued
  pending_send_approval            | approve    | approved, allow, hold, later        | scheduled
  pending_send_approval            | reject     | nobody has it                       | rejected
  pending_send_approval            | cancel     | nobody has it                       | cancelled
  pending_send_approval            | expire     | nobody has it                       | expired
  pending_send_approval            | reject     | some have it                        | sent
  pending_send_approval            | cancel     | some have it                        | sent
  pending_send_approval            | expire     | some have it                        | sent
  pending_send_approval, scheduled | edit       | deny                                | stays
  pending_send_approval, scheduled | edit       | block                               | blocked
  pending_send_approval, scheduled | edit       | hold, due                           | pending_send_approval
  pending_send_approval, scheduled | edit       | hold, later, gate first             | pending_send_approval
  pending_send_approval, scheduled | edit       | hold, later, schedule first         | scheduled
  pending_send_approval, scheduled | edit       | allow, due                          | queued
  pending_send_approval, scheduled | edit       | allow, later                        | scheduled
  pending_send_approval            | any other  |                                     | stays

  scheduled                        | due        | allow                               | queued
  scheduled                        | due        | hold, approved                      | queued
  scheduled                        | due        | hold, unapproved                    | pending_send_approval
  scheduled                        | due        | deny                                | pending_send_approval
  scheduled                        | due        | block                               | blocked
  scheduled                        | cancel     |                                     | cancelled
  scheduled, queued                | tighten    | allow                               | stays
  scheduled, queued                | tighten    | hold, approved                      | stays
  scheduled, queued                | tighten    | hold, unapproved                    | pending_send_approval
  scheduled, queued                | tighten    | block, deny                         | pending_send_approval
  scheduled                        | any other  |                                     | stays

  queued                           | cancel     | nobody has it                       | cancelled
  queued                           | cancel     | some have it                        | sent
  queued                           | attempt    | running                             | sending
  queued                           | attempt    | paused                              | stays
  queued                           | give_up    | nobody has it                       | send_failed
  queued                           | give_up    | some have it                        | sent
  queued                           | any other  |                                     | stays

  sending                          | accepted   |                                     | sent
  sending                          | temp_fail  |                                     | queued
  sending                          | perm_fail  |                                     | send_failed
  sending                          | recovered  |                                     | queued
  sending                          | any other  |                                     | stays

  sent                             | delivered  |                                     | delivered
  sent, delivered                  | bounced    |                                     | bounced
  sent, delivered                  | complained |                                     | complained
  sent, delivered                  | any other  |                                     | stays

  bounced, complained, rejected, cancelled, blocked, expired, send_failed | *    |    | stays
  `,
);

const INBOUND_EVENTS = [
  ...["arrive", "ask", "approve", "reject", "read", "unread", "archive", "quarantine", "delete"],
] as readonly InboundEvent[];

/** A message that came in. `held`: the mode holds what arrives. */
export const INBOUND = readTable(
  { from: ["-", ...INBOUND_STATUSES] as const, event: INBOUND_EVENTS, when: { held: { held: true, free: false } } },
  `
  -                                    | arrive     | held | pending_inbound_approval
  -                                    | arrive     | free | unread
  -                                    | quarantine |      | spam_quarantined
  -                                    | reject     |      | rejected
  -                                    | any other  |      | stays
  pending_inbound_approval             | approve    |      | unread
  pending_inbound_approval             | reject     |      | rejected
  pending_inbound_approval             | any other  |      | stays
  unread, read, archived, spam_flagged | read       |      | read
  unread, read, archived, spam_flagged | unread     |      | unread
  unread, read, archived, spam_flagged | archive    |      | archived
  unread, read, archived, spam_flagged | quarantine |      | spam_quarantined
  unread, read, archived, spam_flagged | delete     |      | deleted
  unread, read, archived, spam_flagged | any other  |      | stays
  spam_quarantined                     | ask        |      | pending_inbound_approval
  spam_quarantined                     | unread     |      | unread
  spam_quarantined                     | delete     |      | deleted
  spam_quarantined                     | any other  |      | stays
  rejected, deleted                    | *          |      | stays
  `,
);

const REQUEST_EVENTS = ["ask", "approve", "reject", "expire", "cancel", "consume"] as readonly RequestEvent[];

/** A held read or annotation, a template, an upgrade. */
export const REQUESTS = readTable(
  { from: ["-", ...REQUEST_STATUSES] as const, event: REQUEST_EVENTS },
  `
  -                                      | ask       | pending
  -                                      | any other | stays
  pending                                | approve   | approved
  pending                                | reject    | rejected
  pending                                | expire    | expired
  pending                                | cancel    | cancelled
  pending                                | any other | stays
  approved                               | consume   | consumed
  approved                               | expire    | expired
  approved                               | cancel    | cancelled
  approved                               | any other | stays
  consumed, rejected, expired, cancelled | *         | stays
  `,
);

export const ACTS = [
  ...(["submit", "edit", "cancel", "approve", "reject", "approve with edits"] as const),
  ...(["tighten", "loosen", "expire", "due", "attempt"] as const),
] as const;
export type Act = (typeof ACTS)[number];

const AGENTS = ["the author's key", "another agent's key"] as const;
const ADMINS = ["an admin key", "an admin key with the operator's code"] as const;
const OVERSEERS = [
  ...(["an oversight key", "an oversight key while keys are switched off"] as const),
  ...(["an oversight key that the author's key made", "an oversight key of the author's agent"] as const),
] as const;
const PEOPLE = [
  ...(["an approver by link", "an approver in a session", "the operator beside approvers"] as const),
  ...(["the operator in their place", "a person without a seat"] as const),
] as const;
/** Who acts on a message on its way out. No key is ever made with both `send` and `oversight`; the object holds against one. */
export const ACTORS = [
  ...AGENTS,
  "the author's key with oversight",
  ...ADMINS,
  ...OVERSEERS,
  ...PEOPLE,
  "a key of another tenant",
  "the system",
] as const;
export type Actor = (typeof ACTORS)[number];

/** Who may do it: then the machine decides. Else the code of the refusal; `no way`: there is no call for it that they could make. */
export const WHO_MAY = readTable(
  { act: ACTS, actor: ACTORS },
  `
  submit, edit           | the author's key, the author's key with oversight                           | may
  submit                 | another agent's key                                                         | may
  edit                   | another agent's key                                                         | agent_not_allowed
  submit, edit           | an admin key, an admin key with the operator's code                         | missing_scope
  submit, edit           | an oversight key, an oversight key while keys are switched off              | missing_scope
  submit, edit           | an oversight key that the author's key made, an oversight key of the author's agent | missing_scope

  cancel                 | the author's key, another agent's key, the author's key with oversight      | may
  cancel                 | an oversight key, an oversight key while keys are switched off              | may
  cancel                 | an oversight key that the author's key made, an oversight key of the author's agent | may
  cancel                 | an admin key, an admin key with the operator's code                         | missing_scope

  approve, reject        | the author's key, another agent's key                                       | missing_scope
  approve, reject        | an admin key, an admin key with the operator's code                         | missing_scope
  approve, reject        | an oversight key                                                            | may
  approve, reject        | an oversight key while keys are switched off                                | oversight_keys_disabled
  approve, reject        | the author's key with oversight                                             | self_decision
  approve, reject        | an oversight key that the author's key made, an oversight key of the author's agent | self_decision
  approve, reject, approve with edits | an approver by link, an approver in a session                  | may
  approve, reject, approve with edits | the operator in their place                                    | may
  approve, reject, approve with edits | the operator beside approvers, a person without a seat         | unknown

  approve with edits     | the author's key, another agent's key, the author's key with oversight      | no way
  approve with edits     | an admin key, an admin key with the operator's code, a key of another tenant | no way
  approve with edits     | an oversight key, an oversight key while keys are switched off              | no way
  approve with edits     | an oversight key that the author's key made, an oversight key of the author's agent | no way

  tighten, loosen        | the author's key, another agent's key, the author's key with oversight      | missing_scope
  tighten, loosen        | an oversight key, an oversight key while keys are switched off              | missing_scope
  tighten, loosen        | an oversight key that the author's key made, an oversight key of the author's agent | missing_scope
  tighten                | an admin key                                                                | may
  loosen                 | an admin key                                                                | needs_approval
  tighten, loosen        | an admin key with the operator's code                                       | may

  submit, edit, cancel, approve, reject, tighten, loosen | a key of another tenant                     | not_found
  submit, edit, cancel, tighten, loosen | an approver by link, an approver in a session                | no way
  submit, edit, cancel, tighten, loosen | the operator beside approvers, the operator in their place   | no way
  submit, edit, cancel, tighten, loosen | a person without a seat                                      | no way
  submit, edit, cancel, approve, reject, approve with edits, tighten, loosen | the system              | no way

  expire, due, attempt   | the system                                                                  | may
  expire, due, attempt   | the author's key, another agent's key, the author's key with oversight      | no way
  expire, due, attempt   | an admin key, an admin key with the operator's code, a key of another tenant | no way
  expire, due, attempt   | an oversight key, an oversight key while keys are switched off              | no way
  expire, due, attempt   | an oversight key that the author's key made, an oversight key of the author's agent | no way
  expire, due, attempt   | an approver by link, an approver in a session, a person without a seat      | no way
  expire, due, attempt   | the operator beside approvers, the operator in their place                  | no way
  `,
);

function statusIn<Status extends string>(table: Table, key: string[]): Status | null {
  const to = table.at(key);
  return to === "stays" ? null : (to as Status);
}

/** @returns where the table sends an outbound message, or null where the event does not apply. */
export function outboundSpec(
  from: OutboundStatus | null,
  event: OutboundEvent,
  facts: OutboundFacts,
): OutboundStatus | null {
  return statusIn(OUTBOUND, [from ?? "-", event, ...wordsOf(facts)]);
}

/** The same for a message that came in. */
export function inboundSpec(from: InboundStatus | null, event: InboundEvent, held: boolean): InboundStatus | null {
  return statusIn(INBOUND, [from ?? "-", event, held ? "held" : "free"]);
}

/** The same for a request. */
export function requestSpec(from: RequestStatus | null, event: RequestEvent): RequestStatus | null {
  return statusIn(REQUESTS, [from ?? "-", event]);
}

/** @returns what the mode says of a message that no rule and no approval beforehand speaks of. */
export function effectSpec(mode: Mode, effect: "send" | "read" | "annotate" | "inbound"): string {
  return EFFECTS.at([mode, effect]);
}

/** @returns `may`, `no way`, or the code of the refusal. */
export function whoMaySpec(act: Act, actor: Actor): string {
  return WHO_MAY.at([act, actor]);
}
