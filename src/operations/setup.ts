import { z } from "zod";
import type { Env } from "../env.ts";
import { Refused, unwrap } from "../errors.ts";
import { newId } from "../ids.ts";
import { comparableAddress, domainOf } from "../mail/address.ts";
import { identityDnsRecord } from "../mail/dkim-keys.ts";
import type { WantedRecord } from "../mail/domain-plan.ts";
import { wantedRecords } from "../mail/domain-records.ts";
import type { Caller } from "../oversight/caller.ts";
import { conflictingPair } from "../oversight/key-powers.ts";
import { peopleOf, withPeople } from "../oversight/overseers.ts";
import { findDomainKeys, findTenant, insertOwnDomain } from "../store/directory.ts";
import { newDkimKeys } from "../store/domains.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { keyName, keyScopes, refuseConflict } from "./api-keys.ts";
import { agentId, flag, headerText } from "./fields.ts";
import { mailboxSettingsIn, readMailboxAddress, readSettings, refuseContradictions } from "./mailbox-settings.ts";
import { defaultPlan, type MailboxPlan, makeMailbox, refuseTaken } from "./new-mailbox.ts";
import { confirmPeople, personAddress, reservePeople } from "./people.ts";
import type { Account } from "./shapes/account.ts";
import type { Mailbox } from "./shapes/mailbox.ts";

/** Making a tenant. The person who runs the deployment does it, so nothing here waits for anyone's code. */

const address = z.string().min(3).max(320);

/** What `POST /setup` takes. */
export const setupIn = z.strictObject({
  name: headerText(100, 1),
  operator_email: address,
  approvers: z.array(address).max(50).default([]),
  mailboxes: z
    .array(
      z.strictObject({
        address_local: z.string().min(1).max(64),
        ...mailboxSettingsIn,
      }),
    )
    .max(100)
    .default([]),
  keys: z
    .array(
      z.strictObject({
        name: keyName,
        scopes: keyScopes,
        test: flag.default(false),
        agent_id: agentId.nullable().default(null),
        mailboxes: z
          .array(z.string())
          .min(1)
          .max(100)
          .nullable()
          .default(null)
          .describe("Local parts of this call's mailboxes to bind the key to"),
      }),
    )
    .max(50)
    .default([]),
});
export type SetupIn = z.output<typeof setupIn>;

export interface SetupAnswer {
  tenant_id: string;
  account: Account;
  mailboxes: Mailbox[];
  /** The plain keys by name. They are nowhere else. */
  keys: Record<string, string>;
  dns_records: WantedRecord[];
}

/** The person at the set-up door, as the objects see them. */
function operatorOf(tenantId: string): Caller {
  return {
    tenant_id: tenantId,
    key_id: "setup",
    created_by: null,
    scopes: ["admin"],
    mailbox_ids: null,
    agent_id: null,
    bound_agent_id: null,
    test: false,
    via: "system",
  };
}

/** The deployment's own domain: its DKIM keys are made at the first set-up and stay. @returns the records to publish. */
async function ownDomain(env: Env, now: number): Promise<WantedRecord[]> {
  const domain = domainOf(`@${env.MAIL_DOMAIN}`);
  const stored =
    (await findDomainKeys(env.DB, domain)) ??
    (await insertOwnDomain(env.DB, domain, newDkimKeys(env, domain, "dual"), now));
  const dkim_keys = stored.map(({ selector, algorithm, public_key }) => ({
    ...{ selector, algorithm, public_key, state: "active" as const },
  }));
  const plan = {
    ...{ domain, dkim_keys, identity: null, challenge: null, mta_sts_id: null, tls_rpt: null, bimi_logo_url: null },
    hosts: { mx_host: env.INBOUND_MX ?? null, spf_include: env.SPF_INCLUDE ?? null },
    inbound_required: true,
    dmarc: { policy: "quarantine" as const, rua: null },
  };
  return wantedRecords(plan, { spf: [] });
}

/** Everything that can be refused, before anything is made. */
interface Plan {
  operator_email: string;
  approvers: string[];
  mailboxes: MailboxPlan[];
}

async function planOf(env: Env, tenantId: string, input: SetupIn): Promise<Plan> {
  for (const { scopes } of input.keys) refuseConflict(scopes);
  refuseRepeated(
    input.keys.map(({ name }) => name),
    "keys",
  );
  const pair = conflictingPair(input.keys.map((key) => ({ ...key, mailbox_ids: null })));
  if (pair) throw bothWays(pair.map(({ name }) => name));
  const operator_email = await personAddress(env, input.operator_email, "operator_email");
  const approvers: string[] = [];
  for (const [index, text] of input.approvers.entries())
    approvers.push(await personAddress(env, text, `approvers.${index}`));
  const confirmed = new Set([operator_email, ...approvers].map(comparableAddress));
  const mailboxes: MailboxPlan[] = [];
  for (const [index, { address_local, ...settings }] of input.mailboxes.entries()) {
    const path = `mailboxes.${index}.`;
    const plan = {
      ...defaultPlan(tenantId, readMailboxAddress(env, { address_local })),
      ...(await readSettings(env, settings, path)),
    };
    refuseContradictions(plan, path);
    const unconfirmed = peopleOf(plan).filter((person) => !confirmed.has(comparableAddress(person)));
    mailboxes.push(withPeople(plan, unconfirmed));
  }
  refuseRepeated(
    mailboxes.map((plan) => plan.address),
    "mailboxes",
  );
  for (const plan of mailboxes) await refuseTaken(env, plan);
  return { operator_email, approvers, mailboxes };
}

function bothWays(names: readonly string[]): Refused {
  return new Refused(
    "conflicting_scopes",
    `By the keys ${names.join(" and ")} one agent could both send and approve.`,
    {
      issues: [{ path: "keys", message: "bind one agent to a key with send and to one with oversight" }],
    },
  );
}

function refuseRepeated(names: readonly string[], path: string): void {
  if (new Set(names).size === names.length) return;
  throw new Refused("invalid_input", `Two of the ${path} have the same name.`, {
    issues: [{ path, message: "names one twice" }],
  });
}

function boundMailboxes(env: Env, names: readonly string[] | null, mailboxes: readonly Mailbox[]): string[] | null {
  return (
    names?.map((name) => {
      const wanted = readMailboxAddress(env, { address_local: name });
      const found = mailboxes.find((mailbox) => mailbox.address === wanted);
      if (found) return found.id;
      throw new Refused("invalid_input", `${name} is none of this call's mailboxes.`, {
        issues: [{ path: "keys", message: "names a mailbox that this call does not make" }],
      });
    }) ?? null
  );
}

/**
 * Makes a tenant with its mailboxes and keys. A repeated call with the same name and operator finds that tenant and what is
 * there already, and makes its keys anew, since theirs cannot be shown again.
 * @param now milliseconds since the epoch.
 * @throws {Refused} before anything is made, unless an address is taken in the same moment.
 */
export async function setUp(env: Env, input: SetupIn, now: number): Promise<SetupAnswer> {
  const known = await findTenant(env.DB, input.name, input.operator_email);
  const tenantId = known ?? newId("ten", now);
  const { operator_email, approvers, mailboxes: plans } = await planOf(env, tenantId, input);
  boundOrRefuse(env, input, plans);
  if (known) await refuseBesideOlder(env, known, input);
  const dns_records = await ownDomain(env, now);
  const operator = operatorOf(tenantId);
  const tenant = { id: tenantId, name: input.name, operator_email, confirmed_approvers: approvers };
  unwrap(await callTenant(env, tenantId, (object) => object.provision(tenant)));
  await confirmPeople(env, operator, approvers);
  await reservePeople(env, tenantId, [...new Set(plans.flatMap(peopleOf))]);
  const mailboxes: Mailbox[] = [];
  for (const plan of plans) mailboxes.push((await makeMailbox(env, operator, plan, now)).mailbox);
  const keys: Record<string, string> = {};
  for (const { name, scopes, test, agent_id, mailboxes: bound } of input.keys) {
    const key = { name, scopes, test, agent_id, mailbox_ids: boundMailboxes(env, bound, mailboxes) };
    keys[name] = unwrap(
      await callTenant(env, tenantId, (object) => object.createKey(null, key), { repeatable: false }),
    ).key;
  }
  const account = unwrap(await callTenant(env, tenantId, (object) => object.account(operator)));
  const identity = await identityRecord(env, tenantId);
  return { tenant_id: tenantId, account, mailboxes, keys, dns_records: [...dns_records, identity] };
}

/** The tenant's key beside those of the domain: the domain is of all tenants, and so are several such records at one name. */
async function identityRecord(env: Env, tenantId: string): Promise<WantedRecord> {
  const active = (await callTenant(env, tenantId, (object) => object.identityKeys())).find((key) => key.active);
  if (!active) throw new Error("the tenant has no active identity key");
  return identityDnsRecord(domainOf(`@${env.MAIL_DOMAIN}`), active);
}

/** Before anything is made: the keys go with those that the tenant has from before. */
async function refuseBesideOlder(env: Env, tenantId: string, { keys }: SetupIn): Promise<void> {
  const wanted = keys.map(({ name, scopes, agent_id, test }) => ({ name, scopes, agent_id, test, mailbox_ids: null }));
  unwrap(await callTenant(env, tenantId, (object) => object.mayMakeKeys(wanted)));
}

/** Before anything is made: each mailbox that a key is bound to is one of this call's. */
function boundOrRefuse(env: Env, input: SetupIn, plans: readonly MailboxPlan[]): void {
  const planned = plans.map((plan) => ({ ...plan, id: "", created_at: "" }));
  for (const { mailboxes } of input.keys) boundMailboxes(env, mailboxes, planned);
}
