import { beforeAll, describe, expect, test } from "vitest";
import type { HashedEntry } from "../../src/audit/verify.ts";
import { newId } from "../../src/ids.ts";
import { isAskedFor } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { approve, ask, decide, type GatedAll, heldBy, makeGatedAll, rpc, sampleThings } from "../support/gated-all.ts";
import { checkMailbox, runAlarm } from "../support/mailbox-harness.ts";
import { sampleCalls } from "../support/operation-samples.ts";

/** Every query, held or answered, is an audit entry. */

let world: GatedAll;
beforeAll(async () => {
  world = await makeGatedAll();
});

/** What `work` added to the chain, which verifies and is in D1. */
async function entriesOf(work: () => Promise<unknown>): Promise<HashedEntry[]> {
  const before = (await checkMailbox(world)).length;
  await work();
  await runAlarm(world);
  return (await checkMailbox(world)).slice(before);
}

test("an approved query that is answered with a refusal leaves an entry that says which", async () => {
  const input = { thread_id: newId("thr", Date.now(), world.mailbox.id.slice(-8)) };
  const approvalRef = await approve(world, heldBy(await rpc(world, "get_thread", input)));
  const entries = await entriesOf(() => rpc(world, "get_thread", { ...input, approval_ref: approvalRef }));
  expect(entries).toMatchObject([
    { action: "request.consumed" },
    { action: "request.fruitless", detail: { code: "not_found", approval_ref: approvalRef } },
  ]);
});

describe.each(OPERATIONS.filter(isAskedFor).map((operation) => [operation.name, operation] as const))(
  "%s leaves an entry",
  (name, operation) => {
    const sample = async () => {
      const [call] = sampleCalls(operation, await sampleThings(world, operation));
      if (!call) throw new Error(`${name} has no door`);
      return call;
    };

    test("when it is held: who asks, for what, and which item waits; the question itself is sealed", async () => {
      const call = await sample();
      let pendingId = "";
      const entries = await entriesOf(async () => {
        pendingId = heldBy(await ask(call, world.agentKey));
      });
      const held = entries.find(({ action }) => action === "request.held");
      expect(held).toMatchObject({
        resource: { type: "request", id: pendingId },
        actor: { type: "agent", key_id: expect.stringMatching(/^key_/), via: "rest" },
        mode: "gated_all",
        detail: { operation: name, kind: operation.askedAs ?? operation.effect, pending_id: pendingId },
        sealed: { ct: expect.any(String) },
      });
      // Asked again, it is the same item, and nothing new to write down.
      expect(await entriesOf(() => ask(call, world.agentKey))).toEqual([]);
    });

    test("when it is decided, and when it is answered: which approval let it through", async () => {
      const call = await sample();
      const pendingId = heldBy(await ask(call, world.agentKey));
      let approvalRef = "";
      const decided = await entriesOf(async () => {
        approvalRef = await approve(world, pendingId);
      });
      expect(decided).toContainEqual(
        expect.objectContaining({
          action: "decision.approved",
          resource: { type: "request", id: pendingId },
          detail: expect.objectContaining({ approval_ref: approvalRef, kind: operation.askedAs ?? operation.effect }),
        }),
      );
      const answered = await entriesOf(() => ask(call, world.agentKey, approvalRef));
      expect(answered).toContainEqual(
        expect.objectContaining({ action: "request.consumed", resource: { type: "request", id: pendingId } }),
      );
      const own = answered.filter(({ action }) => !action.startsWith("request."));
      expect(own, JSON.stringify(answered)).toHaveLength(1);
      expect(own[0]?.detail).toMatchObject({ approval_ref: approvalRef });
    });

    test("when an approval that is no good is brought, and when a human said no", async () => {
      const call = await sample();
      const pendingId = heldBy(await ask(call, world.agentKey));
      const rejected = await entriesOf(() => decide(world, pendingId, "reject"));
      expect(rejected.map(({ action }) => action)).toContain("decision.rejected");
      const refused = await entriesOf(() => ask(call, world.agentKey, "apr_01JD0000000000000000000000"));
      expect(refused).toMatchObject([{ action: "request.refused", detail: { operation: name } }]);
    });
  },
);
