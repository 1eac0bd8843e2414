import type { OnlyNamed } from "../../src/audit/actions.ts";
import type { Outcome } from "../../src/errors.ts";
import { asEmailId, isId, pendingIdOf } from "../../src/ids.ts";
import type { PendingKind } from "../../src/operations/shapes/pending.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import type { RequestStatus } from "../../src/oversight/request-transitions.ts";
import type { Author } from "../../src/oversight/separation.ts";
import type { InboundStatus, Status } from "../../src/oversight/statuses.ts";
import { nextInboundStatus } from "../../src/oversight/transitions.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import type { DecisionItem } from "../mailbox-rpc.ts";
import { type MailboxBase, type MailboxEntry, notFound } from "./base.ts";
import type { Hold, RecordedDecision } from "./message-record.ts";
import { contentOf, type Message } from "./messages.ts";
import { type HeldRequest, requestItem } from "./requests.ts";
import { afterDecision } from "./steps.ts";
import { contentHashOf, decisionItem } from "./views.ts";

/** An entry about it. */
export type ItemEntry = Omit<MailboxEntry, "message" | "resource">;

/** What can happen to something that waits. */
export type WaitingEvent = "approve" | "reject" | "expire" | "cancel";

/**
 * Something that waits, or waited, for a human: a message or a request. Deciding, asking, expiring and links work on this alone.
 * Writes belong inside the object's `commit`.
 */
export interface HeldItem {
  /** `em_…` of a message, `pend_…` of a request. */
  readonly id: string;
  readonly pendingId: string;
  readonly kind: PendingKind;
  /** Null for inbound mail. */
  readonly author: Author | null;
  readonly hold: Hold;
  readonly createdAt: string;
  readonly message: Message | null;
  readonly request: HeldRequest | null;
  decision: RecordedDecision | null;
  /** Why it ended without a decision. */
  readonly endReason: string | null;
  readonly test: boolean;
  status(): Status | RequestStatus;
  isOpen(): boolean;
  contentHash(): string;
  /** Whether what is stored is still what was hashed. */
  isUnchanged(): boolean;
  /** Asks its table and takes the step. @returns whether the event applied. */
  step(event: WaitingEvent): boolean;
  /** What the new status asks to be done. */
  settle(event: WaitingEvent): void;
  save(): void;
  record<E extends ItemEntry>(entry: E & OnlyNamed<E>): void;
  emit(what: "held" | "approved" | "rejected" | "expired" | "cancelled", data?: Record<string, unknown>): void;
  view(): DecisionItem;
}

/** The item of that id (`em_…` or `pend_…`), if it waits or ever waited. */
export function findItem(box: MailboxBase, id: string): HeldItem | null {
  const emailId = asEmailId(id);
  const message = emailId === null ? null : box.messages.find(emailId);
  if (message) return message.record.hold ? messageItem(box, message) : null;
  const request = isId("pend", id) ? box.requests.find(id) : null;
  return request && requestItem(box, request);
}

/** @throws Error if it is not there; for ids that came from our own tables. */
export function getItem(box: MailboxBase, id: string): HeldItem {
  const item = findItem(box, id);
  if (!item) throw new Error(`the item ${id} is missing`);
  return item;
}

/** @returns the item, or `not_found`. */
export function itemOrNotFound(box: MailboxBase, id: string): Outcome<HeldItem> {
  const item = findItem(box, id);
  return item ? { ok: true, value: item } : notFound();
}

/** A message that is or was held. @throws Error if it never was. */
export function messageItem(box: MailboxBase, message: Message): HeldItem {
  const { record } = message;
  const { hold } = record;
  if (!hold) throw new Error(`${message.id} was never held`);
  return {
    id: message.id,
    pendingId: pendingIdOf(message.id),
    kind: hold.kind,
    author: record.outbound?.author ?? null,
    hold,
    createdAt: message.created_at,
    message,
    request: null,
    get decision() {
      return record.decision;
    },
    set decision(decision) {
      record.decision = decision;
    },
    endReason: record.end_reason,
    test: record.outbound?.test ?? false,
    status: () => message.status,
    isOpen: () => message.status === "pending_send_approval" || message.status === "pending_inbound_approval",
    contentHash: () => contentHashOf(message),
    isUnchanged: () =>
      message.direction === "inbound" ||
      contentHash(contentOf(message, box.messages.bodies(message.seq))) === contentHashOf(message),
    step: (event) => takeStep(box, message, event),
    settle: (event) => afterDecision(box, message, event),
    save: () => box.messages.save(message),
    record: (entry) => box.recordChecked({ ...entry, message }),
    emit: (what, data) => box.emit(`message.${what}` satisfies EventType, message, data),
    view: () => decisionItem(box, message),
  };
}

function takeStep(box: MailboxBase, message: Message, event: WaitingEvent): boolean {
  if (message.direction === "outbound") return box.advance(message, event);
  if (event !== "approve" && event !== "reject") return false;
  const to = nextInboundStatus(message.status as InboundStatus, event);
  if (to !== null) message.status = to;
  return to !== null;
}
