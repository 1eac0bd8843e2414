import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Refused } from "../../src/errors.ts";
import { renderMarkdown } from "../../src/mail/markdown.ts";
import { htmlToPlainText } from "../../src/mail/plain-text.ts";
import { reduceHtml } from "../../src/mail/safe-html.ts";
import { renderTemplate } from "../../src/mail/template.ts";
import { templateIssues } from "../../src/mail/template-issues.ts";
import type { TemplateSource } from "../../src/mail/template-placeholders.ts";
import type { TemplateVariable } from "../../src/operations/shapes/template.ts";

function variable(name: string, change: Partial<TemplateVariable> = {}): TemplateVariable {
  return { name, type: "text", required: true, max_length: 10_000, ...change };
}

function template(change: Partial<TemplateSource> = {}): TemplateSource {
  return { subject: "Order", markdown: "Hello {{name}}", variables: [variable("name")], ...change };
}

function refusal(action: () => unknown) {
  try {
    action();
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  throw new Error("it was accepted");
}

const rendered = (markdown: string, values: Record<string, unknown>, change: Partial<TemplateSource> = {}) =>
  renderTemplate(template({ markdown, ...change }), values);

/** The tags of some HTML in order, with their attributes: its structure without its text. */
const structure = (html: string) => html.match(/<[^>]*>/g) ?? [];
/** Text as HTML shows it. */
const collapsed = (text: string) => text.replace(/[ \n\u200b]+/g, " ").trim();

describe("a rendered template", () => {
  test("has the values in subject, text and HTML, and a source that renders to the same", () => {
    const source = template({
      subject: "Order {{number}} for {{ name }}",
      markdown: "Hello **{{name}}**,\n\n- {{number}}\n- {{  name  }}",
      variables: [variable("name"), variable("number", { type: "number" })],
    });
    const result = renderTemplate(source, { name: "Ana", number: 17 });
    expect(result).toEqual({
      subject: "Order 17 for Ana",
      markdown: "Hello **Ana**,\n\n- 17\n- Ana",
      html: "<p>Hello <strong>Ana</strong>,</p>\n<ul>\n<li>17</li>\n<li>Ana</li>\n</ul>",
      text: "Hello Ana,\n\n- 17\n- Ana",
    });
  });

  test.each<[what: string, value: string]>([
    ["HTML", "<b>x</b>"],
    ["a script", "<script>alert(1)</script>"],
    ["an entity", "&lt;b&gt; &amp; &#60;"],
    ["emphasis", "**x** _y_ ~~z~~"],
    ["a link", "[x](https://evil.example)"],
    ["a reference", "[x]: https://evil.example"],
    ["an image", "![x](https://evil.example/p.png)"],
    ["a bare address", "https://evil.example/a?b=c"],
    ["a bare host", "www.evil.example"],
    ["an email address", "mallory@evil.example"],
    ["an autolink", "<https://evil.example>"],
    ["a heading", "# x"],
    ["a quote", "> x"],
    ["a list", "- x"],
    ["another list", "+ x"],
    ["a numbered list", "1. x"],
    ["a table", "| a | b |"],
    ["a rule", "---"],
    ["an underline of a heading", "==="],
    ["code", "`x` ``` ~~~"],
    ["indented code", "     x"],
    ["a placeholder", "{{name}} {{other}}"],
    ["what stands for a placeholder while it is rendered", "zq0x0q zq1x0q"],
    ["a replacement pattern", "$& $1 $` $'"],
    ["a backslash", "\\* \\"],
    ["an encoded word", "=?UTF-8?B?eA==?="],
    ["a comment", "<!-- x -->"],
    ["a prototype's name", "__proto__"],
    ["characters of other scripts", "Жанна 🎉 例え"],
  ])("shows %s in a value as it is", (_what, value) => {
    for (const markdown of ["{{name}}", "Hello\n{{name}}", "> {{name}}", "x {{name}} y", "# {{name}}", "- {{name}}"]) {
      const harmless = rendered(markdown, { name: "Ana" });
      const { html, text, markdown: again, subject } = rendered(markdown, { name: value }, { subject: "S {{name}}" });
      expect(structure(html)).toEqual(structure(harmless.html));
      expect(reduceHtml(html)).toBe(html);
      expect(text).toBe(htmlToPlainText(html));
      expect(collapsed(text)).toContain(collapsed(value));
      expect(again).not.toBeNull();
      expect(renderMarkdown(again ?? "")).toEqual({ html, text });
      expect(subject).toBe(`S ${collapsed(value)}`);
    }
  });

  test.each<[markdown: string, html: string]>([
    ["[pay]({{link}})", '<p><a href="https://pay.example/a?b=1&amp;c=2">pay</a></p>'],
    [
      "Pay at {{link}}.",
      '<p>Pay at <a href="https://pay.example/a?b=1&amp;c=2">https://pay.example/a?b=1&amp;c=2</a>.</p>',
    ],
    ["<{{link}}>", '<p><a href="https://pay.example/a?b=1&amp;c=2">https://pay.example/a?b=1&amp;c=2</a></p>'],
    ['<a href="{{link}}">pay</a>', '<p><a href="https://pay.example/a?b=1&amp;c=2">pay</a></p>'],
    ["`{{link}}`", "<p><code>https://pay.example/a?b=1&amp;c=2</code></p>"],
    [
      "[{{link}}]({{link}})",
      '<p><a href="https://pay.example/a?b=1&amp;c=2">https://pay.example/a?b=1&amp;c=2</a></p>',
    ],
  ])("has a url as exactly that link: %s", (markdown, html) => {
    const link = variable("link", { type: "url" });
    expect(templateIssues(template({ markdown, variables: [link] }))).toEqual([]);
    const result = rendered(markdown, { link: "https://pay.example/a?b=1&c=2" }, { variables: [link] });
    expect(result.html).toBe(html);
    expect(result.text).toContain("https://pay.example/a?b=1&c=2");
    if (result.markdown !== null) expect(renderMarkdown(result.markdown).html).toBe(html);
  });

  test("leaves an optional value that was not given empty, and the rest as it stands", () => {
    const note = variable("note", { required: false });
    for (const markdown of [
      "a\n\n{{note}}\n\nb",
      "a\n{{note}}\nb",
      "- {{note}}\n- b",
      "**{{note}}** b",
      "x{{note}}y",
    ]) {
      const source = template({ markdown, variables: [note] });
      const empty = renderTemplate(source, {});
      expect(structure(empty.html)).toEqual(structure(renderTemplate(source, { note: "Ana" }).html));
      expect(empty.html).not.toMatch(/note|zq/);
      expect(renderTemplate(source, { note: "" })).toEqual(empty);
    }
  });

  test("has no source where none would render to the same bodies", () => {
    const { markdown, html } = rendered("Your code is `{{name}}`.", { name: "AB-12*" });
    expect(html).toBe("<p>Your code is <code>AB-12*</code>.</p>");
    expect(markdown).toBeNull();
  });

  const contexts = [
    ...["{{v}}", "a {{v}} b", "a{{v}}b", "**{{v}}**", "a**{{v}}**b", "_{{v}}_", "~~{{v}}~~", "`{{v}}`", "# {{v}}"],
    ...["> {{v}}", "- {{v}}\n- x", "1. {{v}}", "| a | b |\n|---|---|\n| {{v}} | x |", "[{{v}}](https://x.example)"],
    ...["```\n{{v}}\n```", "    {{v}}", "<div>{{v}}</div>", "<b>{{v}}</b>", "a\n{{v}}\n===", "{{v}}{{v}}", "1{{v}}"],
    ...[
      "![{{v}}](https://x.example/a.png)",
      "a\n{{v}}\nb",
      "{{v}}\n---",
      "[x]: https://x.example\n[x] {{v}}",
      "&{{v}};",
    ],
    ...[
      "<code>{{v}}</code>",
      "\\{{v}}",
      "- [ ] {{v}}",
      "({{v}})",
      '"{{v}}"',
      "{{v}}:",
      "@{{v}}",
      "~{{v}}~",
      "<p>\n{{v}}",
    ],
  ];
  const hostile = fc.oneof(
    fc.string({ unit: "grapheme-ascii", maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(..."*_~`#>-+=|[]()<>!&;:/\\@.{}'\"$0 1ax\u00a0"), maxLength: 40 }),
    fc
      .array(fc.constantFrom("https://", "www.", "evil.example", "a@b.example", "<b>", "</p>", "<!--", "]]>", "&amp;"))
      .map((parts) => parts.join("")),
    fc.string({ unit: "grapheme", maxLength: 20 }),
  );

  /** Each with its structure around a harmless value. */
  const sources = contexts.map((markdown) => {
    const source = template({ markdown, variables: [variable("v", { required: false })] });
    return { source, harmless: structure(renderTemplate(source, { v: "Ana" }).html) };
  });

  test.each(contexts)("may have a placeholder here: %j", (markdown) => {
    expect(templateIssues(template({ markdown, variables: [variable("v")] }))).toEqual([]);
  });

  test("has the same elements whatever the value is, wherever it stands", () => {
    fc.assert(
      fc.property(fc.constantFrom(...sources), hostile, ({ source, harmless }, value) => {
        let result: ReturnType<typeof renderTemplate>;
        try {
          result = renderTemplate(source, { v: value });
        } catch (error) {
          // Control characters and the like are refused; that is another test's.
          if (error instanceof Refused) return;
          throw error;
        }
        expect(structure(result.html)).toEqual(harmless);
        expect(reduceHtml(result.html)).toBe(result.html);
        expect(collapsed(result.text)).toContain(collapsed(value));
        if (result.markdown !== null) expect(renderMarkdown(result.markdown).html).toBe(result.html);
      }),
      { numRuns: process.env.SLOW === "1" ? 20_000 : 400 },
    );
  }, 600_000);

  test("as escaped source has no element that a harmless value's has not", () => {
    fc.assert(
      fc.property(fc.constantFrom("a {{v}} b", "{{v}} b", "# {{v}} b", "- {{v}} b"), hostile, (markdown, value) => {
        const source = template({ markdown, variables: [variable("v", { required: false })] });
        let again: string | null;
        try {
          again = renderTemplate(source, { v: value }).markdown;
        } catch (error) {
          if (error instanceof Refused) return;
          throw error;
        }
        if (collapsed(value) === "") return;
        expect(again).not.toBeNull();
        expect(structure(renderMarkdown(again ?? "").html)).toEqual(
          structure(renderTemplate(source, { v: "Ana" }).html),
        );
      }),
      { numRuns: process.env.SLOW === "1" ? 5_000 : 100 },
    );
  }, 600_000);
});

describe("a value", () => {
  const typed = (type: TemplateVariable["type"], change: Partial<TemplateVariable> = {}) =>
    template({ markdown: "{{v}}", variables: [variable("v", { type, ...change })] });

  test.each<[TemplateVariable["type"], unknown, shown: string]>([
    ["text", "Ana", "Ana"],
    ["text", 17, "17"],
    ["text", "  a   b ", "a b"],
    ["text", "10\u00a0000 €", "10\u00a0000 €"],
    ["number", 0, "0"],
    ["number", -1.5, "-1.5"],
    ["number", "007", "007"],
    ["number", "+12.50", "+12.50"],
    ["date", "2028-02-29", "2028-02-29"],
    ["email", "ana@Customer.example", "ana@customer.example"],
    ["email", "ana@bücher.example", "ana@xn--bcher-kva.example"],
    ["url", "https://x.example", "https://x.example"],
    ["url", "http://x.example:8080/a_b(c)?d=*e*&f=%20#g", "http://x.example:8080/a_b(c)?d=*e*&f=%20#g"],
    ["url", "https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"],
  ])("of type %s may be %j", (type, value, shown) => {
    const { text, html } = renderTemplate(typed(type), { v: value });
    expect(text).toBe(shown);
    expect(html.includes("<a ")).toBe(type === "url");
  });

  test.each<[TemplateVariable["type"], unknown, message: RegExp]>([
    ["text", "", /may not be empty/],
    ["text", "   ", /may not be empty/],
    ["text", true, /must be text/],
    ["text", null, /must be text/],
    ["text", ["a"], /must be text/],
    ["number", "1e3", /number/],
    ["number", 1e21, /number/],
    ["number", Number.NaN, /number/],
    ["number", "12 apples", /number/],
    ["number", "٣", /number/],
    ["date", "2027-02-29", /date/],
    ["date", "29.2.2028", /date/],
    ["date", "2028-02-29T10:00:00Z", /date/],
    ["date", "2028-2-9", /date/],
    ["email", "ana", /address/],
    ["email", "Ana <ana@customer.example>", /address/],
    ["email", "ana@customer.example, bob@customer.example", /address/],
    ["url", "javascript:alert(1)", /address that begins with https/],
    ["url", "mailto:a@x.example", /address that begins with https/],
    ["url", "ftp://x.example", /address that begins with https/],
    ["url", "//x.example", /address that begins with https/],
    ["url", "x.example", /address that begins with https/],
    ["url", "https:/x.example", /address that begins with https/],
    ["url", "https:\\\\x.example", /address that begins with https/],
    ["url", "https://bank.example\\@evil.example", /address that begins with https/],
    ["url", "https://bank.example@evil.example", /user name/],
    ["url", "https://a:b@evil.example", /user name/],
    ["url", 'https://x.example/"onclick="x', /address that begins with https/],
    ["url", "https://x.example/<b>", /address that begins with https/],
    ["url", "https://x.example/a b", /address that begins with https/],
    ["url", "https://", /address that begins with https/],
  ])("of type %s may not be %j", (type, value, message) => {
    const { code, issues } = refusal(() => renderTemplate(typed(type), { v: value }));
    expect(code).toBe("invalid_input");
    expect(issues).toEqual([{ path: "variables.v", message: expect.stringMatching(message) }]);
  });

  test.each([
    ["CR", "a\rBcc: x@evil.example"],
    ["LF", "a\nBcc: x@evil.example"],
    ["CRLF", "a\r\n\r\nbody"],
    ["NUL", "a\0b"],
    ["a tab", "a\tb"],
    ["escape", "a\u001bb"],
    ["delete", "a\u007fb"],
    ["next line", "a\u0085b"],
    ["a line separator", "a\u2028b"],
    ["a paragraph separator", "a\u2029b"],
    ["a right-to-left override", "a\u202eb"],
    ["an isolate", "a\u2067b"],
    ["a lone surrogate", "a\ud800b"],
  ])("of any type may not hold %s", (_what, value) => {
    for (const type of ["text", "number", "date", "email", "url"] as const) {
      const { code, error, issues } = refusal(() => renderTemplate(typed(type), { v: value }));
      expect(code).toBe("forbidden_characters");
      expect(error).toMatch(/^variables\.v .*\.$/);
      expect(issues).toEqual([{ path: "variables.v", message: expect.stringContaining("control characters") }]);
    }
  });

  test("may not begin with a mark that would change the letter before it", () => {
    expect(refusal(() => renderTemplate(typed("text"), { v: "\u0338x" })).issues).toEqual([
      { path: "variables.v", message: expect.stringContaining("mark") },
    ]);
  });

  test("has at most max_length characters, as people count them", () => {
    const source = typed("text", { max_length: 3 });
    expect(renderTemplate(source, { v: "🎉🎉🎉" }).text).toBe("🎉🎉🎉");
    expect(refusal(() => renderTemplate(source, { v: "abcd" })).issues).toEqual([
      { path: "variables.v", message: "may have at most 3 characters" },
    ]);
  });

  test("must be one of the template's, and no needed one may be missing; all are named", () => {
    const { code, error, issues } = refusal(() => rendered("{{name}}", { nmae: "x", constructor: "y" }));
    expect(code).toBe("invalid_input");
    expect(error).toBe("variables.name is needed.");
    expect(issues).toEqual([
      { path: "variables.name", message: "is needed" },
      { path: "variables.nmae", message: "is not a variable of this template" },
      { path: "variables.constructor", message: "is not a variable of this template" },
    ]);
  });
});

test("what is wrong with values is said of at most 20 of them, in words that act on nobody's terminal", () => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`x${n}`, "y"]));
  expect(refusal(() => rendered("{{name}}", many)).issues).toHaveLength(20);
  const { error } = refusal(() => rendered("{{name}}", { name: "Ana", ["\u001b[2J".padEnd(200, "x")]: "y" }));
  expect(error).toMatch(/^variables\.\ufffd\[2Jx+ is not a variable of this template\.$/);
  expect(error.length).toBeLessThan(120);
});

describe("what is rendered has limits", () => {
  test("a subject of 998 characters", () => {
    const source = template({ subject: `${"x".repeat(990)}{{name}}` });
    expect(renderTemplate(source, { name: "y".repeat(8) }).subject).toHaveLength(998);
    expect(refusal(() => renderTemplate(source, { name: "y".repeat(9) }))).toMatchObject({
      code: "invalid_input",
      issues: [{ path: "variables", message: expect.stringContaining("998") }],
    });
  });

  test("a body of 256 KiB, known before it is made", () => {
    const source = template({ markdown: "{{name}} ".repeat(30) });
    expect(renderTemplate(source, { name: "y".repeat(8_000) }).text).toHaveLength(30 * 8_001 - 1);
    expect(refusal(() => renderTemplate(source, { name: "y".repeat(9_000) })).code).toBe("too_large");
  });
});
