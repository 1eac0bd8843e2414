import { readGivenKeys } from "../../../../src/identity/given-keys.ts";
import type { TrustedKeys } from "../../../../src/identity/keys.ts";
import type { MessageVerdict } from "../../../../src/identity/verdict.ts";
import { NotUsable } from "./usable.ts";

/** Where the page finds keys: what the visitor pasted, or what this deployment publishes. Never what a message brings. */

const KEYS_PATH = "/v1/identity/public-key";
/** Our ids (API.md): what else a message calls a tenant is asked of nobody. */
const TENANT_ID = /^ten_[0-9A-Za-z]{1,26}$/;

/** @returns the account that a message says it is of; null where it names none that can be asked for. */
export function tenantNamed({ identity_headers, claim }: MessageVerdict): string | null {
  const named = identity_headers["x-multimail-tenant"] ?? claim?.tenant_id;
  return typeof named === "string" && TENANT_ID.test(named) ? named : null;
}

async function fetched(tenantId: string): Promise<Response> {
  try {
    const address = `${KEYS_PATH}?${new URLSearchParams({ tenant_id: tenantId })}`;
    // Asked anew each time: a key may have been revoked since.
    return await fetch(address, { credentials: "omit", redirect: "error", cache: "no-cache" });
  } catch {
    // A browser does not tell a script why nothing came.
    throw new NotUsable("The keys could not be fetched. Are you online? With a key of your own nothing is fetched.");
  }
}

/**
 * @returns the keys that this deployment publishes for the account; null where it knows no such account.
 * @throws {NotUsable} where it gives no answer that can be read.
 */
export async function publishedKeys(tenantId: string): Promise<TrustedKeys | null> {
  const response = await fetched(tenantId);
  if (response.status === 404) return null;
  if (!response.ok) throw new NotUsable(`The keys could not be fetched: the server answered ${response.status}.`);
  return readGivenKeys(await response.text());
}
