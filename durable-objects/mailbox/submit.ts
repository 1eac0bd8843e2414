import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId, pendingIdOf } from "../../src/ids.ts";
import { domainOf } from "../../src/mail/address.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import type { DryRun, SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { departure } from "../../src/oversight/departure.ts";
import { type Mode, stricter } from "../../src/oversight/modes.ts";
import type { Verdict } from "../../src/oversight/policy.ts";
import type { Author } from "../../src/oversight/separation.ts";
import { nextStatus } from "../../src/oversight/transitions.ts";
import type { SendingTerms } from "../../src/store/suppressions.ts";
import type { Submission } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { type Addressed, addressed, storedBodies } from "./content.ts";
import { enclosedBy, forwardRecord } from "./forward-content.ts";
import { domainRisk } from "./intelligence.ts";
import { type Message, outboundOf } from "./messages.ts";
import { newHold } from "./pending.ts";
import { settle } from "./steps.ts";
import {
  categoryFor,
  isAnswer,
  type Promotion,
  promotionOf,
  rememberWords,
  whyNobodyGets,
  withPromotion,
  wordsOf,
} from "./terms.ts";
import { noteUnchanged } from "./unchanged.ts";
import { judge } from "./verdict.ts";
import { sendAnswer, verdictView } from "./views.ts";

const IDEMPOTENCY_KEPT = 24 * 3600_000;

const NO_ROOM_FOR_FOOTER = refused(
  "wrong_state",
  "A message that is passed on as it is cannot say who sends it and how to get no more, as promotional mail has to.",
  {
    hint: "Mail to many people counts as promotional. With a comment the message is attached to one of the mailbox's own.",
  },
);

/** What a submission became, and whether it needs the pending index. */
export interface Submitted {
  answer: SendAnswer;
  held: Message | null;
}

/** A submission as it was understood, judged, and not stored yet. */
interface Judgement extends Addressed {
  verdict: Verdict;
  promotion: Promotion | null;
  /** By which its words are known in other messages. */
  words: string[];
  /** ISO 8601, or null for at once. */
  sendAt: string | null;
}

/**
 * Takes a submission in one transaction: idempotency, verdict, state, audit entry.
 * @param around what the account says of such mail (null: it could not be looked up), and whoever wrote it besides the caller.
 */
export function submit(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  { terms, writers = [] }: { terms: SendingTerms | null; writers?: readonly Author[] },
): Outcome<Submitted> {
  const earlier = earlierAnswer(box, caller, submission);
  if (earlier) {
    if (earlier.ok) noteUnchanged(box, caller, "message.queued", box.messages.get(earlier.value.answer.id));
    return earlier;
  }
  const judged = understand(box, submission, terms);
  if (!judged.ok) return judged;
  if (judged.value.verdict.verdict === "deny") return refuseByRule(box, caller, submission, judged.value.verdict);
  return accepted(box.commit(() => store(box, caller, submission, { ...judged.value, writers })));
}

/** What a submission would meet. Stores nothing of it. */
export function judgeSubmission(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  terms: SendingTerms | null,
): Outcome<DryRun> {
  const judged = understand(box, submission, terms);
  if (!judged.ok) return judged;
  const { verdict, content } = judged.value;
  box.commit(() =>
    box.record({
      actor: actorOf({ ...caller, agent_id: submission.agent_id }),
      action: "message.judged",
      detail: { verdict: verdict.verdict, rule: verdict.rule, applied_mode: verdict.mode },
      personal: { to: recipientsOf(content), subject: content.subject, because: verdict.because },
    }),
  );
  return accepted({ dry_run: true as const, verdict: verdictView(verdict), content_hash: contentHash(content) });
}

function understand(box: MailboxBase, submission: Submission, terms: SendingTerms | null): Outcome<Judgement> {
  const mailbox = box.settings();
  if (!mailbox.is_active) return refused("wrong_state", "This mailbox is switched off; nothing can be sent from it.");
  const leaves = departure(submission.send_at, box.now());
  if (!leaves.ok) return leaves;
  if (leaves.value !== null && !mailbox.scheduling_enabled) {
    return refused("wrong_state", "Scheduling is switched off for this mailbox.", {
      hint: "Leave send_at out, or ask an administrator for scheduling_enabled.",
    });
  }
  const mode = appliedMode(mailbox.oversight_mode, submission);
  const content = addressed(box, mailbox, submission);
  if (!content.ok) return content;
  const { tags, template, intelligence = null, original = null } = submission;
  const { threadId } = content.value;
  const enclosed = enclosedBy(box, original);
  const judged = (what: MessageContent) =>
    judge(box, { mode, content: what, tags, template, thread_id: threadId, intelligence, enclosed }, "moment");
  const answered = submission.reply ? [box.messages.get(submission.reply.email_id)] : [];
  const is_reply = isAnswer(box, content.value.content, answered);
  const written = { content: content.value.content, tags, is_reply };
  const first = judged(written.content);
  // What nobody may send from here needs nothing else.
  if (first.verdict === "deny")
    return accepted({ ...content.value, verdict: first, promotion: null, words: [], sendAt: leaves.value });
  const category = categoryFor(box, {
    ...written,
    from_template: template !== null,
    is_held: first.verdict === "hold",
  });
  if (category.category === "promotional" && written.content.redirected !== undefined) return NO_ROOM_FOR_FOOTER;
  const promotion = promotionOf(category, terms);
  if (!promotion.ok) return promotion;
  const nobody = whyNobodyGets(written, mailbox, terms, promotion.value);
  if (nobody) return nobody;
  const whole = withPromotion(box, submission.id, written.content, promotion.value);
  const verdict = whole === written.content ? first : judged(whole);
  const words = is_reply ? [] : wordsOf(box, written.content);
  return accepted({ content: whole, threadId, verdict, promotion: promotion.value, words, sendAt: leaves.value });
}

/**
 * @returns whom a submission is for, if it is going to be judged; nobody where it was answered before, is refused, or is ended by
 *   its mode or a rule already: then nothing about it needs to be looked up.
 */
export function recipientsToLookUp(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  terms: SendingTerms | null,
): string[] {
  if (earlierAnswer(box, caller, submission)) return [];
  const judged = understand(box, submission, terms);
  if (!judged.ok) return [];
  const { verdict, content } = judged.value;
  if (verdict.verdict === "deny" || verdict.verdict === "block") return [];
  return recipientsOf(content);
}

function recipientsOf({ to, cc, bcc }: Pick<MessageContent, "to" | "cc" | "bcc">): string[] {
  return [...to, ...cc, ...bcc].map(({ address }) => address);
}

/** The stricter of the mailbox's and the request's mode. */
function appliedMode(own: Mode, { oversight_mode }: Submission): Mode {
  return oversight_mode ? stricter(own, oversight_mode) : own;
}

/** The answer of an earlier call: same idempotency key, or the very same submission repeated after a reset. */
function earlierAnswer(box: MailboxBase, caller: Caller, { id, idempotency }: Submission): Outcome<Submitted> | null {
  const again = box.messages.find(id);
  if (again) return accepted({ answer: sendAnswer(box, again), held: null });
  if (!idempotency) return null;
  const known = box.idempotencyEntry(idempotencyKey(caller, idempotency.key));
  if (!known) return null;
  if (known.digest !== idempotency.digest) {
    return refused(
      "idempotency_conflict",
      "This idempotency key was used within 24 hours for a message with other content.",
    );
  }
  const first = box.messages.get(known.email_id);
  return accepted({ answer: { ...sendAnswer(box, first), idempotent: true }, held: null });
}

function idempotencyKey(caller: Caller, key: string): string {
  return `${caller.key_id}/${key}`;
}

function refuseByRule(box: MailboxBase, caller: Caller, submission: Submission, verdict: Verdict): Outcome<never> {
  const byMode = verdict.rule.startsWith("mode ");
  box.commit(() =>
    box.record({
      actor: actorOf(caller),
      action: "message.refused",
      detail: { rule: verdict.rule, applied_mode: verdict.mode },
      personal: {
        to: submission.to.map(({ address }) => address),
        subject: submission.subject,
        because: verdict.because,
      },
    }),
  );
  if (!byMode) {
    return refused("denied_by_policy", verdict.because, {
      hint: "get_policy says what this mailbox may send.",
      detail: { verdict: verdictView(verdict) },
    });
  }
  return refused("denied_by_mode", `This mailbox is ${verdict.mode}: nothing can be sent from it.`, {
    hint: "Ask the operator for another oversight mode.",
  });
}

function store(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  { content, threadId, verdict, promotion, words, sendAt, writers }: Judgement & { writers: readonly Author[] },
): Submitted {
  const mailbox = box.settings();
  const now = box.now();
  const gate_timing = submission.gate_timing ?? mailbox.default_gate_timing;
  const status = nextStatus(null, "submit", {
    verdict: verdict.verdict,
    approved: false,
    due: sendAt === null,
    gate_timing,
    scanning: false,
    paused: false,
    any_accepted: false,
  });
  if (status === null) throw new Error(`no transition places a submission with verdict ${verdict.verdict}`);
  const { text: _text, html: _html, ...shown } = content;
  const { rule, because, reasons } = verdict;
  const message = box.messages.insert(
    {
      id: submission.id,
      thread_id: threadId ?? newId("thr", now, box.routing()),
      direction: "outbound",
      status,
      rfc_message_id: content.redirected
        ? box.messages.get(submission.original?.email_id ?? "").rfc_message_id
        : `<${submission.id}@${domainOf(mailbox.address)}>`,
      fingerprint: null,
      created_at: box.time(),
      record: {
        ...shown,
        mode: verdict.mode,
        other_from: [],
        tags: submission.tags,
        metadata: submission.metadata,
        hold: status === "pending_send_approval" ? newHold(box, "send", { rule, because, reasons }) : null,
        decision: null,
        raw_key: null,
        received_at: null,
        sent_at: null,
        delivered_at: null,
        bounced_at: null,
        bounce_type: null,
        end_reason: null,
        inbound: null,
        outbound: {
          author: { key_id: caller.key_id, created_by: caller.created_by, agent_id: submission.agent_id },
          ...(writers.length > 0 && { writers: [...writers] }),
          model_id: submission.model_id,
          model_provider: submission.model_provider,
          // Of what is redirected others wrote every word.
          ai_disclosure: mailbox.ai_disclosure && content.redirected === undefined,
          requested_mode: submission.oversight_mode,
          test: caller.test,
          copy: verdict.copy,
          content_hash: contentHash(content),
          verdict,
          send_at: sendAt,
          gate_timing,
          template: submission.template,
          revisions: 0,
          let_go_at: null,
          first_status: status,
          attempts: 0,
          first_attempt_at: null,
          ...(isBound(caller, submission.agent_id) && { key_is_bound: true }),
          ...(submission.intelligence && {
            intelligence: submission.intelligence,
            domain_risk: domainRisk(box, recipientsOf(content), submission.intelligence),
          }),
          ...(promotion && { promotion }),
          ...(submission.original && { forward: forwardRecord(submission.original) }),
        },
      },
    },
    storedBodies(content, submission),
  );
  if (submission.original?.form === "attached") box.messages.saveOriginal(message.seq, submission.original);
  if (submission.idempotency) {
    box.rememberIdempotency(idempotencyKey(caller, submission.idempotency.key), {
      digest: submission.idempotency.digest,
      email_id: message.id,
      expires_at: now + IDEMPOTENCY_KEPT,
    });
  }
  if (!caller.test) rememberWords(box, words, content);
  // The draft it was, if it was one, is a message from here on.
  box.removeDraft(message.id);
  recordSubmission(box, caller, message, verdict);
  settle(box, message);
  box.messages.save(message);
  return { answer: sendAnswer(box, message), held: status === "pending_send_approval" ? message : null };
}

/** Whether the key can act for no other agent; a key without one acts for itself. */
function isBound({ bound_agent_id }: Caller, agentId: string | null): boolean {
  return bound_agent_id === agentId;
}

/** The action that says what became of a message. */
type PlacedAction = `message.${"held" | "queued" | "scheduled" | "blocked"}`;
const PLACED: Partial<Record<Message["status"], PlacedAction>> = {
  pending_send_approval: "message.held",
  queued: "message.queued",
  scheduled: "message.scheduled",
  blocked: "message.blocked",
};

/** @returns the audit action of where a submitted or changed message was placed. */
export function placedAction({ status }: Message): PlacedAction {
  const action = PLACED[status];
  if (!action) throw new Error(`no submission is placed as ${status}`);
  return action;
}

function recordSubmission(box: MailboxBase, caller: Caller, message: Message, verdict: Verdict): void {
  const { record } = message;
  const outbound = outboundOf(message);
  const held = message.status === "pending_send_approval";
  const { approval, risk } = verdict;
  box.record({
    message,
    actor: actorOf({ ...caller, agent_id: outbound.author.agent_id }),
    action: placedAction(message),
    detail: {
      status: message.status,
      rule: verdict.rule,
      rules: [...new Set(verdict.reasons.map((reason) => reason.rule))],
      risk: Math.round(100 * risk.score),
      ...(approval && { approval_ref: approval.ref, approval_kind: approval.kind }),
      ...(outbound.send_at && { send_at: outbound.send_at, gate_timing: outbound.gate_timing }),
      ...(outbound.template && { template_id: outbound.template.id, template_version: outbound.template.version }),
      domain: domainOf(box.settings().address),
      recipients: record.to.length + record.cc.length + record.bcc.length,
      attachments: record.attachments.length,
      thread_id: message.thread_id,
      ...(outbound.test && { sandbox: true }),
      ...(outbound.model_id !== null && { model_id: outbound.model_id }),
      ...(outbound.model_provider !== null && { model_provider: outbound.model_provider }),
      ...(outbound.intelligence && {
        domain_risk: Math.round(100 * (outbound.domain_risk?.score ?? 0)),
        unknown_sources: [
          ...new Set(outbound.intelligence.domains.flatMap(({ unknown }) => unknown.map(({ source }) => source))),
        ],
        new_names: outbound.intelligence.new_names,
      }),
      ...(outbound.promotion && { promotional: outbound.promotion.because }),
      ...(outbound.forward && { forwards: outbound.forward.email_id, form: outbound.forward.form }),
      ...(held && { pending_id: pendingIdOf(message.id) }),
    },
    personal: {
      to: record.to.map(({ address }) => address),
      cc: record.cc.map(({ address }) => address),
      bcc: record.bcc.map(({ address }) => address),
      subject: record.subject,
      metadata: record.metadata,
      file_names: record.attachments.map(({ name }) => name),
      content_hash: outbound.content_hash,
      because: verdict.because,
      ...(outbound.forward && { forwarded_sha256: outbound.forward.sha256 }),
      ...(outbound.intelligence && { domain_intelligence: outbound.intelligence.domains }),
    },
  });
}
