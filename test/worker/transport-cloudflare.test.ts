import { EmailMessage } from "cloudflare:email";
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Env } from "../../src/env.ts";
import { unwrap } from "../../src/errors.ts";
import worker from "../../src/index.ts";
import { cloudflareEmail } from "../../src/mail/transports/cloudflare-email.ts";
import { call, keyOf, makeTenant } from "../support/door-harness.ts";
import {
  checkMailbox,
  inObject,
  makeMailbox,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

/** Sends through the runtime's own `send_email` binding, and hears of it by the queue of the service's events. */

const SERVICE = (env as unknown as { EMAIL_SERVICE: SendEmail }).EMAIL_SERVICE;
const CLOUDFLARE = { ...env, TRANSPORT: "cloudflare" as const, EMAIL: SERVICE };

async function mailbox(): Promise<TestMailbox> {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  await viaCloudflare(box);
  return box;
}

function viaCloudflare(box: TestMailbox): Promise<void> {
  return inObject(box, (object) => {
    object.environment = () => CLOUDFLARE;
  });
}

const addresses = (...locals: string[]) =>
  locals.map((local) => ({ name: null, address: `${local}@customer.example` }));

async function send(box: TestMailbox, change = {}): Promise<string> {
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, change)));
  await runAlarm(box);
  return id;
}

async function read(box: TestMailbox, id: string) {
  return unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
}

async function providerIds(box: TestMailbox, id: string): Promise<string[]> {
  const { recipients } = await read(box, id);
  return recipients.map(({ response }) => /^accepted as (.+)$/.exec(response ?? "")?.[1] ?? "");
}

const DETAILS: Record<string, object> = {
  delivered: { delivery: { status: "delivered", smtpStatusCode: "250", smtpResponse: "250 2.0.0 OK" } },
  deferred: { delivery: { smtpStatusCode: "451", smtpEnhancedStatusCode: "4.2.0", smtpResponse: "451 4.2.0 later" } },
  bounced: {
    delivery: { smtpStatusCode: "550", smtpEnhancedStatusCode: "5.1.1", smtpResponse: "550 5.1.1 User unknown" },
    bounce: { type: "hard" },
  },
  complained: { complaint: { type: "abuse" } },
  rejected: { rejection: { reason: "suppressed", party: "recipient", detail: "Recipient is suppressed" } },
  failed: { failure: { reason: "delivery_failed" } },
};
let events = 0;

function event(box: TestMailbox, kind: string, messageId: string, recipient = "ana@customer.example", change = {}) {
  return {
    type: `cf.email.sending.message.${kind}`,
    source: { type: "email.sending", zoneId: "z", domain: env.MAIL_DOMAIN },
    payload: {
      ...{ eventId: `event-${++events}`, messageId, sender: box.mailbox.address, recipient, terminal: true },
      ...DETAILS[kind],
      ...change,
    },
    metadata: { eventSchemaVersion: 1, eventTimestamp: "2026-11-21T10:00:00.000Z" },
  };
}

/** Hands bodies to the worker's queue handler. @returns which were acknowledged, and which come again. */
async function deliver(bodies: unknown[], attempts = 1) {
  const messages = bodies.map((body, index) => ({ id: `message-${index}`, timestamp: new Date(), attempts, body }));
  const batch = createMessageBatch("multimail-email-events", messages);
  await worker.queue(batch, env, createExecutionContext());
  const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  return { acked: explicitAcks.sort(), again: retryMessages.map(({ msgId }) => msgId).sort() };
}

async function eventTypes(box: TestMailbox): Promise<string[]> {
  await inObject(box, (object) => object.drain());
  const { results } = await env.DB.prepare("SELECT type FROM events WHERE log = ? ORDER BY sequence")
    .bind(box.mailbox.id)
    .all<{ type: string }>();
  return results.map(({ type }) => type);
}

describe("what leaves through the Email Service", () => {
  it("has one copy for each recipient, each with its own id, and the answer and the audit say who signs", async () => {
    const box = await mailbox();
    const answer = unwrap(await box.stub.submit(box.agent, submission(box, { to: addresses("ana", "bob") })));
    expect(answer.authentication.dkim).toBe("signed_by_transport");
    expect(answer.authentication.identity_forms).not.toContain("message_signature");
    await runAlarm(box);
    const ids = await providerIds(box, answer.id);
    expect(new Set(ids).size).toBe(2);
    expect(ids.every((id) => id !== "")).toBe(true);
    const entries = await inObject(box, (_object, state) =>
      state.storage.sql.exec<{ entry: string }>("SELECT entry FROM entries").toArray(),
    );
    const answered = entries.map(({ entry }) => entry).find((entry) => entry.includes("delivery.answered"));
    expect(answered).toContain('"transport":"cloudflare"');
    expect(answered).toContain('"dkim_signed":false');
    await checkMailbox(box);
  });

  it("has the address in From as its sender, which the service requires", async () => {
    const raw = new TextEncoder().encode("From: a@sender.example\r\nMessage-ID: <1@x>\r\nSubject: s\r\n\r\nx\r\n");
    const signal = new AbortController().signal;
    const transport = cloudflareEmail(SERVICE, EmailMessage);
    expect(transport.keeps_return_path).toBe(false);
    const outcome = (from: string) => transport.deliver({ from, to: ["b@x.example"] }, raw, signal);
    expect(await outcome("a@sender.example")).toMatchObject([{ outcome: "accepted" }]);
    expect(await outcome("bounces+x@sender.example")).toMatchObject([{ outcome: "deferred" }]);
  });

  it("is at most 5 MiB: one that is larger is refused when it is submitted, and says so", async () => {
    const tenant = await makeTenant();
    const path = `/v1/mailboxes/${tenant.mailbox.id}/send`;
    const file = (octets: number) => [{ name: "a.bin", content_base64: Buffer.alloc(octets).toString("base64") }];
    const ask = (octets: number, where: Env) =>
      call<{ code?: string; error?: string }>(path, {
        key: keyOf(tenant, "send"),
        env: where,
        json: { to: ["ana@customer.example"], subject: "s", text: "t", attachments: file(octets) },
      });
    const refused = await ask(4 << 20, CLOUDFLARE);
    expect(refused).toMatchObject({ status: 413, body: { code: "too_large" } });
    expect(refused.body.error).toContain("5 MiB");
    expect((await ask(3 << 20, CLOUDFLARE)).status).toBe(202);
    expect((await ask(4 << 20, env)).status).toBe(202);
  });

  it("is at most 5 MiB with all that composing adds: refused before the service is asked", async () => {
    const head = "From: a@sender.example\r\nMessage-ID: <1@x>\r\nSubject: s\r\n\r\n";
    const transport = cloudflareEmail(SERVICE, EmailMessage);
    for (const [octets, outcome] of [
      [5 << 20, "accepted"],
      [(5 << 20) + 1, "refused"],
    ] as const) {
      const raw = Buffer.from(head.padEnd(octets - 2, `${"x".repeat(76)}\r\n`).concat("\r\n"));
      expect(raw).toHaveLength(octets);
      const envelope = { from: "a@sender.example", to: ["b@x.example"] };
      expect(await transport.deliver(envelope, raw, new AbortController().signal)).toMatchObject([{ outcome }]);
    }
  });
});

describe("the service's events", () => {
  it.each([
    ["delivered", "delivered", "delivered", ["message.sent", "message.delivered"]],
    ["bounced", "bounced", "returned", ["message.sent", "message.bounced"]],
    ["complained", "complained", "complained", ["message.sent", "message.complained"]],
    ["rejected", "bounced", "returned", ["message.sent", "message.bounced"]],
    ["failed", "bounced", "returned", ["message.sent", "message.bounced"]],
    ["deferred", "sent", "accepted", ["message.sent"]],
  ])("%s: the message is %s", async (kind, status, state, told) => {
    const box = await mailbox();
    const id = await send(box);
    const [providerId = ""] = await providerIds(box, id);
    const body = event(box, kind, providerId);
    // Told twice, as a queue may: once in one batch, once later.
    expect(await deliver([body, body])).toEqual({ acked: ["message-0", "message-1"], again: [] });
    expect(await deliver([body])).toEqual({ acked: ["message-0"], again: [] });
    const email = await read(box, id);
    expect([email.status, email.recipients[0]?.state]).toEqual([status, state]);
    expect(await eventTypes(box)).toEqual(told);
    await checkMailbox(box);
  });

  it("in the wrong order end the same: what came back is not delivered by an older event", async () => {
    const box = await mailbox();
    const id = await send(box);
    const [providerId = ""] = await providerIds(box, id);
    await deliver([event(box, "bounced", providerId)]);
    await deliver([event(box, "delivered", providerId), event(box, "deferred", providerId)]);
    expect((await read(box, id)).status).toBe("bounced");
    await checkMailbox(box);
  });

  it("speak for one recipient each: one that bounces does not bounce for all", async () => {
    const box = await mailbox();
    const id = await send(box, { to: addresses("ana", "bob") });
    const [ana = "", bob = ""] = await providerIds(box, id);
    await deliver([event(box, "bounced", ana)]);
    expect((await read(box, id)).recipients.map(({ state }) => state)).toEqual(["returned", "accepted"]);
    await deliver([event(box, "delivered", bob, "bob@customer.example")]);
    expect((await read(box, id)).status).toBe("delivered");
  });

  it("forged, of another's copy or of an id that never was change nothing", async () => {
    const box = await mailbox();
    const other = await mailbox();
    const id = await send(box, { to: addresses("ana", "bob") });
    const [ana = ""] = await providerIds(box, id);
    const foreign = await send(other);
    const [theirs = ""] = await providerIds(other, foreign);
    const entries = () =>
      inObject(box, (_object, state) => state.storage.sql.exec("SELECT count(*) AS n FROM entries").one());
    const before = await entries();
    const forged = [
      event(box, "bounced", "no-such-id"),
      event(box, "bounced", ""),
      event(box, "bounced", id),
      event(box, "bounced", theirs),
      event(box, "bounced", ana, "bob@customer.example"),
      event(box, "bounced", ana, "stranger@customer.example"),
      event(other, "bounced", ana),
      event(box, "bounced", `${ana}' OR 1=1 --`),
      { ...event(box, "bounced", ana), source: { type: "r2" } },
      { ...event(box, "bounced", ana), type: "cf.email.sending.message.opened" },
      ...[null, 7, "x", [], {}, { type: "cf.email.sending.message.bounced" }],
    ];
    // The last try: whatever is not known by now is about nothing of ours.
    const { acked, again } = await deliver(forged, 5);
    expect([acked.length, again]).toEqual([forged.length, []]);
    expect(await entries()).toEqual(before);
    expect((await read(box, id)).recipients.map(({ state }) => state)).toEqual(["accepted", "accepted"]);
    expect((await read(other, foreign)).status).toBe("sent");
  });

  it("faster than our own commit come again, and then count", async () => {
    const box = await mailbox();
    const body = event(box, "delivered", "not-yet");
    expect(await deliver([body])).toEqual({ acked: [], again: ["message-0"] });
    const id = await send(box);
    const [providerId = ""] = await providerIds(box, id);
    body.payload.messageId = providerId;
    expect(await deliver([body], 2)).toEqual({ acked: ["message-0"], again: [] });
    expect((await read(box, id)).status).toBe("delivered");
  });

  it("of the deployment's own mail are nobody's, and end at once", async () => {
    const box = await mailbox();
    const body = event(box, "delivered", "x", "operator@people.example", { sender: `approvals@${env.MAIL_DOMAIN}` });
    expect(await deliver([body])).toEqual({ acked: ["message-0"], again: [] });
  });

  it("come again after a breakdown of ours, one without the others", async () => {
    const box = await mailbox();
    const id = await send(box);
    const [providerId = ""] = await providerIds(box, id);
    const broken = {
      ...env,
      MAILBOX: { getByName: () => ({ takeProviderEvent: () => Promise.reject(new Error("away")) }) },
    };
    const { takeEmailEvents } = await import("../../email-workers/provider-events.ts");
    const message = (body: unknown, n: number) => ({ id: `message-${n}`, timestamp: new Date(), attempts: 1, body });
    const batch = createMessageBatch("multimail-email-events", [
      message(event(box, "delivered", providerId), 0),
      message("nonsense", 1),
    ]);
    await takeEmailEvents(batch, broken);
    const { explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
    expect(explicitAcks).toEqual(["message-1"]);
    expect(retryMessages.map(({ msgId }) => msgId)).toEqual(["message-0"]);
    expect((await read(box, id)).status).toBe("sent");
  });
});
