import type { Agent, ApiKey } from "../operations/shapes/account.ts";

/** What tenant objects bring to D1 for look-ups across them. */

/** Writes the tenant's row. */
export async function recordTenant(
  db: D1Database,
  tenant: { id: string; name: string; operator_email: string; created_at: string; postal_address?: string | null },
): Promise<void> {
  await db
    .prepare(
      "INSERT OR REPLACE INTO tenants (id, name, operator_email, created_at, postal_address) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(tenant.id, tenant.name, tenant.operator_email, tenant.created_at, tenant.postal_address ?? null)
    .run();
}

/**
 * Writes a key's row, by which doors let it in. A revocation in D1 is never taken back, and an older version never overwrites a
 * newer one.
 */
export async function recordKey(
  db: D1Database,
  tenantId: string,
  key: ApiKey & { hash: string; default_agent_id?: string | null; version?: number },
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO api_keys
         (id, tenant_id, hash, scopes, mailbox_ids, agent_id, default_agent_id, test, created_by, revoked_at, version)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET revoked_at = coalesce(revoked_at, excluded.revoked_at), scopes = excluded.scopes,
         mailbox_ids = excluded.mailbox_ids, agent_id = excluded.agent_id, default_agent_id = excluded.default_agent_id,
         version = excluded.version
       WHERE excluded.version >= api_keys.version`,
    )
    .bind(
      key.id,
      tenantId,
      key.hash,
      JSON.stringify(key.scopes),
      key.mailbox_ids && JSON.stringify(key.mailbox_ids),
      key.agent_id,
      key.default_agent_id ?? null,
      key.test ? 1 : 0,
      key.created_by,
      key.revoked_at,
      key.version ?? 0,
    )
    .run();
}

/** Writes an agent's row, by which sends find its model. An older version never overwrites a newer one. */
export async function recordAgent(
  db: D1Database,
  tenantId: string,
  agent: Pick<Agent, "id" | "model_id" | "model_provider" | "deleted_at"> & { version: number },
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO agents (tenant_id, id, model_id, model_provider, deleted_at, version) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (tenant_id, id) DO UPDATE SET model_id = excluded.model_id, model_provider = excluded.model_provider,
         deleted_at = excluded.deleted_at, version = excluded.version
       WHERE excluded.version >= agents.version`,
    )
    .bind(tenantId, agent.id, agent.model_id, agent.model_provider, agent.deleted_at, agent.version)
    .run();
}

/** @returns how many mailboxes a tenant has. */
export async function countMailboxes(db: D1Database, tenantId: string): Promise<number> {
  return (
    (await db.prepare("SELECT count(*) AS n FROM mailboxes WHERE tenant_id = ?").bind(tenantId).first<number>("n")) ?? 0
  );
}
