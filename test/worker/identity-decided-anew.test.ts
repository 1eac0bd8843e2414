import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { backoff } from "../../durable-objects/timers.ts";
import { unwrap } from "../../src/errors.ts";
import type { MessageVerdict } from "../../src/identity/verdict.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { newId } from "../../src/ids.ts";
import { keysOfSender } from "../../src/store/identity-keys.ts";
import { decidedBy, hold, linkOf, shownBy, somebody } from "../support/approvals.ts";
import {
  advanceClock,
  decide,
  inObject,
  loosen,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** A claim says what holds of the message that carries it: what was taken back, decided or changed since is signed anew. */

function outside(start: string): string {
  return `${start}-${crypto.randomUUID()}@customer.example`;
}

function to(...addresses: string[]) {
  return { to: addresses.map((address) => ({ name: null, address })) };
}

/** What the newest mail at an address comes to, with the keys that the tenant publishes. */
async function newestAt(box: TestMailbox, address: string): Promise<MessageVerdict & { raw: string }> {
  const mail = (await receivedFor(address)).at(-1);
  if (!mail) throw new Error(`${address} received nothing`);
  const keys = await keysOfSender(env.DB, env, box.mailbox.address);
  return { ...(await verifyMessage(Buffer.from(mail.raw, "latin1"), keys)), raw: mail.raw };
}

/** Sent to one of two, the mailbox tightened meanwhile: what is left of it waits for a human. */
async function heldHalfWay(box: TestMailbox, mode: "gated_send" | "gated_all") {
  const [first, later] = [outside("ok"), outside("once-451")];
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, to(first, later))));
  await runAlarm(box);
  unwrap(await box.stub.update(box.admin, { oversight_mode: mode }, null));
  expect(await status(box, id)).toBe("pending_send_approval");
  await runAlarm(box);
  return { id, first, later };
}

describe("a message that was taken back when some had it already", () => {
  test("names the mode and the approval under which the others got it, to them", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id, first, later } = await heldHalfWay(box, "gated_send");
    const request = { email_id: id, decision: "approve", reason: null, content_hash: null } as const;
    const { approval_ref } = unwrap(await decide(box, box.overseer, request));
    await advanceClock(box, backoff(1) + 60_000);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await newestAt(box, first)).toMatchObject({
      verified: true,
      agent_metadata: { oversight_mode: "autonomous", approval_ref: null, approval_kind: null },
    });
    expect(await newestAt(box, later)).toMatchObject({
      verified: true,
      agent_metadata: { oversight_mode: "gated_send", approval_ref, approval_kind: "key" },
    });
    const receipt = unwrap(await box.stub.identityReceipt(box.agent, id));
    expect(receipt.payload).toMatchObject({ oversight_mode: "gated_send", approval_ref });
  });

  test.each([
    ["tightened", "autonomous", "monitored"],
    ["loosened", "monitored", "autonomous"],
  ] as const)("that leaves by itself once the mailbox was %s names the stricter mode", async (_what, before, after) => {
    const box = await makeMailbox({ oversight_mode: before });
    const later = outside("once-451");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, to(later))));
    await runAlarm(box);
    expect(await status(box, id)).toBe("queued");
    const change = { oversight_mode: after };
    if (before === "autonomous") unwrap(await box.stub.update(box.admin, change, null));
    else await loosen(box, change);
    await advanceClock(box, backoff(1) + 60_000);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await newestAt(box, later)).toMatchObject({
      verified: true,
      agent_metadata: { oversight_mode: "monitored", approval_ref: null },
    });
  });

  test("verifies as its approver changed it", async () => {
    const person = somebody("ana");
    const box = await decidedBy([person], { oversight_mode: "autonomous" });
    const { id, later } = await heldHalfWay(box, "gated_send");
    const hash = await linkOf(person);
    const { content_hash } = await shownBy(box, hash);
    expect(content_hash).toEqual(expect.any(String));
    const edit = { subject: "Another offer", without: [], body: { markdown: null, text: "Hello again", html: null } };
    await box.stub.decideByLink(hash, { decision: "approve", note: null, edit });
    await advanceClock(box, backoff(1) + 60_000);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    const verdict = await newestAt(box, later);
    expect(verdict.raw).toContain("Hello again");
    expect(verdict.reasons).toEqual([]);
    expect(verdict.agent_metadata).toMatchObject({ oversight_mode: "gated_send", approval_kind: "human_link" });
  });
});

describe("what the disclosure says", () => {
  test("is what the body says, where an approver wrote another after the setting was changed", async () => {
    const person = somebody("ana");
    const box = await decidedBy([person], { ai_disclosure: false });
    const address = outside("ok");
    await hold(box, to(address));
    unwrap(await box.stub.update(box.admin, { ai_disclosure: true }, null));
    const hash = await linkOf(person);
    await shownBy(box, hash);
    const edit = { subject: "Offer", without: [], body: { markdown: null, text: "Hello again", html: null } };
    await box.stub.decideByLink(hash, { decision: "approve", note: null, edit });
    await runAlarm(box);
    const verdict = await newestAt(box, address);
    const isSaid = /AI|artificial/i.test(verdict.raw.split("\r\n\r\n").slice(1).join("\n"));
    expect(isSaid).toBe(true);
    expect(verdict.raw).toMatch(/^X-AI-Generated: true\r$/m);
    expect(verdict.agent_metadata).toMatchObject({ ai_disclosure: true });
  });
});

describe("an approval that was voided while the message was being sent is in no claim, and neither is its mode", () => {
  test.each<[string, Partial<TestMailbox["mailbox"]>, boolean, Record<string, unknown>]>([
    [
      "a looser mode lets it go",
      { oversight_mode: "autonomous" },
      false,
      { oversight_mode: "autonomous", approval_ref: null, approval_kind: null },
    ],
    [
      "its recipient was approved beforehand",
      { oversight_mode: "gated_send" },
      true,
      { oversight_mode: "gated_send", approval_ref: expect.stringMatching(/^apr_/), approval_kind: "allowlist" },
    ],
  ])("%s", async (_what, change, isAllowed, expected) => {
    const box = await makeMailbox({ oversight_mode: "gated_all" });
    const address = outside("ok");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, to(address))));
    const request = { email_id: id, decision: "approve", reason: null, content_hash: null } as const;
    const { approval_ref } = unwrap(await decide(box, box.overseer, request));
    await inObject(box, async (object) =>
      object.commit(() => {
        const message = object.messages.get(id);
        if (message.record.decision) message.record.decision.void = true;
        object.messages.save(message);
        const allowed = { id: "alw_1", recipient: address, note: null, approval_ref: newId("apr", 0), created_at: "" };
        if (isAllowed) object.addToAllowlist(allowed);
      }),
    );
    await loosen(box, change);
    await runAlarm(box);
    const verdict = await newestAt(box, address);
    expect(verdict.agent_metadata).toMatchObject(expected);
    expect(verdict.agent_metadata?.approval_ref).not.toBe(approval_ref);
  });
});
