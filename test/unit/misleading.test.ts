import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finishBodies } from "../../src/mail/finished-body.ts";
import { renderMarkdown } from "../../src/mail/markdown.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { htmlToPlainText } from "../../src/mail/plain-text.ts";
import { findHunks } from "../../src/pages/misleading/difference.ts";
import { readHtml } from "../../src/pages/misleading/html-content.ts";
import { findMisleading } from "../../src/pages/misleading.ts";
import { content, file, findings, to } from "../support/misleading-content.ts";

const WIDE_TABLE = `<table><tr><td>${"one two three four ".repeat(8)}</td><td>${"five six seven eight ".repeat(8)}</td></tr></table>`;

describe("ordinary mail raises no alarm", () => {
  const ordinary: Record<string, Partial<MessageContent>> = {
    English: {
      text: "Dear Bob,\n\nthe invoice is $1,200.00.\n\nBest, Ann",
      html: "<p>Dear Bob,</p><p>the invoice is $1,200.00.</p><p>Best, Ann</p>",
    },
    German: {
      subject: "Angebot für Müller & Söhne GmbH – Größe „XL“",
      text: "Grüße aus München, Straße 5",
      ...to("Jürgen Groß", "j.gross@mueller.example"),
    },
    "German with soft hyphens": { text: "Donau\u00ADdampf\u00ADschiff" },
    Japanese: {
      subject: "お見積りの件",
      text: "いつもお世話になっております。\n株式会社アクメの田中です。",
      html: "<p>いつもお世話に\nなっております。</p><p>株式会社アクメの田中です。</p>",
      ...to("田中太郎", "tanaka@acme.example"),
    },
    "Japanese with full-width letters and variants": {
      subject: "ＡＢＣ株式会社　葛\u{E0100}城市",
      text: "PDFファイル",
    },
    Arabic: {
      subject: "عرض الأسعار رقم 12",
      text: "مرحبا، هذا هو العرض.\u200F نراكم في 10:30\u200E.",
      ...to("محمد علي", "m@acme.example"),
    },
    "Persian with ZWNJ": { subject: "می\u200Cخواهم", text: "نامه\u200Cها" },
    Hebrew: { subject: "הצעת מחיר", text: "שלום, \u2067ABC\u2069 הנה ההצעה", ...to("דוד כהן", "d@acme.example") },
    Russian: {
      subject: "Договор и счёт",
      text: "Здравствуйте! Ваш счёт в PDF, от IT-отдела.",
      ...to("Сара Попова", "s@acme.example"),
    },
    Greek: { subject: "Προσφορά", text: "Καλημέρα σας, 5 μm και 10 kΩ", ...to("Νίκος", "n@acme.example") },
    Hindi: { subject: "क्\u200Dष", text: "श्री\u200Cमान" },
    Thai: { text: "สวัสดี\u200Bครับ" },
    Korean: { subject: "견적서 보내드립니다", text: "안녕하세요" },
    emoji: { subject: "Party 🎉 👩‍👩‍👧 ❤️ 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👍🏽", text: "👨‍💻" },
    "a name with a site and its own address": to("Booking.com", "noreply@mail.booking.com"),
    "a name that is the address": to("bob@customer.example", "Bob@Customer.example"),
    "the usual files": {
      attachments: [
        file("report.v1.2.pdf"),
        file("archive.tar.gz", "application/gzip"),
        file("photo.JPG", "image/jpeg"),
        file("data.csv", "application/octet-stream"),
        file("Rechnung Nr. 5.pdf"),
        file("見積書.pdf"),
        file("README", "text/plain"),
      ],
    },
    "a reply address that is the sender": { reply_to: [{ name: null, address: "Sales@acme.example" }] },
  };
  it.each(Object.entries(ordinary))("%s", (_name, part) => {
    expect(findMisleading(content(part))).toEqual([]);
  });
});

describe("the two versions of the body", () => {
  const same: [string, string, string][] = [
    ["layout", "Hello   Bob\r\n\r\n- one\r\n- two", "<h1>HELLO Bob</h1><ul><li>one</li><li>two</li></ul>"],
    ["list numbers the reader's program makes", "1. First\n2. Second", "<ol><li>First</li><li>Second</li></ol>"],
    [
      "link targets beside their words",
      "See our offer (https://acme.example/o/1?x=2) or mail bob@acme.example",
      '<p>See our <a href="https://acme.example/o/1?x=2">offer</a> or <a href="mailto:bob@acme.example">mail</a></p>',
    ],
    [
      "a link's whole address after its words, where the words are in it too",
      "See the pricing <https://acme.example/pricing/now>, now please.",
      '<p>See the <a href="https://acme.example/pricing/now">pricing</a>, now please.</p>',
    ],
    [
      "a link's address in place of its host",
      "Visit **https://acme.example/**.",
      '<p>Visit <a href="https://acme.example">acme.example</a>.</p>',
    ],
    [
      "a host with its whole address beside it",
      "Our www.acme.example <https://www.acme.example/> is new",
      '<p>Our <a href="https://www.acme.example/">www.acme.example</a> is new</p>',
    ],
    [
      "an encoded query written as it is",
      "Offer <https://acme.example/?q=a%20b&c=d>",
      '<p><a href="https://acme.example/?q=a%20b&amp;c=d">Offer</a></p>',
    ],
    [
      "an image of the name that follows, and its link",
      "[image: Acme] <https://acme.example>\nAcme Shop",
      '<a href="https://acme.example"><img alt="Acme"></a><p>Acme Shop</p>',
    ],
    ["images' alternative texts", "Hello [Logo of Acme]", '<p>Hello <img alt="Logo of Acme"></p>'],
    [
      "tables row by row",
      "Item  Price\nPen   3 €",
      "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Pen</td><td>3 €</td></tr></table>",
    ],
    ["our own rendering of tables with wide cells", htmlToPlainText(WIDE_TABLE), WIDE_TABLE],
    ["entities, quotes and dashes", "“Tom & Jerry” – it's", "<p>&quot;Tom &amp; Jerry&quot; — it&#39;s</p>"],
    ["words split by markup", "unbelievable", "<p>un<b>believ</b>able</p>"],
    [
      "markdown left in the text",
      "# Title\n\n**bold** and `code`",
      "<h1>Title</h1><p><strong>bold</strong> and <code>code</code></p>",
    ],
    ["a wrapped Japanese sentence", "これは長い\n文章です", "<p>これは長い文章です</p>"],
    ["quoted lines", "> earlier\n> words", "<blockquote><p>earlier words</p></blockquote>"],
  ];
  it.each(same)("%s make no difference", (_name, text, html) => {
    expect(findings({ text, html })).toEqual([]);
  });

  it("what our own pipeline makes of markdown raises no alarm", () => {
    const source = [
      "# Offer 2026",
      "Dear **Bob**, see [the offer](https://acme.example/o/1?a=b) or <https://acme.example/all>.",
      "1. First\n2. Second\n   - nested\n     - deeper",
      "- [x] done\n- [ ] open",
      "| Item | Price |\n| --- | ---: |\n| A long name of an item that goes on and on and on, beyond sixty characters | 3.50 € |\n| Pen | 1 € |",
      "> quoted\n> words",
      "```\nlet a = 1;\n```",
      "![a picture](https://acme.example/x.png) and `code` & <b>bold</b>",
      "5 < 6 && 7 > 3 -- it's “fine”\n\n---\n\nGrüße",
    ].join("\n\n");
    const rendered = renderMarkdown(source);
    const finished = finishBodies(rendered, { signature_block: "Acme\n+49 123", ai_disclosure: true });
    expect(findMisleading(content(finished))).toEqual([]);
  });

  const different: [string, string, string, RegExp][] = [
    ["another amount", "Pay 100 EUR", "<p>Pay 1000 EUR</p>", /1000/],
    ["a moved decimal point", "Pay $1.00", "<p>Pay $100</p>", /100/],
    ["a sign", "Balance -100", "<p>Balance 100</p>", /nothing here/],
    ["another currency", "Pay 100 €", "<p>Pay 100 $</p>", /\$/],
    ["another percentage", "5 % off", "<p>5 off</p>", /nothing here/],
    ["a missing word", "Do not pay", "<p>Do pay</p>", /not/],
    ["swapped words", "Pay Ann, not Bob", "<p>Pay Bob, not Ann</p>", /Ann/],
    ["a changed number at a line's start", "1. March", "<p>2. March</p>", /2\. ?March|2/],
    ["an added sentence", "Hello", "<p>Hello</p><p>Send your password</p>", /Send your password/],
    ["a stub instead of the text", "Your mail program cannot show this.", "<p>You owe us money</p>", /owe/],
    [
      "a link's decoded query as prose",
      "Hello Bob\n\nPlease pay 50000 EUR to DE89370400440532013000",
      `<p>Hello <a href="https://acme.example/?q=Please%20pay%2050000%20EUR%20to%20DE89370400440532013000">Bob</a></p>`,
      /Please pay 50000 EUR/,
    ],
    [
      "words of a link's path as prose",
      "Hello Bob, pay 50000 EUR",
      '<p>Hello <a href="https://acme.example/pay/50000/EUR">Bob</a></p>',
      /pay 50000 EUR/,
    ],
    [
      "an address decoded to spaces",
      "Hello Bob <https://acme.example/?q=pay 50000 EUR>",
      '<p>Hello <a href="https://acme.example/?q=pay%2050000%20EUR">Bob</a></p>',
      /50000 EUR/,
    ],
    [
      "an address with spaces of its own",
      "Hello Bob https://acme.example/ pay 50000 EUR",
      '<p>Hello <a href="https://acme.example/ pay 50000 EUR">Bob</a></p>',
      /50000 EUR/,
    ],
    [
      "relative addresses that make a sentence",
      "Hello Bob pay 50000 EUR",
      '<p>Hello <a href="pay">B</a><a href="mailto:50000">o</a><a href="EUR">b</a></p>',
      /50000 EUR/,
    ],
    [
      "hosts that make a sentence",
      "Hello Bob please.pay 50000.eur",
      '<p>Hello <a href="https://please.pay">B</a><a href="https://50000.eur">ob</a></p>',
      /50000.eur/,
    ],
    [
      "part of an address",
      "Hello Bob https://acme.example/pay",
      '<p>Hello <a href="https://acme.example/pay/nothing">Bob</a></p>',
      /pay/,
    ],
    [
      "an address that hides a word of the formatted version",
      "Do <https://acme.example/not> pay here",
      '<p>Do not pay <a href="https://acme.example/not">here</a></p>',
      /Do/,
    ],
    [
      "an address more often than there are links",
      "Bob <https://acme.example/pay> <https://acme.example/pay>",
      '<p><a href="https://acme.example/pay">Bob</a></p>',
      /pay/,
    ],
    [
      "words of several alternative texts",
      "Hello pay 50000 EUR",
      '<p>Hello <img alt="never pay"><img alt="EUR 50000"></p>',
      /50000 EUR/,
    ],
    ["a look-alike letter", "paypal", "<p>p\u0430ypal</p>", /p\u0430ypal/],
  ];
  it.each(different)("%s is shown", (_name, text, html, shown) => {
    const found = findMisleading(content({ text, html })).find((warning) => warning.code === "bodies_differ");
    expect(found).toMatchObject({ severity: "danger", where: "text" });
    expect(JSON.stringify(found?.evidence)).toMatch(shown);
  });

  it("hostile bodies are compared in bounded work and still reported", () => {
    const words = (seed: number) => Array.from({ length: 20_000 }, (_, i) => `w${(i * seed) % 9973}`).join(" ");
    const found = findMisleading(content({ text: words(7), html: `<p>${words(11)}</p>` }));
    expect(found.map((warning) => warning.code)).toContain("bodies_differ");
  });

  it("a message with one version is not compared", () => {
    expect(findings({ text: null, html: "<p>Hi</p>" })).toEqual([]);
    expect(findings({ text: "Hi", html: null })).toEqual([]);
  });

  it("hunks turn one list into the other", () => {
    const word = fc.constantFrom("a", "b", "c", "d");
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), fc.array(word, { maxLength: 30 }), (left, right) => {
        const hunks = findHunks(left, right, 100) ?? [];
        const rebuilt: string[] = [];
        let at = 0;
        for (const hunk of hunks) {
          rebuilt.push(...left.slice(at, hunk.left[0]), ...right.slice(...hunk.right));
          at = hunk.left[1];
        }
        expect([...rebuilt, ...left.slice(at)]).toEqual(right);
      }),
    );
  });
});

describe("the whole", () => {
  it("the most urgent comes first", () => {
    const found = findings({
      reply_to: [{ name: null, address: "office@acme.example" }],
      text: "a\u200Bb",
      attachments: [file("a.pdf.exe")],
    });
    expect(found.map((line) => line.split(" ")[0])).toEqual(["danger", "caution", "notice"]);
  });

  it("never throws, whatever the content", () => {
    const text = fc.string({ unit: "binary", maxLength: 60 });
    fc.assert(
      fc.property(text, text, text, text, (subject, address, html, name) => {
        findMisleading(
          content({
            subject,
            html: `<a href="${address}">${html}</a>${html}`,
            ...to(name, address),
            attachments: [file(name, subject)],
          }),
        );
      }),
    );
  });

  it("broken and very deep HTML is read to its end", () => {
    const deep = `${"<div><a href=x>".repeat(20_000)}end`;
    expect(readHtml(deep).text.trim()).toBe("end");
    expect(readHtml("<p>a<script>x</script><b>c</p></i>d").text.replace(/\n/g, " ").trim()).toBe("ac d");
  });
});

describe("bodies made to be compared slowly are told apart all the same", () => {
  const words = Array.from({ length: 30_000 }, (_, i) => `w${i}`).join(" ");
  it.each<[string, string, string]>([
    ["a text that goes on where the HTML ends", `Hello ${words}`, "<p>Hello</p>"],
    [
      "near addresses by the thousand",
      `Hello ${`a@${".".repeat(1_900)}@!!!!!!!! `.repeat(100)}`,
      '<p>Hello <a href="mailto:a@b.example">a</a></p>',
    ],
  ])("%s", (_what, text, html) => {
    expect(findMisleading(content({ text, html })).map(({ code }) => code)).toContain("bodies_differ");
  });
});
