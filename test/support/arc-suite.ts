import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { DnsError, type Resolver } from "../../src/mail/dns-over-https.ts";

/** ValiMail's ARC suite (test/vectors/README.md), read. */

export interface ValidationCase {
  description: string;
  message: string;
  /** Empty in three cases that the suite leaves open. */
  cv: "None" | "Pass" | "Fail" | "" | null;
}

export interface SealingCase {
  description: string;
  message: string;
  /** Seconds since the epoch. */
  t: number;
  /** What the suite's own sealer covers, by name. */
  "sig-headers": string;
  "srv-id": string;
  /** The values of the three fields; empty where no set is to be added. */
  AS: string;
  AMS: string;
  AAR: string;
}

interface Scenario<Case> {
  description: string;
  tests: Record<string, Case>;
  "txt-records": Record<string, string> | null;
}

export interface SealingScenario extends Scenario<SealingCase> {
  domain: string;
  sel: string;
  privatekey: string;
}

function read<S>(name: string): S[] {
  const text = readFileSync(join(import.meta.dirname, "../vectors/arc", name), "utf8");
  return parseAllDocuments(text).map((document): S => document.toJS());
}

export const validationScenarios = (): Scenario<ValidationCase>[] => read("arc-draft-validation-tests.yml");
export const sealingScenarios = (): SealingScenario[] => read("arc-draft-sign-tests.yml");

/** The message as it goes over the wire. */
export const onTheWire = (message: string): Buffer => Buffer.from(message.replace(/\r?\n/g, "\r\n"));

/** A resolver of TXT records, whole in one string each. */
export function txtResolver(records: Readonly<Record<string, string>>): Resolver {
  const ask = async (domain: string, rrtype: string): Promise<string[][]> => {
    const record = rrtype === "TXT" ? records[domain] : undefined;
    if (record === undefined) throw new DnsError("ENOTFOUND", rrtype, domain);
    return [[record]];
  };
  return ask as Resolver;
}
