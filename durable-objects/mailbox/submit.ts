import { accepted, type Outcome, Refused, refused } from "../../src/errors.ts";
import { newId, pendingIdOf } from "../../src/ids.ts";
import { comparableAddress, domainOf, parseAddresses } from "../../src/mail/address.ts";
import { finishBodies } from "../../src/mail/finished-body.ts";
import type { MailAddress, MessageContent } from "../../src/mail/message.ts";
import type { Mailbox, SendAnswer } from "../../src/operations/shapes.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { MAX_RECIPIENTS } from "../../src/oversight/limits.ts";
import { stricter } from "../../src/oversight/modes.ts";
import { judgeSend, type SendVerdict } from "../../src/oversight/policy.ts";
import { nextStatus } from "../../src/oversight/transitions.ts";
import type { Submission } from "../mailbox-rpc.ts";
import { actorOf, isWithheld, type MailboxBase, notFound } from "./base.ts";
import { type Bodies, type Message, outboundOf } from "./messages.ts";
import { holdUntil, watchPending } from "./pending.ts";
import { sendAnswer } from "./views.ts";

const MAX_REFERENCES = 20;
const IDEMPOTENCY_KEPT = 24 * 3600_000;

/** What a submission became, and whether it needs the pending index. */
export interface Submitted {
  answer: SendAnswer;
  held: Message | null;
}

/** Takes a submission in one transaction: idempotency, verdict, state, audit entry. */
export function submit(box: MailboxBase, caller: Caller, submission: Submission): Outcome<Submitted> {
  const earlier = earlierAnswer(box, caller, submission);
  if (earlier) return earlier;
  const mailbox = box.settings();
  if (!mailbox.is_active) return refused("wrong_state", "This mailbox is switched off; nothing can be sent from it.");

  const mode = submission.oversight_mode
    ? stricter(mailbox.oversight_mode, submission.oversight_mode)
    : mailbox.oversight_mode;
  const verdict = judgeSend(mode);
  if (verdict.verdict === "deny") return refuseByMode(box, caller, submission, verdict);

  const addressed = address(box, mailbox, submission);
  if (!addressed.ok) return addressed;
  const { content, threadId } = addressed.value;
  const recipients = content.to.length + content.cc.length + content.bcc.length;
  if (recipients > MAX_RECIPIENTS) {
    return refused(
      "too_many_recipients",
      `A message has at most ${MAX_RECIPIENTS} recipients; this one has ${recipients} with the mailbox's automatic copies.`,
    );
  }
  return accepted(box.commit(() => store(box, caller, submission, { content, threadId, verdict })));
}

/** The answer of an earlier call: same idempotency key, or the very same submission repeated after a reset. */
function earlierAnswer(box: MailboxBase, caller: Caller, { id, idempotency }: Submission): Outcome<Submitted> | null {
  const again = box.messages.find(id);
  if (again) return accepted({ answer: sendAnswer(again, box.settings()), held: null });
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
  return accepted({ answer: { ...sendAnswer(first, box.settings()), idempotent: true }, held: null });
}

function idempotencyKey(caller: Caller, key: string): string {
  return `${caller.key_id}/${key}`;
}

function refuseByMode(box: MailboxBase, caller: Caller, submission: Submission, verdict: SendVerdict): Outcome<never> {
  box.commit(() =>
    box.record({
      actor: actorOf(caller),
      action: "message.refused",
      detail: { rule: verdict.rule, applied_mode: verdict.mode },
      personal: { to: submission.to.map(({ address }) => address), subject: submission.subject },
    }),
  );
  return refused("denied_by_mode", `This mailbox is ${verdict.mode}: nothing can be sent from it.`, {
    hint: "Ask the operator for another oversight mode.",
  });
}

interface Addressed {
  content: MessageContent;
  /** Null: a new thread. */
  threadId: string | null;
}

/** The content with its final recipients, subject, threading and bodies: exactly what will be shown, hashed and sent. */
function address(box: MailboxBase, mailbox: Mailbox, submission: Submission): Outcome<Addressed> {
  const original = submission.reply ? box.messages.find(submission.reply.email_id) : null;
  if (submission.reply && (!original || isWithheld(original))) return notFound();
  const answered = original ? replyRecipients(original, mailbox, submission.reply?.all ?? false) : { to: [], cc: [] };
  const to = submission.to.length ? submission.to : answered.to;
  const cc = unique(
    [...(submission.to.length ? [] : answered.cc), ...submission.cc, ...parseAddresses(mailbox.auto_cc, "auto_cc")],
    to,
  );
  const bcc = unique([...submission.bcc, ...parseAddresses(mailbox.auto_bcc, "auto_bcc")], [...to, ...cc]);
  if (to.length === 0)
    return refused("invalid_input", "The message answered has no address to reply to; name one in `to`.");
  const bodies = finishBodies({ text: submission.text, html: submission.html }, mailbox);
  const content: MessageContent = {
    from: { name: mailbox.display_name, address: mailbox.address },
    reply_to: submission.reply_to,
    to: unique(to, []),
    cc,
    bcc,
    subject: submission.subject ?? (original ? replySubject(original.record.subject) : ""),
    text: bodies.text,
    html: bodies.html,
    attachments: submission.attachments,
    in_reply_to: original?.rfc_message_id ?? null,
    references: original ? replyReferences(original) : [],
  };
  return accepted({ content, threadId: original?.thread_id ?? null });
}

function replyRecipients(
  { direction, record }: Message,
  mailbox: Mailbox,
  all: boolean,
): { to: MailAddress[]; cc: MailAddress[] } {
  const own = comparableAddress(mailbox.address);
  const others = (list: MailAddress[]) => list.filter(({ address }) => comparableAddress(address) !== own);
  const senders = record.reply_to.length ? record.reply_to : [record.from];
  const to = direction === "outbound" ? others(record.to) : senders.flatMap(usable);
  return { to, cc: all ? unique(others([...record.to, ...record.cc].flatMap(usable)), to) : [] };
}

/** An address as inbound mail has it may be anything its sender wrote; mail goes only to what is an addr-spec for us too. */
function usable({ name, address }: MailAddress): MailAddress[] {
  try {
    return parseAddresses([address], "to").map((parsed) => ({ ...parsed, name }));
  } catch (error) {
    if (error instanceof Refused) return [];
    throw error;
  }
}

function replySubject(subject: string): string {
  return /^re:/i.test(subject) ? subject : `Re: ${subject}`.trim();
}

/** RFC 5322 §3.6.4, bounded: the first and the newest are kept. */
function replyReferences({ record, rfc_message_id }: Message): string[] {
  const chain = record.references.length ? record.references : record.in_reply_to ? [record.in_reply_to] : [];
  const whole = rfc_message_id ? [...chain, rfc_message_id] : chain;
  return whole.length <= MAX_REFERENCES ? whole : [...whole.slice(0, 1), ...whole.slice(1 - MAX_REFERENCES)];
}

/** Without repetitions, and without those in `besides`. */
function unique(addresses: MailAddress[], besides: MailAddress[]): MailAddress[] {
  const seen = new Set(besides.map(({ address }) => comparableAddress(address)));
  return addresses.filter(({ address }) => {
    const key = comparableAddress(address);
    return !seen.has(key) && seen.add(key);
  });
}

function store(
  box: MailboxBase,
  caller: Caller,
  submission: Submission,
  { content, threadId, verdict }: Addressed & { verdict: SendVerdict },
): Submitted {
  const mailbox = box.settings();
  const now = box.now();
  const status = nextStatus(null, "submit", {
    verdict: verdict.verdict,
    approved: false,
    due: true,
    gate_timing: mailbox.default_gate_timing,
    scanning: false,
    paused: false,
    any_accepted: false,
  });
  if (status === null) throw new Error(`no transition places a submission with verdict ${verdict.verdict}`);
  const { text, html, ...shown } = content;
  const bodies: Bodies = { markdown: submission.markdown, quoted: null, text: text ?? "", html, bodies_key: null };
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
        hold:
          status === "pending_send_approval"
            ? { kind: "send", rule: verdict.rule, expires_at: holdUntil(now), links: 0 }
            : null,
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
          model_id: submission.model_id,
          model_provider: submission.model_provider,
          ai_disclosure: mailbox.ai_disclosure,
          requested_mode: submission.oversight_mode,
          test: caller.test,
          copy: verdict.copy,
          content_hash: contentHash(content),
          first_status: status,
          attempts: 0,
          first_attempt_at: null,
        },
      },
    },
    bodies,
  );
  if (submission.idempotency) {
    box.rememberIdempotency(idempotencyKey(caller, submission.idempotency.key), {
      digest: submission.idempotency.digest,
      email_id: message.id,
      expires_at: now + IDEMPOTENCY_KEPT,
    });
  }
  recordSubmission(box, caller, message, verdict);
  const held = status === "pending_send_approval";
  if (held) watchPending(box, message);
  else box.schedule("deliver", message.id, now);
  return { answer: sendAnswer(message, mailbox), held: held ? message : null };
}

function recordSubmission(box: MailboxBase, caller: Caller, message: Message, verdict: SendVerdict): void {
  const { record } = message;
  const outbound = outboundOf(message);
  const held = message.status === "pending_send_approval";
  box.record({
    message,
    actor: actorOf({ ...caller, agent_id: outbound.author.agent_id }),
    action: held ? "message.held" : "message.queued",
    detail: {
      status: message.status,
      rule: verdict.rule,
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
    },
  });
  if (held) box.emit("message.held", message, { pending_id: pendingIdOf(message.id) });
}
