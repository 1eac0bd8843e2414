import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { htmlToPlainText } from "../../src/mail/plain-text.ts";
import { reduceHtml } from "../../src/mail/safe-html.ts";

/** The deepest nesting of tags in reduced HTML. */
function depthOf(html: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [, slash, name] of html.matchAll(/<(\/?)([a-z0-9]+)/g)) {
    if (name === "br" || name === "hr") continue;
    depth += slash ? -1 : 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

describe("kept", () => {
  it.each([
    ["<p>a <b>b</b> <em>c</em><br>d</p>", "<p>a <b>b</b> <em>c</em><br />d</p>"],
    [
      "<h1>a</h1><h2>b</h2><blockquote>c</blockquote><pre>d\n e</pre>",
      "<h1>a</h1><h2>b</h2><blockquote>c</blockquote><pre>d\n e</pre>",
    ],
    ['<ol start="3"><li value="5">a</li></ol>', '<ol start="3"><li value="5">a</li></ol>'],
    ['<table><tr><td colspan="2">a</td></tr></table>', '<table><tr><td colspan="2">a</td></tr></table>'],
    ['<p dir="RTL">א</p>', '<p dir="rtl">א</p>'],
    ['<a href="https://x.example/?a=1&amp;b=2">x</a>', '<a href="https://x.example/?a=1&amp;b=2">x</a>'],
    ['<a href="mailto:a@x.example">x</a>', '<a href="mailto:a@x.example">x</a>'],
    ["a &lt;script&gt; &amp;amp; b", "a &lt;script&gt; &amp;amp; b"],
    ['<p aria-hidden="true">seen all the same</p>', "<p>seen all the same</p>"],
    ['<p style="color:#333;background:#fff;font-size:14px;margin:0">x</p>', "<p>x</p>"],
    ['<p style="color:#fff">white on somebody\'s dark table</p>', "<p>white on somebody's dark table</p>"],
  ])("%s", (html, expected) => {
    expect(reduceHtml(html)).toBe(expected);
  });
});

describe("taken out, its text kept", () => {
  it.each([
    ['<p class="x" id="y" style="color:red" onclick="e()" data-x="1">a</p>', "<p>a</p>"],
    ['<a href="javascript:alert(1)">a</a>', "<a>a</a>"],
    ['<a href="jAvA\tscript:alert(1)">a</a>', "<a>a</a>"],
    ['<a href="data:text/html,x">a</a>', "<a>a</a>"],
    ['<a href="//evil.example">a</a>', "<a>a</a>"],
    ['<a href="cid:x">a</a>', "<a>a</a>"],
    [
      '<p>a <img src="https://t.example/c.gif" alt="Chart &lt;1&gt;"> b</p>c',
      "<p>a <span>Chart &lt;1&gt;</span> b</p>c",
    ],
    ['<img src="cid:x"> a', " a"],
    [
      '<input type="checkbox" checked> done <input type=checkbox> open <input type="text" value="v">',
      "<span>[x]</span> done <span>[ ]</span> open ",
    ],
    ["<form action=x><label>Name</label></form>", "Name"],
    ["<small><sub>tiny</sub></small>", "tiny"],
    ["<h6>x</h6>", "<h4>x</h4>"],
    ["<font color=red size=1>x</font>", "x"],
    ["<td colspan=99999>x</td>", "<td>x</td>"],
    ["<bdo dir=rtl>x</bdo>", "x"],
    ["<!-- a --><p>b</p><!--[if mso]>c<![endif]-->", "<p>b</p>"],
    ["<details><summary>s</summary>t</details>", "st"],
    ["<marquee>x</marquee><blink>y</blink>", "xy"],
  ])("%s", (html, expected) => {
    expect(reduceHtml(html)).toBe(expected);
  });
});

describe("taken out with its text", () => {
  it.each([
    "<script>HIDDEN</script>",
    "<style>HIDDEN</style>",
    "<head><title>HIDDEN</title></head>",
    "<template>HIDDEN</template>",
    "<noscript>HIDDEN</noscript>",
    "<svg><text>HIDDEN</text></svg>",
    "<math><mtext>HIDDEN</mtext></math>",
    "<object>HIDDEN</object>",
    "<video>HIDDEN</video>",
    "<select><option>HIDDEN</option></select>",
    "<textarea>HIDDEN</textarea>",
    "<p hidden>HIDDEN</p>",
    '<p hidden="">HIDDEN<b>HIDDEN</b></p>',
    '<img hidden alt="HIDDEN">',
    '<img style="display:none" alt="HIDDEN">',
    '<p style="display:none">HIDDEN</p>',
    '<p style="DISPLAY : NONE !important">HIDDEN</p>',
    '<p style="dis\\70lay:none">HIDDEN</p>',
    '<p style="display:/**/none">HIDDEN</p>',
    '<p style="display&colon;none">HIDDEN</p>',
    '<div style="display:none"><p>HIDDEN</p><table><tr><td>HIDDEN</table></div>',
    '<p style="visibility:hidden">HIDDEN</p>',
    '<p style="visibility:collapse">HIDDEN</p>',
    '<p style="opacity:0">HIDDEN</p>',
    '<p style="opacity:.01">HIDDEN</p>',
    '<p style="opacity:1%">HIDDEN</p>',
    '<p style="font-size:0">HIDDEN</p>',
    '<p style="font-size:1px">HIDDEN</p>',
    '<p style="font:0/0 a">HIDDEN</p>',
    '<p style="font:1px serif">HIDDEN</p>',
    '<p style="mso-hide:all">HIDDEN</p>',
    '<p style="max-height:0;overflow:hidden">HIDDEN</p>',
    '<p style="width:0px">HIDDEN</p>',
    '<p style="text-indent:-9999px">HIDDEN</p>',
    '<p style="position:absolute;left:-10000px">HIDDEN</p>',
    '<p style="position:fixed;top:-100%">HIDDEN</p>',
    '<p style="margin-left:-9999em">HIDDEN</p>',
    '<p style="margin:-9999px 0 0">HIDDEN</p>',
    '<p style="clip:rect(0,0,0,0)">HIDDEN</p>',
    '<p style="clip-path:inset(50%)">HIDDEN</p>',
    '<p style="transform:scale(0)">HIDDEN</p>',
    '<p style="transform:translateX(-9999px)">HIDDEN</p>',
    '<p style="color:transparent">HIDDEN</p>',
    '<p style="color:rgba(0,0,0,0)">HIDDEN</p>',
    '<p style="color:#FFF;background:white">HIDDEN</p>',
    '<p style="color:rgb(255, 255, 255);background-color:#ffffff">HIDDEN</p>',
    '<font color="#ffffff" bgcolor="#FFFFFF">HIDDEN</font>',
    '<p style="display:none">HIDDEN',
  ])("%s", (html) => {
    const reduced = reduceHtml(`<p>before</p>${html}`);
    expect(reduced).toContain("before");
    expect(reduced).not.toContain("HIDDEN");
  });
});

describe("what tries to break out", () => {
  it.each([
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)//",
    '<a href="https://x" title="</a><script>alert(1)</script>">x</a>',
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mi><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea></textarea/><img src=x onerror=alert(1)>",
    "<xmp></xmp/><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>&lt;script&gt;alert(1)</iframe>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[><script>alert(1)</script>]]>",
    "<base href=https://evil.example><link rel=stylesheet href=x><meta http-equiv=refresh content=0>",
    "<plaintext><script>alert(1)</script>",
    "<p\0 onclick=x>a</p>",
  ])("%s", (html) => {
    const reduced = reduceHtml(html);
    expect(reduced).not.toMatch(/<(?!\/?(?:p|div|a|b|table|tbody|tr|td)\b)/i);
    expect(reduced).not.toMatch(/<[^>]*\son\w+=/i);
    expect(reduceHtml(reduced)).toBe(reduced);
  });
});

describe("bounds", () => {
  it.each([
    ["100,000 nested divs", "<div>".repeat(100_000)],
    ["100,000 nested divs with text", "<div>x".repeat(100_000)],
    ["100,000 nested links", "<a href=https://x>".repeat(100_000)],
    ["30,000 nested tables", "<table><tr><td>".repeat(30_000)],
    ["crossing tags", "<b><i>x</b>".repeat(50_000)],
    ["100,000 hidden elements", "<span hidden>x</span>a".repeat(100_000)],
    ["100,000 closing tags", "</div>".repeat(100_000)],
    ["a style of 1 MiB", `<p style="${"translate(".repeat(100_000)}">x`],
    ["an unclosed attribute", `<p title="${"x".repeat(1 << 20)}`],
    ["an unclosed comment", `<!--${"x".repeat(1 << 20)}`],
    ["300,000 angle brackets", "<".repeat(300_000)],
    ["100,000 tags that never end", "<a".repeat(100_000)],
    ["100,000 closing tags that never end", "</a".repeat(100_000)],
    ["elements that close others but not each other", "<p><li>".repeat(100_000)],
    ["closing tags that close nothing", "<i></b>".repeat(100_000)],
    ["white space in pre", `<pre>${" ".repeat(100_000)}x`],
    ["250 long backgrounds", `<p style="background:${"a ".repeat(2_000)}">x`.repeat(250)],
    ["250 long transforms", `<p style="transform:${"translate(".repeat(400)}">x`.repeat(250)],
    ["100,000 foreign elements", "<svg>".repeat(100_000)],
  ])(
    "%s end with a bounded depth, and as text",
    (_name, html) => {
      const reduced = reduceHtml(html);
      expect(depthOf(reduced)).toBeLessThanOrEqual(64);
      expect(reduceHtml(reduced)).toBe(reduced);
      expect(htmlToPlainText(html)).toBeTypeOf("string");
    },
    30_000,
  );

  it("text nested too deep stays", () => {
    expect(reduceHtml(`${"<div>".repeat(1000)}deep${"</div>".repeat(1000)}`)).toContain("deep");
  });

  it("long documents of elements that close themselves stay whole", () => {
    const reduced = reduceHtml("<p>x".repeat(2000));
    expect(reduced.match(/<p>x<\/p>/g)).toHaveLength(2000);
    expect(reduceHtml(`<ul>${"<li>x".repeat(2000)}</ul>`).match(/<li>/g)).toHaveLength(2000);
  });
});

describe("properties", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      ...[
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<b>",
        "</b>",
        "<a href='https://x.example'>",
        "</a>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
      ],
      ...[
        "<ul>",
        "<li>",
        "</ul>",
        "<br>",
        "<h5>",
        "</h5>",
        "<font>",
        "</font>",
        "<blockquote>",
        "</blockquote>",
        "<pre>",
        "</pre>",
      ],
      ...[
        "<script>",
        "</script>",
        "<style>",
        "<svg>",
        "</svg>",
        "<span hidden>",
        "</span>",
        "<p style='display:none'>",
        "<img alt='&lt;b&gt;'>",
      ],
      ...[
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "&lt;",
        "&amp;",
        "&",
        "<",
        ">",
        "'",
        '"',
        "text",
        " ",
        "\n",
        "\r",
        "\0",
        "&#60;script&#62;",
      ],
      ...[
        "<iframe>",
        "</iframe>",
        "<noscript>",
        "</noscript>",
        "<textarea>",
        "</textarea>",
        "<xmp>",
        "<select>",
        "<option>",
        "<button>",
        "<form>",
      ],
    ),
    fc.string({ unit: "grapheme", maxLength: 8 }),
  );

  it("reducing again changes nothing, and nothing outside the subset is left", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const reduced = reduceHtml(pieces.join(""));
        expect(reduceHtml(reduced)).toBe(reduced);
        expect(reduced).not.toMatch(/<(?!\/?(?:p|div|b|a|table|tr|td|ul|li|br|h4|blockquote|pre|span|tbody)\b)/);
        expect(reduced).not.toMatch(/<[^>]*\b(?:style|class|id|src|on\w+|hidden)\b/);
      }),
      { numRuns: 5000 },
    );
  });
});
