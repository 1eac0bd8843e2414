import { env } from "cloudflare:workers";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { BULK_RECIPIENTS } from "../../src/mail/promotional.ts";
import { readUnsubscribeToken, unsubscribeToken } from "../../src/mail/unsubscribe-token.ts";
import { entriesIn } from "../support/audit-fields.ts";
import { call, keyOf, makeTenant, request } from "../support/door-harness.ts";
import {
  codeOf,
  decide,
  EVERYTHING,
  inObject,
  makeMailbox,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";
import { addressFor, arrive, eventsOf, everything, read, sent, suppressionOf } from "../support/returned-mail.ts";
import { linkFor, mailed, oneClick, PROMOTIONAL, withAddress } from "../support/unsubscribe-links.ts";

/** Everything of a mailbox but how many entries its log has. */
async function everythingBut(box: TestMailbox): Promise<unknown> {
  return { ...(await everything(box)), entries: null };
}

describe("promotional mail", () => {
  test("says where its sender is and how to get no more of it, to each recipient with a link of their own", async () => {
    const { ana, bo, path } = await mailed();
    expect(await linkFor(bo)).not.toBe(path);
    const [mail] = await receivedFor(ana.address);
    expect(mail?.raw).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
    expect(mail?.raw).toContain("Acme Ltd");
    expect(mail?.raw).toMatch(/Unsubscribe: https:\/\/mail\.test\/v1\/unsubscribe\//);
  });

  test("has both fields under its DKIM signatures", async () => {
    const { ana } = await mailed();
    const raw = (await receivedFor(ana.address))[0]?.raw ?? "";
    for (const [, tags = ""] of raw.matchAll(/^DKIM-Signature:((?:[^\r]|\r\n[ \t])*)/gim)) {
      expect(/h=([^;]*)/.exec(tags)?.[1]?.toLowerCase().replace(/\s/g, "").split(":")).toEqual(
        expect.arrayContaining(["list-unsubscribe", "list-unsubscribe-post"]),
      );
    }
    const { results } = await dkimVerify(Buffer.from(raw, "latin1"), { resolver: async () => [] });
    expect(results).toHaveLength(2);
  });

  test("is refused where the account has no postal address, and nothing of it is kept", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const before = await everything(box);
    const outcome = await box.stub.submit(box.agent, submission(box, PROMOTIONAL));
    expect(outcome).toMatchObject({ ok: false, refusal: { code: "postal_address_missing" } });
    expect(await everything(box)).toEqual(before);
  });

  test("shows its footer to the person who decides, and their edit does not lose it", async () => {
    const box = await withAddress("gated_send");
    const ana = addressFor(box, "ana");
    const { id, message } = unwrap(await box.stub.submit(box.agent, submission(box, { ...PROMOTIONAL, to: [ana] })));
    expect(message).toContain("promotional");
    const [item] = unwrap(await box.stub.pendingItems(box.overseer, [id]));
    expect(item?.text).toMatch(/Hello Ana\n\nAcme Ltd\n1 Street, Town\nUnsubscribe: https:/);
    unwrap(await box.stub.edit(box.agent, id, { body: { text: "Other words", html: null, markdown: null } }));
    const [edited] = unwrap(await box.stub.pendingItems(box.overseer, [id]));
    expect(edited?.text).toMatch(/^Other words\n\nAcme Ltd/);
    unwrap(await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }));
    await runAlarm(box);
    expect((await receivedFor(ana.address))[0]?.raw).toContain("Acme Ltd");
  });
});

describe("untagged bulk", () => {
  const many = (box: TestMailbox, n = BULK_RECIPIENTS) => Array.from({ length: n }, (_, i) => addressFor(box, `r${i}`));
  const held = { tags: { transactional: "" } };

  test.each<[string, "autonomous" | "gated_send", number, Record<string, unknown>, boolean]>([
    ["one message to many is promotional", "autonomous", BULK_RECIPIENTS, {}, true],
    ["to one fewer it is not", "autonomous", BULK_RECIPIENTS - 1, {}, false],
    ["an agent that nobody asks cannot say otherwise", "autonomous", BULK_RECIPIENTS, held, true],
    ["a person who decides on it can", "gated_send", BULK_RECIPIENTS, held, false],
  ])("%s", async (_what, mode, n, change, isPromotional) => {
    const box = await withAddress(mode);
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: many(box, n), ...change })));
    expect((await read(box, id)).text.includes("Acme Ltd")).toBe(isPromotional);
  });

  test("is also the same words to one after the other, with whatever name and number", async () => {
    const box = await withAddress();
    const texts: string[] = [];
    for (const [n, to] of many(box, BULK_RECIPIENTS + 1).entries()) {
      const change = { to: [to], subject: `Offer ${n}`, text: `Dear friend ${n},\nbuy ${n} now`, html: null };
      const { id } = unwrap(await box.stub.submit(box.agent, submission(box, change)));
      texts.push((await read(box, id)).text);
    }
    expect(texts.map((text) => text.includes("Acme Ltd"))).toEqual([
      ...Array(BULK_RECIPIENTS - 1).fill(false),
      true,
      true,
    ]);
  });

  test("cannot be made of a message for few by changing it", async () => {
    const box = await withAddress("gated_send");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: many(box, 1) })));
    expect(codeOf(await box.stub.edit(box.agent, id, { to: many(box) }))).toBe("wrong_state");
    expect((await read(box, id)).to).toHaveLength(1);
  });

  /** Sends to each of so many people by themselves. @returns whether each message says how to unsubscribe. */
  async function oneByOne(box: TestMailbox, send: (to: MailAddress, n: number) => Promise<string>): Promise<boolean[]> {
    const seen: boolean[] = [];
    for (const [n, to] of many(box, BULK_RECIPIENTS + 1).entries())
      seen.push((await read(box, await send(to, n))).text.includes("Acme Ltd"));
    return seen;
  }

  test("is no answer, to whatever it is said to answer, for people who had no part in that", async () => {
    const box = await withAddress();
    const ana = addressFor(box, "ana");
    await arrive(
      box.mailbox.address,
      `From: ${ana.address}\r\nMessage-ID: <a@x.example>\r\nSubject: Hi\r\n\r\nHi\r\n`,
      { from: ana.address },
    );
    const [came] = unwrap(await box.stub.list(box.agent, EVERYTHING)).emails;
    const own = await sent(box, [ana], { subject: "Other", text: "quite other words" });
    for (const [index, email_id] of [came?.id ?? "", own].entries()) {
      const text = `see you at the fair ${"x".repeat(index + 1)}`;
      const seen = await oneByOne(box, async (to) => {
        const change = { to: [to], subject: null, text, html: null, reply: { email_id, all: false } };
        return unwrap(await box.stub.submit(box.agent, submission(box, change))).id;
      });
      expect(seen.at(-1)).toBe(true);
    }
    const answers = await oneByOne(box, async () => {
      const change = {
        to: [],
        subject: null,
        text: "of course",
        html: null,
        reply: { email_id: came?.id ?? "", all: false },
      };
      return unwrap(await box.stub.submit(box.agent, submission(box, change))).id;
    });
    expect(answers).not.toContain(true);
  });

  test("cannot be made of different messages by giving them the same words afterwards", async () => {
    const box = await withAddress("gated_send");
    const outcomes: (string | null)[] = [];
    for (const [n, to] of many(box).entries()) {
      const letters = String.fromCharCode(97 + n).repeat(5);
      const change = { to: [to], subject: letters, text: `Hello\n${letters}`, html: null };
      const { id } = unwrap(await box.stub.submit(box.agent, submission(box, change)));
      const edited = await box.stub.edit(box.agent, id, {
        subject: "Offer",
        body: { text: "Hello\nbuy now", html: null, markdown: null },
      });
      outcomes.push(edited.ok ? null : edited.refusal.code);
    }
    expect(outcomes).toEqual([...Array(BULK_RECIPIENTS - 1).fill(null), "wrong_state"]);
  });
});

describe("a link", () => {
  test.each<[string, (path: string) => Promise<Response>]>([
    ["a mail program sends it", oneClick],
    [
      "a mail program sends it as multipart",
      (path) => {
        const form = new FormData();
        form.set("List-Unsubscribe", "One-Click");
        return request(path, { raw: form });
      },
    ],
    [
      "a person presses the button",
      (path) =>
        request(path, { raw: "unsubscribe=yes", headers: { "content-type": "application/x-www-form-urlencoded" } }),
    ],
  ])("unsubscribes its recipient, and nobody else, when %s; again changes nothing", async (_how, send) => {
    const { box, ana, bo, id, path } = await mailed();
    for (let n = 0; n < 2; n++) {
      const answer = await send(path);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("set-cookie")).toBeNull();
      expect(await answer.text()).toContain("You are unsubscribed");
    }
    expect(await suppressionOf(box, ana)).toBe("unsubscribed");
    expect(await suppressionOf(box, bo)).toBeNull();
    expect((await eventsOf(box)).filter(({ type }) => type === "message.unsubscribed")).toHaveLength(1);
    // Promotional mail is kept back, and what the person needs still comes.
    expect(codeOf(await box.stub.submit(box.agent, submission(box, { to: [ana], ...PROMOTIONAL })))).toBe(
      "recipient_suppressed",
    );
    const needed = await sent(box, [ana], { subject: "Your receipt" });
    expect((await read(box, needed)).status).toBe("sent");
    expect((await read(box, id)).status).toBe("sent");
  });

  test.each(["GET", "HEAD"])(
    "that is fetched by %s, as scanners do, changes nothing and tells little",
    async (method) => {
      const { box, ana, path } = await mailed();
      const before = await everythingBut(box);
      const answer = await request(path, { method });
      expect(answer.status).toBe(200);
      const page = await answer.text();
      expect(page).not.toContain(ana.address);
      if (method === "GET") expect(page).toContain("a…@customer.example");
      expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
      await runAlarm(box);
      expect(await everythingBut(box)).toEqual(before);
    },
  );

  test.each<[string, string, string, number]>([
    ["an empty body", "", "application/x-www-form-urlencoded", 422],
    ["another field", "x=y", "application/x-www-form-urlencoded", 422],
    ["JSON", '{"List-Unsubscribe":"One-Click"}', "application/json", 422],
    ["a broken multipart form", "--x", "multipart/form-data; boundary=y", 422],
    ["an endless form", `List-Unsubscribe=One-Click&x=${"x".repeat(8_192)}`, "application/x-www-form-urlencoded", 422],
  ])("that gets %s changes nothing", async (_what, raw, type, status) => {
    const { box, path } = await mailed();
    const before = await everything(box);
    expect((await request(path, { raw, method: "POST", headers: { "content-type": type } })).status).toBe(status);
    expect(await everything(box)).toEqual(before);
  });

  test("that was changed, or names what is not there, leads nowhere", async () => {
    const { box, id, path } = await mailed();
    const before = await everything(box);
    const token = (email_id: string, position: number | null) =>
      `/v1/unsubscribe/${unsubscribeToken(env, { email_id, position })}`;
    const changed = `${path.slice(0, -1)}${path.endsWith("0") ? "1" : "0"}`;
    const gone = `${id.slice(0, 12)}ZZZZZZZZ${id.slice(20)}`;
    const paths = [
      changed,
      token(id, 7),
      token(gone, 0),
      token(gone, null),
      "/v1/unsubscribe/x",
      "/v1/unsubscribe/a/b",
    ];
    for (const wrong of paths) {
      expect((await request(wrong)).status, wrong).toBe(404);
      expect((await oneClick(wrong)).status, wrong).toBe(404);
    }
    expect((await request(path, { method: "PUT" })).status).toBe(405);
    expect(await everything(box)).toEqual(before);
  });

  test("of the footer asks for the address, and does not tell whose it was", async () => {
    const { box, ana, id } = await mailed();
    const path = `/v1/unsubscribe/${unsubscribeToken(env, { email_id: id, position: null })}`;
    expect(await (await request(path)).text()).toContain('inputmode="email"');
    const type = (address: string) => {
      const raw = new URLSearchParams({ unsubscribe: "yes", address });
      return request(path, { raw });
    };
    const before = await everythingBut(box);
    const stranger = await type("stranger@elsewhere.example");
    expect(await everythingBut(box)).toEqual(before);
    expect((await type("no address")).status).toBe(422);
    const own = await type(ana.address.toUpperCase());
    expect([stranger.status, await stranger.text()]).toEqual([own.status, await own.text()]);
    expect(await suppressionOf(box, ana)).toBe("unsubscribed");
  });
});

describe("what is done by a link", () => {
  const position = (path: string) => readUnsubscribeToken(env, path.slice(path.lastIndexOf("/") + 1))?.position;
  const usesOf = async (box: TestMailbox) =>
    (await entriesIn(box.stub)).filter(({ actor: { id, via } }) => id === "recipient" && via === "link");
  const footerOf = (email_id: string) => `/v1/unsubscribe/${unsubscribeToken(env, { email_id, position: null })}`;
  const typed = (path: string, address: string) =>
    request(path, { raw: new URLSearchParams({ unsubscribe: "yes", address }) });

  test("is an entry about the message: whose link it was is sealed, and erased with the message", async () => {
    const { box, ana, id, path } = await mailed();
    await request(path);
    await oneClick(path);
    await oneClick(path);
    const uses = await usesOf(box);
    expect(uses.map(({ action, detail }) => [action, detail])).toEqual([
      ["unsubscribe.opened", {}],
      ["message.unsubscribed", { position: position(path) }],
      ["nothing.changed", { would_be: "message.unsubscribed" }],
    ]);
    for (const { resource, sealed, personal } of uses) {
      expect([resource, sealed?.kid]).toEqual([{ type: "email", id }, id]);
      expect(personal).toEqual({ recipient: ana.address });
    }
    const asked = unwrap(await box.stub.erase(box.admin, id, null));
    unwrap(await box.stub.erase(box.admin, id, "needs_approval" in asked ? asked.needs_approval.change : null));
    expect((await usesOf(box)).map(({ personal }) => personal)).toEqual([null, null, null]);
    expect(
      await inObject(box, (_object, { storage: { sql } }) => sql.exec("SELECT * FROM unsubscribe_links").toArray()),
    ).toEqual([]);
    // The link leads nowhere now.
    expect((await request(path)).status).toBe(404);
    expect(await usesOf(box)).toHaveLength(3);
  });

  test("of a footer names nobody, and an address that the message did not go to is kept nowhere", async () => {
    const { box, ana, id } = await mailed();
    const path = footerOf(id);
    await request(path);
    await typed(path, "no address");
    await typed(path, "stranger@elsewhere.example");
    await typed(path, ana.address);
    expect((await usesOf(box)).map(({ action, personal }) => [action, personal])).toEqual([
      ["unsubscribe.opened", null],
      ["unsubscribe.opened", null],
      ["unsubscribe.refused", null],
      ["message.unsubscribed", { recipient: ana.address }],
    ]);
    expect(JSON.stringify(await entriesIn(box.stub))).not.toContain("elsewhere");
  });

  test("has twenty entries of openings, and more of what is tried by it; whoever opens one hides nothing of another", async () => {
    const { box, bo, id, path } = await mailed();
    for (let opened = 0; opened < 25; opened++) await request(path);
    expect(await usesOf(box)).toHaveLength(20);
    for (let sent = 0; sent < 25; sent++) await oneClick(path);
    const counts = Object.groupBy(await usesOf(box), ({ action }) => action);
    expect(Object.entries(counts).map(([action, uses]) => [action, uses?.length])).toEqual([
      ["unsubscribe.opened", 20],
      ["message.unsubscribed", 1],
      ["nothing.changed", 20],
    ]);
    await request(await linkFor(bo));
    await request(footerOf(id));
    expect((await usesOf(box)).slice(-2).map(({ personal }) => personal)).toEqual([{ recipient: bo.address }, null]);
  });
});

describe("the account's postal address", () => {
  test("is set and taken away by an administrator, and read by everybody", async () => {
    const tenant = await makeTenant();
    const set = (postal_address: unknown, key = "admin") =>
      call<{ postal_address: string | null }>("/v1/account", {
        method: "PATCH",
        key: keyOf(tenant, key),
        json: { postal_address },
      });
    expect((await set("Acme\r\n1 Street ")).body.postal_address).toBe("Acme\n1 Street");
    expect((await call("/v1/account", { key: keyOf(tenant, "agent") })).body).toMatchObject({
      postal_address: "Acme\n1 Street",
    });
    for (const wrong of ["", " ", "123", "a\u0000b", "a\u202eb", "x".repeat(1_001), "a\n".repeat(11), 7]) {
      expect((await set(wrong)).status, JSON.stringify(wrong)).toBe(422);
    }
    expect((await set("Other", "agent")).status).toBe(403);
    expect((await set(null)).body.postal_address).toBeNull();
  });
});
