import { describe, expect, test } from "vitest";
import { EXAMINED_ROWS, encodeCursor } from "../../durable-objects/mailbox/inbox-query.ts";
import type { InboxQuery } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import {
  arrival,
  codeOf,
  decide,
  EVERYTHING,
  inObject,
  loosen,
  makeMailbox,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

async function list(box: TestMailbox, query: Partial<InboxQuery> = {}, caller = box.agent) {
  return unwrap(await box.stub.list(caller, { ...EVERYTHING, ...query }));
}

async function subjects(box: TestMailbox, query: Partial<InboxQuery> = {}): Promise<string[]> {
  return (await list(box, query)).emails.map(({ subject }) => subject);
}

/** Three received and one sent, oldest first: invoice, question, broken, offer. */
async function filled(): Promise<TestMailbox & { ids: Record<string, string>; thread: string }> {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const file = {
    name: "a.pdf",
    content_type: "application/pdf",
    disposition: "attachment" as const,
    content_id: null,
    size: 1,
    sha256: "",
    key: "k",
  };
  const mails = [
    arrival(box, { subject: "Invoice 2026-11", text: 'amount a-b "due" soon', attachments: [file] }),
    arrival(box, {
      subject: "Question",
      from: [{ name: "Bob Müller", address: "bob@partner.example" }],
      text: "OR what NOT",
    }),
    arrival(box, { subject: "Broken", authentication: { ...arrival(box).authentication, dkim_result: "fail" } }),
  ];
  const ids: Record<string, string> = {};
  for (const mail of mails) ids[mail.subject] = (await box.stub.receive(mail))?.email_id ?? "";
  const sent = unwrap(
    await box.stub.submit(
      box.agent,
      submission(box, { tags: { urgent: "", project: "alpha" }, metadata: { order: 42, paid: true, name: "x" } }),
    ),
  );
  ids.Offer = sent.id;
  return { ...box, ids, thread: sent.thread_id };
}

describe("each filter finds what it says", () => {
  test.each<[string, Partial<InboxQuery>, string[]]>([
    ["none: newest first", {}, ["Offer", "Broken", "Question", "Invoice 2026-11"]],
    ["direction", { direction: "outbound" }, ["Offer"]],
    ["status", { status: ["unread"] }, ["Broken", "Question", "Invoice 2026-11"]],
    ["sender by name, any case", { sender: "MÜLLER" }, ["Question"]],
    ["sender by address", { sender: "partner.example" }, ["Question"]],
    ["subject", { subject_contains: "invOICE" }, ["Invoice 2026-11"]],
    ["full text", { q: "amount soon" }, ["Invoice 2026-11"]],
    ["full text with the syntax of FTS5 in it", { q: 'a-b "due"' }, ["Invoice 2026-11"]],
    ["full text with its words", { q: "OR NOT" }, ["Question"]],
    ["full text over people", { q: "bob" }, ["Question"]],
    ["full text of only quotes", { q: '""' }, []],
    ["attachments", { has_attachments: true }, ["Invoice 2026-11"]],
    ["no attachments, received", { has_attachments: false, direction: "inbound" }, ["Broken", "Question"]],
    ["dkim_result", { dkim_result: "fail" }, ["Broken"]],
    ["tag", { tag: "urgent" }, ["Offer"]],
    ["tag with value", { tag: "project:alpha" }, ["Offer"]],
    ["tag with another value", { tag: "project:beta" }, []],
    ["metadata, a number", { metadata: { order: "42" } }, ["Offer"]],
    ["metadata, a boolean", { metadata: { paid: "true" } }, ["Offer"]],
    ["metadata, both must hold", { metadata: { order: "42", name: "y" } }, []],
    ["unread only", { unread_only: true, limit: 1 }, ["Broken"]],
    ["a time before everything", { date_before: "2020-01-01T00:00:00.000Z" }, []],
    ["a time after it", { date_after: "2020-01-01T00:00:00.000Z", limit: 2 }, ["Offer", "Broken"]],
    ["offset", { offset: 3 }, ["Invoice 2026-11"]],
  ])("%s", async (_what, query, expected) => {
    expect(await subjects(await filled(), query)).toEqual(expected);
  });

  test("thread_id, and since_id: oldest first, only what came after", async () => {
    const box = await filled();
    expect(await subjects(box, { thread_id: box.thread })).toEqual(["Offer"]);
    expect(await subjects(box, { since_id: box.ids.Question ?? "" })).toEqual(["Broken", "Offer"]);
    expect(await subjects(box, { since_id: box.ids.Offer ?? "" })).toEqual([]);
  });
});

describe("pages", () => {
  test.each([{}, { since_id: "first" }])("meet every message once, in order (%j)", async (how) => {
    const box = await makeMailbox();
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.push((await box.stub.receive(arrival(box)))?.email_id ?? "");
    const since = "since_id" in how ? { since_id: ids[0] ?? "" } : {};
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof list>> = await list(box, { ...since, limit: 2, cursor });
      seen.push(...page.emails.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(seen).toEqual("since_id" in how ? ids.slice(1) : [...ids].reverse());
  });

  test("of a sparse filter come back short with a cursor, and reach the end", async () => {
    const box = await makeMailbox();
    const first = await box.stub.receive(arrival(box, { subject: "needle" }));
    await inObject(box, (_object, state) => {
      state.storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ${2 * EXAMINED_ROWS + 500})
         INSERT INTO messages SELECT i, 'em_' || i, thread_id, direction, status, 'm' || i, 'f' || i, sender, 'hay', created_at, 0, NULL, record, NULL, NULL FROM messages, n WHERE seq = 1`,
      );
    });
    const pages: number[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof list>> = await list(box, { subject_contains: "needle", cursor });
      pages.push(page.emails.length);
      if (page.emails[0]) expect(page.emails[0].id).toBe(first?.email_id);
      cursor = page.cursor;
    } while (cursor !== null);
    expect(pages).toEqual([0, 0, 1]);
  });

  test.each(["x", "YXNjOjE", "", "ZGVzYzotMQ"])("a cursor that we never gave is refused: %s", async (cursor) => {
    const box = await makeMailbox();
    expect(codeOf(await box.stub.list(box.agent, { ...EVERYTHING, cursor }))).toBe("invalid_input");
  });

  test("a cursor of one list does not fit the other", async () => {
    const box = await filled();
    const outcome = await box.stub.list(box.agent, { ...EVERYTHING, cursor: encodeCursor({ seq: 1, order: "asc" }) });
    expect(codeOf(outcome)).toBe("invalid_input");
  });
});

describe("mail that a human has not released does not exist for the agent", () => {
  test("in no list, thread, reading or reply", async () => {
    const box = await makeMailbox({ oversight_mode: "gated_all" });
    const received = await box.stub.receive(arrival(box));
    expect(received?.status).toBe("pending_inbound_approval");
    const id = received?.email_id ?? "";
    await loosen(box, { oversight_mode: "gated_send" });
    expect((await list(box)).emails).toEqual([]);
    expect((await list(box, { q: "cost" })).emails).toEqual([]);
    expect(codeOf(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }))).toBe("not_found");
    expect(codeOf(await box.stub.list(box.agent, { ...EVERYTHING, since_id: id }))).toBe("not_found");
    expect(codeOf(await box.stub.submit(box.agent, submission(box, { reply: { email_id: id, all: false } })))).toBe(
      "not_found",
    );
    expect(codeOf(await box.stub.mark(box.agent, id, { status: "read" }))).toBe("not_found");
    unwrap(await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }));
    expect((await list(box)).emails.map((email) => email.id)).toEqual([id]);
  });

  test("a held read is not answered", async () => {
    const box = await makeMailbox({ oversight_mode: "gated_all" });
    expect(codeOf(await box.stub.list(box.agent, EVERYTHING))).toBe("read_needs_approval");
  });
});

describe("what arrives", () => {
  test("twice with the same bytes and envelope is stored once", async () => {
    const box = await makeMailbox();
    const once = arrival(box);
    const first = await box.stub.receive(once);
    const again = await box.stub.receive({ ...arrival(box), fingerprint: once.fingerprint });
    expect(again).toEqual({ ...first, duplicate: true });
    expect((await list(box)).emails).toHaveLength(1);
  });

  test("with the Message-ID of another is stored: a decoy suppresses nothing", async () => {
    const box = await makeMailbox();
    const decoy = arrival(box, { rfc_message_id: "<real@customer.example>", subject: "decoy" });
    await box.stub.receive(decoy);
    const real = await box.stub.receive(arrival(box, { rfc_message_id: "<real@customer.example>", subject: "real" }));
    expect(real?.duplicate).toBe(false);
  });

  test("in reply to ours joins its thread; the same reference by someone who took no part starts a new one", async () => {
    const box = await filled();
    const sent = (await list(box, { direction: "outbound" })).emails[0];
    const reference = { in_reply_to: [sent?.rfc_message_id ?? ""], references: [] };
    const reply = await box.stub.receive(arrival(box, { ...reference, subject: "Re: Offer" }));
    const intruder = await box.stub.receive(
      arrival(box, { ...reference, from: [{ name: "Ana", address: "ana@evil.example" }], subject: "Re: Offer" }),
    );
    const threadOf = async (id = "") =>
      unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email.thread_id;
    expect(await threadOf(reply?.email_id)).toBe(sent?.thread_id);
    expect(await threadOf(intruder?.email_id)).not.toBe(sent?.thread_id);
    const thread = unwrap(await box.stub.thread(box.agent, sent?.thread_id ?? "", { limit: 10, cursor: null }));
    expect(thread.emails.map(({ email }) => email.subject)).toEqual(["Offer", "Re: Offer"]);
  });

  test("is answered to its Reply-To, with In-Reply-To and References", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const question = arrival(box, {
      references: ["<older@customer.example>"],
      reply_to: [{ name: null, address: "desk@customer.example" }],
    });
    const received = await box.stub.receive(question);
    const { id } = unwrap(
      await box.stub.submit(
        box.agent,
        submission(box, { to: [], subject: null, reply: { email_id: received?.email_id ?? "", all: false } }),
      ),
    );
    const record = await inObject(box, (object) => object.messages.get(id).record);
    expect(record).toMatchObject({
      to: [{ address: "desk@customer.example" }],
      subject: "Re: Question",
      in_reply_to: question.rfc_message_id,
      references: ["<older@customer.example>", question.rfc_message_id],
    });
  });
});
