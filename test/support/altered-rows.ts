import { env } from "cloudflare:workers";
import { hashEntryText } from "../../src/audit/entry.ts";

/** D1 in the hands of whoever owns its schema: its triggers keep them from nothing. */

/** Does something to a table with its triggers away, and puts them back. */
export async function tamper(table: string, ...statements: D1PreparedStatement[]): Promise<void> {
  const { results } = await env.DB.prepare(
    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?",
  )
    .bind(table)
    .all<{ name: string; sql: string }>();
  await env.DB.batch([
    ...results.map(({ name }) => env.DB.prepare(`DROP TRIGGER ${name}`)),
    ...statements,
    ...results.map(({ sql }) => env.DB.prepare(sql)),
  ]);
}

/** An entry as D1 has it. */
export interface EntryRow {
  log: string;
  seq: number;
  hash: string;
  entry: string;
}

/** D1's row of the first entry of an action about a message. */
export async function rowOf(emailId: string, action: string): Promise<EntryRow> {
  const row = await env.DB.prepare(
    "SELECT log, seq, hash, entry FROM audit_log WHERE email_id = ? AND action = ? ORDER BY seq",
  )
    .bind(emailId, action)
    .first<EntryRow>();
  if (!row) throw new Error(`${emailId} has no ${action}`);
  return row;
}

/** Writes another text, and another hash, in the place of an entry. */
export function rewrite(
  { log, seq }: EntryRow,
  { entry, hash }: { entry: string; hash: string },
  columns: { action?: string } = {},
): Promise<void> {
  const set = env.DB.prepare(
    "UPDATE audit_log SET entry = ?, hash = ?, action = coalesce(?, action) WHERE log = ? AND seq = ?",
  );
  return tamper("audit_log", set.bind(entry, hash, columns.action ?? null, log, seq));
}

/** What can be done to an entry, by name. `told`: whether its own hash gives it away, without the log being asked. */
export const ALTERATIONS: Readonly<
  Record<string, { told: boolean; alter(row: EntryRow, other: EntryRow): Pick<EntryRow, "entry" | "hash"> }>
> = {
  "another action": {
    told: true,
    alter: ({ entry, hash }) => ({ entry: queued(entry), hash }),
  },
  "another action, under the hash that it has": {
    told: false,
    alter: ({ entry }) => ({ entry: queued(entry), hash: hashEntryText(queued(entry)) }),
  },
  "another hash alone": {
    told: true,
    alter: ({ entry, hash }) => ({ entry, hash: hash.replaceAll("a", "b") }),
  },
  "another entry of the log in its place": {
    told: true,
    alter: (_row, { entry, hash }) => ({ entry, hash }),
  },
  "an object that is no entry": { told: true, alter: ({ hash }) => ({ entry: "{}", hash }) },
  "an object that is no entry, under the hash that it has": {
    told: true,
    alter: () => ({ entry: "{}", hash: hashEntryText("{}") }),
  },
  "a value that is no object": { told: true, alter: ({ hash }) => ({ entry: "null", hash }) },
  "fields sealed by what is no key": {
    told: true,
    alter: ({ hash }) => ({ entry: '{"sealed":{"kid":5}}', hash }),
  },
};

/** A message that waited for a person is said to have been let go. */
function queued(entry: string): string {
  return entry.replace('"message.held"', '"message.queued"').replace('"pending_send_approval"', '"queued"');
}
