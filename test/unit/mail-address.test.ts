import fc from "fast-check";
import addressparser from "nodemailer/lib/addressparser";
import { addressParser as postalMimeParser } from "postal-mime";
import { describe, expect, it } from "vitest";
import { Refused } from "../../src/errors.ts";
import {
  comparableAddress,
  domainOf,
  formatAddress,
  parseAddresses,
  refuseControlCharacters,
  uniqueAddresses,
} from "../../src/mail/address.ts";

function refusal(action: () => unknown) {
  try {
    action();
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  throw new Error("it was accepted");
}

const one = (input: string) => parseAddresses([input], "to")[0];

describe("one mailbox", () => {
  it.each<[input: string, name: string | null, address: string]>([
    ["a@x.example", null, "a@x.example"],
    ["  a@x.example  ", null, "a@x.example"],
    ["<a@x.example>", null, "a@x.example"],
    ["Ada <a@x.example>", "Ada", "a@x.example"],
    ["Ada Love\t lace<a@x.example>", "Ada Love lace", "a@x.example"],
    ["Ada J. Lovelace <a@x.example>", "Ada J. Lovelace", "a@x.example"],
    ['"Lovelace, Ada" <a@x.example>', "Lovelace, Ada", "a@x.example"],
    ['"A \\"x\\" \\\\ B" <a@x.example>', 'A "x" \\ B', "a@x.example"],
    ['"a@evil.com" <b@good.com>', "a@evil.com", "b@good.com"],
    ['"a@evil.com>, <c@evil.com" <b@good.com>', "a@evil.com>, <c@evil.com", "b@good.com"],
    ["Жанна 🎉 <j@x.example>", "Жанна 🎉", "j@x.example"],
    ["A.B+tag@X.Example", null, "A.B+tag@x.example"],
    ['"a b"@x.example', null, '"a b"@x.example'],
    ['Ada <"a b"@x.example>', "Ada", '"a b"@x.example'],
    ['"a..b"@x.example', null, '"a..b"@x.example'],
    ['"ab"@x.example', null, "ab@x.example"],
    ["a@bücher.example", null, "a@xn--bcher-kva.example"],
    ["a@BÜCHER.example", null, "a@xn--bcher-kva.example"],
    ["a@xn--bcher-kva.example", null, "a@xn--bcher-kva.example"],
    ["a@例え.テスト", null, "a@xn--r8jz45g.xn--zckzah"],
    [`${"l".repeat(64)}@x.example`, null, `${"l".repeat(64)}@x.example`],
  ])("%j", (input, name, address) => {
    expect(one(input)).toEqual({ name, address });
  });

  it.each([
    ["", "nothing"],
    ["   ", "nothing"],
    ["a", "no @"],
    ["@x.example", "no local part"],
    ["a@", "no domain"],
    ["a@localhost", "a single label"],
    ["a@x.example.", "a trailing dot"],
    ["a@.example", "an empty label"],
    ["a@x..example", "an empty label"],
    ["a@-x.example", "a hyphen first"],
    ["a@x-.example", "a hyphen last"],
    ["a@x_y.example", "an underscore"],
    [`a@${"d".repeat(64)}.example`, "a label of 64"],
    ["a@127.0.0.1", "an IP address"],
    ["a@1.2", "a number as top label"],
    ["a@0x7f.1", "a disguised IP address"],
    ["a@[127.0.0.1]", "a domain literal"],
    ["a@[IPv6:::1]", "a domain literal"],
    ["a@x.example:25", "a port"],
    ["a@x.ex%61mple", "percent in the domain"],
    ["a@x.example/path", "a path"],
    ["a@xn--a.example", "Punycode of nothing"],
    ["a@x。example", "an ideographic full stop"],
    ["a@x．example", "a fullwidth full stop"],
    ["a@x｡example", "a halfwidth full stop"],
    ["a@good.com／.evil.com", "a fullwidth solidus"],
    ["a＠x.example", "a fullwidth @"],
    ["ä@x.example", "a local part that needs SMTPUTF8"],
    [`${"l".repeat(65)}@x.example`, "a local part of 65"],
    [`a@${"d123456789.".repeat(24)}example`, "an address over 254"],
    ["a..b@x.example", "two dots"],
    [".a@x.example", "a dot first"],
    ["a.@x.example", "a dot last"],
    ["a b@x.example", "a space"],
    ["a@b@x.example", "two @"],
    ['"a@evil.com"@good.com', "an @ between quotes"],
    ['"a>b"@good.com', "a bracket between quotes"],
    ['"a,b"@good.com', "a comma between quotes"],
    ['"a\\"b"@good.com', "a quotation mark between quotes"],
    ['"a"b@x.example', "half quoted"],
    ['"a"."b"@x.example', "partly quoted"],
    ['"a@x.example', "an open quotation mark"],
    ["user%evil.com@good.com", "the percent hack"],
    ["evil.com!user@good.com", "a bang path"],
    ["Friends: a@x.example, b@x.example;", "a group"],
    ["Undisclosed recipients:;", "an empty group"],
    ["<@evil.com,@b.com:a@good.com>", "a route"],
    ["<@evil.com:a@good.com>", "a route"],
    ["a@good.com (b@evil.com)", "a comment"],
    ["a(x)@good.com", "a comment"],
    ["<a@b.com>@c.com", "something after the address"],
    ["<a@good.com> <b@evil.com>", "two addresses"],
    ["<<a@good.com>>", "nested brackets"],
    ["<a@good.com", "an open bracket"],
    ["a@good.com>", "a closing bracket"],
    ["a@evil.com <b@good.com>", "an address as unquoted name"],
    ["a@good.com b@evil.com", "two addresses"],
    ["a@good.com,b@evil.com", "two in one element"],
    ["a@good.com;b@evil.com", "two in one element"],
    ["=?utf-8?q?a=40evil.com=3e?=@good.com", "an encoded word as local part"],
    ["=?utf-8?b?QWRh?= <a@x.example>", "an encoded word as name"],
    ["a@x.example\u0000b", "NUL"],
    ["a\u0008@x.example", "a control character"],
    ["Ada\u001b[2J <a@x.example>", "a control character in the name"],
    ["Ada\ud800 <a@x.example>", "a lone surrogate"],
    [`${"n".repeat(257)} <a@x.example>`, "a name of 257 characters"],
  ])("%j is refused: %s", (input) => {
    const { code, issues } = refusal(() => parseAddresses(["ok@x.example", input], "to"));
    expect(["invalid_address", "forbidden_characters"]).toContain(code);
    expect(issues?.[0]?.path).toBe("to.1");
  });
});

describe("lists", () => {
  it("are split at commas outside quotes", () => {
    expect(
      parseAddresses('"Love, Ada" <a@x.example>, b@y.example ,<c@z.example>', "cc").map(({ address }) => address),
    ).toEqual(["a@x.example", "b@y.example", "c@z.example"]);
  });

  it("tell every one that is wrong, by its place", () => {
    const { code, issues } = refusal(() => parseAddresses("a@x.example, b, c@y.example, d@", "to"));
    expect(code).toBe("invalid_address");
    expect(issues?.map(({ path }) => path)).toEqual(["to.1", "to.3"]);
  });

  it.each(["a@x.example,", ",a@x.example", "a@x.example,,b@x.example"])(
    "%j has an empty place and is refused",
    (input) => {
      expect(refusal(() => parseAddresses(input, "to")).code).toBe("invalid_address");
    },
  );

  it("may be empty as an array, not as a string", () => {
    expect(parseAddresses([], "to")).toEqual([]);
    expect(refusal(() => parseAddresses("", "to")).code).toBe("invalid_address");
  });

  it("of 100,000 commas, quotes or brackets end in time", () => {
    for (const piece of [",", '"', "<", "a@", "(", "\\", "<a@x.example>,", '""', "xn--."]) {
      refusal(() => parseAddresses(piece.repeat(100_000), "to"));
    }
  });
});

describe("header-bound values", () => {
  it.each(["a\rb", "a\nb", "a\r\nBcc: x@evil.example", "a\0b"])("%j is refused", (value) => {
    expect(refusal(() => refuseControlCharacters(value, "subject"))).toMatchObject({
      code: "forbidden_characters",
      issues: [{ path: "subject" }],
    });
    expect(refusal(() => parseAddresses([`Ada${value} <a@x.example>`], "to"))).toMatchObject({
      code: "forbidden_characters",
      issues: [{ path: "to.0" }],
    });
  });

  it("anything else passes", () => {
    refuseControlCharacters("Grüße\t🎉 \u202e", "subject");
  });
});

describe("properties", () => {
  const name = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !/[\p{C}]|=\?/u.test(text));
  const local = fc.stringMatching(/^[a-zA-Z0-9+_-]{1,20}(\.[a-zA-Z0-9]{1,10})?$/);
  const domain = fc.domain().filter((text) => text.length < 200);

  it("what is formatted is read back as the same", () => {
    fc.assert(
      fc.property(name, local, domain, (text, user, host) => {
        const trimmed = text.replace(/\s+/gu, " ").trim();
        const address = { name: trimmed === "" ? null : trimmed, address: `${user}@${host.toLowerCase()}` };
        expect(parseAddresses([formatAddress(address)], "to")).toEqual([address]);
        expect(parseAddresses(formatAddress(address), "to")).toEqual([address]);
      }),
    );
  });

  it("what is accepted, two other parsers read as the same single mailbox", () => {
    const pieces = fc.constantFrom(
      ...[
        '"',
        "<",
        ">",
        "@",
        ",",
        ";",
        ":",
        "(",
        ")",
        "\\",
        " ",
        ".",
        "%",
        "!",
        "=?",
        "?=",
        "a",
        "evil.com",
        "good.com",
        "x@good.com",
        "<b@good.com>",
      ],
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 10 }), (parts) => {
        const input = parts.join("");
        let parsed: ReturnType<typeof parseAddresses>;
        try {
          parsed = parseAddresses([input], "to");
        } catch (error) {
          expect(error).toBeInstanceOf(Refused);
          return;
        }
        const [mailbox] = parsed;
        expect(parsed).toHaveLength(1);
        expect(mailbox?.address).toMatch(/^[\x21-\x7e ]+@[a-z0-9.-]+\.[a-z0-9-]+$/);
        const plain = mailbox?.address.replaceAll('"', "").toLowerCase();
        const others = [addressparser(input, { flatten: true }), postalMimeParser(input, { flatten: true })];
        for (const other of others) {
          expect(other.map(({ address }) => address?.replaceAll('"', "").toLowerCase())).toEqual([plain]);
        }
      }),
      { numRuns: 20_000 },
    );
  });
});

describe("comparing", () => {
  it.each([
    ["A@X.Example", "a@x.example"],
    ["a@BÜCHER.example", "a@xn--bcher-kva.example"],
    ['"A"@x.example', "a@x.example"],
    ['"A b"@x.example', '"a b"@x.example'],
    ["not an address", "not an address"],
    ["a@not a domain", "a@not a domain"],
  ])("%j compares as %j", (input, expected) => {
    expect(comparableAddress(input)).toBe(expected);
  });

  it("the domain is what follows the last @", () => {
    expect(domainOf('"x@y"@Good.Example')).toBe("good.example");
    expect(domainOf("none")).toBe("");
  });

  it("a mailbox stays once, as first written", () => {
    const list = parseAddresses("Ada <A@x.example>, a@X.EXAMPLE, b@x.example", "to");
    expect(uniqueAddresses(list)).toEqual([
      { name: "Ada", address: "A@x.example" },
      { name: null, address: "b@x.example" },
    ]);
  });
});
