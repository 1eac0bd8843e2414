import { describe, expect, test } from "vitest";
import { type JudgedSend, judgeSend, type SentCounts } from "../../src/oversight/policy.ts";
import type { AttachmentRule, Budgets, SendingHours } from "../../src/oversight/rules/policy-type.ts";
import { attachmentRule, NOON, policy, recipient, send } from "../support/judged-sends.ts";

function judge(parts: Partial<JudgedSend>) {
  return judgeSend(send(parts));
}

const ANA = "ana@customer.example";

describe("risk: at a threshold and over it", () => {
  test.each([
    [0.49, 0.5, null, "allow"],
    [0.5, 0.5, null, "hold"],
    [0.69, 0.5, 0.7, "hold"],
    [0.7, 0.5, 0.7, "block"],
    [0.7, null, 0.7, "block"],
    [0.69, null, 0.7, "allow"],
    [1, 1, 1, "block"],
    [0, 0, null, "hold"],
    [1, null, null, "allow"],
  ])("%s with hold %s, block %s: %s", (score, risk_hold, risk_block, verdict) => {
    expect(judge({ policy: policy({ risk_hold, risk_block }), risk: { score, reasons: [] } }).verdict).toBe(verdict);
  });

  test("the sentence has the number, the threshold and what speaks for it", () => {
    const reasons = [{ reason: "new_domain", weight: 0.5, because: "This mailbox never wrote to x.example before." }];
    const { because } = judge({ policy: policy({ risk_hold: 0.4 }), risk: { score: 0.5, reasons } });
    expect(because).toBe("Its risk is 0.5, and from 0.4 on it is held. This mailbox never wrote to x.example before.");
  });
});

describe("blocklist: nobody on it gets anything", () => {
  const blocklist = [ANA, "rival.example", "*.rival.example", "press-*@news.example"];
  test.each<[what: string, address: string, parts: object, verdict: string]>([
    ["an address", ANA, {}, "block"],
    ["in another case", "ANA@Customer.example", {}, "block"],
    ["with needless quotes", '"ana"@customer.example', {}, "block"],
    ["with a tag", "ana+x@customer.example", {}, "block"],
    ["with a tag and on the allowlist", "ana+x@customer.example", { allowlisted: "apr_1" }, "block"],
    ["a domain", "bob@rival.example", {}, "block"],
    ["a domain below", "bob@eu.rival.example", {}, "block"],
    ["a glob, with a tag", "press-1+x@news.example", {}, "block"],
    ["known to a human", ANA, { known: true }, "block"],
    ["an automatic copy", ANA, { automatic: true }, "block"],
    ["another address", "bob@customer.example", {}, "allow"],
    ["a domain that ends alike", "bob@notrival.example", {}, "allow"],
  ])("%s: %s", (_what, address, parts, verdict) => {
    const recipients = [recipient("carl@customer.example"), recipient(address, parts)];
    expect(judge({ policy: policy({ blocklist }), recipients }).verdict).toBe(verdict);
  });

  test("the sentence names the first three and counts the rest", () => {
    const recipients = [1, 2, 3, 4, 5].map((n) => recipient(`r${n}@rival.example`));
    expect(judge({ policy: policy({ blocklist }), recipients }).because).toBe(
      "The blocklist has r1@rival.example, r2@rival.example, r3@rival.example and 2 more.",
    );
  });
});

describe("new recipients: a human's approval makes someone known, and nothing else", () => {
  test.each([
    ["never approved", {}, "hold"],
    ["approved before", { known: true }, "allow"],
    ["on the allowlist", { allowlisted: "apr_1" }, "allow"],
    ["an automatic copy", { automatic: true }, "allow"],
  ])("%s: %s", (_what, parts, verdict) => {
    const recipients = [recipient("carl@customer.example", { known: true }), recipient(ANA, parts)];
    expect(judge({ policy: policy({ new_recipients: "hold" }), recipients }).verdict).toBe(verdict);
    expect(judge({ policy: policy({ new_recipients: "block" }), recipients }).verdict).toBe(
      verdict === "hold" ? "block" : "allow",
    );
    expect(judge({ policy: policy({ new_recipients: "allow" }), recipients }).verdict).toBe("allow");
  });
});

describe("a template goes where it was approved for", () => {
  const template = (allowed_domains?: string[]) => ({
    id: "tpl_1",
    approval_ref: "apr_1",
    ...(allowed_domains && { allowed_domains }),
  });
  test.each<[what: string, domains: string[] | undefined, address: string, parts: object, verdict: string]>([
    ["anyone, if it names no domains", undefined, ANA, {}, "allow"],
    ["its domain", ["customer.example"], ANA, {}, "allow"],
    ["one of its domains", ["other.example", "customer.example"], ANA, {}, "allow"],
    ["a domain below", ["customer.example"], "ana@eu.customer.example", {}, "deny"],
    ["a domain that ends alike", ["customer.example"], "ana@notcustomer.example", {}, "deny"],
    ["another domain", ["customer.example"], "ana@rival.example", {}, "deny"],
    ["another domain, on the allowlist", ["customer.example"], "ana@rival.example", { allowlisted: "apr_2" }, "deny"],
    ["an automatic copy elsewhere", ["customer.example"], "archive@own.example", { automatic: true }, "allow"],
    ["nobody, if it names none", [], ANA, {}, "deny"],
  ])("%s", (_what, domains, address, parts, verdict) => {
    const recipients = [recipient(address, parts)];
    expect(judge({ template: template(domains), recipients }).verdict).toBe(verdict);
  });
});

describe("attachments: by what a file says it is, by what its name makes of it, and by its size", () => {
  const PDF = { name: "offer.pdf", content_type: "application/pdf", size: 1000 };
  test.each<[what: string, rule: Partial<AttachmentRule>, file: Partial<typeof PDF>, found: boolean]>([
    ["every file", {}, {}, true],
    ["its type", { types: ["application/pdf"] }, {}, true],
    ["its kind of type", { types: ["application/*"] }, {}, true],
    ["any type", { types: ["*/*"] }, {}, true],
    ["another type", { types: ["image/*"] }, {}, false],
    [
      "a type with parameters, in capitals",
      { types: ["application/pdf"] },
      { content_type: "Application/PDF; name=x", name: "x" },
      true,
    ],
    [
      "the type that its name has, though it says another",
      { types: ["application/pdf"] },
      { content_type: "text/plain" },
      true,
    ],
    ["the type that it says, though its name has another", { types: ["application/pdf"] }, { name: "offer.txt" }, true],
    ["music by its name", { types: ["audio/*"] }, { name: "a.mp3", content_type: "text/plain" }, true],
    ["one kind of music by its name", { types: ["audio/mpeg"] }, { name: "a.mp3", content_type: "text/plain" }, true],
    ["the end of its name", { types: [".pdf"] }, {}, true],
    ["the end of its name in capitals", { types: [".pdf"] }, { name: "OFFER.PDF" }, true],
    ["a glob of the end of its name", { types: [".xls*"] }, { name: "a.xlsm" }, true],
    ["both ends of its name", { types: [".tar.gz"] }, { name: "a.tar.gz" }, true],
    ["the end of its name before dots and spaces that fall away", { types: [".exe"] }, { name: "setup.exe. ." }, true],
    ["the end of its name with a full-width dot", { types: [".exe"] }, { name: "setup．exe" }, true],
    ["the end of its name with something hidden in it", { types: [".exe"] }, { name: "setup.e\u200bxe\u202c" }, true],
    ["another end", { types: [".exe"] }, {}, false],
    ["an end that is only in the middle", { types: [".exe"] }, { name: "setup.exe.pdf" }, false],
    ["an end without its dot", { types: [".pdf"] }, { name: "offerpdf", content_type: "text/plain" }, false],
    [
      "a name that every object has",
      { types: ["application/pdf"] },
      { name: "x.constructor", content_type: "text/plain" },
      false,
    ],
    ["a file that is larger", { larger_than: 999 }, {}, true],
    ["a file that is as large", { larger_than: 1000 }, {}, false],
    ["an empty file that is larger than nothing", { larger_than: 0 }, { size: 0 }, false],
    ["its type and larger", { types: [".pdf"], larger_than: 999 }, {}, true],
    ["its type but not larger", { types: [".pdf"], larger_than: 1000 }, {}, false],
    ["larger but not its type", { types: [".exe"], larger_than: 0 }, {}, false],
  ])("%s", (_what, rule, file, found) => {
    const attachments = [
      { name: "a.txt", content_type: "text/plain", size: 0 },
      { ...PDF, ...file },
    ].slice(Object.keys(rule).length === 0 ? 0 : 1);
    const content = { policy: policy({ attachments: [attachmentRule(rule)] }), attachments };
    expect(judge(content).verdict).toBe(found ? "hold" : "allow");
  });

  test("without attachments no attachment rule applies", () => {
    expect(judge({ policy: policy({ attachments: [attachmentRule({ action: "block" })] }) }).verdict).toBe("allow");
  });

  test("the sentence shows what a file name hides, and not all of a long one", () => {
    const attachments = [{ name: `a\u202egpj.exe${"x".repeat(200)}`, content_type: "text/plain", size: 1 }];
    const { because } = judge({ policy: policy({ attachments: [attachmentRule({ name: "all" })] }), attachments });
    expect(because).toMatch(/^The attachment rule “all” applies to “a⟦U\+202E⟧gpj\.exex+…”\.$/);
    expect(because.length).toBeLessThan(120);
  });
});

describe("sending hours are local, with summer time, and may go over midnight", () => {
  const WORK: SendingHours = {
    time_zone: "Europe/Madrid",
    days: ["mon", "tue", "wed", "thu", "fri"],
    from: "09:00",
    until: "17:00",
  };
  const NIGHT: SendingHours = { ...WORK, days: ["fri"], from: "22:00", until: "06:00" };
  const WHOLE: SendingHours = { ...WORK, days: ["sun"], from: "00:00", until: "00:00" };
  test.each<[what: string, hours: SendingHours, now: string, open: boolean]>([
    ["before they begin", WORK, "2026-11-25T07:59:59.999Z", false],
    ["when they begin", WORK, "2026-11-25T08:00:00Z", true],
    ["in their last minute", WORK, "2026-11-25T15:59:59.999Z", true],
    ["when they end", WORK, "2026-11-25T16:00:00Z", false],
    ["in summer an hour earlier by UTC", WORK, "2026-07-15T07:00:00Z", true],
    ["and not in winter", WORK, "2026-11-25T07:00:00Z", false],
    ["on another day", WORK, "2026-11-28T10:00:00Z", false],
    ["a day that is another one in UTC", { ...WORK, time_zone: "Pacific/Auckland" }, "2026-11-22T21:00:00Z", true],
    ["a zone with half an hour", { ...WORK, time_zone: "Asia/Kolkata" }, "2026-11-25T03:29:59Z", false],
    ["a zone with half an hour, later", { ...WORK, time_zone: "Asia/Kolkata" }, "2026-11-25T03:30:00Z", true],
    ["before a night begins", NIGHT, "2026-11-27T20:59:00Z", false],
    ["in the evening", NIGHT, "2026-11-27T21:00:00Z", true],
    ["after midnight, on the day after", NIGHT, "2026-11-28T04:59:00Z", true],
    ["in the morning when a night ends", NIGHT, "2026-11-28T05:00:00Z", false],
    ["after midnight on a day of its own, which began the day before", NIGHT, "2026-11-27T00:00:00Z", false],
    ["a Sunday night into Monday", { ...NIGHT, days: ["sun"] }, "2026-11-30T01:00:00Z", true],
    ["a whole day, at its first minute", WHOLE, "2026-11-28T23:00:00Z", true],
    ["a whole day, at its last minute", WHOLE, "2026-11-29T22:59:00Z", true],
    ["the day after a whole day", WHOLE, "2026-11-29T23:00:00Z", false],
    [
      "the hour that there is twice in autumn",
      { ...WHOLE, from: "02:00", until: "03:00" },
      "2026-10-25T01:30:00Z",
      true,
    ],
    ["a zone that is not known", { ...WORK, time_zone: "Europe/Atlantis" }, "2026-11-25T10:00:00Z", false],
  ])("%s", (_what, sending_hours, now, open) => {
    const moment = { now: Date.parse(now), sent: { hour: 0, day: 0, recipients: {} } };
    expect(judge({ policy: policy({ sending_hours }), moment }).verdict).toBe(open ? "allow" : "hold");
  });

  test("the sentence says when it may", () => {
    const { because } = judge({ policy: policy({ sending_hours: NIGHT }) });
    expect(because).toBe(
      "Mail leaves this mailbox from 22:00 until 06:00 on Friday (Europe/Madrid), and it is not that time.",
    );
  });
});

describe("budgets: the message counts as one, and what there is no room for is held", () => {
  const NONE: Budgets = policy().budgets;
  test.each<[what: string, budgets: Partial<Budgets>, sent: Partial<SentCounts>, verdict: string]>([
    ["the last of an hour", { per_hour: 3 }, { hour: 2 }, "allow"],
    ["one more than an hour has", { per_hour: 3 }, { hour: 3 }, "hold"],
    ["the last of a day", { per_day: 3 }, { day: 2, hour: 2 }, "allow"],
    ["one more than a day has", { per_day: 3 }, { day: 3 }, "hold"],
    ["a budget of none", { per_day: 0 }, {}, "hold"],
    ["a day's budget does not count by the hour", { per_hour: 3 }, { day: 30 }, "allow"],
    ["the last for someone", { per_recipient_per_hour: 2 }, { recipients: { [ANA]: { hour: 1, day: 9 } } }, "allow"],
    ["one more for someone", { per_recipient_per_hour: 2 }, { recipients: { [ANA]: { hour: 2, day: 2 } } }, "hold"],
    [
      "one more for someone in a day",
      { per_recipient_per_day: 2 },
      { recipients: { [ANA]: { hour: 0, day: 2 } } },
      "hold",
    ],
    ["someone who got nothing", { per_recipient_per_day: 1 }, { recipients: {} }, "allow"],
    [
      "someone else who got many",
      { per_recipient_per_day: 1 },
      { recipients: { "bob@x.example": { hour: 9, day: 9 } } },
      "allow",
    ],
    ["no budget", {}, { hour: 1e6, day: 1e6, recipients: { [ANA]: { hour: 1e6, day: 1e6 } } }, "allow"],
  ])("%s", (_what, budgets, sent, verdict) => {
    const moment = { now: NOON, sent: { hour: 0, day: 0, recipients: {}, ...sent } };
    expect(judge({ policy: policy({ budgets: { ...NONE, ...budgets } }), moment }).verdict).toBe(verdict);
  });

  const USED = { now: NOON, sent: { hour: 0, day: 0, recipients: { [ANA]: { hour: 2, day: 2 } } } };
  const TWO = policy({ budgets: { ...NONE, per_recipient_per_day: 2 } });

  test("each recipient counts, however it is written", () => {
    const recipients = [recipient("bob@customer.example"), recipient('"ANA"@Customer.example')];
    const { verdict, because } = judge({ policy: TWO, moment: USED, recipients });
    expect(verdict).toBe("hold");
    expect(because).toBe('One recipient may get 2 messages a day, and this would be more for "ANA"@Customer.example.');
  });

  test("an automatic copy does not use up anyone's budget", () => {
    const recipients = [recipient("bob@customer.example"), recipient(ANA, { automatic: true })];
    expect(judge({ policy: TWO, moment: USED, recipients }).verdict).toBe("allow");
  });

  test("the sentence says how many there may be", () => {
    const { because } = judge({ policy: policy({ budgets: { ...NONE, per_hour: 0 } }) });
    expect(because).toBe("This mailbox may send 0 messages an hour, and there is no room for another.");
  });
});
