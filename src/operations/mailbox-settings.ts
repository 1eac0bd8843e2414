import { z } from "zod";
import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import { CLAIM_LIMITS, IDENTITY_FORMATS } from "../identity/claim.ts";
import { comparableAddress, formatAddress, parseAddresses, refuseControlCharacters } from "../mail/address.ts";
import { DMARC_FAIL_ACTIONS } from "../mail/dmarc-action.ts";
import { readDomainName } from "../mail/domain-name.ts";
import type { ForwardRule } from "../mail/forward-rules.ts";
import { MAX_SUBJECT_CHARACTERS } from "../mail/limits.ts";
import { parseRecipientPattern } from "../oversight/recipient-patterns.ts";
import { contradictions, type DecidingSettings } from "../oversight/settings-loosening.ts";
import { approversIn, readApprovers, readDelegations } from "./approvers.ts";
import { addresses, flag, headerText, octets, oneTagKey, wholeNumber } from "./fields.ts";
import { NOTIFY_RHYTHMS } from "./shapes/mailbox.ts";
import { modeSchema } from "./shapes/values.ts";

/** The settings of a mailbox as they come in, for create_mailbox, update_mailbox and the set-up. */

const MAX_COPIES = 10;
/** Each is a server that is believed; a person has to know them all. */
const MAX_TRUSTED_SEALERS = 20;
/** Each is read for every message that arrives. */
const MAX_FORWARD_RULES = 20;
/** A hundred years. */
const MAX_RETENTION_DAYS = 36_500;
/** Each is read for every message that grows old. */
const MAX_RETENTION_TAGS = 50;
const MAX_NAME_CHARACTERS = 128;
const MAX_SIGNATURE_OCTETS = 4 * 1024;
const DAY_SECONDS = 24 * 3600;
/** Whoever is asked needs some time, and an item some time to be seen; nobody comes back to what waits for longer. */
const ESCALATE_SECONDS = { least: 60, most: 30 * DAY_SECONDS };
const EXPIRE_SECONDS = { least: 300, most: 365 * DAY_SECONDS };

const forwardRuleIn = z
  .strictObject({
    from_pattern: z.string().nullable().default(null).describe("An address, a domain, or a glob of either"),
    subject_contains: headerText(MAX_SUBJECT_CHARACTERS, 1).nullable().default(null).describe("Case does not matter"),
    to: z.string().max(320).describe("Who gets it"),
  })
  .refine(({ from_pattern, subject_contains }) => from_pattern !== null || subject_contains !== null, {
    error: "needs from_pattern or subject_contains; forward_inbound passes everything on",
  });

const days = wholeNumber(1, MAX_RETENTION_DAYS).nullable();
const retentionIn = z
  .strictObject({ days: days.default(null), tags: z.record(oneTagKey, days).default({}) })
  .refine(({ tags }) => Object.keys(tags).length <= MAX_RETENTION_TAGS, {
    error: `may name at most ${MAX_RETENTION_TAGS} tags`,
  });

export const mailboxSettingsIn = {
  display_name: headerText(MAX_NAME_CHARACTERS).nullable().optional(),
  oversight_mode: modeSchema.optional(),
  ...approversIn,
  escalate_after: wholeNumber(ESCALATE_SECONDS.least, ESCALATE_SECONDS.most)
    .nullable()
    .optional()
    .describe("Seconds after which the next approver is asked; null: all are asked at once"),
  expires_after: wholeNumber(EXPIRE_SECONDS.least, EXPIRE_SECONDS.most)
    .nullable()
    .optional()
    .describe("Seconds after which what nobody decided has expired; null: never"),
  notify: z.enum(NOTIFY_RHYTHMS).optional().describe("How people are told of what waits"),
  paused: flag.optional().describe("The panic switch: nothing leaves until it is lifted, and nothing is lost"),
  default_gate_timing: z
    .enum(["gate_first", "schedule_first"])
    .optional()
    .describe("Whether mail for later is decided now, or once its time has come"),
  scheduling_enabled: flag.optional().describe("Whether mail may be scheduled for later"),
  risk_threshold: z
    .unknown()
    .optional()
    .refine((value) => value === undefined, { error: "is only shown here; set_policy sets it, as risk_block" })
    .describe("Not taken: set_policy sets it, as risk_block"),
  ai_disclosure: flag.optional().describe("Whether its mail says that an AI wrote it"),
  identity_signing: flag.optional().describe("Whether its mail is signed with its agent's identity"),
  identity_format: z
    .enum(IDENTITY_FORMATS)
    .optional()
    .describe("What X-MultiMail-Identity holds: the whole claim, or agent and mode signed by the domain's Ed25519 key"),
  auto_cc: addresses.optional(),
  auto_bcc: addresses.optional(),
  forward_inbound: z.string().max(320).nullable().optional().describe("Who gets everything that arrives; null: nobody"),
  forward_rules: z.array(forwardRuleIn).max(MAX_FORWARD_RULES).optional().describe("Who gets what of it"),
  signature_block: octets(MAX_SIGNATURE_OCTETS).nullable().optional(),
  dmarc_fail_action: z
    .enum(DMARC_FAIL_ACTIONS)
    .optional()
    .describe("What is done with mail that fails DMARC, at most; what its domain asks for is never exceeded"),
  trusted_arc_sealers: z
    .array(z.string())
    .max(MAX_TRUSTED_SEALERS)
    .optional()
    .describe("Domains whose ARC seal vouches for mail that fails DMARC only since they passed it on"),
  oversight_keys_may_decide: flag.optional().describe("Whether keys with oversight may decide in place of people"),
  legal_hold: flag.optional().describe("While it is on, nothing of the mailbox is erased"),
  content_retention: retentionIn
    .optional()
    .describe(
      "For how many days what its messages say is kept; null: always. A tag with fewer days than the mailbox counts only where a key with admin set it",
    ),
};

type SettingsIn = z.output<z.ZodObject<typeof mailboxSettingsIn>>;
/** Settings as they are stored, but for whom of the people the operator has confirmed. */
export type ReadSettings = Omit<MailboxChange, "approvers_pending">;

/**
 * Reads what an input says of a mailbox's settings.
 * @param path the input's own, for the paths of issues: empty, or `mailboxes.0.`.
 * @returns the settings that it names.
 * @throws {Refused} for a person or copy that is not taken.
 */
export async function readSettings(env: Env, input: SettingsIn, path = ""): Promise<ReadSettings> {
  const { approver_email, approvers, delegations, auto_cc, auto_bcc, risk_threshold: _shown, ...others } = input;
  const { forward_inbound, forward_rules, trusted_arc_sealers: sealers } = input;
  const settings = {
    ...others,
    approvers: await readApprovers(env, { approver_email, approvers }, path),
    delegations: await readDelegations(env, delegations, path),
    auto_cc: readCopies(auto_cc, `${path}auto_cc`),
    auto_bcc: readCopies(auto_bcc, `${path}auto_bcc`),
    forward_inbound: forward_inbound == null ? forward_inbound : readTarget(forward_inbound, `${path}forward_inbound`),
    forward_rules: forward_rules?.map((rule, index) => readForwardRule(rule, `${path}forward_rules.${index}`)),
    trusted_arc_sealers: sealers && readSealers(sealers, `${path}trusted_arc_sealers`),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** @throws {Refused} `invalid_input` for settings that contradict each other, with an issue for each. */
export function refuseContradictions(settings: DecidingSettings, path = ""): void {
  const issues = contradictions(settings).map((issue) => ({ ...issue, path: `${path}${issue.path}` }));
  if (issues[0]) throw new Refused("invalid_input", `${issues[0].path} ${issues[0].message}.`, { issues });
}

/** @returns addresses that get a copy of everything. @throws {Refused} for one that cannot be an address. */
export function readCopies(given: string | string[] | undefined, field: string): string[] | undefined {
  if (given === undefined) return undefined;
  const copies = parseAddresses(given, field).map(formatAddress);
  if (copies.length <= MAX_COPIES) return copies;
  throw new Refused("invalid_input", `${field} may name at most ${MAX_COPIES} addresses.`, {
    issues: [{ path: field, message: `may name at most ${MAX_COPIES} addresses` }],
  });
}

/** @returns a bare address. @throws {Refused} for what is not one address that can be written to. */
function readTarget(text: string, field: string): string {
  const [parsed, ...more] = parseAddresses(text, field);
  if (parsed && more.length === 0) return parsed.address;
  const message = "must be one address";
  throw new Refused("invalid_address", `${field} ${message}.`, { issues: [{ path: field, message }] });
}

/** @returns the rule with its pattern in the normal form. @throws {Refused} for one that matches no sender, or everyone. */
function readForwardRule(rule: ForwardRule, field: string): ForwardRule {
  const from_pattern = rule.from_pattern === null ? null : parseRecipientPattern(rule.from_pattern);
  if (rule.from_pattern !== null && from_pattern === null) {
    const path = `${field}.from_pattern`;
    const message = "must be an address, a domain, or a glob of either such as *@customer.example";
    throw new Refused("invalid_input", `${path} ${message}.`, { issues: [{ path, message }] });
  }
  return { ...rule, from_pattern, to: readTarget(rule.to, `${field}.to`) };
}

/** @returns domains in A-labels, each once. @throws {Refused} for one that cannot be a domain. */
function readSealers(given: readonly string[], field: string): string[] {
  return [...new Set(given.map((domain, index) => readDomainName(domain, `${field}.${index}`)))];
}

/** What a local part may be made of here: what every mail system takes, with no two spellings of one address. */
const LOCAL_PART = /^[a-z0-9](?:[a-z0-9]|[._-](?=[a-z0-9])){0,63}$/;
/**
 * Local parts that no mailbox gets: the service's own (system-mail.ts; a test holds the two together), RFC 2142's roles, and
 * those that others trust with certificates (CA/Browser Forum Baseline Requirements, 3.2.2.4.4).
 */
const RESERVED: ReadonlySet<string> = new Set([
  ...["approvals", "bounces", "complaints", "no-reply", "noreply", "root", "mailer-daemon"],
  ...["postmaster", "abuse", "hostmaster", "webmaster", "security", "noc"],
  ...["admin", "administrator"],
]);

/**
 * @param wanted a local part for the deployment's own domain, or a whole address; whether its domain may have mailboxes is for
 *   `refuseOtherDomain` to say.
 * @returns the mailbox's address in its comparable form.
 * @throws {Refused} `invalid_address`; `address_taken` for the service's own.
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
  // The address enters claims; it is ASCII here, so that its characters are octets.
  if (address.length > CLAIM_LIMITS.mailbox) throw wrong(`may have at most ${CLAIM_LIMITS.mailbox} characters`);
  if (RESERVED.has(local)) throw new Refused("address_taken", `${address} belongs to the service itself.`);
  return address;
}
