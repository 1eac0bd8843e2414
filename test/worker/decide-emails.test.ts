import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { held, type Overseen, overseenTenant, statusOf } from "../support/console-world.ts";
import { type Answer, call } from "../support/door-harness.ts";

/** decide_emails: many decisions of an oversight key in one call, each by itself. */

interface Body {
  decided: number;
  results: { pending_id: string; status?: string; code?: string; error?: string; approval_ref?: string }[];
  cursor: string | null;
  code?: string;
  issues?: { path: string; message: string }[];
}

function decide(world: Overseen, json: Record<string, unknown>, key = "overseer"): Promise<Answer<Body>> {
  return call<Body>("/v1/oversight/decide-many", { key: world.keys[key] ?? null, json });
}

/** The overseer reads all that waits: what it has not read it cannot decide. */
async function readAll(world: Overseen): Promise<void> {
  const { status } = await call("/v1/oversight/pending?limit=100", { key: world.keys.overseer ?? null });
  expect(status).toBe(200);
}

const codes = ({ body }: Answer<Body>) => body.results.map(({ status, code }) => status ?? code);

describe("by ids", () => {
  test("each is its own decision, with its own reference and entry; the reason reaches the agent", async () => {
    const world = await overseenTenant();
    const ids = [await held(world, world.support), await held(world, world.support)];
    await readAll(world);
    const answer = await decide(world, { decision: "reject", reason: "Too early.", pending_ids: ids });
    expect(answer).toMatchObject({ status: 200, body: { decided: 2, cursor: null } });
    expect(answer.body.results.map(({ pending_id }) => pending_id)).toEqual(ids);
    expect(new Set(answer.body.results.map(({ approval_ref }) => approval_ref)).size).toBe(2);
    for (const id of ids) expect(await statusOf(world, id)).toBe("rejected");
    await runDurableObjectAlarm(env.MAILBOX.getByName(world.support.id.slice(-8)));
    const entries = await env.DB.prepare(
      "SELECT count(*) AS n FROM audit_log WHERE log = ? AND action = 'decision.rejected'",
    )
      .bind(world.support.id)
      .first<number>("n");
    expect(entries).toBe(2);
  });

  test("what cannot be decided says why, and the others go on", async () => {
    const [world, other] = [await overseenTenant(), await overseenTenant()];
    const good = await held(world, world.support);
    const peopleOnly = await held(world, world.sales);
    const foreign = await held(other, other.support);
    const decided = await held(world, world.support);
    await readAll(world);
    await decide(world, { decision: "reject", pending_ids: [decided] });
    const answer = await decide(world, {
      decision: "approve",
      pending_ids: [peopleOnly, foreign, decided, "pend_x", `${good.slice(0, 5)}${"0".repeat(26)}`, good],
    });
    expect(answer.status).toBe(200);
    expect(codes(answer)).toEqual([
      "oversight_keys_disabled",
      "not_found",
      "already_decided",
      "not_found",
      "not_found",
      "approved",
    ]);
    expect(answer.body.decided).toBe(1);
    expect(await statusOf(world, peopleOnly)).toBe("pending_send_approval");
    expect(await statusOf(other, foreign)).toBe("pending_send_approval");
  });

  test("an item that is named twice, by either of its names, is decided once", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    await readAll(world);
    const answer = await decide(world, { decision: "reject", pending_ids: [id, id.replace("pend_", "em_"), id] });
    expect(codes(answer)).toEqual(["rejected"]);
    expect(answer.body.results[0]?.pending_id).toBe(id);
  });

  test("a key bound to another mailbox, or without oversight, decides nothing", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    for (const key of ["agent", "admin"]) {
      expect((await decide(world, { decision: "approve", pending_ids: [id] }, key)).body).toMatchObject({
        code: "missing_scope",
      });
    }
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });
});

describe("by a filter", () => {
  async function filled() {
    const world = await overseenTenant();
    const one = await held(world, world.support, { to: "a@one.example", agent_id: "seller" });
    const two = await held(world, world.support, { to: "Bob <b@two.example>" });
    const sales = await held(world, world.sales, { to: "a@one.example" });
    return { world, one, two, sales };
  }

  test.each([
    ["a mailbox", (world: Overseen) => ({ mailbox_id: world.support.id }), ["one", "two"]],
    ["a mailbox's address", (world: Overseen) => ({ mailbox_id: world.support.address }), ["one", "two"]],
    ["an agent", () => ({ agent_id: "seller" }), ["one"]],
    ["a recipient's domain", () => ({ recipient_domain: "TWO.example" }), ["two"]],
    ["a rule", () => ({ rule: "mode" }), ["one", "two", "sales"]],
    ["a kind", () => ({ kind: "read" }), []],
    ["a time", () => ({ created_before: "2020-01-01" }), []],
    [
      "two conditions",
      (world: Overseen) => ({ mailbox_id: world.support.id, recipient_domain: "one.example" }),
      ["one"],
    ],
    ["everything", () => ({ all: true }), ["one", "two", "sales"]],
  ] as const)("%s", async (_what, filterOf, expected) => {
    const made = await filled();
    const answer = await decide(made.world, { decision: "reject", filter: filterOf(made.world), dry_run: true });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect(answer.body.results.map(({ pending_id }) => pending_id)).toEqual(expected.map((name) => made[name]));
    expect(answer.body.decided).toBe(0);
  });

  test("a dry run decides nothing; the same call without it decides what the dry run named", async () => {
    const { world, one, two, sales } = await filled();
    const call = { decision: "approve", filter: { all: true } };
    const dry = await decide(world, { ...call, dry_run: true });
    expect(codes(dry)).toEqual(["would_be_decided", "would_be_decided", "would_be_decided"]);
    for (const id of [one, two, sales]) expect(await statusOf(world, id)).toBe("pending_send_approval");
    await readAll(world);
    const done = await decide(world, call);
    expect(codes(done)).toEqual(["approved", "approved", "oversight_keys_disabled"]);
    expect(done.body.decided).toBe(2);
  });

  test("comes page by page, the oldest first, as far as the limit", async () => {
    const world = await overseenTenant();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(await held(world, world.support));
    await readAll(world);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const answer: Answer<Body> = await decide(world, {
        decision: "reject",
        filter: { mailbox_id: world.support.id },
        limit: 2,
        ...(cursor !== null && { cursor }),
      });
      expect(answer.body.results.length).toBeLessThanOrEqual(2);
      seen.push(...answer.body.results.map(({ pending_id }) => pending_id));
      cursor = answer.body.cursor;
    } while (cursor !== null);
    expect(seen).toEqual(ids);
  });

  test("another tenant's mailbox is not there, and nothing of another tenant is meant by everything", async () => {
    const [world, other] = [await overseenTenant(), await overseenTenant()];
    const foreign = await held(other, other.support);
    expect((await decide(world, { decision: "reject", filter: { mailbox_id: other.support.id } })).status).toBe(404);
    expect((await decide(world, { decision: "reject", filter: { all: true } })).body).toEqual({
      decided: 0,
      results: [],
      cursor: null,
    });
    expect(await statusOf(other, foreign)).toBe("pending_send_approval");
  });
});

describe("what the key has not read is not decided", () => {
  test.each(["approve", "reject"])(
    "%s by ids, by a filter, and after a dry run: content_not_seen",
    async (decision) => {
      const world = await overseenTenant();
      const id = await held(world, world.support);
      const filter = { mailbox_id: world.support.id };
      expect(codes(await decide(world, { decision, filter, dry_run: true }))).toEqual(["would_be_decided"]);
      expect(codes(await decide(world, { decision, pending_ids: [id] }))).toEqual(["content_not_seen"]);
      const answer = await decide(world, { decision, filter });
      expect(codes(answer)).toEqual(["content_not_seen"]);
      expect(answer.body.decided).toBe(0);
      expect(await statusOf(world, id)).toBe("pending_send_approval");
    },
  );

  test("what the agent changed after it was read is not decided; what it left as it was is", async () => {
    const world = await overseenTenant();
    const [changed, same] = [await held(world, world.support), await held(world, world.support)];
    await readAll(world);
    const edit = await call(`/v1/mailboxes/${world.support.id}/emails/${changed.replace("pend_", "em_")}/schedule`, {
      method: "PATCH",
      key: world.keys.agent ?? null,
      json: { text: "Send the money to me." },
    });
    expect(edit.status).toBe(200);
    expect(codes(await decide(world, { decision: "approve", pending_ids: [changed, same] }))).toEqual([
      "content_changed",
      "approved",
    ]);
    expect(codes(await decide(world, { decision: "approve", filter: { all: true } }))).toEqual(["content_changed"]);
    expect(await statusOf(world, changed)).toBe("pending_send_approval");
  });
});

describe("bad input is refused, and decides nothing", () => {
  const pend = "pend_01KBMX3Z8Q4N7W2T0123ABCDEF";
  test.each<[string, Record<string, unknown>, string]>([
    ["neither ids nor a filter", { decision: "reject" }, "filter"],
    ["both", { decision: "reject", pending_ids: [pend], filter: { all: true } }, "filter"],
    ["a filter without a condition", { decision: "reject", filter: {} }, "filter"],
    ["everything and a condition", { decision: "reject", filter: { all: true, kind: "send" } }, "filter.all"],
    ["everything denied", { decision: "reject", filter: { all: false } }, "filter.all"],
    ["an unknown condition", { decision: "reject", filter: { sender: "x" } }, "filter.sender"],
    ["no ids", { decision: "reject", pending_ids: [] }, "pending_ids"],
    ["too many ids", { decision: "reject", pending_ids: Array.from({ length: 101 }, () => pend) }, "pending_ids"],
    ["no decision", { filter: { all: true } }, "decision"],
    ["an edited approval", { decision: "approve_edited", filter: { all: true } }, "decision"],
    ["a limit over 100", { decision: "reject", filter: { all: true }, limit: 101 }, "limit"],
    ["a cursor of another list", { decision: "reject", filter: { all: true }, cursor: "em_1" }, "cursor"],
    ["a long reason", { decision: "reject", filter: { all: true }, reason: "x".repeat(2_001) }, "reason"],
    ["an unknown kind", { decision: "reject", filter: { kind: "letter" } }, "filter.kind"],
    [
      "a time without zone",
      { decision: "reject", filter: { created_before: "2026-01-01T00:00:00" } },
      "filter.created_before",
    ],
  ])("%s", async (_what, json, path) => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    const answer = await decide(world, json);
    expect(answer.status, JSON.stringify(answer.body)).toBe(422);
    expect(answer.body.issues?.map((issue) => issue.path)).toContain(path);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });
});
