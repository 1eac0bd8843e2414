import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";

interface ReconcileBody {
  log: string;
  checked: { entries: number; segments: number; data_keys: number; erased_keys: number };
  repaired: { what: string; first: number; last: number; count: number }[];
  faults: { what: string; seq: number; says: string }[];
  cursor: string | null;
}

let tenant: TestTenant;
let stranger: TestTenant;

beforeAll(async () => {
  tenant = await makeTenant(["gated_send"], ([local]) => [{ name: "bound", scopes: ["admin"], mailboxes: [local] }]);
  stranger = await makeTenant();
});

function reconcile<Body = ReconcileBody>(json: object, key = keyOf(tenant, "admin")) {
  return call<Body>("/v1/audit-log/reconcile", { json, key });
}

/** What the audit log shows of the last call. */
async function lastEntry(): Promise<{ action: string; metadata: object }> {
  await call("/v1/audit-log/checkpoint", { key: keyOf(tenant, "admin") });
  const { body } = await call<{ entries: { action: string; metadata: object }[] }>(
    "/v1/audit-log?action=log.reconciled&limit=1",
    { key: keyOf(tenant, "admin") },
  );
  const [entry] = body.entries;
  if (!entry) throw new Error("there is no entry");
  return entry;
}

/** Takes rows out of D1 as only the owner of its schema can. */
async function lose(log: string, seq: number): Promise<void> {
  const name = "audit_log_refuses_delete";
  const trigger = await env.DB.prepare("SELECT sql FROM sqlite_master WHERE name = ?").bind(name).first<string>("sql");
  await env.DB.batch([
    env.DB.prepare(`DROP TRIGGER ${name}`),
    env.DB.prepare("DELETE FROM audit_log WHERE log = ? AND seq = ?").bind(log, seq),
    env.DB.prepare(trigger ?? ""),
  ]);
}

describe("reconcile_audit_log", () => {
  test("answers of the account's own log, and of a mailbox's, that all is well", async () => {
    for (const [json, log] of [
      [{}, tenant.id],
      [{ log: tenant.mailbox.id }, tenant.mailbox.id],
    ] as const) {
      await call(`/v1/audit-log/checkpoint?log=${log}`, { key: keyOf(tenant, "admin") });
      const { status, body } = await reconcile(json);
      expect(status).toBe(200);
      expect(body).toMatchObject({ log, repaired: [], faults: [], cursor: null });
      expect(body.checked.entries).toBeGreaterThan(0);
    }
  });

  test("brings back what D1 lost, says so, and has it in the log who asked", async () => {
    await lose(tenant.id, 1);
    const { body } = await reconcile({});
    expect(body.repaired).toEqual([{ what: "entries", first: 1, last: 1, count: 1 }]);
    expect((await reconcile({})).body.repaired).toEqual([]);
    expect(await lastEntry()).toMatchObject({
      action: "log.reconciled",
      metadata: { log: tenant.id, repaired: 0, faults: 0, is_complete: true },
    });
  });

  test.each<[string, () => object, () => string, number, string]>([
    ["another account's log", () => ({ log: stranger.id }), () => keyOf(tenant, "admin"), 404, "not_found"],
    ["another account's mailbox", () => ({ log: stranger.mailbox.id }), () => keyOf(tenant, "admin"), 404, "not_found"],
    ["what is no log", () => ({ log: "mbx_x" }), () => keyOf(tenant, "admin"), 404, "not_found"],
    ["a cursor of nothing", () => ({ cursor: "entries.x" }), () => keyOf(tenant, "admin"), 422, "invalid_input"],
    ["a field that nobody knows", () => ({ repair: true }), () => keyOf(tenant, "admin"), 422, "invalid_input"],
    ["an agent's key", () => ({}), () => keyOf(tenant, "agent"), 403, "missing_scope"],
  ])("refuses %s", async (_what, json, key, status, code) => {
    const answer = await reconcile<RefusalBody>(json(), key());
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test("is not for a key that is bound to its mailboxes, of the account's log", async () => {
    expect((await reconcile<RefusalBody>({}, keyOf(tenant, "bound"))).status).toBe(403);
    expect((await reconcile({ log: tenant.mailbox.id }, keyOf(tenant, "bound"))).status).toBe(200);
  });
});
