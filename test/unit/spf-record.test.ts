import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countLookups, isSpfRecord, mergeSpf, readSpf } from "../../src/mail/spf-record.ts";
import { type Zone, zoneResolver } from "../support/dns-zone.ts";

describe("an SPF record", () => {
  it.each([
    ["v=spf1", true],
    ["v=spf1 -all", true],
    ["V=SPF1 -all", true],
    ["v=spf10 -all", false],
    ["v=spf1; -all", false],
    ['"v=spf1 -all"', false],
    [" v=spf1 -all", false],
    ["spf2.0/pra -all", false],
  ])("%j is one: %s", (text, is) => {
    expect(isSpfRecord(text)).toBe(is);
  });

  it.each([
    ["all", "all", "+", null],
    ["-ALL", "all", "-", null],
    ["include:_spf.relay.example", "include", "+", "_spf.relay.example"],
    ["?include:%{d}.spf.relay.example", "include", "?", "%{d}.spf.relay.example"],
    ["a", "a", "+", null],
    ["a/24", "a", "+", null],
    ["a:mail.customer.example/24//64", "a", "+", "mail.customer.example"],
    ["mx//64", "mx", "+", null],
    ["~mx:customer.example.", "mx", "~", "customer.example."],
    ["ptr", "ptr", "+", null],
    ["ip4:192.0.2.0/24", "ip4", "+", "192.0.2.0"],
    ["ip6:2001:db8::/32", "ip6", "+", "2001:db8::"],
    ["ip6:2001:db8::1", "ip6", "+", "2001:db8::1"],
    ["exists:%{ir}.%{v}._spf.%{d2}", "exists", "+", "%{ir}.%{v}._spf.%{d2}"],
    ["exists:%{l1r+-}.list.example", "exists", "+", "%{l1r+-}.list.example"],
    ["redirect=_spf.customer.example", "redirect", null, "_spf.customer.example"],
    ["exp=explain._spf.%{d}", "exp", null, "explain._spf.%{d}"],
    ["moo.cow-far_out=man:dog/cat", "moo.cow-far_out", null, "man:dog/cat"],
  ])("has the term %s", (text, name, qualifier, value) => {
    expect(readSpf(`v=spf1 ${text}`)).toMatchObject({ terms: [{ text, name, qualifier, value }], invalid: [] });
  });

  it.each([
    "all:customer.example",
    "include",
    "include:",
    "include:relay",
    "include:relay.example/24",
    "include:relay.123",
    "a:",
    "a/33",
    "a//129",
    "a/24/64",
    "a:x.example/024",
    "ip4:192.0.2.256",
    "ip4:192.0.2.0/33",
    "ip4:192.0.2.0//24",
    "ip4:2001:db8::1",
    "ip4",
    "ip6:192.0.2.1",
    "ip6:2001:db8::/129",
    "exists:%{x}.customer.example",
    "exists:%(d).customer.example",
    "redirect=",
    "redirect=relay",
    "inclde:relay.example",
    "constructor:relay.example",
    "relay.example",
    "-",
    "include:größe.example",
    "+redirect=relay.example",
  ])("%s is no term of it", (word) => {
    expect(readSpf(`v=spf1 a ${word} -all`)).toMatchObject({
      terms: [{ name: "a" }, { name: "all" }],
      invalid: [word],
    });
  });

  it("has one redirect and one exp", () => {
    expect(readSpf("v=spf1 redirect=a.example redirect=b.example exp=c.example exp=c.example").invalid).toEqual([
      "redirect=b.example",
      "exp=c.example",
    ]);
  });

  it("of the largest size a message carries is read in no time", () => {
    const hostile = [
      `include:${"a".repeat(60_000)}!`,
      `a:${"/1".repeat(30_000)}x`,
      "exp=a.b ".repeat(8_000),
      "x ".repeat(30_000),
      `exists:${"%{d}".repeat(15_000)}`,
    ];
    for (const words of hostile) mergeSpf([`v=spf1 ${words}`, `v=spf1 ${words} -all`], "r.example", true);
  }, 5_000);
});

const OURS = "spf.relay.example";

describe("this service is merged into what is there", () => {
  it.each<[what: string, published: string[], value: string, problem: string | null]>([
    ["nothing", [], "v=spf1 include:spf.relay.example ~all", null],
    ["other TXT records", ["google-site-verification=x"], "v=spf1 include:spf.relay.example ~all", null],
    ["a record that is one except for a semicolon", ["v=spf1; a -all"], "v=spf1 include:spf.relay.example ~all", null],
    ["an empty one", ["v=spf1"], "v=spf1 include:spf.relay.example", null],
    [
      "mail of another provider",
      ["v=spf1 include:_spf.mail.example -all"],
      "v=spf1 include:_spf.mail.example include:spf.relay.example -all",
      null,
    ],
    [
      "every mechanism and a neutral end",
      ["v=spf1 a mx ip4:192.0.2.1 ip6:2001:db8::1 exists:%{i}.x.example ?all"],
      "v=spf1 a mx ip4:192.0.2.1 ip6:2001:db8::1 exists:%{i}.x.example include:spf.relay.example ?all",
      null,
    ],
    ["no all", ["v=spf1 a"], "v=spf1 a include:spf.relay.example", null],
    [
      "a redirect, which goes on to hold",
      ["v=spf1 redirect=_spf.customer.example"],
      "v=spf1 include:spf.relay.example redirect=_spf.customer.example",
      null,
    ],
    [
      "a redirect that all keeps from holding",
      ["v=spf1 a -all redirect=_spf.customer.example"],
      "v=spf1 a include:spf.relay.example -all redirect=_spf.customer.example",
      null,
    ],
    [
      "an explanation in front",
      ["v=spf1 exp=e.customer.example a -all"],
      "v=spf1 include:spf.relay.example exp=e.customer.example a -all",
      null,
    ],
    ["ours already", ["v=spf1 include:spf.relay.example -all"], "v=spf1 include:spf.relay.example -all", null],
    [
      "ours already, written otherwise",
      ["V=SPF1  +INCLUDE:Spf.Relay.Example. -ALL"],
      "V=SPF1  +INCLUDE:Spf.Relay.Example. -ALL",
      null,
    ],
    [
      "ours after all, where nothing reaches it",
      ["v=spf1 a -all include:spf.relay.example"],
      "v=spf1 a include:spf.relay.example -all",
      null,
    ],
    [
      "ours so that it does not pass",
      ["v=spf1 ?include:spf.relay.example a -all"],
      "v=spf1 a include:spf.relay.example -all",
      null,
    ],
    ["two alls", ["v=spf1 a ~all -all"], "v=spf1 a include:spf.relay.example ~all", null],
    ["everyone allowed", ["v=spf1 +all"], "v=spf1 include:spf.relay.example +all", "“+all” lets every server"],
    [
      "everyone allowed without saying plus",
      ["v=spf1 all"],
      "v=spf1 include:spf.relay.example all",
      "“+all” lets every server",
    ],
    [
      "a word that is no term",
      ["v=spf1 inclde:x.example a -all"],
      "v=spf1 a include:spf.relay.example -all",
      "“inclde:x.example” is no term",
    ],
    [
      "two records",
      ["v=spf1 a -all", "v=spf1 mx a -all"],
      "v=spf1 a mx include:spf.relay.example -all",
      "There are 2 SPF records",
    ],
    [
      "two records that end otherwise",
      ["v=spf1 a -all", "v=spf1 mx ?all"],
      "v=spf1 a mx include:spf.relay.example ~all",
      "There are 2 SPF records",
    ],
    [
      "two records without an end",
      ["v=spf1 a", "v=spf1 mx"],
      "v=spf1 a mx include:spf.relay.example ~all",
      "There are 2 SPF records",
    ],
    [
      "two records with redirects",
      ["v=spf1 redirect=a.example", "v=spf1 redirect=b.example"],
      "v=spf1 include:a.example include:b.example include:spf.relay.example ~all",
      "There are 2 SPF records",
    ],
    [
      "a redirect that never held, beside another record",
      ["v=spf1 a -all redirect=c.example", "v=spf1 mx -all"],
      "v=spf1 a mx include:spf.relay.example -all",
      "There are 2 SPF records",
    ],
    [
      "two explanations",
      ["v=spf1 exp=a.example -all", "v=spf1 exp=b.example -all"],
      "v=spf1 include:spf.relay.example exp=a.example -all",
      "There are 2 SPF records",
    ],
  ])("%s", (_what, published, value, problem) => {
    const merged = mergeSpf(published, OURS, false);
    expect(merged.value).toBe(value);
    expect(merged.problem === null).toBe(problem === null);
    if (problem !== null) expect(merged.problem).toContain(problem);
  });

  it.each<[published: string[], include: string | null, mx: boolean, value: string]>([
    [[], null, false, "v=spf1 ~all"],
    [[], null, true, "v=spf1 mx ~all"],
    [[], OURS, true, "v=spf1 mx include:spf.relay.example ~all"],
    [["v=spf1 mx -all"], null, true, "v=spf1 mx -all"],
    [["v=spf1 mx:other.example -all"], null, true, "v=spf1 mx:other.example mx -all"],
    [["v=spf1 mx/24 -all"], null, true, "v=spf1 mx/24 mx -all"],
    [["v=spf1 -mx a -all"], null, true, "v=spf1 a mx -all"],
    [["v=spf1 a -all"], null, false, "v=spf1 a -all"],
  ])("%j with %s and the MX %s", (published, include, mx, value) => {
    expect(mergeSpf(published, include, mx).value).toBe(value);
  });
});

const host = fc.constantFrom("a.example", "_spf.b.example", "c.co.uk", "%{d}.d.example");
const qualifier = fc.constantFrom("", "+", "-", "~", "?");
const mechanism = fc
  .tuple(
    qualifier,
    fc.oneof(
      fc.constantFrom("a", "mx", "ptr", "mx/24", "ip4:192.0.2.7", "ip6:2001:db8::/32"),
      host.map((name) => `include:${name}`),
      host.map((name) => `a:${name}`),
      host.map((name) => `exists:${name}`),
    ),
  )
  .map((parts) => parts.join(""));
const ending = fc.option(
  fc.tuple(qualifier, fc.constantFrom("all", "ALL")).map((parts) => parts.join("")),
  { nil: "" },
);
const modifiers = fc.subarray(["redirect=r.example", "exp=e.example", "x=y"]);
const published = fc
  .tuple(fc.array(mechanism, { maxLength: 8 }), ending, modifiers)
  .map(([terms, all, rest]) => ["v=spf1", ...terms, ...(all ? [all] : []), ...rest].join(" "));
const allOf = (text: string) => readSpf(text).terms.filter(({ name }) => name === "all");
const mechanismsOf = (text: string) =>
  readSpf(text).terms.filter(({ kind, name }) => kind === "mechanism" && name !== "all");

describe("whatever is published", () => {
  it("no mechanism is lost, no all is doubled, the end keeps its qualifier, and ours takes effect once", () => {
    fc.assert(
      fc.property(fc.array(published, { maxLength: 3 }), fc.boolean(), (records, mx) => {
        const { value, problem } = mergeSpf(records, OURS, mx);
        const { terms, invalid } = readSpf(value);
        expect(isSpfRecord(value)).toBe(true);
        expect(invalid).toEqual([]);
        const kept = mechanismsOf(value).map(({ text }) => text);
        for (const { text } of records.flatMap(mechanismsOf)) {
          if (!/^[+?~-]?mx$/.test(text) || !mx) expect(kept).toContain(text);
        }
        expect(allOf(value).length).toBeLessThanOrEqual(1);
        if (records.length === 1) expect(allOf(value)).toEqual(allOf(records[0] as string));
        const ours = terms.findIndex(({ text }) => text === `include:${OURS}`);
        const all = terms.findIndex(({ name }) => name === "all");
        expect(terms.filter(({ value: name }) => name === OURS)).toHaveLength(1);
        expect(all < 0 || ours < all).toBe(true);
        expect(terms.filter(({ name }) => name === "redirect").length).toBeLessThanOrEqual(1);
        if (records.length > 1) expect(problem).toContain(`There are ${records.length} SPF records`);
      }),
      { numRuns: 500 },
    );
  });

  it("merged again, it stays as it is", () => {
    fc.assert(
      fc.property(fc.array(published, { maxLength: 3 }), fc.boolean(), (records, mx) => {
        const { value } = mergeSpf(records, OURS, mx);
        expect(mergeSpf([value], OURS, mx).value).toBe(value);
      }),
      { numRuns: 500 },
    );
  });
});

/** A name's SPF record with so many includes of records that include nothing. */
function fan(count: number): Zone {
  const leaves = Array.from({ length: count }, (_, n) => `leaf${n}.example`);
  return {
    "fan.example": { TXT: [`v=spf1 ${leaves.map((leaf) => `include:${leaf}`).join(" ")} -all`] },
    ...Object.fromEntries(leaves.map((leaf) => [leaf, { TXT: ["v=spf1 ip4:192.0.2.1 -all"] }])),
  };
}

describe("the cost of a record", () => {
  const zone: Zone = {
    ...fan(3),
    "customer.example": { A: ["192.0.2.1"], MX: ["10 mx.customer.example"] },
    "alias.example": { CNAME: ["fan.example"] },
    "six.example": { AAAA: ["2001:db8::1"] },
    "loop.example": { TXT: ["v=spf1 include:pool.example -all"] },
    "pool.example": { TXT: ["v=spf1 redirect=loop.example"] },
    "self.example": { TXT: ["v=spf1 include:self.example -all"] },
    "two.example": { TXT: ["v=spf1 -all", "v=spf1 ~all"] },
    "wrong.example": { TXT: ["v=spf1 ip4:nowhere -all"] },
    "plain.example": { TXT: ["hello"] },
    "broken.example": "ESERVFAIL",
    "slow.example": { TXT: ["v=spf1 include:broken.example -all"] },
  };
  it.each<[record: string, lookups: number, problem: string | null]>([
    ["v=spf1 ip4:192.0.2.1 -all", 0, null],
    ["v=spf1 a mx -all", 2, null],
    ["v=spf1 a mx ptr exists:%{i}.x.example include:fan.example -all", 8, null],
    ["v=spf1 redirect=fan.example", 4, null],
    ["v=spf1 include:alias.example -all", 4, null],
    ["v=spf1 a:six.example a:six.example a:six.example -all", 3, null],
    ["v=spf1 -all include:fan.example redirect=fan.example", 0, null],
    ["v=spf1 a -all redirect=fan.example", 1, null],
    ["v=spf1 include:%{d}.x.example -all", 1, null],
    [
      "v=spf1 include:fan.example include:fan.example a a a -all",
      11,
      "takes 11 look-ups, and 10 are allowed: “include:fan.example” costs 4",
    ],
    ["v=spf1 include:fan.example include:fan.example a a -all", 10, null],
    ["v=spf1 a:n1.example mx:n2.example -all", 2, null],
    ["v=spf1 a:n1.example mx:n2.example a:n3.example -all", 3, "asks 3 times for names that have no address"],
    ["v=spf1 include:nowhere.example -all", 1, "nowhere.example has no SPF record"],
    ["v=spf1 include:plain.example -all", 1, "plain.example has no SPF record"],
    ["v=spf1 include:two.example -all", 1, "two.example has 2 SPF records"],
    ["v=spf1 include:wrong.example -all", 1, "“ip4:nowhere”"],
    ["v=spf1 include:self.example -all", 2, "in a circle"],
    ["v=spf1 include:loop.example -all", 3, "loop.example, pool.example, loop.example include each other in a circle"],
  ])("%s", async (record, lookups, problem) => {
    const count = await countLookups("customer.example", record, zoneResolver(zone));
    expect(count.lookups).toBe(lookups);
    expect(count.unknown).toEqual([]);
    expect(count.problems.length).toBe(problem === null ? 0 : 1);
    if (problem !== null) expect(count.problems[0]).toContain(problem);
  });

  it("says who passes through it", async () => {
    const passes = async (record: string) =>
      [...(await countLookups("customer.example", record, zoneResolver(zone))).passes_by].sort();
    expect(await passes("v=spf1 include:FAN.example. -all")).toEqual([
      "fan.example",
      "leaf0.example",
      "leaf1.example",
      "leaf2.example",
    ]);
    expect(await passes("v=spf1 redirect=fan.example")).toContain("leaf2.example");
    expect(await passes("v=spf1 ?include:fan.example -all")).toEqual([]);
    expect(await passes("v=spf1 -all include:fan.example")).toEqual([]);
  });

  it("a name that could not be looked up is named and is no error", async () => {
    const count = await countLookups("customer.example", "v=spf1 include:slow.example -all", zoneResolver(zone));
    expect(count).toMatchObject({ lookups: 2, problems: [], unknown: ["broken.example"] });
  });

  it("a tree without end is left soon", async () => {
    const deep: Zone = {};
    const names = Array.from({ length: 12 }, (_, n) => `include:n${n}.%{d}`);
    for (let n = 0; n < 200; n++)
      deep[`t${n}.example`] = {
        TXT: [`v=spf1 ${names.map((_, i) => `include:t${(n * 12 + i + 1) % 200}.example`).join(" ")} -all`],
      };
    let asked = 0;
    const counted = zoneResolver(deep, () => asked++);
    const count = await countLookups("customer.example", "v=spf1 include:t0.example -all", counted);
    expect(asked).toBeLessThanOrEqual(40);
    expect(count.lookups).toBeGreaterThan(10);
    expect(count.problems.join(" ").length).toBeLessThan(5_000);
  });
});
