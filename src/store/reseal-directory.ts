import { RESEAL_ROWS, type ResealedRow, resealRows, type SealedRow } from "./resealing.ts";
import type { MasterKeys } from "./secrets.ts";

/** What D1 holds under MASTER_KEY: DKIM keys, and its copies of the objects' data keys. */

interface SealedColumn {
  /** Gives `id` and `text` of the rows after an id, in the order of ids. */
  select: string;
  /** Writes rows as they were resealed, unless they say something else by now. */
  update: string;
  rows: number;
}

const CHANGES =
  "(SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.text') AS text, json_extract(value, '$.resealed') AS resealed FROM json_each(?1))";

const COLUMNS: Readonly<Record<"domains" | "data_keys", SealedColumn>> = {
  domains: {
    select: "SELECT domain AS id, dkim_keys AS text FROM domains WHERE domain > ?1 ORDER BY domain LIMIT ?2",
    update: `UPDATE domains SET dkim_keys = change.resealed FROM ${CHANGES} AS change
      WHERE domains.domain = change.id AND domains.dkim_keys = change.text`,
    // Two private keys in each row, some 5 KB.
    rows: 50,
  },
  data_keys: {
    select: "SELECT kid AS id, wrapped AS text FROM data_keys WHERE kid > ?1 ORDER BY kid LIMIT ?2",
    update: `UPDATE data_keys SET wrapped = change.resealed FROM ${CHANGES} AS change
      WHERE data_keys.kid = change.id AND data_keys.wrapped = change.text`,
    rows: RESEAL_ROWS,
  },
};

/** What a page of a D1 table came to. */
export interface DirectoryPage {
  resealed: number;
  unreadable: number;
  /** The id after which the next page begins; null: there is none. */
  next: string | null;
}

/**
 * Reseals a page of rows. What was changed or erased between reading and writing stays as it was changed, and the page is given
 * once more as the next one, so that it is read again.
 * @param after the id of the last row that is done, or "".
 */
export async function resealColumn(
  db: D1Database,
  master: MasterKeys,
  kind: keyof typeof COLUMNS,
  after: string,
): Promise<DirectoryPage> {
  const { select, update, rows: limit } = COLUMNS[kind];
  const { results } = await db.prepare(select).bind(after, limit).all<SealedRow & Record<string, unknown>>();
  const { changed, unreadable } = resealRows(master, kind, results, "");
  const written = changed.length ? await write(db, update, changed) : 0;
  if (written < changed.length) return { resealed: written, unreadable: 0, next: after };
  const next = results.length < limit ? null : (results.at(-1)?.id ?? null);
  return { resealed: written, unreadable, next };
}

async function write(db: D1Database, update: string, changed: readonly ResealedRow[]): Promise<number> {
  const { meta } = await db.prepare(update).bind(JSON.stringify(changed)).run();
  return meta.changes;
}

/** @returns the ids of the tenants after an id, in their order. */
export async function tenantsAfter(db: D1Database, after: string, limit: number): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM tenants WHERE id > ?1 ORDER BY id LIMIT ?2")
    .bind(after, limit)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}

/** @returns the ids of the mailboxes after an id, in their order, whosever; also of those that were only reserved. */
export async function mailboxesAfter(db: D1Database, after: string, limit: number): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM mailboxes WHERE id > ?1 ORDER BY id LIMIT ?2")
    .bind(after, limit)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}
