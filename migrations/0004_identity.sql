-- The public halves of tenants' identity keys (FORMATS.md §3), retired and revoked ones too. The tenant object is the authority,
-- and it alone has the private halves.
CREATE TABLE identity_keys (
  kid TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  -- {kty, crv, x, y} as JSON.
  public_jwk TEXT NOT NULL,
  not_before TEXT NOT NULL,
  retired_at TEXT,
  revoked_at TEXT,
  -- 1: the tenant signs with it now.
  active INTEGER NOT NULL,
  -- Counted up with each change; an older projection never overwrites a newer one.
  version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX identity_keys_by_tenant ON identity_keys (tenant_id, kid);

-- Which domains a tenant may write from. An address has one @: quoted local parts with another are not taken.
CREATE INDEX domains_by_tenant ON domains (tenant_id, domain);
CREATE INDEX mailboxes_by_domain ON mailboxes (tenant_id, substr(address, instr(address, '@') + 1));

-- Whether a tenant has an agent of that name.
CREATE INDEX api_keys_by_agent ON api_keys (tenant_id, agent_id) WHERE agent_id IS NOT NULL;
