import { accepted, type Outcome, Refused, refused } from "../../src/errors.ts";
import { comparableAddress, parseAddresses } from "../../src/mail/address.ts";
import { finishBodies } from "../../src/mail/finished-body.ts";
import type { MailAddress, MessageContent } from "../../src/mail/message.ts";
import { withoutNames } from "../../src/mail/template.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { MAX_RECIPIENTS } from "../../src/oversight/limits.ts";
import type { EditedBody, Submission } from "../mailbox-rpc.ts";
import { isWithheld, type MailboxBase, notFound, wrongState } from "./base.ts";
import { forwarded } from "./forward-content.ts";
import type { Bodies, Message } from "./messages.ts";

/** What will be shown, hashed and sent, made of what was asked for and the mailbox's settings. */

const MAX_REFERENCES = 20;
/** With their spaces. Cloudflare's Email Service takes no longer header, and 20 ids of a hostile writer fill 20 lines. */
const MAX_REFERENCES_OCTETS = 2_000;

export interface Addressed {
  content: MessageContent;
  /** Null: a new thread. */
  threadId: string | null;
}

/** The content with its final recipients, subject, threading and bodies: exactly what will be shown, hashed and sent. */
export function addressed(box: MailboxBase, mailbox: Mailbox, submission: Submission): Outcome<Addressed> {
  // It may have been erased while it was read.
  const passedOn = submission.original ? box.messages.find(submission.original.email_id) : null;
  if (passedOn && passedOn.erased_at !== null) return wrongState(passedOn, "The message to be passed on was erased.");
  if (submission.original) return forwarded(box, mailbox, submission, submission.original);
  const original = submission.reply ? box.messages.find(submission.reply.email_id) : null;
  if (submission.reply && (!original || isWithheld(original))) return notFound();
  if (original && original.erased_at !== null) return wrongState(original, "The message answered was erased.");
  if (original && submission.to.length === 0 && isUnanswerable(original)) {
    return refused(
      "wrong_state",
      "This message was sent by a machine that takes no answer: its envelope has no sender.",
      {
        hint: "Name whom to write to in `to`.",
      },
    );
  }
  const answered = original ? answeredBy(original, mailbox, submission) : { to: [], cc: [] };
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
  const tooMany = whyTooMany(content);
  if (tooMany) return tooMany;
  return accepted({ content, threadId: original?.thread_id ?? null });
}

/** RFC 3834 §2, RFC 5321 §4.5.5: nothing is sent in answer to what came from the null sender. */
function isUnanswerable({ record: { inbound } }: Message): boolean {
  return inbound !== null && ["", "<>"].includes(inbound.envelope_from.trim());
}

function answeredBy(original: Message, mailbox: Mailbox, { reply, template }: Submission) {
  const { to, cc } = replyRecipients(original, mailbox, reply?.all ?? false);
  return template === null ? { to, cc } : { to: withoutNames(to), cc: withoutNames(cc) };
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
  const kept = whole.length <= MAX_REFERENCES ? whole : [...whole.slice(0, 1), ...whole.slice(1 - MAX_REFERENCES)];
  while (kept.length > 1 && Buffer.byteLength(kept.join(" ")) > MAX_REFERENCES_OCTETS)
    kept.splice(kept.length > 2 ? 1 : 0, 1);
  return kept;
}

/** @returns the refusal of a message with more recipients than one may have, automatic copies among them; null if it may leave. */
export function whyTooMany({ to, cc, bcc }: Pick<MessageContent, "to" | "cc" | "bcc">): Outcome<never> | null {
  const recipients = to.length + cc.length + bcc.length;
  if (recipients <= MAX_RECIPIENTS) return null;
  return refused(
    "too_many_recipients",
    `A message has at most ${MAX_RECIPIENTS} recipients; this one has ${recipients} with the mailbox's automatic copies.`,
  );
}

/** @returns the bodies to store: as they will be sent, and as they were written. */
export function storedBodies(content: MessageContent, written: EditedBody): Bodies {
  return {
    markdown: written.markdown,
    quoted: null,
    text: content.text ?? "",
    html: content.html,
    bodies_key: null,
    source: written.markdown === null ? written.text : null,
  };
}

/** @returns who gets a copy of everything, in the comparable form. */
export function automaticCopies({ auto_cc, auto_bcc }: Mailbox): Set<string> {
  const copies = [...parseAddresses(auto_cc, "auto_cc"), ...parseAddresses(auto_bcc, "auto_bcc")];
  return new Set(copies.map(({ address }) => comparableAddress(address)));
}

/** Without repetitions, and without those in `besides`. */
export function unique(addresses: MailAddress[], besides: MailAddress[]): MailAddress[] {
  const seen = new Set(besides.map(({ address }) => comparableAddress(address)));
  return addresses.filter(({ address }) => {
    const key = comparableAddress(address);
    return !seen.has(key) && seen.add(key);
  });
}
