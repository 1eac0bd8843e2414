import { generateDkimKeys } from "../mail/dkim-keys.ts";
import type { DkimAlgorithm, DkimSigningKey } from "../mail/dkim-sign.ts";
import type { DkimKeyType } from "../mail/domain-plan.ts";
import { deriveKeys, type MasterKeys, open, type Sealed, seal } from "./secrets.ts";

/** A DKIM key as `domains.dkim_keys` holds it. */
export interface StoredDkimKey {
  selector: string;
  algorithm: DkimSigningKey["algorithm"];
  /** Base64, as in the DNS record's `p=`. */
  public_key: string;
  private_key: Sealed;
  /** It signs no more, and verifies what it signed. */
  retired?: true;
}

const ALGORITHMS: Readonly<Record<DkimKeyType, readonly DkimAlgorithm[]>> = {
  ed25519: ["ed25519-sha256"],
  "rsa-2048": ["rsa-sha256"],
  dual: ["rsa-sha256", "ed25519-sha256"],
};

/** Makes the keys of a domain, sealed. An RSA key takes some hundred milliseconds. */
export function newDkimKeys(master: MasterKeys, domain: string, type: DkimKeyType): StoredDkimKey[] {
  const sealing = deriveKeys(master, "dkim-key");
  return generateDkimKeys(ALGORITHMS[type]).map(({ selector, algorithm, private_key_pem, public_key_base64 }) => ({
    selector,
    algorithm,
    public_key: public_key_base64,
    private_key: seal(sealing, dkimKeyContext(domain, selector), Buffer.from(private_key_pem)),
  }));
}

/** @param domain in lower-case A-labels. @returns whether a tenant that proved control of it wants MTA-STS. */
export async function wantsMtaSts(db: D1Database, domain: string): Promise<boolean> {
  const row = await db
    .prepare("SELECT 1 FROM domains WHERE domain = ?1 AND status = 'verified' AND wants_mta_sts = 1")
    .bind(domain)
    .first();
  return row !== null;
}

/** What a sealed DKIM private key is bound to. */
export function dkimKeyContext(domain: string, selector: string): string {
  return `${domain}/${selector}`;
}

/**
 * The keys that sign mail of a domain now.
 * @param tenantId who sends; left out for the service's own mail. Nobody signs with the keys of another tenant's domain.
 * @throws Error if the domain is not set up here for that tenant, or the keys were sealed under another MASTER_KEY than those
 *   there are.
 */
export async function signingKeysOf(
  db: D1Database,
  master: MasterKeys,
  domain: string,
  tenantId: string | null = null,
): Promise<DkimSigningKey[]> {
  const row = await db
    .prepare("SELECT dkim_keys FROM domains WHERE domain = ?1 AND (tenant_id IS NULL OR tenant_id = ?2)")
    .bind(domain, tenantId)
    .first<{ dkim_keys: string }>();
  if (!row) throw new Error(`the domain ${domain} has no DKIM keys here`);
  const keys = deriveKeys(master, "dkim-key");
  const signing = (JSON.parse(row.dkim_keys) as StoredDkimKey[]).filter(({ retired }) => !retired);
  return signing.map(({ selector, algorithm, private_key }) => ({
    domain,
    selector,
    algorithm,
    private_key_pem: Buffer.from(open(keys, dkimKeyContext(domain, selector), private_key)).toString("utf8"),
  }));
}
