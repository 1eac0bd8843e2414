import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDisposable } from "../../src/intelligence/disposable-domains.ts";
import { type DomainFacts, nothingKnown } from "../../src/intelligence/domain-facts.ts";
import { DOMAIN_SIGNALS, type JudgedDomain, NO_HISTORY } from "../../src/intelligence/domain-signals.ts";
import { isOneEdit, namesOf, resemblanceOf } from "../../src/intelligence/similar-domains.ts";
import { assessDomains, intelligenceView } from "../../src/intelligence/view.ts";

const NOW = Date.UTC(2026, 10, 25);
const DAY = 24 * 3600_000;
const daysAgo = (days: number) => new Date(NOW - days * DAY).toISOString();

/** A domain that nothing speaks against. */
function facts(parts: Partial<DomainFacts> = {}): DomainFacts {
  return {
    ...nothingKnown("customer.example", []),
    mx: "present",
    spf: "present",
    dmarc: "reject",
    registered_at: daysAgo(3_000),
    ...parts,
  };
}

function judged(parts: Partial<JudgedDomain> = {}): JudgedDomain {
  return { domain: "customer.example", known: true, facts: facts(), history: NO_HISTORY, ...parts };
}

const history = (parts: Partial<typeof NO_HISTORY>) => judged({ history: { ...NO_HISTORY, ...parts } });
const found = (parts: Partial<DomainFacts>, domain = "customer.example") => judged({ domain, facts: facts(parts) });
const score = (domain: JudgedDomain, known_domains: string[] = []) =>
  assessDomains({ domains: [domain], known_domains, now: NOW });

describe("each sign of a domain, on both sides of its limit", () => {
  test.each<[what: string, domain: JudgedDomain, reasons: string[]]>([
    ["nothing", judged(), []],
    ["a new domain", judged({ known: false }), ["new_domain"]],
    ["nothing looked up", judged({ facts: null }), []],
    ["registered today", found({ registered_at: daysAgo(0) }), ["young_domain"]],
    ["registered tomorrow, by a clock that is ahead", found({ registered_at: daysAgo(-1) }), ["young_domain"]],
    ["registered 29 days ago", found({ registered_at: daysAgo(29) }), ["young_domain"]],
    ["registered 30 days ago", found({ registered_at: daysAgo(30) }), ["recent_domain"]],
    ["registered 179 days ago", found({ registered_at: daysAgo(179) }), ["recent_domain"]],
    ["registered 180 days ago", found({ registered_at: daysAgo(180) }), []],
    ["on a blocklist", found({ listings: [{ list: "dbl.example", meaning: "phishing" }] }), ["blocklisted"]],
    ["disposable", found({ disposable: true }), ["disposable_domain"]],
    ["a null MX", found({ mx: "null" }), ["takes_no_mail"]],
    ["no mail server", found({ mx: "none" }), ["takes_no_mail"]],
    ["no mail server above the name that gets it", found({ mx: "none" }, "eu.customer.example"), []],
    ["no such domain", found({ mx: "no_domain", dmarc: "absent", spf: "absent" }), ["takes_no_mail"]],
    ["no such domain above the name", found({ mx: "no_domain" }, "eu.customer.example"), ["takes_no_mail"]],
    ["no DMARC", found({ dmarc: "absent" }), ["no_dmarc"]],
    ["a DMARC policy of none", found({ dmarc: "none" }), []],
    ["no SPF", found({ spf: "absent" }), ["no_spf"]],
    ["several SPF records", found({ spf: "several" }), ["no_spf"]],
    ["a source that did not answer", found({ unknown: [{ source: "rdap", reason: "timeout" }] }), ["domain_unknown"]],
    ["a complaint", history({ complaints: 1 }), ["domain_complaints"]],
    ["two bounces", history({ bounces: 2 }), []],
    ["three bounces", history({ bounces: 3 }), ["domain_bounces"]],
    ["three bounces and two replies", history({ bounces: 3, replies: 2 }), ["domain_bounces"]],
    ["three bounces and three replies", history({ bounces: 3, replies: 3 }), []],
  ])("%s", (_what, domain, reasons) => {
    const risk = score(domain);
    expect(risk.reasons.map(({ reason }) => reason)).toEqual(reasons);
    expect(risk.reasons.every(({ because }) => /^[A-Z\d\p{Ll}].*\.$/u.test(because))).toBe(true);
  });

  test("a resemblance that the tenant's other mailboxes show counts like one of this mailbox's own", () => {
    const other = judged({ known: false, facts: facts({ resembles: { kind: "near", twin: "costumer.example" } }) });
    expect(score(other).reasons.map(({ reason }) => reason)).toEqual(["new_domain", "near_domain"]);
  });

  test("what is known to this mailbox resembles nobody", () => {
    const known = judged({ facts: facts({ resembles: { kind: "lookalike", twin: "cust0mer.example" } }) });
    expect(score(known, ["custorner.example"]).reasons).toEqual([]);
  });
});

describe("what resembles what", () => {
  test.each<[asked: string, known: string, kind: string | null]>([
    ["cust0mer.com", "customer.com", "lookalike"],
    ["custorner.com", "customer.com", "lookalike"],
    ["xn--ustomer-xjg.com", "customer.com", "lookalike"],
    ["customer.com.evil.example", "customer.com", "lookalike"],
    ["mail.customer.com", "customer.com", null],
    ["customer.com", "customer.com", null],
    ["custmer.com", "customer.com", "near"],
    ["custommer.com", "customer.com", "near"],
    ["cusotmer.com", "customer.com", "near"],
    ["cystomer.com", "customer.com", "near"],
    ["custmoer.org", "customer.com", "near"],
    ["customer-support.com", "customer.com", "near"],
    ["secure-customer-login.net", "customer.com", "near"],
    ["customerbilling.com", "customer.com", "near"],
    ["customer.co", "customer.com", "ending"],
    ["customer.cm", "customer.com", "ending"],
    ["customer.net", "customer.com", "ending"],
    // What honest companies are called.
    ["customer.de", "customer.fr", null],
    ["customer.co.uk", "customer.com", null],
    ["customer-care-berlin.com", "customer.com", null],
    ["customers-first.com", "customer.com", null],
    ["meta.com", "beta.com", null],
    ["acme.com", "acne.com", null],
    ["acme.net", "acme.com", null],
    ["shop24.com", "shop25.com", null],
    ["branch12.com", "branch13.com", null],
    ["postbank.com", "deutschebank.com", null],
    ["google.com", "goggles.com", null],
    ["customer.com", "consumer.com", null],
  ])("%s beside %s: %s", (asked, known, kind) => {
    expect(resemblanceOf(asked, namesOf([known]))?.kind ?? null).toBe(kind);
  });

  test("the gravest of several is named", () => {
    const names = namesOf(["customer.net", "custommer.com", "cust0mer.com", "other.example"]);
    expect(resemblanceOf("customer.com", names)).toEqual({ kind: "lookalike", twin: "cust0mer.com" });
  });

  test("one edit is one: symmetric, and never none or two", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(isOneEdit(a, b)).toBe(isOneEdit(b, a));
        expect(isOneEdit(a, a)).toBe(false);
        if (Math.abs(a.length - b.length) > 1) expect(isOneEdit(a, b)).toBe(false);
      }),
    );
    fc.assert(
      fc.property(word, fc.nat(6), (a, at) => {
        const index = Math.min(at, a.length);
        expect(isOneEdit(a, `${a.slice(0, index)}x${a.slice(index)}`)).toBe(true);
      }),
    );
  });

  test("a thousand known domains and fifty asked take no longer than a moment", () => {
    const names = namesOf(Array.from({ length: 1_000 }, (_, i) => `known-domain-${i}.example`));
    for (let i = 0; i < 50; i++) expect(resemblanceOf(`asked-${i}.example`, names)).toBeNull();
  });
});

test.each([
  ["mailinator.com", true],
  ["yopmail.com", true],
  ["gmail.com", false],
  ["proton.me", false],
  ["", false],
  ["constructor", false],
])("disposable: %s is %s", (domain, is) => {
  expect(isDisposable(domain)).toBe(is);
});

describe("what is not known is never safe", () => {
  const SOURCES: [source: string, good: Partial<DomainFacts>, unknown: Partial<DomainFacts>][] = [
    ["mx", { mx: "present" }, { mx: null }],
    ["spf", { spf: "present" }, { spf: null }],
    ["dmarc", { dmarc: "reject" }, { dmarc: null }],
    ["rdap", { registered_at: daysAgo(3_000) }, { registered_at: null }],
    ["blocklist:dbl.example", { listings: [] }, { listings: [] }],
  ];

  test.each(SOURCES)(
    "a domain of which %s is unknown scores more than one of which it is good",
    (source, good, unknown) => {
      fc.assert(
        fc.property(
          fc.record({
            mx: fc.constantFrom("present", "null", "none", "no_domain"),
            spf: fc.constantFrom("present", "absent", "several"),
            dmarc: fc.constantFrom("none", "reject", "absent"),
            registered_at: fc.constantFrom(daysAgo(1), daysAgo(100), daysAgo(5_000)),
            disposable: fc.boolean(),
          }),
          (others) => {
            const known = score(found({ ...(others as Partial<DomainFacts>), ...good }));
            const hidden = score(
              found({ ...(others as Partial<DomainFacts>), ...unknown, unknown: [{ source, reason: "timeout" }] }),
            );
            expect(hidden.score).toBeGreaterThan(known.score);
          },
        ),
      );
    },
  );

  test("it is named, with its reason", () => {
    const unknown = [{ source: "rdap", reason: "timeout" } as const];
    const intelligence = {
      domains: [facts(), facts({ domain: "other.example", dmarc: null, registered_at: null, unknown })],
      ...{ new_names: 0, over_budget: [], looked_up_at: new Date(NOW).toISOString() },
    };
    const view = intelligenceView(intelligence, score(found({ unknown })));
    expect(view).toMatchObject({ unknown: ["rdap"], risk_score: 0.2, dmarc_policy: null });
    expect(view.domains[0]).toMatchObject({ age_days: 3_000, unknown: [], dmarc_policy: "reject" });
    expect(view.domains[1]).toMatchObject({ age_days: null, unknown: ["rdap"], unknown_because: unknown });
  });
});

test("the documented weights are those that count", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/deliverability.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (0\.\d+) \|/gm)].map(([, name, weight]) => [name, Number(weight)]);
  const weights = Object.entries(DOMAIN_SIGNALS).map(([name, { weight }]) => [name, weight]);
  expect(rows).toEqual(weights);
});
