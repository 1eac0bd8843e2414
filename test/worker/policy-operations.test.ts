import { describe, expect, test } from "vitest";
import type { MailboxRecord } from "../../src/operations/shapes/mailbox.ts";
import type { AllowlistEntry } from "../../src/operations/shapes/recipient-lists.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { OPEN_POLICY, type Policy } from "../../src/oversight/rules/policy-type.ts";
import { type Answer, call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** A mailbox's rules and its allowlist: whoever tightens does it at once, whoever loosens needs the operator's code. */

function policyPath({ mailbox }: TestTenant): string {
  return `/v1/mailboxes/${mailbox.id}/policy`;
}

function allowlistPath({ mailbox }: TestTenant, entry = ""): string {
  return `/v1/mailboxes/${mailbox.id}/allowlist${entry && `/${entry}`}`;
}

function set<Body = Policy>(tenant: TestTenant, json: Record<string, unknown>, key = "admin"): Promise<Answer<Body>> {
  return call<Body>(policyPath(tenant), { method: "PUT", key: keyOf(tenant, key), json });
}

const STRICT = {
  templates_only: false,
  risk_hold: 0.3,
  risk_block: 0.8,
  new_recipients: "hold",
  blocklist: ["rival.example", "*@Spam.example"],
  content: [{ name: "prices", keywords: ["discount"], action: "hold" }],
  attachments: [{ name: "programs", types: [".exe"], action: "block" }],
  sending_hours: { time_zone: "Europe/Madrid", from: "09:00", until: "18:00" },
  budgets: { per_day: 20 },
  fall_back: { mode: "gated_send", bounces: 3, days: 7 },
};

test("a new mailbox has no rules of its own", async () => {
  const tenant = await makeTenant();
  const read = await call<Policy>(policyPath(tenant), { key: keyOf(tenant, "read") });
  expect(read).toMatchObject({ status: 200, body: OPEN_POLICY });
});

test("rules that only tighten are set at once, whole, and the mailbox shows the risk that blocks", async () => {
  const tenant = await makeTenant();
  const answer = await set(tenant, STRICT);
  expect(answer, JSON.stringify(answer.body)).toMatchObject({
    status: 200,
    body: { ...STRICT, blocklist: ["rival.example", "*@spam.example"], budgets: { per_hour: null, per_day: 20 } },
  });
  expect((await call(policyPath(tenant), { key: keyOf(tenant, "read") })).body).toEqual(answer.body);
  expect((await call(`/v1/mailboxes/${tenant.mailbox.id}`, { key: keyOf(tenant, "read") })).body).toMatchObject({
    risk_threshold: 0.8,
  });
  expect((await set(tenant, answer.body as unknown as Record<string, unknown>)).body).toEqual(answer.body);
  expect(await receivedFor(tenant.operator_email)).toEqual([]);
});

describe("a rule that goes, or gets weaker, waits for the operator's code", () => {
  test.each<[string, Record<string, unknown>]>([
    ["none at all", {}],
    ["a smaller blocklist", { ...STRICT, blocklist: ["rival.example"] }],
    ["a larger budget", { ...STRICT, budgets: { per_day: 21 } }],
    ["a higher threshold", { ...STRICT, risk_hold: 0.4 }],
    ["no fall-back", { ...STRICT, fall_back: null }],
    ["longer hours", { ...STRICT, sending_hours: { ...STRICT.sending_hours, until: "19:00" } }],
  ])("%s", async (_what, json) => {
    const tenant = await makeTenant();
    const before = await set(tenant, STRICT);
    const asked = await set<{ change: string }>(tenant, json);
    expect(asked).toMatchObject({ status: 202, body: { status: "pending_approval", sent_to: tenant.operator_email } });
    expect(asked.body.change).toContain(tenant.mailbox.address);
    expect((await call(policyPath(tenant), { key: keyOf(tenant, "read") })).body).toEqual(before.body);
    const approval_code = await lastCode(tenant);
    const other = await set<RefusalBody>(tenant, { ...json, templates_only: true, approval_code });
    expect(other).toMatchObject({ status: 403, body: { code: "invalid_approval_code" } });
    const done = await set(tenant, { ...json, approval_code });
    expect(done.status).toBe(200);
  });

  test("a code fits no policy that was tightened in between", async () => {
    const tenant = await makeTenant();
    await set(tenant, { budgets: { per_day: 20 } });
    const wish = { budgets: { per_day: 50 } };
    await set(tenant, wish);
    const approval_code = await lastCode(tenant);
    await set(tenant, { budgets: { per_day: 2 } });
    expect(await set(tenant, { ...wish, approval_code })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
    expect((await call<Policy>(policyPath(tenant), { key: keyOf(tenant, "read") })).body.budgets.per_day).toBe(2);
  });
});

describe("a policy that cannot be is a 422 that says where, and changes nothing", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["a pattern that cannot be read", { content: [{ name: "a", pattern: "(a" }] }, "content.0.pattern"],
    ["a pattern that could run long", { content: [{ name: "a", pattern: "(a)\\1" }] }, "content.0.pattern"],
    [
      "a pattern of more than 200 characters",
      { content: [{ name: "a", pattern: "a".repeat(201) }] },
      "content.0.pattern",
    ],
    ["a blocked recipient who is none", { blocklist: ["rival.example", "rival"] }, "blocklist.1"],
    ["everybody blocked", { blocklist: ["*"] }, "blocklist.0"],
    ["a risk above one", { risk_block: 1.1 }, "risk_block"],
    [
      "a time zone of no place",
      { sending_hours: { time_zone: "Mars", from: "09:00", until: "10:00" } },
      "sending_hours.time_zone",
    ],
    ["a time of no day", { sending_hours: { time_zone: "UTC", from: "24:00", until: "10:00" } }, "sending_hours.from"],
    ["half a message", { budgets: { per_day: 0.5 } }, "budgets.per_day"],
    ["an unknown rule", { colour: "red" }, "colour"],
  ])("%s", async (_what, json, path) => {
    const tenant = await makeTenant();
    const refused = await set<RefusalBody>(tenant, json);
    expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    expect(refused.body.issues?.map((issue) => issue.path)).toContain(path);
    expect((await call(policyPath(tenant), { key: keyOf(tenant, "read") })).body).toEqual(OPEN_POLICY);
  });
});

describe("the allowlist", () => {
  function add<Body = AllowlistEntry>(tenant: TestTenant, json: Record<string, unknown>): Promise<Answer<Body>> {
    return call<Body>(allowlistPath(tenant), { method: "POST", key: keyOf(tenant, "admin"), json });
  }

  test("takes an address, a domain or a glob in its normal form, each with the operator's code", async () => {
    const tenant = await makeTenant();
    const entries: AllowlistEntry[] = [];
    for (const [given, recipient] of [
      ["Ana <ana@Customer.example>", null],
      ["Ana@Customer.example", "ana@customer.example"],
      ["@bücher.example", "xn--bcher-kva.example"],
      ["*.Customer.example", "*.customer.example"],
    ] as const) {
      if (recipient === null) {
        expect(await add<RefusalBody>(tenant, { recipient: given })).toMatchObject({ status: 422 });
        continue;
      }
      const made = await withCode<AllowlistEntry>(tenant, allowlistPath(tenant), {
        key: keyOf(tenant, "admin"),
        json: { recipient: given, note: "as agreed" },
      });
      expect(made, JSON.stringify(made.body)).toMatchObject({ status: 201, body: { recipient, note: "as agreed" } });
      expect(made.body.approval_ref).toMatch(/^apr_/);
      entries.push(made.body);
    }
    expect(await add(tenant, { address: "ANA@customer.example" })).toMatchObject({ status: 200, body: entries[0] });

    const first = await call<{ entries: AllowlistEntry[]; cursor: string }>(`${allowlistPath(tenant)}?limit=2`, {
      key: keyOf(tenant, "read"),
    });
    const rest = await call<{ entries: AllowlistEntry[]; cursor: null }>(
      `${allowlistPath(tenant)}?limit=2&cursor=${first.body.cursor}`,
      { key: keyOf(tenant, "read") },
    );
    expect([...first.body.entries, ...rest.body.entries]).toEqual(entries);
    expect(rest.body.cursor).toBeNull();
  });

  test("adds nothing without a code, and nothing else with one", async () => {
    const tenant = await makeTenant();
    const asked = await add<{ change: string }>(tenant, { recipient: "*@customer.example" });
    expect(asked).toMatchObject({ status: 202, body: { status: "pending_approval" } });
    expect(asked.body.change).toContain("*@customer.example");
    const approval_code = await lastCode(tenant);
    expect(await add(tenant, { recipient: "*.example", approval_code })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
    const listed = await call<{ entries: unknown[] }>(allowlistPath(tenant), { key: keyOf(tenant, "read") });
    expect(listed.body.entries).toEqual([]);
  });

  test.each([
    ["no recipient", {}, "recipient"],
    ["no address, domain or glob", { recipient: "everyone" }, "recipient"],
    ["everybody", { recipient: "*" }, "recipient"],
    ["everybody at every domain", { pattern: "*@*" }, "pattern"],
    ["two that differ", { recipient: "a@x.example", address: "b@x.example" }, "address"],
    ["a line break", { recipient: "ana@customer.example\r\nbcc: x@evil.example" }, "recipient"],
  ])("refuses %s and says where", async (_what, json, path) => {
    const tenant = await makeTenant();
    const refused = await add<RefusalBody>(tenant, json);
    expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    expect(refused.body.issues?.map((issue) => issue.path)).toContain(path);
  });

  test("lets mail leave that only the mode would hold, and removing an entry takes it back at once", async () => {
    const tenant = await makeTenant();
    const made = await withCode<AllowlistEntry>(tenant, allowlistPath(tenant), {
      key: keyOf(tenant, "admin"),
      json: { recipient: "customer.example" },
    });
    const send = () =>
      call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
        key: keyOf(tenant, "send"),
        json: { to: "ana@customer.example", subject: "Offer", text: "Hello" },
      });
    expect((await send()).body).toMatchObject({ approval_ref: made.body.approval_ref });
    const gone = await call<AllowlistEntry>(allowlistPath(tenant, made.body.id), {
      method: "DELETE",
      key: keyOf(tenant, "admin"),
    });
    expect(gone).toMatchObject({ status: 200, body: made.body });
    expect((await send()).body).toMatchObject({ status: "pending_send_approval", approval_ref: null });
    expect(
      await call(allowlistPath(tenant, made.body.id), { method: "DELETE", key: keyOf(tenant, "admin") }),
    ).toMatchObject({ status: 404 });
  });

  test("an entry of another mailbox is not there", async () => {
    const [home, foreign] = [await makeTenant(["gated_send", "gated_send"]), await makeTenant()];
    const made = await withCode<AllowlistEntry>(foreign, allowlistPath(foreign), {
      key: keyOf(foreign, "admin"),
      json: { recipient: "customer.example" },
    });
    for (const { id } of home.mailboxes) {
      expect(
        await call(`/v1/mailboxes/${id}/allowlist/${made.body.id}`, { method: "DELETE", key: keyOf(home, "admin") }),
      ).toMatchObject({ status: 404, body: { code: "not_found" } });
    }
  });
});

test("a new mailbox's record is empty, and says over how many days", async () => {
  const tenant = await makeTenant();
  const read = await call<MailboxRecord>(`/v1/mailboxes/${tenant.mailbox.id}/record`, { key: keyOf(tenant, "read") });
  expect(read).toMatchObject({
    status: 200,
    body: { days: 30, sent: 0, approved: 0, bounced: 0, complained: 0, approval_rate: null, edit_rate: null },
  });
});

test("an agent's key neither sets rules nor allows recipients", async () => {
  const tenant = await makeTenant();
  for (const name of ["agent", "send", "read", "oversight"]) {
    expect(await set(tenant, STRICT, name)).toMatchObject({ status: 403, body: { code: "missing_scope" } });
    expect(
      await call(allowlistPath(tenant), { key: keyOf(tenant, name), json: { recipient: "customer.example" } }),
    ).toMatchObject({ status: 403, body: { code: "missing_scope" } });
  }
});
