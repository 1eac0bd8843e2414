/** A row of D1's index of what waits for a human, across mailboxes. The mailbox object is the authority. */
export interface PendingRow {
  id: string;
  tenant_id: string;
  mailbox_id: string;
  kind: string;
  key_id: string | null;
  created_at: string;
  open: boolean;
  /** The mailbox's audit sequence this state is of. */
  version: number;
}

/** Writes an item's state in one statement. Returned means: D1 has this state or a newer one. */
export async function recordPending(db: D1Database, row: PendingRow): Promise<void> {
  await db
    .prepare(
      `INSERT INTO pending (id, tenant_id, mailbox_id, kind, key_id, created_at, open, version)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
       ON CONFLICT (id) DO UPDATE SET open = ?7, version = ?8 WHERE ?8 >= version`,
    )
    .bind(row.id, row.tenant_id, row.mailbox_id, row.kind, row.key_id, row.created_at, row.open ? 1 : 0, row.version)
    .run();
}
