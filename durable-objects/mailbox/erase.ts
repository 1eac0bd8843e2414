import type { Actor } from "../../src/audit/entry.ts";
import { NO_RISK } from "../../src/intelligence/risk.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { destroyKeys } from "../ledger/erasure.ts";
import type { MailboxBase } from "./base.ts";
import { eraseLater } from "./erase-store.ts";
import type { Hold, InboundRecord, MessageRecord, OutboundRecord } from "./message-record.ts";
import type { Message } from "./messages.ts";
import { notifyRef, unwatchPending } from "./pending.ts";
import { type HeldRequest, requestItem } from "./requests.ts";
import { TROUBLE } from "./returned-mail.ts";

/**
 * Erasing a message, a draft or a request in the mailbox object: one transaction, after which nothing here says anything of a person any
 * more. What lies in R2 and D1 follows (erase-store.ts).
 */

/** On whose behalf something is erased. */
export interface ErasedBy {
  actor: Actor;
  /** The erasure of a person that it is part of; null: it was asked for alone. */
  erasure_id: string | null;
}

const NOBODY: MailAddress = { name: null, address: "" };

/** What a mailbox has of a message by its `seq` or its id, apart from its row and bodies. */
const TRACES = {
  seq: [
    "deliveries WHERE seq",
    "receipts WHERE seq",
    "returned WHERE seq",
    "provider_copies WHERE seq",
    "unsubscribe_links WHERE seq",
    "let_go WHERE seq",
  ],
  id: ["idempotency WHERE email_id", "links WHERE email_id", "served WHERE item"],
} as const;

/** Statuses of messages that somebody still has to decide on, or that are on their way. */
const OPEN: ReadonlySet<string> = new Set([
  "pending_scan",
  "pending_send_approval",
  "pending_inbound_approval",
  "scheduled",
  "queued",
  "sending",
]);

/** Whether a message still waits or is on its way: nobody erases it before that has an end. */
export function isUnderWay({ status }: Pick<Message, "status">): boolean {
  return OPEN.has(status);
}

/** Erases a message that is not under way, and what was made of it. Inside `commit`. @returns how much besides. */
export function eraseMessage(box: MailboxBase, message: Message, by: ErasedBy): { drafts: number; requests: number } {
  const { id, seq } = message;
  const drafts = draftsOf(box, id);
  for (const draft of drafts) eraseDraft(box, draft);
  const requests = requestsAbout(box, id);
  for (const request of requests) eraseRequest(box, request, by.actor);
  const wasHeld = message.record.hold !== null;
  forgetWords(box, message);
  forgetTraces(box, seq, id);
  forgetTimers(box, id);
  box.messages.erase(message, blankRecord(message.record), box.time());
  forgetInEvents(box, id);
  destroyKeysOf(box, id);
  eraseLater(box, id, { wasHeld });
  const more = { drafts: drafts.length, requests: requests.length };
  box.append({
    actor: by.actor,
    action: "email.erased",
    resource: { type: "email", id },
    mode: message.record.mode,
    detail: { status: message.status, erasure_id: by.erasure_id, ...more },
  });
  return more;
}

/** What seals the entries about a message or draft: its own key, and those of entries that are sealed apart. Inside `commit`. */
function destroyKeysOf(box: MailboxBase, id: string): void {
  const apart = box
    .storage()
    .exec<{ kid: string }>("DELETE FROM apart_keys WHERE item = ? RETURNING kid", id)
    .toArray();
  destroyKeys(box, [id, ...apart.map(({ kid }) => kid)]);
}

/** What is left of a record: which mode and states, when, and which key or agent of the account. */
function blankRecord(record: MessageRecord): MessageRecord {
  const { mode, received_at, sent_at, delivered_at, bounced_at, bounce_type, outbound, inbound } = record;
  return {
    ...{ mode, received_at, sent_at, delivered_at, bounced_at, bounce_type },
    ...{ from: NOBODY, other_from: [], reply_to: [], to: [], cc: [], bcc: [] },
    ...{ subject: "", in_reply_to: null, references: [], attachments: [], tags: {}, metadata: {} },
    ...{ hold: null, decision: null, raw_key: null, end_reason: null },
    outbound: outbound && blankOutbound(outbound),
    inbound: inbound && blankInbound(inbound),
  };
}

function blankOutbound(outbound: OutboundRecord): OutboundRecord {
  const { author, model_id, model_provider, ai_disclosure, requested_mode, test, copy, verdict } = outbound;
  const { gate_timing, revisions, first_status, attempts, first_attempt_at, let_go_at, forward } = outbound;
  return {
    ...{ author, model_id, model_provider, ai_disclosure, requested_mode, test, copy: false },
    content_hash: "",
    verdict: { ...verdict, copy, because: "", reasons: [], risk: NO_RISK },
    ...{ send_at: null, gate_timing, template: null, revisions, let_go_at },
    ...{ first_status, attempts, first_attempt_at },
    // Its kind alone: a person's standing instruction stays apart from what agents do.
    ...(forward?.standing && {
      forward: { email_id: forward.email_id, form: forward.form, raw_key: "", size: 0, sha256: "", standing: true },
    }),
  };
}

function blankInbound({ authentication, flags }: InboundRecord): InboundRecord {
  const { dkim_result, spf_result, dmarc_result, arc_result } = authentication;
  return {
    envelope_from: "",
    headers: [],
    authentication: {
      ...{ dkim_result, dkim_domain: null, dkim_selector: null, dkim_signatures: [] },
      ...{ spf_result, spf_domain: null, spf_comment: null, dmarc_result, dmarc_policy: null, arc_result },
    },
    flags,
    content_hash: "",
    identity: null,
  };
}

function forgetTraces(box: MailboxBase, seq: number, id: string): void {
  for (const rows of TRACES.seq) box.storage().exec(`DELETE FROM ${rows} = ?`, seq);
  for (const rows of TRACES.id) box.storage().exec(`DELETE FROM ${rows} = ?`, id);
}

/** By which bulk is known for a day: a hash of the words, beside whom they went to. */
function forgetWords(box: MailboxBase, { record }: Message): void {
  const people = [...record.to, ...record.cc, ...record.bcc].map(({ address }) => comparableAddress(address));
  box
    .storage()
    .exec("DELETE FROM same_words WHERE recipient IN (SELECT value FROM json_each(?))", JSON.stringify(people));
}

/** Timers about one item; one person's mail has the person behind the item's id, and a trouble has it within. */
function forgetTimers(box: MailboxBase, id: string): void {
  box
    .storage()
    .exec(
      "DELETE FROM timers WHERE ref = ?1 OR (ref > ?1 || ' ' AND ref < ?1 || '!') OR (kind = ?2 AND instr(ref, ?1) > 0)",
      id,
      TROUBLE,
    );
}

function forgetInEvents(box: MailboxBase, id: string): void {
  box.storage().exec(
    `UPDATE events SET event = json_replace(event, '$.data.dkim_domain', NULL, '$.data.dkim_selector', NULL)
       WHERE json_extract(event, '$.type') = 'message.received' AND json_extract(event, '$.email_id') = ?`,
    id,
  );
}

/** @returns the ids of drafts that answer or pass on a message. */
function draftsOf(box: MailboxBase, emailId: string): string[] {
  return box
    .storage()
    .exec<{ id: string }>(
      `SELECT id FROM drafts WHERE json_extract(draft, '$.submission.reply.email_id') = ?1
         OR json_extract(draft, '$.submission.forward.email_id') = ?1`,
      emailId,
    )
    .toArray()
    .map(({ id }) => id);
}

/** Inside `commit`. */
export function eraseDraft(box: MailboxBase, id: string): void {
  box.removeDraft(id);
  destroyKeysOf(box, id);
  eraseLater(box, id, { wasHeld: false });
}

function requestsAbout(box: MailboxBase, emailId: string): HeldRequest[] {
  return box
    .storage()
    .exec<{ id: string }>("SELECT id FROM requests WHERE json_extract(record, '$.email_id') = ?", emailId)
    .toArray()
    .flatMap(({ id }) => box.requests.find(id) ?? []);
}

const NO_HOLD: Pick<Hold, "because" | "reasons" | "approvals" | "links" | "asked" | "rounds"> = {
  ...{ because: "", reasons: [], approvals: [], links: 0, asked: [], rounds: 0 },
};

/** Erases what was asked for, and ends the asking if it still waits. Inside `commit`. */
export function eraseRequest(box: MailboxBase, request: HeldRequest, actor: Actor): void {
  const item = requestItem(box, request);
  const wasOpen = item.isOpen();
  if (item.step("cancel")) {
    if (wasOpen) unwatchPending(box, item);
    item.settle("cancel");
    item.record({ actor, action: "request.cancelled", detail: { kind: request.kind } });
    item.emit("cancelled");
  }
  for (const { person } of item.hold.asked) box.unschedule("notify", notifyRef(item.id, person));
  forgetTimers(box, item.id);
  for (const rows of ["links WHERE email_id", "served WHERE item"]) {
    box.storage().exec(`DELETE FROM ${rows} = ?`, item.id);
  }
  const { author, operation, email_id, hold } = request.record;
  box.requests.erase({
    ...request,
    record: {
      ...{ author, operation, email_id, content: {}, content_hash: "" },
      hold: { ...hold, ...NO_HOLD },
      ...{ decision: null, end_reason: null },
    },
  });
  destroyKeys(box, [item.id]);
  eraseLater(box, item.id, { wasHeld: true });
}
