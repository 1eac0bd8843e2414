import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decideSeen, objectOf } from "../support/decisions.ts";
import { call, keyOf, makeTenant, type RefusalBody, storedCounts, type TestTenant } from "../support/door-harness.ts";
import { chainOf, runAlarm } from "../support/mailbox-harness.ts";

/** Templates by the doors: proposed by an agent, approved by a human, and sent without another approval. */

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

const CONTENT = {
  name: "Order shipped",
  subject: "Order {{number}} is on its way",
  markdown: "Hello **{{name}}**,\n\nyour order {{number}} left today. [Follow it]({{link}})",
  variables: [
    { name: "name", max_length: 40 },
    { name: "number", type: "number" },
    { name: "link", type: "url" },
  ],
  allowed_domains: ["customer.example"],
};
const VALUES = { name: "Ana", number: 17, link: "https://shop.example/track?id=1&b=2" };

async function propose(more: Record<string, unknown> = {}, from = tenant): Promise<Template> {
  const json = { mailbox_id: from.mailbox.id, ...CONTENT, ...more };
  const { status, body } = await call<Template>("/v1/templates", { key: keyOf(from, "agent"), json });
  expect(status, JSON.stringify(body)).toBe(202);
  return body;
}

async function approved(more: Record<string, unknown> = {}, from = tenant): Promise<{ id: string; ref: string }> {
  const { id, pending_id } = await propose(more, from);
  const { approval_ref } = await decideSeen(from, pending_id ?? "");
  return { id, ref: approval_ref };
}

function send<Body = SendAnswer>(json: Record<string, unknown>, from = tenant) {
  return call<Body>(`/v1/mailboxes/${from.mailbox.id}/send`, {
    key: keyOf(from, "agent"),
    json: { to: "ana@customer.example", ...json },
  });
}

function read(id: string, from = tenant) {
  return call<Template>(`/v1/templates/${id}`, { key: keyOf(from, "agent") });
}

describe("a template", () => {
  test("waits for a human, who sees all of it, and is sent without another approval from then on", async () => {
    const proposed = await propose();
    expect(proposed).toMatchObject({
      version: 1,
      mailbox_id: tenant.mailbox.id,
      name: "Order shipped",
      status: "pending",
      approved_version: null,
      approval_ref: null,
      pending_id: expect.stringMatching(/^pend_/),
      variables: [
        { name: "name", type: "text", required: true, max_length: 40 },
        { name: "number", type: "number", required: true, max_length: 1_000 },
        { name: "link", type: "url", required: true, max_length: 1_000 },
      ],
    });
    const early = await send<RefusalBody>({ template_id: proposed.id, variables: VALUES });
    expect(early).toMatchObject({ status: 409, body: { code: "wrong_state" } });

    const key = keyOf(tenant, "overseer");
    const { body: item } = await call<PendingItem>(`/v1/oversight/pending/${proposed.pending_id}`, { key });
    const { variables: _defaulted, ...asked } = CONTENT;
    expect(item).toMatchObject({ kind: "template", status: "pending", request: { input: asked } });
    const decision = await decideSeen(tenant, proposed.pending_id ?? "");
    expect((await read(proposed.id)).body).toMatchObject({
      status: "approved",
      approved_version: 1,
      approval_ref: decision.approval_ref,
      pending_id: null,
    });

    const sent = await send({ template_id: proposed.id, variables: VALUES });
    expect(sent).toMatchObject({
      status: 202,
      body: {
        status: "queued",
        approval_ref: decision.approval_ref,
        verdict: { outcome: "allow" },
      },
    });
    const { body: email } = await call<Email>(`/v1/emails/${sent.body.id}?include_html=true`, {
      key: keyOf(tenant, "agent"),
    });
    expect(email).toMatchObject({ subject: "Order 17 is on its way", approval_ref: decision.approval_ref });
    expect(email.text).toContain("Hello Ana,");
    expect(email.html).toContain(
      '<p>Hello <strong>Ana</strong>,</p>\n<p>your order 17 left today. <a href="https://shop.example/track?id=1&amp;b=2">Follow it</a></p>',
    );
  });

  test("that was rejected sends nothing, and says why", async () => {
    const { id, pending_id } = await propose();
    await decideSeen(tenant, pending_id ?? "", "reject", { reason: "too cheerful" });
    expect((await read(id)).body).toMatchObject({ status: "rejected", decision_reason: "too cheerful" });
    expect(await send<RefusalBody>({ template_id: id, variables: VALUES })).toMatchObject({ status: 409 });
  });

  test("that is changed is a new version, which waits while the approved one is used", async () => {
    const { id, ref } = await approved();
    const changed = { ...CONTENT, markdown: "Goodbye {{name}} {{number}} {{link}}" };
    const update = await call<Template>(`/v1/templates/${id}`, {
      method: "PUT",
      key: keyOf(tenant, "agent"),
      json: changed,
    });
    expect(update).toMatchObject({
      status: 202,
      body: { id, version: 2, status: "pending", approved_version: 1, approval_ref: ref },
    });
    const before = await send({ template_id: id, variables: VALUES });
    expect(before.body).toMatchObject({ status: "queued", approval_ref: ref });
    const second = await decideSeen(tenant, update.body.pending_id ?? "");
    const after = await send({ template_id: id, variables: VALUES });
    expect(after.body).toMatchObject({ status: "queued", approval_ref: second.approval_ref });
    const texts = await Promise.all(
      [before, after].map(async ({ body }) => {
        const { body: email } = await call<Email>(`/v1/emails/${body.id}`, { key: keyOf(tenant, "agent") });
        return email.text.split(" ")[0];
      }),
    );
    expect(texts).toEqual(["Hello", "Goodbye"]);
  });

  test("that was deleted sends nothing, and what was sent with it stays as it was", async () => {
    const { id } = await approved();
    const removed = await call<Template>(`/v1/templates/${id}`, { method: "DELETE", key: keyOf(tenant, "agent") });
    expect(removed).toMatchObject({ status: 200, body: { id } });
    for (const [method, path] of [
      ["GET", `/v1/templates/${id}`],
      ["DELETE", `/v1/templates/${id}`],
    ] as const) {
      expect(await call(path, { method, key: keyOf(tenant, method === "GET" ? "read" : "send") })).toMatchObject({
        status: 404,
      });
    }
    expect(await send<RefusalBody>({ template_id: id, variables: VALUES })).toMatchObject({ status: 404 });
  });

  test("made by an administrator waits too", async () => {
    const json = { ...CONTENT, mailbox_id: tenant.mailbox.id };
    const made = await call<Template>("/v1/templates", { key: keyOf(tenant, "admin"), json });
    expect(made).toMatchObject({ status: 202, body: { status: "pending" } });
  });

  test("is sent by reply too, with its own subject, in the thread", async () => {
    const { id } = await approved();
    const first = await send({ subject: "Question", text: "Hello" });
    const reply = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/reply/${first.body.id}`, {
      key: keyOf(tenant, "agent"),
      json: { template_id: id, variables: VALUES },
    });
    expect(reply).toMatchObject({ status: 202, body: { status: "queued", thread_id: first.body.thread_id } });
    const { body } = await call<Email>(`/v1/emails/${reply.body.id}`, { key: keyOf(tenant, "agent") });
    expect(body.subject).toBe("Order 17 is on its way");
  });

  test("answers a repeated call with the same idempotency key the same", async () => {
    const { id } = await approved();
    const json = { template_id: id, variables: VALUES, idempotency_key: "template" };
    const first = await send(json);
    const { number, ...others } = VALUES;
    expect(await send({ ...json, variables: { ...others, number } })).toMatchObject({
      status: 200,
      body: { id: first.body.id, idempotent: true },
    });
    expect(await send({ ...json, variables: { ...VALUES, number: 18 } })).toMatchObject({ status: 409 });
  });
});

describe("list_templates", () => {
  test("has the templates of the key's mailboxes, with a cursor, and none of other tenants", async () => {
    const own = await makeTenant(["gated_send", "gated_send"], ([first]) => [
      { name: "bound", scopes: ["read", "send"], mailboxes: [first] },
    ]);
    const [first, second] = own.mailboxes.map(({ id }) => id);
    const made = [
      await propose({ mailbox_id: first }, own),
      await propose({ mailbox_id: second }, own),
      await propose({ mailbox_id: first }, own),
    ].map(({ id }) => id);
    const list = async (key: string, query = "") =>
      (await call<{ templates: Template[]; cursor: string | null }>(`/v1/templates${query}`, { key: keyOf(own, key) }))
        .body;
    const ids = (page: { templates: Template[] }) => page.templates.map(({ id }) => id);
    expect(ids(await list("read")).sort()).toEqual(made.toSorted());
    expect(ids(await list("bound")).sort()).toEqual([made[0], made[2]].sort());
    expect(ids(await list("read", `?mailbox_id=${second}`))).toEqual([made[1]]);
    const page = await list("read", "?limit=2");
    expect(ids(page)).toHaveLength(2);
    const rest = await list("read", `?limit=2&cursor=${page.cursor}`);
    expect(rest.cursor).toBeNull();
    expect([...ids(page), ...ids(rest)].sort()).toEqual(made.toSorted());
    expect(ids(await list("read", "?limit=100")).filter((id) => !made.includes(id))).toEqual([]);

    await call(`/v1/templates/${made[1]}`, { method: "DELETE", key: keyOf(own, "agent") });
    // The list says so at once, and its index once the mailbox's timers have run.
    expect(ids(await list("read", `?mailbox_id=${second}`))).toEqual([]);
    await runAlarm(objectOf(own, 1));
    const row = await env.DB.prepare("SELECT template FROM templates WHERE id = ?").bind(made[1]).first();
    expect(row).toEqual({ template: null });
  });

  test("needs no mailbox of a key that can use only one, and create_template neither", async () => {
    const own = await makeTenant(["gated_send", "gated_send"], ([first]) => [
      { name: "bound", scopes: ["read", "send"], mailboxes: [first] },
    ]);
    const made = await call<Template>("/v1/create_template", { key: keyOf(own, "bound"), json: CONTENT });
    expect(made).toMatchObject({ status: 202, body: { mailbox_id: own.mailbox.id } });
    expect(await call("/v1/create_template", { key: keyOf(own, "agent"), json: CONTENT })).toMatchObject({
      status: 422,
      body: { code: "invalid_input", issues: [{ path: "mailbox_id" }] },
    });
    const single = await makeTenant();
    expect(await call("/v1/create_template", { key: keyOf(single, "agent"), json: CONTENT })).toMatchObject({
      status: 202,
    });
  });
});

describe("a template is refused, and nothing is stored", () => {
  test.each<[why: string, change: Record<string, unknown>, path: string, message: RegExp]>([
    ["without a name", { name: undefined }, "name", /needed/],
    ["without markdown", { markdown: undefined }, "markdown", /needed/],
    ["with an empty subject", { subject: "" }, "subject", /empty/],
    ["with a subject over 998 characters", { subject: "x".repeat(999) }, "subject", /998/],
    ["with markdown over 256 KiB", { markdown: "x".repeat(256 * 1024 + 1) }, "markdown", /octets/],
    ["with an undeclared placeholder", { markdown: `${CONTENT.markdown} {{other}}` }, "markdown", /“other”/],
    ["with an unused variable", { variables: [...CONTENT.variables, { name: "more" }] }, "variables.3.name", /used/],
    ["with a bad name of a variable", { variables: [{ name: "A b" }] }, "variables.0.name", /begin/],
    ["with a type that is none", { variables: [{ name: "name", type: "html" }] }, "variables.0.type", /one of/],
    ["with a length of 0", { variables: [{ name: "name", max_length: 0 }] }, "variables.0.max_length", /at least 1/],
    [
      "with a length over 10,000",
      { variables: [{ name: "name", max_length: 10_001 }] },
      "variables.0.max_length",
      /10000/,
    ],
    [
      "with 51 variables",
      { variables: Array.from({ length: 51 }, (_, n) => ({ name: `v${n}` })) },
      "variables",
      /at most 50/,
    ],
    [
      "with a field of a variable that is none",
      { variables: [{ name: "name", raw: true }] },
      "variables.0.raw",
      /field/,
    ],
    [
      "with what is no domain",
      { allowed_domains: ["customer.example", "ana@x.example"] },
      "allowed_domains.1",
      /domain/,
    ],
    ["with a glob for a domain", { allowed_domains: ["*.example"] }, "allowed_domains.0", /domain/],
    ["with an IP address for a domain", { allowed_domains: ["192.0.2.1"] }, "allowed_domains.0", /domain/],
    ["with no domain at all", { allowed_domains: [] }, "allowed_domains", /at least 1/],
    [
      "with 101 domains",
      { allowed_domains: Array.from({ length: 101 }, (_, n) => `d${n}.example`) },
      "allowed_domains",
      /at most 100/,
    ],
    [
      "with a value in an address",
      { markdown: `${CONTENT.markdown} [x](https://x.example/{{name}})` },
      "markdown",
      /whole address/,
    ],
  ])("%s", async (_why, change, path, message) => {
    const before = await storedCounts();
    const json = { mailbox_id: tenant.mailbox.id, ...CONTENT, ...change };
    const { status, body } = await call("/v1/templates", { key: keyOf(tenant, "agent"), json });
    expect(status, JSON.stringify(body)).toBe(422);
    expect(body.issues).toContainEqual({ path, message: expect.stringMatching(message) });
    expect(body.error).toMatch(/^[^\n]{5,300}\.$/);
    expect(await storedCounts()).toEqual(before);
  });

  test.each(["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"])("but %s is a domain", async (domain) => {
    const { allowed_domains } = await propose({ allowed_domains: [domain, domain] });
    expect(allowed_domains).toEqual(["xn--bcher-kva.example"]);
  });
});

describe("a message from a template is refused, and nothing is stored", () => {
  let id: string;
  beforeAll(async () => {
    ({ id } = await approved());
  });

  test.each<[why: string, change: Record<string, unknown>, code: string, path: string, message: RegExp]>([
    ["with a subject beside it", { subject: "x" }, "invalid_input", "subject", /beside template_id/],
    ["with markdown beside it", { markdown: "x" }, "invalid_input", "markdown", /beside template_id/],
    ["with text beside it", { text: "x" }, "invalid_input", "text", /beside template_id/],
    ["with html beside it", { html: "x" }, "invalid_input", "html", /beside template_id/],
    [
      "with a file that no approver saw",
      { attachments: [{ name: "a.txt", content_base64: "aGVsbG8=" }] },
      "invalid_input",
      "attachments",
      /beside template_id/,
    ],
    ["with an address for answers", { reply_to: "x@evil.example" }, "invalid_input", "reply_to", /beside template_id/],
    ["without a value", { variables: { name: "Ana", number: 1 } }, "invalid_input", "variables.link", /needed/],
    ["with no values", { variables: undefined }, "invalid_input", "variables.name", /needed/],
    [
      "with a value too many",
      { variables: { ...VALUES, more: "x" } },
      "invalid_input",
      "variables.more",
      /not a variable/,
    ],
    [
      "with a value too long",
      { variables: { ...VALUES, name: "x".repeat(41) } },
      "invalid_input",
      "variables.name",
      /40/,
    ],
    [
      "with a list for a value",
      { variables: { ...VALUES, name: ["x"] } },
      "invalid_input",
      "variables.name",
      /must be/,
    ],
    [
      "with CRLF in a value",
      { variables: { ...VALUES, name: "Ana\r\nBcc: eve@evil.example" } },
      "forbidden_characters",
      "variables.name",
      /line breaks/,
    ],
    ["with NUL in a value", { variables: { ...VALUES, name: "a\0" } }, "forbidden_characters", "variables.name", /NUL/],
    ...(
      [
        ["an HTML tag", "Ana <b>x"],
        ["an end tag", "x</p>"],
        ["a script", "<SCRIPT>alert(1)</script>"],
        ["a comment", "<!-- x"],
        ["an autolink", "<https://evil.example>"],
        ["a Markdown link", "[Ana](https://evil.example)"],
        ["the end of a Markdown link", "x](/pay)"],
      ] as const
    ).map(([what, name]): [string, Record<string, unknown>, string, string, RegExp] => [
      `with markup in a value: ${what}`,
      { variables: { ...VALUES, name } },
      "forbidden_characters",
      "variables.name",
      /markup/,
    ]),
    [
      "with words for a number",
      { variables: { ...VALUES, number: "many" } },
      "invalid_input",
      "variables.number",
      /number/,
    ],
    [
      "with a script for a link",
      { variables: { ...VALUES, link: "javascript:alert(1)" } },
      "invalid_input",
      "variables.link",
      /https/,
    ],
  ])("%s", async (_why, change, code, path, message) => {
    const before = await storedCounts();
    const { status, body } = await send<RefusalBody>({ template_id: id, variables: VALUES, ...change });
    expect({ status, code: body.code }, JSON.stringify(body)).toEqual({ status: 422, code });
    expect(body.issues).toContainEqual({ path, message: expect.stringMatching(message) });
    expect(await storedCounts()).toEqual(before);
  });

  test("with values and no template", async () => {
    expect(await send({ subject: "x", text: "x", variables: VALUES })).toMatchObject({
      status: 422,
      body: { issues: [{ path: "variables" }] },
    });
  });

  test.each(["tpl_", "em_01ARZ3NDEKTSV4RRFFQ69G5FAV", "tpl_01ARZ3NDEKTSV4RRFFQ69G5FAV", "../x"])(
    "from %s, which is none",
    async (template_id) => {
      expect(await send({ template_id, variables: VALUES })).toMatchObject({
        status: 404,
        body: { code: "not_found" },
      });
    },
  );
});

describe("the agent that wants to send without a human", () => {
  test("cannot use a template of another mailbox, or of another tenant", async () => {
    const own = await makeTenant(["gated_send", "gated_send"]);
    const [, second] = own.mailboxes;
    const { id } = await approved({}, own);
    const elsewhere = await call(`/v1/mailboxes/${second?.id}/send`, {
      key: keyOf(own, "agent"),
      json: { to: "ana@customer.example", template_id: id, variables: VALUES },
    });
    expect(elsewhere).toMatchObject({ status: 404 });
    expect(await send({ template_id: id, variables: VALUES })).toMatchObject({ status: 404 });
  });

  test("cannot send it beyond its domains, nor by cc or bcc", async () => {
    const { id } = await approved();
    for (const more of [{ to: "eve@evil.example" }, { cc: "eve@evil.example" }, { bcc: "eve@sub.customer.example" }]) {
      expect(await send({ template_id: id, variables: VALUES, ...more })).toMatchObject({
        status: 403,
        body: { code: "denied_by_policy" },
      });
    }
  });

  test("cannot write into the names of addresses what no approver saw", async () => {
    const { id } = await approved();
    const { body } = await send({
      template_id: id,
      variables: VALUES,
      to: "Pay to DE02… instead <ana@customer.example>",
    });
    const { body: email } = await call<Email>(`/v1/emails/${body.id}`, { key: keyOf(tenant, "agent") });
    expect(email.to).toEqual(["ana@customer.example"]);
  });

  test("cannot make markup, links or addresses of a value; what only looks like some stands as it is", async () => {
    const { id } = await approved({
      markdown: "Hello {{name}}",
      subject: "Hi",
      variables: [{ name: "name" }],
      allowed_domains: null,
    });
    const name = "x] (https://evil.example) 1 < 2 > 0 <3 R&D https://evil.example eve@evil.example **z** _y_";
    const { body } = await send({ template_id: id, variables: { name } });
    const { body: email } = await call<Email>(`/v1/emails/${body.id}?include_html=true`, {
      key: keyOf(tenant, "agent"),
    });
    expect(email.html).not.toMatch(/<a |<strong/);
    expect(email.text).toContain(name);
  });

  test("cannot change what a human is looking at: a newer version takes the place of the one that waits", async () => {
    const { id, pending_id } = await propose();
    const key = keyOf(tenant, "overseer");
    const seen = await call<PendingItem>(`/v1/oversight/pending/${pending_id}`, { key });
    const changed = { ...CONTENT, markdown: "Send money to {{name}} {{number}} {{link}}" };
    await call(`/v1/templates/${id}`, { method: "PUT", key: keyOf(tenant, "agent"), json: changed });
    const late = await call("/v1/oversight/decide", {
      key,
      json: { email_id: pending_id, decision: "approve", content_hash: seen.body.content_hash },
    });
    expect(late.status).toBe(409);
    expect((await read(id)).body).toMatchObject({ version: 2, status: "pending", approved_version: null });
  });

  test("in a templates_only mailbox sends approved templates, and nothing else, however free it is", async () => {
    const own = await makeTenant(["autonomous"]);
    const box = objectOf(own);
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, templates_only: true }, null));
    expect(await send<RefusalBody>({ subject: "Hi", text: "Hello" }, own)).toMatchObject({
      status: 403,
      body: { code: "denied_by_policy" },
    });
    const { id, ref } = await approved({}, own);
    const sent = await send({ template_id: id, variables: VALUES }, own);
    expect(sent.body).toMatchObject({ status: "queued", approval_ref: ref });
    // The words of a template that was approved are not those of one that was not.
    const edited = await call(`/v1/mailboxes/${own.mailbox.id}/emails/${sent.body.id}/schedule`, {
      method: "PATCH",
      key: keyOf(own, "agent"),
      json: { text: "other words" },
    });
    expect([403, 409]).toContain(edited.status);
  });

  test("in a read_only mailbox neither proposes nor deletes one", async () => {
    const own = await makeTenant(["read_only"]);
    const json = { mailbox_id: own.mailbox.id, ...CONTENT };
    expect(await call("/v1/templates", { key: keyOf(own, "agent"), json })).toMatchObject({
      status: 403,
      body: { code: "denied_by_mode" },
    });
  });
});

test("the record has each version's proposal, decision and end, and no word of it in the open", async () => {
  const own = await makeTenant();
  const { id, ref } = await approved({}, own);
  await send({ template_id: id, variables: VALUES }, own);
  await call(`/v1/templates/${id}`, { method: "DELETE", key: keyOf(own, "agent") });
  const entries = await chainOf(objectOf(own));
  const actions = entries.map(({ action }) => action);
  expect(actions).toEqual(expect.arrayContaining(["template.proposed", "decision.approved", "template.deleted"]));
  const open = JSON.stringify(entries.map(({ sealed: _sealed, ...rest }) => rest));
  for (const words of ["Order", "shipped", "Ana", "customer.example"]) expect(open).not.toContain(words);
  // What was let go by the template's approval says so.
  expect(entries.find(({ action }) => action === "message.queued")?.detail).toMatchObject({ approval_ref: ref });
});
