import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import dnsPacket, { type RecordType as PacketType } from "dns-packet";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DnsOverHttpsServer, startDnsOverHttps } from "../../dev/dns-over-https-server.ts";
import { lookUp, parseZones, ZonesFile } from "../../dev/zones.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";

const LONG_TEXT = `v=DKIM1; k=rsa; p=${"A".repeat(400)}`;
const ZONES = {
  "customer.example": { TXT: ["v=spf1 -all", "second"], MX: ["10 mx.customer.example", "20 backup.example"] },
  "mx.customer.example": { A: ["192.0.2.1"], AAAA: ["2001:db8::1"] },
  "s1._domainkey.customer.example": { TXT: [LONG_TEXT] },
  "deep.below.empty.example": { A: ["192.0.2.2"] },
  "alias.example": { CNAME: ["mx.customer.example"] },
  "dangling.example": { CNAME: ["nowhere.example"] },
  "loop.example": { CNAME: ["loop.example"] },
  "null-mx.example": { MX: ["0 ."] },
  "quoted.example": { TXT: ['say "hi" \\ bye', "größe"] },
  "Capital.Example.": { A: ["192.0.2.3"] },
};

describe("a zones file", () => {
  const zones = parseZones(JSON.stringify(ZONES));
  const found = (name: string, type: string) => lookUp(zones, name, type).records.map(({ record }) => record.data);

  it.each([
    ["names ignore case and a dot at the end", "CAPITAL.example.", "A", "NOERROR", ["192.0.2.3"]],
    ["an existing name without that type is no error", "customer.example", "A", "NOERROR", []],
    ["a name with names below it exists", "below.empty.example", "TXT", "NOERROR", []],
    ["a name that is only the end of another's label does not", "mpty.example", "A", "NXDOMAIN", []],
    ["an unknown name does not exist", "nowhere.example", "A", "NXDOMAIN", []],
    ["an alias is followed", "alias.example", "A", "NOERROR", ["mx.customer.example", "192.0.2.1"]],
    ["an alias to nowhere does not exist", "dangling.example", "A", "NXDOMAIN", ["nowhere.example"]],
  ])("%s", (_rule, name, type, rcode, data) => {
    expect(lookUp(zones, name, type).rcode).toBe(rcode);
    expect(found(name, type)).toEqual(data);
  });

  it("ends on aliases in a circle", () => {
    expect(lookUp(zones, "loop.example", "A").rcode).toBe("NOERROR");
  });

  it("splits text into character-strings of at most 255 octets that join to the same text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 800 }), (text) => {
        const answer = lookUp(parseZones(JSON.stringify({ "a.example": { TXT: [text] } })), "a.example", "TXT");
        const [first] = answer.records;
        if (first?.record.type !== "TXT") throw new Error("no TXT record");
        expect(first.record.data.every((part) => Buffer.byteLength(part) <= 255)).toBe(true);
        expect(Buffer.from(first.record.data.join("")).equals(Buffer.from(text))).toBe(true);
      }),
    );
  });

  it.each([
    ["a list", "[]", "object of names"],
    ["a name that is none", '{"a..b": {}}', '"a..b" is not a domain name'],
    ["a type it does not know", '{"a.example": {"SPF": []}}', "SPF"],
    ["a value outside a list", '{"a.example": {"TXT": "v=spf1"}}', "list of strings"],
    ["an MX without preference", '{"a.example": {"MX": ["mx.example"]}}', '"mx.example" is not a value for MX'],
    ["an MX preference over 65535", '{"a.example": {"MX": ["65536 mx.example"]}}', "65536"],
    ["an address that is none", '{"a.example": {"A": ["192.0.2.999"]}}', "192.0.2.999"],
    ["an IPv4 address as AAAA", '{"a.example": {"AAAA": ["192.0.2.1"]}}', "AAAA"],
    ["a number as text", '{"a.example": {"TXT": [1]}}', "TXT"],
    ["half a file", '{"a.example": {"TXT": ["v=', "JSON"],
  ])("says what is wrong with %s", (_what, text, sentence) => {
    expect(() => parseZones(text)).toThrow(sentence);
  });
});

describe("the DNS-over-HTTPS server", () => {
  const dir = mkdtempSync(join(tmpdir(), "zones-"));
  const file = join(dir, "zones.json");
  const complaints: string[] = [];
  let server: DnsOverHttpsServer;

  beforeAll(async () => {
    writeFileSync(file, JSON.stringify(ZONES));
    server = await startDnsOverHttps(new ZonesFile(file, (sentence) => complaints.push(sentence)));
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true });
  });

  function query(name: string, type: PacketType): Buffer {
    return dnsPacket.encode({ type: "query", id: 7, flags: dnsPacket.RECURSION_DESIRED, questions: [{ name, type }] });
  }
  async function wire(method: "GET" | "POST", body: Buffer): Promise<dnsPacket.DecodedPacket & { rcode?: string }> {
    const response =
      method === "GET"
        ? await fetch(`${server.url}?dns=${body.toString("base64url")}`)
        : await fetch(server.url, {
            method,
            headers: { "content-type": "application/dns-message" },
            body: new Uint8Array(body),
          });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/dns-message");
    return dnsPacket.decode(Buffer.from(await response.arrayBuffer()));
  }
  async function json(name: string, type: string): Promise<unknown> {
    const response = await fetch(`${server.url}?${new URLSearchParams({ name, type })}`, {
      headers: { accept: "application/dns-json" },
    });
    expect(response.headers.get("content-type")).toBe("application/dns-json");
    return response.json();
  }

  it.each(["GET", "POST"] as const)("answers the wire form by %s (RFC 8484 §4.1)", async (method) => {
    const answer = await wire(method, query("customer.example", "MX"));
    expect(answer).toMatchObject({ type: "response", id: 7, rcode: "NOERROR", flag_rd: true });
    expect(answer.answers?.map((record) => "data" in record && record.data)).toEqual([
      { preference: 10, exchange: "mx.customer.example" },
      { preference: 20, exchange: "backup.example" },
    ]);
  });

  it("tells a missing name from a name without such records, in both forms", async () => {
    expect(await wire("GET", query("nowhere.example", "TXT"))).toMatchObject({ rcode: "NXDOMAIN", answers: [] });
    expect(await wire("GET", query("customer.example", "AAAA"))).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(await json("nowhere.example", "TXT")).toMatchObject({ Status: 3 });
    expect(await json("customer.example", "AAAA")).not.toHaveProperty("Answer");
  });

  it("answers the null MX and long text unharmed", async () => {
    const nullMx = await wire("GET", query("null-mx.example", "MX"));
    expect(nullMx.answers).toMatchObject([{ data: { preference: 0, exchange: "." } }]);
    const long = await wire("GET", query("s1._domainkey.customer.example", "TXT"));
    const [record] = long.answers ?? [];
    if (record?.type !== "TXT" || !Array.isArray(record.data)) throw new Error("no TXT record");
    expect(record.data.map((part) => part.length)).toEqual([255, LONG_TEXT.length - 255]);
    expect(Buffer.concat(record.data.map((part) => Buffer.from(part))).toString()).toBe(LONG_TEXT);
  });

  it("answers the JSON form by type name and by number", async () => {
    const expected = { Status: 0, Answer: [{ name: "mx.customer.example", type: 1, TTL: 0, data: "192.0.2.1" }] };
    expect(await json("mx.customer.example", "A")).toMatchObject(expected);
    expect(await json("mx.customer.example", "1")).toMatchObject(expected);
  });

  it("is understood by the worker's own resolver", async () => {
    const resolve = dnsOverHttps(server.url, fetch);
    expect((await resolve("s1._domainkey.customer.example", "TXT")).map((parts) => [...parts].join(""))).toEqual([
      LONG_TEXT,
    ]);
    const [plain, utf8] = await resolve("quoted.example", "TXT");
    expect(plain).toEqual(['say "hi" \\ bye']);
    expect(Buffer.from([...(utf8 ?? [])].join(""), "latin1").toString()).toBe("größe");
    await expect(resolve("nowhere.example", "TXT")).rejects.toMatchObject({ code: "ENOTFOUND" });
    await expect(resolve("customer.example", "AAAA")).rejects.toMatchObject({ code: "ENODATA" });
  });

  it.each<[string, string, RequestInit, number]>([
    ["no parameter", "", {}, 400],
    ["padding in base64url", "?dns=AAAA==", {}, 400],
    ["base64 of no DNS message", "?dns=AAAA", {}, 400],
    ["a response in place of a query", `?dns=${dnsPacket.encode({ type: "response" }).toString("base64url")}`, {}, 400],
    ["a label cut short", `?dns=${query("customer.example", "A").subarray(0, 16).toString("base64url")}`, {}, 400],
    ["a pointer to itself", "?dns=AAcBAAABAAAAAAAAwAwAEAAB", {}, 400],
    ["an unknown type", "?name=a.example&type=NONSENSE", {}, 400],
    ["an over-long name", `?name=${"a".repeat(254)}`, {}, 400],
    ["another method", "", { method: "PUT" }, 405],
    ["a POST of another type", "", { method: "POST", body: "x", headers: { "content-type": "text/plain" } }, 415],
    [
      "more bytes than a message can have",
      "",
      { method: "POST", body: "x".repeat(70_000), headers: { "content-type": "application/dns-message" } },
      413,
    ],
  ])("refuses %s", async (_what, search, init, status) => {
    const response = await fetch(server.url + search, init);
    expect([response.status, (await response.text()).length > 10]).toEqual([status, true]);
  });

  it("refuses another path", async () => {
    expect((await fetch(server.url.replace("dns-query", "elsewhere"))).status).toBe(404);
  });

  it("answers FORMERR without exactly one question, and NOTIMP to other kinds of query", async () => {
    expect(await wire("POST", dnsPacket.encode({ type: "query", questions: [] }))).toMatchObject({ rcode: "FORMERR" });
    const update = dnsPacket.encode({ type: "query", flags: 5 << 11, questions: [{ name: "a.example", type: "SOA" }] });
    expect(await wire("POST", update)).toMatchObject({ rcode: "NOTIMP" });
  });

  it("survives any bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        const response = await fetch(server.url, {
          method: "POST",
          headers: { "content-type": "application/dns-message" },
          body: new Uint8Array(bytes),
        });
        await response.arrayBuffer();
        expect([200, 400]).toContain(response.status);
      }),
      { numRuns: 200 },
    );
  });

  it("answers what the file says now, and what it said last while it is broken", async () => {
    const address = async () => JSON.stringify(await json("changing.example", "A"));
    const write = (text: string) => writeFileSync(file, text);
    write(JSON.stringify({ ...ZONES, "changing.example": { A: ["192.0.2.10"] } }));
    expect(await address()).toContain("192.0.2.10");
    write(JSON.stringify({ ...ZONES, "changing.example": { A: ["192.0.2.11"] } }));
    expect(await address()).toContain("192.0.2.11");
    complaints.length = 0;
    write('{"changing.example": {"A": [');
    expect(await address()).toContain("192.0.2.11");
    expect(await address()).toContain("192.0.2.11");
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain(file);
    rmSync(file);
    expect(await address()).toContain("192.0.2.11");
    expect(complaints).toHaveLength(2);
    write(JSON.stringify(ZONES));
    expect(await address()).toContain('"Status":3');
  });
});
