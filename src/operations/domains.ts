import { z } from "zod";
import type { ConfiguredDomain, DomainSettings, DomainWish, NeedsKeys } from "../../durable-objects/domain-rpc.ts";
import type { TenantRpc } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import type { Env } from "../env.ts";
import { type Outcome, Refused, unwrap } from "../errors.ts";
import { isId } from "../ids.ts";
import { domainOf, parseAddresses } from "../mail/address.ts";
import { dnsOverHttps } from "../mail/dns-over-https.ts";
import { readDomainName, shownDomain } from "../mail/domain-name.ts";
import { DKIM_KEY_TYPES, DMARC_POLICIES } from "../mail/domain-plan.ts";
import { publishedSpf } from "../mail/domain-zone.ts";
import { newDkimKeys } from "../store/domains.ts";
import { ownDomainOf } from "../store/identity-directory.ts";
import { callTenant, notFound } from "../store/mailbox-client.ts";
import { peopleAtDomain } from "../store/people.ts";
import { approvalCode, cursor, flag, limit } from "./fields.ts";
import { type Answer, defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, type PendingApproval, pendingApprovalShape } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { checksShape, DOMAIN_STATUSES, type Domain, domainShape, recordFindingShape } from "./shapes/domain.ts";

/** The tenant's own domains: what to publish, whether it is there, and the keys that sign. */

const MAX_URL = 500;

/** Where reports go: they are mailed, so an address is enough. */
const reportAddress = z.string().max(320).nullable().optional();

const configureIn = z.strictObject({
  domain: z.string().min(1).max(2_000).describe("In its own letters or as xn--; its DNS must be yours to change"),
  dkim_key_type: z
    .enum(DKIM_KEY_TYPES)
    .optional()
    .describe("dual, where left out: many receivers cannot check Ed25519"),
  dmarc_policy: z
    .enum(DMARC_POLICIES)
    .optional()
    .describe("The least that the domain is to publish; none, where left out"),
  dmarc_rua: reportAddress.describe("Who is sent DMARC reports"),
  mta_sts: flag.optional().describe("Whether to ask for MTA-STS"),
  tls_rpt: reportAddress.describe("Who is sent TLS reports"),
  bimi_logo_url: z
    .string()
    .max(MAX_URL)
    .regex(/^https:\/\/[\x21\x23-\x3a\x3c-\x7e]+$/, {
      error: "must be an https address of an SVG, without ; and quotes",
    })
    .nullable()
    .optional(),
  approval_code: approvalCode,
});
type ConfigureIn = z.output<typeof configureIn>;

/** @returns the bare address. @throws {Refused} `invalid_address` for what a record cannot name. */
function reportAddressOf(text: string, field: string): string {
  const parsed = parseAddresses([text], field);
  const [only] = parsed;
  // A comma, semicolon or exclamation mark means something else in the record (RFC 9989 §4.8, RFC 8460 §3).
  if (parsed.length === 1 && only && /^[^\s,;!"()<>]+$/.test(only.address)) return only.address;
  throw new Refused("invalid_address", `${field} must be one plain address.`, {
    issues: [{ path: field, message: "must be one plain address" }],
  });
}

function settingsOf(input: ConfigureIn): Partial<DomainSettings> {
  const { domain: _domain, approval_code: _code, dmarc_rua, tls_rpt, ...plain } = input;
  const settings = {
    ...plain,
    dmarc_rua: dmarc_rua ? reportAddressOf(dmarc_rua, "dmarc_rua") : dmarc_rua,
    tls_rpt: tls_rpt ? reportAddressOf(tls_rpt, "tls_rpt") : tls_rpt,
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** @throws {Refused} `invalid_input` for what is no domain of its own, and for the deployment's own domain and names below it. */
function readDomain({ MAIL_DOMAIN }: Env, text: string): string {
  const domain = readDomainName(text);
  const own = ownDomainOf(MAIL_DOMAIN);
  if (domain !== own && !domain.endsWith(`.${own}`)) return domain;
  throw new Refused("invalid_input", `${domain} belongs to this deployment itself.`, {
    issues: [{ path: "domain", message: "belongs to this deployment itself" }],
    hint: "Mailboxes there are made with address_local, without setting up anything.",
  });
}

/** Makes a change that may need keys: those take too long to be made where everybody else waits for the object. */
async function withKeys(
  { env, caller }: OperationContext,
  call: (
    tenant: TenantRpc,
    keys: ReturnType<typeof newDkimKeys> | null,
  ) => Promise<Outcome<ConfiguredDomain | NeedsKeys>>,
): Promise<ConfiguredDomain> {
  const first = unwrap(await callTenant(env, caller.tenant_id, (tenant) => call(tenant, null)));
  if (!("needs_keys" in first)) return first;
  const { domain, dkim_key_type } = first.needs_keys;
  const keys = newDkimKeys(env, domain, dkim_key_type);
  const second = unwrap(await callTenant(env, caller.tenant_id, (tenant) => call(tenant, keys)));
  if (!("needs_keys" in second)) return second;
  throw new Error(`the tenant object did not take the keys for ${domain}`);
}

/** Nothing says who has it, or whether control was proved. */
function claimedByAnother({ id, domain, dns_records }: Domain): Refused {
  return new Refused("domain_taken", `Another account has the domain ${shownDomain(domain)}.`, {
    hint: "If its DNS is yours, publish the ownership record below and call this again. An account that proved the same and uses the domain keeps it.",
    detail: { id, domain, status: "pending", dns_records },
  });
}

/** Whoever oversees from the domain could be cut off from their mail: its MX record may come to point here. */
async function askWhoOversees(
  context: OperationContext,
  domain: string,
  input: ConfigureIn,
): Promise<PendingApproval | null> {
  const { own } = await peopleAtDomain(context.env.DB, domain, context.caller.tenant_id);
  if (own.length === 0) return null;
  const words = `The domain ${domain} is set up for this account's mail. ${own.join(", ")} oversee from it: if its mail comes to this service, no mail reaches them any more.`;
  return operatorApproval(context, { operation: "configure_domain", input, words });
}

async function isConfigured({ env, caller }: OperationContext, domain: string): Promise<boolean> {
  return unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.isDomainConfigured(caller, domain)));
}

export const configureDomain = defineOperation({
  name: "configure_domain",
  summary: "Sets a domain up for sending, or changes how it is set up, and says what to publish. Harmless to repeat.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: configureIn,
  output: z.union([domainShape.extend({ idempotent: z.literal(true).optional() }), pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/domains" }],
  async handler(context, input): Promise<Answer<(Domain & { idempotent?: true }) | PendingApproval>> {
    const { env, caller } = context;
    const domain = readDomain(env, input.domain);
    const settings = settingsOf(input);
    if (!(await isConfigured(context, domain))) {
      const waiting = await askWhoOversees(context, domain, input);
      if (waiting) return { status: 202, body: waiting };
    }
    const reports = settings.dmarc_rua ? [domainOf(settings.dmarc_rua)] : [];
    unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.admitNames(caller, [domain, ...reports])));
    const spf = await publishedSpf(
      domain,
      dnsOverHttps(env.DOH_URL, (...request) => fetch(...request)),
    );
    const wish: DomainWish = { domain, settings, spf };
    const made = await withKeys(context, (tenant, keys) => tenant.configureDomain(caller, wish, keys));
    if (!made.is_claimed_by_another)
      return made.existed ? { status: 200, body: made.domain } : { status: 201, body: made.domain };
    const looked = unwrap(
      await callTenant(env, caller.tenant_id, (tenant) => tenant.lookAtDomain(caller, made.domain.id)),
    );
    if (looked.is_claimed_by_another) throw claimedByAnother(looked.domain);
    return { status: 200, body: looked.domain };
  },
});

export const listDomains = defineOperation({
  name: "list_domains",
  summary: "Lists the account's domains, and what each is to publish.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: (_input, body) => access({ action: "domains.listed", detail: { results: body?.domains.length ?? 0 } }),
  },
  input: z.strictObject({ limit, cursor }),
  output: z.object({ domains: z.array(domainShape), total: z.number(), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/domains" }],
  async handler({ env, caller }, { limit, cursor }) {
    if (cursor !== undefined && !isId("dom", cursor)) throw foreignCursor();
    const page = await callTenant(env, caller.tenant_id, (tenant) =>
      tenant.listDomains(caller, { limit, cursor: cursor ?? null }),
    );
    return { status: 200, body: unwrap(page) };
  },
});

const domain_id = z.string().min(1).max(64).describe("dom_…");

/** Calls the tenant object about a domain. @throws {Refused} `not_found` for what is no id of one. */
async function ofDomain<T>(
  { env, caller }: OperationContext,
  id: string,
  call: (tenant: TenantRpc) => Promise<Outcome<T>>,
): Promise<T> {
  if (!isId("dom", id)) throw notFound();
  return unwrap(await callTenant(env, caller.tenant_id, call));
}

export const getDomain = defineOperation({
  name: "get_domain",
  summary: "Reads a domain: what it is to publish, and what was found when it was looked at last.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: ({ domain_id }) => access({ action: "domain.read", resource: { type: "domain", id: domain_id } }),
  },
  input: z.strictObject({ domain_id }),
  output: domainShape,
  rest: [{ method: "GET", path: "/v1/domains/{domain_id}" }],
  async handler(context, { domain_id }) {
    const { caller } = context;
    return { status: 200, body: await ofDomain(context, domain_id, (tenant) => tenant.getDomain(caller, domain_id)) };
  },
});

export const deleteDomain = defineOperation({
  name: "delete_domain",
  summary: "Gives a domain up, and its DKIM keys with it. Refused while a mailbox is there.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({ domain_id }),
  output: domainShape.extend({ idempotent: z.literal(true).optional() }),
  rest: [{ method: "DELETE", path: "/v1/domains/{domain_id}" }],
  async handler(context, { domain_id }) {
    const { caller } = context;
    return {
      status: 200,
      body: await ofDomain(context, domain_id, (tenant) => tenant.deleteDomain(caller, domain_id)),
    };
  },
});

const alignmentShape = z.object({
  id: z.string(),
  domain: z.string(),
  status: z.enum(DOMAIN_STATUSES).describe("As this look found it"),
  checks: checksShape,
  detail: z.string(),
  findings: z.array(recordFindingShape),
  domain_status: z
    .enum(DOMAIN_STATUSES)
    .describe("As it is believed: a break is believed once two looks an hour apart saw it"),
  sending: domainShape.shape.sending,
  next_check_at: domainShape.shape.next_check_at,
});

export const verifyDomainAlignment = defineOperation({
  name: "verify_domain_alignment",
  summary: "Looks at the DNS now, and says of each record whether it is there, what was found and what to do.",
  scope: ["admin"],
  effect: "administer",
  recorded: {
    entry: ({ domain_id }, body) =>
      access({
        action: "domain.looked_at",
        resource: { type: "domain", id: domain_id },
        detail: { status: body?.status ?? null },
      }),
  },
  input: z.strictObject({ domain_id }),
  output: alignmentShape.extend({ idempotent: z.literal(true).optional() }),
  rest: [{ method: "POST", path: "/v1/domains/{domain_id}/verify" }],
  async handler(context, { domain_id }) {
    const { caller } = context;
    const { domain, found } = await ofDomain(context, domain_id, (tenant) => tenant.lookAtDomain(caller, domain_id));
    const { id, status, checks, detail, findings, sending, next_check_at } = domain;
    return {
      status: 200,
      body: {
        ...{ id, domain: domain.domain, status, checks, detail, findings },
        ...found,
        ...{ domain_status: status, sending, next_check_at },
      },
    };
  },
});

export const rotateDkim = defineOperation({
  name: "rotate_dkim",
  summary: "Makes new DKIM keys. They sign once they are seen published; the old ones stay published for a week after.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({ domain_id }),
  output: domainShape.extend({ idempotent: z.literal(true).optional() }),
  rest: [{ method: "POST", path: "/v1/domains/{domain_id}/rotate-dkim" }],
  async handler(context, { domain_id }) {
    const { caller } = context;
    if (!isId("dom", domain_id)) throw notFound();
    const { domain } = await withKeys(context, (tenant, keys) => tenant.rotateDkim(caller, domain_id, keys));
    return { status: 200, body: domain };
  },
});
