import type { Env } from "../src/env.ts";
import type { Outcome, Refusal } from "../src/errors.ts";
import { accepted, refused } from "../src/errors.ts";
import { asEmailId } from "../src/ids.ts";
import type { ReceivedMessage, StoredAttachment } from "../src/mail/message.ts";
import type { Decision, Email, EmailSummary, Mailbox, PendingItem, SendAnswer } from "../src/operations/shapes.ts";
import type { Caller, Scope } from "../src/oversight/caller.ts";
import { POLICY } from "../src/oversight/policy.ts";
import type { InboundStatus } from "../src/oversight/statuses.ts";
import { nextInboundStatus } from "../src/oversight/transitions.ts";
import { projectMailbox } from "../src/store/mailbox-projection.ts";
import { SYSTEM } from "./ledger.ts";
import { cancel, mark, tag, untag } from "./mailbox/annotate.ts";
import { actorOf, MailboxBase, mayOversee, notFound } from "./mailbox/base.ts";
import { decideByKey } from "./mailbox/decide.ts";
import { deliver } from "./mailbox/delivery.ts";
import { expirePending } from "./mailbox/expire.ts";
import { decodeCursor, encodeCursor, findMessages, RELEASED } from "./mailbox/inbox-query.ts";
import { decideByLink, openLink, revokeLinks } from "./mailbox/links.ts";
import type { Message } from "./mailbox/messages.ts";
import { indexPending, indexPendingNow, isPending } from "./mailbox/pending.ts";
import { copyOverseer, notifyApprover } from "./mailbox/people.ts";
import { receive } from "./mailbox/receive.ts";
import { update } from "./mailbox/settings.ts";
import { submit } from "./mailbox/submit.ts";
import { sweepStore } from "./mailbox/sweep.ts";
import { email, emailSummary, pendingItem } from "./mailbox/views.ts";
import type {
  DecisionRequest,
  EmailPage,
  InboxQuery,
  LinkView,
  MailboxChange,
  MailboxRpc,
  Mark,
  ReadOptions,
  StoredEmail,
  Submission,
  ThreadPage,
  UpdateAnswer,
} from "./mailbox-rpc.ts";
import type { Timer } from "./timers.ts";

const DAY = 24 * 3600_000;

/** One mailbox: its messages, its queue, its audit chain. Named by the mailbox's routing number. */
export class MailboxObject extends MailboxBase implements MailboxRpc {
  protected readonly slowTimers: ReadonlySet<string> = new Set(["deliver", "notify", "copy", "sweep"]);

  private readonly timerWork: Readonly<Record<string, (timer: Timer) => Promise<void> | void>> = {
    deliver: (timer) => deliver(this, timer),
    notify: (timer) => notifyApprover(this, timer),
    copy: (timer) => copyOverseer(this, timer),
    expire: (timer) => expirePending(this, timer),
    index: (timer) => indexPending(this, timer.ref),
    project: () => this.project(),
    sweep: () => this.sweep(),
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.wake();
  }

  protected async runTimer(timer: Timer): Promise<void> {
    const work = this.timerWork[timer.kind];
    if (!work) throw new Error(`there is no work for the timer ${timer.kind}`);
    await work(timer);
  }

  async create(caller: Caller, settings: Mailbox): Promise<Outcome<Mailbox>> {
    if (this.established) {
      const refusal = this.whyNotAdmitted(caller, ["admin"]);
      if (refusal) return { ok: false, refusal };
      const mine = this.settings();
      return mine.id === settings.id ? accepted(mine) : refused("address_taken", "This mailbox number is in use.");
    }
    if (!caller.scopes.includes("admin") || caller.tenant_id !== settings.tenant_id) return notFound();
    this.commit(() => {
      this.establish(settings.id, settings.tenant_id);
      this.saveSettings(settings);
      const { address, display_name, approver_email } = settings;
      this.record({
        actor: actorOf(caller),
        action: "mailbox.created",
        detail: { oversight_mode: settings.oversight_mode, approver_pending: settings.approver_pending },
        personal: { address, display_name, approver_email },
      });
      this.schedule("project", settings.id, this.now());
      this.schedule("sweep", settings.id, this.now() + DAY);
    });
    return accepted(settings);
  }

  async describe(caller: Caller): Promise<Outcome<Mailbox>> {
    return this.serve(caller, ["read", "admin", "oversight", "send"], () => accepted(this.settings()));
  }

  async update(caller: Caller, change: MailboxChange, approvedWords: string | null): Promise<Outcome<UpdateAnswer>> {
    return this.serve(caller, ["admin"], () => accepted(update(this, caller, change, approvedWords)));
  }

  async submit(caller: Caller, submission: Submission): Promise<Outcome<SendAnswer>> {
    const outcome = this.serve(caller, ["send"], () => submit(this, caller, submission));
    if (!outcome.ok) return outcome;
    const { answer, held } = outcome.value;
    // Committed. A crash while the index is written leaves it to the `index` timer.
    if (held) await indexPendingNow(this, held.id);
    return accepted(answer);
  }

  async cancel(caller: Caller, emailId: string, reason: string | null): Promise<Outcome<EmailSummary>> {
    const outcome = this.serve(caller, ["send", "oversight"], () =>
      this.withMessage(caller, emailId, (message) => cancel(this, caller, message, reason)),
    );
    if (outcome.ok) await this.indexIfTimed(outcome.value.id);
    return outcome;
  }

  async list(caller: Caller, query: InboxQuery): Promise<Outcome<EmailPage>> {
    return this.serve(caller, ["read"], () => {
      const denied = this.whyNotRead();
      if (denied) return denied;
      const since = query.since_id === null ? null : this.visibleMessage(caller, query.since_id);
      if (since && !since.ok) return since;
      const found = findMessages(this.sql, query, since?.value.seq ?? null, mayOversee(caller));
      if (!found.ok) return found;
      const { limit: _limit, ...asked } = query;
      this.commit(() =>
        this.record({
          actor: actorOf(caller),
          action: "inbox.listed",
          detail: { results: found.value.messages.length },
          personal: asked,
        }),
      );
      const mailbox = this.settings();
      return accepted({
        emails: found.value.messages.map((message) => emailSummary(message, mailbox)),
        cursor: found.value.cursor,
      });
    });
  }

  async read(caller: Caller, emailId: string, options: ReadOptions): Promise<Outcome<StoredEmail>> {
    return this.serve(caller, ["read"], () => {
      const denied = this.whyNotRead();
      if (denied) return denied;
      return this.withMessage(caller, emailId, (message) => {
        this.commit(() => {
          this.record({
            message,
            actor: actorOf(caller),
            action: "message.read",
            detail: { marked: options.mark_read },
          });
          if (options.mark_read && message.status === "unread") {
            message.status = nextInboundStatus(message.status as InboundStatus, "read") ?? message.status;
            this.messages.save(message);
          }
        });
        return accepted(this.storedEmail(message, options.include_html));
      });
    });
  }

  async thread(
    caller: Caller,
    threadId: string,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<ThreadPage>> {
    return this.serve(caller, ["read"], () => {
      const denied = this.whyNotRead();
      if (denied) return denied;
      const cursor = page.cursor === null ? { seq: 0, order: "asc" as const } : decodeCursor(page.cursor);
      if (cursor?.order !== "asc") return refused("invalid_input", "This cursor is not one that this list gave.");
      const all = this.messages.threadFrom(threadId, cursor.seq, page.limit + 1, mayOversee(caller) ? "1" : RELEASED);
      const shown = all.slice(0, page.limit);
      const first = shown[0];
      if (!first) return notFound();
      this.commit(() =>
        this.record({
          actor: actorOf(caller),
          action: "thread.read",
          resource: { type: "thread", id: threadId },
          detail: { results: shown.length },
        }),
      );
      const last = all[page.limit - 1];
      return accepted({
        thread_id: threadId,
        subject: first.record.subject,
        emails: shown.map((message) => this.storedEmail(message, false)),
        cursor: all.length > page.limit && last ? encodeCursor({ seq: last.seq, order: "asc" }) : null,
      });
    });
  }

  async mark(caller: Caller, emailId: string, change: Mark): Promise<Outcome<EmailSummary>> {
    return this.serve(caller, ["read", "send"], () =>
      this.withMessage(caller, emailId, (message) => mark(this, caller, message, change)),
    );
  }

  async tag(caller: Caller, emailId: string, tags: Record<string, string>): Promise<Outcome<Record<string, string>>> {
    return this.serve(caller, ["send"], () =>
      this.withMessage(caller, emailId, (message) => tag(this, caller, message, tags)),
    );
  }

  async tags(caller: Caller, emailId: string): Promise<Outcome<Record<string, string>>> {
    return this.serve(caller, ["read"], () => {
      const denied = this.whyNotRead();
      if (denied) return denied;
      return this.withMessage(caller, emailId, (message) => {
        this.commit(() => this.record({ message, actor: actorOf(caller), action: "message.tags_read" }));
        return accepted(message.record.tags);
      });
    });
  }

  async untag(caller: Caller, emailId: string, key: string): Promise<Outcome<Record<string, string>>> {
    return this.serve(caller, ["send"], () =>
      this.withMessage(caller, emailId, (message) => untag(this, caller, message, key)),
    );
  }

  async attachment(caller: Caller, emailId: string, filename: string): Promise<Outcome<StoredAttachment>> {
    return this.serve(caller, ["read"], () => {
      const denied = this.whyNotRead();
      if (denied) return denied;
      return this.withMessage(caller, emailId, (message) => {
        const found = message.record.attachments.find(({ name }) => name === filename);
        if (!found) return notFound();
        this.commit(() =>
          this.record({
            message,
            actor: actorOf(caller),
            action: "attachment.downloaded",
            detail: { size: found.size },
            personal: { file_name: found.name, sha256: found.sha256 },
          }),
        );
        return accepted(found);
      });
    });
  }

  async pendingItems(caller: Caller, ids: string[]): Promise<Outcome<PendingItem[]>> {
    return this.serve(caller, ["oversight", "send"], () => {
      const items = ids.map((id) => this.pendingItem(caller, id)).filter((item) => item !== null);
      this.commit(() =>
        this.record({
          actor: actorOf(caller),
          action: "pending.read",
          detail: { items: items.map((item) => item.id) },
        }),
      );
      return accepted(items);
    });
  }

  private pendingItem(caller: Caller, id: string): PendingItem | null {
    const message = this.messages.find(asEmailId(id) ?? "");
    if (!message?.record.hold) return null;
    const own = message.record.outbound?.author.key_id === caller.key_id;
    if (!mayOversee(caller) && !own) return null;
    return pendingItem(message, this.messages.bodies(message.seq), this.settings());
  }

  async decide(caller: Caller, request: DecisionRequest): Promise<Outcome<Decision>> {
    const outcome = this.serve(caller, ["oversight"], () => decideByKey(this, caller, request));
    if (outcome.ok) await this.indexIfTimed(outcome.value.id);
    return outcome;
  }

  async openLink(tokenHash: string): Promise<LinkView> {
    return this.established ? openLink(this, tokenHash) : { state: "unknown" };
  }

  async decideByLink(tokenHash: string, decision: "approve" | "reject", note: string | null): Promise<LinkView> {
    if (!this.established) return { state: "unknown" };
    const view = decideByLink(this, tokenHash, decision, note);
    const link = this.findLink(tokenHash);
    if (view.state === "decided" && view.outcome.just_now && link) await this.indexIfTimed(link.email_id);
    return view;
  }

  async revokeLinks(tokenHashes: string[], reason: string): Promise<number> {
    return this.established ? revokeLinks(this, tokenHashes, reason) : 0;
  }

  async receive(
    message: ReceivedMessage,
  ): Promise<{ email_id: string; duplicate: boolean; status: Message["status"] } | null> {
    if (!this.established) return null;
    const received = receive(this, message);
    if (received && !received.duplicate && isPending(this.messages.get(received.email_id))) {
      await indexPendingNow(this, received.email_id);
    }
    return received;
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

  private withMessage<T>(caller: Caller, id: string, work: (message: Message) => Outcome<T>): Outcome<T> {
    const found = this.visibleMessage(caller, id);
    return found.ok ? work(found.value) : found;
  }

  /** What the mode says of reading. A held read is never answered. */
  private whyNotRead(): Outcome<never> | null {
    const { oversight_mode } = this.settings();
    if (POLICY.read[oversight_mode] === "allow") return null;
    return refused(
      "read_needs_approval",
      `This mailbox is ${oversight_mode}: a human must approve what an agent reads.`,
      {
        hint: "Ask the operator for gated_send if the agent is to read freely.",
      },
    );
  }

  private storedEmail(message: Message, includeHtml: boolean): StoredEmail {
    const bodies = this.messages.bodies(message.seq);
    const whole: Email = email(message, bodies, this.messages.deliveries(message.seq), this.settings());
    if (includeHtml) return { email: whole, bodies_key: bodies.bodies_key };
    const { html: _html, ...rest } = whole;
    return { email: rest, bodies_key: bodies.bodies_key };
  }

  private async indexIfTimed(emailId: string): Promise<void> {
    if (this.timers.get("index", emailId)) await indexPendingNow(this, emailId);
  }

  /** Brings the settings to D1, where doors and inbound mail look mailboxes up. */
  private async project(): Promise<void> {
    const version = this.head();
    const mailbox = this.settings();
    await projectMailbox(this.env.DB, mailbox, version);
    if (canStop(mailbox, this.settings())) this.commit(() => this.unschedule("project", mailbox.id));
  }

  private async sweep(): Promise<void> {
    const mailbox = this.settings();
    const removed = await sweepStore(this.env.STORE, mailbox, (id) => this.messages.find(id) !== null, this.now());
    this.commit(() => {
      this.forgetExpired();
      if (removed > 0) this.record({ actor: SYSTEM, action: "store.swept", detail: { removed } });
      this.schedule("sweep", mailbox.id, this.now() + DAY);
    });
  }
}

function canStop(projected: Mailbox, now: Mailbox): boolean {
  return JSON.stringify(projected) === JSON.stringify(now);
}
