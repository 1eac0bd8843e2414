import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { canonical } from "../../src/canonical-json.ts";
import { unwrap } from "../../src/errors.ts";
import { addressHash } from "../../src/mail/suppression.ts";
import { deleteTag } from "../../src/operations/tags.ts";
import { block, dsn } from "../support/bounces.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, newest, person } from "../support/erased-person.ts";
import { admin, ask, begin, eraseWhole, stored, workOn } from "../support/erasing.ts";
import { placesOf } from "../support/everything-stored.ts";
import { FailingStores } from "../support/failing-stores.ts";
import { advanceClock, runAlarm, submission } from "../support/mailbox-harness.ts";
import { arrive, returnPath } from "../support/returned-mail.ts";
import { advance, inTenant, runAlarm as runTenantAlarm } from "../support/tenant-harness.ts";

/** What named an erased person at the edges: other people's rows, kept answers, what works no more, reports that come late. */

const DAY = 24 * 3600_000;

describe("the suppression of somebody else", () => {
  const suppress = (tenant: TestTenant, json: object) => call("/v1/suppression", { ...admin(tenant), json });
  const list = async (tenant: TestTenant) =>
    (await call<{ suppressions: object[] }>("/v1/suppression", admin(tenant))).body.suppressions;

  test("stays without a note that names the person", async () => {
    const [tenant, who, bob] = [await makeTenant(["autonomous"]), person(), person()];
    await suppress(tenant, { address: bob.address, note: `on behalf of <${who.address}>` });
    await suppress(tenant, { address: "carol@other.example", note: "she asked" });
    await runTenantAlarm(tenant.id);
    const view = await eraseWhole(tenant, who.address);
    expect(view.erased).toMatchObject({ redacted: 1, lists: 0 });
    expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
    expect(await list(tenant)).toMatchObject([
      { address: "carol@other.example", note: "she asked" },
      { address: bob.address, note: null, reason: "manual" },
    ]);
    const { suppressed } = (
      await call<{ suppressed: boolean }>(`/v1/suppression?address=${bob.address}`, admin(tenant))
    ).body;
    expect(suppressed).toBe(true);
  });

  test("goes where its address names the person, in D1 too once that answers", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const forwarder = `${who.address.replace("@", "=")}@list.example`;
    await suppress(tenant, { address: forwarder });
    await runTenantAlarm(tenant.id);
    const hash = addressHash(tenant.id, forwarder);
    expect(placesOf(await stored(tenant), [hash]).join()).toContain("D1 suppressions");
    const id = await begin(tenant, who.address);
    const stores = await inTenant(tenant.id, (object) => {
      const failing = new FailingStores(Reflect.get(object, "env"));
      Reflect.set(object, "env", failing.env);
      return failing;
    });
    stores.fates = (call) => (call.includes("DELETE FROM suppressions") ? "fails" : "served");
    expect((await workOn(tenant, id)).status).toBe("erasing");
    stores.fates = () => "served";
    await advance(tenant.id, DAY);
    const view = await workOn(tenant, id);
    expect(view).toMatchObject({ status: "erased", erased: { lists: 1 } });
    expect(placesOf(await stored(tenant), [who.address, forwarder, hash])).toEqual([]);
  });
});

describe("a kept answer", () => {
  const answers = (tenant: TestTenant) =>
    inTenant(tenant.id, (object) =>
      object.rows.exec<{ key: string; body: string }>("SELECT * FROM idempotency").toArray(),
    );

  /** A tag that names the person is taken from a message of somebody else's: the input names them, and the answer does not. */
  async function untagged(tenant: TestTenant, address: string, idempotencyKey: string) {
    const box = boxOf(tenant);
    const bob = person();
    await arrive(box.mailbox.address, mailOf(bob, box.mailbox.address), { from: bob.address });
    const email_id = await newest(box);
    const path = `/v1/mailboxes/${box.mailbox.id}/emails/${email_id}/tags`;
    const key = keyOf(tenant, "send");
    await call(path, { method: "PUT", key, json: { tags: { [address]: "yes" } } });
    const untag = () =>
      call<Record<string, unknown>>(`${path}/${encodeURIComponent(address)}`, {
        ...{ method: "DELETE", key, headers: { "Idempotency-Key": idempotencyKey } },
      });
    const input = deleteTag.input.parse({ mailbox_id: box.mailbox.id, email_id, key: address });
    const guess = createHash("sha256")
      .update(canonical(JSON.parse(JSON.stringify({ operation: "delete_tag", input }))))
      .digest("hex");
    return { first: await untag(), untag, guess };
  }

  test("has neither the call nor its key in a form that a guess can be held against, and is answered again after an erasure", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { first, untag, guess } = await untagged(tenant, who.address, `untag ${who.address}`);
    expect(first.status).toBe(200);
    expect(await answers(tenant)).toHaveLength(1);
    expect(placesOf(await stored(tenant), [guess])).toEqual([]);
    await eraseWhole(tenant, who.address);
    expect(placesOf(await stored(tenant), [guess, who.address])).toEqual([]);
    expect(await untag()).toMatchObject({ status: 200, body: { ...first.body, idempotent: true } });
  });

  test("that names the person is erased, and its call is not done again", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const suppress = () =>
      call("/v1/suppression", {
        ...admin(tenant),
        ...{ headers: { "Idempotency-Key": "once" }, json: { address: "bob@other.example", note: who.address } },
      });
    expect((await suppress()).status).toBe(201);
    expect((await eraseWhole(tenant, who.address)).erased).toMatchObject({ answers: expect.any(Number) });
    expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
    expect(await suppress()).toMatchObject({ status: 409, body: { code: "idempotency_conflict" } });
    expect(placesOf(await stored(tenant), [who.address]).filter((place) => !place.includes("opened"))).toEqual([]);
  });

  test("goes by a timer, whether or not another call is remembered", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    await untagged(tenant, who.address, "one");
    await advance(tenant.id, DAY / 2);
    await untagged(tenant, who.address, "two");
    await advance(tenant.id, DAY - 60_000);
    await runTenantAlarm(tenant.id);
    expect(await answers(tenant)).toHaveLength(2);
    await advance(tenant.id, DAY + 60_000);
    await runTenantAlarm(tenant.id);
    expect(await answers(tenant)).toHaveLength(1);
    await advance(tenant.id, 1.5 * DAY + 3600_000);
    await runTenantAlarm(tenant.id);
    expect(await answers(tenant)).toEqual([]);
    expect(await inTenant(tenant.id, (object) => object.scheduled("answers"))).toEqual([]);
  });
});

describe("what works no more does not hold an erasure, and its name is erased:", () => {
  test("a revoked key", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const json = { name: `key of <${who.address}>`, scopes: ["read"] };
    const { body: key } = await call<{ id: string }>("/v1/api-keys", { ...admin(tenant), json });
    expect(await ask(tenant, { address: who.address })).toMatchObject({
      status: 409,
      body: { code: "in_service", where: [`key ${key.id}`] },
    });
    await call(`/v1/api-keys/${key.id}`, { ...admin(tenant), method: "DELETE" });
    const view = await eraseWhole(tenant, who.address);
    expect(view.erased).toMatchObject({ redacted: 1 });
    expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
    const { api_keys } = (await call<{ api_keys: object[] }>("/v1/api-keys", admin(tenant))).body;
    expect(api_keys).toContainEqual(
      expect.objectContaining({ id: key.id, name: "(erased)", scopes: ["read"], revoked_at: expect.any(String) }),
    );
  });

  test("a deleted agent", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const json = { id: "a1", name: `writes for ${who.address}`, model_id: "m", model_provider: "p" };
    await call("/v1/agents", { ...admin(tenant), json });
    expect(await ask(tenant, { address: who.address })).toMatchObject({ status: 409, body: { where: ["agent a1"] } });
    await call("/v1/agents/a1", { ...admin(tenant), method: "DELETE" });
    const view = await eraseWhole(tenant, who.address);
    expect(view.erased).toMatchObject({ redacted: 1 });
    expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
    // Its name is free, as that of any deleted agent.
    expect((await call("/v1/agents", { ...admin(tenant), json: { ...json, name: "another" } })).status).toBe(201);
  });
});

test("a report that comes after its recipient was erased leaves nothing in R2, though deleting it failed", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  const box = boxOf(tenant);
  unwrap(await box.stub.submit(box.agent, submission(box, { to: [{ name: who.name, address: who.address }] })));
  await runAlarm(box);
  const path = await returnPath({ name: null, address: who.address });
  await eraseWhole(tenant, who.address);
  const late = 4 * DAY;
  await advanceClock(box, late);
  const mail = dsn([block("failed", "5.1.1", { to: who.address })]);
  let refusals = 0;
  const STORE = new Proxy(env.STORE, {
    get(target, name) {
      if (name === "delete" && refusals++ === 0) return () => Promise.reject(new Error("R2 is away"));
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  const options = { now: () => Date.now() + late, env: { ...env, STORE } };
  await expect(arrive(path, mail, options)).rejects.toThrow("R2 is away");
  await advanceClock(box, late + 3600_000 + 1);
  await runAlarm(box);
  expect((await env.STORE.list({ prefix: `returned/${tenant.id}/` })).objects).toEqual([]);
  expect(placesOf(await stored(tenant), [who.address])).toEqual([]);
});
