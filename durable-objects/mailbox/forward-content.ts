import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { parseAddresses } from "../../src/mail/address.ts";
import { finishBodies } from "../../src/mail/finished-body.ts";
import { ATTACHED_NAME, forwardSubject, isSameMailbox } from "../../src/mail/forwarded-message.ts";
import { MAX_SUBJECT_CHARACTERS } from "../../src/mail/limits.ts";
import type { MailAddress, MessageContent, StoredAttachment } from "../../src/mail/message.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Submission } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { type Addressed, unique, whyTooMany } from "./content.ts";
import type { Original } from "./forward-original.ts";
import type { ForwardRecord } from "./message-record.ts";
import { type Message, outboundOf } from "./messages.ts";

/** What is shown, hashed and sent of a forwarded message, and what is judged of it. */

/** Who gets it. */
type Recipients = Pick<MessageContent, "to" | "cc" | "bcc">;

/** What a forwarding says besides the original, before the signature and disclosure. */
type Comment = Pick<Submission, "text" | "html">;

/** As `addressed`, of a submission that forwards. */
export function forwarded(
  box: MailboxBase,
  mailbox: Mailbox,
  submission: Submission,
  original: Original,
): Outcome<Addressed> {
  const { to, cc, bcc } = recipientsOf(mailbox, submission);
  const itself = [...to, ...cc, ...bcc].find(({ address }) => isSameMailbox(address, mailbox.address));
  if (itself) {
    return refused(
      "invalid_input",
      `${itself.address} is the mailbox that has the message; it is not forwarded there.`,
    );
  }
  const content = forwardedContent(box, mailbox, { recipients: { to, cc, bcc }, comment: submission, original });
  const tooMany = whyTooMany(content);
  if (tooMany) return tooMany;
  return accepted({ content, threadId: box.messages.get(original.email_id).thread_id });
}

function recipientsOf({ auto_cc, auto_bcc }: Mailbox, { to, cc, bcc }: Recipients): Recipients {
  const copied = unique([...cc, ...parseAddresses(auto_cc, "auto_cc")], to);
  const hidden = unique([...bcc, ...parseAddresses(auto_bcc, "auto_bcc")], [...to, ...copied]);
  return { to: unique(to, []), cc: copied, bcc: hidden };
}

/**
 * @returns of a redirected message what stands in it, to whom it goes in the envelope, and the hash of its bytes; else a message
 *   of the mailbox's own, with the original as its one file.
 */
export function forwardedContent(
  box: MailboxBase,
  mailbox: Mailbox,
  { recipients, comment, original }: { recipients: Recipients; comment: Comment; original: Original },
): MessageContent {
  const message = box.messages.get(original.email_id);
  const { record } = message;
  const { to, cc, bcc } = recipients;
  const { sha256, size, raw_key: key, content_type, text, html } = original;
  if (original.form === "redirected") {
    const { from, reply_to, subject, in_reply_to, references } = record;
    const shown = { from, reply_to, subject, attachments: filesOf(box, message), in_reply_to, references };
    return { ...shown, to, cc, bcc, text, html, redirected: sha256 };
  }
  const file: StoredAttachment = {
    ...{ name: ATTACHED_NAME, content_type, disposition: "attachment", content_id: null },
    ...{ size, sha256, key },
  };
  return {
    from: { name: mailbox.display_name, address: mailbox.address },
    ...{ reply_to: [], to, cc, bcc },
    subject: forwardSubject(record.subject, MAX_SUBJECT_CHARACTERS),
    ...finishBodies({ text: comment.text, html: comment.html }, mailbox),
    attachments: [file],
    in_reply_to: null,
    references: [],
  };
}

/** What is kept with a message that forwards another. */
export function forwardRecord({ email_id, form, raw_key, size, sha256 }: Original): ForwardRecord {
  return { email_id, form, raw_key, size, sha256 };
}

/** A message's files, and those of the message that it has attached, however often that was wrapped. */
function filesOf(box: MailboxBase, { record }: Message): StoredAttachment[] {
  const { attachments, outbound } = record;
  if (outbound?.forward?.form !== "attached") return attachments;
  return [...attachments, ...filesOf(box, box.messages.get(outbound.forward.email_id))];
}

/** What a reader finds in an attached message. */
export interface Enclosed {
  text: string;
  html: string | null;
  attachments: StoredAttachment[];
}

/** @returns what is enclosed in a forwarding; null where nothing is: what is redirected has its words itself. */
export function enclosedBy(box: MailboxBase, original: Original | null): Enclosed | null {
  if (original?.form !== "attached") return null;
  const { email_id, text, html } = original;
  return { text, html, attachments: filesOf(box, box.messages.get(email_id)) };
}

/** The same of a message that is stored. */
export function enclosedIn(box: MailboxBase, message: Message): Enclosed | null {
  const { forward } = outboundOf(message);
  if (forward?.form !== "attached") return null;
  return { ...box.messages.original(message.seq), attachments: filesOf(box, box.messages.get(forward.email_id)) };
}

/** @returns a content as the rules read it: what is enclosed in it is said by it, and its files are files of it. */
export function withEnclosed(content: MessageContent, enclosed: Enclosed | null): MessageContent {
  if (enclosed === null) return content;
  const words = joined({ text: content.text ?? "", html: content.html }, enclosed);
  return { ...content, ...words, attachments: [...content.attachments, ...enclosed.attachments] };
}

interface Words {
  text: string;
  html: string | null;
}

/** @returns both, one below the other. */
export function joined(one: Words, other: Words): Words {
  const html = [one.html, other.html].filter((each) => each !== null);
  return { text: `${one.text}\n\n${other.text}`, html: html.length > 0 ? html.join("\n") : null };
}

/** Who wrote a forwarded message and to whom, as people are shown it. */
export interface ShownOriginal {
  email_id: string;
  form: ForwardRecord["form"];
  from: MailAddress;
  to: MailAddress[];
  cc: MailAddress[];
  subject: string;
  /** When it came, or was sent, ISO 8601. */
  at: string;
  /** Of the attached form; null for what is redirected, whose words stand in the message itself. */
  body: { text: string; html: string | null } | null;
  attachments: Pick<StoredAttachment, "name" | "content_type" | "size">[];
}

/** @returns the message that another forwards; null if it forwards none. */
export function shownOriginal(box: MailboxBase, message: Message): ShownOriginal | null {
  const forward = message.record.outbound?.forward;
  if (!forward) return null;
  const original = box.messages.get(forward.email_id);
  const { from, to, cc, subject, received_at, sent_at } = original.record;
  return {
    ...{ email_id: original.id, form: forward.form, from, to, cc, subject },
    at: received_at ?? sent_at ?? original.created_at,
    body: forward.form === "attached" ? box.messages.original(message.seq) : null,
    attachments: filesOf(box, original).map(({ name, content_type, size }) => ({ name, content_type, size })),
  };
}
