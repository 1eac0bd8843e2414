import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ContentRetention,
  fewestDays,
  isShortened,
  keptDays,
  retentionInWords,
  type Tagged,
} from "../../src/oversight/content-retention.ts";

const period = fc.option(fc.integer({ min: 1, max: 4 }));
const tagKey = fc.constantFrom("a", "b", "c");
const tagKeys = fc.uniqueArray(tagKey);
const retentions = fc.record({ days: period, tags: fc.dictionary(tagKey, period, { noNullPrototype: true }) });
const length = (days: number | null) => days ?? Number.POSITIVE_INFINITY;
const of = (days: number | null, tags: ContentRetention["tags"] = {}): ContentRetention => ({ days, tags });

const ofKeys = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, ""]));

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
    expect(keptDays(retention, { tags: ofKeys(tags), operator_tags: tags })).toBe(days);
  });

  test.each<[string, ContentRetention, Tagged, number | null]>([
    ["for no fewer days than the mailbox's by an agent's tag", of(30, { short: 7 }), { tags: { short: "" } }, 30],
    ["for good, whatever an agent tags", of(null, { short: 7 }), { tags: { short: "" } }, null],
    ["for more by an agent's tag", of(30, { long: 365 }), { tags: { long: "" } }, 365],
    [
      "for more than by the operator's tag, by an agent's beside it",
      of(null, { short: 7, less: 3 }),
      { tags: { short: "", less: "" }, operator_tags: ["less"] },
      7,
    ],
    ["as long as by a tag that an agent took off", of(30, { long: 365 }), { tags: {}, former_tags: ["long"] }, 365],
    ["no shorter by one", of(30, { short: 7 }), { tags: {}, former_tags: ["short"] }, 30],
    ["for the mailbox's days once the tag has no period any more", of(30), { tags: {}, former_tags: ["long"] }, 30],
  ])("%s", (_what, retention, tagged, days) => {
    expect(keptDays(retention, tagged)).toBe(days);
  });

  test("by nothing that only looks like a tag", () => {
    expect(keptDays(of(30), { tags: { constructor: "" } })).toBe(30);
  });

  test("never less long for what agents tag or take off", () => {
    fc.assert(
      fc.property(retentions, tagKeys, tagKeys, tagKeys, (retention, operators, agents, former) => {
        const operator_tags = operators;
        const before = keptDays(retention, { tags: ofKeys(operators), operator_tags });
        const after = keptDays(retention, {
          tags: ofKeys([...operators, ...agents]),
          operator_tags,
          former_tags: former,
        });
        expect(length(after)).toBeGreaterThanOrEqual(length(before));
      }),
    );
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
  fc.assert(
    fc.property(retentions, retentions, tagKeys, tagKeys, tagKeys, (to, now, operator_tags, agents, former_tags) => {
      const message = { tags: ofKeys([...operator_tags, ...agents]), operator_tags, former_tags };
      fc.pre(length(keptDays(to, message)) < length(keptDays(now, message)));
      expect(isShortened(to, now)).toBe(true);
    }),
  );
});

test("the operator reads which tags shorten only where a key with admin set them", () => {
  expect(retentionInWords(of(30, { long: 365, short: 1 }))).toBe(
    'for 30 days, for 365 days where it is tagged "long", for 1 day where a key with admin tagged it "short"',
  );
});
