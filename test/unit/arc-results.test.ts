import { describe, expect, test } from "vitest";
import { onlyResult, readResults } from "../../src/mail/arc-results.ts";

/** What other servers write into ARC-Authentication-Results (RFC 8601 §2.2), and what somebody could make them write. */

const dmarcIn = (text: string) => onlyResult(readResults(text), "dmarc")?.result ?? null;

test.each<[string, string, string]>([
  [
    "Gmail",
    " mx.google.com; dkim=pass header.i=@bank.example header.s=s1 header.b=AbC/d+; spf=pass (google.com: domain of a@bank.example designates 203.0.113.5 as permitted sender) smtp.mailfrom=a@bank.example; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=bank.example",
    "bank.example",
  ],
  [
    "Microsoft 365",
    " mx.microsoft.com 1; spf=pass smtp.mailfrom=bank.example; dmarc=pass action=none header.from=bank.example; dkim=pass header.d=bank.example; arc=none",
    "bank.example",
  ],
  ["one folded anywhere", " mx.example;\r\n\tdmarc\r\n =\r\n pass\r\n header.from = Bank.Example", "Bank.Example"],
  ["one with a quoted value", ' mx.example; dmarc=pass header.from="bank.example"', "bank.example"],
])("%s's is read", (_who, text, from) => {
  const dmarc = onlyResult(readResults(text), "dmarc");
  expect([dmarc?.result, dmarc?.properties.get("header.from")]).toEqual(["pass", from]);
});

describe("no result is made of what a message says", () => {
  test.each<[string, string, string | null]>([
    ["in a comment", " mx; spf=fail (; dmarc=pass header.from=bank.example)", null],
    ["in a nested comment", " mx; spf=fail (a (b) ; dmarc=pass)", null],
    ["behind an escaped parenthesis", " mx; spf=fail (\\) ; dmarc=pass )", null],
    ["in a quoted string", ' mx; spf=fail smtp.mailfrom="; dmarc=pass "', null],
    ["behind an escaped quote", ' mx; spf=fail smtp.mailfrom="\\"; dmarc=pass "', null],
    ["in a comment that does not end", " mx; dmarc=fail; spf=fail (; dmarc=pass", null],
    ["after a comment that never began", " mx; spf=fail ); dmarc=pass", null],
    ["after a string that does not end", ' mx; spf=fail smtp.mailfrom="; dmarc=pass', null],
    ["a second time", " mx; dmarc=fail; dmarc=pass", null],
    ["as a property", " mx; spf=fail dmarc=pass", null],
    ["as the server's name", " dmarc=pass; spf=fail", null],
    ["for good measure, honestly", " mx; dmarc=pass", "pass"],
  ])("%s", (_what, text, dmarc) => {
    expect(dmarcIn(text)).toBe(dmarc);
  });
});

test("a text of any length and make is read in one pass", () => {
  for (const piece of ["(", ")", '"', "\\", ";", "a=b;", " ", "=", "x"]) {
    expect(Array.isArray(readResults(piece.repeat(1_000_000)))).toBe(true);
    expect(Array.isArray(readResults(` mx; dmarc=pass ${piece.repeat(15_000)}`))).toBe(true);
  }
});
