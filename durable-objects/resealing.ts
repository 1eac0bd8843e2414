import {
  noneResealed,
  RESEAL_ROWS,
  type ResealedPage,
  type ResealPosition,
  resealRows,
  type SealedKind,
  type SealedRow,
} from "../src/store/resealing.ts";
import type { MasterKeys } from "../src/store/secrets.ts";

/** What an object holds under MASTER_KEY, and how a page of it is brought under the current one. */

export interface SealedTable {
  kind: SealedKind;
  /** Gives `id` and `text` of the rows after an id, in the order of ids. */
  select: string;
  /** Takes a row's new text and its id. */
  update: string;
}

export const DATA_KEYS: SealedTable = {
  kind: "data_keys",
  select: "SELECT kid AS id, wrapped AS text FROM data_keys WHERE kid > ? ORDER BY kid LIMIT ?",
  update: "UPDATE data_keys SET wrapped = ? WHERE kid = ?",
};

export const IDENTITY_KEYS: SealedTable = {
  kind: "identity_keys",
  select: "SELECT kid AS id, key AS text FROM identity_keys WHERE kid > ? ORDER BY kid LIMIT ?",
  update: "UPDATE identity_keys SET key = ? WHERE kid = ?",
};

export const DKIM_KEYS: SealedTable = {
  kind: "dkim_keys",
  select: "SELECT id, key AS text FROM dkim_keys WHERE id > ? ORDER BY id LIMIT ?",
  update: "UPDATE dkim_keys SET key = ? WHERE id = ?",
};

export const LOG_KEYS: SealedTable = {
  kind: "log_keys",
  select: "SELECT id, key AS text FROM log_keys WHERE id > ? ORDER BY id LIMIT ?",
  update: "UPDATE log_keys SET key = ? WHERE id = ?",
};

/**
 * Reseals the next rows of the tables, in their order. Inside `commit`: nothing is changed between reading and writing.
 * @param tenantId whose object it is.
 */
export function resealPage(
  sql: SqlStorage,
  master: MasterKeys,
  tables: readonly SealedTable[],
  tenantId: string,
  position: ResealPosition | null,
): ResealedPage {
  const resealed = noneResealed();
  let unreadable = 0;
  let left = RESEAL_ROWS;
  const first = tables.findIndex(({ kind }) => kind === position?.kind);
  for (const [index, { kind, select, update }] of tables.entries()) {
    if (index < first) continue;
    const after = index === first && position ? position.after : "";
    const rows = sql.exec<SealedRow & Record<string, SqlStorageValue>>(select, after, left).toArray();
    const page = resealRows(master, kind, rows, tenantId);
    for (const row of page.changed) sql.exec(update, row.resealed, row.id);
    resealed[kind] = page.changed.length;
    unreadable += page.unreadable;
    left -= rows.length;
    if (left === 0) return { resealed, unreadable, next: { kind, after: rows.at(-1)?.id ?? after } };
  }
  return { resealed, unreadable, next: null };
}
