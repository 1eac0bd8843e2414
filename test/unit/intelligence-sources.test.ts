import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blocklistsIn, lookUpBlocklist, meaningOf } from "../../src/intelligence/blocklists.ts";
import { lookUpDmarc, lookUpMx, lookUpSpf } from "../../src/intelligence/dns-sources.ts";
import { askableDomain } from "../../src/intelligence/domain-facts.ts";
import { lookUpRegistration, registrationIn } from "../../src/intelligence/registration.ts";
import { sourcesOf } from "../../src/intelligence/sources.ts";
import { reasonOf, Unanswered } from "../../src/intelligence/unanswered.ts";
import { DnsError, type DnsErrorCode, type MxRecord, type Resolver } from "../../src/mail/dns-over-https.ts";

type Zone = Record<string, MxRecord[] | string[][] | string[] | DnsErrorCode>;

/** Answers from a zone: `MX customer.example`; what is not there is a name that does not exist. */
function zone(records: Zone): Resolver {
  const resolve = async (domain: string, rrtype: string) => {
    const found = records[`${rrtype} ${domain}`] ?? "ENOTFOUND";
    if (typeof found === "string") throw new DnsError(found, rrtype, domain);
    return found;
  };
  return resolve as Resolver;
}

const mx = (exchange: string, priority = 10): MxRecord => ({ exchange, priority });

describe("who takes the mail of a domain (RFC 5321 §5.1, RFC 7505)", () => {
  test.each<[what: string, records: Zone, fact: string]>([
    ["a server", { "MX a.example": [mx("mx.a.example")] }, "present"],
    ["a null MX", { "MX a.example": [mx("", 0)] }, "null"],
    ["a null MX beside a server, which is an error", { "MX a.example": [mx("", 0), mx("mx.a.example")] }, "present"],
    ["two null MX", { "MX a.example": [mx("", 0), mx("", 1)] }, "none"],
    ["no MX, but an address", { "MX a.example": "ENODATA", "A a.example": ["192.0.2.1"] }, "implicit"],
    [
      "no MX, but an address of version 6",
      { "MX a.example": "ENODATA", "AAAA a.example": ["2001:db8::1"] },
      "implicit",
    ],
    ["neither", { "MX a.example": "ENODATA", "A a.example": "ENODATA", "AAAA a.example": "ENODATA" }, "none"],
    ["no such name", {}, "no_domain"],
  ])("%s", async (_what, records, fact) => {
    expect(await lookUpMx("a.example", zone(records))).toBe(fact);
  });
});

describe("SPF and DMARC", () => {
  test.each([
    ["one record", ["v=spf1 -all"], "present"],
    ["one in two strings", [["v=spf1 ", "-all"]], "present"],
    ["none", ["hello"], "absent"],
    ["one that is nearly one", ["v=spf10 -all"], "absent"],
    ["two", ["v=spf1 -all", "v=spf1 ~all"], "several"],
  ])("SPF: %s", async (_what, texts, fact) => {
    const records = texts.map((text) => [text].flat());
    expect(await lookUpSpf("a.example", zone({ "TXT a.example": records }))).toBe(fact);
  });

  test.each([
    ["reject", ["v=DMARC1; p=reject; rua=mailto:a@a.example"], "reject"],
    ["in capitals and spaces", ["V = DMARC1 ; P = Quarantine"], "quarantine"],
    ["none", ["v=DMARC1;p=none"], "none"],
    ["no policy, but reports", ["v=DMARC1; rua=mailto:a@a.example"], "none"],
    ["a policy that is none, and no reports", ["v=DMARC1; p=block"], "absent"],
    ["another version", ["v=DMARC2; p=reject"], "absent"],
    ["the version last", ["p=reject; v=DMARC1"], "absent"],
    ["two records", ["v=DMARC1; p=reject", "v=DMARC1; p=none"], "absent"],
    ["two records, one of which is none", ["v=DMARC1; p=reject", "hello"], "reject"],
    ["no record", [], "absent"],
  ])("DMARC: %s", async (_what, texts, fact) => {
    const records = texts.map((text) => [text]);
    const found = records.length > 0 ? { "TXT _dmarc.a.example": records } : {};
    expect(await lookUpDmarc("a.example", zone(found))).toBe(fact);
  });

  test.each<[DnsErrorCode, string]>([
    ["ETIMEOUT", "timeout"],
    ["ESERVFAIL", "failed"],
    ["EREFUSED", "failed"],
    ["EBADNAME", "failed"],
  ])("a breakdown (%s) is no answer, and never absence", async (code, reason) => {
    const broken = zone({
      "MX a.example": code,
      "TXT a.example": code,
      "TXT _dmarc.a.example": code,
      "A a.example.list.example": code,
    });
    const asked = [
      lookUpMx("a.example", broken),
      lookUpSpf("a.example", broken),
      lookUpDmarc("a.example", broken),
      lookUpBlocklist("a.example", "list.example", broken),
    ];
    for (const { reason: error } of (await Promise.allSettled(asked)) as PromiseRejectedResult[]) {
      expect(reasonOf(error)).toBe(reason);
    }
  });

  test("an MX that is not there, with addresses that cannot be had, is no answer", async () => {
    const broken = zone({ "MX a.example": "ENODATA", "A a.example": "ESERVFAIL", "AAAA a.example": "ENODATA" });
    await expect(lookUpMx("a.example", broken)).rejects.toThrow(DnsError);
  });
});

describe("blocklists", () => {
  test.each([
    ["127.0.1.2", "spam"],
    ["127.0.1.4", "phishing"],
    ["127.0.1.5", "malware"],
    ["127.0.1.106", "abused for control of malware"],
    ["127.0.0.2", "listed"],
    ["127.0.0.64", "listed"],
    ["127.0.0.1", null],
    ["127.0.1.255", null],
    ["127.255.255.252", null],
    ["127.255.255.254", null],
    ["127.255.255.255", null],
    ["192.0.2.1", null],
    ["not an address", null],
  ])("%s means %s", (address, meaning) => {
    expect(meaningOf(address)).toBe(meaning);
  });

  test("no answer of the list is: not listed", async () => {
    expect(await lookUpBlocklist("a.example", "list.example", zone({}))).toBeNull();
  });

  test("a refusal is no answer, and the listing beside one counts", async () => {
    const refusing = zone({ "A a.example.list.example": ["127.255.255.254"] });
    await expect(lookUpBlocklist("a.example", "list.example", refusing)).rejects.toMatchObject({ reason: "refused" });
    const both = zone({ "A a.example.list.example": ["127.255.255.254", "127.0.1.4"] });
    expect(await lookUpBlocklist("a.example", "list.example", both)).toBe("phishing");
  });

  test("a resolver that answers every name with its own host lists nothing", async () => {
    const wild = zone({ "A a.example.list.example": ["203.0.113.7"] });
    await expect(lookUpBlocklist("a.example", "list.example", wild)).rejects.toMatchObject({ reason: "refused" });
  });

  test("the setting is read, and what is no name is told", () => {
    expect(blocklistsIn(undefined)).toEqual([]);
    expect(blocklistsIn(" dbl.example,DBL.example  two.example ")).toEqual(["dbl.example", "two.example"]);
    for (const wrong of ["dbl", "a b..c", "https://dbl.example", "a.x b.x c.x d.x e.x"]) {
      expect(() => blocklistsIn(wrong), wrong).toThrow(/DNS_BLOCKLISTS/);
    }
  });
});

describe("age by RDAP (RFC 9083)", () => {
  const answer = (events: unknown, ldhName: unknown = "a.example") => ({ objectClassName: "domain", ldhName, events });
  const on = (eventAction: string, eventDate: unknown) => ({ eventAction, eventDate });

  test.each<[what: string, answer: unknown, at: string]>([
    ["a registration", answer([on("registration", "2020-01-02T03:04:05Z")]), "2020-01-02T03:04:05.000Z"],
    ["with an offset", answer([on("registration", "2020-01-02T03:04:05+02:00")]), "2020-01-02T01:04:05.000Z"],
    [
      "among others",
      answer([on("expiration", "2030-01-01T00:00:00Z"), on("registration", "2020-01-02T00:00:00Z")]),
      "2020-01-02T00:00:00.000Z",
    ],
    [
      "registered again by somebody else",
      answer([on("registration", "2001-01-01T00:00:00Z"), on("reregistration", "2026-11-01T00:00:00Z")]),
      "2026-11-01T00:00:00.000Z",
    ],
    [
      "in capitals with a dot",
      answer([on("registration", "2020-01-02T00:00:00Z")], "A.EXAMPLE."),
      "2020-01-02T00:00:00.000Z",
    ],
  ])("%s", (_what, body, at) => {
    expect(registrationIn(body, "a.example")).toBe(at);
  });

  test.each<[what: string, answer: unknown]>([
    ["about another domain", answer([on("registration", "2001-01-01T00:00:00Z")], "other.example")],
    ["about none", { events: [on("registration", "2001-01-01T00:00:00Z")] }],
    ["without events", answer(undefined)],
    ["with events that are none", answer("registration")],
    ["with no date", answer([on("registration", "yesterday"), on("registration", 5), null, 7])],
    ["null", null],
    ["a list", []],
    ["text", "registered"],
  ])("an answer %s says nothing", (_what, body) => {
    expect(() => registrationIn(body, "a.example")).toThrow(Unanswered);
  });

  test("any JSON is read or says nothing", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        expect(() => registrationIn(body, "a.example")).toThrow(Unanswered);
      }),
    );
  });

  const server =
    (make: () => Response | Promise<Response>): typeof fetch =>
    async () =>
      make();

  test.each<[what: string, make: () => Response | Promise<Response>, reason: string]>([
    ["no such domain", () => new Response("{}", { status: 404 }), "no_data"],
    ["an error of the server", () => new Response("", { status: 500 }), "failed"],
    ["too many questions", () => new Response("", { status: 429 }), "failed"],
    ["no connection", () => Promise.reject(new TypeError("fetch failed")), "failed"],
    ["no JSON", () => new Response("<html>"), "failed"],
    ["a huge answer", () => new Response(`"${"a".repeat(300_000)}"`), "failed"],
    ["nothing", () => new Response(null), "failed"],
  ])("%s is no answer", async (_what, make, reason) => {
    const asked = lookUpRegistration("a.example", "https://rdap.example/domain/", server(make));
    await expect(asked).rejects.toMatchObject({ name: "Unanswered", reason });
  });

  test("exactly the domain is asked for", async () => {
    const seen: string[] = [];
    const spy: typeof fetch = async (url) => {
      seen.push(String(url));
      return Response.json(answer([on("registration", "2020-01-02T00:00:00Z")]));
    };
    await lookUpRegistration("a.example", "https://rdap.example/domain/", spy);
    expect(seen).toEqual(["https://rdap.example/domain/a.example"]);
  });
});

test.each([
  ["x.a.example", "a.example"],
  ["a.b.c.co.uk", "c.co.uk"],
  // The owner of a suffix on the private part of the list hears every label below it.
  ["secret.github.io", "github.io"],
  ["x.secret.blogspot.com", "blogspot.com"],
  ["secret.s3.amazonaws.com", "amazonaws.com"],
  ["co.uk", null],
  ["com", null],
  ["[192.0.2.1]", null],
  ["192.0.2.1", null],
  ["", null],
])("of %s only %s may be asked for", (domain, askable) => {
  expect(askableDomain(domain)).toBe(askable);
});

test("what is not configured is not asked", () => {
  const names = (settings: Parameters<typeof sourcesOf>[0]) => sourcesOf(settings).map(({ name }) => name);
  expect(names({})).toEqual(["mx", "spf", "dmarc"]);
  expect(names({ RDAP_URL: "https://rdap.example/", DNS_BLOCKLISTS: "dbl.example" })).toEqual([
    "mx",
    "spf",
    "dmarc",
    "rdap",
    "blocklist:dbl.example",
  ]);
});
