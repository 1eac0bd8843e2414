import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { SealedIdentityKey } from "../../durable-objects/tenant-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { identityKeyContext, newIdentityKey, openIdentityKey } from "../../src/store/identity-keys.ts";
import { deriveKeys, open } from "../../src/store/secrets.ts";
import { entriesOf, inTenant, makeTenant, signs } from "../support/tenant-harness.ts";

/** The private half of an identity key is nowhere but sealed in its tenant's object. */

describe("the private half", () => {
  test("is nowhere but sealed in the object: not in D1, the audit log, events or answers", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { identity_key } = await tenant.admitDelivery(null);
    const rotation = unwrap(await tenant.rotateIdentityKey(admin, identity_key.kid));
    await entriesOf(id);
    const der = Buffer.from(
      open(deriveKeys(env, "identity-key"), identityKeyContext(id, identity_key.kid), identity_key.private_key),
    );
    // ECPrivateKey's privateKey (RFC 5915) within PKCS #8: 32 octets after 0x04 0x20.
    const at = der.indexOf(Buffer.of(0x04, 0x20));
    const scalar = der.subarray(at + 2, at + 34);
    const forms = [der, scalar].flatMap((bytes) =>
      (["hex", "base64", "base64url", "latin1"] as const).map((encoding) => bytes.toString(encoding).slice(0, 42)),
    );
    const { results: tables } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all<{
      name: string;
    }>();
    const dump: unknown[] = [rotation, await tenant.identityKeys()];
    for (const { name } of tables.filter(({ name }) => !name.startsWith("_cf") && !name.startsWith("sqlite")))
      dump.push((await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
    const stored = await inTenant(id, (_object, state) =>
      ["identity_keys", "entries", "events", "timers", "tenant"].map((table) =>
        state.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
      ),
    );
    const text = JSON.stringify([dump, stored]);
    expect(text).toContain(identity_key.kid);
    for (const form of forms) expect(text).not.toContain(form);
    // What is sealed stays in the object alone.
    expect(JSON.stringify(dump)).not.toContain(identity_key.private_key.ct);
  });

  test.each<[string, (sealed: SealedIdentityKey) => SealedIdentityKey]>([
    ["for another tenant", (sealed) => ({ ...sealed, tenant_id: newId("ten", 1) })],
    ["under another kid", (sealed) => ({ ...sealed, kid: newId("idk", 1) })],
    [
      "with another public half",
      (sealed) => ({ ...sealed, public_jwk: newIdentityKey(env, sealed.tenant_id, sealed.kid).public_jwk }),
    ],
    [
      "with a byte changed",
      (sealed) => ({
        ...sealed,
        private_key: {
          ...sealed.private_key,
          ct: `${sealed.private_key.ct[0] === "A" ? "B" : "A"}${sealed.private_key.ct.slice(1)}`,
        },
      }),
    ],
  ])("does not open %s", async (_what, changed) => {
    const sealed = newIdentityKey(env, newId("ten", Date.now()), newId("idk", Date.now()));
    expect(signs(sealed)).toBe(true);
    expect(() => openIdentityKey(env, changed(sealed))).toThrow();
  });

  test("does not open under another MASTER_KEY, or none", async () => {
    const sealed = newIdentityKey(env, newId("ten", Date.now()), newId("idk", Date.now()));
    const other = Buffer.alloc(32, 7).toString("base64");
    for (const MASTER_KEY of [other, "", undefined as unknown as string])
      expect(() => openIdentityKey({ ...env, MASTER_KEY }, sealed)).toThrow();
  });
});
