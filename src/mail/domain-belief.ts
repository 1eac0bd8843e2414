import type { Alignment, DomainStatus } from "./domain-plan.ts";

/** What is believed of a domain from look to look, and when it is looked at again. Pure: times are milliseconds since the epoch. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One look may have met a zone in the middle of a change: a break is believed once a second one, this much later, saw it too. */
export const DOUBT_MS = HOUR;
/** How long somebody who asks for other records has to publish them. */
export const GRACE_MS = DAY;
/** How often a domain is looked at that is aligned. */
export const RECHECK_MS = DAY;
const SOONEST = MINUTE;
const LATEST = 6 * HOUR;
/** Nobody publishes the records any more after this; a call of verify_domain_alignment begins anew. */
export const POLLED_FOR_MS = 30 * DAY;

/** What earlier looks came to. */
export interface Belief {
  /** `misaligned` after it was aligned: broken, see `broken_since`. */
  status: DomainStatus;
  /** The first look that found it aligned; null: none did. */
  aligned_since: number | null;
  /** The first of the looks that found it broken, while that is not believed yet. */
  doubted_since: number | null;
  /** When a break was believed; null: it is not broken. */
  broken_since: number | null;
  /** When something else was asked for, since the last look that found it aligned: its owner has a day to publish that. */
  changed_since: number | null;
  /** From when on it is waited for. */
  awaited_since: number;
  looked_at: number | null;
  /** Null: it is not looked at by itself any more. */
  next_look_at: number | null;
}

/** What one look came to: `doubtful` where the DNS did not answer for a record that counts. */
export type LookResult = "aligned" | "bad" | "doubtful";

/** @returns a domain nobody has looked at. */
export function newBelief(now: number): Belief {
  return {
    ...{ status: "pending", aligned_since: null, doubted_since: null, broken_since: null, changed_since: null },
    ...{ awaited_since: now, looked_at: null, next_look_at: now + SOONEST },
  };
}

/** @returns how long to wait for what has been awaited since then: a minute, doubling, at most 6 hours; null after 30 days. */
export function patience(awaitedSince: number, now: number): number | null {
  const waited = now - awaitedSince;
  return waited >= POLLED_FOR_MS ? null : Math.min(Math.max(waited, SOONEST), LATEST);
}

/**
 * @returns what a look came to. A record that was not found because the DNS did not answer is doubtful, unless something else that
 *   is required is missing or wrong for certain.
 */
export function resultOf({ status, checks, findings }: Alignment): LookResult {
  if (status === "aligned") return "aligned";
  const required = findings.filter((finding) => finding.required).map(({ result }) => result);
  const results = [...required, checks.alignment];
  return results.some((result) => result === "fail" || result === "missing") ? "bad" : "doubtful";
}

/** @returns what is believed after a look, and what that tells the world. */
export function afterLook(
  before: Belief,
  look: { result: LookResult; status: DomainStatus },
  now: number,
): { belief: Belief; news: "verified" | "broken" | null } {
  const belief = { ...before, looked_at: now };
  if (look.result === "aligned") return afterGood(belief, now);
  if (look.result === "doubtful") return { belief: { ...belief, next_look_at: afterDoubt(before, now) }, news: null };
  if (before.status === "aligned") return afterBreak(belief, now);
  return { belief: { ...belief, ...awaited(before, look.status, now) }, news: null };
}

function afterGood(before: Belief, now: number): ReturnType<typeof afterLook> {
  const belief: Belief = {
    ...before,
    ...{ status: "aligned", aligned_since: before.aligned_since ?? now, doubted_since: null, broken_since: null },
    ...{ changed_since: null, awaited_since: now, next_look_at: now + RECHECK_MS },
  };
  return { belief, news: before.status === "aligned" ? null : "verified" };
}

/** Nothing was learnt: what is believed stays. */
function afterDoubt({ status, awaited_since, broken_since }: Belief, now: number): number | null {
  if (status === "aligned") return now + DOUBT_MS;
  const wait = patience(awaited_since, now);
  return wait === null ? (broken_since === null ? null : now + RECHECK_MS) : now + wait;
}

function afterBreak(before: Belief, now: number): ReturnType<typeof afterLook> {
  const doubted_since = before.doubted_since ?? now;
  const { changed_since } = before;
  if (changed_since !== null && now - changed_since < GRACE_MS) {
    const next_look_at = Math.min(now + (patience(changed_since, now) ?? SOONEST), changed_since + GRACE_MS);
    return { belief: { ...before, doubted_since, next_look_at }, news: null };
  }
  const isBelieved = now - doubted_since >= DOUBT_MS;
  if (!isBelieved) return { belief: { ...before, doubted_since, next_look_at: doubted_since + DOUBT_MS }, news: null };
  const belief: Belief = {
    ...before,
    ...{
      status: "misaligned",
      doubted_since: null,
      broken_since: now,
      changed_since: null,
      awaited_since: now,
      next_look_at: now + SOONEST,
    },
  };
  return { belief, news: "broken" };
}

function awaited(before: Belief, found: DomainStatus, now: number): Pick<Belief, "status" | "next_look_at"> {
  const wait = patience(before.awaited_since, now);
  // Mail waits for a broken one, so somebody will mend it: it is never left alone.
  if (before.broken_since !== null) return { status: "misaligned", next_look_at: now + (wait ?? RECHECK_MS) };
  return { status: found, next_look_at: wait === null ? null : now + wait };
}

/**
 * @returns what is believed once something else is asked for. What is sent before that is published is no worse than it was, so a
 *   domain that was aligned stays so for a day; asking again and again does not make it longer.
 */
export function afterChange(before: Belief, now: number): Belief {
  const changed_since = before.status === "aligned" ? (before.changed_since ?? now) : before.changed_since;
  return { ...before, changed_since, awaited_since: now, next_look_at: now + SOONEST };
}

/** @returns the same domain, awaited from now on, since somebody asked for it. */
export function revived(belief: Belief, now: number): Belief {
  const isOver = belief.next_look_at === null || patience(belief.awaited_since, now) === null;
  return isOver ? { ...belief, awaited_since: now, next_look_at: now } : belief;
}
