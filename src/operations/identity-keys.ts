import { z } from "zod";
import type { KeyRotation, PublishedIdentityKey } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import { Refused, unwrap } from "../errors.ts";
import type { KeyDocument } from "../identity/keys.ts";
import { fingerprintOf, publicKeyPem } from "../identity/public-keys.ts";
import { identityDnsRecord } from "../mail/dkim-keys.ts";
import { type Caller, tenantOf } from "../oversight/caller.ts";
import { identityFacts } from "../store/identity-directory.ts";
import { keyDocumentOf } from "../store/identity-keys.ts";
import { callTenant, notFound } from "../store/mailbox-client.ts";
import { approvalCode, flag } from "./fields.ts";
import { type Answer, defineOperation, type OperationContext } from "./operation.ts";
import { operatorApproval, type PendingApproval, pendingApprovalShape } from "./operator-approval.ts";
import { dnsRecordShape } from "./shapes/domain.ts";
import { timestamp } from "./shapes/values.ts";

/** The tenant's identity keys, as anyone may have them, and their rotation (FORMATS.md §3). */

const reference = z.string().min(1).max(64);

/** Whose keys. Left out, they are those of the caller's own tenant. */
export const tenantReference = reference
  .optional()
  .describe("Whose keys, as the mail says; with a key: its own tenant");

const jwkShape = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: z.string(),
  y: z.string(),
  kid: z.string(),
  alg: z.literal("ES256"),
  use: z.literal("sig"),
});

/** A key with its life. */
export const publishedKeyShape = jwkShape.extend({
  not_before: timestamp,
  retired_at: timestamp.nullable().describe("Null: it signs now"),
  revoked_at: timestamp.nullable().describe("Since then it verifies nothing"),
});

const keyDocumentShape = jwkShape.extend({
  tenant_id: z.string(),
  fingerprint: z.string().describe("SHA256: and the unpadded base64 of SHA-256 of the key's SPKI"),
  domains: z.array(z.string()).describe("Where the tenant may write from"),
  keys: z.array(publishedKeyShape),
});

const PUBLIC_KEY_TYPE = "application/x-pem-file";

/**
 * What an answer about keys may be kept by, and how long (FORMATS.md §3).
 * @param isSaid whether the request itself says whose keys. An answer that depends on who asks is for nobody else.
 */
export function keyCaching(isSaid: boolean): Record<string, string> {
  return isSaid
    ? { "Cache-Control": "public, max-age=86400" }
    : { "Cache-Control": "private, max-age=86400", Vary: "Authorization" };
}

/** @returns the tenant that a request is about. @throws {Refused} `invalid_input` if nothing says which. */
export function tenantAskedFor(caller: Caller, named: string | undefined): string {
  const tenant = named ?? tenantOf(caller);
  if (tenant !== null) return tenant;
  throw new Refused("invalid_input", "tenant_id is needed.", {
    issues: [{ path: "tenant_id", message: "is needed" }],
    hint: "Every signed message names it as X-MultiMail-Tenant. With an API key it may be left out.",
  });
}

/** @returns the key document. @throws {Refused} `not_found` for a tenant or key that is not there. */
export async function publicKeysOf(
  { env, caller }: Pick<OperationContext, "env" | "caller">,
  named: string | undefined,
  kid?: string,
): Promise<KeyDocument> {
  const document = await keyDocumentOf(env.DB, env, tenantAskedFor(caller, named), kid ?? null);
  if (!document) throw notFound();
  return document;
}

/** Nothing in a PEM says that its key is worth nothing any more. */
function revokedPem(kid: string): Refused {
  return new Refused("wrong_state", `The key ${kid} is revoked: nothing verifies with it any more.`, {
    hint: "The key document, format=jwk, has it with the time of its revocation.",
  });
}

export const getIdentityPublicKey = defineOperation({
  name: "get_identity_public_key",
  summary: "Reads the public keys that a tenant's mail is signed with, the active one first.",
  scope: "public",
  effect: null,
  recorded: {
    entry: ({ tenant_id, kid }) => access({ action: "identity.keys_read", personal: { tenant_id, kid } }),
  },
  readableByPages: true,
  textForm: PUBLIC_KEY_TYPE,
  input: z.strictObject({
    tenant_id: tenantReference,
    kid: reference.optional().describe("The key at the top, in place of the active one"),
    format: z.enum(["jwk", "pem"]).default("jwk").describe("pem: that key alone, as SPKI"),
  }),
  output: keyDocumentShape,
  rest: [{ method: "GET", path: "/v1/identity/public-key" }],
  async handler(context, { tenant_id, kid, format }) {
    const document = await publicKeysOf(context, tenant_id, kid);
    const headers = keyCaching(tenant_id !== undefined);
    if (format === "jwk") return { status: 200, body: document, headers };
    if (document.keys.some((key) => key.kid === document.kid && key.revoked_at !== null))
      throw revokedPem(document.kid);
    return { status: 200, text: publicKeyPem(document), content_type: PUBLIC_KEY_TYPE, headers };
  },
});

const rotateIn = z
  .strictObject({
    revoke: flag.optional().describe("Somebody else may have the key: it is worth nothing from now on"),
    kid: reference.optional().describe("With revoke: which key; left out, the active one"),
    approval_code: approvalCode,
  })
  .refine(({ revoke, kid }) => kid === undefined || revoke === true, {
    path: ["kid"],
    error: "is taken with revoke only: a rotation replaces the active key",
  });
type RotateIn = z.output<typeof rotateIn>;

const publishedShape = z.object({
  kid: z.string(),
  fingerprint: z.string(),
  not_before: timestamp,
  retired_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
});

const rotationShape = publishedShape.extend({
  /** The key that was replaced or revoked. */
  replaced: publishedShape,
  /** What to publish, where the tenant publishes its key in the DNS. */
  dns_records: z.array(dnsRecordShape),
});

function shown({ kid, public_jwk, not_before, retired_at, revoked_at }: PublishedIdentityKey) {
  return { kid, fingerprint: fingerprintOf(public_jwk), not_before, retired_at, revoked_at };
}

export const rotateIdentityKey = defineOperation({
  name: "rotate_identity_key",
  summary: "Makes a new identity key. What is under way finishes under the old one, which stays published.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: rotateIn,
  output: z.union([rotationShape, pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/identity/rotate" }],
  handler: (context, input) => (input.revoke ? revoke(context, input) : rotated(context, null)),
});

/** What reaches beyond a key's own mailboxes and agent is not for a key that is bound to them. */
function refuseBound({ mailbox_ids, bound_agent_id }: Caller): void {
  const hint = "An identity key is the whole account's. Use a key that is bound to nothing.";
  if (mailbox_ids !== null) throw new Refused("mailbox_not_allowed", "This key is bound to its mailboxes.", { hint });
  if (bound_agent_id !== null) throw new Refused("agent_not_allowed", "This key is bound to an agent.", { hint });
}

async function rotated(
  { env, caller }: OperationContext,
  revoke: string | null,
): Promise<Answer<z.output<typeof rotationShape>>> {
  refuseBound(caller);
  const { active, replaced }: KeyRotation = unwrap(
    // A lost answer must not make a second key.
    await callTenant(env, caller.tenant_id, (tenant) => tenant.rotateIdentityKey(caller, revoke), {
      repeatable: revoke !== null,
    }),
  );
  const facts = await identityFacts(env.DB, env.MAIL_DOMAIN, caller.tenant_id);
  const dns_records = (facts?.domains ?? []).map((domain) => identityDnsRecord(domain, active));
  return { status: 200, body: { ...shown(active), replaced: shown(replaced), dns_records } };
}

/** A revocation makes mail unverifiable that was sent before, so the operator is asked. */
async function revoke(
  context: OperationContext,
  input: RotateIn,
): Promise<Answer<z.output<typeof rotationShape> | PendingApproval>> {
  const { env, caller } = context;
  refuseBound(caller);
  const keys = await callTenant(env, caller.tenant_id, (tenant) => tenant.identityKeys());
  const key = keys.find(({ kid, active }) => (input.kid === undefined ? active : kid === input.kid));
  if (!key) throw notFound();
  if (key.revoked_at === null) {
    const waiting = await operatorApproval(context, { operation: "rotate_identity_key", input, words: revoked(key) });
    if (waiting) return { status: 202, body: waiting };
  }
  return rotated(context, key.kid);
}

function revoked({ kid, public_jwk, active }: PublishedIdentityKey): string {
  const what = `The identity key ${kid} (${fingerprintOf(public_jwk)}) is revoked`;
  const then = "All mail that was signed with it so far is not verified any more.";
  return active ? `${what}, and a new one takes its place. ${then}` : `${what}. ${then}`;
}
