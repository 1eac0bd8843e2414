import { describe, expect, it } from "vitest";
import { HEADER } from "../../src/identity/header-form.ts";
import { CLOUDFLARE_MESSAGE_OCTETS, cloudflareProblem } from "../../src/mail/transports/cloudflare-rules.ts";
import { messageWithEveryHeader } from "../support/dkim-changes.ts";

const message = (...headers: string[]) =>
  Buffer.from(["From: a@x.example", ...headers, "Subject: s", "", "body: of the message", ""].join("\r\n"));

describe("what the Email Service takes", () => {
  it("is what is composed here, with every header that we write", async () => {
    expect(cloudflareProblem(await messageWithEveryHeader())).toBeNull();
    for (const name of Object.values(HEADER)) expect(cloudflareProblem(message(`${name}: v=1`))).toBeNull();
  });

  it.each<[name: string, raw: Uint8Array, problem: string | null]>([
    ["5 MiB", Buffer.concat([message(), Buffer.alloc(CLOUDFLARE_MESSAGE_OCTETS - message().length, "x")]), null],
    [
      "an octet more",
      Buffer.concat([message(), Buffer.alloc(CLOUDFLARE_MESSAGE_OCTETS - message().length + 1, "x")]),
      "5 MiB",
    ],
    ["octets that are no text", Buffer.concat([message(), Buffer.from([0xff])]), "not UTF-8"],
    ["octets that are text", Buffer.concat([message(), Buffer.from("é")]), null],
    ["Auto-Submitted", message("Auto-Submitted: auto-generated"), null],
    ["a header name in capitals", message("X-CAMPAIGN_ID: 1", "LIST-ID: <x>"), null],
    ["Received, as of a forwarded message", message("Received: from x by y"), "Received"],
    ["another's signature", message("DKIM-Signature: v=1"), "DKIM-Signature"],
    ["an ARC set", message("ARC-Seal: i=1"), "ARC-Seal"],
    ["Sender", message("Sender: a@x.example"), "Sender"],
    ["Bcc", message("Bcc: b@x.example"), "Bcc"],
    ["a name with a space before its colon", message("X-A : 1"), null],
    ["a name of 100 octets", message(`X-${"a".repeat(98)}: 1`), null],
    ["a name of 101 octets", message(`X-${"a".repeat(99)}: 1`), "100 octets"],
    ["a value of 2048 octets", message(`X-A: ${"é".repeat(1024)}`), null],
    ["a value of 2050 octets", message(`X-A: ${"é".repeat(1025)}`), "2048"],
    ["the same, folded", message(`X-A: ${"a".repeat(1024)}\r\n ${"b".repeat(1024)}`), "2048"],
    ["an empty header", message("X-A:"), "empty"],
    ["a header twice", message("X-A: 1", "x-a: 2"), "twice"],
    ["headers of 16 KiB", message(...Array.from({ length: 16 }, (_, i) => `X-${i + 10}: ${"a".repeat(1016)}`)), null],
    [
      "an octet more",
      message(...Array.from({ length: 16 }, (_, i) => `X-${i + 10}: ${"a".repeat(1016 + (i ? 0 : 1))}`)),
      "16384",
    ],
  ])("%s", (_name, raw, problem) => {
    const found = cloudflareProblem(raw);
    if (problem === null) expect(found).toBeNull();
    else expect(found).toContain(problem);
  });
});
