import { comparableAddress, withoutTag } from "../mail/address.ts";

/**
 * The people who oversee, of all tenants. None of them may be where an agent reads: an address is a person's or a mailbox's, never
 * both, and each of the two statements that add one looks at the other table. Mail to a mailbox's +tag arrives in that mailbox
 * (RFC 5233), so a person's address counts without its tag too.
 */

/** @returns what mailbox mail to an address would arrive in: under the address itself, or without its tag. */
export function mailboxCandidates(address: string): string[] {
  const exact = comparableAddress(address);
  return [...new Set([exact, withoutTag(exact)])];
}

/**
 * Records people of a tenant. Returned `true` means: no mailbox can be made at any of their addresses any more.
 * @returns false, with nothing recorded, if one of them is a mailbox here, whoever's.
 */
export async function recordPeople(db: D1Database, tenantId: string, addresses: readonly string[]): Promise<boolean> {
  if (addresses.length === 0) return true;
  const exact = JSON.stringify([...new Set(addresses.map(comparableAddress))]);
  const candidates = JSON.stringify(addresses.flatMap(mailboxCandidates));
  const [, met] = await db.batch<{ met: number }>([
    db
      .prepare(
        `INSERT OR IGNORE INTO people (address, tenant_id) SELECT value, ?2 FROM json_each(?1)
         WHERE NOT EXISTS (SELECT 1 FROM mailboxes WHERE address IN (SELECT value FROM json_each(?3)))`,
      )
      .bind(exact, tenantId, candidates),
    db
      .prepare("SELECT count(*) AS met FROM mailboxes WHERE address IN (SELECT value FROM json_each(?1))")
      .bind(candidates),
  ]);
  return met?.results[0]?.met === 0;
}

/**
 * The condition, in SQL, that an address is some person's, with or without a +tag.
 * @param parameter the one that holds a mailbox's address, such as `?1`. A mailbox's local part has no `@` and no `+`.
 */
export function isPersonSql(parameter: string): string {
  const at = `instr(${parameter}, '@')`;
  const local = `substr(${parameter}, 1, ${at} - 1)`;
  // A comma follows the plus sign in ASCII, so that the tagged forms are one range of the primary key.
  return `EXISTS (SELECT 1 FROM people WHERE people.address = ${parameter}
    OR (people.address >= ${local} || '+' AND people.address < ${local} || ','
      AND substr(people.address, instr(people.address, '@')) = substr(${parameter}, ${at})))`;
}

/** @param address as `comparableAddress` gives it. @returns whether it is the address of a person of any tenant. */
export async function isPersonsAddress(db: D1Database, address: string): Promise<boolean> {
  const found = await db
    .prepare(`SELECT ${isPersonSql("?1")} AS is_person`)
    .bind(address)
    .first<number>("is_person");
  return found === 1;
}

/** How many of a tenant's own people `peopleAtDomain` names. */
const MAX_NAMED = 100;

/**
 * Who oversees from a domain: to be asked before a tenant takes it for its mail, since whoever runs a domain's mail can read all
 * of it. No mailbox can be made at these people's addresses, whatever is decided.
 * @param domain in lower-case A-labels.
 * @returns the tenant's own people there (at most 100, in comparable form), and whether other tenants have any: not who.
 */
export async function peopleAtDomain(
  db: D1Database,
  domain: string,
  tenantId: string,
): Promise<{ own: string[]; others: boolean }> {
  const atDomain = "substr(address, instr(address, '@') + 1) = ?1";
  const [own, others] = await db.batch<{ address: string }>([
    db
      .prepare(`SELECT address FROM people WHERE ${atDomain} AND tenant_id = ?2 ORDER BY address LIMIT ?3`)
      .bind(domain, tenantId, MAX_NAMED),
    db.prepare(`SELECT address FROM people WHERE ${atDomain} AND tenant_id <> ?2 LIMIT 1`).bind(domain, tenantId),
  ]);
  return { own: (own?.results ?? []).map(({ address }) => address), others: (others?.results.length ?? 0) > 0 };
}

/** More tenants than this are not asked for one person at once. */
const MOST_TENANTS = 100;

/** @param address as `comparableAddress` gives it. @returns the tenants where it is a person's, confirmed or not: at most 100. */
export async function tenantsOf(db: D1Database, address: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT tenant_id FROM people WHERE address = ?1 ORDER BY tenant_id LIMIT ?2")
    .bind(address, MOST_TENANTS)
    .all<{ tenant_id: string }>();
  return results.map(({ tenant_id }) => tenant_id);
}
