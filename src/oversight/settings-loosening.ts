import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import { canonical } from "../canonical-json.ts";
import type { Issue } from "../errors.ts";
import { DMARC_FAIL_ACTIONS, type DmarcFailAction } from "../mail/dmarc-action.ts";
import { ruleInWords } from "../mail/forward-rules.ts";
import { isSameMailbox } from "../mail/forwarded-message.ts";
import { type Mailbox, NOTIFY_RHYTHMS } from "../operations/shapes/mailbox.ts";
import { type Delegation, isSamePerson } from "./approvals.ts";
import { isShortened, retentionInWords } from "./content-retention.ts";
import { isLooser } from "./modes.ts";
import { inQuotes } from "./rules/words.ts";

/** What a change of a mailbox's settings gives away, and which settings contradict each other. Pure. */

/** The settings before the change; of a new mailbox, its defaults. */
type Now = Omit<Mailbox, "id" | "created_at">;

/** In words, what a change of one setting gives away; null if it only tightens. An exhaustive Record: a new setting needs its line. */
const LOOSENS: { [K in keyof Required<MailboxChange>]: (to: Mailbox[K], now: Now) => string | null } = {
  display_name: () => null,
  oversight_mode: (to, now) =>
    isLooser(to, now.oversight_mode) ? `its oversight mode becomes ${to} (it is ${now.oversight_mode})` : null,
  approvers: (to, now) => `its messages are decided by ${deciders(to)} (now ${deciders(now.approvers)})`,
  // Who is confirmed is for the tenant's object to say; this only shows it. New people are named by `whatSettingsLoosen`.
  approvers_pending: () => null,
  quorum: (to, now) => (to < now.quorum ? `${approvalsNeeded(to)} (now ${now.quorum})` : null),
  // Fewer watch from the start where people are asked in turn; where the turns come sooner, an agent sooner finds the one who nods.
  escalate_after: (to, now) => `${turns(to)} (now ${turns(now.escalate_after)})`,
  // What nobody decides ends by itself: that protects.
  expires_after: (to, now) =>
    now.expires_after !== null && (to === null || to > now.expires_after)
      ? `what nobody decides waits ${waits(to)} (now ${waits(now.expires_after)})`
      : null,
  delegations: (to, now) => {
    const fresh = to.filter((each) => !now.delegations.some((has) => covers(has, each)));
    return fresh.length ? fresh.map(inPlaceOf).join("; ") : null;
  },
  notify: (to, now) =>
    NOTIFY_RHYTHMS.indexOf(to) > NOTIFY_RHYTHMS.indexOf(now.notify)
      ? `people are told of what waits ${rhythm(to)} (now ${rhythm(now.notify)})`
      : null,
  paused: (to, now) => (!to && now.paused ? "what stands still may be sent again" : null),
  // Either way it is decided by the same people, and only then sent.
  default_gate_timing: () => null,
  scheduling_enabled: (to, now) => (to && !now.scheduling_enabled ? "its mail may be scheduled for later" : null),
  ai_disclosure: (to, now) => (!to && now.ai_disclosure ? "its mail no longer says that an AI wrote it" : null),
  identity_signing: (to, now) =>
    !to && now.identity_signing ? "its mail is no longer signed with its agent's identity" : null,
  // Either form says the same of agent and mode, and stands beside the others.
  identity_format: () => null,
  auto_cc: (to, now) => copies("a copy", to, now.auto_cc),
  auto_bcc: (to, now) => copies("a hidden copy", to, now.auto_bcc),
  // Either way: mail is carried out, or taken from whoever watched.
  forward_inbound: (to, now) =>
    to === null
      ? `what arrives is no longer passed on to ${now.forward_inbound}`
      : `everything that arrives is passed on to ${to} (now ${now.forward_inbound ?? "to nobody"})`,
  forward_rules: (to, now) =>
    `of what arrives, ${rulesInWords(to)} is passed on (now ${rulesInWords(now.forward_rules)})`,
  signature_block: () => null,
  dmarc_fail_action: (to, now) =>
    DMARC_FAIL_ACTIONS.indexOf(to) < DMARC_FAIL_ACTIONS.indexOf(now.dmarc_fail_action)
      ? `mail whose author is not proven is ${FAIL_WORDS[to]} (now ${FAIL_WORDS[now.dmarc_fail_action]})`
      : null,
  trusted_arc_sealers: (to, now) => {
    const fresh = to.filter((domain) => !now.trusted_arc_sealers.includes(domain));
    return fresh.length ? `mail that fails DMARC is taken on the word of ${fresh.join(", ")}` : null;
  },
  oversight_keys_may_decide: (to, now) =>
    to && !now.oversight_keys_may_decide ? "programs with an oversight key may decide in place of people" : null,
  is_active: (to, now) => (to && !now.is_active ? "it is switched on again" : null),
  legal_hold: (to, now) =>
    !to && now.legal_hold ? "its legal hold is lifted, so that its messages may be erased" : null,
  content_retention: (to, now) =>
    isShortened(to, now.content_retention)
      ? `what its messages say is kept ${retentionInWords(to)} (now ${retentionInWords(now.content_retention)}), then removed for good`
      : null,
};

const FAIL_WORDS: Readonly<Record<DmarcFailAction, string>> = {
  flag: "only flagged",
  quarantine: "set aside",
  reject: "refused",
};

function rulesInWords(rules: Mailbox["forward_rules"]): string {
  return rules.length ? rules.map(ruleInWords).join(", ") : "nothing";
}

/** Copies carry mail out, and copies that end take it from whoever watched. */
function copies(what: string, to: string[], now: string[]): string {
  return to.length
    ? `${what} of everything it sends goes to ${to.join(", ")} (now ${now.join(", ") || "to nobody"})`
    : `${what} of what it sends no longer goes to ${now.join(", ")}`;
}

function deciders(approvers: readonly string[]): string {
  return approvers.length ? approvers.join(", ") : "the operator alone";
}

function approvalsNeeded(quorum: number): string {
  return quorum === 1 ? "one approval is enough" : `${quorum} approvals are enough`;
}

function turns(escalateAfter: number | null): string {
  return escalateAfter === null ? "everyone is asked at once" : `the next is asked after ${duration(escalateAfter)}`;
}

function waits(expiresAfter: number | null): string {
  return expiresAfter === null ? "for ever" : `for ${duration(expiresAfter)}`;
}

const RHYTHM_WORDS: Readonly<Record<Mailbox["notify"], string>> = {
  at_once: "at once",
  hourly: "once an hour",
  daily: "once a day",
};

function rhythm(notify: Mailbox["notify"]): string {
  return RHYTHM_WORDS[notify];
}

const UNITS: readonly [seconds: number, name: string][] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** @returns whole seconds in the largest unit that they are a multiple of. */
function duration(seconds: number): string {
  const [size, name] = UNITS.find(([unit]) => seconds % unit === 0) ?? [1, "second"];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** @returns a delegation in words. */
export function inPlaceOf({ approver, delegate, from, until }: Delegation): string {
  return `${delegate} decides in place of ${approver} from ${from} until ${until}`;
}

/** Whether a delegation gives nothing that another did not: the same people, at most the same time. */
function covers(has: Delegation, wanted: Delegation): boolean {
  return (
    isSamePerson(has.approver, wanted.approver) &&
    isSamePerson(has.delegate, wanted.delegate) &&
    has.from <= wanted.from &&
    wanted.until <= has.until
  );
}

/** @returns what one setting would give away, in words; null if it only tightens or stays. */
export function whatSettingLoosens<Setting extends keyof MailboxChange>(
  setting: Setting,
  to: Mailbox[Setting],
  now: Now,
): string | null {
  return canonical(to ?? null) === canonical(now[setting]) ? null : LOOSENS[setting](to, now);
}

/** What stands beside the words of a template in everything that is sent with it: nobody is asked about it there. */
const BESIDE_TEMPLATES = {
  display_name: "what it sends with approved templates comes from",
  signature_block: "what it sends with approved templates ends with",
} as const satisfies Partial<Record<keyof MailboxChange, string>>;

function besideTemplates(change: MailboxChange, now: Now): string[] {
  return (Object.keys(BESIDE_TEMPLATES) as (keyof typeof BESIDE_TEMPLATES)[]).flatMap((setting) => {
    const to = change[setting] ?? "";
    if (to.trim() === "" || to === now[setting]) return [];
    return [
      `${BESIDE_TEMPLATES[setting]} ${inQuotes(to)} (now ${now[setting] === null ? "nothing" : inQuotes(now[setting])})`,
    ];
  });
}

/**
 * @param change in which `approvers_pending` is whom of the people it leaves in place the operator has not confirmed.
 * @param hasTemplates whether a human approved templates, with what stands beside their words as it is now.
 * @returns what the change would give away, in words; null if it only tightens or changes nothing.
 */
export function whatSettingsLoosen(change: MailboxChange, now: Mailbox, hasTemplates = false): string | null {
  const said = (Object.keys(change) as (keyof MailboxChange)[])
    .map((setting) => whatSettingLoosens(setting, change[setting] as Mailbox[typeof setting], now))
    .filter((words) => words !== null);
  if (hasTemplates) said.push(...besideTemplates(change, now));
  // With the operator's code these people oversee for the whole account, so they are named however little else changes.
  if (change.approvers || said.length > 0) {
    for (const person of change.approvers_pending ?? []) {
      said.push(`${person} becomes an approver of this account and decides the mailbox's messages`);
    }
  }
  return said.length ? `For the mailbox ${now.address}: ${said.join("; ")}.` : null;
}

/** What of the settings says who decides and where mail is passed on, and must fit together. */
export type DecidingSettings = Pick<Mailbox, "approvers" | "quorum" | "delegations"> &
  Partial<Pick<Mailbox, "address" | "forward_inbound" | "forward_rules">>;

/** @returns what in these settings contradicts each other, by the setting that is too much; empty if nothing does. */
export function contradictions(settings: DecidingSettings): Issue[] {
  const { approvers, quorum, delegations } = settings;
  const most = Math.max(1, approvers.length);
  const issues: Issue[] = [];
  if (quorum > most) {
    issues.push({ path: "quorum", message: `may be at most ${most}: ${whoDecides(approvers.length)}` });
  }
  for (const [index, { approver }] of delegations.entries()) {
    if (approvers.some((each) => isSamePerson(each, approver))) continue;
    issues.push({ path: `delegations.${index}.approver`, message: "is none of the mailbox's approvers" });
  }
  return [...issues, ...passedOnToItself(settings)];
}

function passedOnToItself({ address, forward_inbound = null, forward_rules = [] }: DecidingSettings): Issue[] {
  const targets = [
    ...(forward_inbound === null ? [] : [["forward_inbound", forward_inbound] as const]),
    ...forward_rules.map(({ to }, index) => [`forward_rules.${index}.to`, to] as const),
  ];
  return targets
    .filter(([, to]) => address !== undefined && isSameMailbox(to, address))
    .map(([path]) => ({ path, message: "is the mailbox itself" }));
}

function whoDecides(approvers: number): string {
  if (approvers === 0) return "the operator alone decides";
  return approvers === 1 ? "there is one approver" : `there are ${approvers} approvers`;
}
