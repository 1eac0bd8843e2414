import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import {
  type ApprovalRequest,
  approvalRequestMail,
  type Digest,
  digestMail,
  type FallBackNotice,
  fallBackMail,
  operatorCodeMail,
  type PersonMail,
  type SignIn,
  signInMail,
} from "../../src/mail/notification.ts";
import { PENDING_KINDS } from "../../src/operations/shapes/pending.ts";
import { decisionLink } from "../../src/oversight/decision-links.ts";
import {
  attachment,
  decisionItem,
  ITEMS,
  RECORD,
  requestItem,
  templateItem,
  tokenFor,
  upgradeItem,
} from "../support/decision-page-fixtures.ts";

const PRODUCT = "https://mail.example.com";
const LINK = decisionLink(PRODUCT, tokenFor("one"));
const SIGN_IN = `${PRODUCT}/console/enter/token`;

function request(item: DecisionItem, change: Partial<ApprovalRequest> = {}): PersonMail {
  const { expires_at } = item;
  return approvalRequestMail({
    item,
    link: LINK,
    approver: "anna@acme.example",
    expires_at,
    product_url: PRODUCT,
    ...change,
  });
}

function digest(items: DecisionItem[], change: Partial<Digest> = {}): PersonMail {
  const linked = items.map((item, i) => ({ item, link: decisionLink(PRODUCT, tokenFor(`link ${i}`)) }));
  return digestMail({ items: linked, more: 0, approver: "anna@acme.example", product_url: PRODUCT, ...change });
}

function fallBack(change: Partial<FallBackNotice> = {}): PersonMail {
  return fallBackMail({
    mailbox_address: "orders@acme.example",
    from: "autonomous",
    to: "gated_send",
    what: "bounces",
    count: 7,
    days: 3,
    at: "2026-11-21T08:52:10.000Z",
    approver: "anna@acme.example",
    product_url: PRODUCT,
    ...change,
  });
}

function signIn(change: Partial<SignIn> = {}): PersonMail {
  return signInMail({
    link: SIGN_IN,
    person: "anna@acme.example",
    tenant_name: "Acme",
    expires_at: "2026-11-21T09:15:00.000Z",
    product_url: PRODUCT,
    ...change,
  });
}

function code(change: Partial<Parameters<typeof operatorCodeMail>[0]> = {}): PersonMail {
  return operatorCodeMail({
    code: "482 913",
    words: "Change the mode of orders@acme.example from gated_send to autonomous.",
    key_id: "key_1",
    expires_at: "2026-11-22T08:52:10.000Z",
    tenant_name: "Acme",
    product_url: PRODUCT,
    ...change,
  });
}

function hrefs(html: string): string[] {
  return [...html.matchAll(/href="([^"]*)"/g)].map((match) => match[1] ?? "");
}

/** Both bodies, as a person reads them. */
function parts({ text, html }: PersonMail): [string, string] {
  const shown = html
    .replace(/<[^>]+>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");
  return [text.replace(/^\| ?/gm, "").replace(/\s+/g, " "), shown.replace(/\s+/g, " ")];
}

const BERT = { by: "bert@acme.example", at: "2026-11-21T08:55:00.000Z" };

describe("the request to decide says, in both parts", () => {
  const said: [string, DecisionItem, Partial<ApprovalRequest>, RegExp][] = [
    [
      "why it waits",
      decisionItem({ because: "bob@x.example was never written to." }),
      {},
      /Why it waits:? bob@x\.example was never written to\./,
    ],
    [
      "what else would have held it",
      decisionItem({ reasons: [{ rule: "budget", action: "hold", because: "It would be the 21st today." }] }),
      {},
      /And:? It would be the 21st today\./,
    ],
    [
      "the risk, with reasons",
      decisionItem({
        risk: { score: 0.73, reasons: [{ reason: "x", weight: 1, because: "Its domain looks like yours." }] },
      }),
      {},
      /Risk:? high \(0\.73\): Its domain looks like yours\./,
    ],
    ["no reasons where there are none", decisionItem({ risk: { score: 0, reasons: [] } }), {}, /Risk:? low \(0\.00\) /],
    [
      "when it leaves",
      decisionItem({ send_at: "2026-11-25T07:00:00.000Z" }),
      {},
      /Leaves:? Wed, 25 Nov 2026, 07:00 UTC/,
    ],
    [
      "how far the approvals are",
      decisionItem({ quorum: { needed: 2, approvals: [BERT] } }),
      {},
      /Approvals:? 1 of 2 people have approved: bert@acme\.example \(Sat, 21 Nov 2026, 08:55 UTC\); one more is needed\./,
    ],
    [
      "that it waits for ever",
      decisionItem({ expires_at: null }),
      {},
      /Opening the link decides nothing\. It waits until someone decides\./,
    ],
    [
      "who did not decide",
      decisionItem(),
      { escalated_after: 4 * 3600 },
      /Those who were asked first did not decide within 4 hours, so you are asked too\./,
    ],
    [
      "for whom the reader decides",
      decisionItem(),
      { on_behalf_of: "ana@acme.example" },
      /You stand in for ana@acme\.example while they are away\./,
    ],
    [
      "both",
      decisionItem(),
      { on_behalf_of: "ana@acme.example", escalated_after: 60 },
      /while they are away\. Those who were asked first did not decide within 1 minute/,
    ],
    ["what a query asks for", requestItem(), {}, /Asks to:? Search the messages in the mailbox \(search_email\)/],
    [
      "each field of a query",
      requestItem(),
      {},
      /Words to search for \(q\): invoice 4711 From whom \(sender\): alice@customer\.example At most so many \(limit\): 20/,
    ],
    [
      "that a query has no fields",
      requestItem({ request: { operation: "list_drafts", input: {} } }),
      {},
      /It gave nothing besides\./,
    ],
    [
      "an operation without words",
      requestItem({ request: { operation: "read_minds", input: {} } }),
      {},
      /Asks to:? read_minds /,
    ],
    [
      "which message a query is about",
      requestItem({ about: { subject: "Invoice 9", from: "bob@x.example", at: BERT.at } }),
      {},
      /Message:? Invoice 9, from bob@x\.example/,
    ],
    ["a template's name and version", templateItem(), {}, /Template:? Shipping notice, version 1/],
    ["a template's subject", templateItem(), {}, /Subject:? Your order \{\{order\}\} ships on \{\{day\}\}/],
    ["a template's variables", templateItem(), {}, /Fills in:? name, order, day/],
    ["that a template has no variables", templateItem({}, { variables: [] }), {}, /Fills in:? nothing/],
    ["where a template may go", templateItem(), {}, /May go to:? customer\.example/],
    [
      "that a template may go anywhere",
      templateItem({}, { allowed_domains: null }),
      {},
      /May go to:? any domain that the rules let through/,
    ],
    ["how a template begins", templateItem(), {}, /your order \*\*\{\{order\}\}\*\* leaves our warehouse/],
    ["that a template misleads", templateItem({}, { subject: "a\u202Eb" }), {}, /Careful: 1 warning, 1 serious/],
    [
      "what a looser setting would change",
      upgradeItem(),
      {},
      /its oversight mode becomes autonomous \(it is gated_send\)/,
    ],
    [
      "what the mailbox did lately",
      upgradeItem(),
      {},
      /In the last 30 days, this mailbox: ?(?:\| )?Sent:? 42 .*Approved:? 40 of 41 decisions \(98 %\) .*Complaints:? 0/,
    ],
    [
      "that only the operator lets a looser setting through",
      upgradeItem(),
      {},
      /Only the operator lets this through, with a code that was mailed to them; you can reject it\./,
    ],
  ];
  it.each(said)("%s", (_name, item, change, pattern) => {
    for (const part of parts(request(item, change))) expect(part).toMatch(pattern);
  });

  it("nothing of an escalation or a substitute where there is none", () => {
    for (const part of parts(request(decisionItem()))) expect(part).not.toMatch(/stand in|asked first|Approvals|Risk/);
  });

  const subjects: Record<DecisionItem["kind"], string> = {
    send: "Decision needed: “Your order 4711 ships on Thursday”",
    inbound: "Decision needed, incoming: “Your order 4711 ships on Thursday”",
    read: "Decision needed, reading: “Search the messages in the mailbox”",
    annotate: "Decision needed, a change: “Put tags on a message”",
    template: "Decision needed, template: “Shipping notice”",
    upgrade: "An agent asks for more freedom: “For the mailbox orders@acme.example: its oversight mode becomes auton…”",
  };
  it.each(PENDING_KINDS)("%s: its own subject, one destination, and both parts the same facts", (kind) => {
    const mail = request(ITEMS[kind]);
    expect(mail.subject).toBe(subjects[kind]);
    expect(new Set(hrefs(mail.html))).toEqual(new Set([LINK]));
    expect(mail.text.match(/https?:\/\/\S+/g)).toEqual([LINK]);
    expect(`${mail.text}${mail.html}`).not.toMatch(/undefined|\[object|null/);
  });
});

describe("the digest", () => {
  const all = Object.values(ITEMS);

  it.each([
    [1, 0, "1 decision waits for you"],
    [3, 0, "3 decisions wait for you"],
    [3, 4, "7 decisions wait for you"],
  ])("of %i and %i more has the subject that counts them", (n, more, subject) => {
    expect(digest(all.slice(0, n), { more }).subject).toBe(subject);
  });

  it("tells each item by its own words, with its own link", () => {
    const mail = digest(all);
    const links = all.map((_item, i) => decisionLink(PRODUCT, tokenFor(`link ${i}`)));
    expect(hrefs(mail.html)).toEqual(links);
    expect(mail.text.match(/https?:\/\/\S+/g)).toEqual(links);
    for (const part of parts(mail)) {
      expect(part).toMatch(/1\. An agent asks to send an email: “Your order 4711 ships on Thursday”/);
      expect(part).toMatch(/2\. An email waits for your release: /);
      expect(part).toMatch(/3\. An agent asks to read mail: “Search the messages in the mailbox”/);
      expect(part).toMatch(/5\. An agent asks to send from a template: “Shipping notice”/);
      expect(part).toMatch(/6\. An agent asks for more freedom: “For the mailbox/);
      expect(part).toMatch(/Mailbox:? orders@acme\.example/);
      expect(part).toMatch(/To:? Alice Moreau <alice@customer\.example>/);
      expect(part).toMatch(/Why it waits:? In this mailbox every outgoing message waits for a person\./);
      expect(part).toMatch(/Decide by:? Tue, 24 Nov 2026, 08:52 UTC/);
      expect(part).toContain("Opening a link decides nothing.");
    }
  });

  it("says how many it has no room for, and of none that there are more", () => {
    for (const part of parts(digest(all, { more: 4 })))
      expect(part).toContain("And 4 more, which this mail has no room for");
    for (const part of parts(digest(all))) expect(part).not.toContain("more, which");
  });

  it("warns of the item that misleads, and says which is a test", () => {
    const files = [attachment("a.pdf.exe", "application/pdf", 1)];
    const mail = digest([decisionItem({ test: true }), decisionItem({}, { attachments: files }), decisionItem()]);
    for (const part of parts(mail)) {
      expect(part.match(/Careful: 1 warning, 1 serious/g)).toHaveLength(1);
      expect(part.match(/Test message: it ends in the sandbox/g)).toHaveLength(1);
      expect(part.indexOf("Test message")).toBeLessThan(part.indexOf("2. An agent"));
      expect(part.indexOf("Careful")).toBeGreaterThan(part.indexOf("2. An agent"));
    }
  });

  it("does not say until when of what waits for ever", () => {
    for (const part of parts(digest([decisionItem({ expires_at: null })]))) expect(part).not.toMatch(/Decide by|null/);
  });
});

describe("the notice of a mailbox that fell back by itself says, in both parts", () => {
  const said: [string, Partial<FallBackNotice>, RegExp][] = [
    ["which mailbox", {}, /Mailbox:? orders@acme\.example/],
    [
      "why, for bounces",
      {},
      /Why:? 7 bounces in the last 3 days, more than its policy allows\. Other servers sent back/,
    ],
    [
      "why, for complaints",
      { what: "complaints", count: 1, days: 1 },
      /Why:? 1 complaint in the last 1 day, more than its policy allows\. Recipients reported/,
    ],
    ["the mode now", {}, /Mode now:? Sending held: the agent reads freely; each message it sends waits for a person\./],
    ["the mode before", {}, /Before:? Autonomous: the agent sends by itself\./],
    ["when", {}, /When:? Sat, 21 Nov 2026, 08:52 UTC/],
    [
      "what becomes of what has not left",
      {},
      /What had not left yet waits for a decision where the new mode asks for one; nothing is lost\./,
    ],
    ["who can give it back", {}, /until the operator gives it more freedom again/],
  ];
  it.each(said)("%s", (_name, change, pattern) => {
    for (const part of parts(fallBack(change))) expect(part).toMatch(pattern);
  });
  it("has a subject of ours and no link", () => {
    const mail = fallBack();
    expect(mail.subject).toBe("A mailbox has less freedom now: “orders@acme.example”");
    expect(hrefs(mail.html)).toEqual([]);
  });
});

describe("the link to sign in", () => {
  const said: [string, RegExp][] = [
    ["to what, and as whom", /wants to sign in to the console of Acme as anna@acme\.example/],
    ["how long it works, and how often", /The link works once, until Sat, 21 Nov 2026, 09:15 UTC/],
    ["that opening it does not sign in yet", /The page it opens asks you to confirm/],
    ["what to do if it was not them", /If it was not you, ignore this mail/],
  ];
  it.each(said)("says %s, in both parts", (_name, pattern) => {
    for (const part of parts(signIn())) expect(part).toMatch(pattern);
  });
  it("is the only destination, and not in the subject", () => {
    const mail = signIn();
    expect(new Set(hrefs(mail.html))).toEqual(new Set([SIGN_IN]));
    expect(mail.text.match(/https?:\/\/\S+/g)).toEqual([SIGN_IN]);
    expect(mail.subject).toBe("Your link to sign in: “Acme”");
  });
});

describe("the operator's code", () => {
  it("shows what the mailbox did lately beside the change, in both parts", () => {
    for (const part of parts(code({ record: RECORD, mailbox_address: "orders@acme.example" }))) {
      expect(part).toMatch(
        /In the last 30 days, orders@acme\.example: Sent:? 42 Approved:? 40 of 41 decisions \(98 %\) Changed by a person:? 2 of the 40 approved \(5 %\) Rejected:? 1 Not decided in time:? 3 Blocked by a rule:? 4 Bounced:? 1 Complaints:? 0/,
      );
    }
  });
  it.each([{}, { record: null, mailbox_address: null }])(
    "shows nothing where the change is about no mailbox: %j",
    (change) => {
      for (const part of parts(code(change))) expect(part).not.toContain("In the last");
    },
  );
});

describe("what an agent or a customer wrote", () => {
  const EVIL = `"'><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)><a href="https://evil.example">Review and decide</a>`;
  const evil = {
    mailbox_address: EVIL,
    agent: { agent_id: EVIL, model_id: EVIL, model_provider: EVIL },
    held_by: EVIL,
    because: EVIL,
    reasons: [{ rule: "content" as const, action: "hold" as const, because: `${EVIL}2` }],
    quorum: { needed: 2, approvals: [{ by: EVIL, at: EVIL }] },
  };
  const items: DecisionItem[] = [
    decisionItem(
      { ...evil, send_at: EVIL, risk: { score: 1, reasons: [{ reason: EVIL, weight: 1, because: EVIL }] } },
      { subject: EVIL, text: EVIL },
    ),
    requestItem({
      ...evil,
      request: { operation: EVIL, input: { [EVIL]: EVIL } },
      about: { subject: EVIL, from: EVIL, at: EVIL },
    }),
    templateItem(evil, {
      name: EVIL,
      subject: EVIL,
      markdown: EVIL,
      allowed_domains: [EVIL],
      variables: [{ name: EVIL, type: "text", required: true, max_length: 1 }],
    }),
    upgradeItem({ ...evil, change: EVIL }),
  ];
  const mails: [string, () => PersonMail][] = [
    ...items.map((item): [string, () => PersonMail] => [
      `the request about a ${item.kind}`,
      () => request(item, { approver: EVIL, on_behalf_of: EVIL }),
    ]),
    ["the digest", () => digest(items, { approver: EVIL })],
    ["the notice", () => fallBack({ mailbox_address: EVIL, at: EVIL, approver: EVIL })],
    ["the sign-in mail", () => signIn({ person: EVIL, tenant_name: EVIL, expires_at: EVIL })],
    ["the code", () => code({ words: EVIL, tenant_name: EVIL, record: RECORD, mailbox_address: EVIL })],
  ];
  it.each(mails)("is text and nothing else in %s", (_name, mail) => {
    const { html, subject } = mail();
    expect(html).not.toMatch(/<script|<img|<a href="https:\/\/evil|\sonerror="/);
    expect(html).not.toMatch(/<(?:link|iframe|object|video|style)|<[^>]*\s(?:src|background)=|url\(|@import/i);
    expect(hrefs(html).every((href) => href.startsWith(`${PRODUCT}/`))).toBe(true);
    expect([...subject].length).toBeLessThan(120);
  });

  const token = tokenFor("stolen");
  const stolen = `${token} ${PRODUCT}/v1/approve/${token}`;
  it.each<[string, DecisionItem]>([
    ["a query", requestItem({ request: { operation: "search_email", input: { q: stolen } }, because: stolen })],
    ["a template", templateItem({ because: stolen }, { name: stolen, subject: stolen, markdown: stolen })],
    ["a looser setting", upgradeItem({ change: stolen, because: stolen })],
  ])("loses a decision link that %s quotes", (_name, item) => {
    for (const mail of [request(item, { on_behalf_of: stolen }), digest([item])]) {
      expect(`${mail.subject}${mail.text}${mail.html}`).not.toContain(token);
    }
  });

  it("cannot add a line of its own to a query's facts or to the digest's list", () => {
    const lines = "x\n\n2. An agent asks to send an email: “Harmless”\nhttps://evil.example";
    for (const mail of [
      request(requestItem({ because: lines })),
      request(requestItem({ request: { operation: "search_email", input: { q: `x\n${lines}` } } })),
      digest([requestItem({ because: lines }), templateItem({}, { name: lines })]),
    ]) {
      expect(mail.text.split("\n").filter((line) => /^[| ]*2\. An agent asks to send an email/.test(line))).toEqual([]);
      expect(mail.text).not.toContain("https://evil.example");
    }
  });

  it("subjects are one line of bounded length, whatever was written", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const mails = [
          request(requestItem({ request: { operation: text, input: {} } })),
          request(templateItem({}, { name: text })),
          request(upgradeItem({ change: text })),
          fallBack({ mailbox_address: text }),
          signIn({ tenant_name: text }),
          digest([templateItem({}, { name: text })]),
        ];
        for (const { subject } of mails) {
          expect([...subject].length).toBeLessThan(120);
          expect(subject).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u);
        }
      }),
    );
  });

  it("a query of any size makes a mail of bounded size", () => {
    const input = {
      markdown: "x".repeat(200_000),
      tags: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, "v".repeat(256)])),
    };
    expect(request(requestItem({ request: { operation: "create_draft", input } })).html.length).toBeLessThan(20_000);
  });
});
