import type { Context, Hono } from "hono";
import { z } from "zod";
import { access } from "../audit/access.ts";
import { mtaStsPolicyText } from "../mail/domain-records.ts";
import {
  getIdentityPublicKey,
  keyCaching,
  publicKeysOf,
  publishedKeyShape,
  tenantReference,
} from "../operations/identity-keys.ts";
import { defineOperation } from "../operations/operation.ts";
import { wantsMtaSts } from "../store/domains.ts";
import { type AppEnvironment, type DoorDependencies, serve } from "./serve.ts";

/**
 * What others look for by themselves (RFC 8615): verifiers the same keys as `get_identity_public_key`, mail servers the MTA-STS
 * policies of tenants' domains.
 */

const SIGNING_KEY = "/.well-known/multimail-signing-key";
const JWKS = "/.well-known/jwks.json";
const MTA_STS = "/.well-known/mta-sts.txt";
export const WELL_KNOWN_PATHS: readonly string[] = [SIGNING_KEY, JWKS, MTA_STS];

/**
 * RFC 7517 §5. A revoked key is left out: a JOSE library knows of no revocation, and would go on verifying with it.
 * It has no name at the doors, since no client calls it by one.
 */
const jwks = defineOperation({
  name: "jwks",
  summary: "Reads a tenant's keys as a JWK set.",
  scope: "public",
  effect: null,
  recorded: { entry: ({ tenant_id }) => access({ action: "identity.keys_read", personal: { tenant_id } }) },
  readableByPages: true,
  input: z.strictObject({ tenant_id: tenantReference }),
  output: z.object({ keys: z.array(publishedKeyShape) }),
  rest: [],
  async handler(context, { tenant_id }) {
    const { keys } = await publicKeysOf(context, tenant_id);
    const headers = keyCaching(tenant_id !== undefined);
    return { status: 200, body: { keys: keys.filter(({ revoked_at }) => revoked_at === null) }, headers };
  },
});

/**
 * RFC 8461 §3.3: the host that was asked says whose policy it is. A deployment answers for the names that lead to it; who asks under
 * any other host, or for a domain that wants no policy, finds nothing at this path.
 */
async function mtaStsAnswer(context: Context<AppEnvironment>): Promise<Response> {
  const { DB, INBOUND_MX } = context.env;
  const domain = /^mta-sts\.(.+?)\.?$/.exec(new URL(context.req.url).hostname)?.[1];
  if (domain === undefined || INBOUND_MX === undefined || !(await wantsMtaSts(DB, domain))) return context.notFound();
  return context.text(mtaStsPolicyText(INBOUND_MX));
}

/** Serves them. */
export function addWellKnown(app: Hono<AppEnvironment>, dependencies: DoorDependencies): void {
  app.get(SIGNING_KEY, (context) => serve(context, getIdentityPublicKey, {}, dependencies));
  app.get(JWKS, (context) => serve(context, jwks, {}, dependencies));
  app.get(MTA_STS, mtaStsAnswer);
}
