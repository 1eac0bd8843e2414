import type { LookUps } from "./domain-look-ups.ts";
import type { CheckResult, DomainPlan, RecordPurpose, WantedRecord } from "./domain-plan.ts";

/** How a record is judged, and the sentences in which a person is told. */

export interface Examination {
  plan: DomainPlan;
  look: LookUps;
  /** For seeking what was not found: its bound is its own, so that no check lacks a look-up for it. */
  seek: LookUps;
}

/** As a record is told of: “the … record”. */
export const NAMES: Readonly<Record<RecordPurpose, string>> = {
  ownership: "ownership",
  dkim: "DKIM",
  spf: "SPF",
  dmarc: "DMARC",
  inbound: "MX",
  return_path: "return path's",
  identity: "identity",
  mta_sts: "MTA-STS",
  tls_rpt: "TLS-RPT",
  bimi: "BIMI",
};

export const MOST_FOUND = 5;
export const MOST_CHARACTERS = 500;
export const MOST_QUOTED = 160;

export interface Judged {
  result: CheckResult;
  /** Whole sentences; null where there is nothing to say. */
  detail: string | null;
}

export const PASS: Judged = { result: "pass", detail: null };

/** @returns a stranger's text so that it can be shown: no control characters, none that turn the direction of writing. */
export function shown(text: string, most: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return plain.length > most ? `${plain.slice(0, most)}…` : plain;
}

export function subject({ purpose, name }: WantedRecord): string {
  return `The ${NAMES[purpose]} record at ${name}`;
}

export function publish({ type, value }: WantedRecord): string {
  return `Publish one ${type} record with the value “${shown(value, MOST_QUOTED)}”.`;
}

export function advised(sentences: readonly (string | null | false)[]): Judged {
  const said = sentences.filter((sentence) => typeof sentence === "string");
  return { result: "pass", detail: said.length > 0 ? said.join(" ") : null };
}

export function failed(wanted: WantedRecord, problem: string, ...more: (string | null)[]): Judged {
  const rest = more.filter((sentence) => sentence !== null);
  return {
    result: "fail",
    detail: [`${subject(wanted)} ${problem}.`, ...(rest.length > 0 ? rest : [publish(wanted)])].join(" "),
  };
}

export function silent({ name }: WantedRecord, code: string): Judged {
  return {
    result: "unknown",
    detail: `The DNS did not answer for ${name} (${code}), so nothing is concluded from it.`,
  };
}
