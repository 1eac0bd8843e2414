import { describe, expect, it, test } from "vitest";
import type { DecisionItem, MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../../src/oversight/statuses.ts";
import { guessHeight } from "../../src/pages/decision/frame.tsx";
import { DecisionPage, type DecisionPageProps } from "../../src/pages/decision.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { OutcomePage } from "../../src/pages/outcome.tsx";
import { expiredProblem, PROBLEMS, ProblemPage, revokedProblem } from "../../src/pages/problem.tsx";
import { sizeInWords, timeInWords, timeLeft } from "../../src/pages/words.ts";
import { attachment, decisionItem, editableItem, NOW, outcome } from "../support/decision-page-fixtures.ts";
import { wordsOf } from "../support/page-words.ts";

function pageOf(item: DecisionItem, props: Partial<DecisionPageProps> = {}): string {
  return renderPage(
    <DecisionPage
      item={item}
      approver="anna@acme.example"
      expires_at={item.expires_at}
      approved_at={null}
      base="/v1/approve/token"
      csrf="secret"
      now={NOW}
      {...props}
    />,
  );
}

function page(change: Partial<Omit<MessageItem, "content">> = {}, content: Partial<MessageContent> = {}): string {
  return wordsOf(pageOf(decisionItem(change, content)));
}

const REASONS: MessageItem["reasons"] = [
  { rule: "new_recipients", action: "hold", because: "bob@x.example was never written to." },
  { rule: "budget", action: "hold", because: "It would be the 21st today; 20 are allowed." },
];

const LOOKED_UP = {
  domain: "customer.example",
  mx: "present",
  dmarc_policy: "reject",
  age_days: null,
  unknown: ["rdap"],
};

test("a message can be left for fewer until its delivery was tried, and its words changed after that too", () => {
  const words = (change: Partial<MessageItem>) => wordsOf(pageOf(editableItem(change)));
  expect(words({})).toMatch(/Change it before it is sent.*Do not send it to/);
  const tried = words({ tried: { reached: [] } });
  expect(tried).toContain("Change it before it is sent");
  expect(tried).not.toContain("Do not send it to");
});

describe("the page of a message that waits shows all that will leave", () => {
  const shown: [string, Partial<Omit<MessageItem, "content">>, Partial<MessageContent>, RegExp][] = [
    ["who decides", {}, {}, /You are deciding as anna@acme\.example/],
    ["the sender", {}, {}, /From Acme Orders <orders@acme\.example>/],
    [
      "every recipient",
      {},
      { to: [1, 2, 3].map((n) => ({ name: null, address: `p${n}@x.example` })) },
      /p1@x\.example p2@x\.example p3@x\.example/,
    ],
    ["copies", {}, { cc: [{ name: "C", address: "c@x.example" }] }, /Cc C <c@x\.example>/],
    ["blind copies, as such", {}, { bcc: [{ name: null, address: "b@x.example" }] }, /Bcc, unseen b@x\.example/],
    ["where answers go", {}, { reply_to: [{ name: null, address: "r@x.example" }] }, /Answers to r@x\.example/],
    ["the subject", {}, {}, /Subject Your order 4711 ships on Thursday/],
    ["that there is no subject", {}, { subject: "" }, /\(no subject\)/],
    [
      "who has it already",
      { tried: { reached: ["p1@x.example"] } },
      {},
      /p1@x\.example has it already: you decide about the others\. Nobody can be left out any more\./,
    ],
    [
      "several who have it already",
      { tried: { reached: ["p1@x.example", "p2@x.example"] } },
      {},
      /p1@x\.example, p2@x\.example have it already/,
    ],
    ["that nobody has it yet", { tried: { reached: [] } }, {}, /Its delivery was tried, and nobody has it yet\./],
    ["that there is no text", {}, { text: "", html: null }, /\(no text\)/],
    ["the plain text", {}, { text: "the plain\nwords", html: null }, /the plain words/],
    [
      "attachments",
      {},
      { attachments: [attachment("a.pdf", "application/pdf", 48211)] },
      /a\.pdf ?application\/pdf · 48 kB ?SHA-256 9f86d081884c7d65…/,
    ],
    ["the agent and its claim", {}, {}, /order-desk · atlas-4, example-ai \(the agent's own claim\)/],
    ["that no agent is named", { agent: { agent_id: null, model_id: null, model_provider: null } }, {}, /not named/],
    ["the mode in words", {}, {}, /Mode Sending held \(gated_send\)\. The agent reads freely/],
    ["why it waits", {}, {}, /Why it waits In this mailbox every outgoing message waits for a person\./],
    ["which rules hold it", { reasons: REASONS }, {}, /Held by mode gated_send, new_recipients, budget/],
    [
      "everything else that would have held it",
      { because: "bob@x.example was never written to.", reasons: REASONS },
      {},
      /Why it waits bob@x\.example was never written to\. {1,2}It would be the 21st today; 20 are allowed\. {1,2}\S/,
    ],
    ["risk that was not checked", {}, {}, /Risk not checked/],
    ["low risk", { risk: { score: 0.1, reasons: [] } }, {}, /Risk low \(0\.10\)/],
    ["medium risk", { risk: { score: 0.5, reasons: [] } }, {}, /Risk medium \(0\.50\)/],
    [
      "high risk with its reasons in words",
      {
        risk: {
          score: 0.73,
          reasons: [{ reason: "look_alike", weight: 0.6, because: "Its domain looks like yours." }],
        },
      },
      {},
      /Risk high \(0\.73\) {1,3}Its domain looks like yours\./,
    ],
    [
      "what is known of the recipients' domains",
      { domain_intelligence: { age_days: 72, dmarc_policy: "none" } },
      {},
      /Recipients' domains age days: 72, dmarc policy: none/,
    ],
    [
      "what was looked up of each domain, and what is not known",
      { domain_intelligence: { risk_score: 0.2, domains: [LOOKED_UP, { ...LOOKED_UP, domain: "other.example" }] } },
      {},
      /Recipients' domains {1,3}customer\.example: has a mail server; has forged mail rejected \(DMARC\); not known: its age\. {1,3}other\.example: has/,
    ],
    ["that it leaves at once", {}, {}, /When it leaves as soon as it is approved/],
    [
      "when it leaves",
      { send_at: "2026-11-25T07:00:00.000Z" },
      {},
      /When it leaves Wed, 25 Nov 2026, 07:00 UTC, or once it is approved, if that is later/,
    ],
    ["that it waits for ever", { expires_at: null }, {}, /Decide within no limit: it waits until someone decides/],
    ["the API key", {}, {}, /API key key_01KBMX3Z8Q4N7W2T5Y6P8R9S0V/],
    ["tags", { tags: { urgent: "", team: "north" } }, {}, /urgent team: north/],
    ["metadata", { metadata: { order: { n: 4711 } } }, {}, /"order": \{ "n": 4711 \}/],
    ["when it was submitted", {}, {}, /Submitted Sat, 21 Nov 2026, 08:52 UTC/],
    ["until when", {}, {}, /Decide within 2 days, Tue, 24 Nov 2026, 08:52 UTC/],
    ["the content's hash", {}, {}, /c0ffee0+/],
    ["hidden characters", {}, { subject: "a\u202Eb" }, /a⟦U\+202E⟧b/],
    [
      "a domain in both forms",
      {},
      { to: [{ name: null, address: "m@xn--mnchen-3ya.de" }] },
      /m@xn--mnchen-3ya\.de reads as münchen\.de/,
    ],
    ["that nothing misleading was found", {}, {}, /found nothing made to mislead/],
  ];
  it.each(shown)("%s", (_name, change, content, words) => {
    expect(page(change, content)).toMatch(words);
  });

  it("that a test message will not leave, before the buttons, and of no other", () => {
    const sentence = "Test message: it ends in the sandbox and will not leave.";
    const words = page({ test: true });
    expect(words).toContain(sentence);
    expect(words.indexOf(sentence)).toBeLessThan(words.indexOf("Approve and send"));
    expect(page()).not.toMatch(/test message|sandbox/i);
  });

  it("its HTML in a frame with no right at all, beside the text and the source", () => {
    const html = pageOf(
      decisionItem({}, { html: '<p>Hi <a href="https://acme.example">"there"</a></p>', text: "Hi there" }),
    );
    expect(html).toMatch(/<iframe[^>]*\ssandbox=""/);
    expect(html).toMatch(/srcdoc="[^"]*&lt;p&gt;Hi &lt;a href=&quot;https:\/\/acme\.example&quot;&gt;/);
    expect(html.match(/type="radio"/g)).toHaveLength(3);
  });

  it("works without scripts: one form, two buttons, labelled fields, warnings before the buttons", () => {
    const html = pageOf(decisionItem({}, { subject: "a\u202Eb" }));
    expect(html.match(/<form/g)).toHaveLength(1);
    expect(html).toMatch(/<form method="post" action="\/v1\/approve\/token" id="decision">/);
    expect(html).toMatch(/<button type="submit" class="approve" name="decision" value="approve">/);
    expect(html).toMatch(/<button type="submit" class="reject" name="decision" value="reject">/);
    expect(html).toMatch(/<label class="field" for="note">[\s\S]*<textarea id="note"/);
    expect(html).not.toMatch(/<script|\son\w+=/);
    expect(html.indexOf("Stop: something here is misleading")).toBeLessThan(html.indexOf("<button"));
    expect(html.indexOf('<h2 id="warnings-title"')).toBeGreaterThan(html.indexOf("<h1"));
  });

  it("serious findings are named on the button itself", () => {
    expect(page({}, { subject: "a\u202Eb" })).toContain("Approve and send despite the warnings");
    expect(page({}, { subject: "a\u200Bb" })).not.toContain("despite");
  });
});

describe("mail that waits before an agent reads it has its own words", () => {
  const forged = { dkim_result: "fail", spf_result: "softfail", dmarc_result: "fail" };
  const cases: [string, NonNullable<MessageItem["authentication"]>, RegExp][] = [
    ["the question", forged, /Let the agent read this email\?/],
    ["the button", forged, /Release to the agent/],
    ["no agent who wrote it", forged, /^(?!.*Written by agent)/],
    ["a forged sender", forged, /The sender could be forged/],
    ["the checks", forged, /SPF \(sent from an allowed server\) probably not allowed/],
    [
      "a proven sender",
      { dkim_result: "pass", spf_result: "pass", dmarc_result: "pass" },
      /The sender's domain signed it/,
    ],
    ["an unproven sender", { dkim_result: null, spf_result: "pass", dmarc_result: "none" }, /Nothing proves/],
  ];
  it.each(cases)("%s", (_name, authentication, words) => {
    expect(page({ kind: "inbound", key_id: null, authentication })).toMatch(words);
  });
});

describe("mail with an agent's identity says which agent is proven to have written it", () => {
  const cases: [string, MessageItem["identity"], RegExp][] = [
    [
      "one that holds",
      { agent: { agent_id: "billing", oversight_mode: "monitored" } },
      /billing, proven by its signature, under monitored/,
    ],
    ["one that does not", { agent: null }, /It names one, and does not prove it\./],
  ];
  it.each(cases)("%s", (_name, identity, words) => {
    expect(page({ kind: "inbound", key_id: null, identity })).toMatch(words);
  });

  it("none, where it carries none", () => {
    expect(page({ kind: "inbound", key_id: null, identity: null })).not.toContain("Agent that wrote it");
  });
});

describe("the outcome", () => {
  it("of a test message never says that it left", () => {
    const html = renderPage(
      <OutcomePage approver="anna@acme.example" outcome={outcome({ status: "sent", test: true })} late={false} />,
    );
    expect(html).toContain("ends in the sandbox");
    expect(html).not.toContain("handed to");
  });

  it.each([...OUTBOUND_STATUSES, ...INBOUND_STATUSES])("status %s has words", (status) => {
    const html = renderPage(<OutcomePage approver="anna@acme.example" outcome={outcome({ status })} late={false} />);
    expect(wordsOf(html)).toMatch(/The message (?:is|was|waits|could) [a-z ,']+\./);
  });

  const endings = [
    ["approved", "bert@acme.example", /Approved Approved by bert@acme\.example/],
    ["rejected", "bert@acme.example", /Rejected Rejected by bert@acme\.example/],
    ["cancelled", "key_1", /Taken back Taken back by key_1/],
    ["cancelled", null, /taken back before anybody decided/],
    ["expired", null, /Nobody decided in time/],
    ["superseded", null, /does not decide about it any more/],
  ] as const;
  it.each(endings)("%s by %s", (decision, decided_by, words) => {
    const html = renderPage(
      <OutcomePage approver="anna@acme.example" outcome={outcome({ decision, decided_by })} late={false} />,
    );
    expect(wordsOf(html)).toMatch(words);
  });

  it("has no content, no form and nothing to press", () => {
    const html = renderPage(<OutcomePage approver="a@x.example" outcome={outcome({ reason: "ok" })} late={true} />);
    expect(html).not.toMatch(/<form|<button|<iframe/);
    expect(wordsOf(html)).toContain("Your decision was not counted");
  });
});

describe("problems", () => {
  const all = [
    ...Object.values(PROBLEMS),
    revokedProblem("it was replaced"),
    revokedProblem(""),
    expiredProblem("2026-11-20T08:00:00.000Z"),
  ];
  it("each has its own title, and says what happened and what helps", () => {
    expect(new Set(all.map((problem) => problem.title)).size).toBe(all.length - 1);
    for (const problem of all) {
      const words = wordsOf(renderPage(<ProblemPage problem={problem} base="/v1/approve/token" />));
      for (const part of [problem.title, problem.what, problem.help]) expect(words).toContain(part);
    }
  });
});

describe("words and numbers", () => {
  it.each([
    ["2026-11-21T06:06:00.000Z", "Sat, 21 Nov 2026, 06:06 UTC"],
    ["never", "never"],
  ])("time %s", (iso, words) => expect(timeInWords(iso)).toBe(words));
  it.each([
    [0, "less than a minute"],
    [-5, "less than a minute"],
    [60_000, "1 minute"],
    [7_199_000, "1 hour"],
    [2 * 86_400_000, "2 days"],
  ])("%i ms left", (ms, words) => expect(timeLeft(new Date(NOW + ms).toISOString(), NOW)).toBe(words));
  it.each([
    [0, "0 bytes"],
    [1, "1 byte"],
    [1500, "1.5 kB"],
    [48_211, "48 kB"],
    [10_485_760, "10.5 MB"],
  ])("%i bytes", (bytes, words) => expect(sizeInWords(bytes)).toBe(words));
  it("a frame's height follows its text within bounds", () => {
    expect(guessHeight("", 38)).toBe(9);
    expect(guessHeight("x".repeat(380), 38)).toBeGreaterThan(guessHeight("x".repeat(380), 78));
    expect(guessHeight("x\n".repeat(10_000), 38)).toBe(44);
  });
});
