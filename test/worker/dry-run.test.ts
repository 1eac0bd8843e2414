import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { CHECKPOINT } from "../../durable-objects/ledger/checkpoints.ts";
import { unwrap } from "../../src/errors.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { DryRun, SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import { OPEN_POLICY, type Policy } from "../../src/oversight/rules/policy-type.ts";
import { entriesIn } from "../support/audit-fields.ts";
import { decideSeen, objectOf } from "../support/decisions.ts";
import { call, keyOf, makeTenant, type RefusalBody, storedCounts, type TestTenant } from "../support/door-harness.ts";

/** `dry_run: true` answers what a message would meet, and leaves no trace but that it was asked. */

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant(["gated_send", "autonomous", "read_only", "gated_all", "monitored"]);
});

const MESSAGE = { to: "ana@customer.example", subject: "Offer", markdown: "Hello **Ana**" };
const FILE = { name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" };

function send<Body = DryRun>(json: Record<string, unknown>, index = 0, from = tenant) {
  return call<Body>(`/v1/mailboxes/${from.mailboxes[index]?.id}/send`, { key: keyOf(from, "agent"), json });
}

/** A dry run is an entry like everything else that is asked: the log grows, and its key and next checkpoint with it. */
const OF_THE_LOG = ["entries", "data_keys", "tree_nodes", "log_keys", "checkpoints"];
const NOT_OF_THE_LOG: Readonly<Record<string, string>> = { timers: `WHERE kind <> '${CHECKPOINT}'` };

/** Everything that is anywhere but in the log: D1, the store, and each table of each object. */
async function everything(of: TestTenant): Promise<unknown> {
  const stubs: DurableObjectStub[] = [
    env.TENANT.getByName(of.id),
    ...of.mailboxes.map(({ id }) => env.MAILBOX.getByName(id.slice(-8))),
  ];
  const objects = await Promise.all(
    stubs.map((stub) =>
      runInDurableObject(stub, (_object, state) => {
        const tables = state.storage.sql
          .exec<{ name: string }>(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
          )
          .toArray();
        const others = tables.filter(({ name }) => !OF_THE_LOG.includes(name));
        return others.map(({ name }) => [
          name,
          state.storage.sql
            .exec<{ n: number }>(`SELECT count(*) AS n FROM "${name}" ${NOT_OF_THE_LOG[name] ?? ""}`)
            .one().n,
        ]);
      }),
    ),
  );
  const { objects: files } = await env.STORE.list();
  return { counts: await storedCounts(), objects, files: files.map(({ key }) => key).sort() };
}

test.each<[index: number, mode: string, outcome: DryRun["verdict"]["outcome"]]>([
  [0, "gated_send", "hold"],
  [1, "autonomous", "allow"],
  [2, "read_only", "deny"],
  [3, "gated_all", "hold"],
  [4, "monitored", "allow"],
])("mailbox %i, %s: %s", async (index, oversight_mode, outcome) => {
  expect(await send({ ...MESSAGE, dry_run: true }, index)).toMatchObject({
    status: 200,
    body: {
      dry_run: true,
      verdict: { outcome, oversight_mode, rule: `mode ${oversight_mode}` },
      content_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    },
  });
});

/** What the mailboxes' logs say that was done. */
async function actionsOf(of: TestTenant): Promise<string[]> {
  const logs = await Promise.all(of.mailboxes.map(({ id }) => entriesIn(env.MAILBOX.getByName(id.slice(-8)))));
  return logs.flat().map(({ action }) => action);
}

test("leaves an entry and nothing else behind, neither in D1 nor in the store nor in any object", async () => {
  const before = await everything(tenant);
  const said = await actionsOf(tenant);
  for (const more of [
    {},
    { attachments: [FILE] },
    { idempotency_key: "dry" },
    { send_at: new Date(Date.now() + 3_600_000).toISOString() },
    { oversight_mode: "read_only" },
    { tags: ["a"], metadata: { b: 1 } },
  ]) {
    for (const index of [0, 1, 2, 3, 4])
      expect((await send({ ...MESSAGE, ...more, dry_run: true }, index)).status).toBe(200);
  }
  expect(await everything(tenant)).toEqual(before);
  const added = (await actionsOf(tenant)).filter((action) => action === "message.judged");
  expect(added).toHaveLength(said.filter((action) => action === "message.judged").length + 30);
  expect(await actionsOf(tenant)).toHaveLength(said.length + 30);
});

test("names the content exactly as the message that is sent then does, files included", async () => {
  const json = { ...MESSAGE, cc: "bob@customer.example", attachments: [FILE] };
  const dry = await send({ ...json, dry_run: true });
  const sent = await send<SendAnswer>(json);
  const key = keyOf(tenant, "overseer");
  const { body } = await call<PendingItem>(`/v1/oversight/pending/${sent.body.pending_id}`, { key });
  expect(dry.body.content_hash).toBe(body.content_hash);
  const { risk: _risk, ...verdict } = dry.body.verdict;
  expect(sent.body.verdict).toMatchObject(verdict);
});

test("does not take the place of the message: the idempotency key is still free", async () => {
  const json = { ...MESSAGE, idempotency_key: "first dry" };
  await send({ ...json, dry_run: true });
  const sent = await send<SendAnswer>(json);
  expect(sent).toMatchObject({ status: 202, body: { id: expect.stringMatching(/^em_/) } });
  expect(await send({ ...json, dry_run: true })).toMatchObject({ status: 200, body: { dry_run: true } });
});

test("says which rule would block, hold or deny, before anybody is asked", async () => {
  const own = await makeTenant(["autonomous"]);
  const box = objectOf(own);
  const policy: Policy = {
    ...OPEN_POLICY,
    blocklist: ["evil.example"],
    content: [{ name: "bank", in: ["body"], keywords: ["iban"], pattern: null, action: "hold" }],
  };
  unwrap(await box.stub.setPolicy(box.admin, policy, null));
  const verdictOf = async (more: Record<string, unknown>) =>
    (await send({ ...MESSAGE, ...more, dry_run: true }, 0, own)).body.verdict;
  expect(await verdictOf({})).toMatchObject({ outcome: "allow", reasons: [] });
  expect(await verdictOf({ markdown: "My IBAN is" })).toMatchObject({ outcome: "hold", rule: "content" });
  expect(await verdictOf({ bcc: "eve@evil.example" })).toMatchObject({ outcome: "block", rule: "blocklist" });
  unwrap(await box.stub.setPolicy(box.admin, { ...policy, templates_only: true }, null));
  expect(await verdictOf({})).toMatchObject({ outcome: "deny", rule: "templates_only" });
});

test("works for a reply and for a template", async () => {
  const first = await send<SendAnswer>(MESSAGE);
  const reply = await call<DryRun>(`/v1/mailboxes/${tenant.mailbox.id}/reply/${first.body.id}`, {
    key: keyOf(tenant, "agent"),
    json: { text: "Hello again", dry_run: true },
  });
  expect(reply).toMatchObject({ status: 200, body: { dry_run: true, verdict: { outcome: "hold" } } });
  const made = await call<Template>("/v1/templates", {
    key: keyOf(tenant, "agent"),
    json: {
      mailbox_id: tenant.mailbox.id,
      name: "Hi",
      subject: "Hi",
      markdown: "Hello {{name}}",
      variables: [{ name: "name" }],
    },
  });
  const json = { to: MESSAGE.to, template_id: made.body.id, variables: { name: "Ana" }, dry_run: true };
  expect((await send(json)).status).toBe(409);
  await decideSeen(tenant, made.body.pending_id ?? "");
  expect((await send(json)).body).toMatchObject({ verdict: { outcome: "allow" } });
});

describe("is refused like the message would be", () => {
  test.each<[what: string, change: Record<string, unknown>, status: number, path: string]>([
    ["an address that is none", { to: "ana" }, 422, "to.0"],
    ["no body", { markdown: undefined }, 422, "markdown"],
    ["a time in the past", { send_at: "2020-01-01T00:00:00Z" }, 422, "send_at"],
    ["a word for a switch", { dry_run: "maybe" }, 422, "dry_run"],
    [
      "a file that is no base64",
      { attachments: [{ ...FILE, content_base64: "x" }] },
      422,
      "attachments.0.content_base64",
    ],
  ])("%s", async (_what, change, status, path) => {
    const answer = await send<RefusalBody>({ ...MESSAGE, dry_run: true, ...change });
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
    expect(answer.body.issues?.map((issue) => issue.path)).toContain(path);
  });

  test("a mailbox of another tenant", async () => {
    const stranger = await makeTenant();
    const json = { ...MESSAGE, dry_run: true, mailbox_id: tenant.mailbox.id };
    expect(await call("/v1/send_email", { key: keyOf(stranger, "agent"), json })).toMatchObject({ status: 404 });
  });

  test("a key that may not send", async () => {
    const json = { ...MESSAGE, dry_run: true, mailbox_id: tenant.mailbox.id };
    expect(await call("/v1/send_email", { key: keyOf(tenant, "read"), json })).toMatchObject({ status: 403 });
  });
});
