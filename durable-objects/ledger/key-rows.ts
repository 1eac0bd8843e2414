import type { Findings } from "../../src/audit/reconciliation.ts";
import { dataKeyIn } from "../../src/audit/sealing.ts";
import { type KeyRow, keyRows, writeKeys } from "../../src/store/audit-rows.ts";
import { deriveKeys, type SecretKeys } from "../../src/store/secrets.ts";
import { FORGET_KEYS } from "./erasure.ts";
import { clearFault, faultsFrom } from "./faults.ts";
import type { Log } from "./log.ts";
import { checkLogKey } from "./log-key.ts";

/** Comparing the data keys of a log with those that D1 has, also of entries that have left object and D1. */

const PAGE_KEYS = 500;

/** A data key as the object has it. */
type OwnKey = Omit<KeyRow, "tenant_id">;

/**
 * How D1's row of a key stands: `same`, also where it was resealed by itself and reads otherwise; `wrong`: the object's opens, and D1's
 * does not, or is another's; `unclear`: D1's differs, and the object's own does not open, so that D1's may be all that is left.
 */
type Standing = "same" | "wrong" | "unclear";

/** Compares up to 500 data keys. @throws Error where they differ and neither MASTER_KEY opens the log's own key. */
export async function compareDataKeys(log: Log, from: string, findings: Findings): Promise<string | null> {
  const sql = log.storage();
  const { DB } = log.environment();
  const { tenant_id } = log.identity();
  const kids = sql
    .exec<{ kid: string }>("SELECT kid FROM data_keys WHERE kid > ? ORDER BY kid LIMIT ?", from, PAGE_KEYS)
    .toArray()
    .map(({ kid }) => kid);
  // D1 is not yet to have what the drain has not brought.
  const waiting = undrainedKeys(sql);
  const theirs = await keyRows(DB, kids);
  // Read after the wait: what was destroyed meanwhile is not missed, and what was resealed is not brought back as it was.
  const ours = keysOf(sql, kids);
  findings.checked.data_keys += ours.length;
  const missing = ours.filter(({ kid }) => !theirs.has(kid) && !waiting.has(kid));
  const standing = standingOf(log, ours, theirs);
  const wrong = ours.filter(({ kid }) => standing.get(kid) === "wrong");
  const unclear = ours.filter(({ kid }) => standing.get(kid) === "unclear").map(({ kid }) => kid);
  const places = placesOf(sql, unclear);
  // Of a key whose entries have left the object, the first is as good as any.
  for (const kid of unclear) findings.fault("key_differs", places.get(kid) ?? 0);
  log.commit(() => clearKeyFaults(log, kids, new Set(unclear)));
  const toBring = [...missing, ...wrong];
  if (toBring.length > 0) {
    await writeKeys(DB, tenant_id, toBring);
    forgetDestroyed(log, toBring);
    findings.repair("data_keys", toBring.length);
  }
  return kids.length === PAGE_KEYS ? (kids.at(-1) ?? null) : null;
}

function keysOf(sql: SqlStorage, kids: readonly string[]): OwnKey[] {
  return sql
    .exec<OwnKey & Record<string, SqlStorageValue>>(
      "SELECT kid, wrapped FROM data_keys WHERE kid IN (SELECT value FROM json_each(?)) ORDER BY kid",
      JSON.stringify(kids),
    )
    .toArray();
}

function undrainedKeys(sql: SqlStorage): Set<string> {
  const rows = sql.exec<{ kid: string }>(
    `SELECT DISTINCT json_extract(entry, '$.sealed.kid') AS kid FROM entries
     WHERE seq >= (SELECT drained FROM ledger) AND kid IS NOT NULL`,
  );
  return new Set([...rows].map(({ kid }) => kid));
}

function standingOf(
  log: Log,
  ours: readonly OwnKey[],
  theirs: ReadonlyMap<string, KeyRow>,
): ReadonlyMap<string, Standing> {
  const { tenant_id } = log.identity();
  const differing = ours.filter(({ kid, wrapped }) => {
    const row = theirs.get(kid);
    return row && (row.wrapped !== wrapped || row.tenant_id !== tenant_id);
  });
  if (differing.length === 0) return new Map();
  // Under a MASTER_KEY that is not this log's, nothing opens, and it would be the key's fault alone.
  checkLogKey(log);
  const keys = deriveKeys(log.environment(), "data-key");
  return new Map(differing.map((own) => [own.kid, standingAmong(keys, own, theirs.get(own.kid) as KeyRow, tenant_id)]));
}

function standingAmong(keys: SecretKeys, { kid, wrapped }: OwnKey, row: KeyRow, tenantId: string): Standing {
  if (row.wrapped !== wrapped) {
    const own = dataKeyIn(keys, kid, wrapped);
    if (own === null) return "unclear";
    const other = dataKeyIn(keys, kid, row.wrapped);
    if (other === null || !Buffer.from(own).equals(Buffer.from(other))) return "wrong";
  }
  // Erasing takes from D1 what is the tenant's.
  return row.tenant_id === tenantId ? "same" : "wrong";
}

/** The first entry that each key seals, among those that have not left. */
function placesOf(sql: SqlStorage, kids: readonly string[]): Map<string, number> {
  if (kids.length === 0) return new Map();
  const rows = sql.exec<{ kid: string; seq: number }>(
    `SELECT json_extract(entry, '$.sealed.kid') AS kid, min(seq) AS seq FROM entries
     WHERE kid IN (SELECT value FROM json_each(?)) GROUP BY kid`,
    JSON.stringify(kids),
  );
  return new Map([...rows].map(({ kid, seq }) => [kid, seq]));
}

/** Faults of these keys, and of those that were destroyed, that are none any more. Inside `commit`. */
function clearKeyFaults(log: Log, kids: readonly string[], unclear: ReadonlySet<string>): void {
  const sql = log.storage();
  for (const fault of faultsFrom(log, ["key_differs"], 0, Number.MAX_SAFE_INTEGER)) {
    const [row] = sql
      .exec<{ kid: string | null; isThere: number }>(
        `SELECT json_extract(entry, '$.sealed.kid') AS kid,
           EXISTS (SELECT 1 FROM data_keys WHERE data_keys.kid = json_extract(entry, '$.sealed.kid')) AS isThere
         FROM entries WHERE seq = ?`,
        fault.seq,
      )
      .toArray();
    if (!row || row.kid === null) continue;
    if (row.isThere === 0 || (kids.includes(row.kid) && !unclear.has(row.kid))) clearFault(log, fault);
  }
}

/**
 * What was destroyed while D1 was written to is taken from it again. A crash before this leaves it to the comparison of destroyed keys,
 * which comes next.
 */
function forgetDestroyed(log: Log, brought: readonly OwnKey[]): void {
  const sql = log.storage();
  const left = new Set(
    keysOf(
      sql,
      brought.map(({ kid }) => kid),
    ).map(({ kid }) => kid),
  );
  const gone = brought.filter(({ kid }) => !left.has(kid)).map(({ kid }) => kid);
  if (gone.length === 0) return;
  log.commit(() => {
    sql.exec("UPDATE erased_keys SET in_d1 = 1 WHERE kid IN (SELECT value FROM json_each(?))", JSON.stringify(gone));
    log.schedule(FORGET_KEYS, log.identity().log, log.now());
  });
}
