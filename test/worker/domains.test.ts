import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import {
  alignedDomain,
  configure,
  domainName,
  letPass,
  publish,
  read,
  setZones,
  verify,
  zoneOf,
} from "../support/domain-zones.ts";
import {
  call,
  keyOf,
  localPart,
  makeTenant,
  type RefusalBody,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { askedUnder } from "../support/looked-up.ts";
import { inTenant } from "../support/tenant-harness.ts";

/** A tenant's own domains: set up, published, found, changed and given up. */

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant(["gated_send"], ([first]) => [
    { name: "bound admin", scopes: ["admin"], mailboxes: [first] },
    { name: "of an agent", scopes: ["admin"], agent_id: "support-bot" },
  ]);
});

function admin(of = tenant): string {
  return keyOf(of, "admin");
}

function makeMailbox<Body = RefusalBody>(of: TestTenant, address: string) {
  return call<Body>("/v1/mailboxes", { key: admin(of), json: { address } });
}

describe("configure_domain", () => {
  test("answers what to publish, and what of it is required", async () => {
    const domain = domainName();
    const { status, body } = await configure(tenant, domain, {
      dkim_key_type: "dual",
      dmarc_rua: "reports@acme.example",
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      domain,
      status: "pending",
      sending: "not_yet",
      verified_at: null,
      dkim_key_type: "dual",
    });
    expect(body.id).toMatch(/^dom_/);
    const required = body.dns_records.filter((record) => record.required).map(({ type, name }) => `${type} ${name}`);
    const [rsa] = body.dkim_keys;
    expect(body.dkim_keys.map(({ algorithm }) => algorithm)).toEqual(["rsa-sha256", "ed25519-sha256"]);
    expect(new Set(required)).toEqual(
      new Set([
        `TXT _multimail-challenge.${domain}`,
        `TXT ${rsa?.selector}._domainkey.${domain}`,
        `TXT ${domain}`,
        `TXT _dmarc.${domain}`,
      ]),
    );
    const all = body.dns_records.map(({ purpose }) => purpose);
    for (const purpose of ["inbound", "return_path", "identity"]) expect(all).toContain(purpose);
    const dkim = body.dns_records.find(({ name }) => name.startsWith(rsa?.selector ?? "-"));
    expect(dkim?.strings?.every((part) => part.length <= 255)).toBe(true);
    expect(dkim?.strings?.join("")).toBe(dkim?.value);
  });

  test("makes the keys that its type says", async () => {
    for (const [type, algorithms] of [
      ["ed25519", ["ed25519-sha256"]],
      ["rsa-2048", ["rsa-sha256"]],
    ] as const) {
      const { body } = await configure(tenant, domainName(), { dkim_key_type: type });
      expect(body.dkim_keys.map(({ algorithm }) => algorithm)).toEqual(algorithms);
    }
  });

  test("merges SPF with what the zone has", async () => {
    const domain = domainName();
    await setZones({ [domain]: { TXT: ["v=spf1 include:spf.other.example -all", "other=1"] } });
    const { body } = await configure(tenant, domain);
    const spf = body.dns_records.filter(({ purpose }) => purpose === "spf");
    expect(spf).toHaveLength(1);
    expect(spf[0]?.value).toBe("v=spf1 include:spf.other.example include:_spf.agents.test -all");
  });

  test("a second call changes nothing and answers the same", async () => {
    const domain = domainName();
    const first = await configure(tenant, domain, { dmarc_policy: "reject" });
    const again = await configure(tenant, domain, { dmarc_policy: "reject" });
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect(await configure(tenant, domain)).toMatchObject({ status: 200, body: first.body });
  });

  test("many calls at once make one domain", async () => {
    const domain = domainName();
    const answers = await Promise.all(Array.from({ length: 6 }, () => configure(tenant, domain)));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => JSON.stringify(body.dns_records))).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    const rows = await env.DB.prepare("SELECT id FROM domains WHERE domain = ?").bind(domain).all();
    expect(rows.results).toEqual([{ id: answers[0]?.body.id }]);
  });

  test("changes a domain, and leaves what is not named", async () => {
    const domain = domainName();
    const { body } = await configure(tenant, domain, { dmarc_rua: "reports@acme.example" });
    const changed = await configure(tenant, domain, { dmarc_policy: "quarantine", mta_sts: true });
    expect(changed.body).toMatchObject({ id: body.id, dmarc_policy: "quarantine", dmarc_rua: "reports@acme.example" });
    expect(changed.body.dkim_keys).toEqual(body.dkim_keys);
    expect(changed.body.mta_sts_policy).toContain("mx: mx.agents.test");
    const dmarc = changed.body.dns_records.find(({ name }) => name === `_dmarc.${domain}`);
    expect(dmarc?.value).toContain("p=quarantine");
    expect((await configure(tenant, domain, { dmarc_rua: null })).body.dmarc_rua).toBeNull();
  });

  test("another key type before it was ever aligned takes the place of the keys", async () => {
    const domain = domainName();
    const { body } = await configure(tenant, domain);
    const changed = await configure(tenant, domain, { dkim_key_type: "rsa-2048" });
    expect(changed.body.dkim_keys).toMatchObject([{ algorithm: "rsa-sha256", state: "active" }]);
    expect(changed.body.dkim_keys).not.toContainEqual(body.dkim_keys[0]);
  });

  test("an international domain is one, whichever way it is written", async () => {
    const label = `müller-${Math.random().toString(36).slice(2, 8)}`;
    const { body } = await configure(tenant, `${label}.EXAMPLE. `);
    expect(body.domain).toMatch(/^xn--/);
    expect(body.domain_unicode).toBe(`${label}.example`);
    expect((await configure(tenant, body.domain)).body.id).toBe(body.id);
  });

  test.each([
    ["nothing", ""],
    ["one label", "localhost"],
    ["a public suffix", "co.uk"],
    ["a wildcard", "*.acme.example"],
    ["an IPv4 address", "192.0.2.1"],
    ["an IPv6 address", "[2001:db8::1]"],
    ["254 octets", `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(53)}.example`],
    ["a label of 64", `${"a".repeat(64)}.example`],
    ["an empty label", "acme..example"],
    ["a web address", "https://acme.example/"],
    ["an e-mail address", "me@acme.example"],
    ["an underscore", "_dmarc.acme.example"],
    ["bad punycode", "xn--0.example"],
    ["a space within", "acme example"],
    ["a header", "acme.example\r\nBcc: x"],
    ["a NUL", "acme\0.example"],
    ["the deployment's own domain", "agents.test"],
    ["a name below it", "me.AGENTS.test."],
  ])("refuses %s and changes nothing", async (_what, domain) => {
    const before = await storedCounts();
    const { status, body } = await configure<RefusalBody>(tenant, domain);
    expect([422, status]).toEqual([status, 422]);
    expect(body.error).toMatch(/\.$/);
    expect(await storedCounts()).toEqual(before);
  });

  test.each([
    ["an unknown key type", { dkim_key_type: "rsa-1024" }],
    ["an unknown policy", { dmarc_policy: "allow" }],
    ["a report address that is none", { dmarc_rua: "nobody" }],
    ["a report address that adds a tag", { dmarc_rua: '"a;p=none"@acme.example' }],
    ["two report addresses", { dmarc_rua: "a@acme.example, b@acme.example" }],
    ["a logo without TLS", { bimi_logo_url: "http://acme.example/logo.svg" }],
    ["a logo that adds a tag", { bimi_logo_url: "https://acme.example/logo.svg;a=self" }],
    ["an unknown field", { selector: "mine" }],
  ])("refuses %s and changes nothing", async (_what, json) => {
    const before = await storedCounts();
    const { status } = await configure(tenant, domainName(), json);
    expect(status).toBe(422);
    expect(await storedCounts()).toEqual(before);
  });

  test("is the whole account's: no key bound to a mailbox or an agent, none without admin", async () => {
    const domain = domainName();
    const codes = await Promise.all(
      ["bound admin", "of an agent", "send", "oversight", "read"].map(
        async (name) => (await configure<RefusalBody>(tenant, domain, {}, keyOf(tenant, name))).body.code,
      ),
    );
    expect(codes).toEqual([
      "mailbox_not_allowed",
      "agent_not_allowed",
      "missing_scope",
      "missing_scope",
      "missing_scope",
    ]);
  });

  test("is no way to carry secrets out by names: only so many new ones in a day, and no more are asked for", async () => {
    const own = await makeTenant();
    const [parent, reports] = [domainName("attacker"), domainName("reports")];
    const { body } = await configure(own, parent, { dmarc_rua: `a@${reports}` });
    await inTenant(own.id, (object) =>
      object.commit(() => {
        for (let n = 0; n < 97; n++) object.rows.exec("INSERT INTO domain_names VALUES (?, ?)", `n${n}`, object.now());
      }),
    );
    const last = await configure(own, `last.${parent}`);
    expect(last.status).toBe(201);
    await call(`/v1/domains/${last.body.id}`, { method: "DELETE", key: admin(own) });
    // One that was asked for before carries nothing new.
    expect((await configure(own, `last.${parent}`)).status).toBe(201);
    const refusals = [
      await configure<RefusalBody>(own, `secret.${parent}`),
      await configure<RefusalBody>(own, parent, { dmarc_rua: `a@secret.${reports}` }),
    ];
    for (const { status, body } of refusals) expect([status, body.code]).toEqual([429, "rate_limited"]);
    await verify(own, body.id);
    const asked = [...(await askedUnder(parent)), ...(await askedUnder(reports))];
    expect(asked).toContain(`${parent}._report._dmarc.${reports}`);
    expect(asked.filter((name) => name.includes("secret"))).toEqual([]);
    await letPass(own, 25 * 3600_000);
    expect((await configure(own, `secret.${parent}`)).status).toBe(201);
  });

  test("asks the operator before a domain is taken from which somebody oversees", async () => {
    const domain = domainName();
    const other = await makeTenant();
    await call("/v1/mailboxes", {
      key: admin(other),
      json: { address_local: localPart(), approver_email: `boss@${domain}` },
    });
    const asked = await configure<{ status: string; change: string }>(other, domain);
    expect(asked).toMatchObject({ status: 202, body: { status: "pending_approval" } });
    expect(asked.body.change).toContain(`boss@${domain}`);
    expect(await env.DB.prepare("SELECT 1 FROM domains WHERE domain = ?").bind(domain).first()).toBeNull();
    // Another account's people are not named, and are no reason to ask this one's operator.
    expect((await configure(tenant, domain)).status).toBe(201);
  });
});

describe("verify_domain_alignment", () => {
  test("from nothing to aligned, each step with what to do", async () => {
    const domain = domainName();
    const { body } = await configure(tenant, domain);
    const nothing = await verify(tenant, body.id);
    expect(nothing).toMatchObject({
      status: "pending",
      domain_status: "pending",
      sending: "not_yet",
      checks: { dkim: "missing" },
    });
    expect(nothing.detail).toContain(`_multimail-challenge.${domain}`);
    const { [`_dmarc.${domain}`]: _dmarc, ...others } = zoneOf(body.dns_records);
    await setZones({ ...others, [`_dmarc.${domain}`]: { TXT: ["v=DMARC1; p=frown"] } });
    const wrong = await verify(tenant, body.id);
    expect(wrong).toMatchObject({ status: "misaligned", sending: "not_yet", checks: { dmarc: "fail", dkim: "pass" } });
    expect(wrong.detail).toContain(`_dmarc.${domain}`);
    await publish(body.dns_records);
    expect(await verify(tenant, body.id)).toMatchObject({ status: "aligned", domain_status: "aligned", sending: "ok" });
    const now = await read(tenant, body.id);
    expect(now.verified_at).not.toBeNull();
    expect(now.dns_records.map(({ purpose }) => purpose)).not.toContain("ownership");
  });

  test("without the challenge nothing is proved, whatever else is published", async () => {
    const { body } = await configure(tenant, domainName());
    await publish(body.dns_records.filter(({ purpose }) => purpose !== "ownership"));
    expect(await verify(tenant, body.id)).toMatchObject({
      status: "pending",
      sending: "not_yet",
      checks: { ownership: "missing" },
    });
    expect((await read(tenant, body.id)).verified_at).toBeNull();
  });

  test("a DNS that does not answer decides nothing", async () => {
    const domain = domainName();
    const { body } = await configure(tenant, domain);
    await setZones({ [domain]: "away" });
    const { status, checks } = await verify(tenant, body.id);
    expect([status, new Set(Object.values(checks))]).toEqual(["pending", new Set(["unknown"])]);
  });
});

describe("a mailbox at a domain of one's own", () => {
  test("waits until the domain is aligned", async () => {
    const domain = domainName();
    const before = await storedCounts();
    for (const _time of [1, 2]) {
      const refusal = await makeMailbox(tenant, `hello@${domain}`);
      expect(refusal).toMatchObject({ status: 422, body: { code: "invalid_input", issues: [{ path: "address" }] } });
      expect(refusal.body.hint).toContain("configure_domain");
      await configure(tenant, domain);
    }
    expect((await storedCounts()).mailboxes).toBe(before.mailboxes);
    const { body } = await configure(tenant, domain);
    await publish(body.dns_records);
    await verify(tenant, body.id);
    expect(await makeMailbox(tenant, `Hello@${domain.toUpperCase()}`)).toMatchObject({
      status: 201,
      body: { address: `hello@${domain}` },
    });
  });

  test("is for the tenant whose domain it is", async () => {
    const { domain } = await alignedDomain(tenant);
    const stranger = await makeTenant();
    const refusal = await makeMailbox(stranger, `hello@${domain}`);
    const unknown = await makeMailbox(stranger, `hello@${domainName()}`);
    expect(refusal.status).toBe(422);
    expect(refusal.body.error.replace(domain, "")).toBe(unknown.body.error.replace(/shop-[\w-]+\.example/, ""));
  });

  test("signs with the domain's keys, and with no other tenant's", async () => {
    const { domain, dkim_keys } = await alignedDomain(tenant, domainName(), { dkim_key_type: "dual" });
    const keys = await signingKeysOf(env.DB, env, domain, tenant.id);
    expect(keys.map(({ selector }) => selector)).toEqual(dkim_keys.map(({ selector }) => selector));
    const stranger = await makeTenant();
    await expect(signingKeysOf(env.DB, env, domain, stranger.id)).rejects.toThrow(domain);
    await expect(signingKeysOf(env.DB, env, domain)).rejects.toThrow(domain);
  });
});

describe("delete_domain", () => {
  const remove = <Body = Domain>(of: TestTenant, id: string) =>
    call<Body>(`/v1/domains/${id}`, { method: "DELETE", key: admin(of) });

  test("gives a domain up, and its row in D1", async () => {
    const { id, domain } = await alignedDomain(tenant);
    expect((await remove(tenant, id)).status).toBe(200);
    expect((await remove(tenant, id)).status).toBe(404);
    expect(await env.DB.prepare("SELECT 1 FROM domains WHERE domain = ?").bind(domain).first()).toBeNull();
    const again = await configure(tenant, domain);
    expect([again.status, again.body.id === id, again.body.status]).toEqual([201, false, "pending"]);
  });

  test("not while a mailbox is there", async () => {
    const { id, domain } = await alignedDomain(tenant);
    await makeMailbox(tenant, `hello@${domain}`);
    expect(await remove<RefusalBody>(tenant, id)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect((await read(tenant, id)).status).toBe("aligned");
  });

  test("a mailbox made in the same moment is there, or the domain is gone: never half of both", async () => {
    for (let round = 0; round < 5; round++) {
      const { id, domain } = await alignedDomain(tenant);
      const [mailbox, removed] = await Promise.all([makeMailbox(tenant, `hello@${domain}`), remove(tenant, id)]);
      expect([`${mailbox.status} ${removed.status}`]).toEqual([expect.stringMatching(/^(201 409|422 200)$/)]);
    }
  });
});

describe("a domain is nobody else's business", () => {
  test.each([
    ["get_domain", "GET", ""],
    ["delete_domain", "DELETE", ""],
    ["verify_domain_alignment", "POST", "/verify"],
    ["rotate_dkim", "POST", "/rotate-dkim"],
  ])("%s of another tenant's is a 404, like one that never was", async (_name, method, path) => {
    const { body } = await configure(tenant, domainName());
    const stranger = await makeTenant();
    const answers = await Promise.all(
      [body.id, "dom_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"].map((id) =>
        call(`/v1/domains/${id}${path}`, { method, key: admin(stranger) }),
      ),
    );
    expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
    expect(answers[0]?.status).toBe(404);
  });

  test("list_domains pages through one's own", async () => {
    const own = await makeTenant();
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push((await configure(own, domainName())).body.id);
    type Page = { domains: Domain[]; total: number; cursor: string | null };
    const first = (await call<Page>("/v1/domains?limit=2", { key: admin(own) })).body;
    const rest = (await call<Page>(`/v1/domains?limit=2&cursor=${first.cursor}`, { key: admin(own) })).body;
    expect([...first.domains, ...rest.domains].map(({ id }) => id)).toEqual([...ids].sort());
    expect([first.total, rest.cursor]).toEqual([3, null]);
    expect((await call("/v1/domains?cursor=mbx_1", { key: admin(own) })).status).toBe(422);
  });
});
