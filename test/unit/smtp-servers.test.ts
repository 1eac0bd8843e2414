import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type HandOver,
  type InboundCopy,
  MAX_INBOUND_BYTES,
  type SmtpPort,
  startInboundSmtp,
} from "../../dev/smtp-inbound.ts";
import { type OutboundPort, startOutboundSmtp } from "../../dev/smtp-outbound.ts";
import { clientOfReceivedLine } from "../../src/mail/received-line.ts";
import { SmtpDialogue } from "../e2e/smtp-dialogue.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOST = "mx.agents.example";
const MESSAGE = "From: alice@customer.example\r\nSubject: Hi\r\n\r\nHello\r\n";
/** What a line-based or text-based server would change. */
const AWKWARD = Buffer.concat([
  Buffer.from("From: a@b.example\r\n\r\n.one dot\r\n..two\r\nbare\nLF and "),
  Buffer.from([0x80, 0xff, 0xfe, 0xc3]),
  Buffer.from("\r\n"),
]);

function unfold(header: string): string {
  return header.replace(/\r\n[ \t]/g, " ");
}

describe("the world's inbound mail server", () => {
  let copies: InboundCopy[];
  let results: Record<string, HandOver>;
  let server: SmtpPort;
  let client: SmtpDialogue;

  beforeEach(async () => {
    copies = [];
    results = {};
    server = await startInboundSmtp({
      port: 0,
      receivedBy: HOST,
      now: () => NOW,
      handOver: async (copy) => {
        copies.push(copy);
        return results[copy.to] ?? { outcome: "accepted" };
      },
    });
    client = await SmtpDialogue.open(server.port);
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  it("hands over exact bytes under one Received line, a copy for each recipient", async () => {
    const to = ["one@agents.example", "two@agents.example"];
    expect(await client.send({ from: "alice@customer.example", to }, AWKWARD)).toMatch(/^250/);
    expect(copies.map(({ from, to }) => [from, to])).toEqual(to.map((address) => ["alice@customer.example", address]));
    for (const { raw, to } of copies) {
      const text = Buffer.from(raw).toString("latin1");
      const line = /^Received: (?:[^\r]|\r\n[ \t])*\r\n/.exec(text)?.[0] ?? "";
      expect(unfold(line)).toContain(`by ${HOST} with ESMTP`);
      expect(unfold(line)).toContain(`for <${to}>; Fri, 02 Jan 2026 03:04:05 +0000`);
      expect(Buffer.from(text.slice(line.length), "latin1").equals(AWKWARD)).toBe(true);
    }
  });

  it.each([
    ["the peer's own address", {}, { ip: "127.0.0.1", helo: "client.example" }],
    ["an address given by XCLIENT", { xclient: "ADDR=192.0.2.7" }, { ip: "192.0.2.7", helo: "client.example" }],
    ["an IPv6 address", { xclient: "ADDR=IPV6:2001:db8::7" }, { ip: "2001:db8::7", helo: "client.example" }],
    ["an address literal as HELO", { helo: "[192.0.2.8]" }, { ip: "127.0.0.1", helo: "[192.0.2.8]" }],
    [
      "a HELO that pretends to be the line's rest",
      { helo: "x.example([9.9.9.9])by" },
      { ip: "127.0.0.1", helo: "x.example([9.9.9.9])by" },
    ],
  ])("writes a line from which the worker reads %s", async (_what, envelope, expected) => {
    await client.send({ from: "a@b.example", to: ["one@agents.example"], ...envelope }, MESSAGE);
    const text = Buffer.from(copies[0]?.raw ?? []).toString("latin1");
    const value = /^Received: ((?:[^\r]|\r\n[ \t])*)\r\n/.exec(text)?.[1] ?? null;
    expect(clientOfReceivedLine(value, HOST)).toEqual(expected);
  });

  it("gives the null sender as an empty one", async () => {
    expect(await client.send({ from: "", to: ["one@agents.example"] }, MESSAGE)).toMatch(/^250/);
    expect(copies[0]?.from).toBe("");
  });

  const rejected: HandOver = { outcome: "rejected", reason: "No such mailbox\r\n250 here" };
  const tooLarge: HandOver = { outcome: "rejected", reason: "552 5.3.4 Too large" };
  const failed: HandOver = { outcome: "failed", reason: "the database is away" };
  it.each([
    ["all accepted", {}, /^250/],
    ["all rejected", { one: rejected, two: rejected }, /^550 No such mailbox 250 here$/],
    ["all rejected with a code", { one: tooLarge, two: tooLarge }, /^552 5\.3\.4 Too large$/],
    ["one rejected of two", { one: rejected }, /^250/],
    ["one failed of two", { two: failed }, /^451 4\.3\.0 Try again later: the database is away$/],
    ["one failed, one rejected", { one: rejected, two: failed }, /^451/],
  ])("answers once for %s", async (_what, outcomes: Record<string, HandOver>, reply) => {
    for (const [name, outcome] of Object.entries(outcomes)) results[`${name}@agents.example`] = outcome;
    const to = ["one@agents.example", "two@agents.example"];
    expect(await client.send({ from: "a@b.example", to }, MESSAGE)).toMatch(reply);
    expect(copies).toHaveLength(2);
  });

  it("refuses one byte over the limit with 552 and takes the limit itself", async () => {
    const sized = (bytes: number) => `${MESSAGE.padEnd(bytes - 2, `${"x".repeat(98)}\r\n`)}\r\n`;
    const envelope = { from: "a@b.example", to: ["one@agents.example"] };
    expect(await client.send(envelope, sized(MAX_INBOUND_BYTES + 1))).toMatch(/^552/);
    expect(copies).toHaveLength(0);
    expect(await client.send(envelope, sized(MAX_INBOUND_BYTES))).toMatch(/^250/);
    expect(copies).toHaveLength(1);
  });

  it("refuses a message that announces too many bytes before it is sent", async () => {
    await client.say("EHLO client.example");
    expect(await client.say(`MAIL FROM:<a@b.example> SIZE=${MAX_INBOUND_BYTES + 1}`)).toMatch(/^552/);
  });

  it("hands nothing over when the client leaves in the middle", async () => {
    expect(await client.begin({ from: "a@b.example", to: ["one@agents.example"] })).toMatch(/^354/);
    client.socket.end("From: a@b.example\r\n\r\nhalf a mess");
    await new Promise((closed) => client.socket.once("close", closed));
    const next = await SmtpDialogue.open(server.port);
    expect(await next.send({ from: "b@b.example", to: ["one@agents.example"] }, MESSAGE)).toMatch(/^250/);
    next.close();
    expect(copies.map(({ from }) => from)).toEqual(["b@b.example"]);
  });
});

describe("the world's relay", () => {
  let dir: string;
  let relay: OutboundPort;
  let client: SmtpDialogue;
  let passedOn: { from: string; to: string; raw: Uint8Array; helo: string }[];
  let complaints: string[];

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "outbox-"));
    passedOn = [];
    complaints = [];
    relay = await startOutboundSmtp({
      port: 0,
      outboxDir: dir,
      isLocal: (recipient) => recipient.endsWith("@agents.example"),
      passOn: async (message) => {
        passedOn.push(message);
        if (message.to.startsWith("broken")) throw new Error("no such mailbox");
      },
      complain: (sentence) => complaints.push(sentence),
      now: () => NOW,
    });
    client = await SmtpDialogue.open(relay.port);
  });
  afterEach(async () => {
    client.close();
    await relay.close();
    rmSync(dir, { recursive: true });
  });

  it("keeps the exact bytes and the envelope", async () => {
    const to = ["alice@customer.example", "hidden@customer.example"];
    expect(await client.send({ from: "agent@agents.example", to }, AWKWARD)).toMatch(/^250/);
    const names = readdirSync(dir).sort();
    expect(names).toEqual(["20260102T030405000Z-0001.eml", "20260102T030405000Z-0001.json"]);
    expect(readFileSync(join(dir, names[0] ?? "")).equals(AWKWARD)).toBe(true);
    expect(JSON.parse(readFileSync(join(dir, names[1] ?? ""), "utf8"))).toEqual({
      from: "agent@agents.example",
      to,
      received_at: "2026-01-02T03:04:05.000Z",
    });
  });

  it.each([
    ["refuse-550@customer.example", /^550/],
    ["Refuse-554+again@customer.example", /^554/],
    ["defer-451@customer.example", /^451/],
    ["refuse-451@customer.example", /^250/],
    ["refuse@customer.example", /^250/],
  ])("answers RCPT TO:<%s> as the address asks", async (recipient, reply) => {
    await client.say("EHLO worker.example");
    await client.say("MAIL FROM:<a@agents.example>");
    expect(await client.say(`RCPT TO:<${recipient}>`)).toMatch(reply);
  });

  it("passes mail for mailboxes of the world on, and says when it cannot", async () => {
    const to = ["alice@customer.example", "b@agents.example", "broken@agents.example"];
    expect(await client.send({ from: "a@agents.example", to, helo: "worker.example" }, MESSAGE)).toMatch(/^250/);
    await relay.settled();
    expect(passedOn.map(({ from, to, helo, raw }) => [from, to, helo, Buffer.from(raw).toString()])).toEqual([
      ["a@agents.example", "b@agents.example", "worker.example", MESSAGE],
      ["a@agents.example", "broken@agents.example", "worker.example", MESSAGE],
    ]);
    expect(complaints).toEqual(["Mail for broken@agents.example did not arrive: Error: no such mailbox"]);
  });

  it("keeps nothing when the client leaves in the middle", async () => {
    await client.begin({ from: "a@agents.example", to: ["alice@customer.example"] });
    client.socket.end("half a mess");
    await new Promise((closed) => client.socket.once("close", closed));
    await relay.close();
    expect(readdirSync(dir)).toEqual([]);
  });
});
