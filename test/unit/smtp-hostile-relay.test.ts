import net from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type SmtpRelaySettings, smtpRelay } from "../../src/mail/transports/smtp-relay.ts";
import type { RecipientOutcome } from "../../src/mail/transports/transport.ts";
import { nodeConnect } from "../support/node-sockets.ts";
import { type ScriptedRelay, type ScriptedRelayOptions, startScriptedRelay } from "../support/scripted-relay.ts";
import { startSmtpServer } from "../support/smtp-server.ts";
import { testAuthority } from "../support/test-authority.ts";

/** What a relay, or whoever sits between it and us, may try. */

const RAW = Buffer.from("From: a@sender.example\r\nSubject: s\r\n\r\nline\r\n");
const ACCOUNT = { username: "relay", password: "s3cret" };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function scripted(options: ScriptedRelayOptions = {}): Promise<ScriptedRelay> {
  const started = await startScriptedRelay(options);
  closing.push(started.close);
  return started;
}

interface Wanted extends Partial<SmtpRelaySettings> {
  port: number;
  raw?: Uint8Array;
  to?: string[];
  signal?: AbortSignal;
}

function deliver({ raw = RAW, to = ["b@x.example"], signal, ...settings }: Wanted): Promise<RecipientOutcome[]> {
  const whole: SmtpRelaySettings = { host: "127.0.0.1", security: "none", ehlo_name: "m.example", ...settings };
  const relay = smtpRelay(whole, nodeConnect(testAuthority().authority));
  return relay.deliver({ from: "a@sender.example", to }, raw, signal ?? new AbortController().signal);
}

describe("a reply that does not end", () => {
  const LONG = "x".repeat(1 << 20);
  const ENDLESS = "250-and another\r\n".repeat(4_500);

  it.each(["none", "starttls"] as const)("ends the session, as the greeting (%s)", async (security) => {
    for (const greeting of [`220 ${LONG}`, ENDLESS.replaceAll("250", "220")]) {
      const relay = await scripted({ greeting });
      expect(await deliver({ port: relay.port, security })).toMatchObject([{ outcome: "deferred", code: null }]);
      expect(relay.commands).toEqual([]);
    }
  });

  it.each(["EHLO", "MAIL", "RCPT", "DATA", "."])("ends the session, to %s, and refuses nobody", async (verb) => {
    for (const endless of [`250 ${LONG.repeat(2)}`, ENDLESS]) {
      // Without its line end, and then silence: only the length can end it.
      const relay = await scripted({ reply: (line) => (line.startsWith(verb) ? endless.slice(0, -2) : undefined) });
      const [outcome] = await deliver({ port: relay.port });
      expect(outcome).toMatchObject({ outcome: "deferred", code: null });
      expect(outcome?.response.length).toBeLessThanOrEqual(500);
    }
  });

  it("of 60 KiB is taken, and kept as one short line", async () => {
    const said = `250-${"a\t\u0007".repeat(20_000)}\r\n250 queued as 1`;
    const relay = await scripted({ reply: (line) => (line === "." ? said : undefined) });
    const [outcome] = await deliver({ port: relay.port });
    expect(outcome).toMatchObject({ outcome: "accepted", code: 250 });
    expect(outcome?.response).toHaveLength(500);
    expect(outcome?.response).toMatch(/^[ -~]+$/);
  });
});

describe("a relay that takes its time", () => {
  it("is left when the limit ends, wherever it stands still", async () => {
    for (const verb of ["EHLO", "MAIL", "DATA", "."]) {
      const relay = await scripted({ reply: (line) => (line.startsWith(verb) ? "wait" : undefined) });
      const abort = new AbortController();
      const delivery = deliver({ port: relay.port, signal: abort.signal });
      await relay.heard(verb);
      abort.abort(new Error("no time left"));
      expect(await delivery).toMatchObject([{ outcome: "deferred", code: null, response: "no time left" }]);
    }
  });

  it("and never reads what it is sent, is left too", async () => {
    const reached = Promise.withResolvers<void>();
    const listener = net.createServer((socket) => {
      closing.push(async () => void socket.destroy());
      socket.on("error", () => undefined);
      socket.write("220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go on\r\n");
      socket.pause();
      reached.resolve();
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    closing.push(() => new Promise((resolve) => listener.close(() => resolve())));
    const abort = new AbortController();
    const raw = Buffer.concat([RAW, Buffer.alloc(10 << 20, "0123456789\r\n")]);
    const { port } = listener.address() as net.AddressInfo;
    const delivery = deliver({ port, raw, signal: abort.signal });
    await reached.promise;
    abort.abort(new Error("no time left"));
    expect(await delivery).toMatchObject([{ outcome: "deferred" }]);
  });

  it.each(["250 one\r\n250 two", "250 ok\r\n221 bye", "junk"])(
    "and speaks out of turn, %j, refuses nobody",
    async (said) => {
      const relay = await scripted({ reply: (line) => (line.startsWith("RCPT") ? said : undefined) });
      const [outcome] = await deliver({ port: relay.port });
      expect(outcome?.outcome).not.toBe("refused");
    },
  );
});

describe("somebody in between", () => {
  const SECRET = /s3cret|czNjcmV0|AUTH/;

  it.each([
    ["takes STARTTLS out of what the relay offers", ["PIPELINING", "AUTH PLAIN LOGIN"], undefined],
    ["hides it in another word", ["X-STARTTLS", "STARTTLSX", "AUTH PLAIN"], undefined],
    ["lets it be refused", ["STARTTLS", "AUTH PLAIN"], "454 not now"],
    ["lets it be refused for good", ["STARTTLS", "AUTH PLAIN"], "502 never"],
  ])("%s: neither a password nor a message is said", async (_what, extensions, reply) => {
    const relay = await scripted({ extensions, reply: (line) => (line === "STARTTLS" ? reply : undefined) });
    const [outcome] = await deliver({ port: relay.port, security: "starttls", ...ACCOUNT });
    expect(outcome?.outcome).toBe("deferred");
    expect(relay.commands.join("\n")).not.toMatch(SECRET);
    expect(relay.commands.every((line) => /^(?:EHLO|STARTTLS)/.test(line))).toBe(true);
  });

  it.each([
    ["with the reply", "220 go\r\n250-relay\r\n250 AUTH PLAIN"],
    ["as half a line", "220 go\r\n250-rel"],
    ["as one octet", "220 go\r\n\0"],
  ])("puts words in before the handshake, %s: the session ends (CVE-2011-0411)", async (_what, reply) => {
    const relay = await scripted({
      extensions: ["STARTTLS"],
      reply: (line) => (line === "STARTTLS" ? reply : undefined),
    });
    const outcomes = await deliver({ port: relay.port, security: "starttls", ...ACCOUNT });
    expect(outcomes).toMatchObject([{ outcome: "deferred", code: null }]);
    expect(relay.commands.join("\n")).not.toMatch(SECRET);
  });

  it("answers STARTTLS in clear text: no handshake, nothing said", async () => {
    const relay = await scripted({
      extensions: ["STARTTLS"],
      reply: (line) => (line === "STARTTLS" ? "220 go" : undefined),
    });
    const abort = new AbortController();
    const delivery = deliver({ port: relay.port, security: "starttls", signal: abort.signal, ...ACCOUNT });
    await relay.heard("STARTTLS");
    abort.abort();
    expect(await delivery).toMatchObject([{ outcome: "deferred", code: null }]);
    expect(relay.commands.join("\n")).not.toMatch(SECRET);
  });

  it.each(
    (["elsewhere", "expired", "self_signed"] as const).flatMap((certificate) => [
      [certificate, "starttls", "starttls"] as const,
      [certificate, "tls", "implicit"] as const,
    ]),
  )("shows a certificate that is %s (%s): deferred, with nothing said", async (certificate, security, tls) => {
    const relay = await startSmtpServer({ tls, certificate, account: { ...ACCOUNT, required: true } });
    closing.push(relay.close);
    const outcomes = await deliver({ port: relay.port, host: "localhost", security, ...ACCOUNT });
    expect(outcomes).toMatchObject([{ outcome: "deferred", code: null }]);
    expect(relay.sessions).toEqual([]);
  });

  it("never hears a password where nothing encrypts it", () => {
    const settings = { host: "127.0.0.1", port: 1, security: "none", ehlo_name: "m.example", ...ACCOUNT } as const;
    expect(() => smtpRelay(settings, nodeConnect())).toThrow("SMTP_SECURITY");
  });
});

describe("SMTP smuggling: one message stays one", () => {
  /** What a receiver has after it undid the dots (RFC 5321 §4.5.2). */
  const unstuffed = (data: string) => data.replace(/^\./gm, "");
  const withCrLf = (text: string) => text.replace(/\r\n|\r|\n/g, "\r\n");
  const SMUGGLED =
    "MAIL FROM:<ceo@sender.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nFrom: ceo@sender.example\r\n\r\nPay.";

  async function overTheWire(raw: string): Promise<string> {
    const relay = await scripted();
    expect(await deliver({ port: relay.port, raw: Buffer.from(raw, "latin1") })).toMatchObject([
      { outcome: "accepted" },
    ]);
    expect(relay.commands.filter((line) => line.startsWith("MAIL"))).toHaveLength(1);
    expect(relay.data).toHaveLength(1);
    await relay.close();
    return relay.data[0] ?? "";
  }

  it.each(["\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r.\r\n", "\r\n\0.\r\n"])(
    "after %j",
    async (end) => {
      const data = await overTheWire(`From: a@sender.example\r\n\r\nHello${end}${SMUGGLED}`);
      // Neither a line end that only some servers see as one, nor a line that only some take for the end.
      expect(data).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
      expect(data.split("\r\n")).not.toContain(".");
    },
  );

  it("whatever the octets are: only line ends are made whole, and dots doubled", async () => {
    const octets = fc.array(fc.constantFrom("\r", "\n", ".", "\r\n", "\r\n.", "a", " "), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(octets, async (drawn) => {
        const body = drawn.join("");
        const data = await overTheWire(`From: a@sender.example\r\n\r\n${body}`);
        expect(data).not.toMatch(/(?<!\r)\n|\r(?!\n)/);
        expect(data.split("\r\n")).not.toContain(".");
        const sent = unstuffed(`${data}\r\n`).slice("From: a@sender.example\r\n\r\n".length);
        const whole = withCrLf(body);
        expect(sent).toBe(whole === "" || whole.endsWith("\r\n") ? whole : `${whole}\r\n`);
      }),
      { numRuns: 60 },
    );
  });
});

describe("what a relay does not offer is not used", () => {
  const EIGHT_BIT = Buffer.concat([RAW, Buffer.from([0xc3, 0xa9, 0x0d, 0x0a])]);
  const mailLine = (relay: ScriptedRelay) => relay.commands.find((line) => line.startsWith("MAIL"));

  it("octets above 127 are announced where it takes them, and only where there are some", async () => {
    for (const [raw, extensions, said] of [
      [EIGHT_BIT, ["8BITMIME"], " BODY=8BITMIME"],
      [EIGHT_BIT, ["8BITMIME", "SIZE 1000"], ` BODY=8BITMIME SIZE=${EIGHT_BIT.length}`],
      [RAW, ["8BITMIME", "SIZE"], ` SIZE=${RAW.length}`],
      [RAW, [], ""],
    ] as const) {
      const relay = await scripted({ extensions: ["x", ...extensions] });
      expect(await deliver({ port: relay.port, raw })).toMatchObject([{ outcome: "accepted" }]);
      expect(mailLine(relay)).toBe(`MAIL FROM:<a@sender.example>${said}`);
      expect(relay.data[0]).toBe(raw.toString("latin1").slice(0, -2));
    }
  });

  it("octets above 127 are not sent where it does not take them (RFC 6152 §3)", async () => {
    const relay = await scripted({ extensions: ["PIPELINING", "X8BITMIME"] });
    const outcomes = await deliver({ port: relay.port, raw: EIGHT_BIT, to: ["b@x.example", "c@x.example"] });
    expect(outcomes.map(({ outcome, code }) => [outcome, code])).toEqual([
      ["refused", null],
      ["refused", null],
    ]);
    expect(outcomes[0]?.response).toContain("8BITMIME");
    expect(mailLine(relay)).toBeUndefined();
  });

  it("an address beyond ASCII is refused, also where SMTPUTF8 is offered; the others go", async () => {
    for (const extensions of [["SMTPUTF8", "8BITMIME"], ["8BITMIME"]]) {
      const relay = await scripted({ extensions });
      const outcomes = await deliver({ port: relay.port, to: ["grüße@x.example", "b@x.example"] });
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(["refused", "accepted"]);
      expect(relay.commands.filter((line) => line.startsWith("RCPT"))).toEqual(["RCPT TO:<b@x.example>"]);
    }
  });

  it("a relay that knows no EHLO gets HELO, and the message", async () => {
    const relay = await scripted({
      reply: (line) => (/^EHLO/.test(line) ? "502 what?" : /^HELO/.test(line) ? "250 hi" : undefined),
    });
    expect(await deliver({ port: relay.port })).toMatchObject([{ outcome: "accepted" }]);
    expect(mailLine(relay)).toBe("MAIL FROM:<a@sender.example>");
  });
});
