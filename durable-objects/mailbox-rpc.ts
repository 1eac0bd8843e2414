import type { Outcome } from "../src/errors.ts";
import type { MailAddress, MessageContent, ReceivedMessage, StoredAttachment } from "../src/mail/message.ts";
import type { Decision, Email, EmailSummary, Mailbox, PendingItem, SendAnswer } from "../src/operations/shapes.ts";
import type { Caller } from "../src/oversight/caller.ts";
import type { Mode } from "../src/oversight/modes.ts";
import type { Status } from "../src/oversight/statuses.ts";

/**
 * What a mailbox object answers over RPC. Every method checks the caller's tenant and mailbox binding and the mode's policy
 * itself, whatever a door checked before; an id that is not this mailbox's, or a mailbox of another tenant, is `not_found`.
 * A method that returned has committed; audit entries reach D1 within a second afterwards.
 */
export interface MailboxRpc {
  /** Makes the mailbox. Its address is reserved in D1 before. Repeating it with the same settings answers the same. */
  create(caller: Caller, settings: Mailbox): Promise<Outcome<Mailbox>>;
  describe(caller: Caller): Promise<Outcome<Mailbox>>;
  /**
   * Changes settings. Tightening is immediate and takes back what was not yet handed to the transport. A change that loosens
   * changes nothing and answers `needs_approval`, unless `approvedWords` are exactly what it gives away now.
   */
  update(caller: Caller, change: MailboxChange, approvedWords: string | null): Promise<Outcome<UpdateAnswer>>;
  submit(caller: Caller, submission: Submission): Promise<Outcome<SendAnswer>>;
  cancel(caller: Caller, emailId: string, reason: string | null): Promise<Outcome<EmailSummary>>;
  list(caller: Caller, query: InboxQuery): Promise<Outcome<EmailPage>>;
  /** `markRead`: an unread inbound message becomes read. */
  read(caller: Caller, emailId: string, options: ReadOptions): Promise<Outcome<StoredEmail>>;
  thread(
    caller: Caller,
    threadId: string,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<ThreadPage>>;
  mark(caller: Caller, emailId: string, mark: Mark): Promise<Outcome<EmailSummary>>;
  tag(caller: Caller, emailId: string, tags: Record<string, string>): Promise<Outcome<Record<string, string>>>;
  tags(caller: Caller, emailId: string): Promise<Outcome<Record<string, string>>>;
  untag(caller: Caller, emailId: string, key: string): Promise<Outcome<Record<string, string>>>;
  /** Where an attachment lies; the door streams it from R2. */
  attachment(caller: Caller, emailId: string, filename: string): Promise<Outcome<StoredAttachment>>;
  /** The pending items among `ids` that the caller may see, in the order given. A `send` key sees what it submitted. */
  pendingItems(caller: Caller, ids: string[]): Promise<Outcome<PendingItem[]>>;
  decide(caller: Caller, request: DecisionRequest): Promise<Outcome<Decision>>;
  /** What a decision link shows. Changes nothing. */
  openLink(tokenHash: string): Promise<LinkView>;
  /** Decides through a link: at most once per item, for exactly the content the link names. */
  decideByLink(tokenHash: string, decision: "approve" | "reject", note: string | null): Promise<LinkView>;
  /** Withdraws links by the SHA-256 of their tokens. @returns how many were live. */
  revokeLinks(tokenHashes: string[], reason: string): Promise<number>;
  /**
   * Stores an inbound message. Durable when it returns. A message with a known fingerprint is not stored again.
   * @returns null if there is no such mailbox or it takes no mail.
   */
  receive(message: ReceivedMessage): Promise<{ email_id: string; duplicate: boolean; status: Status } | null>;
  /** Answers if the object runs and its storage can be read; writes nothing, whatever the object's name. */
  ping(): Promise<true>;
}

/** A change that loosens waits for the operator's code; `change` says it in words. */
export type UpdateAnswer = { mailbox: Mailbox } | { needs_approval: { change: string } };

export type MailboxChange = Partial<
  Pick<
    Mailbox,
    | "display_name"
    | "oversight_mode"
    | "approver_email"
    | "approver_pending"
    | "ai_disclosure"
    | "auto_cc"
    | "auto_bcc"
    | "signature_block"
    | "oversight_keys_may_decide"
    | "is_active"
  >
>;

/** A message as an agent asks for it, its HTML already reduced and its attachments already in R2. */
export interface Submission {
  /** Made by the door; repeating a submission with the same id answers the same. */
  id: string;
  to: MailAddress[];
  cc: MailAddress[];
  bcc: MailAddress[];
  reply_to: MailAddress[];
  /** Null for a reply that keeps the thread's subject. */
  subject: string | null;
  text: string;
  html: string | null;
  /** The source the bodies were rendered from; null if the agent gave text or HTML. */
  markdown: string | null;
  attachments: StoredAttachment[];
  /** The message this answers: recipients (when `to` is empty), subject, In-Reply-To and References come from it. */
  reply: { email_id: string; all: boolean } | null;
  tags: Record<string, string>;
  metadata: Record<string, unknown>;
  agent_id: string | null;
  model_id: string | null;
  model_provider: string | null;
  /** May only tighten. */
  oversight_mode: Mode | null;
  /** `digest` is the SHA-256 of the canonical input without the key. */
  idempotency: { key: string; digest: string } | null;
}

export interface InboxQuery {
  limit: number;
  cursor: string | null;
  /** Skips that many matches; for clients that page by number. At most 1,000. */
  offset: number;
  status: Status[] | null;
  direction: "inbound" | "outbound" | null;
  /** Part of the sender's address or name. */
  sender: string | null;
  subject_contains: string | null;
  /** Full text; each term is quoted before FTS5 sees it. */
  q: string | null;
  date_after: string | null;
  date_before: string | null;
  has_attachments: boolean | null;
  /** `key` or `key:value`. */
  tag: string | null;
  thread_id: string | null;
  dkim_result: string | null;
  /** Only what came after this message; oldest first. */
  since_id: string | null;
  unread_only: boolean;
  metadata: Record<string, string>;
}

export interface EmailPage {
  emails: EmailSummary[];
  /** Null at the end. A page may be short, even empty, and still have a cursor. */
  cursor: string | null;
}

export interface ReadOptions {
  mark_read: boolean;
  include_html: boolean;
}

/** An email as the object has it: where `bodies_key` is set, markdown, quoted, text and html lie whole in R2 under it. */
export interface StoredEmail {
  email: Email;
  bodies_key: string | null;
}

export interface ThreadPage {
  thread_id: string;
  subject: string;
  emails: StoredEmail[];
  cursor: string | null;
}

export type Mark = { status: "read" | "unread" | "archived" | "spam_quarantined" | "deleted" };

export interface DecisionRequest {
  email_id: string;
  decision: "approve" | "reject";
  reason: string | null;
  content_hash: string | null;
}

/** What a decision page shows for a token. */
export type LinkView =
  | { state: "unknown" }
  | { state: "revoked"; reason: string }
  | { state: "expired"; expired_at: string }
  | { state: "open"; approver: string; expires_at: string; item: DecisionItem }
  | { state: "decided"; approver: string; outcome: LinkOutcome };

/** Everything the approver must see: exactly what will leave. */
export interface DecisionItem {
  pending_id: string;
  email_id: string;
  kind: "send" | "inbound";
  mailbox_address: string;
  oversight_mode: Mode;
  content: MessageContent;
  content_hash: string;
  agent: { agent_id: string | null; model_id: string | null; model_provider: string | null };
  key_id: string | null;
  /** Submitted by an `mm_test_` key: approved or not, it ends in the sandbox. */
  test: boolean;
  metadata: Record<string, unknown>;
  tags: Record<string, string>;
  /** Which rule held it, in words: the mode, or a rule's name. */
  held_by: string;
  domain_intelligence: Record<string, unknown> | null;
  submitted_at: string;
  /** For inbound. */
  authentication: { dkim_result: string | null; spf_result: string | null; dmarc_result: string | null } | null;
}

/** The outcome, without the content. */
export interface LinkOutcome {
  status: Status;
  decision: "approved" | "rejected" | "cancelled" | "expired" | "superseded";
  decided_by: string | null;
  decided_at: string | null;
  reason: string | null;
  approval_ref: string | null;
  /** Submitted by an `mm_test_` key: `sent` means that it ended in the sandbox. */
  test: boolean;
  /** Whether this very request decided. */
  just_now: boolean;
}
