/** What is erased in D1, once the object that is its authority has erased it. Each statement can be repeated. */

/** Destroys data keys of a tenant. Returned means: D1 has none of them. */
export async function forgetDataKeys(db: D1Database, tenantId: string, kids: readonly string[]): Promise<void> {
  await db
    .prepare("DELETE FROM data_keys WHERE tenant_id = ?1 AND kid IN (SELECT value FROM json_each(?2))")
    .bind(tenantId, JSON.stringify(kids))
    .run();
}

/** Of a message that arrived, the domain that it was signed by: all that an event says of its sender. */
const NAMELESS = "json_replace(body, '$.data.dkim_domain', NULL, '$.data.dkim_selector', NULL)";

/**
 * Takes from the events of erased messages what says something of a person, and closes their items among what waits.
 * @param sequences of those events.
 * @param closes the ids of those items.
 */
export async function forgetMessages(
  db: D1Database,
  log: string,
  { sequences, closes, version }: { sequences: readonly number[]; closes: readonly string[]; version: number },
): Promise<void> {
  await db.batch([
    db
      .prepare(`UPDATE events SET body = ${NAMELESS} WHERE log = ?1 AND sequence IN (SELECT value FROM json_each(?2))`)
      .bind(log, JSON.stringify(sequences)),
    db
      .prepare(
        `UPDATE pending SET open = 0, version = max(version, ?2)
         WHERE mailbox_id = ?3 AND id IN (SELECT value FROM json_each(?1))`,
      )
      .bind(JSON.stringify(closes), version, log),
  ]);
}

/** Forgets that an address is suppressed: its hash would tell whoever guesses it. */
export async function forgetSuppression(db: D1Database, tenantId: string, hash: string): Promise<void> {
  await db.prepare("DELETE FROM suppressions WHERE tenant_id = ?1 AND address_hash = ?2").bind(tenantId, hash).run();
}

/**
 * Forgets somebody who once oversaw something of the tenant; whoever a mailbox names by now stays, or a mailbox could be made at their
 * address.
 * @param address as `comparableAddress` gives it.
 */
export async function forgetPerson(db: D1Database, tenantId: string, address: string): Promise<void> {
  await db
    .prepare(
      `DELETE FROM people WHERE tenant_id = ?1 AND address = ?2
         AND NOT EXISTS (SELECT 1 FROM mailboxes WHERE tenant_id = ?1 AND instr(lower(settings), ?2) > 0)`,
    )
    .bind(tenantId, address)
    .run();
}

/** @returns the ids of all of a tenant's mailboxes. */
export async function mailboxesOf(db: D1Database, tenantId: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM mailboxes WHERE tenant_id = ? ORDER BY id")
    .bind(tenantId)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}
