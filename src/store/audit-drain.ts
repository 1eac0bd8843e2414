import type { Entry } from "../audit/entry.ts";
import type { WebhookEvent } from "../webhooks/event.ts";

/** At most this much JSON in one statement's parameter; D1 takes 2 MB. */
const BATCH_CHARACTERS = 900_000;
const BATCH_ROWS = 500;

const INSERT_ENTRIES = `INSERT INTO audit_log
  (log, seq, id, tenant_id, at, action, mailbox_id, email_id, agent_id, key_id, domain, hash, entry)
  SELECT ?2, json_extract(value, '$.entry.seq'), json_extract(value, '$.entry.id'), ?3, json_extract(value, '$.entry.at'),
    json_extract(value, '$.entry.action'), json_extract(value, '$.mailbox_id'), json_extract(value, '$.email_id'),
    json_extract(value, '$.entry.actor.agent_id'), json_extract(value, '$.entry.actor.key_id'),
    json_extract(value, '$.entry.detail.domain'), json_extract(value, '$.hash'), json_extract(value, '$.text')
  FROM json_each(?1)`;

const INSERT_DATA_KEYS = `INSERT OR IGNORE INTO data_keys (kid, tenant_id, wrapped)
  SELECT json_extract(value, '$.kid'), ?2, json_extract(value, '$.wrapped') FROM json_each(?1)`;

const INSERT_EVENTS = `INSERT OR IGNORE INTO events (log, sequence, id, tenant_id, type, at, body)
  SELECT ?2, json_extract(value, '$.sequence'), json_extract(value, '$.id'), ?3, json_extract(value, '$.type'),
    json_extract(value, '$.timestamp'), value
  FROM json_each(?1)`;

interface EntryRow extends Record<string, SqlStorageValue> {
  seq: number;
  hash: string;
  entry: string;
}

interface Owner {
  log: string;
  tenant_id: string;
}

/**
 * Drains an object's audit entries, their data keys and its events to D1, in order, until D1 has them all. Repeating it is
 * harmless: D1 keeps the first row of a (log, seq). Returned means: D1 has committed everything there was at some moment
 * during the call. A crash between D1's commit and ours drains the same rows again.
 * @param sql the object's storage.
 * @throws whatever D1 throws; what was committed before stays drained.
 */
export async function drainToD1(db: D1Database, sql: SqlStorage, owner: Owner): Promise<void> {
  for (;;) {
    const { drained, events_drained } = sql
      .exec<{ drained: number; events_drained: number }>("SELECT drained, events_drained FROM ledger")
      .one();
    const entries = upToBatch(
      sql.exec<EntryRow>(
        "SELECT seq, hash, entry FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?",
        drained,
        BATCH_ROWS,
      ),
      (row) => row.entry.length * 2,
    );
    const events = upToBatch(
      sql.exec<{ event: string }>(
        "SELECT event FROM events WHERE sequence >= ? ORDER BY sequence LIMIT ?",
        events_drained,
        BATCH_ROWS,
      ),
      (row) => row.event.length,
    );
    if (entries.length === 0 && events.length === 0) return;
    await db.batch([...entryStatements(db, sql, owner, entries), ...eventStatements(db, owner, events)]);
    // Committed in D1; a crash here repeats the batch, which changes nothing there.
    sql.exec(
      "UPDATE ledger SET drained = max(drained, ?), events_drained = max(events_drained, ?)",
      drained + entries.length,
      events_drained + events.length,
    );
  }
}

function upToBatch<Row>(rows: Iterable<Row>, size: (row: Row) => number): Row[] {
  const batch: Row[] = [];
  let total = 0;
  for (const row of rows) {
    total += size(row);
    if (batch.length > 0 && total > BATCH_CHARACTERS) break;
    batch.push(row);
  }
  return batch;
}

function entryStatements(db: D1Database, sql: SqlStorage, owner: Owner, rows: EntryRow[]): D1PreparedStatement[] {
  if (rows.length === 0) return [];
  const kids = new Set<string>();
  const values = rows.map(({ hash, entry: text }) => {
    const entry = JSON.parse(text) as Entry;
    if (entry.sealed) kids.add(entry.sealed.kid);
    const email_id = entry.resource.type === "email" ? entry.resource.id : null;
    return {
      entry: withoutBulk(entry),
      hash,
      text,
      mailbox_id: owner.log.startsWith("mbx_") ? owner.log : null,
      email_id,
    };
  });
  const keys = [...kids].flatMap((kid) =>
    sql.exec<{ kid: string; wrapped: string }>("SELECT kid, wrapped FROM data_keys WHERE kid = ?", kid).toArray(),
  );
  const statements = [db.prepare(INSERT_ENTRIES).bind(JSON.stringify(values), owner.log, owner.tenant_id)];
  if (keys.length) statements.push(db.prepare(INSERT_DATA_KEYS).bind(JSON.stringify(keys), owner.tenant_id));
  return statements;
}

/** Only what becomes a column travels twice. */
function withoutBulk({ seq, id, at, action, actor, detail }: Entry): Partial<Entry> {
  return { seq, id, at, action, actor, detail: detail.domain === undefined ? {} : { domain: detail.domain } };
}

function eventStatements(db: D1Database, owner: Owner, rows: { event: string }[]): D1PreparedStatement[] {
  if (rows.length === 0) return [];
  const events = rows.map(({ event }) => JSON.parse(event) as WebhookEvent);
  return [db.prepare(INSERT_EVENTS).bind(JSON.stringify(events), owner.log, owner.tenant_id)];
}
