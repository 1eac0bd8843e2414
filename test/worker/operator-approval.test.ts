import { describe, expect, test } from "vitest";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import {
  type Answer,
  call,
  keyOf,
  localPart,
  makeTenant,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { lastCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** No key loosens its own rope: each loosening waits for a code that only the operator is mailed. */

interface Loosening {
  path: string;
  method: string;
  json: Record<string, unknown>;
}

function ask<Body>(
  tenant: TestTenant,
  { path, method, json }: Loosening,
  more: Record<string, unknown> = {},
  key = "admin",
): Promise<Answer<Body>> {
  return call<Body>(path, { method, key: keyOf(tenant, key), json: { ...json, ...more } });
}

const create = (json: Record<string, unknown>): Loosening => ({
  path: "/v1/mailboxes",
  method: "POST",
  json: { address_local: localPart(), ...json },
});
const key = (json: Record<string, unknown>): Loosening => ({
  path: "/v1/api-keys",
  method: "POST",
  json: { name: "new", ...json },
});
const update = ({ mailbox }: TestTenant, json: Record<string, unknown>): Loosening => ({
  path: `/v1/mailboxes/${mailbox.id}`,
  method: "PATCH",
  json,
});

const LOOSENINGS: [string, (tenant: TestTenant) => Loosening, RegExp][] = [
  ["a new monitored mailbox", () => create({ oversight_mode: "monitored" }), /monitored/],
  ["a new autonomous mailbox", () => create({ oversight_mode: "autonomous" }), /autonomous/],
  ["a new mailbox where programs decide", () => create({ oversight_keys_may_decide: true }), /oversight key/],
  ["a new mailbox without disclosure", () => create({ ai_disclosure: false }), /AI/],
  ["a new mailbox without identity signatures", () => create({ identity_signing: false }), /identity/],
  ["a new mailbox with copies", () => create({ auto_cc: "eve@evil.example" }), /eve@evil\.example/],
  ["a new mailbox with hidden copies", () => create({ auto_bcc: ["eve@evil.example"] }), /eve@evil\.example/],
  ["a looser mode", (tenant) => update(tenant, { oversight_mode: "autonomous" }), /autonomous/],
  [
    "another approver",
    (tenant) => update(tenant, { approver_email: "accomplice@people.example" }),
    /accomplice@people\.example/,
  ],
  ["copies", (tenant) => update(tenant, { auto_cc: ["eve@evil.example"] }), /eve@evil\.example/],
  ["no disclosure", (tenant) => update(tenant, { ai_disclosure: false }), /AI/],
  [
    "several approvers",
    (tenant) => update(tenant, { approvers: ["approver@people.example", "second@people.example"] }),
    /second@people\.example becomes an approver/,
  ],
  ["no expiry", (tenant) => update(tenant, { expires_after: null }), /for ever/],
  ["people asked in turn", (tenant) => update(tenant, { escalate_after: 3600 }), /after 1 hour/],
  ["a daily digest", (tenant) => update(tenant, { notify: "daily" }), /once a day/],
  [
    "somebody who stands in",
    (tenant) =>
      update(tenant, {
        delegations: [
          {
            approver: "approver@people.example",
            delegate: "friend@people.example",
            from: "2026-12-01T00:00:00+01:00",
            until: "2026-12-24T00:00:00Z",
          },
        ],
      }),
    /friend@people\.example decides in place of approver@people\.example from 2026-11-30T23/,
  ],
  ["a new mailbox where nothing expires", () => create({ expires_after: null }), /for ever/],
  ["a new mailbox with a digest", () => create({ notify: "hourly" }), /once an hour/],
  ["an oversight key", () => key({ scopes: ["oversight"] }), /oversight/],
  ["an admin key", () => key({ scopes: ["read", "admin"] }), /admin/],
];

describe.each(LOOSENINGS)("%s", (_what, looseningOf, words) => {
  test("waits for the operator's code, and happens once with it", async () => {
    const tenant = await makeTenant();
    const loosening = looseningOf(tenant);
    const before = await storedCounts();
    const asked = await ask<{ status: string; change: string; sent_to: string }>(tenant, loosening);
    expect(asked).toMatchObject({
      status: 202,
      body: { status: "pending_approval", sent_to: tenant.operator_email, change: expect.stringMatching(words) },
    });
    expect(JSON.stringify(asked.body)).not.toMatch(/\b\d{8}\b/);
    expect(await storedCounts()).toEqual(before);

    const approval_code = await lastCode(tenant);
    const wrong = approval_code === "00000000" ? "11111111" : "00000000";
    expect(await ask(tenant, loosening, { approval_code: wrong })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_code" },
    });
    expect(
      (await ask(tenant, loosening, { approval_code, display_name: "x", name: "x" })).status,
    ).toBeGreaterThanOrEqual(400);
    expect(await storedCounts()).toEqual(before);
    const done = await ask<Record<string, unknown>>(tenant, loosening, { approval_code });
    expect([200, 201], JSON.stringify(done.body)).toContain(done.status);
    expect(done.body).not.toHaveProperty("status");
  });
});

test("a code is for exactly one change by exactly one key", async () => {
  const tenant = await makeTenant(["gated_send"], () => [{ name: "second admin", scopes: ["admin"] }]);
  const wanted = update(tenant, { oversight_mode: "monitored" });
  await ask(tenant, wanted);
  const approval_code = await lastCode(tenant);
  expect((await ask(tenant, wanted, { approval_code }, "second admin")).body).toMatchObject({
    code: "invalid_approval_code",
  });
  expect((await ask(tenant, wanted, { approval_code, oversight_mode: "autonomous" })).body).toMatchObject({
    code: "invalid_approval_code",
  });
  expect((await ask<Mailbox>(tenant, wanted, { approval_code })).body.oversight_mode).toBe("monitored");
  await ask(tenant, update(tenant, { oversight_mode: "gated_send" }));
  expect((await ask(tenant, wanted, { approval_code })).body).toMatchObject({ code: "invalid_approval_code" });
});

describe("what needs no code", () => {
  test("tightening, and modes up to gated_send", async () => {
    const tenant = await makeTenant(["autonomous"]);
    for (const oversight_mode of ["gated_send", "gated_all", "read_only"] as const) {
      expect(
        (await ask<Mailbox>(tenant, update(tenant, { oversight_mode, oversight_keys_may_decide: false }))).body,
      ).toMatchObject({ oversight_mode });
      expect((await ask<Mailbox>(tenant, create({ oversight_mode }))).status).toBe(201);
    }
    expect(await receivedFor(tenant.operator_email)).toEqual([]);
  });

  test("an approver whom the operator has not confirmed is taken, but marked; one they have is not", async () => {
    const tenant = await makeTenant();
    const stranger = await ask<Mailbox>(tenant, create({ approver_email: "Stranger <stranger@people.example>" }));
    expect(stranger).toMatchObject({
      status: 201,
      body: { approver_email: "stranger@people.example", approver_pending: true },
    });
    const known = await ask<Mailbox>(tenant, create({ approver_email: "approver@people.example" }));
    expect(known).toMatchObject({ status: 201, body: { approver_pending: false } });
  });

  test("a code that names the approver confirms them", async () => {
    const tenant = await makeTenant();
    const wanted = create({ oversight_mode: "monitored", approver_email: "stranger@people.example" });
    expect((await ask<{ change: string }>(tenant, wanted)).body.change).toContain("stranger@people.example");
    const made = await ask<Mailbox>(tenant, wanted, { approval_code: await lastCode(tenant) });
    expect(made).toMatchObject({ status: 201, body: { approver_pending: false, oversight_mode: "monitored" } });
  });

  test("repeating a call whose mailbox the operator allowed already", async () => {
    const tenant = await makeTenant();
    const wanted = create({ oversight_mode: "autonomous" });
    await ask(tenant, wanted);
    const made = await ask<Mailbox>(tenant, wanted, { approval_code: await lastCode(tenant) });
    expect(await ask<Mailbox>(tenant, wanted)).toMatchObject({
      status: 200,
      body: { id: made.body.id, idempotent: true },
    });
  });
});

describe("a new key", () => {
  test("is never more than its maker: mailboxes, agent, and leaving the sandbox", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"], ([first]) => [
      { name: "bound", scopes: ["admin"], mailboxes: [first], agent_id: "alice" },
      { name: "sandbox", scopes: ["admin"], test: true },
    ]);
    const [first, second] = tenant.mailboxes.map(({ id }) => id);
    const wanted = key({ scopes: ["send"] });
    expect((await ask<ApiKey>(tenant, wanted, {}, "bound")).body).toMatchObject({
      mailbox_ids: [first],
      agent_id: "alice",
    });
    expect(await ask(tenant, wanted, { mailbox_ids: [second] }, "bound")).toMatchObject({
      status: 403,
      body: { code: "mailbox_not_allowed" },
    });
    expect(await ask(tenant, wanted, { agent_id: "bob" }, "bound")).toMatchObject({
      status: 403,
      body: { code: "agent_not_allowed" },
    });
    expect((await ask<ApiKey>(tenant, wanted, {}, "sandbox")).body).toMatchObject({ test: true });
    expect(await ask(tenant, wanted, { test: false }, "sandbox")).toMatchObject({
      status: 202,
      body: { status: "pending_approval" },
    });
  });

  test("is shown once and works at once", async () => {
    const tenant = await makeTenant();
    const made = await ask<ApiKey & { key: string }>(tenant, key({ scopes: ["read"] }));
    expect(made.status).toBe(201);
    expect((await call("/v1/account", { key: made.body.key })).status).toBe(200);
    const listed = await call("/v1/api-keys", { key: keyOf(tenant, "admin") });
    expect(JSON.stringify(listed.body)).not.toContain(made.body.key);
  });
});
