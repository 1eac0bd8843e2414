import fc from "fast-check";
import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import { type Composition, composeMessage, isAttachmentName, isAttachmentType } from "../../src/mail/compose.ts";
import { normalizeNewlines } from "../../src/mail/finished-body.ts";
import type { MailAddress, MessageContent, StoredAttachment } from "../../src/mail/message.ts";

const CONTENT: MessageContent = {
  from: { name: "Ada", address: "ada@sender.example" },
  reply_to: [],
  to: [{ name: null, address: "b@x.example" }],
  cc: [],
  bcc: [],
  subject: "Hello",
  text: "Hi.\n",
  html: null,
  attachments: [],
  in_reply_to: null,
  references: [],
};

function compose(content: Partial<MessageContent>, rest: Partial<Composition> = {}): Promise<Uint8Array> {
  return composeMessage({
    content: { ...CONTENT, ...content },
    attachments: [],
    message_id: "<em_1@sender.example>",
    date: new Date("2026-11-21T10:00:00Z"),
    ...rest,
  });
}

const ascii = (raw: Uint8Array): string => Buffer.from(raw).toString("latin1");
const headersOf = (raw: Uint8Array) => (ascii(raw).split("\r\n\r\n")[0] ?? "").replace(/\r\n[ \t]/g, " ").split("\r\n");

function attachment(name: string, rest: Partial<StoredAttachment> = {}): StoredAttachment {
  return {
    name,
    content_type: "application/pdf",
    disposition: "attachment",
    content_id: null,
    size: 0,
    sha256: "",
    key: "",
    ...rest,
  };
}

/** What every message must be, whatever is in it. */
function expectWellFormed(raw: Uint8Array): void {
  const text = ascii(raw);
  expect(text).not.toMatch(/[^\r]\n|\r[^\n]/);
  expect(text.replace(/[\t\r\n]/g, "")).not.toMatch(/[^\x20-\x7e]/);
  expect(Math.max(...text.split("\r\n").map(({ length }) => length))).toBeLessThanOrEqual(998);
  expect(text).not.toMatch(/^bcc:/im);
  expect(text.endsWith("\r\n")).toBe(true);
}

describe("a message", () => {
  it("has the headers of its content and no others", async () => {
    const raw = await compose({
      cc: [{ name: "Ünal", address: "c@x.example" }],
      bcc: [{ name: "Secret", address: "hidden@x.example" }],
      reply_to: [{ name: null, address: "replies@sender.example" }],
      in_reply_to: "<1@x.example>",
      references: ["<0@x.example>", "<1@x.example>"],
    });
    expect(headersOf(raw)).toEqual([
      "From: Ada <ada@sender.example>",
      "To: b@x.example",
      "Cc: =?UTF-8?B?w5xuYWw=?= <c@x.example>",
      "Reply-To: replies@sender.example",
      "Subject: Hello",
      "In-Reply-To: <1@x.example>",
      "References: <0@x.example> <1@x.example>",
      "Message-ID: <em_1@sender.example>",
      "Date: Sat, 21 Nov 2026 10:00:00 +0000",
      "Content-Transfer-Encoding: 7bit",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
    ]);
    expect(ascii(raw)).not.toMatch(/hidden|secret/i);
    expectWellFormed(raw);
  });

  it("folds many and long references between ids, and keeps each", async () => {
    const references = Array.from({ length: 100 }, (_, i) => `<${String(i).padEnd(i % 2 ? 240 : 20, "x")}@a.example>`);
    const raw = await compose({ in_reply_to: references[99] ?? null, references });
    expectWellFormed(raw);
    expect(headersOf(raw)).toContain(`References: ${references.join(" ")}`);
    expect(headersOf(raw)).toContain(`In-Reply-To: ${references[99]}`);
  });

  it.each([
    "",
    "1@a.example",
    "<1@a.example>\r\nBcc: x@evil.example",
    "<ü@a.example>",
    "<a b>",
    `<${"x".repeat(990)}>`,
  ])("that refers to %j is a mistake and thrown", async (id) => {
    await expect(compose({ references: [id] })).rejects.toThrow("message id");
    await expect(compose({ in_reply_to: id })).rejects.toThrow("message id");
  });

  it("composed again is the same bytes", async () => {
    const content = { html: "<p>x</p>", attachments: [attachment("a.pdf")] };
    const rest = { attachments: [Buffer.from("x")] };
    expect(ascii(await compose(content, rest))).toBe(ascii(await compose(content, rest)));
  });

  it.each<[string, Partial<MessageContent>, Uint8Array[], string]>([
    ["text alone", {}, [], "text/plain"],
    ["text and HTML", { html: "<p>x</p>" }, [], "multipart/alternative"],
    ["HTML alone", { text: null, html: "<p>x</p>" }, [], "text/html"],
    ["neither", { text: null }, [], "text/plain"],
    ["text and a file", { attachments: [attachment("a.pdf")] }, [Buffer.from("x")], "multipart/mixed"],
  ])("of %s has that structure", async (_name, content, attachments, type) => {
    const raw = await compose(content, { attachments });
    expect(headersOf(raw).find((header) => header.startsWith("Content-Type:"))).toContain(`Content-Type: ${type}`);
    expectWellFormed(raw);
  });

  it("ends a boundary that a body imitates nowhere early", async () => {
    const first = ascii(await compose({ html: "<p>x</p>" }));
    const boundary = /boundary="([^"]+)"/.exec(first)?.[1] ?? "";
    const forged = `x\n--${boundary}\nContent-Type: text/html\n\n<b>forged</b>\n--${boundary}--\n`;
    const mail = await PostalMime.parse(await compose({ text: forged, html: "<p>real</p>" }));
    expect(mail.html).not.toContain("forged");
  });

  it.each(["From ada", ".", "..", ".x"])("keeps a line %j", async (line) => {
    const mail = await PostalMime.parse(await compose({ text: `a\n${line}\nb` }));
    expect(mail.text?.trimEnd()).toBe(`a\n${line}\nb`);
  });
});

describe("extra headers", () => {
  it("come first, byte for byte, unfolded", async () => {
    const long = `X-MultiMail-Identity: ${"a".repeat(900)}`;
    const raw = await compose(
      {},
      {
        extra_headers: [
          ["X-MultiMail-Identity", "a".repeat(900)],
          ["x-CaSe", "1; b=2"],
        ],
      },
    );
    expect(ascii(raw).startsWith(`${long}\r\nx-CaSe: 1; b=2\r\n`)).toBe(true);
    expectWellFormed(raw);
  });

  it.each<[string, string]>([
    ["X-A", "a\r\nBcc: x"],
    ["X-A", "ä"],
    ["X-A:", "a"],
    ["X A", "a"],
    ["", "a"],
    ["X-A", "a".repeat(994)],
  ])("%j %j is a mistake and thrown", async (name, value) => {
    await expect(compose({}, { extra_headers: [[name, value]] })).rejects.toThrow("header");
  });
});

describe("attachments", () => {
  it("keep bytes, name, type, disposition and content id", async () => {
    const bytes = Buffer.from([0, 13, 10, 10, 13, 255, 46, 13, 10]);
    const metas = [
      attachment("报告 “final”; x=1.pdf"),
      attachment("logo.png", { content_type: "image/png", disposition: "inline", content_id: "<logo@sender.example>" }),
    ];
    const mail = await PostalMime.parse(
      await compose({ html: "<p>x</p>", attachments: metas }, { attachments: [bytes, bytes] }),
    );
    const found = mail.attachments.map(({ filename, mimeType, disposition, contentId }) => [
      filename,
      mimeType,
      disposition,
      contentId,
    ]);
    expect(found.sort()).toEqual([
      ["logo.png", "image/png", "inline", "<logo@sender.example>"],
      ["报告 “final”; x=1.pdf", "application/pdf", "attachment", undefined],
    ]);
    for (const found of mail.attachments) expect(Buffer.from(found.content as ArrayBuffer).equals(bytes)).toBe(true);
  });

  it.each([
    "multipart/mixed; boundary=x",
    "text/html\r\nX-Evil: 1",
    "nonsense",
    "",
    "multipart/mixed",
    "message/rfc822",
  ])("of type %j are still one attachment", async (content_type) => {
    const bytes = Buffer.from("From: x\r\n\r\n--x\r\n\r\nevil");
    const raw = await compose({ attachments: [attachment("a.bin", { content_type })] }, { attachments: [bytes] });
    const mail = await PostalMime.parse(raw, { forceRfc822Attachments: true });
    expect(mail.attachments).toHaveLength(1);
    expect(Buffer.from(mail.attachments[0]?.content as ArrayBuffer).equals(bytes)).toBe(true);
    expect(ascii(raw)).not.toMatch(/^X-Evil/m);
    expectWellFormed(raw);
  });

  it.each([
    ["application/pdf", true],
    ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", true],
    ["text/html", true],
    ["text/plain; charset=utf-8", false],
    ["multipart/mixed", false],
    ["message/rfc822", false],
    ["x", false],
    ["", false],
  ])("may have type %j: %s", (type, expected) => {
    expect(isAttachmentType(type)).toBe(expected);
  });

  it.each([
    ["报告 “final”.pdf", true],
    ["", false],
    ["=?utf-8?q?x?=.pdf", false],
    ["a/b", false],
    ["a\\b", false],
    ["a\r\nb", false],
    ["x".repeat(256), false],
  ])("may have name %j: %s", (name, expected) => {
    expect(isAttachmentName(name)).toBe(expected);
  });

  it("without their bytes are a mistake and thrown", async () => {
    await expect(compose({ attachments: [attachment("a.pdf")] })).rejects.toThrow("a.pdf");
  });

  it("are never fetched: a name or a type that is an address stays one", async () => {
    const raw = await compose(
      { attachments: [attachment("https://evil.example/x")] },
      { attachments: [Buffer.from("x")] },
    );
    expect((await PostalMime.parse(raw)).attachments[0]?.filename).toBe("https://evil.example/x");
  });
});

describe("what a recipient reads is what was approved", () => {
  const line = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 60 }),
    fc.constantFrom(
      "🎉👩‍👩‍👧",
      "שלום עולם",
      "x".repeat(5000),
      "é".repeat(2000),
      "=?utf-8?q?x?=",
      ".",
      "From x",
      "--",
      "  trailing  ",
      "\t",
    ),
  );
  const clean = (text: string) =>
    text
      .replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, "")
      .replace(/\s+/gu, " ")
      .trim();
  const headerText = fc
    .oneof(fc.string({ unit: "grapheme", maxLength: 100 }), line, fc.lorem({ maxCount: 40 }))
    .map((text) => clean(text).slice(0, 800).toWellFormed());
  const address: fc.Arbitrary<MailAddress> = fc.record({
    name: fc.option(
      headerText.map(
        (text) =>
          clean(
            text
              .slice(0, 100)
              .toWellFormed()
              .replace(/\ufffd/g, ""),
          ) || "n",
      ),
      { nil: null },
    ),
    address: fc
      .tuple(
        fc.stringMatching(/^[a-z0-9+_.]{1,20}$/).filter((text) => !/^\.|\.$|\.\./.test(text)),
        fc.domain(),
      )
      .map(([user, host]) => `${user}@${host.toLowerCase()}`),
  });
  const fileName = fc
    .oneof(
      fc.constantFrom("a b.pdf", 'quo"te.txt', "semi;colon=.txt", "报告.pdf", "a'b%20c.txt", "x".repeat(200), "🎉.png"),
      headerText.map((text) => clean(text.slice(0, 60).toWellFormed()) || "f"),
      // Some readers decode encoded words even in RFC 2231 parameters; such names are refused when they are submitted.
    )
    .filter(isAttachmentName);
  const body = fc
    .array(line, { maxLength: 8 })
    .map((lines) => lines.join("\n").replace(/[\p{Cs}]|[^\P{Cc}\t\n]/gu, ""));
  const seen = ({ name, address: spec }: { name: string | null; address?: string | undefined }) =>
    `${name ?? ""} <${spec}>`;

  it("whatever is in it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          from: address,
          to: fc.array(address, { minLength: 1, maxLength: 50 }),
          cc: fc.array(address, { maxLength: 5 }),
          bcc: fc.array(address, { maxLength: 2 }),
          reply_to: fc.array(address, { maxLength: 2 }),
          subject: headerText,
          text: body,
          html: fc.option(body, { nil: null }),
          files: fc.array(fc.tuple(fileName, fc.uint8Array({ maxLength: 300 })), { maxLength: 3 }),
        }),
        async ({ files, ...content }) => {
          const attachments = files.map(([name]) => attachment(name));
          const raw = await compose({ ...content, attachments }, { attachments: files.map(([, bytes]) => bytes) });
          expectWellFormed(raw);
          const mail = await PostalMime.parse(raw);
          expect(mail.subject ?? "").toBe(content.subject);
          expect(seen({ name: mail.from?.name ?? "", address: mail.from?.address })).toBe(seen(content.from));
          for (const [found, given] of [
            [mail.to, content.to],
            [mail.cc, content.cc],
            [mail.replyTo, content.reply_to],
          ] as const) {
            expect((found ?? []).map(({ name, address: spec }) => seen({ name, address: spec }))).toEqual(
              given.map(seen),
            );
          }
          expect(mail.bcc).toBeUndefined();
          const asRead = (text: string | undefined) => normalizeNewlines(text ?? "").replace(/\n+$/, "");
          expect(asRead(mail.text)).toBe(asRead(content.text));
          if (content.html !== null) expect(asRead(mail.html)).toBe(asRead(content.html));
          expect(mail.attachments.map(({ filename }) => filename)).toEqual(files.map(([name]) => name));
          for (const [index, [, bytes]] of files.entries()) {
            expect(Buffer.from(mail.attachments[index]?.content as ArrayBuffer).equals(Buffer.from(bytes))).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
