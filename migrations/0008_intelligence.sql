-- What was looked up of the domains that mail goes to. Each tenant has its own: nobody learns from an answer's speed whom another
-- writes to. `answer` is JSON: {"fact": …}, or {"unknown": "<reason>"}.
CREATE TABLE domain_answers (
  tenant_id TEXT NOT NULL,
  -- Lower-case A-labels.
  domain TEXT NOT NULL,
  source TEXT NOT NULL,
  answer TEXT NOT NULL,
  -- Milliseconds since the epoch. Rows past it are deleted with the tenant's next look-up.
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, domain, source)
) WITHOUT ROWID;
CREATE INDEX domain_answers_by_expiry ON domain_answers (tenant_id, expires_at);

-- Every name that was ever asked for on behalf of a tenant, and the day (UTC) of the first time, by which new names are counted.
CREATE TABLE looked_up_names (
  tenant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  day TEXT NOT NULL,
  PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;
CREATE INDEX looked_up_names_by_day ON looked_up_names (tenant_id, day);

-- Domains that a message reached which a human had approved, from all mailboxes of a tenant: what others are compared with.
CREATE TABLE known_domains (
  tenant_id TEXT NOT NULL,
  domain TEXT NOT NULL,
  PRIMARY KEY (tenant_id, domain)
) WITHOUT ROWID;
