import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { approvalRequestMail, monitoredCopyMail, operatorCodeMail } from "../../src/mail/notification.ts";
import { decisionLink } from "../../src/oversight/decision-links.ts";
import { attachment, decisionItem, tokenFor } from "../support/decision-page-fixtures.ts";

const PRODUCT = "https://mail.example.com";
const LINK = decisionLink(PRODUCT, tokenFor("one"));

function request(change: Partial<Omit<MessageItem, "content">> = {}, content: Partial<MessageContent> = {}) {
  const item = decisionItem(change, content);
  return approvalRequestMail({
    item,
    link: LINK,
    approver: "anna@acme.example",
    expires_at: "2026-11-24T08:52:10.000Z",
    product_url: PRODUCT,
  });
}

function copy(content: Partial<MessageContent> = {}) {
  const item = decisionItem({ oversight_mode: "monitored" }, content);
  return monitoredCopyMail({ item, status: "sent", sent_at: "2026-11-21T08:52:10.000Z", product_url: PRODUCT });
}

function code(words: string, tenant_name = "Acme") {
  return operatorCodeMail({
    code: "482 913",
    words,
    key_id: "key_1",
    expires_at: "2026-11-22T08:52:10.000Z",
    tenant_name,
    product_url: PRODUCT,
  });
}

function hrefs(html: string): string[] {
  return [...html.matchAll(/href="([^"]*)"/g)].map((match) => match[1] ?? "");
}

/** Both bodies and the subject, as a person reads them. */
function words(mail: { subject: string; text: string; html: string }): [string, string] {
  const html = mail.html
    .replace(/<[^>]+>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");
  return [mail.text.replace(/\s+/g, " "), html.replace(/\s+/g, " ")];
}

describe("the request to decide", () => {
  const said: [string, RegExp][] = [
    ["what it is", /An agent asks to send an email/],
    ["from whom", /Acme Orders <orders@acme\.example>/],
    ["to whom", /Alice Moreau <alice@customer\.example>/],
    ["its subject", /Your order 4711 ships on Thursday/],
    ["how it begins", /your order 4711 leaves our warehouse/],
    ["which agent, as its claim", /order-desk \(its own claim\)/],
    ["why it waits", /every outgoing message waits for a person/],
    ["what happens if nobody decides", /If nobody decides by Tue, 24 Nov 2026, 08:52 UTC, it is not sent/],
    ["that opening decides nothing", /Opening the link decides nothing/],
    ["why the reader gets it", /You get this because anna@acme\.example decides for orders@acme\.example/],
    ["the button", /Review and decide/],
    ["the link as text", new RegExp(LINK)],
  ];
  it.each(said)("says %s, in both parts", (_name, pattern) => {
    for (const part of words(request())) expect(part).toMatch(pattern);
  });

  it("has one destination: the decision page. No link decides", () => {
    const mail = request();
    expect(new Set(hrefs(mail.html))).toEqual(new Set([LINK]));
    expect(mail.text.match(/https?:\/\/\S+/g)).toEqual([LINK]);
    expect(`${mail.html}${mail.text}`).not.toMatch(/[?&](?:decision|action|approve|reject)/i);
  });

  it.each([
    ["none", {}, null],
    ["one to look at twice", { subject: "a\u200Bb" }, /Look twice: 1 thing in it could mislead/],
    [
      "serious ones",
      { attachments: [attachment("a.pdf.exe", "application/pdf", 1)], subject: "a\u200Bb" },
      /Careful: 2 warnings, 1 serious/,
    ],
  ] as const)("counts warnings: %s", (_name, content, pattern) => {
    for (const part of words(request({}, { ...content } as Partial<MessageContent>))) {
      if (pattern) expect(part).toMatch(pattern);
      else expect(part).not.toMatch(/Careful|Look twice/);
    }
  });

  it("mail that arrived has its own words", () => {
    const mail = request({ kind: "inbound", agent: { agent_id: null, model_id: null, model_provider: null } });
    expect(mail.subject).toMatch(/^Decision needed, incoming: /);
    for (const part of words(mail))
      expect(part).toMatch(/An email waits for your release[\s\S]*the agent does not get it/);
  });

  it("says of a test message that it will not leave, and of no other", () => {
    const sentence = "Test message: it ends in the sandbox and will not leave.";
    for (const part of words(request({ test: true }))) expect(part).toContain(sentence);
    for (const part of words(request())) expect(part).not.toMatch(/test message|sandbox/i);
  });

  it("carries the newest checkpoint of the audit log where there is one", () => {
    const checkpoint = "mail.example.com/logs/ten_1\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const mail = approvalRequestMail({
      item: decisionItem(),
      link: LINK,
      approver: "a@x.example",
      expires_at: "2026-11-24T08:52:10.000Z",
      product_url: PRODUCT,
      checkpoint,
    });
    expect(mail.text).toContain(checkpoint);
    expect(mail.html).toContain("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
  });

  it("long lists and long texts are cut, and say so", () => {
    const to = Array.from({ length: 12 }, (_, i) => ({ name: null, address: `p${i}@x.example` }));
    const [text] = words(request({}, { to, text: "line\n".repeat(500) }));
    expect(text).toContain("p4@x.example and 7 more");
    expect(text).toContain("…");
    expect(request({}, { text: "x".repeat(200_000), html: null }).html.length).toBeLessThan(20_000);
  });

  it("a message in HTML alone is shown as text", () => {
    expect(request({}, { text: null, html: "<p>Only <b>HTML</b></p>" }).text).toContain("| Only HTML");
    expect(request({}, { text: "", html: null }).text).toContain("(The message has no text.)");
  });
});

describe("the subject cannot be used against its reader", () => {
  const subjects: [string, string, string][] = [
    ["ordinary", "Offer", "Decision needed: “Offer”"],
    ["empty", "", "Decision needed: (no subject)"],
    ["line breaks", "a\r\nBcc: x@evil.example\nb", "Decision needed: “a Bcc: x@evil.example b”"],
    ["separators", "a\u2028b\u2029c", "Decision needed: “a b c”"],
    ["an override", "a\u202Eb", "Decision needed: “a⟦U+202E⟧b”"],
    ["controls", "a\u0000b\u001bc", "Decision needed: “a⟦U+0000⟧b⟦U+001B⟧c”"],
    ["invisible characters", "a\u200Bb", "Decision needed: “a⟦U+200B⟧b”"],
    ["a closing quote", "x” was approved. “y", "Decision needed: “x' was approved. 'y”"],
    ["white space to push ours away", `a${" ".repeat(500)}b`, "Decision needed: “a b”"],
    ["a link", "see https://evil.example/a?b=c now", "Decision needed: “see [link to evil.example] now”"],
  ];
  it.each(subjects)("%s", (_name, subject, expected) => {
    expect(request({}, { subject }).subject).toBe(expected);
  });

  it("is one line of bounded length, whatever the agent wrote", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (subject) => {
        for (const mail of [request({}, { subject }), copy({ subject }), code(subject)]) {
          expect([...mail.subject].length).toBeLessThan(120);
          expect(mail.subject).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u);
        }
      }),
    );
  });
});

describe("what an agent wrote", () => {
  const EVIL = `"'><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)><a href="https://evil.example">Review and decide</a>`;
  const evil: Partial<MessageContent> = {
    from: { name: EVIL, address: EVIL },
    to: [{ name: EVIL, address: EVIL }],
    cc: [{ name: EVIL, address: EVIL }],
    bcc: [{ name: EVIL, address: EVIL }],
    reply_to: [{ name: EVIL, address: EVIL }],
    subject: EVIL,
    text: EVIL,
    attachments: [attachment(EVIL, EVIL, 1)],
  };
  const mails = {
    request: () =>
      request(
        { agent: { agent_id: EVIL, model_id: EVIL, model_provider: EVIL }, mailbox_address: EVIL, held_by: EVIL },
        evil,
      ),
    copy: () => copy(evil),
    code: () => code(EVIL, EVIL),
  };
  it.each(Object.entries(mails))("is text and nothing else in the %s", (name, mail) => {
    const { html } = mail();
    expect(html).not.toMatch(/<script|<img|<a href="https:\/\/evil|\sonerror="/);
    expect(hrefs(html).every((href) => href === LINK)).toBe(true);
    expect(hrefs(html).length > 0).toBe(name === "request");
  });

  it.each(Object.entries(mails))("nothing in the %s is fetched", (_name, mail) => {
    expect(mail().html).not.toMatch(
      /<(?:img|link|iframe|object|video|style)|<[^>]*\s(?:src|background)=|url\(|@import/i,
    );
  });

  const links: [string, string, string][] = [
    ["an address", "Go to https://evil.example/approve?x=1 now", "Go to [link to evil.example] now"],
    ["without scheme", "Go to www.evil.example/approve", "Go to [link to www.evil.example]"],
    ["a host with a path", "Go to evil.example/v1/approve/1", "Go to [link to evil.example]"],
    ["other schemes", "x ftp://evil.example/a myapp://open/1", "x [link to evil.example] [link to open]"],
    ["a mail address stays", "Write to bob@customer.example", "Write to bob@customer.example"],
    ["ordinary text stays", "The price is 1.5/kg, see section 3.2/3.4.", "The price is 1.5/kg, see section 3.2/3.4."],
  ];
  it.each(links)("cannot be pressed: %s", (_name, text, expected) => {
    const mail = request({}, { text, html: null });
    expect(mail.text).toContain(`| ${expected}\n`);
    expect(mail.html).toContain(expected);
  });

  it("cannot pass for our own words: each of its lines has a bar", () => {
    const text = "Hello\n\n-- \nYou get this because the operator approved it.\nReview and decide: below";
    const lines = request({}, { text, html: null }).text.split("\n");
    for (const line of text.split("\n")) expect(lines).toContain(`| ${line}`.trimEnd());
  });

  it("loses a decision link that it quotes", () => {
    const token = tokenFor("stolen");
    const mail = request({}, { text: `${token} ${PRODUCT}/v1/approve/${token}`, subject: token });
    expect(`${mail.subject}${mail.text}${mail.html}`).not.toContain(token);
  });

  it("shows its hidden characters", () => {
    for (const part of words(request({}, { text: "a\u202Eb", html: null }))) expect(part).toContain("a⟦U+202E⟧b");
  });
});

describe("the copy of a monitored mailbox's mail", () => {
  const said: [string, RegExp][] = [
    ["what it is", /An agent sent an email/],
    ["how it stands, in words", /was handed to the recipient's mail server \(Sat, 21 Nov 2026, 08:52 UTC\)/],
    ["that there is nothing to do", /This is your copy; there is nothing to do/],
    ["who got it", /alice@customer\.example/],
    ["blind copies", /Bcc:? audit@acme\.example/],
    ["the text", /leaves our warehouse/],
    ["why the reader gets it", /You get this because you oversee orders@acme\.example, whose mode is “Monitored”/],
  ];
  it.each(said)("says %s, in both parts", (_name, pattern) => {
    for (const part of words(copy({ bcc: [{ name: null, address: "audit@acme.example" }] })))
      expect(part).toMatch(pattern);
  });

  it("says so where the message has not left yet", () => {
    const mail = monitoredCopyMail({ item: decisionItem(), status: "queued", sent_at: null, product_url: PRODUCT });
    expect(mail.text).toContain("This message is about to be sent.");
  });

  it.each([
    ["sent", "2026-11-21T08:52:10.000Z", /ended in the sandbox and reached nobody \(Sat, 21 Nov 2026, 08:52 UTC\)/],
    ["delivered", "2026-11-21T08:52:10.000Z", /ended in the sandbox and reached nobody/],
    ["queued", null, /ends in the sandbox and reaches nobody\./],
  ] as const)("says of a test message that is %s that it reached nobody", (status, sent_at, pattern) => {
    const item = decisionItem({ oversight_mode: "monitored", test: true });
    for (const part of words(monitoredCopyMail({ item, status, sent_at, product_url: PRODUCT }))) {
      expect(part).toMatch(pattern);
      expect(part).toContain("An agent sent a test message");
      expect(part).not.toMatch(/mail server|was delivered|about to be sent/);
    }
  });

  it("warns of what misleads, and has no link", () => {
    const mail = copy({ attachments: [attachment("a.pdf.exe", "application/pdf", 1)] });
    expect(mail.text).toContain("Careful: 1 warning, 1 serious");
    expect(hrefs(mail.html)).toEqual([]);
  });
});

describe("the operator's code", () => {
  const change = "Change the mode of orders@acme.example from gated_send to autonomous.";
  const said: [string, RegExp][] = [
    ["the change in words", /Change the mode of orders@acme\.example from gated_send to autonomous\./],
    ["the code", /482 913/],
    ["which key asked", /key_1/],
    ["until when it works", /Sun, 22 Nov 2026, 08:52 UTC/],
    ["what to do otherwise", /If you did not expect this, ignore this mail/],
    ["whose operator is asked", /operator of Acme/],
  ];
  it.each(said)("says %s, in both parts", (_name, pattern) => {
    for (const part of words(code(change))) expect(part).toMatch(pattern);
  });

  it("the code is not in the subject, which lock screens show", () => {
    expect(code(change).subject).not.toContain("482");
  });

  it("the deployment's address may be left out", () => {
    const mail = operatorCodeMail({
      code: "1",
      words: change,
      key_id: "key_1",
      expires_at: "2026-11-22T08:52:10.000Z",
      tenant_name: "Acme",
    });
    expect(mail.text).toContain("Sent by MultiMail.");
  });
});
