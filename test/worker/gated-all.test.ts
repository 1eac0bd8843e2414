import { beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../src/ids.ts";
import type { ReceivedMessage } from "../../src/mail/message.ts";
import { isAskedFor } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import { call } from "../support/door-harness.ts";
import {
  approve,
  ask,
  decide,
  type GatedAll,
  heldBy,
  letIn,
  makeGatedAll,
  pendingItem,
  release,
  rpc,
  sampleThings,
  write,
} from "../support/gated-all.ts";
import { advanceClock, runAlarm } from "../support/mailbox-harness.ts";
import { sampleCalls } from "../support/operation-samples.ts";

/** gated_all: a human is asked about each query and each annotation, and about what comes in. */

let world: GatedAll;
beforeEach(async () => {
  world = await makeGatedAll();
});

const MINUTES = 60_000;

describe.each(OPERATIONS.filter(isAskedFor).map((operation) => [operation.name, operation] as const))(
  "%s",
  (name, operation) => {
    test("is held by every door, and answered once a human has allowed it", async () => {
      for (const [index] of sampleCalls(operation, await sampleThings(world, operation)).entries()) {
        const sample = sampleCalls(operation, await sampleThings(world, operation))[index];
        if (!sample) throw new Error("a sample is missing");
        const held = await ask(sample, world.agentKey);
        const pendingId = heldBy(held, sample.label);
        expect(Object.keys(held.body).sort()).toEqual(["expires_at", "hint", "message", "pending_id", "status"]);

        const item = await pendingItem(world, pendingId, world.overseerKey);
        expect(item, sample.label).toMatchObject({
          id: pendingId,
          kind: operation.askedAs ?? operation.effect,
          status: "pending",
          rule: "mode gated_all",
          request: { operation: name },
        });

        const approvalRef = await approve(world, pendingId);
        const answered = await ask(sample, world.agentKey, approvalRef);
        expect([200, 201], `${sample.label}: ${JSON.stringify(answered.body)}`).toContain(answered.status);
        const again = await ask(sample, world.agentKey, approvalRef);
        // What was deleted is not there any more; of everything else the approval is used up.
        const gone = again.status === 404 && name.startsWith("delete_");
        expect(gone || again.body.code === "invalid_approval_ref", `${sample.label} again: ${again.status}`).toBe(true);
      }
    });
  },
);

describe("the human", () => {
  test("sees exactly the query, and no more of the mailbox than that", async () => {
    const mailbox_id = world.mailbox.id;
    const query = { mailbox_id, q: "contract", sender: "ana", limit: 3, metadata: { order: "17" } };
    const pendingId = heldBy(await rpc(world, "search_email", query));
    const { request } = await pendingItem(world, pendingId, world.overseerKey);
    expect(request).toMatchObject({
      operation: "search_email",
      input: { mailbox: mailbox_id, q: "contract", sender: "ana", limit: 3, metadata: { order: "17" } },
    });
  });

  test("says no with a reason, which the agent reads", async () => {
    const query = { mailbox_id: world.mailbox.id, q: "salaries" };
    const pendingId = heldBy(await rpc(world, "check_inbox", query));
    await decide(world, pendingId, "reject", "That is not your business.");
    expect(await pendingItem(world, pendingId)).toMatchObject({
      status: "rejected",
      decision_reason: "That is not your business.",
    });
    // Asked again, it is another question.
    expect(heldBy(await rpc(world, "check_inbox", query))).not.toBe(pendingId);
  });
});

describe("the agent", () => {
  test("follows its query with get_pending: pending, approved with the reference, used", async () => {
    const query = { mailbox_id: world.mailbox.id, q: "follow" };
    const pendingId = heldBy(await rpc(world, "check_inbox", query));
    expect(await pendingItem(world, pendingId)).toMatchObject({ status: "pending", approval_ref: null });
    const approvalRef = await approve(world, pendingId);
    expect(await pendingItem(world, pendingId)).toMatchObject({ status: "approved", approval_ref: approvalRef });
    expect((await rpc(world, "check_inbox", { ...query, approval_ref: approvalRef })).status).toBe(200);
    expect(await pendingItem(world, pendingId)).toMatchObject({ status: "consumed" });
  });

  test("brings the approval in body, query or header", async () => {
    const path = `/v1/mailboxes/${world.mailbox.id}/emails?q=places`;
    const inQuery = await approve(world, heldBy(await call(path, { key: world.agentKey })));
    expect((await call(`${path}&approval_ref=${inQuery}`, { key: world.agentKey })).status).toBe(200);
    const inHeader = await approve(world, heldBy(await call(path, { key: world.agentKey })));
    expect((await call(path, { key: world.agentKey, headers: { "X-MM-Approval": inHeader } })).status).toBe(200);
    const json = { mailbox_id: world.mailbox.id, q: "places" };
    const inBody = await approve(world, heldBy(await rpc(world, "check_inbox", json)));
    expect((await rpc(world, "check_inbox", { ...json, approval_ref: inBody })).status).toBe(200);
  });

  test("that asks the same again while it waits gets the same item, however it spells the question", async () => {
    const { id } = world.mailbox;
    const first = heldBy(await rpc(world, "check_inbox", { mailbox_id: id, q: "same", limit: 5, unread_only: true }));
    for (const again of [
      await rpc(world, "check_inbox", { unread_only: "true", limit: "5", q: "same", mailbox_id: id }),
      await rpc(world, "check_inbox", { q: "same", mailbox: id, limit: 5, unread_only: true, offset: 0 }),
      await call(`/v1/mailboxes/${id}/emails?limit=5&q=same&unread_only=1`, { key: world.agentKey }),
    ]) {
      expect(heldBy(again)).toBe(first);
    }
    const atOnce = await Promise.all(
      Array.from({ length: 10 }, () => rpc(world, "check_inbox", { mailbox_id: id, q: "at once" })),
    );
    expect(new Set(atOnce.map((answer) => heldBy(answer))).size).toBe(1);
    const two = { mailbox_id: id, metadata: { a: "1", b: "2" } };
    const turned = { mailbox_id: id, metadata: { b: "2", a: "1" } };
    expect(heldBy(await rpc(world, "check_inbox", two))).toBe(heldBy(await rpc(world, "check_inbox", turned)));
  });

  test("may use an approval whose input has its keys in another order", async () => {
    const { id } = world.mailbox;
    const approvalRef = await approve(
      world,
      heldBy(await rpc(world, "check_inbox", { mailbox_id: id, metadata: { x: "1", y: "2" }, q: "order" })),
    );
    const turned = { approval_ref: approvalRef, q: "order", metadata: { y: "2", x: "1" }, mailbox_id: id };
    expect((await rpc(world, "check_inbox", turned)).status).toBe(200);
  });

  test("keeps an approval for 15 minutes, and no longer", async () => {
    const own = await makeGatedAll();
    const query = { mailbox_id: own.mailbox.id, q: "time" };
    const inTime = await approve(own, heldBy(await rpc(own, "check_inbox", query)));
    await advanceClock(own, 15 * MINUTES - 5_000);
    expect((await rpc(own, "check_inbox", { ...query, approval_ref: inTime })).status).toBe(200);

    const pendingId = heldBy(await rpc(own, "check_inbox", query));
    const tooLate = await approve(own, pendingId);
    await advanceClock(own, 30 * MINUTES - 5_000);
    expect(await rpc(own, "check_inbox", { ...query, approval_ref: tooLate })).toMatchObject({
      status: 403,
      body: { code: "invalid_approval_ref" },
    });
    await runAlarm(own);
    expect(await pendingItem(own, pendingId)).toMatchObject({ status: "expired" });
    // It asks anew.
    expect(heldBy(await rpc(own, "check_inbox", query))).not.toBe(pendingId);
  });

  test("has at most 20 requests open; the next is a 429 that stores nothing, for that key alone", async () => {
    const own = await makeGatedAll();
    const query = (n: number) => ({ mailbox_id: own.mailbox.id, q: `question ${n}` });
    const asked: string[] = [];
    for (let n = 0; n < 20; n++) asked.push(heldBy(await rpc(own, "check_inbox", query(n))));
    expect(new Set(asked).size).toBe(20);
    const refused = await rpc(own, "check_inbox", query(20));
    expect(refused).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(heldBy(await rpc(own, "check_inbox", query(7)))).toBe(asked[7]);
    heldBy(await rpc(own, "check_inbox", query(20), { key: own.otherKey }));

    const { body } = await call<{ pending: PendingItem[] }>("/v1/oversight/pending?limit=100", { key: own.agentKey });
    expect(body.pending.map(({ id }) => id).sort()).toEqual([...asked].sort());
    await decide(own, asked[0] ?? "", "reject");
    heldBy(await rpc(own, "check_inbox", query(20)));
  });

  test("may propose templates beside that, however many: they wait as what they are", async () => {
    const propose = (n: number) =>
      rpc<Template>(world, "create_template", {
        mailbox_id: world.mailbox.id,
        name: `Template ${n}`,
        subject: "Offer",
        markdown: "Hello",
        idempotency_key: `template ${n}`,
      });
    for (let n = 0; n < 21; n++) {
      const { status, body } = await propose(n);
      expect({ status, body }).toMatchObject({ status: 202, body: { status: "pending", version: 1 } });
      await decide(world, body.pending_id ?? "", "approve");
    }
    const first = await propose(0);
    expect(first).toMatchObject({ status: 200, body: { idempotent: true, name: "Template 0" } });
    heldBy(await rpc(world, "check_inbox", { mailbox_id: world.mailbox.id }));
  });

  test("is told what is wrong with a question before anyone is asked", async () => {
    for (const [operation, input] of [
      ["check_inbox", { limit: 0 }],
      ["check_inbox", { nonsense: true }],
      ["wait_for_email", { timeout: 0 }],
      ["search_email", { q: "" }],
    ] as const) {
      const answer = await rpc(world, operation, { mailbox_id: world.mailbox.id, ...input });
      expect(answer, operation).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    }
    const { body } = await call<{ pending: PendingItem[] }>("/v1/oversight/pending", { key: world.agentKey });
    expect(body.pending).toEqual([]);
  });

  test("is answered afresh after a held call, also under an idempotency key", async () => {
    const tag = { email_id: (await write(world)).id, tags: ["seen"], idempotency_key: "tag once" };
    const pendingId = heldBy(await rpc(world, "tag_email", tag));
    expect(heldBy(await rpc(world, "tag_email", tag))).toBe(pendingId);
    const approvalRef = await approve(world, pendingId);
    const done = await rpc<{ tags: unknown }>(world, "tag_email", { ...tag, approval_ref: approvalRef });
    expect(done).toMatchObject({ status: 200, body: { tags: { seen: "" } } });
    // The same call again is the same answer, and not done again.
    expect(await rpc(world, "tag_email", tag)).toMatchObject({ status: 200, body: { ...done.body, idempotent: true } });
  });
});

describe("mail from outside", () => {
  const file = { name: "plan.txt", size: 5, sha256: "0".repeat(64), content_type: "text/plain" };
  const withFile = (key: string): Partial<ReceivedMessage> => ({
    subject: "Kestrel",
    text: "The kestrel lands at noon.",
    attachments: [{ ...file, key, disposition: "attachment", content_id: null }],
  });

  /** Every way to a message by its id. */
  const ways = (id: string): [string, Record<string, unknown>][] => [
    ["read_email", { email_id: id }],
    ["get_tags", { email_id: id }],
    ["download_attachment", { email_id: id, filename: file.name }],
    ["mark_email", { email_id: id, status: "read" }],
    ["tag_email", { email_id: id, tags: ["x"] }],
    ["delete_tag", { email_id: id, key: "x" }],
    ["reply_email", { email_id: id, text: "Thanks" }],
    ["cancel_message", { email_id: id }],
    ["get_pending", { pending_id: id.replace("em_", "pend_") }],
    ["check_inbox", { mailbox_id: world.mailbox.id, since_id: id }],
    ["wait_for_email", { mailbox_id: world.mailbox.id, since_id: id, timeout: 1 }],
  ];

  async function repeated(operation: string, input: Record<string, unknown>, pendingId: string) {
    return rpc(world, operation, { ...input, approval_ref: await approve(world, pendingId) });
  }

  test("that waits, or was refused, is not there for the agent: not by any way", async () => {
    const waiting = await letIn(world, withFile("att/test/waiting"));
    const refused = await letIn(world, withFile("att/test/refused"));
    await decide(world, refused.replace("em_", "pend_"), "reject");
    const never = newId("em", Date.now(), world.mailbox.id.slice(-8));
    for (const id of [waiting, refused, never]) {
      for (const [operation, input] of ways(id)) {
        const answer = await rpc(world, operation, input);
        // Where a list goes on from a message, the question is asked before anyone looks whether there is such a message.
        const last = answer.status === 202 ? await repeated(operation, input, heldBy(answer)) : answer;
        expect(last, `${operation}: ${answer.status}`).toMatchObject({ status: 404, body: { code: "not_found" } });
        expect(JSON.stringify(answer.body)).not.toContain("estrel");
      }
    }
    const query = { mailbox_id: world.mailbox.id, q: "kestrel" };
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", query)));
    expect(await rpc(world, "check_inbox", { ...query, approval_ref: approvalRef })).toMatchObject({
      status: 200,
      body: { emails: [], cursor: null },
    });
  });

  test("that a human released is read freely: body, tags, files; changing it is asked about", async () => {
    const id = await letIn(world, withFile("att/test/released"));
    await release(world, id);
    expect(await rpc<Email>(world, "read_email", { email_id: id })).toMatchObject({
      status: 200,
      body: { subject: "Kestrel", text: "The kestrel lands at noon.", status: "read" },
    });
    expect(await rpc(world, "get_tags", { email_id: id })).toMatchObject({ status: 200, body: { tags: {} } });
    const download = await rpc(world, "download_attachment", { email_id: id, filename: file.name });
    expect(download).toMatchObject({ status: 200, body: "hello" });
    for (const [operation, input] of ways(id)) {
      if (["mark_email", "tag_email", "check_inbox"].includes(operation))
        heldBy(await rpc(world, operation, input), operation);
    }
  });

  test("that was released appears in an allowed query, and what still waits does not", async () => {
    const released = await letIn(world, { subject: "Harrier one" });
    await letIn(world, { subject: "Harrier two" });
    await release(world, released);
    const query = { mailbox_id: world.mailbox.id, subject_contains: "harrier" };
    const approvalRef = await approve(world, heldBy(await rpc(world, "check_inbox", query)));
    const { body } = await rpc<{ emails: EmailSummary[] }>(world, "check_inbox", {
      ...query,
      approval_ref: approvalRef,
    });
    expect(body.emails.map(({ subject }) => subject)).toEqual(["Harrier one"]);
  });
});
