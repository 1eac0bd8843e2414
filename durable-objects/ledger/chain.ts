import { type Entry, entryTime, hashEntryText, NO_PREVIOUS, newEntryText } from "../../src/audit/entry.ts";
import { type DataKey, newDataKey, sealPersonal, unwrapDataKey, wrapDataKey } from "../../src/audit/sealing.ts";
import { newEntryId } from "../../src/ids.ts";
import { isErasedKey } from "./erasure.ts";
import type { Log, NewEntry } from "./log.ts";
import { checkLogKey } from "./log-key.ts";
import { growTree } from "./tree.ts";

/** The audit chain of one object (FORMATS.md §6). */

interface Head extends Record<string, SqlStorageValue> {
  seq: number;
  hash: string;
  at: string;
}

/** The newest entry, which the next continues from; null before the first. */
function headOf(sql: SqlStorage): Head | null {
  return sql.exec<Head>("SELECT seq, hash, at FROM entries ORDER BY seq DESC LIMIT 1").toArray()[0] ?? null;
}

/** @returns how many entries the log has had. */
export function sizeOf(sql: SqlStorage): number {
  return (headOf(sql)?.seq ?? -1) + 1;
}

/** The data key of a resource, made at first use. Inside `commit`. */
function dataKeyOf(log: Log, kid: string): DataKey {
  const sql = log.storage();
  const [row] = sql.exec<{ wrapped: string }>("SELECT wrapped FROM data_keys WHERE kid = ?", kid).toArray();
  if (row) return unwrapDataKey(log.environment(), kid, row.wrapped);
  // Under a MASTER_KEY that is not this log's, what is sealed now could not be read once the right one is back.
  checkLogKey(log);
  const key = newDataKey(kid);
  sql.exec("INSERT INTO data_keys VALUES (?, ?)", kid, wrapDataKey(log.environment(), key));
  return key;
}

/** Under which data key an entry is sealed: what belongs to something erased has a key of its own. */
function kidFor(sql: SqlStorage, sealedBy: string | undefined, entryId: string): string {
  return sealedBy === undefined || isErasedKey(sql, sealedBy) ? entryId : sealedBy;
}

/** Appends to chain and tree. Inside `commit`, beside the change it records. @returns the entry as it is hashed. */
export function appendEntry(log: Log, { actor, action, resource, mode, detail, personal, sealedBy }: NewEntry): Entry {
  const sql = log.storage();
  const { log: name } = log.identity();
  const head = headOf(sql);
  const seq = head ? head.seq + 1 : 0;
  const at = entryTime(log.now(), head?.at ?? null);
  const id = newEntryId(Date.parse(at), seq);
  const entry: Entry = {
    v: 1,
    log: name,
    seq,
    id,
    at,
    actor,
    action,
    resource,
    mode: mode ?? null,
    detail: detail ?? {},
    ...(personal && { sealed: sealPersonal(dataKeyOf(log, kidFor(sql, sealedBy, id)), name, seq, personal) }),
    prev: head?.hash ?? NO_PREVIOUS,
  };
  const text = newEntryText(entry);
  const hash = hashEntryText(text);
  sql.exec("INSERT INTO entries VALUES (?, ?, ?, ?)", seq, at, hash, text);
  growTree(sql, seq, hash);
  return entry;
}
