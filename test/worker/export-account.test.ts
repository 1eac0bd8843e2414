import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { parseVerifierKey } from "../../src/audit/signed-note.ts";
import { verifyExport } from "../../src/audit/verify-export.ts";
import { unwrap } from "../../src/errors.ts";
import { verifierKeyOf } from "../../src/store/log-client.ts";
import { call, keyOf, makeTenant, type RefusalBody, request, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, newest, person } from "../support/erased-person.ts";
import { arrival, inObject, runAlarm, submission } from "../support/mailbox-harness.ts";
import { lastCode } from "../support/operator-codes.ts";
import { arrive } from "../support/returned-mail.ts";
import { inTenant } from "../support/tenant-harness.ts";

type Line = Record<string, unknown> & { type: string };

const admin = (tenant: TestTenant) => ({ key: keyOf(tenant, "admin") });

/** The export that the operator allowed, as it comes. */
async function exported(tenant: TestTenant): Promise<Response> {
  const asked = await call<{ status: string }>("/v1/export", admin(tenant));
  expect([asked.status, asked.body.status]).toEqual([202, "pending_approval"]);
  return request(`/v1/export?approval_code=${await lastCode(tenant)}`, admin(tenant));
}

async function linesOf(tenant: TestTenant): Promise<Line[]> {
  const response = await exported(tenant);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  return (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const of = (lines: readonly Line[], type: string): Line[] => lines.filter((line) => line.type === type);

test("an account gets everything that it owns, byte for byte, and its logs as they verify", async () => {
  const [tenant, who] = [await makeTenant(["autonomous", "gated_all"]), person()];
  const [free, strict] = tenant.mailboxes.map((mailbox) => boxOf(tenant, mailbox));
  if (!free || !strict) throw new Error("there are two mailboxes");
  const raw = mailOf(who, free.mailbox.address);
  await arrive(free.mailbox.address, raw, { from: who.address });
  const id = await newest(free);
  const { id: sent } = unwrap(
    await free.stub.submit(free.agent, submission(free, { text: who.text, tags: { a: "b" }, metadata: { n: 1 } })),
  );
  const draft = submission(free, { subject: "draft" });
  unwrap(await free.stub.saveDraft(free.agent, { id: draft.id, is_new: true, draft }));
  const held = await strict.stub.receive(arrival(strict));
  await runAlarm(free);
  await runAlarm(strict);
  await call("/v1/suppression", { ...admin(tenant), json: { address: "gone@x.example" } });

  const lines = await linesOf(tenant);
  expect(lines[0]).toMatchObject({ type: "export", version: 1, tenant_id: tenant.id });
  expect(lines.at(-1)).toEqual({ type: "end", lines: lines.length - 1 });
  expect(of(lines, "account")).toMatchObject([{ account: { id: tenant.id, operator_email: tenant.operator_email } }]);
  expect(of(lines, "suppression")).toMatchObject([{ suppression: { address: "gone@x.example" } }]);
  const mailboxes = of(lines, "mailbox").map(({ mailbox }) => (mailbox as { id: string }).id);
  expect(mailboxes).toEqual(tenant.mailboxes.map((each) => each.id).sort());
  const emails = of(lines, "email").map(({ email }) => email as { id: string });
  // Mailboxes come in the order of their ids.
  const inOrder = [id, sent, held?.email_id].map((each) => emails.find((email) => email.id === each));
  expect(emails).toHaveLength(3);
  expect(inOrder).toMatchObject([
    { id, subject: who.subject, text: expect.stringContaining(who.text), from_address: who.address },
    { id: sent, tags: { a: "b" }, metadata: { n: 1 }, recipients: [{ state: "accepted" }] },
    { id: held?.email_id, status: "pending_inbound_approval", text: "What does it cost?" },
  ]);
  expect(of(lines, "draft")).toMatchObject([{ id: draft.id, draft: { subject: "draft" } }]);
  const files = of(lines, "file").filter(({ email_id }) => email_id === id) as unknown as {
    kind: string;
    base64: string;
  }[];
  const bytes = (kind: string) =>
    Buffer.from(files.find((file) => file.kind === kind)?.base64 ?? "", "base64").toString();
  expect(bytes("raw").endsWith(raw)).toBe(true);
  expect(bytes("attachment")).toBe(who.content);
  // No secret of a key is in it.
  const text = JSON.stringify(lines);
  for (const key of Object.values(tenant.keys)) expect(text).not.toContain(key);
  expect(of(lines, "api_key")).toHaveLength(Object.keys(tenant.keys).length);

  for (const log of [tenant.id, free.mailbox.id, strict.mailbox.id]) {
    const entries = of(lines, "audit").filter((line) => String(line.log) === log);
    const whole = Buffer.from(entries.map(({ line }) => `${line}\n`).join(""));
    const { verifier_key } = await verifierKeyOf(env, log);
    const trust = { keys: [parseVerifierKey(verifier_key)], witnesses: [], after: null, log };
    const sealed = entries.filter(({ line }) => String(line).includes('"sealed":'));
    expect(await verifyExport([whole], trust)).toMatchObject({ ok: true, log, opened: sealed.length });
  }
});

test("a file of any size comes as one base64 text, whatever pieces it is read in", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const box = boxOf(tenant);
  const sizes = [0, 1, 2, 3, 48 * 1024 - 1, 48 * 1024, 48 * 1024 + 1, 300_001];
  for (const size of sizes) {
    const received = arrival(box);
    await env.STORE.put(
      received.raw_key,
      new Uint8Array(size).map((_, index) => index % 251),
    );
    await box.stub.receive(received);
  }
  const files = of(await linesOf(tenant), "file") as unknown as { size: number; base64: string }[];
  expect(files.map(({ size }) => size)).toEqual(sizes);
  for (const { size, base64 } of files) {
    const bytes = new Uint8Array(Buffer.from(base64, "base64"));
    expect([bytes.length, Buffer.from(bytes).toString("base64")]).toEqual([size, base64]);
    expect(bytes.every((byte, index) => byte === index % 251)).toBe(true);
  }
});

test("more messages than a page are all in it, once each and in order", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const box = boxOf(tenant);
  for (let n = 0; n < 103; n++) await box.stub.receive(arrival(box));
  const emails = of(await linesOf(tenant), "email").map(({ seq }) => Number(seq));
  expect(emails).toEqual(Array.from({ length: 103 }, (_, n) => n + 1));
});

test("what breaks off does not look whole", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const box = boxOf(tenant);
  for (let n = 0; n < 103; n++) await box.stub.receive(arrival(box, { text: "x".repeat(2_000) }));
  await inObject(box, (object) => {
    const whole = object.messages.from.bind(object.messages);
    object.messages.from = (seq, limit) => {
      if (seq > 0) throw new Error("the storage is gone");
      return whole(seq, limit);
    };
  });
  const response = await exported(tenant);
  await expect(response.text()).rejects.toThrow();
});

test("a mailbox that is only reserved has nothing, and does not stand in the way", async () => {
  const tenant = await makeTenant(["autonomous"]);
  await env.DB.prepare("INSERT INTO mailboxes VALUES (?, ?, ?, ?, '{}', 0)")
    .bind(
      "mbx_0123456789ABCDEFGHJKMNPQRS",
      tenant.id,
      `reserved@${tenant.id.toLowerCase()}.example`,
      "HJKMNPQRS".slice(-8),
    )
    .run();
  expect(of(await linesOf(tenant), "mailbox")).toHaveLength(1);
});

describe("it is handed to nobody else:", () => {
  test.each(["read", "send", "oversight", "agent", "overseer"])("a key with %s is refused", async (name) => {
    const { status, body } = await call("/v1/export", { key: keyOf(await makeTenant(), name) });
    expect([status, body.code]).toEqual([403, "missing_scope"]);
  });

  test("an admin key gets it with a code for exactly that, once", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const guess = await call<RefusalBody>("/v1/export?approval_code=12345678", admin(tenant));
    expect([guess.status, guess.body.code]).toEqual([403, "invalid_approval_code"]);
    await call(`/v1/mailboxes/${tenant.mailbox.id}`, { ...admin(tenant), method: "PATCH", json: { notify: "daily" } });
    const other = await call<RefusalBody>(`/v1/export?approval_code=${await lastCode(tenant)}`, admin(tenant));
    expect(other.body.code).toBe("invalid_approval_code");
    await (await exported(tenant)).text();
    const again = await call<RefusalBody>(`/v1/export?approval_code=${await lastCode(tenant)}`, admin(tenant));
    expect(again.body.code).toBe("invalid_approval_code");
  });

  test("a key that is bound to mailboxes is refused", async () => {
    const tenant = await makeTenant(["autonomous"], (locals) => [
      { name: "bound", scopes: ["admin"], mailboxes: [locals[0]] },
    ]);
    const { status, body } = await call("/v1/export", { key: keyOf(tenant, "bound") });
    expect([status, body.code]).toEqual([403, "mailbox_not_allowed"]);
  });

  test("who took it stands in the account's log and in each mailbox's", async () => {
    const tenant = await makeTenant(["autonomous"]);
    await (await exported(tenant)).text();
    const actions = (sql: SqlStorage) =>
      sql
        .exec<{ action: string }>("SELECT json_extract(entry, '$.action') AS action FROM entries")
        .toArray()
        .map(({ action }) => action);
    expect(await inTenant(tenant.id, (_object, { storage }) => actions(storage.sql))).toContain("account.exported");
    expect(await inObject(boxOf(tenant), (_object, { storage }) => actions(storage.sql))).toContain("mailbox.exported");
  });
});
