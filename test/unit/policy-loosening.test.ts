import { describe, expect, test } from "vitest";
import { whatPolicyLoosens } from "../../src/oversight/policy-loosening.ts";
import type { Budgets, FallBack, Policy, SendingHours } from "../../src/oversight/rules/policy-type.ts";
import { attachmentRule, contentRule, policy } from "../support/judged-sends.ts";

const WORK: SendingHours = { time_zone: "Europe/Madrid", days: ["mon", "tue"], from: "09:00", until: "17:00" };
const NIGHT: SendingHours = { ...WORK, from: "22:00", until: "06:00" };
const BACK: FallBack = { mode: "gated_send", bounces: 3, complaints: null, days: 30 };
const budgets = (parts: Partial<Budgets>) => ({ budgets: { ...policy().budgets, ...parts } });
const SECRET = contentRule({ name: "secrets", keywords: ["secret"], in: ["body"] });
const PROGRAMS = attachmentRule({ name: "programs", types: [".exe"] });

describe("every loosening is told in words, what it becomes and what it is", () => {
  test.each<[now: Partial<Policy>, to: Partial<Policy>, words: string[]]>([
    [{ templates_only: true }, {}, ["it may send without an approved template"]],
    [{ risk_hold: 0.5 }, { risk_hold: 0.8 }, ["mail is held only from a risk of 0.8 on (now from 0.5 on)"]],
    [{ risk_hold: 0.5 }, {}, ["risky mail is no longer held (now from 0.5 on)"]],
    [{ risk_block: 0 }, { risk_block: 0.1 }, ["mail is blocked only from a risk of 0.1 on (now from 0 on)"]],
    [{ risk_block: 1 }, {}, ["risky mail is no longer blocked (now from 1 on)"]],
    [
      { new_recipients: "block" },
      { new_recipients: "hold" },
      ["mail to people whom no human has approved before is held (now blocked)"],
    ],
    [{ new_recipients: "hold" }, {}, ["mail to people whom no human has approved before is let go (now held)"]],
    [budgets({ per_day: 20 }), budgets({ per_day: 50 }), ["it may send 50 messages a day (now 20)"]],
    [budgets({ per_hour: 0 }), budgets({ per_hour: 1 }), ["it may send 1 message an hour (now 0)"]],
    [
      budgets({ per_recipient_per_hour: 1, per_recipient_per_day: 2 }),
      budgets({ per_recipient_per_hour: 2 }),
      [
        "it may send one recipient 2 messages an hour (now 1)",
        "it may send one recipient any number of messages a day (now 2)",
      ],
    ],
    [
      { sending_hours: WORK },
      {},
      ["it may send at any hour (now from 09:00 until 17:00 on Monday, Tuesday (Europe/Madrid))"],
    ],
    [
      { sending_hours: WORK },
      { sending_hours: { ...WORK, until: "17:01" } },
      [
        "it may send from 09:00 until 17:01 on Monday, Tuesday (Europe/Madrid) (now from 09:00 until 17:00 on Monday, Tuesday (Europe/Madrid))",
      ],
    ],
    [
      { sending_hours: WORK },
      { sending_hours: { ...WORK, time_zone: "Europe/Paris" } },
      [
        "it may send from 09:00 until 17:00 on Monday, Tuesday (Europe/Paris) (now from 09:00 until 17:00 on Monday, Tuesday (Europe/Madrid))",
      ],
    ],
    [{ fall_back: BACK }, {}, ["it no longer falls back to gated_send after more than 3 bounces within 30 days"]],
    [
      { fall_back: BACK },
      { fall_back: { mode: "monitored", bounces: 1, complaints: 1, days: 1 } },
      [
        "it falls back to monitored after more than 1 bounce or 1 complaint within 1 day (now it falls back to gated_send after more than 3 bounces within 30 days)",
      ],
    ],
    [
      { blocklist: ["a@x.example", "y.example", "z.example"] },
      { blocklist: ["y.example"] },
      ["it may write to a@x.example, z.example (now on the blocklist)"],
    ],
    [{ content: [SECRET] }, {}, ["mail with “secret” in the body is let go (now held)"]],
    [
      { content: [{ ...SECRET, action: "block" }] },
      { content: [SECRET] },
      ["mail with “secret” in the body is held (now blocked)"],
    ],
    [
      { content: [{ ...SECRET, pattern: "pin\\d", in: ["subject", "body"] }] },
      { content: [{ ...SECRET, pattern: "pin\\d\\d" }] },
      [
        "mail with “secret” in the subject is let go (now held)",
        "mail with what the pattern “pin\\d” finds in the subject is let go (now held)",
        "mail with what the pattern “pin\\d” finds in the body is let go (now held)",
      ],
    ],
    [
      { content: [contentRule({ keywords: ["a\u202eb"], in: ["tags"] })] },
      {},
      ["mail with “a⟦U+202E⟧b” in the tags is let go (now held)"],
    ],
    [{ attachments: [PROGRAMS] }, {}, ["of attachments: none held or blocked (now: .exe held)"]],
    [
      { attachments: [attachmentRule({ action: "block" })] },
      { attachments: [attachmentRule({ action: "block", larger_than: 1 }), PROGRAMS] },
      ["of attachments: all over 1 byte blocked; .exe held (now: all blocked)"],
    ],
  ])("%j to %j", (now, to, words) => {
    expect(whatPolicyLoosens(policy(to), policy(now))).toEqual(words);
  });
});

describe("what only tightens, or changes nothing, is no loosening", () => {
  test.each<[what: string, now: Partial<Policy>, to: Partial<Policy>]>([
    ["nothing", {}, {}],
    ["templates only", {}, { templates_only: true }],
    ["lower thresholds", { risk_hold: 0.5, risk_block: 0.9 }, { risk_hold: 0.4, risk_block: 0.9 }],
    ["a threshold where there was none", {}, { risk_hold: 1, risk_block: 1 }],
    ["new recipients blocked in place of held", { new_recipients: "hold" }, { new_recipients: "block" }],
    ["smaller budgets", budgets({ per_day: 20 }), budgets({ per_day: 19, per_hour: 1000 })],
    ["hours where there were none", {}, { sending_hours: WORK }],
    [
      "fewer hours",
      { sending_hours: WORK },
      { sending_hours: { ...WORK, from: "10:00", until: "11:00", days: ["tue"] } },
    ],
    ["hours written otherwise", { sending_hours: WORK }, { sending_hours: { ...WORK, days: ["tue", "mon"] } }],
    [
      "hours within a night, on the day after",
      { sending_hours: { ...NIGHT, days: ["mon"] } },
      { sending_hours: { ...WORK, days: ["tue"], from: "01:00", until: "05:00" } },
    ],
    ["a fall-back where there was none", {}, { fall_back: BACK }],
    [
      "a stricter fall-back",
      { fall_back: BACK },
      { fall_back: { mode: "read_only", bounces: 2, complaints: 5, days: 90 } },
    ],
    ["more on the blocklist", { blocklist: ["x.example"] }, { blocklist: ["y.example", "x.example"] }],
    [
      "a domain in place of its addresses",
      { blocklist: ["a@x.example", "b-*@x.example"] },
      { blocklist: ["x.example"] },
    ],
    ["a glob in place of its domains", { blocklist: ["eu.x.example"] }, { blocklist: ["*.x.example"] }],
    ["a rule more", { content: [SECRET] }, { content: [contentRule({ keywords: ["x"] }), SECRET] }],
    ["a rule by another name", { content: [SECRET] }, { content: [{ ...SECRET, name: "other" }] }],
    [
      "a rule that looks for more",
      { content: [SECRET] },
      { content: [{ ...SECRET, keywords: ["x", "secret"], pattern: "y", in: ["tags", "body"] }] },
    ],
    ["a rule that blocks", { content: [SECRET] }, { content: [{ ...SECRET, action: "block" }] }],
    [
      "a rule split into two",
      { content: [{ ...SECRET, keywords: ["a", "b"] }] },
      { content: [contentRule({ keywords: ["b"] }), contentRule({ keywords: ["a"] })] },
    ],
    [
      "a rule that another already did more than",
      { content: [SECRET, { ...SECRET, action: "block" }] },
      { content: [{ ...SECRET, action: "block" }] },
    ],
    ["attachments of more types", { attachments: [PROGRAMS] }, { attachments: [{ ...PROGRAMS, types: [".e*"] }] }],
    ["attachments of all types", { attachments: [PROGRAMS] }, { attachments: [attachmentRule({})] }],
    [
      "smaller attachments",
      { attachments: [{ ...PROGRAMS, larger_than: 5 }] },
      { attachments: [{ ...PROGRAMS, larger_than: 4 }] },
    ],
    ["attachments of any size", { attachments: [{ ...PROGRAMS, larger_than: 5 }] }, { attachments: [PROGRAMS] }],
  ])("%s", (_what, now, to) => {
    expect(whatPolicyLoosens(policy(to), policy(now))).toEqual([]);
  });
});

describe("what could loosen something counts as doing so", () => {
  test.each<[what: string, now: Partial<Policy>, to: Partial<Policy>]>([
    ["a longer night", { sending_hours: NIGHT }, { sending_hours: { ...NIGHT, until: "06:01" } }],
    ["another day", { sending_hours: WORK }, { sending_hours: { ...WORK, days: ["mon", "wed"] } }],
    ["a whole day", { sending_hours: WORK }, { sending_hours: { ...WORK, until: "09:00" } }],
    ["the addresses of a domain", { blocklist: ["x.example"] }, { blocklist: ["a@x.example", "*.x.example"] }],
    [
      "another pattern, whatever it matches",
      { content: [contentRule({ pattern: "a", in: ["tags"] })] },
      { content: [contentRule({ pattern: "a|b" })] },
    ],
    [
      "a fall-back that no longer counts bounces",
      { fall_back: BACK },
      { fall_back: { ...BACK, bounces: null, complaints: 1 } },
    ],
    ["a fall-back that allows more bounces", { fall_back: BACK }, { fall_back: { ...BACK, bounces: 4 } }],
    ["a fall-back over fewer days", { fall_back: BACK }, { fall_back: { ...BACK, days: 29 } }],
    ["a fall-back to a looser mode", { fall_back: BACK }, { fall_back: { ...BACK, mode: "autonomous" } }],
    [
      "larger attachments",
      { attachments: [{ ...PROGRAMS, larger_than: 5 }] },
      { attachments: [{ ...PROGRAMS, larger_than: 6 }] },
    ],
    [
      "attachments of fewer types",
      { attachments: [attachmentRule({ types: [".exe", ".js"] })] },
      { attachments: [PROGRAMS] },
    ],
    [
      "attachments held in place of blocked",
      { attachments: [{ ...PROGRAMS, action: "block" }] },
      { attachments: [PROGRAMS] },
    ],
    [
      "attachments of types in place of all",
      { attachments: [attachmentRule({})] },
      { attachments: [attachmentRule({ types: ["*/*"] })] },
    ],
  ])("%s", (_what, now, to) => {
    expect(whatPolicyLoosens(policy(to), policy(now))).toHaveLength(1);
  });
});

test("the words leave nothing out, however much it is, and what is short comes first", () => {
  const blocklist = Array.from({ length: 1000 }, (_, i) => `p${i}@x.example`);
  const words = whatPolicyLoosens(policy(), policy({ blocklist, templates_only: true, risk_hold: 0.5 }));
  expect(words.map((clause) => clause.slice(0, 30))).toEqual([
    "it may send without an approve",
    "risky mail is no longer held (",
    "it may write to p0@x.example, ",
  ]);
  expect(blocklist.filter((pattern) => !words[2]?.includes(pattern))).toEqual([]);
});
