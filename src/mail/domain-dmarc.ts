import { DMARC_POLICIES, type DmarcPolicy } from "./domain-plan.ts";
import { readTagList } from "./domain-tag-list.ts";

/** DMARC policy records (RFC 9989 §4.7), read so that a person can be told what is wrong with one. */

export interface DmarcRecord {
  policy: DmarcPolicy;
  subdomain_policy: DmarcPolicy;
  /** `t=y`: receivers apply the next weaker policy. */
  testing: boolean;
  strict_spf: boolean;
  /** `y`: a public suffix's record; `n`: the organisational domain is here; else to be found out. */
  psd: string;
  /** Reporting URIs, trimmed, without the obsolete size. */
  rua: string[];
  /** Of the older RFC 7489; 100 unless it says otherwise. */
  percent: number;
}

/** @returns whether receivers take a TXT record for a DMARC record. `DMARC1` must be exactly so; the tag's name may be either case. */
export function isDmarcRecord(text: string): boolean {
  return /^\s*[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\s*$)/.test(text);
}

/** @returns whether somebody meant a TXT record to be a DMARC record, though receivers do not take it for one. */
export function isNearlyDmarcRecord(text: string): boolean {
  return (
    !isDmarcRecord(text) &&
    /^[\s"'\\]*(?:v\s*[=:]?\s*)?dmarc\s*1?\b|(?:^|;)\s*p\s*=\s*(?:none|quarantine|reject)\b/i.test(text)
  );
}

function policyOf(text: string | undefined): DmarcPolicy | null {
  const policy = text?.toLowerCase();
  return DMARC_POLICIES.find((known) => known === policy) ?? null;
}

/**
 * @param text a record for which {@link isDmarcRecord} holds.
 * @returns what it says, or what is wrong with it, as a clause that follows “the record”.
 */
export function readDmarc(text: string): DmarcRecord | { problem: string } {
  const list = readTagList(text.trim());
  if ("problem" in list) return { problem: `is no list of tags: ${list.problem}` };
  const { tags } = list;
  const written = tags.get("p");
  const policy = policyOf(written);
  if (written === undefined) {
    const other = [...tags.keys()].find((name) => name.toLowerCase() === "p");
    return { problem: other ? "writes “P=” in a capital, and tags are in lower case" : "has no policy (“p=”)" };
  }
  if (policy === null)
    return { problem: `has the policy “p=${written.slice(0, 40)}”, which is none of ${DMARC_POLICIES.join(", ")}` };
  const below = tags.get("sp");
  const subdomain_policy = below === undefined ? policy : policyOf(below);
  if (subdomain_policy === null) {
    return {
      problem: `has the subdomain policy “sp=${below?.slice(0, 40)}”, which is none of ${DMARC_POLICIES.join(", ")}`,
    };
  }
  const percent = /^\d{1,3}$/.exec(tags.get("pct") ?? "")?.[0];
  return {
    policy,
    subdomain_policy,
    testing: tags.get("t")?.toLowerCase() === "y",
    strict_spf: tags.get("aspf")?.toLowerCase() === "s",
    psd: tags.get("psd")?.toLowerCase() ?? "u",
    rua: (tags.get("rua") ?? "")
      .split(",")
      .map((uri) => uri.trim().replace(/!\d+[kmgt]?$/i, ""))
      .filter(Boolean),
    percent: percent === undefined ? 100 : Math.min(100, Number(percent)),
  };
}

/** @returns what receivers apply to `policy`: with `t=y` the next weaker one (RFC 9989 §4.7). */
export function appliedPolicy(policy: DmarcPolicy, testing: boolean): DmarcPolicy {
  const strength = DMARC_POLICIES.indexOf(policy);
  return testing && strength > 0 ? (DMARC_POLICIES[strength - 1] as DmarcPolicy) : policy;
}

/** @returns whether `found` lets through what `wanted` would not. */
export function isWeaker(found: DmarcPolicy, wanted: DmarcPolicy): boolean {
  return DMARC_POLICIES.indexOf(found) < DMARC_POLICIES.indexOf(wanted);
}

/** The most labels of a name below which RFC 9989 §4.10 goes on label by label. */
const WALK_LABELS = 7;

/** @returns the names above `domain` whose records may hold for it, nearest first (RFC 9989 §4.10, the tree walk). */
export function namesAbove(domain: string): string[] {
  const labels = domain.split(".");
  const first = labels.length > WALK_LABELS + 1 ? labels.slice(-WALK_LABELS) : labels.slice(1);
  return first.map((_label, at) => first.slice(at).join("."));
}

/**
 * @param found the records above a domain that has none of its own, nearest first.
 * @returns the one that holds for it: its organisational domain's, or failing that the public suffix's (RFC 9989 §4.10.1); null for none.
 */
export function governing<T extends { domain: string; record: DmarcRecord }>(
  domain: string,
  found: readonly T[],
): T | null {
  const end = found.findIndex(({ record }) => record.psd === "y" || record.psd === "n");
  const walked = end < 0 ? found : found.slice(0, end + 1);
  const last = walked.at(-1);
  if (last?.record.psd !== "y") return last ?? null;
  const organisation = domain
    .split(".")
    .slice(-(last.domain.split(".").length + 1))
    .join(".");
  return walked.find((entry) => entry.domain === organisation) ?? last;
}
