import type { Resolver } from "../../src/mail/dns-over-https.ts";
import { newBelief } from "../../src/mail/domain-belief.ts";
import { newChallenge, publishedChallenges } from "../../src/mail/domain-zone.ts";
import {
  type DomainOwner,
  findDomainOwner,
  proveDomain,
  releaseDomain,
  reserveDomain,
  takeOverDomain,
  UNDISPUTED_MS,
} from "../../src/store/domain-owners.ts";
import { SYSTEM } from "../ledger.ts";
import type { TenantBase } from "./base.ts";
import { DOMAIN_TAKEN, findDomain, rowOf, type StoredDomain, saveDomain } from "./domain-rows.ts";
import { recordDomain } from "./domains.ts";

/**
 * Whose a domain is. D1 decides in one statement each time; the object follows. Control is proved by a TXT value that only this
 * claim has, so that nobody proves anything by a record that somebody else published.
 */

/**
 * Brings the object in line with D1, and D1 in line with the DNS: proves control where the challenge is published, takes the
 * domain over where it may be had, and takes notice where it was lost.
 * @throws whatever D1 threw.
 */
export async function settleOwnership(box: TenantBase, id: string, resolver: Resolver): Promise<void> {
  const domain = findDomain(box, id);
  if (!domain) return;
  const { DB } = box.environment();
  const owner = await findDomainOwner(DB, domain.domain);
  if (owner === null) return reserveAgain(box, domain);
  const isMine = owner.tenant_id === box.tenant().id && owner.id === id;
  if (isMine) return settleOwn(box, domain, owner, resolver);
  if (domain.is_owned) lose(box, id);
  const published = await publishedChallenges(domain.domain, resolver);
  if (published && isMineNow(box, published, id) && mayTakeOver(owner, published, box.now()))
    await takeOver(box, id, owner);
}

/** Nobody has it: its owner gave it up, or D1 has lost it. Control is proved anew. */
async function reserveAgain(box: TenantBase, domain: StoredDomain): Promise<void> {
  const { DB } = box.environment();
  const owner = await reserveDomain(DB, rowOf(box, domain), box.now());
  if (owner.tenant_id !== box.tenant().id) return;
  if (!findDomain(box, domain.id)) {
    // Given up while it was reserved.
    await releaseDomain(DB, { ...domain, tenant_id: box.tenant().id });
    return;
  }
  own(box, domain.id, null, false);
}

/** D1 has it as this claim's. */
async function settleOwn(box: TenantBase, domain: StoredDomain, owner: DomainOwner, resolver: Resolver): Promise<void> {
  const { id } = domain;
  // A crash came between D1's step and ours.
  if (!domain.is_owned)
    return own(box, id, owner.status === "verified" ? owner.taken_from : null, owner.status === "verified");
  if (domain.proved_at !== null) return;
  const published = await publishedChallenges(domain.domain, resolver);
  if (!published || !isMineNow(box, published, id)) return;
  if (!(await proveDomain(box.environment().DB, rowOf(box, domain)))) return;
  // D1 says that it is proved. A crash here proves it once more.
  own(box, id, null, true);
}

/** Whether the challenge of the claim, as it is by now, is among those published. */
function isMineNow(box: TenantBase, published: readonly string[], id: string): boolean {
  const challenge = findDomain(box, id)?.challenge;
  return challenge !== undefined && published.includes(challenge);
}

/** A proven domain that is aligned, or whose owner still has its own challenge published, is nobody else's. */
function mayTakeOver(owner: DomainOwner, published: readonly string[], now: number): boolean {
  if (owner.tenant_id === null) return false;
  if (owner.status !== "verified") return true;
  const isLongWrong = owner.unaligned_since !== null && Date.parse(owner.unaligned_since) <= now - UNDISPUTED_MS;
  return isLongWrong && !(owner.challenge !== null && published.includes(owner.challenge));
}

async function takeOver(box: TenantBase, id: string, former: DomainOwner): Promise<void> {
  const domain = findDomain(box, id);
  if (!domain) return;
  const { DB } = box.environment();
  if (!(await takeOverDomain(DB, rowOf(box, domain), former, box.now()))) return;
  // D1 has it as ours, and the former owner sends nothing from it any more. A crash here leaves what `settleOwn` finds.
  if (findDomain(box, id)) own(box, id, `${former.tenant_id}/${former.id}`, true);
  else await releaseDomain(DB, { ...domain, tenant_id: box.tenant().id });
}

/** @param from `<tenant>/<domain id>` of the former owner, who is told. @param isProved whether control was proved in this step. */
function own(box: TenantBase, id: string, from: string | null, isProved: boolean): void {
  box.commit(() => {
    const domain = findDomain(box, id);
    if (!domain) return;
    const proved_at = isProved ? box.time() : null;
    const belief = domain.is_owned ? domain.belief : newBelief(box.now());
    saveDomain(box, { ...domain, is_owned: true, proved_at, belief });
    if (from !== null) box.schedule(DOMAIN_TAKEN, from, box.now());
    if (isProved) recordDomain(box, SYSTEM, from === null ? "domain.proved" : "domain.taken_over", domain, {});
    else recordDomain(box, SYSTEM, "domain.reserved", domain, {});
  });
}

/** Another has proved that it is theirs. What was published for this claim proves nothing any more. */
function lose(box: TenantBase, id: string): void {
  box.commit(() => {
    const domain = findDomain(box, id);
    if (!domain?.is_owned) return;
    const lost = { ...domain, is_owned: false, proved_at: null, challenge: newChallenge(), found: null };
    const belief = { ...newBelief(box.now()), aligned_since: domain.belief.aligned_since };
    saveDomain(box, { ...lost, belief, receives: { domain: false, return_path: false }, rotation_since: null });
    recordDomain(box, SYSTEM, "domain.lost", domain, {});
    box.emitEvent("domain.lost", { domain_id: id, domain: domain.domain });
  });
}
