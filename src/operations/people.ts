import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import { comparableAddress, domainOf, parseAddresses } from "../mail/address.ts";
import { isMailboxAddress } from "../store/directory.ts";

/** Addresses of the people who oversee. None of them may be where an agent reads. */

/**
 * Reads the address of an approver or operator.
 * @param field the input's name.
 * @returns the bare address.
 * @throws {Refused} `approver_is_mailbox` if it is a mailbox of this deployment or could become one; `invalid_address`.
 */
export async function personAddress(env: Env, text: string, field: string): Promise<string> {
  const [parsed] = parseAddresses([text], field);
  if (!parsed)
    throw new Refused("invalid_address", `${field} is empty.`, { issues: [{ path: field, message: "is empty" }] });
  const exact = comparableAddress(parsed.address);
  // Mail to a mailbox's +tag arrives in that mailbox (RFC 5233).
  const candidates = [exact, withoutTag(exact)];
  const isOurs = domainOf(exact) === domainOf(`@${env.MAIL_DOMAIN}`) || (await isMailboxAddress(env.DB, candidates));
  if (isOurs) {
    throw new Refused(
      "approver_is_mailbox",
      `${field} is an address of this deployment, where agents read; a person's own address is needed.`,
      {
        issues: [{ path: field, message: "is a mailbox of this deployment, or could become one" }],
      },
    );
  }
  return parsed.address;
}

function withoutTag(address: string): string {
  const at = address.lastIndexOf("@");
  const plus = address.indexOf("+");
  return plus > 0 && plus < at ? address.slice(0, plus) + address.slice(at) : address;
}
