import { beforeAll, describe, expect, test } from "vitest";
import { SYSTEM_LOCAL_PARTS } from "../../src/mail/system-mail.ts";
import {
  type Answer,
  type CallOptions,
  keyOf,
  makeTenant,
  type RefusalBody,
  call as send,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";

/** Each a clear 4xx with a stable code, and nothing stored. */

/** How the validating library words things, which is not how we do. */
const LIBRARY_WORDS = /received|expected|Invalid|Too |pattern/;

/** Sends a request; a refusal's words are held against `LIBRARY_WORDS`, whatever the test looks at. */
async function call<Body = RefusalBody>(path: string, options: CallOptions = {}): Promise<Answer<Body>> {
  const answer = await send<Body & Partial<RefusalBody>>(path, options);
  const { error, issues } = answer.body;
  for (const words of [error, ...(issues ?? []).map(({ message }) => message)]) {
    expect(words ?? "").not.toMatch(LIBRARY_WORDS);
  }
  return answer;
}

let tenant: TestTenant;
let foreign: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
  foreign = await makeTenant();
});

const message = { to: "ana@customer.example", subject: "Offer", text: "Hello" };
const MIB = 1024 * 1024;

async function refusedSend(json: unknown, status: number, code: string): Promise<RefusalBody> {
  const before = await storedCounts();
  const { body, status: actual } = await call("/v1/send_email", { key: keyOf(tenant, "agent"), json });
  expect({ status: actual, code: body.code }, JSON.stringify(body)).toEqual({ status, code });
  expect(body.error).toMatch(/^[^\n]{5,300}\.$/);
  expect(await storedCounts()).toEqual(before);
  return body;
}

const sendWith = (more: Record<string, unknown>) => ({ ...message, mailbox_id: tenant.mailbox.id, ...more });

describe("bodies", () => {
  const key = () => keyOf(tenant, "agent");

  test.each([
    ["", 422, "invalid_input"],
    ["{", 400, "malformed_json"],
    ["{}}", 400, "malformed_json"],
    ["{'a':1}", 400, "malformed_json"],
    [new Uint8Array([0x22, 0xff, 0x22]), 400, "malformed_json"],
    ["null", 422, "invalid_input"],
    ["[]", 422, "invalid_input"],
    ['"text"', 422, "invalid_input"],
    ["17", 422, "invalid_input"],
    [`${"[".repeat(100_000)}${"]".repeat(100_000)}`, 422, "invalid_input"],
    [`{"metadata":${'{"a":'.repeat(40)}1${"}".repeat(40)}}`, 422, "invalid_input"],
    ['{"metadata":{"n":1e999}}', 422, "invalid_input"],
    ['{"__proto__":{"scopes":["admin"]}}', 422, "invalid_input"],
    ['{"metadata":{"__proto__":{}}}', 422, "invalid_input"],
    ['{"subject":"\\ud800"}', 422, "invalid_input"],
    ['{"text":"a\\u0000b"}', 422, "forbidden_characters"],
  ])("%j is refused", async (raw, status, code) => {
    const before = await storedCounts();
    const answer = await call("/v1/send_email", {
      key: key(),
      method: "POST",
      raw,
      headers: { "content-type": "application/json" },
    });
    expect(answer).toMatchObject({ status, body: { code } });
    expect(await storedCounts()).toEqual(before);
  });

  test("14 MiB are read, a byte more is a 413, announced or not", async () => {
    const frame = JSON.stringify(sendWith({ text: "" })).length;
    const sized = (octets: number) => JSON.stringify(sendWith({ text: "x".repeat(octets - frame) }));
    const headers = { "content-type": "application/json" };
    const fits = await call("/v1/send_email", { key: key(), raw: sized(14 * MIB), headers });
    expect(fits).toMatchObject({ status: 422, body: { issues: [{ path: "text" }] } });
    expect(await call("/v1/send_email", { key: key(), raw: sized(14 * MIB + 1), headers })).toMatchObject({
      status: 413,
      body: { code: "too_large" },
    });
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(MIB).fill(0x20)),
    });
    expect(await call("/v1/send_email", { key: key(), raw: endless, headers })).toMatchObject({
      status: 413,
      body: { code: "too_large" },
    });
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "multipart/form-data; boundary=x",
    "",
  ])("of the type %j are a 415", async (type) => {
    const answer = await call("/v1/send_email", {
      key: key(),
      raw: JSON.stringify(sendWith({})),
      headers: { "content-type": type },
    });
    expect(answer).toMatchObject({ status: 415, body: { code: "unsupported_media_type" } });
  });

  test("are not read from those who show no key", async () => {
    const unread = new ReadableStream({ pull: () => Promise.reject(new Error("it was read")) });
    expect((await call("/v1/send_email", { raw: unread })).status).toBe(401);
  });
});

describe("send_email refuses", () => {
  test.each<[string, Record<string, unknown>, string[]]>([
    ["an unknown field", { colour: "red" }, ["colour"]],
    [
      "an unknown field inside",
      { attachments: [{ name: "a", content_base64: "", path: "/etc" }] },
      ["attachments.0.path"],
    ],
    ["a time without its zone", { send_at: "2030-01-01T00:00:00" }, ["send_at"]],
    ["a template beside words of its own", { template_id: "tpl_1", variables: {} }, ["subject", "text"]],
    ["a dry run that is neither true nor false", { dry_run: "maybe" }, ["dry_run"]],
    ["a number as recipient", { to: 7 }, ["to"]],
    ["no recipient", { to: undefined }, ["to"]],
    ["an empty list of recipients", { to: [] }, ["to"]],
    ["a missing subject", { subject: undefined }, ["subject"]],
    ["a missing body", { text: undefined }, ["markdown"]],
    ["two bodies that differ", { body: "other" }, ["body"]],
    ["markdown beside text", { markdown: "Hello" }, ["text"]],
    ["a list as subject", { subject: ["a"] }, ["subject"]],
    ["a subject of 999 characters", { subject: "x".repeat(999) }, ["subject"]],
    ["257 KiB of text", { text: "x".repeat(257 * 1024) }, ["text"]],
    ["256 KiB of characters that are more octets", { text: "ä".repeat(200 * 1024) }, ["text"]],
    ["metadata over 16 KiB", { metadata: { a: "x".repeat(16 * 1024) } }, ["metadata"]],
    ["metadata that is no map", { metadata: [1] }, ["metadata"]],
    ["51 tags", { tags: Array.from({ length: 51 }, (_, n) => `t${n}`) }, ["tags"]],
    ["an agent id that headers cannot carry", { agent_id: "a;b=c" }, ["agent_id"]],
    ["an agent id of 65 characters", { agent_id: "a".repeat(65) }, ["agent_id"]],
    ["a model id of 49 characters", { model_id: "m".repeat(49) }, ["model_id"]],
    ["a provider of 17 characters", { model_provider: "p".repeat(17) }, ["model_provider"]],
    ["a mode that there is not", { oversight_mode: "yolo" }, ["oversight_mode"]],
    ["an idempotency key with a line break", { idempotency_key: "a\nb" }, ["idempotency_key"]],
    ["an idempotency key that is a number", { idempotency_key: 7 }, ["idempotency_key"]],
  ])("%s", async (_what, more, paths) => {
    const body = await refusedSend(sendWith(more), 422, "invalid_input");
    expect(body.issues?.map(({ path }) => path)).toEqual(paths);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ to: undefined }, "to is needed."],
    [{ to: [] }, "to needs at least one address."],
    [{ subject: undefined }, "subject is needed."],
    [{ subject: ["a"] }, "subject must be a string."],
    [{ subject: "x".repeat(999) }, "subject may have at most 998 characters."],
    [{ text: undefined }, "markdown is needed (a body is also taken as text, or html)."],
    [{ mailbox_id: undefined }, "mailbox_id is needed (also taken as mailbox, from, from_address)."],
  ])("%j in a plain sentence", async (more, sentence) => {
    expect((await refusedSend(sendWith(more), 422, "invalid_input")).error).toBe(sentence);
  });

  test("an empty list of recipients in a reply too, where leaving them out means those of the message", async () => {
    const json = { email_id: "em_none", text: "Hello", to: [] };
    const answer = await call("/v1/reply_email", { key: keyOf(tenant, "agent"), json });
    expect(answer).toMatchObject({ status: 422, body: { issues: [{ path: "to" }] } });
    const without = await call("/v1/reply_email", { key: keyOf(tenant, "agent"), json: { ...json, to: undefined } });
    expect(without.status).toBe(404);
  });

  const breakers = ["\r\nBcc: eve@evil.example", "\n", "\r", "\0"];
  test.each<[string, (text: string) => Record<string, unknown>]>([
    ["the subject", (text) => ({ subject: `Offer${text}` })],
    ["an address", (text) => ({ to: `ana@customer.example${text}` })],
    ["a display name", (text) => ({ to: [`Ana${text} <ana@customer.example>`] })],
    ["cc", (text) => ({ cc: `x${text}@customer.example` })],
    ["bcc", (text) => ({ bcc: [`x@customer.example${text}`] })],
    ["reply_to", (text) => ({ reply_to: `x@customer.example${text}` })],
    ["a file's name", (text) => ({ attachments: [{ name: `a${text}`, content_base64: "" }] })],
    [
      "a file's type",
      (text) => ({ attachments: [{ name: "a", content_base64: "", content_type: `text/plain${text}` }] }),
    ],
    ["a tag in a list", (text) => ({ tags: [`a${text}`] })],
    ["a tag's key", (text) => ({ tags: { [`a${text}`]: "" } })],
    ["a tag's value", (text) => ({ tags: { a: `b${text}` } })],
    ["a key of metadata", (text) => ({ metadata: { [`a${text}`]: 1 } })],
  ])("CR, LF and NUL in %s", async (_where, more) => {
    for (const text of breakers) await refusedSend(sendWith(more(text)), 422, "forbidden_characters");
  });

  test.each([
    "Team: ana@customer.example, bob@customer.example;",
    "undisclosed-recipients:;",
    "ana@customer.example>",
    "@relay.example:ana@customer.example",
    "ana@[192.0.2.1]",
    "ana",
    "",
    "ana@localhost",
    "änä@customer.example",
    '"a\\"b"@customer.example',
    "ana%evil.example@customer.example",
    "<ana@customer.example> <eve@evil.example>",
    "=?utf-8?q?ana?= <ana@customer.example>",
  ])("the address %j", async (to) => {
    const body = await refusedSend(sendWith({ to }), 422, "invalid_address");
    expect(body.issues?.[0]?.path).toMatch(/^to/);
  });

  test("a domain of letters beyond ASCII and a quoted local part are taken, in one form each", async () => {
    const json = sendWith({ to: ["Ana <ana@BÜCHER.example>", '"ana b"@customer.example'] });
    const { status, body } = await call<{ id: string }>("/v1/send_email", { key: keyOf(tenant, "agent"), json });
    expect(status).toBe(202);
    const read = await call<{ to: string[] }>(`/v1/emails/${body.id}`, { key: keyOf(tenant, "agent") });
    expect(read.body.to).toEqual(["Ana <ana@xn--bcher-kva.example>", '"ana b"@customer.example']);
  });

  test("51 recipients, wherever they stand; 50 are taken", async () => {
    const people = (count: number, prefix: string) =>
      Array.from({ length: count }, (_, n) => `${prefix}${n}@customer.example`);
    const spread = { to: people(20, "to"), cc: people(20, "cc") };
    await refusedSend(sendWith({ ...spread, bcc: people(11, "bcc") }), 422, "too_many_recipients");
    await refusedSend(sendWith({ to: people(51, "to").join(", ") }), 422, "too_many_recipients");
    await refusedSend(sendWith({ to: people(51, "to") }), 422, "too_many_recipients");
    expect(
      (
        await call("/v1/send_email", {
          key: keyOf(tenant, "agent"),
          json: sendWith({ ...spread, bcc: people(10, "bcc"), tags: ["transactional"] }),
        })
      ).status,
    ).toBe(202);
  });

  test.each(["not base64!", "aGVsbG8", "aGVsbG8=\n", "aGVs bG8=", "aGVsbG9=", "a===", "====", "-_-_", "=aaa", "aa=a"])(
    "%j as a file's base64",
    async (content_base64) => {
      const body = await refusedSend(
        sendWith({
          attachments: [
            { name: "a.txt", content_base64: "aGVsbG8=" },
            { name: "b", content_base64 },
          ],
        }),
        422,
        "invalid_attachment",
      );
      expect(body.issues?.[0]?.path).toBe("attachments.1.content_base64");
    },
  );

  test.each(["nonsense", "multipart/mixed", "message/rfc822", "a/b/c"])("%j as a file's type", async (content_type) => {
    await refusedSend(
      sendWith({ attachments: [{ name: "a", content_base64: "", content_type }] }),
      422,
      "invalid_attachment",
    );
  });

  test("a message over 10 MiB once its files are encoded", async () => {
    const content_base64 = Buffer.alloc(7.8 * MIB).toString("base64");
    await refusedSend(sendWith({ attachments: [{ name: "a", content_base64 }] }), 413, "too_large");
  });

  test("markdown that swells beyond 1 MiB", async () => {
    await refusedSend(sendWith({ text: undefined, markdown: "&".repeat(250 * 1024) }), 413, "too_large");
  });

  test("a mailbox of another tenant, before any file is stored", async () => {
    const attachments = [{ name: "a.txt", content_base64: "aGVsbG8=" }];
    await refusedSend(sendWith({ mailbox_id: foreign.mailbox.id, attachments }), 404, "not_found");
    await refusedSend(sendWith({ mailbox_id: foreign.mailbox.address, attachments }), 404, "not_found");
  });

  test("what its mailbox's mode denies, and keeps none of its files", async () => {
    const silent = await makeTenant(["read_only"]);
    const before = await storedCounts();
    const json = {
      ...message,
      mailbox_id: silent.mailbox.id,
      attachments: [{ name: "a.txt", content_base64: "aGVsbG8=" }],
    };
    expect(await call("/v1/send_email", { key: keyOf(silent, "agent"), json })).toMatchObject({
      status: 403,
      body: { code: "denied_by_mode" },
    });
    expect(await storedCounts()).toEqual(before);
  });
});

describe("paths and queries", () => {
  const read = () => keyOf(tenant, "read");

  test.each([
    ["/v1/mailboxes?limit=0", "limit"],
    ["/v1/mailboxes?limit=101", "limit"],
    ["/v1/mailboxes?limit=ten", "limit"],
    ["/v1/mailboxes?limit=1&limit=2", "limit"],
    ["/v1/mailboxes?cursor=nonsense", "cursor"],
    ["/v1/mailboxes?nothing=1", "nothing"],
    ["/v1/account?x", "x"],
  ])("%s is a 422 that names the field", async (path, field) => {
    expect(await call(path, { key: read() })).toMatchObject({ status: 422, body: { issues: [{ path: field }] } });
  });

  test.each([
    ["status=gone", "status.0"],
    ["date_after=yesterday", "date_after"],
    ["has_attachments=maybe", "has_attachments"],
    ["metadata=x", "metadata"],
    ["offset=1001", "offset"],
    ["tags=tree", "tags"],
    ["mailbox_id=mbx_other", "mailbox_id"],
    ["q=%00", "q"],
  ])("check_inbox refuses ?%s", async (query, field) => {
    const answer = await call(`/v1/mailboxes/${tenant.mailbox.id}/emails?${query}`, { key: read() });
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 422, body: { issues: [{ path: field }] } });
  });

  test.each([
    ["/v1/mailboxes?limit=0", "read", "limit must be at least 1."],
    ["/v1/mailboxes?limit=101", "read", "limit may be at most 100."],
    [
      "/v1/audit-log?from=yesterday",
      "admin",
      "from must be a date and time with its zone, such as 2026-11-21T10:00:00Z.",
    ],
  ])("%s as %s says so in a plain sentence", async (path, key, sentence) => {
    expect((await call(path, { key: keyOf(tenant, key) })).body.error).toBe(sentence);
  });

  test("a content hash that is none is refused in a plain sentence", async () => {
    const json = { email_id: "em_none", decision: "approve", content_hash: "xyz" };
    expect((await call("/v1/oversight/decide", { key: keyOf(tenant, "oversight"), json })).body).toMatchObject({
      code: "invalid_input",
      error: expect.stringMatching(/^content_hash must be .*64 /),
    });
  });

  test.each(['a-b "c OR', "NEAR(", "*", "'", "%", ") OR 1=1 --"])("full text takes %j as words", async (q) => {
    const answer = await call(`/v1/mailboxes/${tenant.mailbox.id}/emails?q=${encodeURIComponent(q)}`, { key: read() });
    expect(answer.status).toBe(200);
  });

  test("a cursor that is none is a 422", async () => {
    for (const path of [
      `/v1/mailboxes/${tenant.mailbox.id}/emails?cursor=x`,
      "/v1/audit-log?cursor=x",
      "/v1/api-keys?cursor=x",
      "/v1/oversight/pending?cursor=x",
    ]) {
      const key = keyOf(tenant, path.includes("emails") ? "read" : path.includes("pending") ? "oversight" : "admin");
      expect((await call(path, { key })).status, path).toBe(422);
    }
  });

  test("unknown paths are 404, known ones with another method 405 that names the right one", async () => {
    for (const path of [
      "/nowhere",
      "/v1",
      "/v1/nowhere",
      "/v2/send_email",
      "/v1/mailboxes/",
      "/v1/emails/a/b/c",
      "/V1/MAILBOXES",
      "/%",
      "/v1/emails/%ff",
    ]) {
      const answer = await call(path, { key: read() });
      expect(answer, path).toMatchObject({ status: 404, body: { code: "not_found" } });
    }
    for (const [path, method, allow] of [
      ["/v1/send_email", "GET", "POST"],
      ["/send_email", "DELETE", "POST"],
      ["/v1/mailboxes", "PUT", "POST, GET, HEAD"],
      ["/v1/oversight/decide", "GET", "POST"],
      ["/health", "POST", "GET, HEAD"],
      ["/docs", "DELETE", "GET, HEAD"],
    ] as const) {
      const answer = await call(path, { key: read(), method });
      expect(answer, path).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
      expect(answer.headers.get("allow")).toBe(allow);
    }
  });

  test("a body that contradicts its path is refused", async () => {
    const json = { ...message, mailbox_id: foreign.mailbox.id };
    const answer = await call(`/v1/mailboxes/${tenant.mailbox.id}/send`, { key: keyOf(tenant, "agent"), json });
    expect(answer).toMatchObject({ status: 422, body: { issues: [{ path: "mailbox_id" }] } });
  });

  test.each(["Basic abc", "Bearer", "Bearer ", "mm_live_x", "Bearer a b"])(
    "Authorization: %s is a 401",
    async (authorization) => {
      const answer = await call("/v1/account", { headers: { authorization } });
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="multimail"');
    },
  );
});

describe("mailboxes", () => {
  async function refused(json: unknown, code: string): Promise<RefusalBody> {
    const before = await storedCounts();
    const answer = await call("/v1/mailboxes", { key: keyOf(tenant, "admin"), json });
    expect(answer.body, JSON.stringify(json)).toMatchObject({ code });
    expect(await storedCounts()).toEqual(before);
    return answer.body;
  }

  test.each([
    ["Two Words", "invalid_address"],
    ["", "invalid_address"],
    ["a+b", "invalid_address"],
    ["a..b", "invalid_address"],
    [".a", "invalid_address"],
    ["a@agents.test", "invalid_address"],
    ['"a"b', "invalid_address"],
    ["ä", "invalid_address"],
    ["a\r\nb", "forbidden_characters"],
    ["x".repeat(65), "invalid_input"],
    ...SYSTEM_LOCAL_PARTS.map((local): [string, string] => [local, "address_taken"]),
    ["Approvals", "address_taken"],
    ["administrator", "address_taken"],
  ])("%j is no address_local", async (address_local, code) => {
    await refused({ address_local }, code);
  });

  test("an address is one, of a domain that is verified here", async () => {
    await refused({}, "invalid_input");
    await refused({ address: "a@agents.test", address_local: "a" }, "invalid_input");
    expect((await refused({ address: "a@elsewhere.example" }, "invalid_input")).issues?.[0]?.message).toContain(
      "verified",
    );
    await refused({ address: tenant.mailbox.address }, "address_taken");
    await refused({ address: foreign.mailbox.address.toUpperCase() }, "address_taken");
    await refused({ address: "Agent: a@agents.test;" }, "invalid_address");
  });

  test("an approver is no address where an agent could read, however it is written", async () => {
    const { address } = tenant.mailbox;
    const [local, domain] = address.split("@") as [string, string];
    for (const approver_email of [
      address,
      address.toUpperCase(),
      `${local}+x@${domain}`,
      `"${local}"@${domain}`,
      foreign.mailbox.address,
      "nobody@agents.test",
      "Boss <x@AGENTS.TEST>",
      "x@ａgents.test",
    ]) {
      await refused({ address_local: "fresh", approver_email }, "approver_is_mailbox");
      const path = `/v1/mailboxes/${tenant.mailbox.id}`;
      const answer = await call(path, { method: "PATCH", key: keyOf(tenant, "admin"), json: { approver_email } });
      expect(answer.body.code).toBe("approver_is_mailbox");
    }
    await refused({ address_local: "fresh", approver_email: "nobody" }, "invalid_address");
    await refused({ address_local: "fresh", approver_email: "a@b.example, c@d.example" }, "invalid_address");
  });

  test("names and copies are header-bound", async () => {
    await refused({ address_local: "fresh", display_name: "A\r\nB" }, "forbidden_characters");
    await refused({ address_local: "fresh", auto_cc: "a@b.example\n" }, "forbidden_characters");
    await refused(
      { address_local: "fresh", auto_bcc: Array.from({ length: 11 }, (_, n) => `a${n}@b.example`) },
      "invalid_input",
    );
    await refused({ address_local: "fresh", forward_inbound: "a@b.example\r\n" }, "forbidden_characters");
  });

  test("an update names something to change", async () => {
    const answer = await call(`/v1/mailboxes/${tenant.mailbox.id}`, {
      method: "PATCH",
      key: keyOf(tenant, "admin"),
      json: {},
    });
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_input" } });
  });
});

describe("keys", () => {
  test.each([
    [{ name: "x", scopes: ["send", "oversight"] }, "conflicting_scopes"],
    [{ name: "x", scopes: ["read", "send", "oversight", "admin"] }, "conflicting_scopes"],
    [{ name: "x", scopes: [] }, "invalid_input"],
    [{ name: "x", scopes: ["root"] }, "invalid_input"],
    [{ name: "", scopes: ["read"] }, "invalid_input"],
    [{ name: "a\nb", scopes: ["read"] }, "forbidden_characters"],
    [{ name: "x", scopes: ["read"], agent_id: "a b" }, "invalid_input"],
    [{ name: "x", scopes: ["read"], mailbox_ids: ["mbx_1"] }, "not_found"],
    [{ name: "x", scopes: ["read"], idempotency_key: "k" }, "invalid_input"],
  ])("%j is refused", async (json, code) => {
    const before = await storedCounts();
    expect((await call("/v1/api-keys", { key: keyOf(tenant, "admin"), json })).body.code).toBe(code);
    expect(await storedCounts()).toEqual(before);
  });

  test("a mailbox of another tenant cannot be bound", async () => {
    const json = { name: "x", scopes: ["read"], mailbox_ids: [foreign.mailbox.id] };
    expect((await call("/v1/api-keys", { key: keyOf(tenant, "admin"), json })).status).toBe(404);
  });
});
