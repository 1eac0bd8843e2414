import { newId } from "../ids.ts";
import { DMARC_DEFAULTS } from "../mail/dmarc-action.ts";
import { FORWARD_DEFAULTS } from "../mail/forward-rules.ts";
import type { Mailbox } from "../operations/shapes/mailbox.ts";
import { type Caller, SCOPES, type Scope } from "../oversight/caller.ts";
import { KEEPING_DEFAULTS } from "../oversight/content-retention.ts";
import type { StoredDkimKey } from "./domains.ts";
import { isPersonSql, isPersonsAddress } from "./people.ts";

/** Look-ups across objects, and the reservations that only D1 can make unique. */

/** A key as a door needs it. */
export interface KeyRow {
  id: string;
  tenant_id: string;
  hash: string;
  scopes: Scope[];
  mailbox_ids: string[] | null;
  /** The agent it is bound to. */
  agent_id: string | null;
  /** The agent that acts where nobody names one. */
  default_agent_id: string | null;
  test: boolean;
  created_by: string | null;
  revoked_at: string | null;
}

interface StoredKeyRow extends Omit<KeyRow, "scopes" | "mailbox_ids" | "test"> {
  scopes: string;
  mailbox_ids: string | null;
  test: number;
}

/** @returns the key with that SHA-256 (lower-case hex), revoked ones too, or null. */
export async function findKey(db: D1Database, hash: string): Promise<KeyRow | null> {
  const row = await db
    .prepare(
      `SELECT id, tenant_id, hash, scopes, mailbox_ids, agent_id, default_agent_id, test, created_by, revoked_at
       FROM api_keys WHERE hash = ?1`,
    )
    .bind(hash)
    .first<StoredKeyRow>();
  if (!row) return null;
  const scopes: unknown[] = JSON.parse(row.scopes);
  return {
    ...row,
    scopes: SCOPES.filter((scope) => scopes.includes(scope)),
    mailbox_ids: row.mailbox_ids === null ? null : (JSON.parse(row.mailbox_ids) as string[]),
    test: row.test === 1,
  };
}

/** The model that an agent is registered with. */
export interface RegisteredModel {
  model_id: string;
  model_provider: string;
}

/** @returns the model of the tenant's agent with that id, or null if none is registered under it. */
export async function findAgentModel(
  db: D1Database,
  tenantId: string,
  agentId: string,
): Promise<RegisteredModel | null> {
  return db
    .prepare("SELECT model_id, model_provider FROM agents WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL")
    .bind(tenantId, agentId)
    .first<RegisteredModel>();
}

/** @param address as `comparableAddress` gives it. @returns the id of the tenant's mailbox at that address, or null. */
export async function findMailboxByAddress(db: D1Database, tenantId: string, address: string): Promise<string | null> {
  const row = await db
    .prepare("SELECT id FROM mailboxes WHERE address = ?1 AND tenant_id = ?2")
    .bind(address, tenantId)
    .first<{ id: string }>();
  return row?.id ?? null;
}

/** @returns the id of the tenant's mailbox with that routing number, or null. */
export async function findMailboxByRouting(db: D1Database, tenantId: string, routing: string): Promise<string | null> {
  const row = await db
    .prepare("SELECT id FROM mailboxes WHERE routing = ?1 AND tenant_id = ?2")
    .bind(routing, tenantId)
    .first<{ id: string }>();
  return row?.id ?? null;
}

/** @param candidates as `comparableAddress` gives them. @returns whether one is the address of a mailbox here, whoever's. */
export async function isMailboxAddress(db: D1Database, candidates: readonly string[]): Promise<boolean> {
  const row = await db
    .prepare("SELECT 1 FROM mailboxes WHERE address IN (SELECT value FROM json_each(?1)) LIMIT 1")
    .bind(JSON.stringify(candidates))
    .first();
  return row !== null;
}

/** A mailbox that was made before it had these settings has their defaults, as in its object. */
function storedSettings(json: string): Mailbox {
  return { ...DMARC_DEFAULTS, ...FORWARD_DEFAULTS, ...KEEPING_DEFAULTS, ...(JSON.parse(json) as Mailbox) };
}

/** One page in the order of ids, and the number of mailboxes the caller may see. */
export async function listMailboxes(
  db: D1Database,
  { tenant_id, mailbox_ids }: Caller,
  page: { limit: number; after: string },
): Promise<{ mailboxes: Mailbox[]; more: boolean; total: number }> {
  const bound = mailbox_ids === null ? null : JSON.stringify(mailbox_ids);
  const visible = "tenant_id = ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))";
  const [rows, count] = await db.batch<{ settings: string } & { total: number }>([
    db
      .prepare(`SELECT settings FROM mailboxes WHERE ${visible} AND id > ?3 ORDER BY id LIMIT ?4`)
      .bind(tenant_id, bound, page.after, page.limit + 1),
    db.prepare(`SELECT count(*) AS total FROM mailboxes WHERE ${visible}`).bind(tenant_id, bound),
  ]);
  const settings = (rows?.results ?? []).map((row) => storedSettings(row.settings));
  return {
    mailboxes: settings.slice(0, page.limit),
    more: settings.length > page.limit,
    total: count?.results[0]?.total ?? 0,
  };
}

/** @returns which of a tenant's mailboxes stand still by their own panic switch, as far as the caller may see them; at most 1,000. */
export async function pausedMailboxes(db: D1Database, { tenant_id, mailbox_ids }: Caller): Promise<string[]> {
  const bound = mailbox_ids === null ? null : JSON.stringify(mailbox_ids);
  const { results } = await db
    .prepare(
      `SELECT id FROM mailboxes WHERE tenant_id = ?1 AND json_extract(settings, '$.paused') = 1
       AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY id LIMIT 1000`,
    )
    .bind(tenant_id, bound)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}

/**
 * What a reservation met: it is made, the address is there already or a person's, the domain is not the tenant's by now, or the
 * routing number is there.
 */
export type Reservation =
  | "reserved"
  | "routing_taken"
  | "person"
  | "no_domain"
  | { id: string; tenant_id: string; settings: Mailbox };

/**
 * Reserves an address and a routing number. Returned `reserved` means: no other mailbox and no person who oversees can get the
 * address, and no other mailbox the number. The row holds the settings, so that the mailbox is known to every look-up before its
 * object has brought its own.
 * @param domain the address's, where it is to be the tenant's own; null: the deployment's.
 */
export async function reserveMailbox(
  db: D1Database,
  address: string,
  routing: string,
  mailbox: Mailbox,
  domain: string | null = null,
): Promise<Reservation> {
  const { meta } = await db
    .prepare(
      `INSERT INTO mailboxes (id, tenant_id, address, routing, settings, version)
       SELECT ?1, ?2, ?3, ?4, ?5, 0 WHERE NOT ${isPersonSql("?3")} AND ${HAS_DOMAIN} ON CONFLICT DO NOTHING`,
    )
    .bind(mailbox.id, mailbox.tenant_id, address, routing, JSON.stringify(mailbox), domain)
    .run();
  if (meta.changes > 0) return "reserved";
  const held = await findReservation(db, address);
  if (held) return held;
  if (await isPersonsAddress(db, address)) return "person";
  return (await hasDomain(db, domain, mailbox.tenant_id)) ? "routing_taken" : "no_domain";
}

const HAS_DOMAIN =
  "(?6 IS NULL OR EXISTS (SELECT 1 FROM domains WHERE domain = ?6 AND tenant_id = ?2 AND status = 'verified'))";

async function hasDomain(db: D1Database, domain: string | null, tenantId: string): Promise<boolean> {
  if (domain === null) return true;
  const row = await db
    .prepare("SELECT 1 FROM domains WHERE domain = ?1 AND tenant_id = ?2 AND status = 'verified'")
    .bind(domain, tenantId)
    .first();
  return row !== null;
}

/** @returns who holds an address, or null. */
export async function findReservation(
  db: D1Database,
  address: string,
): Promise<{ id: string; tenant_id: string; settings: Mailbox } | null> {
  const row = await db
    .prepare("SELECT id, tenant_id, settings FROM mailboxes WHERE address = ?1")
    .bind(address)
    .first<{ id: string; tenant_id: string; settings: string }>();
  return row && { ...row, settings: storedSettings(row.settings) };
}

/** @returns the DKIM keys of a domain that is set up here, or null. */
export async function findDomainKeys(db: D1Database, domain: string): Promise<StoredDkimKey[] | null> {
  const row = await db
    .prepare("SELECT dkim_keys FROM domains WHERE domain = ?1")
    .bind(domain)
    .first<{ dkim_keys: string }>();
  return row && (JSON.parse(row.dkim_keys) as StoredDkimKey[]);
}

/** Sets up the deployment's own domain unless it is there. @returns the keys it has now, whoever's call made them. */
export async function insertOwnDomain(
  db: D1Database,
  domain: string,
  keys: StoredDkimKey[],
  now: number,
): Promise<StoredDkimKey[]> {
  await db
    .prepare(
      "INSERT INTO domains (domain, id, tenant_id, status, dkim_keys, created_at) VALUES (?1, ?2, NULL, 'verified', ?3, ?4) ON CONFLICT DO NOTHING",
    )
    .bind(domain, newId("dom", now), JSON.stringify(keys), new Date(now).toISOString())
    .run();
  return (await findDomainKeys(db, domain)) ?? keys;
}

/** @returns the id of the tenant of that name and operator, or null. */
export async function findTenant(db: D1Database, name: string, operatorEmail: string): Promise<string | null> {
  const row = await db
    .prepare("SELECT id FROM tenants WHERE name = ?1 AND operator_email = ?2 ORDER BY id LIMIT 1")
    .bind(name, operatorEmail)
    .first<{ id: string }>();
  return row?.id ?? null;
}
