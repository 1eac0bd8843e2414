import { accepted, type Outcome, refused } from "../errors.ts";

/** When a message leaves. Pure. */

/** Clocks differ, and a call takes time: what is asked for this close to now leaves at once. */
export const AT_ONCE_WITHIN = 60_000;

/** Nobody remembers what they approved longer ago. @returns one calendar year after `now`. */
function latest(now: number): number {
  const date = new Date(now);
  return date.setUTCFullYear(date.getUTCFullYear() + 1);
}

function wrong(problem: string): Outcome<never> {
  return refused("invalid_input", `send_at ${problem}.`, { issues: [{ path: "send_at", message: problem }] });
}

/**
 * @param sendAt the time asked for, ISO 8601 with its zone, or null for at once.
 * @param now milliseconds since the epoch.
 * @returns ISO 8601 UTC with milliseconds, or null for what leaves at once; `invalid_input` for a time in the past or over a year
 *   away.
 */
export function departure(sendAt: string | null, now: number): Outcome<string | null> {
  if (sendAt === null) return accepted(null);
  const at = Date.parse(sendAt);
  if (Math.abs(at - now) <= AT_ONCE_WITHIN) return accepted(null);
  if (at < now) return wrong("is in the past");
  if (at > latest(now)) return wrong("is over a year away");
  return accepted(new Date(at).toISOString());
}
