import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { TenantObject } from "../../durable-objects/tenant.ts";
import type { Agent, ApiKey } from "../../src/operations/shapes/account.ts";
import {
  type Answer,
  call,
  keyOf,
  makeTenant,
  type RefusalBody,
  setUp,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { caller, codeOf } from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";

/** Registered agents: what is behind a name, and which keys act under it where nobody names one. */

const SONNET = { model_id: "claude-sonnet-4", model_provider: "anthropic" };

function admin(tenant: TestTenant): string {
  return keyOf(tenant, "admin");
}

function register<Body = Agent>(
  tenant: TestTenant,
  id: string,
  json: Record<string, unknown> = {},
  key = admin(tenant),
): Promise<Answer<Body>> {
  return call<Body>("/v1/agents", { key, json: { id, ...SONNET, ...json } });
}

function change<Body = Agent>(tenant: TestTenant, id: string, json: Record<string, unknown>, key = admin(tenant)) {
  return call<Body>(`/v1/agents/${id}`, { method: "PATCH", key, json });
}

function remove<Body = Agent>(tenant: TestTenant, id: string, key = admin(tenant)) {
  return call<Body>(`/v1/agents/${id}`, { method: "DELETE", key });
}

async function agentsOf(tenant: TestTenant, key = admin(tenant)): Promise<Agent[]> {
  return (await call<{ agents: Agent[] }>("/v1/agents?limit=100", { key })).body.agents;
}

async function keyId(tenant: TestTenant, name: string): Promise<string> {
  const { body } = await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: admin(tenant) });
  return body.api_keys.find((key) => key.name === name)?.id ?? "";
}

async function defaultOf(tenant: TestTenant, name: string): Promise<string | null> {
  const id = await keyId(tenant, name);
  return env.DB.prepare("SELECT default_agent_id FROM api_keys WHERE id = ?").bind(id).first("default_agent_id");
}

function inTenant<R>(tenant: TestTenant, work: (object: TenantObject, state: DurableObjectState) => R | Promise<R>) {
  const stub: DurableObjectStub = env.TENANT.getByName(tenant.id);
  return runInDurableObject(stub, (object: unknown, state) => {
    if (!(object instanceof TenantObject)) throw new Error("not a tenant object");
    return work(object, state);
  });
}

/** What the tenant's chain says of agents, in order. */
function recorded(tenant: TestTenant) {
  return inTenant(tenant, (_object, { storage }) =>
    storage.sql
      .exec<{ entry: string }>("SELECT entry FROM entries ORDER BY seq")
      .toArray()
      .map(({ entry }) => JSON.parse(entry) as { action: string; resource: unknown; detail: Record<string, unknown> })
      .filter(({ action }) => action.startsWith("agent.")),
  );
}

describe("an agent", () => {
  let tenant: TestTenant;
  beforeAll(async () => {
    tenant = await makeTenant();
  });

  test("is registered, read, listed, changed and deleted, and each step is recorded", async () => {
    const send = await keyId(tenant, "send");
    const made = await register(tenant, "alice", { name: "Alice of sales", default_for: [send] });
    const alice = { id: "alice", name: "Alice of sales", ...SONNET, default_for: [send], deleted_at: null };
    expect(made).toMatchObject({ status: 201, body: alice });
    expect((await call("/v1/agents/alice", { key: admin(tenant) })).body).toEqual(made.body);
    expect(await agentsOf(tenant)).toEqual([made.body]);

    const changed = await change(tenant, "alice", { model_id: "claude-opus-4", name: null, default_for: [] });
    const later = { ...made.body, model_id: "claude-opus-4", name: null, default_for: [] };
    expect(changed).toMatchObject({ status: 200, body: later });
    expect(await agentsOf(tenant)).toEqual([later]);

    const gone = await remove(tenant, "alice");
    expect(gone).toMatchObject({ status: 200, body: { id: "alice", deleted_at: expect.any(String) } });
    expect(await agentsOf(tenant)).toEqual([]);
    expect(await call("/v1/agents/alice", { key: admin(tenant) })).toMatchObject({ status: 404 });
    expect(await change(tenant, "alice", { name: "x" })).toMatchObject({ status: 404 });

    const resource = { type: "agent", id: "alice" };
    expect(await recorded(tenant)).toMatchObject([
      { action: "agent.created", resource, detail: { ...SONNET, default_for: [send] } },
      { action: "agent.read", resource },
      {
        action: "agent.updated",
        resource,
        detail: { changed: ["name", "model_id", "default_for"], model_id: "claude-opus-4", default_for: [] },
      },
      { action: "agent.deleted", resource },
    ]);
    // Names are people's words; they are sealed.
    expect(JSON.stringify(await recorded(tenant))).not.toContain("Alice of sales");
  });

  test("is the same when it is registered or deleted again, and other values are for update_agent", async () => {
    const first = await register(tenant, "bob", { default_for: [await keyId(tenant, "read")] });
    const before = await recorded(tenant);
    const again = await register(tenant, "bob", { default_for: [await keyId(tenant, "read")] });
    expect(again).toMatchObject({ status: 200, body: first.body });
    for (const other of [{ model_id: "claude-opus-4" }, { model_provider: "x" }, { name: "B" }, { default_for: [] }]) {
      const refused = await register<RefusalBody>(tenant, "bob", {
        default_for: [await keyId(tenant, "read")],
        ...other,
      });
      expect(refused, JSON.stringify(other)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
      expect(refused.body.hint).toContain("update_agent");
    }
    expect(await change(tenant, "bob", { model_id: SONNET.model_id })).toMatchObject({ status: 200, body: first.body });
    expect(await recorded(tenant)).toEqual(before);

    const gone = await remove(tenant, "bob");
    expect((await remove(tenant, "bob")).body).toEqual(gone.body);
    expect((await recorded(tenant)).filter(({ action }) => action === "agent.deleted")).toHaveLength(2);
  });

  test("that was deleted can be registered anew, and D1 has the new one", async () => {
    await register(tenant, "carol");
    await remove(tenant, "carol");
    expect(await register(tenant, "carol", { model_id: "gpt-5", model_provider: "openai" })).toMatchObject({
      status: 201,
      body: { model_id: "gpt-5", deleted_at: null },
    });
    const row = await env.DB.prepare("SELECT * FROM agents WHERE tenant_id = ? AND id = 'carol'")
      .bind(tenant.id)
      .first();
    expect(row).toMatchObject({ model_id: "gpt-5", model_provider: "openai", deleted_at: null, version: 3 });
    await remove(tenant, "carol");
  });

  test("is listed by pages in the order of ids", async () => {
    for (const id of ["p3", "p1", "P2", "p.4"]) await register(tenant, id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page = await call<{ agents: Agent[]; cursor: string | null }>(`/v1/agents?limit=2${query}`, {
        key: admin(tenant),
      });
      seen.push(...page.body.agents.map(({ id }) => id));
      cursor = page.body.cursor;
    } while (cursor !== null);
    expect(seen).toEqual(["P2", "p.4", "p1", "p3"]);
    expect(await call("/v1/agents?cursor=a%20b", { key: admin(tenant) })).toMatchObject({ status: 422 });
  });

  test("reaches D1 by its timer where D1 was away, and a late write never overwrites a newer one", async () => {
    await register(tenant, "dora", { default_for: [await keyId(tenant, "read")] });
    const read = await keyId(tenant, "read");
    await env.DB.batch([
      env.DB.prepare("DELETE FROM agents WHERE tenant_id = ? AND id = 'dora'").bind(tenant.id),
      env.DB.prepare("UPDATE api_keys SET default_agent_id = NULL WHERE id = ?").bind(read),
    ]);
    await inTenant(tenant, (object) => {
      object.commit(() => {
        object.schedule("agent", "dora", Date.now());
        object.schedule("key", read, Date.now());
      });
    });
    await runDurableObjectAlarm(env.TENANT.getByName(tenant.id));
    const row = () =>
      env.DB.prepare("SELECT * FROM agents WHERE tenant_id = ? AND id = 'dora'").bind(tenant.id).first();
    expect(await row()).toMatchObject({ ...SONNET, version: 1 });
    expect(await defaultOf(tenant, "read")).toBe("dora");

    await env.DB.prepare("UPDATE agents SET version = 9, model_id = 'newer' WHERE tenant_id = ?").bind(tenant.id).run();
    await change(tenant, "dora", { model_id: "older" });
    expect(await row()).toMatchObject({ model_id: "newer", version: 9 });
  });

  test.each([
    ["the id of no agent", { id: "a b" }],
    ["a key's id", { id: "key_01ARZ3NDEKTSV4RRFFQ69G5FAV" }],
    ["a long id", { id: "a".repeat(65) }],
    ["no model", { model_id: undefined }],
    ["a long model", { model_id: "m".repeat(49) }],
    ["a model that a header would be split at", { model_id: "a;b" }],
    ["no provider", { model_provider: undefined }],
    ["a long provider", { model_provider: "p".repeat(17) }],
    ["a name with a line break", { name: "a\r\nb" }],
    ["a key that never was", { default_for: ["key_01ARZ3NDEKTSV4RRFFQ69G5FAV"] }],
    ["what is no key", { default_for: ["send"] }],
    ["too many keys", { default_for: Array.from({ length: 101 }, (_, index) => `key_${index}`) }],
    ["a field that agents do not have", { tenant_id: "ten_x" }],
  ])("is not registered with %s, and nothing is stored", async (_what, json) => {
    const before = await storedCounts();
    const refused = await register<RefusalBody>(tenant, "eve", json);
    expect(refused.status, JSON.stringify(refused.body)).toBe(422);
    expect(refused.body.issues?.length).toBeGreaterThan(0);
    expect(await storedCounts()).toEqual(before);
  });
});

describe("who may register", () => {
  test("reading shows agents, but other keys only to administrators", async () => {
    const tenant = await makeTenant();
    const keys = [await keyId(tenant, "send"), await keyId(tenant, "read")].sort();
    await register(tenant, "alice", { default_for: keys });
    expect((await agentsOf(tenant))[0]?.default_for).toEqual(keys);
    expect((await agentsOf(tenant, keyOf(tenant, "read")))[0]?.default_for).toEqual([await keyId(tenant, "read")]);
    expect((await agentsOf(tenant, keyOf(tenant, "agent")))[0]?.default_for).toEqual([]);
    for (const key of ["read", "send", "oversight"]) {
      expect(await register(tenant, "bob", {}, keyOf(tenant, key))).toMatchObject({ status: 403 });
      expect(await change(tenant, "alice", { name: "x" }, keyOf(tenant, key))).toMatchObject({ status: 403 });
      expect(await remove(tenant, "alice", keyOf(tenant, key))).toMatchObject({ status: 403 });
    }
  });

  test("a key that is bound to mailboxes registers none", async () => {
    const tenant = await makeTenant(["gated_send"], ([first]) => [
      { name: "bound admin", scopes: ["admin"], mailboxes: [first] },
    ]);
    await register(tenant, "alice");
    const key = keyOf(tenant, "bound admin");
    const refused = { status: 403, body: { code: "mailbox_not_allowed" } };
    expect(await register(tenant, "bob", {}, key)).toMatchObject(refused);
    expect(await change(tenant, "alice", { model_id: "x" }, key)).toMatchObject(refused);
    expect(await remove(tenant, "alice", key)).toMatchObject(refused);
    expect(await agentsOf(tenant)).toMatchObject([{ id: "alice", ...SONNET }]);
  });

  test("a key that is bound to an agent registers that one alone, and gives it to no key of others", async () => {
    const tenant = await makeTenant(["gated_send"], () => [
      { name: "alice admin", scopes: ["admin"], agent_id: "alice" },
      { name: "alice reads", scopes: ["read"], agent_id: "alice" },
    ]);
    const key = keyOf(tenant, "alice admin");
    const refused = { status: 403, body: { code: "agent_not_allowed" } };
    await register(tenant, "bob");
    expect(await register(tenant, "carol", {}, key)).toMatchObject(refused);
    expect(await change(tenant, "bob", { model_id: "x" }, key)).toMatchObject(refused);
    expect(await remove(tenant, "bob", key)).toMatchObject(refused);
    expect(await register(tenant, "alice", { default_for: [await keyId(tenant, "send")] }, key)).toMatchObject(refused);
    expect(await register(tenant, "alice", { default_for: [await keyId(tenant, "alice reads")] }, key)).toMatchObject({
      status: 201,
    });
    // Nor does it take the agent from a key that it could not have given it to.
    await change(tenant, "alice", { default_for: [await keyId(tenant, "send")] });
    expect(await change(tenant, "alice", { default_for: [] }, key)).toMatchObject(refused);
    expect(await remove(tenant, "alice", key)).toMatchObject(refused);
    expect(await defaultOf(tenant, "send")).toBe("alice");
  });

  test("another tenant's agents and keys are not there", async () => {
    const [home, foreign] = [await makeTenant(), await makeTenant()];
    await register(foreign, "alice", { default_for: [await keyId(foreign, "send")] });
    const before = await recorded(foreign);
    expect(await call("/v1/agents/alice", { key: admin(home) })).toMatchObject({ status: 404 });
    expect(await change(home, "alice", { model_id: "x" })).toMatchObject({ status: 404 });
    expect(await remove(home, "alice")).toMatchObject({ status: 404 });
    expect(await agentsOf(home)).toEqual([]);
    // The same name is another agent in each tenant.
    expect(await register(home, "alice", { model_id: "gpt-5" })).toMatchObject({ status: 201 });
    const stolen = await change<RefusalBody>(home, "alice", { default_for: [await keyId(foreign, "read")] });
    expect(stolen).toMatchObject({ status: 422, body: { issues: [{ path: "default_for" }] } });
    expect(await agentsOf(foreign)).toMatchObject([SONNET]);
    expect(await recorded(foreign)).toEqual(before);
    const object = env.TENANT.getByName(foreign.id);
    const stranger = caller(home.id, ["admin"]);
    const wanted = { id: "eve", name: null, ...SONNET, default_for: [] };
    expect(codeOf(await object.createAgent(stranger, wanted))).toBe("not_found");
    expect(codeOf(await object.updateAgent(stranger, "alice", { name: "x" }))).toBe("not_found");
    expect(codeOf(await object.deleteAgent(stranger, "alice"))).toBe("not_found");
    expect(codeOf(await object.getAgent(stranger, "alice"))).toBe("not_found");
    expect(codeOf(await object.listAgents(stranger, { limit: 1, cursor: null }))).toBe("not_found");
  });
});

describe("a key has one default", () => {
  test("and one that is bound has no other agent than its own", async () => {
    const tenant = await makeTenant(["gated_send"], () => [{ name: "of bob", scopes: ["send"], agent_id: "bob" }]);
    const send = await keyId(tenant, "send");
    await register(tenant, "alice", { default_for: [send] });
    const second = await register<RefusalBody>(tenant, "carol", { default_for: [send] });
    expect(second).toMatchObject({ status: 422, body: { code: "invalid_input", issues: [{ path: "default_for" }] } });
    expect(second.body.hint).toContain("update_agent");
    const bound = await change<RefusalBody>(tenant, "alice", { default_for: [await keyId(tenant, "of bob")] });
    expect(bound).toMatchObject({ status: 422, body: { issues: [{ path: "default_for" }] } });
    expect(bound.body.error).toContain("bound to the agent bob");
    expect(await register(tenant, "bob", { default_for: [await keyId(tenant, "of bob")] })).toMatchObject({
      status: 201,
    });
    await change(tenant, "alice", { default_for: [] });
    expect(await register(tenant, "carol", { default_for: [send, send] })).toMatchObject({
      status: 201,
      body: { default_for: [send] },
    });
    expect(await defaultOf(tenant, "send")).toBe("carol");
  });

  test("which it loses when it is bound to another agent, is revoked, or the agent is deleted", async () => {
    const tenant = await makeTenant();
    const [send, read, agent] = [
      await keyId(tenant, "send"),
      await keyId(tenant, "read"),
      await keyId(tenant, "agent"),
    ];
    await register(tenant, "alice", { default_for: [send, read, agent] });
    const bound = await call(`/v1/api-keys/${send}`, {
      method: "PATCH",
      key: admin(tenant),
      json: { agent_id: "bob" },
    });
    expect(bound.status).toBe(200);
    expect(await defaultOf(tenant, "send")).toBeNull();
    expect((await call(`/v1/api-keys/${read}`, { method: "DELETE", key: admin(tenant) })).status).toBe(200);
    expect(await agentsOf(tenant)).toMatchObject([{ default_for: [agent] }]);
    expect(await change(tenant, "alice", { default_for: [agent, read] })).toMatchObject({ status: 422 });
    await remove(tenant, "alice");
    expect(await defaultOf(tenant, "agent")).toBeNull();
  });
});

describe("a default is no way around separation of duties", () => {
  const CONFLICT = { status: 422, body: { code: "conflicting_scopes" } };

  test("one agent has no key that sends beside one that approves, however each comes to it", async () => {
    const tenant = await makeTenant(["gated_send"], () => [
      { name: "alice sends", scopes: ["send"], agent_id: "alice" },
      { name: "bob approves", scopes: ["oversight"], agent_id: "bob" },
    ]);
    const [send, agent, overseer] = [
      await keyId(tenant, "send"),
      await keyId(tenant, "agent"),
      await keyId(tenant, "overseer"),
    ];
    // Bound to it, and by default.
    expect(await register(tenant, "alice", { default_for: [overseer] })).toMatchObject(CONFLICT);
    expect(await register(tenant, "bob", { default_for: [send] })).toMatchObject(CONFLICT);
    // Both by default, in one call and in two.
    expect(await register(tenant, "carol", { default_for: [send, overseer] })).toMatchObject(CONFLICT);
    expect(await register(tenant, "carol", { default_for: [overseer] })).toMatchObject({ status: 201 });
    expect(await change(tenant, "carol", { default_for: [send, overseer] })).toMatchObject(CONFLICT);
    // In place of the other is no conflict.
    expect(await change(tenant, "carol", { default_for: [agent, send] })).toMatchObject({ status: 200 });
    expect(await change(tenant, "carol", { default_for: [overseer] })).toMatchObject({ status: 200 });
    expect(await defaultOf(tenant, "send")).toBeNull();
  });

  test("nor by a key that is made, bound, set up or given a scope afterwards", async () => {
    const tenant = await makeTenant(["gated_send"], () => [{ name: "free", scopes: ["read"] }]);
    await register(tenant, "alice", { default_for: [await keyId(tenant, "overseer"), await keyId(tenant, "free")] });
    const patch = (id: string, json: Record<string, unknown>) =>
      call(`/v1/api-keys/${id}`, { method: "PATCH", key: admin(tenant), json });
    const json = { name: "x", scopes: ["send"], agent_id: "alice" };
    expect(await call("/v1/api-keys", { key: admin(tenant), json })).toMatchObject(CONFLICT);
    expect(await patch(await keyId(tenant, "send"), { agent_id: "alice" })).toMatchObject(CONFLICT);
    expect(await patch(await keyId(tenant, "free"), { scopes: ["send"] })).toMatchObject(CONFLICT);
    const known = await env.DB.prepare("SELECT name, operator_email FROM tenants WHERE id = ?").bind(tenant.id).first();
    expect(await setUp({ ...known, keys: [json] })).toMatchObject(CONFLICT);
    // Without the overseer it may send.
    await change(tenant, "alice", { default_for: [await keyId(tenant, "free")] });
    const widened = await withCode<ApiKey>(tenant, `/v1/api-keys/${await keyId(tenant, "free")}`, {
      method: "PATCH",
      key: admin(tenant),
      json: { scopes: ["read", "send"] },
    });
    expect(widened, JSON.stringify(widened.body)).toMatchObject({ status: 200 });
    expect(await change(tenant, "alice", { default_for: [await keyId(tenant, "overseer")] })).toMatchObject({
      status: 200,
    });
  });

  test("and an overseer is refused as the agent that it acts as by default", async () => {
    const tenant = await makeTenant();
    await register(tenant, "alice", { default_for: [await keyId(tenant, "overseer")] });
    const sent = await call<{ id: string }>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
      key: keyOf(tenant, "send"),
      json: { to: "ana@customer.example", subject: "Offer", text: "Hello", agent_id: "alice" },
    });
    const key = keyOf(tenant, "overseer");
    const item = await call<{ content_hash: string }>(`/v1/oversight/pending/${sent.body.id.replace("em_", "pend_")}`, {
      key,
    });
    const json = { email_id: sent.body.id, decision: "approve", content_hash: item.body.content_hash };
    expect(await call("/v1/oversight/decide", { key, json })).toMatchObject({
      status: 403,
      body: { code: "self_decision" },
    });
  });
});
