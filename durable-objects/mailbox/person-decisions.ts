import type { Actor } from "../../src/audit/entry.ts";
import { type ErrorCode, type Outcome, refused } from "../../src/errors.ts";
import type { ApprovalKind } from "../../src/identity/claim.ts";
import { comparableAddress, withoutTag } from "../../src/mail/address.ts";
import type { StoredAttachment } from "../../src/mail/message.ts";
import { seatFor } from "../../src/oversight/approvals.ts";
import type { Person } from "../../src/oversight/caller.ts";
import { attachmentAt, fileNamed } from "../../src/oversight/item-attachments.ts";
import type { DecisionItem, ItemUse, LinkView, PersonDecision } from "../mailbox-rpc.ts";
import { seatsNow } from "./ask.ts";
import type { MailboxBase } from "./base.ts";
import { decide, type Taken } from "./decide.ts";
import { EditUndone, editAsApprover, editOrNothing } from "./edit.ts";
import { findItem, type HeldItem } from "./held-item.ts";
import { approvedAt } from "./links.ts";
import { linkOutcome } from "./outcomes.ts";

/** What people decide, through a link or in a session: the only ones who may change a message before they approve it. */

interface PersonVoice extends PersonDecision {
  kind: Extract<ApprovalKind, "human_link" | "human_session">;
  via: Person["via"];
  person: string;
  seat: string;
  /** What they were shown. */
  content_hash: string;
}

/** Takes a person's decision, their changes first. Inside `commit`. */
export function decideAsPerson(box: MailboxBase, item: HeldItem, voice: PersonVoice): Outcome<Taken> {
  const { decision, note, edit, kind, via, person, seat } = voice;
  if (item.kind === "upgrade" && decision === "approve") {
    return refused("not_a_decider", "Only the operator's code gives a mailbox more rope.");
  }
  if (item.contentHash() !== voice.content_hash) {
    return refused("content_changed", "The content is another by now than the one that was looked at.");
  }
  const actor: Actor = { type: "human", id: "approver", via };
  if (decision === "approve" && edit) {
    const edited = editAsApprover(box, item, edit, { actor, by: person });
    if (!edited.ok) return edited;
    const current = findItem(box, item.id) ?? item;
    const taken = decide(box, current, actor, {
      decision,
      kind,
      by: person,
      seat,
      reason: note,
      content_hash: current.contentHash(),
      ...(edited.value && { edited: true as const }),
    });
    // An edit stands with its approval, or not at all.
    if (!taken.ok && edited.value) throw new EditUndone(taken.refusal);
    return taken;
  }
  return decide(box, item, actor, { decision, kind, by: person, seat, reason: note, content_hash: voice.content_hash });
}

/** The name under which it is remembered which revision a person was shown. */
function readerOf({ address }: Person): string {
  return withoutTag(comparableAddress(address));
}

/** Remembers which revisions a person was shown, and that they read them. */
function serve(box: MailboxBase, person: Person, items: readonly HeldItem[]): void {
  box.commit(() => {
    for (const item of items) box.waiting.markServed(item.id, readerOf(person), item.contentHash());
    recordRead(box, person, items);
  });
}

/** Inside `commit`. */
function recordRead(box: MailboxBase, person: Person, items: readonly HeldItem[]): void {
  box.record({
    actor: actorFor(person),
    action: "pending.read",
    detail: { items: items.map(({ id }) => id) },
    personal: { person: person.address },
  });
}

function actorFor({ via }: Person): Actor {
  return { type: "human", id: "approver", via };
}

function refuseInSession(box: MailboxBase, person: Person, item: HeldItem, code: ErrorCode): void {
  box.commit(() =>
    item.record({
      actor: actorFor(person),
      action: "session.refused",
      detail: { state: item.isOpen() ? "refused" : "decided", code },
      personal: { person: person.address },
    }),
  );
}

/** What a session shows of an item; `unknown` to whoever has no seat in this mailbox. */
export async function openItem(box: MailboxBase, person: Person, id: string, use: ItemUse): Promise<LinkView> {
  const seats = await seatsNow(box);
  const item = findItem(box, id);
  if (!item || seatFor(person.address, seats) === null) return { state: "unknown" };
  if (!item.isOpen()) {
    if (use === "decide") refuseInSession(box, person, item, "already_decided");
    else box.commit(() => recordRead(box, person, [item]));
    return { state: "decided", approver: person.address, outcome: linkOutcome(box, item, false) };
  }
  const shown = item.view();
  if (use === "show") serve(box, person, [item]);
  else if (use === "ask") box.commit(() => recordRead(box, person, [item]));
  else if (use !== "decide") recordDownload(box, person, item, attachmentAt(shown, use.file));
  return {
    state: "open",
    approver: person.address,
    expires_at: item.hold.expires_at,
    item: shown,
    approved_at: approvedAt(item, person.address),
  };
}

/** Records a decision that the door did not take: the mailbox was not asked for it. Of whoever has no seat here, nothing. */
export async function noteRefusedInSession(
  box: MailboxBase,
  person: Person,
  id: string,
  code: ErrorCode,
): Promise<void> {
  const seats = await seatsNow(box);
  const item = findItem(box, id);
  if (item && seatFor(person.address, seats) !== null) refuseInSession(box, person, item, code);
}

function recordDownload(box: MailboxBase, person: Person, item: HeldItem, file: StoredAttachment | null): void {
  if (file === null) return;
  box.commit(() =>
    item.record({
      actor: actorFor(person),
      action: "attachment.downloaded",
      detail: { size: file.size },
      personal: { person: person.address, ...fileNamed(file) },
    }),
  );
}

/** Decides in a session: for exactly the content that the page showed. */
export async function decideInSession(
  box: MailboxBase,
  person: Person,
  id: string,
  contentHash: string,
  decision: PersonDecision,
): Promise<LinkView> {
  const seats = await seatsNow(box);
  const item = findItem(box, id);
  const seat = seatFor(person.address, seats);
  if (!item || seat === null) return { state: "unknown" };
  const decided = (justNow: boolean): LinkView => {
    const now = findItem(box, id) ?? item;
    return { state: "decided", approver: person.address, outcome: linkOutcome(box, now, justNow) };
  };
  if (!item.isOpen()) {
    refuseInSession(box, person, item, "already_decided");
    return decided(false);
  }
  // The same words, but the agent changed when they leave since this person looked.
  if (box.waiting.servedTo(item.id, readerOf(person)) === "") {
    refuseInSession(box, person, item, "content_changed");
    return { state: "refused", code: "content_changed", error: "It was changed after you looked at it; look again." };
  }
  const taken = editOrNothing(() =>
    box.commit(() =>
      decideAsPerson(box, item, {
        ...decision,
        kind: "human_session",
        via: person.via,
        person: person.address,
        seat,
        content_hash: contentHash,
      }),
    ),
  );
  if (taken.ok) return decided(true);
  const { code, error } = taken.refusal;
  refuseInSession(box, person, findItem(box, id) ?? item, code);
  return { state: "refused", code, error };
}

/** Of these items those that wait and that the person may decide, in the order given: to show them, or to tell of them. */
export async function itemsFor(
  box: MailboxBase,
  person: Person,
  ids: readonly string[],
  use: "show" | "ask",
): Promise<DecisionItem[]> {
  const seats = await seatsNow(box);
  if (seatFor(person.address, seats) === null) return [];
  const open = ids.map((id) => findItem(box, id)).filter((item): item is HeldItem => item?.isOpen() === true);
  if (open.length > 0 && use === "show") serve(box, person, open);
  if (open.length > 0 && use === "ask") box.commit(() => recordRead(box, person, open));
  return open.map((item) => item.view());
}
