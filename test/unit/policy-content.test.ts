import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type JudgedSend, judgeSend } from "../../src/oversight/policy.ts";
import { MAX_MATCHING_STEPS } from "../../src/oversight/rules/content.ts";
import { compilePattern, MAX_PATTERN_CHARACTERS, MAX_PATTERN_STEPS } from "../../src/oversight/rules/patterns.ts";
import type { ContentRule } from "../../src/oversight/rules/policy-type.ts";
import { LONGEST_READ } from "../../src/oversight/rules/readable-text.ts";
import { contentRule, policy, send } from "../support/judged-sends.ts";

function judge(rule: Partial<ContentRule>, parts: Partial<JudgedSend>) {
  return judgeSend(send({ policy: policy({ content: [contentRule({ action: "block", ...rule })] }), ...parts }));
}

function isFound(rule: Partial<ContentRule>, text: string): boolean {
  return judge(rule, { text }).verdict === "block";
}

describe("a keyword is found however it is written", () => {
  test.each([
    ["as it is", "password", "the password is"],
    ["in another case", "password", "THE PASSWORD IS"],
    ["first, last and alone", "password", "password"],
    ["beside punctuation", "password", "(password)."],
    ["between underscores", "password", "my_password_here"],
    ["with a zero-width space in it", "password", "pass\u200bword"],
    ["with a soft hyphen in it", "password", "pass\u00adword"],
    ["with a word joiner and a BOM in it", "password", "pa\u2060ss\ufeffword"],
    ["with a right-to-left override before it", "password", "\u202epassword"],
    ["written backwards, and shown forwards", "password", "the \u202edrowssap\u202c is"],
    ["written backwards to the end of the line", "password", "the \u202edrowssap\nis"],
    ["with tag characters in it", "password", "pass\u{e0041}word"],
    ["with a variation selector in it", "password", "pass\ufe0fword"],
    ["with an annotation anchor in it", "password", "pass\ufff9word"],
    ["with a control character in it", "password", "pass\u0001word"],
    ["in full-width letters", "password", "ｐａｓｓｗｏｒｄ"],
    ["in mathematical letters", "password", "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝"],
    ["in circled letters", "password", "ⓟⓐⓢⓢⓦⓞⓡⓓ"],
    ["with Cyrillic letters in it", "password", "pаsswоrd"],
    ["with Greek letters in it", "password", "passwοrd"],
    ["with small capitals in it", "password", "ᴘassword"],
    ["with accents over it", "password", "pássẅord"],
    ["with strokes through it", "password", "p̶a̶s̶s̶w̶o̶r̶d̶"],
    ["a Cyrillic keyword", "пароль", "ваш ПАРОЛЬ:"],
    ["a Cyrillic keyword with a Latin letter in the text", "пароль", "ваш пapоль:"],
    ["an accented keyword without its accents", "überweisung", "die Uberweisung"],
    ["ß as ss", "straße", "STRASSE"],
    ["a final sigma", "λογος", "ΛΟΓΟΣ"],
    ["a phrase over a line break", "wire transfer", "please wire\r\ntransfer it"],
    ["a phrase with many spaces", "wire transfer", "wire  \t \u00a0 transfer"],
    ["a phrase with blank Braille between", "wire transfer", "wire\u2800transfer"],
    ["a phrase with Hangul fillers between", "wire transfer", "wire\u3164\uffa0transfer"],
    ["a phrase in a quotation", "wire transfer", "> please wire\n> transfer it"],
    ["a phrase with emphasis in it", "wire transfer", "a **wire** _transfer_"],
    ["a phrase with a dash", "wire transfer", "wire-transfer"],
    ["a keyword with spaces around it", "  wire   transfer ", "wire transfer"],
    ["signs and words", "C++", "in C++ of course"],
    ["a price", "$500", "costs $500."],
    ["a typographic apostrophe", "don't", "please don’t"],
    ["a dash that does not break", "e-mail", "by e\u2011mail"],
    ["in a script without spaces", "密码", "请输入您的密码吧"],
  ])("%s", (_how, keyword, text) => {
    expect(isFound({ keywords: [keyword] }, text)).toBe(true);
  });

  test.each([
    ["inside a longer word", "pass", "the password"],
    ["an inflected word", "wire", "wired and rewire"],
    ["a phrase in another order", "wire transfer", "transfer the wire"],
    ["a phrase with a word between", "wire transfer", "wire a transfer"],
    ["a phrase that the text only begins", "wire transfer", "wire"],
    ["letters apart", "pass", "p a s s"],
    ["words that look alike only to OCR", "modem", "modern"],
    ["a keyword with signs without its signs", "C++", "plan c"],
    ["a number inside another", "500", "1500"],
  ])("but it is whole: not %s", (_how, keyword, text) => {
    expect(isFound({ keywords: [keyword] }, text)).toBe(false);
  });
});

describe("a rule looks where it says, and nowhere else", () => {
  const RULE = { keywords: ["secret"] };
  const PLACES: [place: "subject" | "body" | "tags", what: string, parts: Partial<JudgedSend>][] = [
    ["subject", "the subject", { subject: "A secret" }],
    ["body", "the text", { text: "A secret" }],
    ["body", "the HTML", { html: "<p>A secret</p>" }],
    ["body", "HTML with tags in the word", { html: "<p>se<b>cre</b>t</p>" }],
    ["body", "HTML with character references", { html: "<p>&#115;ecret</p>" }],
    ["body", "HTML with a comment in the word", { html: "<p>sec<!-- x -->ret</p>" }],
    ["body", "HTML with a hidden word in the word", { html: '<p>sec<span style="display:none">x</span>ret</p>' }],
    ["body", "hidden HTML", { html: '<p>Hello</p><div style="display:none">secret</div>' }],
    ["body", "an alternative text", { html: '<img alt="secret">' }],
    ["body", "the address of a link", { html: '<a href="https://x.example/secret">here</a>' }],
    ["tags", "a tag's key", { tags: { secret: "" } }],
    ["tags", "a tag's value", { tags: { kind: "secret" } }],
  ];
  test.each(PLACES)("%s: %s", (place, _what, parts) => {
    expect(judge({ ...RULE, in: [place] }, parts).verdict).toBe("block");
    const others = (["subject", "body", "tags"] as const).filter((other) => other !== place);
    expect(judge({ ...RULE, in: others }, parts).verdict).toBe("allow");
  });

  test("a phrase is not put together from two tags", () => {
    const tags = { wire: "transfer" };
    expect(judge({ keywords: ["wire transfer"], in: ["tags"] }, { tags }).verdict).toBe("allow");
  });

  test("any keyword or the pattern is enough", () => {
    const rule = { keywords: ["one", "two"], pattern: "thr[e3]{2}" };
    expect(["one", "two", "thr3e", "four"].map((text) => isFound(rule, text))).toEqual([true, true, true, false]);
  });

  test("a rule with nothing to look for finds nothing", () => {
    expect(isFound({}, "whatever")).toBe(false);
    expect(isFound({ keywords: ["\u200b "] }, "whatever")).toBe(false);
  });

  test("the sentence names the rule, what was found and where, with nothing hidden in it", () => {
    const rule = { name: "no\u202esecrets", keywords: ["secret"] };
    const { because } = judge(rule, { subject: "Secret" });
    expect(because).toBe("The content rule “no⟦U+202E⟧secrets” found “secret” in the subject.");
  });
});

describe("a pattern is found in the text as one line, without case", { timeout: 60_000 }, () => {
  test.each([
    ["anywhere", "\\d{4}", "PIN 4711!"],
    ["in another case", "secret", "SECRET"],
    ["over a line break", "wire transfer", "wire\ntransfer"],
    ["with a zero-width space in the text", "secret", "sec\u200bret"],
    ["with look-alike letters in the text", "secret", "sеcrеt"],
    ["with another alphabet's digits", "\\d{4}", "４７１１"],
    ["from the beginning to the end", "^good morning$", "  Good\n morning "],
  ])("%s", (_how, pattern, text) => {
    expect(isFound({ pattern }, text)).toBe(true);
  });

  test.each([
    ["look-ahead", "(?=a)", /look-around/],
    ["negative look-ahead", "a(?!b)", /look-around/],
    ["look-behind", "(?<=a)b", /look-around/],
    ["back-references", "(a)\\1", /back-references/],
    ["an open bracket", "(", /missing closing \): “\(”/],
    ["an open class", "[a", /missing closing \]: “\[a”/],
    ["a doubled repetition", "a**", /repetition operator: “\*\*”/],
    ["a repetition too large", "a{1001}", /repeat count: “\{1001\}”/],
    ["repetitions that multiply", "(a{100}){100}", /repeat count/],
  ])("%s is no pattern, and it says why and where", (_what, pattern, words) => {
    const compiled = compilePattern(pattern);
    expect("problem" in compiled && compiled.problem).toMatch(words);
  });

  test("a pattern may have so many steps, and no more", () => {
    // Two steps besides the repetition's own: the beginning and the match.
    const most = compilePattern(`.{${MAX_PATTERN_STEPS - 2}}`);
    expect("steps" in most && most.steps).toBe(MAX_PATTERN_STEPS);
    const tooMany = compilePattern(`.{${MAX_PATTERN_STEPS - 1}}`);
    expect("problem" in tooMany && tooMany.problem).toMatch(/has 1001 steps/);
  });

  test("whatever is written compiles or has a problem in words", () => {
    const text = fc.string({ unit: "binary", maxLength: MAX_PATTERN_CHARACTERS });
    const syntax = fc.string({
      unit: fc.constantFrom(..."ab1()[]{},|*+?.^$\\-:<>=!pdwPQEzi"),
      maxLength: MAX_PATTERN_CHARACTERS,
    });
    fc.assert(
      fc.property(fc.oneof(text, syntax), (pattern) => {
        const compiled = compilePattern(pattern);
        expect("problem" in compiled ? compiled.problem : compiled.steps).toBeTruthy();
      }),
      { numRuns: 2000 },
    );
  });
});

describe("what a rule could not read is held, so that length hides nothing", { timeout: 60_000 }, () => {
  const TAIL = "secret";
  const filler = (length: number) => "a ".repeat(length / 2);

  test("a keyword at the end of the longest text that is read is found, in a longer one the message is held", () => {
    const fits = filler(LONGEST_READ - TAIL.length) + TAIL;
    expect(judge({ keywords: ["secret"] }, { text: fits }).verdict).toBe("block");
    expect(judge({ keywords: ["nowhere"] }, { text: fits }).verdict).toBe("allow");
    expect(judge({ keywords: ["nowhere"] }, { text: `${fits}.` }).verdict).toBe("hold");
    expect(judge({ keywords: ["secret"] }, { text: `${fits}.` }).verdict).toBe("block");
  });

  test("what grows too long once it is read is held", () => {
    // One sign whose compatibility form has 18.
    const text = "\ufdfa".repeat(Math.ceil(LONGEST_READ / 18) + 1);
    expect(judge({ keywords: ["nowhere"] }, { text }).verdict).toBe("hold");
  });

  test("a pattern reads as far as its steps go, and what is beyond is held", () => {
    const pattern = ".{900}q";
    const compiled = compilePattern(pattern);
    const steps = "steps" in compiled ? compiled.steps : 0;
    const longest = Math.floor(MAX_MATCHING_STEPS / steps);
    const dots = (length: number) => `${".".repeat(length - 1)}q`;
    expect(judge({ pattern, in: ["body"] }, { text: dots(longest) }).verdict).toBe("block");
    expect(judge({ pattern, in: ["body"] }, { text: dots(longest + 1) }).verdict).toBe("hold");
    expect(judge({ pattern: "z", in: ["body"] }, { text: dots(longest + 1) }).verdict).toBe("allow");
  });

  test("what is hidden at the end of the HTML counts as unread, too", () => {
    const html = `<p>${"x ".repeat(LONGEST_READ / 2)}y</p><p>secret</p>`;
    expect(judge({ keywords: ["secret"] }, { html }).verdict).toBe("hold");
  });

  test("no rule reads less because of another", () => {
    const slow = Array.from({ length: 9 }, () => contentRule({ pattern: ".{990}q" }));
    const last = contentRule({ pattern: "secret", action: "block" });
    const text = filler(100_000) + TAIL;
    expect(judgeSend(send({ policy: policy({ content: [...slow, last] }), text })).verdict).toBe("block");
  });

  test("a pattern that cannot be used any more holds", () => {
    expect(judge({ pattern: "(?=a)" }, {}).verdict).toBe("hold");
  });
});

describe("rules over a long text take a time that grows with its length", { timeout: 60_000 }, () => {
  const NUMBERS = Array.from({ length: 20 }, (_, i) => i);
  const random = (alphabet: string, length: number) => {
    let seed = 1;
    return Array.from({ length }, () => {
      seed = (seed * 48271) % 2147483647;
      return alphabet[seed % alphabet.length];
    }).join("");
  };
  const RULES: [what: string, rules: ContentRule[], text: string][] = [
    [
      "ordinary patterns",
      NUMBERS.map((i) => contentRule({ pattern: `\\b${i}\\d{3}[ -]?\\d{4}[ -]?\\d{4}\\b` })),
      "The quick brown fox 4711 jumps. ".repeat(8192),
    ],
    [
      "patterns that make a backtracking matcher explode",
      NUMBERS.map((i) => contentRule({ pattern: `(x+x+)+y${i}|(a|aa)+b|(.*)(.*)(.*)z${i}$` })),
      "xa".repeat(131_072),
    ],
    [
      "patterns that make an automaton explode",
      NUMBERS.slice(0, 3).map((i) => contentRule({ pattern: `[ab]*a[ab]{300}q${i}` })),
      random("ab", 262_144),
    ],
    [
      "as many keywords as there may be",
      NUMBERS.map((i) =>
        contentRule({ keywords: Array.from({ length: 50 }, (_, k) => `${"a ".repeat(45)}b${i}x${k}`) }),
      ),
      "a ".repeat(131_072),
    ],
    [
      "HTML made of nothing but open tags and quotes",
      NUMBERS.map((i) => contentRule({ keywords: [`k${i}`] })),
      `<b><i>${"<p a='".repeat(20_000)}`,
    ],
  ];
  test.each(RULES)("%s", (_what, content, text) => {
    expect(["allow", "hold"]).toContain(judgeSend(send({ policy: policy({ content }), text, html: text })).verdict);
  });
});
