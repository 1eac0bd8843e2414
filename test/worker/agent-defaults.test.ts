import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { decisionItem } from "../../durable-objects/mailbox/views.ts";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import type { Agent, ApiKey } from "../../src/operations/shapes/account.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { Draft, SendAnswer } from "../../src/operations/shapes/sending.ts";
import {
  type Answer,
  advanceDoors,
  call,
  keyOf,
  localPart,
  makeTenant,
  type RefusalBody,
  setUp,
  type TestTenant,
} from "../support/door-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Who wrote a message, and with which model, where a call does not say it, or says it of somebody else. */

const SONNET = { model_id: "claude-sonnet-4", model_provider: "anthropic" };
const HAIKU = { model_id: "claude-haiku-4", model_provider: "anthropic-eu" };
const NOTHING = { model_id: null, model_provider: null };
const MESSAGE = { to: "ana@customer.example", subject: "Offer", text: "Hello" };

let tenant: TestTenant;
let other: TestTenant;

async function keyId(of: TestTenant, name: string): Promise<string> {
  const { body } = await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: keyOf(of, "admin") });
  return body.api_keys.find((key) => key.name === name)?.id ?? "";
}

async function register(of: TestTenant, id: string, json: Record<string, unknown>): Promise<void> {
  const made = await call<Agent>("/v1/agents", { key: keyOf(of, "admin"), json: { id, ...json } });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
}

/** By which way in a message comes. */
interface Wish {
  key: string;
  json?: Record<string, unknown>;
  headers?: Record<string, string>;
}

function send<Body = SendAnswer>(of: TestTenant, { key, json, headers = {} }: Wish): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${of.mailbox.id}/send`, {
    key: keyOf(of, key),
    headers,
    json: { ...MESSAGE, ...json },
  });
}

async function metadataOf(of: TestTenant, id: string) {
  const { body } = await call<Email>(`/v1/emails/${id}`, { key: keyOf(of, "read") });
  const { agent_id, model_id, model_provider } = body.agent_metadata ?? {};
  expect(body.agent_id).toBe(agent_id);
  return { agent_id, model_id, model_provider };
}

function draft<Body = Draft>(of: TestTenant, wish: Wish, id: string | null = null): Promise<Answer<Body>> {
  const path = `/v1/mailboxes/${of.mailbox.id}/drafts`;
  return call<Body>(id === null ? path : `${path}/${id}`, {
    method: id === null ? "POST" : "PATCH",
    key: keyOf(of, wish.key),
    headers: wish.headers ?? {},
    json: wish.json ?? {},
  });
}

function sendDraft(of: TestTenant, id: string, key: string, headers: Record<string, string> = {}) {
  return call<SendAnswer>(`/v1/mailboxes/${of.mailbox.id}/drafts/${id}/send`, {
    method: "POST",
    key: keyOf(of, key),
    headers,
  });
}

beforeAll(async () => {
  tenant = await makeTenant(["gated_send"], () => [
    { name: "of alice", scopes: ["read", "send"], agent_id: "alice" },
    { name: "of carol", scopes: ["send"], agent_id: "carol" },
    { name: "by default", scopes: ["read", "send"] },
  ]);
  await register(tenant, "alice", SONNET);
  await register(tenant, "bob", { ...HAIKU, default_for: [await keyId(tenant, "by default")] });
  other = await makeTenant();
  await register(other, "stranger", SONNET);
});

describe("the agent that acts is the request's, else the header's, else the key's own, else its default", () => {
  test.each<[string, Wish, { agent_id: string | null } & Record<string, unknown>]>([
    ["nobody is named and the key has nobody", { key: "send" }, { agent_id: null, ...NOTHING }],
    ["the key has a default", { key: "by default" }, { agent_id: "bob", ...HAIKU }],
    ["the key is bound", { key: "of alice" }, { agent_id: "alice", ...SONNET }],
    ["the key is bound to one that is not registered", { key: "of carol" }, { agent_id: "carol", ...NOTHING }],
    ["the header names one", { key: "send", headers: { "x-mm-agent": "alice" } }, { agent_id: "alice", ...SONNET }],
    [
      "the header names one beside a default",
      { key: "by default", headers: { "x-mm-agent": "alice" } },
      { agent_id: "alice", ...SONNET },
    ],
    [
      "the body names one beside header and default",
      { key: "by default", json: { agent_id: "zoe" }, headers: { "x-mm-agent": "alice" } },
      { agent_id: "zoe", ...NOTHING },
    ],
    [
      "the model is given",
      { key: "of alice", json: { model_id: "gpt-5", model_provider: "openai" } },
      { agent_id: "alice", model_id: "gpt-5", model_provider: "openai" },
    ],
    [
      "half of the model is given",
      { key: "of alice", json: { model_id: "claude-opus-4" } },
      { agent_id: "alice", model_id: "claude-opus-4", model_provider: "anthropic" },
    ],
    [
      "the model is given and nobody acts",
      { key: "send", json: { model_id: "gpt-5" } },
      { agent_id: null, model_id: "gpt-5", model_provider: null },
    ],
    [
      "another tenant's agent is named",
      { key: "send", json: { agent_id: "stranger" } },
      { agent_id: "stranger", ...NOTHING },
    ],
  ])("where %s", async (_what, wish, expected) => {
    const { status, body } = await send(tenant, wish);
    expect(status, JSON.stringify(body)).toBe(202);
    expect(await metadataOf(tenant, body.id)).toEqual(expected);
  });

  test("in a reply and in what is scheduled, too", async () => {
    const first = await send(tenant, { key: "by default" });
    const reply = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/reply/${first.body.id}`, {
      key: keyOf(tenant, "by default"),
      json: { text: "And another thing" },
    });
    expect(await metadataOf(tenant, reply.body.id)).toEqual({ agent_id: "bob", ...HAIKU });
    const send_at = new Date(Date.now() + 3_600_000).toISOString();
    const later = await send(tenant, { key: "by default", json: { send_at } });
    expect(await metadataOf(tenant, later.body.id)).toEqual({ agent_id: "bob", ...HAIKU });
  });

  test("and the approver is shown the registered model", async () => {
    const { body } = await send(tenant, { key: "by default" });
    const item = await call<PendingItem>(`/v1/oversight/pending/${body.id.replace("em_", "pend_")}`, {
      key: keyOf(tenant, "overseer"),
    });
    expect(item.body).toMatchObject({ agent_id: "bob", agent_metadata: { agent_id: "bob", ...HAIKU } });
    const stub = env.MAILBOX.getByName(tenant.mailbox.id.slice(-8));
    const seen = await runInDurableObject(stub as DurableObjectStub, (object: unknown) => {
      if (!(object instanceof MailboxObject)) throw new Error("not a mailbox object");
      return decisionItem(object, object.messages.get(body.id));
    });
    expect(seen).toMatchObject({ agent: { agent_id: "bob", ...HAIKU } });
  });

  test("what was sent keeps its model when the agent is changed", async () => {
    const own = await makeTenant();
    await register(own, "alice", { ...SONNET, default_for: [await keyId(own, "send")] });
    const before = await send(own, { key: "send" });
    await call("/v1/agents/alice", { method: "PATCH", key: keyOf(own, "admin"), json: HAIKU });
    const after = await send(own, { key: "send" });
    expect(await metadataOf(own, before.body.id)).toEqual({ agent_id: "alice", ...SONNET });
    expect(await metadataOf(own, after.body.id)).toEqual({ agent_id: "alice", ...HAIKU });
  });

  test("a deleted agent is nobody's default, and its name has no model any more", async () => {
    const own = await makeTenant();
    await register(own, "alice", { ...SONNET, default_for: [await keyId(own, "send")] });
    expect(await metadataOf(own, (await send(own, { key: "send" })).body.id)).toEqual({ agent_id: "alice", ...SONNET });
    await call("/v1/agents/alice", { method: "DELETE", key: keyOf(own, "admin") });
    advanceDoors(REMEMBERED_MS);
    expect(await metadataOf(own, (await send(own, { key: "send" })).body.id)).toEqual({ agent_id: null, ...NOTHING });
    const named = await send(own, { key: "send", json: { agent_id: "alice" } });
    expect(await metadataOf(own, named.body.id)).toEqual({ agent_id: "alice", ...NOTHING });
  });
});

describe("a draft keeps whom and what it was written with", () => {
  const whole = { agent_id: "bob", ...HAIKU };

  test("from its beginning, by default or named", async () => {
    expect((await draft(tenant, { key: "by default", json: MESSAGE })).body).toMatchObject(whole);
    expect((await draft(tenant, { key: "send", json: { ...MESSAGE, agent_id: "alice" } })).body).toMatchObject({
      agent_id: "alice",
      ...SONNET,
    });
    expect((await draft(tenant, { key: "send", json: MESSAGE })).body).toMatchObject({ agent_id: null, ...NOTHING });
  });

  test("through changes that name nobody, while one that does brings its own model", async () => {
    const { body } = await draft(tenant, { key: "by default", json: MESSAGE });
    const same = await draft(tenant, { key: "send", json: { subject: "Other" } }, body.id);
    expect(same.body).toMatchObject(whole);
    const named = await draft(tenant, { key: "send", json: { agent_id: "alice" } }, body.id);
    expect(named.body).toMatchObject({ agent_id: "alice", ...SONNET });
    const unknown = await draft(tenant, { key: "send", json: { agent_id: "zoe" } }, body.id);
    expect(unknown.body).toMatchObject({ agent_id: "zoe", ...SONNET });
    const model = await draft(tenant, { key: "send", json: { model_id: "gpt-5" } }, body.id);
    expect(model.body).toMatchObject({ agent_id: "zoe", model_id: "gpt-5", model_provider: "anthropic" });
  });

  test("but for words of a key that is bound to another agent, which are that agent's, whoever sends them", async () => {
    for (const json of [
      { subject: "Other" },
      { text: "Other" },
      { attachments: [{ name: "a.txt", content_base64: "aGVsbG8=" }] },
    ]) {
      const { body } = await draft(tenant, { key: "by default", json: MESSAGE });
      const tagged = await draft(tenant, { key: "of alice", json: { tags: ["seen"] } }, body.id);
      expect(tagged.body).toMatchObject(whole);
      const rewritten = await draft(tenant, { key: "of alice", json }, body.id);
      expect(rewritten.body).toMatchObject({ agent_id: "alice", ...SONNET });
      const sent = await sendDraft(tenant, body.id, "send");
      expect(await metadataOf(tenant, sent.body.id)).toEqual({ agent_id: "alice", ...SONNET });
    }
  });

  test.each<[string, string, Record<string, string>, string]>([
    ["a key's default does not take it from whom it was written for", "by default", {}, "zoe"],
    ["who is named at its sending does", "by default", { "x-mm-agent": "alice" }, "alice"],
    ["a bound key sends as its own agent", "of alice", {}, "alice"],
    ["a key without an agent leaves it", "send", {}, "zoe"],
  ])("%s", async (_what, key, headers, agent_id) => {
    const json = { ...MESSAGE, agent_id: "zoe", ...SONNET };
    const { body } = await draft(tenant, { key: "send", json });
    const sent = await sendDraft(tenant, body.id, key, headers);
    expect(sent.status, JSON.stringify(sent.body)).toBe(202);
    expect(await metadataOf(tenant, sent.body.id)).toEqual({ agent_id, ...SONNET });
  });

  test("one that nobody was named for is sent under the sender's default", async () => {
    const { body } = await draft(tenant, { key: "send", json: MESSAGE });
    const sent = await sendDraft(tenant, body.id, "by default");
    expect(await metadataOf(tenant, sent.body.id)).toMatchObject({ agent_id: "bob" });
  });
});

describe("a key that is bound to an agent acts for no other", () => {
  const REFUSED = { status: 403, body: { code: "agent_not_allowed" } };

  test("named in the body, in the header, in a draft", async () => {
    expect(await send(tenant, { key: "of alice", json: { agent_id: "bob" } })).toMatchObject(REFUSED);
    expect(await send(tenant, { key: "of alice", headers: { "x-mm-agent": "bob" } })).toMatchObject(REFUSED);
    // The header alone would be refused, whatever the body says.
    const both = { key: "of alice", json: { agent_id: "alice" }, headers: { "x-mm-agent": "bob" } };
    expect(await send(tenant, both)).toMatchObject(REFUSED);
    expect(await draft(tenant, { key: "of alice", json: { ...MESSAGE, agent_id: "bob" } })).toMatchObject(REFUSED);
    const { body } = await draft(tenant, { key: "of alice", json: MESSAGE });
    expect(await draft(tenant, { key: "of alice", json: { agent_id: "bob" } }, body.id)).toMatchObject(REFUSED);
    expect(await sendDraft(tenant, body.id, "of alice", { "x-mm-agent": "bob" })).toMatchObject(REFUSED);
  });

  test("nor by a default, which it cannot have", async () => {
    const bound = await keyId(tenant, "of alice");
    const wish = await call<RefusalBody>("/v1/agents/bob", {
      method: "PATCH",
      key: keyOf(tenant, "admin"),
      json: { default_for: [await keyId(tenant, "by default"), bound] },
    });
    expect(wish).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    // Even a row that says so does not make it act for another.
    await env.DB.prepare("UPDATE api_keys SET default_agent_id = 'bob' WHERE id = ?").bind(bound).run();
    advanceDoors(REMEMBERED_MS);
    const sent = await send(tenant, { key: "of alice" });
    expect(await metadataOf(tenant, sent.body.id)).toMatchObject({ agent_id: "alice" });
    await env.DB.prepare("UPDATE api_keys SET default_agent_id = NULL WHERE id = ?").bind(bound).run();
  });
});

test.each(["key_01ARZ3NDEKTSV4RRFFQ69G5FAV", "key_", "a b", "a;b=c", "", "a".repeat(65)])(
  "the name %j is taken by no way in",
  async (agent_id) => {
    const key = keyOf(tenant, "send");
    const before = (await call<{ drafts: Draft[] }>(`/v1/mailboxes/${tenant.mailbox.id}/drafts?limit=100`, { key }))
      .body;
    const ways: Record<string, Promise<Answer<unknown>>> = {
      body: send(tenant, { key: "send", json: { agent_id } }),
      header: send(tenant, { key: "send", headers: { "x-mm-agent": agent_id } }),
      "another operation's body": call("/v1/get_account", { key: keyOf(tenant, "read"), json: { agent_id } }),
      draft: draft(tenant, { key: "send", json: { agent_id } }),
      key: call("/v1/api-keys", {
        key: keyOf(tenant, "admin"),
        json: { name: "x", scopes: ["read"], agent_id },
      }),
      "a set-up": setUp({
        name: localPart("Tenant"),
        operator_email: "operator@people.example",
        keys: [{ name: "x", scopes: ["read"], agent_id }],
      }),
      "a changed key": call(`/v1/api-keys/${await keyId(tenant, "send")}`, {
        method: "PATCH",
        key: keyOf(tenant, "admin"),
        json: { agent_id },
      }),
    };
    for (const [way, answer] of Object.entries(ways)) {
      expect((await answer).status, way).toBe(422);
    }
    expect((await call(`/v1/mailboxes/${tenant.mailbox.id}/drafts?limit=100`, { key })).body).toEqual(before);
  },
);

test.each([
  ["model_id", "m".repeat(49)],
  ["model_id", "model one"],
  ["model_provider", "p".repeat(17)],
  ["model_provider", "a;b"],
])("%s %j is refused by a send, a reply and a draft, and never cut", async (field, value) => {
  const { body } = await send(tenant, { key: "send" });
  const path = `/v1/mailboxes/${tenant.mailbox.id}`;
  const key = keyOf(tenant, "send");
  const refused = { status: 422, body: { code: "invalid_input", issues: [{ path: field }] } };
  expect(await send(tenant, { key: "send", json: { [field]: value } })).toMatchObject(refused);
  expect(await call(`${path}/reply/${body.id}`, { key, json: { text: "x", [field]: value } })).toMatchObject(refused);
  expect(await draft(tenant, { key: "send", json: { [field]: value } })).toMatchObject(refused);
});

test("a key that was bound to a name of that kind before goes on, and what it sends can be stopped", async () => {
  const own = await makeTenant();
  const old = "key_of_old";
  const { key } = await env.TENANT.getByName(own.id)
    .createKey(null, { name: "old", scopes: ["read", "send"], mailbox_ids: null, agent_id: old, test: false })
    .then((made) => {
      if (!made.ok) throw new Error(made.refusal.error);
      return made.value;
    });
  const sent = await call<SendAnswer>(`/v1/mailboxes/${own.mailbox.id}/send`, { key, json: MESSAGE });
  expect(await metadataOf(own, sent.body.id)).toMatchObject({ agent_id: old });
  const paused = await call("/v1/pause", { key: keyOf(own, "admin"), json: { agent_id: old } });
  expect(paused).toMatchObject({ status: 200, body: { agents: [old] } });
});

test("the panic switch of an agent stops what is sent under a default", async () => {
  const own = await makeTenant(["autonomous"]);
  await register(own, "alice", { ...SONNET, default_for: [await keyId(own, "send")] });
  expect((await call("/v1/pause", { key: keyOf(own, "admin"), json: { agent_id: "alice" } })).status).toBe(200);
  const [to, control] = ["paused", "control"].map((name) => `${name}-${crypto.randomUUID()}@customer.example`);
  const { body } = await send(own, { key: "send", json: { to } });
  await send(own, { key: "agent", json: { to: control } });
  const stub: DurableObjectStub = env.MAILBOX.getByName(own.mailbox.id.slice(-8));
  await runDurableObjectAlarm(stub);
  await runInDurableObject(stub, async (object: unknown) => {
    if (object instanceof MailboxObject) await object.settled();
  });
  expect(await receivedFor(control ?? "")).toHaveLength(1);
  expect(await receivedFor(to ?? "")).toEqual([]);
  // Nor does it leave once the key has another default: it was written by alice.
  await call("/v1/agents/alice", { method: "PATCH", key: keyOf(own, "admin"), json: { default_for: [] } });
  const { body: email } = await call<Email>(`/v1/emails/${body.id}`, { key: keyOf(own, "read") });
  expect(email).toMatchObject({ status: "queued", agent_id: "alice" });
});

test("a send costs one look-up of the agent at most, and none for a key without one or a model that is given", async () => {
  const statements: string[] = [];
  const DB = new Proxy(env.DB, {
    get(target, method) {
      if (method !== "prepare") return Reflect.get(target, method).bind(target);
      return (query: string) => {
        statements.push(query);
        return target.prepare(query);
      };
    },
  });
  const cost = async (key: string, json: Record<string, unknown> = {}) => {
    const path = `/v1/mailboxes/${tenant.mailbox.id}/send`;
    const options = { key: keyOf(tenant, key), json: { ...MESSAGE, ...json } };
    await call(path, options);
    statements.length = 0;
    expect((await call(path, { ...options, env: { ...env, DB } })).status).toBe(202);
    return statements.filter((query) => !query.includes("FROM api_keys"));
  };
  expect(await cost("send")).toEqual([]);
  expect(await cost("by default", SONNET)).toEqual([]);
  for (const key of ["by default", "of alice", "of carol"]) {
    expect(await cost(key)).toEqual([expect.stringContaining("FROM agents")]);
  }
});
