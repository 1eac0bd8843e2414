import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { APPROVAL_KINDS, CLAIM_LIMITS } from "../../src/identity/claim.ts";
import { disclosureHeader, identityHeaders } from "../../src/identity/identity-headers.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { MODES } from "../../src/oversight/modes.ts";
import { CLAIM, CONTENT, domainKey, identityInput, type Sent, sent, trusted } from "../support/identity-signer.ts";

const ascii = (raw: Uint8Array) => Buffer.from(raw).toString("latin1");

async function expectVerified(what: Sent): Promise<void> {
  const raw = await sent(what);
  const verdict = await verifyMessage(raw, trusted());
  expect(verdict, ascii(raw)).toMatchObject({ verified: true, reasons: [] });
  expect(verdict.headers.every(({ valid }) => valid)).toBe(true);
}

/** Characters that transports and readers like to get wrong. */
const ODD = [
  "🧾",
  "ا",
  "ש",
  "é",
  "\u202e",
  "\u0085",
  "\ufeff",
  "=",
  "?",
  ".",
  "-",
  " ",
  "\t",
  "\n",
  "\r\n",
  "\r",
  "~",
  "\0",
  "\ufffd",
];
const oddText = fc.array(fc.oneof(fc.constantFrom(...ODD), fc.string({ unit: "grapheme" })), { maxLength: 60 });
const subject = fc
  .oneof(fc.string({ unit: "grapheme", maxLength: 900 }), fc.constant("x".repeat(900)), fc.constant("é".repeat(450)))
  .map((text) => text.replace(/[\p{Cc}\p{Cs}]/gu, ""));
const address = fc
  .tuple(fc.stringMatching(/^[A-Za-z][A-Za-z0-9._+']{0,20}[A-Za-z]$/), fc.stringMatching(/^[a-z0-9]{1,20}$/))
  .map(([local, domain]) => ({ name: null, address: `${local.replace(/\.+/g, ".")}@${domain}.example` }));
const names = fc.constantFrom(
  "a.pdf",
  "报告 “final”; x=1.pdf",
  "x.html",
  "no ending",
  "a;b.txt",
  "🧾.eml",
  `${"n".repeat(200)}.bin`,
);

describe("what is composed and signed", () => {
  test("verifies, whatever legal content it has", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          subject,
          text: fc.option(
            oddText.map((pieces) => pieces.join("")),
            { nil: null },
          ),
          html: fc.option(
            oddText.map((pieces) => `<p>${pieces.join("")}</p>`),
            { nil: null },
          ),
          to: fc.array(address, { minLength: 1, maxLength: 25 }),
          cc: fc.array(address, { maxLength: 25 }),
        }),
        fc.array(
          fc.tuple(
            names,
            fc.uint8Array({ maxLength: 300 }),
            fc.constantFrom("application/pdf", "text/plain", "text/html", "message/rfc822"),
          ),
          { maxLength: 4 },
        ),
        (content, files) => expectVerified({ content, files }),
      ),
      { numRuns: 100 },
    );
  }, 60_000);

  test.each<[string, Sent]>([
    ["an empty text", { content: { text: "", html: null } }],
    ["nothing but line ends", { content: { text: "\r\n\n\r", html: null } }],
    ["no body at all", { content: { text: null, html: null } }],
    ["HTML alone", { content: { text: null } }],
    ["nobody in To and Cc, as a Bcc copy has it", { content: { to: [], cc: [] } }],
    [
      "a text that looks like a boundary",
      { content: { text: "--x\nContent-Type: text/html\n\n--\n-- \nAda", html: null } },
    ],
    ["a text that begins with a byte order mark", { content: { text: "\ufeffx", html: "\ufeff<p>x</p>" } }],
    ["a subject that looks encoded", { content: { subject: "=?utf-8?q?x?= and  two spaces " } }],
    ["no subject", { content: { subject: "" } }],
    [
      "50 recipients",
      { content: { to: Array.from({ length: 50 }, (_, i) => ({ name: `N${i}, "x"`, address: `n${i}@x.example` })) } },
    ],
    ["quoted local parts", { content: { to: [{ name: null, address: '"a b"@x.example' }] } }],
    ["a file that is a mail", { files: [["m.eml", Buffer.from("From: a@b.example\r\n\r\nx"), "message/rfc822"]] }],
    [
      "two files of the same bytes",
      {
        files: [
          ["a", Buffer.from("x")],
          ["b", Buffer.from("x")],
        ],
      },
    ],
    ["an empty file", { files: [["a", new Uint8Array()]] }],
    ["no approval", { claim: { approval_ref: null, approval_kind: null } }],
    ["no model", { claim: { model_id: null, model_provider: null } }],
    ["no disclosure", { claim: { ai_disclosure: false } }],
    ["a credential that is not bound", { identity: { key_is_bound: false } }],
    ["the domain's own signature", { identity: { domain_key: domainKey() } }],
  ])("verifies with %s", (_name, what) => expectVerified(what));
});

describe("identity headers", () => {
  const WORST = {
    claim: {
      agent_id: "a".repeat(64),
      model_id: "m".repeat(48),
      model_provider: "p".repeat(16),
      tenant_id: "t".repeat(30),
      email_id: "e".repeat(30),
      approval_ref: "r".repeat(30),
      ai_disclosure: false,
      oversight_mode: "autonomous" as const,
    },
    content: { from: { name: null, address: `${"l".repeat(64)}@${"d".repeat(13)}.example` } },
    // ECDSA on P-256 in DER has at most 72 octets.
    identity: { key_id: "k".repeat(30), key: { kid: "i".repeat(30), sign: () => new Uint8Array(72) } },
  };

  test.each(APPROVAL_KINDS)("of the longest values fit their lines unfolded, approved by %s", (approval_kind) => {
    expect(WORST.content.from.address).toHaveLength(CLAIM_LIMITS.mailbox);
    for (const oversight_mode of MODES) {
      for (const domain_key of [null, domainKey()]) {
        const claim = { ...WORST.claim, approval_kind, oversight_mode };
        const { headers } = identityHeaders(
          identityInput({ ...WORST, claim, identity: { ...WORST.identity, domain_key } }),
        );
        for (const [name, value] of headers) expect(`${name}: ${value}`.length).toBeLessThanOrEqual(998);
      }
    }
  });

  test("stand in a fixed order", () => {
    const order = [
      "X-MultiMail-Identity",
      "X-MM-Identity-Sig",
      "X-MultiMail-Agent-Id",
      "X-MultiMail-Tenant",
      "X-MultiMail-Oversight-Mode",
      "X-MultiMail-Key-Id",
      "X-MultiMail-Approval",
      "X-MultiMail-Signature",
      "X-AI-Generated",
    ];
    const written = identityHeaders(identityInput());
    expect(written.headers.map(([name]) => name)).toEqual(order);
    expect(Object.keys(written.signature_values)).toEqual([
      "compact",
      "identity_sig",
      "identity_sig_approval",
      "message_signature",
    ]);
    for (const value of Object.values(written.signature_values)) {
      expect(written.headers.some(([, header]) => header.includes(value))).toBe(true);
    }
  });

  test("through a transport that writes its own Message-ID, cover neither it nor the message", () => {
    const input = identityInput({ identity: { preserves_bytes: false, domain_key: domainKey() } });
    const { headers, signature_values } = identityHeaders(input);
    expect(headers.map(([name]) => name)).not.toContain("X-MultiMail-Signature");
    expect(headers[0]?.[1]).toMatch(/^[\w-]+\.[\w-]+$/);
    expect(Object.keys(signature_values)).toEqual(["compact", "identity_sig", "identity_sig_approval"]);
  });

  test("of the domain-bound form come with the claim that a receipt needs", () => {
    const { headers, claim } = identityHeaders(identityInput({ identity: { domain_key: domainKey() } }));
    expect(headers[0]?.[1]).toMatch(/^agent_id=.*; approval_ref=.*; sig=.*; msig=.*$/);
    expect(claim).toMatchObject({ ...CLAIM, kid: expect.any(String), body_hash: expect.any(String) });
  });

  test("disclose exactly what is disclosed", () => {
    expect(disclosureHeader(true)).toEqual([["X-AI-Generated", "true"]]);
    expect(disclosureHeader(false)).toEqual([]);
  });

  const mistakes: [string, Sent][] = [
    ["an agent of 65 characters", { claim: { agent_id: "a".repeat(65) } }],
    ["an agent that ends a field", { claim: { agent_id: "a; oversight=autonomous" } }],
    ["a model of 49 characters", { claim: { model_id: "m".repeat(49) } }],
    ["a provider of 17 characters", { claim: { model_provider: "p".repeat(17) } }],
    ["an id that means none", { claim: { approval_ref: "-" } }],
    ["an id of 31 characters", { claim: { tenant_id: "t".repeat(31) } }],
    ["another mailbox than From", { claim: { mailbox: "ceo@agents.example.com" } }],
    ["a mailbox of 87 octets", { content: { from: { name: null, address: `${"a".repeat(79)}@d.example` } } }],
    [
      "a mailbox whose quotes take more room",
      { content: { from: { name: null, address: `"${" ".repeat(62)}"@${"d".repeat(13)}.example` } } },
    ],
    ["a time without milliseconds", { claim: { sent_at: "2026-04-19T14:22:31Z" } }],
    ["a day that is not", { claim: { sent_at: "2026-02-30T14:22:31.000Z" } }],
    ["a short nonce", { claim: { nonce: "AAAA" } }],
    ["a credential with a line break", { identity: { key_id: "key_1\nX: y" } }],
  ];
  test.each(mistakes)("with %s are a mistake and thrown", (_name, what) => {
    expect(() => identityHeaders(identityInput(what))).toThrow(Error);
  });
});

test("what another tenant's readers see of a message without identity headers is nothing", async () => {
  const raw = Buffer.from(`From: ${CONTENT.from.address}\r\nX-AI-Generated: true\r\n\r\nx\r\n`);
  expect(await verifyMessage(raw, trusted())).toEqual({
    verified: null,
    reasons: [],
    headers: [],
    claim: null,
    agent_metadata: null,
    identity_headers: { "x-ai-generated": "true" },
  });
});
