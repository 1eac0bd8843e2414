import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import {
  ACCOUNT_DEFAULTS,
  type AccountSettings,
  accountLoosening,
  changedSettings,
} from "../../src/operations/account-settings.ts";
import type { Account } from "../../src/operations/shapes/account.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { recordPeople } from "../../src/store/people.ts";
import { countMailboxes, recordTenant } from "../../src/store/tenant-projection.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { AccountChange, AccountUpdateAnswer, NewTenant } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { StoredTenant, TenantBase } from "./base.ts";

/** The tenant itself, its operator, and the people whom the operator has confirmed. */

const IS_MAILBOX = refused(
  "approver_is_mailbox",
  "An address of a person who oversees is a mailbox of this deployment, where agents read.",
  { hint: "Name a person's own address." },
);

/** Makes the tenant. @param establish makes the object's tables; inside `commit`. */
export async function provision(box: TenantBase, tenant: NewTenant, establish: () => void): Promise<Outcome<Account>> {
  const people = [tenant.operator_email, ...tenant.confirmed_approvers];
  // Reserved first, since only in D1 an address is unique. A crash here leaves people reserved who oversee nothing.
  if (!(await recordPeople(box.environment().DB, tenant.id, people))) return IS_MAILBOX;
  if (!box.isProvisioned()) {
    box.commit(() => {
      establish();
      const confirmed_approvers = tenant.confirmed_approvers.map(comparableAddress);
      box.saveTenant({ ...tenant, confirmed_approvers, created_at: box.time() });
      box.record({
        actor: { ...SYSTEM, type: "human", id: "operator" },
        action: "tenant.created",
        resource: { type: "tenant", id: tenant.id },
        personal: { name: tenant.name, operator_email: tenant.operator_email, approvers: tenant.confirmed_approvers },
      });
    });
  }
  const stored = box.tenant();
  await recordTenant(box.environment().DB, stored);
  return accepted(await accountOf(box, stored));
}

export async function account(box: TenantBase, caller: Caller): Promise<Outcome<Account>> {
  return box.isMine(caller) ? accepted(await accountOf(box, box.tenant())) : notFound();
}

/** Changes the account's settings; see TenantRpc. What changed is on record, and what says something of people is sealed. */
export async function updateAccount(
  box: TenantBase,
  caller: Caller,
  change: AccountChange,
  approvedWords: string | null,
): Promise<Outcome<AccountUpdateAnswer>> {
  if (!box.isMine(caller)) return notFound();
  if (caller.mailbox_ids !== null) {
    return refused("mailbox_not_allowed", "This key is bound to its mailboxes and cannot change the whole account.");
  }
  const before = settingsOf(box.tenant());
  const after = { ...before, ...change };
  const words = accountLoosening(before, after);
  if (words !== null && words !== approvedWords) return accepted({ needs_approval: { change: words } });
  const changed = changedSettings(before, after);
  if (changed.length > 0) {
    box.commit(() => {
      box.saveTenant({ ...box.tenant(), ...change });
      const { postal_address, auditor_email, ...open } = Object.fromEntries(
        changed.map((name) => [name, after[name]]),
      ) as Partial<AccountSettings>;
      box.record({
        actor: actorOf(caller),
        action: "account.updated",
        resource: { type: "tenant", id: box.tenant().id },
        detail: { changed, ...open },
        ...((postal_address !== undefined || auditor_email !== undefined) && {
          personal: {
            ...(postal_address !== undefined && { postal_address }),
            ...(auditor_email !== undefined && { auditor_email }),
          },
        }),
      });
    });
  } else noteUnchanged(box, caller, "account.updated", { type: "tenant", id: caller.tenant_id });
  // Also where nothing changed: an earlier call may have broken off before this.
  const stored = box.tenant();
  await recordTenant(box.environment().DB, stored);
  return accepted({ account: await accountOf(box, stored) });
}

/** @returns what the account has decided, with the defaults of what it has not. */
export function settingsOf({
  postal_address = ACCOUNT_DEFAULTS.postal_address,
  audit_retention_days = ACCOUNT_DEFAULTS.audit_retention_days,
  legal_hold = ACCOUNT_DEFAULTS.legal_hold,
  auditor_email = ACCOUNT_DEFAULTS.auditor_email,
  witnesses = ACCOUNT_DEFAULTS.witnesses,
}: StoredTenant): AccountSettings {
  return { postal_address, audit_retention_days, legal_hold, auditor_email, witnesses };
}

async function accountOf(box: TenantBase, tenant: StoredTenant): Promise<Account> {
  const { id, name, operator_email, confirmed_approvers, created_at } = tenant;
  const mailbox_count = await countMailboxes(box.environment().DB, id);
  const approvers = confirmed_approvers;
  return { id, tenant_id: id, name, operator_email, approvers, mailbox_count, ...settingsOf(tenant), created_at };
}

/** @returns those of `people` whom the operator has confirmed, as they are given; the operator counts as one. */
export function whoOversees(box: TenantBase, people: readonly string[]): { confirmed: string[]; operator: string } {
  const { confirmed_approvers, operator_email } = box.tenant();
  const known = new Set([operator_email, ...confirmed_approvers].map(comparableAddress));
  return { confirmed: people.filter((each) => known.has(comparableAddress(each))), operator: operator_email };
}

export async function confirmApprover(box: TenantBase, caller: Caller, address: string): Promise<Outcome<true>> {
  if (!box.isMine(caller)) return notFound();
  if (whoOversees(box, [address]).confirmed.length > 0) return accepted(true);
  if (!(await recordPeople(box.environment().DB, caller.tenant_id, [address]))) return IS_MAILBOX;
  // Another call may have confirmed the same person meanwhile.
  if (whoOversees(box, [address]).confirmed.length > 0) return accepted(true);
  box.commit(() => {
    const tenant = box.tenant();
    box.saveTenant({ ...tenant, confirmed_approvers: [...tenant.confirmed_approvers, comparableAddress(address)] });
    box.record({
      actor: actorOf(caller),
      action: "approver.confirmed",
      resource: { type: "tenant", id: tenant.id },
      personal: { address },
    });
  });
  return accepted(true);
}
