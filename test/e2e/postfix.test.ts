import { randomBytes } from "node:crypto";
import nodemailer from "nodemailer";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorCode } from "../../dev/api.ts";
import { auditLogOf } from "../../dev/audit-log.ts";
import { multimailVerify } from "../../dev/multimail-command.ts";
import { CUSTOMER_DOMAIN } from "../../dev/senders.ts";
import { until } from "../../dev/until.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { testAuthority } from "../support/test-authority.ts";
import { reasonsOf } from "./identity-world.ts";
import { type Letter, letter } from "./postfix/letter.ts";
import {
  BOOKS,
  HOP,
  OFFICE,
  OFFICE_HOST,
  OFFICE_IP,
  Office,
  REFUSED,
  SEVEN_BIT_TAG,
  TAGGED,
} from "./postfix/office.ts";
import { verificationResults } from "./postfix/opendkim.ts";
import type { StoredMail } from "./postfix/postfix.ts";
import { hasPostfix } from "./postfix/programs.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

/**
 * Our mail through a real MTA, verified there, and its mail in to us: Postfix and OpenDKIM, as Debian has them. `npm run test:postfix`
 * runs it; without them, or for whoever is not root, it is skipped.
 */

const ALICE = `alice@${OFFICE}`;
const BOB = `bob@${OFFICE}`;
const GREYLISTED = `greylisted@${OFFICE}`;
const NOBODY = `nobody@${OFFICE}`;
const NINE_MB = 9_000_000;

let office: Office;
/** Sent first, as its second attempt comes a minute later. */
let greylisted: string;

const ours = (mode: Mode = "autonomous") => office.world.mailbox(mode).address;
const ourDomain = () => ours().split("@")[1] ?? "";

async function readEmail(id: string): Promise<Email> {
  return (await office.world.agent("GET", `/v1/emails/${id}`)).body as Email;
}

/** Waits for an email until it is as wanted. */
async function emailWhen(id: string, what: string, isSo: (email: Email) => boolean): Promise<Email> {
  return until(`${id}: ${what}`, async () => {
    const email = await readEmail(id);
    return isSo(email) ? email : null;
  });
}

/** @returns each recipient's state. */
function statesOf({ recipients }: Email): Record<string, string> {
  return Object.fromEntries(recipients.map(({ address, state }) => [address, state]));
}

const dkimResults = ({ trace }: StoredMail) => verificationResults(trace, OFFICE_HOST);

const bothPass = () => [`pass ${ourDomain()} rsa-sha256`, `pass ${ourDomain()} ed25519-sha256`];

/** What the command line says of a message, with the key document alone. */
async function verdictOf(raw: Uint8Array) {
  const [verdict] = await multimailVerify(
    office.world.write("message.eml", raw),
    ...["--key", await office.world.keyDocument(), "--domain", ourDomain()],
  );
  if (!verdict) throw new Error("the command said nothing");
  return verdict;
}

/** Hands a message to Postfix, as the people of the office do. */
async function handIn(
  subject: string,
  mail: Partial<Letter & { sender: string; recipient: string }> = {},
): Promise<void> {
  const { sender = ALICE, recipient = ours(), ...content } = mail;
  const client = await SmtpDialogue.open(office.postfix.options.people.port);
  const raw = letter({ from: ALICE, to: recipient, subject, ...content });
  const reply = await client.send({ from: sender, to: [recipient] }, raw);
  client.close();
  expect(reply).toMatch(/^250/);
}

describe.skipIf(!hasPostfix)("with Postfix and OpenDKIM, where they are installed, and as root", () => {
  beforeAll(async () => {
    office = await Office.start();
    greylisted = await office.world.send("autonomous", { to: GREYLISTED, subject: "Greylisted", text: "Hello" });
  }, 240_000);
  afterAll(() => office?.stop());

  describe("our mail", () => {
    it("waits for those whose server greylists it, with the server's words", async () => {
      const email = await emailWhen(greylisted, "tried", ({ recipients }) => recipients[0]?.attempts === 1);
      expect(email.recipients).toMatchObject([
        { state: "deferred", response: expect.stringMatching(/^450 4\.2\.0 .*Greylisted/) },
      ]);
    });

    it("arrives over TLS, OpenDKIM passes both signatures, and who wrote it is verified", async () => {
      const attachment = randomBytes(1000);
      const id = await office.world.send("autonomous", {
        to: ALICE,
        subject: "Grüße aus Köln",
        markdown: "Dear Alice,\n\n.\n\nFrom here **100** € are owed.",
        attachments: [{ name: "invoice.bin", content_base64: attachment.toString("base64") }],
      });
      const mail = await office.postfix.arrived(ALICE, id);
      expect(dkimResults(mail)).toEqual(bothPass());
      expect(mail.trace.find((line) => line.startsWith("Received:"))).toMatch(/using TLSv1\.[23] .* with ESMTPS /);
      expect(mail.trace).toContainEqual(
        expect.stringMatching(`^Return-Path: <bounces\\+[0-9a-z]{48}@${ourDomain()}>$`),
      );
      expect(await verdictOf(mail.message)).toMatchObject({ verified: true, reasons: [] });
      const parsed = await PostalMime.parse(mail.message);
      expect(parsed.subject).toBe("Grüße aus Köln");
      expect(Buffer.from(parsed.attachments[0]?.content as ArrayBuffer)).toEqual(attachment);
      expect(await emailWhen(id, "sent", ({ status }) => status === "sent")).toMatchObject({
        recipients: [
          { address: ALICE, state: "accepted", response: expect.stringMatching(/^250 2\.0\.0 Ok: queued as/) },
        ],
      });
    });

    /** What somebody does with a message of ours before they hand it to Postfix as if it were new. */
    const changes: [string, (raw: string) => string, () => string[]][] = [
      ["as it is", (raw) => raw, bothPass],
      [
        "with another body",
        (raw) => raw.replace("100", "900"),
        () => bothPass().map((each) => each.replace("pass", "fail")),
      ],
      [
        "with a second From",
        (raw) => `From: <boss@${OFFICE}>\r\n${raw}`,
        () => bothPass().map((each) => each.replace("pass", "fail")),
      ],
      ["without signatures", (raw) => raw.replace(/DKIM-Signature:[^\n]*\n(?:[ \t][^\n]*\n)*/g, ""), () => ["none"]],
    ];
    it.each(changes)("handed in again %s, OpenDKIM says what it is", async (what, change, expected) => {
      const subject = `Again ${what}`;
      const id = await office.world.send("autonomous", { to: BOB, subject, text: "It is 100 euros." });
      const { message } = await office.postfix.arrived(BOB, id);
      const relay = nodemailer.createTransport({
        ...{ host: "localhost", port: office.postfix.options.submission.port },
        ...{ requireTLS: true, tls: { ca: testAuthority().authority } },
      });
      const raw = Buffer.from(change(message.toString("latin1")), "latin1");
      await relay.sendMail({ envelope: { from: "stranger@evil.example", to: ALICE }, raw });
      relay.close();
      expect(dkimResults(await office.postfix.arrived(ALICE, id))).toEqual(expected());
    });

    it("is ASCII, so that a next hop without 8BITMIME gets the very same bytes", async () => {
      const to = [ALICE, `carol@${HOP}`];
      const id = await office.world.send("autonomous", { to, subject: "Ümlaut", markdown: "Füße, Öl und 🎉" });
      const { message } = await office.postfix.arrived(ALICE, id);
      const hop = await until("the message at the next hop", () => office.atHop(`carol@${HOP}`));
      expect(hop.message.toString("latin1")).toBe(message.toString("latin1"));
      expect(message.every((octet) => octet < 128)).toBe(true);
      expect(dkimResults(hop)).toEqual(bothPass());
      expect((await verdictOf(hop.message)).verified).toBe(true);
      // What is not ASCII is rewritten on this very way.
      await handIn("Rewritten", { recipient: `erik@${HOP}`, body: "Füße und Öl\r\n" });
      const rewritten = await until("the other message at the next hop", () => office.atHop(`erik@${HOP}`));
      expect(rewritten.message.toString("latin1")).toContain("\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    });

    it("no longer verifies once a hop wrote into its subject", async () => {
      await office.world.send("autonomous", { to: `dora@${TAGGED}`, subject: "Plain", text: "Hello" });
      const hop = await until("the message at the next hop", () => office.atHop(`dora@${TAGGED}`));
      expect((await PostalMime.parse(hop.message)).subject).toBe("[external] Plain");
      const verdict = await verdictOf(hop.message);
      expect([verdict.verified, reasonsOf(verdict)]).toEqual([false, ["signature_invalid"]]);
    });

    it("of nine megabytes arrives whole", async () => {
      // Base64 in lines of 76 characters: three octets are four and a bit.
      const attachment = randomBytes(Math.ceil((NINE_MB * 57) / 78));
      const id = await office.world.send("autonomous", {
        to: ALICE,
        subject: "Nine megabytes",
        text: "See the attachment.",
        attachments: [{ name: "large.bin", content_base64: attachment.toString("base64") }],
      });
      const mail = await office.postfix.arrived(ALICE, id);
      expect(mail.message.length).toBeGreaterThan(NINE_MB);
      expect(dkimResults(mail)).toEqual(bothPass());
      expect((await verdictOf(mail.message)).verified).toBe(true);
      const [part] = (await PostalMime.parse(mail.message)).attachments;
      expect(attachment.equals(Buffer.from(part?.content as ArrayBuffer))).toBe(true);
    });

    it("is accepted for one recipient and refused for another, in one session", async () => {
      const id = await office.world.send("monitored", {
        to: [ALICE, REFUSED],
        subject: "Two of them",
        text: "Hello",
      });
      await office.postfix.arrived(ALICE, id);
      const email = await emailWhen(id, "both answered", ({ status }) => status === "sent");
      expect(statesOf(email)).toEqual({ [ALICE]: "accepted", [REFUSED]: "bounced" });
      expect(email.recipients[1]?.response).toMatch(/^550 5\.1\.1 <refused@office\.example>: .*No such mailbox/);
    });

    it("goes to a domain beyond ASCII by its A-label, without SMTPUTF8", async () => {
      const id = await office.world.send("autonomous", {
        to: "alice@bücher.example",
        subject: "Books",
        text: "Hello",
      });
      const mail = await office.postfix.arrived(`alice@${BOOKS}`, id);
      expect(mail.trace).toContain(`X-Original-To: alice@${BOOKS}`);
      expect(dkimResults(mail)).toEqual(bothPass());
    });

    it("is refused at submission where SMTPUTF8 would be needed: Postfix never hears of it", async () => {
      const path = `/v1/mailboxes/${office.world.mailbox("autonomous").id}/send`;
      const answer = await office.world.agent("POST", path, {
        to: `ålice@${OFFICE}`,
        subject: "Hello",
        text: "Hello",
      });
      expect([answer.status, errorCode(answer)]).toEqual([422, "invalid_address"]);
    });
  });

  describe("what Postfix reports", () => {
    it("an address it does not know is taken, then bounced: that recipient, and nobody else", async () => {
      const id = await office.world.send("monitored", {
        to: [NOBODY, BOB],
        subject: "Is anybody there?",
        text: "Hello",
      });
      await office.postfix.arrived(BOB, id);
      const email = await emailWhen(id, "a bounce", ({ bounced_at }) => bounced_at !== null);
      expect(statesOf(email)).toEqual({ [NOBODY]: "returned", [BOB]: "accepted" });
      expect(email.bounce_type).toBe("hard");
      expect(email.recipients[0]?.response).toBe(`unknown user: "${NOBODY}"`);
      const returned = await until("the bounce in the audit log", async () =>
        (await auditLogOf(office.world.admin, office.world.mailbox("monitored").id)).find(
          ({ action, resource }) => action === "delivery.returned" && resource.id === id,
        ),
      );
      expect(returned.detail).toMatchObject({ form: "rfc3464", status: "5.1.1", bounce_type: "hard", position: 0 });
    });

    it("and is written to no more", async () => {
      const found = await until("the suppression", async () => {
        const { body } = await office.world.admin("GET", `/v1/suppression?address=${NOBODY}`);
        return (body as { suppressed: boolean }).suppressed ? body : null;
      });
      expect(found).toMatchObject({ suppressions: [{ address: NOBODY, reason: "hard_bounce" }] });
      const path = `/v1/mailboxes/${office.world.mailbox("autonomous").id}/send`;
      const answer = await office.world.agent("POST", path, { to: NOBODY, subject: "Still there?", text: "Hello" });
      expect(errorCode(answer)).toBe("recipient_suppressed");
    });

    it("a return path that was never given bounces nobody, whatever comes back to it", async () => {
      const id = await office.world.send("monitored", { to: BOB, subject: "For Bob", text: "Hello" });
      const { trace } = await office.postfix.arrived(BOB, id);
      const path = /^Return-Path: <(.*)>$/m.exec(trace.join("\n"))?.[1] ?? "";
      const forged = path.replace(/.(?=@)/, (last) => (last === "0" ? "1" : "0"));
      // Postfix itself writes the report, about somebody who is not there.
      office.postfix.sendmail(forged, `stranger@${OFFICE}`, "Subject: forged\n\nHello\n");
      const refused = `to=<${forged}>, .* status=bounced .* said: 550 5\\.1\\.1 There is no such mailbox here`;
      await until("the report's refusal", () => new RegExp(refused.replace("+", "\\+")).exec(office.postfix.log()));
      expect(statesOf(await readEmail(id))).toEqual({ [BOB]: "accepted" });
    });

    it("late is not lost, and lost after all is a soft bounce", async () => {
      const late = `defer-451@${HOP}`;
      const id = await office.world.send("monitored", { to: late, subject: "In no hurry", text: "Hello" });
      const email = await emailWhen(id, "a bounce", ({ bounced_at }) => bounced_at !== null);
      expect([statesOf(email), email.bounce_type]).toEqual([{ [late]: "returned" }, "soft"]);
      const reports = await until("both reports in the audit log", async () => {
        const log = await auditLogOf(office.world.admin, office.world.mailbox("monitored").id);
        const found = log.filter(
          ({ action, resource }) => resource.id === id && /^delivery\.(delayed|returned)$/.test(action),
        );
        return found.length === 2 ? found : null;
      });
      expect(reports.map(({ action, detail }) => [action, detail.changed])).toEqual([
        ["delivery.delayed", false],
        ["delivery.returned", true],
      ]);
    });
  });

  describe("Postfix's mail to us", () => {
    async function received(subject: string): Promise<Email> {
      const path = `/v1/mailboxes/${office.world.mailbox("autonomous").id}/emails?direction=inbound&limit=100`;
      const summary = await until(`"${subject}" in the inbox`, async () => {
        const { emails } = (await office.world.agent("GET", path)).body as { emails: EmailSummary[] };
        return emails.find((email) => email.subject === subject);
      }).catch((cause: unknown) => {
        throw new Error(office.postfix.log(), { cause });
      });
      return readEmail(summary.id);
    }

    const passes = () => ({
      ...{ dkim_result: "pass", dkim_domain: OFFICE, spf_result: "pass", dmarc_result: "pass" },
      authentication: {
        checks: {
          dkim: { result: "pass", domain: OFFICE },
          spf: { result: "pass", domain: OFFICE, reason: expect.stringContaining(OFFICE_IP) },
          dmarc: { result: "pass", domain: OFFICE, policy: "reject", disposition: "none" },
        },
      },
    });

    it("signed by OpenDKIM passes DKIM, SPF by Postfix's own address, and DMARC", async () => {
      await handIn("By SMTP");
      expect(await received("By SMTP")).toMatchObject({ ...passes(), text: expect.stringContaining("Hello") });
    });

    it("from a program on its machine passes too", async () => {
      const raw = letter({ from: ALICE, to: ours(), subject: "By sendmail" }).toString("utf8");
      office.postfix.sendmail(ALICE, ours(), raw.replaceAll("\r\n", "\n"));
      expect(await received("By sendmail")).toMatchObject(passes());
    });

    it("of 8 bit passes, as it is not rewritten on its way", async () => {
      await handIn("Eight bit", { body: "Füße und Öl\r\n" });
      expect(await received("Eight bit")).toMatchObject({
        ...passes(),
        text: expect.stringContaining("Füße und Öl"),
      });
    });

    it("of nine megabytes passes", async () => {
      await handIn("Nine in", { body: `${"x".repeat(98)}\r\n`.repeat(NINE_MB / 100) });
      expect(await received("Nine in")).toMatchObject(passes());
    });

    it("rewritten in 7 bit after it was signed fails DKIM, and passes DMARC by SPF alone", async () => {
      const recipient = ours().replace("@", `${SEVEN_BIT_TAG}@`);
      await handIn("Seven bit", { recipient, body: "Füße und Öl\r\n" });
      const email = await received("Seven bit");
      expect(email).toMatchObject({ dkim_result: "fail", spf_result: "pass", dmarc_result: "pass" });
      expect(email.authentication).toMatchObject({ checks: { dmarc: { by: "spf" } } });
      expect(email.text).toContain("Füße und Öl");
    });

    const customer = `alice@${CUSTOMER_DOMAIN}`;
    /** As if our own server had already judged it, when the customer's server handed it in. */
    const judged = () =>
      `Received: from mx.${CUSTOMER_DOMAIN} ([127.0.0.1])\r\n by mx.${ourDomain()} with ESMTP id 1;\r\n Sat, 21 Nov 2026 12:00:00 +0000\r\n` +
      `Authentication-Results: mx.${ourDomain()}; dkim=pass header.d=${CUSTOMER_DOMAIN};\r\n spf=pass smtp.mailfrom=${CUSTOMER_DOMAIN}; dmarc=pass header.from=${CUSTOMER_DOMAIN}\r\n`;
    const forgeries: [string, () => Parameters<typeof handIn>[1], { result: string; domain: string }][] = [
      ["in another's name", () => ({ from: customer }), { result: "pass", domain: OFFICE }],
      [
        "in another's name and envelope",
        () => ({ from: customer, sender: customer }),
        { result: "fail", domain: CUSTOMER_DOMAIN },
      ],
      [
        "in another's name, as if it had been judged",
        () => ({ from: customer, sender: customer, trace: judged() }),
        { result: "fail", domain: CUSTOMER_DOMAIN },
      ],
    ];
    it.each(forgeries)("%s fails DMARC, whatever its SPF is", async (what, mail, spf) => {
      await handIn(what, mail());
      const email = await received(what);
      expect(email).toMatchObject({ dkim_result: "none", spf_result: spf.result, dmarc_result: "fail" });
      expect(email.authentication).toMatchObject({
        checks: { spf, dmarc: { domain: CUSTOMER_DOMAIN, by: null, disposition: "reject" } },
      });
    });

    it("that answers ours comes into its thread", async () => {
      const id = await office.world.send("autonomous", { to: ALICE, subject: "A question", text: "Is it so?" });
      await office.postfix.arrived(ALICE, id);
      const { rfc_message_id, thread_id } = await readEmail(id);
      const more = `In-Reply-To: ${rfc_message_id}\r\nReferences: ${rfc_message_id}\r\n`;
      await handIn("Re: A question", { more });
      expect((await received("Re: A question")).thread_id).toBe(thread_id);
    });

    it("to a mailbox that is not here comes back to its writer, with our words", async () => {
      const to = `nobody@${ourDomain()}`;
      await handIn("Is this right?", { recipient: to });
      const bounce = await office.postfix.arrived(ALICE, "Is this right?");
      const words = (await PostalMime.parse(bounce.message)).text?.replace(/\s+/g, " ");
      expect(words).toContain(`<${to}>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 There is no such mailbox here.`);
    });
  });

  it("our mail that was greylisted is tried again by itself, and arrives once", async () => {
    // After a minute, which is as long as `until` waits.
    const tried = () => until("a second attempt", () => (office.greylist.accepted.length > 0 ? true : null));
    await tried().catch(tried);
    const email = await emailWhen(greylisted, "sent", ({ status }) => status === "sent");
    expect(email.recipients).toMatchObject([{ state: "accepted", attempts: 2 }]);
    await office.postfix.arrived(GREYLISTED, greylisted);
    expect(office.postfix.mailIn(GREYLISTED).map(dkimResults)).toEqual([bothPass()]);
  }, 150_000);
});
