-- Whoever oversees, for whichever tenant: operators, approvers and delegates, also those that nobody has confirmed yet. Mailboxes
-- and people never have one address; the statements that add either look at the other table, since only here both are unique.
CREATE TABLE people (
  -- As comparableAddress gives it.
  address TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  PRIMARY KEY (address, tenant_id)
) WITHOUT ROWID;
-- An address has one @: quoted local parts with another are not taken.
CREATE INDEX people_by_domain ON people (substr(address, instr(address, '@') + 1));

INSERT INTO people (address, tenant_id) SELECT lower(operator_email), id FROM tenants;
INSERT OR IGNORE INTO people (address, tenant_id)
  SELECT lower(json_extract(settings, '$.approver_email')), tenant_id FROM mailboxes
  WHERE json_extract(settings, '$.approver_email') IS NOT NULL;

-- Mailboxes that were made before they had these settings.
UPDATE mailboxes SET settings = json_set(
  settings,
  '$.approvers', json(iif(json_extract(settings, '$.approver_email') IS NULL, '[]', json_array(json_extract(settings, '$.approver_email')))),
  '$.approvers_pending', json(iif(json_extract(settings, '$.approver_pending') = 1, json_array(json_extract(settings, '$.approver_email')), '[]')),
  '$.quorum', 1,
  '$.escalate_after', NULL,
  '$.expires_after', 604800,
  '$.delegations', json('[]'),
  '$.notify', 'at_once',
  '$.paused', json('false'),
  '$.scheduling_enabled', json('true')
) WHERE json_extract(settings, '$.approvers') IS NULL;

-- What stands still in a tenant.
CREATE INDEX mailboxes_paused ON mailboxes (tenant_id, id) WHERE json_extract(settings, '$.paused') = 1;

-- Counted up with each change of a key; an older projection never overwrites a newer one.
ALTER TABLE api_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- Templates across mailboxes. The mailbox object is the authority.
CREATE TABLE templates (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  mailbox_id TEXT NOT NULL,
  -- The Template of API.md as JSON; null: it was deleted.
  template TEXT,
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX templates_by_tenant ON templates (tenant_id, id) WHERE template IS NOT NULL;
