/** A tenant object's own tables; docs/storage.md has them on one page. One list per schema version, only ever appended to. */
export const TENANT_SCHEMA: readonly (readonly string[])[] = [
  [
    "CREATE TABLE tenant (id INTEGER PRIMARY KEY CHECK (id = 1), tenant TEXT NOT NULL)",
    "CREATE TABLE api_keys (id TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE idempotency (key TEXT PRIMARY KEY, digest TEXT NOT NULL, body TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX idempotency_by_expiry ON idempotency (expires_at)",
    // One-time codes mailed to the operator. Only an HMAC of a code is here.
    `CREATE TABLE confirmations (
      id INTEGER PRIMARY KEY,
      change TEXT NOT NULL,
      key_id TEXT NOT NULL,
      code_hash TEXT NOT NULL,
      asked_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      tries_left INTEGER NOT NULL
    )`,
  ],
  [
    // The mailbox whose upgrade the code is for, so that it can be redeemed without repeating the change; null for all others.
    "ALTER TABLE confirmations ADD COLUMN subject TEXT",
    // Separation of duties asks for an agent's keys.
    "CREATE INDEX api_keys_by_agent ON api_keys (json_extract(key, '$.agent_id'))",
    // What stands still: an agent, or '' for the whole tenant.
    "CREATE TABLE pauses (agent_id TEXT PRIMARY KEY) WITHOUT ROWID",
    // How people get into the console. Only the SHA-256 of a link's or session's token is here; `person` is a comparable address.
    `CREATE TABLE sign_in_links (
      token_hash TEXT PRIMARY KEY,
      person TEXT NOT NULL,
      asked_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      used INTEGER NOT NULL,
      -- How many of its refusals were recorded.
      refusals INTEGER NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX sign_in_links_by_time ON sign_in_links (asked_at)",
    `CREATE TABLE sessions (
      token_hash TEXT PRIMARY KEY,
      person TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX sessions_by_person ON sessions (person)",
    "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
  ],
  [
    // The tenant's P-256 keys (FORMATS.md §3) as JSON; the private half is sealed under MASTER_KEY. One of them is not retired.
    "CREATE TABLE identity_keys (kid TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX identity_keys_active ON identity_keys (kid) WHERE json_extract(key, '$.retired_at') IS NULL",
    // Registered agents as JSON, deleted ones too. Whose default one is stands in the key.
    "CREATE TABLE agents (id TEXT PRIMARY KEY, agent TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX agents_registered ON agents (id) WHERE json_extract(agent, '$.deleted_at') IS NULL",
    "CREATE INDEX api_keys_by_default ON api_keys (json_extract(key, '$.default_agent_id'))",
  ],
  [
    // Whom not to write to, by a hash of tenant and address. `active` 0: taken off the list, and the address with it.
    `CREATE TABLE suppressions (
      hash TEXT PRIMARY KEY,
      address TEXT,
      reason TEXT NOT NULL,
      note TEXT,
      email_id TEXT,
      created_at TEXT NOT NULL,
      place INTEGER NOT NULL,
      active INTEGER NOT NULL,
      version INTEGER NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX suppressions_by_place ON suppressions (place)",
    // Messages that came back from an address that may work another time. Kept as long as they count.
    "CREATE TABLE soft_bounces (hash TEXT NOT NULL, email_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (hash, email_id)) WITHOUT ROWID",
    "CREATE INDEX soft_bounces_by_time ON soft_bounces (at)",
    // The tenant's domains as JSON: how each is set up, whether it is proved, and what the looks at its DNS came to.
    "CREATE TABLE domains (id TEXT PRIMARY KEY, domain TEXT NOT NULL UNIQUE, record TEXT NOT NULL) WITHOUT ROWID",
    // Their DKIM keys as JSON, those awaited and those retired too; private halves are sealed under MASTER_KEY.
    "CREATE TABLE dkim_keys (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, key TEXT NOT NULL)",
    "CREATE INDEX dkim_keys_by_domain ON dkim_keys (domain, position)",
    // Names that the DNS was asked for by setting domains up, and since when: so many new ones in a day.
    "CREATE TABLE domain_names (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX domain_names_by_time ON domain_names (at)",
  ],
  [
    // How large a log was at its newest checkpoint that was told of: a mailbox's to the tenant's log, the tenant's own to the auditor.
    "CREATE TABLE told_checkpoints (log TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID",
    // How many refusals of a key have entries in its present hour, and how many were left out.
    "CREATE TABLE refusals (key_id TEXT PRIMARY KEY, since INTEGER NOT NULL, recorded INTEGER NOT NULL, left_out INTEGER NOT NULL) WITHOUT ROWID",
  ],
  [
    // Persons who are being erased. The address is here and in no other place of the job, and goes with its last step.
    `CREATE TABLE erasures (
      id TEXT PRIMARY KEY,
      address TEXT,
      -- Who asked, as the audit log names them, as JSON.
      actor TEXT NOT NULL,
      started_at TEXT NOT NULL,
      finished_at TEXT,
      -- A round looks at everything; the last one is that which finds nothing.
      round INTEGER NOT NULL,
      -- What was erased, as JSON.
      counts TEXT NOT NULL
    ) WITHOUT ROWID`,
    "CREATE UNIQUE INDEX erasures_under_way ON erasures (address) WHERE address IS NOT NULL",
    // One row for each mailbox, and one for the tenant itself, by its id.
    `CREATE TABLE erasure_parts (
      erasure TEXT NOT NULL,
      part TEXT NOT NULL,
      round INTEGER NOT NULL,
      -- Where this round goes on, as JSON; null: at the beginning.
      position TEXT,
      done INTEGER NOT NULL,
      -- Whether this round found something.
      found INTEGER NOT NULL,
      -- What this round has to leave for the next, as JSON.
      waits TEXT NOT NULL,
      -- Why nothing may be erased now, such as a legal hold.
      blocked TEXT,
      counts TEXT NOT NULL,
      PRIMARY KEY (erasure, part)
    ) WITHOUT ROWID`,
    // The audit entry of the question, which that of the answer names.
    "ALTER TABLE confirmations ADD COLUMN asked TEXT",
  ],
  [
    // Under which kept answers' keys and digests are made, so that neither can be guessed. One row, made with the first answer.
    "CREATE TABLE answer_secret (id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL)",
    // Those from before lie under readable keys, and are found no more.
    "DELETE FROM idempotency",
  ],
  [
    // Stretches of a log that an erasure went past, since neither the object nor R2 has them any more, as JSON.
    "ALTER TABLE erasure_parts ADD COLUMN gone TEXT NOT NULL DEFAULT '[]'",
  ],
];
