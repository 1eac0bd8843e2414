import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { InboxQuery } from "../mailbox-rpc.ts";
import { MESSAGE_COLUMNS, type Message, type MessageRow, messageOf } from "./messages.ts";

/**
 * How many rows one page examines at most. `seq` has no gaps, so a page walks a range of it; a page of a sparse filter may come
 * back short, even empty, with a cursor, and costs the same in a mailbox of any size.
 */
export const EXAMINED_ROWS = 1_000;

/** Mail that an agent may know of: not what waits for a human, nor what one refused, nor what was set aside on arrival. */
export const RELEASED =
  "messages.status <> 'pending_inbound_approval' AND NOT (messages.direction = 'inbound' AND messages.status = 'rejected') " +
  "AND json_extract(messages.record, '$.inbound.set_aside') IS NULL";

export interface Cursor {
  /** The last `seq` examined. */
  seq: number;
  /** `asc` for since_id, which goes on from the oldest. */
  order: "asc" | "desc";
}

/** @returns an opaque cursor. */
export function encodeCursor({ seq, order }: Cursor): string {
  return Buffer.from(`${order}:${seq}`).toString("base64url");
}

/** @returns what a cursor says, or null for one that we never gave. */
export function decodeCursor(text: string): Cursor | null {
  const match = /^(asc|desc):(\d{1,15})$/.exec(Buffer.from(text, "base64url").toString("latin1"));
  return match ? { order: match[1] as Cursor["order"], seq: Number(match[2]) } : null;
}

type Condition = [sql: string, ...bindings: SqlStorageValue[]];

function given<T>(value: T | null, condition: (value: T) => Condition): Condition | null {
  return value === null ? null : condition(value);
}

/** One condition a filter; null where the query does not filter. */
function conditions(query: InboxQuery): Condition[] {
  const all: (Condition | null)[] = [
    given(query.status, (statuses) => ["status IN (SELECT value FROM json_each(?))", JSON.stringify(statuses)]),
    given(query.direction, (direction) => ["direction = ?", direction]),
    given(query.sender, (sender) => ["instr(sender, ?) > 0", sender.toLowerCase()]),
    given(query.subject_contains, (part) => ["instr(subject, ?) > 0", part.toLowerCase()]),
    given(query.date_after, (time) => ["created_at > ?", time]),
    given(query.date_before, (time) => ["created_at < ?", time]),
    given(query.has_attachments, (has) => ["has_attachments = ?", has ? 1 : 0]),
    given(query.dkim_result, (result) => ["dkim_result = ?", result]),
    query.unread_only ? ["status = 'unread'"] : null,
    given(query.tag, tagCondition),
    ...Object.entries(query.metadata).map(
      ([key, value]): Condition => [
        "EXISTS (SELECT 1 FROM json_each(record, '$.metadata') WHERE key = ? AND CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END = ?)",
        key,
        value,
      ],
    ),
  ];
  return all.filter((condition) => condition !== null);
}

function tagCondition(tag: string): Condition {
  const at = tag.indexOf(":");
  const has = "EXISTS (SELECT 1 FROM json_each(record, '$.tags') WHERE key = ?";
  // A key may hold a colon itself.
  return at < 0 ? [`${has})`, tag] : [`${has}) OR ${has} AND value = ?)`, tag, tag.slice(0, at), tag.slice(at + 1)];
}

/** FTS5: each term quoted, so that `-`, `"` and words like OR are only text. */
function fullTextQuery(q: string): string {
  return q
    .split(/\s+/)
    .filter((term) => term !== "")
    .map((term) => `"${term.replaceAll('"', '""')}"`)
    .join(" ");
}

interface Source {
  /** Yields `seq` values to examine, as SQL. */
  sql: string;
  bindings: SqlStorageValue[];
  /** The next place to go on from once all of it was examined, or null at the end. */
  next: number | null;
}

/** Where a page looks: a range of `seq`, a stretch of the thread index, or of the full-text index. */
function source(sql: SqlStorage, query: InboxQuery, cursor: Cursor, examined: number, shown: string): Source {
  const descending = cursor.order === "desc";
  const beyond = descending ? "<" : ">";
  const stretch = (statement: string, ...bindings: SqlStorageValue[]): Source => {
    const found = sql.exec<{ seq: number }>(statement, ...bindings, cursor.seq, examined).toArray();
    const last = found.at(-1);
    return {
      sql: "seq IN (SELECT value FROM json_each(?))",
      bindings: [JSON.stringify(found.map(({ seq }) => seq))],
      next: found.length === examined && last ? last.seq : null,
    };
  };
  if (query.q !== null) {
    return stretch(
      // What is withheld is left out before anything is counted, or a cursor would tell that a hidden message has the word.
      `SELECT search.rowid AS seq FROM search CROSS JOIN messages ON messages.seq = search.rowid
       WHERE search MATCH ? AND search.rowid ${beyond} ? AND ${shown} ORDER BY search.rowid ${cursor.order} LIMIT ?`,
      fullTextQuery(query.q),
    );
  }
  if (query.thread_id !== null) {
    return stretch(
      `SELECT seq FROM messages WHERE thread_id = ? AND seq ${beyond} ? AND ${shown} ORDER BY seq ${cursor.order} LIMIT ?`,
      query.thread_id,
    );
  }
  const { newest } = sql.exec<{ newest: number }>("SELECT coalesce(max(seq), 0) AS newest FROM messages").one();
  const from = descending ? Math.min(cursor.seq, newest + 1) : cursor.seq;
  const end = descending ? from - EXAMINED_ROWS : from + EXAMINED_ROWS;
  const next = descending ? (end > 1 ? end : null) : end <= newest ? end - 1 : null;
  return descending
    ? { sql: "seq < ? AND seq >= ?", bindings: [from, end], next }
    : { sql: "seq > ? AND seq < ?", bindings: [from, end], next };
}

export interface Found {
  messages: Message[];
  cursor: string | null;
}

/**
 * One page.
 * @param since the `seq` of since_id, or null.
 * @param withheld whether mail that a human has not released is shown.
 */
export function findMessages(
  sql: SqlStorage,
  query: InboxQuery,
  since: number | null,
  withheld: boolean,
): Outcome<Found> {
  const start: Cursor = since === null ? { order: "desc", seq: Number.MAX_SAFE_INTEGER } : { order: "asc", seq: since };
  const cursor = query.cursor === null ? start : decodeCursor(query.cursor);
  if (!cursor || cursor.order !== start.order)
    return refused("invalid_input", "This cursor is not one that this list gave.");
  if (query.q !== null && fullTextQuery(query.q) === "") return accepted({ messages: [], cursor: null });
  const filters = conditions(query);
  // Without further filters nearly every row found is shown, so a page need not look further than itself.
  const examined = filters.length ? EXAMINED_ROWS : query.limit + query.offset + 1;
  const where = source(sql, query, cursor, examined, withheld ? "1" : RELEASED);
  if (query.q !== null && query.thread_id !== null) filters.push(["thread_id = ?", query.thread_id]);
  if (!withheld) filters.push([RELEASED]);
  if (query.status === null) filters.push(["status <> 'deleted'"]);
  const rows = sql
    .exec<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM messages WHERE ${[where.sql, ...filters.map(([text]) => `(${text})`)].join(" AND ")}
       ORDER BY seq ${cursor.order} LIMIT ? OFFSET ?`,
      ...where.bindings,
      ...filters.flatMap(([, ...bindings]) => bindings),
      query.limit + 1,
      query.offset,
    )
    .toArray();
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  const next = rows.length > query.limit && last ? last.seq : where.next;
  return accepted({
    messages: page.map(messageOf),
    cursor: next === null ? null : encodeCursor({ seq: next, order: cursor.order }),
  });
}
