-- Addresses that a tenant does not write to. The tenant object is the authority; sends look here before they are taken.
CREATE TABLE suppressions (
  tenant_id TEXT NOT NULL,
  -- SHA-256 of the tenant's id and the comparable address, in lower-case hex: nobody's address is here.
  address_hash TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- A removed one stays as a row with 0, so that a late write cannot bring it back.
  active INTEGER NOT NULL,
  -- Counted up with each change; an older projection never overwrites a newer one.
  version INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, address_hash)
) WITHOUT ROWID;

-- Where the tenant can be written to: promotional mail has to say it.
ALTER TABLE tenants ADD COLUMN postal_address TEXT;
