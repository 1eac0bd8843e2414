import { addressHash, type Suppressed, type SuppressionReason } from "../mail/suppression.ts";

/** What D1 has of whom a tenant does not write to. The tenant object is the authority, and is asked before each delivery. */

/** Brings one address to D1. Returned means: D1 has this state or a newer one. */
export async function recordSuppression(
  db: D1Database,
  row: { tenant_id: string; address_hash: string; reason: SuppressionReason; active: boolean; version: number },
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO suppressions (tenant_id, address_hash, reason, active, version) VALUES (?1, ?2, ?3, ?4, ?5)
       ON CONFLICT (tenant_id, address_hash) DO UPDATE SET reason = ?3, active = ?4, version = ?5 WHERE ?5 >= version`,
    )
    .bind(row.tenant_id, row.address_hash, row.reason, row.active ? 1 : 0, row.version)
    .run();
}

/** What a send meets in its tenant. */
export interface SendingTerms {
  /** Null: the tenant has said none. */
  postal_address: string | null;
  /** Those of its recipients who are suppressed, in comparable form. */
  suppressed: Suppressed[];
}

interface Row {
  postal_address: string | null;
  found: string;
}

/** @param addresses in comparable form. @returns what a send to them meets, in one look-up. */
export async function sendingTerms(
  db: D1Database,
  tenantId: string,
  addresses: readonly string[],
): Promise<SendingTerms> {
  const byHash = new Map(addresses.map((address) => [addressHash(tenantId, address), address]));
  const row = await db
    .prepare(
      `SELECT (SELECT postal_address FROM tenants WHERE id = ?1) AS postal_address,
         (SELECT json_group_array(json_array(address_hash, reason)) FROM suppressions
          WHERE tenant_id = ?1 AND active = 1 AND address_hash IN (SELECT value FROM json_each(?2))) AS found`,
    )
    .bind(tenantId, JSON.stringify([...byHash.keys()]))
    .first<Row>();
  const found = JSON.parse(row?.found ?? "[]") as [hash: string, reason: SuppressionReason][];
  return {
    postal_address: row?.postal_address ?? null,
    suppressed: found.map(([hash, reason]) => ({ address: byHash.get(hash) ?? "", reason })),
  };
}
