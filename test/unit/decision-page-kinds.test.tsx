import { describe, expect, it } from "vitest";
import type { DecisionItem, LinkOutcome, RequestItem, TemplateItem } from "../../durable-objects/mailbox-rpc.ts";
import { PENDING_KINDS } from "../../src/operations/shapes/pending.ts";
import { REQUEST_STATUSES } from "../../src/oversight/request-transitions.ts";
import { INBOUND_STATUSES, OUTBOUND_STATUSES } from "../../src/oversight/statuses.ts";
import { DecisionPage, type DecisionPageProps } from "../../src/pages/decision.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { OutcomePage } from "../../src/pages/outcome.tsx";
import { quorumInWords, riskInWords, standingInWords } from "../../src/pages/words.ts";
import {
  decisionItem,
  editableItem,
  ITEMS,
  NOW,
  outcome,
  RECORD,
  requestItem,
  templateItem,
  upgradeItem,
} from "../support/decision-page-fixtures.ts";
import { wordsOf } from "../support/page-words.ts";

function htmlOf(item: DecisionItem, props: Partial<DecisionPageProps> = {}): string {
  const { expires_at } = item;
  const all = {
    item,
    expires_at,
    approver: "anna@acme.example",
    approved_at: null,
    csrf: "secret",
    now: NOW,
    ...props,
  };
  return renderPage(<DecisionPage base="/v1/approve/token" {...all} />);
}

function page(item: DecisionItem, props: Partial<DecisionPageProps> = {}): string {
  return wordsOf(htmlOf(item, props));
}

const BERT = { by: "bert@acme.example", at: "2026-11-21T08:55:00.000Z" };
const FIRST = { needed: 2, approvals: [BERT] };

describe("each kind of item has its own words and buttons", () => {
  const kinds: Record<DecisionItem["kind"], [title: RegExp, approve: string | null, otherwise: RegExp]> = {
    send: [/Send this email\?/, "Approve and send", /If nobody decides in time, it is not sent\./],
    inbound: [/Let the agent read this email\?/, "Release to the agent", /the agent does not get it\./],
    read: [/Let the agent read this\?/, "Allow it once", /the agent gets no answer\./],
    annotate: [/Let the agent change this\?/, "Allow it once", /nothing changes\./],
    template: [/Let the agent use this template\?/, "Approve the template", /it cannot be used\./],
    upgrade: [/The agent asks for more freedom/, null, /nothing changes\./],
  };
  it.each(PENDING_KINDS)("%s", (kind) => {
    const [title, approve, otherwise] = kinds[kind];
    const html = htmlOf(ITEMS[kind]);
    const words = wordsOf(html);
    expect(words).toMatch(title);
    expect(words).toMatch(otherwise);
    expect(html.match(/<button[^>]*value="approve"[^>]*>([^<]*)/)?.[1] ?? null).toBe(approve);
    expect(html).toMatch(/<button[^>]*value="reject"[^>]*>Reject</);
    expect(html).toContain('<input type="hidden" name="content_hash" value="c0ffee');
    expect(html).not.toMatch(/undefined|\[object|NaN|<script/);
  });

  it.each(PENDING_KINDS)("%s that waits for ever says so", (kind) => {
    const words = page({ ...ITEMS[kind], expires_at: null } as DecisionItem);
    expect(words).toContain("no limit: it waits until someone decides");
    expect(words).not.toMatch(/null|1970|Invalid|decides in time/);
  });

  const labels: [string, DecisionItem, string][] = [
    ["a later time", decisionItem({ send_at: "2026-11-25T07:00:00.000Z" }), "Approve and schedule"],
    ["others who must approve too", decisionItem({ quorum: { needed: 2, approvals: [] } }), "Approve"],
    ["the last of several approvals", decisionItem({ quorum: FIRST }), "Approve and send"],
    ["serious warnings", decisionItem({}, { subject: "a\u202Eb" }), "Approve and send despite the warnings"],
    [
      "serious warnings in a template",
      templateItem({}, { subject: "a\u202Eb" }),
      "Approve the template despite the warnings",
    ],
  ];
  it.each(labels)("with %s the button says what it does", (_name, item, label) => {
    expect(htmlOf(item)).toContain(`value="approve">${label}</button>`);
  });
});

describe("how far the approvals are", () => {
  const quorums: [string, DecisionItem["quorum"], string | null][] = [
    ["one person decides alone", { needed: 1, approvals: [] }, null],
    ["nobody yet", { needed: 2, approvals: [] }, "2 people must approve; nobody has yet."],
    [
      "one of two",
      FIRST,
      "1 of 2 people have approved: bert@acme.example (Sat, 21 Nov 2026, 08:55 UTC); one more is needed.",
    ],
    [
      "one of three",
      { needed: 3, approvals: [BERT] },
      "1 of 3 people have approved: bert@acme.example (Sat, 21 Nov 2026, 08:55 UTC); two more are needed.",
    ],
    ["one of fourteen", { needed: 14, approvals: [BERT] }, "13 more are needed."],
    ["all", { needed: 1, approvals: [BERT, BERT] }, null],
    ["two of two", { needed: 2, approvals: [BERT, { ...BERT, by: "key_1" }] }, "key_1 (Sat, 21 Nov 2026, 08:55 UTC)."],
  ];
  it.each(quorums)("%s", (_name, quorum, words) => {
    if (words === null) expect(quorumInWords(quorum)).toBe(null);
    else expect(quorumInWords(quorum)).toContain(words);
  });

  it.each(PENDING_KINDS.filter((kind) => kind !== "upgrade"))(
    "%s: the page says it, and who is still needed",
    (kind) => {
      const words = page({ ...ITEMS[kind], quorum: { needed: 3, approvals: [BERT] } } as DecisionItem);
      expect(words).toMatch(/Approvals 1 of 3 people have approved: bert@acme\.example/);
      expect(words).toContain("One more person must approve after you. One rejection is enough to stop it.");
    },
  );

  it("whoever has approved sees how it stands, and nothing to press", () => {
    for (const item of Object.values(ITEMS)) {
      const html = htmlOf({ ...item, quorum: FIRST } as DecisionItem, { approved_at: BERT.at });
      expect(html).not.toMatch(/<form|<button|name="decision"/);
      const words = wordsOf(html);
      expect(words).toMatch(/You have approved this .*Your approval of Sat, 21 Nov 2026, 08:55 UTC counts/);
      expect(words).toContain("one more is needed");
    }
    expect(htmlOf(editableItem({ quorum: FIRST }), { approved_at: BERT.at })).not.toMatch(
      /name="(?:subject|body|without|note)"/,
    );
  });
});

describe("what people changed before", () => {
  const edits = [
    {
      by: "bert@acme.example",
      at: BERT.at,
      difference: "@@ -1,2 +1,2 @@\n Subject: Your order\n-To: all\n+To: alice\n",
    },
    { by: "carl@acme.example", at: BERT.at, difference: "@@ -9,1 +9,0 @@\n-a\u202Eb <script>\n" },
  ];
  it("is shown with who did it, line by line", () => {
    const html = htmlOf(decisionItem({ edits }));
    const words = wordsOf(html);
    expect(words).toMatch(/It was changed 2 times .*bert@acme\.example .*carl@acme\.example/);
    expect(html).toMatch(/<del><bdi>-To: all<\/bdi><\/del>/);
    expect(html).toMatch(/<ins><bdi>\+To: alice<\/bdi><\/ins>/);
  });
  it("hides nothing and runs nothing", () => {
    const html = htmlOf(decisionItem({ edits }));
    expect(html).toContain("⟦U+202E⟧");
    expect(html).not.toContain("<script");
  });
  it("is not mentioned where nothing was changed", () => {
    expect(page(decisionItem())).not.toMatch(/was changed/);
  });
});

describe("a held query shows exactly what was asked", () => {
  const shown: [string, Partial<RequestItem>, RegExp][] = [
    ["what it is, in words", {}, /Search the messages in the mailbox/],
    ["the operation's own name", {}, /The operation search_email, with exactly this input/],
    [
      "each field, labelled, with its own name",
      {},
      /Words to search for q invoice 4711 From whom sender alice@customer\.example At most so many limit 20/,
    ],
    [
      "a field that has no words",
      { request: { operation: "search_email", input: { "metadata.case_no": "7" } } },
      /Metadata\.case no metadata\.case_no 7/,
    ],
    [
      "an operation that has no words",
      { request: { operation: "read_minds", input: {} } },
      /read_minds The operation read_minds, with exactly this input: Input none/,
    ],
    [
      "names that every object has",
      { request: { operation: "constructor", input: { toString: "x" } } },
      /constructor The operation constructor, .*ToString toString x/,
    ],
    [
      "lists, maps, flags and nothing",
      {
        request: {
          operation: "check_inbox",
          input: {
            status: ["unread", "read"],
            metadata: { a: { b: 1 } },
            unread_only: true,
            mark_read: false,
            sender: null,
          },
        },
      },
      /unread, read .*"a": \{ "b": 1 \} .*unread_only yes .*mark_read no .*sender nothing/,
    ],
    [
      "the message it is about",
      { about: { subject: "Invoice 9", from: "bob@customer.example", at: BERT.at } },
      /The message it is about Invoice 9 from bob@customer\.example, Sat, 21 Nov 2026, 08:55 UTC/,
    ],
    [
      "that it has no subject",
      { about: { subject: "", from: "b@x.example", at: BERT.at } },
      /about \(no subject\) from/,
    ],
    ["who asks", {}, /Asked by agent order-desk/],
    [
      "hidden characters",
      { request: { operation: "search_email", input: { q: "a\u202Eb\u200Bc" } } },
      /a⟦U\+202E⟧b⟦U\+200B⟧c/,
    ],
    [
      "all of a long text",
      { request: { operation: "create_draft", input: { markdown: `${"x".repeat(50_000)}end` } } },
      /xend /,
    ],
  ];
  it.each(shown)("%s", (_name, change, words) => {
    expect(page(requestItem(change))).toMatch(words);
  });

  it("text, and never markup", () => {
    const evil = `"><script>alert(1)</script>`;
    const html = htmlOf(
      requestItem({
        request: { operation: evil, input: { [evil]: evil, q: { [evil]: [evil] } } },
        about: { subject: evil, from: evil, at: evil },
      }),
    );
    expect(html).not.toContain("<script");
  });

  it("claims nothing about what it did not look for", () => {
    expect(page(requestItem())).not.toContain("found nothing made to mislead");
  });
});

describe("a template shows all that is fixed and all that is filled in", () => {
  const shown: [string, Partial<Omit<TemplateItem, "template">>, Partial<TemplateItem["template"]>, RegExp][] = [
    ["its name and version", {}, {}, /Shipping notice Version 1\. tpl_01KBMX3Z8Q4N7W2T0123ABCDEF/],
    ["its subject", {}, {}, /Subject Your order \{\{order\}\} ships on \{\{day\}\}/],
    [
      "variables",
      {},
      {},
      /name: text, at most 80 characters .*order: a number, at most 12 characters .*day: a date, at most 30 characters, may be left out/,
    ],
    ["that there are none", {}, { variables: [] }, /Agent fills in none: every message says exactly this/],
    ["where it may go", {}, {}, /May go to customer\.example/],
    ["that it may go anywhere", {}, { allowed_domains: null }, /May go to any that the mailbox's rules let through/],
    ["that it may go nowhere", {}, { allowed_domains: [] }, /May go to nobody/],
    ["its source", {}, {}, /your order \*\*\{\{order\}\}\*\* leaves/],
    [
      "what is new",
      { difference: "@@ -1,1 +1,1 @@\n-Dear {{name}},\n+Hi {{name}},\n" },
      { version: 2 },
      /What is new since the approved version @@ -1,1 \+1,1 @@ -Dear \{\{name\}\}, \+Hi \{\{name\}\},/,
    ],
    ["that nothing was approved before", {}, { version: 2 }, /Version 2; no version before it was approved/],
    [
      "links that lead elsewhere",
      {},
      { markdown: "[https://bank.example](https://evil.example)" },
      /Stop: something here is misleading/,
    ],
  ];
  it.each(shown)("%s", (_name, change, template, words) => {
    expect(page(templateItem(change, template))).toMatch(words);
  });
  it("as it looks, in the same frame as a message", () => {
    expect(htmlOf(templateItem())).toMatch(/<iframe[^>]*sandbox=""[^>]*srcdoc="[^"]*&lt;strong&gt;\{\{order\}\}/);
  });
});

describe("a request for more freedom", () => {
  it("shows the change, the mailbox's record, and that only the operator's code lets it through", () => {
    const words = page(upgradeItem());
    expect(words).toContain("its oversight mode becomes autonomous (it is gated_send).");
    expect(words).toContain("Only the operator lets this through, with a code that was mailed to them.");
    expect(words).toMatch(
      /In the last 30 days, this mailbox Sent 42 Approved 40 of 41 decisions \(98 %\) Changed by a person 2 of the 40 approved \(5 %\) Rejected 1 Not decided in time 3 Blocked by a rule 4 Bounced 1 Complaints 0/,
    );
  });
  it("of a mailbox that did nothing yet claims no rate", () => {
    const none = { ...RECORD, approved: 0, edited: 0, rejected: 0, approval_rate: null, edit_rate: null };
    expect(page(upgradeItem({ record: none }))).toMatch(
      /Approved nothing was decided Changed by a person nothing was approved/,
    );
  });
  it("has no button that approves, whatever the quorum", () => {
    expect(htmlOf(upgradeItem({ quorum: FIRST }))).not.toMatch(/value="approve/);
  });
});

describe("in a session", () => {
  const back = { href: "/console/queue", label: "Back to what waits" };
  it("the page leads back, and does not speak of a link", () => {
    const html = htmlOf(decisionItem(), { back, nav: <a href="/console">Console</a> });
    expect(html).toContain('<a href="/console/queue">Back to what waits</a>');
    expect(html).toContain('<a href="/console">Console</a>');
    expect(html).not.toContain("do not forward");
  });
  it("so does the outcome", () => {
    const props = { approver: "anna@acme.example", outcome: outcome(), late: false, back };
    expect(renderPage(<OutcomePage {...props} />)).toContain('<a href="/console/queue">');
  });
});

describe("words for every status and outcome", () => {
  const statuses = {
    send: OUTBOUND_STATUSES,
    inbound: INBOUND_STATUSES,
    read: REQUEST_STATUSES,
    annotate: REQUEST_STATUSES,
    template: REQUEST_STATUSES,
    upgrade: REQUEST_STATUSES,
  };
  const all = PENDING_KINDS.flatMap((kind) => statuses[kind].map((status) => [kind, status] as const));
  it.each(all)("%s %s", (kind, status) => {
    const words = standingInWords(kind, status);
    expect(words).toMatch(/^The (?:message|request|template) (?:is|was|waits|could|can) [a-z ,;']+\.$/);
    expect(words).not.toContain("_");
  });

  const decisions: LinkOutcome["decision"][] = [
    "approved",
    "approved_partly",
    "rejected",
    "cancelled",
    "expired",
    "superseded",
  ];
  it.each(decisions.flatMap((decision) => PENDING_KINDS.map((kind) => [decision, kind] as const)))(
    "%s %s",
    (decision, kind) => {
      const status = statuses[kind].at(-1) ?? "expired";
      for (const decided_by of ["bert@acme.example", null]) {
        const given = outcome({ decision, kind, status, decided_by, quorum: FIRST });
        const html = renderPage(<OutcomePage approver="anna@acme.example" outcome={given} late={false} />);
        expect(html).not.toMatch(/undefined|\[object|<form|<button|<iframe/);
        expect(wordsOf(html)).toContain("1 of 2 people have approved");
      }
    },
  );

  it("an approval that needs others says who is still needed", () => {
    const given = outcome({
      decision: "approved_partly",
      status: "pending_send_approval",
      quorum: FIRST,
      approval_ref: null,
    });
    const words = wordsOf(renderPage(<OutcomePage approver="bert@acme.example" outcome={given} late={false} />));
    expect(words).toMatch(
      /Your approval counts Others must approve it too\. The message waits for a person's decision\./,
    );
    expect(words).toContain("one more is needed");
  });

  it("an approved query that was not used in time is not told as if nobody had decided", () => {
    const given = outcome({ kind: "read", decision: "approved", status: "expired" });
    const words = wordsOf(renderPage(<OutcomePage approver="anna@acme.example" outcome={given} late={false} />));
    expect(words).toMatch(/Approved by anna@acme\.example\. The request was not decided, or not used, in time/);
  });

  it.each([
    [0, "low (0.00)"],
    [0.25, "low (0.25)"],
    [0.26, "medium (0.26)"],
    [0.5, "medium (0.50)"],
    [0.51, "high (0.51)"],
    [1, "high (1.00)"],
  ])("risk %f", (score, words) => expect(riskInWords(score)).toBe(words));
});
