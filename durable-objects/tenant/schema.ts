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
];
