-- Domains of tenants. The tenant object is the authority for what a domain is set up as; whose it is, is decided here, since only
-- here it is unique. `status` says whether the owner proved control of the DNS: 'pending' or 'verified'.

-- The TXT value at _multimail-challenge.<domain> by which the owner proved control; whoever takes over must not find it published.
ALTER TABLE domains ADD COLUMN challenge TEXT;
-- Since when its records, once control was proved, are not what they should be; null: they are.
ALTER TABLE domains ADD COLUMN unaligned_since TEXT;
-- `<tenant>/<domain id>` of the owner before this one, who is told.
ALTER TABLE domains ADD COLUMN taken_from TEXT;
-- Whether it publishes that it wants MTA-STS (RFC 8461), so that its policy is served.
ALTER TABLE domains ADD COLUMN wants_mta_sts INTEGER NOT NULL DEFAULT 0;
-- Counted up with each change; an older projection never overwrites a newer one.
ALTER TABLE domains ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- Which mailboxes are at a domain, whosever.
CREATE INDEX mailboxes_at_domain ON mailboxes (substr(address, instr(address, '@') + 1));
