import type { IntelligenceView } from "../operations/shapes/domain-intelligence.ts";

/** What was looked up of a domain, in words for people. */

type Facts = Partial<IntelligenceView["domains"][number]>;

const MX_WORDS: Readonly<Record<string, string>> = {
  present: "has a mail server",
  implicit: "has no MX record, but a server that may take mail",
  null: "says that it takes no mail",
  none: "has no mail server",
  no_domain: "does not exist",
};

const DMARC_WORDS: Readonly<Record<string, string>> = {
  reject: "has forged mail rejected (DMARC)",
  quarantine: "has forged mail put aside (DMARC)",
  none: "lets forged mail through (DMARC)",
  absent: "has no DMARC policy",
};

const SPF_WORDS: Readonly<Record<string, string>> = {
  present: "has an SPF record",
  absent: "has no SPF record",
  several: "has several SPF records, which is an error",
};

function ageInWords(days: number): string {
  if (days < 60) return `was registered ${days === 1 ? "1 day" : `${days} days`} ago`;
  if (days < 730) return `was registered ${Math.floor(days / 30)} months ago`;
  return `was registered ${Math.floor(days / 365)} years ago`;
}

const UNKNOWN_WORDS: Readonly<Record<string, string>> = {
  mx: "its mail server",
  spf: "SPF",
  dmarc: "DMARC",
  rdap: "its age",
};

function unknownInWords(sources: readonly string[]): string {
  return sources.map((source) => UNKNOWN_WORDS[source] ?? source.replace(/^blocklist:/, "the blocklist ")).join(", ");
}

/** @param facts as a message carries them; parts that it lacks are left out. @returns one sentence about the domain. */
export function factsInWords(facts: unknown): string {
  const { domain, mx, dmarc_policy, spf, age_days, disposable, blocklists, resembles, unknown }: Facts = Object(facts);
  const parts = [
    mx && MX_WORDS[mx],
    typeof age_days === "number" && ageInWords(age_days),
    disposable && "gives anyone an address for a while",
    ...(blocklists ?? []).map(({ list, meaning }) => `is on the blocklist ${list} (${meaning})`),
    resembles && `resembles ${resembles.twin}`,
    dmarc_policy && DMARC_WORDS[dmarc_policy],
    spf && SPF_WORDS[spf],
    unknown && unknown.length > 0 && `not known: ${unknownInWords(unknown)}`,
  ];
  return `${domain ?? ""}: ${parts.filter(Boolean).join("; ")}.`;
}
