import { expect, it } from "vitest";
import { readIdentityTxtRecord } from "../../src/identity/txt-record.ts";
import type { DomainPlan } from "../../src/mail/domain-plan.ts";
import { mtaStsPolicy, wantedRecords } from "../../src/mail/domain-records.ts";
import { ED_KEY, IDENTITY, NEXT_KEY, planOf, RSA_KEY } from "../support/domain-plans.ts";

const wanted = (changed: Partial<DomainPlan> = {}, spf: string[] = []) => wantedRecords(planOf(changed), { spf });
const lines = (changed: Partial<DomainPlan> = {}, spf: string[] = []) =>
  wanted(changed, spf).map(({ type, name, value, required }) => `${type} ${name} ${value} ${required}`);
const withPurpose = (purpose: string, changed: Partial<DomainPlan>) =>
  wanted(changed).filter((record) => record.purpose === purpose);

it("a domain publishes its keys, SPF, DMARC, MX and the return path", () => {
  expect(lines()).toEqual([
    "MX customer.example 10 mx.agents.test false",
    "TXT customer.example v=spf1 include:spf.relay.example ~all true",
    `TXT mm1r._domainkey.customer.example v=DKIM1; k=rsa; p=${RSA_KEY.public_key} true`,
    `TXT mm1e._domainkey.customer.example v=DKIM1; k=ed25519; p=${ED_KEY.public_key} false`,
    "TXT _dmarc.customer.example v=DMARC1; p=quarantine; adkim=r; aspf=r true",
    "MX bounces.customer.example 10 mx.agents.test false",
    "TXT bounces.customer.example v=spf1 include:spf.relay.example ~all false",
  ]);
});

it("SPF takes in what is published", () => {
  const [spf] = wanted({}, ["v=spf1 a -all", "hello"]).filter(({ purpose }) => purpose === "spf");
  expect(spf).toMatchObject({ value: "v=spf1 a include:spf.relay.example -all", required: true });
  expect(spf).not.toHaveProperty("note");
  const [two] = wanted({}, ["v=spf1 a -all", "v=spf1 mx -all"]).filter(({ purpose }) => purpose === "spf");
  expect(two).toMatchObject({
    value: "v=spf1 a mx include:spf.relay.example -all",
    note: expect.stringContaining("2 SPF"),
  });
});

it("without a relay's include the mail server itself sends, and without either nobody is added", () => {
  expect(lines({ hosts: { mx_host: "mx.agents.test", spf_include: null } })).toContain(
    "TXT customer.example v=spf1 mx ~all true",
  );
  expect(lines({ hosts: { mx_host: null, spf_include: null } })).toContain("TXT customer.example v=spf1 ~all true");
});

it("where no mail comes in there is no MX, no return path and no MTA-STS", () => {
  const records = wanted({ hosts: { mx_host: null, spf_include: "spf.relay.example" }, mta_sts_id: "1" });
  expect(records.map(({ purpose }) => purpose)).toEqual(["spf", "dkim", "dkim", "dmarc"]);
});

it("the MX of a domain whose mail is to come here is required, and no return path beside it", () => {
  const records = lines({ inbound_required: true });
  expect(records).toContain("MX customer.example 10 mx.agents.test true");
  expect(records.join()).not.toContain("bounces.");
});

it("a record over 255 octets is published in strings of at most 255 that join to it", () => {
  const rsa = wanted().find(({ name }) => name.startsWith("mm1r."));
  expect(rsa?.strings?.map(({ length }) => length)).toEqual([255, (rsa?.value.length ?? 0) - 255]);
  expect(rsa?.strings?.join("")).toBe(rsa?.value);
});

it.each([
  [
    [RSA_KEY, ED_KEY],
    [true, false],
  ],
  [[ED_KEY], [true]],
  [[RSA_KEY], [true]],
  [
    [RSA_KEY, ED_KEY, NEXT_KEY],
    [true, false, false],
  ],
  [
    [{ ...RSA_KEY, state: "retired" as const }, NEXT_KEY, ED_KEY],
    [false, false, true],
  ],
])("of the keys that sign, what every receiver can check is required (%#)", (dkim_keys, required) => {
  expect(withPurpose("dkim", { dkim_keys }).map((record) => record.required)).toEqual(required);
});

it.each<[rua: string | null, value: string, consent: string[]]>([
  [null, "v=DMARC1; p=quarantine; adkim=r; aspf=r", []],
  ["reports@customer.example", "v=DMARC1; p=quarantine; adkim=r; aspf=r; rua=mailto:reports@customer.example", []],
  ["mailto:r@mail.customer.example", "v=DMARC1; p=quarantine; adkim=r; aspf=r; rua=mailto:r@mail.customer.example", []],
  [
    "a@reports.other.example, mailto:b@customer.example!10m",
    "v=DMARC1; p=quarantine; adkim=r; aspf=r; rua=mailto:a@reports.other.example,mailto:b@customer.example!10m",
    ["customer.example._report._dmarc.reports.other.example"],
  ],
])("reports to %s, and the consent of others", (rua, value, consent) => {
  const [own, ...others] = withPurpose("dmarc", { dmarc: { policy: "quarantine", rua } });
  expect(own?.value).toBe(value);
  expect(others.map(({ name }) => name)).toEqual(consent);
  for (const other of others) {
    expect(other).toMatchObject({ value: "v=DMARC1", required: false, note: expect.stringContaining("whoever runs") });
  }
});

it("what is asked for besides is published too, and is not required", () => {
  const records = wanted({
    challenge: "multimail-challenge=abc",
    identity: IDENTITY,
    hosts: { mx_host: "mx.agents.test", spf_include: null, policy_host: "agents.test" },
    mta_sts_id: "20261121",
    tls_rpt: "tls@customer.example",
    bimi_logo_url: "https://customer.example/logo.svg",
  });
  const find = (name: string, type = "TXT") => records.find((record) => record.name === name && record.type === type);
  expect(find("_multimail-challenge.customer.example")).toMatchObject({
    value: "multimail-challenge=abc",
    required: true,
  });
  expect(readIdentityTxtRecord(find("_multimail.customer.example")?.value ?? "")?.kid).toBe(IDENTITY?.kid);
  expect(find("_mta-sts.customer.example")).toMatchObject({ value: "v=STSv1; id=20261121;", required: false });
  expect(find("mta-sts.customer.example", "CNAME")).toMatchObject({ value: "agents.test", required: false });
  expect(find("_smtp._tls.customer.example")?.value).toBe("v=TLSRPTv1; rua=mailto:tls@customer.example");
  expect(find("default._bimi.customer.example")?.value).toBe("v=BIMI1; l=https://customer.example/logo.svg;");
  expect(records.filter(({ required }) => required).map(({ purpose }) => purpose)).toEqual([
    "ownership",
    "spf",
    "dkim",
    "dmarc",
  ]);
});

it.each([
  [undefined, "testing"],
  ["enforce" as const, "enforce"],
])("the MTA-STS policy in mode %s is RFC 8461's", (mode, written) => {
  const plan = planOf({ mta_sts_id: "1", ...(mode ? { mta_sts_mode: mode } : {}) });
  expect(mtaStsPolicy(plan)).toBe(`version: STSv1\r\nmode: ${written}\r\nmx: mx.agents.test\r\nmax_age: 604800\r\n`);
});

it("the MTA-STS policy of a domain at Email Routing allows all of its hosts", () => {
  const hosts = { mx_host: "route1.mx.cloudflare.net", spf_include: null };
  expect(mtaStsPolicy(planOf({ mta_sts_id: "1", hosts }))).toContain("\r\nmx: *.mx.cloudflare.net\r\n");
});

it("there is no MTA-STS policy where none is wanted or no mail comes in", () => {
  expect(mtaStsPolicy(planOf())).toBeNull();
  expect(mtaStsPolicy(planOf({ mta_sts_id: "1", hosts: { mx_host: null, spf_include: null } }))).toBeNull();
});
