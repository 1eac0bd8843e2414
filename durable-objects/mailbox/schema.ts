/** A mailbox object's own tables; docs/storage.md has them on one page. One list per schema version, only ever appended to. */
export const MAILBOX_SCHEMA: readonly (readonly string[])[] = [
  [
    // `mailbox` is the Mailbox of API.md as JSON.
    "CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), mailbox TEXT NOT NULL)",
    // `seq` is the order of arrival, without gaps: rows are never deleted, so a range of seq bounds what a page examines.
    // Columns are what lists filter on; `record` is the rest (MessageRecord) as JSON.
    `CREATE TABLE messages (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      thread_id TEXT NOT NULL,
      direction TEXT NOT NULL,
      status TEXT NOT NULL,
      rfc_message_id TEXT,
      -- Hash of an inbound message's bytes and envelope, by which a redelivery is known.
      fingerprint TEXT,
      -- Lower-case, for filters.
      sender TEXT NOT NULL,
      subject TEXT NOT NULL,
      created_at TEXT NOT NULL,
      has_attachments INTEGER NOT NULL,
      dkim_result TEXT,
      record TEXT NOT NULL
    )`,
    "CREATE INDEX messages_by_thread ON messages (thread_id, seq)",
    "CREATE INDEX messages_by_rfc_message_id ON messages (rfc_message_id) WHERE rfc_message_id IS NOT NULL",
    "CREATE UNIQUE INDEX messages_by_fingerprint ON messages (fingerprint) WHERE fingerprint IS NOT NULL",
    "CREATE TABLE bodies (seq INTEGER PRIMARY KEY, markdown TEXT, quoted TEXT, text TEXT NOT NULL, html TEXT, bodies_key TEXT)",
    // Contentless: the words are indexed, the text stays in `bodies`.
    "CREATE VIRTUAL TABLE search USING fts5(people, subject, text, content = '', contentless_delete = 1)",
    // One row a recipient, made when delivery first begins. `state`: queued, deferred, accepted, bounced, failed.
    `CREATE TABLE deliveries (
      seq INTEGER NOT NULL,
      position INTEGER NOT NULL,
      recipient TEXT NOT NULL,
      state TEXT NOT NULL,
      attempts INTEGER NOT NULL,
      code INTEGER,
      response TEXT,
      PRIMARY KEY (seq, position)
    ) WITHOUT ROWID`,
    // Decision links. Only the SHA-256 of a token is here.
    `CREATE TABLE links (
      token_hash TEXT PRIMARY KEY,
      email_id TEXT NOT NULL,
      approver TEXT NOT NULL,
      content_hash TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      revoked TEXT,
      used INTEGER NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX links_by_email ON links (email_id)",
    "CREATE TABLE idempotency (key TEXT PRIMARY KEY, digest TEXT NOT NULL, email_id TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID",
  ],
];
