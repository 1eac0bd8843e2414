-- Where the audit log lies in R2, and from where on D1 must have it (docs/audit.md, "Keeping").

-- Stretches of logs that are sealed in R2. The log's object is the authority. Append-only; a log's segments have no gaps.
CREATE TABLE audit_segments (
  log TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  tenant_id TEXT NOT NULL,
  r2_key TEXT NOT NULL,
  -- Lower-case hex, of the bytes under that key.
  sha256 TEXT NOT NULL,
  entries INTEGER NOT NULL,
  first_at TEXT NOT NULL,
  last_at TEXT NOT NULL,
  sealed_at TEXT NOT NULL,
  PRIMARY KEY (log, first),
  CHECK (typeof(first) = 'integer' AND typeof(last) = 'integer' AND first >= 0 AND last >= first),
  CHECK (entries = last - first + 1),
  CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
  CHECK (r2_key = printf('audit/%s/%s/%012d-%012d.ndjson', tenant_id, log, first, last))
) WITHOUT ROWID;
CREATE INDEX audit_segments_by_tenant ON audit_segments (tenant_id, last_at);

CREATE TRIGGER audit_segments_refuses_update BEFORE UPDATE ON audit_segments
BEGIN SELECT RAISE(ABORT, 'sealed segments are append-only'); END;

CREATE TRIGGER audit_segments_refuses_delete BEFORE DELETE ON audit_segments
BEGIN SELECT RAISE(ABORT, 'sealed segments are append-only'); END;

-- REPLACE INTO slips past delete triggers, so a segment that is there is left as it is.
CREATE TRIGGER audit_segments_refuses_replace BEFORE INSERT ON audit_segments
WHEN EXISTS (SELECT 1 FROM audit_segments WHERE log = NEW.log AND first = NEW.first)
BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER audit_segments_refuses_gaps BEFORE INSERT ON audit_segments
WHEN (NEW.first > 0 AND NOT EXISTS (SELECT 1 FROM audit_segments WHERE log = NEW.log AND last = NEW.first - 1))
  OR EXISTS (SELECT 1 FROM audit_segments WHERE log = NEW.log AND first <> NEW.first AND first <= NEW.last AND last >= NEW.first)
BEGIN SELECT RAISE(ABORT, 'a segment begins where the one before ends'); END;

-- Entries below a log's floor may leave audit_log: R2 has them. No row: none may.
CREATE TABLE audit_floors (
  log TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  floor INTEGER NOT NULL CHECK (typeof(floor) = 'integer')
) WITHOUT ROWID;

CREATE TRIGGER audit_floors_refuses_delete BEFORE DELETE ON audit_floors
BEGIN SELECT RAISE(ABORT, 'a floor stays'); END;

CREATE TRIGGER audit_floors_refuses_replace BEFORE INSERT ON audit_floors
WHEN EXISTS (SELECT 1 FROM audit_floors WHERE log = NEW.log)
BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER audit_floors_begins_at_zero BEFORE INSERT ON audit_floors WHEN NEW.floor <> 0
BEGIN SELECT RAISE(ABORT, 'a floor begins at 0 and is raised'); END;

-- Only up, and only over what is sealed without a gap: the segments below the floor have no entry twice, so that they cover it
-- exactly if they are as many entries.
CREATE TRIGGER audit_floors_only_rises BEFORE UPDATE ON audit_floors
WHEN NEW.log <> OLD.log OR NEW.tenant_id <> OLD.tenant_id OR NEW.floor < OLD.floor
  OR NEW.floor <> (
    SELECT coalesce(sum(entries), 0) FROM audit_segments
    WHERE log = NEW.log AND tenant_id = NEW.tenant_id AND last < NEW.floor
  )
BEGIN SELECT RAISE(ABORT, 'a floor only rises, and only over sealed segments'); END;

DROP TRIGGER audit_log_refuses_delete;
CREATE TRIGGER audit_log_refuses_delete BEFORE DELETE ON audit_log
WHEN OLD.seq >= coalesce((SELECT floor FROM audit_floors WHERE log = OLD.log AND tenant_id = OLD.tenant_id), 0)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- A drain that repeats brings nothing back.
CREATE TRIGGER audit_log_ignores_dropped BEFORE INSERT ON audit_log
WHEN NEW.seq < coalesce((SELECT floor FROM audit_floors WHERE log = NEW.log), 0)
BEGIN SELECT RAISE(IGNORE); END;
