import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../src/doors/app.ts";
import type { Env } from "../../src/env.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import { alignedDomain, configure, domainName } from "../support/domain-zones.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";

/** The MTA-STS policies of tenants' domains (RFC 8461 §3.3): the host that is asked says whose. */

const app = createApp({ now: Date.now });

async function ask(host: string, { method = "GET", bindings = env as Env } = {}) {
  const url = `https://${host}/.well-known/mta-sts.txt`;
  const response = await app.fetch(new Request(url, { method }), bindings);
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

let tenant: TestTenant;
let domain: Domain;
beforeAll(async () => {
  tenant = await makeTenant();
  domain = await alignedDomain(tenant);
  const { body } = await configure(tenant, domain.domain, { mta_sts: true });
  domain = body;
});

describe("a domain that wants MTA-STS", () => {
  test("has its policy served under its own host, as configure_domain answers it", async () => {
    const { status, type, text } = await ask(`mta-sts.${domain.domain}`);
    expect([status, text]).toEqual([200, domain.mta_sts_policy]);
    expect(type).toMatch(/^text\/plain/);
    expect(text).toMatch(/^version: STSv1\r\nmode: \w+\r\nmx: mx\.agents\.test\r\nmax_age: \d+\r\n$/);
  });

  test.each([
    ["in capitals", (name: string) => `MTA-STS.${name.toUpperCase()}`],
    ["with the final dot", (name: string) => `mta-sts.${name}.`],
    ["at a port", (name: string) => `mta-sts.${name}:8443`],
  ])("is found with its host %s", async (_what, host) => {
    expect((await ask(host(domain.domain))).status).toBe(200);
  });

  test.each([
    ["under the deployment's own host", () => "mail.test"],
    ["under the domain itself", () => domain.domain],
    ["under another name of it", () => `www.${domain.domain}`],
    ["under a name below", () => `mta-sts.sub.${domain.domain}`],
    ["under a name that only ends like it", () => `x-mta-sts.${domain.domain}`],
    ["twice", () => `mta-sts.mta-sts.${domain.domain}`],
    ["of the deployment's domain, which asks for none", () => `mta-sts.${env.MAIL_DOMAIN}`],
    ["of nobody's domain", () => `mta-sts.${domainName()}`],
  ])("is not found %s", async (_what, host) => {
    expect((await ask(host())).status).toBe(404);
  });

  test("is only read", async () => {
    expect((await ask(`mta-sts.${domain.domain}`, { method: "HEAD" })).text).toBe("");
    expect((await ask(`mta-sts.${domain.domain}`, { method: "POST" })).status).toBe(405);
  });

  test("has none where the deployment takes no mail", async () => {
    const { INBOUND_MX: _none, ...bindings } = env as Env;
    expect((await ask(`mta-sts.${domain.domain}`, { bindings })).status).toBe(404);
  });
});

test("who has not proved control of a domain has no policy served under its name", async () => {
  const { body } = await configure(tenant, domainName(), { mta_sts: true });
  expect(body.mta_sts_policy).not.toBeNull();
  expect((await ask(`mta-sts.${body.domain}`)).status).toBe(404);
});

test("who does not want it any more, or gives the domain up, has none", async () => {
  const left = await alignedDomain(tenant);
  await configure(tenant, left.domain, { mta_sts: true });
  expect((await ask(`mta-sts.${left.domain}`)).status).toBe(200);
  await configure(tenant, left.domain, { mta_sts: false });
  expect((await ask(`mta-sts.${left.domain}`)).status).toBe(404);
  await configure(tenant, left.domain, { mta_sts: true });
  await call(`/v1/domains/${left.id}`, { method: "DELETE", key: keyOf(tenant, "admin") });
  expect((await ask(`mta-sts.${left.domain}`)).status).toBe(404);
});
