import { identityTxtRecord } from "../identity/txt-record.ts";
import { txtStrings } from "./dkim-keys.ts";
import { registrableDomain } from "./domain-name.ts";
import type { DomainPlan, PublicDkimKey, RecordPurpose, WantedRecord } from "./domain-plan.ts";
import { mergeSpf } from "./spf-record.ts";

/** The records that a domain is to publish, exactly as they are to be published. */

/** Below this name bounces come back where the domain's own mail goes elsewhere. */
export const RETURN_PATH_LABEL = "bounces";
const MX_PREFERENCE = 10;
/** RFC 8461 §3.2, in seconds: a week. */
const MTA_STS_MAX_AGE = 604_800;
/** Cloudflare's Email Routing has several hosts for one domain, all with the same part after the first label. */
export const ROUTING_HOST = /^[a-z0-9-]+\.mx\.cloudflare\.net$/;

/** Where a record stands, below the domain; empty for the domain itself. DKIM's stand at their selectors. */
const PREFIX: Readonly<Record<Exclude<RecordPurpose, "dkim">, string>> = {
  ownership: "_multimail-challenge.",
  spf: "",
  dmarc: "_dmarc.",
  inbound: "",
  return_path: `${RETURN_PATH_LABEL}.`,
  identity: "_multimail.",
  mta_sts: "_mta-sts.",
  tls_rpt: "_smtp._tls.",
  bimi: "default._bimi.",
};

interface Rest {
  required: boolean;
  note?: string;
}

function txt(purpose: RecordPurpose, name: string, value: string, rest: Rest): WantedRecord {
  return { type: "TXT", name, value, strings: txtStrings(value), purpose, ...rest };
}

/** @returns the name at which a domain publishes the key of a selector (RFC 6376 §3.6.2.1). */
export function dkimRecordName(domain: string, selector: string): string {
  return `${selector}._domainkey.${domain}`;
}

/** @returns the text of a key's record (RFC 6376 §3.6.1, RFC 8463 §3). */
export function dkimRecordValue(key: Pick<PublicDkimKey, "algorithm" | "public_key">): string {
  return `v=DKIM1; k=${key.algorithm === "rsa-sha256" ? "rsa" : "ed25519"}; p=${key.public_key}`;
}

const KEY_NOTES: Readonly<Record<PublicDkimKey["state"], string | null>> = {
  active: null,
  next: "Signs once it is seen here.",
  retired: "Leave it until mail signed with it has arrived.",
};

/** Of the keys that sign, one that every receiver can check is enough; where only Ed25519 signs, that. */
function isRequired(key: PublicDkimKey, keys: readonly PublicDkimKey[]): boolean {
  const active = keys.filter(({ state }) => state === "active");
  const rsa = active.some(({ algorithm }) => algorithm === "rsa-sha256");
  return key.state === "active" && (!rsa || key.algorithm === "rsa-sha256");
}

function dkimRecords({ domain, dkim_keys }: DomainPlan): WantedRecord[] {
  return dkim_keys.map((key) => {
    const note = KEY_NOTES[key.state];
    return txt("dkim", dkimRecordName(domain, key.selector), dkimRecordValue(key), {
      required: isRequired(key, dkim_keys),
      ...(note === null ? {} : { note }),
    });
  });
}

/** Without a relay's include, it is the mail server itself that sends. */
function sendsItself({ hosts }: DomainPlan): boolean {
  return hosts.spf_include === null && hosts.mx_host !== null;
}

/** @returns the one SPF record that `published`, the TXT records at the name, and this service need together. */
export function wantedSpf(plan: DomainPlan, published: readonly string[]): ReturnType<typeof mergeSpf> {
  return mergeSpf(published, plan.hosts.spf_include, sendsItself(plan));
}

/** @returns the URIs of a plan's `rua`, in order: an address without a scheme is a `mailto:`. */
export function reportUris(rua: string | null): string[] {
  return (rua ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .filter(Boolean)
    .map((entry) => (/^[a-z][a-z0-9+.-]*:/i.test(entry) ? entry : `mailto:${entry}`));
}

/** Receivers send reports to another organisation only if that one says it wants them (RFC 9990 §4). */
function externalReportDomains({ domain, dmarc }: DomainPlan): string[] {
  const own = registrableDomain(domain);
  const named = reportUris(dmarc.rua).flatMap((uri) => /^mailto:[^?]*@([^?!]+)/i.exec(uri)?.[1]?.toLowerCase() ?? []);
  return [...new Set(named)].filter((name) => registrableDomain(name) !== own);
}

function dmarcRecords(plan: DomainPlan): WantedRecord[] {
  const uris = reportUris(plan.dmarc.rua);
  const rua = uris.length > 0 ? `; rua=${uris.join(",")}` : "";
  return [
    txt("dmarc", PREFIX.dmarc + plan.domain, `v=DMARC1; p=${plan.dmarc.policy}; adkim=r; aspf=r${rua}`, {
      required: true,
    }),
    ...externalReportDomains(plan).map((name) =>
      txt("dmarc", `${plan.domain}._report._dmarc.${name}`, "v=DMARC1", {
        required: false,
        note: `Published by whoever runs ${name}, in that zone: it says that reports about ${plan.domain} are wanted there.`,
      }),
    ),
  ];
}

function mx(purpose: RecordPurpose, name: string, host: string, rest: Rest): WantedRecord {
  return { type: "MX", name, value: `${MX_PREFERENCE} ${host}`, purpose, ...rest };
}

function inboundRecords({ domain, hosts, inbound_required }: DomainPlan): WantedRecord[] {
  if (hosts.mx_host === null) return [];
  if (inbound_required === true) return [mx("inbound", domain, hosts.mx_host, { required: true })];
  const note = `Takes the place of the MX records there are. Leave it out if mail to ${domain} is received elsewhere.`;
  return [mx("inbound", domain, hosts.mx_host, { required: false, note })];
}

/** Not needed where the domain's own mail comes here. */
function returnPathRecords(plan: DomainPlan): WantedRecord[] {
  const { domain, hosts, inbound_required } = plan;
  if (hosts.mx_host === null || inbound_required === true) return [];
  const name = PREFIX.return_path + domain;
  const note = `Bounces come back here, and SPF then passes for ${domain}. Not needed where the domain's own MX is this service.`;
  return [
    mx("return_path", name, hosts.mx_host, { required: false, note }),
    txt("return_path", name, wantedSpf(plan, []).value, { required: false, note }),
  ];
}

function transportRecords(plan: DomainPlan): WantedRecord[] {
  const { domain, hosts, mta_sts_id } = plan;
  const records: WantedRecord[] = [];
  if (mta_sts_id !== null && hosts.mx_host !== null) {
    const host = `mta-sts.${domain}`;
    const where = `Senders fetch the policy from https://${host}/.well-known/mta-sts.txt: mta_sts_policy is its text.`;
    records.push(
      txt("mta_sts", PREFIX.mta_sts + domain, `v=STSv1; id=${mta_sts_id};`, { required: false, note: where }),
    );
    if (hosts.policy_host) {
      const value = hosts.policy_host;
      records.push({ type: "CNAME", name: host, value, purpose: "mta_sts", required: false, note: where });
    }
  }
  if (plan.tls_rpt !== null) {
    const uri = reportUris(plan.tls_rpt).join(",");
    records.push(txt("tls_rpt", PREFIX.tls_rpt + domain, `v=TLSRPTv1; rua=${uri}`, { required: false }));
  }
  return records;
}

function bimiRecords({ domain, dmarc, bimi_logo_url }: DomainPlan): WantedRecord[] {
  if (bimi_logo_url === null) return [];
  const note = "Mail programs show the logo only under a DMARC policy of quarantine or reject.";
  return [
    txt("bimi", PREFIX.bimi + domain, `v=BIMI1; l=${bimi_logo_url};`, {
      required: false,
      ...(dmarc.policy === "none" ? { note } : {}),
    }),
  ];
}

/**
 * All records that a domain is to publish.
 * @param plan what is wanted of the domain.
 * @param published `spf`: the TXT records at the domain itself now, of which SPF records are merged with what is needed.
 * @returns the records in the order in which a person would enter them. `required` ones make the difference between `aligned` and
 *   not. A TXT value also stands in `strings` of at most 255 octets, to be entered as one record.
 */
export function wantedRecords(plan: DomainPlan, published: { spf: readonly string[] }): WantedRecord[] {
  const { domain, challenge, identity } = plan;
  const spf = wantedSpf(plan, published.spf);
  return [
    ...(challenge === null ? [] : [txt("ownership", PREFIX.ownership + domain, challenge, { required: true })]),
    ...inboundRecords(plan),
    txt("spf", PREFIX.spf + domain, spf.value, {
      required: true,
      ...(spf.problem === null ? {} : { note: spf.problem }),
    }),
    ...dkimRecords(plan),
    ...dmarcRecords(plan),
    ...returnPathRecords(plan),
    ...(identity === null
      ? []
      : [
          txt("identity", PREFIX.identity + domain, identityTxtRecord({ ...identity.public_jwk, kid: identity.kid }), {
            required: false,
          }),
        ]),
    ...transportRecords(plan),
    ...bimiRecords(plan),
  ];
}

/**
 * @returns the text served at `https://mta-sts.<domain>/.well-known/mta-sts.txt` (RFC 8461 §3.2, CRLF lines), or null where the
 *   plan wants no MTA-STS or this deployment takes no mail. It changes only together with the plan's `mta_sts_id`.
 */
export function mtaStsPolicy(plan: Pick<DomainPlan, "hosts" | "mta_sts_id" | "mta_sts_mode">): string | null {
  if (plan.mta_sts_id === null || plan.hosts.mx_host === null) return null;
  return mtaStsPolicyText(plan.hosts.mx_host, plan.mta_sts_mode);
}

/** @returns the text of a policy by which this host takes the mail, or all of Email Routing's if it is one (RFC 8461 §3.2, CRLF lines). */
export function mtaStsPolicyText(mxHost: string, mode: "testing" | "enforce" = "testing"): string {
  const mx = ROUTING_HOST.test(mxHost) ? mxHost.replace(/^[^.]+/, "*") : mxHost;
  return ["version: STSv1", `mode: ${mode}`, `mx: ${mx}`, `max_age: ${MTA_STS_MAX_AGE}`, ""].join("\r\n");
}
