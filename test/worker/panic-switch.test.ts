import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import type { TenantObject } from "../../durable-objects/tenant.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { type Answer, call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Panic switches: of a mailbox, of an agent, of the whole account. Nothing leaves until they are lifted, and nothing is lost. */

interface Pauses {
  tenant: boolean;
  agents: string[];
  mailboxes: string[];
  hint?: string;
}

function pause<Body = Pauses>(tenant: TestTenant, json: Record<string, unknown>, key = "admin"): Promise<Answer<Body>> {
  return call<Body>("/v1/pause", { key: keyOf(tenant, key), json });
}

function resume<Body = Pauses>(tenant: TestTenant, json: Record<string, unknown>, key = "admin") {
  return call<Body>("/v1/resume", { key: keyOf(tenant, key), json });
}

let recipients = 0;

/** Sends to an address of its own. @returns the message's id and the address. */
async function send(tenant: TestTenant, json: Record<string, unknown> = {}) {
  recipients += 1;
  const to = `panic-${recipients}-${crypto.randomUUID()}@customer.example`;
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
    key: keyOf(tenant, "agent"),
    json: { to, subject: "Offer", text: "Hello", ...json },
  });
  expect([200, 202], JSON.stringify(body)).toContain(status);
  return { id: body.id, to };
}

function inMailbox<R>({ mailbox }: TestTenant, work: (box: MailboxObject) => R | Promise<R>): Promise<R> {
  const stub: DurableObjectStub = env.MAILBOX.getByName(mailbox.id.slice(-8));
  return runInDurableObject(stub, (object: unknown) => {
    if (!(object instanceof MailboxObject)) throw new Error("not a mailbox object");
    return work(object);
  });
}

/** Runs what the mailbox has to do now, and `ms` later. */
async function runMailbox(tenant: TestTenant, ms = 0): Promise<void> {
  await inMailbox(tenant, (box) => {
    box.clock = () => Date.now() + ms;
  });
  const stub: DurableObjectStub = env.MAILBOX.getByName(tenant.mailbox.id.slice(-8));
  await runDurableObjectAlarm(stub);
  await inMailbox(tenant, (box) => box.settled());
}

async function statusOf(tenant: TestTenant, id: string): Promise<string> {
  return (await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "read") })).body.status;
}

/** How far a panic switch reaches, as an input names it. */
const SWITCHES: [string, (tenant: TestTenant) => Record<string, unknown>][] = [
  ["mailbox", ({ mailbox }) => ({ mailbox_id: mailbox.id })],
  ["agent", () => ({ agent_id: "alice" })],
  ["account", () => ({ tenant: true })],
];

describe.each(SWITCHES)("the panic switch of a(n) %s", (_what, targetOf) => {
  test("stops what is to leave at once, without a code, and loses nothing", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const target = targetOf(tenant);
    expect(await pause(tenant, target)).toMatchObject({ status: 200 });
    const { id, to } = await send(tenant, { agent_id: "alice" });
    await runMailbox(tenant);
    await runMailbox(tenant, 10 * 60_000);
    // Longer than a delivery is tried: standing still is no failure.
    await runMailbox(tenant, 4 * 24 * 3600_000);
    expect(await receivedFor(to)).toEqual([]);
    expect(await statusOf(tenant, id)).toBe("queued");

    const lifted = await withCode<Pauses>(tenant, "/v1/resume", { key: keyOf(tenant, "admin"), json: target });
    expect(lifted).toMatchObject({ status: 200, body: { tenant: false, agents: [], mailboxes: [] } });
    await runMailbox(tenant, 4 * 24 * 3600_000 + 2 * 60_000);
    expect(await receivedFor(to)).toHaveLength(1);
    expect(await statusOf(tenant, id)).toBe("sent");
  });

  test("stops what a human has approved already", async () => {
    const tenant = await makeTenant(["gated_send"]);
    const { id, to } = await send(tenant, { agent_id: "alice" });
    await pause(tenant, targetOf(tenant));
    const item = await call<{ content_hash: string }>(`/v1/oversight/pending/${id.replace("em_", "pend_")}`, {
      key: keyOf(tenant, "overseer"),
    });
    const decided = await call("/v1/oversight/decide", {
      key: keyOf(tenant, "overseer"),
      json: { email_id: id, decision: "approve", content_hash: item.body.content_hash },
    });
    expect(decided.status, JSON.stringify(decided.body)).toBe(200);
    await runMailbox(tenant, 60_000);
    expect(await receivedFor(to)).toEqual([]);
    expect(await statusOf(tenant, id)).toBe("queued");
  });

  test("is thrown by whoever oversees too, and lifted by nobody without the operator's code", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const target = targetOf(tenant);
    expect(await pause(tenant, target, "oversight")).toMatchObject({ status: 200 });
    for (const key of ["admin", "oversight"]) {
      const asked = await resume<{ change: string; sent_to?: string }>(tenant, target, key);
      expect(asked, JSON.stringify(asked.body)).toMatchObject({ status: 202, body: { status: "pending_approval" } });
      expect(asked.body.change).toMatch(/may be sent again/);
      expect(asked.body.sent_to).toBe(key === "admin" ? tenant.operator_email : undefined);
      expect(await resume<RefusalBody>(tenant, { ...target, approval_code: "x" }, key)).toMatchObject({
        status: 403,
        body: { code: "invalid_approval_code" },
      });
    }
    const code = await lastCode(tenant);
    expect(await resume<RefusalBody>(tenant, { ...target, approval_code: code }, "admin")).toMatchObject({
      status: 403,
    });
    expect(await resume(tenant, { ...target, approval_code: code }, "oversight")).toMatchObject({ status: 200 });
  });

  test("is not for agents", async () => {
    const tenant = await makeTenant();
    for (const key of ["agent", "send", "read"]) {
      for (const answer of [await pause(tenant, targetOf(tenant), key), await resume(tenant, targetOf(tenant), key)])
        expect(answer).toMatchObject({ status: 403, body: { code: "missing_scope" } });
    }
  });

  test("thrown twice is thrown, and lifting what is not thrown asks nobody", async () => {
    const tenant = await makeTenant();
    expect(await resume(tenant, targetOf(tenant))).toMatchObject({ status: 200 });
    const first = await pause(tenant, targetOf(tenant));
    expect((await pause(tenant, targetOf(tenant))).body).toEqual(first.body);
    expect(await receivedFor(tenant.operator_email)).toEqual([]);
  });
});

describe("a panic switch reaches as far as it says", () => {
  test("a mailbox's own stops no other mailbox", async () => {
    const tenant = await makeTenant(["autonomous", "autonomous"]);
    await pause(tenant, { mailbox_id: tenant.mailboxes[1]?.address ?? "" });
    const { to } = await send(tenant);
    await runMailbox(tenant);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("an agent's stops no other agent, and says how it can be got around", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const { body } = await pause(tenant, { agent_id: "alice" });
    expect(body).toMatchObject({ agents: ["alice"], hint: expect.stringContaining("bound to no agent") });
    const { to } = await send(tenant, { agent_id: "bob" });
    await runMailbox(tenant);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("an account's stops no other account", async () => {
    const [home, foreign] = [await makeTenant(["autonomous"]), await makeTenant(["autonomous"])];
    await pause(foreign, { tenant: true });
    const { to } = await send(home);
    await runMailbox(home);
    expect(await receivedFor(to)).toHaveLength(1);
    expect((await call<Pauses>("/v1/pauses", { key: keyOf(home, "read") })).body.tenant).toBe(false);
  });

  test("a key that is bound to mailboxes throws only theirs", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
      { name: "bound", scopes: ["admin"], mailboxes: [second] },
    ]);
    const [first, second] = tenant.mailboxes as [Mailbox, Mailbox];
    for (const target of [{ tenant: true }, { agent_id: "alice" }, { mailbox_id: first.id }]) {
      expect(await pause<RefusalBody>(tenant, target, "bound")).toMatchObject({
        status: 403,
        body: { code: "mailbox_not_allowed" },
      });
    }
    expect((await pause(tenant, { mailbox_id: second.id }, "bound")).body.mailboxes).toEqual([second.id]);
    expect(await pause<RefusalBody>(tenant, { mailbox_id: (await makeTenant()).mailbox.id })).toMatchObject({
      status: 404,
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ["nothing", {}],
    ["two things", { agent_id: "alice", tenant: true }],
    ["no account", { tenant: false }],
    ["an agent of no name", { agent_id: "" }],
    ["two mailboxes", { mailbox_id: "mbx_1", mailbox: "mbx_2" }],
  ])("%s is a 422", async (_what, json) => {
    const tenant = await makeTenant();
    expect(await pause<RefusalBody>(tenant, json)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    expect(await resume<RefusalBody>(tenant, json)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
  });
});

test("what stands still is listed, and each switch has its entry", async () => {
  const tenant = await makeTenant(["gated_send", "gated_send"]);
  const ids = tenant.mailboxes.map(({ id }) => id).sort();
  for (const mailbox_id of ids) await pause(tenant, { mailbox_id });
  for (const agent_id of ["bob", "alice"]) await pause(tenant, { agent_id });
  await pause(tenant, { tenant: true });
  await inMailbox(tenant, (box) => box.settled());
  const stub: DurableObjectStub = env.TENANT.getByName(tenant.id);
  await runInDurableObject(stub, (object: unknown) => (object as TenantObject).settled());
  for (const { id } of tenant.mailboxes) {
    const box: DurableObjectStub = env.MAILBOX.getByName(id.slice(-8));
    await runDurableObjectAlarm(box);
    await runInDurableObject(box, (object: unknown) => (object as MailboxObject).settled());
  }
  const read = await call<Pauses>("/v1/pauses", { key: keyOf(tenant, "read") });
  expect(read.body).toEqual({ tenant: true, agents: ["alice", "bob"], mailboxes: ids });
  const { results } = await env.DB.prepare(
    "SELECT action, entry FROM audit_log WHERE tenant_id = ? AND action IN ('sending.paused', 'mailbox.updated') ORDER BY log, seq",
  )
    .bind(tenant.id)
    .all<{ action: string; entry: string }>();
  expect(results.map(({ action, entry }) => `${action} ${JSON.parse(entry).resource.type}`).sort()).toEqual([
    "mailbox.updated mailbox",
    "mailbox.updated mailbox",
    "sending.paused agent",
    "sending.paused agent",
    "sending.paused tenant",
  ]);
});
