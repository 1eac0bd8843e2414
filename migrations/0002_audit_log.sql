-- The audit chains of all objects (FORMATS.md §6), drained in order. Append-only.
CREATE TABLE audit_log (
  log TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  at TEXT NOT NULL,
  action TEXT NOT NULL,
  mailbox_id TEXT,
  email_id TEXT,
  agent_id TEXT,
  key_id TEXT,
  domain TEXT,
  hash TEXT NOT NULL,
  -- The entry's JSON, exactly as it was hashed (RFC 8785).
  entry TEXT NOT NULL,
  PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, id);
CREATE INDEX audit_log_by_email ON audit_log (tenant_id, email_id, id) WHERE email_id IS NOT NULL;
CREATE INDEX audit_log_by_agent ON audit_log (tenant_id, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX audit_log_by_action ON audit_log (tenant_id, action, id);

CREATE TRIGGER audit_log_refuses_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_log_refuses_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- REPLACE INTO slips past delete triggers, so an existing (log, seq) is left as it is.
CREATE TRIGGER audit_log_refuses_replace BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE log = NEW.log AND seq = NEW.seq)
BEGIN SELECT RAISE(IGNORE); END;

-- Data keys of sealed fields, wrapped under MASTER_KEY. Destroying one erases what it sealed.
CREATE TABLE data_keys (
  kid TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  wrapped TEXT NOT NULL
) WITHOUT ROWID;

-- What webhooks will be told, one gapless sequence per log.
CREATE TABLE events (
  log TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  id TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  type TEXT NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (log, sequence)
) WITHOUT ROWID;
CREATE INDEX events_by_tenant ON events (tenant_id, id);
