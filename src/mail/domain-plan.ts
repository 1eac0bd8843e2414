import type { PublicJwk } from "../identity/keys.ts";
import type { DkimAlgorithm } from "./dkim-sign.ts";

/** What a domain is to publish, what was found, and how the two compare. Pure data, shared by those who plan, check and store. */

export const DKIM_KEY_TYPES = ["ed25519", "rsa-2048", "dual"] as const;
export type DkimKeyType = (typeof DKIM_KEY_TYPES)[number];

export const DMARC_POLICIES = ["none", "quarantine", "reject"] as const;
export type DmarcPolicy = (typeof DMARC_POLICIES)[number];

/** The public half of a DKIM key, and where it stands in a rotation. */
export interface PublicDkimKey {
  selector: string;
  algorithm: DkimAlgorithm;
  /** The value of `p=`, base64. */
  public_key: string;
  /** `next`: published and awaited, not yet signing. `retired`: stays published until mail on its way has arrived. */
  state: "active" | "next" | "retired";
}

/** The hosts of this deployment that a domain's records point to. */
export interface DeploymentHosts {
  /** Takes inbound mail; null where the deployment takes none. */
  mx_host: string | null;
  /** The relay's SPF domain; null where it has none. */
  spf_include: string | null;
  /** Serves `https://mta-sts.<domain>` for those who point that name to it; null or left out: whoever wants MTA-STS serves the policy. */
  policy_host?: string | null;
}

export interface DomainPlan {
  /** A-labels, lower case, no final dot. */
  domain: string;
  dkim_keys: readonly PublicDkimKey[];
  identity: { kid: string; public_jwk: PublicJwk } | null;
  hosts: DeploymentHosts;
  /** Its mail is to come here, so its MX record is required (the deployment's own domain). Others may keep their own mail server. */
  inbound_required?: boolean;
  /** `rua`: an e-mail address or a `mailto:` URI, or several with commas. */
  dmarc: { policy: DmarcPolicy; rua: string | null };
  /** The value of the TXT record at `_multimail-challenge.<domain>` that proves control; null once it was proved and needs no more proof. */
  challenge: string | null;
  /** Policy id for `_mta-sts` (RFC 8461), reports for `_smtp._tls` (RFC 8460), logo for `default._bimi`; null: not wanted. */
  mta_sts_id: string | null;
  /** RFC 8461 §5; `testing` if left out: failures are reported and the mail comes all the same. */
  mta_sts_mode?: "testing" | "enforce";
  tls_rpt: string | null;
  bimi_logo_url: string | null;
}

export const RECORD_PURPOSES = [
  "ownership",
  "dkim",
  "spf",
  "dmarc",
  "inbound",
  "return_path",
  "identity",
  "mta_sts",
  "tls_rpt",
  "bimi",
] as const;
export type RecordPurpose = (typeof RECORD_PURPOSES)[number];

/** A record that the domain's owner has to publish. */
export interface WantedRecord {
  type: "TXT" | "MX" | "CNAME";
  /** Fully qualified, A-labels, without the final dot. */
  name: string;
  /** One value, whole. */
  value: string;
  /** For TXT: the value as it is published, in strings of at most 255 octets (RFC 1035 §3.3). */
  strings?: string[];
  purpose: RecordPurpose;
  required: boolean;
  /** What a person has to know before publishing it. */
  note?: string;
}

/** `unknown`: the DNS did not answer, so nothing is concluded. */
export type CheckResult = "pass" | "fail" | "missing" | "unknown";

/** One record, as it was found. */
export interface RecordFinding {
  purpose: RecordPurpose;
  result: CheckResult;
  required: boolean;
  type: WantedRecord["type"];
  name: string;
  expected: string;
  /** What was there, each value cut to a readable length; empty if nothing. */
  found: string[];
  /**
   * Plain sentences that name the record, what was found, what was expected and what to do. Null where there is nothing to say;
   * a record that passes may have advice.
   */
  detail: string | null;
}

export type DomainStatus = "aligned" | "misaligned" | "pending";

/** What a look at the DNS came to. */
export interface Alignment {
  /** `aligned`: each required record is there. `misaligned`: one is there and wrong. `pending`: one is not there yet, or not known. */
  status: DomainStatus;
  checks: Partial<Record<RecordPurpose | "alignment", CheckResult>>;
  findings: RecordFinding[];
  /** The first thing to do, or that all is well, in one or two sentences. */
  detail: string;
  /** By which of the two a message from this domain passes DMARC (RFC 9989 §5.3.5): the signature's domain, the return path's. */
  aligned_by: ("dkim" | "spf")[];
  /** The domain's own MX is ours, and that of `bounces.<domain>`: where bounces may come back to. */
  receives: { domain: boolean; return_path: boolean };
  /** Selectors whose key was found published as planned: a `next` one among them may start to sign. */
  published_selectors: string[];
}
