import type { Env } from "../src/env.ts";
import type { ErrorCode, Outcome, Refusal } from "../src/errors.ts";
import { accepted, refused } from "../src/errors.ts";
import type { Receipt } from "../src/identity/receipt.ts";
import type { DomainIntelligence } from "../src/intelligence/domain-facts.ts";
import type { ProviderEvent } from "../src/mail/cloudflare-email-events.ts";
import type { ReceivedMessage, StoredAttachment } from "../src/mail/message.ts";
import type { DomainReport } from "../src/operations/shapes/domain-intelligence.ts";
import type { EmailSummary } from "../src/operations/shapes/email.ts";
import type { Mailbox, MailboxRecord } from "../src/operations/shapes/mailbox.ts";
import type { Decision, PendingItem } from "../src/operations/shapes/pending.ts";
import type { AllowlistEntry } from "../src/operations/shapes/recipient-lists.ts";
import type { Draft, DryRun, SendAnswer } from "../src/operations/shapes/sending.ts";
import type { Template } from "../src/operations/shapes/template.ts";
import type { Caller, Person, Scope } from "../src/oversight/caller.ts";
import type { Policy } from "../src/oversight/rules/policy-type.ts";
import { projectMailbox } from "../src/store/mailbox-projection.ts";
import type { SendingTerms } from "../src/store/suppressions.ts";
import { projectTemplate } from "../src/store/template-projection.ts";
import type { ContactErasure, ErasurePosition, ErasureSteps } from "./contact-erasure.ts";
import type { KeepingTerms } from "./ledger/retention.ts";
import { SYSTEM } from "./ledger.ts";
import { readAllowlist, readPolicy, readSettings, readTrackRecord } from "./mailbox/accesses.ts";
import { cancel, mark, tag, untag } from "./mailbox/annotate.ts";
import { ask, askAll } from "./mailbox/ask.ts";
import { actorOf, MailboxBase, notFound, wrongState } from "./mailbox/base.ts";
import { REPORT_CHECKPOINT, reportCheckpoint } from "./mailbox/checkpoints.ts";
import { expireContent, RETENTION, scheduleRetention } from "./mailbox/content-retention.ts";
import { forgetOldCounts } from "./mailbox/counts.ts";
import { decideByKey } from "./mailbox/decide.ts";
import { deliver } from "./mailbox/delivery.ts";
import { deleteDraft, discardFile, listDrafts, readDraft, saveDraft } from "./mailbox/drafts.ts";
import { sendDue } from "./mailbox/due.ts";
import { editAsAuthor, recipientsAfterEdit } from "./mailbox/edit.ts";
import {
  type OpenedRecord,
  openRecord,
  proveRecord,
  type RecordProof,
  type RecordQuestion,
  type RecordReader,
} from "./mailbox/email-record.ts";
import { eraseContact } from "./mailbox/erase-contact.ts";
import { eraseEmail } from "./mailbox/erase-email.ts";
import { ERASE, eraseByTimer } from "./mailbox/erase-store.ts";
import { expirePending } from "./mailbox/expire.ts";
import { exportPage } from "./mailbox/export.ts";
import { FORWARD, forwardArrival } from "./mailbox/forward-arrivals.ts";
import { originalFor } from "./mailbox/forward-original.ts";
import { findItem } from "./mailbox/held-item.ts";
import { checkDomain, KNOWN_DOMAIN, lookUpRecipients, permitCheck, tellKnownDomain } from "./mailbox/intelligence.ts";
import { decideByLink, noteRefusedByLink, openLink, revokeLinks } from "./mailbox/links.ts";
import type { Message } from "./mailbox/messages.ts";
import { indexPending, indexPendingNow, isPending, withPatience } from "./mailbox/pending.ts";
import { copyOverseer, notifyApprover, sendDigest, tellFallBack } from "./mailbox/people.ts";
import { decideInSession, itemsFor, noteRefusedInSession, openItem } from "./mailbox/person-decisions.ts";
import { allow, disallow, setPolicy } from "./mailbox/policy-settings.ts";
import { takeProviderEvent } from "./mailbox/provider-events.ts";
import { attachment, identityReceipt, list, pendingItems, read, tags, thread } from "./mailbox/reading.ts";
import { receive } from "./mailbox/receive.ts";
import { expectReturned, TROUBLE, takeReturned, tellTenant } from "./mailbox/returned-mail.ts";
import { completeDraft, draftedSubmission, sendDraft } from "./mailbox/send-draft.ts";
import { scopesFor, update } from "./mailbox/settings.ts";
import { judgeSubmission, recipientsToLookUp, submit } from "./mailbox/submit.ts";
import { surveyContact } from "./mailbox/survey-contact.ts";
import { sweepStore } from "./mailbox/sweep.ts";
import { takeBackLater } from "./mailbox/take-back.ts";
import { readTemplates } from "./mailbox/template-list.ts";
import { approvedTemplate, deleteTemplate, findTemplate, propose, readTemplate } from "./mailbox/templates.ts";
import { termsFor } from "./mailbox/terms.ts";
import { noteUnchanged } from "./mailbox/unchanged.ts";
import { openUnsubscribe, unsubscribe } from "./mailbox/unsubscribe.ts";
import { applyUpgrade, requestUpgrade } from "./mailbox/upgrades.ts";
import { waitFor } from "./mailbox/wait-for.ts";
import type {
  ContactSurvey,
  DecisionItem,
  DecisionRequest,
  EmailPage,
  EraseAnswer,
  InboxQuery,
  ItemUse,
  LinkView,
  MailboxChange,
  MailboxExport,
  MailboxRpc,
  Mark,
  MessageChange,
  NewDraft,
  NewTemplate,
  PersonDecision,
  ReadOptions,
  ReturnedMail,
  ReturnedOutcome,
  StoredEmail,
  Submission,
  ThreadPage,
  UnsubscribeView,
  UpdateAnswer,
  UpgradeRequest,
} from "./mailbox-rpc.ts";
import type { Timer } from "./timers.ts";

const DAY = 24 * 3600_000;
const ANYONE: readonly Scope[] = ["read", "admin", "oversight", "send"];

/**
 * One mailbox: its messages, its queue, its audit chain. Named by the mailbox's routing number. This file only admits callers and
 * hands on; what a call does is in `mailbox/`.
 */
export class MailboxObject extends MailboxBase implements MailboxRpc {
  protected readonly slowTimers: ReadonlySet<string> = new Set([
    "deliver",
    "ask",
    "notify",
    "digest",
    "copy",
    "fell_back",
    "discard",
    "sweep",
    ERASE,
    RETENTION,
    REPORT_CHECKPOINT,
    FORWARD,
    KNOWN_DOMAIN,
    TROUBLE,
  ]);

  private readonly timerWork: Readonly<Record<string, (timer: Timer) => Promise<void> | void>> = {
    deliver: (timer) => deliver(this, timer),
    due: (timer) => sendDue(this, timer),
    take_back: (timer) => takeBackLater(this, timer),
    ask: (timer) => ask(this, timer),
    delegations: (timer) => askAll(this, timer),
    notify: (timer) => notifyApprover(this, timer),
    digest: (timer) => sendDigest(this, timer),
    copy: (timer) => copyOverseer(this, timer),
    fell_back: (timer) => tellFallBack(this, timer),
    expire: (timer) => expirePending(this, timer),
    index: (timer) => indexPending(this, timer.ref),
    project: () => this.project(),
    template: (timer) => this.projectTemplate(timer.ref),
    discard: (timer) => discardFile(this, timer),
    sweep: () => this.sweep(),
    [ERASE]: (timer) => eraseByTimer(this, timer),
    [RETENTION]: (timer) => expireContent(this, timer),
    [REPORT_CHECKPOINT]: (timer) => reportCheckpoint(this, timer),
    [FORWARD]: (timer) => forwardArrival(this, timer),
    [KNOWN_DOMAIN]: (timer) => tellKnownDomain(this, timer),
    [TROUBLE]: (timer) => tellTenant(this, timer),
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.wake();
  }

  protected async runTimer(timer: Timer): Promise<void> {
    const work = this.timerWork[timer.kind];
    if (!work) throw new Error(`there is no work for the timer ${timer.kind}`);
    await work(timer);
    // A message whose time came, or that fell due to be judged again, may wait for a human now.
    if (timer.kind === "due" || timer.kind === "take_back") await this.indexIfTimed(timer.ref);
  }

  checkpointMade(): void {
    this.schedule(REPORT_CHECKPOINT, this.identity().log, this.now());
  }

  protected whyNotAuditor(caller: Caller): Refusal | null {
    return this.whyNotAdmitted(caller, ["admin"]);
  }

  /** The account's terms; a mailbox can be held by itself. */
  async keepingTerms(): Promise<KeepingTerms> {
    const terms = await this.env.TENANT.getByName(this.identity().tenant_id).keepingTerms();
    return { ...terms, legal_hold: terms.legal_hold || this.settings().legal_hold };
  }

  protected async witnesses(): Promise<readonly string[]> {
    return this.env.TENANT.getByName(this.identity().tenant_id).witnessKeys();
  }

  async create(caller: Caller, settings: Mailbox): Promise<Outcome<Mailbox>> {
    if (this.established) {
      const refusal = this.whyNotAdmitted(caller, ["admin"]);
      if (refusal) return { ok: false, refusal };
      const mine = this.settings();
      if (mine.id !== settings.id) return refused("address_taken", "This mailbox number is in use.");
      noteUnchanged(this, caller, "mailbox.created");
      return accepted(mine);
    }
    if (!caller.scopes.includes("admin") || caller.tenant_id !== settings.tenant_id) return notFound();
    this.commit(() => {
      this.establish(settings.id, settings.tenant_id);
      this.saveSettings(settings);
      const { address, display_name, approvers } = settings;
      this.record({
        actor: actorOf(caller),
        action: "mailbox.created",
        detail: { oversight_mode: settings.oversight_mode, approver_pending: settings.approver_pending },
        personal: { address, display_name, approvers },
      });
      this.schedule("project", settings.id, this.now());
      this.schedule("sweep", settings.id, this.now() + DAY);
      scheduleRetention(this);
    });
    return accepted(settings);
  }

  async describe(caller: Caller): Promise<Outcome<Mailbox>> {
    return this.serve(caller, ANYONE, () => accepted(this.settings()));
  }

  async readSettings(caller: Caller): Promise<Outcome<Mailbox>> {
    return this.serve(caller, ANYONE, () => readSettings(this, caller));
  }

  async update(caller: Caller, change: MailboxChange, approvedWords: string | null): Promise<Outcome<UpdateAnswer>> {
    return this.serve(caller, scopesFor(change), () => update(this, caller, change, approvedWords));
  }

  async policy(caller: Caller): Promise<Outcome<Policy>> {
    return this.serve(caller, ANYONE, () => readPolicy(this, caller));
  }

  async submit(caller: Caller, asked: Submission): Promise<Outcome<SendAnswer>> {
    const read = await this.withOriginal(caller, asked);
    if (!read.ok) return read;
    const submission = read.value;
    const terms = await this.termsOf(caller, () => submission);
    const intelligence = await this.lookUp(caller, submission, () =>
      recipientsToLookUp(this, caller, submission, terms),
    );
    return this.answerIndexed(
      this.serve(caller, ["send"], () => submit(this, caller, { ...submission, intelligence }, { terms })),
    );
  }

  async judge(caller: Caller, asked: Submission): Promise<Outcome<DryRun>> {
    const read = await this.withOriginal(caller, asked);
    if (!read.ok) return read;
    const submission = read.value;
    const terms = await this.termsOf(caller, () => submission);
    const recipients = () => recipientsToLookUp(this, caller, submission, terms);
    const intelligence = await this.lookUp(caller, submission, recipients, { remembered_only: true });
    return this.serve(caller, ["send"], () => judgeSubmission(this, caller, { ...submission, intelligence }, terms));
  }

  async edit(caller: Caller, emailId: string, change: MessageChange): Promise<Outcome<SendAnswer>> {
    const intelligence = await this.lookUp(caller, change, () => {
      const found = this.visibleMessage(caller, emailId);
      return found.ok ? recipientsAfterEdit(this, caller, found.value, change) : [];
    });
    return this.answerIndexed(
      this.withMessage(caller, ["send"], emailId, (message) =>
        editAsAuthor(this, caller, message, { ...change, intelligence }),
      ),
    );
  }

  async cancel(caller: Caller, emailId: string, reason: string | null): Promise<Outcome<EmailSummary>> {
    const outcome = this.withMessage(caller, ["send", "oversight"], emailId, (message) =>
      cancel(this, caller, message, reason),
    );
    if (outcome.ok) await this.indexIfTimed(outcome.value.id);
    return outcome;
  }

  async saveDraft(caller: Caller, draft: NewDraft): Promise<Outcome<Draft>> {
    return this.indexed(this.serve(caller, ["send"], () => saveDraft(this, caller, draft)));
  }

  async drafts(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ drafts: Draft[]; cursor: string | null }>> {
    return this.indexed(this.serve(caller, ["read", "send"], () => listDrafts(this, caller, page)));
  }

  async draft(caller: Caller, draftId: string): Promise<Outcome<Draft>> {
    return this.indexed(this.serve(caller, ["read", "send"], () => readDraft(this, caller, draftId)));
  }

  async sendDraft(caller: Caller, draftId: string, lookUp?: true): Promise<Outcome<SendAnswer>> {
    const terms = await this.termsOf(caller, () => draftedSubmission(this, draftId));
    const intelligence = await this.lookUp(caller, lookUp ? { look_up: lookUp } : {}, () => {
      const submission = completeDraft(this, caller, draftId);
      return submission ? recipientsToLookUp(this, caller, submission, terms) : [];
    });
    return this.answerIndexed(
      this.serve(caller, ["send"], () => sendDraft(this, caller, draftId, { terms, intelligence })),
    );
  }

  async deleteDraft(caller: Caller, draftId: string): Promise<Outcome<Draft>> {
    return this.indexed(this.serve(caller, ["send"], () => deleteDraft(this, caller, draftId)));
  }

  async setPolicy(caller: Caller, policy: Policy, approvedWords: string | null) {
    return this.serve(caller, ["admin"], () => accepted(setPolicy(this, caller, policy, approvedWords)));
  }

  async allowlist(caller: Caller, page: { limit: number; cursor: string | null }) {
    return this.serve(caller, ANYONE, () => readAllowlist(this, caller, page));
  }

  async allow(caller: Caller, entry: { recipient: string; note: string | null }, approvedWords: string | null) {
    return this.serve(caller, ["admin"], () => allow(this, caller, entry, approvedWords));
  }

  async disallow(caller: Caller, entryId: string): Promise<Outcome<AllowlistEntry>> {
    return this.serve(caller, ["admin"], () => disallow(this, caller, entryId));
  }

  async proposeTemplate(caller: Caller, template: NewTemplate): Promise<Outcome<Template>> {
    const outcome = this.serve(caller, ["send", "admin"], () => propose(this, caller, template));
    if (!outcome.ok) return this.indexed(outcome);
    const { id, pending_id } = outcome.value;
    if (pending_id) await this.indexIfTimed(pending_id);
    await withPatience(this.projectTemplate(id), `the template ${id} will be listed later`);
    return outcome;
  }

  async template(caller: Caller, templateId: string): Promise<Outcome<Template>> {
    return this.indexed(this.serve(caller, ANYONE, () => readTemplate(this, caller, templateId)));
  }

  async readTemplates(caller: Caller, ids: string[]): Promise<Outcome<Template[]>> {
    return this.indexed(this.serve(caller, ANYONE, () => readTemplates(this, caller, ids)));
  }

  async approvedTemplate(caller: Caller, templateId: string): Promise<Outcome<Template>> {
    return this.serve(caller, ["send"], () => approvedTemplate(this, templateId));
  }

  async deleteTemplate(caller: Caller, templateId: string): Promise<Outcome<Template>> {
    const outcome = this.serve(caller, ["send", "admin"], () => deleteTemplate(this, caller, templateId));
    if (outcome.ok && outcome.value.pending_id) await this.indexIfTimed(outcome.value.pending_id);
    return this.indexed(outcome);
  }

  async requestUpgrade(
    caller: Caller,
    upgrade: { change: MailboxChange; reason: string | null },
  ): Promise<Outcome<UpgradeRequest>> {
    const outcome = this.serve(caller, ["send", "admin"], () => requestUpgrade(this, caller, upgrade));
    if (outcome.ok) await this.indexIfTimed(outcome.value.pending_id);
    return outcome;
  }

  async applyUpgrade(caller: Caller, pendingId: string, approvedWords: string): Promise<Outcome<Mailbox>> {
    const outcome = this.serve(caller, ["send", "admin"], () => applyUpgrade(this, caller, pendingId, approvedWords));
    if (outcome.ok) await this.indexIfTimed(pendingId);
    return outcome;
  }

  async checkDomain(caller: Caller, domain: string): Promise<Outcome<DomainReport>> {
    const permitted = this.serve(caller, ["send"], () => permitCheck(this, caller, domain));
    if (!permitted.ok) return this.indexed(permitted);
    return accepted(await checkDomain(this, caller, permitted.value));
  }

  async trackRecord(caller: Caller): Promise<Outcome<MailboxRecord>> {
    return this.serve(caller, ANYONE, () => readTrackRecord(this, caller));
  }

  async list(caller: Caller, query: InboxQuery): Promise<Outcome<EmailPage>> {
    return this.indexHeld(caller, () => list(this, caller, query));
  }

  async waitFor(
    caller: Caller,
    query: InboxQuery,
    timeout: number,
  ): Promise<Outcome<{ emails: EmailSummary[]; timed_out: boolean }>> {
    const refusal = this.whyNotAdmitted(caller, ["read"]);
    if (refusal) return { ok: false, refusal };
    return this.indexed(await waitFor(this, caller, query, timeout));
  }

  async read(caller: Caller, emailId: string, options: ReadOptions): Promise<Outcome<StoredEmail>> {
    return this.indexed(
      this.withMessage(caller, ["read"], emailId, (message) => read(this, caller, message, options), { erased: true }),
    );
  }

  async thread(
    caller: Caller,
    threadId: string,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<ThreadPage>> {
    return this.indexHeld(caller, () => thread(this, caller, threadId, page));
  }

  async mark(caller: Caller, emailId: string, change: Mark): Promise<Outcome<EmailSummary>> {
    return this.indexed(
      this.withMessage(caller, ["read", "send"], emailId, (message) => mark(this, caller, message, change)),
    );
  }

  async tag(caller: Caller, emailId: string, added: Record<string, string>): Promise<Outcome<Record<string, string>>> {
    return this.indexed(this.withMessage(caller, ["send"], emailId, (message) => tag(this, caller, message, added)));
  }

  async tags(caller: Caller, emailId: string): Promise<Outcome<Record<string, string>>> {
    return this.indexed(this.withMessage(caller, ["read"], emailId, (message) => tags(this, caller, message)));
  }

  async untag(caller: Caller, emailId: string, key: string): Promise<Outcome<Record<string, string>>> {
    return this.indexed(this.withMessage(caller, ["send"], emailId, (message) => untag(this, caller, message, key)));
  }

  async attachment(caller: Caller, emailId: string, filename: string): Promise<Outcome<StoredAttachment>> {
    return this.indexed(
      this.withMessage(caller, ["read"], emailId, (message) => attachment(this, caller, message, filename)),
    );
  }

  async identityReceipt(caller: Caller, emailId: string): Promise<Outcome<Receipt>> {
    return this.indexed(
      this.withMessage(caller, ["read"], emailId, (message) => identityReceipt(this, caller, message)),
    );
  }

  async pendingItems(caller: Caller, ids: string[], isServed = true): Promise<Outcome<PendingItem[]>> {
    return this.serve(caller, ["oversight", "send", "read"], () => accepted(pendingItems(this, caller, ids, isServed)));
  }

  async decide(caller: Caller, request: DecisionRequest): Promise<Outcome<Decision>> {
    const outcome = this.serve(caller, ["oversight"], () => decideByKey(this, caller, request));
    if (outcome.ok) await this.indexIfTimed(outcome.value.id);
    return outcome;
  }

  async openLink(tokenHash: string, use: ItemUse = "show"): Promise<LinkView> {
    return this.established ? openLink(this, tokenHash, use) : { state: "unknown" };
  }

  async noteRefusedByLink(tokenHash: string, code: ErrorCode): Promise<void> {
    if (this.established) noteRefusedByLink(this, tokenHash, code);
  }

  async decideByLink(tokenHash: string, decision: PersonDecision): Promise<LinkView> {
    if (!this.established) return { state: "unknown" };
    const view = decideByLink(this, tokenHash, decision);
    const link = this.links.find(tokenHash);
    if (view.state === "decided" && view.outcome.just_now && link) await this.indexIfTimed(link.email_id);
    return view;
  }

  async openItem(person: Person, pendingId: string, use: ItemUse): Promise<LinkView> {
    return this.established ? openItem(this, person, pendingId, use) : { state: "unknown" };
  }

  async noteRefusedInSession(person: Person, pendingId: string, code: ErrorCode): Promise<void> {
    if (this.established) await noteRefusedInSession(this, person, pendingId, code);
  }

  async decideInSession(
    person: Person,
    pendingId: string,
    contentHash: string,
    decision: PersonDecision,
  ): Promise<LinkView> {
    if (!this.established) return { state: "unknown" };
    const view = await decideInSession(this, person, pendingId, contentHash, decision);
    if (view.state === "decided" && view.outcome.just_now) await this.indexIfTimed(pendingId);
    return view;
  }

  async itemsFor(person: Person, pendingIds: string[], use: "show" | "ask"): Promise<DecisionItem[]> {
    return this.established ? itemsFor(this, person, pendingIds, use) : [];
  }

  async revokeLinks(tokenHashes: string[], reason: string): Promise<number> {
    return this.established ? revokeLinks(this, tokenHashes, reason) : 0;
  }

  async receive(
    message: ReceivedMessage,
  ): Promise<{ email_id: string; duplicate: boolean; status: Message["status"]; refused?: string } | null> {
    if (!this.established) return null;
    const received = receive(this, message);
    if (
      received &&
      received.refused === undefined &&
      !received.duplicate &&
      isPending(this.messages.get(received.email_id))
    ) {
      await indexPendingNow(this, received.email_id);
    }
    return received;
  }

  async expectReturned(rawKey: string): Promise<boolean> {
    if (this.established) expectReturned(this, rawKey);
    return this.established !== null;
  }

  async takeReturned(returned: ReturnedMail): Promise<ReturnedOutcome> {
    return this.established ? takeReturned(this, returned) : "unknown";
  }

  async takeProviderEvent(event: ProviderEvent): Promise<ReturnedOutcome> {
    return this.established ? takeProviderEvent(this, event) : "unknown";
  }

  async erase(caller: Caller, emailId: string, approvedWords: string | null): Promise<Outcome<EraseAnswer>> {
    const refusal = this.whyNotAdmitted(caller, ["admin"]);
    return refusal ? { ok: false, refusal } : eraseEmail(this, caller, emailId, approvedWords);
  }

  async openRecord(reader: RecordReader, emailId: string): Promise<Outcome<OpenedRecord>> {
    return this.established ? openRecord(this, reader, emailId) : notFound();
  }

  async proveRecord(reader: RecordReader, question: RecordQuestion): Promise<Outcome<RecordProof[]>> {
    return this.established ? proveRecord(this, reader, question) : notFound();
  }

  async exportPage(caller: Caller, from: string | null): Promise<Outcome<MailboxExport>> {
    return this.serve(caller, ["admin"], () => {
      if (from === null) this.commit(() => this.record({ actor: actorOf(caller), action: "mailbox.exported" }));
      return accepted(exportPage(this, from));
    });
  }

  async surveyContact(tenantId: string, address: string): Promise<Outcome<ContactSurvey>> {
    return this.isOf(tenantId) ? accepted(await surveyContact(this, address)) : notFound();
  }

  async eraseContact(job: ContactErasure, from: ErasurePosition | null): Promise<Outcome<ErasureSteps>> {
    return this.isOf(job.tenant_id) ? accepted(await eraseContact(this, job, from)) : notFound();
  }

  private isOf(tenantId: string): boolean {
    return this.established?.tenant_id === tenantId;
  }

  async openUnsubscribe(emailId: string, position: number | null): Promise<UnsubscribeView | null> {
    return this.established ? openUnsubscribe(this, emailId, position) : null;
  }

  async unsubscribe(emailId: string, whom: number | string): Promise<boolean> {
    return this.established ? unsubscribe(this, emailId, whom) : false;
  }

  async ping(): Promise<true> {
    this.sql.exec("SELECT 1").one();
    return true;
  }

  /** Admits the caller, then does the work. */
  private serve<T>(caller: Caller, scopes: readonly Scope[], work: () => Outcome<T>): Outcome<T> {
    const refusal: Refusal | null = this.whyNotAdmitted(caller, scopes);
    return refusal ? { ok: false, refusal } : work();
  }

  /** A submission with what was read of the message that it forwards, for a caller who may send. Read before the transaction, too. */
  private async withOriginal(caller: Caller, submission: Submission): Promise<Outcome<Submission>> {
    const refusal = this.whyNotAdmitted(caller, ["send"]);
    if (refusal) return { ok: false, refusal };
    const original = await originalFor(this, caller, submission);
    return original.ok ? accepted({ ...submission, original: original.value }) : original;
  }

  /** What a send meets in its account, for a caller who may send. Looked up before the transaction, which cannot wait. */
  private async termsOf(caller: Caller, find: () => Submission | null): Promise<SendingTerms | null> {
    const submission = this.whyNotAdmitted(caller, ["send"]) ? null : find();
    return submission && termsFor(this, submission);
  }

  /**
   * Looks up the domains that a message would go to, for a caller who may send, where it was asked for.
   * @param find whom it is for; nobody where nothing may be looked up.
   */
  private async lookUp(
    caller: Caller,
    { look_up }: { look_up?: true },
    find: () => string[],
    options = { remembered_only: false },
  ): Promise<DomainIntelligence | null> {
    if (!look_up || this.whyNotAdmitted(caller, ["send"])) return null;
    return lookUpRecipients(this, { actor: actorOf(caller), test: caller.test }, find(), options);
  }

  private withMessage<T>(
    caller: Caller,
    scopes: readonly Scope[],
    id: string,
    work: (message: Message) => Outcome<T>,
    options = { erased: false },
  ): Outcome<T> {
    return this.serve(caller, scopes, () => {
      const found = this.visibleMessage(caller, id);
      if (!found.ok) return found;
      const isGone = found.value.erased_at !== null && !options.erased;
      return isGone ? wrongState(found.value, "This message was erased.") : work(found.value);
    });
  }

  private indexHeld<T>(caller: Caller, work: () => Outcome<T>): Promise<Outcome<T>> {
    return this.indexed(this.serve(caller, ["read"], work));
  }

  /** A query that was held is answered once the pending index has it. */
  private async indexed<T>(outcome: Outcome<T>): Promise<Outcome<T>> {
    const pending = outcome.ok ? null : outcome.refusal.code === "held" ? outcome.refusal.detail?.pending_id : null;
    if (typeof pending === "string") await this.indexIfTimed(pending);
    return outcome;
  }

  /** Committed. A crash while the index is written leaves it to the `index` timer. */
  private async answerIndexed(
    outcome: Outcome<{ answer: SendAnswer; held: Message | null }>,
  ): Promise<Outcome<SendAnswer>> {
    if (!outcome.ok) return outcome;
    await this.indexIfTimed(outcome.value.answer.id);
    return accepted(outcome.value.answer);
  }

  private async indexIfTimed(id: string): Promise<void> {
    const item = findItem(this, id);
    if (item && this.timers.get("index", item.id)) await indexPendingNow(this, item.id);
  }

  /** Brings the settings to D1, where doors and inbound mail look mailboxes up. */
  private async project(): Promise<void> {
    const version = this.head();
    const mailbox = this.settings();
    await projectMailbox(this.env.DB, mailbox, version);
    if (canStop(mailbox, this.settings())) this.commit(() => this.unschedule("project", mailbox.id));
  }

  /** Brings a template to D1, where lists across mailboxes find it. */
  private async projectTemplate(id: string): Promise<void> {
    const template = findTemplate(this, id);
    const { tenant_id } = this.settings();
    await projectTemplate(this.env.DB, { id, tenant_id, mailbox_id: this.settings().id, template }, this.head());
    if (canStop(template, findTemplate(this, id))) this.commit(() => this.unschedule("template", id));
  }

  private async sweep(): Promise<void> {
    const mailbox = this.settings();
    const knows = (id: string) => this.messages.find(id)?.erased_at === null || this.hasDraft(id);
    const removed = await sweepStore(this.env.STORE, mailbox, knows, this.now());
    this.commit(() => {
      this.forgetExpired();
      forgetOldCounts(this);
      if (removed > 0) this.record({ actor: SYSTEM, action: "store.swept", detail: { removed } });
      this.schedule("sweep", mailbox.id, this.now() + DAY);
    });
  }
}

function canStop<T>(projected: T, now: T): boolean {
  return JSON.stringify(projected) === JSON.stringify(now);
}
