import type { Action, DetailField, Only } from "../../src/audit/actions.ts";
import type { Actor } from "../../src/audit/entry.ts";
import { canonical } from "../../src/canonical-json.ts";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import { afterChange } from "../../src/mail/domain-belief.ts";
import type { DkimKeyType } from "../../src/mail/domain-plan.ts";
import { newChallenge } from "../../src/mail/domain-zone.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { releaseDomain, reserveDomain } from "../../src/store/domain-owners.ts";
import type { StoredDkimKey } from "../../src/store/domains.ts";
import { ownDomainOf } from "../../src/store/identity-directory.ts";
import type { ConfiguredDomain, DomainSettings, DomainStanding, DomainWish, NeedsKeys } from "../domain-rpc.ts";
import type { NewEntry } from "../ledger/log.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";
import { publishDomain } from "./domain-projection.ts";
import {
  countDomains,
  domainsAfter,
  findDomain,
  findDomainByName,
  keysOf,
  newDomain,
  newKeys,
  removeDomain,
  type StoredDomain,
  saveDomain,
  saveKeys,
  sendingOf,
  shownOf,
} from "./domain-rows.ts";
import { turnOf } from "./domain-turns.ts";
import { activeIdentityKey } from "./identity-keys.ts";

/**
 * The tenant's domains. The object is the authority for how each is set up and how it stands; whose it is, is decided in D1
 * (`src/store/domain-owners.ts`), which is asked before anything is believed here.
 */

const MAX_DOMAINS = 100;
/** Each retired key stays published for a week, and a receiver looks up each one that signed. */
const ROTATIONS_PER_DAY = 6;
const DAY = 24 * 3600_000;

/** An existing DMARC policy stays as it is until somebody asks for a stricter one: other senders may use the domain too. */
const DEFAULTS: DomainSettings = {
  dkim_key_type: "dual",
  dmarc_policy: "none",
  dmarc_rua: null,
  mta_sts: false,
  tls_rpt: null,
  bimi_logo_url: null,
};

/** Sets a domain up or changes it. */
export async function configureDomain(
  box: TenantBase,
  caller: Caller,
  wish: DomainWish,
  keys: readonly StoredDkimKey[] | null,
): Promise<Outcome<ConfiguredDomain | NeedsKeys>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findDomainByName(box, wish.domain);
  if (before) {
    await turnOf(box, before.id);
    const now = findDomain(box, before.id);
    return now ? changeDomain(box, caller, now, wish, keys) : notFound();
  }
  if (countDomains(box) >= MAX_DOMAINS) return tooMany();
  const settings = { ...DEFAULTS, ...wish.settings };
  if (keys === null) return needsKeys(wish.domain, settings.dkim_key_type);
  return makeDomain(box, caller, { ...wish, settings }, keys);
}

function needsKeys(domain: string, dkim_key_type: DkimKeyType): Outcome<NeedsKeys> {
  return accepted({ needs_keys: { domain, dkim_key_type } });
}

function tooMany(): Outcome<never> {
  return refused("wrong_state", `An account has at most ${MAX_DOMAINS} domains.`, {
    hint: "delete_domain gives one up that is not used.",
  });
}

async function makeDomain(
  box: TenantBase,
  caller: Caller,
  { domain, settings, spf }: DomainWish & { settings: DomainSettings },
  keys: readonly StoredDkimKey[],
): Promise<Outcome<ConfiguredDomain>> {
  const now = box.now();
  const { DB } = box.environment();
  const tenant_id = box.tenant().id;
  const id = newId("dom", now);
  const challenge = newChallenge();
  const wants_mta_sts = settings.mta_sts;
  const row = { id, domain, tenant_id, verified: false, dkim_keys: keys, challenge, wants_mta_sts, version: 0 };
  const owner = await reserveDomain(DB, { ...row, unaligned_since: null }, now);
  // Reserved. A crash here leaves a row that proves nothing: the same call finishes it, and whoever proves control gets it.
  const meanwhile = findDomainByName(box, domain);
  if (meanwhile) {
    noteUnchanged(box, caller, "domain.configured", { type: "domain", id: meanwhile.id });
    return configured(box, meanwhile, true);
  }
  const is_owned = owner.tenant_id === tenant_id;
  const made = box.commit(() => {
    saveKeys(box, domain, newKeys(domain, keys, "active", now));
    // The row of a call that broke off has its own id.
    const stored = newDomain({ id: is_owned ? owner.id : id, domain, settings, challenge }, now);
    const saved = saveDomain(box, { ...stored, spf, is_owned });
    recordDomain(box, actorOf(caller), "domain.configured", saved, { ...settingsDetail(settings), is_owned });
    return saved;
  });
  await publishDomain(box, made.id);
  return configured(box, made, false);
}

async function changeDomain(
  box: TenantBase,
  caller: Caller,
  before: StoredDomain,
  { settings: change, spf }: DomainWish,
  keys: readonly StoredDkimKey[] | null,
): Promise<Outcome<ConfiguredDomain | NeedsKeys>> {
  const settings = { ...before.settings, ...change };
  const isOtherType = settings.dkim_key_type !== before.settings.dkim_key_type;
  if (isOtherType) {
    const refusal = whyNoNewKeys(box, before);
    if (refusal) return { ok: false, refusal };
    if (keys === null) return needsKeys(before.domain, settings.dkim_key_type);
  }
  const changed = (Object.keys(settings) as (keyof DomainSettings)[]).filter(
    (name) => settings[name] !== before.settings[name],
  );
  if (changed.length === 0) noteUnchanged(box, caller, "domain.updated", { type: "domain", id: before.id });
  if (changed.length === 0 && (spf === null || canonical(spf) === canonical(before.spf)))
    return configured(box, before, true);
  const after = box.commit(() => {
    const domain = { ...before, settings, spf: spf ?? before.spf };
    const withKeys = isOtherType && keys ? takeNewKeys(box, domain, keys) : domain;
    const saved = saveDomain(box, changed.length ? lookedAtSoon(box, withKeys) : withKeys);
    if (changed.length)
      recordDomain(box, actorOf(caller), "domain.updated", saved, { changed, ...settingsDetail(settings) });
    return saved;
  });
  await publishDomain(box, after.id);
  return configured(box, after, true);
}

/** Other records are wanted by now: whether they are there is soon found out. */
function lookedAtSoon(box: TenantBase, domain: StoredDomain): StoredDomain {
  return { ...domain, belief: afterChange(domain.belief, box.now()) };
}

/** Begins to replace the keys; while a replacement is under way, that one is answered. */
export async function rotateDkim(
  box: TenantBase,
  caller: Caller,
  id: string,
  keys: readonly StoredDkimKey[] | null,
): Promise<Outcome<ConfiguredDomain | NeedsKeys>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  await turnOf(box, id);
  const before = findDomain(box, id);
  if (!before) return notFound();
  if (before.rotation_since !== null) {
    noteUnchanged(box, caller, "domain.dkim_rotation_started", { type: "domain", id });
    return configured(box, before, true);
  }
  const refusal = whyNoNewKeys(box, before);
  if (refusal) return { ok: false, refusal };
  if (keys === null) return needsKeys(before.domain, before.settings.dkim_key_type);
  const after = box.commit(() => {
    const saved = saveDomain(box, lookedAtSoon(box, takeNewKeys(box, before, keys)));
    recordDomain(box, actorOf(caller), "domain.dkim_rotation_started", saved, { selectors: keys.map(selectorOf) });
    return saved;
  });
  await publishDomain(box, after.id);
  return configured(box, after, true);
}

function selectorOf({ selector }: { selector: string }): string {
  return selector;
}

/**
 * Keys take over once they are seen published. Of a domain that never was aligned nothing was ever signed: there they take the
 * place of those it had. Inside `commit`.
 */
function takeNewKeys(box: TenantBase, domain: StoredDomain, keys: readonly StoredDkimKey[]): StoredDomain {
  const now = box.now();
  if (domain.belief.aligned_since === null) {
    saveKeys(box, domain.domain, newKeys(domain.domain, keys, "active", now));
    return domain;
  }
  const kept = keysOf(box, domain.domain).filter(({ state }) => state !== "next");
  saveKeys(box, domain.domain, [...kept, ...newKeys(domain.domain, keys, "next", now)]);
  return { ...domain, rotation_since: now };
}

function whyNoNewKeys(box: TenantBase, { domain }: StoredDomain): Refusal | null {
  const since = new Date(box.now() - DAY).toISOString();
  const times = [...new Set(keysOf(box, domain).map(({ created_at }) => created_at))].filter((time) => time > since);
  const [oldest] = times.sort();
  if (oldest === undefined || times.length < ROTATIONS_PER_DAY) return null;
  return {
    code: "rate_limited",
    error: `The DKIM keys of a domain are made anew at most ${ROTATIONS_PER_DAY} times in a day.`,
    detail: { retry_after: Math.ceil((Date.parse(oldest) + DAY - box.now()) / 1_000) },
  };
}

/** Gives a domain up. Nothing of it is left but what the audit log says. */
export async function deleteDomain(box: TenantBase, caller: Caller, id: string): Promise<Outcome<Domain>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findDomain(box, id);
  if (!before) return notFound();
  const row = { id, domain: before.domain, tenant_id: box.tenant().id };
  const identity = await activeIdentityKey(box);
  // Also where it was another's a moment ago: it may have been taken over meanwhile, and D1 would keep it for nobody.
  const released = await releaseDomain(box.environment().DB, row);
  if (released === "in_use") {
    return refused("wrong_state", "Mailboxes are at this domain, so it cannot be given up.", {
      hint: "Their mail would have no domain to come from, and none to arrive at.",
    });
  }
  // Released. A crash here leaves a domain that D1 does not know as this tenant's: deleting it again goes on from here.
  const left = findDomain(box, id);
  if (!left) return notFound();
  const answer = shownOf(box, left, identity);
  box.commit(() => {
    removeDomain(box, left);
    recordDomain(box, actorOf(caller), "domain.deleted", left, {});
  });
  return accepted(answer);
}

export async function getDomain(box: TenantBase, caller: Caller, id: string): Promise<Outcome<Domain>> {
  if (!box.isMine(caller)) return notFound();
  const identity = await activeIdentityKey(box);
  const stored = findDomain(box, id);
  return stored ? accepted(shownOf(box, stored, identity)) : notFound();
}

export async function listDomains(
  box: TenantBase,
  caller: Caller,
  page: { limit: number; cursor: string | null },
): Promise<Outcome<{ domains: Domain[]; cursor: string | null; total: number }>> {
  if (!box.isMine(caller)) return notFound();
  const identity = await activeIdentityKey(box);
  const stored = domainsAfter(box, page.cursor ?? "", page.limit + 1);
  const domains = stored.slice(0, page.limit).map((each) => shownOf(box, each, identity));
  const cursor = stored.length > page.limit ? (domains.at(-1)?.id ?? null) : null;
  return accepted({ domains, cursor, total: countDomains(box) });
}

/** Whether a domain is set up here, whosever it is. The caller administers the account. */
export function isDomainConfigured(box: TenantBase, caller: Caller, domain: string): Outcome<boolean> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  return accepted(findDomainByName(box, domain) !== null);
}

/** Whether mailboxes can be made at a domain. */
export function mayHaveMailboxes(box: TenantBase, caller: Caller, domain: string): Outcome<boolean> {
  if (!box.isMine(caller)) return notFound();
  const stored = findDomainByName(box, domain);
  return accepted(stored !== null && sendingOf(stored) === "ok");
}

/** What a delivery from a domain has to know. No look-up: what the last looks came to. */
export function standingOf(box: TenantBase, domain: string): DomainStanding {
  const own = ownDomainOf(box.environment().MAIL_DOMAIN);
  if (domain === own) return { status: "ok", return_path_domain: own };
  const stored = findDomainByName(box, domain);
  if (!stored || sendingOf(stored) !== "ok") return { status: "broken", return_path_domain: own };
  const { receives } = stored;
  return {
    status: "ok",
    return_path_domain: receives.domain ? domain : receives.return_path ? `bounces.${domain}` : own,
  };
}

async function configured(box: TenantBase, { id }: StoredDomain, existed: boolean): Promise<Outcome<ConfiguredDomain>> {
  const identity = await activeIdentityKey(box);
  const stored = findDomain(box, id);
  if (!stored) return notFound();
  return accepted({ domain: shownOf(box, stored, identity), existed, is_claimed_by_another: !stored.is_owned });
}

/** What of the settings is no personal data. */
function settingsDetail({ dkim_key_type, dmarc_policy, mta_sts }: DomainSettings) {
  return { dkim_key_type, dmarc_policy, mta_sts };
}

type DomainAction = Exclude<Extract<Action, `domain.${string}`>, "domain.checked">;

/** Appends an entry about a domain. Its name may be a person's. Inside `commit`. */
export function recordDomain<A extends DomainAction, Detail extends NonNullable<NewEntry["detail"]>>(
  box: TenantBase,
  actor: Actor,
  action: A,
  { id, domain }: Pick<StoredDomain, "id" | "domain">,
  detail: Detail & Only<Detail, DetailField<A>>,
): void {
  box.recordChecked({ actor, action, resource: { type: "domain", id }, detail, personal: { domain } });
}

/** A domain is the whole account's. */
export function whyNotAdministered({ mailbox_ids, bound_agent_id }: Caller): Refusal | null {
  const hint = "A domain is the whole account's. Use a key that is bound to nothing.";
  if (mailbox_ids !== null) return { code: "mailbox_not_allowed", error: "This key is bound to its mailboxes.", hint };
  if (bound_agent_id !== null) return { code: "agent_not_allowed", error: "This key is bound to an agent.", hint };
  return null;
}
