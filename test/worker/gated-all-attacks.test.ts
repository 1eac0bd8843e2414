import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { MAX_QUESTION_OCTETS } from "../../durable-objects/mailbox/permits.ts";
import { newId } from "../../src/ids.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import { type Answer, call, keyOf } from "../support/door-harness.ts";
import {
  approve,
  decide,
  type GatedAll,
  heldBy,
  letIn,
  makeGatedAll,
  pendingItem,
  release,
  rpc,
  write,
} from "../support/gated-all.ts";

import { checkMailbox, runAlarm } from "../support/mailbox-harness.ts";

/** Ways around a human's yes in gated_all, each as the agent would try it. */

let world: GatedAll;
beforeEach(async () => {
  world = await makeGatedAll();
});

const REFUSED = { status: 403, body: { code: "invalid_approval_ref" } };

function search(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { mailbox_id: world.mailbox.id, q: "offer", ...more };
}

describe("an approval of one query", () => {
  test("is of no use for any other, and is not used up by trying", async () => {
    const { id } = await write(world);
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", search({ limit: 5 }))));
    const attempts: [string, string, Record<string, unknown>][] = [
      ["other words", "check_inbox", search({ limit: 5, q: "invoice" })],
      ["more results", "check_inbox", search({ limit: 100 })],
      ["another page", "check_inbox", search({ limit: 5, offset: 5 })],
      ["a filter less", "check_inbox", { mailbox_id: world.mailbox.id, limit: 5 }],
      ["a filter more", "check_inbox", search({ limit: 5, unread_only: true })],
      ["a map with one member more", "check_inbox", search({ limit: 5, metadata: { a: "1" } })],
      ["the same by its other name", "search_email", search({ limit: 5 })],
      ["a wait", "wait_for_email", search({ limit: 5, timeout: 1 })],
      ["a message", "read_email", { email_id: id }],
      ["an annotation", "tag_email", { email_id: id, tags: ["x"] }],
    ];
    for (const [label, operation, input] of attempts)
      expect(await rpc(world, operation, { ...input, approval_ref: approvalRef }), label).toMatchObject(REFUSED);
    expect((await rpc(world, "check_inbox", search({ limit: 5, approval_ref: approvalRef }))).status).toBe(200);
  });

  test("is of no use with a field that the operation does not have", async () => {
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", search({ q: "fields" }))));
    const more = { q: "fields", approval_ref: approvalRef, input: {}, operation: "check_inbox" };
    expect((await rpc(world, "check_inbox", search(more))).status).toBe(422);
  });

  test("is of no use to another key, nor to whoever names another agent", async () => {
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", search({ q: "mine" }))));
    const brought = search({ q: "mine", approval_ref: approvalRef });
    expect(await rpc(world, "check_inbox", brought, { key: world.otherKey })).toMatchObject(REFUSED);
    expect(await rpc(world, "check_inbox", brought, { headers: { "X-MM-Agent": "someone-else" } })).toMatchObject(
      REFUSED,
    );
    expect((await rpc(world, "check_inbox", brought)).status).toBe(200);
  });

  test("is of no use in another mailbox of the tenant, or of another tenant", async () => {
    const elsewhere = await makeGatedAll();
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", search({ q: "where" }))));
    const foreign = { mailbox_id: elsewhere.mailbox.id, q: "where", approval_ref: approvalRef };
    expect(await rpc(elsewhere, "check_inbox", foreign)).toMatchObject(REFUSED);
    expect((await rpc(world, "check_inbox", foreign)).status).toBe(404);
  });

  test("answers once, also when it is brought ten times at the same moment", async () => {
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", search({ q: "once" }))));
    const brought = search({ q: "once", approval_ref: approvalRef });
    const answers = await Promise.all(Array.from({ length: 10 }, () => rpc(world, "check_inbox", brought)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(403)]);
    expect(await rpc(world, "check_inbox", brought)).toMatchObject(REFUSED);
  });

  test("is used up by whatever the answer is, also by a refusal: it is no way to ask again and again", async () => {
    const { id } = await write(world);
    for (const [operation, input] of [
      ["get_thread", { thread_id: newId("thr", Date.now(), world.mailbox.id.slice(-8)) }],
      ["delete_tag", { email_id: id, key: "no such tag" }],
      ["download_attachment", { email_id: id, filename: "no such file" }],
      ["check_inbox", { mailbox_id: world.mailbox.id, since_id: newId("em", Date.now(), world.mailbox.id.slice(-8)) }],
    ] as const) {
      const approvalRef = await approve(world, heldBy(await rpc(world, operation, input)));
      const brought = { ...input, approval_ref: approvalRef };
      expect(await rpc(world, operation, brought), operation).toMatchObject({ status: 404 });
      expect(await rpc(world, operation, brought), `${operation} again`).toMatchObject(REFUSED);
    }
  });

  test("annotates once, also when it is brought ten times at the same moment", async () => {
    const { id } = await write(world);
    const tagging = { email_id: id, tags: ["once"] };
    const approvalRef = await approve(world, heldBy(await rpc(world, "tag_email", tagging)));
    const brought = { ...tagging, approval_ref: approvalRef };
    const answers = await Promise.all(Array.from({ length: 10 }, () => rpc(world, "tag_email", brought)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });
});

describe("what is no approval of the query", () => {
  test.each<[string, (pendingId: string) => Promise<string>]>([
    ["one that was never given", async () => newId("apr", Date.now())],
    ["the pending id", async (pendingId) => pendingId],
    ["nonsense", async () => "yes"],
    ["a rejection's reference", async (pendingId) => (await decide(world, pendingId, "reject")).approval_ref],
    [
      "the approval of a message",
      async () => {
        const { pending_id = "" } = await write(world);
        return approve(world, pending_id);
      },
    ],
    [
      "the release of a message that came in",
      async () => {
        const emailId = await letIn(world);
        return (await decide(world, emailId.replace("em_", "pend_"), "approve")).approval_ref;
      },
    ],
  ])("%s is refused", async (label, refOf) => {
    const query = search({ q: label });
    const approvalRef = await refOf(heldBy(await rpc(world, "check_inbox", query)));
    expect(await rpc(world, "check_inbox", { ...query, approval_ref: approvalRef })).toMatchObject(REFUSED);
  });
});

describe("an agent that approves for itself", () => {
  test("is stopped: by scope, and by separation of duties", async () => {
    const pendingId = heldBy(await rpc(world, "check_inbox", search({ q: "self" })));
    const decision = { email_id: pendingId, decision: "approve" };
    expect((await rpc(world, "decide_email", decision)).status).toBe(403);
    expect(await pendingItem(world, pendingId)).toMatchObject({ status: "pending" });
  });
});

describe("a question that was not allowed yet", () => {
  test("is held the same whether the answer would be yes or no", async () => {
    const { id } = await write(world, { tags: ["secret"] }, world.otherKey);
    for (const [operation, yes, no] of [
      ["delete_tag", { key: "secret" }, { key: "other" }],
      ["download_attachment", { filename: "offer.txt" }, { filename: "other.txt" }],
    ] as const) {
      heldBy(await rpc(world, operation, { email_id: id, ...yes }), operation);
      heldBy(await rpc(world, operation, { email_id: id, ...no }), operation);
    }
  });

  test("is a 413 if it is longer than a person is shown, and leaves no entry that the log would choke on", async () => {
    // Each of these characters takes six octets in JSON.
    const draft = (characters: number) => ({ mailbox_id: world.mailbox.id, text: "\u0001".repeat(characters) });
    const fitting = Math.floor((MAX_QUESTION_OCTETS - 2_000) / 6);
    const before = (await checkMailbox(world)).length;
    for (const more of [{}, { approval_ref: "apr_x" }]) {
      const refused = await rpc(world, "create_draft", { ...draft(fitting + 500), ...more });
      expect(refused).toMatchObject({ status: 413, body: { code: "too_large" } });
    }
    expect(await checkMailbox(world)).toHaveLength(before);

    const approvalRef = await approve(world, heldBy(await rpc(world, "create_draft", draft(fitting))));
    expect((await rpc(world, "create_draft", { ...draft(fitting), approval_ref: approvalRef })).status).toBe(201);
    await runAlarm(world);
    const drained = await env.DB.prepare("SELECT max(seq) + 1 AS n FROM audit_log WHERE log = ?")
      .bind(world.mailbox.id)
      .first<number>("n");
    expect(drained).toBe((await checkMailbox(world)).length);
  });
});

describe("what a held query is about", () => {
  test("is not told by the item that waits for it", async () => {
    const secret = await write(world, { subject: "Merger with Kestrel", text: "kestrel" }, world.otherKey);
    for (const [operation, input] of [
      ["read_email", { email_id: secret.id }],
      ["get_thread", { thread_id: secret.thread_id }],
      ["get_tags", { email_id: secret.id }],
      ["download_attachment", { email_id: secret.id, filename: "offer.txt" }],
      ["tag_email", { email_id: secret.id, tags: ["x"] }],
      ["mark_email", { email_id: secret.id, status: "read" }],
    ] as const) {
      const answer = await rpc(world, operation, input);
      expect(JSON.stringify(answer.body), operation).not.toMatch(/kestrel/i);
      if (answer.status !== 202) continue;
      expect(JSON.stringify(await pendingItem(world, heldBy(answer))), operation).not.toMatch(
        /kestrel|customer\.example/i,
      );
    }
    const { body } = await call<{ pending: PendingItem[] }>("/v1/oversight/pending?limit=100", { key: world.agentKey });
    expect(JSON.stringify(body)).not.toMatch(/kestrel/i);
  });

  test("is another agent's own business", async () => {
    const pendingId = heldBy(await rpc(world, "check_inbox", search({ q: "private" })));
    const answer = await call(`/v1/oversight/pending/${pendingId}`, { key: world.otherKey });
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    const { body } = await call<{ pending: PendingItem[] }>("/v1/oversight/pending?limit=100", { key: world.otherKey });
    expect(body.pending.map(({ id }) => id)).not.toContain(pendingId);
  });
});

describe("mail that no human has released", () => {
  const secret = { subject: "Wire the money", text: "To the peregrine account." };

  test("is not among what waits, as the agent sees it, nor in the audit log it may not read, nor in any event", async () => {
    const id = await letIn(world, secret);
    const { body } = await call<{ pending: PendingItem[] }>("/v1/oversight/pending?limit=100", { key: world.agentKey });
    expect(JSON.stringify(body)).not.toContain(id.slice(3));
    expect((await call("/v1/audit-log", { key: world.agentKey })).status).toBe(403);
    const events = () =>
      runInDurableObject(env.MAILBOX.getByName(world.mailbox.id.slice(-8)), (_object, state) =>
        state.storage.sql
          .exec<{ event: string }>("SELECT event FROM events")
          .toArray()
          .filter(({ event }) => event.includes(id) && event.includes("message.received")),
      );
    expect(await events()).toEqual([]);
    await release(world, id);
    expect(await events()).toHaveLength(1);
  });

  test("does not answer for words, people, files or order: a page is the same as if it had never come", async () => {
    const queries = [
      { q: "peregrine" },
      { sender: "ana@customer" },
      { direction: "inbound" },
      { status: "pending_inbound_approval" },
      { status: "rejected", direction: "inbound" },
      { has_attachments: false, direction: "inbound" },
      { dkim_result: "pass" },
      { unread_only: true },
      { limit: 1, direction: "inbound" },
    ];
    const pages = async (own: GatedAll): Promise<Answer<unknown>[]> => {
      const answers: Answer<unknown>[] = [];
      for (const query of queries) {
        const input = { mailbox_id: own.mailbox.id, ...query };
        const approvalRef = await approve(own, heldBy(await rpc(own, "check_inbox", input)));
        answers.push(await rpc<unknown>(own, "check_inbox", { ...input, approval_ref: approvalRef }));
      }
      return answers;
    };
    const [empty, hiding] = [await makeGatedAll(), await makeGatedAll()];
    for (let n = 0; n < 3; n++) await letIn(hiding, secret);
    const refused = await letIn(hiding, secret);
    await decide(hiding, refused.replace("em_", "pend_"), "reject");
    const told = await pages(hiding);
    expect(told.map(({ status, body }) => ({ status, body }))).toEqual(
      (await pages(empty)).map(({ status, body }) => ({ status, body })),
    );
    for (const { body } of told) expect(body).toEqual({ emails: [], cursor: null });
  });

  test("is not quoted or answered by a reply, and its thread is not there", async () => {
    const id = await letIn(world, secret);
    expect((await rpc(world, "reply_email", { email_id: id, text: "Thanks" })).status).toBe(404);
    const thread = await runInDurableObject(
      env.MAILBOX.getByName(world.mailbox.id.slice(-8)),
      (_object, state) =>
        state.storage.sql.exec<{ thread_id: string }>("SELECT thread_id FROM messages WHERE id = ?", id).one()
          .thread_id,
    );
    const never = newId("thr", Date.now(), world.mailbox.id.slice(-8));
    const answers: unknown[] = [];
    for (const thread_id of [thread, never]) {
      const first = await rpc(world, "get_thread", { thread_id });
      const last =
        first.status === 202
          ? await rpc(world, "get_thread", { thread_id, approval_ref: await approve(world, heldBy(first)) })
          : first;
      answers.push([first.status, last.status, last.body]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject([expect.any(Number), 404, { code: "not_found" }]);
  });

  test("stays out of a thread whose other messages the agent may read", async () => {
    const first = await letIn(world, { subject: "Open", text: "open" });
    await release(world, first);
    const { body } = await rpc<Email>(world, "read_email", { email_id: first });
    await letIn(world, {
      ...secret,
      in_reply_to: [body.rfc_message_id ?? ""],
      references: [body.rfc_message_id ?? ""],
    });
    const input = { thread_id: body.thread_id };
    const approvalRef = await approve(world, heldBy(await rpc(world, "get_thread", input)));
    const thread = await rpc<{ emails: EmailSummary[] }>(world, "get_thread", { ...input, approval_ref: approvalRef });
    expect(thread.body.emails.map(({ subject }) => subject)).toEqual(["Open"]);
    expect(JSON.stringify(thread.body)).not.toContain("peregrine");
  });

  test("is there for a human's key alone", async () => {
    const id = await letIn(world, secret);
    const statusFor = async (name: string) =>
      (await rpc(world, "read_email", { email_id: id }, { key: keyOf(world.tenant, name) })).status;
    expect(await statusFor("overseer")).toBe(200);
    for (const name of ["read", "agent", "other agent", "owner"]) expect(await statusFor(name), name).toBe(404);
  });
});
