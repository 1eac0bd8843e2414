import type { OnlyNamed } from "../../src/audit/actions.ts";
import type { Actor } from "../../src/audit/entry.ts";
import { type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { asEmailId, routingNumberOf } from "../../src/ids.ts";
import { DMARC_DEFAULTS } from "../../src/mail/dmarc-action.ts";
import { FORWARD_DEFAULTS } from "../../src/mail/forward-rules.ts";
import { BULK_PERIOD } from "../../src/mail/promotional.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { AllowlistEntry } from "../../src/operations/shapes/recipient-lists.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";
import { KEEPING_DEFAULTS } from "../../src/oversight/content-retention.ts";
import type { Verdict } from "../../src/oversight/policy.ts";
import { OPEN_POLICY, type Policy } from "../../src/oversight/rules/policy-type.ts";
import type { OutboundStatus } from "../../src/oversight/statuses.ts";
import { nextStatus, type OutboundEvent, type OutboundFacts } from "../../src/oversight/transitions.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import { sizeOf } from "../ledger/chain.ts";
import type { NewEntry } from "../ledger/log.ts";
import { Ledger } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import { factsOf } from "./facts.ts";
import { forwardLater } from "./forward-arrivals.ts";
import { History } from "./history.ts";
import { LinkStore } from "./link-store.ts";
import { type Message, Messages, outboundOf } from "./messages.ts";
import { Requests } from "./requests.ts";
import { MAILBOX_SCHEMA } from "./schema.ts";
import { TemplateVersions } from "./templates.ts";
import { judgeMessage } from "./verdict.ts";
import { WaitingList } from "./waiting-list.ts";
import { WaitingReaders } from "./waiting-readers.ts";

/** An entry about this mailbox or one of its messages. */
export type MailboxEntry = Omit<NewEntry, "resource" | "mode"> & {
  message?: Message;
  resource?: NewEntry["resource"];
  /**
   * The message or draft whose key does not seal this entry: it says what somebody noted of the item, so that erasing whom they named
   * must not take the rest of the item's record. The entry's own key goes with the item.
   */
  apartOf?: string;
};

/** A mailbox that was made before it had several approvers has the one it had, and the defaults of the rest. */
function withLaterSettings(stored: Mailbox): Mailbox {
  const { approver_email, approver_pending } = stored;
  const approvers = approver_email === null ? [] : [approver_email];
  return {
    ...{ approvers, approvers_pending: approver_pending ? approvers : [], quorum: 1, delegations: [], paused: false },
    ...{ escalate_after: null, expires_after: 7 * 24 * 3600, notify: "at_once" as const },
    ...DMARC_DEFAULTS,
    ...FORWARD_DEFAULTS,
    ...KEEPING_DEFAULTS,
    ...stored,
  };
}

/** What the mailbox object's parts work with: its settings, its messages, its chain, and the questions of oversight. */
export abstract class MailboxBase extends Ledger {
  protected readonly schemaVersions = MAILBOX_SCHEMA;
  readonly messages: Messages = new Messages(this.sql);
  readonly requests: Requests = new Requests(this.sql);
  readonly templates: TemplateVersions = new TemplateVersions(this.sql);
  readonly links: LinkStore = new LinkStore(this.sql);
  readonly waiting: WaitingList = new WaitingList(this.sql);
  readonly history: History = new History(this.sql, () => this.now());
  /** The calls that wait for mail. */
  readonly readers: WaitingReaders = new WaitingReaders();
  /** Mail that an agent may read once what is under way is committed, by id. */
  private announced: string[] = [];
  /** How many transactions are open, one inside the other. */
  private depth = 0;
  /** What was read of the settings; forgotten when any of it is written. */
  private cached: { mailbox?: Mailbox; policy?: Policy; allowlist?: AllowlistEntry[] } = {};

  /** @throws Error before the mailbox was created. */
  settings(): Mailbox {
    this.cached.mailbox ??= withLaterSettings(
      JSON.parse(this.sql.exec<{ mailbox: string }>("SELECT mailbox FROM settings").one().mailbox) as Mailbox,
    );
    return this.cached.mailbox;
  }

  /** Inside `commit`. */
  saveSettings(mailbox: Mailbox): void {
    this.sql.exec("INSERT OR REPLACE INTO settings VALUES (1, ?)", JSON.stringify(mailbox));
    this.cached = {};
  }

  /** What its rules are; nothing is restricted before any were set. */
  rules(): Policy {
    const row = this.cached.policy ? null : this.sql.exec<{ policy: string }>("SELECT policy FROM policy").toArray()[0];
    this.cached.policy ??= row ? (JSON.parse(row.policy) as Policy) : OPEN_POLICY;
    return this.cached.policy;
  }

  /** Inside `commit`. */
  savePolicy(policy: Policy): void {
    this.sql.exec("INSERT OR REPLACE INTO policy VALUES (1, ?)", JSON.stringify(policy));
    this.cached = {};
  }

  /** Recipients that a human has approved beforehand, the oldest entry first. */
  allowedRecipients(): AllowlistEntry[] {
    this.cached.allowlist ??= this.sql
      .exec<AllowlistEntry & Record<string, SqlStorageValue>>(
        "SELECT id, recipient, note, approval_ref, created_at FROM allowlist ORDER BY id",
      )
      .toArray();
    return this.cached.allowlist;
  }

  /** Inside `commit`. */
  addToAllowlist({ id, recipient, note, approval_ref, created_at }: AllowlistEntry): void {
    this.sql.exec("INSERT INTO allowlist VALUES (?, ?, ?, ?, ?)", id, recipient, note, approval_ref, created_at);
    this.cached = {};
  }

  /** Inside `commit`. */
  forgetAllowlistNote(id: string): void {
    this.sql.exec("UPDATE allowlist SET note = NULL WHERE id = ?", id);
    this.cached = {};
  }

  /** Inside `commit`. */
  removeFromAllowlist(id: string): void {
    this.sql.exec("DELETE FROM allowlist WHERE id = ?", id);
    this.cached = {};
  }

  /**
   * Also forgets the settings read inside a transaction that was rolled back, and tells those who wait of mail only once it is
   * there for good.
   */
  override commit<T>(fn: () => T): T {
    let value: T;
    this.depth += 1;
    try {
      value = super.commit(fn);
    } catch (error) {
      this.cached = {};
      this.announced = [];
      throw error;
    } finally {
      this.depth -= 1;
    }
    // Inside another transaction nothing is there for good yet.
    if (this.depth === 0) for (const id of this.announced.splice(0)) this.readers.tell(this.messages.get(id));
    return value;
  }

  hasDraft(id: string): boolean {
    return this.sql.exec("SELECT 1 FROM drafts WHERE id = ?", id).toArray().length > 0;
  }

  removeDraft(id: string): void {
    this.sql.exec("DELETE FROM drafts WHERE id = ?", id);
  }

  routing(): string {
    const routing = routingNumberOf(this.settings().id);
    if (!routing) throw new Error("the mailbox's id has no routing number");
    return routing;
  }

  /** Appends an audit entry about the mailbox or, with `message`, about that message, sealed under the message's key or `apartOf` it. */
  record<E extends MailboxEntry>(entry: E & OnlyNamed<E>): void {
    this.recordChecked(entry);
  }

  /** The same of an entry whose fields were checked where it was made. Inside `commit`. */
  recordChecked({ message, resource, apartOf, ...entry }: MailboxEntry): void {
    const mailbox = this.settings();
    const { id } = this.appendChecked({
      ...entry,
      resource: message ? { type: "email", id: message.id } : (resource ?? { type: "mailbox", id: mailbox.id }),
      mode: message ? message.record.mode : mailbox.oversight_mode,
      ...(message && apartOf === undefined && { sealedBy: message.id }),
    });
    if (apartOf !== undefined) this.sql.exec("INSERT INTO apart_keys VALUES (?, ?)", apartOf, id);
  }

  /** Records an event about a message for the world outside. Inside `commit`. */
  emit(type: EventType, message: Message, data: Record<string, unknown> = {}): void {
    this.emitEvent(type, { message, data: { status: message.status, ...data } });
  }

  /** Records an event for the world outside. Inside `commit`. */
  emitEvent(type: EventType, { message, data }: { message: Message | null; data: Record<string, unknown> }): void {
    const mailbox = this.settings();
    this.appendEvent(type, {
      mailbox: mailbox.address,
      mailbox_id: mailbox.id,
      message_id: message?.id ?? null,
      email_id: message?.id ?? null,
      thread_id: message?.thread_id ?? null,
      data,
    });
  }

  /**
   * Tells the world outside, and whoever waits, of mail that the agent may read from now on, and has it passed on where a person
   * wants that. Inside `commit`.
   */
  announce(message: Message): void {
    const authentication = message.record.inbound?.authentication;
    if (!authentication) throw new Error(`${message.id} did not come in`);
    const { dkim_result, dkim_domain, dkim_selector, spf_result, dmarc_result } = authentication;
    this.emit("message.received", message, { dkim_result, dkim_domain, dkim_selector, spf_result, dmarc_result });
    this.announced.push(message.id);
    forwardLater(this, message);
  }

  /**
   * Lets a caller in, or says why not. A mailbox of another tenant and one that was never made are the same `not_found`.
   * @param scopes any one of them is enough.
   */
  whyNotAdmitted(caller: Caller, scopes: readonly Scope[]): Refusal | null {
    if (!this.established || this.established.tenant_id !== caller.tenant_id) return NOT_FOUND;
    if (!scopes.some((scope) => caller.scopes.includes(scope))) {
      return { code: "missing_scope", error: `This needs a key with the scope ${scopes.join(" or ")}.` };
    }
    if (caller.mailbox_ids !== null && !caller.mailbox_ids.includes(this.settings().id)) {
      return { code: "mailbox_not_allowed", error: "This key is bound to other mailboxes." };
    }
    return null;
  }

  /**
   * The message of that id as this caller may know it. Mail that a human has not released, or refused, does not exist for an agent.
   * @param id `em_…` or `pend_…`.
   */
  visibleMessage(caller: Caller, id: string): Outcome<Message> {
    const emailId = asEmailId(id);
    const message = emailId === null ? null : this.messages.find(emailId);
    if (!message || (isWithheld(message) && !mayOversee(caller))) return { ok: false, refusal: NOT_FOUND };
    return { ok: true, value: message };
  }

  /** What the state machine looks at, for a message as it stands now. */
  facts(message: Message, verdict?: Verdict): OutboundFacts {
    return factsOf(this, message, verdict);
  }

  /** What mode and the standing rules say of a message now, whatever they said when it was submitted. */
  verdictNow(message: Message): Verdict {
    return judgeMessage(this, message, this.messages.bodies(message.seq), "standing");
  }

  /** The same for a message whose time has come: the rules of the moment are asked too, unless it was let go before. */
  verdictAtDue(message: Message): Verdict {
    const at = outboundOf(message).let_go_at === null ? "moment" : "standing";
    return judgeMessage(this, message, this.messages.bodies(message.seq), at);
  }

  database(): D1Database {
    return this.env.DB;
  }

  /** How many audit entries there are: a version of everything, since every change has its entry. */
  head(): number {
    return sizeOf(this.sql);
  }

  /** Ends a timer, unless it was set anew while its work was under way. */
  finish({ kind, ref, due }: Timer): void {
    if (this.timers.get(kind, ref)?.due === due) this.timers.clear(kind, ref);
  }

  /** Forgets what nobody asks for any more. Inside `commit`. */
  forgetExpired(): void {
    this.sql.exec("DELETE FROM idempotency WHERE expires_at <= ?", this.now());
    this.sql.exec("DELETE FROM same_words WHERE at <= ?", this.now() - BULK_PERIOD);
    this.history.forgetLetGo();
  }

  /** What an idempotency key was used for, or null if it was not, or too long ago. */
  idempotencyEntry(key: string): { digest: string; email_id: string } | null {
    return (
      this.sql
        .exec<{ digest: string; email_id: string }>(
          "SELECT digest, email_id FROM idempotency WHERE key = ? AND expires_at > ?",
          key,
          this.now(),
        )
        .toArray()[0] ?? null
    );
  }

  /** Inside `commit`. @returns false if the claim with that nonce came before. */
  rememberNonce(nonce: string, seq: number): boolean {
    return (
      this.sql
        .exec("INSERT INTO seen_nonces VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING nonce", nonce, seq)
        .toArray().length > 0
    );
  }

  rememberIdempotency(key: string, entry: { digest: string; email_id: string; expires_at: number }): void {
    this.sql.exec(
      "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?)",
      key,
      entry.digest,
      entry.email_id,
      entry.expires_at,
    );
  }

  /** Asks the table and takes the step. Inside `commit`. @returns whether the event applied. */
  advance(message: Message, event: OutboundEvent, verdict?: Verdict): boolean {
    const to = nextStatus(message.status as OutboundStatus, event, this.facts(message, verdict));
    if (to === null) return false;
    message.status = to;
    return true;
  }
}

const NOT_FOUND: Refusal = { code: "not_found", error: "There is nothing here by that id." };

export function notFound(): Outcome<never> {
  return { ok: false, refusal: NOT_FOUND };
}

/** The one who acts, as the audit log names them. */
export function actorOf(caller: Caller): Actor {
  // Set-up: the person who holds the deployment's own token.
  if (caller.via === "system") return { type: "human", id: "operator", via: "system" };
  return {
    type: "agent",
    id: caller.agent_id ?? caller.key_id,
    key_id: caller.key_id,
    ...(caller.agent_id !== null && { agent_id: caller.agent_id }),
    via: caller.via,
  };
}

/** Inbound mail that a human has not released or has refused: an agent does not see it. */
export function isWithheld({ status, direction, record }: Message): boolean {
  const isHeld = status === "pending_inbound_approval" || status === "rejected";
  return direction === "inbound" && (isHeld || record.inbound?.set_aside !== undefined);
}

/** Whether the key is a human's instrument rather than an agent's. */
export function mayOversee(caller: Caller): boolean {
  return caller.scopes.includes("oversight");
}

/** Whether the key may do what is the operator's to do. */
export function isOperators(caller: Caller): boolean {
  return caller.scopes.includes("admin");
}

export function wrongState(message: Message, sentence: string): Outcome<never> {
  return refused("wrong_state", sentence, { detail: { status: message.status } });
}
