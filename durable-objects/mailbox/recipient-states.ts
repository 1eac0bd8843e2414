import type { OutboundEvent } from "../../src/oversight/transitions.ts";
import type { DeliveryRow } from "./messages.ts";

/** How one recipient stands, and what that makes of the message. */

type State = DeliveryRow["state"];

/** Their server took it, whatever came after: they were sent it, and nobody can call it back. */
const TAKEN: readonly State[] = ["accepted", "delivered", "returned", "complained"];
/** They have it, as far as anybody said. */
const HAVE_IT: readonly State[] = ["accepted", "delivered", "complained"];
/** No final answer yet: retries address only them. */
const WAITING: readonly State[] = ["queued", "deferred"];

export function isTaken({ state }: Pick<DeliveryRow, "state">): boolean {
  return TAKEN.includes(state);
}

export function isWaiting({ state }: Pick<DeliveryRow, "state">): boolean {
  return WAITING.includes(state);
}

/** What can be reported of a recipient after their server answered. */
export type Reported = "delivered" | "failed" | "complaint";

/**
 * Where a report takes a recipient; what is not here changes nothing. A server whose answer was lost may have taken what counts as
 * deferred. What was refused at once, suppressed or given up was never taken by anyone.
 */
const NEXT: Readonly<Record<State, Readonly<Partial<Record<Reported, State>>>>> = {
  queued: {},
  deferred: { delivered: "delivered", failed: "returned" },
  accepted: { delivered: "delivered", failed: "returned", complaint: "complained" },
  delivered: { failed: "returned", complaint: "complained" },
  // Somebody read what another server said came back.
  returned: { complaint: "complained" },
  complained: {},
  bounced: {},
  suppressed: {},
  failed: {},
};

/** @returns how a recipient stands after a report, or null where it changes nothing. */
export function nextState(state: State, reported: Reported): State | null {
  return NEXT[state][reported] ?? null;
}

/**
 * @returns the event that the recipients together are for a message that was sent: one complaint is enough, it came back once nobody
 *   has it, and it is delivered once everybody who has it is known to. Null: none.
 */
export function reportedEvent(rows: readonly Pick<DeliveryRow, "state">[]): OutboundEvent | null {
  const states = rows.map(({ state }) => state);
  if (states.includes("complained")) return "complained";
  if (!states.includes("returned") && !states.includes("delivered")) return null;
  if (!states.some((state) => HAVE_IT.includes(state))) return "bounced";
  return states.some((state) => state === "accepted" || WAITING.includes(state)) ? null : "delivered";
}
