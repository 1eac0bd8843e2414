import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import { findDomainOwner } from "../../src/store/domain-owners.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import { resealRows } from "../../src/store/resealing.ts";
import { masterKeyId } from "../../src/store/secrets.ts";
import {
  alignedDomain,
  configure,
  domainName,
  letPass,
  nextLook,
  publish,
  read,
  setZones,
  verify,
  withdraw,
} from "../support/domain-zones.ts";
import { call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { caller } from "../support/mailbox-harness.ts";
import { eventsOf, inTenant, stubOf, takeAwayD1 } from "../support/tenant-harness.ts";

/** Domains are looked at by themselves, breaks are believed late, and keys change without a gap. */

const HOUR = 3600_000;
const DAY = 24 * HOUR;

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

async function told(of: TestTenant, id: string): Promise<string[]> {
  return (await eventsOf(of.id)).filter(({ data }) => data.domain_id === id).map(({ type }) => type);
}

/** What the chain says became of a domain, in order. */
function recorded(of: TestTenant, id: string) {
  return inTenant(of.id, (_object, { storage }) =>
    storage.sql
      .exec<{ entry: string }>("SELECT entry FROM entries ORDER BY seq")
      .toArray()
      .map(({ entry }) => JSON.parse(entry) as { action: string; resource: { id: string }; detail: unknown })
      .filter(({ action, resource }) => resource.id === id && action !== "domain.read"),
  );
}

describe("a domain that is awaited", () => {
  test("is found by itself once its records are published, also by an object that was evicted meanwhile", async () => {
    const { body } = await configure(tenant, domainName());
    expect((await nextLook(tenant, body.id)).status).toBe("pending");
    await evictDurableObject(stubOf(tenant.id));
    await publish(body.dns_records);
    await abortAllDurableObjects();
    expect(await nextLook(tenant, body.id)).toMatchObject({ status: "aligned", sending: "ok" });
    expect(await told(tenant, body.id)).toEqual(["domain.verified"]);
    expect((await recorded(tenant, body.id)).map(({ action }) => action)).toEqual([
      "domain.configured",
      "domain.proved",
      "domain.verified",
    ]);
  });

  test("is looked at no more after 30 days, until somebody asks", async () => {
    const own = await makeTenant();
    const { body } = await configure(own, domainName());
    await letPass(own, 31 * DAY);
    const left = await read(own, body.id);
    expect(left).toMatchObject({ status: "pending", next_check_at: null });
    expect(left.detail).toContain("verify_domain_alignment");
    await publish(body.dns_records.slice(0, 1));
    const asked = await verify(own, body.id);
    expect([asked.status, asked.next_check_at !== null]).toEqual(["pending", true]);
    await publish(body.dns_records);
    expect((await nextLook(own, body.id)).status).toBe("aligned");
  });

  test("D1 away: nothing is proved, and it is looked at again", async () => {
    const { body } = await configure(tenant, domainName());
    await publish(body.dns_records);
    const back = await takeAwayAllOfD1(tenant);
    await letPass(tenant, 2 * 60_000);
    expect((await read(tenant, body.id)).verified_at).toBeNull();
    const refused = await call<RefusalBody>(`/v1/domains/${body.id}/verify`, {
      method: "POST",
      key: keyOf(tenant, "admin"),
    });
    expect(refused.status).toBe(503);
    await back();
    expect((await nextLook(tenant, body.id)).status).toBe("aligned");
  });

  test("a look that comes back after a change says nothing of the domain as it is now", async () => {
    const { body } = await configure(tenant, domainName());
    await publish(body.dns_records);
    const [looked, changed] = await Promise.all([
      verify(tenant, body.id),
      configure(tenant, body.domain, { dmarc_policy: "reject" }),
    ]);
    expect([looked.status, changed.status]).toEqual(["aligned", 200]);
    const now = await read(tenant, body.id);
    expect(now.dmarc_policy).toBe("reject");
    expect((await verify(tenant, body.id)).checks.dmarc).toBe("fail");
  });
});

/** Takes D1 away from the object altogether, until the answer is called. */
function takeAwayAllOfD1({ id }: TestTenant): Promise<() => Promise<void>> {
  return inTenant(id, (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const away = () => Promise.reject(new Error("D1 is away"));
    const statement = { bind: () => statement, first: away, run: away, all: away };
    Reflect.set(object, "env", { ...whole, DB: { prepare: () => statement, batch: away } });
    return async () => {
      await inTenant(id, (same) => void Reflect.set(same, "env", whole));
    };
  });
}

describe("a domain that was aligned", () => {
  const withoutDkim = ({ dns_records }: Domain) => withdraw(dns_records.filter(({ purpose }) => purpose === "dkim"));

  test("is looked at daily; a break is believed an hour later, told, and mended by itself", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    await withoutDkim(domain);
    expect(await nextLook(own, domain.id)).toMatchObject({ status: "aligned", sending: "ok" });
    expect(await nextLook(own, domain.id)).toMatchObject({ status: "misaligned", sending: "held" });
    expect((await findDomainOwner(env.DB, domain.domain))?.unaligned_since).not.toBeNull();
    await publish(domain.dns_records);
    expect(await nextLook(own, domain.id)).toMatchObject({ status: "aligned", sending: "ok", broken_since: null });
    expect((await findDomainOwner(env.DB, domain.domain))?.unaligned_since).toBeNull();
    expect(await told(own, domain.id)).toEqual(["domain.verified", "domain.broken", "domain.verified"]);
    const broken = (await recorded(own, domain.id)).find(({ action }) => action === "domain.broken");
    expect(broken?.detail).toEqual({ not_passing: expect.arrayContaining(["dkim"]) });
    expect(JSON.stringify(await recorded(own, domain.id))).not.toContain(domain.domain);
  });

  test("is not broken by a resolver that does not answer, however long", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    await setZones({ [domain.domain]: "away" });
    for (let look = 0; look < 5; look++) expect((await nextLook(own, domain.id)).status).toBe("aligned");
    await letPass(own, 10 * DAY);
    expect(await read(own, domain.id)).toMatchObject({ status: "aligned", sending: "ok" });
    expect(await told(own, domain.id)).toEqual(["domain.verified"]);
  });

  test("is not broken by a hiccup between two good looks, nor by many people who ask", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    await withoutDkim(domain);
    const asked = [await verify(own, domain.id), await verify(own, domain.id), await verify(own, domain.id)];
    expect(asked.map(({ status, domain_status, sending }) => `${status} ${domain_status} ${sending}`)).toEqual(
      asked.map(() => "pending aligned ok"),
    );
    await publish(domain.dns_records);
    await letPass(own, HOUR);
    await withoutDkim(domain);
    await verify(own, domain.id);
    expect((await read(own, domain.id)).sending).toBe("ok");
  });

  test("a break that D1 did not hear of reaches it by the timer", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    await withoutDkim(domain);
    await verify(own, domain.id);
    const back = await takeAwayD1(own.id);
    await letPass(own, HOUR);
    expect((await read(own, domain.id)).status).toBe("misaligned");
    expect((await findDomainOwner(env.DB, domain.domain))?.unaligned_since).toBeNull();
    await back();
    await letPass(own, 60_000);
    expect((await findDomainOwner(env.DB, domain.domain))?.unaligned_since).not.toBeNull();
  });

  test("a stricter policy leaves a day to publish it", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    const { body } = await configure(own, domain.domain, { dmarc_policy: "reject" });
    await letPass(own, 20 * HOUR);
    expect(await read(own, domain.id)).toMatchObject({ status: "aligned", sending: "ok" });
    await publish(body.dns_records);
    await verify(own, domain.id);
    await letPass(own, 20 * HOUR);
    expect(await read(own, domain.id)).toMatchObject({ status: "aligned", sending: "ok", checks: { dmarc: "pass" } });
  });
});

describe("rotate_dkim", () => {
  const rotate = (id: string, of = tenant) =>
    call<Domain>(`/v1/domains/${id}/rotate-dkim`, { method: "POST", key: keyOf(of, "admin") });
  const states = ({ dkim_keys }: Domain) => dkim_keys.map(({ state }) => state);
  const signing = async ({ domain }: Domain, of = tenant) =>
    (await signingKeysOf(env.DB, env, domain, of.id)).map(({ selector }) => selector);

  test("new keys sign once they are seen, and old ones stay published for a week", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    const [old] = domain.dkim_keys;
    const { body } = await rotate(domain.id, own);
    const [, next] = body.dkim_keys;
    expect(states(body)).toEqual(["active", "next"]);
    expect(body.dns_records.filter(({ purpose }) => purpose === "dkim")).toHaveLength(2);
    await nextLook(own, domain.id);
    expect(await signing(domain, own)).toEqual([old?.selector]);
    expect((await read(own, domain.id)).status).toBe("aligned");
    await publish(body.dns_records);
    const switched = await nextLook(own, domain.id);
    expect(states(switched)).toEqual(["retired", "active"]);
    expect(await signing(domain, own)).toEqual([next?.selector]);
    expect(switched.dns_records.filter(({ purpose }) => purpose === "dkim")).toHaveLength(2);
    expect(await told(own, domain.id)).toEqual(["domain.verified", "domain.dkim_rotated"]);
    await letPass(own, 6 * DAY);
    expect(states(await read(own, domain.id))).toEqual(["retired", "active"]);
    await letPass(own, 2 * DAY);
    const last = await read(own, domain.id);
    expect(last.dkim_keys.map(({ selector }) => selector)).toEqual([next?.selector]);
    expect(last.dns_records.filter(({ purpose }) => purpose === "dkim")).toHaveLength(1);
  });

  test("the same call while new keys are awaited answers the same", async () => {
    const domain = await alignedDomain(tenant);
    const answers = await Promise.all([rotate(domain.id), rotate(domain.id), rotate(domain.id)]);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body.dkim_keys))).size).toBe(1);
  });

  test("a pair changes together, as far as it is published", async () => {
    const domain = await alignedDomain(tenant, domainName(), { dkim_key_type: "dual" });
    const { body } = await rotate(domain.id);
    const records = body.dns_records.filter(({ purpose }) => purpose === "dkim");
    const [, , rsa, ed25519] = body.dkim_keys;
    const recordOf = (selector = "-") => records.filter(({ name }) => name.startsWith(selector));
    await publish(recordOf(rsa?.selector));
    await verify(tenant, domain.id);
    expect(states(await read(tenant, domain.id))).toEqual(["active", "active", "next", "next"]);
    await publish(recordOf(ed25519?.selector));
    await verify(tenant, domain.id);
    expect(states(await read(tenant, domain.id))).toEqual(["retired", "retired", "active", "active"]);
    expect(await signing(domain)).toEqual([rsa?.selector, ed25519?.selector]);
  });

  test("whoever never published the Ed25519 key can still change keys", async () => {
    const { body: made } = await configure(tenant, domainName(), { dkim_key_type: "dual" });
    const withoutEd25519 = ({ dns_records, dkim_keys }: Domain) => {
      const selectors = dkim_keys.flatMap(({ algorithm, selector }) => (algorithm === "rsa-sha256" ? [] : [selector]));
      return dns_records.filter(({ name }) => !selectors.some((selector) => name.startsWith(selector)));
    };
    await publish(withoutEd25519(made));
    expect((await verify(tenant, made.id)).status).toBe("aligned");
    await publish(withoutEd25519((await rotate(made.id)).body));
    await verify(tenant, made.id);
    expect(states(await read(tenant, made.id))).toEqual(["retired", "retired", "active", "active"]);
  });

  test("another key type is a rotation, and asking for the first one again takes the awaited keys' place", async () => {
    const domain = await alignedDomain(tenant);
    const changed = await configure(tenant, domain.domain, { dkim_key_type: "rsa-2048" });
    expect(changed.body.dkim_keys.map(({ algorithm, state }) => `${algorithm} ${state}`)).toEqual([
      "ed25519-sha256 active",
      "rsa-sha256 next",
    ]);
    await publish(changed.body.dns_records);
    await verify(tenant, domain.id);
    expect(await signing(domain)).toEqual([changed.body.dkim_keys[1]?.selector]);
  });

  test("not more often than six times a day", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    for (let times = 0; times < 5; times++) {
      const { status, body } = await rotate(domain.id, own);
      expect(status).toBe(200);
      await publish(body.dns_records);
      await verify(own, domain.id);
    }
    const limited = await call(`/v1/domains/${domain.id}/rotate-dkim`, { method: "POST", key: keyOf(own, "admin") });
    expect([limited.status, Number(limited.headers.get("retry-after")) > 0]).toEqual([429, true]);
    await letPass(own, DAY + HOUR);
    expect((await rotate(domain.id, own)).status).toBe(200);
  });

  test("a break while new keys are awaited is one all the same", async () => {
    const own = await makeTenant();
    const domain = await alignedDomain(own);
    await rotate(domain.id, own);
    await setZones({ [`_dmarc.${domain.domain}`]: null });
    await verify(own, domain.id);
    await letPass(own, 25 * HOUR);
    await letPass(own, HOUR);
    expect((await read(own, domain.id)).sending).toBe("held");
  });
});

test("what was changed while D1 was slow, and missed it, is brought there by the timer", async () => {
  const own = await makeTenant();
  const { body } = await configure(own, domainName());
  const admin = caller(own.id, ["admin"]);
  const version = await inTenant(own.id, async (object, { storage }) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const batches = [
      async (statements: D1PreparedStatement[]) => {
        reached.resolve();
        await gate.promise;
        return whole.DB.batch(statements);
      },
      () => Promise.reject(new Error("D1 is away")),
    ];
    // Only what brings the domain: the chain drains the same way.
    let brings = false;
    const prepare = (query: string) => {
      brings ||= query.includes("UPDATE domains SET status");
      return whole.DB.prepare(query);
    };
    const batch = (statements: D1PreparedStatement[]) => {
      const next = brings ? batches.shift() : undefined;
      brings = false;
      return next ? next(statements) : whole.DB.batch(statements);
    };
    Reflect.set(object, "env", { ...whole, DB: { prepare, batch } });
    const change = (dmarc_policy: "none" | "quarantine" | "reject") =>
      object.configureDomain(admin, { domain: body.domain, settings: { dmarc_policy }, spf: null }, null);
    const slow = change("quarantine");
    await reached.promise;
    await change("reject");
    gate.resolve();
    await slow;
    Reflect.set(object, "env", whole);
    const { record } = storage.sql.exec<{ record: string }>("SELECT record FROM domains WHERE id = ?", body.id).one();
    return (JSON.parse(record) as { version: number }).version;
  });
  await letPass(own, 5_000);
  expect(await env.DB.prepare("SELECT version FROM domains WHERE id = ?").bind(body.id).first("version")).toBe(version);
});

test("keys are sealed in the object and in D1, nothing shows a private half, and a new MASTER_KEY opens them", async () => {
  const domain = await alignedDomain(tenant);
  const rows = await inTenant(tenant.id, (_object, { storage }) =>
    storage.sql
      .exec<{ id: string; text: string }>("SELECT id, key AS text FROM dkim_keys WHERE domain = ?", domain.domain)
      .toArray(),
  );
  const d1 = await env.DB.prepare("SELECT * FROM domains WHERE domain = ?").bind(domain.domain).first();
  for (const stored of [JSON.stringify(rows), JSON.stringify(d1)]) {
    expect(stored).toContain("private_key");
    expect(stored).not.toContain("PRIVATE KEY");
  }
  expect(JSON.stringify(domain)).not.toContain("private_key");
  const changed = { MASTER_KEY: Buffer.alloc(32, 7).toString("base64"), MASTER_KEY_PREVIOUS: env.MASTER_KEY };
  const page = resealRows(changed, "dkim_keys", rows, tenant.id);
  expect([page.changed.length, page.unreadable]).toEqual([rows.length, 0]);
  const again = page.changed.map(({ id, resealed }) => ({ id, text: resealed }));
  const alone = { MASTER_KEY: changed.MASTER_KEY };
  expect(resealRows(alone, "dkim_keys", again, tenant.id)).toEqual({ changed: [], unreadable: 0 });
  expect(resealRows(alone, "dkim_keys", rows, tenant.id).unreadable).toBe(rows.length);
});

test("an object is resealed with its domains' keys", async () => {
  const own = await makeTenant();
  await alignedDomain(own);
  const { under, page } = await inTenant(own.id, async (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const changed = {
      ...whole,
      MASTER_KEY: Buffer.alloc(32, 9).toString("base64"),
      MASTER_KEY_PREVIOUS: whole.MASTER_KEY,
    };
    Reflect.set(object, "env", changed);
    const under = masterKeyId(changed);
    const page = await object.reseal({ under, position: null });
    // Back again, so that whatever the object does later still opens.
    Reflect.set(object, "env", { ...whole, MASTER_KEY_PREVIOUS: changed.MASTER_KEY });
    await object.reseal({ under: masterKeyId(whole), position: null });
    Reflect.set(object, "env", whole);
    return { under, page };
  });
  expect(under).toHaveLength(16);
  expect(page).toMatchObject({ ok: true, value: { resealed: { dkim_keys: 1 }, unreadable: 0, next: null } });
});
