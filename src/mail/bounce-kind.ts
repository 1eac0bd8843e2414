/**
 * What a failure says of the recipient: the address is dead (`hard`), it may work another time (`soft`), or somebody does not want
 * our mail, which says nothing of the address (`blocked`). By the enhanced status code (RFC 3463, and its IANA registry) before the
 * reply code (RFC 5321 §4.2), and by the words where neither decides.
 */

export const BOUNCE_KINDS = ["hard", "soft", "blocked"] as const;
export type BounceKind = (typeof BOUNCE_KINDS)[number];

/** What a server said of a recipient. */
export interface FailureSaid {
  /** Enhanced status code, such as `5.1.1`. */
  status: string | null;
  /** Reply code, such as 550. */
  code: number | null;
  /** The words. */
  diagnostic: string;
}

/** Said in plain words, this decides before a code does: some servers answer 5.7.1 or 5.4.1 for an address that is not there. */
const DEAD_WORDS =
  /\b(?:user|recipient|mailbox|account|address|alias)\b[^.\n]{0,40}\b(?:unknown|not found|does(?:n't| not) exist|no longer (?:exists|available|valid)|(?:is|has been) (?:disabled|deactivated|closed|suspended))\b|\b(?:unknown|no such|invalid|nonexistent) (?:user|recipient|mailbox|account|local part|address)\b|\bno (?:mailbox|one) (?:here )?by that name\b|\bdomain (?:does not exist|not found)\b|\bRESOLVER\.ADR\.\w*NotFound\b/i;
const FULL_WORDS = /\b(?:quota|mailbox (?:is )?full|over ?quota|insufficient (?:system )?storage|out of storage)\b/i;
const UNWANTED_WORDS =
  /\b(?:spam|blacklist(?:ed)?|block(?:ed|list(?:ed)?)|deny ?list(?:ed)?|dnsbl|rbl|spamhaus|reputation|policy|unsolicited|virus|malware|dmarc|spf|dkim|not authori[sz]ed|relay(?:ing)? (?:access )?denied|rate limit)\b/i;

/** By subject and detail of the enhanced code; `1.*` is every detail of that subject that has no row. The class is looked at first. */
const BY_DETAIL: Readonly<Record<string, BounceKind>> = {
  // The sender's address, ours, is what is wrong.
  "1.7": "blocked",
  "1.8": "blocked",
  "1.9": "blocked",
  "1.*": "hard",
  "2.1": "hard",
  "2.*": "soft",
  // The system does not take messages at all (RFC 7504 answers it with 521 and 556).
  "3.2": "soft",
  "3.*": "soft",
  // No host, or no such domain.
  "4.4": "hard",
  "4.310": "hard",
  "4.*": "soft",
  "5.*": "soft",
  "6.*": "soft",
  "7.*": "blocked",
};

/** Where there is no enhanced code, or only `5.0.0`, and the words decide nothing. */
const BY_CODE: Readonly<Record<number, BounceKind>> = {
  521: "hard",
  550: "hard",
  551: "hard",
  553: "hard",
  556: "hard",
  552: "soft",
  554: "blocked",
};

const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})$/;

function byStatus(status: string | null): BounceKind | null {
  const [, , subject, detail] = ENHANCED.exec(status ?? "") ?? [];
  return subject === undefined ? null : (BY_DETAIL[`${subject}.${detail}`] ?? BY_DETAIL[`${subject}.*`] ?? null);
}

/** @returns what a failure says of its recipient. Nobody is called dead for what nobody said: without any code it is `soft`. */
export function bounceKind({ status, code, diagnostic }: FailureSaid): BounceKind {
  const isTransient = status?.startsWith("4.") || (status === null && code !== null && code >= 400 && code < 500);
  // Tried until the sending server gave up: it may work another time.
  if (isTransient) return "soft";
  if (DEAD_WORDS.test(diagnostic)) return "hard";
  const known = byStatus(status);
  if (known !== null) return known;
  if (FULL_WORDS.test(diagnostic)) return "soft";
  if (UNWANTED_WORDS.test(diagnostic)) return "blocked";
  return (code !== null && BY_CODE[code]) || "soft";
}

/** `5.1.1`, `#5.1.1`, `(5.1.1)`; never part of an address, a version or a number with four parts. */
const ENHANCED_IN_TEXT = /(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)/;
/** A reply code at the beginning of what a server said: `550 `, `550-`, `said: 550`. */
const CODE_IN_TEXT = /(?:^|[\s:("'<[#])([245]\d\d)(?=[\s,:;)"'\]-])/;

/** @returns the first enhanced status code in a text, or null. */
export function statusIn(text: string): string | null {
  return ENHANCED_IN_TEXT.exec(text)?.[1] ?? null;
}

/** @returns the first reply code in a text, or null. */
export function codeIn(text: string): number | null {
  const found = CODE_IN_TEXT.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}
