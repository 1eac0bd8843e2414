import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import { newId } from "../../src/ids.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { bodiesKey, storeBodies } from "../../src/store/mail-store.ts";
import { advanceDoors, call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";
import { arrival, caller } from "../support/mailbox-harness.ts";

const message = { to: "ana@customer.example", subject: "Offer", markdown: "Hello **Ana**" };

function outputOf(name: string): z.ZodType {
  const operation = OPERATIONS.find((each) => each.name === name);
  if (!operation) throw new Error(`there is no operation ${name}`);
  return operation.output;
}

async function send(tenant: TestTenant, more: Record<string, unknown> = {}): Promise<SendAnswer> {
  const path = `/v1/mailboxes/${tenant.mailbox.id}/send`;
  const { status, body } = await call<SendAnswer>(path, { key: keyOf(tenant, "agent"), json: { ...message, ...more } });
  expect(status).toBe(202);
  return body;
}

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

describe("the main job through the doors", () => {
  test("an agent sends, an overseer decides once, and everything can be read again", async () => {
    const own = await makeTenant();
    const [agent, overseer] = [keyOf(own, "agent"), keyOf(own, "overseer")];
    const sent = await send(own);
    expect(sent).toMatchObject({ status: "pending_send_approval", message_id: sent.id });

    const pending = await call<{ pending: PendingItem[] }>("/v1/oversight/pending", { key: overseer });
    expect(pending.body).toMatchObject({
      total: 1,
      cursor: null,
      pending: [{ id: sent.pending_id, email_id: sent.id, kind: "send" }],
    });
    outputOf("list_pending").parse(pending.body);
    const one = await call<PendingItem>(`/v1/oversight/pending/${sent.pending_id}`, { key: overseer });
    expect(one.body).toEqual(pending.body.pending[0]);

    const attempt = { email_id: sent.id, decision: "approve" };
    expect((await call("/v1/oversight/decide", { key: agent, json: attempt })).body.code).toBe("missing_scope");
    const changed = await call("/v1/oversight/decide", {
      key: overseer,
      json: { ...attempt, content_hash: "0".repeat(64) },
    });
    expect(changed).toMatchObject({ status: 409, body: { code: "content_changed" } });
    const decided = await call("/v1/decide_email", {
      key: overseer,
      json: { message_id: sent.pending_id, action: "reject", approver_note: "no" },
    });
    expect(decided).toMatchObject({ status: 200, body: { status: "rejected", id: sent.id } });
    const late = await call("/decide_email", { key: overseer, json: attempt });
    expect(late).toMatchObject({ status: 409, body: { code: "already_decided", decision: "rejected" } });

    const read = await call<Email>(`/v1/emails/${sent.id}`, { key: agent });
    expect(read.body).toMatchObject({
      id: sent.id,
      status: "rejected",
      markdown: message.markdown,
      text: read.body.body,
      decision_reason: "no",
    });
    expect(read.body).not.toHaveProperty("html");
    outputOf("read_email").parse(read.body);
    expect((await call<{ pending: unknown[] }>("/v1/oversight/pending", { key: overseer })).body.pending).toEqual([]);
  });

  test("a send key sees its own pending mail only", async () => {
    const own = await makeTenant(["gated_send"], () => [{ name: "other agent", scopes: ["send"] }]);
    const sent = await send(own);
    const seenBy = async (name: string) =>
      (await call<{ pending: PendingItem[] }>("/v1/oversight/pending", { key: keyOf(own, name) })).body.pending.map(
        ({ email_id }) => email_id,
      );
    expect(await seenBy("agent")).toEqual([sent.id]);
    expect(await seenBy("other agent")).toEqual([]);
    expect(await seenBy("oversight")).toEqual([sent.id]);
    const path = `/v1/oversight/pending/${sent.pending_id}`;
    expect((await call(path, { key: keyOf(own, "other agent") })).status).toBe(404);
  });

  test("pending mail is paged, oldest first, without one left out or given twice", async () => {
    const own = await makeTenant(["gated_send", "gated_send"]);
    const sent: string[] = [];
    for (let n = 0; n < 7; n++) {
      const mailbox = own.mailboxes[n % 2]?.id;
      const { body } = await call<SendAnswer>("/v1/send_email", {
        key: keyOf(own, "agent"),
        json: { ...message, mailbox_id: mailbox },
      });
      sent.push(body.pending_id ?? "");
    }
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const path: string = `/v1/oversight/pending?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`;
      const { body } = await call<{ pending: PendingItem[]; cursor: string | null; total: number }>(path, {
        key: keyOf(own, "oversight"),
      });
      expect(body.total).toBe(7);
      seen.push(...body.pending.map(({ id }) => id));
      cursor = body.cursor;
    }
    expect(seen).toEqual([...sent].sort());
  });

  test("the sender is named by id or address, under any of its names", async () => {
    const { id, address } = tenant.mailbox;
    for (const sender of [
      { mailbox_id: id },
      { mailbox: address },
      { from: address.toUpperCase() },
      { from_address: `Agent <${address}>` },
      { mailbox_id: id, from: id },
    ]) {
      const { status, body } = await call<SendAnswer>("/v1/send_email", {
        key: keyOf(tenant, "agent"),
        json: { ...message, ...sender },
      });
      expect(status, JSON.stringify(body)).toBe(202);
      expect(body.id.slice(-8)).toBe(id.slice(-8));
    }
    const foreign = await makeTenant();
    const answer = await call("/v1/send_email", {
      key: keyOf(tenant, "agent"),
      json: { ...message, from: foreign.mailbox.address },
    });
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    const two = await call("/v1/send_email", {
      key: keyOf(tenant, "agent"),
      json: { ...message, mailbox_id: id, from: "other@agents.test" },
    });
    expect(two).toMatchObject({ status: 422, body: { issues: [{ path: "from" }] } });
  });

  test("each kind of body becomes text and, where it has form, HTML", async () => {
    const bodies = [
      [{ markdown: "Hello **Ana**" }, /Hello \**Ana/, /<strong>Ana<\/strong>/],
      [{ text: "Hello Ana" }, /^Hello Ana/, null],
      [{ body: "Hello Ana" }, /^Hello Ana/, null],
      [{ html: "<p>Hello <b>Ana</b></p><script>x</script>" }, /Hello Ana/, /<p>Hello <b>Ana<\/b><\/p>/],
      [{ html: "<p>Hi</p>", text: "Hi there" }, /^Hi there/, /<p>Hi<\/p>/],
    ] as const;
    for (const [body, text, html] of bodies) {
      const { markdown: _markdown, ...envelope } = message;
      const answer = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
        key: keyOf(tenant, "agent"),
        json: { ...envelope, ...body },
      });
      expect(answer.status, JSON.stringify(answer.body)).toBe(202);
      const read = await call<Email>(`/v1/emails/${answer.body.id}?include_html=true`, { key: keyOf(tenant, "agent") });
      expect(read.body.text).toMatch(text);
      if (html === null) expect(read.body.html).toBeNull();
      else expect(read.body.html).toMatch(html);
      expect(read.body.html ?? "").not.toContain("script");
    }
  });

  test("tags and metadata are kept, filtered by, and given as a map or a list", async () => {
    const { id } = await send(tenant, { tags: ["urgent"], metadata: { order: 17, "a.b": "c" } });
    const agent = keyOf(tenant, "agent");
    const path = `/v1/mailboxes/${tenant.mailbox.id}/emails`;
    const found = async (query: string) =>
      (await call<{ emails: EmailSummary[] }>(`${path}?${query}`, { key: agent })).body.emails;
    expect((await found("metadata.order=17")).map((email) => email.id)).toEqual([id]);
    expect((await found("metadata.a.b=c&tag=urgent&tags=list"))[0]?.tags).toEqual(["urgent"]);
    expect(await found("metadata.order=18")).toEqual([]);
    const filter = { mailbox: tenant.mailbox.address, metadata: { order: "17" }, q: "Ana" };
    const byRpc = await call<{ emails: EmailSummary[] }>("/search_email", { key: agent, json: filter });
    expect(byRpc.body.emails.map((email) => email.id)).toEqual([id]);

    const tags = `${path}/${id}/tags`;
    expect((await call(tags, { method: "PUT", key: agent, json: { tags: { priority: "1" } } })).body).toEqual({
      id,
      message_id: id,
      tags: { urgent: "", priority: "1" },
    });
    expect((await call(`${tags}?tags=list`, { key: agent })).body).toMatchObject({ tags: ["urgent", "priority"] });
    const again = { method: "PUT", key: agent, json: { tags: { priority: "2" } } };
    expect(await call(`${tags}?tags=list`, again)).toMatchObject({
      status: 200,
      body: { tags: ["urgent", "priority"] },
    });
    const byName = { email_id: id, tags: ["urgent"], tags_form: "list" };
    expect((await call("/v1/tag_email", { key: agent, json: byName })).body).toMatchObject({
      tags: ["urgent", "priority"],
    });
    expect((await call(`${tags}/urgent`, { method: "DELETE", key: agent })).body).toMatchObject({
      tags: { priority: "2" },
    });
    expect((await call(`${tags}/urgent`, { method: "DELETE", key: agent })).status).toBe(404);
  });

  test("an attachment comes back byte for byte, under its name, and can run nowhere", async () => {
    const bytes = new Uint8Array(256).map((_, index) => index);
    const name = 'Angebot "ä" 100%.html';
    const { id } = await send(tenant, {
      attachments: [
        { name, content_base64: Buffer.from(bytes).toString("base64"), content_type: "text/html; charset=utf-8" },
      ],
    });
    const path = `/v1/mailboxes/${tenant.mailbox.id}/emails/${id}/attachments/${encodeURIComponent(name)}`;
    const response = await request(path, { key: keyOf(tenant, "agent") });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/html",
      "content-length": "256",
      "content-disposition":
        "attachment; filename=\"Angebot ___ 100_.html\"; filename*=UTF-8''Angebot%20%22%C3%A4%22%20100%25.html",
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
    });
  });

  test("a long message that came in is read whole, from where its bodies lie", async () => {
    const routing = tenant.mailbox.id.slice(-8);
    const id = newId("em", Date.now(), routing);
    const bodies_key = bodiesKey(tenant.id, tenant.mailbox.id, id);
    const text = "long ".repeat(20_000);
    await storeBodies(env.STORE, bodies_key, { markdown: text, quoted: "> before", text, html: "<p>long</p>" });
    const nobody = caller(tenant.id, []);
    const stub = env.MAILBOX.getByName(routing);
    const parts = { mailbox: tenant.mailbox, stub, agent: nobody, overseer: nobody, admin: nobody, stranger: nobody };
    await stub.receive(arrival(parts, { id, bodies_key, text: "long", markdown: "long", html: null }));
    const read = await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "agent") });
    expect(read.body).toMatchObject({
      text,
      body: text,
      markdown: text,
      quoted: "> before",
      status: "read",
      dkim_result: "pass",
    });
    expect(read.body).not.toHaveProperty("html");
    const withHtml = await call<Email>(`/v1/emails/${id}?include_html=1`, { key: keyOf(tenant, "agent") });
    expect(withHtml.body.html).toBe("<p>long</p>");
    const marked = await call<EmailSummary>(`/v1/mailboxes/${tenant.mailbox.id}/emails/${id}`, {
      method: "PATCH",
      key: keyOf(tenant, "read"),
      json: { status: "archived" },
    });
    expect(marked.body.status).toBe("archived");
  });

  test("a reply goes into its thread", async () => {
    const first = await send(tenant);
    const path = `/v1/mailboxes/${tenant.mailbox.id}/reply/${first.id}`;
    const reply = await call<SendAnswer>(path, { key: keyOf(tenant, "agent"), json: { text: "And one more thing" } });
    expect(reply.body).toMatchObject({ thread_id: first.thread_id, status: "pending_send_approval" });
    const thread = await call<{ emails: Email[] }>(`/v1/mailboxes/${tenant.mailbox.id}/threads/${first.thread_id}`, {
      key: keyOf(tenant, "agent"),
    });
    expect(thread.body.emails.map(({ id }) => id)).toEqual([first.id, reply.body.id]);
    const cancelled = await call<EmailSummary>("/v1/cancel_message", {
      key: keyOf(tenant, "agent"),
      json: { message_id: reply.body.id, reason: "too late" },
    });
    expect(cancelled.body).toMatchObject({ id: reply.body.id, status: "cancelled", decision_reason: "too late" });
  });
});

describe("who asks", () => {
  test("a revoked key stops working within 5 seconds", async () => {
    const own = await makeTenant(["gated_send"], () => [{ name: "leaked", scopes: ["read"] }]);
    const leaked = keyOf(own, "leaked");
    const { body } = await call<{ api_keys: { id: string; name: string }[] }>("/v1/api-keys", {
      key: keyOf(own, "admin"),
    });
    const id = body.api_keys.find(({ name }) => name === "leaked")?.id;
    expect((await call("/v1/account", { key: leaked })).status).toBe(200);
    expect(await call(`/v1/api-keys/${id}`, { method: "DELETE", key: keyOf(own, "admin") })).toMatchObject({
      status: 200,
      body: { id },
    });
    advanceDoors(REMEMBERED_MS);
    expect(REMEMBERED_MS).toBeLessThan(5_000);
    expect((await call("/v1/account", { key: leaked })).body.code).toBe("invalid_key");
  });

  test("a known key is asked of D1 once in a while only, and a send with a mailbox's id asks D1 nothing else", async () => {
    const key = keyOf(tenant, "agent");
    await call("/v1/account", { key });
    const asked: string[] = [];
    const DB = new Proxy(env.DB, {
      get(target, name) {
        if (name === "prepare") {
          return (sql: string) => {
            asked.push(sql);
            return target.prepare(sql);
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const json = { ...message, mailbox_id: tenant.mailbox.id };
    expect((await call("/v1/send_email", { key, json, env: { ...env, DB } })).status).toBe(202);
    expect(asked).toEqual([]);
  });

  test("the agent is the body's, else the header's, else the key's own; a bound key names no other", async () => {
    const own = await makeTenant(["gated_send"], () => [
      { name: "bound", scopes: ["read", "send"], agent_id: "alice" },
    ]);
    const path = `/v1/mailboxes/${own.mailbox.id}/send`;
    const agentOf = async (key: string, json: object, headers: Record<string, string>) => {
      const sent = await call<SendAnswer>(path, { key: keyOf(own, key), json: { ...message, ...json }, headers });
      if (sent.status !== 202) return { status: sent.status };
      return (await call<Email>(`/v1/emails/${sent.body.id}`, { key: keyOf(own, key) })).body.agent_id;
    };
    expect(await agentOf("agent", {}, {})).toBeNull();
    expect(await agentOf("agent", {}, { "X-MM-Agent": "carol" })).toBe("carol");
    expect(await agentOf("agent", { agent_id: "dave" }, { "X-MM-Agent": "carol" })).toBe("dave");
    expect(await agentOf("bound", {}, {})).toBe("alice");
    expect(await agentOf("bound", { agent_id: "alice" }, {})).toBe("alice");
    expect(await agentOf("bound", { agent_id: "bob" }, {})).toEqual({ status: 403 });
    expect(await agentOf("bound", {}, { "X-MM-Agent": "bob" })).toEqual({ status: 403 });
    expect((await call("/v1/list_mailboxes", { key: keyOf(own, "bound"), json: { agent_id: "bob" } })).body.code).toBe(
      "agent_not_allowed",
    );
    expect((await call("/v1/list_mailboxes", { key: keyOf(own, "bound"), json: { agent_id: "a;b" } })).status).toBe(
      422,
    );
  });

  test("a bound key lists its mailboxes only", async () => {
    const own = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
      { name: "bound", scopes: ["read", "admin"], mailboxes: [second] },
    ]);
    const { body } = await call<{ mailboxes: { id: string }[]; total: number }>("/v1/mailboxes", {
      key: keyOf(own, "bound"),
    });
    expect(body).toMatchObject({ total: 1, mailboxes: [{ id: own.mailboxes[1]?.id }] });
    const made = await call("/v1/mailboxes", { key: keyOf(own, "bound"), json: { address_local: "another" } });
    expect(made).toMatchObject({ status: 403, body: { code: "mailbox_not_allowed" } });
  });
});

describe("public answers", () => {
  test("health uses D1, R2 and an object, and names the part that fails", async () => {
    expect((await call("/health")).body).toEqual({ status: "ok", checks: { d1: "ok", r2: "ok", objects: "ok" } });
    const broken = { ...env, STORE: { ...env.STORE, head: () => Promise.reject(new Error("R2 is down")) } };
    const answer = await call("/health", { env: broken });
    expect(answer).toMatchObject({
      status: 503,
      body: { code: "unavailable", failing: ["r2"], error: "These do not answer: r2." },
    });
    expect(answer.headers.get("retry-after")).not.toBeNull();
  });

  test.each(["", "short", "not base64 at all!"])(
    "without a valid MASTER_KEY (%j) nothing is served, and the answer says how to make one",
    async (MASTER_KEY) => {
      for (const path of ["/health", "/v1/account", "/docs", "/setup"]) {
        const { status, body } = await call(path, { env: { ...env, MASTER_KEY } });
        expect(status).toBe(503);
        expect(body.error).toContain("openssl rand -base64 32");
      }
    },
  );

  test("the OpenAPI document and the page are there without a key, and load nothing from elsewhere", async () => {
    expect((await call("/v1/openapi.json")).body).toMatchObject({
      openapi: "3.1.0",
      servers: [{ url: "https://mail.test" }],
    });
    const page = await request("/docs");
    const html = await page.text();
    for (const { name } of OPERATIONS) expect(html).toContain(`<section id="${name}">`);
    expect(html).not.toMatch(/<script|src=|@import|url\(/);
    expect(page.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; frame-ancestors 'none'/,
    );
  });

  test("every answer has the security headers", async () => {
    for (const path of ["/health", "/docs", "/nowhere", "/v1/account", "/v1/approve/nonsense"]) {
      const { headers } = await request(path);
      expect(headers.get("x-content-type-options"), path).toBe("nosniff");
      expect(headers.get("cache-control"), path).toBe("no-store");
      expect(headers.get("content-security-policy"), path).toContain("default-src 'none'");
      expect(headers.get("referrer-policy"), path).toBe("no-referrer");
    }
  });

  test("the worker serves the same through its entry", async () => {
    const response = await exports.default.fetch(new Request("https://mail.test/health"));
    expect(response.status).toBe(200);
  });

  test("what is down is a 503 that says nothing of what was sent", async () => {
    const DB = {
      ...env.DB,
      prepare: () => {
        throw new Error("D1 is down");
      },
    };
    const answer = await call("/v1/account", {
      key: `mm_live_${"a".repeat(43)}`,
      env: { ...env, DB: Object.assign(Object.create(env.DB), DB) },
    });
    expect(answer).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(answer.headers.get("retry-after")).toBe("5");
    expect(answer.body.error).not.toContain("D1");
  });
});
