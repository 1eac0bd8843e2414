import type { Hono } from "hono";
import { z } from "zod";
import {
  getIdentityPublicKey,
  keyCaching,
  publicKeysOf,
  publishedKeyShape,
  tenantReference,
} from "../operations/identity-keys.ts";
import { defineOperation } from "../operations/operation.ts";
import { type AppEnvironment, type DoorDependencies, serve } from "./serve.ts";

/** Where verifiers look for keys by themselves (RFC 8615). The same keys as `get_identity_public_key`. */

const SIGNING_KEY = "/.well-known/multimail-signing-key";
const JWKS = "/.well-known/jwks.json";
export const WELL_KNOWN_PATHS: readonly string[] = [SIGNING_KEY, JWKS];

/**
 * RFC 7517 §5. A revoked key is left out: a JOSE library knows of no revocation, and would go on verifying with it.
 * It has no name at the doors, since no client calls it by one.
 */
const jwks = defineOperation({
  name: "jwks",
  summary: "Reads a tenant's keys as a JWK set.",
  scope: "public",
  effect: null,
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

/** Serves them. */
export function addWellKnown(app: Hono<AppEnvironment>, dependencies: DoorDependencies): void {
  app.get(SIGNING_KEY, (context) => serve(context, getIdentityPublicKey, {}, dependencies));
  app.get(JWKS, (context) => serve(context, jwks, {}, dependencies));
}
