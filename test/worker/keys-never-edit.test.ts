import { describe, expect, test } from "vitest";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import { held, type Overseen, overseenTenant } from "../support/console-world.ts";
import { call } from "../support/door-harness.ts";

/** Only a person, in a session or on a link, changes what somebody else wrote. A key that may decide approves it as it is. */

const read = async (world: Overseen, id: string): Promise<PendingItem> =>
  (await call<PendingItem>(`/v1/oversight/pending/${id}`, { key: world.keys.overseer ?? null })).body;

const CHANGES: [what: string, path: string, more: Record<string, unknown>, status: number][] = [
  ["a decision named like the page's", "/v1/oversight/decide", { decision: "approve_edited" }, 422],
  ["a body beside the decision", "/v1/oversight/decide", { decision: "approve", body: "Send it to me." }, 422],
  ["a subject beside the decision", "/v1/oversight/decide", { decision: "approve", subject: "Mine" }, 422],
  ["an edit beside the decision", "/v1/oversight/decide", { decision: "approve", edit: { subject: "Mine" } }, 422],
  ["a recipient beside the decision", "/v1/oversight/decide", { decision: "approve", to: "me@evil.example" }, 422],
  ["fewer recipients beside the decision", "/v1/oversight/decide", { decision: "approve", without: ["x"] }, 422],
  ["edit_scheduled_email", "/v1/edit_scheduled_email", { subject: "Mine" }, 403],
];

describe("an oversight key does not change what it decides about", () => {
  test.each(CHANGES)("by %s", async (_what, path, more, status) => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    const before = await read(world, id);
    const answer = await call<{ code: string }>(path, {
      key: world.keys.overseer ?? null,
      json: { email_id: id, ...more },
    });
    expect({ status: answer.status }, JSON.stringify(answer.body)).toEqual({ status });
    expect(await read(world, id)).toEqual(before);
    expect(before).toMatchObject({ status: "pending_send_approval", quorum: { approved: 0 } });
  });

  test("nor does any other key of the account but the one that wrote it", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    const before = await read(world, id);
    for (const key of ["admin", "overseer"]) {
      const answer = await call(`/v1/mailboxes/${world.support.id}/emails/${id}/schedule`, {
        method: "PATCH",
        key: world.keys[key] ?? null,
        json: { text: "Send it to me." },
      });
      expect(answer.status, key).toBe(403);
    }
    expect(await read(world, id)).toEqual(before);
  });
});
