import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { notFound } from "../mailbox/base.ts";
import type { TenantBase } from "./base.ts";
import { whyNotAdministered } from "./domains.ts";

/**
 * Names that a caller has the DNS asked for by setting domains up. Whoever answers for a name hears it, and a name can carry a secret
 * (`<secret>.attacker.example`), so there are only so many new ones in a day, as of recipients' domains.
 */

const NEW_NAMES_PER_DAY = 100;
const DAY = 24 * 3600_000;
/** A name that was not set up in so long counts as new again. */
const REMEMBERED = 400 * DAY;

/**
 * Counts names against the day's budget. Accepted means: counted for good, and they may be asked for.
 * @param names in A-labels: the domain, and where its reports go.
 */
export function admitNames(box: TenantBase, caller: Caller, names: readonly string[]): Outcome<true> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotAdministered(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const now = box.now();
  const unseen = [...new Set(names)].filter((name) => !isKnown(box, name));
  if (unseen.length === 0) return accepted(true);
  const times = box.rows
    .exec<{ at: number }>("SELECT at FROM domain_names WHERE at > ? ORDER BY at", now - DAY)
    .toArray();
  if (times.length + unseen.length > NEW_NAMES_PER_DAY) {
    const free = (times[unseen.length - 1]?.at ?? now) + DAY;
    return refused("rate_limited", `An account sets up at most ${NEW_NAMES_PER_DAY} new names in a day.`, {
      hint: "Where DMARC reports go counts too, if that is a name of its own.",
      detail: { retry_after: Math.max(1, Math.ceil((free - now) / 1_000)) },
    });
  }
  box.commit(() => {
    box.rows.exec("DELETE FROM domain_names WHERE at <= ?", now - REMEMBERED);
    for (const name of unseen) box.rows.exec("INSERT OR REPLACE INTO domain_names VALUES (?, ?)", name, now);
  });
  return accepted(true);
}

function isKnown(box: TenantBase, name: string): boolean {
  return box.rows.exec("SELECT 1 FROM domain_names WHERE name = ?", name).toArray().length > 0;
}
