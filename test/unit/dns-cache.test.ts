import { describe, expect, it, vi } from "vitest";
import { cachedResolver } from "../../src/mail/dns-cache.ts";
import {
  type DnsAnswer,
  DnsError,
  dnsOverHttps,
  type Resolver,
  type TimedResolver,
} from "../../src/mail/dns-over-https.ts";

/** A resolver that answers each question with its number, so that a remembered answer shows. */
function counting(ttl: number, other?: (domain: string, rrtype: string) => Promise<DnsAnswer>) {
  const asked: string[] = [];
  const timed = async (domain: string, rrtype: string) => {
    asked.push(`${rrtype} ${domain}`);
    return { answer: other ? await other(domain, rrtype) : [`192.0.2.${asked.length}`], ttl };
  };
  const resolve = async (domain: string, rrtype: string) => (await timed(domain, rrtype)).answer;
  return { asked, resolver: Object.assign(resolve, { timed }) as TimedResolver };
}

function clock() {
  let at = 1_700_000_000_000;
  const pass = (seconds: number) => {
    at += seconds * 1_000;
  };
  return { now: () => at, pass };
}

describe("an answer", () => {
  it.each([
    [60, 60],
    [3_600, 3_600],
    [86_400, 3_600],
  ])("of a lifetime of %i seconds is kept for %i and not longer", async (ttl, kept) => {
    const { asked, resolver } = counting(ttl);
    const { now, pass } = clock();
    const cached = cachedResolver(resolver, { now, limit: 10 });
    await cached("a.example", "A");
    pass(kept - 1);
    await expect(cached("A.Example.", "A")).resolves.toEqual(["192.0.2.1"]);
    pass(1);
    await expect(cached("a.example", "A")).resolves.toEqual(["192.0.2.2"]);
    expect(asked).toHaveLength(2);
  });

  it("of no lifetime is not kept", async () => {
    const { resolver } = counting(0);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10 });
    await expect(cached("a.example", "A")).resolves.toEqual(["192.0.2.1"]);
    await expect(cached("a.example", "A")).resolves.toEqual(["192.0.2.2"]);
  });

  it("is the answer to its own question only", async () => {
    const { asked, resolver } = counting(60);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10 });
    await cached("a.example", "A");
    await cached("a.example", "AAAA");
    await cached("b.example", "A");
    expect(asked).toEqual(["A a.example", "AAAA a.example", "A b.example"]);
  });

  it("is nobody else's after somebody changed it", async () => {
    const { resolver } = counting(60, async () => [
      { priority: 20, exchange: "b" },
      { priority: 10, exchange: "a" },
    ]);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10 });
    const first = await cached("a.example", "MX");
    first.sort((a, b) => a.priority - b.priority);
    (first[0] as { exchange: string }).exchange = "evil";
    expect(await cached("a.example", "MX")).toEqual([
      { priority: 20, exchange: "b" },
      { priority: 10, exchange: "a" },
    ]);
  });

  it("that is huge is given and not kept", async () => {
    const { asked, resolver } = counting(60, async () => [["x".repeat(9_000)]]);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10 });
    await cached("a.example", "TXT");
    expect((await cached("a.example", "TXT")).join("")).toHaveLength(9_000);
    expect(asked).toHaveLength(2);
  });

  it("of a resolver that tells no lifetime is kept for a minute", async () => {
    const resolver = vi.fn(async () => ["192.0.2.1"]);
    const { now, pass } = clock();
    const cached = cachedResolver(resolver as unknown as Resolver, { now, limit: 10 });
    await cached("a.example", "A");
    pass(59);
    await cached("a.example", "A");
    expect(resolver).toHaveBeenCalledTimes(1);
    pass(1);
    await cached("a.example", "A");
    expect(resolver).toHaveBeenCalledTimes(2);
  });
});

describe("no answer", () => {
  it.each<
    [
      code: "ENOTFOUND" | "ENODATA" | "ESERVFAIL" | "ETIMEOUT" | "EREFUSED" | "EBADNAME",
      ttl: number | null,
      kept: number,
    ]
  >([
    ["ENOTFOUND", 120, 120],
    ["ENODATA", 120, 120],
    ["ENOTFOUND", 86_400, 300],
    ["ENODATA", null, 30],
    ["EBADNAME", null, 300],
    ["ESERVFAIL", null, 3],
    ["ESERVFAIL", 86_400, 3],
    ["ETIMEOUT", null, 3],
    ["EREFUSED", null, 3],
  ])("%s with a lifetime of %s seconds is kept for %i", async (code, ttl, kept) => {
    const { asked, resolver } = counting(60, async (domain, rrtype) => {
      throw new DnsError(code, rrtype, domain, undefined, ttl);
    });
    const { now, pass } = clock();
    const cached = cachedResolver(resolver, { now, limit: 10 });
    const failure = { code, message: `A a.example: ${code}` };
    await expect(cached("a.example", "A")).rejects.toMatchObject(failure);
    pass(kept - 0.001);
    await expect(cached("a.example", "A")).rejects.toMatchObject(failure);
    expect(asked).toHaveLength(1);
    pass(0.001);
    await expect(cached("a.example", "A")).rejects.toBeInstanceOf(DnsError);
    expect(asked).toHaveLength(2);
  });

  it("but a mistake of the caller is never kept", async () => {
    const resolver = vi.fn(async () => {
      throw new TypeError("unknown type");
    });
    const cached = cachedResolver(resolver as unknown as Resolver, { ...clock(), limit: 10 });
    await expect(cached("a.example", "WAT")).rejects.toThrow(TypeError);
    await expect(cached("a.example", "WAT")).rejects.toThrow(TypeError);
    expect(resolver).toHaveBeenCalledTimes(2);
  });
});

describe("a question that is open", () => {
  it("is asked once, however many ask it", async () => {
    const gate = Promise.withResolvers<DnsAnswer>();
    const { asked, resolver } = counting(0, () => gate.promise);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10 });
    const all = Array.from({ length: 100 }, () => cached("a.example", "A"));
    gate.resolve(["192.0.2.9"]);
    expect(new Set((await Promise.all(all)).map(String))).toEqual(new Set(["192.0.2.9"]));
    expect(asked).toHaveLength(1);
  });

  it("breaks down for all who wait, and is asked again by the next once that is forgotten", async () => {
    const gate = Promise.withResolvers<DnsAnswer>();
    const { asked, resolver } = counting(0, () => gate.promise);
    const { now, pass } = clock();
    const cached = cachedResolver(resolver, { now, limit: 10 });
    const all = Promise.allSettled([cached("a.example", "A"), cached("a.example", "A")]);
    gate.reject(new DnsError("ETIMEOUT", "A", "a.example"));
    expect((await all).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    pass(3);
    await expect(cached("a.example", "A")).rejects.toMatchObject({ code: "ETIMEOUT" });
    expect(asked).toHaveLength(2);
  });

  it("of a request that has ended is asked anew by who waits for it", async () => {
    const answers = [new Promise<DnsAnswer>(() => {}), Promise.resolve(["192.0.2.9"])];
    const { asked, resolver } = counting(60, () => answers.shift() as Promise<DnsAnswer>);
    const cached = cachedResolver(resolver, { ...clock(), limit: 10, patience: 5 });
    void cached("a.example", "A");
    await expect(cached("a.example", "A")).resolves.toEqual(["192.0.2.9"]);
    await expect(cached("a.example", "A")).resolves.toEqual(["192.0.2.9"]);
    expect(asked).toHaveLength(2);
  }, 2_000);
});

it("only so many answers are kept, and what was not asked for the longest gives way", async () => {
  const { asked, resolver } = counting(60);
  const cached = cachedResolver(resolver, { ...clock(), limit: 2 });
  for (const name of ["a", "b", "a", "c"]) await cached(`${name}.example`, "A");
  asked.length = 0;
  for (const name of ["c", "a"]) await cached(`${name}.example`, "A");
  expect(asked).toEqual([]);
  await cached("b.example", "A");
  expect(asked).toEqual(["A b.example"]);
});

it("lifetimes come from DNS over HTTPS", async () => {
  const fetch = vi.fn<typeof globalThis.fetch>(async (url) => {
    const there = String(url).includes("there");
    const record = { name: "there.example.", type: 1, TTL: 40, data: "192.0.2.1" };
    const Authority = [{ name: "example", type: 6, TTL: 900, data: "ns. host. 1 2 3 4 20" }];
    return new Response(JSON.stringify(there ? { Status: 0, Answer: [record] } : { Status: 3, Authority }));
  });
  const { now, pass } = clock();
  const cached = cachedResolver(dnsOverHttps("https://doh.example/dns-query", fetch), { now, limit: 10 });
  const both = () => Promise.allSettled([cached("there.example", "A"), cached("gone.example", "A")]);
  await both();
  pass(19);
  await both();
  expect(fetch).toHaveBeenCalledTimes(2);
  pass(1);
  await both();
  expect(fetch).toHaveBeenCalledTimes(3);
  pass(20);
  await both();
  expect(fetch).toHaveBeenCalledTimes(5);
});
