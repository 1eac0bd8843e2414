import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import { call, localPart, type RefusalBody, setUp, storedCounts } from "../support/door-harness.ts";

function wish(more: Record<string, unknown> = {}) {
  return {
    name: localPart("Acme"),
    operator_email: `${localPart("operator")}@people.example`,
    approvers: ["approver@people.example"],
    mailboxes: [] as Record<string, unknown>[],
    keys: [] as Record<string, unknown>[],
    ...more,
  };
}

describe("POST /setup", () => {
  test("does not exist for those without the token, nor where none is set", async () => {
    const json = wish();
    for (const options of [
      {},
      { key: "wrong" },
      { key: "setup-token-for-test" },
      { headers: { authorization: "Basic x" } },
    ]) {
      expect(await call("/setup", { json, ...options })).toMatchObject({ status: 404, body: { code: "not_found" } });
    }
    const { SETUP_TOKEN: _token, ...without } = env;
    for (const key of ["setup-token-for-tests", "undefined", ""]) {
      expect((await call("/setup", { json, key, env: without })).status).toBe(404);
      expect((await call("/setup", { json, key, env: { ...without, SETUP_TOKEN: "" } })).status).toBe(404);
    }
    expect((await call("/setup")).status).toBe(404);
  });

  test("makes the tenant, its mailboxes in any mode, its keys, and says what DNS needs", async () => {
    const [first, second] = [localPart(), localPart()];
    const { status, body } = await setUp(
      wish({
        mailboxes: [
          {
            address_local: first,
            oversight_mode: "autonomous",
            display_name: "Agent",
            ai_disclosure: false,
            approver_email: "Approver@people.example",
          },
          { address_local: second.toUpperCase(), approver_email: "stranger@people.example" },
        ],
        keys: [
          { name: "agent", scopes: ["read", "send"], mailboxes: [first], agent_id: "alice" },
          { name: "sandbox", scopes: ["send"], test: true },
        ],
      }),
    );
    expect(status).toBe(201);
    expect(body.mailboxes).toMatchObject([
      {
        address: `${first}@agents.test`,
        oversight_mode: "autonomous",
        ai_disclosure: false,
        approver_pending: false,
        display_name: "Agent",
      },
      {
        address: `${second}@agents.test`,
        oversight_mode: "gated_send",
        ai_disclosure: true,
        approver_pending: true,
        oversight_keys_may_decide: false,
      },
    ]);
    expect(body.account).toMatchObject({
      id: body.tenant_id,
      approvers: ["approver@people.example"],
      mailbox_count: 2,
    });
    expect(body.keys.agent).toMatch(/^mm_live_/);
    expect(body.keys.sandbox).toMatch(/^mm_test_/);
    expect(body.dns_records.map(({ type, name }) => `${type} ${name}`)).toEqual([
      "MX agents.test",
      "TXT agents.test",
      expect.stringMatching(/^TXT mm\w+\._domainkey\.agents\.test$/),
      expect.stringMatching(/^TXT mm\w+\._domainkey\.agents\.test$/),
      "TXT _dmarc.agents.test",
      "TXT _multimail.agents.test",
    ]);
    const listed = await call<{ mailboxes: Mailbox[] }>("/v1/mailboxes", { key: body.keys.agent ?? "" });
    expect(listed.body.mailboxes.map(({ address }) => address)).toEqual([`${first}@agents.test`]);
  });

  test("keeps the domain's DKIM keys from the first set-up, sealed", async () => {
    const [one, two] = [await setUp(wish()), await setUp(wish())];
    const ofDomain = (made: typeof one) => made.body.dns_records.filter(({ purpose }) => purpose !== "identity");
    expect(ofDomain(two)).toEqual(ofDomain(one));
    const row = await env.DB.prepare("SELECT dkim_keys FROM domains WHERE domain = 'agents.test'").first<{
      dkim_keys: string;
    }>();
    expect(row?.dkim_keys).not.toContain("PRIVATE KEY");
    const keys = await signingKeysOf(env.DB, env, "agents.test");
    expect(keys.map(({ algorithm }) => algorithm)).toEqual(["rsa-sha256", "ed25519-sha256"]);
    expect(keys.every(({ private_key_pem }) => private_key_pem.includes("PRIVATE KEY"))).toBe(true);
  });

  test("repeated with the same name and operator finds what is there and makes the keys anew", async () => {
    const json = wish({ mailboxes: [{ address_local: localPart() }], keys: [{ name: "agent", scopes: ["read"] }] });
    const [one, two] = [await setUp(json), await setUp(json)];
    expect(two.status).toBe(201);
    expect(two.body.tenant_id).toBe(one.body.tenant_id);
    expect(two.body.mailboxes).toEqual(one.body.mailboxes);
    expect(two.body.keys.agent).not.toBe(one.body.keys.agent);
    for (const { body } of [one, two])
      expect((await call("/v1/account", { key: body.keys.agent ?? "" })).status).toBe(200);
  });

  test("confirms an approver who is named in a later call", async () => {
    const json = wish();
    await setUp(json);
    const { body } = await setUp({ ...json, approvers: ["approver@people.example", "second@people.example"] });
    expect(body.account.approvers).toEqual(["approver@people.example", "second@people.example"]);
  });

  const taken = localPart("taken");
  test.each<[string, Record<string, unknown>, string]>([
    ["an operator at the deployment's own domain", { operator_email: "boss@agents.test" }, "approver_is_mailbox"],
    ["an approver at the deployment's own domain", { approvers: ["boss+x@Agents.TEST"] }, "approver_is_mailbox"],
    [
      "a mailbox whose approver is one",
      { mailboxes: [{ address_local: "fresh", approver_email: "boss@agents.test" }] },
      "approver_is_mailbox",
    ],
    ["no address at all", { operator_email: "boss" }, "invalid_address"],
    [
      "two mailboxes of one address",
      { mailboxes: [{ address_local: "fresh" }, { address_local: "FRESH" }] },
      "invalid_input",
    ],
    [
      "two keys of one name",
      {
        keys: [
          { name: "a", scopes: ["read"] },
          { name: "a", scopes: ["send"] },
        ],
      },
      "invalid_input",
    ],
    ["a key that sends and approves", { keys: [{ name: "a", scopes: ["send", "oversight"] }] }, "conflicting_scopes"],
    [
      "a key bound to a mailbox that is not made",
      { keys: [{ name: "a", scopes: ["send"], mailboxes: ["elsewhere"] }] },
      "invalid_input",
    ],
    ["a mailbox of another tenant", { mailboxes: [{ address_local: taken }] }, "address_taken"],
    ["an unknown field", { colour: "red" }, "invalid_input"],
    ["a line break in its name", { name: "A\nB" }, "forbidden_characters"],
  ])("refuses %s and makes nothing", async (_what, more, code) => {
    const there = await env.DB.prepare("SELECT 1 FROM mailboxes WHERE address = ?")
      .bind(`${taken}@agents.test`)
      .first();
    if (!there) await setUp(wish({ mailboxes: [{ address_local: taken }] }));
    const before = await storedCounts();
    const { body } = await setUp<RefusalBody>(wish(more));
    expect(body.code, JSON.stringify(body)).toBe(code);
    expect(await storedCounts()).toEqual(before);
  });
});
