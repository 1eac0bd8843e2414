import { generateKeyPairSync } from "node:crypto";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { describe, expect, test } from "vitest";
import { authenticateMessage, type JudgedMessage, LOOKUP_MILLISECONDS } from "../../src/mail/authenticate.ts";
import { DnsError, type DnsErrorCode, type Resolver } from "../../src/mail/dns-over-https.ts";

/** DMARC of arriving mail (RFC 9989): which check it rests on, for which domain, by which record, and why. */

const PAIR = generateKeyPairSync("ed25519");
const KEY = `v=DKIM1; k=ed25519; p=${PAIR.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64")}`;

/** TXT records by name; `A name` for a name that exists; an error code in place of records is thrown. */
type Zone = Record<string, string[] | DnsErrorCode>;

function dns(zone: Zone, asked: string[] = []): Resolver {
  const ask = async (domain: string, rrtype: string) => {
    asked.push(`${rrtype} ${domain}`);
    const isKey = rrtype === "TXT" && domain.startsWith("k._domainkey.");
    const records = zone[rrtype === "TXT" ? domain : `${rrtype} ${domain}`] ?? (isKey ? [KEY] : "ENOTFOUND");
    if (typeof records === "string") throw new DnsError(records, rrtype, domain);
    return rrtype === "TXT" ? records.map((record) => [record]) : records;
  };
  return ask as Resolver;
}

interface Arrival {
  from?: string;
  /** Domains that sign it. */
  signed?: string[];
  /** The envelope's domain; SPF passes for it. */
  envelope?: string;
  asked?: string[];
}

async function judge(zone: Zone, arrival: Arrival = {}): Promise<JudgedMessage> {
  const { from = "bank.example", signed = [], envelope } = arrival;
  let mail = `From: Ann <ann@${from}>\r\nSubject: Hello\r\n\r\nHello.\r\n`;
  for (const signingDomain of signed) {
    const data = {
      ...{ signingDomain, selector: "k", algorithm: "ed25519-sha256" as const },
      privateKey: PAIR.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
    mail = (await dkimSign(mail, { ...data, signatureData: [data] })).signatures + mail;
  }
  const spf: Zone = envelope === undefined ? {} : { [envelope]: ["v=spf1 ip4:203.0.113.5 -all"] };
  return await authenticateMessage(
    {
      raw: Buffer.from(mail),
      envelope_from: envelope === undefined ? "" : `ann@${envelope}`,
      client: envelope === undefined ? null : { ip: "203.0.113.5", helo: "mx.bank.example" },
      from: [{ name: "Ann", address: `ann@${from}` }],
      mta: "mx.agents.test",
    },
    dns({ ...spf, ...zone }, arrival.asked),
  );
}

const dmarcOf = async (zone: Zone, arrival: Arrival = {}) => (await judge(zone, arrival)).checks.dmarc;

describe("the check that it rests on", () => {
  const ZONE: Zone = { "_dmarc.bank.example": ["v=DMARC1; p=reject"] };
  test.each<[string, Arrival, object, RegExp]>([
    [
      "DKIM",
      { signed: ["bank.example"] },
      { result: "pass", by: "dkim", disposition: "none" },
      /^A DKIM signature of bank\.example passed, which is aligned with the From domain bank\.example\.$/,
    ],
    [
      "SPF",
      { envelope: "bounces.bank.example" },
      { result: "pass", by: "spf" },
      /^SPF of bounces\.bank\.example passed/,
    ],
    [
      "DKIM, where both do",
      { signed: ["mail.bank.example"], envelope: "bank.example" },
      { result: "pass", by: "dkim" },
      /of mail\.bank\.example/,
    ],
    [
      "neither, though both pass for another domain",
      { signed: ["evil.example"], envelope: "evil.example" },
      { result: "fail", by: null, disposition: "reject" },
      /^Neither DKIM nor SPF passed for a domain aligned with bank\.example; the record at _dmarc\.bank\.example asks for reject\.$/,
    ],
    [
      "neither, for a name that only ends alike",
      { signed: ["notbank.example"], envelope: "bank.example.evil.example" },
      { result: "fail", by: null },
      /aligned/,
    ],
  ])("%s", async (_what, arrival, check, reason) => {
    const found = await dmarcOf(ZONE, arrival);
    expect(found).toMatchObject({ domain: "bank.example", policy: "reject", policy_domain: "bank.example", ...check });
    expect(found.reason).toMatch(reason);
  });
});

describe("the organisational domain is found by the tree walk of RFC 9989, not by a list of public suffixes", () => {
  test("a record that says psd=n ends the walk, where the list knows nothing of it", async () => {
    const zone = {
      "_dmarc.team.corp.example": ["v=DMARC1; p=reject; psd=n"],
      "_dmarc.corp.example": ["v=DMARC1; p=none"],
    };
    const found = await dmarcOf(zone, { from: "news.team.corp.example", signed: ["corp.example"] });
    expect(found).toMatchObject({ result: "fail", org_domain: "team.corp.example", policy: "reject" });
  });

  test("a record that says psd=y makes the names below it each their own, where the list has one domain", async () => {
    const zone = { "_dmarc.hosting.example": ["v=DMARC1; p=reject; psd=y"] };
    const found = await dmarcOf(zone, { from: "a.hosting.example", signed: ["b.hosting.example"] });
    expect(found).toMatchObject({ result: "fail", org_domain: "a.hosting.example", policy_domain: "hosting.example" });
  });

  test("two names under one public suffix are aligned by a record above both, since nobody else could have put it there", async () => {
    const zone = { "_dmarc.gov.example": ["v=DMARC1; p=reject"] };
    const found = await dmarcOf(zone, { from: "a.gov.example", signed: ["b.gov.example"] });
    expect(found).toMatchObject({ result: "pass", org_domain: "gov.example" });
  });

  test("a name of a hundred labels costs eight questions at most", async () => {
    const asked: string[] = [];
    const from = `${"a.".repeat(100)}bank.example`;
    await dmarcOf({ "_dmarc.bank.example": ["v=DMARC1; p=reject"] }, { from, asked });
    expect(asked.filter((question) => question.includes("_dmarc.")).length).toBeLessThanOrEqual(8);
  });
});

describe("alignment", () => {
  test.each<[string, string, Arrival, string]>([
    ["relaxed takes a subdomain's signature", "", { signed: ["mail.bank.example"] }, "pass"],
    ["adkim=s does not", "; adkim=s", { signed: ["mail.bank.example"] }, "fail"],
    ["adkim=s takes the very domain's", "; adkim=s", { signed: ["bank.example"] }, "pass"],
    ["relaxed takes a subdomain's envelope", "", { envelope: "mail.bank.example" }, "pass"],
    ["aspf=s does not", "; aspf=s", { envelope: "mail.bank.example" }, "fail"],
    ["aspf=s says nothing of DKIM", "; aspf=s", { signed: ["mail.bank.example"] }, "pass"],
  ])("%s", async (_what, tags, arrival, result) => {
    const found = await dmarcOf({ "_dmarc.bank.example": [`v=DMARC1; p=reject${tags}`] }, arrival);
    expect(found).toMatchObject({
      result,
      alignment: {
        dkim: tags.includes("adkim=s") ? "strict" : "relaxed",
        spf: tags.includes("aspf=s") ? "strict" : "relaxed",
      },
    });
  });
});

describe("the policy that applies", () => {
  const there: Zone = { "A news.bank.example": ["192.0.2.1"] };
  test.each<[string, string, string, Zone, string]>([
    ["p", "bank.example", "p=quarantine; sp=reject", {}, "quarantine"],
    ["sp to a subdomain", "news.bank.example", "p=quarantine; sp=reject", there, "reject"],
    ["p to a subdomain without sp", "news.bank.example", "p=quarantine", there, "quarantine"],
    ["np to a name that is not there", "made-up.bank.example", "p=none; sp=none; np=reject", {}, "reject"],
    ["sp to a name that is there", "news.bank.example", "p=none; sp=none; np=reject", there, "none"],
    ["one lower with t=y", "bank.example", "p=reject; t=y", {}, "quarantine"],
    ["none with t=y on quarantine", "bank.example", "p=quarantine; t=y", {}, "none"],
    ["one lower with pct=0, which was the old way to test", "bank.example", "p=reject; pct=0", {}, "quarantine"],
    ["t over pct", "bank.example", "p=reject; pct=0; t=n", {}, "reject"],
    ["all of it with any other pct: no lots are drawn", "bank.example", "p=reject; pct=1", {}, "reject"],
    ["all of it with a pct that is none", "bank.example", "p=reject; pct=many", {}, "reject"],
    ["capitals in a value", "bank.example", "p=REJECT", {}, "reject"],
  ])("is %s", async (_what, from, tags, zone, policy) => {
    const found = await dmarcOf({ "_dmarc.bank.example": [`v=DMARC1; ${tags}`], ...zone }, { from });
    expect(found).toMatchObject({ result: "fail", policy, disposition: policy, policy_domain: "bank.example" });
    expect(found.reason).toContain(`asks for ${policy}.`);
  });
});

describe("a record that is nearly one is none, and the reason says so", () => {
  test.each<[string, string[], RegExp]>([
    ["two records", ["v=DMARC1; p=reject", "v=DMARC1; p=none"], /^There are 2 DMARC records at _dmarc\.bank\.example/],
    ["the version in small letters", ["v=dmarc1; p=reject"], /nearly a DMARC record/],
    ["no version", ["p=reject"], /nearly a DMARC record/],
    ["a version without its semicolon", ["v=DMARC1 p=reject"], /nearly a DMARC record/],
    ["the version in second place", ["p=reject; v=DMARC1"], /nearly a DMARC record/],
    ["a policy that is none", ["v=DMARC1; p=rejekt"], /rejekt/],
    ["no policy", ["v=DMARC1; adkim=s"], /no policy/],
    ["a policy twice", ["v=DMARC1; p=none; p=reject"], /twice/],
    ["something else altogether", ["google-site-verification=1"], /^Neither bank\.example nor a domain above it/],
    ["nothing", [], /^Neither bank\.example nor a domain above it has a DMARC record\.$/],
  ])("%s", async (_what, records, reason) => {
    const found = await dmarcOf({ "_dmarc.bank.example": records }, { signed: ["bank.example"] });
    expect(found).toMatchObject({
      result: "none",
      policy: null,
      disposition: "none",
      by: null,
      domain: "bank.example",
    });
    expect(found.reason).toMatch(reason);
  });
});

describe("what the DNS does not answer", () => {
  test.each<[string, Zone, Arrival, object]>([
    ["the record", { "_dmarc.bank.example": "ETIMEOUT" }, {}, { result: "temperror", policy: null }],
    [
      "a key that might have vouched",
      { "_dmarc.bank.example": ["v=DMARC1; p=reject"], "k._domainkey.bank.example": "ESERVFAIL" },
      { signed: ["bank.example"] },
      { result: "temperror", policy: "reject", disposition: "none" },
    ],
    [
      "a key of a subdomain that could not have vouched anyway",
      { "_dmarc.bank.example": ["v=DMARC1; p=reject; adkim=s"], "k._domainkey.x.bank.example": "ESERVFAIL" },
      { signed: ["x.bank.example"] },
      { result: "fail", disposition: "reject" },
    ],
    [
      "a stranger's key",
      { "_dmarc.bank.example": ["v=DMARC1; p=reject"], "k._domainkey.evil.example": "ESERVFAIL" },
      { signed: ["evil.example"] },
      { result: "fail", disposition: "reject" },
    ],
  ])("%s", async (_what, zone, arrival, check) => {
    expect(await dmarcOf(zone, arrival)).toMatchObject(check);
  });
});

test("servers that take five seconds for each answer are asked for a while, and then no more", async () => {
  let clock = 0;
  let asked = 0;
  const signature = (n: number) =>
    `DKIM-Signature: v=1; a=rsa-sha256; d=evil${n}.example; s=k; h=from; bh=AAAA; b=AAAA\r\n`;
  const seals = Array.from({ length: 50 }, (_, n) => {
    const [i, cv] = [n + 1, n === 0 ? "none" : "pass"];
    return [
      `ARC-Seal: i=${i}; a=rsa-sha256; cv=${cv}; d=evil${i}.example; s=a; b=AAAA\r\n`,
      `ARC-Message-Signature: i=${i}; a=rsa-sha256; d=evil${i}.example; s=m; h=from; bh=AAAA; b=AAAA\r\n`,
      `ARC-Authentication-Results: i=${i}; evil.example; dmarc=pass\r\n`,
    ].join("");
  });
  const mail = `${seals.join("")}${Array.from({ length: 10 }, (_, n) => signature(n)).join("")}From: ann@bank.example\r\n\r\nx\r\n`;
  const slow = (async (domain: string, rrtype: string) => {
    asked++;
    clock += 5_000;
    throw new DnsError("ETIMEOUT", rrtype, domain);
  }) as unknown as Resolver;
  const verdicts = await authenticateMessage(
    {
      ...{ raw: Buffer.from(mail), envelope_from: "x@evil.example", client: { ip: "203.0.113.5", helo: "x" } },
      ...{ from: [{ name: null, address: "ann@bank.example" }], mta: "mx.agents.test", clock: () => clock },
    },
    slow,
  );
  expect(asked).toBe(LOOKUP_MILLISECONDS / 5_000);
  expect(verdicts).toMatchObject({
    dmarc_result: "temperror",
    spf_result: "temperror",
    arc_result: expect.not.stringMatching("pass"),
  });
});

test("a record of 60 kB is read in bounded time, and its reason stays short", async () => {
  const long = `v=DMARC1; p=${"x;".repeat(30_000)}`;
  const found = await dmarcOf({ "_dmarc.bank.example": [long] });
  expect(found.result).toBe("none");
  expect(found.reason.length).toBeLessThanOrEqual(300);
});
