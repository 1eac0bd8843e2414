import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { isBrokenStub } from "../../src/store/mailbox-client.ts";
import {
  type Answer,
  call,
  keyOf,
  localPart,
  makeTenant,
  request,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

const attachments = [{ name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" }];
const message = { to: "ana@customer.example", subject: "Offer", text: "Hello" };

function send(json: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Answer<SendAnswer>> {
  return call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, { key: keyOf(tenant, "agent"), json, headers });
}

describe("the same key", () => {
  test("with the same content answers the first answer with 200, by whatever door and under whatever of its names", async () => {
    const first = await send({ ...message, idempotency_key: "one" });
    expect(first.status).toBe(202);
    const same = { ...first.body, idempotent: true };
    expect(await send(message, { "Idempotency-Key": "one" })).toMatchObject({ status: 200, body: same });
    expect((await send({ ...message, idempotency_key: "one" }, { "Idempotency-Key": "one" })).body).toEqual(same);
    const byRpc = await call("/send_email", {
      key: keyOf(tenant, "agent"),
      json: { ...message, idempotency_key: "one", mailbox_id: tenant.mailbox.id },
    });
    expect(byRpc.body).toEqual(same);
    const spelled = await send({
      idempotency_key: "one",
      body: "Hello",
      subject: "Offer",
      to: "ana@customer.example",
      metadata: {},
    });
    expect(spelled.body).toEqual(same);
  });

  test("with other content is a 409", async () => {
    await send({ ...message, idempotency_key: "two" });
    for (const more of [
      { text: "Hello!" },
      { to: "bob@customer.example" },
      { cc: "bob@customer.example" },
      { attachments },
      { tags: ["x"] },
    ]) {
      expect(await send({ ...message, ...more, idempotency_key: "two" })).toMatchObject({
        status: 409,
        body: { code: "idempotency_conflict" },
      });
    }
  });

  test("of another API key is another", async () => {
    const [first, second] = [
      await send({ ...message, idempotency_key: "three" }),
      await call<SendAnswer>("/v1/send_email", {
        key: keyOf(tenant, "send"),
        json: { ...message, mailbox_id: tenant.mailbox.id, idempotency_key: "three" },
      }),
    ];
    expect(second.status).toBe(202);
    expect(second.body.id).not.toBe(first.body.id);
  });

  test("in body and header must agree", async () => {
    expect(await send({ ...message, idempotency_key: "a" }, { "Idempotency-Key": "b" })).toMatchObject({ status: 422 });
  });
});

test("a repeated send keeps no second copy of its files, a refused one none", async () => {
  const first = await send({ ...message, attachments, idempotency_key: "files" });
  const before = await storedCounts();
  expect((await send({ ...message, attachments, idempotency_key: "files" })).body).toMatchObject({
    id: first.body.id,
    idempotent: true,
  });
  expect((await send({ ...message, subject: "Other", attachments, idempotency_key: "files" })).status).toBe(409);
  expect(await storedCounts()).toEqual(before);
  const file = await request(`/v1/mailboxes/${tenant.mailbox.id}/emails/${first.body.id}/attachments/offer.txt`, {
    key: keyOf(tenant, "agent"),
  });
  expect(await file.text()).toBe("hello");
});

describe("create_mailbox repeated", () => {
  const admin = () => keyOf(tenant, "admin");

  test("with the same settings answers the same mailbox, with others 409", async () => {
    const json = { address_local: localPart(), display_name: "Agent" };
    const first = await call<Mailbox>("/v1/mailboxes", { key: admin(), json });
    expect(first.status).toBe(201);
    const second = await call<Mailbox>("/v1/mailboxes", { key: admin(), json: { ...json, idempotency_key: "x" } });
    expect(second).toMatchObject({ status: 200, body: { ...first.body, idempotent: true } });
    const other = await call("/v1/mailboxes", { key: admin(), json: { ...json, display_name: "Other" } });
    expect(other).toMatchObject({ status: 409, body: { code: "address_taken" } });
  });

  test("finishes one that broke off after its address was reserved", async () => {
    const json = { address_local: localPart() };
    const MAILBOX = {
      ...env.MAILBOX,
      getByName: () => ({ create: () => Promise.reject(new Error("the machine stopped")) }),
    };
    const broken = { ...env, MAILBOX: Object.assign(Object.create(env.MAILBOX), MAILBOX) };
    expect(await call("/v1/mailboxes", { key: admin(), json, env: broken })).toMatchObject({ status: 503 });
    const reserved = await env.DB.prepare("SELECT id FROM mailboxes WHERE address = ?")
      .bind(`${json.address_local}@agents.test`)
      .first<{ id: string }>();
    const stranger = await makeTenant();
    expect((await call("/v1/mailboxes", { key: keyOf(stranger, "admin"), json })).status).toBe(409);
    const again = await call<Mailbox>("/v1/mailboxes", { key: admin(), json });
    expect(again.body.id).toBe(reserved?.id);
    expect((await call<Mailbox>(`/v1/mailboxes/${reserved?.id}`, { key: keyOf(tenant, "read") })).body).toMatchObject(
      json.address_local ? { id: reserved?.id } : {},
    );
  });

  test("at the same moment makes one mailbox", async () => {
    const json = { address_local: localPart() };
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => call<Mailbox>("/v1/mailboxes", { key: admin(), json })),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
  });
});

describe("a broken stub", () => {
  const error = (message: string, flags: Record<string, boolean> = {}) => Object.assign(new Error(message), flags);

  test.each([
    [error("x", { retryable: true }), true],
    [error("x", { durableObjectReset: true, remote: true }), true],
    [error("Durable Object reset because its code was updated."), true],
    [error("Network connection lost."), true],
    [error("Application called abortAllDurableObjects()."), true],
    [error("x", { retryable: true, overloaded: true }), false],
    [error("Network connection lost.", { remote: true }), false],
    [error("a mistake of ours"), false],
    ["no error", false],
  ])("%s: %s", (thrown, isBroken) => {
    expect(isBrokenStub(thrown)).toBe(isBroken);
  });

  test("is replaced: sends that meet a reset go through all the same, each once", async () => {
    const sends = Array.from({ length: 10 }, (_, n) =>
      send({ ...message, metadata: { burst: "yes" }, idempotency_key: `burst-${n}` }),
    );
    await abortAllDurableObjects();
    const answers = await Promise.all(sends);
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(202));
    const path = `/v1/mailboxes/${tenant.mailbox.id}/emails?metadata.burst=yes&limit=100`;
    const found = await call<{ emails: { id: string }[] }>(path, { key: keyOf(tenant, "agent") });
    expect(found.body.emails.map(({ id }) => id).sort()).toEqual(answers.map(({ body }) => body.id).sort());
  });
});

test("a send goes through when the object was reset under it, and happens once", async () => {
  let resets = 0;
  const MAILBOX = {
    getByName(name: string) {
      const stub = env.MAILBOX.getByName(name);
      if (resets++ > 0) return stub;
      const reset = Object.assign(new Error("The Durable Object was reset."), { durableObjectReset: true });
      return {
        async submit(...given: Parameters<typeof stub.submit>) {
          await stub.submit(...given);
          throw reset;
        },
      };
    },
  };
  const broken = { ...env, MAILBOX: Object.assign(Object.create(env.MAILBOX), MAILBOX) };
  const json = { ...message, metadata: { reset: "yes" }, mailbox_id: tenant.mailbox.id };
  const answer = await call<SendAnswer>("/v1/send_email", { key: keyOf(tenant, "agent"), json, env: broken });
  expect(answer.status).toBe(202);
  expect(resets).toBe(2);
  const found = await call<{ emails: { id: string }[] }>(
    `/v1/mailboxes/${tenant.mailbox.id}/emails?metadata.reset=yes`,
    { key: keyOf(tenant, "agent") },
  );
  expect(found.body.emails.map(({ id }) => id)).toEqual([answer.body.id]);
});

describe("the same key on other writing operations", () => {
  async function held(): Promise<string> {
    const { body } = await send({ ...message, subject: crypto.randomUUID() });
    // A key decides on what it has read.
    await call(`/v1/oversight/pending/${body.pending_id}`, { key: keyOf(tenant, "oversight") });
    return body.id;
  }
  const decide = (email_id: string, decision: string, key: string) =>
    call<Record<string, unknown>>("/v1/oversight/decide", {
      key: keyOf(tenant, "oversight"),
      json: { email_id, decision },
      headers: { "Idempotency-Key": key },
    });

  test("answers a decision's first answer again; another decision under it is a 409 that changes nothing", async () => {
    const id = await held();
    const first = await decide(id, "reject", "decision-1");
    expect(first.status).toBe(200);
    expect(await decide(id, "reject", "decision-1")).toMatchObject({
      status: 200,
      body: { ...first.body, idempotent: true },
    });
    expect(await decide(id, "approve", "decision-1")).toMatchObject({
      status: 409,
      body: { code: "idempotency_conflict" },
    });
    expect(await decide(await held(), "reject", "decision-1")).toMatchObject({ status: 409 });
    expect(await decide(id, "approve", "decision-2")).toMatchObject({ status: 409, body: { code: "already_decided" } });
  });

  test("answers a proposed template again, though it waits for a human", async () => {
    const propose = (json: Record<string, unknown>) =>
      call<Record<string, unknown>>("/v1/create_template", {
        key: keyOf(tenant, "send"),
        json: { mailbox_id: tenant.mailbox.id, name: "Offer", subject: "Offer", markdown: "Hello", ...json },
        headers: { "Idempotency-Key": "template-1" },
      });
    const first = await propose({});
    expect(first).toMatchObject({ status: 202, body: { status: "pending" } });
    expect(await propose({})).toMatchObject({ status: 200, body: { ...first.body, idempotent: true } });
    expect(await propose({ subject: "Another" })).toMatchObject({
      status: 409,
      body: { code: "idempotency_conflict" },
    });
  });

  test("what was refused may be tried again under it", async () => {
    const id = await held();
    expect((await decide("em_00000000000000000000000000", "reject", "retry-1")).status).toBe(404);
    expect((await decide(id, "reject", "retry-1")).status).toBe(200);
  });

  test("a key that revokes itself under it is told that it did", async () => {
    const own = await env.TENANT.getByName(tenant.mailbox.tenant_id).createKey(null, {
      name: "admin too",
      scopes: ["admin"],
      mailbox_ids: null,
      agent_id: null,
      test: false,
    });
    if (!own.ok) throw new Error("no key");
    const revoked = await call("/v1/revoke_api_key", {
      key: own.value.key,
      json: { id: own.value.id, idempotency_key: "bye" },
    });
    expect(revoked).toMatchObject({ status: 200, body: { id: own.value.id, revoked_at: expect.any(String) } });
  });

  test("a mailbox under a key that made another is a 409, and is not made", async () => {
    const make = (address_local: string) =>
      call<Record<string, unknown>>("/v1/mailboxes", {
        key: keyOf(tenant, "admin"),
        json: { address_local },
        headers: { "Idempotency-Key": "box-1" },
      });
    const [one, other] = [localPart(), localPart()];
    expect((await make(one)).status).toBe(201);
    expect(await make(one)).toMatchObject({ status: 200, body: { idempotent: true } });
    expect(await make(other)).toMatchObject({ status: 409, body: { code: "idempotency_conflict" } });
    const row = await env.DB.prepare("SELECT 1 FROM mailboxes WHERE address = ?").bind(`${other}@agents.test`).first();
    expect(row).toBeNull();
  });
});
