import type { Entry } from "../audit/entry.ts";
import type { WebhookEvent } from "../webhooks/event.ts";

/** At most this much JSON in one statement's parameter; D1 takes 2 MB. */
const BATCH_CHARACTERS = 900_000;
const BATCH_ROWS = 500;

/** A batch that D1 has not answered by then counts as failed, and is tried again: what it does twice, it does once. */
const BATCH_LIMIT = 60_000;

/** Sends batches to D1, and knows which of them D1 has not answered yet. */
export class Batches {
  private readonly unanswered = new Set<Promise<unknown>>();

  /** @throws whatever D1 throws; Error if it does not answer in time: the batch may arrive all the same, later. */
  async send(db: D1Database, statements: D1PreparedStatement[]): Promise<void> {
    const answer = db.batch(statements).finally(() => this.unanswered.delete(answer));
    this.unanswered.add(answer);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("D1 did not answer in time")), BATCH_LIMIT);
    });
    try {
      await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves once D1 has answered everything that was sent before, whichever way. */
  async answered(): Promise<void> {
    await Promise.allSettled(this.unanswered);
  }
}

const INSERT_ENTRIES = `INSERT INTO audit_log
  (log, seq, id, tenant_id, at, action, mailbox_id, email_id, agent_id, key_id, domain, hash, entry)
  SELECT ?2, json_extract(value, '$.seq'), json_extract(value, '$.id'), ?3, json_extract(value, '$.at'),
    json_extract(value, '$.action'), json_extract(value, '$.mailbox_id'), json_extract(value, '$.email_id'),
    json_extract(value, '$.agent_id'), json_extract(value, '$.key_id'), json_extract(value, '$.domain'),
    json_extract(value, '$.hash'), json_extract(value, '$.entry')
  FROM json_each(?1)`;

const INSERT_DATA_KEYS = `INSERT OR IGNORE INTO data_keys (kid, tenant_id, wrapped)
  SELECT json_extract(value, '$.kid'), ?2, json_extract(value, '$.wrapped') FROM json_each(?1)`;

const INSERT_EVENTS = `INSERT OR IGNORE INTO events (log, sequence, id, tenant_id, type, at, body)
  SELECT ?2, json_extract(value, '$.sequence'), json_extract(value, '$.id'), ?3, json_extract(value, '$.type'),
    json_extract(value, '$.timestamp'), value
  FROM json_each(?1)`;

/** An entry as its object has it. */
export interface EntryRow extends Record<string, SqlStorageValue> {
  seq: number;
  hash: string;
  entry: string;
}

/** Whose log it is. */
export interface Owner {
  log: string;
  tenant_id: string;
}

/** What of an entry becomes a column in D1, beside its log and tenant. */
export interface DrainedRow {
  seq: number;
  id: string;
  at: string;
  action: string;
  mailbox_id: string | null;
  email_id: string | null;
  agent_id: string | null;
  key_id: string | null;
  domain: string | null;
  hash: string;
  entry: string;
}

/**
 * Drains an object's audit entries, their data keys and its events to D1, in order, until D1 has them all. Repeating it is
 * harmless: D1 keeps the first row of a (log, seq). Returned means: D1 has committed everything there was at some moment
 * during the call. A crash between D1's commit and ours drains the same rows again.
 * @param sql the object's storage.
 * @throws whatever D1 throws; what was committed before stays drained.
 */
export async function drainToD1(batches: Batches, db: D1Database, sql: SqlStorage, owner: Owner): Promise<void> {
  for (;;) {
    const { drained, events_drained } = sql
      .exec<{ drained: number; events_drained: number }>("SELECT drained, events_drained FROM ledger")
      .one();
    const entries = entriesFrom(sql, drained);
    const events = upToBatch(
      sql.exec<{ sequence: number; event: string }>(
        "SELECT sequence, event FROM events WHERE sequence >= ? ORDER BY sequence LIMIT ?",
        events_drained,
        BATCH_ROWS,
      ),
      (row) => row.event.length,
    );
    if (entries.length === 0 && events.length === 0) return;
    await batches.send(db, [...entryStatements(db, sql, owner, entries), ...eventStatements(db, owner, events)]);
    // Committed in D1; a crash here repeats the batch, which changes nothing there.
    sql.exec(
      "UPDATE ledger SET drained = max(drained, ?), events_drained = max(events_drained, ?)",
      (entries.at(-1)?.seq ?? -1) + 1,
      (events.at(-1)?.sequence ?? -1) + 1,
    );
  }
}

/**
 * Drains entries and their data keys that D1 had before and has lost, as a backup that was restored loses them.
 * @param first as `last`, a position in the log; what lies between and has left the object is left out.
 * @throws whatever D1 throws.
 */
export async function drainAgain(
  batches: Batches,
  db: D1Database,
  sql: SqlStorage,
  owner: Owner,
  { first, last }: { first: number; last: number },
): Promise<void> {
  for (let from = first; from <= last; ) {
    const entries = entriesFrom(sql, from).filter(({ seq }) => seq <= last);
    const newest = entries.at(-1);
    if (!newest) return;
    await batches.send(db, entryStatements(db, sql, owner, entries));
    from = newest.seq + 1;
  }
}

function entriesFrom(sql: SqlStorage, from: number): EntryRow[] {
  const rows = sql.exec<EntryRow>(
    "SELECT seq, hash, entry FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?",
    from,
    BATCH_ROWS,
  );
  return upToBatch(rows, (row) => row.entry.length * 2);
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
  const values = rows.map((row) => {
    const entry = JSON.parse(row.entry) as Entry;
    if (entry.sealed) kids.add(entry.sealed.kid);
    return drainedRow(owner, row, entry);
  });
  const keys = [...kids].flatMap((kid) =>
    sql.exec<{ kid: string; wrapped: string }>("SELECT kid, wrapped FROM data_keys WHERE kid = ?", kid).toArray(),
  );
  const statements = [db.prepare(INSERT_ENTRIES).bind(JSON.stringify(values), owner.log, owner.tenant_id)];
  if (keys.length) statements.push(db.prepare(INSERT_DATA_KEYS).bind(JSON.stringify(keys), owner.tenant_id));
  return statements;
}

/**
 * @returns what D1 has of an entry. Its rows are never written anew: were a column derived from something else, older rows would
 * differ from what the reconciler expects.
 */
export function drainedRow({ log }: Owner, { seq, hash, entry: text }: EntryRow, entry: Entry): DrainedRow {
  const { id, at, action, actor, resource, detail } = entry;
  return {
    seq,
    id,
    at,
    action,
    mailbox_id: log.startsWith("mbx_") ? log : null,
    email_id: resource.type === "email" ? resource.id : null,
    agent_id: actor.agent_id ?? null,
    key_id: actor.key_id ?? null,
    domain: typeof detail.domain === "string" ? detail.domain : null,
    hash,
    entry: text,
  };
}

function eventStatements(db: D1Database, owner: Owner, rows: { event: string }[]): D1PreparedStatement[] {
  if (rows.length === 0) return [];
  const events = rows.map(({ event }) => JSON.parse(event) as WebhookEvent);
  return [db.prepare(INSERT_EVENTS).bind(JSON.stringify(events), owner.log, owner.tenant_id)];
}
