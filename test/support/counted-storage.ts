import type { MailboxObject } from "../../durable-objects/mailbox.ts";

/** What was read and written while it was counted. */
export interface StorageCost {
  rowsRead: number;
  rowsWritten: number;
}

/**
 * Runs `work` with every statement of the object counted.
 * The platform's storage cannot be patched, so the object's handles on it are replaced by counting ones and put back.
 */
export async function countStorage(object: MailboxObject, work: () => Promise<unknown>): Promise<StorageCost> {
  const plain: SqlStorage = Reflect.get(object, "sql");
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const counting = {
    exec(query: string, ...bindings: SqlStorageValue[]) {
      const cursor = plain.exec(query, ...bindings);
      cursors.push(cursor);
      return cursor;
    },
  };
  const holders = [object, Reflect.get(object, "timers"), object.messages];
  for (const holder of holders) Reflect.set(holder, "sql", counting);
  try {
    await work();
  } finally {
    for (const holder of holders) Reflect.set(holder, "sql", plain);
  }
  return {
    rowsRead: cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
    rowsWritten: cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
  };
}

/** Counts the calls an object makes to D1 while `work` runs: statements run alone, and batches. */
export async function countD1(
  object: MailboxObject,
  work: () => Promise<unknown>,
): Promise<{ alone: string[]; batches: number[]; rowsWritten: number }> {
  const env: Env = Reflect.get(object, "env");
  const counted = { alone: [] as string[], batches: [] as number[], rowsWritten: 0 };
  const statement = (query: string, bound: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(bound, {
      get(target, name) {
        if (name === "plain") return target;
        if (name === "bind") return (...values: unknown[]) => statement(query, target.bind(...values));
        if (name !== "run") return Reflect.get(target, name);
        return async () => {
          counted.alone.push(query.trim().split(/\s+/).slice(0, 3).join(" "));
          const result = await target.run();
          counted.rowsWritten += result.meta.rows_written;
          return result;
        };
      },
    });
  const DB = {
    prepare: (query: string) => statement(query, env.DB.prepare(query)),
    batch: async (statements: D1PreparedStatement[]) => {
      counted.batches.push(statements.length);
      const results = await env.DB.batch(statements.map((each) => Reflect.get(each, "plain")));
      for (const { meta } of results) counted.rowsWritten += meta.rows_written;
      return results;
    },
  };
  Reflect.set(object, "env", { ...env, DB });
  try {
    await work();
  } finally {
    Reflect.set(object, "env", env);
  }
  return counted;
}

type Env = Cloudflare.Env;

/** Makes the mailbox one of `size` messages by copying its first one, index entries and words included. */
export function growMailbox(object: MailboxObject, size: number): void {
  const sql: SqlStorage = Reflect.get(object, "sql");
  const numbers = `WITH RECURSIVE n(i) AS (SELECT (SELECT max(seq) + 1 FROM messages) UNION ALL SELECT i + 1 FROM n WHERE i < ${size})`;
  sql.exec(`${numbers} INSERT INTO messages SELECT i, 'em_' || i, 'thr_' || (i / 5), 'inbound', 'read', '<' || i || '@x>', 'f' || i,
    sender, 'subject ' || i, created_at, 0, 'pass', record, NULL, NULL FROM messages, n WHERE seq = 1`);
  sql.exec(
    `${numbers.replace("FROM messages", "FROM bodies")} INSERT INTO bodies SELECT i, NULL, NULL, 'word' || (i % 4) || ' common text', NULL, NULL, NULL FROM n`,
  );
  sql.exec(`${numbers.replace("max(seq) + 1 FROM messages", "coalesce(max(rowid), 0) + 1 FROM search")} INSERT INTO search (rowid, people, subject, text)
    SELECT i, 'ana@customer.example', 'subject ' || i, 'word' || (i % 4) || ' common text' FROM n`);
}
