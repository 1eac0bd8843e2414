import { DMARC_REQUESTS, type DmarcRequest } from "./authentication-checks.ts";
import { appliedPolicy, isDmarcRecord, isNearlyDmarcRecord, readDmarc } from "./domain-dmarc.ts";

/** What the text of a DMARC record says to a receiver beyond what the library reads of it. Pure. */

/** @returns whether a text is one of the three requests. */
export function isDmarcRequest(text: string | undefined): text is DmarcRequest {
  return DMARC_REQUESTS.some((request) => request === text);
}

/**
 * `pct` is gone from RFC 9989. Of its values only 0 was in use for a purpose of its own, to test a policy, and `t=y` now says
 * the same: both ask for the policy one level below. Any other share applies to all mail: a receiver that draws lots lets a
 * forger try again until one is drawn for it.
 * @param record the record's text.
 * @param policy the policy with `t=` applied already.
 * @returns the policy after `pct`.
 */
export function afterShare(record: string, policy: DmarcRequest): DmarcRequest {
  const read = readDmarc(record);
  const isTest = !("problem" in read) && read.percent === 0 && !/;\s*t\s*=/.test(record);
  return appliedPolicy(policy, isTest);
}

/**
 * Says why a name has no DMARC record that applies, though something is there that looks as if it should be one.
 * @param name where the records stand, `_dmarc.bank.example`.
 * @param texts the TXT records there, each joined.
 * @returns a sentence; null where nothing there looks like one.
 */
export function whyNone(name: string, texts: readonly string[]): string | null {
  const records = texts.filter(isDmarcRecord);
  if (records.length > 1) return `There are ${records.length} DMARC records at ${name}, so that none of them applies.`;
  const [record] = records;
  if (record !== undefined) {
    const read = readDmarc(record);
    return "problem" in read ? `The DMARC record at ${name} ${read.problem}.` : null;
  }
  return texts.some(isNearlyDmarcRecord)
    ? `What is published at ${name} is nearly a DMARC record and not one: it must begin with v=DMARC1; in just these letters.`
    : null;
}
