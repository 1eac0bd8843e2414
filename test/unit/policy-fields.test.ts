import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseInput } from "../../src/doors/admit.ts";
import { type Issue, Refused } from "../../src/errors.ts";
import { policyIn, policyShape } from "../../src/operations/policy-fields.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";

/** @returns what is wrong with an input, as set_policy would answer it. */
function issues(input: unknown): Issue[] {
  try {
    parseInput(policyIn, input);
    return [];
  } catch (error) {
    if (error instanceof Refused && error.refusal.code === "invalid_input") return error.refusal.issues ?? [];
    if (error instanceof Refused) return [{ path: error.refusal.code, message: error.message }];
    throw error;
  }
}

const repeat = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const rule = (parts: object) => ({ name: "r", keywords: ["x"], ...parts });
const hours = (parts: object = {}) => ({ time_zone: "Europe/Madrid", from: "09:00", until: "17:00", ...parts });

test("whatever is left out restricts nothing", () => {
  expect(parseInput(policyIn, {})).toEqual(OPEN_POLICY);
  expect(parseInput(policyIn, { budgets: {} })).toEqual(OPEN_POLICY);
});

test("a rule's parts have the strictest that makes sense where they are left out", () => {
  const parsed = parseInput(policyIn, {
    content: [{ name: "words", keywords: ["x"] }],
    attachments: [{ name: "files" }],
    sending_hours: hours(),
    fall_back: { mode: "gated_send", bounces: 3 },
  });
  expect(parsed.content).toEqual([
    { name: "words", in: ["subject", "body", "tags"], keywords: ["x"], pattern: null, action: "hold" },
  ]);
  expect(parsed.attachments).toEqual([{ name: "files", types: [], larger_than: null, action: "hold" }]);
  expect(parsed.sending_hours?.days).toEqual(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
  expect(parsed.fall_back).toEqual({ mode: "gated_send", bounces: 3, complaints: null, days: 30 });
});

test("a policy as it was read is answered and read again as the same", () => {
  const whole = parseInput(policyIn, {
    templates_only: true,
    risk_hold: 0.25,
    risk_block: 0.75,
    new_recipients: "hold",
    blocklist: ["@Rival.example", "rival.example", "*.München.example"],
    content: [{ name: "c", in: ["body"], keywords: ["a b"], pattern: "\\d+", action: "block" }],
    attachments: [{ name: "a", types: ["Application/*", ".EXE"], larger_than: 0, action: "block" }],
    sending_hours: hours({ days: ["sun"] }),
    budgets: { per_hour: 0, per_day: 1, per_recipient_per_hour: 2, per_recipient_per_day: 3 },
    fall_back: { mode: "read_only", bounces: 1, complaints: 1, days: 90 },
  });
  expect(whole.blocklist).toEqual(["rival.example", "*.xn--mnchen-3ya.example"]);
  expect(whole.attachments[0]?.types).toEqual(["application/*", ".exe"]);
  expect(policyShape.parse(whole)).toEqual(whole);
  expect(parseInput(policyIn, policyShape.parse(whole))).toEqual(whole);
});

describe("every limit, on both sides", () => {
  test.each<[what: string, within: unknown, beyond: unknown, path: string]>([
    [
      "blocklist entries",
      { blocklist: repeat(1000, (i) => `d${i}.example`) },
      { blocklist: repeat(1001, (i) => `d${i}.example`) },
      "blocklist",
    ],
    ["content rules", { content: repeat(20, () => rule({})) }, { content: repeat(21, () => rule({})) }, "content"],
    [
      "keywords",
      { content: [rule({ keywords: repeat(50, (i) => `k${i}`) })] },
      { content: [rule({ keywords: repeat(51, (i) => `k${i}`) })] },
      "content.0.keywords",
    ],
    [
      "a keyword's characters",
      { content: [rule({ keywords: ["k".repeat(100)] })] },
      { content: [rule({ keywords: ["k".repeat(101)] })] },
      "content.0.keywords.0",
    ],
    [
      "a pattern's characters",
      { content: [rule({ pattern: "p".repeat(200) })] },
      { content: [rule({ pattern: "p".repeat(201) })] },
      "content.0.pattern",
    ],
    [
      "a pattern's steps",
      { content: [rule({ pattern: "p{900}" })] },
      { content: [rule({ pattern: "(?:p{500}){2}q{500}" })] },
      "content.0.pattern",
    ],
    [
      "a rule's name",
      { content: [rule({ name: "n".repeat(64) })] },
      { content: [rule({ name: "n".repeat(65) })] },
      "content.0.name",
    ],
    [
      "attachment rules",
      { attachments: repeat(20, () => ({ name: "a" })) },
      { attachments: repeat(21, () => ({ name: "a" })) },
      "attachments",
    ],
    [
      "types",
      { attachments: [{ name: "a", types: repeat(50, (i) => `.e${i}`) }] },
      { attachments: [{ name: "a", types: repeat(51, (i) => `.e${i}`) }] },
      "attachments.0.types",
    ],
    [
      "a type's characters",
      { attachments: [{ name: "a", types: [`.${"e".repeat(99)}`] }] },
      { attachments: [{ name: "a", types: [`.${"e".repeat(100)}`] }] },
      "attachments.0.types.0",
    ],
    [
      "a size",
      { attachments: [{ name: "a", larger_than: 0 }] },
      { attachments: [{ name: "a", larger_than: -1 }] },
      "attachments.0.larger_than",
    ],
    ["the lowest risk", { risk_hold: 0 }, { risk_hold: -0.01 }, "risk_hold"],
    ["the highest risk", { risk_block: 1 }, { risk_block: 1.01 }, "risk_block"],
    ["a budget", { budgets: { per_day: 0 } }, { budgets: { per_day: -1 } }, "budgets.per_day"],
    ["a large budget", { budgets: { per_hour: 1_000_000 } }, { budgets: { per_hour: 1_000_001 } }, "budgets.per_hour"],
    [
      "a fall-back's bounces",
      { fall_back: { mode: "read_only", bounces: 1 } },
      { fall_back: { mode: "read_only", bounces: 0 } },
      "fall_back.bounces",
    ],
    [
      "a fall-back's complaints",
      { fall_back: { mode: "read_only", complaints: 1 } },
      { fall_back: { mode: "read_only", complaints: 0 } },
      "fall_back.complaints",
    ],
    [
      "a fall-back's fewest days",
      { fall_back: { mode: "read_only", bounces: 1, days: 1 } },
      { fall_back: { mode: "read_only", bounces: 1, days: 0 } },
      "fall_back.days",
    ],
    [
      "a fall-back's most days",
      { fall_back: { mode: "read_only", bounces: 1, days: 90 } },
      { fall_back: { mode: "read_only", bounces: 1, days: 91 } },
      "fall_back.days",
    ],
    [
      "a day's first minute",
      { sending_hours: hours({ from: "00:00" }) },
      { sending_hours: hours({ from: "-1:00" }) },
      "sending_hours.from",
    ],
    [
      "a day's last minute",
      { sending_hours: hours({ until: "23:59" }) },
      { sending_hours: hours({ until: "24:00" }) },
      "sending_hours.until",
    ],
  ])("%s", (_what, within, beyond, path) => {
    expect(issues(within)).toEqual([]);
    expect(issues(beyond).map((issue) => issue.path)).toEqual([path]);
  });
});

describe("what is wrong is said, and where", () => {
  test.each<[what: string, input: unknown, path: string, message: RegExp]>([
    ["a field that there is not", { allowlist: [] }, "allowlist", /is not a field/],
    ["a rule's field that there is not", { content: [rule({ regex: "x" })] }, "content.0.regex", /is not a field/],
    [
      "an entry that is no pattern",
      { blocklist: ["a@x.example", "x.example", "*@*"] },
      "blocklist.2",
      /must be an address, a domain or a glob/,
    ],
    ["an entry that is no text", { blocklist: [1] }, "blocklist.0", /must be a string/],
    [
      "a look-ahead",
      { content: [rule({}), rule({ pattern: "a(?=b)" })] },
      "content.1.pattern",
      /is not a regular expression in RE2 syntax.*“\(\?=”.*look-around/,
    ],
    ["a back-reference", { content: [rule({ pattern: "(a)\\1" })] }, "content.0.pattern", /“\\1”.*back-references/],
    ["an empty pattern", { content: [rule({ pattern: "" })] }, "content.0.pattern", /may not be empty/],
    ["a rule that looks for nothing", { content: [{ name: "r" }] }, "content.0.keywords", /needs at least one entry/],
    ["a rule that looks nowhere", { content: [rule({ in: [] })] }, "content.0.in", /needs at least 1 entry/],
    [
      "a rule that looks elsewhere",
      { content: [rule({ in: ["from"] })] },
      "content.0.in.0",
      /must be one of subject, body, tags/,
    ],
    ["a rule that allows", { content: [rule({ action: "allow" })] }, "content.0.action", /must be one of hold, block/],
    [
      "a keyword of spaces",
      { content: [rule({ keywords: ["  "] })] },
      "content.0.keywords.0",
      /must have something in it/,
    ],
    [
      "a keyword that nobody sees",
      { content: [rule({ keywords: ["\u200b\u00ad"] })] },
      "content.0.keywords.0",
      /must have something in it/,
    ],
    ["a rule without a name", { content: [{ keywords: ["x"] }] }, "content.0.name", /is needed/],
    [
      "a type that is none",
      { attachments: [{ name: "a", types: ["pdf"] }] },
      "attachments.0.types.0",
      /must be a media type/,
    ],
    [
      "a type that is everything",
      { attachments: [{ name: "a", types: ["*"] }] },
      "attachments.0.types.0",
      /must be a media type/,
    ],
    ["a risk that is no number", { risk_hold: "high" }, "risk_hold", /must be a number/],
    [
      "a time zone that there is not",
      { sending_hours: hours({ time_zone: "Europe/Atlantis" }) },
      "sending_hours.time_zone",
      /must be a time zone/,
    ],
    [
      "a time zone of nothing",
      { sending_hours: hours({ time_zone: "" }) },
      "sending_hours.time_zone",
      /must be a time zone/,
    ],
    [
      "a time without its zero",
      { sending_hours: hours({ from: "9:00" }) },
      "sending_hours.from",
      /must be a time such as/,
    ],
    ["no days", { sending_hours: hours({ days: [] }) }, "sending_hours.days", /needs at least 1 entry/],
    [
      "a day that there is not",
      { sending_hours: hours({ days: ["funday"] }) },
      "sending_hours.days.0",
      /must be one of mon, tue/,
    ],
    ["half a message", { budgets: { per_day: 0.5 } }, "budgets.per_day", /must be a whole number/],
    [
      "a fall-back to no mode",
      { fall_back: { mode: "panic", bounces: 1 } },
      "fall_back.mode",
      /must be one of read_only/,
    ],
    ["a fall-back that counts nothing", { fall_back: { mode: "read_only" } }, "fall_back.bounces", /is needed where/],
    ["null where there must be rules", { content: null }, "content", /must be a list/],
  ])("%s", (_what, input, path, message) => {
    const found = issues(input);
    expect(found.map((issue) => issue.path)).toEqual([path]);
    expect(found[0]?.message).toMatch(message);
  });

  test("a name that would break a line", () => {
    expect(issues({ content: [rule({ name: "a\nb" })] })[0]?.path).toBe("forbidden_characters");
  });
});

test("of what is far too long no more is looked at than shows it", () => {
  const wrong = (input: unknown) => policyIn.safeParse(input).error?.issues.map(({ code }) => code);
  expect(wrong({ content: repeat(50_000, () => rule({ pattern: "[a-z]{1,900}q" })) })).toEqual(["too_big"]);
  expect(wrong({ blocklist: repeat(500_000, () => "x.example") })).toEqual(["too_big"]);
  expect(wrong({ content: [rule({ keywords: ["k".repeat(5_000_000)] })] })).toEqual(["too_big"]);
}, 30_000);

test("the schemas can be described to programs", () => {
  const described = z.toJSONSchema(policyIn, { io: "input", unrepresentable: "any" });
  expect(described.required).toBeUndefined();
  expect(Object.keys(described.properties ?? {})).toEqual(Object.keys(OPEN_POLICY));
  expect(Object.keys(z.toJSONSchema(policyShape, { io: "output" }).properties ?? {})).toEqual(Object.keys(OPEN_POLICY));
});
