import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { KeyDocument } from "../../src/identity/keys.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import { generateDkimKeys } from "../../src/mail/dkim-keys.ts";
import { call, setUp, type TestTenant } from "./door-harness.ts";

/** What tests of published keys share. */

export const PUBLIC_KEY = "/v1/identity/public-key";
export const SIGNING_KEY = "/.well-known/multimail-signing-key";
export const JWKS = "/.well-known/jwks.json";

/** What a rotation answers. */
export interface Rotated {
  kid: string;
  fingerprint: string;
  replaced: { kid: string; retired_at: string | null; revoked_at: string | null };
  dns_records: { name: string; value: string; purpose: string; required: boolean }[];
}

/** A tenant's key document, as anyone gets it. @param more of the query. */
export function documentOf(tenant: Pick<TestTenant, "id">, more = ""): Promise<KeyDocument> {
  return call<KeyDocument>(`${PUBLIC_KEY}?tenant_id=${tenant.id}${more}`).then(({ status, body }) => {
    expect(status, JSON.stringify(body)).toBe(200);
    return body;
  });
}

/** Makes a domain of a tenant's own, as a set-up of it will. */
export async function addDomain(tenantId: string | null, status: string, algorithms: string[]): Promise<string> {
  const domain = `d${newRoutingNumber().toLowerCase()}.example`;
  const keys = generateDkimKeys()
    .filter(({ algorithm }) => algorithms.includes(algorithm))
    .map(({ selector, algorithm, public_key_base64 }) => ({
      ...{ selector, algorithm, public_key: public_key_base64 },
      private_key: { iv: "", ct: "" },
    }));
  await env.DB.prepare(
    "INSERT INTO domains (domain, id, tenant_id, status, dkim_keys, created_at) VALUES (?, ?, ?, ?, ?, ?)",
  )
    .bind(domain, newId("dom", Date.now()), tenantId, status, JSON.stringify(keys), new Date().toISOString())
    .run();
  return domain;
}

/** A tenant that has no mailbox on the deployment's own domain, and an agent. */
export async function withoutMailbox(): Promise<Pick<TestTenant, "id" | "keys">> {
  const keys = [
    { name: "read", scopes: ["read"] },
    { name: "bob's", scopes: ["send"], agent_id: "bob" },
  ];
  const people = { operator_email: "operator@people.example", approvers: [], mailboxes: [] };
  const { body } = await setUp({ name: `Elsewhere ${newRoutingNumber()}`, ...people, keys });
  return { id: body.tenant_id, keys: body.keys };
}

/** What a domain has keys for, usually. */
export const BOTH = ["rsa-sha256", "ed25519-sha256"];
