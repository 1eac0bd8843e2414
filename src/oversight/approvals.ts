import { comparableAddress, withoutTag } from "../mail/address.ts";

/** Who decides for a mailbox, how many of them it takes, and who is asked when. Pure. */

/** While `approver` is away, from `from` until `until` (ISO 8601), `delegate` decides in their place. */
export interface Delegation {
  approver: string;
  delegate: string;
  from: string;
  until: string;
}

/** What of a mailbox's settings says who decides. */
export interface ApprovalSettings {
  /** In the order in which they are asked. */
  approvers: readonly string[];
  quorum: number;
  delegations: readonly Delegation[];
}

/** One person's right to decide: their own seat, or that of whoever they stand in for. */
export interface Seat {
  /** The approver whose voice it is. */
  approver: string;
  /** Who has it now. */
  person: string;
}

/** An approval that counts towards the quorum. Keys have no address: all of them together have one seat. */
export interface Voice {
  seat: string;
  person: string;
}

/** The seat of every oversight key: nobody knows whether two keys are two people. */
export const KEY_SEAT = "oversight keys";

/**
 * The seats of a mailbox, in the order in which they are asked.
 * @param confirmed the approvers that the operator has confirmed; the others decide nothing yet.
 * @param operator has a seat as long as fewer than the quorum are confirmed.
 * @param now milliseconds since the epoch.
 */
export function seatsOf(
  { approvers, quorum, delegations }: ApprovalSettings,
  confirmed: readonly string[],
  operator: string,
  now: number,
): Seat[] {
  const known = new Set([operator, ...confirmed].map(comparableAddress));
  const own = approvers.filter((approver) => known.has(comparableAddress(approver)));
  const all = own.length < Math.max(1, quorum) ? [...own, operator] : own;
  const once = all.filter((address, index) => all.findIndex((other) => isSamePerson(other, address)) === index);
  return once.map((approver) => ({ approver, person: delegateFor(approver, delegations, known, now) ?? approver }));
}

function delegateFor(
  approver: string,
  delegations: readonly Delegation[],
  known: ReadonlySet<string>,
  now: number,
): string | null {
  const standing = delegations.find(
    (each) =>
      isSamePerson(each.approver, approver) &&
      Date.parse(each.from) <= now &&
      now < Date.parse(each.until) &&
      known.has(comparableAddress(each.delegate)),
  );
  return standing?.delegate ?? null;
}

/** @returns whether two addresses are one person's: their +tags are theirs too (RFC 5233). */
export function isSamePerson(a: string, b: string): boolean {
  return withoutTag(comparableAddress(a)) === withoutTag(comparableAddress(b));
}

/**
 * The seat that a person may use: their own, or one they stand in for; null if they have none. Being away takes nobody's own
 * seat from them.
 */
export function seatFor(person: string, seats: readonly Seat[]): string | null {
  const own = seats.find(({ approver }) => isSamePerson(approver, person));
  const lent = seats.find((seat) => isSamePerson(seat.person, person));
  return (own ?? lent)?.approver ?? null;
}

/** @returns whether a voice adds to those there are: neither its seat nor its person has spoken. */
export function isNewVoice(voice: Voice, voices: readonly Voice[]): boolean {
  return !voices.some(({ seat, person }) => same(seat, voice.seat) || same(person, voice.person));
}

function same(a: string, b: string): boolean {
  return a.includes("@") && b.includes("@") ? isSamePerson(a, b) : a === b;
}

/**
 * How many seats are asked at a time.
 * @param rounds how often the time for an answer has passed without a decision.
 * @param escalates whether others are asked only after that time; else everyone is asked at once.
 */
export function seatsAsked(seats: readonly Seat[], quorum: number, rounds: number, escalates: boolean): Seat[] {
  return escalates ? seats.slice(0, Math.max(1, quorum) + rounds) : [...seats];
}
