import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { partsOfRaw } from "../../src/identity/mime-leaves.ts";
import { authenticateMessage } from "../../src/mail/authenticate.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";
import { forwardTargets, ruleInWords } from "../../src/mail/forward-rules.ts";
import {
  attachedType,
  forwardSubject,
  isLooping,
  isSameMailbox,
  redirectMessage,
  whyUnpassable,
  wireForm,
} from "../../src/mail/forwarded-message.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { parseMessage } from "../../src/mail/parse.ts";
import { txtResolver } from "../support/arc-suite.ts";

const octets = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("how a message is written", () => {
  test.each([
    ["plain lines", "A: b\r\n\r\nc\r\n", { plain_lines: true, eight_bit: false, long_lines: false }],
    ["nothing at all", "", { plain_lines: true, eight_bit: false, long_lines: false }],
    ["octets above 127", "A: b\r\n\r\n\xe9\r\n", { plain_lines: true, eight_bit: true, long_lines: false }],
    ["a bare LF", "A: b\r\n\r\nc\n.\r\n", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["a bare CR", "A: b\r\n\r\nc\rd\r\n", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["CR CR LF", "A: b\r\r\n\r\nc\r\n", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["LF first", "\nA: b\r\n", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["NUL", "A: b\r\n\r\n\0\r\n", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["a last line without its end", "A: b\r\n\r\nc", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["a CR at the very end", "A: b\r\n\r\nc\r", { plain_lines: false, eight_bit: false, long_lines: false }],
    ["998 octets in a line", `${"x".repeat(998)}\r\n`, { plain_lines: true, eight_bit: false, long_lines: false }],
    ["999 octets in a line", `a\r\n${"x".repeat(999)}\r\n`, { plain_lines: true, eight_bit: false, long_lines: true }],
  ])("%s", (_what, text, form) => {
    expect(wireForm(octets(text))).toEqual(form);
  });

  test.each([
    ["plain", { plain_lines: true, eight_bit: false, long_lines: false }, false, "message/rfc822"],
    ["8 bit, carried", { plain_lines: true, eight_bit: true, long_lines: false }, true, "message/rfc822"],
    [
      "8 bit, not carried",
      { plain_lines: true, eight_bit: true, long_lines: false },
      false,
      "application/octet-stream",
    ],
    ["long lines", { plain_lines: true, eight_bit: false, long_lines: true }, true, "application/octet-stream"],
    ["bare line ends", { plain_lines: false, eight_bit: false, long_lines: false }, true, "application/octet-stream"],
  ])("decides under which type it is attached: %s", (_what, form, takes8Bit, type) => {
    expect(attachedType(form, takes8Bit)).toBe(type);
  });
});

describe("an attached message", () => {
  const content: MessageContent = {
    from: { name: null, address: "agent@agents.test" },
    reply_to: [],
    to: [{ name: null, address: "bob@partner.example" }],
    cc: [],
    bcc: [],
    subject: "Fwd: Offer",
    text: "Look at this.",
    html: "<p>Look at this.</p>",
    attachments: [
      {
        name: "forwarded-message.eml",
        content_type: "message/rfc822",
        disposition: "attachment",
        content_id: null,
        size: 0,
        sha256: "",
        key: "",
      },
    ],
    in_reply_to: null,
    references: [],
  };
  const compose = (original: Uint8Array, encloses?: true) =>
    composeMessage({
      content,
      attachments: [original],
      message_id: "<em_1@agents.test>",
      date: new Date(0),
      ...(encloses && { encloses }),
    });

  test.each([
    ["plain", "From: a@b.example\r\nSubject: x\r\n\r\nHello\r\n", "7bit"],
    ["several empty lines at its end", "From: a@b.example\r\n\r\nHello\r\n\r\n\r\n", "7bit"],
    ["white space at line ends", "From: a@b.example\r\n\r\nHello \t\r\n", "7bit"],
    ["no body", "From: a@b.example\r\n\r\n", "7bit"],
    ["a line with a dot", "From: a@b.example\r\n\r\n.\r\n", "7bit"],
    [
      "a boundary of its own",
      "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nA\r\n--x--\r\n",
      "7bit",
    ],
    ["octets above 127", "From: a@b.example\r\n\r\n\xe9\xff\r\n", "8bit"],
  ])("stands in the message byte for byte: %s", async (_what, text, encoding) => {
    const raw = latin1(await compose(octets(text), true));
    expect(raw).toContain(`\r\n\r\n${text}\r\n--`);
    expect(raw).toMatch(new RegExp(`Content-Type: message/rfc822\\r\\nContent-Transfer-Encoding: ${encoding}`));
    expect(raw).not.toMatch(/Content-Type: message\/rfc822; name/i);
    const parsed = await parseMessage(octets(raw));
    expect(parsed.text.trim()).toBe("Look at this.");
    expect(parsed.attachments).toHaveLength(1);
    expect(parsed.attachments[0]).toMatchObject({ name: "forwarded-message.eml", content_type: "message/rfc822" });
    // What is signed of it are its bytes.
    const { attachments_sha256, unreadable } = await partsOfRaw(octets(raw));
    expect({ attachments_sha256, unreadable }).toEqual({
      attachments_sha256: [createHash("sha256").update(octets(text)).digest("hex")],
      unreadable: null,
    });
  });

  test("a file that an agent calls a message stays a file", async () => {
    const raw = latin1(await compose(octets("From: a@b.example\r\n\r\nHello\r\n")));
    expect(raw).toContain("application/octet-stream");
    expect(raw).not.toContain("message/rfc822");
  });
});

test("what is passed on as it is cannot be composed", async () => {
  const content = { from: { name: null, address: "a@b.example" }, reply_to: [], to: [], cc: [], bcc: [], subject: "" };
  const rest = { text: "", html: null, attachments: [], in_reply_to: null, references: [], redirected: "ab" };
  await expect(
    composeMessage({
      content: { ...content, ...rest },
      attachments: [],
      message_id: "<1@b.example>",
      date: new Date(0),
    }),
  ).rejects.toThrow("cannot be composed");
});

describe("a redirected message", () => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keyOf = (domain: string): DkimSigningKey => ({
    domain,
    selector: "s",
    algorithm: "rsa-sha256",
    private_key_pem: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  });
  const record = `v=DKIM1; k=rsa; p=${pair.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
  const dns = txtResolver({
    "s._domainkey.bank.example": record,
    "s._domainkey.agents.test": record,
    "_dmarc.bank.example": "v=DMARC1; p=reject",
  });
  const now = Date.UTC(2026, 10, 25, 12);
  const judge = (raw: Uint8Array, envelope_from: string) =>
    authenticateMessage(
      {
        ...{ raw, envelope_from, client: null, mta: "mx.next.example", now },
        from: [{ name: null, address: "ann@bank.example" }],
      },
      dns,
    );
  const mail = octets("From: ann@bank.example\r\nTo: agent@agents.test\r\nSubject: Pay\r\n\r\nFive euros  \r\n");

  test("ends with the original's bytes, keeps its signature valid, and carries a seal that the next hop believes", async () => {
    const original = await signDkim(mail, [keyOf("bank.example")], new Date(now));
    const verdicts = await judge(original, "ann@bank.example");
    const { raw, is_sealed } = await redirectMessage(original, {
      ...{ delivered_to: "agent@agents.test", by: "agents.test", id: "em_1", now },
      sealing: { key: keyOf("agents.test"), verdicts, authserv_id: "agents.test" },
    });
    expect(is_sealed).toBe(true);
    expect(latin1(raw).endsWith(latin1(original))).toBe(true);
    expect(latin1(raw)).toMatch(
      /^Received: by agents\.test \(MultiMail\) id em_1;\r\n Wed, 25 Nov 2026 12:00:00 \+0000\r\nARC-/,
    );
    expect(latin1(raw)).toContain("\r\nDelivered-To: agent@agents.test\r\n");
    expect(latin1(raw)).not.toContain("partner");
    expect(await judge(raw, "bounces@agents.test")).toMatchObject({ dkim_result: "pass", arc_result: "pass" });
    // A hop after that breaks the signature; the seal still tells what was found here.
    const broken = octets(latin1(raw).replace("Subject: Pay", "Subject: [list] Pay"));
    expect(await judge(broken, "x@next.example")).toMatchObject({ dkim_result: "fail", arc_result: "fail" });
  });

  test("of the mailbox's own mail has neither Delivered-To nor a seal", async () => {
    const { raw, is_sealed } = await redirectMessage(mail, {
      ...{ delivered_to: null, by: "agents.test", id: "em_1", now, sealing: null },
    });
    expect(is_sealed).toBe(false);
    expect(latin1(raw).replace(/^Received:.*\r\n .*\r\n/, "")).toBe(latin1(mail));
  });
});

describe("what is never passed on", () => {
  test.each([
    [[], false, null],
    [["no_from", "auto_generated"], false, null],
    [["link_removed"], false, "link_removed"],
    [["large", "link_removed"], false, "link_removed"],
    [["large"], false, "not_read_whole"],
    [["unparseable"], false, "not_read_whole"],
    [["headers_truncated"], false, "not_read_whole"],
    [["attachments_truncated"], false, "not_read_whole"],
    [["text_truncated"], false, "not_read_whole"],
    [["nesting_truncated"], false, "not_read_whole"],
    [["auto_generated", "mailing_list"], false, null],
    [["auto_generated", "mail_loop"], false, "loop"],
    [[], true, "promotional"],
  ])("flags %j, promotional %s: %s", (flags, is_promotional, why) => {
    expect(whyUnpassable({ flags, is_promotional })).toBe(why);
  });

  const OWN = "agent@agents.test";
  test.each<[string, [string, string][], boolean]>([
    ["nothing that names it", [["To", OWN]], false],
    ["it was delivered here before", [["Delivered-To", OWN]], true],
    ["the same in capitals, with a tag and brackets", [["delivered-to", " <Agent+x@AGENTS.test> "]], true],
    ["it was delivered to another", [["Delivered-To", "other@agents.test"]], false],
    ["49 servers", Array.from({ length: 49 }, () => ["Received", "x"]), false],
    ["50 servers", Array.from({ length: 50 }, () => ["Received", "x"]), false],
    ["51 servers", Array.from({ length: 51 }, () => ["received", "x"]), true],
  ])("a loop: %s", (_what, headers, loops) => {
    expect(isLooping(headers, OWN)).toBe(loops);
  });
});

test.each([
  ["Offer", "Fwd: Offer"],
  ["Fwd: Offer", "Fwd: Offer"],
  ["FW: Offer", "FW: Offer"],
  ["", "Fwd:"],
  ["x".repeat(2_000), `Fwd: ${"x".repeat(993)}`],
  [`${"x".repeat(992)}\u{1F381}`, `Fwd: ${"x".repeat(992)}\uFFFD`],
])("the subject %j becomes %j", (subject, forwarded) => {
  expect(forwardSubject(subject, 998)).toBe(forwarded);
});

test.each([
  ["agent@agents.test", "Agent+tag@AGENTS.test", true],
  ["agent@agents.test", "agent2@agents.test", false],
  ["agent@agents.test", "agent@agents.test.example", false],
])("%s and %s are one mailbox: %s", (one, other, same) => {
  expect(isSameMailbox(one, other)).toBe(same);
});

describe("to whom arriving mail is passed on", () => {
  const rule = (from_pattern: string | null, subject_contains: string | null, to: string) => ({
    ...{ from_pattern, subject_contains, to },
  });
  const mail = { from: { name: null, address: "Ann@bank.example" }, subject: "Your INVOICE 7" };
  const targets = (forward_inbound: string | null, ...forward_rules: ReturnType<typeof rule>[]) =>
    forwardTargets({ address: "agent@agents.test", forward_inbound, forward_rules }, mail);

  test.each([
    ["nobody is set", targets(null), []],
    ["everything", targets("boss@acme.example"), ["boss@acme.example"]],
    ["a rule for the domain", targets(null, rule("bank.example", null, "x@acme.example")), ["x@acme.example"]],
    ["a rule for the address", targets(null, rule("ann@bank.example", null, "x@acme.example")), ["x@acme.example"]],
    ["a rule for a glob", targets(null, rule("*@bank.example", null, "x@acme.example")), ["x@acme.example"]],
    ["a rule for another", targets(null, rule("other.example", null, "x@acme.example")), []],
    ["a rule for the subject", targets(null, rule(null, "invoice", "x@acme.example")), ["x@acme.example"]],
    ["a rule for another subject", targets(null, rule(null, "order", "x@acme.example")), []],
    ["both conditions, one met", targets(null, rule("bank.example", "order", "x@acme.example")), []],
    ["both conditions met", targets(null, rule("bank.example", "invoice", "x@acme.example")), ["x@acme.example"]],
    [
      "several name the same",
      targets("x@acme.example", rule(null, "invoice", "X@ACME.example"), rule("bank.example", null, "y@acme.example")),
      ["x@acme.example", "y@acme.example"],
    ],
    ["the mailbox itself", targets("agent+in@agents.test", rule(null, "invoice", "AGENT@agents.test")), []],
  ])("%s", (_what, found, expected) => {
    expect(found).toEqual(expected);
  });

  test("a rule says in words what it does", () => {
    expect(ruleInWords(rule("bank.example", 'in"v', "x@acme.example"))).toBe(
      'mail from bank.example and whose subject has "in\\"v" to x@acme.example',
    );
  });
});
