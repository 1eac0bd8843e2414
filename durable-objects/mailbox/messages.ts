import type { AuthenticationVerdicts, MailAddress, MessageContent, StoredAttachment } from "../../src/mail/message.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import type { Author } from "../../src/oversight/separation.ts";
import type { OutboundStatus, Status } from "../../src/oversight/statuses.ts";

/** A decision on a pending item. There is at most one. */
export interface RecordedDecision {
  approval_ref: string;
  decision: "approve" | "reject";
  kind: "human_link" | "key";
  /** An approver's address, or a key id. */
  by: string;
  at: string;
  reason: string | null;
  content_hash: string;
  /** The mailbox was tightened while the message was being sent: nothing further rests on this. */
  void?: true;
}

/** Why and until when an item waits. */
export interface Hold {
  kind: "send" | "inbound";
  /** Which rule held it, in words. */
  rule: string;
  expires_at: string;
  /** How many links were mailed for it. */
  links: number;
  /** How many of them were withdrawn because they came back in inbound mail. */
  withdrawn?: number;
}

/** What the columns leave out. */
export interface MessageRecord {
  mode: Mode;
  from: MailAddress;
  /** More than one only in broken inbound mail. */
  other_from: MailAddress[];
  reply_to: MailAddress[];
  to: MailAddress[];
  cc: MailAddress[];
  bcc: MailAddress[];
  subject: string;
  in_reply_to: string | null;
  references: string[];
  attachments: StoredAttachment[];
  tags: Record<string, string>;
  metadata: Record<string, unknown>;
  hold: Hold | null;
  decision: RecordedDecision | null;
  raw_key: string | null;
  received_at: string | null;
  sent_at: string | null;
  delivered_at: string | null;
  bounced_at: string | null;
  bounce_type: string | null;
  /** Why it ended without a decision: the reason given with a cancellation, or what the transport said last. */
  end_reason: string | null;
  outbound: OutboundRecord | null;
  inbound: InboundRecord | null;
}

export interface OutboundRecord {
  author: Author;
  model_id: string | null;
  model_provider: string | null;
  ai_disclosure: boolean;
  /** The request's own mode, which may only tighten. */
  requested_mode: Mode | null;
  /** `mm_test_`: ends in the sandbox. */
  test: boolean;
  /** The overseer gets a copy of what is sent. */
  copy: boolean;
  content_hash: string;
  /** What the first answer said. */
  first_status: OutboundStatus;
  attempts: number;
  first_attempt_at: number | null;
}

export interface InboundRecord {
  envelope_from: string;
  headers: [string, string][];
  authentication: AuthenticationVerdicts;
  flags: string[];
  content_hash: string;
}

export interface Message {
  seq: number;
  id: string;
  thread_id: string;
  direction: "inbound" | "outbound";
  status: Status;
  rfc_message_id: string | null;
  fingerprint: string | null;
  created_at: string;
  record: MessageRecord;
}

export interface Bodies extends Record<string, SqlStorageValue> {
  markdown: string | null;
  quoted: string | null;
  text: string;
  html: string | null;
  bodies_key: string | null;
}

export interface DeliveryRow extends Record<string, SqlStorageValue> {
  position: number;
  recipient: string;
  state: "queued" | "deferred" | "accepted" | "bounced" | "failed";
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
  record: string;
}

export const MESSAGE_COLUMNS = "seq, id, thread_id, direction, status, rfc_message_id, fingerprint, created_at, record";

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
      .exec<Bodies>("SELECT markdown, quoted, text, html, bodies_key FROM bodies WHERE seq = ?", seq)
      .one();
  }

  /** Stores a new message with its bodies and its words. @returns it with its place in the order of arrival. */
  insert(message: Omit<Message, "seq">, bodies: Bodies): Message {
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
      "INSERT INTO bodies VALUES (?, ?, ?, ?, ?, ?)",
      seq,
      bodies.markdown,
      bodies.quoted,
      bodies.text,
      bodies.html,
      bodies.bodies_key,
    );
    const placed = { ...message, seq };
    const people = everyAddress(placed).map(({ name, address }) => `${name ?? ""} ${address}`);
    this.sql.exec(
      "INSERT INTO search (rowid, people, subject, text) VALUES (?, ?, ?, ?)",
      seq,
      people.join("\n"),
      record.subject,
      bodies.text,
    );
    return placed;
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
  };
}

/** The outbound part. @throws Error for inbound mail. */
export function outboundOf({ id, record }: Message): OutboundRecord {
  if (!record.outbound) throw new Error(`${id} is not outbound`);
  return record.outbound;
}
