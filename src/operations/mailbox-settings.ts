import { z } from "zod";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import {
  comparableAddress,
  domainOf,
  formatAddress,
  parseAddresses,
  refuseControlCharacters,
} from "../mail/address.ts";
import { addresses, flag, headerText, octets } from "./fields.ts";
import { modeSchema } from "./shapes.ts";

/** The settings of a mailbox as they come in, for create_mailbox, update_mailbox and the set-up. */

const MAX_COPIES = 10;
const MAX_NAME_CHARACTERS = 128;
const MAX_SIGNATURE_OCTETS = 4 * 1024;
/** FORMATS.md §1: the address enters claims in header lines that are never folded. */
const MAX_ADDRESS_OCTETS = 86;

export const mailboxSettingsIn = {
  display_name: headerText(MAX_NAME_CHARACTERS).nullable().optional(),
  oversight_mode: modeSchema.optional(),
  approver_email: z.string().max(320).nullable().optional().describe("Who decides; null: the operator"),
  ai_disclosure: flag.optional().describe("Whether its mail says that an AI wrote it"),
  auto_cc: addresses.optional(),
  auto_bcc: addresses.optional(),
  signature_block: octets(MAX_SIGNATURE_OCTETS).nullable().optional(),
  oversight_keys_may_decide: flag.optional().describe("Whether keys with oversight may decide in place of people"),
};

/** @returns addresses that get a copy of everything. @throws {Refused} for one that cannot be an address. */
export function readCopies(given: string | string[] | undefined, field: string): string[] | undefined {
  if (given === undefined) return undefined;
  const copies = parseAddresses(given, field).map(formatAddress);
  if (copies.length <= MAX_COPIES) return copies;
  throw new Refused("invalid_input", `${field} may name at most ${MAX_COPIES} addresses.`, {
    issues: [{ path: field, message: `may name at most ${MAX_COPIES} addresses` }],
  });
}

/** What a local part may be made of here: what every mail system takes, with no two spellings of one address. */
const LOCAL_PART = /^[a-z0-9](?:[a-z0-9]|[._-](?=[a-z0-9])){0,63}$/;
/**
 * Local parts that no mailbox gets: the service's own (system-mail.ts; a test holds the two together), RFC 2142's roles, and
 * those that others trust with certificates (CA/Browser Forum Baseline Requirements, 3.2.2.4.4).
 */
const RESERVED: ReadonlySet<string> = new Set([
  ...["approvals", "no-reply", "noreply", "root", "mailer-daemon"],
  ...["postmaster", "abuse", "hostmaster", "webmaster", "security", "noc"],
  ...["admin", "administrator"],
]);

/**
 * @param wanted a local part for the deployment's own domain, or a whole address on a verified domain.
 * @returns the mailbox's address in its comparable form.
 * @throws {Refused} `invalid_address`; `address_taken` for the service's own; `invalid_input` for a domain not verified here.
 */
export function readMailboxAddress(
  env: Env,
  wanted: { address?: string | undefined; address_local?: string | undefined },
): string {
  const field = wanted.address === undefined ? "address_local" : "address";
  const text = wanted.address ?? `${wanted.address_local}@${env.MAIL_DOMAIN}`;
  refuseControlCharacters(text, field);
  const wrong = (message: string) =>
    new Refused("invalid_address", `${field} ${message}.`, { issues: [{ path: field, message }] });
  const [parsed] = wanted.address_local?.includes("@") ? [] : parseAddresses([text], field);
  if (!parsed) throw wrong("must be a local part alone; `address` takes a whole address");
  const address = comparableAddress(parsed.address);
  const local = address.slice(0, address.lastIndexOf("@"));
  if (!LOCAL_PART.test(local)) throw wrong("may have letters, digits and single . _ - between them before the @");
  if (address.length > MAX_ADDRESS_OCTETS) throw wrong(`may have at most ${MAX_ADDRESS_OCTETS} characters`);
  if (domainOf(address) !== domainOf(`@${env.MAIL_DOMAIN}`)) {
    throw new Refused(
      "invalid_input",
      `The domain ${domainOf(address)} is not verified here; it must be before it can have mailboxes.`,
      {
        issues: [{ path: field, message: "its domain must be verified first" }],
        hint: `Use address_local for a mailbox at ${env.MAIL_DOMAIN}.`,
      },
    );
  }
  if (RESERVED.has(local)) throw new Refused("address_taken", `${address} belongs to the service itself.`);
  return address;
}
