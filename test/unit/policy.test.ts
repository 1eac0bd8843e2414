import { describe, expect, test } from "vitest";
import { isLooser, MODES, stricter } from "../../src/oversight/modes.ts";
import { judgeSend, POLICY } from "../../src/oversight/policy.ts";

test("the policy table is the design's", () => {
  const rows = Object.entries(POLICY).map(([effect, row]) => [effect, ...MODES.map((mode) => row[mode])].join(" | "));
  expect(rows).toEqual([
    "send | deny | hold | hold | allow_with_copy | allow",
    "read | allow | hold | allow | allow | allow",
    "annotate | mark_and_tag_only | hold | allow | allow | allow",
    "inbound | allow | hold | allow | allow | allow",
  ]);
});

describe("the applied mode is the stricter of mailbox and request", () => {
  test.each(MODES.flatMap((a) => MODES.map((b) => [a, b] as const)))("%s with %s", (a, b) => {
    const applied = stricter(a, b);
    expect([a, b]).toContain(applied);
    expect(isLooser(applied, a)).toBe(false);
    expect(isLooser(applied, b)).toBe(false);
  });
});

test("only a monitored send is copied to the overseer", () => {
  expect(MODES.filter((mode) => judgeSend(mode).copy)).toEqual(["monitored"]);
});
