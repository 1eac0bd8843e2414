import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { TenantObject } from "../../durable-objects/tenant.ts";
import type { Mailbox, MailboxRecord } from "../../src/operations/shapes/mailbox.ts";
import type { Decision, PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { type Answer, call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { lastCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** An agent asks for more rope, the operator is mailed a code, and the agent gets exactly what the mail said. */

interface Requested {
  status: string;
  upgrade_id: string;
  pending_id: string;
  change: string;
  record: MailboxRecord;
  sent_to?: string;
  expires_at: string;
}

function ask<Body = Requested>(
  tenant: TestTenant,
  json: Record<string, unknown> = { oversight_mode: "monitored" },
  { key = "agent", mailbox = tenant.mailbox.id } = {},
): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${mailbox}/request-upgrade`, { key: keyOf(tenant, key), json });
}

function apply<Body = Mailbox>(
  tenant: TestTenant,
  approval_code: string,
  { key = "agent", mailbox = tenant.mailbox.id } = {},
): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${mailbox}/upgrade`, { key: keyOf(tenant, key), json: { approval_code } });
}

async function modeOf({ mailbox, keys }: TestTenant): Promise<string> {
  return (await call<Mailbox>(`/v1/mailboxes/${mailbox.id}`, { key: keys.read ?? "" })).body.oversight_mode;
}

/** A code that is not this one. */
function otherThan(code: string): string {
  return code === "00000000" ? "11111111" : "00000000";
}

function inTenant<R>({ id }: TestTenant, work: (tenant: TenantObject) => R | Promise<R>): Promise<R> {
  const stub: DurableObjectStub = env.TENANT.getByName(id);
  return runInDurableObject(stub, (object: unknown) => {
    if (!(object instanceof TenantObject)) throw new Error("not a tenant object");
    return work(object);
  });
}

function advanceTenant(tenant: TestTenant, ms: number): Promise<void> {
  return inTenant(tenant, (object) => {
    object.clock = () => Date.now() + ms;
  });
}

const HOUR = 3600_000;

describe("an agent asks for a looser mode", () => {
  test("the operator reads the change in words and what the mailbox did; the code makes exactly that change, once", async () => {
    const tenant = await makeTenant();
    const asked = await ask(tenant, { target_mode: "monitored", reason: "The queue is long." });
    expect(asked, JSON.stringify(asked.body)).toMatchObject({
      status: 202,
      body: {
        status: "pending_approval",
        upgrade_id: asked.body.pending_id,
        change: expect.stringMatching(/mode becomes monitored/),
        record: { days: 30, sent: 0 },
      },
    });
    expect(asked.body.pending_id).toMatch(/^pend_/);
    const [mail] = await receivedFor(tenant.operator_email);
    for (const said of [tenant.mailbox.address, "monitored", "30 days"]) expect(mail?.raw).toContain(said);
    expect(await modeOf(tenant)).toBe("gated_send");

    const code = await lastCode(tenant);
    const changed = await apply(tenant, code);
    expect(changed, JSON.stringify(changed.body)).toMatchObject({ status: 200, body: { oversight_mode: "monitored" } });
    expect(await apply<RefusalBody>(tenant, code)).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
    expect(await modeOf(tenant)).toBe("monitored");
  });

  test("neither the code nor the operator's address is in what the agent gets", async () => {
    const tenant = await makeTenant();
    const { body } = await ask(tenant);
    const text = JSON.stringify(body);
    expect(text).not.toContain(await lastCode(tenant));
    expect(text).not.toContain(tenant.operator_email);
    expect((await ask(tenant, { mode: "autonomous" }, { key: "admin" })).body.sent_to).toBe(tenant.operator_email);
  });

  test("the record beside the request counts what people decided and changed", async () => {
    const tenant = await makeTenant();
    for (const decision of ["approve", "approve", "reject"]) {
      const sent = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
        key: keyOf(tenant, "send"),
        json: { to: "ana@customer.example", subject: "Offer", text: decision },
      });
      const item = await call<PendingItem>(`/v1/oversight/pending/${sent.body.pending_id}`, {
        key: keyOf(tenant, "oversight"),
      });
      const decided = await call<Decision>("/v1/oversight/decide", {
        key: keyOf(tenant, "oversight"),
        json: { email_id: sent.body.id, decision, content_hash: item.body.content_hash },
      });
      expect(decided.status, JSON.stringify(decided.body)).toBe(200);
    }
    const counted = { approved: 2, rejected: 1, edited: 0, approval_rate: 0.67 };
    expect((await ask(tenant)).body.record).toMatchObject(counted);
    const read = await call<MailboxRecord>(`/v1/mailboxes/${tenant.mailbox.id}/record`, { key: keyOf(tenant, "read") });
    expect(read.body).toMatchObject(counted);
  });

  test("people see the request among what waits, and an oversight key cannot grant it", async () => {
    const tenant = await makeTenant();
    const { body } = await ask(tenant);
    const item = await call<PendingItem>(`/v1/oversight/pending/${body.pending_id}`, {
      key: keyOf(tenant, "overseer"),
    });
    expect(item, JSON.stringify(item.body)).toMatchObject({
      status: 200,
      body: { kind: "upgrade", status: "pending" },
    });
    const granted = await call<RefusalBody>("/v1/oversight/decide", {
      key: keyOf(tenant, "overseer"),
      json: { email_id: body.pending_id, decision: "approve", content_hash: item.body.content_hash },
    });
    expect(granted.status, JSON.stringify(granted.body)).toBeGreaterThanOrEqual(400);
    expect(await modeOf(tenant)).toBe("gated_send");
  });

  test("a request that people rejected is not granted by the code any more", async () => {
    const tenant = await makeTenant();
    const { body } = await ask(tenant);
    const code = await lastCode(tenant);
    const item = await call<PendingItem>(`/v1/oversight/pending/${body.pending_id}`, {
      key: keyOf(tenant, "overseer"),
    });
    const rejected = await call<Decision>("/v1/oversight/decide", {
      key: keyOf(tenant, "overseer"),
      json: { email_id: body.pending_id, decision: "reject", content_hash: item.body.content_hash },
    });
    expect(rejected, JSON.stringify(rejected.body)).toMatchObject({ status: 200, body: { status: "rejected" } });
    expect(await apply<RefusalBody>(tenant, code)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect(await modeOf(tenant)).toBe("gated_send");
  });
});

describe("a code lets nothing else through", () => {
  test("not for another key of the same account", async () => {
    const tenant = await makeTenant();
    await ask(tenant);
    const code = await lastCode(tenant);
    for (const key of ["send", "admin"]) {
      expect(await apply<RefusalBody>(tenant, code, { key })).toMatchObject({
        status: 403,
        body: { code: "invalid_approval_code" },
      });
    }
    expect((await apply(tenant, code)).status).toBe(200);
  });

  test("not for another mailbox", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"]);
    await ask(tenant);
    const code = await lastCode(tenant);
    const other = tenant.mailboxes[1]?.id ?? "";
    expect(await apply<RefusalBody>(tenant, code, { mailbox: other })).toMatchObject({ status: 403 });
    await ask(tenant, { oversight_mode: "autonomous" }, { mailbox: other });
    expect(await apply<RefusalBody>(tenant, code, { mailbox: other })).toMatchObject({ status: 403 });
  });

  test("not for another change: a second request takes the first one's place", async () => {
    const tenant = await makeTenant();
    await ask(tenant, { oversight_mode: "monitored" });
    const first = await lastCode(tenant);
    await ask(tenant, { oversight_mode: "autonomous" });
    const second = await lastCode(tenant);
    expect((await apply<RefusalBody>(tenant, first)).status).toBe(403);
    expect((await apply(tenant, second)).body.oversight_mode).toBe("autonomous");
    expect((await apply<RefusalBody>(tenant, first)).body).toMatchObject({ code: "invalid_approval_code" });
  });

  test("not as the code of an administrator's change, nor the other way round", async () => {
    const tenant = await makeTenant();
    const update = (approval_code?: string) =>
      call<RefusalBody>(`/v1/mailboxes/${tenant.mailbox.id}`, {
        method: "PATCH",
        key: keyOf(tenant, "admin"),
        json: { oversight_mode: "monitored", ...(approval_code && { approval_code }) },
      });
    await ask(tenant, { oversight_mode: "monitored" }, { key: "admin" });
    const forUpgrade = await lastCode(tenant);
    expect(await update(forUpgrade)).toMatchObject({ status: 403 });
    expect(await update()).toMatchObject({ status: 202 });
    const forUpdate = await lastCode(tenant);
    expect((await apply(tenant, forUpdate, { key: "admin" })).status).toBe(403);
    expect(await modeOf(tenant)).toBe("gated_send");
  });

  test("not once the mailbox was tightened: it would give away more than the operator read", async () => {
    const tenant = await makeTenant();
    await ask(tenant, { oversight_mode: "autonomous" });
    const code = await lastCode(tenant);
    await call(`/v1/mailboxes/${tenant.mailbox.id}`, {
      method: "PATCH",
      key: keyOf(tenant, "admin"),
      json: { oversight_mode: "read_only" },
    });
    expect(await apply<RefusalBody>(tenant, code)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect(await modeOf(tenant)).toBe("read_only");
  });

  test("not after five wrong tries", async () => {
    const tenant = await makeTenant();
    await ask(tenant);
    const code = await lastCode(tenant);
    for (let i = 0; i < 5; i++) {
      expect(await apply<RefusalBody>(tenant, otherThan(code))).toMatchObject({
        status: 403,
        body: { code: "invalid_approval_code", hint: expect.stringContaining("request_upgrade") },
      });
    }
    expect((await apply<RefusalBody>(tenant, code)).status).toBe(403);
    expect(await modeOf(tenant)).toBe("gated_send");
  });

  test.each([
    [24 * HOUR - 60_000, 200],
    [24 * HOUR, 403],
  ])("not after 24 hours: %i ms later it answers %i", async (ms, status) => {
    const tenant = await makeTenant();
    await ask(tenant);
    const code = await lastCode(tenant);
    await advanceTenant(tenant, ms);
    expect((await apply(tenant, code)).status).toBe(status);
  });

  test("not where nothing was asked for", async () => {
    const tenant = await makeTenant();
    expect(await apply<RefusalBody>(tenant, "12345678")).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
  });
});

describe("asking is limited", () => {
  test("to five codes an hour, which take none from an administrator", async () => {
    const tenant = await makeTenant();
    for (let i = 0; i < 5; i++) expect((await ask(tenant)).status).toBe(202);
    const refused = await ask<RefusalBody>(tenant);
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(refused.headers.get("retry-after")).toBe("3600");
    expect(await receivedFor(tenant.operator_email)).toHaveLength(5);
    const update = await call(`/v1/mailboxes/${tenant.mailbox.id}`, {
      method: "PATCH",
      key: keyOf(tenant, "admin"),
      json: { oversight_mode: "monitored" },
    });
    expect(update.status).toBe(202);
    await advanceTenant(tenant, HOUR + 1_000);
    expect((await ask(tenant)).status).toBe(202);
  });

  test("to what a key may use", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
      { name: "bound", scopes: ["send"], mailboxes: [second] },
    ]);
    const foreign = await makeTenant();
    expect(await ask<RefusalBody>(tenant, undefined, { key: "bound" })).toMatchObject({
      status: 403,
      body: { code: "mailbox_not_allowed" },
    });
    expect(await apply<RefusalBody>(tenant, "12345678", { key: "bound" })).toMatchObject({
      status: 403,
      body: { code: "mailbox_not_allowed" },
    });
    expect(await ask<RefusalBody>(tenant, undefined, { mailbox: foreign.mailbox.id })).toMatchObject({ status: 404 });
    for (const key of ["read", "oversight"]) {
      expect(await ask<RefusalBody>(tenant, undefined, { key })).toMatchObject({ body: { code: "missing_scope" } });
    }
    expect(await receivedFor(tenant.operator_email)).toEqual([]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["what is no looser", { oversight_mode: "gated_send" }, ""],
    ["what is stricter", { oversight_mode: "read_only" }, ""],
    ["no mode", {}, "oversight_mode"],
    ["an unknown mode", { oversight_mode: "free" }, "oversight_mode"],
    ["two modes", { oversight_mode: "monitored", mode: "autonomous" }, "mode"],
    ["a reason as long as a book", { oversight_mode: "monitored", reason: "a".repeat(2049) }, "reason"],
    ["other settings", { oversight_mode: "monitored", quorum: 1 }, "quorum"],
  ])("to what gives more rope, asked for in words that are understood: %s is a 422", async (_what, json, path) => {
    const tenant = await makeTenant();
    const refused = await ask<RefusalBody>(tenant, json);
    expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    if (path) expect(refused.body.issues?.map((issue) => issue.path)).toContain(path);
    else expect(refused.body.hint).toContain("update_mailbox");
    expect(await receivedFor(tenant.operator_email)).toEqual([]);
  });
});

test("what was asked, redeemed and refused is in the audit log, the code nowhere", async () => {
  const tenant = await makeTenant();
  await ask(tenant);
  const code = await lastCode(tenant);
  await apply(tenant, otherThan(code));
  await apply(tenant, code);
  await inTenant(tenant, (object) => object.settled());
  const { results } = await env.DB.prepare("SELECT action, entry FROM audit_log WHERE log = ? ORDER BY seq")
    .bind(tenant.id)
    .all<{ action: string; entry: string }>();
  const actions = results.map(({ action }) => action).filter((action) => action.startsWith("operator."));
  expect(actions).toEqual(["operator.asked", "operator.code_refused", "operator.confirmed"]);
  expect(results.map(({ entry }) => entry).join()).not.toContain(code);
});
