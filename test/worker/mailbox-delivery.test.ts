import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import { backoff, GIVE_UP_AFTER } from "../../durable-objects/timers.ts";
import type { Env } from "../../src/env.ts";
import { unwrap } from "../../src/errors.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import {
  advanceClock,
  checkMailbox,
  decide,
  inObject,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** An address of this test's own; its beginning says what the relay answers. */
function address(box: TestMailbox, start: string): MailAddress {
  return { name: null, address: `${start}-${box.mailbox.id.slice(-8).toLowerCase()}@customer.example` };
}

async function send(box: TestMailbox, to: MailAddress[], change = {}): Promise<string> {
  return unwrap(await box.stub.submit(box.agent, submission(box, { to, ...change }))).id;
}

async function read(box: TestMailbox, id: string) {
  return unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
}

async function events(box: TestMailbox): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT type FROM events WHERE log = ? ORDER BY sequence")
    .bind(box.mailbox.id)
    .all<{ type: string }>();
  return results.map(({ type }) => type);
}

const autonomous = () => makeMailbox({ oversight_mode: "autonomous" });

describe("what the far end says is what the message's status says", () => {
  test.each([
    ["taken", ["ok"], "sent", ["accepted"], ["message.sent"]],
    ["refused", ["refuse-550"], "send_failed", ["bounced"], ["message.bounced", "message.send_failed"]],
    ["put off", ["defer-451"], "queued", ["deferred"], []],
    [
      "taken by one, refused for another",
      ["ok", "refuse-550"],
      "sent",
      ["accepted", "bounced"],
      ["message.bounced", "message.sent"],
    ],
    ["taken by one, put off for another", ["ok", "defer-451"], "queued", ["accepted", "deferred"], []],
    ["refused after the data", ["data-554"], "send_failed", ["bounced"], ["message.bounced", "message.send_failed"]],
    ["put off after the data", ["data-451"], "queued", ["deferred"], []],
    ["a connection lost in the data", ["drop-data"], "queued", ["deferred"], []],
  ])("%s", async (_what, starts, expected, states, told) => {
    const box = await autonomous();
    const id = await send(
      box,
      starts.map((start) => address(box, start)),
    );
    await runAlarm(box);
    const email = await read(box, id);
    expect(email.status).toBe(expected);
    expect(email.recipients.map(({ state }) => state)).toEqual(states);
    await inObject(box, (object) => object.drain());
    expect(await events(box)).toEqual(told);
    if (states.includes("bounced"))
      // What a server says after the data is about the message, not about the address.
      expect(email).toMatchObject({
        bounce_type: starts.includes("data-554") ? "blocked" : "hard",
        bounced_at: expect.any(String),
      });
    await checkMailbox(box);
  });
});

test("a retry addresses only whom the far end put off, under the same Message-ID", async () => {
  const box = await autonomous();
  const [taken, deferred] = [address(box, "ok"), address(box, "defer-451")];
  const id = await send(box, [taken, deferred]);
  await runAlarm(box);
  await advanceClock(box, backoff(1) + 1_000);
  await runAlarm(box);
  expect(await receivedFor(taken.address)).toHaveLength(1);
  const email = await read(box, id);
  expect(email.recipients.map(({ attempts }) => attempts)).toEqual([1, 2]);
});

test("attempts follow after 1 minute, doubling to 4 hours, and end after 3 days with send_failed and an event", async () => {
  const box = await autonomous();
  const id = await send(box, [address(box, "defer-451")]);
  const gaps: number[] = [];
  let ahead = 0;
  for (;;) {
    await runAlarm(box);
    const next = await inObject(box, (object, state) => {
      const timer = state.storage.sql
        .exec<{ due: number }>("SELECT due FROM timers WHERE kind = 'deliver'")
        .toArray()[0];
      return timer ? timer.due - object.now() : null;
    });
    if (next === null) break;
    gaps.push(Math.round(next / 60_000));
    ahead += next + 1_000;
    await advanceClock(box, ahead);
  }
  expect(gaps.slice(0, 10)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 240, 240]);
  expect(ahead).toBeGreaterThan(GIVE_UP_AFTER - 60_000);
  expect(ahead).toBeLessThan(GIVE_UP_AFTER + 60 * 60_000);
  expect(await read(box, id)).toMatchObject({ status: "send_failed", recipients: [{ state: "failed" }] });
  expect(await events(box)).toEqual(["message.send_failed"]);
  await checkMailbox(box);
});

describe("what leaves", () => {
  test("is signed, has no Bcc, and is kept as sent", async () => {
    const box = await autonomous();
    const [to, bcc] = [address(box, "ana"), address(box, "hidden")];
    const id = await send(box, [to], { bcc: [bcc], subject: "Überraschung 🎁" });
    await runAlarm(box);
    const [mail] = await receivedFor(to.address);
    // Each has a return path, and so a transaction, of their own.
    expect(mail?.envelope.to).toEqual([to.address]);
    const [hidden] = await receivedFor(bcc.address);
    expect(hidden).toMatchObject({ raw: mail?.raw, envelope: { to: [bcc.address] } });
    expect(hidden?.envelope.from).not.toBe(mail?.envelope.from);
    expect(mail?.raw).not.toMatch(/bcc|hidden/i);
    expect(mail?.raw.match(/^DKIM-Signature:/gim)).toHaveLength(2);
    const parsed = await PostalMime.parse(Buffer.from(mail?.raw ?? "", "latin1"));
    expect(parsed).toMatchObject({ subject: "Überraschung 🎁", messageId: `<${id}@${env.MAIL_DOMAIN}>` });
    const kept = await env.STORE.get(`raw/${box.mailbox.tenant_id}/${box.mailbox.id}/${id}.eml`);
    expect(Buffer.from((await kept?.arrayBuffer()) ?? new ArrayBuffer()).toString("latin1")).toBe(mail?.raw);
  });

  test("by a test key ends in the sandbox", async () => {
    const box = await autonomous();
    const to = address(box, "ok");
    const answer = unwrap(await box.stub.submit({ ...box.agent, test: true }, submission(box, { to: [to] })));
    expect(answer).toMatchObject({ sandbox: true, message: expect.stringContaining("sandbox") });
    await runAlarm(box);
    expect(await status(box, answer.id)).toBe("sent");
    expect(await receivedFor(to.address)).toEqual([]);
  });

  test("carries the attachment's bytes, and nothing leaves if they were changed in the store", async () => {
    const box = await autonomous();
    const key = `att/${box.mailbox.tenant_id}/${box.mailbox.id}/x/0`;
    const attachment = {
      name: "offer.txt",
      content_type: "text/plain",
      disposition: "attachment" as const,
      content_id: null,
      size: 5,
      sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      key,
    };
    await env.STORE.put(key, "hello");
    const [good, bad] = [address(box, "good"), address(box, "bad")];
    await send(box, [good], { attachments: [attachment] });
    await runAlarm(box);
    const parsed = await PostalMime.parse(Buffer.from((await receivedFor(good.address))[0]?.raw ?? "", "latin1"));
    expect(parsed.attachments[0]).toMatchObject({ filename: "offer.txt" });
    await env.STORE.put(key, "jello");
    const id = await send(box, [bad], { attachments: [attachment] });
    await runAlarm(box);
    expect(await receivedFor(bad.address)).toEqual([]);
    expect(await status(box, id)).toBe("queued");
  });

  test("is never content that another hash was approved for", async () => {
    const box = await makeMailbox();
    const to = address(box, "ok");
    const id = await send(box, [to]);
    unwrap(await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }));
    await inObject(box, (_object, state) => {
      state.storage.sql.exec("UPDATE bodies SET text = 'send money'");
    });
    await runAlarm(box);
    expect(await receivedFor(to.address)).toEqual([]);
  });
});

describe("a monitored mailbox", () => {
  test("sends at once, and its overseer gets a copy", async () => {
    const box = await makeMailbox({
      oversight_mode: "monitored",
      approver_email: `watcher-${crypto.randomUUID()}@people.example`,
    });
    await box.stub.ping();
    await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, box.mailbox.approver_email ?? "");
    const id = await send(box, [address(box, "ok")]);
    await runAlarm(box);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await receivedFor(box.mailbox.approver_email ?? "")).toHaveLength(1);
    expect((await checkMailbox(box)).map(({ action }) => action)).toContain("copy.sent");
  });
});

describe("killing the object between any two steps loses nothing and sends nothing unapproved", () => {
  /** Cuts the object down right after the n-th commit of a delivery, by throwing away its instance. */
  async function killAfterCommit(box: TestMailbox, n: number): Promise<void> {
    await inObject(box, (object) => {
      const commit = object.commit.bind(object);
      let left = n;
      object.commit = (fn) => {
        if (left-- <= 0) throw new Error("the object is dead");
        return commit(fn);
      };
    });
  }

  test.each([0, 1, 2, 3, 4])("after %i commits of its delivery", async (n) => {
    const box = await makeMailbox();
    const to = address(box, `step${n}`);
    const id = await send(box, [to]);
    await box.stub.pendingItems(box.overseer, [id]);
    await killAfterCommit(box, 1 + n);
    unwrap(
      await box.stub.decide(box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }),
    );
    await runAlarm(box).catch(() => undefined);
    await abortAllDurableObjects();
    const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
    for (let alarm = 0; alarm < 4 && (await status(alive, id)) !== "sent"; alarm++) {
      await advanceClock(alive, (alarm + 1) * 100_000);
      await runAlarm(alive);
    }
    expect(await status(alive, id)).toBe("sent");
    const arrived = await receivedFor(to.address);
    expect(arrived.length).toBeGreaterThanOrEqual(1);
    expect(new Set(arrived.map(({ raw }) => /^Message-ID: (.*)\r$/im.exec(raw)?.[1]))).toEqual(
      new Set([`<${id}@${env.MAIL_DOMAIN}>`]),
    );
    await checkMailbox(alive);
  });

  test("while the relay keeps it waiting: the next instance takes it up at once, and delivers it", async () => {
    const box = await autonomous();
    const to = address(box, "hang-rcpt");
    const id = await send(box, [to]);
    await inObject(box, async (object) => {
      void object.alarm();
      while (object.messages.get(id).status !== "sending") await object.flush();
    });
    await abortAllDurableObjects();
    const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
    // The relay would keep the next attempt waiting too, so this one goes to the sandbox.
    await inObject(alive, (object) =>
      object.commit(() => {
        const message = object.messages.get(id);
        if (message.record.outbound) message.record.outbound.test = true;
        object.messages.save(message);
      }),
    );
    await runAlarm(alive);
    expect(await status(alive, id)).toBe("sent");
    const chain = await checkMailbox(alive);
    expect(chain.map(({ action }) => action).filter((action) => action.startsWith("delivery."))).toEqual([
      "delivery.attempted",
      "delivery.recovered",
      "delivery.attempted",
      "delivery.answered",
    ]);
  });

  describe("while the relay keeps it waiting, and the next instance cannot ask the tenant:", () => {
    async function lostWhileSending() {
      const box = await autonomous();
      const id = await send(box, [address(box, "hang-rcpt")]);
      await inObject(box, async (object) => {
        void object.alarm();
        while (object.messages.get(id).status !== "sending") await object.flush();
      });
      await abortAllDurableObjects();
      const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
      await inObject(alive, (object) => {
        const getByName = () => ({ admitDelivery: () => Promise.reject(new Error("the tenant does not answer")) });
        object.environment = () => ({ ...env, TENANT: { ...env.TENANT, getByName } }) as unknown as Env;
      });
      return { box: alive, id };
    }

    test("it is queued again, and can be cancelled", async () => {
      const { box, id } = await lostWhileSending();
      await runAlarm(box);
      expect(await status(box, id)).toBe("queued");
      unwrap(await box.stub.cancel(box.agent, id, null));
      expect(await status(box, id)).toBe("cancelled");
      await checkMailbox(box);
    });

    test("it waits for a human, if the mode became stricter meanwhile", async () => {
      const { box, id } = await lostWhileSending();
      unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_send" }, null));
      await runAlarm(box);
      expect(await status(box, id)).toBe("pending_send_approval");
      await checkMailbox(box);
    });
  });

  test.each(["submit", "decide"])(
    "a held message survives eviction after %s, still unapproved or approved once",
    async (step) => {
      const box = await makeMailbox();
      const to = address(box, "evict");
      const id = await send(box, [to]);
      if (step === "decide")
        unwrap(
          await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }),
        );
      await evictDurableObject(box.stub);
      await runAlarm(box);
      await runAlarm(box);
      expect(await status(box, id)).toBe(step === "decide" ? "sent" : "pending_send_approval");
      expect(await receivedFor(to.address)).toHaveLength(step === "decide" ? 1 : 0);
    },
  );
});

describe("cancelling", () => {
  test("before it was handed over: nothing is signed and nothing leaves", async () => {
    const box = await autonomous();
    const to = address(box, "defer-451");
    const id = await send(box, [to]);
    await runAlarm(box);
    unwrap(await box.stub.cancel(box.agent, id, "changed my mind"));
    await advanceClock(box, backoff(1) + 1_000);
    await runAlarm(box);
    expect(await read(box, id)).toMatchObject({ status: "cancelled", decision_reason: "changed my mind" });
    expect(await env.STORE.head(`raw/${box.mailbox.tenant_id}/${box.mailbox.id}/${id}.eml`)).toBeNull();
  });

  test("after it was sent: refused with its state", async () => {
    const box = await autonomous();
    const id = await send(box, [address(box, "ok")]);
    await runAlarm(box);
    expect(await box.stub.cancel(box.agent, id, null)).toMatchObject({
      ok: false,
      refusal: { code: "wrong_state", detail: { status: "sent" } },
    });
  });
});
