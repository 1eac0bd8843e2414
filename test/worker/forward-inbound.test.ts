import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { backoff } from "../../durable-objects/timers.ts";
import type { Env } from "../../src/env.ts";
import { unwrap } from "../../src/errors.ts";
import { bounceAddress } from "../../src/mail/bounce-address.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { newDecisionToken } from "../../src/oversight/decision-links.ts";
import { MODES } from "../../src/oversight/modes.ts";
import { call, keyOf, localPart, makeTenant, type RefusalBody } from "../support/door-harness.ts";
import {
  ANN,
  arrive,
  BANK,
  emails,
  judgeAtNextHop,
  lastArrived,
  lastSent,
  latin1,
  octets,
  publishAll,
  signedMail,
} from "../support/forwarding.ts";
import {
  advanceClock,
  chainOf,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  loosen,
  makeMailbox,
  runAlarm,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

beforeAll(async () => {
  await makeMailbox();
  await publishAll();
});

/** An address that no other test forwards to; its beginning says what the relay answers. */
const target = (start = "boss") => `${start}-${localPart("x")}@acme.example`;

const actions = async (box: TestMailbox) => (await chainOf(box)).map(({ action }) => action);
const entryOf = async (box: TestMailbox, action: string) =>
  (await chainOf(box)).find((entry) => entry.action === action);

async function forwardingTo(to: string, change: Partial<Mailbox> = {}): Promise<TestMailbox> {
  return makeMailbox({ oversight_mode: "autonomous", forward_inbound: to, ...change });
}

describe("what arrives is passed on to whom a person set,", () => {
  test.each(MODES.filter((mode) => mode !== "gated_all"))(
    "in a mailbox that is %s, without asking anyone",
    async (oversight_mode) => {
      const to = target();
      const box = await forwardingTo(to, { oversight_mode });
      const raw = await arrive(box, await signedMail());
      await runAlarm(box);
      const [mail] = await receivedFor(to);
      expect(mail?.envelope.to).toEqual([to]);
      expect(mail?.raw.endsWith(latin1(raw))).toBe(true);
      const found = await judgeAtNextHop(octets(mail?.raw ?? ""), mail?.envelope.from ?? "");
      expect(found).toMatchObject({ dkim_result: "pass", dkim_domain: BANK, arc_result: "pass" });
      await checkMailbox(box);
    },
  );

  test("once: a redelivery of the same mail passes nothing on again", async () => {
    const to = target();
    const box = await forwardingTo(to);
    const raw = await arrive(box, await signedMail());
    await arrive(box, raw);
    await runAlarm(box);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("in a gated_all mailbox once a person released it, and never what they refused", async () => {
    const to = target();
    const box = await forwardingTo(to, { oversight_mode: "gated_all" });
    for (const decision of ["reject", "approve"] as const) {
      await arrive(box, await signedMail({ subject: decision }));
      const { id } = await lastArrived(box);
      await runAlarm(box);
      expect(await receivedFor(to)).toEqual([]);
      unwrap(await decide(box, box.overseer, { email_id: id, decision, reason: null, content_hash: null }));
      await runAlarm(box);
    }
    const mails = await receivedFor(to);
    expect(mails.map(({ raw }) => /^Subject: (.*)\r$/m.exec(raw)?.[1])).toEqual(["approve"]);
  });

  test("and the audit log says so; no agent sent it, and no budget, count or known recipient comes of it", async () => {
    const to = target();
    const box = await forwardingTo(to);
    await arrive(box, await signedMail());
    const { id } = await lastArrived(box);
    await runAlarm(box);
    expect(await entryOf(box, "forwarding.queued")).toMatchObject({
      actor: { type: "system" },
      detail: { forwards: id, form: "redirected", standing: true },
    });
    const sent = await entryOf(box, "forwarding.sent");
    expect(sent).toMatchObject({ detail: { forwards: id, standing: true, arc_domain: "agents.test" } });
    expect(sent?.detail).not.toHaveProperty("key_id");
    expect(JSON.stringify(sent?.detail)).not.toContain(to);
    expect(await lastSent(box)).toMatchObject({ status: "sent", agent_id: null, to: [to], from_address: ANN });
    expect(unwrap(await box.stub.trackRecord(box.admin)).sent).toBe(0);
    await inObject(box, (object) => expect(object.history.knownRecipients([to]).size).toBe(0));
  });

  test("as the rules say: by sender, by subject, each recipient once", async () => {
    const [all, bank, bills, nobody] = [target(), target(), target(), target()];
    const box = await forwardingTo(all, {
      forward_rules: [
        { from_pattern: `*@${BANK}`, subject_contains: null, to: bank },
        { from_pattern: null, subject_contains: "INVOICE", to: bills },
        { from_pattern: BANK, subject_contains: "invoice", to: all.toUpperCase() },
        { from_pattern: "other.example", subject_contains: null, to: nobody },
      ],
    });
    await arrive(box, await signedMail({ subject: "Your invoice" }));
    await runAlarm(box);
    const counts = await Promise.all([all, bank, bills, nobody].map(async (to) => (await receivedFor(to)).length));
    expect(counts).toEqual([1, 1, 1, 0]);
    expect((await lastSent(box)).to).toEqual([all, bank, bills]);
  });

  test("attached to a mail of ours where it cannot be sealed, by a program and no agent", async () => {
    const to = target();
    const box = await forwardingTo(to, { ai_disclosure: true, signature_block: "Yours, Agent" });
    const raw = await arrive(box, "Subject: nobody wrote this\r\n\r\nx\r\n");
    await runAlarm(box);
    const [mail] = await receivedFor(to);
    expect(mail?.raw).toContain(`\r\n\r\n${latin1(raw)}\r\n--`);
    expect(mail?.raw).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(mail?.raw).toMatch(/^Subject: Fwd: nobody wrote this\r$/m);
    expect(mail?.raw).not.toMatch(/^X-MultiMail|^X-MM-|^X-AI-Generated|AI agent|Yours, Agent/im);
    expect(mail?.raw).toMatch(/^DKIM-Signature:/m);
  });

  test("though an agent deletes it, calls it spam, or wants the forwarding cancelled", async () => {
    const to = target();
    for (const mark of ["deleted", "spam_quarantined"] as const) {
      const box = await forwardingTo(to);
      await arrive(box, await signedMail());
      unwrap(await box.stub.mark(box.agent, (await lastArrived(box)).id, { status: mark }));
      await runAlarm(box);
    }
    expect(await receivedFor(to)).toHaveLength(2);
    const slow = target("defer-451");
    const box = await forwardingTo(slow);
    await arrive(box, await signedMail());
    await runAlarm(box);
    const { id } = await lastSent(box);
    expect(codeOf(await box.stub.cancel(box.agent, id, null))).toBe("agent_not_allowed");
    expect(codeOf(await box.stub.edit(box.agent, id, { to: [{ name: null, address: "x@y.example" }] }))).not.toBe("ok");
    expect(codeOf(await box.stub.cancel(box.overseer, id, "not needed"))).toBe("ok");
  });

  test("though the mode is tightened while it is still tried", async () => {
    const to = target("once-451");
    const box = await forwardingTo(to);
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    unwrap(await box.stub.update(box.admin, { oversight_mode: "read_only" }, null));
    await advanceClock(box, backoff(1) + 1_000);
    await runAlarm(box);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("though the object is thrown away between any two of its steps", async () => {
    for (const commits of [0, 1, 2, 3]) {
      const to = target(`step${commits}`);
      const box = await forwardingTo(to);
      await arrive(box, await signedMail());
      await inObject(box, (object) => {
        const commit = object.commit.bind(object);
        let left = commits;
        object.commit = (fn) => {
          if (left-- <= 0) throw new Error("the object is dead");
          return commit(fn);
        };
      });
      await runAlarm(box).catch(() => undefined);
      await abortAllDurableObjects();
      const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
      for (let alarm = 1; alarm < 5 && (await receivedFor(to)).length === 0; alarm++) {
        await advanceClock(alive, alarm * 200_000);
        await runAlarm(alive);
      }
      expect((await receivedFor(to)).length, `after ${commits} commits`).toBeGreaterThanOrEqual(1);
      expect((await actions(alive)).filter((action) => action === "forwarding.queued")).toHaveLength(1);
      await checkMailbox(alive);
    }
  }, 60_000);
});

describe("what stands still or fails", () => {
  test("waits while the panic switch is on", async () => {
    const to = target();
    const box = await forwardingTo(to);
    unwrap(await box.stub.update(box.admin, { paused: true }, null));
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    await loosen(box, { paused: false });
    await runAlarm(box);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("is recorded as failed where the far end refuses it, and does not count against the mailbox", async () => {
    const box = await forwardingTo(target("refuse-550"));
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect(await lastSent(box)).toMatchObject({ status: "send_failed" });
    expect(await actions(box)).toContain("forwarding.failed");
    expect(unwrap(await box.stub.trackRecord(box.admin)).bounced).toBe(0);
  });

  test("is not sent to where mail came back from; what a key enters does not end it, as no key may", async () => {
    const to = target();
    const box = await forwardingTo(to);
    const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
    await tenant.noteTrouble({ address: to, what: "hard_bounce", email_id: "em_1" });
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    unwrap(await tenant.addSuppression(box.admin, { address: to, reason: "manual", note: null }));
    expect(await actions(box)).toEqual(expect.arrayContaining(["delivery.suppressed", "forwarding.failed"]));
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect(await receivedFor(to)).toHaveLength(1);
  });

  test("is tried again after the store did not answer", async () => {
    const to = target();
    const box = await forwardingTo(to);
    await arrive(box, await signedMail());
    await inObject(box, (object) => {
      const STORE = { ...env.STORE, head: () => Promise.reject(new Error("R2 is away")) };
      object.environment = () => ({ ...env, STORE }) as unknown as Env;
    });
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    await abortAllDurableObjects();
    const alive = { ...box, stub: env.MAILBOX.getByName(box.mailbox.id.slice(-8)) };
    await advanceClock(alive, 120_000);
    await runAlarm(alive);
    expect(await receivedFor(to)).toHaveLength(1);
  });
});

describe("what is not passed on, and why the audit log says so", () => {
  const received = Array.from({ length: 51 }, (_, n) => `Received: from h${n}.example by h${n + 1}.example\r\n`).join(
    "",
  );
  test.each([
    ["automatic mail", { headers: "Auto-Submitted: auto-replied\r\n" }, "automatic"],
    ["a mailing list's", { headers: "List-Id: <x.example>\r\n" }, "automatic"],
    ["mail that went through 51 servers", { headers: received }, "loop"],
    ["mail with more than is read", { body: "x\r\n".repeat(170_000) }, "not_read_whole"],
  ])("%s", async (_what, mail, reason) => {
    const to = target();
    const box = await forwardingTo(to);
    await arrive(box, await signedMail(mail));
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    expect(await entryOf(box, "forwarding.skipped")).toMatchObject({ detail: { reason } });
  });

  test("a bounce, from the null sender", async () => {
    const to = target();
    const box = await forwardingTo(to);
    await arrive(box, await signedMail(), "");
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    expect(await entryOf(box, "forwarding.skipped")).toMatchObject({ detail: { reason: "automatic" } });
  });

  test("mail over what may leave", async () => {
    const to = target();
    const box = await forwardingTo(to);
    const head = `From: ${ANN}\r\nSubject: big\r\n\r\n`;
    await arrive(box, new Uint8Array(Buffer.alloc(11 * 1024 * 1024, "x\r\n").fill(head, 0, head.length, "latin1")));
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    expect(await entryOf(box, "forwarding.skipped")).toMatchObject({ detail: { reason: "too_large" } });
  }, 60_000);

  test("a decision link, though its bytes have it still", async () => {
    const to = target();
    const box = await forwardingTo(to);
    const link = `https://mail.test/v1/approve/${newDecisionToken(box.mailbox.id.slice(-8) as never)}`;
    await arrive(box, await signedMail({ body: `${link}\r\n` }));
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
    expect(await entryOf(box, "forwarding.skipped")).toMatchObject({ detail: { reason: "link_removed" } });
  });

  test("a message that comes back after it was passed on: two mailboxes that forward to each other stop", async () => {
    const one = await forwardingTo(target());
    const two = await forwardingTo(one.mailbox.address);
    await inObject(one, (object) =>
      object.commit(() => object.saveSettings({ ...object.settings(), forward_inbound: two.mailbox.address })),
    );
    await arrive(one, await signedMail());
    await runAlarm(one);
    const [there] = await receivedFor(two.mailbox.address);
    await arrive(two, there?.raw ?? "", there?.envelope.from);
    await runAlarm(two);
    const [back] = await receivedFor(one.mailbox.address);
    expect(back?.raw.match(/^ARC-Seal: i=/gm)).toHaveLength(2);
    expect(await judgeAtNextHop(octets(back?.raw ?? ""), "x@y.example")).toMatchObject({ arc_result: "pass" });
    await arrive(one, back?.raw ?? "", back?.envelope.from);
    await runAlarm(one);
    expect(await entryOf(one, "forwarding.skipped")).toMatchObject({ detail: { reason: "loop" } });
    expect(await receivedFor(two.mailbox.address)).toHaveLength(1);
  });

  test("anything, in a mailbox that nobody set to forward", async () => {
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    await arrive(box, await signedMail());
    await runAlarm(box);
    expect((await actions(box)).filter((action) => action.startsWith("forwarding"))).toEqual([]);
    expect((await emails(box)).filter(({ direction }) => direction === "outbound")).toEqual([]);
  });

  test("what waited when a person ended the forwarding", async () => {
    const to = target();
    const box = await forwardingTo(to);
    await arrive(box, await signedMail());
    await loosen(box, { forward_inbound: null });
    await runAlarm(box);
    expect(await receivedFor(to)).toEqual([]);
  });
});

test("a bounce of what was passed on marks its recipient, and tightens nothing", async () => {
  const to = target();
  const box = await forwardingTo(to);
  await arrive(box, await signedMail());
  await runAlarm(box);
  const { id } = await lastSent(box);
  const report =
    "From: MAILER-DAEMON@acme.example\r\nSubject: failed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.example\r\n\r\n" +
    `Final-Recipient: rfc822; ${to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n`;
  await arrive(box, report, "", bounceAddress(env, { email_id: id, position: 0 }, env.MAIL_DOMAIN, Date.now()));
  await runAlarm(box);
  expect(await lastSent(box)).toMatchObject({ id, status: "bounced" });
  expect(unwrap(await box.stub.trackRecord(box.admin)).bounced).toBe(0);
  await checkMailbox(box);
});

describe("the settings", () => {
  const path = (id: string) => `/v1/mailboxes/${id}`;

  test.each([
    ["forward_inbound", "Boss <boss@ACME.example>", "boss@acme.example", null],
    [
      "forward_rules",
      [{ from_pattern: "Bank.EXAMPLE", to: "Boss <boss@acme.example>" }],
      [{ from_pattern: "bank.example", subject_contains: null, to: "boss@acme.example" }],
      [],
    ],
  ])("%s: only the operator lets mail be sent away, or lets that end", async (setting, given, stored, none) => {
    const tenant = await makeTenant(["gated_send"]);
    const { id } = tenant.mailbox;
    const key = keyOf(tenant, "admin");
    const now = async () => (await call<Mailbox>(path(id), { key: keyOf(tenant, "read") })).body;
    for (const [json, before, after] of [
      [{ [setting]: given }, none, stored],
      [{ [setting]: none }, stored, none],
    ] as const) {
      expect(await now()).toMatchObject({ [setting]: before });
      expect((await withCode<Mailbox>(tenant, path(id), { method: "PATCH", key, json })).status).toBe(200);
      expect(await now()).toMatchObject({ [setting]: after });
    }
  });

  test("a mailbox that is made with them waits for the operator too", async () => {
    const tenant = await makeTenant(["gated_send"]);
    for (const json of [
      { forward_inbound: "boss@acme.example" },
      { forward_rules: [{ subject_contains: "x", to: "boss@acme.example" }] },
    ]) {
      const made = await call("/v1/mailboxes", {
        key: keyOf(tenant, "admin"),
        json: { address_local: localPart(), ...json },
      });
      expect(made.status).toBe(202);
    }
  });

  test.each([
    ["no address", { forward_inbound: "nobody" }],
    ["an empty one", { forward_inbound: "" }],
    ["two", { forward_inbound: "a@b.example, c@d.example" }],
    ["a header in it", { forward_inbound: "a@b.example\r\nBcc: c@d.example" }],
    ["a rule without a condition", { forward_rules: [{ to: "a@b.example" }] }],
    ["a rule with an empty condition", { forward_rules: [{ subject_contains: "", to: "a@b.example" }] }],
    ["a rule for everyone", { forward_rules: [{ from_pattern: "*", to: "a@b.example" }] }],
    ["a rule to nobody", { forward_rules: [{ from_pattern: "b.example" }] }],
    ["a rule with more", { forward_rules: [{ from_pattern: "b.example", to: "a@b.example", also: "x" }] }],
    [
      "21 rules",
      { forward_rules: Array.from({ length: 21 }, () => ({ from_pattern: "b.example", to: "a@b.example" })) },
    ],
  ])("are refused with %s", async (_what, json) => {
    const tenant = await makeTenant(["gated_send"]);
    const answer = await call<RefusalBody>(path(tenant.mailbox.id), {
      method: "PATCH",
      key: keyOf(tenant, "admin"),
      json,
    });
    expect(answer.status).toBe(422);
  });

  test("never name the mailbox itself", async () => {
    const tenant = await makeTenant(["gated_send"]);
    const { id, address } = tenant.mailbox;
    for (const [field, json] of [
      ["forward_inbound", { forward_inbound: address.replace("@", "+x@").toUpperCase() }],
      ["forward_rules.0.to", { forward_rules: [{ subject_contains: "x", to: address }] }],
    ] as const) {
      const answer = await call<RefusalBody>(path(id), { method: "PATCH", key: keyOf(tenant, "admin"), json });
      expect(answer).toMatchObject({
        status: 422,
        body: { issues: [{ path: field, message: "is the mailbox itself" }] },
      });
    }
  });
});
