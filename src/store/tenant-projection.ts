import type { ApiKey } from "../operations/shapes.ts";

/** What tenant objects bring to D1 for look-ups across them. */

/** Writes the tenant's row. */
export async function recordTenant(
  db: D1Database,
  tenant: { id: string; name: string; operator_email: string; created_at: string },
): Promise<void> {
  await db
    .prepare("INSERT OR REPLACE INTO tenants (id, name, operator_email, created_at) VALUES (?, ?, ?, ?)")
    .bind(tenant.id, tenant.name, tenant.operator_email, tenant.created_at)
    .run();
}

/**
 * Writes a key's row, by which doors let it in. A revocation in D1 is never taken back, and an older version never overwrites a
 * newer one.
 */
export async function recordKey(
  db: D1Database,
  tenantId: string,
  key: ApiKey & { hash: string; version?: number },
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO api_keys (id, tenant_id, hash, scopes, mailbox_ids, agent_id, test, created_by, revoked_at, version)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET revoked_at = coalesce(revoked_at, excluded.revoked_at), scopes = excluded.scopes,
         mailbox_ids = excluded.mailbox_ids, agent_id = excluded.agent_id, version = excluded.version
       WHERE excluded.version >= api_keys.version`,
    )
    .bind(
      key.id,
      tenantId,
      key.hash,
      JSON.stringify(key.scopes),
      key.mailbox_ids && JSON.stringify(key.mailbox_ids),
      key.agent_id,
      key.test ? 1 : 0,
      key.created_by,
      key.revoked_at,
      key.version ?? 0,
    )
    .run();
}

/** @returns how many mailboxes a tenant has. */
export async function countMailboxes(db: D1Database, tenantId: string): Promise<number> {
  return (
    (await db.prepare("SELECT count(*) AS n FROM mailboxes WHERE tenant_id = ?").bind(tenantId).first<number>("n")) ?? 0
  );
}
