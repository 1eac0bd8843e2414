import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandVerdict, multimailVerify } from "../../dev/multimail-command.ts";
import type { KeptMail } from "../../dev/outbox.ts";
import { CUSTOMER_DOMAIN } from "../../dev/senders.ts";
import type { KeyDocument } from "../../src/identity/keys.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { AGENT_ID, IdentityWorld, reasonsOf } from "./identity-world.ts";
import { hasPython, type PythonVerdict, pythonVerify, relayed } from "./python.ts";

/**
 * What the world sends, judged by a second implementation that knows FORMATS.md and not our code, and what it sends through a
 * relay that writes mail anew. Both are in Python; MULTIMAIL_PYTHON names an interpreter that has `cryptography`.
 */

const ALICE = `alice@${CUSTOMER_DOMAIN}`;
const base64 = (bytes: string | Uint8Array) => Buffer.from(bytes).toString("base64");
const people = (what: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${what}-${i}@${CUSTOMER_DOMAIN}`);
const octets = (count: number) => Uint8Array.from({ length: count }, (_, i) => (i * 7) % 256);

/** Sent from which mailbox, and what it says beside sender and agent. */
const MAILS = {
  "emoji and text from right to left": {
    mode: "autonomous",
    message: {
      subject: "🎉 שלום مرحبا",
      markdown: "👩‍👩‍👧 **שלום** עולם\n\nمرحبا 1 < 2 & e\u0301 \u202Eabc\u202C\n\n\n",
    },
  },
  "a subject of 900 octets": {
    mode: "autonomous",
    message: { subject: "é🎉ש ".repeat(101).trim(), text: "Short." },
  },
  "a subject that begins with a byte order mark": {
    mode: "autonomous",
    message: { subject: "\uFEFF  Hello ", text: "\uFEFFShort." },
  },
  "50 recipients": {
    // To so many it is promotional, unless a person approves it as what it says it is.
    mode: "gated_send",
    message: {
      tags: ["transactional"],
      to: ['"Ze, \\"Q\\"" <alice@customer.example>', "Zoë <ZOE@Customer.example>", ...people("to", 18)],
      cc: people("cc", 15),
      bcc: people("bcc", 15),
      ...{ subject: "To all", text: "All of you." },
    },
  },
  "an empty text": { mode: "autonomous", message: { subject: "", text: "" } },
  "a text alone": {
    mode: "autonomous",
    message: { subject: "Text", text: "\tOne.\r\n\r\nTwo. \rThree.\n.\nFrom here on\n\n" },
  },
  "HTML alone": {
    mode: "autonomous",
    message: { subject: "HTML", html: "<p>Grüße, <b>Alice</b></p>\n<p>1 &lt; 2</p>" },
  },
  "text and HTML": { mode: "autonomous", message: { subject: "Both", text: "Grüße", html: "<p>Grüße</p>" } },
  attachments: {
    mode: "autonomous",
    message: {
      ...{ subject: "Files", markdown: "See **below**." },
      attachments: [
        { name: "notes.txt", content_type: "text/plain", content_base64: base64("Other words.\n\n") },
        { name: "page.html", content_type: "text/html", content_base64: base64("<p>Other words.</p>") },
        { name: "meeting.ics", content_type: "text/calendar", content_base64: base64("BEGIN:VCALENDAR\r\n") },
        { name: "Grüße 🎉.bin", content_base64: base64(octets(100_000)) },
        { name: "one.bin", content_base64: base64(octets(1)) },
      ],
    },
  },
  "an approval": { mode: "gated_send", message: { subject: "Invoice 100", markdown: "You owe **100** euros." } },
  "the domain-bound form": { mode: "monitored", message: { subject: "Hello", text: "From the domain." } },
} as const satisfies Record<string, { mode: Mode; message: object }>;
type MailName = keyof typeof MAILS;
const NAMES = Object.keys(MAILS) as MailName[];

let world: IdentityWorld;
let keys: string;
let ed25519: string;
const sent = new Map<string, KeptMail & { id: string }>();

function mail(name: MailName): KeptMail & { id: string } {
  const found = sent.get(name);
  if (!found) throw new Error(`${name} was not sent`);
  return found;
}

/** What both implementations say of one file. */
interface Judged {
  ours: CommandVerdict;
  theirs: PythonVerdict;
}

/** What both say of each file. */
async function judgedAll(files: readonly string[], keyFile = keys): Promise<Judged[]> {
  const ours = await multimailVerify(...files, "--key", keyFile, "--ed25519", ed25519);
  const theirs = pythonVerify("mail", keyFile, ...files, "--ed25519", ed25519);
  return files.map((file, index) => {
    const [mine, other] = [ours[index], theirs[index]];
    if (mine?.file !== file || other?.file !== file) throw new Error(`no verdict on ${file}`);
    return { ours: mine, theirs: other };
  });
}

async function judged(file: string, keyFile = keys): Promise<Judged> {
  const [verdict] = await judgedAll([file], keyFile);
  if (!verdict) throw new Error("no verdict");
  return verdict;
}

/** @returns the value of a header that stands in one line. */
function line(raw: string, name: string): string {
  const [, value] = new RegExp(`^${name}: (.*)\r$`, "m").exec(raw) ?? [];
  if (value === undefined) throw new Error(`no ${name}`);
  return value;
}

/** @returns the message with a line more, before that header. */
function before(raw: string, name: string, more: string): string {
  return raw.replace(new RegExp(`^${name}: `, "m"), `${more}\r\n$&`);
}

/** What is done to the approved mail. @param other another mail of the same agent. */
const BREAKS: Record<string, (raw: string, other: string) => string> = {
  "a byte of the text": (raw) => raw.replace("owe 100", "owe 900"),
  "a byte of the HTML": (raw) => raw.replace("<strong>100", "<strong>900"),
  "a byte of the subject": (raw) => raw.replace("Subject: Invoice 100", "Subject: Invoice 900"),
  "another sender": (raw) => raw.replace("<gated-send@", "<autonomous@"),
  "another recipient": (raw) => raw.replace(`To: ${ALICE}`, `To: b${ALICE}`),
  "a Cc": (raw) => before(raw, "Subject", "Cc: eve@evil.example"),
  "another hour": (raw) => raw.replace(/^(Date: .*) \+0000/m, "$1 +0100"),
  "another Message-ID": (raw) => raw.replace(/^Message-ID: <em_../m, "Message-ID: <em_ZZ"),
  "another agent": (raw) => raw.replace("Agent-Id: order-desk", "Agent-Id: order-desc"),
  "another mode": (raw) => raw.replace("Oversight-Mode: gated_send", "Oversight-Mode: gated_all"),
  "another credential": (raw) => raw.replace(/^(X-MultiMail-Key-Id: .*)\r$/m, "$1; bound\r"),
  "no approval": (raw) => raw.replace(/^X-MultiMail-Approval: .*\r\n/m, ""),
  "no approval_sig": (raw) => raw.replace(/ approval_sig=[^;]+;/, ""),
  "no signature of the message": (raw) => raw.replace(/^X-MultiMail-Signature: .*\r\n/m, ""),
  "no disclosure": (raw) => raw.replace("X-AI-Generated: true\r\n", ""),
  "capital hexadecimal digits": (raw) =>
    raw.replace(/^(X-MultiMail-Signature: )(.*)/m, (_all, name, hex: string) => name + hex.toUpperCase()),
  "a second subject": (raw) => before(raw, "Subject", "Subject: Paid"),
  "a second From": (raw) => before(raw, "Subject", "From: eve@evil.example"),
  "a second agent": (raw) => before(raw, "Subject", "X-MultiMail-Agent-Id: boss"),
  "a field twice": (raw) => raw.replace("; oversight=gated_send", "; oversight=gated_send; oversight=gated_send"),
  "a key of its own": (raw) => before(raw, "Subject", "X-MultiMail-JWK: {}"),
  "a link to a key": (raw) => raw.replace(/^X-MM-Identity-Sig: /m, "$&jku=https://evil.example; "),
  "a file more": (raw) => {
    const boundary = /boundary="([^"]+)"/.exec(raw)?.[1] ?? "";
    const part = `--${boundary}\r\nContent-Type: text/plain\r\n\r\nMore.\r\n`;
    return raw.replace(`\r\n--${boundary}--`, `\r\n${part}--${boundary}--`);
  },
  "the claim of another mail": (raw, other) =>
    raw.replace(line(raw, "X-MultiMail-Identity"), line(other, "X-MultiMail-Identity")),
  "the text's signature of another mail": (raw, other) =>
    raw.replace(line(raw, "X-MM-Identity-Sig"), line(other, "X-MM-Identity-Sig")),
  "the signature of another mail": (raw, other) =>
    raw.replace(line(raw, "X-MultiMail-Signature"), line(other, "X-MultiMail-Signature")),
  "the claim's first character changed": (raw) => raw.replace("X-MultiMail-Identity: ey", "X-MultiMail-Identity: fy"),
};

/** What is done to a receipt. */
const FORGED: Record<string, (receipt: Record<string, unknown>) => object> = {
  "another agent": (receipt) => ({ ...receipt, payload: { ...(receipt.payload as object), agent_id: "boss" } }),
  "a field more": (receipt) => ({ ...receipt, approved: true }),
  "another payload in the JWS": ({ jws, ...fields }) => {
    const [head, , tail] = String(jws).split(".");
    const forged = { ...fields, issuer: "https://evil.example" };
    return { ...forged, jws: [head, Buffer.from(JSON.stringify(forged)).toString("base64url"), tail].join(".") };
  },
  "no algorithm": ({ jws, ...fields }) => {
    const [head = "", body] = String(jws).split(".");
    const header = { ...JSON.parse(Buffer.from(head, "base64url").toString()), alg: "none" };
    return { ...fields, jws: `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${body}.` };
  },
};

/** What is done to the key document. */
const LIVES: Record<string, Partial<KeyDocument["keys"][number]>> = {
  "not yet valid": { not_before: "2999-01-01T00:00:00.000Z" },
  "retired before": { retired_at: "2001-01-01T00:00:00.000Z" },
  revoked: { revoked_at: "2999-01-01T00:00:00.000Z" },
  "another one": { x: "9cFR4hLF75H_tUPXIeGlhCSkqOIuDlneediAndBrT0Y", y: "K22I-vJm1l_a4EWD4-_j3coi49R5wv83VD1uvQWyPKw" },
};

/** What a relay may do. */
const HARMLESS = [
  ...["unchanged", "base64", "quoted-printable", "8bit", "8bit, then 7bit", "folded at 78", "unfolded"],
  ...["raw UTF-8 in the header", "base64 in other lines", "names in capitals, in another order"],
];

/** What a relay may not do, and what is said then. */
const HARMFUL: [string, string[]][] = [
  // RFC 2047 §5 leaves a relay free to do so. No word of an identity header needs it, and only one spelling is read.
  ["identity headers as encoded words", ["malformed"]],
  ["a footer", ["body_changed", "signature_invalid"]],
  ["a tag in the subject", ["signature_invalid"]],
  ["the list as From", ["foreign_domain", "signature_invalid", "wrong_sender"]],
  ["the list as To", ["signature_invalid"]],
];

describe.skipIf(!hasPython)("in Python with `cryptography` (MULTIMAIL_PYTHON names it)", () => {
  beforeAll(async () => {
    world = await IdentityWorld.start();
    const format = { identity_format: "domain" };
    expect((await world.admin("PATCH", `/v1/mailboxes/${world.mailbox("monitored").id}`, format)).status).toBe(200);
    for (const name of NAMES) {
      const { mode, message } = MAILS[name];
      const id = await world.send(mode, { to: ALICE, ...message });
      if (mode === "gated_send") await world.decide(id, "approve");
      sent.set(name, { id, ...(await world.delivered(id, ALICE)) });
    }
    keys = await world.keyDocument();
    const pubkey = await world.published(`/v1/identity/pubkey/${AGENT_ID}?tenant_id=${world.tenantId}`);
    ed25519 = world.write("ed25519.json", pubkey.text);
  }, 240_000);

  afterAll(() => world?.stop());

  it.each(NAMES)("a mail with %s verifies, by FORMATS.md alone", async (name) => {
    const { ours, theirs } = await judged(mail(name).file);
    expect(theirs).toMatchObject({ verified: true, reasons: [], agent: AGENT_ID });
    expect([ours.verified, ours.reasons]).toEqual([true, []]);
  });

  it("the mails are what they are meant to be", async () => {
    expect(Buffer.byteLength(mail("a subject of 900 octets").parsed.subject ?? "")).toBeGreaterThanOrEqual(900);
    // Each has a return path of their own, and so an envelope.
    for (const each of [...people("to", 18), ...people("cc", 15), ...people("bcc", 15)]) {
      expect((await world.delivered(mail("50 recipients").id, each)).envelope.to).toEqual([each]);
    }
    expect(mail("attachments").parsed.attachments).toHaveLength(5);
    expect(mail("an approval").raw.toString()).toContain("approval_sig=");
    expect(mail("the domain-bound form").raw.toString()).toContain("; msig=");
  });

  it("what carries no identity is neither verified nor refused", async () => {
    const file = world.write("plain.eml", `From: ${ALICE}\r\nSubject: Hello\r\n\r\nHello.\r\n`);
    const { ours, theirs } = await judged(file);
    expect([ours.verified, theirs.verified]).toEqual([null, null]);
  });

  describe("a mail that was changed", () => {
    const verdicts = new Map<string, Judged>();

    beforeAll(async () => {
      const [raw = "", other = ""] = [mail("an approval"), mail("text and HTML")].map(({ raw }) =>
        raw.toString("latin1"),
      );
      const files = Object.entries(BREAKS).map(([what, change], index) => {
        const changed = change(raw, other);
        if (changed === raw) throw new Error(`${what} changes nothing`);
        return world.write(`broken-${index}.eml`, Buffer.from(changed, "latin1"));
      });
      const all = await judgedAll(files);
      for (const [index, what] of Object.keys(BREAKS).entries()) verdicts.set(what, all[index] as Judged);
    });

    it.each(Object.keys(BREAKS))("with %s, neither verifies it", (what) => {
      const { ours, theirs } = verdicts.get(what) ?? {};
      expect([ours?.verified, theirs?.verified], JSON.stringify([ours, theirs])).toEqual([false, false]);
    });
  });

  it.each<[string, (value: string) => string]>([
    ["without msig", (value) => value.replace(/; msig=.*/, "")],
    ["with sig in the place of msig", (value) => value.replace(/; sig=(\S+); msig=.*/, "; sig=$1; msig=$1")],
    ["in another mode", (value) => value.replace("oversight=monitored", "oversight=gated_all")],
  ])("the domain-bound form %s is not verified by either", async (_what, change) => {
    const raw = mail("the domain-bound form").raw.toString("latin1");
    const value = line(raw, "X-MultiMail-Identity");
    const file = world.write("broken.eml", Buffer.from(raw.replace(value, change(value)), "latin1"));
    const { ours, theirs } = await judged(file);
    expect([ours.verified, theirs.verified]).toEqual([false, false]);
  });

  it.each(Object.entries(LIVES))("with a key that is %s, neither verifies anything", async (_what, life) => {
    const document: KeyDocument = JSON.parse(
      (await world.published(`/v1/identity/public-key?tenant_id=${world.tenantId}`)).text,
    );
    const changed = { ...document, ...life, keys: document.keys.map((key) => ({ ...key, ...life })) };
    const { ours, theirs } = await judged(
      mail("text and HTML").file,
      world.write("life.json", JSON.stringify(changed)),
    );
    expect([ours.verified, theirs.verified]).toEqual([false, false]);
  });

  it("receipts verify, and forged ones do not", async () => {
    const { body } = await world.agent("GET", `/v1/emails/${mail("an approval").id}/identity-receipt`);
    const receipt = body as Record<string, unknown>;
    const files = [receipt, ...Object.values(FORGED).map((forge) => forge(receipt))].map((content, index) =>
      world.write(`receipt-${index}.json`, JSON.stringify(content)),
    );
    const verdicts = pythonVerify("receipt", keys, ...files);
    expect(verdicts.map(({ file, verified }) => [basename(file), verified])).toEqual(
      files.map((file, index) => [basename(file), index === 0]),
    );
  });

  describe("a relay that takes mail apart and writes it anew", () => {
    it.each(HARMLESS)("%s: the mail is still verified, here and where it arrives", async (how) => {
      const names: MailName[] = ["emoji and text from right to left", "attachments", "a subject of 900 octets"];
      const files = names.map((name, index) => world.write(`relayed-${index}.eml`, relayed(how, mail(name).raw)));
      const verdicts = (await judgedAll(files)).map(({ ours, theirs }) => [
        ours.verified,
        ours.reasons,
        theirs.verified,
      ]);
      expect(verdicts).toEqual(names.map(() => [true, [], true]));
      const raw = relayed(how, mail("attachments").raw);
      expect(raw.includes(mail("attachments").raw)).toBe(how === "unchanged");
      const email = await world.receive("gated_send", raw);
      expect(email).toMatchObject({ identity_verified: true, agent_metadata: { agent_id: AGENT_ID } });
    });

    it("ISO 8859-1: so is one whose words have room in it", async () => {
      const raw = relayed("ISO 8859-1", mail("text and HTML").raw);
      expect(raw.toString("latin1")).toContain("iso-8859-1");
      const { ours, theirs } = await judged(world.write("relayed.eml", raw));
      expect([ours.verified, theirs.verified]).toEqual([true, true]);
      expect(await world.receive("gated_send", raw)).toMatchObject({ identity_verified: true });
    });

    it("breaks DKIM by it, which the identity does not need", async () => {
      const email = await world.receive("gated_send", relayed("base64", mail("text and HTML").raw));
      expect(email).toMatchObject({ identity_verified: true, dkim_result: "fail" });
    });

    it.each(HARMFUL)("%s: the mail is not verified any more, and it is said why", async (how, reasons) => {
      const raw = relayed(how, mail("attachments").raw);
      const { ours, theirs } = await judged(world.write("relayed.eml", raw));
      expect([ours.verified, reasonsOf(ours), theirs.verified]).toEqual([false, reasons, false]);
      const email = await world.receive("gated_send", raw);
      expect(email).toMatchObject({ identity_verified: false, agent_metadata: null });
    });
  });
});
