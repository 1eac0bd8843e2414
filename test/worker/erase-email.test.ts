import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { SYSTEM } from "../../durable-objects/ledger.ts";
import { unwrap } from "../../src/errors.ts";
import { call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import { boxOf, mailOf, needlesOf, newest, type Person, person } from "../support/erased-person.ts";
import { everythingStored, placesOf } from "../support/everything-stored.ts";
import {
  arrival,
  checkMailbox,
  codeOf,
  decide,
  EVERYTHING,
  inObject,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { lastCode, withCode } from "../support/operator-codes.ts";
import { arrive, eventsOf } from "../support/returned-mail.ts";

interface Erased {
  status: string;
  email_id: string;
  erased_at: string;
}

const admin = (tenant: TestTenant) => ({ key: keyOf(tenant, "admin") });
const erase = <Body = RefusalBody>(tenant: TestTenant, id: string, json = {}) =>
  call<Body>(`/v1/emails/${id}/erase`, { ...admin(tenant), json });
const eraseWithCode = (tenant: TestTenant, id: string) =>
  withCode<Erased>(tenant, `/v1/emails/${id}/erase`, { ...admin(tenant), json: {} });
const placesIn = async (tenant: TestTenant, who: Person) =>
  placesOf(
    await everythingStored(
      tenant.id,
      tenant.mailboxes.map(({ id }) => id),
    ),
    needlesOf(who),
  );

/** A message that arrived, was read, tagged, searched for, and answered by a draft. */
async function arrived(tenant: TestTenant, who: Person): Promise<{ box: TestMailbox; id: string }> {
  const box = boxOf(tenant);
  expect(await arrive(box.mailbox.address, mailOf(who, box.mailbox.address), { from: who.address })).toBeNull();
  const id = await newest(box);
  unwrap(await box.stub.read(box.agent, id, { mark_read: true, include_html: true }));
  unwrap(await box.stub.tag(box.agent, id, { customer: who.name }));
  unwrap(await box.stub.attachment(box.agent, id, who.file));
  const reply = {
    ...submission(box, { to: [], subject: who.subject, text: who.text }),
    reply: { email_id: id, all: false },
  };
  unwrap(await box.stub.saveDraft(box.agent, { id: reply.id, is_new: true, draft: reply }));
  await runAlarm(box);
  return { box, id };
}

describe("a message that arrived", () => {
  test("is erased everywhere once the operator allowed it; its place stays, and the log still verifies", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { box, id } = await arrived(tenant, who);
    const before = await placesIn(tenant, who);
    for (const where of ["R2 raw/", "R2 att/", "messages", "bodies", "search_data", "drafts"]) {
      expect(
        before.filter((place) => place.includes(where)),
        where,
      ).not.toEqual([]);
    }
    const entries = (await checkMailbox(box)).filter(({ resource }) => resource.id === id);
    expect(entries.some(({ sealed }) => sealed?.kid === id)).toBe(true);

    const { status, body } = await eraseWithCode(tenant, id);
    expect([status, body]).toEqual([200, { status: "erased", email_id: id, erased_at: expect.any(String) }]);
    expect(await placesIn(tenant, who)).toEqual([]);
    const chain = await checkMailbox(box);
    expect(chain.at(-1)).toMatchObject({
      action: "email.erased",
      resource: { type: "email", id },
      detail: { status: "read", erasure_id: null, drafts: 1, requests: 0 },
    });
    expect(chain.at(-1)).not.toHaveProperty("sealed");
    const { results } = await env.DB.prepare("SELECT kid FROM data_keys WHERE kid = ?").bind(id).all();
    expect(results).toEqual([]);
  });

  test("is in events without the domain that signed it, in the object and in D1", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const box = boxOf(tenant);
    const [gone, kept] = [await box.stub.receive(arrival(box)), await box.stub.receive(arrival(box))];
    await runAlarm(box);
    await eraseWithCode(tenant, gone?.email_id ?? "");
    const inStorage = await inObject(box, (object) =>
      object
        .storage()
        .exec<{ event: string }>("SELECT event FROM events ORDER BY sequence")
        .toArray()
        .map(({ event }) => JSON.parse(event)),
    );
    expect(await eventsOf(box)).toEqual(inStorage);
    expect(inStorage).toMatchObject([
      { email_id: gone?.email_id, data: { dkim_result: "pass", dkim_domain: null, dkim_selector: null } },
      { email_id: kept?.email_id, data: { dkim_domain: "customer.example", dkim_selector: "s1" } },
    ]);
  });

  test("stays in lists as a place without content, so that whoever keeps up with the mailbox learns of it", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { box, id } = await arrived(tenant, who);
    await eraseWithCode(tenant, id);
    const { emails } = unwrap(await box.stub.list(box.agent, EVERYTHING));
    expect(emails).toMatchObject([
      {
        id,
        erased_at: expect.any(String),
        subject: "",
        from_address: null,
        to: [],
        attachments: [],
        tags: {},
        status: "read",
      },
    ]);
    const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: true, include_html: true }));
    expect(email).toMatchObject({ id, text: "", html: null, headers: {}, erased_at: expect.any(String) });
    expect(unwrap(await box.stub.list(box.agent, { ...EVERYTHING, q: who.text.split(" ")[0] ?? "" })).emails).toEqual(
      [],
    );
  });

  test("cannot be filled again: not marked, tagged, answered, passed on, nor its attachment asked for", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { box, id } = await arrived(tenant, who);
    await eraseWithCode(tenant, id);
    const to = [{ name: null, address: "boss@acme.example" }];
    const outcomes = [
      await box.stub.mark(box.agent, id, { status: "archived" }),
      await box.stub.tag(box.agent, id, { who: who.name }),
      await box.stub.untag(box.agent, id, "customer"),
      await box.stub.tags(box.agent, id),
      await box.stub.attachment(box.agent, id, who.file),
      await box.stub.submit(box.agent, submission(box, { reply: { email_id: id, all: false } })),
      await box.stub.submit(box.agent, submission(box, { to, forward: { email_id: id } })),
    ];
    expect(outcomes.map(codeOf)).toEqual(outcomes.map(() => "wrong_state"));
  });

  test("asked for again it answers the same, and changes nothing", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { id } = await arrived(tenant, who);
    const { body } = await eraseWithCode(tenant, id);
    expect(await erase<Erased>(tenant, id)).toMatchObject({ status: 200, body });
  });

  test("leaves other messages as they are", async () => {
    const [tenant, who, other] = [await makeTenant(["autonomous"]), person(), person()];
    const { box, id } = await arrived(tenant, who);
    const { id: kept } = await arrived(tenant, other);
    const before = await placesIn(tenant, other);
    await eraseWithCode(tenant, id);
    const after = await placesIn(tenant, other);
    // Its words moved within the index, no more.
    const besideWords = (places: string[]) => places.filter((place) => !place.includes("search_data")).sort();
    expect(besideWords(after)).toEqual(besideWords(before));
    expect(
      unwrap(await box.stub.list(box.agent, { ...EVERYTHING, q: other.text.split(" ")[0] ?? "" })).emails,
    ).toMatchObject([{ id: kept }]);
  });
});

test("a message that was held, edited, decided and delivered is erased with its decision, its receipt and its answers", async () => {
  const [tenant, who] = [await makeTenant(["gated_send"]), person()];
  const box = boxOf(tenant);
  const to = [{ name: who.name, address: who.address }];
  const idempotency = { key: `welcome ${who.address}`, digest: "d".repeat(64) };
  const { id } = unwrap(
    await box.stub.submit(
      box.agent,
      submission(box, { to, subject: "before", text: who.text, metadata: { who: who.name }, idempotency }),
    ),
  );
  await runAlarm(box);
  unwrap(await box.stub.edit(box.agent, id, { subject: who.subject }));
  unwrap(
    await decide(box, box.overseer, {
      email_id: id,
      decision: "approve",
      reason: `${who.name} may have it`,
      content_hash: null,
    }),
  );
  await runAlarm(box);
  await runAlarm(box);
  const { content_hash, stored } = await inObject(box, (object) => ({
    content_hash: object.messages.get(id).record.outbound?.content_hash ?? "",
    stored: object.messages.receipt(object.messages.get(id).seq),
  }));
  expect(stored).not.toBeNull();
  expect((await placesIn(tenant, who)).some((place) => place.startsWith("R2 raw/"))).toBe(true);
  expect((await eraseWithCode(tenant, id)).body.status).toBe("erased");
  // Whom it reached stays known to the mailbox until the person is erased.
  const places = (await placesIn(tenant, who)).filter((place) => !place.includes("known_recipients"));
  expect(places).toEqual([]);
  const all = await everythingStored(tenant.id, [box.mailbox.id]);
  expect(placesOf(all, [content_hash, idempotency.digest])).toEqual([]);
  await checkMailbox(box);
});

describe("nobody erases their traces:", () => {
  test.each(["read", "send", "oversight", "agent", "overseer"])("a key with %s is refused", async (name) => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { id } = await arrived(tenant, who);
    const { status, body } = await call<RefusalBody>(`/v1/emails/${id}/erase`, { key: keyOf(tenant, name), json: {} });
    expect([status, body.code]).toEqual([403, "missing_scope"]);
  });

  test("no key alone, nor a code for another message, nor a code twice", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const [one, two] = [await arrived(tenant, person()), await arrived(tenant, person())];
    const asked = await erase<{ change: string }>(tenant, one.id);
    expect(asked.status).toBe(202);
    expect(asked.body.change).toContain(one.id);
    const approval_code = await lastCode(tenant);
    const other = await erase(tenant, two.id, { approval_code });
    expect([other.status, other.body.code]).toEqual([403, "invalid_approval_code"]);
    const wrong = await erase(tenant, one.id, {
      approval_code: approval_code === "00000000" ? "11111111" : "00000000",
    });
    expect([wrong.status, wrong.body.code]).toEqual([403, "invalid_approval_code"]);
    expect((await erase<Erased>(tenant, one.id, { approval_code })).body.status).toBe("erased");
    expect(await inObject(two.box, (object) => object.messages.get(two.id).erased_at)).toBeNull();
  });

  test("in its object neither, by words that are not exactly what it would do now", async () => {
    const tenant = await makeTenant(["autonomous"]);
    const { box, id } = await arrived(tenant, person());
    for (const words of [null, "", "The message is erased."]) {
      expect(unwrap(await box.stub.erase(box.admin, id, words))).toHaveProperty("needs_approval");
    }
    expect(await inObject(box, (object) => object.messages.get(id).erased_at)).toBeNull();
  });

  test("what the operator reads names nobody, since it outlives the message", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { id } = await arrived(tenant, who);
    const { body } = await erase<{ change: string }>(tenant, id);
    expect(placesOf([{ where: "words", text: body.change }], needlesOf(who))).toEqual([]);
    expect(body.change).toContain("1 attachment");
  });

  test.each(["pending_send_approval", "scheduled", "queued", "sending"] as const)(
    "a message that is %s has to end first, whoever wrote it",
    async (status) => {
      const tenant = await makeTenant(["gated_send"]);
      const box = boxOf(tenant);
      const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
      await inObject(box, (object) => {
        const message = object.messages.get(id);
        object.commit(() => object.messages.save({ ...message, status }));
      });
      const { status: code, body } = await erase<RefusalBody & { under_way: string[] }>(tenant, id);
      expect([code, body.code, body.under_way]).toEqual([409, "wrong_state", [id]]);
    },
  );

  test("held mail that came in has to be decided on first", async () => {
    const tenant = await makeTenant(["gated_all"]);
    const box = boxOf(tenant);
    const received = await box.stub.receive(arrival(box));
    const { status, body } = await erase(tenant, received?.email_id ?? "");
    expect([status, body.code]).toEqual([409, "wrong_state"]);
  });

  test("a message that somebody passes on is erased with that, and not before that has ended", async () => {
    const [tenant, who] = [await makeTenant(["gated_send"]), person()];
    const { box, id } = await arrived(tenant, who);
    const boss = [{ name: null, address: "boss@acme.example" }];
    const forward = unwrap(
      await box.stub.submit(
        box.agent,
        submission(box, { to: boss, text: "look", subject: null, forward: { email_id: id } }),
      ),
    );
    const early = await erase<RefusalBody & { under_way: string[] }>(tenant, id);
    expect([early.status, early.body.under_way]).toEqual([409, [forward.id]]);
    unwrap(await box.stub.cancel(box.agent, forward.id, null));
    await runAlarm(box);
    expect((await erase<{ change: string }>(tenant, id)).body.change).toContain("and 1 message that pass");
    expect((await eraseWithCode(tenant, id)).body.status).toBe("erased");
    expect(await placesIn(tenant, who)).toEqual([]);
    expect(await inObject(box, (object) => object.messages.get(forward.id).erased_at)).not.toBeNull();
  });
});

describe("a legal hold", () => {
  test.each([
    ["the mailbox", ({ mailbox }: TestTenant) => `/v1/mailboxes/${mailbox.id}`],
    ["the account", () => "/v1/account"],
  ])("on %s is set at once, keeps everything, and only the operator lifts it", async (_what, pathOf) => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { box, id } = await arrived(tenant, who);
    const path = pathOf(tenant);
    const patch = (json: Record<string, unknown>) => call(path, { ...admin(tenant), method: "PATCH", json });
    expect((await patch({ legal_hold: true })).body).toMatchObject({ legal_hold: true });
    const refused = await erase(tenant, id);
    expect([refused.status, refused.body.code]).toEqual([409, "legal_hold"]);
    expect((await patch({ legal_hold: false })).status).toBe(202);
    expect((await erase(tenant, id)).body.code).toBe("legal_hold");
    await withCode(tenant, path, { ...admin(tenant), method: "PATCH", json: { legal_hold: false } });
    expect((await eraseWithCode(tenant, id)).body.status).toBe("erased");
    await checkMailbox(box);
  });

  test("that is set after the operator was asked is in time", async () => {
    const [tenant, who] = [await makeTenant(["autonomous"]), person()];
    const { id } = await arrived(tenant, who);
    await erase(tenant, id);
    const approval_code = await lastCode(tenant);
    await call("/v1/account", { ...admin(tenant), method: "PATCH", json: { legal_hold: true } });
    expect((await erase(tenant, id, { approval_code })).body.code).toBe("legal_hold");
  });
});

test("a message of another account does not exist", async () => {
  const [tenant, other] = [await makeTenant(["autonomous"]), await makeTenant(["autonomous"])];
  const { box, id } = await arrived(tenant, person());
  const foreign = await erase(other, id);
  const unknown = await erase(other, "em_0123456789ABCDEFGHJKMNPQRS");
  expect([foreign.status, foreign.body]).toEqual([404, unknown.body]);
  expect(codeOf(await box.stub.erase(box.stranger, id, null))).toBe("not_found");
});

describe("what R2 or D1 does not do at once", () => {
  test.each(["STORE", "DB"] as const)(
    "is tried again until it is done, while %s is away and after a restart",
    async (what) => {
      const [tenant, who] = [await makeTenant(["autonomous"]), person()];
      const { box, id } = await arrived(tenant, who);
      const away = () => Promise.reject(new Error(`${what} is away`));
      await inObject(box, (object) => {
        const whole: Cloudflare.Env = Reflect.get(object, "env");
        const broken = {
          STORE: { list: away, delete: away },
          DB: { prepare: env.DB.prepare.bind(env.DB), batch: away },
        };
        Reflect.set(object, "env", { ...whole, [what]: broken[what] });
      });
      const { status, body } = await eraseWithCode(tenant, id);
      expect([status, body.status]).toEqual([202, "erasing"]);
      expect((await erase<Erased>(tenant, id)).body.status).toBe("erasing");
      await abortAllDurableObjects();
      const again = boxOf(tenant);
      await inObject(again, (object) => {
        object.clock = () => Date.now() + 5_000;
      });
      await runAlarm(again);
      expect(await erase<Erased>(tenant, id)).toMatchObject({ status: 200, body: { status: "erased" } });
      expect(await placesIn(tenant, who)).toEqual([]);
      await checkMailbox(again);
    },
  );
});

test("a drain that was under way brings back no key", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  const { box, id } = await arrived(tenant, who);
  unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }));
  await erase(tenant, id);
  const approval_code = await lastCode(tenant);
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  await inObject(box, (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const DB = {
      prepare: env.DB.prepare.bind(env.DB),
      // The statements have their values by now, the keys among them; another write overtakes them.
      batch: async (statements: D1PreparedStatement[]) => {
        Reflect.set(object, "env", whole);
        await mayGoOn;
        return env.DB.batch(statements);
      },
    };
    const message = object.messages.get(id);
    object.commit(() => object.record({ message, actor: SYSTEM, action: "message.tagged", personal: { tags: {} } }));
    Reflect.set(object, "env", { ...whole, DB });
    void object.drain();
  });
  const erased = erase<Erased>(tenant, id, { approval_code });
  await expect.poll(() => inObject(box, (object) => object.messages.get(id).erased_at)).not.toBeNull();
  goOn();
  expect((await erased).body.status).toBe("erased");
  expect(await env.DB.prepare("SELECT 1 FROM data_keys WHERE kid = ?").bind(id).first()).toBeNull();
  await checkMailbox(box);
});

test("what is recorded of it later is sealed under a key of its own, and what was erased stays unreadable", async () => {
  const tenant = await makeTenant(["autonomous"]);
  const { box, id } = await arrived(tenant, person());
  await eraseWithCode(tenant, id);
  await inObject(box, (object) =>
    object.commit(() => {
      const message = object.messages.get(id);
      object.record({ message, actor: SYSTEM, action: "message.cancelled", personal: { reason: "later" } });
    }),
  );
  await runAlarm(box);
  const last = (await checkMailbox(box)).at(-1);
  expect(last?.sealed?.kid).toBe(last?.id);
  const query = `/v1/audit-log?email_id=${id}&limit=100`;
  const { status, body } = await call<{ entries: { action: string; personal: unknown }[] }>(query, admin(tenant));
  expect(status).toBe(200);
  const opened = body.entries.filter(({ personal }) => personal !== null && personal !== undefined);
  expect(opened.map(({ action }) => action)).toEqual(["message.cancelled"]);
});

test("a report that comes after the message was erased is about nothing, and leaves nothing", async () => {
  const [tenant, who] = [await makeTenant(["autonomous"]), person()];
  const box = boxOf(tenant);
  const { id } = unwrap(
    await box.stub.submit(box.agent, submission(box, { to: [{ name: null, address: who.address }] })),
  );
  await runAlarm(box);
  await eraseWithCode(tenant, id);
  const report = { kind: "feedback" as const, type: "abuse", means: "complaint" as const };
  expect(await box.stub.takeReturned({ email_id: id, position: 0, raw_key: null, rfc_message_id: null, report })).toBe(
    "unknown",
  );
  expect(await box.stub.openUnsubscribe(id, null)).toBeNull();
  expect(await box.stub.unsubscribe(id, who.address)).toBe(false);
  expect(await placesIn(tenant, who)).toEqual([]);
});
