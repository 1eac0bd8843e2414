import type { StoredDkimKey } from "./domains.ts";
import { isPersonSql } from "./people.ts";

/** Whose a domain is: decided in D1, since only there it is unique. Each statement is one step that happened whole or not at all. */

/** How long a proven domain must not have been aligned before another who proves control gets it. */
export const UNDISPUTED_MS = 72 * 3600_000;

/** A tenant's own part of a domain's row. */
export interface DomainRow {
  id: string;
  domain: string;
  tenant_id: string;
  /** Whether control was proved. */
  verified: boolean;
  dkim_keys: readonly StoredDkimKey[];
  challenge: string;
  unaligned_since: string | null;
  /** Whether its MTA-STS policy is served. */
  wants_mta_sts: boolean;
  version: number;
}

/** Who has a domain. */
export interface DomainOwner {
  id: string;
  /** Null: the deployment. */
  tenant_id: string | null;
  status: string;
  challenge: string | null;
  unaligned_since: string | null;
  /** `<tenant>/<domain id>` of the owner before. */
  taken_from: string | null;
}

/** @param domain in lower-case A-labels. @returns who has it, or null. */
export async function findDomainOwner(db: D1Database, domain: string): Promise<DomainOwner | null> {
  return db
    .prepare("SELECT id, tenant_id, status, challenge, unaligned_since, taken_from FROM domains WHERE domain = ?1")
    .bind(domain)
    .first<DomainOwner>();
}

const COLUMNS = "domain, id, tenant_id, status, dkim_keys, challenge, unaligned_since, wants_mta_sts, version";

function valuesOf(row: DomainRow): unknown[] {
  const status = row.verified ? "verified" : "pending";
  const { domain, id, tenant_id, dkim_keys, challenge, unaligned_since, wants_mta_sts, version } = row;
  const flags = [unaligned_since, wants_mta_sts ? 1 : 0, version];
  return [domain, id, tenant_id, status, JSON.stringify(dkim_keys), challenge, ...flags];
}

/**
 * Reserves a domain that nobody has, as one whose control is not proved.
 * @param now milliseconds since the epoch.
 * @returns who has it from now on: the tenant itself, or whoever had it before.
 */
export async function reserveDomain(db: D1Database, row: DomainRow, now: number): Promise<DomainOwner> {
  await db
    .prepare(
      `INSERT INTO domains (${COLUMNS}, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING`,
    )
    .bind(...valuesOf({ ...row, verified: false }), new Date(now).toISOString())
    .run();
  const owner = await findDomainOwner(db, row.domain);
  if (!owner) throw new Error(`the domain ${row.domain} was given up while it was reserved`);
  return owner;
}

/** Brings what the object has to the tenant's own row. @returns whether the row is still the tenant's. */
export async function projectDomain(db: D1Database, row: DomainRow): Promise<boolean> {
  const [, updated] = await db.batch([
    db
      .prepare(
        `UPDATE domains SET status = ?4, dkim_keys = ?5, challenge = ?6, unaligned_since = ?7, wants_mta_sts = ?8,
           version = ?9
         WHERE domain = ?1 AND id = ?2 AND tenant_id = ?3 AND version <= ?9`,
      )
      .bind(...valuesOf(row)),
    db
      .prepare("SELECT 1 FROM domains WHERE domain = ?1 AND id = ?2 AND tenant_id = ?3")
      .bind(...valuesOf(row).slice(0, 3)),
  ]);
  return (updated?.results.length ?? 0) > 0;
}

const AT_DOMAIN = "substr(address, instr(address, '@') + 1)";
const RELEASED = "'released/' || id";
const OWN_ADDRESS = "json_extract(mailboxes.settings, '$.address')";

/** Gives mailboxes that lost their addresses with the domain those addresses again, once it is their tenant's. Not by LIKE, which fails beyond 50 octets. */
function restoreAddresses(db: D1Database, { domain, tenant_id }: DomainRow): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE OR IGNORE mailboxes SET address = ${OWN_ADDRESS} WHERE tenant_id = ?2 AND address = ${RELEASED}
       AND substr(${OWN_ADDRESS}, instr(${OWN_ADDRESS}, '@') + 1) = ?1 AND NOT ${isPersonSql(OWN_ADDRESS)}
       AND EXISTS (SELECT 1 FROM domains WHERE domain = ?1 AND tenant_id = ?2 AND status = 'verified')`,
    )
    .bind(domain, tenant_id);
}

/**
 * Notes that the owner proved control: from now on nobody else gets the domain while it is well. Mailboxes of its own that once lost
 * their addresses there, and whose domain was given up since, have them again, unless a person oversees from there by now.
 * @returns whether it still is the owner.
 */
export async function proveDomain(db: D1Database, row: DomainRow): Promise<boolean> {
  const { domain, id, tenant_id } = row;
  const [proved] = await db.batch([
    db
      .prepare("UPDATE domains SET status = 'verified' WHERE domain = ?1 AND id = ?2 AND tenant_id = ?3")
      .bind(domain, id, tenant_id),
    restoreAddresses(db, row),
  ]);
  return (proved?.meta.changes ?? 0) > 0;
}

/**
 * Gives a domain to a tenant that has proved control, if the owner it has now never did, or its records have been wrong for 72 hours. The
 * former owner's mailboxes there lose their addresses in the same step, so that nothing written to them arrives any more; the
 * new owner's that once lost theirs have them again, unless a person oversees from there by now.
 * @param former the owner as it was seen.
 * @param now milliseconds since the epoch.
 * @returns whether the tenant has it now.
 */
export async function takeOverDomain(
  db: D1Database,
  row: DomainRow,
  former: DomainOwner,
  now: number,
): Promise<boolean> {
  const [taken] = await db.batch([
    db
      .prepare(
        `UPDATE domains SET id = ?2, tenant_id = ?3, status = ?4, dkim_keys = ?5, challenge = ?6, unaligned_since = ?7,
           wants_mta_sts = ?8, version = ?9, created_at = ?10, taken_from = tenant_id || '/' || id
         WHERE domain = ?1 AND id = ?11 AND tenant_id = ?12 AND tenant_id <> ?3 AND (status <> 'verified' OR unaligned_since <= ?13)`,
      )
      .bind(
        ...valuesOf({ ...row, verified: true, unaligned_since: null }),
        ...[new Date(now).toISOString(), former.id, former.tenant_id, new Date(now - UNDISPUTED_MS).toISOString()],
      ),
    db
      .prepare(
        `UPDATE mailboxes SET address = ${RELEASED} WHERE ${AT_DOMAIN} = ?1 AND tenant_id <> ?2
         AND EXISTS (SELECT 1 FROM domains WHERE domain = ?1 AND tenant_id = ?2)`,
      )
      .bind(row.domain, row.tenant_id),
    restoreAddresses(db, row),
  ]);
  return (taken?.meta.changes ?? 0) > 0;
}

/** Gives a domain up, unless a mailbox is there. @returns `not_owned` if somebody else or nobody has it. */
export async function releaseDomain(
  db: D1Database,
  { domain, id, tenant_id }: Pick<DomainRow, "domain" | "id" | "tenant_id">,
): Promise<"released" | "in_use" | "not_owned"> {
  const [deleted, left] = await db.batch([
    db
      .prepare(
        `DELETE FROM domains WHERE domain = ?1 AND id = ?2 AND tenant_id = ?3
         AND NOT EXISTS (SELECT 1 FROM mailboxes WHERE ${AT_DOMAIN} = ?1)`,
      )
      .bind(domain, id, tenant_id),
    db.prepare("SELECT 1 FROM domains WHERE domain = ?1 AND id = ?2 AND tenant_id = ?3").bind(domain, id, tenant_id),
  ]);
  if ((deleted?.meta.changes ?? 0) > 0) return "released";
  return (left?.results.length ?? 0) > 0 ? "in_use" : "not_owned";
}
