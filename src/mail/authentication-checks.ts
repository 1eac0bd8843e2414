/** What each check of an arriving message came to, for which domain, and why. Plain data; a verdict is never an error. */

export interface AuthenticationCheck {
  /** In the words of RFC 8601 §2.7. */
  result: string;
  /** The domain it speaks of, A-labels in lower case; null where there is none. */
  domain: string | null;
  /** Why, in a sentence or two. Names in it come from the message or the DNS: it is text, never markup. */
  reason: string;
}

export const DMARC_REQUESTS = ["none", "quarantine", "reject"] as const;
/** What a domain's owner asks to be done with mail that fails. */
export type DmarcRequest = (typeof DMARC_REQUESTS)[number];

export interface DmarcCheck extends AuthenticationCheck {
  /** The check that it passed by; null where it did not pass. */
  by: "dkim" | "spf" | null;
  /** What the record says for this very domain, after `sp`, `np`, `t` and `pct`; null without a record. */
  policy: DmarcRequest | null;
  /** Where the record stands: the domain itself, or its organisational domain. */
  policy_domain: string | null;
  /** Found by the DNS tree walk (RFC 9989 §4.10); null where it is not known. */
  org_domain: string | null;
  alignment: { dkim: "relaxed" | "strict"; spf: "relaxed" | "strict" } | null;
  /** What the owner asks to be done with this message: `policy` where the result is `fail`, else `none`. */
  disposition: DmarcRequest;
}

/** One hop of a valid ARC chain. */
export interface ArcSealer {
  instance: number;
  /** `d=` of its ARC-Seal. */
  domain: string;
  /** Whether the same domain signed the message there, so that what it says is about these bytes' way through it. */
  signed_message: boolean;
  /** What it says it found; null where it does not say, or says it twice. */
  arc: string | null;
  dmarc: string | null;
  /** The From domain that its DMARC result is about. */
  dmarc_from: string | null;
}

export interface ArcCheck extends AuthenticationCheck {
  /** Of a valid chain, in order of instance; else empty. Their words are worth what the sealers are. */
  sealers: ArcSealer[];
  /** Whether the newest signature covers all that a reader sees: the whole body, and no field twice. */
  covers_message: boolean;
}

export interface AuthenticationChecks {
  dkim: AuthenticationCheck;
  spf: AuthenticationCheck;
  dmarc: DmarcCheck;
  arc: ArcCheck;
}
