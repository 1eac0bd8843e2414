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
  [
    // The body as it was written, before signature and disclosure, where it was not Markdown: what an edit starts from.
    "ALTER TABLE bodies ADD COLUMN source TEXT",
    // Whose seat the person uses who was mailed the link: their own address, or that of whoever they stand in for.
    "ALTER TABLE links ADD COLUMN seat TEXT",
    // What waits for a human besides messages, by its `pend_` id. record is JSON (RequestRecord).
    `CREATE TABLE requests (
      id TEXT PRIMARY KEY,
      kind TEXT NOT NULL,
      status TEXT NOT NULL,
      key_id TEXT,
      -- SHA-256 of who asks for what, by which the same question asked again is known.
      digest TEXT NOT NULL,
      created_at TEXT NOT NULL,
      record TEXT NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX requests_open ON requests (key_id, digest) WHERE status IN ('pending', 'approved')",
    // Everything that waits for a human now.
    "CREATE TABLE waiting (item TEXT PRIMARY KEY) WITHOUT ROWID",
    "INSERT INTO waiting SELECT ref FROM timers WHERE kind = 'expire'",
    // Who is asked is found out first; each person's mail has a timer of its own then.
    "UPDATE OR REPLACE timers SET kind = 'ask' WHERE kind = 'notify'",
    // Which revision of an item a key or person was last served; they can decide on that one only.
    "CREATE TABLE served (item TEXT NOT NULL, reader TEXT NOT NULL, content_hash TEXT NOT NULL, PRIMARY KEY (item, reader)) WITHOUT ROWID",
    // Earlier versions of a message that was changed (Revision). The long texts stand by themselves: as JSON they could take six times
    // as much, and a row has room for 2 MB.
    `CREATE TABLE revisions (
      seq INTEGER NOT NULL,
      number INTEGER NOT NULL,
      revision TEXT NOT NULL,
      before TEXT NOT NULL,
      difference TEXT NOT NULL,
      PRIMARY KEY (seq, number)
    ) WITHOUT ROWID`,
    "CREATE TABLE policy (id INTEGER PRIMARY KEY CHECK (id = 1), policy TEXT NOT NULL)",
    `CREATE TABLE allowlist (
      id TEXT PRIMARY KEY,
      recipient TEXT NOT NULL UNIQUE,
      note TEXT,
      approval_ref TEXT NOT NULL,
      created_at TEXT NOT NULL
    ) WITHOUT ROWID`,
    // Whom a message reached that a human had approved, and their domains. Lower-case.
    "CREATE TABLE known_recipients (address TEXT PRIMARY KEY, since TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE known_domains (domain TEXT PRIMARY KEY, since TEXT NOT NULL) WITHOUT ROWID",
    // When messages were let go, for budgets: recipient '' is the mailbox itself. Kept for a day.
    "CREATE TABLE let_go (recipient TEXT NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (recipient, at, seq)) WITHOUT ROWID",
    // What happened on each day (UTC), for the mailbox's record. Kept for 90 days.
    "CREATE TABLE daily_counts (day TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (day, what)) WITHOUT ROWID",
    // Drafts; draft is JSON.
    "CREATE TABLE drafts (id TEXT PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, key_id TEXT NOT NULL, draft TEXT NOT NULL) WITHOUT ROWID",
    // Templates with all their versions; template is JSON.
    `CREATE TABLE templates (
      id TEXT NOT NULL,
      version INTEGER NOT NULL,
      status TEXT NOT NULL,
      pending_id TEXT NOT NULL,
      approval_ref TEXT,
      template TEXT NOT NULL,
      PRIMARY KEY (id, version)
    ) WITHOUT ROWID`,
    "CREATE TABLE deleted_templates (id TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",
  ],
  [
    // The identity receipt of each delivered message, as JSON (FORMATS.md §4).
    "CREATE TABLE receipts (seq INTEGER PRIMARY KEY, receipt TEXT NOT NULL)",
    // Nonces of verified claims that arrived, by which the same claim in another message is known.
    "CREATE TABLE seen_nonces (nonce TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
  ],
  [
    // What came back about a recipient, by a digest of what it says. `raw_key` is where it lies in R2.
    `CREATE TABLE returned (
      seq INTEGER NOT NULL,
      position INTEGER NOT NULL,
      digest TEXT NOT NULL,
      at TEXT NOT NULL,
      raw_key TEXT,
      PRIMARY KEY (seq, position, digest)
    ) WITHOUT ROWID`,
    // The words of the message that a forwarding has attached: what a person decides on and rules read.
    "CREATE TABLE originals (seq INTEGER PRIMARY KEY, text TEXT NOT NULL, html TEXT)",
    // Who got which words, by which bulk is known. Kept for a day.
    // What came of mail to a domain on each day (UTC): `what` is bounces, complaints or replies. Kept for 90 days.
    "CREATE TABLE domain_days (domain TEXT NOT NULL, day TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (domain, day, what)) WITHOUT ROWID",
    "CREATE TABLE same_words (digest TEXT NOT NULL, recipient TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (digest, recipient)) WITHOUT ROWID",
    // What the provider called each recipient's copy, by which its events are matched.
    "CREATE TABLE provider_copies (provider_id TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (provider_id, seq, position)) WITHOUT ROWID",
  ],
  [
    "ALTER TABLE messages ADD COLUMN content_expired_at TEXT",
    // The row of an erased message stays, since `seq` has no gaps; nothing in it says anything of a person.
    "ALTER TABLE messages ADD COLUMN erased_at TEXT",
    "CREATE INDEX messages_with_content ON messages (created_at, seq) WHERE content_expired_at IS NULL AND erased_at IS NULL",
    // Which messages pass another on: what is erased is erased there too.
    "CREATE INDEX messages_by_forwarded ON messages (json_extract(record, '$.outbound.forward.email_id')) WHERE json_extract(record, '$.outbound.forward.email_id') IS NOT NULL",
    "CREATE INDEX requests_about ON requests (json_extract(record, '$.email_id')) WHERE json_extract(record, '$.email_id') IS NOT NULL",
    "CREATE INDEX provider_copies_by_message ON provider_copies (seq)",
    // What lies in R2 and D1 of messages and drafts that are erased, or whose content expired, until it is certain that it is gone.
    // `closes` is their item among what waits.
    "CREATE TABLE erasing (id TEXT PRIMARY KEY, closes TEXT) WITHOUT ROWID",
    // How far the erasure of a person has come here, by the account's number for it; its counts are JSON.
    "CREATE TABLE erasures (id TEXT PRIMARY KEY, counts TEXT NOT NULL) WITHOUT ROWID",
    // How often a decision link was opened, or refused a decision, and that is an entry.
    "ALTER TABLE links ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0",
  ],
  [
    // How many uses of an unsubscribe link have entries. Position -1: the footer's, which is everybody's.
    "CREATE TABLE unsubscribe_links (seq INTEGER NOT NULL, position INTEGER NOT NULL, recorded INTEGER NOT NULL, PRIMARY KEY (seq, position)) WITHOUT ROWID",
  ],
  [
    // Data keys of entries about a message or draft that are sealed by themselves, each under a key of its own: they are destroyed with
    // the item's.
    "CREATE TABLE apart_keys (item TEXT NOT NULL, kid TEXT NOT NULL, PRIMARY KEY (item, kid)) WITHOUT ROWID",
  ],
];
