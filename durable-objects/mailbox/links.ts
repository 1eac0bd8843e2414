import type { ErrorCode, Refusal } from "../../src/errors.ts";
import { isSamePerson } from "../../src/oversight/approvals.ts";
import { attachmentAt, fileNamed } from "../../src/oversight/item-attachments.ts";
import { SYSTEM } from "../ledger.ts";
import type { ItemUse, LinkView, PersonDecision } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { editOrNothing } from "./edit.ts";
import { getItem, type HeldItem } from "./held-item.ts";
import { hasEntry } from "./link-uses.ts";
import { linkOutcome } from "./outcomes.ts";
import { notifyRef } from "./pending.ts";
import { decideAsPerson } from "./person-decisions.ts";

/** Decision links (FORMATS.md §7): each one is for one item, one approver and one content, and can be withdrawn alone. */

/** How many links are mailed for one item, when earlier ones had to be withdrawn. */
const MAX_LINKS = 5;
/** `expires_at` of a link to what waits for ever. */
export const NEVER = Number.MAX_SAFE_INTEGER;

export interface Link extends Record<string, SqlStorageValue> {
  token_hash: string;
  /** The item: `em_…` of a message, `pend_…` of a request. */
  email_id: string;
  /** The person it was mailed to. */
  approver: string;
  content_hash: string;
  expires_at: number;
  /** Why it was withdrawn, or null. */
  revoked: string | null;
  used: number;
  /** Whose seat the person uses; null: their own. */
  seat: string | null;
  /** How many entries there are of its being opened, or refused a decision. */
  recorded: number;
}

/** What a link shows. Changes nothing but the log, which says what somebody did by it. */
export function openLink(box: MailboxBase, tokenHash: string, use: ItemUse): LinkView {
  const link = box.links.find(tokenHash);
  if (!link) return { state: "unknown" };
  const view = viewOf(box, link);
  const { state } = view;
  const file = state === "open" && typeof use === "object" ? attachmentAt(view.item, use.file) : null;
  if (file) recordUse(box, link, { action: "attachment.downloaded", detail: { size: file.size } }, fileNamed(file));
  else if (use === "decide" && state !== "open")
    recordUse(box, link, { action: "link.refused", detail: { state, code: null } });
  else recordUse(box, link, { action: "link.opened", detail: { state } });
  return view;
}

/** Records a decision that the door did not take: the mailbox was not asked for it. */
export function noteRefusedByLink(box: MailboxBase, tokenHash: string, code: ErrorCode): void {
  const link = box.links.find(tokenHash);
  if (link) recordUse(box, link, { action: "link.refused", detail: { state: viewOf(box, link).state, code } });
}

type Use =
  | { action: "link.opened"; detail: { state: LinkView["state"] } }
  | { action: "attachment.downloaded"; detail: { size: number } }
  | { action: "link.refused"; detail: { state: LinkView["state"]; code: ErrorCode | null } };

function recordUse(
  box: MailboxBase,
  { token_hash, email_id, approver, recorded }: Link,
  use: Use,
  file: { file_name?: string; sha256?: string } = {},
): void {
  if (!hasEntry(use.action, recorded)) return;
  box.commit(() => {
    box.links.countRecorded(token_hash);
    getItem(box, email_id).record({
      ...use,
      actor: { type: "human", id: "approver", via: "link" },
      personal: { person: approver, ...file },
    });
  });
}

function viewOf(box: MailboxBase, link: Link): LinkView {
  const { approver } = link;
  const item = getItem(box, link.email_id);
  if (!item.isOpen()) return { state: "decided", approver, outcome: linkOutcome(box, item, false) };
  if (link.revoked !== null) return { state: "revoked", reason: link.revoked };
  if (standsInNoMore(box, link))
    return { state: "revoked", reason: "you no longer stand in for the person it is about" };
  const approved_at = approvedAt(item, approver);
  if (link.used && approved_at === null) return { state: "revoked", reason: "this link has decided once already" };
  const expires_at = link.expires_at === NEVER ? null : new Date(link.expires_at).toISOString();
  if (expires_at !== null && link.expires_at <= box.now()) return { state: "expired", expired_at: expires_at };
  if (item.contentHash() !== link.content_hash) {
    return { state: "revoked", reason: "the message was changed after this link was mailed" };
  }
  return { state: "open", approver, expires_at, item: item.view(), approved_at };
}

/** @returns when this person approved the present content, or null. */
export function approvedAt({ hold }: HeldItem, person: string): string | null {
  return hold.approvals.find(({ by, kind }) => kind !== "key" && isSamePerson(by, person))?.at ?? null;
}

/** A delegate decides only while the delegation lasts. */
function standsInNoMore(box: MailboxBase, { seat, approver }: Link): boolean {
  if (seat === null || isSamePerson(seat, approver)) return false;
  const now = box.now();
  return !box
    .settings()
    .delegations.some(
      (each) =>
        isSamePerson(each.approver, seat) &&
        isSamePerson(each.delegate, approver) &&
        Date.parse(each.from) <= now &&
        now < Date.parse(each.until),
    );
}

/** Decides through a link, at most once, for exactly the content it names. A link that is not open decides nothing. */
export function decideByLink(box: MailboxBase, tokenHash: string, decision: PersonDecision): LinkView {
  const link = box.links.find(tokenHash);
  if (!link) return { state: "unknown" };
  const view = viewOf(box, link);
  if (view.state !== "open") {
    recordUse(box, link, { action: "link.refused", detail: { state: view.state, code: null } });
    return view;
  }
  const item = getItem(box, link.email_id);
  const taken = editOrNothing(() =>
    box.commit(() => {
      const voice = decideAsPerson(box, item, {
        ...decision,
        kind: "human_link",
        via: "link",
        person: link.approver,
        seat: link.seat ?? link.approver,
        content_hash: link.content_hash,
      });
      if (!voice.ok) return voice;
      // Whoever changed it has seen what it says now: their link goes on to show how the others decide.
      box.links.use(tokenHash, getItem(box, item.id).contentHash());
      return voice;
    }),
  );
  if (!taken.ok) return afterAll(box, link, taken.refusal);
  return { state: "decided", approver: link.approver, outcome: linkOutcome(box, getItem(box, item.id), true) };
}

/** Not taken: if another decided in the same moment that is the answer, else what stands against it. */
function afterAll(box: MailboxBase, link: Link, { code, error }: Refusal): LinkView {
  const item = getItem(box, link.email_id);
  recordUse(box, link, { action: "link.refused", detail: { state: item.isOpen() ? "refused" : "decided", code } });
  if (item.isOpen()) return { state: "refused", code, error };
  return { state: "decided", approver: link.approver, outcome: linkOutcome(box, item, false) };
}

/** Whether a link can still change anything: one that approved can still reject, or change the message, until all have decided. */
function isPowerful(box: MailboxBase, { used, email_id }: Link): boolean {
  return !used || getItem(box, email_id).isOpen();
}

/** Withdraws links. @returns how many were live. */
export function revokeLinks(box: MailboxBase, tokenHashes: string[], reason: string): number {
  return box.commit(() => {
    const live = tokenHashes
      .map((hash) => box.links.find(hash))
      .filter((link): link is Link => link !== null && link.revoked === null && isPowerful(box, link));
    for (const link of live) {
      box.links.revoke(link.token_hash, reason);
      const item = getItem(box, link.email_id);
      item.record({ actor: SYSTEM, action: "link.revoked", detail: { reason } });
      if (!item.isOpen()) continue;
      // The person is still needed: a fresh link goes out, but not for ever to someone whose mail is forwarded back here.
      item.hold.withdrawn = (item.hold.withdrawn ?? 0) + 1;
      item.save();
      if (item.hold.withdrawn < MAX_LINKS) box.schedule("notify", notifyRef(item.id, link.approver), box.now());
    }
    return live.length;
  });
}

/**
 * Withdraws an item's links and asks anew: whatever was approved so far was by others, or of something else. Inside `commit`,
 * before the item is saved.
 */
export function askAnew(box: MailboxBase, item: HeldItem, reason: string): void {
  const { hold } = item;
  if (box.links.revokeOf(item.id, reason) > 0)
    item.record({ actor: SYSTEM, action: "link.revoked", detail: { reason } });
  for (const { person } of hold.asked) box.unschedule("notify", notifyRef(item.id, person));
  hold.approvals = [];
  hold.asked = [];
  hold.rounds = 0;
  if (item.isOpen()) box.schedule("ask", item.id, box.now());
}

/** Others decide now: links mailed so far decide nothing any more, approvals so far are void, and whoever decides now is asked. Inside `commit`. */
export function replaceLinks(box: MailboxBase): void {
  for (const id of box.waiting.all()) {
    const item = getItem(box, id);
    askAnew(box, item, "others decide for this mailbox now");
    item.save();
  }
}
