import type { MailboxChange } from "../../../durable-objects/mailbox-rpc.ts";
import { GIVE_UP_AFTER } from "../../../durable-objects/timers.ts";
import type { Mailbox } from "../../../src/operations/shapes/mailbox.ts";
import { type Delegation, type Seat, seatFor, seatsOf } from "../../../src/oversight/approvals.ts";
import { stricter } from "../../../src/oversight/modes.ts";
import type { OutboundEvent } from "../../../src/oversight/transitions.ts";
import { inboundSpec, outboundSpec, requestSpec } from "../oversight-table.ts";
import { addressOf, type PersonName, type Recipient } from "./cast.ts";
import { farEnd } from "./far-end.ts";
import { type Asked, contentOfItem, type Incoming, type Item, isOpen, type Outgoing, type Voice } from "./items.ts";
import { isStricter, type Restriction, verdictOn } from "./rules.ts";
import type { World } from "./world.ts";

/** Whether one delegation gives all that another would. */
function covers(has: Delegation, wanted: Delegation): boolean {
  const isSame = has.approver === wanted.approver && has.delegate === wanted.delegate;
  return isSame && has.from <= wanted.from && wanted.until <= has.until;
}

const PAUSED_RECHECK = 60_000;

function isQueued({ status }: Outgoing): boolean {
  return status === "queued";
}

/** How long an approved query may be used. */
export const APPROVAL_LIFE = 15 * 60_000;

interface Template {
  id: string;
  versions: { pendingId: string; version: number }[];
  isDeleted: boolean;
}

/** What becomes of a voice: it is the last that was needed, or one of several; else the code of the refusal. */
export type VoiceResult = "final" | "counted" | "already_decided" | "wrong_state";

/**
 * What should be, by DESIGN.md: it goes along with the story and says in which state everything is. It knows the tables of
 * `oversight-table.ts`, and nothing of how the object does it.
 */
export class Reference {
  readonly items: Item[] = [];
  readonly templates: Template[] = [];
  readonly allowlist = new Map<Recipient, string>();
  /** Who got something that a human had decided on. */
  readonly known = new Set<string>();
  restrictions: readonly Restriction[] = [];
  settings: Mailbox;
  private readonly world: World;

  constructor(world: World, settings: Mailbox) {
    this.world = world;
    this.settings = settings;
  }

  outgoing(): Outgoing[] {
    return this.items.filter((item) => item.kind === "outgoing");
  }

  incoming(): Incoming[] {
    return this.items.filter((item) => item.kind === "incoming");
  }

  asked(): Asked[] {
    return this.items.filter((item) => item.kind === "asked");
  }

  find(id: string): Item | undefined {
    return this.items.find((item) => item.id === id);
  }

  seats(): Seat[] {
    const people = this.settings.approvers.filter((each) => this.world.tenant.confirmed.has(each));
    const delegates = this.settings.delegations.map(({ delegate }) => delegate);
    const confirmed = [...people, ...delegates.filter((each) => this.world.tenant.confirmed.has(each))];
    return seatsOf(this.settings, confirmed, addressOf("the operator"), this.world.now);
  }

  seatOf(person: PersonName): string | null {
    return seatFor(addressOf(person), this.seats());
  }

  isTemplateInForce({ id, version }: { id: string; version: number }): boolean {
    const template = this.templates.find((each) => each.id === id && !each.isDeleted);
    const pendingId = template?.versions.find((each) => each.version === version)?.pendingId;
    return pendingId !== undefined && this.find(pendingId)?.status === "approved";
  }

  verdict(
    message: Pick<Outgoing, "subject" | "text" | "to" | "requested" | "template">,
  ): "allow" | "hold" | "block" | "deny" {
    const { oversight_mode } = this.settings;
    return verdictOn(
      {
        mode: message.requested === null ? oversight_mode : stricter(oversight_mode, message.requested),
        words: `${message.subject} ${message.text}`,
        to: message.to,
        isAllowlisted: message.to.every((recipient) => this.allowlist.has(recipient as Recipient)),
        isTemplate: message.template !== null && this.isTemplateInForce(message.template),
      },
      this.restrictions,
    );
  }

  /** How many must have approved for a message to count as approved now. */
  private hasVoices({ voices }: Item): boolean {
    return voices.length >= this.settings.quorum;
  }

  private step(
    message: Outgoing,
    event: OutboundEvent,
    approved = message.isApproved && this.hasVoices(message),
  ): boolean {
    const to = outboundSpec(message.status, event, {
      verdict: this.verdict(message),
      approved,
      due: message.sendAt === null || message.sendAt <= this.world.now,
      gate_timing: message.gate,
      scanning: false,
      paused: this.isPaused(message),
      any_accepted: message.reached.size > 0,
    });
    if (to === null) return false;
    message.status = to;
    return true;
  }

  isPaused({ author }: Pick<Outgoing, "author">): boolean {
    return this.settings.paused || this.world.isPausedFor(author === "guest" ? null : author);
  }

  /** It waits from now on: whatever was approved before was something else. */
  private hold(item: Item): void {
    const { expires_after, quorum } = this.settings;
    item.voices = [];
    item.wasHeld = true;
    item.needed = quorum;
    item.expiresAt = item.kind === "incoming" || expires_after === null ? null : this.world.now + expires_after * 1_000;
    if (item.kind === "outgoing") item.isApproved = false;
  }

  /** A new message. @returns false if it is refused. */
  submit(message: Outgoing): boolean {
    const to = outboundSpec(null, "submit", {
      verdict: this.verdict(message),
      approved: false,
      due: message.sendAt === null,
      gate_timing: message.gate,
      scanning: false,
      paused: false,
      any_accepted: false,
    });
    if (to === null) return false;
    message.status = to;
    message.isLetGo = this.verdict(message) === "allow";
    if (isOpen(message)) this.hold(message);
    this.items.push(message);
    return true;
  }

  /** Its author changes it. @returns false if the rules are against it: then nothing changes. */
  edit(message: Outgoing, change: Partial<Pick<Outgoing, "subject" | "text" | "to" | "sendAt">>): boolean {
    const before = { ...message };
    Object.assign(message, change, { template: null, voices: [], isApproved: false });
    if (!this.step(message, "edit")) {
      Object.assign(message, before);
      return false;
    }
    message.isLetGo = this.verdict(message) === "allow";
    if (isOpen(message)) this.hold(message);
    return true;
  }

  /** Whoever approves it changes it first: other approvals were of something else. @returns why not, or null. */
  editByApprover(message: Outgoing, change: Pick<Outgoing, "subject" | "text" | "to">): string | null {
    const changed: Outgoing = { ...message, ...change, template: null };
    if (contentOfItem(changed) === contentOfItem(message)) return null;
    if (message.wasTried && change.to.length < message.to.length) return "wrong_state";
    if (["block", "deny"].includes(this.verdict(changed))) return "denied_by_policy";
    if (this.isOverdue(message)) return "wrong_state";
    Object.assign(message, changed, { voices: [] });
    return null;
  }

  /** Whether its time is over, even if the alarm is late. */
  isOverdue({ expiresAt }: Item): boolean {
    return expiresAt !== null && expiresAt <= this.world.now;
  }

  /** Somebody who may decide approves. */
  approve(item: Item, voice: Voice): VoiceResult {
    if (this.isOverdue(item)) return "wrong_state";
    if (item.voices.some(({ who, seat }) => who === voice.who || seat === voice.seat)) return "already_decided";
    item.voices.push(voice);
    if (item.voices.length < Math.max(item.needed, this.settings.quorum)) return "counted";
    if (this.takeDecision(item, "approve")) return "final";
    item.voices.pop();
    return "wrong_state";
  }

  private takeDecision(item: Item, event: "approve" | "reject"): boolean {
    if (item.kind === "outgoing") {
      const applies = this.step(item, event, event === "approve");
      if (applies) item.isApproved = event === "approve";
      return applies;
    }
    const to = item.kind === "incoming" ? inboundSpec(item.status, event, false) : requestSpec(item.status, event);
    if (to === null) return false;
    item.status = to;
    if (item.kind === "incoming") item.isReleased = event === "approve";
    else if (event === "approve") item.approvedAt = this.world.now;
    return true;
  }

  reject(item: Item): VoiceResult {
    return !this.isOverdue(item) && this.takeDecision(item, "reject") ? "final" : "wrong_state";
  }

  cancel(message: Outgoing): boolean {
    return this.step(message, "cancel");
  }

  /** A question that waits from now on. */
  ask(request: Asked): void {
    this.hold(request);
    this.items.push(request);
  }

  receive(message: Incoming): void {
    if (isOpen(message)) this.hold(message);
    this.items.push(message);
  }

  /** What loosens in a change of one setting. */
  loosens(change: MailboxChange): boolean {
    const now = this.settings;
    const { oversight_mode, quorum, approvers, delegations, paused, oversight_keys_may_decide } = change;
    return (
      // Whoever the operator has not confirmed becomes an approver of the account by the operator's code.
      (approvers !== undefined && change.approvers_pending !== undefined && change.approvers_pending.length > 0) ||
      (oversight_mode !== undefined && isStricter(now.oversight_mode, oversight_mode)) ||
      (quorum !== undefined && quorum < now.quorum) ||
      (approvers !== undefined && JSON.stringify(approvers) !== JSON.stringify(now.approvers)) ||
      (delegations?.some((each) => !now.delegations.some((has) => covers(has, each))) ?? false) ||
      (paused === false && now.paused) ||
      (oversight_keys_may_decide === true && !now.oversight_keys_may_decide)
    );
  }

  /** Settings are changed. */
  change(change: MailboxChange): void {
    const was = this.settings;
    this.settings = { ...was, ...change };
    const { oversight_mode, quorum } = this.settings;
    if (isStricter(oversight_mode, was.oversight_mode) || quorum > was.quorum) this.tighten();
    const differs = (key: "approvers" | "approvers_pending") =>
      JSON.stringify(was[key]) !== JSON.stringify(this.settings[key]);
    // Others decide now: what was approved so far was approved before others.
    if (differs("approvers") || differs("approvers_pending"))
      for (const item of this.items) if (isOpen(item)) item.voices = [];
  }

  setRestrictions(restrictions: readonly Restriction[]): void {
    this.restrictions = restrictions;
    this.tighten();
  }

  /** Whatever has not been handed over yet is judged anew. */
  tighten(): void {
    for (const message of this.outgoing()) {
      this.takeBack(message);
      // Under way: what leaves now was allowed when it began, and nothing further may rest on its approval.
      const isAgainst = ["block", "deny"].includes(this.verdict(message));
      if (message.status === "sending" && message.isApproved && (isAgainst || !this.hasVoices(message))) {
        message.isApproved = false;
      }
    }
  }

  /** @returns whether it waits now. */
  private takeBack(message: Outgoing): boolean {
    const isDecidedLater = message.status === "scheduled" && message.gate === "schedule_first" && !message.isLetGo;
    if (isDecidedLater && !message.isApproved && this.verdict(message) === "hold") return false;
    if (!this.step(message, "tighten")) return false;
    this.hold(message);
    return true;
  }

  /** Everything that is due happens. @param attempts the messages whose next attempt is due. */
  serve(attempts: ReadonlySet<string>): void {
    const { now } = this.world;
    for (const item of this.items) {
      if (item.kind === "outgoing") this.serveOutgoing(item, attempts.has(item.id));
      if (item.expiresAt !== null && item.expiresAt <= now && isOpen(item)) this.expire(item);
      if (item.kind === "asked" && item.what !== "template" && item.status === "approved") {
        if ((item.approvedAt ?? 0) + APPROVAL_LIFE <= now) this.expire(item);
      }
    }
  }

  private expire(item: Item): void {
    if (item.kind === "outgoing") this.step(item, "expire");
    if (item.kind === "asked") item.status = requestSpec(item.status, "expire") ?? item.status;
  }

  private serveOutgoing(message: Outgoing, isAttemptDue: boolean): void {
    let isDue = isAttemptDue;
    if (message.status === "scheduled" && (message.sendAt ?? 0) <= this.world.now) {
      this.step(message, "due");
      if (isOpen(message)) this.hold(message);
      isDue = isQueued(message);
    }
    if (isDue && message.status === "sending") {
      this.step(message, "recovered");
      this.takeBack(message);
    }
    if (isDue && !this.world.tenant.isAway) this.attempt(message);
  }

  private attempt(message: Outgoing): void {
    if (message.status !== "queued") return;
    if (this.takeBack(message)) return;
    if (this.isPaused(message)) {
      if (message.firstAttemptAt !== null) message.firstAttemptAt += PAUSED_RECHECK;
      return;
    }
    if (message.firstAttemptAt !== null && this.world.now >= message.firstAttemptAt + GIVE_UP_AFTER) {
      this.step(message, "give_up");
      return;
    }
    if (!this.step(message, "attempt")) return;
    message.firstAttemptAt ??= this.world.now;
    message.wasTried = true;
    if (!farEnd.isSlow) this.answered(message);
  }

  /** Whom the next attempt addresses. */
  waitingRecipients({ to, reached, refused }: Outgoing): string[] {
    return to.filter((recipient) => !reached.has(recipient) && !refused.has(recipient));
  }

  /** The far end has answered an attempt. */
  answered(message: Outgoing): void {
    if (message.status !== "sending") return;
    for (const recipient of this.waitingRecipients(message)) {
      const outcome = farEnd.outcomeFor(recipient);
      if (outcome === "accepted") message.reached.add(recipient);
      if (outcome === "accepted" && message.voices.length > 0) this.known.add(recipient);
      if (outcome === "refused") message.refused.add(recipient);
    }
    const event = this.waitingRecipients(message).length
      ? "temp_fail"
      : message.reached.size
        ? "accepted"
        : "perm_fail";
    this.step(message, event);
    if (event === "temp_fail") this.takeBack(message);
  }

  /** @returns whether the rules would let this message go now, or people have. */
  isCleared(message: Outgoing): boolean {
    const verdict = this.verdict(message);
    return verdict === "allow" || (verdict === "hold" && message.isApproved && this.hasVoices(message));
  }
}
