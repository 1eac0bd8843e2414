import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import { unwrap } from "../../src/errors.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { reserveMailbox } from "../../src/store/directory.ts";
import { isPersonsAddress, peopleAtDomain, recordPeople } from "../../src/store/people.ts";
import { decidedBy, hold, linkOf, shownBy, somebody } from "../support/approvals.ts";
import {
  type Answer,
  advanceDoors,
  call,
  keyOf,
  localPart,
  makeTenant,
  type RefusalBody,
  setUp,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { caller, codeOf, status } from "../support/mailbox-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Ways in which whoever sends could come to approve, each tried. None may work. */

const admin = (tenant: TestTenant) => keyOf(tenant, "admin");

function makeKey<Body = ApiKey & { key: string }>(tenant: TestTenant, json: Record<string, unknown>) {
  return call<Body>("/v1/api-keys", { key: admin(tenant), json: { name: "made", ...json } });
}

function makeKeyWithCode(tenant: TestTenant, json: Record<string, unknown>) {
  return withCode<ApiKey & { key: string }>(tenant, "/v1/api-keys", {
    key: admin(tenant),
    json: { name: "made", ...json },
  });
}

function changeKey<Body = ApiKey>(
  tenant: TestTenant,
  id: string,
  json: Record<string, unknown>,
): Promise<Answer<Body>> {
  return call<Body>(`/v1/api-keys/${id}`, { method: "PATCH", key: admin(tenant), json });
}

async function keysOf(tenant: TestTenant): Promise<ApiKey[]> {
  return (await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: admin(tenant) })).body.api_keys;
}

async function keyId(tenant: TestTenant, name: string): Promise<string> {
  return (await keysOf(tenant)).find((key) => key.name === name)?.id ?? "";
}

/** Submits with this key; the message is held. */
async function submit(tenant: TestTenant, key: string, json: Record<string, unknown> = {}): Promise<string> {
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
    key,
    json: { to: "ana@customer.example", subject: "Offer", text: "Hello", ...json },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  return body.id;
}

/** Tries to approve with this key, having read the item first. */
async function approve(
  emailId: string,
  key: string,
  headers: Record<string, string> = {},
): Promise<Answer<RefusalBody>> {
  const item = await call<PendingItem>(`/v1/oversight/pending/${emailId.replace("em_", "pend_")}`, { key, headers });
  return call<RefusalBody>("/v1/oversight/decide", {
    key,
    headers,
    json: { email_id: emailId, decision: "approve", content_hash: item.body.content_hash ?? "0".repeat(64) },
  });
}

describe("no key both sends and approves", () => {
  test("by creation, alone or with other scopes", async () => {
    const tenant = await makeTenant();
    const before = await storedCounts();
    for (const scopes of [
      ["send", "oversight"],
      ["oversight", "send", "admin"],
      ["read", "send", "oversight", "admin"],
    ]) {
      expect(await makeKey<RefusalBody>(tenant, { scopes })).toMatchObject({
        status: 422,
        body: { code: "conflicting_scopes" },
      });
    }
    expect(await storedCounts()).toEqual(before);
  });

  test.each([
    ["send", ["send", "oversight"]],
    ["oversight", ["oversight", "send"]],
  ])("by an update of a key with %s, with a code or without", async (name, scopes) => {
    const tenant = await makeTenant();
    const id = await keyId(tenant, name);
    expect(await changeKey<RefusalBody>(tenant, id, { scopes })).toMatchObject({
      status: 422,
      body: { code: "conflicting_scopes" },
    });
    await changeKey(tenant, id, { scopes: ["read", ...scopes.slice(0, 1)] });
    const approval_code = await lastCode(tenant);
    expect(await changeKey<RefusalBody>(tenant, id, { scopes, approval_code })).toMatchObject({ status: 422 });
    const object = env.TENANT.getByName(tenant.id);
    const change = { scopes: scopes as ("send" | "oversight")[] };
    expect(codeOf(await object.updateKey(caller(tenant.id, ["admin"]), id, change, null))).toBe("conflicting_scopes");
  });

  test.each([
    ["send", "oversight"],
    ["oversight", "send"],
  ])("nor does an agent by two keys that are bound to it: %s first, then %s", async (first, second) => {
    const tenant = await makeTenant(["gated_send"], () => [{ name: "first", scopes: [first], agent_id: "alice" }]);
    const wanted = { scopes: [second], agent_id: "alice" };
    expect(await makeKey<RefusalBody>(tenant, wanted)).toMatchObject({
      status: 422,
      body: { code: "conflicting_scopes" },
    });
    expect(await receivedFor(tenant.operator_email)).toEqual([]);
    const object = env.TENANT.getByName(tenant.id);
    const direct = { name: "x", mailbox_ids: null, test: false, scopes: [second as "send"], agent_id: "alice" };
    expect(codeOf(await object.createKey(caller(tenant.id, ["admin"]), direct))).toBe("conflicting_scopes");
    expect(codeOf(await object.createKey(caller(tenant.id, ["admin"]), { ...direct, agent_id: "bob" }))).toBe("ok");
  });

  test("nor by binding a key to the agent afterwards, or by giving a bound key the other scope", async () => {
    const tenant = await makeTenant(["gated_send"], () => [
      { name: "alice sends", scopes: ["send"], agent_id: "alice" },
      { name: "alice reads", scopes: ["read"], agent_id: "alice" },
    ]);
    const conflict = { status: 422, body: { code: "conflicting_scopes" } };
    expect(await changeKey(tenant, await keyId(tenant, "oversight"), { agent_id: "alice" })).toMatchObject(conflict);
    expect(await changeKey(tenant, await keyId(tenant, "alice reads"), { scopes: ["oversight"] })).toMatchObject(
      conflict,
    );
    const sends = await keyId(tenant, "alice sends");
    expect((await call(`/v1/api-keys/${sends}`, { method: "DELETE", key: admin(tenant) })).status).toBe(200);
    expect(await changeKey(tenant, await keyId(tenant, "oversight"), { agent_id: "alice" })).toMatchObject({
      status: 200,
      body: { agent_id: "alice" },
    });
  });

  test("nor by a set-up, in one call or in two", async () => {
    const keys = [
      { name: "a", scopes: ["send"], agent_id: "alice" },
      { name: "b", scopes: ["oversight"], agent_id: "alice" },
    ];
    const wish = { name: localPart("Acme"), operator_email: `${localPart("operator")}@people.example` };
    const before = await storedCounts();
    expect(await setUp<RefusalBody>({ ...wish, keys })).toMatchObject({
      status: 422,
      body: { code: "conflicting_scopes" },
    });
    expect(await storedCounts()).toEqual(before);
    expect((await setUp({ ...wish, keys: keys.slice(0, 1) })).status).toBe(201);
    const after = await storedCounts();
    expect(
      await setUp<RefusalBody>({ ...wish, keys: keys.slice(1), mailboxes: [{ address_local: localPart() }] }),
    ).toMatchObject({ status: 422, body: { code: "conflicting_scopes" } });
    expect(await storedCounts()).toEqual(after);
  });
});

describe("an oversight key does not decide", () => {
  test("what the same agent wrote, named in the body, in the header, or by its own key", async () => {
    const tenant = await makeTenant(["gated_send"], () => [
      { name: "of alice", scopes: ["read", "oversight"], agent_id: "alice" },
    ]);
    const byBody = await submit(tenant, keyOf(tenant, "send"), { agent_id: "alice" });
    expect(await approve(byBody, keyOf(tenant, "of alice"))).toMatchObject({
      status: 403,
      body: { code: "self_decision" },
    });
    expect(await approve(byBody, keyOf(tenant, "overseer"), { "x-mm-agent": "alice" })).toMatchObject({
      status: 403,
      body: { code: "self_decision" },
    });
    expect(await approve(byBody, keyOf(tenant, "of alice"), { "x-mm-agent": "bob" })).toMatchObject({
      status: 403,
      body: { code: "agent_not_allowed" },
    });
    expect(await approve(byBody, keyOf(tenant, "overseer"))).toMatchObject({ status: 200 });
  });

  test("what a key of the same making wrote", async () => {
    const tenant = await makeTenant();
    const sender = (await makeKey(tenant, { name: "sender", scopes: ["read", "send"] })).body.key;
    const overseer = (await makeKeyWithCode(tenant, { name: "overseer", scopes: ["read", "oversight"] })).body.key;
    const id = await submit(tenant, sender);
    expect(await approve(id, overseer)).toMatchObject({ status: 403, body: { code: "self_decision" } });
  });

  test("what the key wrote itself, before it was made an oversight key", async () => {
    const tenant = await makeTenant();
    const id = await keyId(tenant, "agent");
    const written = await submit(tenant, keyOf(tenant, "agent"));
    const changed = await withCode<ApiKey>(tenant, `/v1/api-keys/${id}`, {
      method: "PATCH",
      key: admin(tenant),
      json: { scopes: ["read", "oversight"] },
    });
    expect(changed, JSON.stringify(changed.body)).toMatchObject({
      status: 200,
      body: { scopes: ["read", "oversight"] },
    });
    advanceDoors(REMEMBERED_MS);
    expect(await approve(written, keyOf(tenant, "agent"))).toMatchObject({
      status: 403,
      body: { code: "self_decision" },
    });
  });

  test("where no human has switched that on", async () => {
    const tenant = await makeTenant();
    const id = await submit(tenant, keyOf(tenant, "send"));
    await call(`/v1/mailboxes/${tenant.mailbox.id}`, {
      method: "PATCH",
      key: admin(tenant),
      json: { oversight_keys_may_decide: false },
    });
    expect(await approve(id, keyOf(tenant, "overseer"))).toMatchObject({
      status: 403,
      body: { code: "oversight_keys_disabled" },
    });
  });
});

describe("whatever widens the reach of a key waits for the operator's code", () => {
  const WIDENINGS: [string, Record<string, unknown>, RegExp][] = [
    ["another scope", { scopes: ["read", "send"] }, /may also send/],
    ["a scope of power", { scopes: ["read", "admin"] }, /may also admin/],
    ["another mailbox", { mailbox_ids: [0, 1] }, /also reaches mbx_/],
    ["all mailboxes", { mailbox_ids: null }, /reaches all mailboxes/],
    ["another agent", { agent_id: "bob" }, /acts for bob \(now only for alice\)/],
    ["any agent", { agent_id: null }, /acts for any agent/],
  ];

  test.each(WIDENINGS)("%s", async (_what, wish, words) => {
    const tenant = await makeTenant(["gated_send", "gated_send"], ([first]) => [
      { name: "bound", scopes: ["read"], mailboxes: [first], agent_id: "alice" },
    ]);
    const mailbox_ids = (wish.mailbox_ids as number[] | null | undefined)?.map((index) => tenant.mailboxes[index]?.id);
    const json = { ...wish, ...(mailbox_ids && { mailbox_ids }) };
    const id = await keyId(tenant, "bound");
    const before = (await keysOf(tenant)).find((key) => key.id === id);
    const asked = await changeKey<{ change: string }>(tenant, id, json);
    expect(asked, JSON.stringify(asked.body)).toMatchObject({ status: 202, body: { status: "pending_approval" } });
    expect(asked.body.change).toMatch(words);
    expect((await keysOf(tenant)).find((key) => key.id === id)).toEqual(before);

    const approval_code = await lastCode(tenant);
    const other = await changeKey<RefusalBody>(tenant, id, { ...json, name: "x", approval_code });
    expect(other).toMatchObject({ status: 403, body: { code: "invalid_approval_code" } });
    const done = await changeKey(tenant, id, { ...json, approval_code });
    expect(done, JSON.stringify(done.body)).toMatchObject({ status: 200, body: json });
    const row = await env.DB.prepare("SELECT scopes, mailbox_ids, agent_id FROM api_keys WHERE id = ?").bind(id).first<{
      scopes: string;
      mailbox_ids: string | null;
      agent_id: string | null;
    }>();
    expect({
      scopes: JSON.parse(row?.scopes ?? ""),
      mailbox_ids: JSON.parse(row?.mailbox_ids ?? "null"),
      agent_id: row?.agent_id,
    }).toEqual({ scopes: done.body.scopes, mailbox_ids: done.body.mailbox_ids, agent_id: done.body.agent_id });
  });

  test("a code fits no key that was narrowed in between", async () => {
    const tenant = await makeTenant();
    const id = await keyId(tenant, "agent");
    const wish = { scopes: ["read", "send", "admin"] };
    await changeKey(tenant, id, wish);
    const approval_code = await lastCode(tenant);
    expect((await changeKey(tenant, id, { scopes: ["read"] })).status).toBe(200);
    expect(await changeKey<RefusalBody>(tenant, id, { ...wish, approval_code })).toMatchObject({ status: 403 });
    expect((await keysOf(tenant)).find((key) => key.id === id)?.scopes).toEqual(["read"]);
  });

  test("narrowing needs none, and a narrowed key has lost it within 5 seconds, in the tenant's object at once", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"]);
    const path = `/v1/mailboxes/${tenant.mailbox.id}`;
    expect((await call(path, { key: keyOf(tenant, "owner") })).status).toBe(200);
    const id = await keyId(tenant, "owner");
    const narrowed = await changeKey(tenant, id, {
      scopes: ["read"],
      mailbox_ids: [tenant.mailboxes[1]?.id],
      agent_id: "a",
    });
    expect(narrowed).toMatchObject({ status: 200, body: { scopes: ["read"], agent_id: "a" } });
    // The door may still remember the key as it was; the object that makes keys does not.
    expect(
      await call("/v1/api-keys", { key: keyOf(tenant, "owner"), json: { name: "x", scopes: ["read"] } }),
    ).toMatchObject({
      status: 404,
    });
    advanceDoors(REMEMBERED_MS);
    expect(await call(path, { key: keyOf(tenant, "owner") })).toMatchObject({ body: { code: "mailbox_not_allowed" } });
    expect(await call("/v1/api-keys", { key: keyOf(tenant, "owner") })).toMatchObject({
      body: { code: "missing_scope" },
    });
    expect((await changeKey(tenant, id, { name: "renamed" })).body).toMatchObject({
      name: "renamed",
      scopes: ["read"],
    });
  });

  test("a bound administrator changes no key that reaches further, neither before nor after", async () => {
    const tenant = await makeTenant(["gated_send", "gated_send"], ([first]) => [
      { name: "bound admin", scopes: ["admin"], mailboxes: [first] },
      { name: "bound", scopes: ["read"], mailboxes: [first] },
    ]);
    const change = (id: string, json: Record<string, unknown>) =>
      call<RefusalBody>(`/v1/api-keys/${id}`, { method: "PATCH", key: keyOf(tenant, "bound admin"), json });
    for (const [name, json] of [
      ["owner", { name: "x" }],
      ["bound", { mailbox_ids: null }],
      ["bound", { mailbox_ids: [tenant.mailboxes[1]?.id] }],
      ["bound admin", { mailbox_ids: null }],
    ] as const) {
      expect(await change(await keyId(tenant, name), json), name).toMatchObject({
        status: 403,
        body: { code: "mailbox_not_allowed" },
      });
    }
    expect((await change(await keyId(tenant, "bound"), { name: "renamed" })).status).toBe(200);
  });

  test.each<[string, Record<string, unknown>]>([
    ["nothing to change", {}],
    ["no scope", { scopes: [] }],
    ["an unknown scope", { scopes: ["root"] }],
    ["no mailbox", { mailbox_ids: [] }],
    ["no agent's name", { agent_id: "a b" }],
    ["a line break", { name: "a\r\nb" }],
    ["the sandbox", { test: true }],
  ])("%s is a 422", async (_what, json) => {
    const tenant = await makeTenant();
    expect((await changeKey(tenant, await keyId(tenant, "agent"), json)).status).toBe(422);
  });

  test("a revoked key stays as it is, and a foreign one is not there", async () => {
    const [tenant, foreign] = [await makeTenant(), await makeTenant()];
    const id = await keyId(tenant, "agent");
    await call(`/v1/api-keys/${id}`, { method: "DELETE", key: admin(tenant) });
    expect(await changeKey<RefusalBody>(tenant, id, { name: "x" })).toMatchObject({
      status: 409,
      body: { code: "wrong_state" },
    });
    for (const mailbox_ids of [[foreign.mailbox.id], ["mbx_1"]]) {
      expect(await changeKey<RefusalBody>(tenant, await keyId(tenant, "send"), { mailbox_ids })).toMatchObject({
        status: 404,
      });
    }
    expect(await changeKey<RefusalBody>(tenant, await keyId(foreign, "agent"), { name: "x" })).toMatchObject({
      status: 404,
    });
  });
});

describe("whoever oversees reads at no mailbox of this deployment", () => {
  /** Forms of an address at the domain of a deployment whose domain is `bücher.test`. */
  const FORMS = [
    "boss@bücher.test",
    "boss@BÜCHER.test",
    "boss@xn--bcher-kva.test",
    "BOSS@XN--BCHER-KVA.TEST",
    "Boss+approvals@bücher.test",
    '"boss"@bücher.test',
    "The Boss <boss+x@xn--bcher-kva.test>",
    "boss@bu\u0308cher.test",
    "boss@ｂücher.test",
    // No domain ends like this here, so it is not even asked about.
    "boss@bücher.test.",
    "boss@bücher。test",
  ];

  test.each(FORMS)("not at the deployment's own domain: %s", async (address) => {
    const tenant = await makeTenant();
    const there = { ...env, MAIL_DOMAIN: "bücher.test" };
    for (const json of [
      { approver_email: address },
      { approvers: ["approver@people.example", address] },
      {
        delegations: [
          {
            approver: "approver@people.example",
            delegate: address,
            from: "2026-12-01T00:00:00Z",
            until: "2026-12-02T00:00:00Z",
          },
        ],
      },
    ]) {
      const refused = await call<RefusalBody>(`/v1/mailboxes/${tenant.mailbox.id}`, {
        method: "PATCH",
        key: admin(tenant),
        json,
        env: there,
      });
      expect(refused.status, JSON.stringify(refused.body)).toBe(422);
      expect(["approver_is_mailbox", "invalid_address"]).toContain(refused.body.code);
    }
    for (const json of [{ operator_email: address }, { approvers: [address] }]) {
      const wish = { name: localPart("Acme"), operator_email: "operator@people.example", ...json };
      const refused = await call<RefusalBody>("/setup", { key: "setup-token-for-tests", json: wish, env: there });
      expect(refused.status, JSON.stringify(refused.body)).toBe(422);
    }
  });

  /** A mailbox at another domain than the deployment's own, as one has whose domain was added later. */
  async function mailboxAt(address: string): Promise<void> {
    const routing = newRoutingNumber();
    const id = newId("mbx", Date.now(), routing);
    const mailbox = { id, tenant_id: newId("ten", 1), address } as Mailbox;
    expect(await reserveMailbox(env.DB, address, routing, mailbox)).toBe("reserved");
  }

  test("not at a mailbox of whatever tenant, by another case, a tag, a display name or the other form of its domain", async () => {
    const tenant = await makeTenant();
    const local = localPart("box");
    await mailboxAt(`${local}@xn--bcher-kva.example`);
    for (const address of [
      `${local}@xn--bcher-kva.example`,
      `${local.toUpperCase()}@bücher.example`,
      `${local}+approvals@Bücher.example`,
      `"${local}"@xn--bcher-kva.example`,
      `Boss <${local}+a+b@bücher.example>`,
    ]) {
      for (const path of [`/v1/mailboxes/${tenant.mailbox.id}`, "/v1/mailboxes"]) {
        const refused = await call<RefusalBody>(path, {
          method: path === "/v1/mailboxes" ? "POST" : "PATCH",
          key: admin(tenant),
          json: { approvers: [address], ...(path === "/v1/mailboxes" && { address_local: localPart() }) },
        });
        expect(refused, address).toMatchObject({ status: 422, body: { code: "approver_is_mailbox" } });
      }
      expect(
        codeOf(
          await env.TENANT.getByName(tenant.id).confirmApprover(
            caller(tenant.id, ["admin"]),
            address.replace(/^.*<|>$/g, ""),
          ),
        ),
      ).toBe("approver_is_mailbox");
    }
    expect(await isPersonsAddress(env.DB, `${local}@xn--bcher-kva.example`)).toBe(false);
  });

  /** Everyone who oversees somewhere: the operator, a confirmed approver, one nobody confirmed, a delegate; one with a tag. */
  async function overseen() {
    const domain = `${localPart("corp")}.example`;
    const people = ["operator", "confirmed", "pending", "delegate", "tagged+approvals"].map(
      (name) => `${name}@${domain}`,
    );
    const [operator_email = "", confirmed = "", pending = "", delegate = "", tagged = ""] = people;
    const { status, body } = await setUp({
      name: localPart("Acme"),
      operator_email: operator_email.toUpperCase(),
      approvers: [confirmed],
      keys: [{ name: "admin", scopes: ["admin"] }],
    });
    expect(status).toBe(201);
    const made = await call<Mailbox>("/v1/mailboxes", {
      key: body.keys.admin ?? "",
      json: {
        address_local: localPart(),
        approvers: [confirmed, pending, tagged],
        delegations: [{ approver: pending, delegate, from: "2026-12-01T00:00:00Z", until: "2026-12-02T00:00:00Z" }],
      },
    });
    expect(made, JSON.stringify(made.body)).toMatchObject({
      status: 201,
      body: { approvers_pending: [pending, tagged, delegate] },
    });
    return { domain, tenantId: body.tenant_id, locals: ["operator", "confirmed", "pending", "delegate", "tagged"] };
  }

  test("no mailbox is made at their addresses, also at a domain that was added later, and the refusal tells nothing of them", async () => {
    const { domain, locals } = await overseen();
    const tenant = await makeTenant();
    const there = { ...env, MAIL_DOMAIN: domain };
    const make = (address_local: string) =>
      call<RefusalBody>("/v1/mailboxes", { key: admin(tenant), json: { address_local }, env: there });
    const free = await make(localPart("free"));
    expect(free.status, JSON.stringify(free.body)).toBe(201);
    const before = await storedCounts();
    for (const local of [...locals, "OPERATOR"]) {
      const refused = await make(local);
      expect(refused, local).toMatchObject({ status: 409, body: { code: "address_taken" } });
      // The very answer that another tenant's mailbox gives.
      expect(refused.body).toEqual({
        code: "address_taken",
        error: `${local.toLowerCase()}@${domain} is taken.`,
        hint: "Choose another address.",
      });
      const atSetup = await call<RefusalBody>("/setup", {
        key: "setup-token-for-tests",
        json: {
          name: localPart("A"),
          operator_email: "operator@people.example",
          mailboxes: [{ address_local: local }],
        },
        env: there,
      });
      expect(atSetup).toMatchObject({ status: 409, body: { code: "address_taken" } });
    }
    expect(await storedCounts()).toEqual(before);
  });

  test("whoever takes a domain for mail can ask who oversees from there", async () => {
    const { domain, tenantId, locals } = await overseen();
    const tagged = locals.map((local) => `${local}${local === "tagged" ? "+approvals" : ""}@${domain}`).sort();
    expect(await peopleAtDomain(env.DB, domain, tenantId)).toEqual({ own: tagged, others: false });
    expect(await peopleAtDomain(env.DB, domain, newId("ten", 1))).toEqual({ own: [], others: true });
    expect(await peopleAtDomain(env.DB, `sub.${domain}`, tenantId)).toEqual({ own: [], others: false });
  });

  test("of a person and a mailbox at one address, made in the same moment, one is made", async () => {
    for (let i = 0; i < 20; i++) {
      const address = `${localPart("race")}@people.example`;
      const routing = newRoutingNumber();
      const mailbox = { id: newId("mbx", Date.now(), routing), tenant_id: newId("ten", 1) } as Mailbox;
      const [person, reserved] = await Promise.all([
        recordPeople(env.DB, newId("ten", 2), [address.replace("@", "+x@")]),
        reserveMailbox(env.DB, address, routing, mailbox),
      ]);
      expect([person, reserved]).toEqual(person ? [true, "person"] : [false, "reserved"]);
      expect(await isPersonsAddress(env.DB, address)).toBe(person);
    }
  });

  test("an address that only looks alike is nobody's", async () => {
    await recordPeople(env.DB, newId("ten", 1), ["looks+like@people.example"]);
    for (const [address, isPersons] of [
      ["looks@people.example", true],
      ["looks+like@people.example", true],
      ["look@people.example", false],
      ["looks-like@people.example", false],
      ["looks,like@people.example", false],
      ["lookslike@people.example", false],
      ["looks@evil.people.example", false],
      ["looks@people.example.evil.example", false],
    ] as const) {
      expect([address, await isPersonsAddress(env.DB, address)]).toEqual([address, isPersons]);
    }
  });
});

describe("a decision link is for one item, one person and one content", () => {
  const yes = { decision: "approve", note: null, edit: null } as const;

  test("the link of one message leaves every other as it is", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const first = await hold(box);
    const link = await linkOf(ana);
    const second = await hold(box);
    await box.stub.decideByLink(link, yes);
    expect(await status(box, first)).not.toBe("pending_send_approval");
    expect(await status(box, second)).toBe("pending_send_approval");
    await box.stub.decideByLink(link, yes);
    expect(await status(box, second)).toBe("pending_send_approval");
  });

  test("one person's link gives one approval, however often it is used", async () => {
    const [ana, ben] = [somebody("ana"), somebody("ben")];
    const box = await decidedBy([ana, ben], { quorum: 2 });
    const id = await hold(box);
    const link = await linkOf(ana);
    for (let i = 0; i < 3; i++) await box.stub.decideByLink(link, yes);
    expect(await status(box, id)).toBe("pending_send_approval");
    await box.stub.decideByLink(await linkOf(ben), yes);
    expect(await status(box, id)).not.toBe("pending_send_approval");
  });

  test("a link of another mailbox is unknown, whatever mailbox its token names", async () => {
    const [ana, ben] = [somebody("ana"), somebody("ben")];
    const [mine, other] = [await decidedBy([ana]), await decidedBy([ben])];
    await hold(mine);
    const id = await hold(other);
    const link = await linkOf(ana);
    expect(await other.stub.openLink(link)).toEqual({ state: "unknown" });
    expect(await other.stub.decideByLink(link, yes)).toEqual({ state: "unknown" });
    expect(await status(other, id)).toBe("pending_send_approval");
  });

  test("a link to what the message said before decides nothing about what it says now", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box);
    const link = await linkOf(ana);
    const { content_hash } = await shownBy(box, link);
    unwrap(await box.stub.edit(box.agent, id, { subject: "Another offer" }));
    expect(await box.stub.decideByLink(link, yes)).toMatchObject({ state: "revoked" });
    const seen = unwrap(await box.stub.pendingItems(box.overseer, [id.replace("em_", "pend_")]))[0];
    expect(seen?.content_hash).not.toBe(content_hash);
    const stale = { email_id: id, decision: "approve", reason: null, content_hash } as const;
    expect(codeOf(await box.stub.decide(box.overseer, stale))).toBe("content_changed");
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("a former approver's link is withdrawn", async () => {
    const [ana, ben] = [somebody("ana"), somebody("ben")];
    const box = await decidedBy([ana]);
    await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, ben);
    const id = await hold(box);
    const link = await linkOf(ana);
    const change = { approvers: [ben], approvers_pending: [] };
    const asked = unwrap(await box.stub.update(box.admin, change, null));
    const words = "needs_approval" in asked ? asked.needs_approval.change : "";
    expect(unwrap(await box.stub.update(box.admin, change, words))).toHaveProperty("mailbox");
    expect(await box.stub.decideByLink(link, yes)).toMatchObject({ state: "revoked" });
    expect(await status(box, id)).toBe("pending_send_approval");
  });
});

test("an unconfirmed approver decides nothing: the operator is asked in their place", async () => {
  const tenant = await makeTenant();
  const accomplice = somebody("accomplice");
  const made = await call<Mailbox>("/v1/mailboxes", {
    key: admin(tenant),
    json: { address_local: localPart(), approvers: [accomplice] },
  });
  const seats = await env.TENANT.getByName(tenant.id).whoOversees(made.body.approvers);
  expect(seats).toEqual({ confirmed: [], operator: tenant.operator_email });
});
