import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { bounceAddress } from "../../src/mail/bounce-address.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { arf, block, dsn, PLAIN_FORMS, plain } from "../support/bounces.ts";
import {
  advanceClock,
  arrival,
  checkMailbox,
  EVERYTHING,
  inObject,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import {
  addressFor,
  arrive,
  autonomous,
  eventsOf,
  everything,
  read,
  returnPath,
  sent,
  suppressionOf,
} from "../support/returned-mail.ts";

const NO_MAILBOX = "550 5.1.1 There is no such mailbox here.";
const DAY = 24 * 3600_000;

/** A message that somebody's server took. */
async function taken(starts = ["ok"], change = {}) {
  const box = await autonomous();
  const to = starts.map((start) => addressFor(box, start));
  const id = await sent(box, to, change);
  const paths = await Promise.all(to.map(returnPath));
  const [first] = to;
  const [path] = paths;
  if (!first || !path) throw new Error("nobody was written to");
  return { box, to, first, id, paths, path };
}

const dead = (address: string, id?: string) =>
  dsn(
    [block("failed", "5.1.1", { to: address, diagnostic: "550 5.1.1 User unknown" })],
    id === undefined ? {} : { id },
  );

describe("a bounce", () => {
  test.each([
    ["hard", "5.1.1", "550 5.1.1 User unknown", "hard_bounce"],
    ["soft", "5.2.2", "552 5.2.2 Mailbox full", null],
    ["blocked", "5.7.1", "550 5.7.1 looks like spam", null],
  ])(
    "that is %s is the message's status, an event, an entry, and raw mail",
    async (kind, status, diagnostic, reason) => {
      const { box, first, id, path } = await taken();
      const mail = dsn([block("failed", status, { to: first.address, diagnostic })]);
      expect(await arrive(path, mail)).toBeNull();
      await runAlarm(box);
      expect(await read(box, id)).toMatchObject({
        status: "bounced",
        bounce_type: kind,
        bounced_at: expect.any(String),
        recipients: [{ state: "returned", response: diagnostic }],
      });
      expect(await suppressionOf(box, first)).toBe(reason);
      expect((await eventsOf(box)).at(-1)).toMatchObject({
        type: "message.bounced",
        data: { status: "bounced", recipient_position: 0, bounce_type: kind },
      });
      const entry = (await checkMailbox(box)).find(({ action }) => action === "delivery.returned");
      expect(entry?.detail).toMatchObject({ position: 0, form: "rfc3464", bounce_type: kind, status });
      expect(JSON.stringify(entry?.detail)).not.toContain("customer.example");
      const raw = await env.STORE.get(String(entry?.detail.raw_key));
      expect(await raw?.text()).toBe(mail);
      // It is no mail of the agent's.
      expect(unwrap(await box.stub.list(box.agent, { ...EVERYTHING, direction: "inbound" })).emails).toEqual([]);
    },
  );

  test.each(PLAIN_FORMS)("of the form %s is understood", async (form, mail, action, kind) => {
    const { box, id, path } = await taken();
    expect(await arrive(path, mail)).toBeNull();
    const [entry] = (await checkMailbox(box)).filter(({ detail }) => detail.form === form);
    expect(entry?.action).toBe(action === "failed" ? "delivery.returned" : "delivery.delayed");
    expect(await read(box, id)).toMatchObject(
      action === "failed" ? { status: "bounced", bounce_type: kind } : { status: "sent", bounce_type: null },
    );
  });

  test("of one recipient is theirs alone: the others have the message, and the message bounced once nobody has it", async () => {
    const { box, to, id, paths } = await taken(["one", "two"]);
    await arrive(paths[0] ?? "", dead(to[0]?.address ?? ""));
    expect(await read(box, id)).toMatchObject({
      status: "sent",
      bounce_type: "hard",
      recipients: [{ state: "returned" }, { state: "accepted" }],
    });
    await arrive(paths[1] ?? "", dead(to[1]?.address ?? ""));
    expect(await read(box, id)).toMatchObject({ status: "bounced" });
  });

  test("that comes while another recipient is still tried is in the status once nobody is", async () => {
    const box = await autonomous();
    const [ok, late] = [addressFor(box, "ok"), addressFor(box, "once-451")];
    const id = await sent(box, [ok, late]);
    expect(await arrive(await returnPath(ok), dead(ok.address))).toBeNull();
    expect(await read(box, id)).toMatchObject({
      status: "queued",
      recipients: [{ state: "returned" }, { state: "deferred" }],
    });
    await advanceClock(box, 2 * 60_000);
    await runAlarm(box);
    expect(await read(box, id)).toMatchObject({
      status: "sent",
      recipients: [{ state: "returned" }, { state: "accepted" }],
    });
    await arrive(await returnPath(late), dsn([block("delivered", "2.0.0", { to: late.address })]));
    expect(await read(box, id)).toMatchObject({ status: "delivered", delivered_at: expect.any(String) });
  });

  test("counts towards what makes a mailbox fall back, unless the address was only full", async () => {
    const box = await autonomous();
    const policy = {
      ...OPEN_POLICY,
      fall_back: { bounces: 0, complaints: null, days: 7, mode: "gated_send" as const },
    };
    expect(unwrap(await box.stub.setPolicy(box.admin, policy, null))).toHaveProperty("policy");
    const mode = async () => unwrap(await box.stub.describe(box.admin)).oversight_mode;
    const [full, gone] = [addressFor(box, "full"), addressFor(box, "gone")];
    await sent(box, [full]);
    await arrive(await returnPath(full), dsn([block("failed", "5.2.2", { to: full.address })]));
    expect(await mode()).toBe("autonomous");
    await sent(box, [gone]);
    await arrive(await returnPath(gone), dead(gone.address));
    expect(await mode()).toBe("gated_send");
  });

  test("that is faster than the outcome of its delivery is not lost: its server is to try again", async () => {
    const box = await autonomous();
    const hang = addressFor(box, "hang-rcpt");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [hang] })));
    await inObject(box, async (object) => {
      void object.alarm();
      while (object.messages.get(id).status !== "sending") await object.flush();
    });
    const path = bounceAddress(env, { email_id: id, position: 0 }, "agents.test", Date.now());
    await expect(arrive(path, dsn([block("failed", "5.1.1", { to: hang.address })]))).rejects.toThrow(
      /before the outcome/,
    );
    await inObject(box, (object) => expect(object.storage().exec("SELECT * FROM returned").toArray()).toEqual([]));
    await abortAllDurableObjects();
  });

  test("of 25 MiB is read and kept whole", async () => {
    const { box, first, id, path } = await taken();
    const mail = Buffer.concat([
      Buffer.from(dead(first.address)),
      Buffer.alloc(25 * 1024 * 1024 - 4096, "A line of the message that came back.\r\n"),
    ]);
    expect(await arrive(path, mail)).toBeNull();
    expect(await read(box, id)).toMatchObject({ status: "bounced" });
    const { objects } = await env.STORE.list({ prefix: `returned/${box.mailbox.tenant_id}/` });
    expect(objects.map(({ size }) => size)).toEqual([mail.length]);
  });

  test("with 10,000 others in it says nothing of this one, and is only noted", async () => {
    const { box, id, path } = await taken();
    const blocks = Array.from({ length: 10_000 }, (_, n) => block("failed", "5.1.1", { to: `r${n}@x.example` }));
    expect(await arrive(path, dsn(blocks))).toBeNull();
    expect(await read(box, id)).toMatchObject({ status: "sent", bounced_at: null });
  });
});

describe("soft bounces", () => {
  test("of three messages within two weeks suppress; the same message counts once, and old ones do not count", async () => {
    const box = await autonomous();
    const full = addressFor(box, "full");
    const softly = async (ahead: number, reports: number) => {
      await sent(box, [full], { subject: `at ${ahead}` });
      const path = await returnPath(full);
      for (let n = 0; n < reports; n++) {
        await arrive(path, dsn([block("failed", "5.2.2", { to: full.address })], { id: `<${ahead}-${n}@x.example>` }));
      }
      await runAlarm(box);
    };
    await softly(0, 5);
    await softly(1, 1);
    expect(await suppressionOf(box, full)).toBeNull();
    await softly(2, 1);
    expect(await suppressionOf(box, full)).toBe("soft_bounces");
  });
});

describe("a notification that it", () => {
  test.each([
    ["was delivered", [["delivered", "2.0.0"]], "delivered", "delivered"],
    ["is delayed", [["delayed", "4.4.1"]], "sent", "accepted"],
    ["was passed on", [["relayed", "2.0.0"]], "sent", "accepted"],
    [
      "was delivered and then came back",
      [
        ["delivered", "2.0.0"],
        ["failed", "5.1.1"],
      ],
      "bounced",
      "returned",
    ],
    [
      "came back and then was delivered",
      [
        ["failed", "5.1.1"],
        ["delivered", "2.0.0"],
      ],
      "bounced",
      "returned",
    ],
    [
      "was delivered, twice",
      [
        ["delivered", "2.0.0"],
        ["delivered", "2.0.0"],
      ],
      "delivered",
      "delivered",
    ],
  ])("%s", async (_what, reports, status, state) => {
    const { box, first, id, path } = await taken();
    for (const [action = "", code = ""] of reports) {
      expect(await arrive(path, dsn([block(action, code, { to: first.address })]))).toBeNull();
    }
    expect(await read(box, id)).toMatchObject({ status, recipients: [{ state }] });
    await checkMailbox(box);
  });

  test("was delivered, in a form that anybody's program writes, is not believed", async () => {
    const { box, id, path } = await taken();
    await arrive(path, plain("Your message was delivered.", { subject: "Delivery report" }));
    expect(await read(box, id)).toMatchObject({ status: "sent" });
  });
});

describe("an attacker cannot", () => {
  const unchanged = async (box: TestMailbox, attack: () => Promise<string | null>, answer: string | null) => {
    const before = await everything(box);
    expect(await attack()).toBe(answer);
    await runAlarm(box);
    expect(await everything(box)).toEqual(before);
  };

  test("forge a return path: it is an address like any that is not there", async () => {
    const { box, first, path } = await taken();
    const last = path.indexOf("@") - 1;
    const forged = `${path.slice(0, last)}${path[last] === "0" ? "1" : "0"}${path.slice(last + 1)}`;
    await unchanged(box, () => arrive(forged, dead(first.address)), NO_MAILBOX);
    await unchanged(box, () => arrive("bounces@agents.test", dead(first.address)), NO_MAILBOX);
    await unchanged(box, () => arrive("bounces+x@agents.test", dead(first.address)), NO_MAILBOX);
  });

  test("make another recipient's of the one they know", async () => {
    const { box, to, paths } = await taken(["one", "two"]);
    // The position is two characters behind the id.
    const [mine = "", theirs = ""] = paths;
    const swapped = `${mine.slice(0, 34)}${theirs.slice(34, 36)}${mine.slice(36)}`;
    expect(swapped).not.toBe(mine);
    await unchanged(box, () => arrive(swapped, dead(to[1]?.address ?? "")), NO_MAILBOX);
  });

  test("speak for another recipient in a report to their own return path", async () => {
    const { box, to, id, paths } = await taken(["one", "two"]);
    const victim = to[1]?.address ?? "";
    await arrive(
      paths[0] ?? "",
      dsn([block("delayed", "4.0.0", { to: to[0]?.address ?? "" }), block("failed", "5.1.1", { to: victim })]),
    );
    await runAlarm(box);
    expect(await read(box, id)).toMatchObject({
      status: "sent",
      recipients: [{ state: "accepted" }, { state: "accepted" }],
    });
    expect(await suppressionOf(box, { name: null, address: victim })).toBeNull();
  });

  test("use a return path after its time", async () => {
    const { box, first, path } = await taken();
    const later = Date.now() + 36 * DAY;
    await unchanged(box, () => arrive(path, dead(first.address), { now: () => later }), NO_MAILBOX);
  });

  test("send a report again: it changes nothing, and no more of it is kept", async () => {
    const { box, first, path } = await taken();
    await arrive(path, dead(first.address));
    await runAlarm(box);
    await unchanged(box, () => arrive(path, dead(first.address)), null);
  });

  test("fill the store with reports", async () => {
    const { box, first, path } = await taken();
    for (let n = 0; n < 20; n++) {
      await arrive(path, dsn([block("delayed", "4.4.1", { to: first.address })], { id: `<${n}@x.example>` }));
    }
    await unchanged(box, () => arrive(path, dead(first.address, "<21@x.example>")), null);
  });

  test("bounce what never was: a recipient too many, a message that is not there, a mailbox that is not", async () => {
    const { box, id } = await taken();
    const other = "em_01JABCDEFGHJKMNPQRSTVWXYZ0";
    const gone = `${id.slice(0, 12)}ZZZZZZZZ${id.slice(20)}`;
    for (const [email_id, position] of [
      [id, 1],
      [gone, 0],
      [other, 0],
    ] as const) {
      const path = bounceAddress(env, { email_id, position }, env.MAIL_DOMAIN, Date.now());
      await unchanged(box, () => arrive(path, dead("ana@customer.example")), NO_MAILBOX);
    }
  });

  test("bounce mail that a test key sent, which never left, or mail that came in", async () => {
    const box = await autonomous();
    const to = addressFor(box, "ok");
    const { id } = unwrap(await box.stub.submit({ ...box.agent, test: true }, submission(box, { to: [to] })));
    await runAlarm(box);
    const inbound = await box.stub.receive(arrival(box));
    for (const email_id of [id, inbound?.email_id ?? ""]) {
      const path = bounceAddress(env, { email_id, position: 0 }, env.MAIL_DOMAIN, Date.now());
      await unchanged(box, () => arrive(path, dead(to.address)), NO_MAILBOX);
    }
  });

  test("change anything by mail to an address that is no return path, whatever it says", async () => {
    const { box, first } = await taken();
    const addresses = fc.constantFrom(
      "complaints@agents.test",
      "bounces@agents.test",
      "bounces+a@agents.test",
      "no@agents.test",
    );
    const mails = fc.oneof(fc.string(), fc.constant(dead(first.address)), fc.constant(arf("Feedback-Type: abuse")));
    const before = await everything(box);
    await fc.assert(
      fc.asyncProperty(addresses, mails, async (to, mail) => {
        expect(await arrive(to, mail)).toMatch(/^550 /);
      }),
      { numRuns: 25 },
    );
    expect(await everything(box)).toEqual(before);
  });
});

describe("a complaint", () => {
  test.each([
    ["at the return path", (path: string) => [path, arf("Feedback-Type: abuse")]],
    [
      "at the address of feedback loops",
      (path: string) => ["complaints@agents.test", arf(`Feedback-Type: abuse\nOriginal-Mail-From: <${path}>`)],
    ],
    [
      "whose returned message names the return path",
      (path: string) => [
        "Complaints@Agents.Test",
        arf("Feedback-Type: abuse", `Return-Path: <${path}>\nSubject: Offer\n\nx\n`),
      ],
    ],
  ])("%s suppresses its recipient, and is the message's status", async (_where, mailFor) => {
    const { box, first, id, path } = await taken();
    const [to = "", mail = ""] = mailFor(path);
    expect(await arrive(to, mail, { from: "feedback@provider.example" })).toBeNull();
    await runAlarm(box);
    expect(await read(box, id)).toMatchObject({ status: "complained", recipients: [{ state: "complained" }] });
    expect(await suppressionOf(box, first)).toBe("complaint");
    expect((await eventsOf(box)).at(-1)).toMatchObject({ type: "message.complained", data: { status: "complained" } });
    const record = unwrap(await box.stub.trackRecord(box.admin));
    expect(record.complained).toBe(1);
    await checkMailbox(box);
  });

  test("without a return path of ours names nobody, whatever else it says, and is refused", async () => {
    const { box, first, path } = await taken();
    const before = await everything(box);
    const fields = `Feedback-Type: abuse\nOriginal-Rcpt-To: ${first.address}\nOriginal-Mail-From: <${path.replace("+0", "+1")}>`;
    expect(await arrive("complaints@agents.test", arf(fields))).toBe(
      "550 5.6.0 This report names no message that was sent from here.",
    );
    expect(await everything(box)).toEqual(before);
  });

  test.each([
    ["opt-out", "sent", "unsubscribed", "message.unsubscribed"],
    ["not-spam", "sent", null, "message.sent"],
  ])("of the type %s", async (type, status, reason, event) => {
    const { box, first, id, path } = await taken();
    expect(await arrive(path, arf(`Feedback-Type: ${type}`))).toBeNull();
    await runAlarm(box);
    expect(await read(box, id)).toMatchObject({ status });
    expect(await suppressionOf(box, first)).toBe(reason);
    expect((await eventsOf(box)).at(-1)?.type).toBe(event);
  });

  test("too many bring the mailbox back by itself", async () => {
    const { box, path } = await taken();
    const policy = {
      ...OPEN_POLICY,
      fall_back: { bounces: null, complaints: 0, days: 7, mode: "gated_send" as const },
    };
    unwrap(await box.stub.setPolicy(box.admin, policy, null));
    await arrive(path, arf("Feedback-Type: abuse"));
    expect(unwrap(await box.stub.describe(box.admin)).oversight_mode).toBe("gated_send");
  });
});

describe("what lies in R2 of something that came back", () => {
  const HOUR = 3600_000;
  const lying = async ({ mailbox }: TestMailbox) =>
    (await env.STORE.list({ prefix: `returned/${mailbox.tenant_id}/` })).objects.map(({ key }) => key);
  /** The worker is lost with a call of the mailbox's object under way. */
  const losing = (call: "takeReturned" | "receive") => ({
    ...env,
    MAILBOX: {
      getByName(name: string) {
        const stub = env.MAILBOX.getByName(name);
        return {
          receive: (message: Parameters<typeof stub.receive>[0]) => stub.receive(message),
          revokeLinks: () => Promise.resolve(0),
          expectReturned: (key: string) => stub.expectReturned(key),
          takeReturned: (returned: Parameters<typeof stub.takeReturned>[0]) => stub.takeReturned(returned),
          [call]: () => Promise.reject(new Error("the worker is lost")),
        };
      },
    },
  });
  const anHourOn = async (box: TestMailbox) => {
    await advanceClock(box, HOUR + 1);
    await runAlarm(box);
  };

  test.each([
    ["a report", "takeReturned", dead("ana@customer.example")],
    ["a complaint", "takeReturned", arf("Feedback-Type: abuse")],
  ] as const)("is gone after an hour where %s was never handed over", async (_what, call, mail) => {
    const { box, path } = await taken();
    await expect(arrive(path, mail, { env: losing(call) })).rejects.toThrow("the worker is lost");
    expect(await lying(box)).toHaveLength(1);
    await anHourOn(box);
    expect(await lying(box)).toEqual([]);
  });

  test("is gone after an hour where a complaint at the common address was never handed over", async () => {
    const { box, path } = await taken();
    const mail = arf(`Feedback-Type: abuse\nOriginal-Mail-From: <${path}>`);
    await expect(arrive(`complaints@${env.MAIL_DOMAIN}`, mail, { env: losing("takeReturned") })).rejects.toThrow(
      "the worker is lost",
    );
    expect(await lying(box)).toHaveLength(1);
    await anHourOn(box);
    expect(await lying(box)).toEqual([]);
  });

  test("stays where the report was taken, though the answer was lost", async () => {
    const { box, first, path } = await taken();
    let answers = 0;
    const whole = losing("receive");
    const MAILBOX = {
      getByName(name: string) {
        const stub = whole.MAILBOX.getByName(name);
        return {
          ...stub,
          takeReturned: async (returned: Parameters<typeof stub.takeReturned>[0]) => {
            const outcome = await env.MAILBOX.getByName(name).takeReturned(returned);
            if (answers++ === 0) throw new Error("the answer is lost");
            return outcome;
          },
        };
      },
    };
    expect(await arrive(path, dead(first.address), { env: { ...whole, MAILBOX } })).toBeNull();
    await anHourOn(box);
    expect(await lying(box)).toHaveLength(1);
  });

  test("is nothing of a mailbox that is not there: its object has no tables afterwards either", async () => {
    const stub = env.MAILBOX.getByName("ZZZZZZZY");
    expect(await stub.expectReturned("returned/x")).toBe(false);
  });
});

describe("an answer to a return path that is no report", () => {
  test("is mail like any other, flagged, in the mailbox that wrote", async () => {
    const { box, path } = await taken();
    const mail = plain("I am away.", {
      from: "ana@customer.example",
      subject: "Out of office",
      headers: "Auto-Submitted: auto-replied\n",
    });
    expect(await arrive(path, mail)).toBeNull();
    const { emails } = unwrap(await box.stub.list(box.agent, { ...EVERYTHING, direction: "inbound" }));
    expect(emails).toMatchObject([
      { subject: "Out of office", flags: ["auto_generated", "auto_submitted", "null_sender", "return_path"] },
    ]);
    expect((await env.STORE.list({ prefix: `returned/${box.mailbox.tenant_id}/` })).objects).toEqual([]);
  });

  test("is not answered where its envelope has no sender, unless somebody is named", async () => {
    const { box, path } = await taken();
    await arrive(path, plain("I am away.", { from: "ana@customer.example", subject: "Out of office" }));
    const { emails } = unwrap(await box.stub.list(box.agent, { ...EVERYTHING, direction: "inbound" }));
    const reply = { email_id: emails[0]?.id ?? "", all: false };
    expect(await box.stub.submit(box.agent, submission(box, { to: [], reply }))).toMatchObject({
      ok: false,
      refusal: { code: "wrong_state" },
    });
    expect((await box.stub.submit(box.agent, submission(box, { to: [addressFor(box, "ana")], reply }))).ok).toBe(true);
  });

  test("of a mailbox that was switched off is refused, and nothing of it stays", async () => {
    const { box, path } = await taken();
    unwrap(await box.stub.update(box.admin, { is_active: false }, null));
    expect(await arrive(path, plain("I am away.", { subject: "Out of office" }))).toBe(NO_MAILBOX);
    expect((await env.STORE.list({ prefix: `returned/${box.mailbox.tenant_id}/` })).objects).toEqual([]);
    // A report still counts: it says something of mail that was sent.
    expect(await arrive(path, dead("ana@customer.example"))).toBeNull();
  });
});

describe("two programs that answer each other", () => {
  test("are held after ten messages an hour; a person's thread is not", async () => {
    const box = await autonomous();
    const ana = addressFor(box, "ana");
    const talk = async (flags: string[]) => {
      let reply = {
        email_id: (await box.stub.receive(arrival(box, { flags, from: [ana] })))?.email_id ?? "",
        all: false,
      };
      const statuses: string[] = [];
      for (let n = 0; n < 11; n++) {
        const answer = unwrap(await box.stub.submit(box.agent, submission(box, { to: [], reply })));
        statuses.push(answer.status);
        const id = answer.id;
        const { rfc_message_id } = await inObject(box, (object) => object.messages.get(id));
        const back = arrival(box, { flags, from: [ana], in_reply_to: rfc_message_id ? [rfc_message_id] : [] });
        reply = { email_id: (await box.stub.receive(back))?.email_id ?? "", all: false };
      }
      return statuses;
    };
    expect(await talk([])).toEqual(Array(11).fill("queued"));
    expect(await talk(["auto_generated", "auto_submitted"])).toEqual([
      ...Array(10).fill("queued"),
      "pending_send_approval",
    ]);
  });
});
