import { canonical } from "../canonical-json.ts";
import type { Env } from "../env.ts";
import { Refused, unwrap } from "../errors.ts";
import { newId, newRoutingNumber } from "../ids.ts";
import { domainOf } from "../mail/address.ts";
import { DMARC_DEFAULTS } from "../mail/dmarc-action.ts";
import { FORWARD_DEFAULTS } from "../mail/forward-rules.ts";
import type { Caller } from "../oversight/caller.ts";
import { KEEPING_DEFAULTS } from "../oversight/content-retention.ts";
import { isLooser } from "../oversight/modes.ts";
import { inPlaceOf, whatSettingLoosens } from "../oversight/settings-loosening.ts";
import { findReservation, reserveMailbox } from "../store/directory.ts";
import { ownDomainOf } from "../store/identity-directory.ts";
import { callTenant, mailboxObject } from "../store/mailbox-client.ts";
import { isPersonsAddress } from "../store/people.ts";
import type { Mailbox } from "./shapes/mailbox.ts";

/** Making a mailbox: the address is reserved in D1, then the object is made. */

/** A new mailbox before it has an id. */
export type MailboxPlan = Omit<Mailbox, "id" | "created_at">;

/** The loosest mode that is granted without asking a human. */
const GRANTED_MODE = "gated_send";
const ROUTING_ATTEMPTS = 5;
const DEFAULT_EXPIRY_SECONDS = 7 * 24 * 3600;

/** A mailbox with nothing but its defaults: the strictest that still lets mail through. */
export function defaultPlan(tenantId: string, address: string): MailboxPlan {
  return {
    tenant_id: tenantId,
    address,
    display_name: null,
    oversight_mode: GRANTED_MODE,
    approver_email: null,
    approver_pending: false,
    approvers: [],
    approvers_pending: [],
    quorum: 1,
    escalate_after: null,
    expires_after: DEFAULT_EXPIRY_SECONDS,
    delegations: [],
    notify: "at_once",
    paused: false,
    identity_signing: true,
    ai_disclosure: true,
    identity_format: "compact",
    auto_cc: [],
    auto_bcc: [],
    forward_inbound: null,
    ...FORWARD_DEFAULTS,
    ...DMARC_DEFAULTS,
    ...KEEPING_DEFAULTS,
    signature_block: null,
    default_gate_timing: "gate_first",
    scheduling_enabled: true,
    mcp_configured: false,
    risk_threshold: null,
    oversight_keys_may_decide: false,
    is_active: true,
  };
}

/** Settings whose default is what a new mailbox may do without a human, as in a change of them. */
const AS_IN_A_CHANGE = [
  "escalate_after",
  "expires_after",
  "notify",
  "forward_inbound",
  "forward_rules",
  "trusted_arc_sealers",
  "content_retention",
] as const satisfies (keyof MailboxPlan)[];

/** In words, what each other setting of a new mailbox would give away; null if nothing. */
const GIVES_AWAY: readonly ((plan: MailboxPlan) => string | null)[] = [
  ({ oversight_mode }) =>
    isLooser(oversight_mode, GRANTED_MODE)
      ? `its oversight mode is ${oversight_mode}: it sends without being asked`
      : null,
  (plan) => (plan.oversight_keys_may_decide ? "programs with an oversight key may decide in place of people" : null),
  (plan) => (plan.ai_disclosure ? null : "its mail does not say that an AI wrote it"),
  (plan) => (plan.identity_signing ? null : "its mail is not signed with its agent's identity"),
  ({ auto_cc }) => (auto_cc.length ? `a copy of everything it sends goes to ${auto_cc.join(", ")}` : null),
  ({ auto_bcc }) => (auto_bcc.length ? `a hidden copy of everything it sends goes to ${auto_bcc.join(", ")}` : null),
];

/** @returns what the operator has to allow before this mailbox is made, in words; null if nothing. */
export function whatPlanGivesAway(plan: MailboxPlan): string | null {
  const unlikeDefault = AS_IN_A_CHANGE.map((setting) =>
    whatSettingLoosens(setting, plan[setting], defaultPlan(plan.tenant_id, plan.address)),
  );
  const given = [...GIVES_AWAY.map((words) => words(plan)), ...unlikeDefault].filter((words) => words !== null);
  if (given.length === 0) return null;
  const { approvers, delegations, approvers_pending } = plan;
  const people = [
    ...(approvers.length ? [`its messages are decided by ${approvers.join(", ")}`] : []),
    ...delegations.map(inPlaceOf),
    ...approvers_pending.map((person) => `${person} becomes an approver of this account`),
  ];
  return `For the new mailbox ${plan.address}: ${[...given, ...people].join("; ")}.`;
}

/** What a repeated call must have in common with the first. */
function sameWish(mailbox: Mailbox, plan: MailboxPlan): boolean {
  const { approver_pending: _pending, approvers_pending: _people, ...wanted } = plan;
  const { id: _id, created_at: _at, approver_pending: _was, approvers_pending: _were, ...has } = mailbox;
  return canonical(has) === canonical(wanted);
}

/** @returns whether this very mailbox is reserved by the tenant already: a repeated call, or one that broke off. */
export async function isReserved(env: Env, plan: MailboxPlan): Promise<boolean> {
  const held = await findReservation(env.DB, plan.address);
  return held !== null && held.tenant_id === plan.tenant_id && sameWish(held.settings, plan);
}

/**
 * Makes the mailbox, or finishes what an earlier call with the same wish left unfinished.
 * @returns the mailbox, and whether it was there before.
 * @throws {Refused} `address_taken` if another or a person has it, or the same tenant with other settings; `invalid_input` if its
 *   domain is not the tenant's any more.
 */
export async function makeMailbox(
  env: Env,
  caller: Caller,
  plan: MailboxPlan,
  now: number,
): Promise<{ mailbox: Mailbox; existed: boolean }> {
  for (let attempt = 0; attempt < ROUTING_ATTEMPTS; attempt++) {
    const routing = newRoutingNumber();
    const mailbox: Mailbox = { ...plan, id: newId("mbx", now, routing), created_at: new Date(now).toISOString() };
    const reservation = await reserveMailbox(env.DB, plan.address, routing, mailbox, tenantDomainOf(env, plan));
    if (reservation === "routing_taken") continue;
    // Reserved. A crash here leaves a row without an object, which the same call by the same tenant finishes below.
    if (reservation === "reserved") return { mailbox: await create(env, caller, mailbox), existed: false };
    if (reservation === "no_domain") throw notAligned(env, domainOf(plan.address));
    if (reservation === "person" || reservation.tenant_id !== plan.tenant_id || !sameWish(reservation.settings, plan))
      throw taken(plan.address);
    return { mailbox: await create(env, caller, reservation.settings), existed: true };
  }
  throw new Error("no free routing number was found");
}

async function create(env: Env, caller: Caller, mailbox: Mailbox): Promise<Mailbox> {
  return mailboxObject(env, mailbox.id, (object) => object.create(caller, mailbox));
}

/** @returns the domain of its address in A-labels, where it is not the deployment's own: it has to be the tenant's. */
function tenantDomainOf({ MAIL_DOMAIN }: Env, { address }: MailboxPlan): string | null {
  const domain = domainOf(address);
  return domain === ownDomainOf(MAIL_DOMAIN) ? null : domain;
}

/** @throws {Refused} `invalid_input` unless the domain is the deployment's own, or the tenant's and aligned. */
export async function refuseOtherDomain(env: Env, caller: Caller, plan: MailboxPlan): Promise<void> {
  const domain = tenantDomainOf(env, plan);
  if (domain === null) return;
  const isReady = await callTenant(env, caller.tenant_id, (tenant) => tenant.mayHaveMailboxes(caller, domain));
  if (!unwrap(isReady)) throw notAligned(env, domain);
}

function notAligned({ MAIL_DOMAIN }: Env, domain: string): Refused {
  return new Refused("invalid_input", `The domain ${domain} is not verified and aligned for this account.`, {
    issues: [{ path: "address", message: "its domain must be verified and aligned first" }],
    hint: `Set it up with configure_domain and publish its records, or use address_local for a mailbox at ${MAIL_DOMAIN}.`,
  });
}

/** @throws {Refused} `address_taken` if another tenant or a person who oversees has the address: a look ahead, nothing is reserved. */
export async function refuseTaken(env: Env, { address, tenant_id }: MailboxPlan): Promise<void> {
  const held = await findReservation(env.DB, address);
  if (held ? held.tenant_id !== tenant_id : await isPersonsAddress(env.DB, address)) throw taken(address);
}

/** The one refusal of an address, whoever has it: another tenant's mailbox and a person look the same. */
function taken(address: string): Refused {
  return new Refused("address_taken", `${address} is taken.`, { hint: "Choose another address." });
}
