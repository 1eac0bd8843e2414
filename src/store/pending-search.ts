import type { Caller } from "../oversight/caller.ts";
import { ANYTHING, matchesIndexed, type PendingFilter } from "../oversight/pending-filter.ts";

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
  kind: string;
  created_at: string;
}

interface PageOf {
  limit: number;
  /** An id of the page before, or empty. */
  after: string;
}

/**
 * One page of open items, the oldest first. A key without `oversight` sees what it submitted itself.
 * @param filter what of it the index can tell narrows the page; the rest is for whoever reads the items.
 */
export async function findPending(
  db: D1Database,
  caller: Caller,
  page: PageOf,
  filter: PendingFilter = ANYTHING,
): Promise<PendingPage> {
  const overseer = caller.scopes.includes("oversight");
  if (overseer && caller.mailbox_ids === null && !narrows(filter)) {
    const found = await findOpen(db, caller.tenant_id, page, null);
    return { ...found, total: await countOpen(db, caller.tenant_id) };
  }
  const found = await findOpen(
    db,
    caller.tenant_id,
    page,
    (row) =>
      (overseer || row.key_id === caller.key_id) &&
      (caller.mailbox_ids === null || caller.mailbox_ids.includes(row.mailbox_id)) &&
      matchesIndexed(row, filter),
  );
  return { ...found, total: page.after === "" && found.next === null ? found.items.length : null };
}

/** One page of a tenant's open items as far as the index can tell, the oldest first: for a person, whose seats only the mailboxes know. */
export async function findPendingOf(
  db: D1Database,
  tenantId: string,
  page: PageOf,
  filter: PendingFilter,
): Promise<Omit<PendingPage, "total">> {
  return findOpen(db, tenantId, page, narrows(filter) ? (row) => matchesIndexed(row, filter) : null);
}

/** Whether the filter asks anything that the index can tell. */
function narrows({ mailbox_id, kind, created_before }: PendingFilter): boolean {
  return mailbox_id !== null || kind !== null || created_before !== null;
}

/** @param matches null: every row does, so no more of them are read than a page has. */
async function findOpen(
  db: D1Database,
  tenantId: string,
  page: PageOf,
  matches: ((row: Row) => boolean) | null,
): Promise<Omit<PendingPage, "total">> {
  const take = matches ? EXAMINED_ROWS : page.limit + 1;
  const { results: examined } = await db
    .prepare(
      "SELECT id, mailbox_id, key_id, kind, created_at FROM pending WHERE tenant_id = ?1 AND open = 1 AND id > ?2 ORDER BY id LIMIT ?3",
    )
    .bind(tenantId, page.after, take)
    .all<Row>();
  const matching = matches ? examined.filter(matches) : examined;
  const items = matching.slice(0, page.limit);
  const reachedEnd = matching.length <= page.limit && examined.length < take;
  const last = matching.length > page.limit ? items.at(-1) : examined.at(-1);
  return {
    items: items.map(({ id, mailbox_id }) => ({ id, mailbox_id })),
    next: reachedEnd ? null : (last?.id ?? null),
  };
}

async function countOpen(db: D1Database, tenantId: string): Promise<number | null> {
  const open = await db
    .prepare("SELECT count(*) AS n FROM (SELECT 1 FROM pending WHERE tenant_id = ?1 AND open = 1 LIMIT ?2)")
    .bind(tenantId, COUNTED_ROWS + 1)
    .first<number>("n");
  return open === null || open > COUNTED_ROWS ? null : open;
}
