import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { readIdentityTxtRecord } from "../../src/identity/txt-record.ts";
import { newId } from "../../src/ids.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { documentOf, JWKS, type Rotated } from "../support/published-keys.ts";

/** Rotation and revocation of identity keys, by whoever may ask for it. */

const ROTATE = "/v1/identity/rotate";

let home: TestTenant;
let other: TestTenant;
beforeAll(async () => {
  home = await makeTenant(["gated_send"], ([local]) => [
    { name: "bound admin", scopes: ["admin"], mailboxes: [local] },
    { name: "agent's admin", scopes: ["admin"], agent_id: "alice" },
  ]);
  other = await makeTenant();
});

function rotate<Body = Rotated>(tenant: TestTenant, json: Record<string, unknown> = {}, key = "admin") {
  return call<Body>(ROTATE, { key: keyOf(tenant, key), json });
}

describe("rotate_identity_key", () => {
  test("publishes the new key at once, and the old one on; the answer has the DNS record", async () => {
    const tenant = await makeTenant();
    const before = await documentOf(tenant);
    const { status, body } = await rotate(tenant);
    expect(status, JSON.stringify(body)).toBe(200);
    const after = await documentOf(tenant);
    expect(after).toMatchObject({ kid: body.kid, fingerprint: body.fingerprint });
    expect(after.keys.map(({ kid, retired_at }) => [kid, retired_at])).toEqual([
      [before.kid, body.replaced.retired_at],
      [body.kid, null],
    ]);
    expect(body.dns_records).toMatchObject([
      { type: "TXT", name: "_multimail.agents.test", purpose: "identity", required: false },
    ]);
    expect(readIdentityTxtRecord(body.dns_records[0]?.value ?? "")).toMatchObject({
      kid: body.kid,
      x: after.x,
      y: after.y,
    });
    // The old key's life ends in five minutes; it stays at its own address.
    expect(await documentOf(tenant, `&kid=${before.kid}`)).toEqual({
      ...{ ...after, kid: before.kid, x: before.x, y: before.y, fingerprint: before.fingerprint },
    });
  });

  test("with an idempotency key rotates once", async () => {
    const tenant = await makeTenant();
    const options = { key: keyOf(tenant, "admin"), json: {}, headers: { "idempotency-key": "once" } };
    const first = await call<Rotated>(ROTATE, options);
    expect((await call<Rotated>(ROTATE, options)).body).toEqual({ ...first.body, idempotent: true });
    expect((await documentOf(tenant)).keys).toHaveLength(2);
  });

  test("revokes only with the operator's code, which says what becomes of past mail", async () => {
    const tenant = await makeTenant();
    const before = await documentOf(tenant);
    const asked = await rotate<{ status: string; change: string }>(tenant, { revoke: true });
    expect(asked).toMatchObject({ status: 202, body: { status: "pending_approval" } });
    expect(asked.body.change).toContain(before.kid);
    expect(asked.body.change).toContain(before.fingerprint);
    expect(asked.body.change).toMatch(/not verified any more/);
    expect(await rotate(tenant, { revoke: true, approval_code: "00000000" })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
    expect(await documentOf(tenant)).toEqual(before);
    const code = await lastCode(tenant);
    const done = await rotate(tenant, { revoke: true, approval_code: code });
    expect(done.status, JSON.stringify(done.body)).toBe(200);
    expect(done.body.replaced).toMatchObject({ kid: before.kid, revoked_at: expect.stringMatching(/Z$/) });
    const { keys, kid } = await documentOf(tenant);
    expect(kid).not.toBe(before.kid);
    expect(keys[0]).toMatchObject({ kid: before.kid, revoked_at: done.body.replaced.revoked_at });
  });

  test("takes a code for the key that the operator read of, and for no other", async () => {
    const tenant = await makeTenant();
    await rotate(tenant, { revoke: true });
    const code = await lastCode(tenant);
    const { kid } = (await rotate(tenant)).body;
    // The active key is another by now.
    expect((await rotate(tenant, { revoke: true, approval_code: code })).status).toBe(403);
    expect((await rotate(tenant, { revoke: true, kid, approval_code: code })).status).toBe(403);
    expect((await documentOf(tenant)).keys.every(({ revoked_at }) => revoked_at === null)).toBe(true);
  });

  test("revokes an older key by its kid, the same one twice without another code", async () => {
    const tenant = await makeTenant();
    const old = (await documentOf(tenant)).kid;
    const { kid } = (await rotate(tenant)).body;
    const done = await withCode<Rotated>(tenant, ROTATE, {
      key: keyOf(tenant, "admin"),
      json: { revoke: true, kid: old },
    });
    expect(done).toMatchObject({ status: 200, body: { kid, replaced: { kid: old } } });
    expect((await rotate(tenant, { revoke: true, kid: old })).body).toEqual(done.body);
  });

  test("leaves a revoked key out of the JWK set, since JOSE libraries know of no revocation", async () => {
    const tenant = await makeTenant();
    const old = (await documentOf(tenant)).kid;
    await withCode(tenant, ROTATE, { key: keyOf(tenant, "admin"), json: { revoke: true } });
    const { body } = await call<JSONWebKeySet>(`${JWKS}?tenant_id=${tenant.id}`);
    expect(body.keys.map(({ kid }) => kid)).toEqual([(await documentOf(tenant)).kid]);
    const keySet = createLocalJWKSet(body);
    await expect(keySet({ alg: "ES256", kid: old })).rejects.toThrow(/no applicable key/);
  });

  test("gives no PEM of a revoked key, since nothing in one says so; its document does", async () => {
    const tenant = await makeTenant();
    const old = (await documentOf(tenant)).kid;
    const pemOf = (kid: string) => call<string>(`/v1/identity/public-key?tenant_id=${tenant.id}&kid=${kid}&format=pem`);
    expect((await pemOf(old)).status).toBe(200);
    await withCode(tenant, ROTATE, { key: keyOf(tenant, "admin"), json: { revoke: true } });
    const refused = await pemOf(old);
    expect(refused).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect(refused.headers.get("cache-control")).toBe("no-store");
    const { kid, keys } = await documentOf(tenant, `&kid=${old}`);
    expect(kid).toBe(old);
    expect(keys.find((key) => key.kid === old)?.revoked_at).toEqual(expect.any(String));
    expect((await pemOf((await documentOf(tenant)).kid)).status).toBe(200);
  });

  test("is refused to other scopes, bound keys and other tenants' kids, and changes nothing then", async () => {
    const before = [await documentOf(home), await documentOf(other)];
    for (const key of ["read", "send", "oversight"])
      expect(await rotate(home, {}, key)).toMatchObject({ status: 403, body: { code: "missing_scope" } });
    for (const json of [{}, { revoke: true }]) {
      expect(await rotate(home, json, "bound admin")).toMatchObject({
        status: 403,
        body: { code: "mailbox_not_allowed" },
      });
      expect(await rotate(home, json, "agent's admin")).toMatchObject({
        status: 403,
        body: { code: "agent_not_allowed" },
      });
    }
    for (const kid of [before[1]?.kid, newId("idk", 1), "x"])
      expect(await rotate(home, { revoke: true, kid })).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await call(ROTATE, { json: {} })).status).toBe(401);
    expect([await documentOf(home), await documentOf(other)]).toEqual(before);
  });

  test.each([
    ["a kid without revoke", { kid: "idk_01JD0000000000000000000000" }, "kid"],
    ["a kid with revoke switched off", { revoke: false, kid: "idk_01JD0000000000000000000000" }, "kid"],
    ["revoke as something else", { revoke: "yes" }, "revoke"],
    ["a kid that is a list", { revoke: true, kid: ["a"] }, "kid"],
    ["an unknown field", { tenant_id: "x" }, "tenant_id"],
  ])("answers 422 to %s", async (_what, json, path) => {
    const answer = await call<{ issues: { path: string }[] }>(ROTATE, { key: keyOf(home, "admin"), json });
    expect(answer.status).toBe(422);
    expect(answer.body.issues[0]?.path).toBe(path);
  });
});
