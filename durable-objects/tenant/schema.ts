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
];
