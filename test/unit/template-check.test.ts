import { describe, expect, test } from "vitest";
import { MAX_PLACEHOLDERS, templateIssues } from "../../src/mail/template-issues.ts";
import type { TemplateSource } from "../../src/mail/template-placeholders.ts";
import type { TemplateVariable } from "../../src/operations/shapes/template.ts";

function variable(name: string, change: Partial<TemplateVariable> = {}): TemplateVariable {
  return { name, type: "text", required: true, max_length: 100, ...change };
}

const link = variable("link", { type: "url" });
const check = (markdown: string, variables: TemplateVariable[] = [variable("a")], subject = "Offer") =>
  templateIssues({ subject, markdown, variables } satisfies TemplateSource);

describe("a template is taken", () => {
  test.each<[markdown: string, variables: TemplateVariable[]]>([
    ["Hello", []],
    ["Hello {{a}}", [variable("a")]],
    ["Hello {{ a }} and {{a}} and {{\ta\t}}", [variable("a")]],
    ["{ a } {a} }} \\{\\{a\\}\\}", []],
    ["[x]({{link}}) {{link}} `{{link}}`", [link]],
    [`{{${`a${"b".repeat(31)}`}}}`, [variable(`a${"b".repeat(31)}`)]],
    ["![{{a}}](https://x.example/a.png)", [variable("a")]],
  ])("%j", (markdown, variables) => {
    expect(check(markdown, variables)).toEqual([]);
  });

  test("with a variable in its subject alone", () => {
    expect(check("Hello", [variable("a")], "Offer {{a}}")).toEqual([]);
  });
});

describe("a template is refused", () => {
  test.each<[why: string, markdown: string, variables: TemplateVariable[], path: string, message: RegExp]>([
    ["an undeclared placeholder", "{{a}} {{b}}", [variable("a")], "markdown", /“b”.*not declared/],
    ["a declared variable that is not used", "x", [variable("a")], "variables.0.name", /used/],
    ["one declared twice", "{{a}}", [variable("a"), variable("a")], "variables.1.name", /twice/],
    ["a name with a capital", "{{A}}", [variable("A")], "variables.0.name", /begin/],
    ["a name that begins with a digit", "{{1a}}", [variable("1a")], "variables.0.name", /begin/],
    ["a name of 33 characters", `{{${"a".repeat(33)}}}`, [variable("a".repeat(33))], "variables.0.name", /32/],
    ["an empty placeholder", "{{}} {{a}}", [variable("a")], "markdown", /placeholder/],
    ["an expression", "{{#if a}} {{a}}", [variable("a")], "markdown", /placeholder/],
    ["a placeholder over two lines", "{{a\n}} {{a}}", [variable("a")], "markdown", /placeholder/],
    ["one that does not end", "{{a}} {{a", [variable("a")], "markdown", /placeholder/],
    ["three braces", "{{{a}}}", [variable("a")], "markdown", /three braces/],
    ["part of a link's address", "[x](https://x.example/{{a}})", [variable("a")], "markdown", /whole address/],
    ["part of a bare address", "https://x.example/{{a}}", [variable("a")], "markdown", /whole address/],
    ["a bare host", "www.{{a}}.example", [variable("a")], "markdown", /whole address/],
    ["part of an email address", "{{a}}@x.example", [variable("a")], "markdown", /whole address/],
    ["text as a link's address", "[x]({{a}})", [variable("a")], "markdown", /type url/],
    ["a scheme before a url", "[x](javascript:{{link}})", [link], "markdown", /shown/],
    ["a query after a url", "[x]({{link}}?a=b)", [link], "markdown", /whole address/],
    ["a link's address that may be missing", "[x]({{link}})", [{ ...link, required: false }], "markdown", /required/],
    ["mailto before a value", "[x](mailto:{{a}})", [variable("a")], "markdown", /whole address/],
    ["a comment", "x <!-- {{a}} --> y", [variable("a")], "markdown", /shown/],
    ["hidden text", '<span style="display:none">{{a}}</span>', [variable("a")], "markdown", /shown/],
    ["an attribute", '<b title="{{a}}">x</b>', [variable("a")], "markdown", /shown/],
    ["an attribute that stays", '<ol start="{{a}}"><li>x</li></ol>', [variable("a")], "markdown", /shown|address/],
    ["a tag's name", "<{{a}}>x</{{a}}>", [variable("a")], "markdown", /shown/],
    ["an image's address", "![x]({{link}})", [link], "markdown", /shown/],
    ["a link that is never used", "x\n\n[y]: {{link}}", [link], "markdown", /shown/],
    ["a link used twice", "[y] [y]\n\n[y]: {{link}}", [link], "markdown", /once/],
    ["a script", "<script>{{a}}</script>", [variable("a")], "markdown", /shown/],
    ["a fence's language", "```{{a}}\nx\n```", [variable("a")], "markdown", /shown/],
  ])("for %s", (_why, markdown, variables, path, message) => {
    expect(check(markdown, variables)).toContainEqual({ path, message: expect.stringMatching(message) });
  });

  test("for a bad placeholder in its subject", () => {
    expect(check("x", [], "Offer {{a}}")).toEqual([{ path: "subject", message: expect.stringMatching(/“a”/) }]);
    expect(check("x", [], "Offer {{")).toEqual([{ path: "subject", message: expect.stringMatching(/placeholder/) }]);
  });

  test("for what only looks like the stand-in of a placeholder", () => {
    // The stand-in has to be unknown to whoever writes the template: entities spell it once it is rendered.
    const forged = Array.from({ length: 50 }, (_, n) => `z&#113;${n}x0q`).join(" ");
    expect(check(`{{a}} ${forged}`)).toContainEqual({ path: "markdown", message: expect.stringMatching(/once/) });
  });

  test("beyond the number of placeholders that there may be", () => {
    expect(check("{{a}} ".repeat(MAX_PLACEHOLDERS))).toEqual([]);
    expect(check("{{a}} ".repeat(MAX_PLACEHOLDERS + 1))).toEqual([
      { path: "markdown", message: `may have at most ${MAX_PLACEHOLDERS} placeholders` },
    ]);
  });

  test("with words that do not repeat more of the input than a person reads", () => {
    const [issue] = check(`{{${"x".repeat(10_000)}}} {{a}}`);
    expect(issue?.message.length).toBeLessThan(200);
  });
});

test.each<[what: string, markdown: string]>([
  ["imitations of the stand-in", `{{a}} ${Array.from({ length: 20_000 }, (_, n) => `zq${n}x`).join(" ")}`],
  ["spaces in a placeholder", `{{${" ".repeat(250_000)}a}}`],
  ["digits of an imitation", `{{a}} zq${"1".repeat(250_000)}`],
])("a long template with %s is checked in one pass", (_what, markdown) => {
  expect(check(markdown)).toEqual([]);
});

test.each(["{", "{{", "}}", "{{a", "<{{", "{{ "])("100 KiB of %j are refused, and end", (piece) => {
  expect(check(piece.repeat(Math.floor((100 * 1024) / piece.length)))).not.toEqual([]);
});
