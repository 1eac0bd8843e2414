import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { TENANT_SCHEMA } from "../../durable-objects/tenant/schema.ts";
import { type Refusal, unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { recordIdentityKeys } from "../../src/store/identity-directory.ts";
import { caller, codeOf } from "../support/mailbox-harness.ts";
import { undoSchema } from "../support/older-schema.ts";
import {
  advance,
  entriesOf,
  eventsOf,
  inTenant,
  makeTenant,
  rowsOf,
  runAlarm,
  signs,
  stubOf,
  takeAwayD1,
} from "../support/tenant-harness.ts";

/** Identity keys in the tenant's object: made once, sealed, rotated without a gap, revoked for good. */

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** The schema version of objects that had no identity keys yet. */
const BEFORE_IDENTITY_KEYS = 2;

async function identityEventsOf(id: string) {
  return (await eventsOf(id)).filter(({ type }) => type.startsWith("identity."));
}

describe("the first key", () => {
  test("is made when a delivery first asks, signs, and was valid five minutes before, at a whole second", async () => {
    const { id, tenant } = await makeTenant();
    expect(await rowsOf(id)).toEqual([]);
    const before = Date.now();
    const { identity_key, paused } = await tenant.admitDelivery(null);
    expect(paused).toBe(false);
    expect(identity_key).toMatchObject({ tenant_id: id, kid: expect.stringMatching(/^idk_/) });
    expect(signs(identity_key)).toBe(true);
    const [row, ...others] = await rowsOf(id);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ kid: identity_key.kid, retired_at: null, revoked_at: null, active: 1 });
    expect(JSON.parse(row?.public_jwk ?? "")).toEqual(identity_key.public_jwk);
    const since = Date.parse(row?.not_before ?? "");
    expect(since % 1_000).toBe(0);
    expect(since).toBeGreaterThanOrEqual(before - 5 * MINUTE - 1_000);
    expect(since).toBeLessThanOrEqual(Date.now() - 5 * MINUTE);
    expect(await entriesOf(id)).toMatchObject([
      {
        action: "identity.key_created",
        actor: { type: "system" },
        resource: { type: "identity_key", id: identity_key.kid },
        detail: { fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/) },
      },
    ]);
  });

  test("is one, however many ask first at the same time", async () => {
    const { id, tenant } = await makeTenant();
    const asked = await Promise.all([
      ...Array.from({ length: 8 }, (_, n) => tenant.admitDelivery(`agent-${n}`).then((each) => each.identity_key.kid)),
      ...Array.from({ length: 4 }, () => tenant.identityKeys().then(([key]) => key?.kid)),
    ]);
    expect(new Set(asked).size).toBe(1);
    expect(await rowsOf(id)).toHaveLength(1);
    expect(await entriesOf(id)).toHaveLength(1);
  });

  test("is there after a restart, and after D1 lost it", async () => {
    const { id, tenant } = await makeTenant();
    const { identity_key } = await tenant.admitDelivery(null);
    await abortAllDurableObjects();
    const again = await stubOf(id).admitDelivery(null);
    expect(again.identity_key).toEqual(identity_key);
    expect(await stubOf(id).identityKeys()).toHaveLength(1);
  });

  test("is made, handed out and brought to D1 later where D1 is away", async () => {
    const { id, tenant } = await makeTenant();
    const bringBack = await takeAwayD1(id);
    const { identity_key } = await tenant.admitDelivery(null);
    expect(signs(identity_key)).toBe(true);
    expect(await rowsOf(id)).toEqual([]);
    await bringBack();
    await advance(id, 10_000);
    await runAlarm(id);
    expect(await rowsOf(id)).toMatchObject([{ kid: identity_key.kid, active: 1 }]);
  });

  test("is not made for a tenant that was never set up: nothing is written, and nothing leaves", async () => {
    const id = newId("ten", Date.now());
    const tables = await inTenant(id, async (object, state) => {
      await expect(object.admitDelivery(null)).rejects.toThrow();
      await expect(object.identityKeys()).rejects.toThrow();
      expect(codeOf(await object.rotateIdentityKey(caller(id, ["admin"]), null))).toBe("not_found");
      return state.storage.sql
        .exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
        .toArray();
    });
    expect(tables).toEqual([]);
  });

  test("is not made without MASTER_KEY", async () => {
    const { id } = await makeTenant();
    const left = await inTenant(id, async (object, state) => {
      const whole: Cloudflare.Env = Reflect.get(object, "env");
      Reflect.set(object, "env", { ...whole, MASTER_KEY: undefined });
      await expect(object.admitDelivery(null)).rejects.toThrow(/MASTER_KEY must be 32 random bytes/);
      Reflect.set(object, "env", whole);
      return state.storage.sql.exec("SELECT kid FROM identity_keys").toArray();
    });
    expect(left).toEqual([]);
    expect(await rowsOf(id)).toEqual([]);
  });

  test("is made by an object of before there were any", async () => {
    const { id } = await makeTenant();
    await inTenant(id, (_object, state) => {
      undoSchema(state.storage.sql, TENANT_SCHEMA.slice(BEFORE_IDENTITY_KEYS).flat());
      state.storage.sql.exec("UPDATE ledger SET schema_version = ?", BEFORE_IDENTITY_KEYS);
    });
    await abortAllDurableObjects();
    expect(signs((await stubOf(id).admitDelivery(null)).identity_key)).toBe(true);
  });
});

test("an admission says whether a panic switch is thrown, of the agent or of the tenant", async () => {
  const { tenant, admin } = await makeTenant();
  const stopped = async (agent: string | null) => (await tenant.admitDelivery(agent)).paused;
  unwrap(await tenant.setPause(admin, "alice", true));
  expect([await stopped("alice"), await stopped("bob"), await stopped(null)]).toEqual([true, false, false]);
  unwrap(await tenant.setPause(admin, null, true));
  expect([await stopped("alice"), await stopped("bob"), await stopped(null)]).toEqual([true, true, true]);
});

describe("a rotation", () => {
  test("is without a gap: the new key signs at once, the old one is valid for what is under way and stays published", async () => {
    const { id, tenant, admin } = await makeTenant();
    const underWay = (await tenant.admitDelivery(null)).identity_key;
    const before = Date.now();
    const { active, replaced } = unwrap(await tenant.rotateIdentityKey(admin, null));
    expect(active.kid).not.toBe(underWay.kid);
    expect(replaced).toMatchObject({ kid: underWay.kid, revoked_at: null, active: false });
    const overlap = Date.parse(replaced.retired_at ?? "") - before;
    expect(overlap).toBeGreaterThanOrEqual(5 * MINUTE);
    expect(overlap).toBeLessThan(6 * MINUTE);
    // There is no moment of which no key is valid.
    expect(Date.parse(active.not_before)).toBeLessThan(before);
    const next = (await tenant.admitDelivery(null)).identity_key;
    expect(next.kid).toBe(active.kid);
    expect([signs(underWay), signs(next)]).toEqual([true, true]);
    expect(await rowsOf(id)).toMatchObject([
      { kid: underWay.kid, active: 0, retired_at: replaced.retired_at },
      { kid: active.kid, active: 1, retired_at: null },
    ]);
  });

  test("is one entry and one event, which name both keys", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { active, replaced } = unwrap(await tenant.rotateIdentityKey(admin, null));
    const [, entry, ...more] = await entriesOf(id);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({
      action: "identity.key_rotated",
      actor: { type: "agent", key_id: admin.key_id },
      resource: { type: "identity_key", id: active.kid },
      detail: { replaced: replaced.kid, retired_at: replaced.retired_at },
    });
    expect(await identityEventsOf(id)).toMatchObject([
      {
        type: "identity.key_rotated",
        tenant_id: id,
        mailbox: null,
        mailbox_id: null,
        email_id: null,
        data: { kid: active.kid, replaced: replaced.kid, revoked: false },
      },
    ]);
  });

  test("stands where D1 is away, and is seen there whole once it is back", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { identity_key } = await tenant.admitDelivery(null);
    const bringBack = await takeAwayD1(id);
    const { active } = unwrap(await tenant.rotateIdentityKey(admin, null));
    expect((await tenant.admitDelivery(null)).identity_key.kid).toBe(active.kid);
    expect(await rowsOf(id)).toMatchObject([{ kid: identity_key.kid, active: 1 }]);
    await advance(id, 10_000);
    await runAlarm(id);
    expect(await rowsOf(id)).toHaveLength(1);
    await bringBack();
    await advance(id, 10 * MINUTE);
    await runAlarm(id);
    expect(await rowsOf(id)).toMatchObject([
      { kid: identity_key.kid, active: 0 },
      { kid: active.kid, active: 1 },
    ]);
  });

  test("of which D1 knows nothing yet is brought there after a restart", async () => {
    const { id, tenant, admin } = await makeTenant();
    await takeAwayD1(id);
    const { active } = unwrap(await tenant.rotateIdentityKey(admin, null));
    await abortAllDurableObjects();
    await advance(id, 10_000);
    await runAlarm(id);
    expect((await rowsOf(id)).filter((row) => row.active === 1)).toMatchObject([{ kid: active.kid }]);
  });

  test("twice at the same time makes two keys after each other, of which one is active", async () => {
    const { id, tenant, admin } = await makeTenant();
    await Promise.all([tenant.rotateIdentityKey(admin, null), tenant.rotateIdentityKey(admin, null)]);
    const keys = await tenant.identityKeys();
    expect(keys).toHaveLength(3);
    expect(keys.filter(({ active }) => active)).toHaveLength(1);
    expect((await rowsOf(id)).filter(({ active }) => active === 1)).toHaveLength(1);
  });

  test("does not take back in D1 what a later one brought there", async () => {
    const { id, tenant, admin } = await makeTenant();
    const [first] = await tenant.identityKeys();
    if (!first) throw new Error("there is no key");
    unwrap(await tenant.rotateIdentityKey(admin, first.kid));
    const after = await rowsOf(id);
    await recordIdentityKeys(env.DB, id, [{ ...first, version: 0 }]);
    expect(await rowsOf(id)).toEqual(after);
    // Nor can another tenant's object write over it.
    await recordIdentityKeys(env.DB, newId("ten", Date.now()), [{ ...first, version: 99 }]);
    expect(await rowsOf(id)).toEqual(after);
  });

  test("is refused after twelve keys in a day, until a day has passed, but a revocation never is", async () => {
    const { id, tenant, admin } = await makeTenant();
    await tenant.admitDelivery(null);
    for (let key = 1; key < 12; key++) unwrap(await tenant.rotateIdentityKey(admin, null));
    const before = await tenant.identityKeys();
    const refusal = await tenant.rotateIdentityKey(admin, null);
    if (refusal.ok) throw new Error("the thirteenth key was made");
    const { code, detail }: Refusal = refusal.refusal;
    expect(code).toBe("rate_limited");
    expect(detail?.retry_after).toBeGreaterThan(23 * 3600);
    expect(await tenant.identityKeys()).toEqual(before);
    const active = before.find((key) => key.active)?.kid ?? "";
    expect(unwrap(await tenant.rotateIdentityKey(admin, active)).active.kid).not.toBe(active);
    await advance(id, DAY + MINUTE);
    expect(codeOf(await tenant.rotateIdentityKey(admin, null))).toBe("ok");
  });
});

describe("a revocation", () => {
  test("of the active key puts another in its place at once", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { identity_key } = await tenant.admitDelivery(null);
    const { active, replaced } = unwrap(await tenant.rotateIdentityKey(admin, identity_key.kid));
    expect(replaced.revoked_at).not.toBeNull();
    expect(replaced.retired_at).toBe(replaced.revoked_at);
    expect((await tenant.admitDelivery(null)).identity_key.kid).toBe(active.kid);
    expect((await entriesOf(id)).map(({ action }) => action)).toEqual([
      "identity.key_created",
      "identity.key_revoked",
      "identity.key_rotated",
    ]);
    expect((await identityEventsOf(id)).map(({ type, data }) => [type, data.kid, data.revoked])).toEqual([
      ["identity.key_revoked", identity_key.kid, undefined],
      ["identity.key_rotated", active.kid, true],
    ]);
  });

  test("of an older key leaves the active one, and what it is retired since", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { active, replaced } = unwrap(await tenant.rotateIdentityKey(admin, null));
    await advance(id, 20 * MINUTE);
    const later = unwrap(await tenant.rotateIdentityKey(admin, replaced.kid));
    expect(later.active).toEqual(active);
    expect(later.replaced).toMatchObject({ kid: replaced.kid, retired_at: replaced.retired_at });
    expect(Date.parse(later.replaced.revoked_at ?? "")).toBeGreaterThan(Date.parse(replaced.retired_at ?? ""));
    expect(await tenant.identityKeys()).toHaveLength(2);
  });

  test("of a key that was just replaced ends its overlap", async () => {
    const { tenant, admin } = await makeTenant();
    const { replaced } = unwrap(await tenant.rotateIdentityKey(admin, null));
    const { retired_at, revoked_at } = unwrap(await tenant.rotateIdentityKey(admin, replaced.kid)).replaced;
    expect(retired_at).toBe(revoked_at);
    expect(Date.parse(retired_at ?? "")).toBeLessThan(Date.parse(replaced.retired_at ?? ""));
  });

  test("twice changes nothing the second time, and is not taken back", async () => {
    const { id, tenant, admin } = await makeTenant();
    const { identity_key } = await tenant.admitDelivery(null);
    const once = unwrap(await tenant.rotateIdentityKey(admin, identity_key.kid));
    const entries = await entriesOf(id);
    expect(unwrap(await tenant.rotateIdentityKey(admin, identity_key.kid))).toEqual(once);
    expect(await entriesOf(id)).toEqual(entries);
    expect(await rowsOf(id)).toMatchObject([{ revoked_at: once.replaced.revoked_at, active: 0 }, { active: 1 }]);
  });

  test("is never followed by a signature of that key, whatever was rotated and revoked before", async () => {
    const { tenant, admin } = await makeTenant();
    for (let step = 0; step < 8; step++) {
      const keys = await tenant.identityKeys();
      const target = step % 2 ? null : (keys[step % keys.length]?.kid ?? null);
      unwrap(await tenant.rotateIdentityKey(admin, target));
      const { kid } = (await tenant.admitDelivery(null)).identity_key;
      const after = await tenant.identityKeys();
      expect(after.find((key) => key.kid === kid)).toMatchObject({ active: true, retired_at: null, revoked_at: null });
    }
  });

  test("of a key that is not there, or is another tenant's, is not_found and changes neither", async () => {
    const [mine, other] = [await makeTenant(), await makeTenant()];
    const { identity_key } = await other.tenant.admitDelivery(null);
    await mine.tenant.admitDelivery(null);
    const before = [await mine.tenant.identityKeys(), await other.tenant.identityKeys()];
    for (const kid of [identity_key.kid, newId("idk", Date.now()), "", "' OR 1=1 --"]) {
      expect(codeOf(await mine.tenant.rotateIdentityKey(mine.admin, kid)), kid).toBe("not_found");
    }
    expect(codeOf(await other.tenant.rotateIdentityKey(mine.admin, identity_key.kid))).toBe("not_found");
    expect(codeOf(await other.tenant.rotateIdentityKey(mine.admin, null))).toBe("not_found");
    expect([await mine.tenant.identityKeys(), await other.tenant.identityKeys()]).toEqual(before);
  });
});
