import { canonical } from "../../src/canonical-json.ts";
import { isSamePerson, type Seat, seatsAsked, seatsOf } from "../../src/oversight/approvals.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { findItem, type HeldItem } from "./held-item.ts";
import { approvedAt } from "./links.ts";
import { notifyRef, quorumOf } from "./pending.ts";

/** Who is asked to decide, and when. */

const HOUR = 3600_000;
/** Daily digests go out at 07:00 UTC. */
const DAILY_AT = 7 * HOUR;

interface Overseers {
  confirmed: string[];
  operator: string;
}

async function overseers(box: MailboxBase): Promise<Overseers> {
  const { tenant_id, approvers, delegations } = box.settings();
  const people = [...approvers, ...delegations.map(({ delegate }) => delegate)];
  return box.environment().TENANT.getByName(tenant_id).whoOversees(people);
}

/** The mailbox's seats as its settings and the tenant's people say now. The first is whose mailbox it is. */
export async function seatsNow(box: MailboxBase): Promise<Seat[]> {
  const { confirmed, operator } = await overseers(box);
  return seatsOf(box.settings(), confirmed, operator, box.now());
}

/** When the next digest goes out. @param now milliseconds since the epoch. */
export function nextDigest(rhythm: "hourly" | "daily", now: number): number {
  if (rhythm === "hourly") return (Math.floor(now / HOUR) + 1) * HOUR;
  const today = Math.floor(now / (24 * HOUR)) * 24 * HOUR + DAILY_AT;
  return now < today ? today : today + 24 * HOUR;
}

/** Serves an `ask` timer: finds out who decides now, and has each of them told who was not told yet. */
export async function ask(box: MailboxBase, timer: Timer): Promise<void> {
  const asked = canonical(whoDecides(box));
  const { confirmed, operator } = await overseers(box);
  box.commit(() => {
    const item = findItem(box, timer.ref);
    if (!item?.isOpen()) {
      box.unschedule("ask", timer.ref);
      return;
    }
    // Others decide since we asked: the timer stays, and comes round with them.
    if (canonical(whoDecides(box)) !== asked) return;
    tell(box, item, seatsOf(box.settings(), confirmed, operator, box.now()));
  });
}

function whoDecides(box: MailboxBase): Record<string, unknown> {
  const { approvers, delegations, quorum, notify, escalate_after } = box.settings();
  return { approvers, delegations, quorum, notify, escalate_after };
}

function tell(box: MailboxBase, item: HeldItem, seats: Seat[]): void {
  const { hold } = item;
  const { escalate_after, notify } = box.settings();
  const due = seatsAsked(seats, quorumOf(box, hold), hold.rounds, escalate_after !== null);
  const fresh = due.filter(
    ({ person }) =>
      !hold.asked.some((before) => isSamePerson(before.person, person)) && approvedAt(item, person) === null,
  );
  for (const { person, approver } of fresh) {
    hold.asked.push({ person, seat: approver });
    if (notify === "at_once") box.schedule("notify", notifyRef(item.id, person), box.now());
    else if (!box.isScheduled("digest", person)) box.schedule("digest", person, nextDigest(notify, box.now()));
  }
  if (escalate_after !== null && due.length < seats.length) {
    hold.rounds += 1;
    box.schedule("ask", item.id, box.now() + escalate_after * 1_000);
  } else box.unschedule("ask", item.id);
  item.save();
}

/** Serves a `delegations` timer: somebody's absence begins or ends, so others may have to be asked. */
export function askAll(box: MailboxBase, timer: Timer): void {
  box.commit(() => {
    box.unschedule("delegations", timer.ref);
    for (const id of box.waiting.all()) box.schedule("ask", id, box.now());
  });
}
