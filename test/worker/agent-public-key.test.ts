import { env } from "cloudflare:workers";
import { createPublicKey, verify } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../src/ids.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import { domainSigningKeyOf } from "../../src/store/identity-keys.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { caller } from "../support/mailbox-harness.ts";
import { addDomain, BOTH, withoutMailbox } from "../support/published-keys.ts";

/** The Ed25519 key behind the domain-bound form: of the right domain, and never of another tenant's agent. */

let home: TestTenant;
let other: TestTenant;
beforeAll(async () => {
  home = await makeTenant(["gated_send"], () => [{ name: "alice's", scopes: ["send"], agent_id: "alice" }]);
  other = await makeTenant(["gated_send"], () => [{ name: "zoe's", scopes: ["send"], agent_id: "zoe" }]);
});

describe("an agent's public key", () => {
  interface AgentKey {
    public_key_der: string;
    domain: string;
    agent_id: string;
  }
  const path = (agent: string, query: Record<string, string> = {}) =>
    `/v1/identity/pubkey/${agent}?${new URLSearchParams(query)}`;
  const get = (agent: string, query: Record<string, string> = {}, key: string | null = null) =>
    call<AgentKey>(path(agent, query), { key });

  test("is the Ed25519 DKIM key of its domain, by which the domain-bound form verifies", async () => {
    const { status, body } = await get("alice", {}, keyOf(home, "read"));
    expect({ status, ...body }).toMatchObject({ status: 200, agent_id: "alice", domain: "agents.test" });
    const signer = domainSigningKeyOf(await signingKeysOf(env.DB, env, "agents.test"));
    const bytes = Buffer.from("alice:gated_send");
    const key = createPublicKey({ key: Buffer.from(body.public_key_der, "base64"), type: "spki", format: "der" });
    expect(verify(null, bytes, key, signer?.sign(bytes) ?? new Uint8Array())).toBe(true);
  });

  test("is found by the domain, for anyone, whoever's it is", async () => {
    const tenant = await withoutMailbox();
    const domain = await addDomain(tenant.id, "verified", BOTH);
    for (const key of [null, keyOf(home, "read"), keyOf(tenant, "read")]) {
      const answer = await get("bob", { domain: domain.toUpperCase() }, key);
      expect(answer).toMatchObject({ status: 200, body: { domain, agent_id: "bob" } });
      expect(answer.headers.get("cache-control")).toBe("public, max-age=86400");
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    }
    // Its tenant has one domain of its own, so that one is meant.
    const own = await get("bob", {}, keyOf(tenant, "read"));
    expect(own.body.domain).toBe(domain);
    expect(own.headers.get("cache-control")).toBe("private, max-age=86400");
    expect((await get("bob", { tenant_id: tenant.id })).body.domain).toBe(domain);
  });

  test("of the deployment's own domain needs to know whose agent, since all tenants share it", async () => {
    const unsaid = await call("/v1/identity/pubkey/alice?domain=agents.test");
    expect(unsaid).toMatchObject({ status: 422, body: { issues: [{ path: "tenant_id" }] } });
    expect((await get("alice", { domain: "agents.test", tenant_id: home.id })).status).toBe(200);
    expect((await get("alice", { domain: "agents.test" }, keyOf(home, "read"))).status).toBe(200);
    expect((await get("alice")).status).toBe(422);
  });

  test("is never told across tenants", async () => {
    const stranger = await withoutMailbox();
    const domain = await addDomain(other.id, "verified", BOTH);
    const asked: [string, Record<string, string>, string | null][] = [
      ["alice", {}, keyOf(other, "read")],
      ["alice", { domain }, null],
      ["alice", { domain }, keyOf(home, "read")],
      ["alice", { domain, tenant_id: home.id }, null],
      ["alice", { domain: "agents.test", tenant_id: other.id }, keyOf(home, "read")],
      ["alice", { domain: "agents.test", tenant_id: stranger.id }, null],
      ["alice", { tenant_id: stranger.id }, null],
      // The agent is the domain's own, but not of the tenant that is named.
      ["zoe", { domain, tenant_id: home.id }, null],
      // Nobody without a mailbox there has an agent on the deployment's own domain.
      ["bob", { domain: "agents.test", tenant_id: stranger.id }, null],
      ["bob", { tenant_id: stranger.id }, null],
      ["bob", {}, keyOf(stranger, "read")],
    ];
    for (const [agent, query, key] of asked)
      expect(await get(agent, query, key), JSON.stringify(query)).toMatchObject({
        status: 404,
        body: { code: "not_found" },
      });
  });

  test("is not there for a domain that is not set up or not verified, an unknown agent, or an unknown tenant", async () => {
    const claimed = await addDomain(home.id, "pending", BOTH);
    for (const domain of [claimed, "nowhere.example", "x", "..", "a b", "[127.0.0.1]"])
      expect((await get("alice", { domain })).status, domain).toBe(404);
    for (const agent of ["mallory", "ALICE"]) expect((await get(agent, {}, keyOf(home, "read"))).status).toBe(404);
    for (const tenant_id of ["x", newId("ten", 1)]) expect((await get("alice", { tenant_id })).status).toBe(404);
    for (const agent of ["a%20b", "a%0d%0ab", "x".repeat(65), "%00"]) {
      const answer = await call(`/v1/identity/pubkey/${agent}?tenant_id=${home.id}`);
      expect(answer.status, agent).toBe(422);
    }
  });

  test("is a 422 where the domain has no Ed25519 key", async () => {
    const tenant = await withoutMailbox();
    const domain = await addDomain(tenant.id, "verified", ["rsa-sha256"]);
    const answer = await call<{ code: string; hint: string }>(path("bob", { domain }));
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    expect(answer.body.hint).toContain("get_identity_public_key");
  });

  test("is known by a live key, by a registration, or by what the agent did", async () => {
    const tenant = await makeTenant();
    const ask = (agent: string) => get(agent, {}, keyOf(tenant, "read")).then(({ status }) => status);
    const made = await call<{ id: string }>("/v1/api-keys", {
      key: keyOf(tenant, "admin"),
      json: { name: "short-lived", scopes: ["read"], agent_id: "carol" },
    });
    expect(await ask("carol")).toBe(200);
    await call(`/v1/api-keys/${made.body.id}`, { method: "DELETE", key: keyOf(tenant, "admin") });
    expect(await ask("carol")).toBe(404);
    expect(await ask("dave")).toBe(404);
    const agent = { id: "dave", model_id: "m-1", model_provider: "p" };
    expect((await call("/v1/agents", { key: keyOf(tenant, "admin"), json: agent })).status).toBeLessThan(300);
    expect(await ask("dave")).toBe(200);
    await env.TENANT.getByName(tenant.id).setPause(caller(tenant.id, ["admin"], { agent_id: "erin" }), "zoe", true);
    await expect.poll(() => ask("erin"), { timeout: 10_000 }).toBe(200);
  });
});
