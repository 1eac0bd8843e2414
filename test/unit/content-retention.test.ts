import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ContentRetention, fewestDays, isShortened, keptDays } from "../../src/oversight/content-retention.ts";

const of = (days: number | null, tags: ContentRetention["tags"] = {}): ContentRetention => ({ days, tags });

describe("a message's content is kept", () => {
  test.each<[string, ContentRetention, string[], number | null]>([
    ["for good where nothing is said", of(null), [], null],
    ["for the mailbox's days", of(30), ["other"], 30],
    ["for its tag's own days, be they fewer", of(30, { short: 7 }), ["short"], 7],
    ["or more", of(30, { long: 365 }), ["long"], 365],
    ["for the longest of several tags", of(30, { short: 7, long: 365 }), ["short", "long"], 365],
    ["for good where a tag says so", of(30, { short: 7, keep: null }), ["short", "keep"], null],
    ["for its tag's days where the mailbox keeps all", of(null, { short: 7 }), ["short"], 7],
  ])("%s", (_what, retention, tags, days) => {
    expect(keptDays(retention, Object.fromEntries(tags.map((tag) => [tag, ""])))).toBe(days);
  });

  test("by nothing that only looks like a tag", () => {
    expect(keptDays(of(30), { constructor: "" })).toBe(30);
  });
});

test.each<[ContentRetention, number | null]>([
  [of(null), null],
  [of(null, { keep: null }), null],
  [of(30, { short: 7 }), 7],
  [of(7, { long: 30 }), 7],
])("of %j the fewest days are %s", (retention, days) => {
  expect(fewestDays(retention)).toBe(days);
});

describe("a change shortens", () => {
  test.each<[string, ContentRetention, ContentRetention, boolean]>([
    ["nothing where nothing changes", of(30), of(30), false],
    ["where days are set", of(null), of(36_500), true],
    ["where they become fewer", of(30), of(29), true],
    ["not where they become more", of(30), of(31), false],
    ["not where all is kept again", of(30, { short: 7 }), of(null), false],
    ["where a tag gets fewer than the mailbox", of(30), of(30, { short: 7 }), true],
    ["not where it gets more", of(30), of(30, { long: 365 }), false],
    ["where a tag's become fewer", of(30, { long: 365 }), of(30, { long: 364 }), true],
    ["where a tag loses its own", of(30, { long: 365 }), of(30), true],
    [
      "where a tag loses the same days as the mailbox has, which kept it beside another",
      of(30, { a: 30, b: 7 }),
      of(30, { b: 7 }),
      true,
    ],
    ["where a tag that kept for good is given days", of(null, { keep: null }), of(null, { keep: 1 }), true],
  ])("%s", (_what, now, to, shortened) => {
    expect(isShortened(to, now)).toBe(shortened);
  });
});

test("no change that keeps some message for less long, whatever its tags, goes unnoticed", () => {
  const period = fc.option(fc.integer({ min: 1, max: 4 }));
  const tag = fc.constantFrom("a", "b", "c");
  const retention = fc.record({ days: period, tags: fc.dictionary(tag, period, { noNullPrototype: true }) });
  const length = (days: number | null) => days ?? Number.POSITIVE_INFINITY;
  fc.assert(
    fc.property(retention, retention, fc.uniqueArray(tag), (to, now, tags) => {
      const message = Object.fromEntries(tags.map((each) => [each, ""]));
      fc.pre(length(keptDays(to, message)) < length(keptDays(now, message)));
      expect(isShortened(to, now)).toBe(true);
    }),
  );
});
