import { applyPatch } from "diff";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unifiedDifference } from "../../src/oversight/difference.ts";

const BEFORE = "Subject: Your order\nTo: all@customer.example\n\nDear all,\n\nit ships on Thursday.\n\nOrders\n";

describe("the difference between two versions", () => {
  const pairs: [string, string, string, string][] = [
    ["the same", BEFORE, BEFORE, ""],
    ["both empty", "", "", ""],
    ["the same but for the kind of line ends", "a\r\nb\rc", "a\nb\nc\n", ""],
    [
      "one line changed",
      BEFORE,
      BEFORE.replace("Thursday", "Friday"),
      "@@ -3,6 +3,6 @@\n \n Dear all,\n \n-it ships on Thursday.\n+it ships on Friday.\n \n Orders\n",
    ],
    ["a recipient left out", "To: a\nTo: b\n\nHi\n", "To: a\n\nHi\n", "@@ -1,4 +1,3 @@\n To: a\n-To: b\n \n Hi\n"],
    ["all new", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"],
    ["all gone", "a", "", "@@ -1,1 +0,0 @@\n-a\n"],
    [
      "lines that look like the form's own",
      "@@ -1 +1 @@\n",
      "--- a\n+++ b\n",
      "@@ -1,1 +1,2 @@\n-@@ -1 +1 @@\n+--- a\n++++ b\n",
    ],
    [
      "other line ends of Unicode, which are none here",
      "a\u2028b\n",
      "a\u2029b\n",
      "@@ -1,1 +1,1 @@\n-a\u2028b\n+a\u2029b\n",
    ],
  ];
  it.each(pairs)("%s", (_name, before, after, difference) => {
    expect(unifiedDifference(before, after)).toBe(difference);
  });

  it("turns the one into the other", () => {
    const text = fc
      .array(fc.constantFrom("a", "b", "c", "", " ", "+x", "-y"))
      .map((lines) => lines.map((l) => `${l}\n`).join(""));
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(applyPatch(before, unifiedDifference(before, after))).toBe(after);
      }),
    );
  });

  it("beyond five hundred changed lines one text takes the place of the other", () => {
    const lines = (word: string, n: number) => `${Array.from({ length: n }, (_, i) => `${word}${i}`).join("\n")}\n`;
    const [before, after] = [lines("a", 251), lines("b", 251)];
    const difference = unifiedDifference(before, after);
    expect(difference.startsWith("@@ -1,251 +1,251 @@\n-a0\n")).toBe(true);
    expect(applyPatch(before, difference)).toBe(after);
    const shared = "same\n";
    const closer = unifiedDifference(shared + lines("a", 250), shared + lines("b", 250));
    expect(closer.startsWith("@@ -1,251 +1,251 @@\n same\n-a0\n")).toBe(true);
    expect(unifiedDifference(shared + before, shared + after)).toMatch(/^@@ -1,252 \+1,252 @@\n-same\n/);
  });

  const hostile: [string, string, string][] = [
    ["nothing but line ends", "\n".repeat(256 * 1024), "x\n".repeat(128 * 1024)],
    ["one line", "x".repeat(256 * 1024), "y".repeat(256 * 1024)],
    ["lines in turn", "a\nb\n".repeat(64 * 1024), "b\na\na\n".repeat(43 * 1024)],
  ];
  it.each(hostile)("is bounded, whatever the texts: %s", (_name, before, after) => {
    const difference = unifiedDifference(before, after);
    expect(difference.length).toBeLessThanOrEqual(256 * 1024);
    expect(difference).toMatch(/\\ The rest of the difference is left out\.\n$/);
  });
});
