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

// Computed with Python's json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False) and hashlib over these manifests:
// the first has from `"Sales" <sales@agents.test>`, to ["ana@customer.example"], text "Hello" and null for reply_to, cc, bcc,
// in_reply_to and references; the second has from `"Zoë \"Z\" Müller" <zoe@agents.test>` and null for html and attachments.
const FULL: MessageContent = {
  from: { name: 'Zoë "Z" Müller', address: "Zoe@Agents.test" },
  reply_to: [{ name: "", address: "replies@agents.test" }],
  to: [
    { name: null, address: "ANA@customer.example" },
    { name: "Łukasz", address: "l@customer.example" },
  ],
  cc: [{ name: null, address: "cc@customer.example" }],
  bcc: [{ name: null, address: "bcc@customer.example" }],
  subject: "Grüße 😀",
  text: "Zeile 1\r\n\u2028Zeile 2\r\n\n",
  html: null,
  attachments: [],
  in_reply_to: "<a@b.example>",
  references: ["<0@b.example>", "<a@b.example>"],
};

test.each<[string, MessageContent, string]>([
  ["ASCII", CONTENT, "b6581925b821265e49667b5313401f9adf30587174dd5721897e0c7b1b8769b5"],
  ["every member and other scripts", FULL, "4d9badd5d798abf83e9a85b5da6bb81b6947e123cbc3b687fa249527b8c36e90"],
])("known answer: %s", (_what, content, hash) => {
  expect(contentHash(content)).toBe(hash);
});

test("an address is the same in any case, a display name is not", () => {
  const to = (name: string, address: string) => contentHash({ ...CONTENT, to: [{ name, address }] });
  expect(to("Ana", "Ana@Customer.Example")).toBe(to("Ana", "ana@customer.example"));
  expect(to("ANA", "ana@customer.example")).not.toBe(to("Ana", "ana@customer.example"));
});

test("a megabyte of newlines that do not stand at the end is read once", () => {
  const text = `${"\n".repeat(1 << 20)}x`;
  expect(contentHash({ ...CONTENT, text, html: text })).toMatch(/^[0-9a-f]{64}$/);
}, 5_000);

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
