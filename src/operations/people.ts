import type { Env } from "../env.ts";
import { type ErrorCode, Refused, unwrap } from "../errors.ts";
import { domainOf, parseAddresses } from "../mail/address.ts";
import type { Caller } from "../oversight/caller.ts";
import { isMailboxAddress } from "../store/directory.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { mailboxCandidates, recordPeople } from "../store/people.ts";

/** Addresses of the people who oversee. None of them may be where an agent reads. */

/**
 * Reads the address of an approver, delegate or operator.
 * @param field the input's name.
 * @returns the bare address.
 * @throws {Refused} `approver_is_mailbox` if it is a mailbox of this deployment or could become one; `invalid_address`.
 */
export async function personAddress(env: Env, text: string, field: string): Promise<string> {
  const address = readOne(text, field);
  const isOurs =
    domainOf(address) === domainOf(`@${env.MAIL_DOMAIN}`) ||
    (await isMailboxAddress(env.DB, mailboxCandidates(address)));
  if (isOurs) {
    throw new Refused(
      "approver_is_mailbox",
      `${field} is an address of this deployment, where agents read; a person's own address is needed.`,
      {
        issues: [{ path: field, message: "is a mailbox of this deployment, or could become one" }],
      },
    );
  }
  return address;
}

/** One address; `parseAddresses` counts what it reads, here there is nothing to count. */
function readOne(text: string, field: string): string {
  const wrong = (code: ErrorCode, message: string) =>
    new Refused(code, `${field}: ${message}.`, { issues: [{ path: field, message }] });
  try {
    const [parsed] = parseAddresses([text], field);
    if (parsed) return parsed.address;
  } catch (error) {
    if (error instanceof Refused) throw wrong(error.refusal.code, error.refusal.issues?.[0]?.message ?? error.message);
    throw error;
  }
  throw wrong("invalid_address", "is empty");
}

/**
 * Keeps people's addresses from becoming mailboxes from now on, whether or not the operator has confirmed them.
 * @throws {Refused} `approver_is_mailbox` if one of them became a mailbox in this moment.
 */
export async function reservePeople(env: Env, tenantId: string, people: readonly string[]): Promise<void> {
  if (await recordPeople(env.DB, tenantId, people)) return;
  throw new Refused(
    "approver_is_mailbox",
    "One of these people has an address of this deployment, where agents read.",
    {
      hint: "Name a person's own address.",
    },
  );
}

/**
 * @param people bare addresses.
 * @returns those of them whom the operator of the tenant has not confirmed.
 */
export async function unconfirmedOf(env: Env, tenantId: string, people: readonly string[]): Promise<string[]> {
  if (people.length === 0) return [];
  const { confirmed } = await callTenant(env, tenantId, (tenant) => tenant.whoOversees(people));
  return people.filter((person) => !confirmed.includes(person));
}

/** The operator allowed a change whose words name people they did not know before, and so confirmed them. */
export async function confirmPeople(env: Env, caller: Caller, people: readonly string[]): Promise<void> {
  for (const person of people) {
    unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.confirmApprover(caller, person)));
  }
}
