import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bounceKind } from "../../src/mail/bounce-kind.ts";
import { deliveryReportOf, type ProviderEvent, readEmailEvent } from "../../src/mail/cloudflare-email-events.ts";

/** An event as the service's documentation shows it. */
function event(kind: string, payload: object = {}, rest: object = {}) {
  return {
    type: `cf.email.sending.message.${kind}`,
    source: { type: "email.sending", zoneId: "023e105f4ecef8ad9ca31a8372d0c353", domain: "example.com" },
    payload: {
      eventId: "0190d0c4-7e9a-7b3c-9f12-1a2b3c4d5e6f",
      messageId: "0101018f7d0c4d9a-msg-deadbeef",
      sender: "noreply@example.com",
      recipient: "user@example.net",
      subject: "Welcome",
      terminal: true,
      ...payload,
    },
    metadata: {
      accountId: "f9f79265f388666de8122cfb508d7776",
      eventSubscriptionId: "1830c4bb612e43c3af7f4cada31fbf3f",
      eventSchemaVersion: 1,
      eventTimestamp: "2026-06-01T02:48:57.132Z",
    },
    ...rest,
  };
}

const delivery = (code: string, enhanced: string | undefined, response: string) => ({
  delivery: { status: "x", smtpStatusCode: code, smtpEnhancedStatusCode: enhanced, smtpResponse: response },
});

/** What is read of it, and what it means: action, enhanced code, kind of failure. */
type Case = [
  name: string,
  body: unknown,
  read: Partial<ProviderEvent>,
  means: [string, string | null, string | null] | null,
];
const CASES: Case[] = [
  [
    "delivered",
    event("delivered", delivery("250", "2.0.0", "250 2.0.0 OK 1714820445 - gsmtp")),
    {
      kind: "delivered",
      code: 250,
      enhanced_code: "2.0.0",
      bounce_type: null,
      response: "250 2.0.0 OK 1714820445 - gsmtp",
    },
    ["delivered", "2.0.0", null],
  ],
  [
    "deferred",
    event("deferred", { ...delivery("451", "4.2.0", "451 4.2.0 Temporary mailbox error"), bounce: { type: "soft" } }),
    { kind: "deferred", code: 451, bounce_type: "soft" },
    ["delayed", "4.2.0", null],
  ],
  [
    "bounced for good",
    event("bounced", { ...delivery("550", "5.1.1", "550 5.1.1 User unknown"), bounce: { type: "hard" } }),
    { kind: "bounced", code: 550, enhanced_code: "5.1.1", bounce_type: "hard" },
    ["failed", "5.1.1", "hard"],
  ],
  [
    "bounced for good, with nothing but that",
    event("bounced", { bounce: { type: "hard", reason: "gone" } }),
    { code: null, enhanced_code: null, bounce_type: "hard", response: "gone" },
    ["failed", "5.1.0", "hard"],
  ],
  [
    "bounced when retries were used up",
    event("bounced", { ...delivery("451", "4.2.0", "451 4.2.0 greylisted"), bounce: { type: "soft" } }),
    { bounce_type: "soft" },
    ["failed", "4.2.0", "soft"],
  ],
  [
    "bounced, of a kind that nobody knows",
    event("bounced", { bounce: { type: "odd" } }),
    { bounce_type: "soft" },
    ["failed", "4.0.0", "soft"],
  ],
  [
    "bounced, since the mail was not wanted",
    event("bounced", { ...delivery("550", "5.7.1", "550 5.7.1 spam"), bounce: { type: "hard" } }),
    { bounce_type: "hard" },
    ["failed", "5.7.1", "blocked"],
  ],
  [
    "failed at the service",
    event("failed", { failure: { reason: "delivery_failed" } }),
    { response: "delivery_failed" },
    ["failed", "4.3.0", "soft"],
  ],
  [
    "rejected by the service",
    event("rejected", { rejection: { reason: "suppressed", party: "recipient", detail: "Recipient is suppressed" } }),
    { response: "suppressed: Recipient is suppressed" },
    ["failed", "5.7.0", "blocked"],
  ],
  [
    "complained",
    event("complained", { complaint: { type: "abuse" } }),
    { kind: "complained", response: "abuse" },
    null,
  ],
  [
    "with members that nobody knows, and without most that are known",
    event("delivered", { delivery: null, bounce: null, more: { deep: [1] } }, { extra: 1 }),
    { kind: "delivered", code: null, enhanced_code: null, response: "" },
    ["delivered", null, null],
  ],
];

describe("an event of the Email Service", () => {
  it.each(CASES)("%s", (_name, body, read, means) => {
    const found = readEmailEvent(JSON.parse(JSON.stringify(body)));
    expect(found).toMatchObject({
      event_id: "0190d0c4-7e9a-7b3c-9f12-1a2b3c4d5e6f",
      provider_id: "0101018f7d0c4d9a-msg-deadbeef",
      sender: "noreply@example.com",
      recipient: "user@example.net",
      at: Date.UTC(2026, 5, 1, 2, 48, 57, 132),
      ...read,
    });
    const report = found && deliveryReportOf(found);
    const [status] = report?.statuses ?? [];
    const kind = status?.action === "failed" ? bounceKind(status) : null;
    expect(status ? [status.action, status.status, kind] : null).toEqual(means);
    if (status) expect(status.recipients).toEqual(["user@example.net"]);
  });

  it("says what was said in one line of at most 500 characters", () => {
    const long = event("bounced", delivery("550", "5.1.1", `550 no\r\n\u0007\ud800 ${"x".repeat(5000)}`));
    const { response } = readEmailEvent(long) ?? { response: "" };
    expect(response).toHaveLength(500);
    expect(response).toMatch(/^550 no \ufffd x+$/);
  });

  it.each<[string, unknown]>([
    ["nothing", null],
    ["text", "cf.email.sending.message.bounced"],
    ["a list", [event("bounced")]],
    ["an event of another kind", event("opened")],
    ["an event of another source", event("bounced", {}, { source: { type: "r2" } })],
    ["an event without a source", event("bounced", {}, { source: undefined })],
    [
      "an event of a later schema",
      event("bounced", {}, { metadata: { eventSchemaVersion: 2, eventTimestamp: "2026-06-01T02:48:57Z" } }),
    ],
    ["no time", event("bounced", {}, { metadata: { eventSchemaVersion: 1, eventTimestamp: "yesterday" } })],
    ["no message", event("bounced", { messageId: undefined })],
    ["an empty message", event("bounced", { messageId: "" })],
    ["a message that is a number", event("bounced", { messageId: 7 })],
    ["an id that is too long", event("bounced", { messageId: "x".repeat(999) })],
    ["recipients in a list", event("bounced", { recipient: ["a@x.example", "b@x.example"] })],
    ["a reply that is no text", event("bounced", { delivery: { smtpResponse: { $ne: 1 } } })],
    ["a type from the prototype", { ...event("bounced"), type: "__proto__" }],
  ])("is none: %s", (_name, body) => {
    expect(readEmailEvent(body)).toBeNull();
  });

  it("is read or is none, whatever it is", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (body, inside) => {
        expect(readEmailEvent(body)).toBeNull();
        const odd = event("bounced", { delivery: inside, bounce: inside, rejection: inside });
        const found = readEmailEvent(odd);
        if (found) expect(found.kind).toBe("bounced");
      }),
    );
  });
});
