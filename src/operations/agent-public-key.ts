import { z } from "zod";
import { access } from "../audit/access.ts";
import { Refused } from "../errors.ts";
import { domainOf } from "../mail/address.ts";
import { findVerifiedDomain, identityFacts, isKnownAgent, ownDomainOf } from "../store/identity-directory.ts";
import { notFound } from "../store/mailbox-client.ts";
import { knownAgentId } from "./fields.ts";
import { keyCaching, tenantAskedFor, tenantReference } from "./identity-keys.ts";
import { defineOperation, type OperationContext } from "./operation.ts";

/** The Ed25519 key that the domain-bound form is signed with (FORMATS.md §2.2). */

/** What goes before the raw key in its SPKI (RFC 8410 §4). */
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");

interface Asked {
  domain: string;
  tenant_id: string;
  ed25519: Uint8Array[];
  /** The request says all of it, whoever makes it. */
  isSaid: boolean;
}

/**
 * By a domain: its owner's agents. The deployment's own domain is of all tenants, so there one has to be said too.
 * @throws {Refused} `not_found` for a domain that is not set up here, or of another tenant than the one that is named.
 */
async function byDomain({ env, caller }: OperationContext, domain: string, named: string | undefined): Promise<Asked> {
  const found = await findVerifiedDomain(env.DB, domain);
  if (!found) throw notFound();
  const tenant_id = found.tenant_id ?? tenantAskedFor(caller, named);
  if (named !== undefined && named !== tenant_id) throw notFound();
  // On the deployment's own domain only those have agents who have a mailbox there.
  const facts = found.tenant_id === null ? await identityFacts(env.DB, env.MAIL_DOMAIN, tenant_id) : null;
  if (found.tenant_id === null && !facts?.domains.includes(domain)) throw notFound();
  return { domain, tenant_id, ed25519: found.ed25519, isSaid: found.tenant_id !== null || named !== undefined };
}

/** By a tenant: its own domain if it has just one, else the deployment's. */
async function byTenant(context: OperationContext, named: string | undefined): Promise<Asked> {
  const { env, caller } = context;
  const tenant_id = tenantAskedFor(caller, named);
  const shared = ownDomainOf(env.MAIL_DOMAIN);
  const domains = (await identityFacts(env.DB, env.MAIL_DOMAIN, tenant_id))?.domains ?? [];
  const own = domains.filter((domain) => domain !== shared);
  const found = await byDomain(context, own.length === 1 && own[0] !== undefined ? own[0] : shared, tenant_id);
  return { ...found, isSaid: named !== undefined };
}

export const getAgentPublicKey = defineOperation({
  name: "get_agent_public_key",
  summary: "Reads the Ed25519 key that an agent's mail is signed with where its domain signs.",
  scope: "public",
  effect: null,
  recorded: {
    entry: ({ agent_id, domain, tenant_id }) =>
      access({ action: "identity.agent_key_read", personal: { agent_id, domain, tenant_id } }),
  },
  readableByPages: true,
  input: z.strictObject({
    agent_id: knownAgentId,
    domain: z.string().min(1).max(253).optional().describe("The domain of the mail's From"),
    tenant_id: tenantReference,
  }),
  output: z.object({
    public_key_der: z.string().describe("SPKI, base64"),
    domain: z.string(),
    agent_id: z.string(),
  }),
  rest: [{ method: "GET", path: "/v1/identity/pubkey/{agent_id}" }],
  async handler(context, { agent_id, domain, tenant_id }) {
    const asked =
      domain === undefined
        ? await byTenant(context, tenant_id)
        : await byDomain(context, domainOf(`@${domain}`), tenant_id);
    if (!(await isKnownAgent(context.env.DB, asked.tenant_id, agent_id))) throw notFound();
    const [key] = asked.ed25519;
    if (!key) {
      throw new Refused("invalid_input", `The domain ${asked.domain} has no Ed25519 key.`, {
        hint: "Mail of this domain is signed with the tenant's own key: see get_identity_public_key.",
      });
    }
    return {
      status: 200,
      body: {
        public_key_der: Buffer.concat([ED25519_SPKI, key]).toString("base64"),
        domain: asked.domain,
        agent_id,
      },
      headers: keyCaching(asked.isSaid),
    };
  },
});
