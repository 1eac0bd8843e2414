import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { findDomainOwner, proveDomain, reserveDomain, takeOverDomain } from "../../src/store/domain-owners.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import {
  alignedDomain,
  breakDomain,
  configure,
  domainName,
  letPass,
  nextLook,
  publish,
  read,
  runDue,
  setZones,
  verify,
  withdraw,
} from "../support/domain-zones.ts";
import {
  type Answer,
  call,
  keyOf,
  localPart,
  makeTenant,
  type RefusalBody,
  type TestTenant,
} from "../support/door-harness.ts";
import { eventsOf, inTenant } from "../support/tenant-harness.ts";

/** Whose a domain is: each claim has its own challenge, and only the DNS says who wins. */

const HOUR = 3600_000;

interface Taken extends RefusalBody {
  id: string;
  domain: string;
  status: string;
  dns_records: Domain["dns_records"];
}

let first: TestTenant;
let second: TestTenant;
beforeEach(async () => {
  [first, second] = [await makeTenant(), await makeTenant()];
});

const claim = (tenant: TestTenant, domain: string) => configure<Taken>(tenant, domain);

function ownership(records: Domain["dns_records"]) {
  return records.filter(({ purpose }) => purpose === "ownership");
}

/** What tells one refused claim from another: nothing but what is its own. */
function alike({ status, body }: Answer<Taken>): string {
  const own = [body.id, body.domain, ...body.dns_records.map(({ value }) => value)];
  const text = JSON.stringify([
    status,
    { ...body, dns_records: body.dns_records.map(({ strings: _, ...each }) => each) },
  ]);
  return own.reduce((left, each) => left.replaceAll(each, "…"), text);
}

async function ownerOf(domain: string): Promise<string | null> {
  return (await findDomainOwner(env.DB, domain))?.tenant_id ?? null;
}

async function types(tenant: TestTenant): Promise<string[]> {
  return (await eventsOf(tenant.id)).map(({ type }) => type).filter((type) => type.startsWith("domain."));
}

/** Two tenants, of which the first has the domain, and the second has proved that the DNS is its own. */
async function contested(domain = domainName()) {
  const owned = await alignedDomain(first, domain);
  const claimed = await claim(second, domain);
  await publish(ownership(claimed.body.dns_records));
  return { domain, owned, claimed: claimed.body };
}

describe("a domain that another account has", () => {
  test("is a 409 with a challenge of one's own, the same each time, whoever has it and however", async () => {
    const [unproved, proved] = [domainName(), domainName()];
    const { body } = await configure(first, unproved);
    await alignedDomain(first, proved);
    const answers = [await claim(second, unproved), await claim(second, proved)];
    for (const { status, body } of answers) expect([status, body.code]).toEqual([409, "domain_taken"]);
    expect(answers[0]?.body.dns_records.map(({ purpose }) => purpose)).toEqual(["ownership"]);
    expect(ownership(body.dns_records)[0]?.value).not.toBe(answers[0]?.body.dns_records[0]?.value);
    expect(new Set(answers.map(alike)).size).toBe(1);
    expect((await claim(second, unproved)).body).toEqual(answers[0]?.body);
    for (const tenant of [first]) expect(JSON.stringify(answers)).not.toContain(tenant.id);
  });

  test("goes to who proves control where its owner never did: by the same call", async () => {
    const domain = domainName();
    await configure(first, domain);
    const { body } = await claim(second, domain);
    await publish(body.dns_records);
    const won = await configure(second, domain);
    expect([won.status, won.body.id]).toEqual([200, body.id]);
    expect(won.body.verified_at).not.toBeNull();
    expect(won.body.dns_records.map(({ purpose }) => purpose)).toContain("dkim");
    expect(await ownerOf(domain)).toBe(second.id);
    await runDue(second);
    await runDue(first);
    expect(await types(first)).toEqual(["domain.lost"]);
    expect((await claim(first, domain)).status).toBe(409);
  });

  test("or by itself, once the challenge is seen", async () => {
    const domain = domainName();
    await configure(first, domain);
    const { body } = await claim(second, domain);
    await nextLook(second, body.id);
    expect(await ownerOf(domain)).toBe(first.id);
    await publish(body.dns_records);
    const won = await nextLook(second, body.id);
    expect(won.verified_at).not.toBeNull();
    expect(await ownerOf(domain)).toBe(second.id);
  });

  test("is proved by one's own challenge alone, not by the other's", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    const { body: claimed } = await claim(second, domain);
    await publish(ownership(body.dns_records));
    await verify(second, claimed.id);
    expect((await claim(second, domain)).status).toBe(409);
    expect(await ownerOf(domain)).toBe(first.id);
    // Nor by one's own value inside another record, or at another name.
    const value = claimed.dns_records[0]?.value ?? "";
    await setZones({
      [`_multimail-challenge.${domain}`]: { TXT: [`x${value}`, `${value} `.repeat(2)] },
      [domain]: { TXT: [value] },
      [`_multimail-challenge.sub.${domain}`]: { TXT: [value] },
    });
    expect((await claim(second, domain)).status).toBe(409);
  });

  test("has one owner, whoever looks at the same time", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    const { body: claimed } = await claim(second, domain);
    await setZones({
      [`_multimail-challenge.${domain}`]: {
        TXT: [...ownership(body.dns_records), ...claimed.dns_records].map(({ value }) => value),
      },
    });
    await Promise.all([1, 2, 3].flatMap(() => [verify(first, body.id), verify(second, claimed.id)]));
    await Promise.all([verify(first, body.id), verify(second, claimed.id)]);
    const proved = [await read(first, body.id), await read(second, claimed.id)].filter(
      ({ verified_at }) => verified_at !== null,
    );
    expect(proved.map(({ tenant_id }) => tenant_id)).toEqual([await ownerOf(domain)]);
  });

  test("that nobody had is reserved for one of two who come at the same time", async () => {
    const domain = domainName();
    const answers = await Promise.all([claim(first, domain), claim(second, domain)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
  });
});

describe("a proven domain", () => {
  test("that is well is never taken over, whatever others prove", async () => {
    const { domain, owned, claimed } = await contested();
    expect((await claim(second, domain)).status).toBe(409);
    await letPass(second, 80 * HOUR);
    await verify(second, claimed.id);
    expect(await ownerOf(domain)).toBe(first.id);
    expect((await read(first, owned.id)).sending).toBe("ok");
    expect(await types(first)).toEqual(["domain.verified"]);
  });

  test("goes over after it was broken for 72 hours, not before", async () => {
    const { domain, owned, claimed } = await contested();
    await withdraw(owned.dns_records);
    await setZones({ [`_multimail-challenge.${domain}`]: { TXT: [claimed.dns_records[0]?.value ?? ""] } });
    await breakDomain(first, owned.id);
    await letPass(second, 72 * HOUR);
    expect((await claim(second, domain)).status).toBe(409);
    await letPass(second, 2 * HOUR);
    await verify(second, claimed.id);
    expect(await ownerOf(domain)).toBe(second.id);
    await runDue(second);
    await runDue(first);
    expect(await types(first)).toEqual(["domain.verified", "domain.broken", "domain.lost"]);
    const lost = await read(first, owned.id);
    expect(lost).toMatchObject({ status: "pending", sending: "held", verified_at: null });
    expect(JSON.stringify(lost)).not.toContain(second.id);
  });

  test("that never was aligned goes over after 72 hours too: the DNS has another owner by now", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    await publish(ownership(body.dns_records));
    await verify(first, body.id);
    expect((await read(first, body.id)).verified_at).not.toBeNull();
    const { body: claimed } = await claim(second, domain);
    await publish(claimed.dns_records);
    expect((await claim(second, domain)).status).toBe(409);
    await letPass(second, 71 * HOUR);
    expect((await claim(second, domain)).status).toBe(409);
    await letPass(second, 2 * HOUR);
    expect((await configure(second, domain)).status).toBe(200);
  });

  test("stays while its owner's challenge is published, however broken it is", async () => {
    const { domain, owned, claimed } = await contested();
    const values = await challengeOf(first, owned.id);
    await withdraw(owned.dns_records);
    await setZones({ [`_multimail-challenge.${domain}`]: { TXT: [values, claimed.dns_records[0]?.value ?? ""] } });
    await breakDomain(first, owned.id);
    await letPass(second, 100 * HOUR);
    await verify(second, claimed.id);
    expect(await ownerOf(domain)).toBe(first.id);
  });

  test("that is mended in time is not taken over", async () => {
    const { domain, owned, claimed } = await contested();
    await withdraw(owned.dns_records);
    await breakDomain(first, owned.id);
    await publish([...owned.dns_records, ...ownership(claimed.dns_records)]);
    expect((await nextLook(first, owned.id)).sending).toBe("ok");
    await letPass(second, 100 * HOUR);
    await verify(second, claimed.id);
    expect(await ownerOf(domain)).toBe(first.id);
  });

  test("has nothing to say about names below it, which need a challenge of their own", async () => {
    const { domain } = await alignedDomain(first);
    const { status, body } = await configure(second, `mail.${domain}`);
    expect(status).toBe(201);
    await publish(body.dns_records.filter(({ purpose }) => purpose !== "ownership"));
    expect((await verify(second, body.id)).sending).toBe("not_yet");
  });
});

/** The challenge by which a domain was proved, which is not to be published any more. */
function challengeOf(tenant: TestTenant, id: string): Promise<string> {
  return inTenant(tenant.id, (_object, { storage }) => {
    const { record } = storage.sql.exec<{ record: string }>("SELECT record FROM domains WHERE id = ?", id).one();
    return (JSON.parse(record) as { challenge: string }).challenge;
  });
}

describe("after a domain went over", () => {
  /** The first tenant's mailbox at the domain, and the domain at the second tenant. */
  async function wentOver(domain = domainName()) {
    const owned = await alignedDomain(first, domain);
    const { body: mailbox } = await makeMailbox<Mailbox>(first, `hello@${domain}`);
    const proof = await challengeOf(first, owned.id);
    const { body: claimed } = await claim(second, domain);
    await withdraw(owned.dns_records);
    await publish(ownership(claimed.dns_records));
    await breakDomain(first, owned.id);
    await letPass(second, 74 * HOUR);
    await verify(second, claimed.id);
    return { domain, owned, claimed, mailbox, proof };
  }

  const makeMailbox = <Body>(tenant: TestTenant, address: string) =>
    call<Body>("/v1/mailboxes", { key: keyOf(tenant, "admin"), json: { address } });

  async function routedTo(address: string): Promise<string | null> {
    return env.DB.prepare("SELECT tenant_id FROM mailboxes WHERE address = ?").bind(address).first("tenant_id");
  }

  test("the former owner's mailboxes get nothing, and sign nothing, from that moment on", async () => {
    const { domain, mailbox } = await wentOver();
    // Before its object was told anything.
    expect(await routedTo(`hello@${domain}`)).toBeNull();
    await expect(signingKeysOf(env.DB, env, domain, first.id)).rejects.toThrow(domain);
    expect((await signingKeysOf(env.DB, env, domain, second.id)).length).toBe(1);
    await runDue(second);
    await runDue(first);
    const { domain: standing } = await env.TENANT.getByName(first.id).admitDelivery(null, { domain, recipients: [] });
    expect(standing.status).toBe("broken");
    expect((await call(`/v1/mailboxes/${mailbox.id}`, { key: keyOf(first, "read") })).status).toBe(200);
  });

  test("its addresses are free for the new owner", async () => {
    const { domain, owned, claimed } = await wentOver();
    await publish((await read(second, claimed.id)).dns_records);
    await verify(second, claimed.id);
    expect((await makeMailbox(second, `hello@${domain}`)).status).toBe(201);
    expect(await routedTo(`hello@${domain}`)).toBe(second.id);
    expect((await makeMailbox(first, `again@${domain}`)).status).toBe(422);
    expect(await call(`/v1/domains/${owned.id}`, { method: "DELETE", key: keyOf(first, "admin") })).toMatchObject({
      status: 200,
    });
    expect(await ownerOf(domain)).toBe(second.id);
  });

  test("an address that a person oversees from by now is not a mailbox's again", async () => {
    const { domain, owned } = await wentOver();
    await runDue(second);
    await runDue(first);
    const third = await makeTenant();
    await call("/v1/mailboxes", {
      key: keyOf(third, "admin"),
      json: { address_local: localPart(), approver_email: `hello@${domain}` },
    });
    await publish(ownership((await read(first, owned.id)).dns_records));
    await env.DB.prepare("UPDATE domains SET unaligned_since = ? WHERE domain = ?")
      .bind(new Date(Date.now() - 73 * HOUR).toISOString(), domain)
      .run();
    await verify(first, owned.id);
    expect(await ownerOf(domain)).toBe(first.id);
    expect(await routedTo(`hello@${domain}`)).toBeNull();
  });

  // D1's LIKE fails for more than 50 octets.
  test.each([
    ["", "shop"],
    [", however long its name", "a-name-of-more-than.fifty-octets-in-several.labels"],
  ])(
    "the challenge that once proved it proves nothing any more; with a new one it can come back, mailboxes and all%s",
    async (_what, prefix) => {
      const { domain, owned, proof } = await wentOver(domainName(prefix));
      await runDue(second);
      await runDue(first);
      const fresh = ownership((await read(first, owned.id)).dns_records);
      expect(proof).toMatch(/^multimail-challenge=\w{40}$/);
      expect(fresh[0]?.value).not.toBe(proof);
      await publish(fresh);
      const claimed = await findDomainOwner(env.DB, domain);
      expect(claimed?.tenant_id).toBe(second.id);
      await env.DB.prepare("UPDATE domains SET unaligned_since = ? WHERE domain = ?")
        .bind(new Date(Date.now() - 73 * HOUR).toISOString(), domain)
        .run();
      await verify(first, owned.id);
      expect(await ownerOf(domain)).toBe(first.id);
      expect(await routedTo(`hello@${domain}`)).toBe(first.id);
    },
  );

  test("it can come back, mailboxes and all, also where its new owner gave it up", async () => {
    const { domain, owned, claimed, mailbox } = await wentOver();
    await runDue(second);
    await runDue(first);
    await call(`/v1/domains/${claimed.id}`, { method: "DELETE", key: keyOf(second, "admin") });
    expect(await ownerOf(domain)).toBeNull();
    await publish((await read(first, owned.id)).dns_records);
    await verify(first, owned.id);
    // Reserved, with a challenge that is published only from here on.
    await publish((await read(first, owned.id)).dns_records);
    expect((await verify(first, owned.id)).sending).toBe("ok");
    expect(await routedTo(`hello@${domain}`)).toBe(first.id);
    // There is no second mailbox of the same address.
    const { body } = await makeMailbox<Mailbox>(first, `hello@${domain}`);
    expect(body.id).toBe(mailbox.id);
  });
});

describe("a restart between any two steps", () => {
  test("after D1 reserved it: the same call finishes, with the id that D1 has", async () => {
    const domain = domainName();
    const row = { id: "dom_01ARZ3NDEKTSV4RRFFQ69G5FAV", domain, tenant_id: first.id, verified: false };
    await reserveDomain(
      env.DB,
      { ...row, dkim_keys: [], challenge: "lost", unaligned_since: null, wants_mta_sts: false, version: 0 },
      Date.now(),
    );
    const { status, body } = await configure(first, domain);
    expect([status, body.id]).toEqual([201, row.id]);
    const keys = await signingKeysOf(env.DB, env, domain, first.id);
    expect(keys.map(({ selector }) => selector)).toEqual(body.dkim_keys.map(({ selector }) => selector));
    await publish(body.dns_records);
    expect((await verify(first, body.id)).sending).toBe("ok");
  });

  test("after D1 reserved it, and it never came back: whoever proves control gets it", async () => {
    const domain = domainName();
    const row = { id: "dom_01ARZ3NDEKTSV4RRFFQ69G5FAW", domain, tenant_id: first.id, verified: false };
    await reserveDomain(
      env.DB,
      { ...row, dkim_keys: [], challenge: "lost", unaligned_since: null, wants_mta_sts: false, version: 0 },
      Date.now(),
    );
    const { body } = await claim(second, domain);
    await publish(body.dns_records);
    expect((await configure(second, domain)).status).toBe(200);
  });

  test("after D1 noted the proof", async () => {
    const { body } = await configure(first, domainName());
    await publish(body.dns_records);
    await proveDomain(env.DB, rowOf(first, body));
    await abortAllDurableObjects();
    expect((await nextLook(first, body.id)).sending).toBe("ok");
  });

  test("after D1 gave it to a new owner: the old one is told all the same", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    const { body: claimed } = await claim(second, domain);
    const former = await findDomainOwner(env.DB, domain);
    if (!former) throw new Error("nobody has it");
    expect(await takeOverDomain(env.DB, rowOf(second, { ...body, ...claimed }), former, Date.now())).toBe(true);
    await abortAllDurableObjects();
    const won = await nextLook(second, claimed.id);
    expect(won.verified_at).not.toBeNull();
    await runDue(second);
    await runDue(first);
    expect(await types(first)).toEqual(["domain.lost"]);
  });

  test("after D1 gave it up: deleting goes on, and no proof of before is left", async () => {
    const owned = await alignedDomain(first);
    await env.DB.prepare("DELETE FROM domains WHERE domain = ?").bind(owned.domain).run();
    await abortAllDurableObjects();
    await withdraw(ownership(owned.dns_records));
    await setZones({ [`_multimail-challenge.${owned.domain}`]: null });
    expect(await verify(first, owned.id)).toMatchObject({ sending: "held" });
    expect((await read(first, owned.id)).verified_at).toBeNull();
    const removed = await call(`/v1/domains/${owned.id}`, { method: "DELETE", key: keyOf(first, "admin") });
    expect(removed.status).toBe(200);
    expect(await ownerOf(owned.domain)).toBeNull();
  });

  test("after D1 gave it to a claim that is then given up: D1 keeps it for nobody", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    const { body: claimed } = await claim(second, domain);
    const former = { ...body, tenant_id: first.id, status: "pending", challenge: null, unaligned_since: null };
    expect(await takeOverDomain(env.DB, rowOf(second, claimed), { ...former, taken_from: null }, Date.now())).toBe(
      true,
    );
    await abortAllDurableObjects();
    const removed = await call(`/v1/domains/${claimed.id}`, { method: "DELETE", key: keyOf(second, "admin") });
    expect(removed.status).toBe(200);
    expect(await ownerOf(domain)).toBeNull();
  });

  test("a claim gets what its owner gave up", async () => {
    const domain = domainName();
    const { body } = await configure(first, domain);
    const { body: claimed } = await claim(second, domain);
    await call(`/v1/domains/${body.id}`, { method: "DELETE", key: keyOf(first, "admin") });
    expect((await configure(second, domain)).status).toBe(200);
    expect((await read(second, claimed.id)).dns_records.map(({ purpose }) => purpose)).toContain("dkim");
  });
});

function rowOf({ id: tenant_id }: TestTenant, { id, domain }: Pick<Domain, "id" | "domain">) {
  return {
    ...{ id, domain, tenant_id, verified: true, dkim_keys: [] },
    ...{ challenge: "multimail-challenge=of-a-test", unaligned_since: null, wants_mta_sts: false, version: 0 },
  };
}
