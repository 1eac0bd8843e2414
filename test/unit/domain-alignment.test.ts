import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkAlignment } from "../../src/mail/domain-alignment.ts";
import type { DomainPlan } from "../../src/mail/domain-plan.ts";
import { wantedRecords } from "../../src/mail/domain-records.ts";
import { type Zone, type ZoneEntry, zoneResolver } from "../support/dns-zone.ts";
import { ED_KEY, IDENTITY, NEXT_KEY, planOf, published, RELAY_ZONE, RSA_KEY } from "../support/domain-plans.ts";

const check = (plan: DomainPlan, zone: Zone) => checkAlignment(plan, zoneResolver(zone));
const zoneOf = (plan: DomainPlan, changed: Zone = {}, spf: string[] = []): Zone => ({
  ...published(wantedRecords(plan, { spf })),
  ...changed,
});

const SELECTOR = "mm1r._domainkey.customer.example";
const ED_SELECTOR = "mm1e._domainkey.customer.example";
const DKIM = `v=DKIM1; k=rsa; p=${RSA_KEY.public_key}`;
const DMARC = "v=DMARC1; p=quarantine; adkim=r; aspf=r";
const APEX = "customer.example";
const apex = (...TXT: string[]): ZoneEntry => ({ TXT, MX: ["10 mx.agents.test"] });

describe("a domain that publishes what is wanted", () => {
  it("is aligned, by the signature and by the return path", async () => {
    const plan = planOf();
    const found = await check(plan, zoneOf(plan));
    expect(found).toMatchObject({
      status: "aligned",
      checks: { dkim: "pass", spf: "pass", dmarc: "pass", inbound: "pass", alignment: "pass" },
      detail: "customer.example publishes all that its mail needs.",
      aligned_by: ["dkim", "spf"],
      receives: { domain: true, return_path: true },
      published_selectors: ["mm1r", "mm1e"],
    });
    expect(found.findings.every(({ result, detail }) => result === "pass" && detail === null)).toBe(true);
  });

  it("is shown in its own letters", async () => {
    const plan = planOf({ domain: "xn--bcher-kva.example" });
    expect((await check(plan, zoneOf(plan))).detail).toBe("bücher.example publishes all that its mail needs.");
  });

  it.each<[what: string, changed: Zone]>([
    [
      "the key in other strings",
      { [SELECTOR]: { TXT: [[DKIM.slice(0, 100), DKIM.slice(100, 200), DKIM.slice(200)]] } },
    ],
    ["the key with spaces in it", { [SELECTOR]: { TXT: [DKIM.replace(/.{76}/g, "$& ")] } }],
    ["the tags in another order, k= left out", { [SELECTOR]: { TXT: [`p=${RSA_KEY.public_key};t=s;h=sha1:sha256`] } }],
    [
      "the key behind an alias",
      { [SELECTOR]: { CNAME: ["key.elsewhere.example"] }, "key.elsewhere.example": { TXT: [DKIM] } },
    ],
    [
      "SPF through an include of its own",
      {
        [APEX]: apex("v=spf1 include:_spf.customer.example -all"),
        "_spf.customer.example": { TXT: ["v=spf1 include:spf.relay.example ?all"] },
      },
    ],
    [
      "SPF through a redirect",
      {
        [APEX]: apex("v=spf1 redirect=_spf.customer.example"),
        "_spf.customer.example": { TXT: ["v=spf1 include:SPF.relay.example. -all"] },
      },
    ],
    ["a stricter policy than is wanted", { "_dmarc.customer.example": { TXT: ["v=DMARC1;p=REJECT"] } }],
    [
      "DMARC behind an alias",
      { "_dmarc.customer.example": { CNAME: ["d.elsewhere.example"] }, "d.elsewhere.example": { TXT: [DMARC] } },
    ],
    [
      "other TXT records beside it",
      {
        [APEX]: apex("google-site-verification=x", "v=spf1 include:spf.relay.example ~all"),
        "_dmarc.customer.example": { TXT: ["hello", DMARC] },
      },
    ],
    [
      "an MX by an alias of our host",
      {
        [APEX]: { TXT: ["v=spf1 include:spf.relay.example ~all"], MX: ["5 in.customer.example"] },
        "in.customer.example": { CNAME: ["mx.agents.test"] },
        "mx.agents.test": { A: ["192.0.2.1"] },
      },
    ],
    [
      "a backup MX behind ours",
      { [APEX]: { TXT: ["v=spf1 include:spf.relay.example ~all"], MX: ["10 MX.agents.test", "20 backup.example"] } },
    ],
  ])("in another way is aligned as well: %s", async (_what, changed) => {
    const plan = planOf();
    const found = await check(plan, zoneOf(plan, changed));
    expect([found.status, found.detail]).toEqual(["aligned", "customer.example publishes all that its mail needs."]);
    expect(found.checks).toMatchObject({ dkim: "pass", spf: "pass", dmarc: "pass", inbound: "pass" });
  });

  it.each<[what: string, changed: Zone, advice: string]>([
    ["a key in testing", { [SELECTOR]: { TXT: [`${DKIM}; t=y:s`] } }, "“t=y”"],
    ["everyone may send", { [APEX]: apex("v=spf1 include:spf.relay.example +all") }, "“+all”"],
    [
      "an include that does not answer",
      { [APEX]: apex("v=spf1 include:slow.example include:spf.relay.example -all"), "slow.example": "ESERVFAIL" },
      "did not answer for slow.example",
    ],
    ["part of the mail is spared", { "_dmarc.customer.example": { TXT: ["v=DMARC1; p=reject; pct=10"] } }, "“pct=10”"],
    [
      "the key that few can check is wrong",
      { [ED_SELECTOR]: { TXT: [`v=DKIM1; k=ed25519; p=${RSA_KEY.public_key}`] } },
      `${ED_SELECTOR} has the key of the selector mm1r`,
    ],
  ])("is aligned, with advice: %s", async (_what, changed, advice) => {
    const plan = planOf();
    const found = await check(plan, zoneOf(plan, changed));
    expect(found.status).toBe("aligned");
    expect(found.detail).toContain(advice);
  });

  it("whose reports go elsewhere than wanted is aligned, and told", async () => {
    const plan = planOf({ dmarc: { policy: "none", rua: "r@customer.example" } });
    const zone = zoneOf(plan, {
      "_dmarc.customer.example": { TXT: ["v=DMARC1; p=none; rua=mailto:other@customer.example"] },
    });
    const found = await check(plan, zone);
    expect(found.status).toBe("aligned");
    expect(found.detail).toContain("does not ask for reports to mailto:r@customer.example");
  });
});

describe("each misalignment has its own detail", () => {
  it.each<[what: string, purpose: string, changed: Zone, says: string[]]>([
    [
      "another key",
      "dkim",
      { [SELECTOR]: { TXT: [DKIM.replace(RSA_KEY.public_key, NEXT_KEY.public_key)] } },
      ["another key than the one that signs"],
    ],
    [
      "the keys mixed up",
      "dkim",
      { [SELECTOR]: { TXT: [`v=DKIM1; k=ed25519; p=${ED_KEY.public_key}`] } },
      ["has the key of the selector mm1e"],
    ],
    [
      "a key cut off",
      "dkim",
      { [SELECTOR]: { TXT: [DKIM.slice(0, 255)] } },
      [`only the first ${255 - "v=DKIM1; k=rsa; p=".length} of the ${RSA_KEY.public_key.length} characters`],
    ],
    [
      "a key in two records",
      "dkim",
      { [SELECTOR]: { TXT: [DKIM.slice(255), DKIM.slice(0, 255)] } },
      ["There are 2 DKIM records", "split into 2 records"],
    ],
    ["a revoked key", "dkim", { [SELECTOR]: { TXT: ["v=DKIM1; p="] } }, ["revokes the selector"]],
    [
      "another type",
      "dkim",
      { [SELECTOR]: { TXT: [`v=DKIM1; k=ed25519; p=${RSA_KEY.public_key}`] } },
      ["“k=ed25519” of a key that is rsa"],
    ],
    ["SHA-1 alone", "dkim", { [SELECTOR]: { TXT: [`${DKIM}; h=sha1`] } }, ["does not allow SHA-256"]],
    ["not for mail", "dkim", { [SELECTOR]: { TXT: [`${DKIM}; s=tlsrpt`] } }, ["not for e-mail"]],
    ["a version that is none", "dkim", { [SELECTOR]: { TXT: [DKIM.replace("DKIM1", "DKIM")] } }, ["exactly “v=DKIM1”"]],
    ["a tag twice", "dkim", { [SELECTOR]: { TXT: [`${DKIM}; p=`] } }, ["“p=” twice"]],
    [
      "quotes pasted into the key",
      "dkim",
      { [SELECTOR]: { TXT: [`"${DKIM}"`] } },
      ["quotation marks or backslashes were pasted"],
    ],
    ["escaped semicolons", "dkim", { [SELECTOR]: { TXT: [DKIM.replaceAll(";", "\\;")] } }, ["backslashes were pasted"]],
    [
      "quoted pieces pasted as one",
      "dkim",
      { [SELECTOR]: { TXT: [`"${DKIM.slice(0, 255)}" "${DKIM.slice(255)}"`] } },
      ["quotation marks"],
    ],
    ["a text that is no key", "dkim", { [SELECTOR]: { TXT: ["hello"] } }, ["no list of tags"]],
    [
      "an alias to nothing of ours",
      "dkim",
      { [SELECTOR]: { CNAME: ["parked.example"] }, "parked.example": { TXT: ["parked"] } },
      ["An alias (CNAME) leads from", "to parked.example"],
    ],
    [
      "two SPF records",
      "spf",
      { [APEX]: apex("v=spf1 include:spf.relay.example ~all", "v=spf1 mx -all") },
      ["There are 2 SPF records", "v=spf1 include:spf.relay.example mx ~all"],
    ],
    [
      "SPF of another provider",
      "spf",
      { [APEX]: apex("v=spf1 include:other.example -all"), "other.example": { TXT: ["v=spf1 -all"] } },
      ["“include:spf.relay.example” is not in it", "“v=spf1 include:other.example include:spf.relay.example -all”"],
    ],
    ["ours behind all", "spf", { [APEX]: apex("v=spf1 -all include:spf.relay.example") }, ["where it takes effect"]],
    [
      "ours so that it fails",
      "spf",
      { [APEX]: apex("v=spf1 -include:spf.relay.example -all") },
      ["where it takes effect"],
    ],
    [
      "too many look-ups",
      "spf",
      { [APEX]: apex(`v=spf1 ${"a ".repeat(10)}include:spf.relay.example -all`) },
      ["takes 11 look-ups, and 10 are allowed"],
    ],
    [
      "a word that is no term",
      "spf",
      { [APEX]: apex("v=spf1 inculde:x.example include:spf.relay.example -all") },
      ["“inculde:x.example”"],
    ],
    [
      "SPF with a semicolon",
      "spf",
      { [APEX]: apex("v=spf1; include:spf.relay.example -all") },
      ["not with exactly “v=spf1 ”"],
    ],
    ["SPF in quotes", "spf", { [APEX]: apex('"v=spf1 include:spf.relay.example ~all"') }, ["quotation marks"]],
    [
      "two DMARC records",
      "dmarc",
      { "_dmarc.customer.example": { TXT: [DMARC, "v=DMARC1; p=none"] } },
      ["There are 2 DMARC records"],
    ],
    [
      "DMARC1 in lower case",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=dmarc1; p=reject"] } },
      ["exactly “v=DMARC1;”"],
    ],
    ["no version", "dmarc", { "_dmarc.customer.example": { TXT: ["p=reject; v=DMARC1"] } }, ["exactly “v=DMARC1;”"]],
    [
      "no policy",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1; rua=mailto:a@customer.example"] } },
      ["no policy"],
    ],
    ["a capital P", "dmarc", { "_dmarc.customer.example": { TXT: ["v=DMARC1; P=reject"] } }, ["capital"]],
    [
      "a policy that is none",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1; p=quarantaine"] } },
      ["“p=quarantaine”"],
    ],
    [
      "a subdomain policy that is none",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1; p=reject; sp=all"] } },
      ["“sp=all”"],
    ],
    [
      "commas in place of semicolons",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1, p=reject"] } },
      ["exactly “v=DMARC1;”"],
    ],
    [
      "a weaker policy",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1; p=none"] } },
      ["“p=none”", "“quarantine” is wanted"],
    ],
    [
      "a policy in testing",
      "dmarc",
      { "_dmarc.customer.example": { TXT: ["v=DMARC1; p=quarantine; t=y"] } },
      ["“t=y”"],
    ],
    ["DMARC in quotes", "dmarc", { "_dmarc.customer.example": { TXT: [`"${DMARC}"`] } }, ["quotation marks"]],
  ])("%s", async (_what, purpose, changed, says) => {
    const plan = planOf();
    const found = await check(plan, zoneOf(plan, changed));
    expect(found.status).toBe("misaligned");
    expect(found.checks[purpose as "dkim"]).toBe("fail");
    for (const text of [...says, "customer.example"]) expect(found.detail).toContain(text);
  });

  it.each<[what: string, name: string, says: string]>([
    ["the panel appended the zone", "_dmarc.customer.example.customer.example", "enter “_dmarc” as the name"],
    ["the underscore is missing", "dmarc.customer.example", "the underscore is missing"],
    ["it stands at the domain itself", APEX, "It stands at customer.example itself: its name begins with “_dmarc”"],
  ])("what is missing is found where it was put: %s", async (_what, name, says) => {
    const plan = planOf();
    const zone = zoneOf(plan);
    const moved = name === APEX ? apex("v=spf1 include:spf.relay.example ~all", DMARC) : { TXT: [DMARC] };
    delete zone["_dmarc.customer.example"];
    const found = await check(plan, { ...zone, [name]: moved });
    expect([found.status, found.checks.dmarc]).toEqual(["pending", "missing"]);
    expect(found.detail).toContain(`There is no DMARC record at _dmarc.customer.example. It stands at ${name}`);
    expect(found.detail).toContain(says);
  });

  it("a key whose name lacks its underscore, or has the zone twice, is found", async () => {
    const plan = planOf();
    for (const name of ["mm1r.domainkey.customer.example", `${SELECTOR}.customer.example`]) {
      const zone = zoneOf(plan, { [name]: { TXT: [DKIM] } });
      delete zone[SELECTOR];
      expect((await check(plan, zone)).detail).toContain(`It stands at ${name}`);
    }
  });

  it.each<[MX: string[], says: string]>([
    [["10 mail.other.example"], "leads to mail.other.example and not to mx.agents.test"],
    [
      ["5 mail.other.example", "10 mx.agents.test"],
      "leads to mail.other.example as much as to mx.agents.test, or before it",
    ],
    [["10 mx.agents.test", "10 mail.other.example"], "as much as"],
    [["0 ."], "takes no mail (the null MX"],
  ])("the MX %j is told, and breaks nothing where mail may go elsewhere", async (MX, says) => {
    const changed = { [APEX]: { TXT: ["v=spf1 include:spf.relay.example ~all"], MX } };
    const plan = planOf();
    const free = await check(plan, zoneOf(plan, changed));
    expect(free).toMatchObject({
      status: "aligned",
      checks: { inbound: "fail" },
      receives: { domain: false, return_path: true },
    });
    const needed = planOf({ inbound_required: true });
    const found = await check(needed, zoneOf(needed, changed));
    expect(found.status).toBe("misaligned");
    expect(found.detail).toContain(says);
  });
});

describe("where bounces come back to", () => {
  const SPF = "v=spf1 include:spf.relay.example ~all";
  const BOUNCES = "bounces.customer.example";
  it.each<[what: string, changed: Zone, receives: object, by: string[]]>([
    ["the domain itself", { [BOUNCES]: {} }, { domain: true, return_path: false }, ["dkim", "spf"]],
    [
      "a name below it",
      { [APEX]: { TXT: [SPF], MX: ["10 other.example"] } },
      { domain: false, return_path: true },
      ["dkim", "spf"],
    ],
    ["neither", { [APEX]: { TXT: [SPF] }, [BOUNCES]: {} }, { domain: false, return_path: false }, ["dkim"]],
    [
      "a name below it without SPF",
      { [APEX]: { TXT: [SPF] }, [BOUNCES]: { MX: ["10 mx.agents.test"] } },
      { domain: false, return_path: false },
      ["dkim"],
    ],
    [
      "a name below it, and the very same domain is demanded",
      { [APEX]: { TXT: [SPF] }, "_dmarc.customer.example": { TXT: [`${DMARC.replace("aspf=r", "aspf=s")}`] } },
      { domain: false, return_path: true },
      ["dkim"],
    ],
  ])("%s", async (_what, changed, receives, by) => {
    const plan = planOf();
    const found = await check(plan, zoneOf(plan, changed));
    expect(found).toMatchObject({ status: "aligned", receives, aligned_by: by });
  });
});

describe("a subdomain", () => {
  const plan = planOf({ domain: "mail.customer.example" });
  it.each<[above: string, record: string, status: string, says: string]>([
    ["_dmarc.customer.example", "v=DMARC1; p=reject", "aligned", "the one at _dmarc.customer.example covers it"],
    ["_dmarc.customer.example", "v=DMARC1; p=none; sp=quarantine", "aligned", "covers it"],
    ["_dmarc.customer.example", "v=DMARC1; p=reject; sp=none", "misaligned", "“sp=none”"],
    [
      "_dmarc.customer.example",
      "v=DMARC1; sp=reject",
      "pending",
      "There is no DMARC record at _dmarc.mail.customer.example",
    ],
    ["_dmarc.example", "v=DMARC1; p=reject; psd=y", "aligned", "the one at _dmarc.example covers it"],
    ["_dmarc.other.example", "v=DMARC1; p=reject", "pending", "There is no DMARC record"],
  ])("without a record of its own, below %s %s, is %s", async (above, record, status, says) => {
    const zone = zoneOf(plan, { [above]: { TXT: [record] } });
    delete zone["_dmarc.mail.customer.example"];
    const found = await check(plan, zone);
    expect(found.status).toBe(status);
    expect(found.detail).toContain(says);
  });

  it.each([
    ["n", "aligned"],
    ["u", "misaligned"],
  ])("is covered by the nearest record above only if that says psd=n: %s", async (psd, status) => {
    const deep = planOf({ domain: "a.mail.customer.example" });
    const zone = zoneOf(deep, {
      "_dmarc.mail.customer.example": { TXT: [`v=DMARC1; p=reject; psd=${psd}`] },
      "_dmarc.customer.example": { TXT: ["v=DMARC1; p=none"] },
    });
    delete zone["_dmarc.a.mail.customer.example"];
    expect((await check(deep, zone)).status).toBe(status);
  });

  it("has its organisation's record and not its public suffix's", async () => {
    const zone = zoneOf(plan, {
      "_dmarc.customer.example": { TXT: ["v=DMARC1; p=reject"] },
      "_dmarc.example": { TXT: ["v=DMARC1; p=none; psd=y"] },
    });
    delete zone["_dmarc.mail.customer.example"];
    expect((await check(plan, zone)).status).toBe("aligned");
  });

  it("whose records were put at the domain above is told so", async () => {
    const zone = zoneOf(plan, { "mm1r._domainkey.customer.example": { TXT: [DKIM] } });
    delete zone["mm1r._domainkey.mail.customer.example"];
    expect((await check(plan, zone)).detail).toContain(
      "It stands at mm1r._domainkey.customer.example, which is not for mail.customer.example",
    );
  });
});

describe("when the DNS does not answer", () => {
  it("nothing is concluded, whatever breaks", async () => {
    const plan = planOf({ challenge: "multimail-challenge=x", inbound_required: true });
    for (const code of ["ESERVFAIL", "ETIMEOUT", "EREFUSED"] as const) {
      for (const { name } of wantedRecords(plan, { spf: [] })) {
        const found = await check(plan, zoneOf(plan, { [name]: code }));
        expect(found.status).not.toBe("misaligned");
        const own = found.findings.filter((finding) => finding.name === name);
        expect(own.every(({ result, detail }) => result === "unknown" && detail?.includes(name))).toBe(true);
      }
    }
  });

  it("all of it, each check is unknown", async () => {
    const zone = Object.fromEntries(
      wantedRecords(planOf(), { spf: [] }).map(({ name }) => [name, "ESERVFAIL" as const]),
    );
    const found = await check(planOf(), zone);
    expect(found.status).toBe("pending");
    expect(new Set(Object.values(found.checks))).toEqual(new Set(["unknown"]));
  });

  it("a resolver that never answers is given up after its time", async () => {
    const never = (() => new Promise(() => {})) as unknown as Parameters<typeof checkAlignment>[1];
    const found = await checkAlignment(planOf(), never, 20);
    expect(found.status).toBe("pending");
    expect(found.detail).toContain("ETIMEOUT");
  }, 2_000);

  it("a mistake of ours is not taken for one of the DNS", async () => {
    const broken = (async () => {
      throw new TypeError("ours");
    }) as unknown as Parameters<typeof checkAlignment>[1];
    await expect(checkAlignment(planOf(), broken)).rejects.toThrow("ours");
  });
});

it("a domain that does not exist is told so", async () => {
  const found = await check(planOf(), {});
  expect(found.status).toBe("pending");
  expect(found.detail).toContain("The DNS knows no name customer.example");
});

it("however much a zone holds and however wrong, the look-ups are bounded, and what is told is short and printable", async () => {
  const evil = `v=spf1 ${Array.from({ length: 500 }, (_, n) => `include:n${n}.customer.example`).join(" ")} \u001b[31m\u202e -all`;
  const zone: Zone = { [APEX]: { TXT: [evil, evil], MX: Array.from({ length: 500 }, (_, n) => `1 m${n}.example`) } };
  for (let n = 0; n < 500; n++) zone[`n${n}.customer.example`] = { TXT: [evil] };
  zone[SELECTOR] = { TXT: Array.from({ length: 200 }, () => "x".repeat(300)) };
  zone["_dmarc.customer.example"] = { TXT: [`v=DMARC1; ${"p=none;".repeat(5_000)}`] };
  let asked = 0;
  const plan = planOf({
    identity: IDENTITY,
    challenge: "x",
    tls_rpt: "a@b.example",
    bimi_logo_url: "https://x.example/l",
    mta_sts_id: "1",
  });
  const found = await checkAlignment(
    plan,
    zoneResolver(zone, () => asked++),
  );
  expect(asked).toBeLessThanOrEqual(160);
  expect(JSON.stringify(found).length).toBeLessThan(60_000);
  expect(JSON.stringify(found)).not.toMatch(/\\u001b|\u202e/);
});

it("what strangers publish is quoted so that it can do no harm where it is read", async () => {
  const evil = "\u001b[31m\u202e\u2028\r\nX";
  const plan = planOf();
  const found = await check(
    plan,
    zoneOf(plan, {
      [APEX]: { TXT: [`v=spf1 ${evil} include:spf.relay.example -all`], MX: [`10 ${evil}.example`] },
      [SELECTOR]: { TXT: [`v=DKIM1; k=${evil}; p=${RSA_KEY.public_key}`] },
      "_dmarc.customer.example": { TXT: [`v=DMARC1; p=${evil}`] },
      "bounces.customer.example": { CNAME: [`${evil}.example`] },
    }),
  );
  const records = wantedRecords(plan, { spf: [`v=spf1 ${evil} -all`] });
  expect(found.status).toBe("misaligned");
  expect(JSON.stringify({ found, records })).not.toMatch(/\\u001b|\\r|\\n|[\u202e\u2028]/);
});

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const plans: fc.Arbitrary<DomainPlan> = fc.record({
  domain: fc.oneof(
    label.map((name) => `${name}.example`),
    fc.tuple(label, label).map((names) => `${names.join(".")}.co.uk`),
    fc.constant("xn--bcher-kva.example"),
  ),
  dkim_keys: fc.constantFrom(
    [RSA_KEY],
    [ED_KEY],
    [RSA_KEY, ED_KEY],
    [RSA_KEY, ED_KEY, NEXT_KEY],
    [{ ...NEXT_KEY, state: "retired" as const }, RSA_KEY],
  ),
  identity: fc.constantFrom(null, IDENTITY),
  hosts: fc.constantFrom(
    { mx_host: "mx.agents.test", spf_include: "spf.relay.example" },
    { mx_host: "mx.agents.test", spf_include: null, policy_host: "agents.test" },
    { mx_host: null, spf_include: "spf.relay.example" },
    { mx_host: null, spf_include: null },
  ),
  inbound_required: fc.boolean(),
  dmarc: fc.record({
    policy: fc.constantFrom("none", "quarantine", "reject"),
    rua: fc.constantFrom(null, "r@reports.test", "mailto:r@r.test,s@s.test"),
  }),
  challenge: fc.constantFrom(null, "multimail-challenge=0a1b"),
  mta_sts_id: fc.constantFrom(null, "20261121"),
  tls_rpt: fc.constantFrom(null, "tls@reports.test"),
  bimi_logo_url: fc.constantFrom(null, "https://logo.test/l.svg"),
}) as fc.Arbitrary<DomainPlan>;
const before = fc.constantFrom<string[][]>(
  [],
  ["v=spf1 ip4:192.0.2.9 -all"],
  ["v=spf1 ip4:192.0.2.9 include:other.test ?all"],
  ["hello"],
);
const others: Zone = { ...RELAY_ZONE, "other.test": { TXT: ["v=spf1 -all"] } };

describe("for any plan", () => {
  it("what is wanted, published, is aligned", async () => {
    await fc.assert(
      fc.asyncProperty(plans, before, async (plan, spf) => {
        const records = wantedRecords(plan, { spf });
        const found = await check(plan, published(records, others));
        expect([found.status, found.detail]).toEqual([
          "aligned",
          expect.stringContaining("publishes all that its mail needs."),
        ]);
        expect(found.findings.filter(({ result }) => result !== "pass")).toEqual([]);
        expect(found.findings).toHaveLength(records.length);
        expect(found.published_selectors).toEqual(plan.dkim_keys.map(({ selector }) => selector));
      }),
      { numRuns: 150 },
    );
  });

  it("a required record that is removed or changed is noticed and named", async () => {
    await fc.assert(
      fc.asyncProperty(plans, before, fc.nat(), fc.boolean(), async (plan, spf, pick, removed) => {
        const records = wantedRecords(plan, { spf });
        const required = records.filter((record) => record.required);
        const victim = required[pick % required.length] as (typeof required)[number];
        const changed = records.flatMap((record) => {
          if (record !== victim) return [record];
          const { strings: _strings, ...rest } = record;
          const wrong = { TXT: `no ${record.value}`, MX: "10 elsewhere.test", CNAME: "elsewhere.test" }[record.type];
          return removed ? [] : [{ ...rest, value: wrong }];
        });
        const found = await check(plan, published(changed, others));
        expect(found.status).not.toBe("aligned");
        expect(found.findings.find(({ name, type }) => name === victim.name && type === victim.type)?.result).not.toBe(
          "pass",
        );
        expect(found.detail).toContain(victim.name);
      }),
      { numRuns: 200 },
    );
  });
});
