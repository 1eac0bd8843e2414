import { describe, expect, it } from "vitest";
import { AI_DISCLOSURE_SENTENCE, finishBodies, normalizeNewlines } from "../../src/mail/finished-body.ts";
import { renderMarkdown } from "../../src/mail/markdown.ts";
import { htmlToPlainText } from "../../src/mail/plain-text.ts";
import { reduceHtml } from "../../src/mail/safe-html.ts";

describe("markdown", () => {
  it.each<[markdown: string, html: string, text: string]>([
    [
      "Hi **Bob**,\n\nall _done_.",
      "<p>Hi <strong>Bob</strong>,</p>\n<p>all <em>done</em>.</p>",
      "Hi Bob,\n\nall done.",
    ],
    ["Best,\nAda", "<p>Best,<br />Ada</p>", "Best,\nAda"],
    ["[site](https://x.example/a)", '<p><a href="https://x.example/a">site</a></p>', "site <https://x.example/a>"],
    ["<https://x.example>", '<p><a href="https://x.example">https://x.example</a></p>', "https://x.example"],
    ["- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "- a\n- b"],
    ["- [x] a\n- [ ] b", "<ul>\n<li><span>[x]</span> a</li>\n<li><span>[ ]</span> b</li>\n</ul>", "- [x] a\n- [ ] b"],
    ["> quoted", "<blockquote>\n<p>quoted</p>\n</blockquote>", "> quoted"],
    ["`a <b>`", "<p><code>a &lt;b&gt;</code></p>", "a <b>"],
    ["```js\nx\n  y\n```", "<pre><code>x\n  y\n</code></pre>", "x\n  y"],
    ["![Chart](https://x.example/c.png)", "<p><span>Chart</span></p>", "Chart"],
    ["1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>", "1 < 2 & 3"],
    ["", "", ""],
  ])("%j", (markdown, html, text) => {
    expect(renderMarkdown(markdown)).toEqual({ html, text });
  });

  it("a table is a table in both", () => {
    const { html, text } = renderMarkdown("| a | b |\n|---|---|\n| 1 | 22 |");
    expect(html).toContain("<td>22</td>");
    expect(text).toBe("a   b\n1   22");
  });

  it.each([
    "<script>HIDDEN</script>",
    '<div style="display:none">HIDDEN</div>',
    'x <span hidden>HIDDEN</span> <b onclick="HIDDEN">y</b>',
    "[x](javascript:HIDDEN)",
    "[x](data:text/html,HIDDEN)",
    '<a href="vbscript:HIDDEN">x</a>',
    "<!-- HIDDEN -->",
    "![](https://t.example/HIDDEN.gif)",
  ])("raw HTML survives only as far as the subset allows: %s", (markdown) => {
    const { html, text } = renderMarkdown(markdown);
    expect(html + text).not.toContain("HIDDEN");
    expect(reduceHtml(html)).toBe(html);
  });

  it.each(["> ", ">", "- ", "1. ", "**", "[", "`", "![](", "<div>", "| ", "*a**b", "|a|b|\n|-|-|\n", "- a\n\n"])(
    "64 KiB of %j end",
    (piece) => {
      expect(renderMarkdown(piece.repeat(Math.floor((64 * 1024) / piece.length))).text).toBeTypeOf("string");
    },
    60_000,
  );

  it("a table of more columns than anyone reads is text, with every word of it", () => {
    const { html, text } = renderMarkdown(`${"|x".repeat(201)}|\n${"|-".repeat(201)}|\n`);
    expect(html).not.toContain("<table");
    expect(text.match(/x/g)).toHaveLength(201);
  });

  it.each(["\r", "\u2028"])("line breaks of another kind (%j) by the ten thousand are rendered", (character) => {
    expect(renderMarkdown(character.repeat(60_000)).text.trim()).toBe("");
  });

  it("quotes and lists as deep as people nest them stay", () => {
    expect(renderMarkdown(`${"> ".repeat(20)}x`).html.match(/<blockquote>/g)).toHaveLength(20);
    expect(renderMarkdown("- a\n  - b\n    - c\n      - d").html.match(/<ul>/g)).toHaveLength(4);
  });
});

describe("plain text", () => {
  it.each([
    ["<p>a</p><p>b</p>", "a\n\nb"],
    ["<ol><li>a</li><li>b</li></ol>", " 1. a\n 2. b"],
    ["<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n> \n> > b"],
    ["<h1>Title</h1><p>x</p>", "Title\n\nx"],
    ['<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"],
    ["&lt;b&gt; &amp;", "<b> &"],
    [`<table>${"<tr><td>a</td><td>b</td></tr>".repeat(1001)}</table>`, Array(1001).fill("a  b").join("\n")],
    ["<style>x</style><script>y</script>z", "z"],
    ["", ""],
  ])("%s", (html, text) => {
    expect(htmlToPlainText(html)).toBe(text.replace(/[ \t]+$/gm, "").trim());
  });
});

describe("finished bodies", () => {
  const none = { signature_block: null, ai_disclosure: false };

  it("without additions are the bodies with LF line ends", () => {
    expect(finishBodies({ text: "a\r\nb\rc\n\n", html: "<p>a\r\n</p>\r" }, none)).toEqual({
      text: "a\nb\nc",
      html: "<p>a\n</p>",
    });
    expect(normalizeNewlines("a\r\r\n\rb")).toBe("a\n\n\nb");
  });

  it("end with the disclosure, then the signature block, in both", () => {
    const additions = { signature_block: "Ada <Agent> & Co\r\nsecond", ai_disclosure: true };
    expect(finishBodies({ text: "Hi.", html: "<p>Hi.</p>" }, additions)).toEqual({
      text: `Hi.\n\n${AI_DISCLOSURE_SENTENCE}\n\n-- \nAda <Agent> & Co\nsecond`,
      html: `<p>Hi.</p>\n<p>${AI_DISCLOSURE_SENTENCE}</p>\n<p>-- <br />Ada &lt;Agent&gt; &amp; Co<br />second</p>`,
    });
  });

  it("have no HTML where there was none", () => {
    expect(finishBodies({ text: "Hi.", html: null }, { signature_block: "A", ai_disclosure: true }).html).toBeNull();
  });

  it("have no delimiter for a signature block of white space", () => {
    expect(finishBodies({ text: "Hi.", html: null }, { signature_block: " \n ", ai_disclosure: false }).text).toBe(
      "Hi.",
    );
  });

  it("are in the safe subset still", () => {
    const { html } = finishBodies(
      { text: "", html: reduceHtml("<p>x</p>") },
      { signature_block: "<script>\n&", ai_disclosure: true },
    );
    expect(reduceHtml(html ?? "")).toBe(html);
  });

  it("a megabyte of newlines that do not stand at the end is read once", () => {
    const body = `${"\n".repeat(1 << 20)}x\n`;
    expect(finishBodies({ text: body, html: body }, none)).toEqual({
      text: body.slice(0, -1),
      html: body.slice(0, -1),
    });
  }, 5_000);

  it("an empty body is the additions alone", () => {
    expect(finishBodies({ text: "", html: null }, { signature_block: null, ai_disclosure: true }).text).toBe(
      AI_DISCLOSURE_SENTENCE,
    );
  });
});
