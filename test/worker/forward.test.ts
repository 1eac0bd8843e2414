import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Submission } from "../../durable-objects/mailbox-rpc.ts";
import type { Env } from "../../src/env.ts";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { readBounceAddress } from "../../src/mail/bounce-address.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { MODES } from "../../src/oversight/modes.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { call, keyOf, makeTenant, type RefusalBody } from "../support/door-harness.ts";
import {
  ANN,
  arrive,
  BANK,
  judgeAtNextHop,
  lastArrived,
  lastSent,
  latin1,
  octets,
  ownSelectors,
  publishAll,
  signedMail,
  throughList,
} from "../support/forwarding.ts";
import {
  APPROVED_BY_PERSON,
  caller,
  chainOf,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

beforeAll(async () => {
  await makeMailbox();
  await publishAll();
});

/** An address of this test's own; its beginning says what the relay answers. */
function address(box: Pick<TestMailbox, "mailbox">, start = "ok"): MailAddress {
  return { name: null, address: `${start}-${box.mailbox.id.slice(-8).toLowerCase()}@customer.example` };
}

const NO_COMMENT = { text: "", html: null, markdown: null, subject: null };

function forwarding(box: TestMailbox, email_id: string, change: Partial<Submission> = {}): Submission {
  return submission(box, { ...NO_COMMENT, to: [address(box)], forward: { email_id }, ...change });
}

const withComment = (text: string) => ({ ...NO_COMMENT, text });

async function forward(box: TestMailbox, email_id: string, change: Partial<Submission> = {}): Promise<SendAnswer> {
  return unwrap(await box.stub.submit(box.agent, forwarding(box, email_id, change)));
}

/** Lets a mail of Ann's bank arrive. @returns its id and its bytes. */
async function arrived(box: TestMailbox, mail: { subject?: string; body?: string; headers?: string } = {}) {
  const raw = await arrive(box, await signedMail(mail));
  return { id: (await lastArrived(box)).id, raw };
}

const autonomous = () =>
  makeMailbox({ oversight_mode: "autonomous", signature_block: "Yours, Agent", ai_disclosure: true });

async function approve(box: TestMailbox, id: string): Promise<void> {
  unwrap(await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }));
}

async function read(box: TestMailbox, id: string) {
  return unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
}

describe("without a comment a message is passed on as it is:", () => {
  test("its bytes end the mail, its signature holds, and the next hop believes the seal", async () => {
    const box = await autonomous();
    const { id, raw } = await arrived(box);
    const answer = await forward(box, id);
    expect(answer).toMatchObject({
      form: "redirected",
      authentication: {
        dkim: "left_as_it_came",
        arc: "sealed_at_delivery",
        identity_signed: false,
        identity_forms: [],
      },
    });
    await runAlarm(box);
    const [mail] = await receivedFor(address(box).address);
    expect(mail?.raw.endsWith(latin1(raw))).toBe(true);
    const before = mail?.raw.slice(0, -raw.length) ?? "";
    expect(before).toMatch(/^Received: by agents\.test \(MultiMail\) id em_/);
    expect(before.match(/^ARC-[\w-]+: i=1/gm)).toHaveLength(3);
    expect(before).toContain(`Delivered-To: ${box.mailbox.address}\r\n`);
    expect(before).not.toMatch(/DKIM-Signature:|X-MultiMail|X-MM-|X-AI/i);
    expect(before).not.toContain(address(box).address);
    expect(readBounceAddress(env, mail?.envelope.from ?? "", Date.now())).toEqual({ email_id: answer.id, position: 0 });
    const found = await judgeAtNextHop(octets(mail?.raw ?? ""), mail?.envelope.from ?? "");
    expect(found).toMatchObject({ dkim_result: "pass", dkim_domain: BANK, dmarc_result: "pass", arc_result: "pass" });
  });

  test("after a hop that breaks the signature the chain still tells what was found of its author here", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    await forward(box, id);
    await runAlarm(box);
    const [mail] = await receivedFor(address(box).address);
    const relayed = octets(mail?.raw ?? "");
    const broken = octets(latin1(relayed).replace(/^Subject: /m, "Subject: [list] "));
    expect(await judgeAtNextHop(broken, "x@lists.example")).toMatchObject({ dkim_result: "fail", arc_result: "fail" });
    const found = await judgeAtNextHop(await throughList(relayed, mail?.envelope.from ?? ""), "x@lists.example");
    expect(found).toMatchObject({ dkim_result: "fail", dmarc_result: "fail", arc_result: "pass" });
    const ours = /^ARC-Authentication-Results: i=1;(?:[^\r]|\r\n[ \t])*/m.exec(mail?.raw ?? "")?.[0];
    expect(ours).toMatch(/agents\.test;/);
    expect(ours).toMatch(new RegExp(`dkim=pass[^;]*${BANK.replaceAll(".", "\\.")}`));
  });

  test("what is kept of it is what left, and it says whose words they are", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const sent = await forward(box, id);
    await runAlarm(box);
    const email = await read(box, sent.id);
    const original = await read(box, id);
    expect(email).toMatchObject({
      ...{ status: "sent", direction: "outbound", thread_id: original.thread_id, from_address: ANN, subject: "Pay" },
      ...{ rfc_message_id: original.rfc_message_id, identity_headers: {}, to: [address(box).address] },
      text: original.text,
    });
    expect(email.headers).not.toHaveProperty("To");
    const kept = await env.STORE.get(`raw/${box.mailbox.tenant_id}/${box.mailbox.id}/${sent.id}.eml`);
    expect(await kept?.text()).toBe((await receivedFor(address(box).address))[0]?.raw);
  });

  test("the audit log says who forwarded what to whom, and under which seal", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const sent = await forward(box, id, { agent_id: "desk" });
    await runAlarm(box);
    const chain = await checkMailbox(box);
    const placed = chain.find(({ action, resource }) => action === "message.queued" && resource.id === sent.id);
    expect(placed?.detail).toMatchObject({ forwards: id, form: "redirected" });
    const entry = chain.find(({ action }) => action === "forwarding.sent");
    expect(entry).toMatchObject({
      resource: { id: sent.id },
      detail: {
        ...{ forwards: id, form: "redirected", standing: false, key_id: box.agent.key_id, agent_id: "desk" },
        ...{ arc_domain: "agents.test", arc_selector: (await ownSelectors())[0] },
      },
      sealed: expect.anything(),
    });
    expect(JSON.stringify(entry?.detail)).not.toContain(address(box).address);
  });

  test("mail that the mailbox itself sent goes on under its own signature, without a seal", async () => {
    const box = await autonomous();
    const first = address(box, "first");
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [first] })));
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id)))).toBe("wrong_state");
    await runAlarm(box);
    await forward(box, id);
    await runAlarm(box);
    const [own] = await receivedFor(first.address);
    const [mail] = await receivedFor(address(box).address);
    expect(mail?.raw).not.toMatch(/^ARC-|^Delivered-To/im);
    expect(mail?.raw.endsWith(own?.raw ?? "nothing")).toBe(true);
    expect(mail?.raw.match(/^X-MultiMail-Identity:/gm)).toHaveLength(1);
  });

  test("what came from the null sender keeps it, so that no bounce is answered by a bounce", async () => {
    const box = await autonomous();
    await arrive(box, await signedMail(), "");
    await forward(box, (await lastArrived(box)).id);
    await runAlarm(box);
    expect((await receivedFor(address(box).address))[0]?.envelope.from).toBe("");
  });

  test("by a test key nothing leaves, and nothing is sealed", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const answer = unwrap(await box.stub.submit({ ...box.agent, test: true }, forwarding(box, id)));
    expect(answer).toMatchObject({ sandbox: true, authentication: { arc: "not_sealed" } });
    await runAlarm(box);
    expect(await status(box, answer.id)).toBe("sent");
    expect(await receivedFor(address(box).address)).toEqual([]);
    const kept = await env.STORE.get(`raw/${box.mailbox.tenant_id}/${box.mailbox.id}/${answer.id}.eml`);
    expect(await kept?.text()).not.toContain("ARC-");
  });
});

describe("a message is attached, byte for byte, to one of the mailbox's own", () => {
  const attachedIn = async (box: TestMailbox, raw: Uint8Array) => {
    const [mail] = await receivedFor(address(box).address);
    expect(mail?.raw).toContain(`Content-Type: message/rfc822\r\n`);
    expect(mail?.raw).toContain(`\r\n\r\n${latin1(raw)}\r\n--`);
    return mail;
  };

  test("with a comment: under our From, with our signatures over it", async () => {
    const box = await autonomous();
    const { id, raw } = await arrived(box);
    const answer = await forward(box, id, withComment("Please have a look."));
    expect(answer).toMatchObject({
      form: "attached",
      authentication: { dkim: "signed_at_delivery", identity_signed: true },
    });
    await runAlarm(box);
    const mail = await attachedIn(box, raw);
    expect(mail?.raw).toMatch(/^Subject: Fwd: Pay\r$/m);
    expect(mail?.raw).toContain(`<${box.mailbox.address}>`);
    expect(mail?.raw).toContain("Please have a look.");
    expect(mail?.raw).not.toMatch(/^ARC-/m);
    const found = await judgeAtNextHop(octets(mail?.raw ?? ""), mail?.envelope.from ?? "");
    expect(found.dkim_signatures.map(({ result, domain }) => `${result} ${domain}`)).toEqual([
      "pass agents.test",
      "pass agents.test",
    ]);
  });

  test.each([
    ["it has two Froms", `From: ${ANN}\r\nFrom: x@y.example\r\nSubject: Pay\r\n\r\nx\r\n`],
    ["it has no From", "Subject: Pay\r\n\r\nx\r\n"],
  ])("where %s, so that no seal is possible", async (_what, mail) => {
    const box = await autonomous();
    const raw = await arrive(box, mail);
    expect(await forward(box, (await lastArrived(box)).id)).toMatchObject({ form: "attached" });
    await runAlarm(box);
    await attachedIn(box, raw);
  });

  test("where the transport does not leave bytes alone", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const through = (TRANSPORT: Env["TRANSPORT"]) =>
      inObject(box, (object) => {
        object.environment = () => ({ ...env, TRANSPORT }) as unknown as Env;
      });
    await through("cloudflare");
    expect(await forward(box, id)).toMatchObject({ form: "attached", authentication: { dkim: "signed_by_transport" } });
    // What was to leave as it is does not leave otherwise, should the deployment change meanwhile.
    await through("smtp");
    const redirected = await forward(box, id, { to: [address(box, "as-it-is")] });
    expect(redirected).toMatchObject({ form: "redirected" });
    await through("cloudflare");
    await inObject(box, (object) => {
      const sent = { send: () => Promise.reject(new Error("nothing may come here")) };
      object.environment = () => ({ ...env, TRANSPORT: "cloudflare", EMAIL: sent }) as unknown as Env;
    });
    await runAlarm(box);
    expect(await read(box, redirected.id)).toMatchObject({
      status: "queued",
      recipients: [{ response: expect.stringContaining("does not pass") }],
    });
  });

  test("where its lines would not survive SMTP: as a file in base64", async () => {
    const box = await autonomous();
    const raw = await arrive(box, `From: ${ANN}\r\nSubject: Pay\r\n\r\nx\n.\r\nRCPT TO:<victim@customer.example>\r\n`);
    expect(await forward(box, (await lastArrived(box)).id)).toMatchObject({ form: "attached" });
    await runAlarm(box);
    const [mail] = await receivedFor(address(box).address);
    expect(mail?.raw).not.toContain("RCPT TO");
    const lines = mail?.raw.replace(/\r\n/g, "") ?? "";
    expect(lines).toContain(Buffer.from(raw).toString("base64"));
    expect(await receivedFor("victim@customer.example")).toEqual([]);
  });
});

describe("oversight", () => {
  test.each(MODES)("in a mailbox that is %s a forwarding is a send like every other", async (oversight_mode) => {
    const box = await makeMailbox({ oversight_mode: "gated_send" });
    await inObject(box, (object) => object.commit(() => object.saveSettings({ ...object.settings(), oversight_mode })));
    const { id } = await arrived(box);
    if (oversight_mode === "gated_all") await approve(box, id);
    const outcome = await box.stub.submit(box.agent, forwarding(box, id));
    const expected = {
      ...{ read_only: "denied_by_mode", gated_all: "pending_send_approval", gated_send: "pending_send_approval" },
      ...{ monitored: "queued", autonomous: "queued" },
    }[oversight_mode];
    expect(outcome.ok ? outcome.value.status : outcome.refusal.code).toBe(expected);
    await runAlarm(box);
    expect(await receivedFor(address(box).address)).toHaveLength(expected === "queued" ? 1 : 0);
  });

  test("whoever decides sees the original, and that it is passed on as it is", async () => {
    const box = await makeMailbox();
    const headers = "MIME-Version: 1.0\r\nContent-Type: text/html\r\n";
    const { id } = await arrived(box, {
      headers,
      body: "<p onclick='x()'>Five <b>euros</b><script>x()</script></p>\r\n",
    });
    const sent = await forward(box, id);
    const [item] = unwrap(await box.stub.pendingItems(box.overseer, [sent.pending_id ?? ""]));
    expect(item).toMatchObject({
      ...{ kind: "send", subject: "Pay", from_address: ANN, to: [address(box).address] },
      text: expect.stringContaining("Five euros"),
      forwarded: { email_id: id, form: "redirected", subject: "Pay", text: null, html: null },
    });
    expect(item?.html).toContain("<b>euros</b>");
    expect(item?.html).not.toMatch(/script|onclick/);
    const person = { address: "approver@people.example", via: "console" } as const;
    const view = await box.stub.openItem(person, sent.pending_id ?? "", "show");
    expect(view).toMatchObject({ state: "open", item: { source: null, forwarded: { form: "redirected" } } });
    await approve(box, sent.id);
    await runAlarm(box);
    expect(await receivedFor(address(box).address)).toHaveLength(1);
    await checkMailbox(box);
  });

  test("whoever decides sees what is attached: its author, its words and its files", async () => {
    const box = await makeMailbox();
    const headers = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    const body =
      "--b\r\nContent-Type: text/html\r\n\r\n<p>Five euros<script>x()</script></p>\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=bill.pdf\r\n\r\nx\r\n--b--\r\n";
    const { id } = await arrived(box, { headers, body });
    const sent = await forward(box, id, withComment("Look."));
    const [item] = unwrap(await box.stub.pendingItems(box.overseer, [sent.pending_id ?? ""]));
    expect(item).toMatchObject({
      text: expect.stringContaining("Look."),
      attachments: [{ name: "forwarded-message.eml", content_type: "message/rfc822" }],
      forwarded: {
        ...{ form: "attached", email_id: id, subject: "Pay", from: `Ann <${ANN}>`, text: "Five euros" },
        ...{
          html: expect.stringMatching(/^<p>Five euros<\/p>\s*$/),
          attachments: [{ name: "bill.pdf", content_type: "application/pdf" }],
        },
      },
    });
  });

  test("the content hash has the bytes in it: the same words in other bytes are another message", async () => {
    const box = await makeMailbox();
    const hashes = [];
    for (const body of ["Five euros\r\n", "Five euros\r\n\r\n"]) {
      const { id } = await arrived(box, { body });
      const sent = await forward(box, id);
      const [item] = unwrap(await box.stub.pendingItems(box.overseer, [sent.pending_id ?? ""]));
      hashes.push(item?.content_hash);
    }
    expect(new Set(hashes).size).toBe(2);
  });

  const rules = {
    content: {
      ...OPEN_POLICY,
      content: [{ name: "w", in: ["body" as const], keywords: ["euros"], pattern: null, action: "hold" as const }],
    },
    attachments: {
      ...OPEN_POLICY,
      attachments: [{ name: "f", types: ["application/pdf"], larger_than: null, action: "hold" as const }],
    },
    new_recipients: { ...OPEN_POLICY, hold_new_recipients: true },
  };
  test.each([
    ["a keyword in its text", "content", ""],
    ["a keyword in what is attached", "content", "Look."],
    ["its file", "attachments", ""],
    ["a file of what is attached", "attachments", "Look."],
  ] as const)("a rule holds it for %s", async (_what, rule, text) => {
    const box = await autonomous();
    const headers = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    const body =
      "--b\r\nContent-Type: text/plain\r\n\r\nFive euros\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=bill.pdf\r\n\r\nx\r\n--b--\r\n";
    const { id } = await arrived(box, { headers, body });
    await inObject(box, (object) => object.commit(() => object.savePolicy(rules[rule])));
    expect(await forward(box, id, withComment(text))).toMatchObject({
      status: "pending_send_approval",
      verdict: { rule },
    });
  });

  test.each(["", "Look again."])("a rule reads what was wrapped in a forwarding before (comment %j)", async (text) => {
    const box = await autonomous();
    const headers = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    const body =
      "--b\r\nContent-Type: text/plain\r\n\r\nFive euros\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=bill.pdf\r\n\r\nx\r\n--b--\r\n";
    const { id } = await arrived(box, { headers, body });
    const once = await forward(box, id, { ...withComment("Look."), to: [address(box, "one")] });
    await runAlarm(box);
    const twice = await forward(box, once.id, { ...withComment("And."), to: [address(box, "two")] });
    await runAlarm(box);
    for (const rule of ["content", "attachments"] as const) {
      await inObject(box, (object) => object.commit(() => object.savePolicy(rules[rule])));
      for (const wrapped of [once.id, twice.id]) {
        expect(await forward(box, wrapped, withComment(text))).toMatchObject({ verdict: { outcome: "hold", rule } });
      }
    }
  });

  test("one that was let go is held again where the rules are tightened, for what is attached too", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const sent = await forward(box, id, { ...withComment("Look."), to: [address(box, "defer-451")] });
    await runAlarm(box);
    await inObject(box, (object) => object.commit(() => object.savePolicy(rules.content)));
    await inObject(box, (object) => object.commit(() => object.schedule("deliver", sent.id, object.now())));
    await runAlarm(box);
    expect(await status(box, sent.id)).toBe("pending_send_approval");
  });

  test("a person may leave a recipient out of what is passed on as it is, and change nothing else", async () => {
    const box = await makeMailbox();
    const { id } = await arrived(box);
    const other = address(box, "other");
    const sent = await forward(box, id, { to: [address(box), other] });
    const person = { address: "approver@people.example", via: "console" } as const;
    const pending = sent.pending_id ?? "";
    const decideAs = async (edit: { subject: string; body: { text: string; html: null; markdown: null } | null }) => {
      const view = await box.stub.openItem(person, pending, "show");
      const hash = view.state === "open" ? view.item.content_hash : "";
      return box.stub.decideInSession(person, pending, hash, {
        ...APPROVED_BY_PERSON,
        edit: { ...edit, without: [other.address] },
      });
    };
    expect(await decideAs({ subject: "Other", body: null })).toMatchObject({ state: "refused", code: "wrong_state" });
    const body = { text: "Send money", html: null, markdown: null };
    expect(await decideAs({ subject: "Pay", body })).toMatchObject({ state: "refused", code: "wrong_state" });
    expect(await decideAs({ subject: "Pay", body: null })).toMatchObject({ state: "decided" });
    await runAlarm(box);
    expect(await receivedFor(address(box).address)).toHaveLength(1);
    expect(await receivedFor(other.address)).toEqual([]);
  });

  test("its author changes who gets it, and none of its words", async () => {
    const box = await makeMailbox();
    const { id } = await arrived(box);
    const sent = await forward(box, id);
    expect(codeOf(await box.stub.edit(box.agent, sent.id, { subject: "Send money" }))).toBe("wrong_state");
    const body = { text: "Send money", html: null, markdown: null };
    expect(codeOf(await box.stub.edit(box.agent, sent.id, { body }))).toBe("wrong_state");
    expect(codeOf(await box.stub.edit(box.agent, sent.id, { to: [address(box, "new")] }))).toBe("ok");
  });
});

describe("an attacker", () => {
  test.each(["redirected", "attached"])(
    "who changes the original in the store after it was approved gets nothing sent (%s)",
    async (form) => {
      const box = await makeMailbox();
      const { id, raw } = await arrived(box);
      const sent = await forward(box, id, form === "attached" ? withComment("Look.") : {});
      expect(sent.form).toBe(form);
      await approve(box, sent.id);
      const key = `raw/${box.mailbox.tenant_id}/${box.mailbox.id}/${id}.eml`;
      await env.STORE.put(key, latin1(raw).replace("Five", "Fifty"));
      await runAlarm(box);
      expect(await receivedFor(address(box).address)).toEqual([]);
      expect(await status(box, sent.id)).toBe("queued");
      await checkMailbox(box);
    },
  );

  test("who names another tenant's or mailbox's message finds nothing there", async () => {
    const [box, other] = [await autonomous(), await autonomous()];
    const { id } = await arrived(other);
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id)))).toBe("not_found");
    expect(codeOf(await other.stub.submit(box.agent, forwarding(other, id)))).toBe("not_found");
    expect(
      codeOf(await box.stub.submit(box.agent, forwarding(box, newId("em", Date.now(), box.mailbox.id.slice(-8))))),
    ).toBe("not_found");
  });

  test("who forwards what no person has released, or has refused, finds nothing there; once released it is forwarded", async () => {
    const box = await makeMailbox({ oversight_mode: "gated_all" });
    for (const decision of ["approve", "reject"] as const) {
      const { id } = await arrived(box);
      expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id)))).toBe("not_found");
      unwrap(await decide(box, box.overseer, { email_id: id, decision, reason: null, content_hash: null }));
      expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id)))).toBe(
        decision === "approve" ? "ok" : "not_found",
      );
    }
  });

  test("who may read nothing without asking does not read by forwarding what no person let them have", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const colleague = { ...box.agent, key_id: newId("key", Date.now()) };
    const theirs = unwrap(await box.stub.submit(colleague, submission(box, { to: [address(box, "theirs")] }))).id;
    await runAlarm(box);
    unwrap(await box.stub.update(box.admin, { oversight_mode: "gated_all" }, null));
    for (const unread of [id, theirs]) {
      expect(codeOf(await box.stub.submit(box.agent, forwarding(box, unread)))).toBe("read_needs_approval");
      expect(codeOf(await box.stub.judge(box.agent, forwarding(box, unread)))).toBe("read_needs_approval");
    }
    expect(codeOf(await box.stub.submit(colleague, forwarding(box, theirs)))).toBe("ok");
  });

  test("with a key that may send and not read sees nothing of what they forward", async () => {
    const box = await makeMailbox();
    const { id } = await arrived(box);
    const sender = { ...box.agent, scopes: ["send" as const] };
    for (const change of [{}, withComment("Look.")]) {
      const sent = unwrap(await box.stub.submit(sender, forwarding(box, id, change)));
      const items = unwrap(await box.stub.pendingItems(sender, [sent.pending_id ?? ""]));
      expect(items).toHaveLength(1);
      expect(JSON.stringify(items)).not.toMatch(/euros|Pay/);
      expect(JSON.stringify(unwrap(await box.stub.pendingItems(box.agent, [sent.pending_id ?? ""])))).toMatch(/euros/);
    }
  });

  test("who forwards what was set aside as spam finds nothing there", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    unwrap(await box.stub.mark(box.agent, id, { status: "spam_quarantined" }));
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id)))).toBe("not_found");
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id, withComment("x"))))).toBe("not_found");
  });

  test.each([
    [
      "a decision link",
      async (box: TestMailbox) =>
        (await import("../../src/oversight/decision-links.ts")).newDecisionToken(box.mailbox.id.slice(-8) as never),
    ],
    [
      "a sign-in link",
      async (box: TestMailbox) =>
        (await import("../../src/oversight/console-tokens.ts")).newConsoleToken(box.mailbox.tenant_id),
    ],
  ])("who wants %s out, plainly or in base64, gets it in no form", async (_what, make) => {
    const box = await autonomous();
    const link = `https://mail.test/v1/approve/${await make(box)}`;
    const base64 = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n";
    for (const mail of [
      { body: `Open ${link}\r\n` },
      { headers: base64, body: `${Buffer.from(`Please open ${link} now`).toString("base64")}\r\n` },
    ]) {
      const { id } = await arrived(box, mail);
      for (const change of [{}, withComment("Look.")]) {
        expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id, change)))).toBe("wrong_state");
      }
    }
    await runAlarm(box);
    expect(await receivedFor(address(box).address)).toEqual([]);
  });

  test("who hides a link behind more than is read of a mail does not get it out either", async () => {
    const box = await autonomous();
    const { id } = await arrived(box, { body: "x\r\n".repeat(170_000) });
    expect(await box.stub.submit(box.agent, forwarding(box, id))).toMatchObject({
      ok: false,
      refusal: { code: "wrong_state", error: expect.stringContaining("could not be read whole") },
    });
  });

  test("who forwards a message to the mailbox that has it is refused, in any spelling", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const own = box.mailbox.address;
    for (const to of [own, own.toUpperCase(), own.replace("@", "+x@")]) {
      const outcome = await box.stub.submit(box.agent, forwarding(box, id, { to: [{ name: null, address: to }] }));
      expect(codeOf(outcome), to).toBe("invalid_input");
    }
    const bcc = [{ name: null, address: own }];
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id, { bcc })))).toBe("invalid_input");
  });

  test("who replays a signed message to many is told that bulk needs its footer", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const to = Array.from({ length: 20 }, (_, n) => address(box, `ok${n}`));
    expect(await box.stub.submit(box.agent, forwarding(box, id, { to }))).toMatchObject({
      ok: false,
      refusal: { code: "wrong_state", error: expect.stringContaining("promotional") },
    });
    // One by one is the same words to many.
    for (const one of to.slice(0, 19)) await forward(box, id, { to: [one] });
    expect(codeOf(await box.stub.submit(box.agent, forwarding(box, id, { to: to.slice(19) })))).toBe("wrong_state");
  });

  test("who forwards to a suppressed recipient is refused, and one suppressed meanwhile gets nothing", async () => {
    const box = await autonomous();
    const { id } = await arrived(box);
    const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
    const suppress = (one: MailAddress) =>
      tenant.addSuppression(box.admin, { address: one.address, reason: "manual", note: null });
    const [before, later] = [address(box, "before"), address(box, "later")];
    unwrap(await suppress(before));
    await inObject(box, (object) => object.drain());
    const sent = await forward(box, id, { to: [later] });
    unwrap(await suppress(later));
    await runAlarm(box);
    expect(await status(box, sent.id)).toBe("send_failed");
    expect(await receivedFor(later.address)).toEqual([]);
    expect((await chainOf(box)).map(({ action }) => action)).toContain("forwarding.failed");
  });

  test("who makes up what was read of the original is not believed", async () => {
    const box = await makeMailbox();
    const { id } = await arrived(box);
    const original = {
      ...{ email_id: id, form: "redirected" as const, content_type: "message/rfc822", size: 1, sha256: "0".repeat(64) },
      ...{ raw_key: "raw/other/tenant.eml", text: "Harmless", html: null },
    };
    const sent = await forward(box, id, { original });
    const [item] = unwrap(await box.stub.pendingItems(box.overseer, [sent.pending_id ?? ""]));
    expect(item?.text).toContain("Five euros");
    expect(codeOf(await box.stub.submit(box.agent, submission(box, { original })))).toBe("ok");
  });
});

describe("by the door", () => {
  async function world() {
    const tenant = await makeTenant(["gated_send"]);
    const { mailbox } = tenant;
    const stub = env.MAILBOX.getByName(mailbox.id.slice(-8));
    const overseer = caller(tenant.id, ["read", "oversight"]);
    const box: TestMailbox = { mailbox, stub, overseer, agent: overseer, admin: overseer, stranger: overseer };
    const raw = await arrive(box, await signedMail());
    const path = `/v1/mailboxes/${mailbox.id}/forward/${(await lastArrived(box)).id}`;
    return { box, tenant, raw, path, key: keyOf(tenant, "agent") };
  }

  test("it is held, listed with its original, repeated by its idempotency key, and sent once approved", async () => {
    const { box, tenant, path, key } = await world();
    const json = { to: address(box).address, agent_id: undefined, tags: ["x"], idempotency_key: "k1" };
    const first = await call<SendAnswer>(path, { key, json });
    expect(first).toMatchObject({ status: 202, body: { status: "pending_send_approval", form: "redirected" } });
    const again = await call<SendAnswer>(path, { key, json });
    expect(again).toMatchObject({ status: 200, body: { id: first.body.id, idempotent: true } });
    expect((await call(path, { key, json: { ...json, text: "Look." } })).status).toBe(409);
    const pending = await call<PendingItem>(`/v1/oversight/pending/${first.body.pending_id}`, {
      key: keyOf(tenant, "overseer"),
    });
    expect(pending.body.forwarded).toMatchObject({ form: "redirected", subject: "Pay" });
    const { content_hash } = pending.body;
    const decided = await call("/v1/oversight/decide", {
      key: keyOf(tenant, "oversight"),
      json: { email_id: first.body.id, decision: "approve", content_hash },
    });
    expect(decided.status).toBe(200);
    await runAlarm(box);
    expect(await receivedFor(address(box).address)).toHaveLength(1);
    expect((await lastSent(box)).tags).toEqual({ x: "" });
  });

  test("a comment attaches it, a dry run stores nothing", async () => {
    const { box, path, key } = await world();
    const json = { to: address(box).address, markdown: "**Look.**" };
    const dry = await call(path, { key, json: { ...json, dry_run: true } });
    expect(dry).toMatchObject({ status: 200, body: { dry_run: true } });
    expect((await call<SendAnswer>(path, { key, json })).body).toMatchObject({ form: "attached" });
  });

  test.each([
    ["nobody to forward to", {}, 422, "invalid_input"],
    ["an empty list", { to: [] }, 422, "invalid_input"],
    ["a line break in `to`", { to: "a@b.example\r\nBcc: victim@c.example" }, 422, "forbidden_characters"],
    ["a group", { to: "all: a@b.example, c@d.example;" }, 422, "invalid_address"],
    ["no address", { to: "nobody" }, 422, "invalid_address"],
    ["51 recipients", { to: Array.from({ length: 51 }, (_, n) => `a${n}@b.example`) }, 422, "too_many_recipients"],
    ["a subject, which is the original's", { to: "a@b.example", subject: "x" }, 422, "invalid_input"],
    ["files", { to: "a@b.example", attachments: [] }, 422, "invalid_input"],
    ["a looser mode", { to: "a@b.example", oversight_mode: "reckless" }, 422, "invalid_input"],
    ["text and markdown", { to: "a@b.example", text: "x", markdown: "y" }, 422, "invalid_input"],
    ["a body over 256 KiB", { to: "a@b.example", text: "x".repeat(256 * 1024 + 1) }, 422, "invalid_input"],
  ])("bad input changes nothing: %s", async (_what, json, status, code) => {
    const { box, path, key } = await world();
    const before = (await chainOf(box)).length;
    expect(await call<RefusalBody>(path, { key, json })).toMatchObject({ status, body: { code } });
    expect((await chainOf(box)).length).toBe(before);
  });

  test("an original over what may leave is refused before anything is stored", async () => {
    const box = await autonomous();
    await arrive(
      box,
      octets(
        `From: ${ANN}\r\nSubject: big\r\n\r\n${"x".repeat(76)}\r\n`
          .padEnd(25 * 1024 * 1024 - 2, "x\r\n")
          .concat("\r\n"),
      ),
    );
    const { id } = await lastArrived(box);
    const before = (await chainOf(box)).length;
    const outcome = await box.stub.submit(box.agent, forwarding(box, id));
    expect(codeOf(outcome)).toBe("too_large");
    expect((await chainOf(box)).length).toBe(before);
  }, 60_000);

  test("a key without `send`, another tenant's key and an unknown message get what they always get", async () => {
    const { box, tenant, path } = await world();
    const other = await makeTenant(["autonomous"]);
    const json = { to: address(box).address };
    expect((await call(path, { key: keyOf(tenant, "read"), json })).status).toBe(403);
    expect((await call(path, { key: keyOf(other, "agent"), json })).status).toBe(404);
    expect((await call(`${path}X`, { key: keyOf(tenant, "agent"), json })).status).toBe(404);
  });
});
