import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import { limitRate } from "../../src/doors/rate-limit.ts";
import { Refused } from "../../src/errors.ts";
import type { Operation } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import { ANYONE } from "../../src/oversight/caller.ts";
import {
  advanceDoors,
  call,
  keyOf,
  makeTenant,
  request,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { sampleValues } from "../support/operation-samples.ts";

/** Operations that ask for no key: whoever sends one is still held to it, and nobody gets further by sending none. */

const PUBLIC = OPERATIONS.filter(({ scope }) => scope === "public");
/** As many calls as `[[ratelimits]]` lets through in a minute. */
const LIMIT = 120;

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

function asked(more: Record<string, string> = {}) {
  return `/v1/identity/public-key?${new URLSearchParams({ tenant_id: tenant.id, ...more })}`;
}

/** Every way to call an operation: method, path. */
function doorsOf({ name, rest }: Operation): [method: string, path: string][] {
  return [
    ...rest.map(({ method, path }): [string, string] => [method, path.replaceAll(/\{\w+\}/g, "x")]),
    ["POST", `/v1/${name}`],
    ["POST", `/${name}`],
  ];
}

describe("whoever sends no key", () => {
  test("is let in to public operations, and to no other", async () => {
    expect(PUBLIC.length).toBeGreaterThan(0);
    for (const operation of OPERATIONS) {
      for (const [method, path] of doorsOf(operation)) {
        const answer = await call(path, { method, ...(method !== "GET" && { json: {} }) });
        const label = `${method} ${path}: ${JSON.stringify(answer.body)}`;
        if (operation.scope === "public") expect(answer.status, label).not.toBe(401);
        else expect(answer, label).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
      }
    }
  });

  test("is of no tenant, has no scope and is bound to no mailbox", () => {
    expect(ANYONE).toMatchObject({ tenant_id: "", key_id: "", scopes: [], mailbox_ids: [], bound_agent_id: null });
  });

  test("is nobody to a mailbox or a tenant object either", async () => {
    const mailbox = env.MAILBOX.getByName(tenant.mailbox.id.slice(-8));
    expect(await mailbox.describe(ANYONE)).toMatchObject({ ok: false, refusal: { code: "not_found" } });
    const object = env.TENANT.getByName(tenant.id);
    for (const outcome of [
      await object.account(ANYONE),
      await object.pauses(ANYONE),
      await object.rotateIdentityKey(ANYONE, null),
      await object.remember(ANYONE, "once", { digest: "", body: "{}" }),
    ])
      expect(outcome).toMatchObject({ ok: false, refusal: { code: "not_found" } });
  });

  test("may name an agent or an idempotency key, which means nothing then", async () => {
    const before = await storedCounts();
    const headers = { "x-mm-agent": "alice", "idempotency-key": "once" };
    const plain = await call(asked());
    expect(await call(asked(), { headers })).toMatchObject({ status: 200, body: plain.body });
    const json = { tenant_id: tenant.id, idempotency_key: "once", agent_id: "alice" };
    for (let time = 0; time < 2; time++) {
      const answer = await call<Record<string, unknown>>("/v1/get_identity_public_key", { json });
      expect(answer.body).toEqual(plain.body);
    }
    for (const operation of PUBLIC) {
      const json = { ...sampleValues(operation), tenant_id: undefined };
      const without = await call(`/v1/${operation.name}`, { json });
      const { status, body } = await call(`/v1/${operation.name}`, { json, headers });
      expect({ status, body }, operation.name).toEqual({ status: without.status, body: without.body });
    }
    expect(await storedCounts()).toEqual(before);
  });
});

describe("whoever sends a key", () => {
  test.each([
    ["an unknown one", "Bearer mm_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "invalid_key"],
    ["none behind Bearer", "Bearer", "unauthenticated"],
    ["another scheme", "Basic YTpi", "unauthenticated"],
    ["an empty header", "", "unauthenticated"],
    ["what is no key", "Bearer x", "invalid_key"],
  ])("must have a valid one: %s is refused", async (_what, authorization, code) => {
    for (const path of [asked(), `/.well-known/jwks.json?tenant_id=${tenant.id}`]) {
      const answer = await call(path, { headers: { authorization } });
      expect(answer, path).toMatchObject({ status: 401, body: { code } });
      expect(answer.headers.get("cache-control")).toBe("no-store");
    }
  });

  test("is refused once it is revoked", async () => {
    const { body } = await call<ApiKey & { key: string }>("/v1/api-keys", {
      key: keyOf(tenant, "admin"),
      json: { name: "short-lived", scopes: ["read"] },
    });
    expect((await call(asked(), { key: body.key })).status).toBe(200);
    await call(`/v1/api-keys/${body.id}`, { method: "DELETE", key: keyOf(tenant, "admin") });
    advanceDoors(REMEMBERED_MS);
    expect(await call(asked(), { key: body.key })).toMatchObject({ status: 401, body: { code: "invalid_key" } });
  });

  test("is let in with any scope", async () => {
    for (const name of ["read", "send", "oversight", "admin"])
      expect((await call(asked(), { key: keyOf(tenant, name) })).status, name).toBe(200);
  });
});

describe("without MASTER_KEY", () => {
  test("nothing is served, and the answer says how to make one", async () => {
    const { MASTER_KEY: _key, ...without } = env;
    for (const path of [
      asked(),
      `/.well-known/multimail-signing-key?tenant_id=${tenant.id}`,
      "/v1/identity/pubkey/a",
    ]) {
      const answer = await call(path, { env: without as typeof env });
      expect(answer, path).toMatchObject({ status: 503, body: { code: "unavailable" } });
      expect(answer.body.error).toContain("openssl rand -base64 32");
    }
  });
});

describe("what takes work and asks for no key", () => {
  /** Calls until it is refused. A window may end meanwhile, and then counts anew. @returns how often it was let in. */
  async function letIn(work: () => Promise<boolean>): Promise<number> {
    for (let calls = 0; calls <= 2 * LIMIT; calls++) if (!(await work())) return calls;
    throw new Error("it is never refused");
  }

  async function isLetIn(address: string): Promise<boolean> {
    try {
      await limitRate(env, new Headers({ "cf-connecting-ip": address }));
      return true;
    } catch (error) {
      if (error instanceof Refused && error.refusal.code === "rate_limited") return false;
      throw error;
    }
  }

  test("is limited for each network address by itself", async () => {
    expect(env.RATE_LIMIT).toBeDefined();
    expect(await letIn(() => isLetIn("2001:db8:7::1"))).toBeGreaterThanOrEqual(LIMIT);
    expect(await isLetIn("2001:db8:7::2")).toBe(false);
    expect(await isLetIn("2001:db8:8::1")).toBe(true);
    expect(await isLetIn("192.0.2.7")).toBe(true);
  });

  test.each(
    OPERATIONS.filter(({ rateLimited }) => rateLimited).map((operation) => [operation.name, operation] as const),
  )("%s answers 429 then, before it looks at key or body, and says when to try again", async (name) => {
    const path = `/v1/${name}`;
    const headers = { "cf-connecting-ip": `198.51.100.${name.length}` };
    const ask = () => request(path, { method: "POST", headers, raw: "{" });
    const let_in = await letIn(async () => (await ask()).status !== 429);
    expect(let_in).toBeGreaterThanOrEqual(LIMIT);
    const refused = await call(path, { headers, json: {}, key: "mm_live_nonsense" });
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited", retry_after: 60 } });
    expect(refused.headers.get("retry-after")).toBe("60");
    const { RATE_LIMIT: _limit, ...unlimited } = env;
    expect((await call(path, { headers, json: {}, env: unlimited })).status).not.toBe(429);
  });

  test("are questions and nothing else besides: a public operation that is no GET is limited", () => {
    for (const { name, rest, rateLimited } of PUBLIC)
      expect(rateLimited ?? rest.every(({ method }) => method === "GET"), name).toBe(true);
  });
});
