import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { pendingIdOf } from "../../src/ids.ts";
import type { DomainIntelligence } from "../../src/intelligence/domain-facts.ts";
import { comparableAddress, formatAddress, parseAddresses } from "../../src/mail/address.ts";
import { finishBodies } from "../../src/mail/finished-body.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { departure } from "../../src/oversight/departure.ts";
import { unifiedDifference } from "../../src/oversight/difference.ts";
import { POLICY, type Verdict } from "../../src/oversight/policy.ts";
import type { Edit, EditedBody, MessageChange } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, wrongState } from "./base.ts";
import { automaticCopies, storedBodies, unique, whyTooMany } from "./content.ts";
import type { HeldItem } from "./held-item.ts";
import { domainRisk } from "./intelligence.ts";
import { askAnew } from "./links.ts";
import { type Bodies, contentOf, type Message, outboundOf } from "./messages.ts";
import { newHold } from "./pending.ts";
import { endWaiting, settle } from "./steps.ts";
import { placedAction } from "./submit.ts";
import { categoryFor, isAnswer, rememberWords, withPromotion, wordsOf } from "./terms.ts";
import { judgeMessage } from "./verdict.ts";
import { presentAnswer } from "./views.ts";

/** Changing a message before it leaves. Each version stays in the record, with the difference to the next. */

/** Each version is kept for good; whoever is not done by then sends another message. */
const MAX_REVISIONS = 20;
/** Characters of a difference that an audit entry holds. */
const RECORDED_DIFFERENCE = 32 * 1024;

interface Version {
  content: MessageContent;
  bodies: Bodies;
  /** Whether the body says that an AI wrote it. */
  ai_disclosure: boolean;
}

function presentVersion(box: MailboxBase, message: Message): Version {
  const bodies = box.messages.bodies(message.seq);
  return { content: contentOf(message, bodies), bodies, ai_disclosure: outboundOf(message).ai_disclosure };
}

/** The body before signature and disclosure. */
function written({ markdown, source, text, html }: Bodies): EditedBody {
  return { markdown, text: source ?? text, html };
}

function withBody(box: MailboxBase, message: Message, now: Version, body: EditedBody | undefined): Version {
  if (!body) return now;
  const { ai_disclosure } = box.settings();
  const finished = finishBodies({ text: body.text, html: body.html }, box.settings());
  const unsigned = { ...now.content, text: finished.text, html: finished.html };
  // What the law asks of such mail is neither its author's nor its approver's to leave out.
  const content = withPromotion(box, message.id, unsigned, outboundOf(message).promotion ?? null);
  return { content, bodies: { ...now.bodies, ...storedBodies(content, body) }, ai_disclosure };
}

/** Everything a person sees of a version, as one text. */
function readable({ content, bodies }: Version): string {
  const list = (name: string, addresses: MessageContent["to"]) =>
    addresses.map((address) => `${name}: ${formatAddress(address)}`);
  const body = written(bodies);
  return [
    `Subject: ${content.subject}`,
    ...list("To", content.to),
    ...list("Cc", content.cc),
    ...list("Bcc", content.bcc),
    "",
    body.markdown ?? body.text,
    "",
  ].join("\n");
}

/** Puts another version in the place of the present one, which goes to the record. Inside `commit`. @returns the difference. */
function replace(box: MailboxBase, message: Message, next: Version, by: string): string {
  const before = presentVersion(box, message);
  const outbound = outboundOf(message);
  const difference = unifiedDifference(readable(before), readable(next));
  box.messages.addRevision(message.seq, outbound.revisions, {
    by,
    at: box.time(),
    content_hash: outbound.content_hash,
    before: readable(before),
    difference,
  });
  const { text: _text, html: _html, attachments: _attachments, ...shown } = next.content;
  Object.assign(message.record, shown);
  outbound.revisions += 1;
  outbound.content_hash = contentHash(next.content);
  outbound.ai_disclosure = next.ai_disclosure;
  // Whatever was approved was something else: a template's approval too.
  outbound.template = null;
  message.record.decision = null;
  box.messages.replace(message, next.bodies);
  return difference;
}

/**
 * What an approver makes of a message before they approve it. It adds no recipient, voids earlier approvals, and leaves the
 * message waiting: the approval comes after. Inside `commit`.
 * @returns whether anything was changed at all.
 */
export function editAsApprover(
  box: MailboxBase,
  item: HeldItem,
  edit: Edit,
  by: { actor: Actor; by: string },
): Outcome<boolean> {
  const { message } = item;
  if (!message || item.kind !== "send") return refused("wrong_state", "Only a message on its way out can be changed.");
  const now = presentVersion(box, message);
  if (now.content.redirected !== undefined && (edit.subject !== now.content.subject || edit.body)) return AS_IT_IS;
  // Copies that the operator set for everything the mailbox sends are not an approver's to leave out.
  const automatic = automaticCopies(box.settings());
  const dropped = new Set(edit.without.map(comparableAddress).filter((address) => !automatic.has(address)));
  const kept = (addresses: MessageContent["to"]) =>
    addresses.filter(({ address }) => !dropped.has(comparableAddress(address)));
  const { to, cc, bcc } = now.content;
  const next = withBody(
    box,
    message,
    { ...now, content: { ...now.content, subject: edit.subject, to: kept(to), cc: kept(cc), bcc: kept(bcc) } },
    edit.body ?? undefined,
  );
  if (next.content.to.length === 0) return refused("invalid_input", "At least one recipient must stay in To.");
  if (contentHash(next.content) === outboundOf(message).content_hash) return accepted(false);
  if (isForFewer(next.content, now.content) && wasTried(box, message)) return SAME_RECIPIENTS;
  const difference = replace(box, message, next, by.by);
  const verdict = judgeMessage(box, message, next.bodies, "standing");
  if (verdict.verdict === "block" || verdict.verdict === "deny") {
    throw againstRules(verdict);
  }
  askAnew(box, item, "the message was changed after this link was mailed");
  outboundOf(message).verdict = verdict;
  item.save();
  recordEdit(box, message, by.actor, { difference, by: by.by, verdict });
  box.emit("message.edited", message, { pending_id: pendingIdOf(message.id) });
  return accepted(true);
}

const AS_IT_IS = refused("wrong_state", "This message is passed on as it is: only who gets it can be changed.", {
  hint: "cancel_message takes it back; forward_email with a comment attaches it to a message of the mailbox's own.",
});

const SAME_RECIPIENTS = refused(
  "wrong_state",
  "Some recipients were tried already, so it cannot be changed any more who gets it.",
  { hint: "Approve it for those who have not got it yet, or reject it." },
);

function isForFewer(next: MessageContent, now: MessageContent): boolean {
  return (["to", "cc", "bcc"] as const).some((list) => next[list].length < now[list].length);
}

/** What was tried for somebody names them as its recipient for good. */
function wasTried(box: MailboxBase, { seq }: Message): boolean {
  return box.messages.deliveries(seq).length > 0;
}

/** Thrown inside the transaction, so that all of the edit is undone. */
export class EditUndone extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.error);
    this.name = "EditUndone";
    this.refusal = refusal;
  }
}

function againstRules({ because }: Verdict): EditUndone {
  return new EditUndone({ code: "denied_by_policy", error: because });
}

/** @returns whom a message is for once it was changed; nobody where it cannot be, or nothing can be sent: nothing is looked up then. */
export function recipientsAfterEdit(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  change: MessageChange,
): string[] {
  if (whyNotChanged(box, caller, message) || POLICY.send[box.settings().oversight_mode] === "deny") return [];
  const { record } = message;
  const { auto_cc, auto_bcc } = box.settings();
  const copies = [...parseAddresses(auto_cc, "auto_cc"), ...parseAddresses(auto_bcc, "auto_bcc")];
  const all = [...(change.to ?? record.to), ...(change.cc ?? record.cc), ...(change.bcc ?? record.bcc), ...copies];
  return all.map(({ address }) => address);
}

function whyNotChanged(box: MailboxBase, caller: Caller, message: Message): Outcome<never> | null {
  if (message.direction === "inbound") return wrongState(message, "Only mail on its way out can be changed.");
  const outbound = outboundOf(message);
  if (outbound.author.key_id !== caller.key_id) {
    return refused("agent_not_allowed", "Only the key that submitted a message changes it.", {
      hint: "cancel_message takes it back; then send another.",
    });
  }
  if (message.status !== "pending_send_approval" && message.status !== "scheduled") {
    return wrongState(message, `A message that is ${message.status} cannot be changed any more.`);
  }
  if (wasTried(box, message)) {
    return wrongState(message, "Some recipients were tried already, so it cannot be changed any more.");
  }
  if (outbound.revisions >= MAX_REVISIONS) {
    return refused("wrong_state", `A message that was changed ${MAX_REVISIONS} times cannot be changed any more.`, {
      hint: "cancel_message takes it back; then send another.",
      detail: { status: message.status },
    });
  }
  return null;
}

/** Changes what its author wrote, before it leaves: judged anew, and every approval is void. */
export function editAsAuthor(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  change: MessageChange,
): Outcome<{ answer: SendAnswer; held: Message | null }> {
  const refusal = whyNotChanged(box, caller, message);
  if (refusal) return refusal;
  const now = presentVersion(box, message);
  if (now.content.redirected !== undefined && (change.subject !== undefined || change.body)) return AS_IT_IS;
  const to = change.to ?? now.content.to;
  const { auto_cc, auto_bcc } = box.settings();
  const cc = unique([...(change.cc ?? now.content.cc), ...parseAddresses(auto_cc, "auto_cc")], to);
  const bcc = unique([...(change.bcc ?? now.content.bcc), ...parseAddresses(auto_bcc, "auto_bcc")], [...to, ...cc]);
  const content = { ...now.content, subject: change.subject ?? now.content.subject, to: unique(to, []), cc, bcc };
  const tooMany = whyTooMany(content);
  if (tooMany) return tooMany;
  const next = withBody(box, message, { ...now, content }, change.body);
  const bulk = whyBulkNow(box, message, next);
  if (bulk) return bulk;
  const leaves = departure(change.send_at ?? null, box.now());
  if (!leaves.ok) return leaves;
  if (leaves.value !== null && !box.settings().scheduling_enabled) {
    return refused("wrong_state", "Scheduling is switched off for this mailbox.");
  }
  const send_at = change.send_at === undefined ? undefined : leaves.value;
  return editOrNothing(() =>
    box.commit(() =>
      accepted(changeAndPlace(box, caller, message, { next, send_at, intelligence: change.intelligence ?? null })),
    ),
  );
}

/** A change that makes a message one for many: the footer it then needs is written when it is submitted. */
function whyBulkNow(box: MailboxBase, message: Message, { content, bodies }: Version): Outcome<never> | null {
  if (outboundOf(message).promotion !== undefined) return null;
  const is_held = judgeMessage(box, message, bodies, "standing").verdict === "hold";
  const { tags } = message.record;
  const is_reply = isReplyStill(box, content);
  const { category } = categoryFor(box, { content, tags, is_reply, from_template: false, is_held });
  if (category !== "promotional") return null;
  return refused(
    "wrong_state",
    "By this change the message would count as promotional mail, for which it was not written.",
    {
      hint: "cancel_message takes it back; then send another.",
    },
  );
}

function isReplyStill(box: MailboxBase, content: MessageContent): boolean {
  const { in_reply_to } = content;
  return in_reply_to !== null && isAnswer(box, content, box.messages.findByMessageIds([in_reply_to]));
}

/** Does work that may edit. Where the edit cannot stand, all of it is undone, and its refusal is the answer. */
export function editOrNothing<T>(work: () => Outcome<T>): Outcome<T> {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EditUndone)) throw error;
    return { ok: false, refusal: error.refusal };
  }
}

function changeAndPlace(
  box: MailboxBase,
  caller: Caller,
  message: Message,
  {
    next,
    send_at,
    intelligence,
  }: { next: Version; send_at: string | null | undefined; intelligence: DomainIntelligence | null },
): { answer: SendAnswer; held: Message | null } {
  const outbound = outboundOf(message);
  if (send_at !== undefined) outbound.send_at = send_at;
  // What was let go was another message; this one counts towards the budgets by itself.
  outbound.let_go_at = null;
  // When it leaves is not in the hash, and was seen too.
  box.waiting.outdateServed(message.id);
  const difference = replace(box, message, next, caller.key_id);
  if (!outbound.test && !isReplyStill(box, next.content)) rememberWords(box, wordsOf(box, next.content), next.content);
  if (intelligence) {
    const { to, cc, bcc } = next.content;
    const recipients = [...to, ...cc, ...bcc].map(({ address }) => address);
    Object.assign(outbound, { intelligence, domain_risk: domainRisk(box, recipients, intelligence) });
  }
  const verdict = judgeMessage(box, message, next.bodies, "moment");
  if (message.record.hold) endWaiting(box, message);
  box.unschedule("due", message.id);
  box.links.revokeOf(message.id, "the message was changed after this link was mailed");
  if (!box.advance(message, "edit", verdict)) throw againstRules(verdict);
  const { rule, because, reasons } = verdict;
  outbound.verdict = verdict;
  outbound.copy = verdict.copy;
  message.record.mode = verdict.mode;
  const held = message.status === "pending_send_approval";
  if (held) message.record.hold = newHold(box, "send", { rule, because, reasons });
  recordEdit(box, message, actorOf(caller), { difference, by: caller.key_id, verdict });
  box.record({
    message,
    actor: actorOf(caller),
    action: placedAction(message),
    detail: { status: message.status, rule, ...(outbound.send_at && { send_at: outbound.send_at }) },
    personal: { because, content_hash: outbound.content_hash },
  });
  settle(box, message);
  box.messages.save(message);
  return { answer: presentAnswer(box, message), held: held ? message : null };
}

function recordEdit(
  box: MailboxBase,
  message: Message,
  actor: Actor,
  { difference, by, verdict }: { difference: string; by: string; verdict: Verdict },
): void {
  const { revisions, content_hash } = outboundOf(message);
  box.record({
    message,
    actor,
    action: "message.edited",
    detail: { revision: revisions, rule: verdict.rule },
    // Both versions are in the message's revisions; an entry has room for what changed.
    personal: { by, difference: difference.slice(0, RECORDED_DIFFERENCE), content_hash },
  });
}
