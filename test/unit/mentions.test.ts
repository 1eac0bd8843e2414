import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mentionOf } from "../../src/mail/mentions.ts";

const ana = mentionOf("Ana@Customer.example");

describe("an address is found", () => {
  test.each([
    ["alone", "ana@customer.example"],
    ["in other case", "ANA@CUSTOMER.Example"],
    ["in angle brackets", "Ana Ruiz <ana@customer.example>"],
    ["at the end of a sentence", "Write to ana@customer.example."],
    ["before dots", "ana@customer.example... and then"],
    ["in a mailto link", "mailto:ana@customer.example?subject=x"],
    ["in a query", "https://x.example/?to=ana@customer.example&a=1"],
    ["escaped in a link", "https://x.example/?to=ana%40customer.example"],
    ["escaped twice", "https://x.example/?u=https%3A%2F%2Fy.example%2F%3Fto%3Dana%2540customer%252Eexample"],
    ["as HTML hides it", "ana&#64;customer&#46;example"],
    ["in hexadecimal", "&#x61;na&#x40;customer.example"],
    ["with names of characters", "ana&commat;customer&period;example"],
    ["in JSON within a text", '{"to":"ana\\u0040customer.example"}'],
    ["behind a line's end of JSON", JSON.stringify({ to: "\nana@customer.example" })],
    ["in a return path", "<ana=customer.example@list.example>"],
    ["with characters that nobody sees", "ana\u200b@cus\u00adtomer.example"],
    ["in full width", "ａｎａ＠customer.example"],
    ["in Markdown", "_ana@customer.example_ and **ana@customer.example**"],
    ["as an item of a list", "-ana@customer.example"],
    ["in needless quotes", '"ana"@customer.example'],
    ["between quotes", "'ana@customer.example'"],
    ["behind an escaped line's end", "https://x.example/?to=bob%40other.example%0Aana%40customer.example"],
    ["behind CR and LF", "https://x.example/?to=bob%0D%0Aana%40customer.example"],
    ["behind an escaped space without a break", "https://x.example/?q=caf%C3%A9%C2%A0ana@customer.example"],
    ["behind a space without a break in JSON", "\\u00a0ana@customer.example"],
    ["behind a line's end by its number in JSON", "\\u000aana@customer.example"],
    ["behind a line's end by its number in HTML", "a&#10;ana@customer.example"],
    ["behind a space without a break in HTML", "to&nbsp;ana@customer.example"],
    ["with an escaped character that nobody sees", "ana%E2%80%8B@cus&shy;tomer.example"],
    ["behind octets that are no UTF-8", "x%FFana@customer.example"],
    ["where the next sentence begins without a space", "It is ana@customer.example.Bye"],
    ["in capitals, at the end of a sentence", "It is ANA@CUSTOMER.EXAMPLE. Bye"],
  ])("%s", (_how, text) => {
    expect(ana.isIn(text)).toBe(true);
  });

  test("within values, and in their keys", () => {
    expect(ana.isIn({ a: [{ b: "to ana@customer.example" }] })).toBe(true);
    expect(ana.isIn({ "ana@customer.example": 1 })).toBe(true);
    expect(ana.isIn([1, null, true, undefined, { a: "nobody" }])).toBe(false);
  });

  test.each(["gast@bücher.example", "gast@BÜCHER.example", "gast@xn--bcher-kva.example"])(
    "in either form of its domain: %s",
    (text) => {
      expect(mentionOf("gast@xn--bcher-kva.example").isIn(text)).toBe(true);
      expect(mentionOf("gast@bücher.example").isIn(text)).toBe(true);
    },
  );
});

describe("another address is not", () => {
  test.each([
    "joana@customer.example",
    "jo.ana@customer.example",
    "jo-ana@customer.example",
    "jo+ana@customer.example",
    "jo_ana@customer.example",
    "ana+offers@customer.example",
    "ana@customer.example.org",
    "ana@customer.example-mail.org",
    "ana@customer.examples",
    "ana@mail.customer.example",
    "éana@customer.example",
    "caf%C3%A9ana@customer.example",
    "caf\\u00e9ana@customer.example",
    "caf&#233;.ana@customer.example",
    "ana@CUSTOMER.EXAMPLE.ORG",
    "𝒳ana@customer.example",
    "bounces+ana=customer.example@list.example",
    "ana at customer.example",
    "customer.example",
    "ana@",
  ])("%s", (text) => {
    expect(ana.isIn(text)).toBe(false);
  });
});

/** Whoever writes mail chooses its text, and the address that somebody has erased. */
describe("a text is read in time that grows as it does", () => {
  test.each([
    ["----------@evil.example", "-"],
    ["__________@evil.example", "_"],
    ["+._%-+._%-@evil.example", "+._%-"],
    ["ana@evil.example", "-"],
    ["ana@evil.example", "%0A"],
    ["ana@evil.example", "&#x10FFFF;"],
    ["ana@evil.example", "ana@evil.examples-"],
    ["ana@evil.example", "ana@evil.example--"],
  ])("%s in a mebibyte of %j", (address, part) => {
    const text = `evil.example ${part.repeat(2 ** 20 / part.length)}`;
    const mention = mentionOf(address);
    // A reader whose time grows with the square takes over half an hour.
    expect(mention.isIn(`${text}x`)).toBe(false);
    expect(mention.isIn(`${text} ${address}`)).toBe(true);
  });
});

test("any address is found in any text that it stands apart in, and characters of patterns are only characters", () => {
  const local = fc.stringMatching(/^[a-z0-9!#$&'*+/=?^_`{|}~-]{1,12}(\.[a-z0-9]{1,5})?$/);
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  fc.assert(
    fc.property(local, label, fc.string(), fc.string(), (name, domain, before, after) => {
      const address = `${name}@${domain}.example`;
      fc.pre(!/&|%/.test(name));
      expect(mentionOf(address).isIn(`${before} ${address} ${after}`)).toBe(true);
      expect(mentionOf(`x${address}`).isIn(`${address}`)).toBe(false);
    }),
  );
});
