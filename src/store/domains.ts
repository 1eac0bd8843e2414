import type { DkimSigningKey } from "../mail/dkim-sign.ts";
import { deriveKeys, type MasterKeys, open, type Sealed } from "./secrets.ts";

/** A DKIM key as `domains.dkim_keys` holds it. */
export interface StoredDkimKey {
  selector: string;
  algorithm: DkimSigningKey["algorithm"];
  /** Base64, as in the DNS record's `p=`. */
  public_key: string;
  private_key: Sealed;
}

/** What a sealed DKIM private key is bound to. */
export function dkimKeyContext(domain: string, selector: string): string {
  return `${domain}/${selector}`;
}

/**
 * The keys that sign mail of a domain.
 * @throws Error if the domain is not set up here, or the keys were sealed under another MASTER_KEY than those there are.
 */
export async function signingKeysOf(db: D1Database, master: MasterKeys, domain: string): Promise<DkimSigningKey[]> {
  const row = await db
    .prepare("SELECT dkim_keys FROM domains WHERE domain = ?")
    .bind(domain)
    .first<{ dkim_keys: string }>();
  if (!row) throw new Error(`the domain ${domain} has no DKIM keys here`);
  const keys = deriveKeys(master, "dkim-key");
  return (JSON.parse(row.dkim_keys) as StoredDkimKey[]).map(({ selector, algorithm, private_key }) => ({
    domain,
    selector,
    algorithm,
    private_key_pem: Buffer.from(open(keys, dkimKeyContext(domain, selector), private_key)).toString("utf8"),
  }));
}
