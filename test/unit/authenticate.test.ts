import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { sealMessage } from "mailauth/lib/arc/index.js";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { describe, expect, test } from "vitest";
import { authenticateMessage } from "../../src/mail/authenticate.ts";
import { MAX_SIGNATURES_CHECKED } from "../../src/mail/authenticate-dkim.ts";
import { MAX_HEADER_OCTETS } from "../../src/mail/authenticate-octets.ts";
import {
  DnsError,
  type DnsErrorCode,
  isQueryableName,
  type MxRecord,
  type Resolver,
} from "../../src/mail/dns-over-https.ts";
import type { AuthenticationVerdicts, MailAddress } from "../../src/mail/message.ts";

const rsa = (bits: number) => generateKeyPairSync("rsa", { modulusLength: bits });
const KEYS = {
  "rsa-2048": rsa(2048),
  "rsa-1024": rsa(1024),
  "rsa-768": rsa(768),
  "rsa-512": rsa(512),
  ed25519: generateKeyPairSync("ed25519"),
  other: rsa(2048),
};

function keyRecord(key: KeyObject): string {
  const spki = key.export({ type: "spki", format: "der" });
  return key.asymmetricKeyType === "ed25519"
    ? `v=DKIM1; k=ed25519; p=${spki.subarray(-32).toString("base64")}`
    : `v=DKIM1; k=rsa; p=${spki.toString("base64")}`;
}

type Zone = Record<string, string[] | DnsErrorCode>;

/** @returns `ask` as a resolver. */
function resolving(ask: (domain: string, rrtype: string) => Promise<string[][] | string[]>): Resolver {
  function resolve(domain: string, rrtype: "MX"): Promise<MxRecord[]>;
  function resolve(domain: string, rrtype: string): Promise<string[][] | string[]>;
  async function resolve(domain: string, rrtype: string): Promise<MxRecord[] | string[][] | string[]> {
    return await ask(domain, rrtype);
  }
  return resolve;
}

/** A DNS of the zone's TXT records and, as `A name`, addresses; an error code in place of records is thrown. */
function dns(zone: Zone): Resolver {
  return resolving(async (domain, rrtype) => {
    const records = zone[rrtype === "TXT" ? domain : `${rrtype} ${domain}`] ?? "ENOTFOUND";
    if (typeof records === "string") throw new DnsError(records, rrtype, domain);
    return rrtype === "TXT" ? records.map((record) => [record]) : records;
  });
}

const ZONE: Zone = {
  ...Object.fromEntries(
    Object.entries(KEYS).map(([selector, pair]) => [
      `${selector}._domainkey.bank.example`,
      [keyRecord(pair.publicKey)],
    ]),
  ),
  "other._domainkey.evil.example": [keyRecord(KEYS.other.publicKey)],
  "rsa-2048._domainkey.mail.bank.example": [keyRecord(KEYS["rsa-2048"].publicKey)],
  "rsa-2048._domainkey.list.example": [keyRecord(KEYS["rsa-2048"].publicKey)],
  "bank.example": ["v=spf1 ip4:203.0.113.0/24 -all"],
  "evil.example": ["v=spf1 ip4:198.51.100.0/24 -all"],
  "_dmarc.bank.example": ["v=DMARC1; p=reject"],
};

const MAIL = [
  "From: Ann <ann@bank.example>",
  "To: agent@m.example",
  "Subject: Hello",
  "Date: Fri, 25 Sep 2026 05:07:50 +0000",
  "Message-ID: <1@bank.example>",
  "Content-Type: text/plain",
  "",
  "Please pay 5 euros.",
  "Ann",
  "",
].join("\r\n");

interface Signing {
  key?: keyof typeof KEYS;
  domain?: string;
  maxBodyLength?: number;
  /** Signs with this key but under another selector. */
  selector?: string;
  canonicalization?: string;
}

async function signed(
  mail: string,
  { key = "rsa-2048", domain = "bank.example", ...rest }: Signing = {},
): Promise<string> {
  const signature = {
    signingDomain: domain,
    selector: rest.selector ?? key,
    privateKey: KEYS[key].privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    algorithm: key === "ed25519" ? "ed25519-sha256" : "rsa-sha256",
    canonicalization: rest.canonicalization ?? "relaxed/relaxed",
    ...(rest.maxBodyLength === undefined ? {} : { maxBodyLength: rest.maxBodyLength }),
  };
  const { signatures } = await dkimSign(mail, { ...signature, signatureData: [signature] });
  expect(signatures).not.toBe("");
  return signatures + mail;
}

const ANN: MailAddress[] = [{ name: "Ann", address: "ann@bank.example" }];
const CLIENT = { ip: "203.0.113.5", helo: "mx.bank.example" };

interface Arrival {
  zone?: Zone;
  envelope_from?: string;
  client?: typeof CLIENT | null;
  from?: MailAddress[];
  raw?: Uint8Array | ReadableStream<Uint8Array>;
  resolver?: Resolver;
}

async function judge(mail: string, arrival: Arrival = {}): Promise<AuthenticationVerdicts> {
  return await authenticateMessage(
    {
      raw: arrival.raw ?? Buffer.from(mail),
      envelope_from: arrival.envelope_from ?? "ann@bank.example",
      client: arrival.client === undefined ? CLIENT : arrival.client,
      from: arrival.from ?? ANN,
      mta: "mx.m.example",
    },
    arrival.resolver ?? dns({ ...ZONE, ...arrival.zone }),
  );
}

describe("dkim_result is pass", () => {
  test.each<[string, Signing]>([
    ["RSA 2048", {}],
    ["RSA 1024", { key: "rsa-1024" }],
    ["Ed25519", { key: "ed25519" }],
    ["simple canonicalization", { canonicalization: "simple/simple" }],
    ["a subdomain of the From domain's organization", { domain: "mail.bank.example" }],
  ])("for a valid aligned signature: %s", async (_what, signing) => {
    const verdicts = await judge(await signed(MAIL, signing));
    expect(verdicts).toMatchObject({
      dkim_result: "pass",
      dkim_domain: signing.domain ?? "bank.example",
      dkim_selector: signing.key ?? "rsa-2048",
      dmarc_result: "pass",
      dmarc_policy: "reject",
      spf_result: "pass",
      spf_domain: "bank.example",
      arc_result: "none",
    });
    expect(verdicts.dkim_signatures).toMatchObject([{ result: "pass", aligned: true, body_length_limited: false }]);
  });

  test("beside broken and foreign ones", async () => {
    let mail = await signed(MAIL);
    mail = await signed(mail, { key: "other", domain: "evil.example" });
    mail = await signed(mail, { key: "other", selector: "rsa-2048" });
    const verdicts = await judge(mail);
    expect(verdicts.dkim_signatures.map(({ result, domain }) => `${result} ${domain}`)).toEqual([
      "fail bank.example",
      "pass evil.example",
      "pass bank.example",
    ]);
    expect(verdicts).toMatchObject({ dkim_result: "pass", dkim_domain: "bank.example", dkim_selector: "rsa-2048" });
  });

  test("for mail whose lines end in a bare LF", async () => {
    expect(await judge((await signed(MAIL)).replaceAll("\r\n", "\n"))).toMatchObject({ dkim_result: "pass" });
  });
});

describe("dkim_result is not pass", () => {
  test.each<[string, string, Signing, (mail: string) => string, Zone?]>([
    ["a changed body", "fail", {}, (mail) => mail.replace("5 euros", "5000 euros")],
    ["a changed subject", "fail", {}, (mail) => mail.replace("Subject: Hello", "Subject: Urgent")],
    ["another key under the real selector", "fail", { key: "other", selector: "rsa-2048" }, (mail) => mail],
    ["a selector without a key", "fail", { selector: "gone" }, (mail) => mail],
    ["a revoked key", "fail", {}, (mail) => mail, { "rsa-2048._domainkey.bank.example": ["v=DKIM1; p="] }],
    ["RSA 768", "policy", { key: "rsa-768" }, (mail) => mail],
    ["RSA 512", "policy", { key: "rsa-512" }, (mail) => mail],
    ["l= over the whole body", "policy", { maxBodyLength: 10_000 }, (mail) => mail],
    ["l= with more behind it", "policy", { maxBodyLength: 10 }, (mail) => `${mail}Pay 5000 to Eve.\r\n`],
    ["l=0", "policy", { maxBodyLength: 0 }, (mail) => mail],
    ["another domain's valid signature", "none", { key: "other", domain: "evil.example" }, (mail) => mail],
    [
      "another domain's broken signature",
      "none",
      { key: "other", domain: "evil.example" },
      (mail) => mail.replace("5 e", "6 e"),
    ],
    ["a second subject on top", "policy", {}, (mail) => `Subject: Urgent\r\n${mail}`],
    ["a second Content-Type on top", "policy", {}, (mail) => `Content-Type: text/html\r\n${mail}`],
    ["a server that fails", "temperror", {}, (mail) => mail, { "rsa-2048._domainkey.bank.example": "ESERVFAIL" }],
    ["a server that is silent", "temperror", {}, (mail) => mail, { "rsa-2048._domainkey.bank.example": "ETIMEOUT" }],
    ["SHA-1", "fail", {}, (mail) => mail.replace("a=rsa-sha256", "a=rsa-sha1")],
    ["no b=", "fail", {}, (mail) => mail.replace(/ b=[^:]*?\r\nFrom/, " b=\r\nFrom")],
    ["garbage for a signature", "fail", {}, (mail) => mail.replace(/ b=[^:]*?\r\nFrom/, " b=%%%%\r\nFrom")],
  ])("for %s: %s", async (_what, result, signing, change, zone) => {
    const mail = change(await signed(MAIL, signing));
    const verdicts = await judge(mail, { zone: zone ?? {}, client: null });
    expect(verdicts.dkim_result).toBe(result);
    if (result === "none") expect(verdicts).toMatchObject({ dkim_domain: null, dkim_selector: null });
    expect(verdicts.dmarc_result).toBe(
      result === "temperror" ? "temperror" : _what === "l= over the whole body" ? "pass" : "fail",
    );
  });

  test("for a foreign signature, whose detail stays visible", async () => {
    const verdicts = await judge(await signed(MAIL, { key: "other", domain: "evil.example" }), {
      envelope_from: "eve@evil.example",
      client: { ip: "198.51.100.7", helo: "mx.evil.example" },
    });
    expect(verdicts).toMatchObject({
      dkim_result: "none",
      spf_result: "pass",
      spf_domain: "evil.example",
      dmarc_result: "fail",
    });
    expect(verdicts.dkim_signatures).toMatchObject([
      {
        result: "pass",
        domain: "evil.example",
        selector: "other",
        algorithm: "rsa-sha256",
        key_bits: 2048,
        aligned: false,
      },
    ]);
  });

  const EVE: MailAddress = { name: null, address: "eve@evil.example" };
  test.each<[string, (mail: string) => string, MailAddress[]]>([
    ["two From fields", (mail) => `From: eve@evil.example\r\n${mail}`, [EVE, ...ANN]],
    ["two From fields of which one was overlooked", (mail) => `From: eve@evil.example\r\n${mail}`, ANN],
    ["a From field folded before its colon", (mail) => `From\r\n : eve@evil.example\r\n${mail}`, ANN],
    ["no From that our parser sees", (mail) => mail, []],
    ["a From that our parser reads otherwise", (mail) => mail, [EVE]],
  ])("for %s", async (_what, change, from) => {
    const verdicts = await judge(change(await signed(MAIL)), { from });
    expect(verdicts).toMatchObject({ dkim_result: "permerror", dmarc_result: "permerror", dmarc_policy: null });
  });

  test("for two addresses in one From field, though both are signed", async () => {
    const mail = await signed(MAIL.replace("Ann <ann@bank.example>", "ann@bank.example, eve@bank.example"));
    const verdicts = await judge(mail, { from: [...ANN, { name: null, address: "eve@bank.example" }] });
    expect(verdicts).toMatchObject({ dkim_result: "permerror", dmarc_result: "permerror" });
  });

  test("for unsigned mail, whatever its headers claim", async () => {
    const claims = [
      "Authentication-Results: mx.m.example; dkim=pass header.d=bank.example; spf=pass; dmarc=pass",
      "ARC-Authentication-Results: i=1; mx.m.example; dkim=pass header.d=bank.example",
      "Received-SPF: pass client-ip=203.0.113.5",
      "X-DKIM-Result: pass",
      "Return-Path: <ann@bank.example>",
    ];
    const verdicts = await judge(`${claims.join("\r\n")}\r\n${MAIL}`, { client: null, envelope_from: "" });
    expect(verdicts).toMatchObject({
      dkim_result: "none",
      spf_result: "none",
      dmarc_result: "fail",
      arc_result: "fail",
    });
    expect(verdicts.dkim_signatures).toEqual([]);
  });
});

describe("SPF", () => {
  test.each<[string, Arrival, string]>([
    ["pass", {}, "pass"],
    ["fail", { client: { ip: "192.0.2.1", helo: "x.example" } }, "fail"],
    ["none without a record", { envelope_from: "a@norecord.example" }, "none"],
    ["none without a client", { client: null }, "none"],
    ["softfail", { zone: { "bank.example": ["v=spf1 ~all"] } }, "softfail"],
    ["neutral", { zone: { "bank.example": ["v=spf1 ?all"] } }, "neutral"],
    ["permerror for a broken record", { zone: { "bank.example": ["v=spf1 ip4:999 -all"] } }, "permerror"],
    ["permerror for two records", { zone: { "bank.example": ["v=spf1 +all", "v=spf1 -all"] } }, "permerror"],
    ["permerror for endless includes", { zone: { "bank.example": ["v=spf1 include:bank.example -all"] } }, "permerror"],
    ["temperror for a failing server", { zone: { "bank.example": "ESERVFAIL" } }, "temperror"],
    [
      "the HELO name's for the null sender",
      { envelope_from: "", zone: { "mx.bank.example": ["v=spf1 ip4:203.0.113.5 -all"] } },
      "pass",
    ],
    ["none for a sender that is no address", { envelope_from: "\u0000(((" }, "none"],
  ])("is %s", async (_what, arrival, result) => {
    const verdicts = await judge(MAIL, arrival);
    expect(verdicts.spf_result).toBe(result);
    expect(verdicts.spf_comment).toMatch(/^[^\r\n\0]+$/);
  });

  test("says why where the client is unknown", async () => {
    expect((await judge(MAIL, { client: null })).spf_comment).toContain("no Received line");
  });
});

describe("DMARC", () => {
  const noSpf = { client: null };
  test.each<[string, () => Promise<string>, Arrival, string, string | null]>([
    ["passes by aligned DKIM alone", () => signed(MAIL), noSpf, "pass", "reject"],
    ["passes by aligned SPF alone", async () => MAIL, {}, "pass", "reject"],
    ["passes by a subdomain, relaxed", () => signed(MAIL, { domain: "mail.bank.example" }), noSpf, "pass", "reject"],
    [
      "fails by a subdomain, strict",
      () => signed(MAIL, { domain: "mail.bank.example" }),
      { ...noSpf, zone: { "_dmarc.bank.example": ["v=DMARC1; p=reject; adkim=s"] } },
      "fail",
      "reject",
    ],
    ["fails without either", async () => MAIL, noSpf, "fail", "reject"],
    ["is none without a record", () => signed(MAIL), { zone: { "_dmarc.bank.example": [] } }, "none", null],
    [
      "tells the policy",
      async () => MAIL,
      { zone: { "_dmarc.bank.example": ["v=DMARC1; p=quarantine"] } },
      "pass",
      "quarantine",
    ],
    [
      "is temperror for a failing server",
      () => signed(MAIL),
      { zone: { "_dmarc.bank.example": "ESERVFAIL" } },
      "temperror",
      null,
    ],
    [
      "is temperror while aligned SPF is",
      async () => MAIL,
      { zone: { "bank.example": "ETIMEOUT" } },
      "temperror",
      "reject",
    ],
  ])("%s", async (_what, mail, arrival, result, policy) => {
    expect(await judge(await mail(), arrival)).toMatchObject({ dmarc_result: result, dmarc_policy: policy });
  });
});

describe("a name that cannot be asked for is no breakdown: a forger could choose it", () => {
  const LABEL = "a".repeat(60);
  const TOO_LONG = Array(5).fill(LABEL).join(".");
  const strict = dns(ZONE);
  const resolver = resolving(async (domain, rrtype) => {
    if (!isQueryableName(domain)) throw new DnsError("EBADNAME", rrtype, domain);
    return await strict(domain, rrtype);
  });
  test.each<[string, string, Arrival]>([
    ["a selector that is too long", TOO_LONG, { client: null }],
    ["a selector with a label of 64 octets", "a".repeat(64), { client: null }],
    [
      "an envelope domain that is too long",
      "other",
      { envelope_from: `x@${TOO_LONG}.bank.example`, client: { ip: "198.51.100.9", helo: "mx.evil.example" } },
    ],
  ])("%s leaves the DMARC fail", async (_what, selector, arrival) => {
    const mail = await signed(MAIL, { selector });
    const verdicts = await judge(mail, { ...arrival, resolver });
    expect(verdicts).toMatchObject({ dmarc_result: "fail", dmarc_policy: "reject" });
    expect(verdicts.dkim_result).not.toBe("temperror");
    expect(verdicts.spf_result).not.toBe("temperror");
  });
});

describe("ARC", () => {
  const sealed = async (mail: string) =>
    (
      await sealMessage(Buffer.from(mail), {
        signingDomain: "list.example",
        selector: "rsa-2048",
        privateKey: KEYS["rsa-2048"].privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
        authResults: "mx.list.example; dkim=pass header.d=bank.example",
        cv: "none",
        i: 1,
      })
    ).toString() + mail;

  test("is pass for a valid chain, which makes nothing else pass", async () => {
    const forged = MAIL.replace("5 euros", "5000 euros");
    expect(await judge(await sealed(forged), { client: null })).toMatchObject({
      arc_result: "pass",
      dkim_result: "none",
      dmarc_result: "fail",
    });
  });

  test.each<[string, (mail: string) => string, Zone, string]>([
    ["fail for a changed body", (mail) => mail.replace("5 euros", "6 euros"), {}, "fail"],
    ["fail for a changed claim", (mail) => mail.replace("dkim=pass", "dkim=fail"), {}, "fail"],
    ["fail for a missing seal", (mail) => mail.replace("ARC-Seal", "X-Seal"), {}, "fail"],
    ["fail without a key", (mail) => mail, { "rsa-2048._domainkey.list.example": "ENOTFOUND" }, "fail"],
    [
      "temperror for a failing server",
      (mail) => mail,
      { "rsa-2048._domainkey.list.example": "ESERVFAIL" },
      "temperror",
    ],
  ])("is %s", async (_what, change, zone, result) => {
    expect((await judge(change(await sealed(MAIL)), { zone })).arc_result).toBe(result);
  });
});

describe("hostile mail is judged within bounds", () => {
  test("a thousand signatures: ten are checked, the rest is named", async () => {
    const one = (await signed(MAIL, { key: "ed25519", selector: "other", domain: "evil.example" })).slice(
      0,
      -MAIL.length,
    );
    let lookups = 0;
    const resolver = dns(ZONE);
    const counting = resolving(async (domain, rrtype) => {
      if (domain.includes("_domainkey")) lookups++;
      return await resolver(domain, rrtype);
    });
    const many = Array.from({ length: 1000 }, (_, n) => one.replace("s=other", `s=other${n}`)).join("");
    const verdicts = await judge(many + MAIL, { resolver: counting });
    expect(lookups).toBe(MAX_SIGNATURES_CHECKED);
    expect(verdicts.dkim_signatures).toHaveLength(MAX_SIGNATURES_CHECKED + 1);
    expect(verdicts.dkim_signatures.at(-1)?.comment).toBe("990 more signatures were not checked");
    expect(verdicts.dkim_result).toBe("none");
  });

  test.each<[string, string, string]>([
    [
      "a signature of 1 MB",
      `DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=rsa-2048; h=from; bh=x; b=${"A".repeat(1_000_000)}\r\n${MAIL}`,
      "permerror",
    ],
    ["an endless header", `X: ${"x".repeat(MAX_HEADER_OCTETS)}\r\n${MAIL}`, "permerror"],
    ["a hundred thousand folded lines", `X: y\r\n${" z\r\n".repeat(100_000)}${MAIL}`, "permerror"],
    ["ten thousand fields", `${"X-Field: y\r\n".repeat(10_000)}${MAIL}`, "none"],
    ["a million empty lines", MAIL + "\n".repeat(1_000_000), "none"],
    ["nothing", "", "none"],
    ["one NUL", "\0", "none"],
    ["only a body", "\r\nHello", "none"],
    ["garbage", Buffer.from(Array.from({ length: 5_000 }, (_, n) => (n * 7919) % 256)).toString("latin1"), "none"],
    ["garbage for tags", `DKIM-Signature: ;;;=;v=;=1;\u0000b=\r\n${MAIL}`, "none"],
    ["dangerous tag names", `DKIM-Signature: __proto__=1; constructor=2; toString=3\r\n${MAIL}`, "none"],
  ])("%s", async (_what, mail, result) => {
    const verdicts = await judge(mail);
    expect(verdicts.dkim_result).toBe(result);
  });

  test.each<[string, Resolver]>([
    ["throws an error without a code", resolving(() => Promise.reject(new Error("boom")))],
    ["throws no error at all", resolving(() => Promise.reject("boom"))],
    ["answers nonsense", resolving(async () => [["\u0000"], [""], []])],
  ])("a resolver that %s", async (_what, resolver) => {
    const verdicts = await judge(await signed(MAIL), { resolver });
    expect(verdicts.dkim_result).toBe(_what === "answers nonsense" ? "fail" : "temperror");
    expect(verdicts.dmarc_result).toBe(_what === "answers nonsense" ? "none" : "temperror");
  });
});

describe("the same bytes are judged alike however they come", () => {
  const stream = (mail: Uint8Array, size: number) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < mail.length; at += size) controller.enqueue(mail.subarray(at, at + size));
        controller.close();
      },
    });

  test.each([1, 2, 3, 7, 64, 1_000, 1_000_000])("in chunks of %i", async (size) => {
    for (const mail of [
      await signed(MAIL),
      (await signed(MAIL)).replace("5 e", "6 e"),
      (await signed(MAIL)).replaceAll("\r\n", "\n"),
    ]) {
      const bytes = Buffer.from(mail);
      expect(await judge("", { raw: stream(bytes, size) })).toEqual(await judge(mail));
    }
  });

  test("a body larger than what is held at once", async () => {
    const mail = await signed(`${MAIL}${"A line of some length, over and over.\r\n".repeat(150_000)}`);
    const bytes = Buffer.from(mail);
    expect(await judge("", { raw: stream(bytes, 65_536) })).toMatchObject({ dkim_result: "pass" });
    expect(await judge("", { raw: stream(bytes.subarray(0, -5), 65_536) })).toMatchObject({ dkim_result: "fail" });
  });

  test("a stream that breaks off is no verdict", async () => {
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from(MAIL));
        controller.error(new Error("connection lost"));
      },
    });
    await expect(judge("", { raw: broken })).rejects.toThrow("could not be read");
  });
});
