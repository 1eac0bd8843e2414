import { describe, expect, test } from "vitest";
import { factsInWords } from "../../src/pages/domain-facts.ts";

/** What people who decide read of a domain. */

const FACTS = {
  domain: "customer.example",
  dmarc_policy: "reject",
  mx: "present",
  spf: "present",
  age_days: 3_000,
  disposable: false,
  blocklists: [],
  resembles: null,
  unknown: [],
  unknown_because: [],
};

describe("one sentence a domain", () => {
  test.each<[what: string, change: Record<string, unknown>, words: string]>([
    ["its age in years", {}, "was registered 8 years ago"],
    ["its age in months", { age_days: 90 }, "was registered 3 months ago"],
    ["its age in days", { age_days: 1 }, "was registered 1 day ago"],
    ["that it does not exist", { mx: "no_domain" }, "does not exist"],
    ["that it takes no mail", { mx: "null" }, "says that it takes no mail"],
    [
      "a blocklist",
      { blocklists: [{ list: "dbl.example", meaning: "spam" }] },
      "is on the blocklist dbl.example (spam)",
    ],
    ["what it resembles", { resembles: { kind: "near", twin: "costumer.example" } }, "resembles costumer.example"],
    ["that forged mail comes through", { dmarc_policy: "none" }, "lets forged mail through (DMARC)"],
    ["that anyone gets an address", { disposable: true }, "gives anyone an address for a while"],
    [
      "what is not known",
      { age_days: null, unknown: ["rdap", "blocklist:dbl.example"] },
      "not known: its age, the blocklist dbl.example",
    ],
  ])("says %s", (_what, change, words) => {
    const sentence = factsInWords({ ...FACTS, ...change });
    expect(sentence).toMatch(/^customer\.example: .*\.$/);
    expect(sentence).toContain(words);
  });

  test("of what says nothing it says nothing more", () => {
    expect(factsInWords({ domain: "customer.example" })).toBe("customer.example: .");
    expect(factsInWords(null)).toBe(": .");
  });
});
