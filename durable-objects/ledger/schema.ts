import { TIMERS_SCHEMA } from "../timers.ts";

/** The tables that every log has; docs/storage.md has them on one page. One list per version, only ever appended to. */
export const LEDGER_VERSIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE ledger (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      log TEXT NOT NULL,
      tenant_id TEXT NOT NULL,
      -- Of the object's own tables; that of these is ledger_version.
      schema_version INTEGER NOT NULL,
      -- How many entries and events D1 has for certain.
      drained INTEGER NOT NULL,
      events_drained INTEGER NOT NULL
    )`,
    // Old entries may leave once they are sealed in R2; the newest one never does, since the next continues from it.
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, hash TEXT NOT NULL, entry TEXT NOT NULL)",
    "CREATE TABLE data_keys (kid TEXT PRIMARY KEY, wrapped TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE events (sequence INTEGER PRIMARY KEY, event TEXT NOT NULL)",
    ...TIMERS_SCHEMA,
  ],
  [
    "ALTER TABLE ledger ADD COLUMN ledger_version INTEGER NOT NULL DEFAULT 1",
    // Roots of complete subtrees of the Merkle tree (RFC 6962 §2.1). Level 0 are leaves whose entries have left `entries`.
    `CREATE TABLE tree_nodes (
      level INTEGER NOT NULL,
      position INTEGER NOT NULL,
      hash BLOB NOT NULL,
      PRIMARY KEY (level, position)
    ) WITHOUT ROWID`,
    // The log's Ed25519 key, sealed under MASTER_KEY, and the origin it signs under, which stays if the deployment moves.
    "CREATE TABLE log_keys (id TEXT PRIMARY KEY, origin TEXT NOT NULL, verifier_key TEXT NOT NULL, key TEXT NOT NULL) WITHOUT ROWID",
    // Checkpoints: the newest one, and those that a witness has signed too.
    "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, at TEXT NOT NULL, note TEXT NOT NULL, witnesses INTEGER NOT NULL)",
    // Stretches of the log that are sealed in R2, or about to be (`stored` 0). A row is written before anything leaves and has all
    // that the segment's bytes are made of beside the entries; they are the same whenever they are made.
    `CREATE TABLE segments (
      first INTEGER PRIMARY KEY,
      last INTEGER NOT NULL,
      first_at TEXT NOT NULL,
      last_at TEXT NOT NULL,
      sealed_at TEXT NOT NULL,
      note TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      stored INTEGER NOT NULL
    )`,
    "CREATE INDEX segments_unfinished ON segments (first) WHERE stored = 0",
    // One row: entries below `floor` have left `entries`; those below `dropping` are to leave it and D1; how far the reconciler is.
    `CREATE TABLE keeping (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      floor INTEGER NOT NULL,
      dropping INTEGER NOT NULL,
      reconciled TEXT
    )`,
    "INSERT INTO keeping VALUES (1, 0, 0, NULL)",
    // Data keys that were destroyed. They are never made anew: nobody could tell what the one sealed and what the other. `in_d1`: D1 may
    // have it still.
    "CREATE TABLE erased_keys (kid TEXT PRIMARY KEY, in_d1 INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX erased_keys_in_d1 ON erased_keys (kid) WHERE in_d1 = 1",
    // What an event of an arrival says of its sender goes when the message is erased.
    "CREATE INDEX events_of_arrivals ON events (json_extract(event, '$.email_id')) WHERE json_extract(event, '$.type') = 'message.received'",
    // What the reconciler found that cannot be repaired, so that each is recorded once.
    "CREATE TABLE log_faults (what TEXT NOT NULL, seq INTEGER NOT NULL, found_at TEXT NOT NULL, PRIMARY KEY (what, seq)) WITHOUT ROWID",
  ],
];
