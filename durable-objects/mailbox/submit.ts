import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId, pendingIdOf } from "../../src/ids.ts";
import { domainOf } from "../../src/mail/address.ts";
import type { DryRun, SendAnswer } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { departure } from "../../src/oversight/departure.ts";
import { type Mode, stricter } from "../../src/oversight/modes.ts";
import type { Verdict } from "../../src/oversight/policy.ts";
import type { Author } from "../../src/oversight/separation.ts";
import { nextStatus } from "../../src/oversight/transitions.ts";
import type { Submission } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { type Addressed, addressed, storedBodies } from "./content.ts";
import { type Message, outboundOf } from "./messages.ts";
import { newHold } from "./pending.ts";
import { settle } from "./steps.ts";
import { judge } from "./verdict.ts";
import { sendAnswer, verdictView } from "./views.ts";

const IDEMPOTENCY_KEPT = 24 * 3600_000;

/** What a submission became, and whether it needs the pending index. */
export interface Submitted {
  answer: SendAnswer;
  held: Message | null;
}

/** A submission as it was understood, judged, and not stored yet. */
interface Judgement extends Addressed {
  verdict: Verdict;
  /** ISO 8601, or null for at once. */
  sendAt: string | null;
}

/**
 * Takes a submission in one transaction: idempotency, verdict, state, audit entry.
 * @param writers whoever wrote it besides the caller, who sends it.
 */
export function submit(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  writers: readonly Author[] = [],
): Outcome<Submitted> {
  const earlier = earlierAnswer(box, caller, submission);
  if (earlier) return earlier;
  const judged = understand(box, submission);
  if (!judged.ok) return judged;
  if (judged.value.verdict.verdict === "deny") return refuseByRule(box, caller, submission, judged.value.verdict);
  return accepted(box.commit(() => store(box, caller, submission, { ...judged.value, writers })));
}

/** What a submission would meet. Stores and records nothing. */
export function judgeSubmission(box: MailboxBase, submission: Submission): Outcome<DryRun> {
  const judged = understand(box, submission);
  if (!judged.ok) return judged;
  const { verdict, content } = judged.value;
  return accepted({ dry_run: true as const, verdict: verdictView(verdict), content_hash: contentHash(content) });
}

function understand(box: MailboxBase, submission: Submission): Outcome<Judgement> {
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
  const { tags, template } = submission;
  const verdict = judge(box, { mode, content: content.value.content, tags, template }, "moment");
  return accepted({ ...content.value, verdict, sendAt: leaves.value });
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
  { content, threadId, verdict, sendAt, writers }: Judgement & { writers: readonly Author[] },
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
      rfc_message_id: `<${submission.id}@${domainOf(mailbox.address)}>`,
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
          ai_disclosure: mailbox.ai_disclosure,
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
        },
      },
    },
    storedBodies(content, submission),
  );
  if (submission.idempotency) {
    box.rememberIdempotency(idempotencyKey(caller, submission.idempotency.key), {
      digest: submission.idempotency.digest,
      email_id: message.id,
      expires_at: now + IDEMPOTENCY_KEPT,
    });
  }
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
const PLACED: Partial<Record<Message["status"], string>> = {
  pending_send_approval: "message.held",
  queued: "message.queued",
  scheduled: "message.scheduled",
  blocked: "message.blocked",
};

/** @returns the audit action of where a submitted or changed message was placed. */
export function placedAction({ status }: Message): string {
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
      domain: domainOf(record.from.address),
      recipients: record.to.length + record.cc.length + record.bcc.length,
      attachments: record.attachments.length,
      thread_id: message.thread_id,
      ...(outbound.test && { sandbox: true }),
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
    },
  });
}
