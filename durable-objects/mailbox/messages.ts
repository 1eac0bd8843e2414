import type { Receipt } from "../../src/identity/receipt.ts";
import type { MailAddress, MessageContent } from "../../src/mail/message.ts";
import type { DELIVERY_STATES } from "../../src/operations/shapes/email.ts";
import type { Status } from "../../src/oversight/statuses.ts";
import type { MessageRecord, OutboundRecord, Revision } from "./message-record.ts";

export interface Message {
  seq: number;
  id: string;
  thread_id: string;
  direction: "inbound" | "outbound";
  status: Status;
  rfc_message_id: string | null;
  fingerprint: string | null;
  created_at: string;
  /** When what it said was removed, since it is kept no longer. */
  content_expired_at: string | null;
  /** When it was erased: its row alone is left, with nothing in it that says something of a person. */
  erased_at: string | null;
  record: MessageRecord;
}

export interface Bodies extends Record<string, SqlStorageValue> {
  markdown: string | null;
  quoted: string | null;
  text: string;
  html: string | null;
  bodies_key: string | null;
  /** As it was written, before signature and disclosure, where that was not Markdown. */
  source: string | null;
}

export interface DeliveryRow extends Record<string, SqlStorageValue> {
  position: number;
  recipient: string;
  state: (typeof DELIVERY_STATES)[number];
  attempts: number;
  code: number | null;
  response: string | null;
}

/** A row of `messages` as SQLite gives it. */
export interface MessageRow extends Record<string, SqlStorageValue> {
  seq: number;
  id: string;
  thread_id: string;
  direction: string;
  status: string;
  rfc_message_id: string | null;
  fingerprint: string | null;
  created_at: string;
  content_expired_at: string | null;
  erased_at: string | null;
  record: string;
}

export const MESSAGE_COLUMNS =
  "seq, id, thread_id, direction, status, rfc_message_id, fingerprint, created_at, content_expired_at, erased_at, record";

/** @returns the message a row holds. */
export function messageOf(row: MessageRow): Message {
  return {
    ...row,
    direction: row.direction as Message["direction"],
    status: row.status as Status,
    record: JSON.parse(row.record) as MessageRecord,
  };
}

/** Every address of a message, for threading and search. */
export function everyAddress({ record }: Message): MailAddress[] {
  return [record.from, ...record.other_from, ...record.reply_to, ...record.to, ...record.cc, ...record.bcc];
}

/** The messages of one mailbox. Writes belong inside the object's `commit`. */
export class Messages {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  /** @returns the `seq` of the message that was stored last; 0 if there is none. */
  newest(): number {
    return this.sql.exec<{ newest: number }>("SELECT coalesce(max(seq), 0) AS newest FROM messages").one().newest;
  }

  find(id: string): Message | null {
    return this.select("WHERE id = ?", id)[0] ?? null;
  }

  /** @throws Error if it is not there; for ids that came from our own tables. */
  get(id: string): Message {
    const message = this.find(id);
    if (!message) throw new Error(`message ${id} is missing`);
    return message;
  }

  findByFingerprint(fingerprint: string): Message | null {
    return this.select("WHERE fingerprint = ?", fingerprint)[0] ?? null;
  }

  /** @returns at most 5 messages of each of these Message-IDs. */
  findByMessageIds(rfcMessageIds: readonly string[]): Message[] {
    return rfcMessageIds.flatMap((id) => this.select("WHERE rfc_message_id = ? LIMIT 5", id));
  }

  /** @returns the newest messages of a thread, at most `limit`. */
  ofThread(threadId: string, limit: number): Message[] {
    return this.select("WHERE thread_id = ? ORDER BY seq DESC LIMIT ?", threadId, limit);
  }

  /** @returns a thread from its oldest message on: those after `seq` that meet a condition, SQL of ours. */
  threadFrom(threadId: string, seq: number, limit: number, condition: string): Message[] {
    return this.select(`WHERE thread_id = ? AND seq > ? AND ${condition} ORDER BY seq LIMIT ?`, threadId, seq, limit);
  }

  bodies(seq: number): Bodies {
    return this.sql
      .exec<Bodies>("SELECT markdown, quoted, text, html, bodies_key, source FROM bodies WHERE seq = ?", seq)
      .one();
  }

  /** @returns how many characters a message's bodies have. */
  bodyCharacters(seq: number): number {
    return this.sql
      .exec<{ n: number }>("SELECT length(text) + coalesce(length(html), 0) AS n FROM bodies WHERE seq = ?", seq)
      .one().n;
  }

  /** Stores a new message with its bodies and its words. @returns it with its place in the order of arrival. */
  insert(message: Omit<Message, "seq" | "content_expired_at" | "erased_at">, bodies: Bodies): Message {
    const { record } = message;
    const { seq } = this.sql.exec<{ seq: number }>("SELECT coalesce(max(seq), 0) + 1 AS seq FROM messages").one();
    const sender = `${record.from.name ?? ""} ${record.from.address}`.trim();
    this.sql.exec(
      `INSERT INTO messages (seq, id, thread_id, direction, status, rfc_message_id, fingerprint, sender, subject, created_at,
        has_attachments, dkim_result, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      seq,
      message.id,
      message.thread_id,
      message.direction,
      message.status,
      message.rfc_message_id,
      message.fingerprint,
      sender.toLowerCase(),
      record.subject.toLowerCase(),
      message.created_at,
      record.attachments.length > 0 ? 1 : 0,
      record.inbound?.authentication.dkim_result ?? null,
      JSON.stringify(record),
    );
    this.sql.exec(
      "INSERT INTO bodies (seq, markdown, quoted, text, html, bodies_key, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
      seq,
      bodies.markdown,
      bodies.quoted,
      bodies.text,
      bodies.html,
      bodies.bodies_key,
      bodies.source,
    );
    const placed = { ...message, seq, content_expired_at: null, erased_at: null };
    this.index(placed, bodies.text);
    return placed;
  }

  private index(message: Message, text: string): void {
    const people = everyAddress(message).map(({ name, address }) => `${name ?? ""} ${address}`);
    this.sql.exec(
      "INSERT INTO search (rowid, people, subject, text) VALUES (?, ?, ?, ?)",
      message.seq,
      people.join("\n"),
      message.record.subject,
      text,
    );
  }

  /** Puts another content in a message's place: columns, bodies and words. */
  replace(message: Message, bodies: Bodies): void {
    const { record, seq } = message;
    this.save(message);
    this.sql.exec("UPDATE messages SET subject = ? WHERE seq = ?", record.subject.toLowerCase(), seq);
    this.sql.exec(
      "UPDATE bodies SET markdown = ?, text = ?, html = ?, source = ? WHERE seq = ?",
      bodies.markdown,
      bodies.text,
      bodies.html,
      bodies.source,
      seq,
    );
    this.sql.exec("DELETE FROM search WHERE rowid = ?", seq);
    this.index(message, bodies.text);
  }

  revisions(seq: number): Revision[] {
    return this.sql
      .exec<{ revision: string; before: string; difference: string }>(
        "SELECT revision, before, difference FROM revisions WHERE seq = ? ORDER BY number",
        seq,
      )
      .toArray()
      .map(({ revision, before, difference }) => ({ ...JSON.parse(revision), before, difference }) as Revision);
  }

  /** @returns who changed a message and when, with the beginning of each difference. @param characters how much of it. */
  edits(seq: number, characters: number): (Pick<Revision, "by" | "at" | "difference"> & { is_cut: boolean })[] {
    return this.sql
      .exec<{ revision: string; difference: string; is_cut: number }>(
        `SELECT revision, substr(difference, 1, ?2) AS difference, length(difference) > ?2 AS is_cut
         FROM revisions WHERE seq = ?1 ORDER BY number`,
        seq,
        characters,
      )
      .toArray()
      .map(({ revision, difference, is_cut }) => {
        const { by, at } = JSON.parse(revision) as Pick<Revision, "by" | "at">;
        return { by, at, difference, is_cut: is_cut === 1 };
      });
  }

  /** Writes back who changed a message, as `change` makes it. */
  changeRevisions(seq: number, change: (revision: Omit<Revision, "before" | "difference">) => unknown): void {
    const rows = this.sql
      .exec<{ number: number; revision: string }>("SELECT number, revision FROM revisions WHERE seq = ?", seq)
      .toArray();
    for (const { number, revision } of rows) {
      const changed = JSON.stringify(change(JSON.parse(revision)));
      this.sql.exec("UPDATE revisions SET revision = ? WHERE seq = ? AND number = ?", changed, seq, number);
    }
  }

  addRevision(seq: number, number: number, { before, difference, ...revision }: Revision): void {
    this.sql.exec(
      "INSERT INTO revisions (seq, number, revision, before, difference) VALUES (?, ?, ?, ?, ?)",
      seq,
      number,
      JSON.stringify(revision),
      before,
      difference,
    );
  }

  /** Writes back a message's status and record. */
  save(message: Message): void {
    this.sql.exec(
      "UPDATE messages SET status = ?, record = ? WHERE seq = ?",
      message.status,
      JSON.stringify(message.record),
      message.seq,
    );
  }

  /** Leaves of a message its place and what `record` says; its bodies and words go. */
  erase({ seq }: Message, record: MessageRecord, at: string): void {
    this.sql.exec(
      `UPDATE messages SET rfc_message_id = NULL, fingerprint = NULL, sender = '', subject = '', has_attachments = 0,
        dkim_result = NULL, record = ?, erased_at = ? WHERE seq = ?`,
      JSON.stringify(record),
      at,
      seq,
    );
    this.forgetContent(seq);
  }

  /** Notes that what a message said is kept no longer, and forgets it; its record stays as `record` says. */
  expireContent({ seq }: Message, record: MessageRecord, at: string): void {
    this.sql.exec(
      "UPDATE messages SET has_attachments = 0, record = ?, content_expired_at = ? WHERE seq = ?",
      JSON.stringify(record),
      at,
      seq,
    );
    this.forgetContent(seq);
  }

  private forgetContent(seq: number): void {
    this.sql.exec(
      "UPDATE bodies SET markdown = NULL, quoted = NULL, text = '', html = NULL, bodies_key = NULL, source = NULL WHERE seq = ?",
      seq,
    );
    this.sql.exec("DELETE FROM search WHERE rowid = ?", seq);
    this.sql.exec("DELETE FROM revisions WHERE seq = ?", seq);
    this.sql.exec("DELETE FROM originals WHERE seq = ?", seq);
  }

  /**
   * Merges the full-text index a little further: a deleted row's words are in it until then. @returns whether there is more to do.
   * @param pages how many of its pages are written at most.
   */
  mergeWords(pages: number): boolean {
    // Below two rows nothing was merged (SQLite FTS5, §6.8).
    return this.sql.exec("INSERT INTO search (search, rank) VALUES ('merge', ?)", -pages).rowsWritten >= 2;
  }

  /** @returns the words of the message that another has attached. @throws Error if it has none. */
  original(seq: number): { text: string; html: string | null } {
    return this.sql
      .exec<{ text: string; html: string | null }>("SELECT text, html FROM originals WHERE seq = ?", seq)
      .one();
  }

  originalOrNull(seq: number): { text: string; html: string | null } | null {
    return (
      this.sql
        .exec<{ text: string; html: string | null }>("SELECT text, html FROM originals WHERE seq = ?", seq)
        .toArray()[0] ?? null
    );
  }

  saveOriginal(seq: number, { text, html }: { text: string; html: string | null }): void {
    this.sql.exec("INSERT INTO originals VALUES (?, ?, ?)", seq, text, html);
  }

  /** @returns the identity receipt of what was delivered, or null. */
  receipt(seq: number): Receipt | null {
    const row = this.sql.exec<{ receipt: string }>("SELECT receipt FROM receipts WHERE seq = ?", seq).toArray()[0];
    return row ? (JSON.parse(row.receipt) as Receipt) : null;
  }

  saveReceipt(seq: number, receipt: Receipt): void {
    this.sql.exec("INSERT OR REPLACE INTO receipts VALUES (?, ?)", seq, JSON.stringify(receipt));
  }

  deliveries(seq: number): DeliveryRow[] {
    return this.sql
      .exec<DeliveryRow>(
        "SELECT position, recipient, state, attempts, code, response FROM deliveries WHERE seq = ? ORDER BY position",
        seq,
      )
      .toArray();
  }

  saveDelivery(seq: number, row: DeliveryRow): void {
    this.sql.exec(
      "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)",
      seq,
      row.position,
      row.recipient,
      row.state,
      row.attempts,
      row.code,
      row.response,
    );
  }

  /** @returns messages after `seq`, the oldest first. */
  from(seq: number, limit: number): Message[] {
    return this.select("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit);
  }

  /** @returns messages after `seq` that are not erased, the oldest first. */
  present(seq: number, limit: number): Message[] {
    return this.select("WHERE seq > ? AND erased_at IS NULL ORDER BY seq LIMIT ?", seq, limit);
  }

  /** @returns messages whose content is there, written before a time, the oldest first. @param after the last of the page before. */
  withContent(after: { created_at: string; seq: number }, before: string, limit: number): Message[] {
    return this.select(
      `WHERE content_expired_at IS NULL AND erased_at IS NULL AND (created_at, seq) > (?, ?) AND created_at <= ?
       ORDER BY created_at, seq LIMIT ?`,
      after.created_at,
      after.seq,
      before,
      limit,
    );
  }

  /** How much there is to read of a message, in characters, and whether more of it lies in R2. */
  extent(seq: number): { length: number; is_in_store: boolean } {
    const { length, in_store } = this.sql
      .exec<{ length: number; in_store: number }>(
        `SELECT length(text) + coalesce(length(markdown), 0) + coalesce(length(html), 0) AS length,
           bodies_key IS NOT NULL AS in_store FROM bodies WHERE seq = ?`,
        seq,
      )
      .one();
    return { length, is_in_store: in_store === 1 };
  }

  /** @returns messages that have these words one after the other, the newest first. @param words of which FTS5 makes a phrase. */
  withWords(words: string, limit: number): Message[] {
    return this.select(
      "WHERE seq IN (SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?) ORDER BY seq DESC",
      `"${words.replaceAll('"', '""')}"`,
      limit,
    );
  }

  /** @returns messages that pass another on. */
  forwardsOf(emailId: string): Message[] {
    return this.select("WHERE json_extract(record, '$.outbound.forward.email_id') = ?", emailId);
  }

  private select(clause: string, ...bindings: SqlStorageValue[]): Message[] {
    return this.sql
      .exec<MessageRow>(`SELECT ${MESSAGE_COLUMNS} FROM messages ${clause}`, ...bindings)
      .toArray()
      .map(messageOf);
  }
}

/** What a recipient can see of a message, rebuilt from what is stored: the only thing that composing reads. */
export function contentOf({ record }: Message, bodies: Bodies): MessageContent {
  return {
    from: record.from,
    reply_to: record.reply_to,
    to: record.to,
    cc: record.cc,
    bcc: record.bcc,
    subject: record.subject,
    text: bodies.text,
    html: bodies.html,
    attachments: record.attachments,
    in_reply_to: record.in_reply_to,
    references: record.references,
    ...(record.redirected !== undefined && { redirected: record.redirected }),
  };
}

/** Whether a person had it passed on: no agent's doing, so nothing of it counts for or against one. */
export function isStanding({ record }: Pick<Message, "record">): boolean {
  return record.outbound?.forward?.standing === true;
}

/** The outbound part. @throws Error for inbound mail. */
export function outboundOf({ id, record }: Message): OutboundRecord {
  if (!record.outbound) throw new Error(`${id} is not outbound`);
  return record.outbound;
}
