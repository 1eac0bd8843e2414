import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createPublicKey, verify } from "node:crypto";
import { expect } from "vitest";
import { TenantObject } from "../../durable-objects/tenant.ts";
import type { SealedIdentityKey } from "../../durable-objects/tenant-rpc.ts";
import { verifyChain } from "../../src/audit/verify.ts";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { openIdentityKey } from "../../src/store/identity-keys.ts";
import { entriesIn } from "./audit-fields.ts";
import { caller } from "./mailbox-harness.ts";

/** A tenant in the real object, as tests of its identity keys need it. */

export function stubOf(id: string) {
  return env.TENANT.getByName(id);
}

/** A tenant in its object, with a caller that administers it. */
export async function makeTenant() {
  const id = newId("ten", Date.now());
  const tenant = stubOf(id);
  const operator_email = `operator-${id.slice(-8).toLowerCase()}@people.example`;
  unwrap(await tenant.provision({ id, name: "Acme", operator_email, confirmed_approvers: [] }));
  return { id, tenant, admin: caller(id, ["admin"]) };
}

/** Runs `work` inside the object. */
export function inTenant<R>(
  id: string,
  work: (object: TenantObject, state: DurableObjectState) => R | Promise<R>,
): Promise<R> {
  const plain: DurableObjectStub = stubOf(id);
  return runInDurableObject(plain, (object: unknown, state) => {
    if (!(object instanceof TenantObject)) throw new Error("not a tenant object");
    return work(object, state);
  });
}

/** Runs the object's alarm, until what it started has ended and D1 has everything. */
export async function runAlarm(id: string): Promise<void> {
  await runDurableObjectAlarm(stubOf(id));
  await inTenant(id, (object) => object.settled());
}

/** Sets the object's clock `ms` ahead of real time. It lasts until the object is evicted. */
export function advance(id: string, ms: number): Promise<void> {
  return inTenant(id, (object) => {
    object.clock = () => Date.now() + ms;
  });
}

/** Takes D1 away from the object, until the answer is called. */
export function takeAwayD1(id: string): Promise<() => Promise<void>> {
  const away = () => Promise.reject(new Error("D1 is away"));
  return inTenant(id, (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const DB = { prepare: env.DB.prepare.bind(env.DB), batch: away };
    Reflect.set(object, "env", { ...whole, DB });
    return async () => {
      await inTenant(id, (same) => void Reflect.set(same, "env", whole));
    };
  });
}

interface Row {
  kid: string;
  public_jwk: string;
  not_before: string;
  retired_at: string | null;
  revoked_at: string | null;
  active: number;
}

/** Its keys as D1 has them. */
export async function rowsOf(id: string): Promise<Row[]> {
  const { results } = await env.DB.prepare("SELECT * FROM identity_keys WHERE tenant_id = ? ORDER BY kid")
    .bind(id)
    .all<Row>();
  return results;
}

/** Its entries about identity keys; the whole chain verifies. */
export async function entriesOf(id: string) {
  await inTenant(id, (object) => object.settled());
  const { results } = await env.DB.prepare("SELECT entry, hash FROM audit_log WHERE log = ? ORDER BY seq")
    .bind(id)
    .all<{ entry: string; hash: string }>();
  const chain = results.map(({ entry, hash }) => ({ ...JSON.parse(entry), hash }));
  expect(verifyChain(chain)).toBeNull();
  await entriesIn(stubOf(id));
  return chain.filter(({ action }) => action.startsWith("identity."));
}

/** Its events, as D1 has them. */
export async function eventsOf(id: string) {
  await inTenant(id, (object) => object.settled());
  const { results } = await env.DB.prepare("SELECT body FROM events WHERE log = ? ORDER BY sequence")
    .bind(id)
    .all<{ body: string }>();
  return results.map(({ body }) => JSON.parse(body));
}

/** Whether what the sealed key signs verifies with its public half. */
export function signs(sealed: SealedIdentityKey): boolean {
  const bytes = Buffer.from("what a message says");
  const signature = openIdentityKey(env, sealed).sign(bytes);
  const key = createPublicKey({ key: { ...sealed.public_jwk }, format: "jwk" });
  return verify("sha256", bytes, key, signature);
}
