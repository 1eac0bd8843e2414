import { parseHeaders } from "mailauth/lib/tools.js";
import { describe, expect, test } from "vitest";
import { readArcChain } from "../../src/mail/arc-chain.ts";
import { authenticateMessage, type JudgedMessage } from "../../src/mail/authenticate.ts";
import { onTheWire, txtResolver, type ValidationCase, validationScenarios } from "../support/arc-suite.ts";

/** The validation half of ValiMail's ARC suite, each case through our own way of judging arriving mail. */

const SCENARIOS = validationScenarios();
const CASES = 171;

/** What is answered differently than the suite says, by case, with the reason. */
const DIFFERENT: Readonly<Record<string, { result: string; because: string }>> = {
  ams_fields_c_na: {
    result: "fail",
    because: "without c= the signature is simple/simple (RFC 8617 §4.1.2, RFC 6376 §3.5); the drafts meant relaxed",
  },
  ams_fields_h_empty: {
    result: "fail",
    because: "h= may not be empty and must name From (RFC 6376 §3.5, §5.4): such a signature covers no author",
  },
};

/** What the suite leaves open (`cv` is empty there): a seal that says cv=fail ends the chain (RFC 8617 §5.2 step 2). */
const LEFT_OPEN = ["cv_fail_i1_as_cv_fail", "cv_fail_i2_as2_fail", "cv_fail_i2_as1_fail"];

/** Seals that mailauth 7.1.0 takes as it is by default; they must not even reach it. */
const REFUSED_BEFORE = ["as_format_inv_tag_key", "as_format_tags_dup", "as_format_tags_key_case", "as_format_tags_sc"];

const ALL = new Map(SCENARIOS.flatMap(({ tests }) => Object.entries(tests)));

async function judge({ message }: ValidationCase, records: Readonly<Record<string, string>>): Promise<JudgedMessage> {
  return await authenticateMessage(
    {
      raw: onTheWire(message),
      envelope_from: "",
      client: null,
      from: [{ name: "John Q Doe", address: "jqd@d1.example.org" }],
      mta: "lists.example.org",
      now: 12345_000,
    },
    txtResolver(records),
  );
}

test("the suite is whole, and what is listed apart is in it", () => {
  expect(ALL.size).toBe(CASES);
  const listed = [...Object.keys(DIFFERENT), ...LEFT_OPEN, ...REFUSED_BEFORE];
  expect(listed.filter((name) => !ALL.has(name))).toEqual([]);
  expect([...ALL].filter(([, { cv }]) => !cv).map(([name]) => name)).toEqual(LEFT_OPEN);
});

describe.each(SCENARIOS.map((scenario) => [scenario.description.trim(), scenario] as const))(
  "%s",
  (_title, scenario) => {
    test.each(Object.entries(scenario.tests))("%s", async (name, each) => {
      const wanted = DIFFERENT[name]?.result ?? (each.cv || "Fail").toLowerCase();
      const verdicts = await judge(each, scenario["txt-records"] ?? {});
      expect(verdicts.arc_result).toBe(wanted);
      expect(verdicts.checks.arc).toMatchObject({ result: wanted, reason: expect.stringMatching(/^[ -~“”]+\.$/) });
      expect(verdicts.checks.arc.sealers.length > 0).toBe(wanted === "pass");
    });
  },
);

describe("a malformed seal is refused before any key is looked up", () => {
  test.each(REFUSED_BEFORE)("%s", (name) => {
    const [header = ""] = ALL.get(name)?.message.split("\n\n") ?? [];
    expect(readArcChain(parseHeaders(Buffer.from(header)).parsed).fault).toMatch(/^(?:an|the) ARC-Seal /);
  });
});
