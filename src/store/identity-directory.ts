import type { PublishedIdentityKey } from "../../durable-objects/tenant-rpc.ts";
import type { PublicJwk } from "../identity/keys.ts";
import { comparableAddress, domainOf } from "../mail/address.ts";
import type { StoredDkimKey } from "./domains.ts";

/** What D1 knows of identities: keys by tenant, domains by tenant, and which agents a tenant has. */

/** A key as the tenant object brings it here. */
export interface ProjectedIdentityKey extends PublishedIdentityKey {
  version: number;
}

interface KeyRow extends Omit<PublishedIdentityKey, "public_jwk" | "active"> {
  public_jwk: string;
  active: number;
}

/** What is published of a tenant. */
export interface IdentityFacts {
  /** The 100 newest, the oldest of them first. */
  keys: PublishedIdentityKey[];
  /** Domains that it may write from, in lower-case A-labels: its verified ones, and the deployment's own if it has a mailbox there. */
  domains: string[];
}

/** Writes keys of a tenant, all of them or none. An older version never overwrites a newer one, and a revocation stays. */
export async function recordIdentityKeys(
  db: D1Database,
  tenantId: string,
  keys: readonly ProjectedIdentityKey[],
): Promise<void> {
  const statement = db.prepare(
    `INSERT INTO identity_keys (kid, tenant_id, public_jwk, not_before, retired_at, revoked_at, active, version)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     ON CONFLICT (kid) DO UPDATE SET retired_at = excluded.retired_at, revoked_at = coalesce(revoked_at, excluded.revoked_at),
       active = excluded.active, version = excluded.version
     WHERE identity_keys.version < excluded.version AND tenant_id = excluded.tenant_id`,
  );
  await db.batch(
    keys.map(({ kid, public_jwk, not_before, retired_at, revoked_at, active, version }) =>
      statement.bind(
        ...[kid, tenantId, JSON.stringify(public_jwk), not_before, retired_at, revoked_at],
        ...[active ? 1 : 0, version],
      ),
    ),
  );
}

/** Readers take no document of more keys (KEY_LIMITS); an older key is still told to whoever names it. */
const NEWEST = 100;

const KEYS = `SELECT kid, public_jwk, not_before, retired_at, revoked_at, active FROM identity_keys
  WHERE tenant_id = ?1 AND kid IN (
    SELECT ?2 UNION SELECT kid FROM (SELECT kid FROM identity_keys WHERE tenant_id = ?1 ORDER BY kid DESC LIMIT ?3))
  ORDER BY kid`;
const DOMAINS = `SELECT domain FROM domains WHERE tenant_id = ?1 AND status = 'verified'
  UNION SELECT ?2 WHERE EXISTS (
    SELECT 1 FROM mailboxes WHERE tenant_id = ?1 AND substr(address, instr(address, '@') + 1) = ?2)
  ORDER BY 1`;

function keyOf({ public_jwk, active, ...key }: KeyRow): PublishedIdentityKey {
  return { ...key, public_jwk: JSON.parse(public_jwk) as PublicJwk, active: active === 1 };
}

function statements(
  db: D1Database,
  mailDomain: string,
  tenantId: string,
  kid: string | null,
): [D1PreparedStatement, D1PreparedStatement] {
  const others = kid === null ? NEWEST : NEWEST - 1;
  return [db.prepare(KEYS).bind(tenantId, kid, others), db.prepare(DOMAINS).bind(tenantId, ownDomainOf(mailDomain))];
}

/** @returns the deployment's own domain as D1 has it. */
export function ownDomainOf(mailDomain: string): string {
  return domainOf(`@${mailDomain}`);
}

/** @param kid a key that is wanted, however old it is. @returns null if there is no such tenant. */
export async function identityFacts(
  db: D1Database,
  mailDomain: string,
  tenantId: string,
  kid: string | null = null,
): Promise<IdentityFacts | null> {
  const [tenant, keys, domains] = await db.batch([
    db.prepare("SELECT 1 FROM tenants WHERE id = ?1").bind(tenantId),
    ...statements(db, mailDomain, tenantId, kid),
  ]);
  if (!tenant || tenant.results.length === 0) return null;
  return {
    keys: ((keys?.results ?? []) as unknown as KeyRow[]).map(keyOf),
    domains: ((domains?.results ?? []) as { domain: string }[]).map(({ domain }) => domain),
  };
}

/**
 * The same for the tenant that an address belongs to, and the Ed25519 keys of the address's domain, raw 32 bytes.
 * @returns null if the address is of nobody here.
 */
export async function identityFactsOfSender(
  db: D1Database,
  mailDomain: string,
  fromAddress: string,
): Promise<(IdentityFacts & { tenant_id: string; ed25519: Uint8Array[] }) | null> {
  const address = comparableAddress(fromAddress);
  const [mailboxes, domains] = await db.batch([
    db.prepare("SELECT tenant_id FROM mailboxes WHERE address = ?1").bind(address),
    db
      .prepare("SELECT tenant_id, dkim_keys FROM domains WHERE domain = ?1 AND status = 'verified'")
      .bind(domainOf(address)),
  ]);
  const [mailbox] = (mailboxes?.results ?? []) as { tenant_id: string }[];
  const [domain] = (domains?.results ?? []) as { tenant_id: string | null; dkim_keys: string }[];
  const tenant_id = mailbox?.tenant_id ?? domain?.tenant_id ?? null;
  const facts = tenant_id === null ? null : await identityFacts(db, mailDomain, tenant_id);
  if (tenant_id === null || !facts) return null;
  return { ...facts, tenant_id, ed25519: domain ? ed25519KeysOf(domain.dkim_keys) : [] };
}

/** @param dkimKeys as `domains.dkim_keys` holds them. @returns the Ed25519 ones, raw 32 bytes (RFC 8463 §4). */
export function ed25519KeysOf(dkimKeys: string): Uint8Array[] {
  return (JSON.parse(dkimKeys) as StoredDkimKey[])
    .filter(({ algorithm }) => algorithm === "ed25519-sha256")
    .map(({ public_key }) => new Uint8Array(Buffer.from(public_key, "base64")));
}

/** A domain that is set up here, and verified. */
export interface VerifiedDomain {
  domain: string;
  /** Null: the deployment's own. */
  tenant_id: string | null;
  ed25519: Uint8Array[];
}

/** @param domain in lower-case A-labels. @returns null if it is not set up here, or not verified. */
export async function findVerifiedDomain(db: D1Database, domain: string): Promise<VerifiedDomain | null> {
  const row = await db
    .prepare("SELECT domain, tenant_id, dkim_keys FROM domains WHERE domain = ?1 AND status = 'verified'")
    .bind(domain)
    .first<{ domain: string; tenant_id: string | null; dkim_keys: string }>();
  return row && { domain: row.domain, tenant_id: row.tenant_id, ed25519: ed25519KeysOf(row.dkim_keys) };
}

/**
 * @returns whether a tenant has an agent of that name: registered, bound to a key that is not revoked, in its audit log, or a key of
 *   its that acts for no other agent.
 */
export async function isKnownAgent(db: D1Database, tenantId: string, agentId: string): Promise<boolean> {
  const row = await db
    .prepare(
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM agents WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL)
       OR EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = ?1 AND agent_id = ?2 AND revoked_at IS NULL)
       OR EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = ?1 AND id = ?2)
       OR EXISTS (SELECT 1 FROM audit_log WHERE tenant_id = ?1 AND agent_id = ?2)`,
    )
    .bind(tenantId, agentId)
    .first();
  return row !== null;
}
