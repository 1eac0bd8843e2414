import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withReceivedLine } from "../../dev/smtp-inbound.ts";
import { parseMessage } from "../../src/mail/parse.ts";
import { clientOfReceivedLine } from "../../src/mail/received-line.ts";

/** SPF's client address is the one our own server saw, whatever the sender writes into the message or says at HELO. */

const OURS = "cloudflare-email.net";
const TRUE_IP = "203.0.113.5";
const FORGED_IP = "198.51.100.7";
const DATE = "Fri, 25 Sep 2026 05:07:50 +0000";
const NOW = () => Date.UTC(2026, 8, 25, 5, 7, 50);

const forged = (ip = FORGED_IP) => `Received: from mx.bank.example ([${ip}]) by ${OURS} with ESMTP id 1; ${DATE}\r\n`;

/** @returns whom a message is believed to come from, after a server that sees `ip` took it in. */
async function clientOf(sent: string, { ip = TRUE_IP, helo = "mx.evil.example", to = "agent@m.example" } = {}) {
  const peer = { ip, helo, protocol: "ESMTP", id: "7" };
  const raw = withReceivedLine(Buffer.from(sent, "latin1"), peer, to, { receivedBy: OURS, now: NOW });
  const { first_received } = await parseMessage(raw, { large: false });
  return clientOfReceivedLine(first_received, OURS);
}

const MAIL = "From: ann@bank.example\r\nSubject: Hello\r\n\r\nHello\r\n";

describe("what the sender writes at the top of its message is below our line", () => {
  test.each<[string, string]>([
    ["nothing", ""],
    ["a line as ours", forged()],
    ["a hundred of them", forged().repeat(100)],
    ["one of an IPv6 address", forged("IPv6:2001:db8::66")],
    ["one that goes on where ours ends", ` ([${FORGED_IP}]) by ${OURS} with ESMTP id 1; ${DATE}\r\n`],
    ["one folded in the middle of a name", forged().replace("by ", "by\r\n\t")],
    ["one in capitals", forged().toUpperCase()],
    ["one with a space before its colon", forged().replace("Received:", "Received :")],
    ["an empty line, and then one", `\r\n${forged()}`],
    ["a bare LF, and then one", `\n${forged()}`],
    ["a bare CR, and then one", `\r${forged()}`],
    ["a NUL, and then one", `\0${forged()}`],
  ])("%s", async (_what, top) => {
    const client = await clientOf(top + MAIL);
    expect(client === null ? TRUE_IP : client.ip).toBe(TRUE_IP);
  });
});

describe("what the sender says at HELO is a name and nothing else", () => {
  test.each<[string, string]>([
    ["an address literal", `[${FORGED_IP}]`],
    ["an IPv6 literal", "[IPv6:2001:db8::66]"],
    ["our own name", OURS],
    ["a comment", `x([${FORGED_IP}])`],
    ["a whole clause without spaces", `x([${FORGED_IP}])by(${OURS})id;${DATE.replaceAll(" ", "")}`],
    ["the end of the line", "x;"],
    ["quotes", '"x"'],
    ["a backslash", "x\\"],
    ["what no server may say", "x y\r\nReceived: z"],
    ["nothing", ""],
  ])("%s", async (_what, helo) => {
    expect(await clientOf(MAIL, { helo })).toMatchObject({ ip: TRUE_IP });
  });

  test("whatever it is made of", async () => {
    const helo = fc.string({ minLength: 1, maxLength: 60 }).filter((text) => /^[\x21-\x7e]+$/.test(text));
    await fc.assert(
      fc.asyncProperty(helo, fc.string({ maxLength: 80 }), async (name, top) => {
        const client = await clientOf(`${top}\r\n${forged()}${MAIL}`, { helo: name });
        expect(client === null ? TRUE_IP : client.ip).toBe(TRUE_IP);
      }),
      { numRuns: 300 },
    );
  });
});

test.each(["2001:db8::5", "::1", "::ffff:203.0.113.5"])(
  "the line of the local server says %s so that it is read",
  async (ip) => {
    expect(await clientOf(MAIL, { ip })).toMatchObject({ ip });
  },
);

test("a recipient that would break the line leaves its clause out, and the address is still read", async () => {
  expect(await clientOf(MAIL, { to: '"a; ([198.51.100.7]) by x"@m.example' })).toMatchObject({ ip: TRUE_IP });
});
