import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { EXAMINED_ROWS } from "../../durable-objects/mailbox/inbox-query.ts";
import { MAX_WAITING } from "../../durable-objects/mailbox/waiting-readers.ts";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import type { ReceivedMessage } from "../../src/mail/message.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { EmailSummary } from "../../src/operations/shapes/email.ts";
import { growMailbox } from "../support/counted-storage.ts";
import { type Answer, advanceDoors, call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import {
  approve,
  type GatedAll,
  heldBy,
  letIn,
  makeGatedAll,
  pendingItem,
  release,
  rpc,
} from "../support/gated-all.ts";
import { arrival, caller, chainOf, EVERYTHING, inObject, type TestMailbox } from "../support/mailbox-harness.ts";

interface Waited {
  emails: EmailSummary[];
  timed_out: boolean;
}

const NOTHING = { status: 200, body: { emails: [], timed_out: true } };

interface World extends TestMailbox {
  tenant: TestTenant;
}

async function makeWorld(more: () => Record<string, unknown>[] = () => []): Promise<World> {
  const tenant = await makeTenant(["gated_send"], more);
  const { mailbox } = tenant;
  return {
    tenant,
    mailbox,
    // A fresh one each time: after a restart the old one is broken.
    get stub() {
      return env.MAILBOX.getByName(mailbox.id.slice(-8));
    },
    agent: caller(tenant.id, ["read", "send"]),
    overseer: caller(tenant.id, ["read", "oversight"]),
    admin: caller(tenant.id, ["admin"]),
    stranger: caller("ten_0", ["read", "send", "admin"]),
  };
}

async function receive(world: TestMailbox, change: Partial<ReceivedMessage> = {}): Promise<string> {
  const received = await world.stub.receive(arrival(world, change));
  return received?.email_id ?? "";
}

function wait(world: World, json: Record<string, unknown> = {}, key = "agent"): Promise<Answer<Waited>> {
  return call<Waited>(`/v1/mailboxes/${world.mailbox.id}/wait`, { key: keyOf(world.tenant, key), json });
}

/** Resolves once that many calls wait in the object. */
async function waiting(world: TestMailbox, count = 1): Promise<void> {
  await vi.waitFor(async () => expect(await inObject(world, (object) => object.readers.size)).toBe(count), {
    timeout: 10_000,
    interval: 20,
  });
}

let world: World;
beforeAll(async () => {
  world = await makeWorld();
});

/** Everything that waits is answered, so that no test leaves a call behind. */
afterAll(async () => {
  await receive(world);
});

describe("a call that waits", () => {
  test("is answered by the message that arrives, with a summary", async () => {
    const answer = wait(world, { timeout: 50 });
    await waiting(world);
    const id = await receive(world, { subject: "Here" });
    expect(await answer).toMatchObject({
      status: 200,
      body: { timed_out: false, emails: [{ id, subject: "Here", status: "unread", direction: "inbound" }] },
    });
    const { body } = await answer;
    expect(body.emails[0]).not.toHaveProperty("text");
    await call(`/v1/emails/${id}`, { key: keyOf(world.tenant, "agent") });
  });

  test("ends with nothing when its time is over", async () => {
    const own = await makeWorld();
    expect(await wait(own, { timeout: 1 })).toMatchObject(NOTHING);
  });

  test("leaves mail unread", async () => {
    const own = await makeWorld();
    const id = await receive(own);
    for (let n = 0; n < 2; n++) expect((await wait(own)).body.emails.map((email) => email.id)).toEqual([id]);
  });

  test("is not answered by what the mailbox sends", async () => {
    const own = await makeWorld();
    const answer = wait(own, { timeout: 50 });
    await waiting(own);
    await call(`/v1/mailboxes/${own.mailbox.id}/send`, {
      key: keyOf(own.tenant, "agent"),
      json: { to: "ana@customer.example", subject: "Out", text: "Hello" },
    });
    const id = await receive(own);
    expect((await answer).body.emails.map((email) => email.id)).toEqual([id]);
  });

  test("asks nothing of storage while it waits", async () => {
    const own = await makeWorld();
    const answer = wait(own, { timeout: 1 });
    await waiting(own);
    const asked = await inObject(own, async (object) => {
      const plain: SqlStorage = Reflect.get(object, "sql");
      const statements: string[] = [];
      const noting = {
        exec: (...statement: Parameters<SqlStorage["exec"]>) => {
          statements.push(statement[0]);
          return plain.exec(...statement);
        },
      };
      Reflect.set(object, "sql", noting);
      await vi.waitUntil(() => object.readers.size === 0, { timeout: 10_000, interval: 20 });
      Reflect.set(object, "sql", plain);
      return statements;
    });
    expect(await answer).toMatchObject(NOTHING);
    expect(asked.filter((statement) => /\b(?:messages|search)\b/.test(statement))).toEqual([]);
  });
});

describe("mail that is there already", () => {
  test("answers at once if it came after since_id, the oldest first, read or not", async () => {
    const own = await makeWorld();
    const [first = "", second = "", third = ""] = [await receive(own), await receive(own), await receive(own)];
    await call(`/v1/emails/${second}`, { key: keyOf(own.tenant, "agent") });
    const since = (since_id: string, more = {}) => wait(own, { since_id, timeout: 1, ...more });
    expect((await since(first)).body.emails.map(({ id }) => id)).toEqual([second, third]);
    expect((await since(first, { limit: 1 })).body.emails.map(({ id }) => id)).toEqual([second]);
    expect((await since(first, { unread_only: true })).body.emails.map(({ id }) => id)).toEqual([third]);
    expect(await since(third)).toMatchObject(NOTHING);
  });

  test("answers at once if it is unread, and not if the agent has read it", async () => {
    const own = await makeWorld();
    const id = await receive(own);
    expect((await wait(own)).body.emails.map((email) => email.id)).toEqual([id]);
    await call(`/v1/emails/${id}`, { key: keyOf(own.tenant, "agent") });
    expect(await wait(own, { timeout: 1 })).toMatchObject(NOTHING);
    expect((await wait(own, { unread_only: false })).body.emails.map((email) => email.id)).toEqual([id]);
  });

  test.each([
    [EXAMINED_ROWS - 1, true],
    [EXAMINED_ROWS, false],
  ])("is sought among as many as a page examines: of %d messages the oldest answers: %j", async (size, isFound) => {
    const own = await makeWorld();
    const id = await receive(own, { subject: "The oldest" });
    await inObject(own, (object) => growMailbox(object, size));
    const query = { ...EVERYTHING, direction: "inbound" as const, subject_contains: "the oldest" };
    const outcome = await own.stub.waitFor(own.agent, query, 0);
    expect(outcome).toMatchObject({ value: { emails: isFound ? [{ id }] : [], timed_out: !isFound } });
  });

  test("is sought by reference to a message that is there: any other since_id is a 404", async () => {
    for (const since_id of ["em_01JD0000000000000000000000", "x", world.mailbox.id])
      expect(await wait(world, { since_id })).toMatchObject({ status: 404, body: { code: "not_found" } });
  });
});

describe("a filter lets through what matches it and nothing else:", () => {
  const file = { name: "a.txt", key: "att/x", size: 1, sha256: "0".repeat(64), content_type: "text/plain" };
  const bob = [{ name: "Bob", address: "bob@elsewhere.example" }];
  const unsigned = { ...arrival({ mailbox: { id: "mbx_01JD0000000000000000000000" } } as TestMailbox).authentication };

  test.each<[Record<string, unknown>, Partial<ReceivedMessage>, Partial<ReceivedMessage>]>([
    [{ sender: "BOB@" }, { from: bob }, {}],
    [{ subject_contains: "invoice 7" }, { subject: "Your Invoice 7" }, { subject: "Your invoice 8" }],
    [{ q: "heron" }, { text: "the heron flew" }, { text: "the egret flew" }],
    [
      { has_attachments: true },
      { attachments: [{ ...file, disposition: "attachment", content_id: null }] },
      { attachments: [] },
    ],
    [{ dkim_result: "none" }, { authentication: { ...unsigned, dkim_result: "none" } }, {}],
    [
      { sender: "bob", subject_contains: "both" },
      { from: bob, subject: "both" },
      { from: bob, subject: "one" },
    ],
  ])("%j", async (filter, matching, other) => {
    const own = await makeWorld();
    const answer = wait(own, { ...filter, timeout: 50 });
    await waiting(own);
    await receive(own, other);
    await waiting(own);
    const id = await receive(own, matching);
    expect((await answer).body.emails.map((email) => email.id)).toEqual([id]);
    expect((await wait(own, filter)).body.emails.map((email) => email.id)).toEqual([id]);
  });

  test("thread_id", async () => {
    const own = await makeWorld();
    const first = arrival(own);
    const { email_id } = (await own.stub.receive(first)) ?? { email_id: "" };
    const { body } = await call<EmailSummary>(`/v1/emails/${email_id}`, { key: keyOf(own.tenant, "agent") });
    const answer = wait(own, { thread_id: body.thread_id, timeout: 50 });
    await waiting(own);
    await receive(own);
    await waiting(own);
    const reply = await receive(own, { in_reply_to: [first.rfc_message_id ?? ""] });
    expect((await answer).body.emails.map(({ id }) => id)).toEqual([reply]);
  });
});

describe("bad input is a 422 that names it:", () => {
  test.each([
    ["timeout", { timeout: 0 }],
    ["timeout", { timeout: 56 }],
    ["timeout", { timeout: 1.5 }],
    ["timeout", { timeout: "soon" }],
    ["timeout", { timeout: null }],
    ["status", { status: "unread" }],
    ["direction", { direction: "outbound" }],
    ["cursor", { cursor: "x" }],
    ["q", { q: "" }],
    ["limit", { limit: 101 }],
    ["sender", { sender: ["a"] }],
  ])("%s in %j", async (path, json) => {
    expect(await wait(world, json)).toMatchObject({
      status: 422,
      body: { code: "invalid_input", issues: [expect.objectContaining({ path })] },
    });
  });

  test.each([1, 55])("a timeout of %d seconds is taken", async (timeout) => {
    const own = await makeWorld();
    await receive(own);
    expect((await wait(own, { timeout })).status).toBe(200);
  });
});

describe("who waits", () => {
  test(`is one of at most ${MAX_WAITING} in a mailbox; the next is a 429, and what is there already is answered still`, async () => {
    const own = await makeWorld();
    const answers = Array.from({ length: MAX_WAITING }, () => wait(own, { timeout: 50, q: "later" }));
    await waiting(own, MAX_WAITING);
    const refused = await wait(own);
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    const id = await receive(own, { text: "sooner" });
    expect((await wait(own)).body.emails.map((email) => email.id)).toEqual([id]);
    await receive(own, { text: "later" });
    for (const answer of answers) expect(await answer).toMatchObject({ status: 200, body: { timed_out: false } });
    await waiting(own, 0);
  });

  test("waits on when the object was restarted, for what is left of the time", async () => {
    const own = await makeWorld();
    const answer = wait(own, { timeout: 50 });
    await waiting(own);
    await abortAllDurableObjects();
    await waiting(own);
    const id = await receive(own);
    expect((await answer).body.emails.map((email) => email.id)).toEqual([id]);
  });

  test("learns nothing with a key that was revoked meanwhile", async () => {
    const own = await makeWorld(() => [{ name: "gone", scopes: ["read"] }]);
    const answer = wait(own, { timeout: 50 }, "gone");
    await waiting(own);
    const admin = keyOf(own.tenant, "admin");
    const { body } = await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: admin });
    const { id } = body.api_keys.find(({ name }) => name === "gone") ?? { id: "" };
    expect((await call(`/v1/api-keys/${id}`, { method: "DELETE", key: admin })).status).toBe(200);
    advanceDoors(REMEMBERED_MS);
    await receive(own, { subject: "Not for you" });
    const { status, body: refusal } = await answer;
    expect({ status, body: refusal }).toMatchObject({ status: 401, body: { code: "invalid_key" } });
    expect(JSON.stringify(refusal)).not.toContain("Not for you");
  });

  test("is asked to wait for a human when the mode was tightened meanwhile", async () => {
    const own = await makeWorld();
    const answer = wait(own, { timeout: 50 });
    await waiting(own);
    expect((await own.stub.update(own.admin, { oversight_mode: "gated_all" }, null)).ok).toBe(true);
    const id = await receive(own, { subject: "Held" });
    await waiting(own);
    await own.stub.pendingItems(own.overseer, [id]);
    expect(
      (await own.stub.decide(own.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null })).ok,
    ).toBe(true);
    const { status, body } = await answer;
    expect({ status, body }).toMatchObject({ status: 202, body: { status: "pending" } });
    expect(JSON.stringify(body)).not.toContain("Held");
  });

  test("is in the audit log with the question and what became of it, once for each call", async () => {
    const own = await makeWorld();
    await wait(own, { timeout: 1, sender: "nobody" });
    await receive(own);
    await wait(own);
    const entries = (await chainOf(own)).filter(({ action }) => action === "inbox.waited");
    expect(entries.map(({ detail }) => detail)).toEqual([
      { results: 0, timed_out: true },
      { results: 1, timed_out: false },
    ]);
    for (const { sealed } of entries) expect(sealed).toBeDefined();
  });
});

describe("in gated_all", () => {
  let gated: GatedAll;
  beforeAll(async () => {
    gated = await makeGatedAll();
  });
  const query = (more: Record<string, unknown> = {}) => ({ mailbox_id: gated.mailbox.id, timeout: 50, ...more });

  test("a wait is held like any query, and then answered by what a human releases, not by what arrives", async () => {
    const asked = query({ subject_contains: "merlin" });
    const pendingId = heldBy(await rpc(gated, "wait_for_email", asked));
    expect(await inObject(gated, (object) => object.readers.size)).toBe(0);
    expect((await pendingItem(gated, pendingId)).request).toMatchObject({ operation: "wait_for_email" });
    const approvalRef = await approve(gated, pendingId);
    const answer = rpc<Waited>(gated, "wait_for_email", { ...asked, approval_ref: approvalRef });
    await waiting(gated);
    const [first, second] = [
      await letIn(gated, { subject: "Merlin one" }),
      await letIn(gated, { subject: "Merlin two" }),
    ];
    await waiting(gated);
    await release(gated, second);
    expect((await answer).body.emails.map(({ id }) => id)).toEqual([second]);
    expect(await rpc(gated, "wait_for_email", { ...asked, approval_ref: approvalRef })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_ref" },
    });
    await release(gated, first);
  });

  test("a message released later than one that came after it is waited for, too", async () => {
    const [early, late] = [await letIn(gated, { subject: "Hobby" }), await letIn(gated, { subject: "Hobby" })];
    await release(gated, late);
    const asked = query({ since_id: late });
    const approvalRef = await approve(gated, heldBy(await rpc(gated, "wait_for_email", asked)));
    const answer = rpc<Waited>(gated, "wait_for_email", { ...asked, approval_ref: approvalRef });
    await waiting(gated);
    await release(gated, early);
    expect((await answer).body.emails.map(({ id }) => id)).toEqual([early]);
  });

  test("one approval is one answer, also for two calls that wait at once", async () => {
    const asked = query({ subject_contains: "osprey" });
    const approvalRef = await approve(gated, heldBy(await rpc(gated, "wait_for_email", asked)));
    const both = [0, 1].map(() => rpc<Waited>(gated, "wait_for_email", { ...asked, approval_ref: approvalRef }));
    await waiting(gated, 2);
    await release(gated, await letIn(gated, { subject: "Osprey" }));
    const answers = await Promise.all(both);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
  });

  test("an approval outlives a restart of the object while it waits, and is used up by a timeout", async () => {
    const asked = query({ subject_contains: "goshawk", timeout: 3 });
    const approvalRef = await approve(gated, heldBy(await rpc(gated, "wait_for_email", asked)));
    const answer = rpc<Waited>(gated, "wait_for_email", { ...asked, approval_ref: approvalRef });
    await waiting(gated);
    await abortAllDurableObjects();
    expect(await answer).toMatchObject(NOTHING);
    expect((await rpc(gated, "wait_for_email", { ...asked, approval_ref: approvalRef })).status).toBe(403);
  });
});

test("the object answers a wait of no time with what is there", async () => {
  const own = await makeWorld();
  const query = { ...EVERYTHING, direction: "inbound" as const };
  expect(await own.stub.waitFor(own.agent, query, 0)).toEqual({ ok: true, value: { emails: [], timed_out: true } });
  const id = await receive(own);
  expect(await own.stub.waitFor(own.agent, query, 0)).toMatchObject({ value: { emails: [{ id }], timed_out: false } });
  expect(await own.stub.waitFor(own.stranger, query, 0)).toMatchObject({ ok: false, refusal: { code: "not_found" } });
});
