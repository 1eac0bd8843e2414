import { readGivenKeys } from "../../../../src/identity/given-keys.ts";
import type { TrustedKeys } from "../../../../src/identity/keys.ts";
import { readEd25519 } from "../../../../src/identity/public-keys.ts";
import type { MessageVerdict } from "../../../../src/identity/verdict.ts";
import { NotUsable } from "./usable.ts";

/** Where the page finds keys: what the visitor pasted, or what this deployment publishes. Never what a message brings. */

const KEYS_PATH = "/v1/identity/public-key";
const AGENT_KEY_PATH = "/v1/identity/pubkey/";
/** Our ids (API.md): what else a message calls a tenant is asked of nobody. */
const TENANT_ID = /^ten_[0-9A-Za-z]{1,26}$/;
/** FORMATS.md §1, without the two that name another path. */
const AGENT_ID = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/;

/** @returns the account that a message says it is of; null where it names none that can be asked for. */
export function tenantNamed({ identity_headers, claim }: MessageVerdict): string | null {
  const named = identity_headers["x-multimail-tenant"] ?? claim?.tenant_id;
  return typeof named === "string" && TENANT_ID.test(named) ? named : null;
}

async function fetched(address: string): Promise<Response> {
  try {
    // Asked anew each time: a key may have been revoked since.
    return await fetch(address, { credentials: "omit", redirect: "error", cache: "no-cache" });
  } catch {
    // A browser does not tell a script why nothing came.
    throw new NotUsable("The keys could not be fetched. Are you online? With a key of your own nothing is fetched.");
  }
}

/** A message in the domain-bound form (FORMATS.md §2.2), as it calls itself. */
interface DomainBound {
  agent_id: string;
  domain: string;
}

/**
 * @param from the message's author; null where it has not one.
 * @returns null where it is in another form, or names nothing that can be asked for.
 */
export function domainBoundAs({ headers, identity_headers }: MessageVerdict, from: string | null): DomainBound | null {
  const agent_id = identity_headers["x-multimail-agent-id"] ?? "";
  const domain = from?.split("@").at(-1) ?? "";
  const isAskable = headers.some(({ form }) => form === "domain") && AGENT_ID.test(agent_id) && domain !== "";
  return isAskable ? { agent_id, domain } : null;
}

/** @returns the Ed25519 key of the domain; none where this deployment knows no such agent, or the domain has no such key. */
async function domainKeys(tenantId: string, { agent_id, domain }: DomainBound): Promise<Uint8Array[]> {
  const response = await fetched(
    `${AGENT_KEY_PATH}${agent_id}?${new URLSearchParams({ domain, tenant_id: tenantId })}`,
  );
  if (response.status === 404 || response.status === 422) return [];
  if (!response.ok) throw new NotUsable(`The keys could not be fetched: the server answered ${response.status}.`);
  return [readEd25519(await response.text())];
}

/**
 * @param bound what the domain's own key is asked for by; null where the message is not signed with it.
 * @returns the keys that this deployment publishes for the account; null where it knows no such account.
 * @throws {NotUsable} where it gives no answer that can be read.
 */
export async function publishedKeys(tenantId: string, bound: DomainBound | null): Promise<TrustedKeys | null> {
  const response = await fetched(`${KEYS_PATH}?${new URLSearchParams({ tenant_id: tenantId })}`);
  if (response.status === 404) return null;
  if (!response.ok) throw new NotUsable(`The keys could not be fetched: the server answered ${response.status}.`);
  const keys = readGivenKeys(await response.text());
  return bound === null ? keys : { ...keys, ed25519: await domainKeys(tenantId, bound) };
}
