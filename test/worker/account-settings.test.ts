import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { Account } from "../../src/operations/shapes/account.ts";
import { runTenant } from "../support/console-client.ts";
import { call, keyOf, localPart, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";
import { inTenant } from "../support/tenant-harness.ts";

/** What an account decides for its logs: what tightens is done at once, what loosens waits for the operator. */

const DAY = 24 * 3600_000;

function change(tenant: TestTenant, json: Record<string, unknown>) {
  return call<Account>("/v1/account", { method: "PATCH", key: keyOf(tenant, "admin"), json });
}

async function accountOf(tenant: TestTenant): Promise<Account> {
  return (await call<Account>("/v1/account", { key: keyOf(tenant, "read") })).body;
}

describe.each([
  ["audit_retention_days", { from: 400, tighter: 500, looser: 90 }],
  ["legal_hold", { from: false, tighter: true, looser: false }],
  ["auditor_email", { from: null, tighter: "auditor@people.example", looser: "accomplice@people.example" }],
] as const)("%s", (name, { tighter, looser }) => {
  test("is tightened at once; loosening it changes nothing without the operator's code, and only that with it", async () => {
    const tenant = await makeTenant();
    if (name === "audit_retention_days") {
      const options = { method: "PATCH" as const, key: keyOf(tenant, "admin"), json: { [name]: 400 } };
      expect(await withCode<Account>(tenant, "/v1/account", options)).toMatchObject({
        status: 200,
        body: { [name]: 400 },
      });
    }
    expect(await change(tenant, { [name]: tighter })).toMatchObject({ status: 200, body: { [name]: tighter } });
    expect((await change(tenant, { [name]: looser })).status).toBe(202);
    expect(await accountOf(tenant)).toMatchObject({ [name]: tighter });
    const approval_code = await lastCode(tenant);
    // Bound to exactly this change.
    const other = await change(tenant, { [name]: looser, postal_address: "Acme, 1 Street", approval_code });
    expect(other).toMatchObject({ status: 403, body: { code: "invalid_approval_code" } });
    expect(await change(tenant, { [name]: looser, approval_code })).toMatchObject({
      status: 200,
      body: { [name]: looser },
    });
  });
});

test("the code's mail says in words what is given away", async () => {
  const tenant = await makeTenant();
  await change(tenant, { auditor_email: "auditor@people.example", legal_hold: true });
  const asked = await change(tenant, { auditor_email: null, legal_hold: false, audit_retention_days: 30 });
  expect(asked.body).toMatchObject({
    change:
      "For the whole account: let audit entries leave the service's own database 30 days after they were written (until now: never); sealed copies stay in R2; and lift the account's legal hold, so that data may be erased; and no longer mail the audit log's checkpoints to auditor@people.example.",
  });
});

test.each([
  ["a period under a month", { audit_retention_days: 29 }],
  ["a period of no days", { audit_retention_days: 0 }],
  ["half a day", { audit_retention_days: 45.5 }],
  ["an auditor without an address", { auditor_email: "nobody" }],
  ["a witness whose key checks logs, not checkpoints of others", { witnesses: ["x+00000000+AAAA"] }],
  ["a legal hold that is a word", { legal_hold: "yes please" }],
])("%s is refused and changes nothing", async (_what, json) => {
  const tenant = await makeTenant();
  const before = await accountOf(tenant);
  expect((await change(tenant, json)).status).toBe(422);
  expect(await accountOf(tenant)).toEqual(before);
});

test("every change is an entry, and what says something of a person is sealed in it", async () => {
  const tenant = await makeTenant();
  const auditor_email = `${localPart("auditor")}@people.example`;
  await change(tenant, { auditor_email, legal_hold: true });
  await inTenant(tenant.id, (object) => object.settled());
  const row = await env.DB.prepare("SELECT entry FROM audit_log WHERE log = ? AND action = 'account.updated'")
    .bind(tenant.id)
    .first<{ entry: string }>();
  expect(JSON.parse(row?.entry ?? "{}")).toMatchObject({
    detail: { changed: ["legal_hold", "auditor_email"], legal_hold: true },
    sealed: { ct: expect.any(String) },
  });
  expect(row?.entry).not.toContain(auditor_email);
});

test("a code that was brought is on record with the entry of the question that it answers", async () => {
  const tenant = await makeTenant();
  const options = { method: "PATCH" as const, key: keyOf(tenant, "admin"), json: { audit_retention_days: 400 } };
  await change(tenant, { audit_retention_days: 300 });
  await withCode<Account>(tenant, "/v1/account", options);
  await inTenant(tenant.id, (object) => object.settled());
  const { results } = await env.DB.prepare(
    "SELECT id, action, entry FROM audit_log WHERE log = ? AND action LIKE 'operator.%' ORDER BY seq",
  )
    .bind(tenant.id)
    .all<{ id: string; action: string; entry: string }>();
  expect(results.map(({ action }) => action)).toEqual(["operator.asked", "operator.asked", "operator.confirmed"]);
  expect(JSON.parse(results[2]?.entry ?? "{}").detail).toEqual({ asked: results[1]?.id });
});

describe("the auditor", () => {
  async function audited() {
    const tenant = await makeTenant();
    const auditor_email = `${localPart("auditor")}@people.example`;
    await change(tenant, { auditor_email });
    return { tenant, auditor_email };
  }

  async function daysLater(tenant: TestTenant, days: number): Promise<void> {
    await inTenant(tenant.id, (object) => {
      object.clock = () => Date.now() + days * DAY;
    });
    // The checkpoint first, then the mail that it asks for.
    await runTenant(tenant.id);
    await inTenant(tenant.id, (object) => {
      object.clock = () => Date.now() + (days + 1) * DAY;
    });
    await runTenant(tenant.id);
  }

  test("is mailed the newest checkpoint a day later, and no second one while nothing is new", async () => {
    const { tenant, auditor_email } = await audited();
    await daysLater(tenant, 1);
    const mails = await receivedFor(auditor_email);
    expect(mails).toHaveLength(1);
    // That the mail was sent is an entry too, which must not ask for the next mail.
    await daysLater(tenant, 3);
    await daysLater(tenant, 5);
    expect(await receivedFor(auditor_email)).toHaveLength(1);
    await change(tenant, { postal_address: "Acme, 1 Street" });
    await daysLater(tenant, 7);
    expect(await receivedFor(auditor_email)).toHaveLength(2);
    const { body } = await call<{ verifier_key: string }>(`/v1/audit-log/verifier-key?log=${tenant.id}`);
    const text = mails[0]?.raw.replace(/=\r\n/g, "").replace(/=3D/g, "=") ?? "";
    expect(text).toContain(body.verifier_key);
    expect(text).toContain(`/logs/${tenant.id}`);
  });
});
