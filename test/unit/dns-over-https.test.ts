import { describe, expect, test, vi } from "vitest";
import { dnsOverHttps, isQueryableName, parseTxtData, withLookupLimit } from "../../src/mail/dns-over-https.ts";

type Fetch = typeof globalThis.fetch;
const answering =
  (body: unknown, init?: ResponseInit): Fetch =>
  async () =>
    new Response(typeof body === "string" ? body : JSON.stringify(body), init);
const resolver = (fetch: Fetch) => dnsOverHttps("https://doh.example/dns-query", fetch);
const answer = (type: number, ...data: string[]) => ({
  Status: 0,
  Answer: data.map((value) => ({ type, TTL: 60, data: value })),
});

describe("a question", () => {
  test("asks for one name and type in the JSON form, with a time limit", async () => {
    const fetch = vi.fn<Fetch>(answering(answer(16, '"v"')));
    await resolver(fetch)("_dmarc.example.com", "TXT");
    const [url, init] = fetch.mock.calls[0] ?? [];
    expect(url).toBe("https://doh.example/dns-query?name=_dmarc.example.com&type=TXT");
    expect(init?.headers).toEqual({ accept: "application/dns-json" });
    expect(init?.signal).toBeInstanceOf(AbortSignal);
  });

  test.each([
    ["a.example", true],
    ["a.example.", true],
    ["sel_1._domainkey.a.example", true],
    ["strong+bad=x.spf.example", true],
    [`${"a".repeat(63)}.example`, true],
    [`${"a".repeat(64)}.example`, false],
    [`${"a.".repeat(127)}example`, false],
    ["", false],
    [".", false],
    ["a..example", false],
    ["a b.example", false],
    ["a\\.example", false],
    ["a\u0000.example", false],
    ["bücher.example", false],
  ])("about %j may be asked: %s", async (name, allowed) => {
    expect(isQueryableName(name)).toBe(allowed);
    const fetch = vi.fn<Fetch>(answering(answer(1, "192.0.2.1")));
    if (allowed) await expect(resolver(fetch)(name, "A")).resolves.toEqual(["192.0.2.1"]);
    else await expect(resolver(fetch)(name, "A")).rejects.toMatchObject({ code: "EBADNAME" });
    expect(fetch).toHaveBeenCalledTimes(allowed ? 1 : 0);
  });

  test("of an unknown type is a mistake of the caller", async () => {
    await expect(resolver(answering({}))("a.example", "WAT")).rejects.toThrow(TypeError);
  });
});

describe("an answer", () => {
  test.each([
    ["A", answer(1, "192.0.2.1", "192.0.2.2"), ["192.0.2.1", "192.0.2.2"]],
    ["AAAA", answer(28, "2001:db8::1"), ["2001:db8::1"]],
    ["PTR", answer(12, "mail.example."), ["mail.example"]],
    ["CNAME", answer(5, "other.example."), ["other.example"]],
    ["NS", answer(2, "ns1.example."), ["ns1.example"]],
    [
      "MX",
      answer(15, "10 mx1.example.", "0 ."),
      [
        { priority: 10, exchange: "mx1.example" },
        { priority: 0, exchange: "" },
      ],
    ],
    ["TXT", answer(16, '"v=spf1 -all"', '"a" "b"'), [["v=spf1 -all"], ["a", "b"]]],
  ])("for %s has Node's form", async (type, body, expected) => {
    await expect(resolver(answering(body))("x.example", type)).resolves.toEqual(expected);
  });

  test("leaves out the CNAMEs that were followed", async () => {
    const body = {
      Status: 0,
      Answer: [
        { type: 5, data: "y.example." },
        { type: 16, data: '"v"' },
      ],
    };
    await expect(resolver(answering(body))("x.example", "TXT")).resolves.toEqual([["v"]]);
  });

  const alias = (name: string, data: string, TTL = 60) => ({ name, type: 5, TTL, data });
  const text = (name: string, TTL = 60) => ({ name, type: 16, TTL, data: '"v"' });
  test.each<[what: string, Answer: object[], expected: string]>([
    ["at the name itself", [text("X.example.")], "found"],
    [
      "behind aliases",
      [alias("x.example.", "y.example."), alias("Y.example", "z.example."), text("z.example.")],
      "found",
    ],
    [
      "behind aliases in another order",
      [text("z.example"), alias("y.example", "z.example"), alias("x.example", "y.example")],
      "found",
    ],
    ["at another name", [text("other.example")], "ENODATA"],
    ["at the name, though an alias leads away", [alias("x.example", "y.example"), text("x.example")], "ENODATA"],
    ["behind an alias of another name", [alias("other.example", "y.example"), text("y.example")], "ENODATA"],
    ["behind an alias whose target is not in the answer", [alias("x.example", "y.example")], "ENODATA"],
    ["behind an alias to itself", [alias("x.example", "x.example"), text("x.example")], "ESERVFAIL"],
    [
      "behind aliases in a circle",
      [alias("x.example", "y.example"), alias("y.example", "x.example"), text("x.example")],
      "ESERVFAIL",
    ],
    [
      "behind more aliases than a zone needs",
      [
        alias("x.example", "n0.example"),
        ...Array.from({ length: 20 }, (_, n) => alias(`n${n}.example`, `n${n + 1}.example`)),
        text("n20.example"),
      ],
      "ESERVFAIL",
    ],
  ])("counts only along its own aliases: %s", async (_what, Answer, expected) => {
    const asked = resolver(answering({ Status: 0, Answer }))("x.example", "TXT");
    if (expected === "found") await expect(asked).resolves.toEqual([["v"]]);
    else await expect(asked).rejects.toMatchObject({ code: expected });
  });

  test("for an escaped name counts however the server writes it", async () => {
    const body = { Status: 0, Answer: [{ name: "a\\043b.x.example.", type: 1, TTL: 60, data: "127.0.0.2" }] };
    await expect(resolver(answering(body))("a+b.x.example", "A")).resolves.toEqual(["127.0.0.2"]);
  });

  test("of many records and aliases is followed in no time", async () => {
    const Answer = Array.from({ length: 4_000 }, (_, n) => alias(`n${n}.example`, `n${n + 1}.example`));
    await expect(resolver(answering({ Status: 0, Answer }))("n0.example", "A")).rejects.toMatchObject({
      code: "ESERVFAIL",
    });
  }, 2_000);

  test("may be kept as long as the shortest-lived record that led to it", async () => {
    const Answer = [
      alias("x.example", "y.example", 30),
      text("y.example", 60),
      { ...text("y.example", 90), data: '"w"' },
    ];
    await expect(resolver(answering({ Status: 0, Answer })).timed("x.example", "TXT")).resolves.toEqual({
      answer: [["v"], ["w"]],
      ttl: 30,
    });
  });

  const soa = (TTL: number, data = "ns.example. host.example. 1 7200 900 1209600 120") => [
    { name: "example", type: 6, TTL, data },
  ];
  test.each<[what: string, Authority: object[], ttl: number | null]>([
    ["the SOA's last field", soa(3600), 120],
    ["the SOA record's own lifetime, if less", soa(60), 60],
    ["unknown without a SOA", [], null],
    ["unknown with one that cannot be read", soa(60, "?"), null],
  ])("that there is nothing may be kept for %s", async (_what, Authority, ttl) => {
    for (const body of [
      { Status: 3, Authority },
      { Status: 0, Authority },
    ])
      await expect(resolver(answering(body))("x.example", "TXT")).rejects.toMatchObject({ ttl });
  });

  test.each([
    ['"plain"', ["plain"]],
    ['"two" "strings"', ["two", "strings"]],
    ['"two""strings"', ["two", "strings"]],
    ['""', [""]],
    ['"a\\"b\\\\c"', ['a"b\\c']],
    ['"a\\059b\\195\\188"', ["a;b\u00c3\u00bc"]],
    ['"semi;colon and \\; escaped"', ["semi;colon and ; escaped"]],
    ["bare string", ["bare string"]],
  ])("unquotes %s", (data, expected) => {
    expect(parseTxtData(data)).toEqual(expected);
  });
});

describe("no answer", () => {
  const failing =
    (error: Error): Fetch =>
    async () => {
      throw error;
    };
  test.each<[string, Fetch, string]>([
    ["NXDOMAIN", answering({ Status: 3 }), "ENOTFOUND"],
    ["NODATA", answering({ Status: 0 }), "ENODATA"],
    ["only a CNAME", answering(answer(5, "y.example.")), "ENODATA"],
    ["SERVFAIL", answering({ Status: 2 }), "ESERVFAIL"],
    ["REFUSED", answering({ Status: 5 }), "EREFUSED"],
    ["FORMERR", answering({ Status: 1 }), "ESERVFAIL"],
    ["a truncated set", answering({ ...answer(16, '"v"'), TC: true }), "ESERVFAIL"],
    ["HTTP 500", answering("oops", { status: 500 }), "ESERVFAIL"],
    ["HTTP 429", answering("slow down", { status: 429 }), "ESERVFAIL"],
    ["HTML", answering("<html>"), "ESERVFAIL"],
    ["JSON that is no answer", answering([1, 2]), "ESERVFAIL"],
    ["JSON null", answering("null"), "ESERVFAIL"],
    ["an endless body", answering("x".repeat(600_000)), "ESERVFAIL"],
    ["no connection", failing(new TypeError("fetch failed")), "ESERVFAIL"],
    ["a timeout", failing(new DOMException("too late", "TimeoutError")), "ETIMEOUT"],
  ])("%s has Node's code", async (_what, fetch, code) => {
    await expect(resolver(fetch)("x.example", "TXT")).rejects.toMatchObject({ code });
  });

  test("MX records of which none can be read are a breakdown and no absence", async () => {
    await expect(resolver(answering(answer(15, "mx.example", "x y z")))("x.example", "MX")).rejects.toMatchObject({
      code: "ESERVFAIL",
    });
  });

  test("entries of the wrong form are left out", async () => {
    const body = { Status: 0, Answer: [null, 7, { type: "16", data: "x" }, { type: 16 }, { type: 16, data: '"v"' }] };
    await expect(resolver(answering(body))("x.example", "TXT")).resolves.toEqual([["v"]]);
  });
});

describe("the look-up limit", () => {
  test("lets exactly so many questions out and answers a repeated one from memory", async () => {
    const fetch = vi.fn<Fetch>(async () => new Response(JSON.stringify(answer(1, "192.0.2.1"))));
    const limited = withLookupLimit(resolver(fetch), 2);
    await limited("a.example", "A");
    await limited("A.example", "A");
    await expect(limited("b.example", "A")).resolves.toEqual(["192.0.2.1"]);
    await expect(limited("c.example", "A")).rejects.toMatchObject({ code: "ESERVFAIL" });
    await expect(limited("a.example", "A")).resolves.toEqual(["192.0.2.1"]);
    expect(fetch).toHaveBeenCalledTimes(2);
  });
});

test("a quote that is never closed is read once, however many escaped ones follow", () => {
  expect(parseTxtData(`"v=DKIM1" "${'\\"'.repeat(200_000)}`)).toEqual(["v=DKIM1"]);
}, 5_000);
