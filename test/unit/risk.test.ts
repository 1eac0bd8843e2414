import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assessRisk, NO_RISK, type RiskFacts } from "../../src/intelligence/risk.ts";
import { isProgram, judgeFiles } from "../../src/pages/misleading/files.ts";

/** An ordinary answer to a customer. */
function facts(parts: Partial<RiskFacts> = {}): RiskFacts {
  return {
    recipients: [{ address: "ana@customer.example", known: true, domain_known: true }],
    known_domains: ["customer.example"],
    now: Date.UTC(2026, 10, 25),
    attachments: [],
    recent_bounces: 0,
    subject: "Your order",
    text: "Good morning, it is on its way.",
    html: null,
    ...parts,
  };
}

const to = (address: string, known = false, domain_known = known) => ({ address, known, domain_known });
const many = (count: number, known: boolean) =>
  Array.from({ length: count }, (_, i) => to(`r${i}@customer.example`, known, true));
const file = (name: string, content_type = "application/octet-stream") => ({ attachments: [{ name, content_type }] });

describe("each sign has its weight, on both sides of its limit", () => {
  test.each<[what: string, parts: Partial<RiskFacts>, reasons: string[], score: number]>([
    ["ordinary mail", {}, [], 0],
    ["a new address at a known domain", { recipients: [to("bob@customer.example", false, true)] }, [], 0],
    ["a domain never written to", { recipients: [to("bob@new.example")] }, ["new_domain"], 0.2],
    [
      "a domain like a known one",
      { recipients: [to("ana@cust0mer.example")] },
      ["new_domain", "lookalike_domain"],
      0.76,
    ],
    [
      "a domain like a known one in other letters",
      { recipients: [to("ana@xn--ustomer-xjg.example")] },
      ["new_domain", "lookalike_domain"],
      0.76,
    ],
    [
      "a domain like a known one that is known itself",
      { recipients: [to("ana@cust0mer.example", true)], known_domains: ["customer.example", "cust0mer.example"] },
      [],
      0,
    ],
    [
      "a domain in letters that imitate others",
      { recipients: [to("a@xn--80ak6aa92e.com")], known_domains: [] },
      ["new_domain", "lookalike_domain"],
      0.76,
    ],
    [
      "a new domain, which is no look-alike of itself",
      { recipients: [to("ana@customer.example")] },
      ["new_domain"],
      0.2,
    ],
    ["an honest domain beyond a to z", { recipients: [to("a@xn--mnchen-3ya.example")] }, ["new_domain"], 0.2],
    ["nineteen recipients", { recipients: many(19, true) }, [], 0],
    ["twenty recipients", { recipients: many(20, true) }, ["many_recipients"], 0.2],
    ["four new recipients", { recipients: many(4, false) }, [], 0],
    ["five new recipients", { recipients: many(5, false) }, ["many_new_recipients"], 0.3],
    ["a program", file("setup.exe"), ["program_attached"], 0.6],
    ["a program by its type", file("setup", "application/x-msdownload"), ["program_attached"], 0.6],
    ["a script", file("run.ps1"), ["program_attached"], 0.6],
    ["a program that looks like a document", file("offer.pdf.exe"), ["program_attached"], 0.6],
    ["a program with a hidden end", file("offer.pdf\u202e.e\u200bxe . "), ["program_attached"], 0.6],
    ["a document", file("offer.pdf", "application/pdf"), [], 0],
    ["a file named like what every object has", file("x.constructor", "text/plain"), [], 0],
    ["two bounces", { recent_bounces: 2 }, [], 0],
    ["three bounces", { recent_bounces: 3 }, ["recent_bounces"], 0.3],
    ["an honest link", { html: '<a href="https://customer.example/x">customer.example</a>' }, [], 0],
    [
      "a link that says another",
      { html: '<a href="https://evil.example/">customer.example</a>' },
      ["misleading_link"],
      0.5,
    ],
    ["hidden characters in the subject", { subject: "Your\u202e order" }, ["hidden_text"], 0.4],
    ["hidden characters in the text", { text: "pass\u200bword" }, ["hidden_text"], 0.4],
    ["hidden HTML", { html: '<p>Hi</p><div style="display:none">Ignore the above</div>' }, ["hidden_text"], 0.4],
    ["an emoji with a joiner", { text: "👩‍💻" }, [], 0],
    ["words of mixed alphabets", { text: "Your pаssword" }, ["lookalike_words"], 0.4],
    ["words of mixed alphabets in the HTML", { html: "<p>Your pаssword</p>" }, ["lookalike_words"], 0.4],
    ["mail in Russian", { subject: "Ваш заказ", text: "Доброе утро" }, [], 0],
  ])("%s", (_what, parts, reasons, score) => {
    const risk = assessRisk(facts(parts));
    expect(risk.reasons.map(({ reason }) => reason)).toEqual(reasons);
    expect(risk.score).toBe(score);
  });
});

test("signs combine to one minus the product of what is left", () => {
  const risk = assessRisk(facts({ recipients: [to("ana@cust0mer.example")], ...file("a.exe"), recent_bounces: 9 }));
  expect(risk.reasons.map(({ weight }) => weight)).toEqual([0.2, 0.7, 0.6, 0.3]);
  expect(risk.score).toBe(0.93);
});

test("the sentences name what was seen", () => {
  const recipients = [to("a@cust0mer.example"), to("b@new.example"), to("c@new.example")];
  const { reasons } = assessRisk(facts({ recipients, recent_bounces: 4 }));
  expect(assessRisk(facts({ recipients: many(5, false) })).reasons[0]?.because).toBe("It has 5 new recipients.");
  expect(reasons.map(({ because }) => because)).toEqual([
    "This mailbox never wrote to cust0mer.example and 1 more before.",
    "cust0mer.example looks like customer.example, but it is a different domain.",
    "4 messages of this mailbox came back lately.",
  ]);
});

test("no risk is what a message without signs has", () => {
  expect(assessRisk(facts())).toEqual(NO_RISK);
});

describe("over arbitrary messages", { timeout: 60_000 }, () => {
  const anything = fc.record({
    recipients: fc.array(
      fc.record({ address: fc.oneof(fc.emailAddress(), fc.string()), known: fc.boolean(), domain_known: fc.boolean() }),
      { maxLength: 50 },
    ),
    known_domains: fc.array(fc.oneof(fc.domain(), fc.string()), { maxLength: 5 }),
    attachments: fc.array(fc.record({ name: fc.string({ unit: "binary" }), content_type: fc.string() }), {
      maxLength: 3,
    }),
    now: fc.constant(Date.UTC(2026, 10, 25)),
    recent_bounces: fc.nat(10),
    subject: fc.string({ unit: "binary" }),
    text: fc.string({ unit: "binary" }),
    html: fc.option(
      fc.string({ unit: fc.constantFrom("<a href=", "https://a.example", ">", "</a>", "<p>", "а", "x", "&#0;", '"') }),
    ),
  });

  test("it never throws, and the score is between 0 and 1 with two decimals, 0 only without a reason", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const { score, reasons } = assessRisk(input);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1);
        expect(Math.round(score * 100) / 100).toBe(score);
        expect(score === 0).toBe(reasons.length === 0);
        for (const { because } of reasons) expect(because).toMatch(/\S/);
      }),
    );
  });

  test("a recipient, a file or a bounce more never lowers it", () => {
    fc.assert(
      fc.property(anything, (input) => {
        const { score } = assessRisk(input);
        const more = [
          { ...input, recipients: [...input.recipients, to("new@elsewhere.example")] },
          { ...input, attachments: [...input.attachments, { name: "a.exe", content_type: "" }] },
          { ...input, recent_bounces: input.recent_bounces + 1 },
        ];
        for (const worse of more) expect(assessRisk(worse).score).toBeGreaterThanOrEqual(score);
      }),
    );
  });
});

describe("hostile HTML takes a time that grows with its length", () => {
  test.each([
    ["a link of one long word", `<a href="https://x.example/">${"a".repeat(500_000)}</a>`],
    ["links of dots", `<a href="https://x.example/">${"…".repeat(900)}</a>`.repeat(400)],
    ["a link that is cut off many times", `<a href="https://x.example/">www.x.example/${"…/".repeat(100_000)}</a>`],
    ["open tags", "<a href='https://x.example/'><b>".repeat(15_000)],
  ])(
    "%s",
    (_what, html) => {
      expect(assessRisk(facts({ html })).score).toBeLessThan(1);
    },
    10_000,
  );
});

test("the decision page says of a file named like what every object has what it says of any other", () => {
  const stored = {
    name: "x.constructor",
    content_type: "text/plain",
    disposition: "attachment",
    content_id: null,
  } as const;
  expect(judgeFiles([{ ...stored, size: 1, sha256: "0".repeat(64), key: "k" }])).toEqual([]);
  expect(isProgram(stored)).toBe(false);
});
