-- Projections of what the objects own, for look-ups across them; docs/storage.md says who owns each table.
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  operator_email TEXT NOT NULL,
  created_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  -- Lower-case hex SHA-256 of the whole key.
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  mailbox_ids TEXT,
  agent_id TEXT,
  test INTEGER NOT NULL,
  created_by TEXT,
  revoked_at TEXT
) WITHOUT ROWID;

-- An address is reserved here before its mailbox object is made, since only here it is unique.
CREATE TABLE mailboxes (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  -- Lower-case, domain in A-labels.
  address TEXT NOT NULL UNIQUE,
  routing TEXT NOT NULL UNIQUE,
  -- The Mailbox of API.md as JSON.
  settings TEXT NOT NULL,
  -- The audit sequence the settings are of; an older projection never overwrites a newer one.
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX mailboxes_by_tenant ON mailboxes (tenant_id, id);

CREATE TABLE domains (
  domain TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  -- Null: the deployment's own domain, which every tenant's `address_local` mailboxes share.
  tenant_id TEXT,
  status TEXT NOT NULL,
  -- [{selector, algorithm, public_key, private_key}]: public_key is the base64 of the DNS record's p=, private_key is sealed.
  dkim_keys TEXT NOT NULL,
  created_at TEXT NOT NULL
) WITHOUT ROWID;

-- What waits for a human, across mailboxes. The mailbox object is the authority.
CREATE TABLE pending (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  mailbox_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  key_id TEXT,
  created_at TEXT NOT NULL,
  -- 1 while it waits. A decided item stays with 0, so that a late write cannot bring it back.
  open INTEGER NOT NULL,
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX pending_open ON pending (tenant_id, id) WHERE open = 1;
