import type { Caller } from "../oversight/caller.ts";

/** Reads D1's index of what waits for a human. */

/** How many rows one page examines at most. */
const EXAMINED_ROWS = 1_000;
/** Beyond this many, a total is not counted. */
const COUNTED_ROWS = 1_000;

export interface PendingRef {
  id: string;
  mailbox_id: string;
}

export interface PendingPage {
  items: PendingRef[];
  /** The id after which the next page goes on; null at the end. A page may be short and still have one. */
  next: string | null;
  /** How many the caller may see; null where that is not cheap to say. */
  total: number | null;
}

interface Row extends PendingRef {
  key_id: string | null;
}

/** One page of open items, the oldest first. A key without `oversight` sees what it submitted itself. */
export async function findPending(
  db: D1Database,
  caller: Caller,
  page: { limit: number; after: string },
): Promise<PendingPage> {
  const overseer = caller.scopes.includes("oversight");
  const filtered = !overseer || caller.mailbox_ids !== null;
  const take = filtered ? EXAMINED_ROWS : page.limit + 1;
  const statement = db
    .prepare(
      "SELECT id, mailbox_id, key_id FROM pending WHERE tenant_id = ?1 AND open = 1 AND id > ?2 ORDER BY id LIMIT ?3",
    )
    .bind(caller.tenant_id, page.after, take);
  const { results: examined } = await statement.all<Row>();
  const visible = examined.filter(
    (row) =>
      (overseer || row.key_id === caller.key_id) &&
      (caller.mailbox_ids === null || caller.mailbox_ids.includes(row.mailbox_id)),
  );
  const items = visible.slice(0, page.limit);
  const reachedEnd = visible.length <= page.limit && examined.length < take;
  const last = visible.length > page.limit ? items.at(-1) : examined.at(-1);
  return {
    items: items.map(({ id, mailbox_id }) => ({ id, mailbox_id })),
    next: reachedEnd ? null : (last?.id ?? null),
    total: filtered ? (page.after === "" && reachedEnd ? visible.length : null) : await countOpen(db, caller.tenant_id),
  };
}

async function countOpen(db: D1Database, tenantId: string): Promise<number | null> {
  const open = await db
    .prepare("SELECT count(*) AS n FROM (SELECT 1 FROM pending WHERE tenant_id = ?1 AND open = 1 LIMIT ?2)")
    .bind(tenantId, COUNTED_ROWS + 1)
    .first<number>("n");
  return open === null || open > COUNTED_ROWS ? null : open;
}
