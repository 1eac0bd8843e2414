import { accepted, type Outcome } from "../../src/errors.ts";
import { dnsOverHttps, withLookupLimit } from "../../src/mail/dns-over-https.ts";
import { checkAlignment } from "../../src/mail/domain-alignment.ts";
import { afterLook, type Belief, patience, resultOf, revived } from "../../src/mail/domain-belief.ts";
import type { Alignment } from "../../src/mail/domain-plan.ts";
import { publishedSpf } from "../../src/mail/domain-zone.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { LookedAtDomain } from "../domain-rpc.ts";
import { SYSTEM } from "../ledger.ts";
import { notFound } from "../mailbox/base.ts";
import type { Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";
import { settleOwnership } from "./domain-ownership.ts";
import { publishDomain } from "./domain-projection.ts";
import {
  DOMAIN_LOOK,
  DOMAIN_TAKEN,
  type DomainKey,
  findDomain,
  keysOf,
  planOf,
  type StoredDomain,
  saveDomain,
  saveKeys,
  shownOf,
} from "./domain-rows.ts";
import { joinOrBegin } from "./domain-turns.ts";
import { recordDomain, whyNotAdministered } from "./domains.ts";
import { activeIdentityKey } from "./identity-keys.ts";

/** Looks at the DNS of a domain, by a timer or because somebody asks, and what is made of what they find. */

/** What one look may ask at most: an examination of the records, the challenge, and the SPF record to merge with. */
const MAX_LOOKUPS = 170;
/** A key that signs no more stays published for what is on its way. */
const PUBLISHED_FOR = 7 * 24 * 3600_000;

type Found = LookedAtDomain["found"];

/** Serves a `domain_look` timer. @throws whatever D1 threw; what the DNS does not say is no error. */
export async function lookByTimer(box: TenantBase, { ref }: Timer): Promise<void> {
  if (findDomain(box, ref)) await look(box, ref);
  else box.commit(() => box.unschedule(DOMAIN_LOOK, ref));
}

/** Looks because somebody asks. */
export async function lookAtDomain(box: TenantBase, caller: Caller, id: string): Promise<Outcome<LookedAtDomain>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const before = findDomain(box, id);
  if (!before) return notFound();
  const belief = revived(before.belief, box.now());
  if (belief !== before.belief) box.commit(() => saveDomain(box, { ...before, belief }));
  const found = await look(box, id);
  const identity = await activeIdentityKey(box);
  const stored = findDomain(box, id);
  if (!stored) return notFound();
  return accepted({ domain: shownOf(box, stored, identity), is_claimed_by_another: !stored.is_owned, found });
}

/** One look: whose the domain is, what its zone has, and what that means. @returns what was found; null if only the challenge was looked for. */
function look(box: TenantBase, id: string): Promise<Found> {
  return joinOrBegin(box, id, () => lookNow(box, id));
}

async function lookNow(box: TenantBase, id: string): Promise<Found> {
  const resolver = withLookupLimit(
    dnsOverHttps(box.environment().DOH_URL, (...request) => fetch(...request)),
    MAX_LOOKUPS,
  );
  const identity = await activeIdentityKey(box);
  await settleOwnership(box, id, resolver);
  const before = findDomain(box, id);
  if (!before) return null;
  if (!before.is_owned) {
    box.commit(() => saveDomain(box, afterClaimLook(box, before)));
    return null;
  }
  const [alignment, spf] = await Promise.all([
    checkAlignment(planOf(box, before, identity), resolver),
    publishedSpf(before.domain, resolver),
  ]);
  box.commit(() => takeNotice(box, { before, alignment, spf }));
  await publishDomain(box, id);
  const { status, checks, findings, detail } = alignment;
  return { status, checks, findings, detail };
}

function afterClaimLook(box: TenantBase, domain: StoredDomain): StoredDomain {
  const now = box.now();
  const wait = patience(domain.belief.awaited_since, now);
  const next_look_at = wait === null ? null : now + wait;
  return { ...domain, belief: { ...domain.belief, looked_at: now, next_look_at } };
}

interface Look {
  /** The domain as it was when it was looked at. */
  before: StoredDomain;
  alignment: Alignment;
  spf: string[] | null;
}

/** Inside `commit`. */
function takeNotice(box: TenantBase, { before, alignment, spf }: Look): void {
  const domain = findDomain(box, before.id);
  if (!domain) return;
  const now = box.now();
  if (domain.version !== before.version) {
    // Other records are wanted by now, or another look has seen these: it says nothing of the domain as it is.
    box.schedule(DOMAIN_LOOK, domain.id, Math.min(domain.belief.next_look_at ?? now, now + 60_000));
    return;
  }
  // What nobody proved to be theirs is not believed to be well: the proof was not in the DNS a moment ago.
  const isUnproved = domain.proved_at === null && alignment.status === "aligned";
  const result = isUnproved ? "doubtful" : resultOf(alignment);
  const { belief, news } = afterLook(domain.belief, { result, status: alignment.status }, now);
  const { checks, findings, detail } = alignment;
  const rotated = withKeysSeen(box, domain, alignment);
  const saved = saveDomain(box, {
    ...rotated,
    belief: withRotationAwaited(belief, rotated.rotation_since, now),
    // What the DNS did not say is not to be read as what is wrong with a domain that is well.
    found: result === "doubtful" && domain.found ? domain.found : { checks, findings, detail },
    receives: result === "doubtful" ? domain.receives : alignment.receives,
    spf: spf ?? domain.spf,
  });
  if (news) tell(box, saved, news, alignment);
}

function tell(box: TenantBase, domain: StoredDomain, news: "verified" | "broken", { checks, detail }: Alignment): void {
  const not_passing = Object.entries(checks).flatMap(([name, result]) => (result === "pass" ? [] : [name]));
  recordDomain(box, SYSTEM, `domain.${news}`, domain, { not_passing });
  box.emitEvent(`domain.${news}`, { domain_id: domain.id, domain: domain.domain, checks, detail });
}

/** New keys are looked for as soon as a domain that is not aligned yet. */
function withRotationAwaited(belief: Belief, rotationSince: number | null, now: number): Belief {
  const wait = rotationSince === null ? null : patience(rotationSince, now);
  if (wait === null) return belief;
  return { ...belief, next_look_at: Math.min(belief.next_look_at ?? Number.POSITIVE_INFINITY, now + wait) };
}

/** Switches to the keys that were awaited once they are published, and forgets those that were long enough. Inside `commit`. */
function withKeysSeen(box: TenantBase, domain: StoredDomain, { published_selectors }: Alignment): StoredDomain {
  const now = box.now();
  const keys = keysOf(box, domain.domain);
  const left = keys.filter(({ remove_after }) => remove_after === null || remove_after > now);
  if (left.length < keys.length) {
    saveKeys(box, domain.domain, left);
    const selectors = keys.filter((key) => !left.includes(key)).map(({ selector }) => selector);
    recordDomain(box, SYSTEM, "domain.dkim_keys_removed", domain, { selectors });
  }
  if (!areSeen(left, new Set(published_selectors))) return domain;
  saveKeys(
    box,
    domain.domain,
    left.map((key) => switched(key, now)),
  );
  const selectors = left.flatMap(({ state, selector }) => (state === "next" ? [selector] : []));
  recordDomain(box, SYSTEM, "domain.dkim_rotated", domain, { selectors });
  box.emitEvent("domain.dkim_rotated", { domain_id: domain.id, domain: domain.domain, selectors });
  return { ...domain, rotation_since: null };
}

/** Whether the awaited keys are published. An Ed25519 key beside an RSA one counts where the one that it replaces is published. */
function areSeen(keys: readonly DomainKey[], published: ReadonlySet<string>): boolean {
  const next = keys.filter(({ state }) => state === "next");
  const hasRsa = next.some(({ algorithm }) => algorithm === "rsa-sha256");
  const isUsed = keys.some(
    ({ state, algorithm, selector }) => state === "active" && algorithm === "ed25519-sha256" && published.has(selector),
  );
  const counting = next.filter(({ algorithm }) => algorithm === "rsa-sha256" || !hasRsa || isUsed);
  return counting.length > 0 && counting.every(({ selector }) => published.has(selector));
}

function switched(key: DomainKey, now: number): DomainKey {
  if (key.state === "next") return { ...key, state: "active" };
  return key.state === "active" ? { ...key, state: "retired", remove_after: now + PUBLISHED_FOR } : key;
}

/** Somebody may have proved that a domain is theirs: the look finds out. */
export function recheckDomain(box: TenantBase, id: string): void {
  if (findDomain(box, id)) box.commit(() => box.schedule(DOMAIN_LOOK, id, box.now()));
}

/** Serves a `domain_taken` timer: the tenant that had a domain is told to look whose it is. */
export async function tellFormerOwner(box: TenantBase, { ref }: Timer): Promise<void> {
  const [tenant = "", domainId = ""] = ref.split("/");
  await box.environment().TENANT.getByName(tenant).recheckDomain(domainId);
  box.commit(() => box.unschedule(DOMAIN_TAKEN, ref));
}
