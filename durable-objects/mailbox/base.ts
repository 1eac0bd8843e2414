import type { Actor } from "../../src/audit/entry.ts";
import type { Env } from "../../src/env.ts";
import { type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { asEmailId, newId, routingNumberOf } from "../../src/ids.ts";
import type { Mailbox } from "../../src/operations/shapes.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";
import { stricter } from "../../src/oversight/modes.ts";
import { judgeSend } from "../../src/oversight/policy.ts";
import type { OutboundStatus } from "../../src/oversight/statuses.ts";
import { nextStatus, type OutboundEvent, type OutboundFacts } from "../../src/oversight/transitions.ts";
import type { EventType, WebhookEvent } from "../../src/webhooks/event.ts";
import { Ledger, type NewEntry } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { Link } from "./links.ts";
import { type Message, Messages, outboundOf } from "./messages.ts";
import { MAILBOX_SCHEMA } from "./schema.ts";

/** An entry about this mailbox or one of its messages. */
export type MailboxEntry = Omit<NewEntry, "resource" | "mode"> & { message?: Message; resource?: NewEntry["resource"] };

/** What the mailbox object's parts work with: its settings, its messages, its chain, and the questions of oversight. */
export abstract class MailboxBase extends Ledger {
  protected readonly schemaVersions = MAILBOX_SCHEMA;
  readonly messages: Messages = new Messages(this.sql);
  private cached: Mailbox | null = null;

  /** @throws Error before the mailbox was created. */
  settings(): Mailbox {
    this.cached ??= JSON.parse(
      this.sql.exec<{ mailbox: string }>("SELECT mailbox FROM settings").one().mailbox,
    ) as Mailbox;
    return this.cached;
  }

  /** Inside `commit`. */
  saveSettings(mailbox: Mailbox): void {
    this.sql.exec("INSERT OR REPLACE INTO settings VALUES (1, ?)", JSON.stringify(mailbox));
    this.cached = null;
  }

  /** Also forgets the settings read inside a transaction that was rolled back. */
  override commit<T>(fn: () => T): T {
    try {
      return super.commit(fn);
    } catch (error) {
      this.cached = null;
      throw error;
    }
  }

  routing(): string {
    const routing = routingNumberOf(this.settings().id);
    if (!routing) throw new Error("the mailbox's id has no routing number");
    return routing;
  }

  time(): string {
    return new Date(this.now()).toISOString();
  }

  /** Appends an audit entry about the mailbox or, with `message`, about that message, sealed under the message's key. */
  record({ message, resource, ...entry }: MailboxEntry): void {
    const mailbox = this.settings();
    this.append({
      ...entry,
      resource: message ? { type: "email", id: message.id } : (resource ?? { type: "mailbox", id: mailbox.id }),
      mode: message ? message.record.mode : mailbox.oversight_mode,
      ...(message && { sealedBy: message.id }),
    });
  }

  /** Records an event for the world outside. Inside `commit`. */
  emit(type: EventType, message: Message, data: Record<string, unknown> = {}): void {
    const { sequence } = this.sql
      .exec<{ sequence: number }>("SELECT coalesce(max(sequence) + 1, 0) AS sequence FROM events")
      .one();
    const mailbox = this.settings();
    const event: WebhookEvent = {
      id: newId("evt", this.now()),
      type,
      event: type,
      event_type: type,
      timestamp: this.time(),
      sequence,
      tenant_id: mailbox.tenant_id,
      mailbox: mailbox.address,
      mailbox_id: mailbox.id,
      message_id: message.id,
      email_id: message.id,
      thread_id: message.thread_id,
      data: { status: message.status, ...data },
    };
    this.sql.exec("INSERT INTO events VALUES (?, ?)", sequence, JSON.stringify(event));
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
  facts(message: Message): OutboundFacts {
    const outbound = outboundOf(message);
    const { decision } = message.record;
    return {
      verdict: this.verdictNow(message).verdict,
      approved: decision?.decision === "approve" && !decision.void && decision.content_hash === outbound.content_hash,
      due: true,
      gate_timing: "gate_first",
      scanning: false,
      paused: false,
      any_accepted: this.messages.deliveries(message.seq).some((row) => row.state === "accepted"),
    };
  }

  /** What mode and rules say of a message now, whatever they said when it was submitted. */
  verdictNow(message: Message) {
    const requested = outboundOf(message).requested_mode;
    const { oversight_mode } = this.settings();
    return judgeSend(requested === null ? oversight_mode : stricter(oversight_mode, requested));
  }

  schedule(kind: string, ref: string, due: number, options: { attempts?: number; leased?: boolean } = {}): void {
    this.timers.set(kind, ref, due, options);
  }

  unschedule(kind: string, ref: string): void {
    this.timers.clear(kind, ref);
  }

  scheduled(kind: string): string[] {
    return this.timers.refs(kind);
  }

  database(): D1Database {
    return this.env.DB;
  }

  /** Resolves once everything committed so far is durable: before anything leaves for the world outside. */
  flush(): Promise<void> {
    return this.ctx.storage.sync();
  }

  environment(): Env {
    return this.env;
  }

  /** How many audit entries there are: a version of everything, since every change has its entry. */
  head(): number {
    return this.sql.exec<{ head: number }>("SELECT coalesce(max(seq) + 1, 0) AS head FROM entries").one().head;
  }

  findLink(tokenHash: string): Link | null {
    return this.sql.exec<Link>("SELECT * FROM links WHERE token_hash = ?", tokenHash).toArray()[0] ?? null;
  }

  addLink(link: Link): void {
    const { token_hash, email_id, approver, content_hash, expires_at } = link;
    this.sql.exec(
      "INSERT INTO links VALUES (?, ?, ?, ?, ?, NULL, 0)",
      token_hash,
      email_id,
      approver,
      content_hash,
      expires_at,
    );
  }

  useLink(tokenHash: string): void {
    this.sql.exec("UPDATE links SET used = 1 WHERE token_hash = ?", tokenHash);
  }

  revokeLink(tokenHash: string, reason: string): void {
    this.sql.exec("UPDATE links SET revoked = ? WHERE token_hash = ?", reason, tokenHash);
  }

  /** Withdraws whatever links a message has, those that decided once included. @returns how many were live. */
  revokeLinksOf(emailId: string, reason: string): number {
    return this.sql.exec("UPDATE links SET revoked = ? WHERE email_id = ? AND revoked IS NULL", reason, emailId)
      .rowsWritten;
  }

  /** Ends a timer, unless it was set anew while its work was under way. */
  finish({ kind, ref, due }: Timer): void {
    if (this.timers.get(kind, ref)?.due === due) this.timers.clear(kind, ref);
  }

  /** Forgets idempotency keys whose time is over. Inside `commit`. */
  forgetExpired(): void {
    this.sql.exec("DELETE FROM idempotency WHERE expires_at <= ?", this.now());
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
  advance(message: Message, event: OutboundEvent): boolean {
    const to = nextStatus(message.status as OutboundStatus, event, this.facts(message));
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
export function isWithheld({ status, direction }: Message): boolean {
  return direction === "inbound" && (status === "pending_inbound_approval" || status === "rejected");
}

/** Whether the key is a human's instrument rather than an agent's. */
export function mayOversee(caller: Caller): boolean {
  return caller.scopes.includes("oversight");
}

export function wrongState(message: Message, sentence: string): Outcome<never> {
  return refused("wrong_state", sentence, { detail: { status: message.status } });
}
