import { readFileSync } from "node:fs";
import fc from "fast-check";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import { identityHeaders } from "../../src/identity/identity-headers.ts";
import type { TrustedKeys } from "../../src/identity/keys.ts";
import { MESSAGE_LIMITS, partsOf, partsOfRaw } from "../../src/identity/mime-leaves.ts";
import { sha256Hex } from "../../src/identity/normal-form.ts";
import type { IdentityReason } from "../../src/identity/verdict.ts";
import { verifyMessage, verifyParsed } from "../../src/identity/verify-message.ts";
import {
  CONTENT,
  domainKey,
  identityInput,
  MESSAGE_ID,
  otherKey,
  publishedKey,
  type Sent,
  sent,
  TENANT,
  trusted,
} from "../support/identity-signer.ts";

/** Whoever can touch a message on its way, or writes one, and wants readers to believe what nobody signed. */

const latin1 = (raw: Uint8Array) => Buffer.from(raw).toString("latin1");
const bytes = (text: string) => Buffer.from(text, "latin1");
const signed = async (what: Sent = {}) => latin1(await sent(what));

async function reasonsOf(raw: string, keys: TrustedKeys | null = trusted()): Promise<IdentityReason[]> {
  const verdict = await verifyMessage(bytes(raw), keys);
  expect(verdict.verified === true).toBe(verdict.reasons.length === 0);
  expect(verdict.agent_metadata === null).toBe(verdict.verified !== true);
  return verdict.reasons.map(({ reason }) => reason);
}

/** A message of these parts in place of the composed ones, signed as if its bodies were `text` and `html`. */
function wrapped(
  type: string,
  body: string,
  covered: { text?: string | null; html?: string | null; files?: string[] },
): string {
  const { text = null, html = null, files = [] } = covered;
  const input = identityInput();
  const { headers } = identityHeaders({
    ...input,
    covered: { ...input.covered, text, html, attachments_sha256: files.map((file) => sha256Hex(bytes(file))) },
  });
  return [
    ...headers.map(([name, value]) => `${name}: ${value}`),
    "From: Support <support@agents.example.com>",
    "To: zoe@example.org, COUNSEL@example.net",
    `Subject: ${"=?utf-8?B?WmHFvMOzxYLEhyDigJQgUTIgcmV2aWV3?="}`,
    "Date: Sun, 19 Apr 2026 14:22:31 +0000",
    `Message-ID: ${MESSAGE_ID}`,
    "MIME-Version: 1.0",
    `Content-Type: ${type}`,
    "",
    body,
  ]
    .join("\r\n")
    .replace(/\r?\n/g, "\r\n");
}

const TEXT = "Content-Type: text/plain; charset=utf-8\n\nPay nobody.";
const HTML = "Content-Type: text/html; charset=utf-8\n\n<p>Pay nobody.</p>";
const PDF = "Content-Type: application/pdf\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\nUERG";
const mixed = (...parts: string[]) => `${parts.map((part) => `--b\n${part}\n`).join("")}--b--\n`;
const BODIES = { text: "Pay nobody.", html: "<p>Pay nobody.</p>" };

describe("a message put together by another mailer", () => {
  test.each<[string, string]>([
    ["text", wrapped("text/plain; charset=us-ascii", "Pay nobody.\r\n", { text: "Pay nobody." })],
    ["text without a charset", wrapped("text/plain", "Pay nobody.", { text: "Pay nobody." })],
    ["text in Latin 1", wrapped("text/plain; charset=ISO-8859-1", "Gr\xfc\xdfe", { text: "Grüße" })],
    [
      "text, HTML and a file",
      wrapped("multipart/mixed; boundary=b", mixed(TEXT, HTML, PDF), { ...BODIES, files: ["PDF"] }),
    ],
    [
      "nested parts",
      wrapped(
        "multipart/mixed; boundary=b",
        mixed(`Content-Type: multipart/alternative; boundary="c d"\n\n--c d\n${TEXT}\n--c d\n${HTML}\n--c d--\n`, PDF),
        { ...BODIES, files: ["PDF"] },
      ),
    ],
    [
      "a second text, which counts as a file",
      wrapped("multipart/mixed; boundary=b", mixed(TEXT, TEXT), { text: "Pay nobody.", files: ["Pay nobody."] }),
    ],
    [
      "a calendar, which counts as a file",
      wrapped(
        "multipart/alternative; boundary=b",
        mixed(TEXT, "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nEND:VCALENDAR"),
        {
          text: "Pay nobody.",
          files: ["BEGIN:VCALENDAR\r\nEND:VCALENDAR"],
        },
      ),
    ],
    [
      "a mail in it, which is one file",
      wrapped("multipart/mixed; boundary=b", mixed(TEXT, "Content-Type: message/rfc822\n\nFrom: a@b.example\n\nx"), {
        text: "Pay nobody.",
        files: ["From: a@b.example\r\n\r\nx"],
      }),
    ],
    ["text flowed", wrapped("text/plain; format=flowed", "Pay \r\nnobody.", { text: "Pay \nnobody." })],
  ])("verifies with %s", async (_name, raw) => {
    expect(await reasonsOf(raw)).toEqual([]);
  });
});

describe("what some readers show and others do not", () => {
  const ok = mixed(TEXT, HTML);
  test.each<[string, string]>([
    ["UTF-7 in place of ASCII", wrapped("text/plain; charset=utf-7", "Pay +AG4-obody.", { text: "Pay +AG4-obody." })],
    [
      "ISO-2022-JP in place of ASCII",
      wrapped("text/plain; charset=iso-2022-jp", "Pay nobody.", { text: "Pay nobody." }),
    ],
    ["two charsets", wrapped('text/plain; charset="utf-8"; charset=utf-7', "Pay nobody.", { text: "Pay nobody." })],
    [
      "two charsets, the right one last",
      wrapped('text/plain; charset=utf-7; charset="utf-8"', "Pay nobody.", { text: "Pay nobody." }),
    ],
    ["a charset in pieces", wrapped("text/plain; charset*0=utf-; charset*1=7", "Pay nobody.", { text: "Pay nobody." })],
    ["Windows' letters called ISO 8859", wrapped("text/plain; charset=iso-8859-1", "5 \x80", { text: "5 €" })],
    ["octets that are no UTF-8", wrapped("text/plain; charset=utf-8", "x\xff", { text: "x\ufffd" })],
    ["a word joined by DelSp", wrapped("text/plain; format=flowed; delsp=yes", "not \r\nable", { text: "not \nable" })],
    [
      "base64 that goes on after its padding",
      wrapped("text/plain\r\nContent-Transfer-Encoding: base64", "UGF5IA==\r\nbm9ib2R5Lg==", { text: "Pay nobody." }),
    ],
    [
      "base64 with other characters in it",
      wrapped("text/plain\r\nContent-Transfer-Encoding: base64", "UGF5IG5v*Ym9keS4=", { text: "Pay nobody." }),
    ],
    [
      "an escape that is none",
      wrapped("text/plain\r\nContent-Transfer-Encoding: quoted-printable", "Pay n=obody.", { text: "Pay n=obody." }),
    ],
    [
      "an unknown encoding",
      wrapped("text/plain\r\nContent-Transfer-Encoding: x-base64", "UGF5IG5vYm9keS4=", { text: "UGF5IG5vYm9keS4=" }),
    ],
    ["a multipart in base64", wrapped("multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64", ok, BODIES)],
    ["text before the first boundary", wrapped("multipart/mixed; boundary=b", `Pay me.\n${ok}`, BODIES)],
    ["text after the last boundary", wrapped("multipart/mixed; boundary=b", `${ok}Pay me.`, BODIES)],
    ["a part after the last boundary", wrapped("multipart/mixed; boundary=b", `${ok}--b\n${HTML}\n--b--\n`, BODIES)],
    [
      "a line that begins like the boundary",
      wrapped("multipart/mixed; boundary=b", mixed(`${TEXT}\n--bx\n${HTML}`), { text: `Pay nobody.\n--bx\n${HTML}` }),
    ],
    [
      "a boundary that begins like another",
      wrapped(
        "multipart/mixed; boundary=b",
        mixed(`Content-Type: multipart/mixed; boundary=bb\n\n--bb\n${TEXT}\n--bb--`),
        { text: "Pay nobody." },
      ),
    ],
    [
      "the same boundary for parts in parts",
      wrapped(
        "multipart/mixed; boundary=b",
        mixed(`Content-Type: multipart/mixed; boundary=b\n\n--b\n${TEXT}\n--b--`),
        {
          text: "Pay nobody.",
        },
      ),
    ],
    ["two boundaries", wrapped("multipart/mixed; boundary=b; boundary=c", ok, BODIES)],
    ["no boundary", wrapped("multipart/mixed", ok, {})],
    ["parts of another kind", wrapped("multipart/digest; boundary=b", ok, BODIES)],
    ["another root of related parts", wrapped('multipart/related; start="<x>"; boundary=b', ok, BODIES)],
    [
      "a file instead of the text",
      wrapped("multipart/alternative; boundary=b", mixed(TEXT, PDF), { text: "Pay nobody.", files: ["PDF"] }),
    ],
    [
      "files instead of the text",
      wrapped(
        "multipart/alternative; boundary=b",
        mixed(TEXT, `Content-Type: multipart/mixed; boundary=c\n\n--c\n${PDF}\n--c--`),
        { text: "Pay nobody.", files: ["PDF"] },
      ),
    ],
    ["a comment in the type", wrapped("text/plain (; charset=utf-7)", "Pay nobody.", { text: "Pay nobody." })],
    [
      "a disposition that nobody knows",
      wrapped("text/plain\r\nContent-Disposition: hidden", "Pay nobody.", { text: "Pay nobody." }),
    ],
    ["a CR that ends no line", wrapped("text/plain", "Pay no\rbody.", { text: "Pay no\nbody." })],
    ["LF among CRLF", wrapped("text/plain", "Pay\r\nnobody.", { text: "Pay\nnobody." }).replace("Pay\r\n", "Pay\n")],
    [
      "a header line that is none",
      wrapped("text/plain", "Pay nobody.", { text: "Pay nobody." }).replace("Date:", "no field\r\nDate:"),
    ],
    [
      "a field whose colon stands apart",
      wrapped("text/plain", "Pay nobody.", { text: "Pay nobody." }).replace("To:", "Bcc : a@b.example\r\nTo:"),
    ],
    [
      "a continuation of nothing but spaces",
      wrapped("text/plain", "Pay nobody.", { text: "Pay nobody." }).replace("\r\nDate:", "\r\n \r\nDate:"),
    ],
  ])("%s is not verified", async (_name, raw) => {
    expect(await reasonsOf(raw)).toContain("malformed");
  });

  test("a header of a part that occurs twice is not verified", async () => {
    const raw = wrapped("multipart/mixed; boundary=b", mixed(`Content-Type: text/html\n${TEXT}`), {
      text: "Pay nobody.",
    });
    expect(await reasonsOf(raw)).toContain("repeated");
  });

  test.each<[string, string, string]>([
    ["a text put before", "--b\nContent-Type: text/plain\n\nPay me.\n--b\n", "--b\n"],
    ["a part that readers prefer", "Content-Type: text/x-amp-html\n\n<p>Pay me.</p>\n--b--\n", "--b--\n"],
    ["an HTML body made a file", "Content-Disposition: attachment\nContent-Type: text/html", "Content-Type: text/html"],
  ])("%s is not verified", async (_name, replacement, found) => {
    const body = mixed(TEXT, HTML).replace(found, found === "--b--\n" ? `--b\n${replacement}` : replacement);
    expect(await reasonsOf(wrapped("multipart/mixed; boundary=b", body, BODIES))).toContain("signature_invalid");
  });

  test("whatever is accepted reads the same to the parser that agents read with", async () => {
    const pieces = fc.constantFrom(
      TEXT,
      HTML,
      PDF,
      "--b",
      "--b--",
      "--c",
      "--c--",
      "",
      "Content-Type: multipart/alternative; boundary=c\n",
      "x",
      "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nUGF5",
      "=41=\n",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { maxLength: 12 }), async (lines) => {
        const raw = bytes(wrapped("multipart/mixed; boundary=b", `${lines.join("\n")}\n`, {}));
        const parts = await partsOfRaw(raw);
        if (parts.unreadable) return;
        const mail = await PostalMime.parse(raw, { forceRfc822Attachments: true });
        const shown = `${mail.text ?? ""}${mail.html ?? ""}`;
        for (const body of [parts.text, parts.html])
          expect(shown).toContain((body ?? "").replace(/\r\n/g, "\n").trimEnd());
      }),
      { numRuns: 500 },
    );
  }, 60_000);
});

describe("headers", () => {
  const tampered: [string, (raw: string) => string, IdentityReason][] = [
    ["a second From", (raw) => raw.replace("From:", "From: ceo@agents.example.com\r\nFrom:"), "repeated"],
    ["a second Subject", (raw) => `Subject: Pay\r\n${raw}`, "repeated"],
    ["a second Content-Type", (raw) => `Content-Type: text/html\r\n${raw}`, "repeated"],
    ["a second identity", (raw) => `X-MultiMail-Identity: x\r\n${raw}`, "repeated"],
    ["a second disclosure", (raw) => `X-AI-Generated: true\r\n${raw}`, "repeated"],
    ["no disclosure", (raw) => raw.replace("X-AI-Generated: true\r\n", ""), "disagrees"],
    ["a disclosure that says no", (raw) => raw.replace("X-AI-Generated: true", "X-AI-Generated: false"), "disagrees"],
    ["no signature of the message", (raw) => raw.replace(/X-MultiMail-Signature: .*\r\n/, ""), "missing_signature"],
    ["no tenant", (raw) => raw.replace(/X-MultiMail-Tenant: .*\r\n/, ""), "missing_part"],
    ["no Date", (raw) => raw.replace(/Date: .*\r\n/, ""), "missing_part"],
    ["no Message-ID", (raw) => raw.replace(/Message-ID: .*\r\n/, ""), "missing_part"],
    ["no From", (raw) => raw.replace(/From: .*\r\n/, ""), "missing_part"],
    ["two senders in From", (raw) => raw.replace("From: ", "From: ceo@agents.example.com, "), "malformed"],
    ["two addresses in one sender", (raw) => raw.replace("From: Support", "From: ceo@agents.example.com"), "malformed"],
    ["two brackets in From", (raw) => raw.replace("From: Support", "From: <ceo@agents.example.com>"), "malformed"],
    ["a group of recipients", (raw) => raw.replace("To: ", "To: friends: a@b.example;, "), "malformed"],
    ["a date of no calendar", (raw) => raw.replace("Date: Sun", "Date: Mon"), "malformed"],
    ["a subject in UTF-7", (raw) => raw.replace("Subject: =?UTF-8?", "Subject: =?UTF-7?"), "malformed"],
    ["an approval that is taken away", (raw) => raw.replace(/X-MultiMail-Approval: .*\r\n/, ""), "disagrees"],
    [
      "a credential made bound",
      (raw) =>
        raw.replace("Key-Id: key_01HX0000000000000000000005; bound", "Key-Id: key_01HX0000000000000000000006; bound"),
      "signature_invalid",
    ],
    ["a key of its own", (raw) => `X-MultiMail-Jwk: {}\r\n${raw}`, "key_in_message"],
    ["an address of its key", (raw) => raw.replace("; sig=", "; jku=https://evil.example; sig="), "key_in_message"],
    [
      "an upper-case signature",
      (raw) => raw.replace(/(?<=X-MultiMail-Signature: )\S+/, (hex) => hex.toUpperCase()),
      "malformed",
    ],
    ["100 KB of identity", (raw) => raw.replace(/(?<=X-MultiMail-Identity: )/, "A".repeat(100_000)), "too_long"],
    [
      "a disposition twice",
      (raw) => `Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n${raw}`,
      "repeated",
    ],
  ];
  test.each(tampered)("with %s are not verified", async (_name, change, reason) => {
    const raw = await signed();
    expect(change(raw)).not.toBe(raw);
    expect(await reasonsOf(change(raw))).toContain(reason);
  });

  test("of one message do not go with another, though both are of the same agent", async () => {
    const one = await signed({ content: { text: "Pay 1.", html: null } });
    const other = await signed({
      content: { text: "Pay 2.", html: null },
      identity: {},
      claim: { nonce: "1Zk3bq8mJm1pQm9t" },
    });
    const headOf = (raw: string) => raw.slice(0, raw.indexOf("From:"));
    expect(await reasonsOf(headOf(one) + other.slice(headOf(other).length))).toEqual([
      "body_changed",
      "signature_invalid",
    ]);
  });

  test("that say different things, each validly signed, are not verified", async () => {
    const other = Object.fromEntries(
      identityHeaders(identityInput({ claim: { agent_id: "other", oversight_mode: "autonomous" } })).headers,
    );
    const mix = (name: string) =>
      sent({ headers: (made) => made.map(([key, value]) => [key, key === name ? (other[key] ?? "") : value]) });
    for (const name of ["X-MultiMail-Identity", "X-MM-Identity-Sig"])
      expect(await reasonsOf(latin1(await mix(name)))).toEqual(["disagrees"]);
    const elsewhere = Object.fromEntries(
      identityHeaders(identityInput({ claim: { email_id: "em_01HX0000000000000000000043" } })).headers,
    );
    const pasted = await sent({
      headers: (made) =>
        made.map(([key, value]) => [key, key === "X-MultiMail-Identity" ? (elsewhere[key] ?? "") : value]),
    });
    expect(await reasonsOf(latin1(pasted))).toEqual(["disagrees"]);
  });

  test.each<[string, (json: string) => string, IdentityReason]>([
    ["a key in it", (json) => json.replace("{", '{"more":[{"jwk":{}}],'), "key_in_message"],
    ["a member twice", (json) => json.replace("{", '{"agent_id":"ceo",'), "repeated"],
    ["a member twice, spelt differently", (json) => json.replace("{", '{"agent\\u005fid":"ceo",'), "repeated"],
    ["an agent that is a list", (json) => json.replace(/"agent_id":"[^"]*"/, '"agent_id":["ceo"]'), "malformed"],
    ["a mode that is none", (json) => json.replace("gated_send", "free"), "malformed"],
    ["no nonce", (json) => json.replace(/"nonce":"[^"]*",/, ""), "malformed"],
  ])("whose claim has %s are not verified, though it is signed", async (_name, change, reason) => {
    const key = identityInput().key;
    const claimOf = (made: string) => Buffer.from(made.split(".")[0] ?? "", "base64url").toString();
    const raw = await signed({
      headers: (made) =>
        made.map(([name, value]) => {
          if (name !== "X-MultiMail-Identity") return [name, value];
          const payload = Buffer.from(change(claimOf(value))).toString("base64url");
          return [name, `${payload}.${Buffer.from(key.sign(bytes(payload))).toString("base64url")}`];
        }),
    });
    expect(await reasonsOf(raw)).toEqual([reason]);
  });

  test("of a claim with members that nobody knows yet verify", async () => {
    const key = identityInput().key;
    const raw = await signed({
      headers: (made) =>
        made.map(([name, value]) => {
          if (name !== "X-MultiMail-Identity") return [name, value];
          const claim = JSON.parse(Buffer.from(value.split(".")[0] ?? "", "base64url").toString());
          const payload = Buffer.from(JSON.stringify({ ...claim, v: { a: [1] } })).toString("base64url");
          return [name, `${payload}.${Buffer.from(key.sign(bytes(payload))).toString("base64url")}`];
        }),
    });
    expect(await reasonsOf(raw)).toEqual([]);
  });

  test("of the domain-bound form without msig verify as a header, but not the message", async () => {
    const raw = await signed({ identity: { domain_key: domainKey() } });
    const verdict = await verifyMessage(bytes(raw.replace(/; msig=\S+/, "")), trusted());
    expect(verdict.headers[0]).toMatchObject({
      form: "domain",
      valid: true,
      fingerprint: expect.stringMatching(/^SHA256:/),
    });
    expect(verdict.reasons).toMatchObject([{ reason: "missing_signature" }]);
    expect(await reasonsOf(raw.replace(/approval_ref=\w+/, "approval_ref=apr_1"))).toContain("signature_invalid");
    expect(await reasonsOf(raw, trusted({ ed25519: [] }))).toEqual(["key_unknown"]);
  });
});

describe("keys", () => {
  const other = otherKey();
  const cases: [string, Partial<TrustedKeys> | null, IdentityReason[]][] = [
    ["of nobody", null, ["key_unknown"]],
    ["of nobody at all", { p256: [] }, ["key_unknown"]],
    ["of another kid alone", { p256: [publishedKey({ kid: "idk_other" })] }, ["key_unknown"]],
    ["of another's", { p256: [other.published] }, ["signature_invalid"]],
    ["from after the message", { p256: [publishedKey({ not_before: "2026-04-19T14:22:32Z" })] }, ["key_not_yet_valid"]],
    ["retired before the message", { p256: [publishedKey({ retired_at: "2026-04-19T14:22:30Z" })] }, ["key_retired"]],
    ["retired after the message", { p256: [publishedKey({ retired_at: "2026-04-19T14:22:32Z" })] }, []],
    [
      "revoked, though after the message",
      { p256: [publishedKey({ revoked_at: "2027-01-01T00:00:00Z" })] },
      ["key_revoked"],
    ],
    ["whose life cannot be read", { p256: [publishedKey({ not_before: "soon" })] }, ["key_not_yet_valid"]],
    ["without kid and life", { p256: [publishedKey({ kid: null, not_before: null })] }, []],
    ["among others", { p256: [other.published, publishedKey()] }, []],
    [
      "behind more than are tried",
      { p256: [...Array.from({ length: 16 }, () => other.published), publishedKey()] },
      ["signature_invalid"],
    ],
    [
      "behind many that were revoked",
      {
        p256: [
          ...Array.from({ length: 16 }, () => ({ ...other.published, revoked_at: "2026-01-02T00:00:00Z" })),
          publishedKey(),
        ],
      },
      [],
    ],
    ["of another tenant", { tenant_id: "ten_other" }, ["disagrees"]],
    ["of a tenant that nobody named", { tenant_id: null }, []],
    ["of other domains", { domains: ["example.com", "x.agents.example.com"] }, ["foreign_domain"]],
    ["of a domain in other letters", { domains: ["AGENTS.example.com"] }, []],
    ["whose owner is vouched for", { domains: null }, []],
  ];
  test.each(cases)("%s", async (_name, change, reasons) => {
    expect(await reasonsOf(await signed(), change && trusted(change))).toEqual(reasons);
  });

  test("are found by kid, and the verdict names them", async () => {
    const { headers } = await verifyMessage(bytes(await signed()), trusted());
    expect(headers.map(({ form, kid, fingerprint }) => [form, kid, fingerprint])).toEqual(
      ["compact", "identity_sig", "message_signature"].map((form) => [
        form,
        publishedKey().kid,
        "SHA256:jJTitmeQqTZlE700ZxNn/DbsdKDV3EBPSnrQu335hPE",
      ]),
    );
  });

  test("of an attacker do not verify a message that is otherwise perfect", async () => {
    expect(await reasonsOf(await signed({ identity: { key: other.signing } }))).toEqual(["signature_invalid"]);
  });

  test("a mailbox of the same tenant cannot write as another", async () => {
    const input = identityInput({ content: { from: { name: null, address: "a@agents.example.com" } } });
    const { headers } = identityHeaders(input);
    const raw = await signed({
      content: { from: { name: null, address: "b@agents.example.com" } },
      headers: () => headers,
    });
    expect(await reasonsOf(raw)).toEqual(expect.arrayContaining(["wrong_sender", "signature_invalid"]));
  });
});

describe("what is no message", () => {
  const UNREADABLE: [string, Uint8Array, IdentityReason][] = [
    ["nothing", new Uint8Array(), "not_a_message"],
    ["octets", Buffer.from([0, 255, 10, 13, 128]), "not_a_message"],
    ["a picture", readFileSync(process.execPath).subarray(0, 100_000), "not_a_message"],
    ["a line", bytes("hello"), "not_a_message"],
    ["more octets than are read", Buffer.alloc(MESSAGE_LIMITS.octets + 1, "x"), "too_large"],
  ];
  test.each(UNREADABLE)("%s has a reason", async (_name, raw, reason) => {
    const verdict = await verifyMessage(raw, trusted());
    expect(verdict).toMatchObject({ verified: false, reasons: [{ reason }], headers: [], agent_metadata: null });
  });

  const IDENTITY = "X-MultiMail-Signature: 00\r\nFrom: a@b.example\r\n";
  test.each<[string, string, IdentityReason]>([
    ["more header than is read", `${IDENTITY}X: ${"x".repeat(MESSAGE_LIMITS.headers)}\r\n\r\n`, "too_large"],
    ["more lines than are read", `${IDENTITY}\r\n${"\r\n".repeat(MESSAGE_LIMITS.lines + 1)}`, "too_large"],
    [
      "more parts than are read",
      `${IDENTITY}Content-Type: multipart/mixed; boundary=b\r\n\r\n${"--b\r\n\r\n".repeat(1001)}`,
      "too_large",
    ],
    [
      "deeper parts than are read",
      `${IDENTITY}${Array.from({ length: 60 }, (_, i) => `Content-Type: multipart/mixed; boundary=${i}x\r\n\r\n--${i}x\r\n`).join("")}`,
      "too_large",
    ],
  ])("a message with %s has a reason", async (_name, raw, reason) => {
    expect(await reasonsOf(raw)).toContain(reason);
  });

  test("any identity header is answered with a verdict, in any message", async () => {
    const raw = await signed();
    const junk = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[\w-]{0,80}\.[\w-]{0,80}$/),
      fc.json().map((json) => `${Buffer.from(json).toString("base64url")}.AAAA`),
      fc.constant(`${Buffer.from("[".repeat(700)).toString("base64url")}.AAAA`),
      fc.constant(`${Buffer.from('{"jwk":{}}').toString("base64url")}.AAAA`),
      fc.constantFrom("agent_id=; oversight=", "tenant=a; tenant=b", "sig=", "; ; ;", "=".repeat(900)),
    );
    const names = fc.constantFrom(
      "X-MultiMail-Identity",
      "X-MM-Identity-Sig",
      "X-MultiMail-Signature",
      "X-MultiMail-Key-Id",
      "Date",
      "From",
      "Subject",
    );
    await fc.assert(
      fc.asyncProperty(names, junk, async (name, value) => {
        const line = `${name}: ${value.replace(/[^\x20-\x7e]/g, "")}`;
        const verdict = await verifyMessage(bytes(raw.replace(new RegExp(`^${name}: .*`, "m"), () => line)), trusted());
        // A display name, a parameter: what nobody signs may say anything.
        if (verdict.verified) expect(["From"]).toContain(name);
        else expect(verdict.reasons.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  test("any octets are answered with a verdict", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (octets, carries) => {
        const raw = carries ? Buffer.concat([bytes(IDENTITY), octets]) : octets;
        expect((await verifyMessage(raw, trusted())).verified).not.toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe("headers and body without the message", () => {
  const headers = () =>
    [
      ...identityHeaders(identityInput({ files: [["a", bytes("PDF")]] })).headers,
      ["From", "Support\r\n <support@agents.example.com>"],
      ["To", "zoe@example.org"],
      ["cc", "counsel@example.net"],
      ["Subject", CONTENT.subject],
      ["Date", "Sun, 19 Apr 2026 14:22:31 +0000"],
      ["Message-ID", MESSAGE_ID],
    ] as [string, string][];
  const { text, html } = CONTENT;

  test("verify as the message does", () => {
    for (const attachment of [{ content: bytes("PDF") }, { sha256: sha256Hex(bytes("PDF")) }]) {
      expect(
        verifyParsed(partsOf({ headers: headers(), text, html, attachments: [attachment] }), trusted()),
      ).toMatchObject({
        verified: true,
        agent_metadata: {
          tenant_id: TENANT,
          model_id: "claude-sonnet-4-6",
          ai_disclosure: true,
          approval_kind: "human_link",
        },
      });
    }
  });

  test("do not when a header hides another", () => {
    const hidden: [string, string][] = [...headers(), ["X", "a\r\nFrom: ceo@agents.example.com"]];
    const parts = partsOf({ headers: hidden, text, html, attachments: [{ content: bytes("PDF") }] });
    expect(verifyParsed(parts, trusted()).reasons[0]?.reason).toBe("malformed");
  });
});
