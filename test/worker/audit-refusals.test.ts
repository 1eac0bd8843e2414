import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { RECORDED_REFUSALS } from "../../durable-objects/tenant/accesses.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { entriesIn } from "../support/audit-fields.ts";
import {
  advanceDoors,
  type CallOptions,
  call,
  keyOf,
  makeTenant,
  request,
  type TestTenant,
} from "../support/door-harness.ts";
import { advance, runAlarm } from "../support/tenant-harness.ts";

/** What a key is refused is in its own account's log, whatever it tried to reach; and nobody fills the log with it. */

const HOUR = 3600_000;

function logOf(tenant: TestTenant) {
  return entriesIn(env.TENANT.getByName(tenant.id));
}

async function refusalsOf(tenant: TestTenant) {
  return (await logOf(tenant)).filter(({ action }) => action.startsWith("access."));
}

async function keysOf(tenant: TestTenant): Promise<ApiKey[]> {
  const { body } = await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: keyOf(tenant, "admin") });
  return body.api_keys;
}

async function idOf(tenant: TestTenant, name: string): Promise<string> {
  return (await keysOf(tenant)).find((key) => key.name === name)?.id ?? "";
}

async function sent({ keys, mailbox }: TestTenant): Promise<string> {
  const json = { to: "ana@customer.example", subject: "Offer", text: "Hello" };
  const { body } = await call<SendAnswer>(`/v1/mailboxes/${mailbox.id}/send`, { key: keys.send ?? "", json });
  return body.id;
}

interface Attempt {
  what: string;
  key: string;
  call: (own: TestTenant, foreign: TestTenant) => Promise<[string, CallOptions]> | [string, CallOptions];
  expected: { status: number; operation: string; code: string };
}

const ATTEMPTS: Attempt[] = [
  {
    what: "a scope that it has not",
    key: "read",
    call: ({ mailbox }) => [`/v1/mailboxes/${mailbox.id}/send`, { json: { to: "ana@customer.example" } }],
    expected: { status: 403, operation: "send_email", code: "missing_scope" },
  },
  {
    what: "a mailbox that it is bound out of",
    key: "bound",
    call: ({ mailboxes }) => [`/v1/mailboxes/${mailboxes[0]?.id}`, {}],
    expected: { status: 403, operation: "get_mailbox", code: "mailbox_not_allowed" },
  },
  {
    what: "another agent's name",
    key: "of an agent",
    call: ({ mailbox }) => [`/v1/mailboxes/${mailbox.id}/emails`, { headers: { "X-MM-Agent": "another" } }],
    expected: { status: 403, operation: "check_inbox", code: "agent_not_allowed" },
  },
  {
    what: "what the mode denies",
    key: "send",
    call: ({ mailboxes }) => [
      `/v1/mailboxes/${mailboxes[2]?.id}/send`,
      { json: { to: "ana@customer.example", subject: "Offer", text: "Hello" } },
    ],
    expected: { status: 403, operation: "send_email", code: "denied_by_mode" },
  },
  {
    what: "a foreign account's mailbox",
    key: "read",
    call: (_own, { mailbox }) => [`/v1/mailboxes/${mailbox.id}`, {}],
    expected: { status: 404, operation: "get_mailbox", code: "not_found" },
  },
  {
    what: "a foreign account's mail",
    key: "read",
    call: async (_own, foreign) => ["/v1/read_email", { json: { email_id: await sent(foreign) } }],
    expected: { status: 404, operation: "read_email", code: "not_found" },
  },
  {
    what: "a foreign account's key",
    key: "admin",
    call: async (_own, foreign) => [`/v1/api-keys/${await idOf(foreign, "read")}`, { method: "DELETE" }],
    expected: { status: 404, operation: "revoke_api_key", code: "not_found" },
  },
  {
    what: "an approval that nobody gave",
    key: "read",
    call: ({ mailboxes }) => [`/v1/mailboxes/${mailboxes[3]?.id}/emails?approval_ref=apr_none`, {}],
    expected: { status: 403, operation: "check_inbox", code: "invalid_approval_ref" },
  },
  {
    what: "a decision on what it has not read",
    key: "oversight",
    call: async (own) => ["/v1/decide_email", { json: { email_id: await sent(own), decision: "approve" } }],
    expected: { status: 409, operation: "decide_email", code: "content_not_seen" },
  },
];

function makeHome(): Promise<TestTenant> {
  return makeTenant(["gated_send", "gated_send", "read_only", "gated_all"], ([, second]) => [
    { name: "bound", scopes: ["read"], mailboxes: [second] },
    { name: "of an agent", scopes: ["read"], agent_id: "quotes" },
  ]);
}

test.each(ATTEMPTS)("$what: the attempt is an entry of the caller's account, and of no other", async (attempt) => {
  const [own, foreign] = [await makeHome(), await makeTenant()];
  const [path, options] = await attempt.call(own, foreign);
  const key_id = await idOf(own, attempt.key);
  const before = [await logOf(foreign), await entriesIn(env.MAILBOX.getByName(foreign.mailbox.id.slice(-8)))];
  const answer = await call(path, { ...options, key: keyOf(own, attempt.key) });
  const { status, operation, code } = attempt.expected;
  expect(answer).toMatchObject({ status, body: { code } });
  const [entry, ...others] = await refusalsOf(own);
  expect(others).toEqual([]);
  expect(entry).toMatchObject({
    action: "access.refused",
    actor: { type: "agent", key_id, via: "rest" },
    resource: { type: "api_key", id: key_id },
    detail: { operation, code },
  });
  const after = [await logOf(foreign), await entriesIn(env.MAILBOX.getByName(foreign.mailbox.id.slice(-8)))];
  expect(after).toEqual(before);
});

test("what was asked for is sealed under a key of the entry's own, and says whatever the call named", async () => {
  const [own, foreign] = [await makeHome(), await makeTenant()];
  const { id } = foreign.mailbox;
  await call("/v1/read_email?mailbox=ana@customer.example", {
    key: keyOf(own, "read"),
    json: { email_id: newId("em", Date.now(), id.slice(-8)) },
  });
  await call(`/v1/mailboxes/${id}`, { key: keyOf(own, "read") });
  const [byAddress, byId] = await refusalsOf(own);
  expect(byAddress?.personal).toMatchObject({ asked: { mailbox: ["ana@customer.example"] } });
  expect(byId?.personal).toEqual({ asked: { mailbox_id: [id] } });
  expect(byId?.sealed?.kid).toBe(byId?.id);
  const { personal: _opened, ...open } = byId ?? {};
  expect(JSON.stringify(open)).not.toContain(id);
});

test("a foreign thing and one that was never made leave the same, and are answered the same", async () => {
  const [own, foreign] = [await makeHome(), await makeTenant()];
  const ids = [foreign.mailbox.id, newId("mbx", Date.now(), newRoutingNumber())];
  const answers = [];
  for (const id of ids) answers.push(await call(`/v1/mailboxes/${id}`, { key: keyOf(own, "read") }));
  expect(answers[0]?.body).toEqual(answers[1]?.body);
  const shapes = (await refusalsOf(own)).map(({ actor, action, resource, detail, sealed }: Entry) => ({
    ...{ actor, action, resource, detail },
    octets: sealed?.ct.length,
  }));
  expect(shapes).toHaveLength(2);
  expect(shapes[0]).toEqual(shapes[1]);
});

test("a key that was revoked is recorded where it belonged; one that never was, and no key at all, nowhere", async () => {
  const own = await makeHome();
  const id = await idOf(own, "agent");
  const key = keyOf(own, "agent");
  expect((await call("/v1/mailboxes", { key })).status).toBe(200);
  await call(`/v1/api-keys/${id}`, { method: "DELETE", key: keyOf(own, "admin") });
  // The door remembers the key, and could answer; what cannot be recorded as that key's is not answered.
  expect(await call("/v1/mailboxes", { key })).toMatchObject({ status: 401, body: { code: "invalid_key" } });
  advanceDoors(REMEMBERED_MS);
  expect(await call("/v1/account", { key })).toMatchObject({ status: 401, body: { code: "invalid_key" } });
  for (const other of [null, `mm_live_${"x".repeat(43)}`, "nonsense"]) {
    expect((await call("/v1/account", { key: other })).status).toBe(401);
  }
  const refusals = await refusalsOf(own);
  expect(refusals.map(({ actor, detail }) => [actor.key_id, detail])).toEqual([
    [id, { operation: "list_mailboxes", code: "invalid_key" }],
    [id, { operation: "get_account", code: "invalid_key" }],
  ]);
});

test("an agent that tries a thousand things leaves a hundred entries, and then how many more there were", async () => {
  const own = await makeHome();
  const key_id = await idOf(own, "send");
  const attempt = (name: string) => request("/v1/account", { key: keyOf(own, name) });
  for (let tried = 0; tried < RECORDED_REFUSALS + 7; tried++) expect((await attempt("send")).status).toBe(403);
  // Another key has its own hour.
  expect((await attempt("oversight")).status).toBe(403);
  const count = async (id: string) => (await refusalsOf(own)).filter(({ resource }) => resource.id === id).length;
  expect(await count(key_id)).toBe(RECORDED_REFUSALS);
  expect(await count(await idOf(own, "oversight"))).toBe(1);

  await advance(own.id, HOUR);
  await runAlarm(own.id);
  expect((await refusalsOf(own)).at(-1)).toMatchObject({
    action: "access.refusals_left_out",
    actor: { type: "system", id: "multimail" },
    resource: { type: "api_key", id: key_id },
    detail: { count: 7 },
  });
  await attempt("send");
  expect((await refusalsOf(own)).at(-1)).toMatchObject({ action: "access.refused", resource: { id: key_id } });
});

test("an hour that ended before its alarm came is told of before the next one begins", async () => {
  const own = await makeHome();
  for (let tried = 0; tried <= RECORDED_REFUSALS; tried++) await request("/v1/account", { key: keyOf(own, "send") });
  await advance(own.id, HOUR);
  await request("/v1/account", { key: keyOf(own, "send") });
  const [left, next] = (await refusalsOf(own)).slice(-2);
  expect(left).toMatchObject({ action: "access.refusals_left_out", detail: { count: 1 } });
  expect(next).toMatchObject({ action: "access.refused" });
});

test.each<[string, string, CallOptions]>([
  ["an agent's note with a lone surrogate", "/v1/decide_email", { raw: '{"email_id":"em_1","reason":"\\ud800"}' }],
  ["a name with a lone surrogate", "/v1/get_agent", { raw: '{"id":"\\udfff"}' }],
  ["a path that is no UTF-8", "/v1/agents/%ED%A0%80", {}],
  ["a key with a lone surrogate", "/v1/read_email", { raw: '{"\\ud800":1}' }],
])("%s is refused, never a breakdown", async (_what, path, options) => {
  const own = await makeHome();
  const headers = options.raw === undefined ? {} : { "content-type": "application/json" };
  for (const name of ["owner", "overseer"]) {
    const { status } = await call(path, { ...options, headers, key: keyOf(own, name) });
    expect([403, 404, 422]).toContain(status);
  }
  // Whatever was said of it, every entry is whole.
  await logOf(own);
});

test("a call that is only written wrongly reaches for nothing, and leaves nothing", async () => {
  const own = await makeHome();
  expect((await call("/v1/account?what=1", { key: keyOf(own, "read") })).status).toBe(422);
  expect(await refusalsOf(own)).toEqual([]);
});
