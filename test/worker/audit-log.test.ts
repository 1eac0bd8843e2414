import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { entryText, hashEntryText } from "../../src/audit/entry.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { inTenant } from "../support/tenant-harness.ts";

type Shown = Entry & {
  hash: string;
  personal: Record<string, unknown> | null;
  fault: string | null;
  resource_type: string;
  resource_id: string;
  actor_key_id: string | null;
  metadata: Record<string, unknown>;
  created_at: string;
};

const NOTHING = { entries: [], cursor: null, archived_before: null };

let tenant: TestTenant;
let emailId: string;

async function drained({ id: tenantId, mailboxes }: TestTenant): Promise<void> {
  await inTenant(tenantId, (object) => object.settled());
  for (const { id } of mailboxes) {
    const stub: DurableObjectStub = env.MAILBOX.getByName(id.slice(-8));
    await runInDurableObject(stub, async (object: unknown) => {
      if (object instanceof MailboxObject) await object.settled();
    });
  }
}

async function entries(query = "", key = keyOf(tenant, "admin")): Promise<{ entries: Shown[]; cursor: string | null }> {
  const { status, body } = await call<{ entries: Shown[]; cursor: string | null }>(`/v1/audit-log?${query}`, { key });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

beforeAll(async () => {
  tenant = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
    { name: "bound", scopes: ["admin"], mailboxes: [second] },
  ]);
  const json = {
    to: "ana@customer.example",
    subject: "Secret offer",
    text: "Hello",
    mailbox_id: tenant.mailbox.id,
    agent_id: "alice",
  };
  emailId = (await call<SendAnswer>("/v1/send_email", { key: keyOf(tenant, "agent"), json })).body.id;
  await drained(tenant);
});

describe("get_audit_log", () => {
  test("gives entries whose hashes hold, under all their names, personal fields opened", async () => {
    const [held] = (await entries("action=message.held")).entries;
    expect(held).toMatchObject({
      action: "message.held",
      resource_type: "email",
      resource_id: emailId,
      metadata: held?.detail,
      created_at: held?.at,
      actor_key_id: held?.actor.key_id,
      personal: { subject: "Secret offer", to: ["ana@customer.example"] },
    });
    if (!held) throw new Error("there is no entry");
    const {
      hash,
      personal: _p,
      fault,
      resource_type: _t,
      resource_id: _i,
      actor_key_id: _k,
      metadata: _m,
      created_at: _c,
      ...entry
    } = held;
    expect(hashEntryText(entryText(entry))).toBe(hash);
    expect(fault).toBeNull();
    expect(JSON.stringify(entry)).not.toContain("Secret offer");
  });

  test("an erased data key leaves the entry whole and its personal fields null", async () => {
    const json = { to: "bob@customer.example", subject: "To be erased", text: "x", mailbox_id: tenant.mailbox.id };
    const { body } = await call<SendAnswer>("/v1/send_email", { key: keyOf(tenant, "agent"), json });
    await drained(tenant);
    await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(body.id).run();
    const [held] = (await entries(`email_id=${body.id}&action=message.held`)).entries;
    expect(held).toMatchObject({ personal: null, resource_id: body.id });
  });

  test("is filtered by each of its fields, alone and together", async () => {
    const count = async (query: string) => (await entries(`limit=100&${query}`)).entries.length;
    const all = await count("");
    expect(await count(`email_id=${emailId}`)).toBe(1);
    expect(await count(`email_id=${emailId.replace("em_", "pend_")}`)).toBe(1);
    // The look-up of the recipient's domain, and the message.
    expect(await count("agent_id=alice")).toBe(2);
    expect(await count("agent_id=alice&action=message.held")).toBe(1);
    expect(await count("agent_id=nobody")).toBe(0);
    expect(await count(`mailbox_id=${tenant.mailboxes[1]?.id}`)).toBe(1);
    const [first, second] = tenant.mailboxes;
    expect(await count(`mailbox_id=${second?.address.toUpperCase()}`)).toBe(1);
    expect(await count(`mailbox=${first?.address}`)).toBe(await count(`mailbox_id=${first?.id}`));
    expect(await count("action=mailbox.created")).toBe(2);
    expect(await count(`action=mailbox.created&mailbox_id=${tenant.mailbox.id}`)).toBe(1);
    expect(await count(`agent_id=alice&email_id=${emailId}&domain=agents.test`)).toBe(1);
    expect(await count("from=2020-01-01")).toBe(all);
    expect(await count("to=2020-01-01")).toBe(0);
    const [newest] = (await entries("limit=1")).entries;
    expect(await count(`from=${newest?.at}`)).toBeGreaterThan(0);
    expect(await count(`to=${newest?.at}`)).toBeLessThan(all);
  });

  test("gives no entries for a mailbox that is unknown, another tenant's or out of the key's reach, by id or address", async () => {
    const foreign = await makeTenant();
    for (const name of [foreign.mailbox.id, foreign.mailbox.address, "nobody@agents.test", "mbx_none", "none"]) {
      expect(await entries(`mailbox_id=${name}`), name).toEqual(NOTHING);
    }
    for (const name of [tenant.mailbox.id, tenant.mailbox.address]) {
      expect((await entries(`mailbox_id=${name}`, keyOf(tenant, "bound"))).entries, name).toEqual([]);
    }
  });

  test("refuses a mailbox that is named twice or cannot be one", async () => {
    const refused = (query: string) => call(`/v1/audit-log?${query}`, { key: keyOf(tenant, "admin") });
    expect(await refused("mailbox_id=a%20b@")).toMatchObject({ status: 422, body: { code: "invalid_address" } });
    expect(await refused(`mailbox_id=${tenant.mailbox.id}&mailbox=mbx_none`)).toMatchObject({
      status: 422,
      body: { error: "mailbox says something else than mailbox_id." },
    });
  });

  test("is filtered by who did it and by log, and given as OCSF events", async () => {
    const agents = (await entries("actor=agent&limit=100")).entries;
    expect(new Set(agents.map(({ actor }) => actor.type))).toEqual(new Set(["agent"]));
    const key = agents.find(({ actor }) => actor.agent_id === "alice")?.actor.key_id ?? "";
    const byKey = (await entries(`actor=${key}&limit=100`)).entries;
    expect(new Set(byKey.map(({ actor }) => actor.key_id))).toEqual(new Set([key]));
    expect((await entries("actor=alice")).entries).toHaveLength(2);
    const own = (await entries(`log=${tenant.id}&limit=100`)).entries;
    expect(new Set(own.map(({ log }) => log))).toEqual(new Set([tenant.id]));
    expect(await entries(`log=${tenant.id}&mailbox_id=${tenant.mailbox.id}`)).toEqual(NOTHING);
    const [event] = (await entries(`action=message.held&email_id=${emailId}&format=ocsf`)).entries;
    expect(event).toMatchObject({ class_uid: 4009, email: { uid: emailId, subject: "Secret offer" } });
  });

  test.each([
    ["from=2026-11-21&to=2026-11-20", "to"],
    ["from=2026-11-21&to=2026-11-21", "to"],
    ["from=1969-12-31", "from"],
    ["to=0001-01-01", "to"],
  ])("refuses a time in which nothing can be: %s", async (query, path) => {
    const answer = await call(`/v1/audit-log?${query}`, { key: keyOf(tenant, "admin") });
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_range", issues: [{ path }] } });
  });

  test("a forged cursor is refused, or shows no more than its own reader may see", async () => {
    const key = keyOf(tenant, "admin");
    for (const forged of ["x", "aud_", "aud_1' OR 1", emailId, "%00", "aud_81ARZ3NDEKTSV4RRFFQ69G5FAV"]) {
      expect((await call(`/v1/audit-log?cursor=${encodeURIComponent(forged)}`, { key })).status, forged).toBe(422);
    }
    const end = "aud_7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    const { entries: seen } = await entries(`cursor=${end}&limit=100`, keyOf(tenant, "bound"));
    expect(new Set(seen.map(({ log }) => log))).toEqual(new Set([tenant.mailboxes[1]?.id]));
    const foreign = await makeTenant();
    const { entries: theirs } = await entries(`cursor=${end}&limit=100`, keyOf(foreign, "admin"));
    expect(theirs.filter(({ log }) => log !== foreign.id && log !== foreign.mailbox.id)).toEqual([]);
  });

  test("is paged, newest first, without an entry left out or given twice", async () => {
    const all = (await entries("limit=100")).entries.map(({ id }) => id);
    const paged: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page = await entries(`limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`);
      paged.push(...page.entries.map(({ id }) => id));
      cursor = page.cursor;
    }
    expect(paged).toEqual(all);
    expect(all).toEqual([...all].sort().reverse());
  });

  test("shows a key bound to a mailbox that mailbox's entries only", async () => {
    const { entries: seen } = await entries("limit=100", keyOf(tenant, "bound"));
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen.map(({ log }) => log))).toEqual(new Set([tenant.mailboxes[1]?.id]));
  });

  test("a sparse filter examines a bounded stretch and goes on with its cursor", async () => {
    const other = await makeTenant();
    const rows = Array.from({ length: 1_205 }, (_, seq) => ({
      seq,
      id: `aud_${String(seq).padStart(26, "0")}`,
      email: seq === 3 ? "em_rare" : null,
      action: seq === 7 ? "rare" : "filler",
    }));
    await env.DB.prepare(
      `INSERT INTO audit_log (log, seq, id, tenant_id, at, action, email_id, hash, entry)
       SELECT 'filler', json_extract(value, '$.seq'), json_extract(value, '$.id'), ?2, '2001-01-01T00:00:00.000Z',
         json_extract(value, '$.action'), json_extract(value, '$.email'), 'x', '{"actor":{},"resource":{},"detail":{}}' FROM json_each(?1)`,
    )
      .bind(JSON.stringify(rows), other.id)
      .run();
    const key = keyOf(other, "admin");
    const first = await entries("log=filler&action=rare", key);
    expect(first.entries).toEqual([]);
    expect(first.cursor).not.toBeNull();
    const second = await entries(`log=filler&action=rare&cursor=${first.cursor}`, key);
    expect(second.entries).toHaveLength(1);
    expect(second.cursor).toBeNull();
    expect((await entries("email_id=em_rare", key)).entries).toHaveLength(1);
  });
});
