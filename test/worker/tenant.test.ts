import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { caller, codeOf, setUpDomain } from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

async function makeTenant() {
  await setUpDomain();
  const id = newId("ten", Date.now());
  const operator_email = `operator-${id.slice(-8).toLowerCase()}@people.example`;
  const tenant = env.TENANT.getByName(id);
  unwrap(await tenant.provision({ id, name: "Acme", operator_email, confirmed_approvers: ["boss@people.example"] }));
  return { id, tenant, operator_email, admin: caller(id, ["admin"]) };
}

async function lastCode(operator: string): Promise<string> {
  const mails = await receivedFor(operator);
  return /\b(\d{8}|\d{4}[ -]\d{4})\b/.exec(mails.at(-1)?.raw ?? "")?.[1]?.replace(/[ -]/, "") ?? "";
}

describe("keys", () => {
  const wanted = { name: "agent", mailbox_ids: null, agent_id: null, test: false };

  test("are told once and stored as their SHA-256 only", async () => {
    const { tenant, admin } = await makeTenant();
    const { key, id } = unwrap(await tenant.createKey(null, { ...wanted, scopes: ["read", "send"] }));
    expect(key).toMatch(/^mm_live_[A-Za-z0-9_-]{43}$/);
    const row = await env.DB.prepare("SELECT * FROM api_keys WHERE id = ?").bind(id).first();
    expect(JSON.stringify(row)).not.toContain(key);
    const listed = unwrap(await tenant.listKeys(admin, { limit: 10, cursor: null }));
    expect(JSON.stringify(listed)).not.toContain(key.slice(12));
    expect(JSON.stringify(listed)).not.toContain("hash");
  });

  test("never hold send and oversight together", async () => {
    const { tenant } = await makeTenant();
    expect(codeOf(await tenant.createKey(null, { ...wanted, scopes: ["send", "oversight"] }))).toBe(
      "conflicting_scopes",
    );
  });

  test("are revoked in D1 when the call returns, for good", async () => {
    const { tenant, admin } = await makeTenant();
    const { id } = unwrap(await tenant.createKey(null, { ...wanted, scopes: ["read"] }));
    const revoked = unwrap(await tenant.revokeKey(admin, id));
    expect(revoked.revoked_at).not.toBeNull();
    expect(await env.DB.prepare("SELECT revoked_at FROM api_keys WHERE id = ?").bind(id).first("revoked_at")).toBe(
      revoked.revoked_at,
    );
    expect(unwrap(await tenant.revokeKey(admin, id))).toEqual(revoked);
  });

  test("of another tenant do not exist", async () => {
    const { tenant } = await makeTenant();
    const { id } = unwrap(await tenant.createKey(null, { ...wanted, scopes: ["read"] }));
    const stranger = caller(newId("ten", 1), ["admin"]);
    expect(codeOf(await tenant.revokeKey(stranger, id))).toBe("not_found");
    expect(codeOf(await tenant.account(stranger))).toBe("not_found");
  });
});

describe("the operator's one-time codes", () => {
  const change = '{"operation":"update_mailbox"}';

  test("are mailed, say the change in words, and let exactly that change through once", async () => {
    const { tenant, admin, operator_email } = await makeTenant();
    const asked = unwrap(await tenant.askOperator(admin, change, "The mailbox a@agents.test becomes autonomous."));
    expect(asked.sent_to).toBe(operator_email);
    const [mail] = await receivedFor(operator_email);
    expect(mail?.raw).toContain("becomes autonomous");
    const code = await lastCode(operator_email);
    expect(codeOf(await tenant.redeemCode(admin, `${change} `, code))).toBe("invalid_approval_code");
    expect(codeOf(await tenant.redeemCode(caller(admin.tenant_id, ["admin"]), change, code))).toBe(
      "invalid_approval_code",
    );
    expect(codeOf(await tenant.redeemCode(admin, change, code))).toBe("ok");
    expect(codeOf(await tenant.redeemCode(admin, change, code))).toBe("invalid_approval_code");
  });

  test("die after five wrong tries", async () => {
    const { tenant, admin, operator_email } = await makeTenant();
    unwrap(await tenant.askOperator(admin, change, "x"));
    const code = await lastCode(operator_email);
    for (let i = 0; i < 5; i++)
      expect(codeOf(await tenant.redeemCode(admin, change, "00000000"))).toBe("invalid_approval_code");
    expect(codeOf(await tenant.redeemCode(admin, change, code))).toBe("invalid_approval_code");
  });

  test("are asked for at most five times an hour", async () => {
    const { tenant, admin } = await makeTenant();
    for (let i = 0; i < 5; i++) unwrap(await tenant.askOperator(admin, `${change}${i}`, "x"));
    expect(codeOf(await tenant.askOperator(admin, change, "x"))).toBe("rate_limited");
  });

  test("are in no table, log or audit entry", async () => {
    const { id, tenant, admin, operator_email } = await makeTenant();
    unwrap(await tenant.askOperator(admin, change, "x"));
    const code = await lastCode(operator_email);
    expect(code).toMatch(/^\d{8}$/);
    const { results } = await env.DB.prepare("SELECT entry FROM audit_log WHERE tenant_id = ?").bind(id).all();
    expect(JSON.stringify(results)).not.toContain(code);
  });
});

test("who oversees: the people whom the operator confirmed, and the operator", async () => {
  const { tenant, admin, operator_email } = await makeTenant();
  const people = ["BOSS@people.example", "accomplice@people.example", operator_email.toUpperCase()];
  expect(await tenant.whoOversees(people)).toEqual({
    confirmed: ["BOSS@people.example", operator_email.toUpperCase()],
    operator: operator_email,
  });
  expect(codeOf(await tenant.confirmApprover(admin, "Accomplice@people.example"))).toBe("ok");
  expect((await tenant.whoOversees(people)).confirmed).toEqual(people);
});
