import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { IntelligenceView } from "../../src/operations/shapes/domain-intelligence.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { domainName, setZones } from "../support/domain-zones.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { askedUnder, BLOCKLIST, honestDomain, setRegistrations } from "../support/looked-up.ts";
import { advanceClock, chainOf, inObject, runAlarm, type TestMailbox } from "../support/mailbox-harness.ts";

/** What is known of recipients' domains before a message is judged: by the doors, against real DNS and RDAP. */

function boxOf({ mailbox }: TestTenant): TestMailbox {
  return { mailbox, stub: env.MAILBOX.getByName(mailbox.id.slice(-8)) } as TestMailbox;
}

async function send<Body = SendAnswer>(
  tenant: TestTenant,
  to: string | string[],
  more: Record<string, unknown> = {},
  key = "agent",
) {
  return call<Body>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
    key: keyOf(tenant, key),
    json: { to, subject: "Offer", text: "Hello", ...more },
  });
}

async function sent(
  tenant: TestTenant,
  to: string | string[],
  more: Record<string, unknown> = {},
): Promise<SendAnswer> {
  const { status, body } = await send(tenant, to, more);
  expect(status, JSON.stringify(body)).toBe(202);
  return body;
}

function of({ domain_intelligence }: Pick<SendAnswer, "domain_intelligence">): IntelligenceView {
  if (domain_intelligence === null) throw new Error("nothing was looked up");
  return domain_intelligence;
}

const reasonsOf = (answer: SendAnswer) => of(answer).reasons.map(({ reason }) => reason);

test("an honest domain is known by every source, and only its being new speaks against it", async () => {
  const domain = domainName();
  await honestDomain(domain);
  const tenant = await makeTenant(["autonomous"]);
  const answer = await sent(tenant, `ana@${domain}`);
  expect(of(answer)).toMatchObject({
    risk_score: 0.2,
    dmarc_policy: "reject",
    unknown: [],
    over_budget: [],
    domains: [{ domain, mx: "present", spf: "present", dmarc_policy: "reject", blocklists: [], disposable: false }],
  });
  expect(of(answer).domains[0]?.age_days).toBeGreaterThan(6_000);
  expect(reasonsOf(answer)).toEqual(["new_domain"]);
});

test("it stands in the answer, the pending item, read_email and the audit log, the same everywhere", async () => {
  const domain = domainName();
  await honestDomain(domain);
  const tenant = await makeTenant(["gated_send"]);
  const answer = await sent(tenant, `ana@${domain}`);
  const pending = await call<PendingItem>(`/v1/oversight/pending/${answer.pending_id}`, {
    key: keyOf(tenant, "oversight"),
  });
  const read = await call<Email>(`/v1/emails/${answer.id}`, { key: keyOf(tenant, "agent") });
  expect(pending.body.domain_intelligence).toEqual(answer.domain_intelligence);
  expect(read.body.domain_intelligence).toEqual(answer.domain_intelligence);
  const chain = await chainOf(boxOf(tenant));
  const held = chain.find(({ action }) => action === "message.held");
  expect(held?.detail).toMatchObject({ domain_risk: 20, unknown_sources: [], new_names: 1 });
  // The names themselves are personal.
  expect(JSON.stringify(held?.detail)).not.toContain(domain);
});

describe("each source speaks against a domain", () => {
  test.each<[reason: string, set: (domain: string) => Promise<void>]>([
    ["takes_no_mail", (domain) => setZones({ [domain]: { MX: ["0 ."], TXT: ["v=spf1 -all"] } })],
    ["no_spf", (domain) => setZones({ [domain]: { MX: [`10 mx.${domain}`] } })],
    ["no_dmarc", (domain) => setZones({ [`_dmarc.${domain}`]: null })],
    [
      "young_domain",
      (domain) => setRegistrations({ [domain]: new Date(Date.now() - 5 * 24 * 3600_000).toISOString() }),
    ],
    ["blocklisted", (domain) => setZones({ [`${domain}.${BLOCKLIST}`]: { A: ["127.0.1.4"] } })],
    ["domain_unknown", (domain) => setZones({ [`${domain}.${BLOCKLIST}`]: { A: ["127.255.255.254"] } })],
    ["domain_unknown", (domain) => setZones({ [`_dmarc.${domain}`]: "away" })],
    ["domain_unknown", (domain) => setZones({ [`_dmarc.${domain}`]: "silent" })],
    ["domain_unknown", (domain) => setRegistrations({ [domain]: null })],
    ["domain_unknown", (domain) => setRegistrations({ [domain]: "silent" })],
  ])("%s", async (reason, set) => {
    const domain = domainName();
    await honestDomain(domain);
    await set(domain);
    expect(reasonsOf(await sent(await makeTenant(["autonomous"]), `ana@${domain}`))).toEqual(["new_domain", reason]);
  });
});

test("a source that does not answer is named, with the reason, and the others are known", async () => {
  const domain = domainName();
  await honestDomain(domain, { [`_dmarc.${domain}`]: "silent" });
  await setRegistrations({ [domain]: null });
  const answer = await sent(await makeTenant(["autonomous"]), `ana@${domain}`);
  expect(of(answer).unknown).toEqual(["dmarc", "rdap"]);
  expect(of(answer).domains[0]).toMatchObject({
    mx: "present",
    dmarc_policy: null,
    age_days: null,
    unknown_because: [
      { source: "dmarc", reason: "timeout" },
      { source: "rdap", reason: "no_data" },
    ],
  });
});

test("thresholds hold and block by it", async () => {
  const domain = domainName();
  await honestDomain(domain, { [`${domain}.${BLOCKLIST}`]: { A: ["127.0.1.4"] } });
  const tenant = await makeTenant(["autonomous"]);
  const set = (policy: Record<string, unknown>) =>
    call(`/v1/mailboxes/${tenant.mailbox.id}/policy`, { method: "PUT", key: keyOf(tenant, "admin"), json: policy });
  expect((await set({ risk_hold: 0.5 })).status).toBe(200);
  expect(await sent(tenant, `ana@${domain}`)).toMatchObject({
    status: "pending_send_approval",
    verdict: { rule: "risk", because: expect.stringContaining("phishing") },
  });
  expect((await set({ risk_hold: 0.5, risk_block: 0.7 })).status).toBe(200);
  expect(await sent(tenant, `bob@${domain}`)).toMatchObject({ status: "blocked", verdict: { rule: "risk" } });
});

test("what is remembered is not asked again, and another account asks for itself", async () => {
  const domain = domainName();
  await honestDomain(domain);
  const [one, other] = await Promise.all([makeTenant(["gated_send"]), makeTenant(["gated_send"])]);
  await sent(one, `ana@${domain}`);
  const asked = (await askedUnder(domain)).length;
  expect(asked).toBeGreaterThan(0);
  await sent(one, `bob@${domain}`);
  expect(await askedUnder(domain)).toHaveLength(asked);
  await sent(other, `ana@${domain}`);
  expect(await askedUnder(domain)).toHaveLength(2 * asked);
});

test("an edit to other recipients is looked up before it is judged", async () => {
  const [first, second] = [domainName(), domainName()];
  await honestDomain(first);
  await honestDomain(second);
  const tenant = await makeTenant(["gated_send"]);
  const { id } = await sent(tenant, `ana@${first}`);
  const edited = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/emails/${id}/schedule`, {
    method: "PATCH",
    key: keyOf(tenant, "agent"),
    json: { to: `ana@${second}` },
  });
  expect(edited.status, JSON.stringify(edited.body)).toBe(200);
  expect(of(edited.body).domains.map(({ domain }) => domain)).toEqual([second]);
});

describe("a scheduled message", () => {
  /** Scheduled for tomorrow to a domain that is honest today, in a mailbox that holds what is risky. */
  async function scheduled(gate_timing: "gate_first" | "schedule_first", mode: "autonomous" | "gated_send") {
    const domain = domainName();
    await honestDomain(domain);
    const tenant = await makeTenant([mode]);
    const policy = { method: "PUT", key: keyOf(tenant, "admin"), json: { risk_hold: 0.5 } };
    expect((await call(`/v1/mailboxes/${tenant.mailbox.id}/policy`, policy)).status).toBe(200);
    const send_at = new Date(Date.now() + 24 * 3600_000).toISOString();
    const answer = await sent(tenant, `ana@${domain}`, { send_at, gate_timing });
    return { tenant, answer, box: boxOf(tenant), domain };
  }

  /** The domain comes onto a blocklist, a day passes, and what the look-ups came to is forgotten. */
  async function aDayLater(box: TestMailbox, domain: string): Promise<void> {
    await setZones({ [`${domain}.${BLOCKLIST}`]: { A: ["127.0.1.4"] } });
    await advanceClock(box, 25 * 3600_000);
    await runAlarm(box);
    await inObject(box, (object) => object.settled());
  }

  test("is looked up anew when its time has come, and held by what is known then", async () => {
    const { tenant, answer, box, domain } = await scheduled("schedule_first", "autonomous");
    expect(answer).toMatchObject({ status: "scheduled" });
    await aDayLater(box, domain);
    const read = await call<Email>(`/v1/emails/${answer.id}`, { key: keyOf(tenant, "agent") });
    expect(read.body).toMatchObject({ status: "pending_send_approval" });
    expect(read.body.domain_intelligence?.reasons.map(({ reason }) => reason)).toContain("blocklisted");
  });

  test("that a person has allowed leaves as they allowed it", async () => {
    const { tenant, answer, box, domain } = await scheduled("gate_first", "gated_send");
    const key = keyOf(tenant, "oversight");
    await call(`/v1/oversight/pending/${answer.pending_id}`, { key });
    const json = { email_id: answer.id, decision: "approve" };
    expect((await call("/v1/oversight/decide", { key, json })).status).toBe(200);
    const before = await askedUnder(`${domain}.${BLOCKLIST}`);
    await aDayLater(box, domain);
    const read = await call<Email>(`/v1/emails/${answer.id}`, { key: keyOf(tenant, "agent") });
    expect(["queued", "sent"]).toContain(read.body.status);
    expect(await askedUnder(`${domain}.${BLOCKLIST}`)).toEqual(before);
  });
});

test("a draft is looked up when it is sent, not before", async () => {
  const domain = domainName();
  await honestDomain(domain);
  const tenant = await makeTenant(["gated_send"]);
  const draft = await call<{ id: string }>(`/v1/mailboxes/${tenant.mailbox.id}/drafts`, {
    key: keyOf(tenant, "agent"),
    json: { to: `ana@${domain}`, subject: "Offer", text: "Hello" },
  });
  expect(await askedUnder(domain)).toEqual([]);
  const answer = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/drafts/${draft.body.id}/send`, {
    method: "POST",
    key: keyOf(tenant, "agent"),
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  expect(of(answer.body).domains[0]).toMatchObject({ domain, mx: "present" });
});

describe("no secret leaves by a look-up", () => {
  test("of a held message only the registrable domain is asked for, whatever stands before it", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const tenant = await makeTenant(["gated_send"]);
    await sent(tenant, [`x@secret-1.${domain}`, `x@secret-2.a.b.${domain}`, `SECRET-3@SECRET-4.${domain}`], {
      cc: `x@secret-5.${domain}`,
      bcc: `x@secret-6.${domain}`,
    });
    const asked = await askedUnder(domain);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((name) => name.includes("secret"))).toEqual([]);
    expect(await askedUnder(`${domain}.${BLOCKLIST}`)).toEqual([`${domain}.${BLOCKLIST}`]);
  });

  test("the same in an autonomous mailbox, before its rules have let the message go", async () => {
    const domain = domainName();
    await honestDomain(domain, { [`${domain}.${BLOCKLIST}`]: { A: ["127.0.1.4"] } });
    const tenant = await makeTenant(["autonomous"]);
    await call(`/v1/mailboxes/${tenant.mailbox.id}/policy`, {
      method: "PUT",
      key: keyOf(tenant, "admin"),
      json: { risk_block: 0.5 },
    });
    expect((await sent(tenant, `x@secret.${domain}`)).status).toBe("blocked");
    expect((await askedUnder(domain)).filter((name) => name.includes("secret"))).toEqual([]);
  });

  test.each<[what: string, mode: "read_only" | "autonomous", policy: (domain: string) => Record<string, unknown>]>([
    ["a mailbox that may not send", "read_only", () => ({})],
    ["a message that a rule blocks", "autonomous", (domain) => ({ blocklist: [domain] })],
    ["a message that a rule denies", "autonomous", () => ({ templates_only: true })],
  ])("%s looks nothing up", async (_what, mode, policy) => {
    const domain = domainName();
    const tenant = await makeTenant([mode]);
    await call(`/v1/mailboxes/${tenant.mailbox.id}/policy`, {
      method: "PUT",
      key: keyOf(tenant, "admin"),
      json: policy(domain),
    });
    await send(tenant, `x@${domain}`);
    expect(await askedUnder(domain)).toEqual([]);
    const names = await env.DB.prepare("SELECT count(*) AS n FROM looked_up_names WHERE tenant_id = ?")
      .bind(tenant.id)
      .first<number>("n");
    expect(names).toBe(0);
  });

  test.each([
    ["a key that may not send", "read", {}],
    ["a time in the past", "agent", { send_at: "2001-01-01T00:00:00Z" }],
    [
      "a template that is not there",
      "agent",
      { text: undefined, subject: undefined, template_id: "tpl_01JD0000000000000000000000" },
    ],
    ["a dry run", "agent", { dry_run: true }],
  ])("%s looks nothing up", async (_what, key, more) => {
    const domain = domainName();
    const tenant = await makeTenant(["gated_send"]);
    await send(tenant, `x@${domain}`, more, key);
    expect(await askedUnder(domain)).toEqual([]);
  });

  test("a dry run and a test key see what is remembered, and say what is not", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const tenant = await makeTenant(["gated_send"]);
    const made = await call<{ key: string }>("/v1/api-keys", {
      key: keyOf(tenant, "admin"),
      json: { name: "tester", scopes: ["read", "send"], test: true },
    });
    const asTester = () =>
      call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
        key: made.body.key,
        json: { to: `ana@${domain}`, subject: "Offer", text: "Hello" },
      });
    const before = await asTester();
    expect(before.status, JSON.stringify(before.body)).toBe(202);
    expect(of(before.body).domains[0]?.unknown_because).toContainEqual({ source: "mx", reason: "not_asked" });
    expect(await askedUnder(domain)).toEqual([]);
    await sent(tenant, `ana@${domain}`);
    expect(of((await asTester()).body).unknown).toEqual([]);
  });

  test("a call that repeats an earlier one looks nothing up", async () => {
    const domain = domainName();
    await honestDomain(domain, { [`_dmarc.${domain}`]: "away" });
    const tenant = await makeTenant(["gated_send"]);
    const first = await sent(tenant, `ana@${domain}`, { idempotency_key: "once" });
    const asked = await askedUnder(domain);
    const again = await send(tenant, `ana@${domain}`, { idempotency_key: "once" });
    expect(again).toMatchObject({ status: 200, body: { id: first.id, idempotent: true } });
    expect(again.body.domain_intelligence).toEqual(first.domain_intelligence);
    expect(await askedUnder(domain)).toEqual(asked);
  });
});

describe("names that were never looked up", () => {
  async function withBudget(tenant: TestTenant, budget: string | undefined, work: () => Promise<void>): Promise<void> {
    const set = (value: string | undefined) =>
      inObject(boxOf(tenant), (object) => {
        const settings = object.environment();
        if (value === undefined) delete settings.NEW_NAMES_PER_DAY;
        else settings.NEW_NAMES_PER_DAY = value;
      });
    const before = env.NEW_NAMES_PER_DAY;
    await set(budget);
    try {
      await work();
    } finally {
      await set(before);
    }
  }

  test.each(["autonomous", "gated_send"] as const)(
    "over the day's budget are not asked for, and the message waits for a human (%s)",
    async (mode) => {
      const domains = [domainName(), domainName(), domainName()];
      for (const domain of domains) await honestDomain(domain);
      const tenant = await makeTenant([mode]);
      await withBudget(tenant, "2", async () => {
        await sent(tenant, [`ana@${domains[0]}`, `ana@${domains[1]}`]);
        const held = await sent(tenant, `ana@${domains[2]}`);
        expect(held).toMatchObject({
          status: "pending_send_approval",
          domain_intelligence: { over_budget: [domains[2]], risk_score: 0.36 },
          verdict: { reasons: expect.arrayContaining([expect.objectContaining({ rule: "look_ups", action: "hold" })]) },
        });
        expect(of(held).domains[0]?.unknown_because).toContainEqual({ source: "mx", reason: "budget" });
        expect(await askedUnder(domains[2] as string)).toEqual([]);
        // Those it knows are as free as before.
        expect(of(await sent(tenant, `bob@${domains[0]}`)).over_budget).toEqual([]);
      });
    },
  );

  test("are in the audit log, sealed, and in the table before anything is asked", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const tenant = await makeTenant(["gated_send"]);
    await sent(tenant, `x@secret.${domain}`);
    const entries = (await chainOf(boxOf(tenant))).filter(({ action }) => action === "domains.looked_up");
    expect(entries).toMatchObject([{ detail: { new_names: 1 }, sealed: { ct: expect.any(String) } }]);
    const { results } = await env.DB.prepare("SELECT name FROM looked_up_names WHERE tenant_id = ?")
      .bind(tenant.id)
      .all<{ name: string }>();
    expect(results).toEqual([{ name: domain }]);
  });

  test("at the same time never exceed the budget", async () => {
    const domains = Array.from({ length: 8 }, () => domainName());
    const tenant = await makeTenant(["gated_send"]);
    await withBudget(tenant, "3", async () => {
      await Promise.all(domains.map((domain) => sent(tenant, `ana@${domain}`)));
    });
    const asked = await Promise.all(domains.map(async (domain) => (await askedUnder(domain)).length > 0));
    expect(asked.filter(Boolean)).toHaveLength(3);
  });
});
