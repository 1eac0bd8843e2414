import type { ErrorCode, Outcome } from "../src/errors.ts";
import type { Receipt } from "../src/identity/receipt.ts";
import type { DomainIntelligence } from "../src/intelligence/domain-facts.ts";
import type { ProviderEvent } from "../src/mail/cloudflare-email-events.ts";
import type { DeliveryReport } from "../src/mail/delivery-report.ts";
import type { FeedbackReport } from "../src/mail/feedback-report.ts";
import type { MailAddress, ReceivedMessage, StoredAttachment } from "../src/mail/message.ts";
import type { DomainReport } from "../src/operations/shapes/domain-intelligence.ts";
import type { Email, EmailSummary } from "../src/operations/shapes/email.ts";
import type { Mailbox, MailboxRecord } from "../src/operations/shapes/mailbox.ts";
import type { Decision, PendingItem } from "../src/operations/shapes/pending.ts";
import type { AllowlistEntry } from "../src/operations/shapes/recipient-lists.ts";
import type { Draft, DryRun, SendAnswer } from "../src/operations/shapes/sending.ts";
import type { Template, TemplateVariable } from "../src/operations/shapes/template.ts";
import type { Caller, Person } from "../src/oversight/caller.ts";
import type { Mode } from "../src/oversight/modes.ts";
import type { Policy } from "../src/oversight/rules/policy-type.ts";
import type { Status } from "../src/oversight/statuses.ts";
import type { ResealedPage, ResealRequest } from "../src/store/resealing.ts";
import type { ContactErasure, ErasurePosition, ErasureSteps } from "./contact-erasure.ts";
import type { DecisionItem, EditedBody, LinkView, PersonDecision } from "./decision-items.ts";
import type { LogRpc } from "./log-rpc.ts";
import type { OpenedRecord, RecordProof, RecordQuestion, RecordReader } from "./mailbox/email-record.ts";
import type { Original } from "./mailbox/forward-original.ts";

export type {
  DecisionItem,
  Edit,
  EditedBody,
  LinkOutcome,
  LinkView,
  MessageItem,
  PersonDecision,
  RequestItem,
  TemplateItem,
  UpgradeItem,
} from "./decision-items.ts";

/**
 * What a mailbox object answers over RPC. Every method checks the caller's tenant and mailbox binding and the mode's policy
 * itself, whatever a door checked before; an id that is not this mailbox's, or a mailbox of another tenant, is `not_found`.
 * A method that returned has committed; audit entries reach D1 within a second afterwards.
 */
export interface MailboxRpc extends LogRpc {
  /** Makes the mailbox. Its address is reserved in D1 before. Repeating it with the same settings answers the same. */
  create(caller: Caller, settings: Mailbox): Promise<Outcome<Mailbox>>;
  /** Its settings, for whatever a call needs of them. What the caller itself is told goes through `readSettings`. */
  describe(caller: Caller): Promise<Outcome<Mailbox>>;
  /** Its settings, and an entry that says who read them. */
  readSettings(caller: Caller): Promise<Outcome<Mailbox>>;
  /**
   * Changes settings. Tightening is immediate and takes back what was not yet handed to the transport. A change that loosens
   * changes nothing and answers `needs_approval`, unless `approvedWords` are exactly what it gives away now.
   */
  update(caller: Caller, change: MailboxChange, approvedWords: string | null): Promise<Outcome<UpdateAnswer>>;
  submit(caller: Caller, submission: Submission): Promise<Outcome<SendAnswer>>;
  /** What a submission would meet. Stores nothing of it; an entry says that it was asked. */
  judge(caller: Caller, submission: Submission): Promise<Outcome<DryRun>>;
  /** Changes a message that has not left: a new verdict, and every approval is void. */
  edit(caller: Caller, emailId: string, change: MessageChange): Promise<Outcome<SendAnswer>>;
  cancel(caller: Caller, emailId: string, reason: string | null): Promise<Outcome<EmailSummary>>;
  saveDraft(caller: Caller, draft: NewDraft): Promise<Outcome<Draft>>;
  drafts(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ drafts: Draft[]; cursor: string | null }>>;
  draft(caller: Caller, draftId: string): Promise<Outcome<Draft>>;
  /**
   * Submits a draft under its own id; it is gone then, and sending it again answers the same.
   * @param lookUp as `Submission.look_up`.
   */
  sendDraft(caller: Caller, draftId: string, lookUp?: true): Promise<Outcome<SendAnswer>>;
  deleteDraft(caller: Caller, draftId: string): Promise<Outcome<Draft>>;
  policy(caller: Caller): Promise<Outcome<Policy>>;
  /** As `update`, for the policy. */
  setPolicy(
    caller: Caller,
    policy: Policy,
    approvedWords: string | null,
  ): Promise<Outcome<{ policy: Policy } | { needs_approval: { change: string } }>>;
  allowlist(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ entries: AllowlistEntry[]; cursor: string | null }>>;
  /** As `update`, for one more recipient that needs no asking. */
  allow(
    caller: Caller,
    entry: { recipient: string; note: string | null },
    approvedWords: string | null,
  ): Promise<Outcome<{ entry: AllowlistEntry } | { needs_approval: { change: string } }>>;
  disallow(caller: Caller, entryId: string): Promise<Outcome<AllowlistEntry>>;
  /** A new template, or with `id` a new version of one: it waits for a human. */
  proposeTemplate(caller: Caller, template: NewTemplate): Promise<Outcome<Template>>;
  template(caller: Caller, templateId: string): Promise<Outcome<Template>>;
  /** Those of these templates that are there, in the order given: one read, whatever their number. */
  readTemplates(caller: Caller, ids: string[]): Promise<Outcome<Template[]>>;
  /** The version that may be sent now. `wrong_state` before one was approved. */
  approvedTemplate(caller: Caller, templateId: string): Promise<Outcome<Template>>;
  deleteTemplate(caller: Caller, templateId: string): Promise<Outcome<Template>>;
  /** Records that an agent asks for a looser setting, so that people see it among what waits. */
  requestUpgrade(
    caller: Caller,
    upgrade: { change: MailboxChange; reason: string | null },
  ): Promise<Outcome<UpgradeRequest>>;
  /** Makes the change of an upgrade request, once the operator's code was redeemed for these very words. */
  applyUpgrade(caller: Caller, pendingId: string, approvedWords: string): Promise<Outcome<Mailbox>>;
  /** Looks up one domain, once the mode or a human allows it. Durable before the first query leaves: who asked, and by which approval. */
  checkDomain(caller: Caller, domain: string): Promise<Outcome<DomainReport>>;
  /** What the mailbox did in the last 30 days. */
  trackRecord(caller: Caller): Promise<Outcome<MailboxRecord>>;
  list(caller: Caller, query: InboxQuery): Promise<Outcome<EmailPage>>;
  /**
   * Waits for a message that the query matches: answers at once with those among the newest (as many as a page of `list`
   * examines), the oldest first, else with the next one to arrive or be released. Waiting calls are lost when the object restarts, and may be repeated.
   * @param timeoutMs after which it answers with none.
   */
  waitFor(caller: Caller, query: InboxQuery, timeoutMs: number): Promise<Outcome<Waited>>;
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
  /** The identity receipt of a delivered message. `wrong_state` before; `not_found` for what was not signed. */
  identityReceipt(caller: Caller, emailId: string): Promise<Outcome<Receipt>>;
  /**
   * The pending items among `ids` that the caller may see, in the order given. A `send` key sees what it submitted. Which
   * revision an oversight key was served is remembered: without a `content_hash` it can decide on that one only.
   * @param isServed false where the caller is not handed what the items say: then nothing is remembered.
   */
  pendingItems(caller: Caller, ids: string[], isServed?: boolean): Promise<Outcome<PendingItem[]>>;
  decide(caller: Caller, request: DecisionRequest): Promise<Outcome<Decision>>;
  /** What a decision link shows. Changes nothing but the log, which says what it was used for: by itself, to show it. */
  openLink(tokenHash: string, use?: ItemUse): Promise<LinkView>;
  /** Makes a decision that was not even asked for here, since its form was no good, an entry of the link. */
  noteRefusedByLink(tokenHash: string, code: ErrorCode): Promise<void>;
  /** Decides through a link: at most once per item, for exactly the content the link names. */
  decideByLink(tokenHash: string, decision: PersonDecision): Promise<LinkView>;
  /** What a session shows of an item: `unknown` to whoever has no seat here. */
  openItem(person: Person, pendingId: string, use: ItemUse): Promise<LinkView>;
  /** As `noteRefusedByLink`, in a session. */
  noteRefusedInSession(person: Person, pendingId: string, code: ErrorCode): Promise<void>;
  /** Decides in a session. `contentHash` is what the page showed. */
  decideInSession(person: Person, pendingId: string, contentHash: string, decision: PersonDecision): Promise<LinkView>;
  /** Of these pending items those that the person may decide, in the order given; those that wait no more are left out. */
  itemsFor(person: Person, pendingIds: string[], use: "show" | "ask"): Promise<DecisionItem[]>;
  /** Withdraws links by the SHA-256 of their tokens. @returns how many were live. */
  revokeLinks(tokenHashes: string[], reason: string): Promise<number>;
  /**
   * Stores an inbound message. Durable when it returns. A message with a known fingerprint is not stored again.
   * @returns null if there is no such mailbox or it takes no mail. `refused`: it was not stored, and the sender's server is answered so.
   */
  receive(
    message: ReceivedMessage,
  ): Promise<{ email_id: string; duplicate: boolean; status: Status; refused?: string } | null>;
  /**
   * Is told that the bytes of something that came back are about to lie under `rawKey`. What no report refers to in time is deleted, so
   * that a crash at any later point leaves nothing. Durable when it returns. False: there is no such mailbox.
   */
  expectReturned(rawKey: string): Promise<boolean>;
  /**
   * Takes a report about a message of ours (a bounce, a complaint) for the one recipient whose return path it came to. Durable when
   * it returns. `repeated`: it is known, or there were too many; `unknown`: there is no such message or recipient. Neither changes anything
   * or refers to `raw_key`.
   */
  takeReturned(returned: ReturnedMail): Promise<ReturnedOutcome>;
  /** Takes an event of the provider that delivered a message, as `takeReturned` takes a report; about a copy by its id there. */
  takeProviderEvent(event: ProviderEvent): Promise<ReturnedOutcome>;
  /**
   * Opens the record of a message for a key with `admin` or `oversight`, or a person who decides here, and writes that down. The
   * newest checkpoint commits to that entry too; how far D1 has the log is in `drained`.
   */
  openRecord(reader: RecordReader, emailId: string): Promise<Outcome<OpenedRecord>>;
  /** Says what entries the log has at places, and shows them to be in the tree of a size, for whoever may open records. Records nothing. */
  proveRecord(reader: RecordReader, question: RecordQuestion): Promise<Outcome<RecordProof[]>>;
  /** What the page of an unsubscribe link shows; null where it leads nowhere. Changes nothing but the log. */
  openUnsubscribe(emailId: string, position: number | null): Promise<UnsubscribeView | null>;
  /**
   * Unsubscribes one recipient, by position or by an address that somebody typed; one that did not get the message changes nothing.
   * Durable when it returns. @returns false where the link leads nowhere.
   */
  unsubscribe(emailId: string, whom: number | string): Promise<boolean>;
  /**
   * Erases a message and those that pass it on, once the operator allowed exactly that; what is erased already answers the same.
   * `wrong_state` while one of them waits or is on its way; `legal_hold`.
   */
  erase(caller: Caller, emailId: string, approvedWords: string | null): Promise<Outcome<EraseAnswer>>;
  /**
   * A page of everything that the mailbox has, held mail too. That the operator allowed it is for the caller to have made sure; the
   * first page is an audit entry.
   * @param from as the page before gave it; null: from the beginning.
   */
  exportPage(caller: Caller, from: string | null): Promise<Outcome<MailboxExport>>;
  /** What erasing a person from the account would touch here. For the tenant's object alone, as the next one; both are `not_found` to others. */
  surveyContact(tenantId: string, address: string): Promise<Outcome<ContactSurvey>>;
  /** Some steps of erasing a person. Repeating one is harmless. */
  eraseContact(job: ContactErasure, from: ErasurePosition | null): Promise<Outcome<ErasureSteps>>;
  /** Brings a page of its data keys under the current MASTER_KEY. Repeating it is harmless. */
  reseal(request: ResealRequest): Promise<Outcome<ResealedPage>>;
  /** Answers if the object runs and its storage can be read; writes nothing, whatever the object's name. */
  ping(): Promise<true>;
}

/** What became of erasing a message; or what the operator has to allow first. */
export type EraseAnswer =
  /** `is_done`: nothing of it is left in R2 or D1 either; until then it is tried again. */
  { erasure: { email_id: string; erased_at: string; is_done: boolean } } | { needs_approval: { change: string } };

/** Where bytes lie in R2, and what they are. */
export interface StoredFile {
  kind: "raw" | "bodies" | "attachment" | "returned";
  key: string;
  name: string;
}

/** A page of an export. `item` is a line of it; the bytes of `files` follow. */
export interface MailboxExport {
  items: { item: Record<string, unknown>; files: StoredFile[] }[];
  /** Null at the end. */
  next: string | null;
}

/** What erasing a person would touch in one mailbox. */
export interface ContactSurvey {
  /** How many messages name the person in what they say, metadata included: they are erased whole. */
  messages: number;
  /** How many name the person only in tags, in the reason for which they were taken back, or among those who decided: they stay without it. */
  redacted: number;
  /** There are more than were counted. */
  more: boolean;
  /** Messages that name the person and wait, or are on their way. */
  under_way: string[];
  /** Where the address is something that works: in settings, the policy, or a template. */
  in_service: string[];
  /** The mailbox is under a legal hold. */
  held: boolean;
}

/** A report about one recipient of a message, as it was read. */
export interface ReturnedMail {
  email_id: string;
  /** The recipient's place in the envelope. */
  position: number;
  /** Where it lies in R2 as it came; null of an event, which has no bytes. */
  raw_key: string | null;
  /** Of the report itself, or the event's id. */
  rfc_message_id: string | null;
  report:
    | { kind: "delivery"; report: DeliveryReport }
    | { kind: "feedback"; type: string; means: FeedbackReport["means"] };
}
export type ReturnedOutcome = "recorded" | "repeated" | "unknown";

/**
 * What a person wants of an item, which is what the log says: `show` it, so that they can decide on that revision in a session; `ask`
 * about it without seeing it; get the `file` with that number; or `decide`, of which the decision itself is the entry.
 */
export type ItemUse = "show" | "ask" | "decide" | { file: number };

/** What the page of an unsubscribe link shows. */
export interface UnsubscribeView {
  from: MailAddress;
  /** Whom the link is for, masked; null: everybody, so that the page asks. */
  recipient: string | null;
}

/** A change that loosens waits for the operator's code; `change` says it in words. */
export type UpdateAnswer = { mailbox: Mailbox } | { needs_approval: { change: string } };

export type MailboxChange = Partial<
  Pick<
    Mailbox,
    | "display_name"
    | "oversight_mode"
    | "approvers"
    | "approvers_pending"
    | "quorum"
    | "escalate_after"
    | "expires_after"
    | "delegations"
    | "notify"
    | "paused"
    | "default_gate_timing"
    | "scheduling_enabled"
    | "ai_disclosure"
    | "identity_signing"
    | "identity_format"
    | "auto_cc"
    | "auto_bcc"
    | "forward_inbound"
    | "forward_rules"
    | "signature_block"
    | "dmarc_fail_action"
    | "trusted_arc_sealers"
    | "oversight_keys_may_decide"
    | "is_active"
    | "legal_hold"
    | "content_retention"
  >
>;

/** A change of a message that waits or is scheduled; what is left out stays. */
export interface MessageChange {
  subject?: string;
  body?: EditedBody;
  to?: MailAddress[];
  cc?: MailAddress[];
  bcc?: MailAddress[];
  /** ISO 8601; null: at once. */
  send_at?: string | null;
  /** As in a submission. */
  look_up?: true;
  intelligence?: DomainIntelligence | null;
}

/** A message that is not asked to leave yet. Its id becomes the message's. */
export interface NewDraft {
  id: string;
  /** False: the draft is there already and is changed. */
  is_new: boolean;
  /** What is left out stays as it is, or is empty in a new one. */
  draft: Partial<Submission>;
}

export interface NewTemplate {
  /** Null: a new template. */
  id: string | null;
  name: string;
  subject: string;
  markdown: string;
  variables: TemplateVariable[];
  allowed_domains: string[] | null;
}

export interface UpgradeRequest {
  pending_id: string;
  /** In words, what would change. */
  change: string;
  record: MailboxRecord;
}

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
  /** ISO 8601; null: at once. */
  send_at: string | null;
  /** Null: the mailbox's own. */
  gate_timing: "gate_first" | "schedule_first" | null;
  /** The approved template that it was rendered from. */
  template: { id: string; version: number; approval_ref: string; allowed_domains: string[] | null } | null;
  /** `digest` is the SHA-256 of the canonical input without the key. */
  idempotency: { key: string; digest: string } | null;
  /** The message that it passes on. */
  forward?: { email_id: string };
  /** What was read of that message: the object's own, whatever a caller says. */
  original?: Original | null;
  /** The recipients' domains are looked up before it is judged. What no agent asked for needs none. */
  look_up?: true;
  /** What was found of them: the object's own, whatever a caller says. */
  intelligence?: DomainIntelligence | null;
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

/** What a wait ended with. */
export interface Waited {
  emails: EmailSummary[];
  timed_out: boolean;
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
