import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import type { PublishedIdentityKey, SealedIdentityKey } from "../../durable-objects/tenant-rpc.ts";
import type { Env } from "../env.ts";
import type { DomainSigningKey, KeyDocument, PublicJwk, SigningKey, TrustedKeys } from "../identity/keys.ts";
import { fingerprintOf } from "../identity/public-keys.ts";
import { isId } from "../ids.ts";
import type { DkimSigningKey } from "../mail/dkim-sign.ts";
import { type IdentityFacts, identityFacts, identityFactsOfSender } from "./identity-directory.ts";
import { callTenant } from "./mailbox-client.ts";
import { deriveKeys, type MasterKeys, open, seal } from "./secrets.ts";

/** Identity keys (FORMATS.md §3): made and sealed, opened for signing, and as they are published. */

/** What a sealed identity key is bound to. */
export function identityKeyContext(tenantId: string, kid: string): string {
  return `${tenantId}/${kid}`;
}

/** Makes a P-256 key and seals its private half. Synchronous. */
export function newIdentityKey(master: MasterKeys, tenantId: string, kid: string): SealedIdentityKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x, y } = publicKey.export({ format: "jwk" });
  if (x === undefined || y === undefined) throw new Error("the key that was made is of another curve");
  const der = privateKey.export({ type: "pkcs8", format: "der" });
  const private_key = seal(deriveKeys(master, "identity-key"), identityKeyContext(tenantId, kid), der);
  return { tenant_id: tenantId, kid, public_jwk: { kty: "EC", crv: "P-256", x, y }, private_key };
}

/**
 * Opens a key for signing. Synchronous, and asks nobody.
 * @throws Error if it was sealed under another MASTER_KEY, for another tenant or kid, or has another public half.
 */
export function openIdentityKey(master: MasterKeys, sealed: SealedIdentityKey): SigningKey {
  const { tenant_id, kid, public_jwk, private_key } = sealed;
  const der = open(deriveKeys(master, "identity-key"), identityKeyContext(tenant_id, kid), private_key);
  const key = createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
  const { x, y } = createPublicKey(key).export({ format: "jwk" });
  if (x !== public_jwk.x || y !== public_jwk.y)
    throw new Error(`the two halves of the key ${kid} do not belong together`);
  // DER is what node:crypto makes; workerd takes no options beside a key object.
  return { kid, sign: (bytes) => new Uint8Array(sign("sha256", bytes, key)) };
}

/** @returns what signs the domain-bound form (FORMATS.md §2.2), by the domain's Ed25519 DKIM key; null where it has none. */
export function domainSigningKeyOf(keys: readonly DkimSigningKey[]): DomainSigningKey | null {
  const pem = keys.find(({ algorithm }) => algorithm === "ed25519-sha256")?.private_key_pem;
  if (pem === undefined) return null;
  const key = createPrivateKey(pem);
  return { sign: (bytes) => new Uint8Array(sign(null, bytes, key)) };
}

/**
 * The key document of a tenant. Makes the tenant's first key where there is none.
 * @param kid the key at the top; null: the active one.
 * @returns null if there is no such tenant, or it has no such key.
 */
export async function keyDocumentOf(
  db: D1Database,
  env: Env,
  tenantId: string,
  kid: string | null = null,
): Promise<KeyDocument | null> {
  // Ids that cannot be a tenant's are not asked for: nothing is written for them anywhere.
  const facts = isId("ten", tenantId) ? await identityFacts(db, env.MAIL_DOMAIN, tenantId, kid) : null;
  if (!facts) return null;
  const published = facts.keys.some(({ active }) => active)
    ? facts.keys
    : await callTenant(env, tenantId, (tenant) => tenant.identityKeys());
  const top = published.find((key) => (kid === null ? key.active : key.kid === kid));
  if (!top) return null;
  return {
    ...signatureKey(top),
    tenant_id: tenantId,
    fingerprint: fingerprintOf(top.public_jwk),
    domains: facts.domains,
    keys: published.map((key) => {
      const { not_before, retired_at, revoked_at } = key;
      return { ...signatureKey(key), not_before, retired_at, revoked_at };
    }),
  };
}

function signatureKey({
  kid,
  public_jwk,
}: PublishedIdentityKey): PublicJwk & { kid: string; alg: "ES256"; use: "sig" } {
  return { ...public_jwk, kid, alg: "ES256", use: "sig" };
}

/**
 * What this deployment trusts for mail from an address: the keys of the tenant whose mailbox, or else whose verified domain, it is.
 * Makes no key: whoever has none has signed nothing.
 * @param fromAddress an addr-spec, in any form.
 * @returns null if the address is of nobody here.
 */
export async function keysOfSender(
  db: D1Database,
  env: Pick<Env, "MAIL_DOMAIN">,
  fromAddress: string,
): Promise<TrustedKeys | null> {
  const facts = await identityFactsOfSender(db, env.MAIL_DOMAIN, fromAddress);
  return facts && trustedKeys(facts);
}

/** @returns the P-256 keys that a tenant publishes, as anyone may have them; null for what is no tenant. Makes no key. */
export async function keysOfTenant(
  db: D1Database,
  env: Pick<Env, "MAIL_DOMAIN">,
  tenantId: string,
): Promise<TrustedKeys | null> {
  const facts = isId("ten", tenantId) ? await identityFacts(db, env.MAIL_DOMAIN, tenantId) : null;
  return facts && trustedKeys({ ...facts, tenant_id: tenantId, ed25519: [] });
}

function trustedKeys({
  tenant_id,
  keys,
  domains,
  ed25519,
}: IdentityFacts & Pick<TrustedKeys, "ed25519"> & { tenant_id: string }): TrustedKeys {
  return {
    tenant_id,
    p256: keys.map(({ public_jwk, kid, not_before, retired_at, revoked_at }) => ({
      ...public_jwk,
      ...{ kid, not_before, retired_at, revoked_at },
    })),
    ed25519,
    domains,
  };
}
