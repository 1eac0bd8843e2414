import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  coversRecipients,
  findRecipientPattern,
  matchesRecipient,
  parseRecipientPattern,
} from "../../src/oversight/recipient-patterns.ts";

describe("a pattern is an address, a domain or a glob, in one form", { timeout: 60_000 }, () => {
  test.each([
    ["Ana@Customer.EXAMPLE", "ana@customer.example"],
    [" ana@customer.example ", "ana@customer.example"],
    ['"ana"@customer.example', "ana@customer.example"],
    ["ana+news@customer.example", "ana+news@customer.example"],
    ["customer.example", "customer.example"],
    ["@customer.example", "customer.example"],
    ["München.example", "xn--mnchen-3ya.example"],
    ["ana@München.example", "ana@xn--mnchen-3ya.example"],
    ["*@Customer.example", "*@customer.example"],
    ["**@customer.example", "*@customer.example"],
    ["*.customer.example", "*.customer.example"],
    ["@*.customer.example", "*.customer.example"],
    ["*.münchen.example", "*.xn--mnchen-3ya.example"],
    ["SALES-*@x.example", "sales-*@x.example"],
    ["*@*.customer.example", "*@*.customer.example"],
    ["eu-*.customer.example", "eu-*.customer.example"],
    ["*.example", "*.example"],
    [`${"a".repeat(64)}@${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`, undefined],
  ])("%s", (text, normal) => {
    expect(parseRecipientPattern(text)).toBe(normal ?? text);
  });

  test.each([
    ["nothing", ""],
    ["spaces", "  "],
    ["everyone", "*"],
    ["everyone, twice", "**"],
    ["everyone everywhere", "*@*"],
    ["everyone at all domains", "@*"],
    ["all domains", "*.*"],
    ["a person at all domains", "ana@*"],
    ["a domain in every top level", "customer.*"],
    ["a person in every top level", "ana@customer.*"],
    ["a single label", "customer"],
    ["an IP address", "ana@127.0.0.1"],
    ["a domain literal", "ana@[127.0.0.1]"],
    ["a name with an address", "Ana <ana@customer.example>"],
    ["an address in angle brackets", "<ana@customer.example>"],
    ["two addresses", "ana@customer.example, bob@customer.example"],
    ["two at-signs", "ana@bob@customer.example"],
    ["a local part alone", "ana@"],
    ["an empty label", "*..customer.example"],
    ["an empty label before a star", ".*.customer.example"],
    ["a dot at the end", "customer.example."],
    ["a line break", "ana@customer.example\r\nbob@customer.example"],
    ["a NUL", "ana@customer.example\0"],
    ["spaces in a glob", "a *@customer.example"],
    ["a non-ASCII local part", "änä@customer.example"],
    ["a letter that only becomes ASCII in lower case", "\u212a*@customer.example"],
    ["another alphabet beside a star", "*\u0430.customer.example"],
    ["a routing hack", "a%b*@customer.example"],
    ["a regular expression", ".*@customer\\.example"],
    ["an address that is too long", `${"a".repeat(64)}@${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(62)}`],
    ["a glob that is too long", `*@${"b.".repeat(126)}example`],
  ])("%s is none", (_what, text) => {
    expect(parseRecipientPattern(text)).toBeNull();
  });

  test("whatever is read, it never throws, and its normal form is its own", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom(..."ab*.@-+_ é\u3002[]<>") }),
      fc.emailAddress(),
      fc.domain(),
    );
    fc.assert(
      fc.property(text, (input) => {
        const normal = parseRecipientPattern(input);
        if (normal !== null) expect(parseRecipientPattern(normal)).toBe(normal);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("who a pattern matches", () => {
  test.each<[pattern: string, matched: string[], others: string[]]>([
    [
      "ana@customer.example",
      ["ana@customer.example", "ANA@Customer.Example", '"ana"@customer.example'],
      ["ana@eu.customer.example", "an@customer.example", "xana@customer.example", "ana+news@customer.example"],
    ],
    [
      "customer.example",
      ["ana@customer.example", "b.o+b@CUSTOMER.example"],
      ["ana@eu.customer.example", "ana@notcustomer.example", "customer.example@evil.example"],
    ],
    [
      "*.customer.example",
      ["ana@eu.customer.example", "ana@a.b.customer.example"],
      ["ana@customer.example", "ana@notcustomer.example", "ana@x.customer.example.evil.example"],
    ],
    [
      "*@customer.example",
      ["ana@customer.example"],
      ["ana@eu.customer.example", '"x@customer.example"@evil.example', "a@customer.example.evil.example"],
    ],
    [
      "sales-*@customer.example",
      ["sales-1@customer.example", "sales-@customer.example", "SALES-eu+x@customer.example"],
      ["sales@customer.example", "presales-1@customer.example", "sales-1@evil.example"],
    ],
    ["xn--mnchen-3ya.example", ["ana@münchen.example", "ana@xn--mnchen-3ya.example"], ["ana@munchen.example"]],
  ])("%s", (pattern, matched, others) => {
    expect(matched.filter((address) => !matchesRecipient(pattern, address))).toEqual([]);
    expect(others.filter((address) => matchesRecipient(pattern, address))).toEqual([]);
  });

  test("an allowlist does not reach an address with a tag, a blocklist does", () => {
    const tagged = "ana+anything@customer.example";
    expect(matchesRecipient("ana@customer.example", tagged)).toBe(false);
    expect(matchesRecipient("ana@customer.example", tagged, "tagged")).toBe(true);
    expect(matchesRecipient("ana@customer.example", '"ana+x"@customer.example', "tagged")).toBe(true);
    expect(matchesRecipient("ana+news@customer.example", "ana@customer.example", "tagged")).toBe(false);
    expect(matchesRecipient("an*@customer.example", "+ana@customer.example", "tagged")).toBe(false);
  });

  test("what is no address is matched by nothing", () => {
    expect(["ana", "", "customer.example"].filter((text) => matchesRecipient("customer.example", text))).toEqual([]);
  });

  test("of several patterns the first that matches is found", () => {
    const patterns = ["bob@customer.example", "*@customer.example", "customer.example"];
    expect(findRecipientPattern(patterns, "ana@customer.example")).toBe("*@customer.example");
    expect(findRecipientPattern(patterns, "ana@rival.example")).toBeNull();
  });

  test("stars on both sides are read once over", () => {
    const address = `${"a".repeat(63)}b@customer.example`;
    expect(matchesRecipient(`${"*a".repeat(30)}*c@customer.example`, address)).toBe(false);
  }, 20_000);
});

describe("which pattern covers another", { timeout: 60_000 }, () => {
  test.each([
    ["customer.example", "customer.example", true],
    ["customer.example", "ana@customer.example", true],
    ["customer.example", "sales-*@customer.example", true],
    ["customer.example", "*@customer.example", true],
    ["*@customer.example", "customer.example", true],
    ["*.customer.example", "ana@eu.customer.example", true],
    ["*.customer.example", "*.eu.customer.example", true],
    ["*.example", "*.customer.example", true],
    ["sales-*@customer.example", "sales-eu-*@customer.example", true],
    ["ana@customer.example", "customer.example", false],
    ["*.customer.example", "customer.example", false],
    ["sales-*@customer.example", "customer.example", false],
    ["*.eu.customer.example", "*.customer.example", false],
    ["customer.example", "ana@eu.customer.example", false],
  ])("%s and %s: %s", (pattern, other, covers) => {
    expect(coversRecipients(pattern, other)).toBe(covers);
  });

  test("whatever the covered one matches, the covering one does, with tags and without", () => {
    const piece = fc.constantFrom("a", "ab", "*", "a*", "*b", "a+b", "a+*");
    const domain = fc.constantFrom(
      "x.example",
      "y.x.example",
      "*.x.example",
      "*.example",
      "a*.x.example",
      "*.y.x.example",
    );
    const pattern = fc.oneof(
      domain,
      fc.tuple(piece, domain).map((parts) => parts.join("@")),
    );
    const address = fc
      .tuple(
        fc.constantFrom("a", "ab", "b", "a+b", "ab+a", "bb"),
        fc.constantFrom("x.example", "y.x.example", "a.x.example", "z.example"),
      )
      .map((parts) => parts.join("@"));
    fc.assert(
      fc.property(pattern, pattern, address, (wide, narrow, someone) => {
        if (!coversRecipients(wide, narrow)) return;
        for (const reading of ["exact", "tagged"] as const) {
          if (matchesRecipient(narrow, someone, reading)) expect(matchesRecipient(wide, someone, reading)).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
