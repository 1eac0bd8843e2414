import { env } from "cloudflare:workers";
import { createHash, createPublicKey, verify } from "node:crypto";
import { importJWK, importSPKI } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { KeyDocument } from "../../src/identity/keys.ts";
import { readTrustedKeys } from "../../src/identity/public-keys.ts";
import { readIdentityTxtRecord } from "../../src/identity/txt-record.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import { keyDocumentOf, keysOfSender, openIdentityKey } from "../../src/store/identity-keys.ts";
import {
  type CallOptions,
  call,
  keyOf,
  makeTenant,
  request,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import {
  addDomain,
  BOTH,
  documentOf,
  JWKS,
  PUBLIC_KEY,
  type Rotated,
  SIGNING_KEY,
  withoutMailbox,
} from "../support/published-keys.ts";

/** Public keys as the world gets them: by every address, with their caching, never another tenant's. */

let home: TestTenant;
let other: TestTenant;
beforeAll(async () => {
  [home, other] = [await makeTenant(), await makeTenant()];
});

describe("the key document", () => {
  test("is for anyone, and for any JOSE library", async () => {
    const document = await documentOf(home);
    expect(document).toMatchObject({
      ...{ kty: "EC", crv: "P-256", alg: "ES256", use: "sig", tenant_id: home.id },
      ...{ kid: expect.stringMatching(/^idk_/), domains: ["agents.test"] },
    });
    expect(document).not.toHaveProperty("d");
    expect(document.keys).toEqual([
      {
        ...{ kty: "EC", crv: "P-256", x: document.x, y: document.y, kid: document.kid, alg: "ES256", use: "sig" },
        ...{ not_before: expect.stringMatching(/Z$/), retired_at: null, revoked_at: null },
      },
    ]);
    await importJWK({ ...document });
    expect(readTrustedKeys(JSON.stringify(document))).toMatchObject({ tenant_id: home.id, domains: ["agents.test"] });
  });

  test("has the fingerprint of the key's SPKI, which its PEM is", async () => {
    const document = await documentOf(home);
    const pem = await call<string>(`${PUBLIC_KEY}?tenant_id=${home.id}&format=pem`);
    expect(pem.headers.get("content-type")).toBe("application/x-pem-file");
    const key = createPublicKey(pem.body);
    expect(key.export({ format: "jwk" })).toMatchObject({ x: document.x, y: document.y });
    const spki = key.export({ type: "spki", format: "der" });
    const digest = createHash("sha256").update(spki).digest("base64").replace(/=+$/, "");
    expect(document.fingerprint).toBe(`SHA256:${digest}`);
    await importSPKI(pem.body, "ES256");
  });

  test("verifies what a delivery of the tenant signs", async () => {
    const { identity_key } = await env.TENANT.getByName(home.id).admitDelivery(null);
    const bytes = Buffer.from("text");
    const signature = openIdentityKey(env, identity_key).sign(bytes);
    const { body } = await call<string>(`${PUBLIC_KEY}?tenant_id=${home.id}&format=pem`);
    expect(verify("sha256", bytes, createPublicKey(body), signature)).toBe(true);
  });

  test("makes the first key of a tenant that has none, one however many ask at once", async () => {
    const id = newId("ten", Date.now());
    const people = { operator_email: "operator@people.example", confirmed_approvers: [] };
    unwrap(await env.TENANT.getByName(id).provision({ id, name: "Quiet", ...people }));
    const asked = await Promise.all(
      [PUBLIC_KEY, SIGNING_KEY, JWKS, PUBLIC_KEY, JWKS].map((path) =>
        call<{ keys: { kid: string }[] }>(`${path}?tenant_id=${id}`),
      ),
    );
    expect(asked.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(new Set(asked.flatMap(({ body }) => body.keys.map(({ kid }) => kid))).size).toBe(1);
  });

  test("lists the tenant's verified domains, and the deployment's own only where it has a mailbox", async () => {
    const tenant = await withoutMailbox();
    expect((await documentOf(tenant)).domains).toEqual([]);
    await addDomain(tenant.id, "pending", BOTH);
    await addDomain(other.id, "verified", BOTH);
    const own = await addDomain(tenant.id, "verified", BOTH);
    expect((await documentOf(tenant)).domains).toEqual([own]);
  });

  test("has at most 100 keys, the newest ones; an older one is told to whoever names it", async () => {
    const tenant = await makeTenant();
    const [key] = (await env.TENANT.getByName(tenant.id).identityKeys()).slice(-1);
    if (!key) throw new Error("there is no key");
    const kids = Array.from({ length: 120 }, (_, n) => newId("idk", Date.UTC(2026, 0, 1) + n));
    const old = { ...key, retired_at: "2026-02-01T00:00:00.000Z" };
    await env.DB.batch(
      kids.map((kid) =>
        env.DB.prepare("INSERT INTO identity_keys VALUES (?, ?, ?, ?, ?, NULL, 0, 0)").bind(
          ...[kid, tenant.id, JSON.stringify(old.public_jwk), old.not_before, old.retired_at],
        ),
      ),
    );
    const newest = await documentOf(tenant);
    expect([newest.kid, newest.keys.length]).toEqual([key.kid, 100]);
    const oldest = await documentOf(tenant, `&kid=${kids[0]}`);
    expect([oldest.kid, oldest.keys.length, oldest.keys[0]?.kid, oldest.keys.at(-1)?.kid]).toEqual([
      ...[kids[0], 100, kids[0], key.kid],
    ]);
    expect(readTrustedKeys(JSON.stringify(oldest)).p256).toHaveLength(100);
  });
});

describe("every address of the keys", () => {
  test("may be kept for a day and read by pages of any origin, refusals included", async () => {
    for (const path of [PUBLIC_KEY, SIGNING_KEY, JWKS]) {
      for (const format of path === JWKS ? [""] : ["", "&format=pem"]) {
        const answer = await request(`${path}?tenant_id=${home.id}${format}`, {
          headers: { origin: "https://x.example" },
        });
        expect(answer.status).toBe(200);
        expect(answer.headers.get("cache-control"), path).toBe("public, max-age=86400");
        expect(answer.headers.get("access-control-allow-origin"), path).toBe("*");
        expect(answer.headers.get("cross-origin-resource-policy"), path).toBe("cross-origin");
        expect(answer.headers.get("x-content-type-options"), path).toBe("nosniff");
        await answer.body?.cancel();
      }
      const refused = await call(`${path}?tenant_id=${newId("ten", Date.now())}`);
      expect(refused, path).toMatchObject({ status: 404, body: { code: "not_found" } });
      expect(refused.headers.get("cache-control"), path).toBe("no-store");
      expect(refused.headers.get("access-control-allow-origin"), path).toBe("*");
      expect((await request("/v1/account")).headers.get("access-control-allow-origin")).toBeNull();
    }
  });

  test("is a question: other methods are 405", async () => {
    for (const path of [PUBLIC_KEY, SIGNING_KEY, JWKS]) {
      for (const method of ["POST", "PUT", "DELETE"])
        expect((await call(path, { method })).status, `${method} ${path}`).toBe(405);
      const head = await request(`${path}?tenant_id=${home.id}`, { method: "HEAD" });
      expect([head.status, await head.text()]).toEqual([200, ""]);
    }
  });

  test("says the same", async () => {
    const document = await documentOf(home);
    expect((await call(`${SIGNING_KEY}?tenant_id=${home.id}`)).body).toEqual(document);
    expect((await call(`${JWKS}?tenant_id=${home.id}`)).body).toEqual({ keys: document.keys });
    expect((await call("/v1/get_identity_public_key", { json: { tenant_id: home.id } })).body).toEqual(document);
    const pem = `tenant_id=${home.id}&format=pem`;
    expect((await call(`${SIGNING_KEY}?${pem}`)).body).toBe((await call(`${PUBLIC_KEY}?${pem}`)).body);
  });

  test.each<[string, string, CallOptions]>([
    ["a tenant that was never made", "tenant_id=ten_01JD0000000000000000000000", {}],
    ["what is no tenant's id", "tenant_id=x", {}],
    ["an id of another kind", "tenant_id=idk_01JD0000000000000000000000", {}],
    ["text that a database might take for more", "tenant_id=%27%20OR%201%3D1%20--", {}],
  ])("answers 404 to %s, and writes nothing", async (_what, query, options) => {
    const before = await storedCounts();
    for (const path of [PUBLIC_KEY, SIGNING_KEY, JWKS])
      expect(await call(`${path}?${query}`, options)).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(await storedCounts()).toEqual(before);
  });

  test("answers 404 to a kid that is not there, or is another tenant's", async () => {
    const foreign = (await documentOf(other)).kid;
    for (const kid of [foreign, newId("idk", Date.now()), "x", foreign.toLowerCase()]) {
      for (const path of [PUBLIC_KEY, SIGNING_KEY]) {
        const answer = await call(`${path}?tenant_id=${home.id}&kid=${kid}`);
        expect(answer, kid).toMatchObject({ status: 404, body: { code: "not_found" } });
        expect(JSON.stringify(answer.body)).not.toContain(other.id);
      }
    }
  });

  test("answers 422 where nothing says whose keys, or the form is none", async () => {
    for (const path of [PUBLIC_KEY, SIGNING_KEY, JWKS])
      expect(await call(path)).toMatchObject({
        status: 422,
        body: { code: "invalid_input", issues: [{ path: "tenant_id" }] },
      });
    for (const more of ["&format=der", "&kid=", "&alg=none", `&tenant_id=${other.id}`])
      expect((await call(`${PUBLIC_KEY}?tenant_id=${home.id}${more}`)).status, more).toBe(422);
  });

  test("means the caller's own tenant where it names none, and that answer is for nobody else's cache", async () => {
    for (const path of [PUBLIC_KEY, SIGNING_KEY, JWKS]) {
      for (const tenant of [home, other]) {
        const answer = await call<KeyDocument>(path, { key: keyOf(tenant, "read") });
        expect(answer.body.keys, path).toEqual((await documentOf(tenant)).keys);
        expect(answer.headers.get("cache-control"), path).toBe("private, max-age=86400");
        expect(answer.headers.get("vary")?.toLowerCase(), path).toContain("authorization");
      }
    }
    // A key adds nothing to what the request says.
    const foreign = await call<KeyDocument>(`${PUBLIC_KEY}?tenant_id=${other.id}`, { key: keyOf(home, "send") });
    expect(foreign.body.tenant_id).toBe(other.id);
  });
});

describe("whose keys a sender's are", () => {
  test("those of the tenant whose mailbox the address is, in any spelling", async () => {
    const document = await documentOf(home);
    for (const address of [home.mailbox.address, home.mailbox.address.toUpperCase()]) {
      const keys = await keysOfSender(env.DB, env, address);
      expect(keys).toMatchObject({ tenant_id: home.id, domains: ["agents.test"] });
      expect(keys?.p256.map(({ kid }) => kid)).toEqual(document.keys.map(({ kid }) => kid));
      expect(keys?.ed25519.map((key) => key.length)).toEqual([32]);
    }
  });

  test("null for an address of nobody here, also on the deployment's own domain", async () => {
    for (const address of [
      "nobody@agents.test",
      "a@customer.example",
      "",
      "@",
      "x",
      "a@b@agents.test",
      "a@[127.0.0.1]",
    ])
      expect(await keysOfSender(env.DB, env, address), address).toBeNull();
  });

  test("those of the tenant whose domain it is, once the domain is verified", async () => {
    const [verified, claimed] = [
      await addDomain(other.id, "verified", BOTH),
      await addDomain(other.id, "pending", BOTH),
    ];
    const keys = await keysOfSender(env.DB, env, `anyone@${verified}`);
    expect(keys?.tenant_id).toBe(other.id);
    expect(keys?.domains).toContain(verified);
    expect(keys?.domains).not.toContain(claimed);
    // Whoever merely says that a domain is theirs is not believed.
    expect(await keysOfSender(env.DB, env, `anyone@${claimed}`)).toBeNull();
  });

  test("nothing is made for a stranger's mail: a tenant without a key has none afterwards", async () => {
    const tenant_id = newId("ten", Date.now());
    const people = { operator_email: "operator@people.example", confirmed_approvers: [] };
    unwrap(await env.TENANT.getByName(tenant_id).provision({ id: tenant_id, name: "Quiet", ...people }));
    const domain = await addDomain(tenant_id, "verified", []);
    expect(await keysOfSender(env.DB, env, `a@${domain}`)).toEqual({
      tenant_id,
      p256: [],
      ed25519: [],
      domains: [domain],
    });
    expect(await env.DB.prepare("SELECT 1 FROM identity_keys WHERE tenant_id = ?").bind(tenant_id).first()).toBeNull();
  });

  test("the document of a tenant is null for what is no tenant", async () => {
    for (const id of ["", "x", newId("ten", 1), home.mailbox.id])
      expect(await keyDocumentOf(env.DB, env, id)).toBeNull();
  });
});

describe("set-up", () => {
  test("lists the tenant's key among the DNS records, each tenant's beside the others'", async () => {
    const json = {
      name: `Listed ${newRoutingNumber()}`,
      operator_email: "operator@people.example",
      approvers: [],
      mailboxes: [],
      keys: [],
    };
    const made = await call<{ tenant_id: string; dns_records: Rotated["dns_records"] }>("/setup", {
      ...{ json, key: "setup-token-for-tests" },
    });
    const records = made.body.dns_records.filter(({ purpose }) => purpose === "identity");
    expect(records).toMatchObject([{ type: "TXT", name: "_multimail.agents.test", required: false }]);
    const { body } = await call<KeyDocument>(`${PUBLIC_KEY}?tenant_id=${made.body.tenant_id}`);
    expect(readIdentityTxtRecord(records[0]?.value ?? "")).toMatchObject({ kid: body.kid, x: body.x, y: body.y });
  });
});
