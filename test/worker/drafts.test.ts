import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import type { Draft, SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decideSeen, objectOf } from "../support/decisions.ts";
import {
  type Answer,
  call,
  keyOf,
  makeTenant,
  type RefusalBody,
  request,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { advanceClock, chainOf, inObject, runAlarm } from "../support/mailbox-harness.ts";

/** Drafts by the doors: incomplete as they like, judged and recorded only when somebody sends them. */

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant(["gated_send"], () => [
    { name: "other agent", scopes: ["read", "send"], agent_id: "other" },
  ]);
});

const FILE = { name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" };
const WHOLE = { to: "Ana <ana@customer.example>", subject: "Offer", markdown: "Hello **Ana**" };
const HOUR = 3600_000;

interface Calling {
  key?: string;
  from?: TestTenant;
}

function drafts<Body = Draft>(
  method: string,
  path = "",
  json?: unknown,
  { key = "agent", from = tenant }: Calling = {},
): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${from.mailbox.id}/drafts${path}`, {
    method,
    key: keyOf(from, key),
    ...(json !== undefined && { json }),
  });
}

async function create(json: unknown = WHOLE, calling: Calling = {}): Promise<Draft> {
  const { status, body } = await drafts("POST", "", json, calling);
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

const stored = async (id: string) => {
  const { objects } = await env.STORE.list({ prefix: `att/${tenant.id}/${tenant.mailbox.id}/${id}/` });
  return Promise.all(objects.map(async ({ key }) => (await env.STORE.get(key))?.text()));
};

describe("a draft", () => {
  test("needs nothing, and holds everything that send_email takes", async () => {
    const nothing = await create({});
    expect(nothing).toMatchObject({
      id: expect.stringMatching(/^em_/),
      mailbox_id: tenant.mailbox.id,
      to: [],
      cc: [],
      bcc: [],
      reply_to: [],
      subject: "",
      markdown: null,
      text: null,
      html: null,
      template_id: null,
      attachments: [],
      tags: {},
      metadata: {},
      send_at: null,
    });
    const send_at = new Date(Date.now() + HOUR).toISOString();
    const everything = await create({
      ...WHOLE,
      cc: ["bob@customer.example"],
      bcc: "Eve <eve@customer.example>",
      reply_to: "desk@customer.example",
      attachments: [FILE],
      tags: ["offer"],
      metadata: { order: 17 },
      model_id: "m-1",
      model_provider: "p",
      agent_id: "ada",
      oversight_mode: "gated_all",
      gate_timing: "schedule_first",
      send_at,
    });
    expect(everything).toMatchObject({
      to: ["Ana <ana@customer.example>"],
      cc: ["bob@customer.example"],
      bcc: ["Eve <eve@customer.example>"],
      reply_to: ["desk@customer.example"],
      subject: "Offer",
      markdown: "Hello **Ana**",
      text: "Hello Ana",
      html: "<p>Hello <strong>Ana</strong></p>",
      attachments: [{ name: "offer.txt", size: 5, content_type: "text/plain" }],
      tags: { offer: "" },
      metadata: { order: 17 },
      model_id: "m-1",
      model_provider: "p",
      agent_id: "ada",
      oversight_mode: "gated_all",
      gate_timing: "schedule_first",
      send_at,
    });
    expect((await drafts("GET", `/${everything.id}`)).body).toEqual(everything);
    expect(await stored(everything.id)).toEqual(["hello"]);
  });

  test("is changed field by field: what is left out stays", async () => {
    const first = await create({ ...WHOLE, attachments: [FILE], tags: ["a"] });
    const { body: second } = await drafts("PATCH", `/${first.id}`, {
      subject: "Better offer",
      cc: "bob@customer.example",
    });
    expect(second).toEqual({
      ...first,
      subject: "Better offer",
      cc: ["bob@customer.example"],
      updated_at: second.updated_at,
    });
    const { body: third } = await drafts("PATCH", `/${first.id}`, { text: "Plain", cc: [], send_at: null });
    expect(third).toMatchObject({ text: "Plain", markdown: null, html: null, cc: [], attachments: first.attachments });
    expect(await stored(first.id)).toEqual(["hello"]);
  });

  test("gets other files without losing any on the way, and the old ones are deleted", async () => {
    const { id } = await create({ ...WHOLE, attachments: [FILE] });
    const other = { ...FILE, name: "other.txt", content_base64: "b3RoZXI=" };
    const { body } = await drafts("PATCH", `/${id}`, { attachments: [FILE, other] });
    expect(body.attachments.map(({ name }) => name)).toEqual(["offer.txt", "other.txt"]);
    await runAlarm(objectOf(tenant));
    expect((await stored(id)).sort()).toEqual(["hello", "other"]);
    await drafts("PATCH", `/${id}`, { attachments: [] });
    await runAlarm(objectOf(tenant));
    expect(await stored(id)).toEqual([]);
  });

  test("keeps its files when a change of them is refused", async () => {
    const { id } = await create({ ...WHOLE, attachments: [FILE] });
    const change = { attachments: [{ ...FILE, content_base64: "b3RoZXI=" }], send_at: "2020-01-01T00:00:00Z" };
    expect(await drafts("PATCH", `/${id}`, change)).toMatchObject({ status: 422 });
    expect(await stored(id)).toEqual(["hello"]);
  });

  test("keeps its files through the mailbox's daily sweep", async () => {
    const { id } = await create({ ...WHOLE, attachments: [FILE] });
    const other = id.at(-9) === "0" ? "1" : "0";
    const orphan = `att/${tenant.id}/${tenant.mailbox.id}/${id.slice(0, -9)}${other}${id.slice(-8)}/0`;
    await env.STORE.put(orphan, "orphan");
    const box = objectOf(tenant);
    await advanceClock(box, 26 * HOUR);
    await runAlarm(box);
    await advanceClock(box, 0);
    expect(await stored(id)).toEqual(["hello"]);
    expect(await env.STORE.head(orphan)).toBeNull();
  });

  test("is deleted with its files", async () => {
    const { id } = await create({ ...WHOLE, attachments: [FILE] });
    expect(await drafts("DELETE", `/${id}`)).toMatchObject({ status: 200, body: { id } });
    await runAlarm(objectOf(tenant));
    expect(await stored(id)).toEqual([]);
    for (const [method, path] of [
      ["GET", `/${id}`],
      ["DELETE", `/${id}`],
      ["PATCH", `/${id}`],
      ["POST", `/${id}/send`],
    ] as const) {
      const answer = await drafts(method, path, method === "PATCH" ? { subject: "x" } : undefined);
      expect(answer, method).toMatchObject({ status: 404, body: { code: "not_found" } });
    }
  });

  test("is everybody's who may use the mailbox", async () => {
    const { id } = await create();
    const other = { key: "other agent" };
    expect((await drafts("GET", `/${id}`, undefined, other)).status).toBe(200);
    expect(await drafts("PATCH", `/${id}`, { subject: "Theirs" }, other)).toMatchObject({
      status: 200,
      body: { subject: "Theirs" },
    });
    expect((await drafts("DELETE", `/${id}`, undefined, other)).status).toBe(200);
  });

  test("is answered again for the same idempotency key", async () => {
    const first = await create({ ...WHOLE, idempotency_key: "draft" });
    expect(await drafts("POST", "", { ...WHOLE, idempotency_key: "draft" })).toMatchObject({
      status: 200,
      body: { id: first.id, idempotent: true },
    });
  });

  test("is listed, the newest first, with a cursor", async () => {
    const own = await makeTenant();
    const made: string[] = [];
    for (const subject of ["one", "two", "three"]) made.unshift((await create({ subject }, { from: own })).id);
    const list = async (query: string) =>
      (await drafts<{ drafts: Draft[]; cursor: string | null }>("GET", query, undefined, { from: own })).body;
    const first = await list("?limit=2");
    expect(first.drafts.map(({ id }) => id).sort()).toHaveLength(2);
    const rest = await list(`?limit=2&cursor=${first.cursor}`);
    expect(rest.cursor).toBeNull();
    const all = [...first.drafts, ...rest.drafts].map(({ id }) => id);
    expect(all).toEqual(all.toSorted().reverse());
    expect(all.toSorted()).toEqual(made.toSorted());
    expect(await drafts("GET", "?cursor=x", undefined, { from: own })).toMatchObject({ status: 422 });
  });

  test("with long bodies is listed in pages that fit", async () => {
    const own = await makeTenant();
    const text = "x".repeat(256 * 1024);
    for (let n = 0; n < 12; n++) await create({ html: `<p>${text}</p>`, text }, { from: own });
    const seen = new Set<string>();
    let cursor: string | null = null;
    let pages = 0;
    do {
      const query: string = cursor === null ? "?limit=100" : `?limit=100&cursor=${cursor}`;
      const page = await drafts<{ drafts: Draft[]; cursor: string | null }>("GET", query, undefined, { from: own });
      for (const { id } of page.body.drafts) seen.add(id);
      cursor = page.body.cursor;
      pages += 1;
    } while (cursor !== null && pages < 20);
    expect(seen.size).toBe(12);
  });
});

describe("sending a draft", () => {
  const send = (id: string, calling: Calling = {}) => drafts<SendAnswer>("POST", `/${id}/send`, undefined, calling);

  test("submits it under its own id; it is gone then, and repeating it answers the same", async () => {
    const { id } = await create({ ...WHOLE, attachments: [FILE] });
    const sent = await send(id);
    expect(sent).toMatchObject({
      status: 202,
      body: { id, status: "pending_send_approval", pending_id: id.replace("em_", "pend_") },
    });
    expect(await send(id)).toEqual({
      ...sent,
      status: 200,
      headers: expect.anything(),
      body: { ...sent.body, idempotent: true },
    });
    for (const [method, path] of [
      ["GET", `/${id}`],
      ["DELETE", `/${id}`],
      ["PATCH", `/${id}`],
    ] as const) {
      const answer = await drafts(method, path, method === "PATCH" ? { subject: "other" } : undefined);
      expect(answer, method).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    }
    const { body: email } = await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "agent") });
    expect(email).toMatchObject({ subject: "Offer", markdown: "Hello **Ana**" });
    const file = await request(`/v1/mailboxes/${tenant.mailbox.id}/emails/${id}/attachments/offer.txt`, {
      key: keyOf(tenant, "agent"),
    });
    expect(await file.text()).toBe("hello");
    await decideSeen(tenant, sent.body.pending_id ?? "");
    await runAlarm(objectOf(tenant));
    const after = await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "agent") });
    expect(after.body.status).toBe("sent");
  });

  test("twice at the same moment sends it once", async () => {
    const { id } = await create();
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 202]);
    expect(new Set(answers.map(({ body }) => body.id))).toEqual(new Set([id]));
    const entries = await chainOf(objectOf(tenant));
    const about = entries.filter(({ resource }) => resource.id === id).map(({ action }) => action);
    expect(about.filter((action) => action === "message.held")).toHaveLength(1);
    expect(about.filter((action) => action === "draft.sent")).toHaveLength(1);
  });

  test("is done by whoever sends it, and the record names who wrote it", async () => {
    const { id } = await create({ ...WHOLE, agent_id: "writer" });
    await drafts("PATCH", `/${id}`, { subject: "Changed" }, { key: "send" });
    const sent = await send(id, { key: "other agent" });
    expect(sent.status).toBe(202);
    const { body: email } = await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "agent") });
    expect(email.agent_id).toBe("other");
    const entries = await chainOf(objectOf(tenant));
    const by = (action: string) => entries.find((entry) => entry.action === action && entry.resource.id === id);
    expect(by("draft.sent")).toMatchObject({
      actor: { agent_id: "other" },
      detail: {
        written_by: by("draft.created")?.actor.key_id,
        changed_by: by("draft.changed")?.actor.key_id,
        drafted_for: "writer",
      },
    });
    expect(by("draft.sent")?.actor.key_id).not.toBe(by("draft.created")?.actor.key_id);
    // Only who sent it is told again what became of it.
    expect(await send(id)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
  });

  test.each<[what: string, json: Record<string, unknown>, missing: string[]]>([
    ["nothing at all", {}, ["to", "subject", "markdown"]],
    ["no recipient", { subject: "x", text: "x" }, ["to"]],
    ["copies alone", { cc: "ana@customer.example", subject: "x", text: "x" }, ["to"]],
    ["no subject", { to: "ana@customer.example", text: "x" }, ["subject"]],
    ["no body", { to: "ana@customer.example", subject: "x" }, ["markdown"]],
  ])("is refused while it has %s, and says what is missing", async (_what, json, missing) => {
    const { id } = await create(json);
    const answer = await drafts<RefusalBody>("POST", `/${id}/send`);
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    expect(answer.body.issues?.map(({ path }) => path)).toEqual(missing);
    expect((await drafts("GET", `/${id}`)).status).toBe(200);
  });

  test("is refused once its time is over, and works again with another", async () => {
    const own = await makeTenant();
    const send_at = new Date(Date.now() + HOUR).toISOString();
    const { id } = await create({ ...WHOLE, send_at }, { from: own });
    const box = objectOf(own);
    await advanceClock(box, 2 * HOUR);
    const late = await drafts<RefusalBody>("POST", `/${id}/send`, undefined, { from: own });
    expect(late).toMatchObject({ status: 422, body: { issues: [{ path: "send_at", message: "is in the past" }] } });
    await drafts("PATCH", `/${id}`, { send_at: null }, { from: own });
    expect((await send(id, { from: own })).status).toBe(202);
    await advanceClock(box, 0);
  });

  test("that a rule denies leaves the draft", async () => {
    const own = await makeTenant(["autonomous"]);
    const box = objectOf(own);
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, templates_only: true }, null));
    const { id } = await create(WHOLE, { from: own });
    expect(await send(id, { from: own })).toMatchObject({ status: 403, body: { code: "denied_by_policy" } });
    expect((await drafts("GET", `/${id}`, undefined, { from: own })).status).toBe(200);
  });
});

describe("a draft from a template", () => {
  const content = { name: "Hi", subject: "Hi {{name}}", markdown: "Hello {{name}}", variables: [{ name: "name" }] };
  async function approved(): Promise<string> {
    const json = { mailbox_id: tenant.mailbox.id, ...content };
    const { body } = await call<Template>("/v1/templates", { key: keyOf(tenant, "agent"), json });
    await decideSeen(tenant, body.pending_id ?? "");
    return body.id;
  }

  test("is sent by the template's approval", async () => {
    const template_id = await approved();
    const draft = await create({ to: "ana@customer.example", template_id, variables: { name: "Ana" } });
    expect(draft).toMatchObject({ template_id, subject: "Hi Ana", text: "Hello Ana" });
    const sent = await drafts<SendAnswer>("POST", `/${draft.id}/send`);
    expect(sent.body).toMatchObject({ status: "queued", approval_ref: expect.stringMatching(/^apr_/) });
  });

  test.each<[what: string, change: Record<string, unknown>]>([
    ["words", { markdown: "Send money" }],
    ["a subject", { subject: "Urgent" }],
    ["a file", { attachments: [FILE] }],
    ["an address for answers", { reply_to: "eve@evil.example" }],
  ])("that is given %s of its own waits for a human like any other", async (_what, change) => {
    const template_id = await approved();
    const { id } = await create({ to: "ana@customer.example", template_id, variables: { name: "Ana" } });
    const changed = await drafts("PATCH", `/${id}`, change);
    expect(changed).toMatchObject({ status: 200, body: { template_id: null } });
    const sent = await drafts<SendAnswer>("POST", `/${id}/send`);
    expect(sent.body).toMatchObject({ status: "pending_send_approval", approval_ref: null });
  });

  test("carries no names, whenever they were given", async () => {
    const template_id = await approved();
    const { id } = await create({ template_id, variables: { name: "Ana" }, to: "Call +1 900 <ana@customer.example>" });
    const { body } = await drafts("PATCH", `/${id}`, { cc: ["Pay now <bob@customer.example>"] });
    expect(body).toMatchObject({ template_id, to: ["ana@customer.example"], cc: ["bob@customer.example"] });
  });

  test("carries nothing else that no approver saw, also if it was there before", async () => {
    const template_id = await approved();
    const { id } = await create({ ...WHOLE, attachments: [FILE], reply_to: "eve@evil.example" });
    const { body } = await drafts("PATCH", `/${id}`, { template_id, variables: { name: "Ana" } });
    expect(body).toMatchObject({ template_id, attachments: [], reply_to: [], markdown: "Hello Ana" });
    await runAlarm(objectOf(tenant));
    expect(await stored(id)).toEqual([]);
  });

  test("of an earlier version, or of a deleted template, is made anew first", async () => {
    const template_id = await approved();
    const key = keyOf(tenant, "agent");
    const make = () => create({ to: "ana@customer.example", template_id, variables: { name: "Ana" } });
    const { id } = await make();
    const update = await call<Template>(`/v1/templates/${template_id}`, { method: "PUT", key, json: content });
    await decideSeen(tenant, update.body.pending_id ?? "");
    expect(await drafts("POST", `/${id}/send`)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    await drafts("PATCH", `/${id}`, { template_id, variables: { name: "Ana" } });
    expect((await drafts<SendAnswer>("POST", `/${id}/send`)).body).toMatchObject({ status: "queued" });
    const last = await make();
    await call(`/v1/templates/${template_id}`, { method: "DELETE", key });
    expect(await drafts("POST", `/${last.id}/send`)).toMatchObject({ status: 409, body: { code: "wrong_state" } });
  });

  test("that was never approved cannot be begun", async () => {
    const json = { mailbox_id: tenant.mailbox.id, ...content };
    const { body } = await call<Template>("/v1/templates", { key: keyOf(tenant, "agent"), json });
    const draft = { template_id: body.id, variables: { name: "Ana" } };
    expect(await drafts("POST", "", draft)).toMatchObject({ status: 409 });
  });
});

describe("a draft is refused, and nothing is stored", () => {
  test.each<[what: string, json: Record<string, unknown>, status: number, code: string, path: string | null]>([
    ["an address that is none", { to: "ana" }, 422, "invalid_address", "to.0"],
    ["CRLF in a subject", { subject: "a\r\nBcc: x@evil.example" }, 422, "forbidden_characters", "subject"],
    ["two bodies", { markdown: "a", text: "b" }, 422, "invalid_input", "text"],
    ["a time without zone", { send_at: "2027-01-01T10:00:00" }, 422, "invalid_input", "send_at"],
    ["a time in the past", { send_at: "2020-01-01T10:00:00Z" }, 422, "invalid_input", "send_at"],
    ["a time over a year away", { send_at: "2120-01-01T10:00:00Z" }, 422, "invalid_input", "send_at"],
    [
      "a file that is no base64",
      { attachments: [{ ...FILE, content_base64: "x" }] },
      422,
      "invalid_attachment",
      "attachments.0.content_base64",
    ],
    ["values and no template", { variables: { a: "b" } }, 422, "invalid_input", "variables"],
    ["a dry run", { dry_run: true }, 422, "invalid_input", "dry_run"],
    ["an unknown template", { template_id: "tpl_01ARZ3NDEKTSV4RRFFQ69G5FAV", attachments: [] }, 404, "not_found", null],
  ])("with %s", async (_what, json, status, code, path) => {
    const before = await storedCounts();
    const answer = await drafts<RefusalBody>("POST", "", { attachments: [FILE], ...json });
    expect({ status: answer.status, code: answer.body.code }, JSON.stringify(answer.body)).toEqual({ status, code });
    if (path !== null) expect(answer.body.issues?.map((issue) => issue.path)).toContain(path);
    expect(await storedCounts()).toEqual(before);
  });

  test("with more than a row of the mailbox's storage holds", async () => {
    const before = await storedCounts();
    const answer = await drafts<RefusalBody>("POST", "", { markdown: "\u0001 ".repeat(128 * 1024) });
    expect(answer).toMatchObject({ status: 413, body: { code: "too_large" } });
    expect(await storedCounts()).toEqual(before);
  });

  test("beyond a thousand of them", async () => {
    const own = await makeTenant();
    const first = await create({}, { from: own });
    await inObject(objectOf(own), (_object, state) => {
      for (let n = 1; n < 1_000; n++) {
        state.storage.sql.exec(
          "INSERT INTO drafts SELECT ?, created_at, updated_at, key_id, draft FROM drafts WHERE id = ?",
          `em_${n}`,
          first.id,
        );
      }
    });
    expect(await drafts("POST", "", {}, { from: own })).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect((await drafts("PATCH", `/${first.id}`, { subject: "x" }, { from: own })).status).toBe(200);
  });

  test("in a read_only mailbox, where they can be read but neither changed nor deleted", async () => {
    const own = await makeTenant(["gated_send"]);
    const { id } = await create(WHOLE, { from: own });
    const box = objectOf(own);
    unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
    for (const [method, path, json] of [
      ["POST", "", {}],
      ["PATCH", `/${id}`, { subject: "x" }],
      ["DELETE", `/${id}`, undefined],
      ["POST", `/${id}/send`, undefined],
    ] as const) {
      expect(await drafts(method, path, json, { from: own }), method + path).toMatchObject({
        status: 403,
        body: { code: "denied_by_mode" },
      });
    }
    expect((await drafts("GET", `/${id}`, undefined, { from: own })).status).toBe(200);
  });

  test("to a key of another tenant, as if it were not there", async () => {
    const { id } = await create();
    const stranger = await makeTenant();
    for (const name of ["update_draft", "get_draft", "send_draft", "delete_draft"]) {
      const json = { draft_id: id, ...(name === "update_draft" && { subject: "x" }) };
      expect(await call(`/v1/${name}`, { key: keyOf(stranger, "agent"), json }), name).toMatchObject({ status: 404 });
    }
  });
});

test("no word of a draft is in the open in the record", async () => {
  const own = await makeTenant();
  const { id } = await create({ ...WHOLE, attachments: [FILE] }, { from: own });
  await drafts("DELETE", `/${id}`, undefined, { from: own });
  const entries = await chainOf(objectOf(own));
  expect(entries.map(({ action }) => action)).toEqual(["mailbox.created", "draft.created", "draft.deleted"]);
  const open = JSON.stringify(entries.map(({ sealed: _sealed, ...rest }) => rest));
  for (const words of ["Offer", "Ana", "customer.example", "offer.txt"]) expect(open).not.toContain(words);
});
