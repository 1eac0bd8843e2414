import { createHash } from "node:crypto";
import { type Belief, newBelief } from "../../src/mail/domain-belief.ts";
import { domainNote, shownDomain } from "../../src/mail/domain-name.ts";
import type { Alignment, DomainPlan, PublicDkimKey } from "../../src/mail/domain-plan.ts";
import { mtaStsPolicy, wantedRecords } from "../../src/mail/domain-records.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { DomainRow } from "../../src/store/domain-owners.ts";
import type { StoredDkimKey } from "../../src/store/domains.ts";
import type { DomainSettings } from "../domain-rpc.ts";
import type { SealedIdentityKey } from "../tenant-rpc.ts";
import type { TenantBase } from "./base.ts";

/** Domains and their DKIM keys as the tenant object keeps them, and what is shown of them. */

/** The timer of a domain's next look; its ref is the domain's id. */
export const DOMAIN_LOOK = "domain_look";
/** The timer that brings a domain to D1 where the direct way did not succeed. */
export const DOMAIN_ROW = "domain_row";
/** The timer that has the tenant told from which a domain was taken over; its ref is `<tenant>/<domain id>`. */
export const DOMAIN_TAKEN = "domain_taken";

/** When the timer takes over from the direct way to D1. */
const PROJECT_DELAY = 2_000;

/** A domain as the object keeps it. */
export interface StoredDomain {
  id: string;
  domain: string;
  settings: DomainSettings;
  /** The TXT value that proves control; of this tenant alone. */
  challenge: string;
  /** D1 has it as this tenant's. */
  is_owned: boolean;
  /** When control was proved, ISO 8601; null: it was not, and nothing is sent from it. */
  proved_at: string | null;
  belief: Belief;
  /** What the last look found; null: there was none. */
  found: Pick<Alignment, "checks" | "findings" | "detail"> | null;
  /** Where bounces may come back to, as the last certain look found it. */
  receives: Alignment["receives"];
  /** The SPF records at the domain, as they were found last; null: they are not known. */
  spf: string[] | null;
  /** Since when the `next` keys are awaited; null: there are none. */
  rotation_since: number | null;
  created_at: string;
  /** Counted up with each change. D1 keeps the newest. */
  version: number;
}

/** A DKIM key as the object keeps it. */
export interface DomainKey extends StoredDkimKey {
  /** `resealing.ts` needs it: what the private half is bound to. */
  domain: string;
  state: PublicDkimKey["state"];
  created_at: string;
  /** Milliseconds since the epoch; set when it is retired. */
  remove_after: number | null;
}

/** @returns a domain that was just set up. @param now milliseconds since the epoch. */
export function newDomain(
  { id, domain, settings, challenge }: Pick<StoredDomain, "id" | "domain" | "settings" | "challenge">,
  now: number,
): StoredDomain {
  return {
    ...{ id, domain, settings, challenge, is_owned: false, proved_at: null, belief: newBelief(now), found: null },
    ...{ receives: { domain: false, return_path: false }, spf: null, rotation_since: null, version: 0 },
    created_at: new Date(now).toISOString(),
  };
}

export function findDomain(box: TenantBase, id: string): StoredDomain | null {
  return read(box, "id = ?", id);
}

/** @param domain in A-labels. */
export function findDomainByName(box: TenantBase, domain: string): StoredDomain | null {
  return read(box, "domain = ?", domain);
}

function read(box: TenantBase, condition: string, value: string): StoredDomain | null {
  const row = box.rows.exec<{ record: string }>(`SELECT record FROM domains WHERE ${condition}`, value).toArray()[0];
  return row ? (JSON.parse(row.record) as StoredDomain) : null;
}

/** Those after an id, in the order of ids. */
export function domainsAfter(box: TenantBase, after: string, limit: number): StoredDomain[] {
  return box.rows
    .exec<{ record: string }>("SELECT record FROM domains WHERE id > ? ORDER BY id LIMIT ?", after, limit)
    .toArray()
    .map(({ record }) => JSON.parse(record) as StoredDomain);
}

export function countDomains(box: TenantBase): number {
  return box.rows.exec<{ n: number }>("SELECT count(*) AS n FROM domains").one().n;
}

/** Writes a domain as its next version, with the timers of its next look and of its way to D1. Inside `commit`. */
export function saveDomain(box: TenantBase, domain: StoredDomain): StoredDomain {
  const saved = { ...domain, version: domain.version + 1 };
  box.rows.exec("INSERT OR REPLACE INTO domains VALUES (?, ?, ?)", saved.id, saved.domain, JSON.stringify(saved));
  const { next_look_at } = saved.belief;
  if (next_look_at === null) box.unschedule(DOMAIN_LOOK, saved.id);
  else box.schedule(DOMAIN_LOOK, saved.id, next_look_at);
  if (saved.is_owned) box.schedule(DOMAIN_ROW, saved.id, box.now() + PROJECT_DELAY);
  else box.unschedule(DOMAIN_ROW, saved.id);
  return saved;
}

/** Inside `commit`. */
export function removeDomain(box: TenantBase, { id, domain }: StoredDomain): void {
  box.rows.exec("DELETE FROM domains WHERE id = ?", id);
  box.rows.exec("DELETE FROM dkim_keys WHERE domain = ?", domain);
  box.unschedule(DOMAIN_LOOK, id);
  box.unschedule(DOMAIN_ROW, id);
}

/** A domain's DKIM keys in the order in which they sign: RSA, which every receiver checks, comes first of those made together. */
export function keysOf(box: TenantBase, domain: string): DomainKey[] {
  return box.rows
    .exec<{ key: string }>("SELECT key FROM dkim_keys WHERE domain = ? ORDER BY position", domain)
    .toArray()
    .map(({ key }) => JSON.parse(key) as DomainKey);
}

/** Puts these keys in the place of those there are. Inside `commit`. */
export function saveKeys(box: TenantBase, domain: string, keys: readonly DomainKey[]): void {
  box.rows.exec("DELETE FROM dkim_keys WHERE domain = ?", domain);
  for (const key of keys)
    box.rows.exec(
      "INSERT INTO dkim_keys (id, domain, key) VALUES (?, ?, ?)",
      `${key.selector}._domainkey.${domain}`,
      domain,
      JSON.stringify(key),
    );
}

/** Keys that a caller brought, in a state. */
export function newKeys(
  domain: string,
  keys: readonly StoredDkimKey[],
  state: DomainKey["state"],
  now: number,
): DomainKey[] {
  return keys.map((key) => ({ ...key, domain, state, created_at: new Date(now).toISOString(), remove_after: null }));
}

/** What is to be published for a domain. @param identity the tenant's active identity key. */
export function planOf(
  box: TenantBase,
  { domain, settings, challenge, proved_at }: StoredDomain,
  identity: Pick<SealedIdentityKey, "kid" | "public_jwk">,
): DomainPlan {
  const { INBOUND_MX, SPF_INCLUDE } = box.environment();
  const { dmarc_policy, dmarc_rua, mta_sts, tls_rpt, bimi_logo_url } = settings;
  const hosts = { mx_host: INBOUND_MX ?? null, spf_include: SPF_INCLUDE ?? null };
  return {
    ...{ domain, hosts, tls_rpt, bimi_logo_url },
    dkim_keys: keysOf(box, domain).map(({ selector, algorithm, public_key, state }) => ({
      ...{ selector, algorithm, public_key, state },
    })),
    identity: { kid: identity.kid, public_jwk: identity.public_jwk },
    dmarc: { policy: dmarc_policy, rua: dmarc_rua },
    challenge: proved_at === null ? challenge : null,
    mta_sts_id: mta_sts && hosts.mx_host !== null ? policyId(hosts.mx_host) : null,
  };
}

/** The id of an MTA-STS policy (RFC 8461 §3.1) says when it is another one; ours is another one when the host is. */
function policyId(mxHost: string): string {
  return createHash("sha256").update(`mta-sts 1 ${mxHost}`).digest("hex").slice(0, 24);
}

/** What D1 has of a domain. `next` keys are left out: nothing was ever signed with them. */
export function rowOf(box: TenantBase, stored: StoredDomain): DomainRow {
  const { id, domain, proved_at, challenge, belief, version, settings } = stored;
  const dkim_keys = keysOf(box, domain)
    .filter(({ state }) => state !== "next")
    .sort((one, other) => Number(one.state === "retired") - Number(other.state === "retired"))
    .map(({ selector, algorithm, public_key, private_key, state }) => ({
      ...{ selector, algorithm, public_key, private_key },
      ...(state === "retired" && { retired: true as const }),
    }));
  return {
    ...{ id, domain, tenant_id: box.tenant().id, verified: proved_at !== null, dkim_keys, challenge, version },
    unaligned_since: belief.status === "aligned" ? null : (isoOf(belief.broken_since) ?? proved_at),
    wants_mta_sts: settings.mta_sts,
  };
}

export function isoOf(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

/** Whether mail may leave from it. */
export function sendingOf({ is_owned, proved_at, belief }: StoredDomain): Domain["sending"] {
  if (is_owned && proved_at !== null && belief.status === "aligned") return "ok";
  return belief.aligned_since === null ? "not_yet" : "held";
}

const CLAIMED_BY_ANOTHER =
  "Another account has this domain. Publish the ownership record: once it is seen, and the other account does not use the domain, it is yours.";
const NOT_LOOKED_AT = "The records have not been looked for yet. Publish them; they are looked for by themselves.";
const NOT_AWAITED = " Nobody looks any more; verify_domain_alignment begins anew.";

function detailOf({ is_owned, found, belief }: StoredDomain): string {
  const detail = is_owned ? (found?.detail ?? NOT_LOOKED_AT) : CLAIMED_BY_ANOTHER;
  return belief.next_look_at === null ? detail + NOT_AWAITED : detail;
}

/** @returns the domain as API.md has it. */
export function shownOf(
  box: TenantBase,
  stored: StoredDomain,
  identity: Pick<SealedIdentityKey, "kid" | "public_jwk">,
): Domain {
  const { id, domain, settings, belief, found, proved_at, created_at } = stored;
  const plan = planOf(box, stored, identity);
  return {
    ...{
      id,
      tenant_id: box.tenant().id,
      domain,
      domain_unicode: shownDomain(domain),
      note: domainNote(domain),
      status: belief.status,
    },
    ...{ detail: detailOf(stored), checks: found?.checks ?? {}, findings: found?.findings ?? [] },
    ...{ dns_records: recordsOf(stored, plan), mta_sts_policy: mtaStsPolicy(plan) },
    ...settings,
    dkim_keys: keysOf(box, domain).map(({ selector, algorithm, state, created_at, remove_after }) => ({
      ...{ selector, algorithm, state, created_at, remove_after: isoOf(remove_after) },
    })),
    ...{ sending: sendingOf(stored), verified_at: proved_at, broken_since: isoOf(belief.broken_since) },
    ...{ checked_at: isoOf(belief.looked_at), next_check_at: isoOf(belief.next_look_at), created_at },
  };
}

/** While another account has it, nothing but the proof is to be published: the rest could break that account's mail. */
function recordsOf(stored: StoredDomain, plan: DomainPlan): Domain["dns_records"] {
  const records = wantedRecords(plan, { spf: stored.spf ?? [] });
  return stored.is_owned ? records : records.filter(({ purpose }) => purpose === "ownership");
}
