import { readIdentityTxtRecord } from "../identity/txt-record.ts";
import { compareDkimKey } from "./domain-dkim.ts";
import {
  appliedPolicy,
  type DmarcRecord,
  governing,
  isDmarcRecord,
  isNearlyDmarcRecord,
  isWeaker,
  namesAbove,
  readDmarc,
} from "./domain-dmarc.ts";
import {
  advised,
  type Examination,
  failed,
  type Judged,
  MOST_CHARACTERS,
  MOST_FOUND,
  MOST_QUOTED,
  NAMES,
  PASS,
  publish,
  shown,
  silent,
  subject,
} from "./domain-judgements.ts";
import type { DomainPlan, RecordPurpose, WantedRecord } from "./domain-plan.ts";
import { dkimRecordName, reportUris, wantedSpf } from "./domain-records.ts";
import { readTagList } from "./domain-tag-list.ts";
import { countLookups, isSpfRecord } from "./spf-record.ts";

/** What makes a TXT record of each purpose right, by what it means and not by how it is written. */

type TxtJudge = (texts: string[], wanted: WantedRecord, examination: Examination) => Promise<Judged> | Judged;

export interface TxtRule {
  /** Whether `text` alone would do. */
  fits(text: string, wanted: WantedRecord, plan: DomainPlan): boolean;
  /** Which of the texts at the name are meant for this; the others belong to somebody else. */
  meant(text: string): boolean;
  /** `texts`: those that are meant for this, at least one. */
  judge: TxtJudge;
  /** Where the record may stand instead. */
  instead?: (wanted: WantedRecord, examination: Examination) => Promise<Judged | null>;
}

function several(texts: readonly string[], wanted: WantedRecord): Judged | null {
  if (texts.length === 1) return null;
  const quoted = texts.slice(0, MOST_FOUND).map((text) => `“${shown(text, MOST_QUOTED)}”`);
  const name = NAMES[wanted.purpose];
  return {
    result: "fail",
    detail: `There are ${texts.length} ${name} records at ${wanted.name}, and with more than one none counts: ${quoted.join(", ")}. Leave one, with the value “${shown(wanted.value, MOST_QUOTED)}”.`,
  };
}

/** The tags of a record that its value is made of; equal whatever the spacing. Nothing else may contradict them. */
function sameTags(text: string, wanted: string): boolean {
  const found = readTagList(text);
  const expected = readTagList(wanted);
  if ("problem" in found || "problem" in expected) return false;
  if (found.tags.keys().next().value !== "v") return false;
  return [...expected.tags].every(([name, value]) => found.tags.get(name) === value);
}

function byTags(version: RegExp): TxtRule {
  return {
    fits: (text, wanted) => sameTags(text, wanted.value),
    meant: (text) => version.test(text),
    judge: ([text = "", ...others], wanted) =>
      several([text, ...others], wanted) ??
      (sameTags(text, wanted.value) ? PASS : failed(wanted, `says “${shown(text, MOST_QUOTED)}”`)),
  };
}

const OWNERSHIP: TxtRule = {
  fits: (text, wanted) => text.trim() === wanted.value,
  meant: () => true,
  // Others may try to claim the domain at the same time; their values do no harm.
  judge: (texts, wanted) =>
    texts.some((text) => text.trim() === wanted.value) ? PASS : failed(wanted, "has another value"),
};

const IDENTITY: TxtRule = {
  fits: (text, wanted) => text.trim() === wanted.value,
  meant: (text) => /^\s*v\s*=\s*mmid1/i.test(text),
  judge: (texts, wanted) => {
    const key = readIdentityTxtRecord(wanted.value);
    const same = texts.some((text) => {
      const found = readIdentityTxtRecord(text);
      return found !== null && found.kid === key?.kid && found.x === key.x && found.y === key.y;
    });
    return same ? PASS : failed(wanted, "has another key than the one that signs");
  },
};

function keyOf(wanted: WantedRecord, { domain, dkim_keys }: DomainPlan) {
  const key = dkim_keys.find(({ selector }) => dkimRecordName(domain, selector) === wanted.name);
  if (!key) throw new Error(`no key for ${wanted.name}`);
  return key;
}

const DKIM: TxtRule = {
  fits: (text, wanted, plan) => compareDkimKey(text, keyOf(wanted, plan)).same,
  // Whatever stands at a selector is read as a key (RFC 6376 §3.6.2.2).
  meant: () => true,
  judge: ([text = "", ...others], wanted, { plan }) => {
    if (others.length > 0) return several([text, ...others], wanted) as Judged;
    const key = keyOf(wanted, plan);
    const comparison = compareDkimKey(
      text,
      key,
      plan.dkim_keys.filter((other) => other !== key),
    );
    if (!comparison.same) return failed(wanted, comparison.problem);
    return advised([comparison.advice && `${subject(wanted)} ${comparison.advice}.`]);
  },
};

/** Whether the record lets this service send, and can be evaluated at all (RFC 7208 §4.6.4). */
async function judgeSpf(texts: string[], wanted: WantedRecord, { plan, look }: Examination): Promise<Judged> {
  const needed = wantedSpf(plan, texts);
  const enter = `Its value must be “${shown(needed.value, MOST_CHARACTERS)}”.`;
  const records = texts.filter(isSpfRecord);
  const [record] = records;
  if (record === undefined) {
    return failed(
      wanted,
      `begins with “${shown(texts[0] ?? "", 20)}” and not with exactly “v=spf1 ”, so it does not count`,
      enter,
    );
  }
  if (records.length > 1) return several(records, { ...wanted, value: needed.value }) as Judged;
  const count = await countLookups(wanted.name, record, look.resolver);
  const { spf_include } = plan.hosts;
  const direct = needed.value === record;
  const through = spf_include !== null && count.passes_by.has(spf_include.toLowerCase().replace(/\.$/, ""));
  if (count.problems.length > 0) {
    const mend = direct ? "Remove or mend what causes it; an include that is no longer used may go." : enter;
    return { result: "fail", detail: [...count.problems.slice(0, 3), mend].join(" ") };
  }
  if (direct || through) {
    const unseen = count.unknown.slice(0, 3).map((name) => shown(name, 253));
    return advised([
      needed.problem,
      unseen.length > 0 && `The DNS did not answer for ${unseen.join(", ")}, which it refers to.`,
    ]);
  }
  if (count.unknown.length > 0) return silent({ ...wanted, name: count.unknown[0] as string }, "in the SPF record");
  const lacking = spf_include === null ? "“mx”" : `“include:${spf_include}”`;
  return failed(
    wanted,
    `says “${shown(record, MOST_QUOTED)}”, which does not let this service send: ${lacking} is not in it where it takes effect`,
    needed.problem,
    enter,
  );
}

const SPF: TxtRule = {
  fits: (text, _wanted, plan) => isSpfRecord(text) && wantedSpf(plan, [text]).value === text,
  meant: (text) => isSpfRecord(text) || /^[\s"'\\]*v\s*=\s*spf\s*1/i.test(text),
  judge: judgeSpf,
};

/** How far a valid DMARC record does what is wanted. `policy`: the tag that counts for the domain. */
function judgePolicy(
  wanted: WantedRecord,
  where: string,
  record: DmarcRecord,
  tag: "p" | "sp",
  plan: DomainPlan,
): Judged {
  const written = tag === "p" ? record.policy : record.subdomain_policy;
  const applied = appliedPolicy(written, record.testing);
  const at = `The DMARC record at ${where}`;
  if (isWeaker(applied, plan.dmarc.policy)) {
    const testing = record.testing ? " with “t=y”, so that a weaker one is applied" : "";
    return {
      result: "fail",
      detail: `${at} has the policy “${tag}=${written}”${testing}; “${plan.dmarc.policy}” is wanted for ${plan.domain}. ${publish(wanted)}`,
    };
  }
  const lacking = reportUris(plan.dmarc.rua).filter(
    (uri) => !record.rua.some((found) => found.toLowerCase() === uri.toLowerCase()),
  );
  return advised([
    lacking.length > 0 &&
      `${at} does not ask for reports to ${lacking.join(", ")}: add ${lacking.length > 1 ? "them" : "it"} to “rua=”.`,
    record.percent < 100 &&
      `${at} says “pct=${record.percent}”, by which older receivers spare part of the mail: remove it.`,
  ]);
}

/** A subdomain without a record of its own has its organisational domain's (RFC 9989 §4.10). */
async function inherited(wanted: WantedRecord, { plan, look }: Examination): Promise<Judged | null> {
  const names = namesAbove(plan.domain);
  const answers = await Promise.all(names.map((name) => look.txt(`_dmarc.${name}`)));
  const found = names.flatMap((domain, at) => {
    const answer = answers[at];
    const texts = answer?.state === "found" ? answer.values.filter(isDmarcRecord) : [];
    const record = texts.length === 1 ? readDmarc(texts[0] as string) : null;
    return record && !("problem" in record) ? [{ domain, record }] : [];
  });
  const holding = governing(plan.domain, found);
  if (holding === null) {
    const broken = answers.findIndex((answer) => answer.state === "unknown");
    return broken < 0 ? null : silent({ ...wanted, name: `_dmarc.${names[broken]}` }, "above the domain");
  }
  const judged = judgePolicy(wanted, `_dmarc.${holding.domain}`, holding.record, "sp", plan);
  if (judged.result !== "pass") return judged;
  return advised([
    `${plan.domain} has no DMARC record of its own; the one at _dmarc.${holding.domain} covers it.`,
    judged.detail,
  ]);
}

const DMARC: TxtRule = {
  fits: (text) => isDmarcRecord(text) && !("problem" in readDmarc(text)),
  meant: (text) => isDmarcRecord(text) || isNearlyDmarcRecord(text),
  judge: (texts, wanted, { plan }) => {
    const records = texts.filter(isDmarcRecord);
    const [text] = records;
    if (text === undefined) {
      return failed(
        wanted,
        `begins with “${shown(texts[0] ?? "", 20)}” and not with exactly “v=DMARC1;”, so it does not count`,
      );
    }
    if (records.length > 1) return several(records, wanted) as Judged;
    const record = readDmarc(text);
    if ("problem" in record) return failed(wanted, record.problem);
    return judgePolicy(wanted, wanted.name, record, "p", plan);
  },
  instead: inherited,
};

const RULES: Readonly<Record<RecordPurpose, TxtRule>> = {
  ownership: OWNERSHIP,
  dkim: DKIM,
  spf: SPF,
  dmarc: DMARC,
  // Its only TXT record is SPF; MX records are judged by themselves.
  inbound: SPF,
  return_path: SPF,
  identity: IDENTITY,
  mta_sts: byTags(/^\s*v\s*=\s*STSv1/i),
  tls_rpt: byTags(/^\s*v\s*=\s*TLSRPTv1/i),
  bimi: byTags(/^\s*v\s*=\s*BIMI1/i),
};

/** Says of another organisation's zone that it wants the reports (RFC 9990 §4); whatever else stands there changes only where to. */
const REPORT_CONSENT: TxtRule = {
  fits: isDmarcRecord,
  meant: isDmarcRecord,
  judge: () => PASS,
};

/** @returns the rule for a wanted TXT record. */
export function ruleFor({ name, purpose }: WantedRecord): TxtRule {
  return name.includes("._report._dmarc.") ? REPORT_CONSENT : RULES[purpose];
}
