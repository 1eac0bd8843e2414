import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { withoutBadNames } from "../../src/mail/authenticate-lookups.ts";
import { judgeSpf } from "../../src/mail/authenticate-spf.ts";
import { DnsError, isQueryableName, type Resolver } from "../../src/mail/dns-over-https.ts";

/** The OpenSPF suite for RFC 7208 (test/vectors/README.md), each case through our own way of asking. */

type ZoneRecord = "TIMEOUT" | Record<string, unknown>;

interface Case {
  description?: string;
  spec: unknown;
  helo: string;
  host: string;
  mailfrom: string;
  result: string | string[];
}

interface Scenario {
  description: string;
  tests: Record<string, Case>;
  zonedata: Record<string, ZoneRecord[]>;
}

const SCENARIOS = parseAllDocuments(
  readFileSync(join(import.meta.dirname, "../vectors/spf/rfc7208-tests.yml"), "utf8"),
).map((document): Scenario => document.toJS());

const CASES = 203;

const NOT_ASKED =
  "a colon, a space or a percent sign in a label is not sent to a server that is asked over HTTPS with the name as text: " +
  "servers differ in what they take it for. The mechanism does not match, so nobody passes by it (RFC 7208 §4.8)";

/**
 * What is answered differently than the suite says, by case, with the reason. The text that a domain's owner wants shown
 * (`exp=`, `explanation` in the suite) is not compared: words that a stranger chose are not shown to an agent.
 */
const DIFFERENT: Readonly<Record<string, { result: string; because: string }>> = {
  "a-colon-domain": { result: "neutral", because: NOT_ASKED },
  "a-colon-domain-ip4mapped": { result: "neutral", because: NOT_ASKED },
  "mx-colon-domain": { result: "neutral", because: NOT_ASKED },
  "mx-colon-domain-ip4mapped": { result: "neutral", because: NOT_ASKED },
  "macro-mania-in-domain": { result: "fail", because: NOT_ASKED },
};

const comparable = (name: string) => name.toLowerCase().replace(/\.$/, "");

function recordsAt(zone: ReadonlyMap<string, ZoneRecord[]>, domain: string): ZoneRecord[] | undefined {
  let records = zone.get(comparable(domain));
  for (let hop = 0; hop < 10; hop++) {
    const alias = records?.find((record) => record !== "TIMEOUT" && "CNAME" in record);
    if (alias === undefined || alias === "TIMEOUT") return records;
    records = zone.get(comparable(String(alias.CNAME)));
  }
  return records;
}

/** A resolver of the suite's zone. SPF records stand for TXT records where there are none (the suite's header says so). */
function resolverOf(zonedata: Scenario["zonedata"]): Resolver {
  const zone = new Map(Object.entries(zonedata).map(([name, records]) => [comparable(name), records]));
  const ask = async (domain: string, rrtype: string): Promise<unknown[]> => {
    if (!isQueryableName(domain)) throw new DnsError("EBADNAME", rrtype, domain);
    const records = recordsAt(zone, domain);
    if (records === undefined) throw new DnsError("ENOTFOUND", rrtype, domain);
    const values = (type: string) =>
      records.flatMap((record) => (record !== "TIMEOUT" && type in record ? [record[type]] : []));
    const texts = values("TXT").length > 0 ? values("TXT") : values("SPF");
    const found = rrtype === "TXT" ? texts.filter((text) => text !== "NONE") : values(rrtype);
    if (found.length === 0) {
      throw new DnsError(records.includes("TIMEOUT") ? "ETIMEOUT" : "ENODATA", rrtype, domain);
    }
    if (rrtype === "TXT") return found.map((text) => (Array.isArray(text) ? text : [text]));
    if (rrtype !== "MX") return found;
    return (found as [number, string][]).map(([priority, exchange]) => ({ priority, exchange }));
  };
  return ask as Resolver;
}

test("the suite is whole, and no case that differs lets pass what it would not", () => {
  const names = SCENARIOS.flatMap(({ tests }) => Object.keys(tests));
  expect(names).toHaveLength(CASES);
  expect(Object.keys(DIFFERENT).filter((name) => !names.includes(name))).toEqual([]);
  expect(Object.values(DIFFERENT).map(({ result }) => result)).not.toContain("pass");
});

describe.each(SCENARIOS.map((scenario) => [scenario.description.trim(), scenario] as const))(
  "%s",
  (_title, scenario) => {
    const resolver = withoutBadNames(resolverOf(scenario.zonedata));
    test.each(Object.entries(scenario.tests))("%s", async (name, { mailfrom, helo, host, result }) => {
      const question = { envelope_from: mailfrom, client: { ip: host, helo }, mta: "receiver.example" };
      const wanted = DIFFERENT[name]?.result ?? result;
      expect([wanted].flat()).toContain((await judgeSpf(question, resolver)).spf_result);
    });
  },
);
