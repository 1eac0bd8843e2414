import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { Ledger } from "../../durable-objects/ledger.ts";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import { TenantObject } from "../../durable-objects/tenant.ts";
import { type HashedEntry, verifyChain } from "../../src/audit/verify.ts";
import type { Env } from "../../src/env.ts";
import { routingNumberOf } from "../../src/ids.ts";
import type { ResealAnswer } from "../../src/operations/reseal.ts";
import { dkimKeyContext, type StoredDkimKey } from "../../src/store/domains.ts";
import { SEALED_KINDS } from "../../src/store/resealing.ts";
import { deriveKeys, type MasterKeys, open, type Sealed, type SecretPurpose } from "../../src/store/secrets.ts";
import { type Answer, call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "./door-harness.ts";

/** A whole deployment while its MASTER_KEY is changed: its doors, and every object that is there. */

export const OLD: MasterKeys = { MASTER_KEY: env.MASTER_KEY };
export const NEW: MasterKeys = { MASTER_KEY: Buffer.alloc(32, 9).toString("base64") };
/** What the deployment has while the key is being changed. */
export const CHANGING: MasterKeys = { ...NEW, MASTER_KEY_PREVIOUS: OLD.MASTER_KEY };

const SETUP_TOKEN = "setup-token-for-tests";

/** Every tenant and mailbox of the deployment by D1, mailboxes that are only reserved too. */
async function namesOf(): Promise<{ tenants: string[]; mailboxes: string[] }> {
  const [tenants, mailboxes] = await Promise.all(
    ["tenants", "mailboxes"].map(async (table) => {
      const { results } = await env.DB.prepare(`SELECT id FROM ${table} ORDER BY id`).all<{ id: string }>();
      return results.map(({ id }) => id);
    }),
  );
  return { tenants: tenants ?? [], mailboxes: mailboxes ?? [] };
}

/** The stub of a tenant's or mailbox's object. */
export function stubOf(id: string): DurableObjectStub {
  return id.startsWith("ten_") ? env.TENANT.getByName(id) : env.MAILBOX.getByName(routingNumberOf(id) ?? "");
}

/** Runs `work` inside the object of a tenant or mailbox. */
export function inObjectOf<R>(
  id: string,
  work: (object: Ledger, state: DurableObjectState) => R | Promise<R>,
): Promise<R> {
  return runInDurableObject(stubOf(id), (object: unknown, state) => {
    if (!(object instanceof MailboxObject || object instanceof TenantObject)) throw new Error("not an object of ours");
    return work(object, state);
  });
}

/** Gives one object other keys, as a new deployment's instance has them. */
export async function rekeyObject(id: string, master: MasterKeys): Promise<void> {
  await inObjectOf(id, (object) => {
    const { MASTER_KEY_PREVIOUS: _none, ...rest }: Cloudflare.Env = Reflect.get(object, "env");
    Reflect.set(object, "env", { ...rest, ...master });
  });
}

/** Deploys these keys everywhere. @returns what the doors run with. */
export async function deploy(master: MasterKeys): Promise<Env> {
  const { tenants, mailboxes } = await namesOf();
  for (const id of [...tenants, ...mailboxes]) await rekeyObject(id, master);
  return { ...env, ...master } as Env;
}

/** Two tenants under the old key, each with an identity key, two mailboxes, and a message that waits; D1 has all of it. */
export async function makeDeployment(): Promise<{ one: TestTenant; two: TestTenant }> {
  const [one, two] = [await makeTenant(["gated_send", "autonomous"]), await makeTenant(["gated_send", "autonomous"])];
  for (const tenant of [one, two]) {
    await env.TENANT.getByName(tenant.id).admitDelivery(null);
    await send(tenant);
    for (const id of objectsOf(tenant)) await inObjectOf(id, (object) => object.settled());
  }
  return { one, two };
}

export function objectsOf({ id, mailboxes }: TestTenant): string[] {
  return [id, ...mailboxes.map((mailbox) => mailbox.id)];
}

/** Has the agent send something from the gated mailbox; it is held. @returns the email's id. */
export async function send(tenant: TestTenant, worker: Env = env): Promise<string> {
  const { status, body } = await call<{ id: string }>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
    key: keyOf(tenant, "agent"),
    json: { to: "ana@customer.example", subject: "Offer", text: "Hello Ana" },
    env: worker,
  });
  if (status !== 202) throw new Error(`sending answered ${status}: ${JSON.stringify(body)}`);
  return body.id;
}

/** Forgets the deployment, so that the next test begins with a new one; its objects are reached by nobody any more. */
export async function forgetDeployment(): Promise<void> {
  const tables = ["tenants", "mailboxes", "domains", "data_keys", "api_keys", "people", "pending"];
  await env.DB.batch(tables.map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
}

interface SealedValue {
  what: string;
  purpose: SecretPurpose;
  context: string;
  sealed: Sealed;
}

const dataKey =
  (where: string) =>
  ({ kid, wrapped }: { kid: string; wrapped: string }): SealedValue => ({
    what: `${where}: data key ${kid}`,
    purpose: "data-key",
    context: kid,
    sealed: JSON.parse(wrapped),
  });

async function sealedInObject(id: string): Promise<SealedValue[]> {
  return inObjectOf(id, (_object, { storage: { sql } }) => {
    const keys = sql.exec<{ kid: string; wrapped: string }>("SELECT kid, wrapped FROM data_keys").toArray();
    const identity = id.startsWith("ten_")
      ? sql.exec<{ kid: string; key: string }>("SELECT kid, key FROM identity_keys").toArray()
      : [];
    const logKeys = sql.exec<{ id: string; key: string }>("SELECT id, key FROM log_keys").toArray();
    return [
      ...logKeys.map(({ key }) => ({
        what: `${id}: log key`,
        purpose: "log-key" as const,
        context: id,
        sealed: JSON.parse(key),
      })),
      ...keys.map(dataKey(id)),
      ...identity.map(({ kid, key }) => ({
        what: `${id}: identity key ${kid}`,
        purpose: "identity-key" as const,
        context: `${id}/${kid}`,
        sealed: JSON.parse(key).private_key,
      })),
    ];
  });
}

/** Everything that the deployment has sealed under keys of MASTER_KEY, in D1 and in the objects. */
export async function sealedValues(): Promise<SealedValue[]> {
  const { tenants, mailboxes } = await namesOf();
  const domains = await env.DB.prepare("SELECT domain, dkim_keys FROM domains").all<{
    domain: string;
    dkim_keys: string;
  }>();
  const copies = await env.DB.prepare("SELECT kid, wrapped, tenant_id FROM data_keys").all<{
    kid: string;
    wrapped: string;
    tenant_id: string;
  }>();
  const inObjects: SealedValue[] = [];
  for (const id of [...tenants, ...mailboxes]) inObjects.push(...(await sealedInObject(id)));
  return [
    ...domains.results.flatMap(({ domain, dkim_keys }) =>
      (JSON.parse(dkim_keys) as StoredDkimKey[]).map(({ selector, private_key }) => ({
        what: `D1: DKIM key ${domain}/${selector}`,
        purpose: "dkim-key" as const,
        context: dkimKeyContext(domain, selector),
        sealed: private_key,
      })),
    ),
    // Objects of a deployment that was forgotten may still bring theirs.
    ...copies.results.filter(({ tenant_id }) => tenants.includes(tenant_id)).map(dataKey("D1")),
    ...inObjects,
  ];
}

function opens(master: MasterKeys, { purpose, context, sealed }: SealedValue): boolean {
  try {
    open(deriveKeys(master, purpose), context, sealed);
    return true;
  } catch {
    return false;
  }
}

/** @returns which of all sealed values open by this key alone. */
export async function openedBy(master: MasterKeys): Promise<{ opened: string[]; closed: string[] }> {
  const all = await sealedValues();
  const names = (wanted: boolean) => all.filter((value) => opens(master, value) === wanted).map(({ what }) => what);
  return { opened: names(true), closed: names(false) };
}

/** Nothing needs the old key any more: each sealed value opens by the new key alone, and none by the old one alone. */
export async function expectAllUnderNew(): Promise<void> {
  expect(await openedBy(NEW)).toMatchObject({ closed: [] });
  expect(await openedBy(OLD)).toMatchObject({ opened: [] });
}

/** One call of `POST /setup/reseal`. */
export function resealCall<Body = ResealAnswer>(worker: Env, cursor: string | null = null): Promise<Answer<Body>> {
  return call<Body>("/setup/reseal", { key: SETUP_TOKEN, json: { cursor }, env: worker });
}

export interface Walk extends Pick<ResealAnswer, "resealed" | "unreadable"> {
  steps: number;
  refusals: RefusalBody[];
}

/** Walks to the end as the command does: a step that answers 503 is tried again with its cursor. */
export async function walk(worker: Env): Promise<Walk> {
  const result: Walk = {
    steps: 0,
    refusals: [],
    unreadable: 0,
    resealed: { domains: 0, dkim_keys: 0, identity_keys: 0, data_keys: 0, log_keys: 0 },
  };
  let cursor: string | null = null;
  for (;;) {
    const answer: Answer<ResealAnswer | RefusalBody> = await resealCall(worker, cursor);
    if ("error" in answer.body) {
      if (answer.status !== 503 || result.refusals.length === 10) throw new Error(JSON.stringify(answer.body));
      result.refusals.push(answer.body);
      continue;
    }
    const { resealed, unreadable, done } = answer.body;
    result.steps += 1;
    result.unreadable += unreadable;
    for (const kind of SEALED_KINDS) result.resealed[kind] += resealed[kind];
    if (done) return result;
    ({ cursor } = answer.body);
  }
}

/** The entries of a log that say something was resealed. The chain is verified on the way. */
export async function resealedEntries(id: string): Promise<HashedEntry[]> {
  const chain = await inObjectOf(id, (_object, state) =>
    state.storage.sql
      .exec<{ entry: string; hash: string }>("SELECT entry, hash FROM entries ORDER BY seq")
      .toArray()
      .map(({ entry, hash }): HashedEntry => ({ ...JSON.parse(entry), hash })),
  );
  expect(verifyChain(chain)).toBeNull();
  return chain.filter(({ action }) => action === "master_key.resealed");
}

/** When a fault comes: instead of the call, or after it took effect. */
export type FaultTime = "before" | "after";

/** Fails the `nth` call that goes through it. */
export function faultAt(
  nth: number,
  time: FaultTime,
): { through<T>(work: () => Promise<T>): Promise<T>; calls(): number } {
  let calls = 0;
  return {
    calls: () => calls,
    async through(work) {
      calls += 1;
      if (calls !== nth) return work();
      if (time === "after") await work();
      throw new Error("power cut");
    },
  };
}

/** A database whose statements all go through `through`, with their SQL. */
export function databaseThrough(through: <T>(work: () => Promise<T>, sql: string) => Promise<T>): D1Database {
  const wrap = (sql: string, statement: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(statement, {
      get(target, name) {
        if (name === "bind") return (...values: unknown[]) => wrap(sql, target.bind(...values));
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...parameters: unknown[]) => through(() => value.apply(target, parameters), sql);
      },
    });
  return new Proxy(env.DB, {
    get(target, name) {
      if (name === "prepare") return (sql: string) => wrap(sql, target.prepare(sql));
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The worker's objects, whose `reseal` goes through `through`. */
export function objectsThrough(
  worker: Env,
  through: <T>(work: () => Promise<T>, name: string) => Promise<T>,
): Pick<Env, "MAILBOX" | "TENANT"> {
  const spaceOf = (space: unknown) => ({
    getByName(name: string) {
      const stub = (space as Env["MAILBOX"]).getByName(name);
      return { reseal: (request: Parameters<typeof stub.reseal>[0]) => through(() => stub.reseal(request), name) };
    },
  });
  return { MAILBOX: spaceOf(worker.MAILBOX), TENANT: spaceOf(worker.TENANT) } as unknown as Pick<
    Env,
    "MAILBOX" | "TENANT"
  >;
}
