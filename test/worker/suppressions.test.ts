import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { backoff } from "../../durable-objects/timers.ts";
import { unwrap } from "../../src/errors.ts";
import type { Suppression } from "../../src/operations/shapes/recipient-lists.ts";
import { call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { codeOf, inObject, runAlarm, submission, type TestMailbox } from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";
import { addressFor, autonomous, read, sent, suppressionOf } from "../support/returned-mail.ts";
import { advance, inTenant, runAlarm as runTenantAlarm } from "../support/tenant-harness.ts";

interface List {
  suppressions: Suppression[];
  cursor: string | null;
  suppressed?: boolean;
}

const admin = (tenant: TestTenant) => ({ key: keyOf(tenant, "admin") });
const add = (tenant: TestTenant, address: string, json = {}) =>
  call<Suppression>("/v1/suppression", { ...admin(tenant), json: { address, ...json } });
const check = (tenant: TestTenant, query = "") => call<List>(`/v1/suppression${query}`, admin(tenant));

async function suppress(
  { mailbox, admin: by }: TestMailbox,
  address: string,
  reason = "manual" as const,
): Promise<void> {
  await env.TENANT.getByName(mailbox.tenant_id).addSuppression(by, { address, reason, note: null });
}

describe("the list", () => {
  test("takes an address once, in whichever spelling, and says of any whether it is there", async () => {
    const tenant = await makeTenant();
    expect(await add(tenant, "Gone@Bücher.example", { note: "asked by phone" })).toMatchObject({
      status: 201,
      body: { address: "gone@xn--bcher-kva.example", reason: "manual", note: "asked by phone", email_id: null },
    });
    expect((await add(tenant, '"gone"@xn--bcher-kva.example')).status).toBe(200);
    expect((await check(tenant)).body).toMatchObject({ suppressions: [{ note: "asked by phone" }], cursor: null });
    expect((await check(tenant, "?address=GONE@b%C3%BCcher.example")).body).toMatchObject({ suppressed: true });
    expect((await check(tenant, "?address=other@b%C3%BCcher.example")).body).toEqual({
      suppressions: [],
      cursor: null,
      address: "other@xn--bcher-kva.example",
      suppressed: false,
    });
  });

  test("is read in pages, the newest first", async () => {
    const tenant = await makeTenant();
    for (const name of ["a", "b", "c"]) await add(tenant, `${name}@x.example`);
    const seen: (string | null)[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: List = (await check(tenant, `?limit=2${cursor && `&cursor=${cursor}`}`)).body;
      seen.push(...page.suppressions.map(({ address }) => address));
      cursor = page.cursor;
    }
    expect(seen).toEqual(["c@x.example", "b@x.example", "a@x.example"]);
  });

  test.each([
    ["no address", {}, 422],
    ["two addresses", { address: "a@x.example, b@x.example" }, 422],
    ["a name", { address: "a" }, 422],
    ["a line break", { address: "a@x.example\r\nBcc: b@x.example" }, 422],
    ["a reason that only mail can give", { address: "a@x.example", reason: "hard_bounce" }, 422],
    ["a field nobody knows", { address: "a@x.example", until: "x" }, 422],
  ])("refuses %s, and nothing is entered", async (_what, json, status) => {
    const tenant = await makeTenant();
    expect((await call("/v1/suppression", { ...admin(tenant), json })).status).toBe(status);
    expect((await check(tenant)).body.suppressions).toEqual([]);
  });

  test.each(["?cursor=x", "?cursor=-1", "?cursor=0", "?address=x", "?limit=1000"])(
    "refuses the query %s",
    async (query) => {
      expect((await check(await makeTenant(), query)).status).toBe(422);
    },
  );

  test("of another tenant is another list", async () => {
    const [one, two] = [await makeTenant(), await makeTenant()];
    await add(one, "gone@x.example");
    expect((await check(two, "?address=gone@x.example")).body.suppressed).toBe(false);
    const { status, body } = await call<RefusalBody>("/v1/suppression/gone@x.example", {
      ...admin(two),
      method: "DELETE",
    });
    expect([status, body.code]).toEqual([404, "not_found"]);
    expect((await check(one)).body.suppressions).toHaveLength(1);
  });

  test("is an administrator's: an agent's key can neither read nor change it", async () => {
    const tenant = await makeTenant();
    const key = keyOf(tenant, "agent");
    for (const options of [{ key }, { key, json: { address: "a@x.example" } }]) {
      expect((await call("/v1/suppression", options)).status).toBe(403);
    }
  });
});

describe("an address leaves the list", () => {
  test("only once the operator allowed it, who reads why it is there; then it starts anew", async () => {
    const tenant = await makeTenant();
    await add(tenant, "gone@x.example", { reason: "complaint" });
    const path = "/v1/suppression/gone@x.example";
    const asked = await call<{ change: string }>(path, { ...admin(tenant), method: "DELETE" });
    expect(asked.status).toBe(202);
    expect(asked.body.change).toMatch(
      /^Mail may go to gone@x\.example again, though it complained about your mail on /,
    );
    expect((await check(tenant)).body.suppressions).toHaveLength(1);
    const removed = await withCode<Suppression>(tenant, "/v1/remove_suppression", {
      ...admin(tenant),
      json: { address: "Gone@X.example" },
    });
    expect(removed).toMatchObject({ status: 200, body: { address: "gone@x.example", reason: "complaint" } });
    expect((await check(tenant)).body.suppressions).toEqual([]);
    const { results } = await env.DB.prepare("SELECT active, version FROM suppressions WHERE tenant_id = ?")
      .bind(tenant.id)
      .all();
    expect(results).toEqual([{ active: 0, version: 2 }]);
    // Nothing of the address is left but in the sealed part of the record.
    const stored = await inTenant(tenant.id, (_object, { storage }) =>
      storage.sql.exec("SELECT address, note FROM suppressions").toArray(),
    );
    expect(stored).toEqual([{ address: null, note: null }]);
    expect((await add(tenant, "gone@x.example")).status).toBe(201);
  });

  test("not by a code for another address", async () => {
    const tenant = await makeTenant();
    await add(tenant, "one@x.example");
    await add(tenant, "two@x.example");
    await call("/v1/suppression/one@x.example", { ...admin(tenant), method: "DELETE" });
    const wrong = await call<RefusalBody>("/v1/remove_suppression", {
      ...admin(tenant),
      json: { address: "two@x.example", approval_code: "00000000" },
    });
    expect([wrong.status, wrong.body.code]).toEqual([403, "invalid_approval_code"]);
    expect((await check(tenant)).body.suppressions).toHaveLength(2);
  });
});

describe("a send", () => {
  test("to nobody but suppressed people is refused, a reply too, and nothing of it is kept", async () => {
    const box = await autonomous();
    const [one, two] = [addressFor(box, "one"), addressFor(box, "two")];
    await suppress(box, one.address);
    await suppress(box, two.address.toUpperCase());
    const outcome = await box.stub.submit(box.agent, submission(box, { to: [one], cc: [two] }));
    expect(outcome).toMatchObject({
      ok: false,
      refusal: { code: "recipient_suppressed", detail: { suppressed: [{}, {}] } },
    });
    expect(codeOf(await box.stub.judge(box.agent, submission(box, { to: [one] })))).toBe("recipient_suppressed");
    expect(await inObject(box, (object) => object.messages.newest())).toBe(0);
  });

  test("does not count the mailbox's own copies as somebody who would get it", async () => {
    const box = await autonomous();
    const one = addressFor(box, "one");
    await suppress(box, one.address);
    await inObject(box, (object) =>
      object.commit(() => object.saveSettings({ ...object.settings(), auto_bcc: ["boss@people.example"] })),
    );
    expect(codeOf(await box.stub.submit(box.agent, submission(box, { to: [one] })))).toBe("recipient_suppressed");
  });

  test.each([
    ["manual", 1],
    ["complaint", 1],
    ["unsubscribed", 1],
    ["hard_bounce", 0],
  ] as const)(
    "ends copies that the operator ordered only where mail came back, or a key would rid itself of who watches: %s",
    async (reason, copies) => {
      const box = await autonomous();
      const [ana, boss] = [addressFor(box, "ana"), addressFor(box, "boss")];
      await inObject(box, (object) =>
        object.commit(() => object.saveSettings({ ...object.settings(), auto_bcc: [boss.address] })),
      );
      const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
      unwrap(await tenant.updateAccount(box.admin, { postal_address: "Acme Ltd, 1 Street" }, null));
      if (reason === "hard_bounce") await tenant.noteTrouble({ address: boss.address, what: reason, email_id: "em_1" });
      else unwrap(await tenant.addSuppression(box.admin, { address: boss.address, reason, note: null }));
      await sent(box, [ana], { tags: { promotional: "" } });
      expect(await receivedFor(ana.address)).toHaveLength(1);
      expect(await receivedFor(boss.address)).toHaveLength(copies);
    },
  );

  test("with others among them leaves for those, and the outcome says why the rest got nothing", async () => {
    const box = await autonomous();
    const [ok, gone] = [addressFor(box, "ok"), addressFor(box, "gone")];
    await suppress(box, gone.address);
    const id = await sent(box, [ok, gone]);
    expect(await receivedFor(ok.address)).toHaveLength(1);
    expect(await receivedFor(gone.address)).toEqual([]);
    expect(await read(box, id)).toMatchObject({
      status: "sent",
      recipients: [
        { state: "accepted" },
        { state: "suppressed", attempts: 0, response: expect.stringContaining("manual") },
      ],
    });
  });

  test("asks the list again before each attempt: who was entered meanwhile gets nothing", async () => {
    const box = await autonomous();
    const late = addressFor(box, "once-451");
    const id = await sent(box, [late]);
    await suppress(box, late.address);
    await inObject(box, (object) => {
      object.clock = () => Date.now() + backoff(1) + 1_000;
    });
    await runAlarm(box);
    expect(await receivedFor(late.address)).toEqual([]);
    expect(await read(box, id)).toMatchObject({
      status: "send_failed",
      decision_reason: expect.stringContaining("suppression list"),
      recipients: [{ state: "suppressed" }],
    });
  });

  test("is asked before it leaves also where D1 did not know when it was taken", async () => {
    const box = await autonomous();
    const gone = addressFor(box, "gone");
    await suppress(box, gone.address);
    await env.DB.prepare("DELETE FROM suppressions WHERE tenant_id = ?").bind(box.mailbox.tenant_id).run();
    const id = await sent(box, [gone]);
    expect(await read(box, id)).toMatchObject({ status: "send_failed", recipients: [{ state: "suppressed" }] });
  });
});

test("a server that refuses an address at once puts it on the list, once the tenant answers, whatever breaks in between", async () => {
  const before = await autonomous();
  const gone = addressFor(before, "refuse-550");
  await sent(before, [gone]);
  await abortAllDurableObjects();
  const box = { ...before, stub: env.MAILBOX.getByName(before.mailbox.id.slice(-8)) };
  await runAlarm(box);
  expect(await suppressionOf(box, gone)).toBe("hard_bounce");
  const again = await box.stub.submit(box.agent, submission(box, { to: [gone] }));
  expect(codeOf(again)).toBe("recipient_suppressed");
});

test("what D1 did not take at once follows, and an older state never overwrites a newer one", async () => {
  const tenant = await makeTenant();
  await add(tenant, "first@x.example");
  const id = tenant.id;
  await inTenant(id, (object) =>
    object.commit(() => {
      object.rows.exec("UPDATE suppressions SET reason = 'complaint', version = 5");
      object.schedule(
        "suppression",
        String(object.rows.exec("SELECT hash FROM suppressions").one().hash),
        object.now(),
      );
    }),
  );
  await advance(id, 5_000);
  await runTenantAlarm(id);
  const row = () => env.DB.prepare("SELECT reason, version FROM suppressions WHERE tenant_id = ?").bind(id).first();
  expect(await row()).toEqual({ reason: "complaint", version: 5 });
});
