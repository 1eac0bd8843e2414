-- One index for each filter of get_audit_log, walked from the newest id down. audit_log refuses UPDATE, so that what has no column
-- is indexed where it stands: in the entry.
CREATE INDEX audit_log_by_log ON audit_log (tenant_id, log, id);
CREATE INDEX audit_log_by_domain ON audit_log (tenant_id, domain, id) WHERE domain IS NOT NULL;
CREATE INDEX audit_log_by_key ON audit_log (tenant_id, key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX audit_log_by_actor ON audit_log (tenant_id, json_extract(entry, '$.actor.id'), id);
CREATE INDEX audit_log_by_actor_type ON audit_log (tenant_id, json_extract(entry, '$.actor.type'), id);
-- A draft has the id of the message that it becomes, and its entries are part of that message's story.
CREATE INDEX audit_log_by_draft ON audit_log (tenant_id, json_extract(entry, '$.resource.id'), id)
  WHERE json_extract(entry, '$.resource.type') = 'draft';

-- Since when a tenant's entries lie in R2 alone.
CREATE INDEX audit_floors_by_tenant ON audit_floors (tenant_id);
