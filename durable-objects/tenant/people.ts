import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import type { Account } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { recordPeople } from "../../src/store/people.ts";
import { countMailboxes, recordTenant } from "../../src/store/tenant-projection.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { AccountChange, NewTenant } from "../tenant-rpc.ts";
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

/** Changes the account. What the footer of promotional mail says is on record with every change of it. */
export async function updateAccount(
  box: TenantBase,
  caller: Caller,
  { postal_address }: AccountChange,
): Promise<Outcome<Account>> {
  if (!box.isMine(caller)) return notFound();
  if (caller.mailbox_ids !== null) {
    return refused("mailbox_not_allowed", "This key is bound to its mailboxes and cannot change the whole account.");
  }
  const before = box.tenant();
  if (postal_address !== undefined && postal_address !== (before.postal_address ?? null)) {
    box.commit(() => {
      box.saveTenant({ ...before, postal_address });
      box.record({
        actor: actorOf(caller),
        action: "account.updated",
        resource: { type: "tenant", id: before.id },
        detail: { changed: ["postal_address"] },
        personal: { postal_address },
      });
    });
  }
  // Also where nothing changed: an earlier call may have broken off before this.
  const stored = box.tenant();
  await recordTenant(box.environment().DB, stored);
  return accepted(await accountOf(box, stored));
}

async function accountOf(box: TenantBase, tenant: StoredTenant): Promise<Account> {
  const { id, name, operator_email, confirmed_approvers, created_at, postal_address = null } = tenant;
  const mailbox_count = await countMailboxes(box.environment().DB, id);
  const approvers = confirmed_approvers;
  return { id, tenant_id: id, name, operator_email, approvers, mailbox_count, postal_address, created_at };
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
