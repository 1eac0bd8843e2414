import type { Resolver } from "./dns-over-https.ts";
import { isDmarcRecord, readDmarc } from "./domain-dmarc.ts";
import { examineRecord } from "./domain-findings.ts";
import { type LookUps, lookUps, withinTime } from "./domain-look-ups.ts";
import { shownDomain } from "./domain-name.ts";
import type { Alignment, CheckResult, DomainPlan, DomainStatus, RecordFinding, RecordPurpose } from "./domain-plan.ts";
import { RECORD_PURPOSES } from "./domain-plan.ts";
import { dkimRecordName, wantedRecords } from "./domain-records.ts";

/** Whether a domain publishes what its mail needs, and whether that mail would pass DMARC (RFC 9989). */

/** What one examination may ask: every record once, ten SPF look-ups and as many in error, eight names for DMARC. */
const CHECKING_LOOKUPS = 100;
/** Seeking misplaced records, six questions each. */
const SEEKING_LOOKUPS = 60;
const MILLISECONDS = 15_000;

/** What is worst is told first. */
const GRAVITY: readonly CheckResult[] = ["fail", "missing", "unknown", "pass"];

function worst(results: readonly CheckResult[]): CheckResult {
  return GRAVITY.find((result) => results.includes(result)) ?? "pass";
}

function best(results: readonly CheckResult[]): CheckResult {
  return GRAVITY.findLast((result) => results.includes(result)) ?? "missing";
}

/** Of a purpose's records the required ones decide; where none is, all of them. */
function checksOf(findings: readonly RecordFinding[]): Partial<Record<RecordPurpose, CheckResult>> {
  const checks: Partial<Record<RecordPurpose, CheckResult>> = {};
  for (const purpose of RECORD_PURPOSES) {
    const all = findings.filter((finding) => finding.purpose === purpose);
    const deciding = all.some(({ required }) => required) ? all.filter(({ required }) => required) : all;
    if (deciding.length > 0) checks[purpose] = worst(deciding.map(({ result }) => result));
  }
  return checks;
}

interface Mechanisms {
  dkim: CheckResult;
  spf: CheckResult;
}

/** Only under a record of its own that says `aspf=s` must the return path's domain be the very same (RFC 9989 §4.4.2). */
async function demandsSameDomain({ domain }: DomainPlan, look: LookUps): Promise<boolean> {
  const answer = await look.txt(`_dmarc.${domain}`);
  const [text] = answer.state === "found" ? answer.values.filter(isDmarcRecord) : [];
  const record = text === undefined ? null : readDmarc(text);
  return record !== null && !("problem" in record) && record.strict_spf;
}

async function mechanismsOf(plan: DomainPlan, findings: readonly RecordFinding[], look: LookUps): Promise<Mechanisms> {
  const signing = plan.dkim_keys.flatMap(({ state, selector }) =>
    state === "active" ? [dkimRecordName(plan.domain, selector)] : [],
  );
  const dkim = best(findings.filter(({ name }) => signing.includes(name)).map(({ result }) => result));
  const of = (purpose: RecordPurpose, type: "MX" | "TXT") =>
    findings.find((finding) => finding.purpose === purpose && finding.type === type)?.result ?? "missing";
  if (of("inbound", "MX") === "pass") return { dkim, spf: of("spf", "TXT") };
  const below = worst([of("return_path", "MX"), of("return_path", "TXT")]);
  const strict = below === "pass" && (await demandsSameDomain(plan, look));
  return { dkim, spf: strict ? "fail" : below };
}

/** Bounces need no name of their own where the domain's mail comes here. */
function needed(findings: readonly RecordFinding[]): RecordFinding[] {
  const received = findings.some(({ purpose, result }) => purpose === "inbound" && result === "pass");
  return findings.filter(({ purpose, result }) => !(received && purpose === "return_path" && result !== "pass"));
}

function statusOf(results: readonly CheckResult[]): DomainStatus {
  if (results.includes("fail")) return "misaligned";
  return results.every((result) => result === "pass") ? "aligned" : "pending";
}

function detailOf({ domain }: DomainPlan, findings: readonly RecordFinding[], exists: boolean): string {
  const shown = shownDomain(domain);
  const required = findings.filter((finding) => finding.required);
  const open = required
    .filter(({ result }) => result !== "pass")
    .toSorted((a, b) => GRAVITY.indexOf(a.result) - GRAVITY.indexOf(b.result));
  const [first, ...others] = open;
  if (first) {
    const more = others.length === 0 ? "" : ` Then: ${others.map(({ type, name }) => `${type} ${name}`).join(", ")}.`;
    const gone = exists
      ? ""
      : `The DNS knows no name ${domain}: has it been registered, and does it have name servers? `;
    return `${gone}${first.detail}${more}`;
  }
  // What is optional and absent is no shortcoming; a signature that fails to verify is one, whoever looks at it.
  const odd = findings.filter(({ purpose, result }) => result === "pass" || (purpose === "dkim" && result === "fail"));
  const advice = odd.find(({ detail }) => detail !== null)?.detail ?? null;
  return `${shown} publishes all that its mail needs.${advice === null ? "" : ` ${advice}`}`;
}

function passes(findings: readonly RecordFinding[], purpose: RecordPurpose): boolean {
  const own = findings.filter((finding) => finding.purpose === purpose);
  return own.length > 0 && own.every(({ result }) => result === "pass");
}

async function examine(plan: DomainPlan, resolver: Resolver): Promise<Alignment> {
  const look = lookUps(resolver, CHECKING_LOOKUPS);
  const seek = lookUps(resolver, SEEKING_LOOKUPS);
  const apex = await look.txt(plan.domain);
  const wanted = wantedRecords(plan, { spf: apex.state === "found" ? apex.values : [] });
  const all = await Promise.all(wanted.map((record) => examineRecord(record, { plan, look, seek })));
  const mechanisms = await mechanismsOf(plan, all, look);
  const findings = needed(all);
  const required = findings.filter((finding) => finding.required).map(({ result }) => result);
  const alignment = best([mechanisms.dkim, mechanisms.spf]);
  const names = plan.dkim_keys.filter(({ selector }) =>
    all.some(({ name, result }) => result === "pass" && name === dkimRecordName(plan.domain, selector)),
  );
  const exists = all.some(({ found }) => found.length > 0) || apex.state !== "missing" || apex.exists;
  return {
    status: statusOf([...required, alignment]),
    checks: { ...checksOf(findings), alignment },
    findings,
    detail: detailOf(plan, findings, exists),
    aligned_by: (["dkim", "spf"] as const).filter((mechanism) => mechanisms[mechanism] === "pass"),
    receives: { domain: passes(all, "inbound"), return_path: passes(all, "return_path") },
    published_selectors: names.map(({ selector }) => selector),
  };
}

/**
 * Looks at what a domain publishes now.
 * @param plan what is wanted of it.
 * @param resolver asked at most 160 times, in parallel, for at most `milliseconds`. It had better not remember older answers.
 * @returns what was found. A breakdown of the DNS is `unknown` and makes a domain `pending`, never `misaligned`.
 * @throws whatever `resolver` throws that is no DnsError.
 */
export function checkAlignment(plan: DomainPlan, resolver: Resolver, milliseconds = MILLISECONDS): Promise<Alignment> {
  return withinTime(resolver, milliseconds, (bounded) => examine(plan, bounded));
}
