-- Registered agents. The tenant object is the authority; sends look up the model here.
CREATE TABLE agents (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  model_id TEXT NOT NULL,
  model_provider TEXT NOT NULL,
  -- A deleted agent stays as a row, so that a late write cannot bring it back.
  deleted_at TEXT,
  version INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;

-- The agent that acts where neither the request nor the key's binding names one.
ALTER TABLE api_keys ADD COLUMN default_agent_id TEXT;
