import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { DomainReport } from "../../src/operations/shapes/domain-intelligence.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Decision, PendingItem } from "../../src/operations/shapes/pending.ts";
import { domainName } from "../support/domain-zones.ts";
import { type Answer, call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { askedUnder, honestDomain } from "../support/looked-up.ts";
import { chainOf, type TestMailbox } from "../support/mailbox-harness.ts";

/** check_domain_intelligence: the caller chooses the name that others hear, so it is as free as sending is. */

function check<Body = DomainReport>(
  tenant: TestTenant,
  domain: string,
  more: Record<string, unknown> = {},
  { key = "send", approval }: { key?: string; approval?: string } = {},
): Promise<Answer<Body>> {
  return call<Body>("/v1/check_domain_intelligence", {
    key: keyOf(tenant, key),
    json: { domain, ...more },
    ...(approval !== undefined && { headers: { "X-MM-Approval": approval } }),
  });
}

async function allow(tenant: TestTenant, pendingId: string): Promise<string> {
  const item = await call<PendingItem>(`/v1/oversight/pending/${pendingId}`, { key: keyOf(tenant, "oversight") });
  expect(item.body).toMatchObject({ kind: "read", request: { operation: "check_domain_intelligence" } });
  const decided = await call<Decision>("/v1/oversight/decide", {
    key: keyOf(tenant, "oversight"),
    json: { email_id: pendingId, decision: "approve", content_hash: item.body.content_hash },
  });
  expect(decided.status, JSON.stringify(decided.body)).toBe(200);
  return decided.body.approval_ref;
}

test.each(["autonomous", "monitored"] as const)("where mail leaves unasked it answers at once (%s)", async (mode) => {
  const domain = domainName();
  await honestDomain(domain, { [`eu.${domain}`]: { MX: ["0 ."] } });
  const tenant = await makeTenant([mode]);
  const { status, body } = await check(tenant, `EU.${domain}`);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({
    domain: `eu.${domain}`,
    registrable_domain: domain,
    known: false,
    history: { bounces: 0, complaints: 0, replies: 0 },
    unknown: [],
    domains: [
      { domain, mx: "present", dmarc_policy: "reject" },
      { domain: `eu.${domain}`, mx: "null" },
    ],
  });
  expect(body.reasons.map(({ reason }) => reason)).toEqual(["new_domain", "takes_no_mail"]);
});

test("by its path it answers the same", async () => {
  const domain = domainName();
  await honestDomain(domain);
  const tenant = await makeTenant(["autonomous"]);
  const { status, body } = await call<DomainReport>(`/v1/domain-intelligence/${domain}`, {
    key: keyOf(tenant, "send"),
  });
  expect({ status, domain: body.domain }).toEqual({ status: 200, domain });
});

describe.each(["gated_send", "gated_all"] as const)("where sends wait (%s)", (mode) => {
  test("nothing is asked before a human allowed exactly this name, and then once", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const tenant = await makeTenant([mode]);
    const held = await check<{ status: string; pending_id: string }>(tenant, `secret.${domain}`);
    expect(held).toMatchObject({ status: 202, body: { status: "pending" } });
    expect(await askedUnder(domain)).toEqual([]);

    const approval = await allow(tenant, held.body.pending_id);
    expect(await askedUnder(domain)).toEqual([]);
    // Another name is another question, which the approval is not for, and which is not asked either.
    const other = await check<RefusalBody>(tenant, `other.${domain}`, {}, { approval });
    expect(other).toMatchObject({ status: 403, body: { code: "invalid_approval_ref" } });
    expect(await askedUnder(domain)).toEqual([]);

    const allowed = await check(tenant, `secret.${domain}`, {}, { approval });
    expect(allowed).toMatchObject({ status: 200, body: { registrable_domain: domain } });
    expect(await askedUnder(`secret.${domain}`)).not.toEqual([]);
    const again = await check<RefusalBody>(tenant, `secret.${domain}`, {}, { approval });
    expect(again).toMatchObject({ status: 403, body: { code: "invalid_approval_ref" } });
  });
});

test("a mailbox that may not send may not ask", async () => {
  const domain = domainName();
  const tenant = await makeTenant(["read_only"]);
  expect(await check<RefusalBody>(tenant, domain)).toMatchObject({ status: 403, body: { code: "denied_by_mode" } });
  expect(await askedUnder(domain)).toEqual([]);
});

describe("whose rules apply", () => {
  const MODES: Mailbox["oversight_mode"][] = ["autonomous", "gated_send"];

  test("left out, those of the strictest mailbox that the key can use", async () => {
    const domain = domainName();
    const tenant = await makeTenant(MODES);
    expect(await check(tenant, domain)).toMatchObject({ status: 202 });
    expect(await askedUnder(domain)).toEqual([]);
    const mailbox_id = tenant.mailboxes[0]?.id ?? "";
    expect(await check(tenant, domain, { mailbox_id })).toMatchObject({ status: 200 });
  });

  test("a key that is bound to one mailbox is under that one's", async () => {
    const tenant = await makeTenant(MODES, ([first]) => [{ name: "bound", scopes: ["send"], mailboxes: [first] }]);
    expect(await check(tenant, domainName(), {}, { key: "bound" })).toMatchObject({ status: 200 });
    const mailbox_id = tenant.mailboxes[1]?.id ?? "";
    const foreign = await check<RefusalBody>(tenant, domainName(), { mailbox_id }, { key: "bound" });
    expect(foreign).toMatchObject({ status: 403, body: { code: "mailbox_not_allowed" } });
  });

  test("another account's mailbox is not there", async () => {
    const [tenant, other] = await Promise.all([makeTenant(["gated_send"]), makeTenant(["autonomous"])]);
    const domain = domainName();
    const answer = await check<RefusalBody>(tenant, domain, { mailbox_id: other.mailbox.id });
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(await askedUnder(domain)).toEqual([]);
  });

  test.each(["read", "admin", "oversight"])("a key with only %s may not ask", async (key) => {
    const tenant = await makeTenant(["autonomous"]);
    expect(await check<RefusalBody>(tenant, domainName(), {}, { key })).toMatchObject({ status: 403 });
  });
});

describe("what is no domain is refused, and nothing is asked", () => {
  test.each([
    ["an IPv4 address", "192.0.2.1"],
    ["an IPv6 address", "2001:db8::1"],
    ["a public suffix", "co.uk"],
    ["a private suffix", "github.io"],
    ["a wildcard", "*.customer.example"],
    ["254 octets", `${"a".repeat(60)}.`.repeat(4) + "b".repeat(10)],
    ["a label of 64", `${"a".repeat(64)}.example`],
    ["one label", "localhost"],
    ["an address", "ana@customer.example"],
    ["a web address", "https://customer.example/"],
    ["two dots", "customer..example"],
    ["nothing", ""],
    ["a NUL", "a\u0000.example"],
    ["a record's name", "_dmarc.customer.example"],
  ])("%s", async (_what, domain) => {
    const tenant = await makeTenant(["autonomous"]);
    const { status, body } = await check<RefusalBody>(tenant, domain);
    expect(status, JSON.stringify(body)).toBe(422);
    expect(body.issues?.[0]).toMatchObject({ path: "domain" });
    expect(body.error).toMatch(/[^.]\.$/);
    const asked = await env.DB.prepare("SELECT count(*) AS n FROM looked_up_names WHERE tenant_id = ?")
      .bind(tenant.id)
      .first<number>("n");
    expect(asked).toBe(0);
  });

  test("a trailing dot and capitals are the same domain", async () => {
    const domain = domainName();
    const tenant = await makeTenant(["autonomous"]);
    expect((await check(tenant, ` ${domain.toUpperCase()}. `)).body).toMatchObject({ domain });
  });
});

test("who asked, and for what, is in the audit log, sealed", async () => {
  const domain = domainName();
  const tenant = await makeTenant(["autonomous"]);
  await check(tenant, `eu.${domain}`);
  const box = { mailbox: tenant.mailbox, stub: env.MAILBOX.getByName(tenant.mailbox.id.slice(-8)) } as TestMailbox;
  const chain = await chainOf(box);
  const [entry, ...others] = chain.filter(({ action }) => action.startsWith("domain"));
  expect(others).toEqual([]);
  expect(entry).toMatchObject({ action: "domain.checked", sealed: { ct: expect.any(String) } });
  expect(JSON.stringify(chain)).not.toContain(domain);
});
