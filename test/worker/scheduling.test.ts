import { beforeEach, describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decideSeen, objectOf } from "../support/decisions.ts";
import {
  type Answer,
  call,
  keyOf,
  makeTenant,
  type RefusalBody,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import { advanceClock, chainOf, runAlarm, type TestMailbox } from "../support/mailbox-harness.ts";

/** Mail for later, by the doors: when it leaves, who decides when, and what may be changed until then. */

let tenant: TestTenant;
let box: TestMailbox;
beforeEach(async () => {
  tenant = await makeTenant(["gated_send", "autonomous"]);
  box = objectOf(tenant);
});

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const MESSAGE = { to: "ana@customer.example", subject: "Offer", markdown: "Hello **Ana**" };
const later = (ms = HOUR) => new Date(Date.now() + ms).toISOString();

function send<Body = SendAnswer>(more: Record<string, unknown>, index = 0): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${tenant.mailboxes[index]?.id}/send`, {
    key: keyOf(tenant, "agent"),
    json: { ...MESSAGE, ...more },
  });
}

function edit<Body = SendAnswer>(id: string, json: Record<string, unknown>, key = "agent"): Promise<Answer<Body>> {
  return call<Body>(`/v1/mailboxes/${tenant.mailbox.id}/emails/${id}/schedule`, {
    method: "PATCH",
    key: keyOf(tenant, key),
    json,
  });
}

async function status(id: string): Promise<string> {
  return (await call<Email>(`/v1/emails/${id}`, { key: keyOf(tenant, "agent") })).body.status;
}

/** Lets the mailbox's time pass, and what is due then happen. */
async function pass(ms: number, of = box): Promise<void> {
  await advanceClock(of, ms);
  await runAlarm(of);
}

describe("gate_first", () => {
  test("decides now and leaves later", async () => {
    const send_at = later();
    const { body } = await send({ send_at, gate_timing: "gate_first" });
    expect(body).toMatchObject({ status: "pending_send_approval", send_at });
    const key = keyOf(tenant, "overseer");
    const { body: item } = await call<PendingItem>(`/v1/oversight/pending/${body.pending_id}`, { key });
    expect(item).toMatchObject({ send_at });
    expect(await decideSeen(tenant, body.pending_id ?? "")).toMatchObject({ status: "approved" });
    expect(await status(body.id)).toBe("scheduled");
    await pass(HOUR - MINUTE);
    expect(await status(body.id)).toBe("scheduled");
    await pass(HOUR + MINUTE);
    expect(await status(body.id)).toBe("sent");
  });

  test("approved only after its time leaves at once", async () => {
    const { body } = await send({ send_at: later(), gate_timing: "gate_first" });
    await pass(2 * HOUR);
    expect(await status(body.id)).toBe("pending_send_approval");
    await decideSeen(tenant, body.pending_id ?? "");
    await runAlarm(box);
    expect(await status(body.id)).toBe("sent");
  });
});

describe("schedule_first", () => {
  test("waits, and then asks a human", async () => {
    const { body } = await send({ send_at: later(), gate_timing: "schedule_first" });
    expect(body).toMatchObject({ status: "scheduled" });
    expect(body.pending_id).toBeUndefined();
    await pass(HOUR + MINUTE);
    expect(await status(body.id)).toBe("pending_send_approval");
    await decideSeen(tenant, body.id.replace("em_", "pend_"));
    await runAlarm(box);
    expect(await status(body.id)).toBe("sent");
  });
});

describe("where nobody has to be asked", () => {
  test("mail is scheduled, and leaves when its time has come", async () => {
    const free = objectOf(tenant, 1);
    const { body } = await send({ send_at: later() }, 1);
    expect(body.status).toBe("scheduled");
    await pass(HOUR - MINUTE, free);
    expect(await status(body.id)).toBe("scheduled");
    await pass(HOUR + MINUTE, free);
    expect(await status(body.id)).toBe("sent");
  });

  test("a mode tightened meanwhile asks a human after all", async () => {
    const free = objectOf(tenant, 1);
    const { body } = await send({ send_at: later() }, 1);
    unwrap(await free.stub.update(free.admin, { oversight_mode: "gated_send" }, null));
    await pass(HOUR + MINUTE, free);
    expect(await status(body.id)).toBe("pending_send_approval");
  });

  test("a time within a minute of now is now", async () => {
    const { body } = await send({ send_at: later(30_000) }, 1);
    expect(body).toMatchObject({ status: "queued", send_at: null });
  });
});

test("schedule_email is send_email with a time that it needs", async () => {
  const json = { ...MESSAGE, mailbox_id: tenant.mailboxes[1]?.id };
  const key = keyOf(tenant, "agent");
  expect(await call("/v1/schedule_email", { key, json })).toMatchObject({
    status: 422,
    body: { issues: [{ path: "send_at", message: "is needed" }] },
  });
  const send_at = later();
  const first = await call<SendAnswer>("/v1/schedule_email", { key, json: { ...json, send_at, idempotency_key: "s" } });
  expect(first).toMatchObject({ status: 202, body: { status: "scheduled", send_at } });
  const again = await call<SendAnswer>("/v1/send_email", { key, json: { ...json, send_at, idempotency_key: "s" } });
  expect(again).toMatchObject({ status: 200, body: { id: first.body.id, idempotent: true } });
});

test("a call repeated after the time has passed answers the first answer, not that it is over", async () => {
  const free = objectOf(tenant, 1);
  const json = { send_at: later(), idempotency_key: "late" };
  const first = await send(json, 1);
  await pass(2 * HOUR, free);
  expect(await send(json, 1)).toMatchObject({ status: 200, body: { id: first.body.id, idempotent: true } });
});

test("a reply can be for later too", async () => {
  const first = await send({});
  const send_at = later();
  const reply = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/reply/${first.body.id}`, {
    key: keyOf(tenant, "agent"),
    json: { text: "And one more thing", send_at, gate_timing: "schedule_first" },
  });
  expect(reply.body).toMatchObject({ status: "scheduled", send_at });
});

test("what is scheduled can be cancelled, and never leaves", async () => {
  const free = objectOf(tenant, 1);
  const { body } = await send({ send_at: later() }, 1);
  const cancelled = await call<EmailSummary>(`/v1/mailboxes/${tenant.mailboxes[1]?.id}/emails/${body.id}/cancel`, {
    key: keyOf(tenant, "agent"),
    json: {},
  });
  expect(cancelled.body.status).toBe("cancelled");
  await pass(2 * HOUR, free);
  expect(await status(body.id)).toBe("cancelled");
});

describe("an edit before sending", () => {
  test("after the approval voids it and asks again, for exactly the new content", async () => {
    const { body } = await send({ send_at: later(), gate_timing: "gate_first" });
    await decideSeen(tenant, body.pending_id ?? "");
    expect(await status(body.id)).toBe("scheduled");
    const edited = await edit(body.id, { markdown: "Send money" });
    expect(edited).toMatchObject({ status: 200, body: { id: body.id } });
    expect(await status(body.id)).toBe("pending_send_approval");
    await pass(2 * HOUR);
    expect(await status(body.id)).toBe("pending_send_approval");
    await decideSeen(tenant, body.pending_id ?? "");
    await runAlarm(box);
    const { body: email } = await call<Email>(`/v1/emails/${body.id}`, { key: keyOf(tenant, "agent") });
    expect(email).toMatchObject({ status: "sent", markdown: "Send money" });
  });

  test("of a message that waits makes the decision on what was there before a 409", async () => {
    const { body } = await send({});
    const key = keyOf(tenant, "overseer");
    const { body: seen } = await call<PendingItem>(`/v1/oversight/pending/${body.pending_id}`, { key });
    await edit(body.id, { subject: "Other" });
    const json = { email_id: body.pending_id, decision: "approve", content_hash: seen.content_hash };
    expect(await call("/v1/oversight/decide", { key, json })).toMatchObject({
      status: 409,
      body: { code: "content_changed" },
    });
    expect(await status(body.id)).toBe("pending_send_approval");
  });

  test.each<[what: string, change: () => Record<string, unknown>, shown: Partial<Email>]>([
    ["the subject", () => ({ subject: "Other" }), { subject: "Other", markdown: "Hello **Ana**" }],
    [
      "the body as markdown",
      () => ({ markdown: "*Hi*" }),
      { markdown: "*Hi*", html: expect.stringContaining("<em>Hi</em>") },
    ],
    ["the body as text", () => ({ text: "Hi" }), { html: null, text: expect.stringMatching(/^Hi\n/) }],
    [
      "the body as html",
      () => ({ html: "<b>Hi</b><script>x</script>" }),
      { html: expect.stringMatching(/^<b>Hi<\/b>\n/) },
    ],
    ["the recipients", () => ({ to: ["bob@customer.example"] }), { to: ["bob@customer.example"] }],
    ["copies", () => ({ cc: "bob@customer.example", bcc: [] }), { cc: ["bob@customer.example"], bcc: [] }],
  ])("changes %s, and leaves the rest", async (_what, change, shown) => {
    const { body } = await send({ send_at: later(), gate_timing: "schedule_first", bcc: "eve@customer.example" });
    expect((await edit(body.id, change())).status).toBe(200);
    const { body: email } = await call<Email>(`/v1/emails/${body.id}?include_html=true`, {
      key: keyOf(tenant, "agent"),
    });
    expect(email).toMatchObject({ status: "scheduled", ...shown });
  });

  test("moves the time, or takes it away", async () => {
    const free = objectOf(tenant, 1);
    const key = keyOf(tenant, "agent");
    const { body } = await send({ send_at: later() }, 1);
    const send_at = later(3 * HOUR);
    const json = { email_id: body.id, send_at };
    const moved = await call<SendAnswer>("/v1/edit_scheduled_email", { key, json });
    expect(moved.body).toMatchObject({ send_at });
    await pass(2 * HOUR, free);
    expect(await status(body.id)).toBe("scheduled");
    await advanceClock(free, 0);
    await call("/v1/edit_scheduled_email", { key, json: { email_id: body.id, send_at: null } });
    await runAlarm(free);
    expect(await status(body.id)).toBe("sent");
  });

  test("is in the record with what was there before, and in nobody's open sight", async () => {
    const { body } = await send({ send_at: later(), gate_timing: "schedule_first" });
    await edit(body.id, { subject: "Other words" });
    const entries = await chainOf(box);
    expect(entries.find(({ action }) => action === "message.edited")).toMatchObject({
      resource: { id: body.id },
      detail: { revision: 1 },
      sealed: expect.anything(),
    });
    expect(JSON.stringify(entries)).not.toContain("Other words");
  });

  test("by another key, of what left already, or of what came in is refused", async () => {
    const { body } = await send({ send_at: later() }, 1);
    const path = `/v1/mailboxes/${tenant.mailboxes[1]?.id}/emails`;
    const asOther = { method: "PATCH", key: keyOf(tenant, "send"), json: { subject: "x" } };
    expect(await call(`${path}/${body.id}/schedule`, asOther)).toMatchObject({ status: 403 });
    const sent = await send({}, 1);
    await runAlarm(objectOf(tenant, 1));
    const mine = { ...asOther, key: keyOf(tenant, "agent") };
    expect(await call(`${path}/${sent.body.id}/schedule`, mine)).toMatchObject({
      status: 409,
      body: { code: "wrong_state", status: "sent" },
    });
  });

  test("cannot reach whom the policy blocks", async () => {
    const free = objectOf(tenant, 1);
    unwrap(await free.stub.setPolicy(free.admin, { ...OPEN_POLICY, blocklist: ["evil.example"] }, null));
    const { body } = await send({ send_at: later() }, 1);
    await call("/v1/edit_scheduled_email", {
      key: keyOf(tenant, "agent"),
      json: { email_id: body.id, to: "eve@evil.example" },
    });
    await pass(2 * HOUR, free);
    expect(await status(body.id)).not.toBe("sent");
  });
});

describe("bad input is a clear 422 that changes nothing", () => {
  test.each<[what: string, send_at: unknown, message: RegExp]>([
    ["a time in the past", "2020-01-01T00:00:00Z", /in the past/],
    ["a time over a year away", "2199-01-01T00:00:00Z", /over a year away/],
    ["a time without zone", "2027-01-01T10:00:00", /with its zone/],
    ["a day", "2027-01-01", /with its zone/],
    ["a time of day", "10:00", /with its zone/],
    ["a day that is none", "2027-02-30T10:00:00Z", /with its zone/],
    ["words", "tomorrow", /with its zone/],
    ["a number", 1_800_000_000, /with its zone/],
    ["nothing", "", /with its zone/],
  ])("%s", async (_what, send_at, message) => {
    const before = await storedCounts();
    const attachments = [{ name: "a.txt", content_base64: "aGVsbG8=" }];
    const { status: code, body } = await send<RefusalBody>({ send_at, attachments });
    expect({ code, error: body.code }, JSON.stringify(body)).toEqual({ code: 422, error: "invalid_input" });
    expect(body.issues).toEqual([{ path: "send_at", message: expect.stringMatching(message) }]);
    expect(await storedCounts()).toEqual(before);

    const scheduled = await send({ send_at: later(), gate_timing: "schedule_first" });
    const edited = await edit<RefusalBody>(scheduled.body.id, { send_at, subject: "Other" });
    expect(edited.status).toBe(422);
    expect(edited.body.issues).toEqual([{ path: "send_at", message: expect.stringMatching(message) }]);
    const { body: email } = await call<Email>(`/v1/emails/${scheduled.body.id}`, { key: keyOf(tenant, "agent") });
    expect(email).toMatchObject({ subject: "Offer", status: "scheduled" });
  });

  test.each<[what: string, change: Record<string, unknown>, code: string, path: string]>([
    ["no change at all", {}, "invalid_input", ""],
    ["nobody to send it to", { to: [] }, "invalid_input", "to"],
    ["an address that is none", { cc: ["ana"] }, "invalid_address", "cc.0"],
    ["CRLF in the subject", { subject: "a\r\nBcc: eve@evil.example" }, "forbidden_characters", "subject"],
    ["two bodies", { markdown: "a", html: "b" }, "invalid_input", "html"],
    ["too long a body", { text: "x".repeat(256 * 1024 + 1) }, "invalid_input", "text"],
    ["files", { attachments: [] }, "invalid_input", "attachments"],
    ["a template", { template_id: "tpl_x" }, "invalid_input", "template_id"],
    ["51 recipients", { to: Array.from({ length: 51 }, (_, n) => `p${n}@x.example`) }, "too_many_recipients", ""],
  ])("an edit with %s", async (_what, change, code, path) => {
    const { body } = await send({ send_at: later(), gate_timing: "schedule_first" });
    const answer = await edit<RefusalBody>(body.id, change);
    expect({ status: answer.status, code: answer.body.code }, JSON.stringify(answer.body)).toEqual({
      status: 422,
      code,
    });
    if (path !== "") expect(answer.body.issues?.map((issue) => issue.path)).toContain(path);
  });

  test("a gate_timing that is none", async () => {
    expect(await send({ send_at: later(), gate_timing: "never" })).toMatchObject({
      status: 422,
      body: { issues: [{ path: "gate_timing" }] },
    });
  });

  test("a time where scheduling is switched off", async () => {
    unwrap(await box.stub.update(box.admin, { scheduling_enabled: false }, null));
    expect(await send({ send_at: later() })).toMatchObject({ status: 409, body: { code: "wrong_state" } });
    expect((await send({})).status).toBe(202);
  });

  test("a message of another tenant, as if it were not there", async () => {
    const { body } = await send({ send_at: later() });
    const stranger = await makeTenant();
    const json = { email_id: body.id, subject: "x" };
    expect(await call("/v1/edit_scheduled_email", { key: keyOf(stranger, "agent"), json })).toMatchObject({
      status: 404,
    });
  });
});
