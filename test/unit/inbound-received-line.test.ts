import { describe, expect, test } from "vitest";
import { clientOfReceivedLine } from "../../src/mail/received-line.ts";

const OURS = "cloudflare-email.net";
const DATE = "Fri, 25 Sep 2026 05:07:50 +0000";

describe("the client's address is taken from our own server's line", () => {
  test.each([
    [
      `from mail-sor-f41.example.com (203.0.113.5)\r\n        by cloudflare-email.net (cloudflare) id AuYfoj6x77E4\r\n        for <u@in.example>; ${DATE}`,
      "203.0.113.5",
      "mail-sor-f41.example.com",
    ],
    [
      `from a.example (2001:db8::1) by cloudflare-email.net (unknown) id X for <u@in.example>; ${DATE}`,
      "2001:db8::1",
      "a.example",
    ],
    [`from a.example ([203.0.113.5]) by mx1.cloudflare-email.net with ESMTP id 7; ${DATE}`, "203.0.113.5", "a.example"],
    [
      `from a.example (rdns.example [203.0.113.5]) by CLOUDFLARE-EMAIL.NET. with ESMTPS id 7 for <u@x>; ${DATE}`,
      "203.0.113.5",
      "a.example",
    ],
    [`from [203.0.113.5] ([IPv6:2001:db8::2]) by cloudflare-email.net; ${DATE}`, "2001:db8::2", "[203.0.113.5]"],
  ])("%s", (line, ip, helo) => {
    expect(clientOfReceivedLine(line, OURS)).toEqual({ ip, helo });
  });
});

describe("nothing is believed", () => {
  test.each([
    ["no Received line", null],
    ["an empty one", ""],
    ["another server's", `from a.example (203.0.113.5) by mx.evil.example id X; ${DATE}`],
    ["a look-alike host", `from a.example (203.0.113.5) by evilcloudflare-email.net id X; ${DATE}`],
    ["our name as a prefix", `from a.example (203.0.113.5) by cloudflare-email.net.evil.example id X; ${DATE}`],
    [
      "a HELO that brings its own clause",
      `from x (198.51.100.7) by cloudflare-email.net (203.0.113.5) by cloudflare-email.net id X; ${DATE}`,
    ],
    ["a HELO with a comment", `from x (198.51.100.7) (203.0.113.5) by cloudflare-email.net id X; ${DATE}`],
    [
      "our name only in a comment",
      `from a.example (203.0.113.5) by mx.evil.example (by cloudflare-email.net) id X; ${DATE}`,
    ],
    ["no address", `from a.example (unknown) by cloudflare-email.net id X; ${DATE}`],
    ["an address that is none", `from a.example (203.0.113.500) by cloudflare-email.net id X; ${DATE}`],
    ["an address in the HELO alone", `from [203.0.113.5] by cloudflare-email.net id X; ${DATE}`],
    ["no date", "from a.example (203.0.113.5) by cloudflare-email.net id X"],
    ["a line without end", `from a.example (203.0.113.5) by cloudflare-email.net id ${"x".repeat(5_000)}; ${DATE}`],
    ["garbage", "\u0000\u0001 (((((((("],
  ])("%s", (_what, line) => {
    expect(clientOfReceivedLine(line, OURS)).toBeNull();
  });

  test("when it is not configured who writes the line", () => {
    expect(clientOfReceivedLine(`from a (203.0.113.5) by b id X; ${DATE}`, "")).toBeNull();
  });
});

test("a line that could be read in exponentially many ways is given up, not read in all of them", () => {
  const hostile = `from x (192.0.2.1) by mx.example${" id a ()".repeat(200)}!`;
  expect(clientOfReceivedLine(hostile, "mx.example")).toBeNull();
});
