import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MessageContent } from "../../src/mail/message.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";

const ATTACHMENT = {
  name: "offer.pdf",
  content_type: "application/pdf",
  disposition: "attachment" as const,
  content_id: null,
  size: 3,
  sha256: "a".repeat(64),
  key: "att/1",
};

const CONTENT: MessageContent = {
  from: { name: "Sales", address: "sales@agents.test" },
  reply_to: [],
  to: [{ name: null, address: "ana@customer.example" }],
  cc: [],
  bcc: [],
  subject: "Offer",
  text: "Hello\n",
  html: "<p>Hello</p>",
  attachments: [ATTACHMENT],
  in_reply_to: null,
  references: [],
};

describe("whatever a recipient can see is in the hash", () => {
  const someone = { name: null, address: "someone@else.example" };
  test.each<[string, Partial<MessageContent>]>([
    ["the sender's name", { from: { name: "Boss", address: "sales@agents.test" } }],
    ["the sender's address", { from: { name: "Sales", address: "boss@agents.test" } }],
    ["Reply-To", { reply_to: [someone] }],
    ["To", { to: [someone] }],
    ["a name in To", { to: [{ name: "Ana", address: "ana@customer.example" }] }],
    ["Cc", { cc: [someone] }],
    ["Bcc", { bcc: [someone] }],
    ["the subject", { subject: "Offer " }],
    ["the text", { text: "Hello." }],
    ["no text", { text: null }],
    ["the HTML", { html: "<p>Hello </p>" }],
    ["an attachment's name", { attachments: [{ ...ATTACHMENT, name: "offer.pdf.exe" }] }],
    ["an attachment's type", { attachments: [{ ...ATTACHMENT, content_type: "text/html" }] }],
    ["an attachment's disposition", { attachments: [{ ...ATTACHMENT, disposition: "inline" }] }],
    ["an attachment's bytes", { attachments: [{ ...ATTACHMENT, sha256: "b".repeat(64) }] }],
    ["In-Reply-To", { in_reply_to: "<a@b>" }],
    ["References", { references: ["<a@b>"] }],
  ])("%s", (_what, change) => {
    expect(contentHash({ ...CONTENT, ...change })).not.toBe(contentHash(CONTENT));
  });
});

test.each([
  ["CRLF line ends", "Hello\r\n"],
  ["CR line ends", "Hello\r"],
  ["more trailing newlines", "Hello\n\n\n"],
])("the normal form forgives %s", (_what, text) => {
  expect(contentHash({ ...CONTENT, text })).toBe(contentHash(CONTENT));
});

test("where an attachment is stored is not content", () => {
  expect(contentHash({ ...CONTENT, attachments: [{ ...ATTACHMENT, key: "elsewhere" }] })).toBe(contentHash(CONTENT));
});

test("no name and address can be mistaken for another pair", () => {
  const address = fc.record({ name: fc.option(fc.string()), address: fc.constantFrom("a@b.example", "c@d.example") });
  fc.assert(
    fc.property(address, address, (a, b) => {
      const same = (a.name || null) === (b.name || null) && a.address === b.address;
      expect(contentHash({ ...CONTENT, to: [a] }) === contentHash({ ...CONTENT, to: [b] })).toBe(same);
    }),
  );
});
