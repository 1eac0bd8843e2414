import { createHash } from "node:crypto";
import { comparableAddress, domainOf } from "../../src/mail/address.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import { signDkim } from "../../src/mail/dkim-sign.ts";
import type { MessageContent, StoredAttachment } from "../../src/mail/message.ts";
import { transportFor } from "../../src/mail/transports/choose.ts";
import type { RecipientOutcome, Transport } from "../../src/mail/transports/transport.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import { rawKey } from "../../src/store/mail-store.ts";
import { SYSTEM } from "../ledger.ts";
import type { SealedIdentityKey } from "../tenant-rpc.ts";
import { backoff, GIVE_UP_AFTER, type Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { count } from "./counts.ts";
import { noteTrouble } from "./fall-back.ts";
import { type AttemptIdentity, identityOfAttempt, keepIdentity } from "./identity.ts";
import { contentOf, type DeliveryRow, type Message, outboundOf } from "./messages.ts";
import { takeBackIfTightened } from "./take-back.ts";

/** Bounds one attempt; the lease is longer, so that it never ends while an attempt still runs. */
export const ATTEMPT_LIMIT = 60_000;
const LEASE = 90_000;
const PAUSED_RECHECK = 60_000;

/** Serves a `deliver` timer: one attempt, or the end of trying. */
export async function deliver(box: MailboxBase, timer: Timer): Promise<void> {
  // Before the tenant is asked: while it does not answer, what was interrupted can be cancelled, and waits if it must.
  if (box.messages.get(timer.ref).status === "sending" && !box.commit(() => recoverAttempt(box, timer))) return;
  // Asked before each attempt; if the tenant does not answer, the attempt fails and is made later.
  const { agent_id, key_id } = outboundOf(box.messages.get(timer.ref)).author;
  const tenant = box.environment().TENANT.getByName(box.settings().tenant_id);
  const { paused, identity_key } = await tenant.admitDelivery(agent_id ?? key_id);
  const message = box.commit(() => beginAttempt(box, timer, paused));
  if (!message) return;
  // `sending` is committed, and nothing is composed or signed yet: a crash from here on is `recovered` and tried again under
  // the same Message-ID. A cancellation or a stricter mode came before this point or comes too late.
  await box.flush();
  const attempt = await handOver(box, message, identity_key).catch((error): Attempt => {
    // Ours to mend (a setting, an attachment or a key that cannot be read): it waits as after any passing failure.
    console.error(`${message.id} could not be handed over`, error);
    return { outcomes: undelivered(box, message, String(error)), sent: null, transport: null };
  });
  // The far end has answered. A crash before the commit below delivers again, under the same Message-ID.
  const stored = attempt.sent ? await keepRaw(box, message, attempt.sent.raw) : null;
  box.commit(() => finishAttempt(box, message.id, attempt, stored));
}

interface Attempt {
  outcomes: RecipientOutcome[];
  /** What the far end took, if it took it for anyone. */
  sent: Sent | null;
  /** Null if it never came to one. */
  transport: Transport | null;
}

interface Sent {
  /** The signed bytes. */
  raw: Uint8Array;
  identity: AttemptIdentity;
  dkim_selectors: string[];
}

/** Takes up an attempt that a crash interrupted. @returns whether the message is still to be sent. */
function recoverAttempt(box: MailboxBase, timer: Timer): boolean {
  const message = box.messages.get(timer.ref);
  const { attempts } = outboundOf(message);
  if (!box.advance(message, "recovered")) throw new Error(`${message.id} is sending and cannot be recovered`);
  box.record({ message, actor: SYSTEM, action: "delivery.recovered", detail: { attempt: attempts } });
  if (takeBackIfTightened(box, message, SYSTEM)) return false;
  box.messages.save(message);
  return true;
}

/** @returns the message, now `sending`; null if nothing is to be sent. */
function beginAttempt(box: MailboxBase, timer: Timer, paused: boolean): Message | null {
  const message = box.messages.get(timer.ref);
  const outbound = outboundOf(message);
  if (message.status !== "queued") {
    box.unschedule("deliver", message.id);
    return null;
  }
  // The mode may have become stricter while an earlier attempt was under way.
  if (takeBackIfTightened(box, message, SYSTEM)) return null;
  outbound.copy ||= box.verdictNow(message).copy;
  const { paused: stopped, is_active } = box.settings();
  if (paused || stopped || !is_active) {
    waitWhilePaused(box, message);
    return null;
  }
  if (outbound.first_attempt_at !== null && box.now() >= outbound.first_attempt_at + GIVE_UP_AFTER) {
    giveUp(box, message);
    return null;
  }
  if (!box.advance(message, "attempt")) throw new Error(`${message.id} is queued and cannot be attempted`);
  outbound.attempts += 1;
  outbound.first_attempt_at ??= box.now();
  if (box.messages.deliveries(message.seq).length === 0) {
    for (const [position, recipient] of envelopeRecipients(message.record).entries()) {
      box.messages.saveDelivery(message.seq, {
        position,
        recipient,
        state: "queued",
        attempts: 0,
        code: null,
        response: null,
      });
    }
  }
  box.schedule("deliver", message.id, box.now() + LEASE, { leased: true });
  box.messages.save(message);
  box.record({ message, actor: SYSTEM, action: "delivery.attempted", detail: { attempt: outbound.attempts } });
  return message;
}

/** Nothing leaves and nothing is lost: the time for giving up stands still too. */
function waitWhilePaused(box: MailboxBase, message: Message): void {
  const outbound = outboundOf(message);
  if (outbound.first_attempt_at !== null) outbound.first_attempt_at += PAUSED_RECHECK;
  box.schedule("deliver", message.id, box.now() + PAUSED_RECHECK);
  box.messages.save(message);
}

function envelopeRecipients({ to, cc, bcc }: Pick<MessageContent, "to" | "cc" | "bcc">): string[] {
  return [...to, ...cc, ...bcc].map(({ address }) => address);
}

/** Those without a final answer yet: retries address only them. */
function waiting(rows: DeliveryRow[]): DeliveryRow[] {
  return rows.filter(({ state }) => state === "queued" || state === "deferred");
}

async function handOver(box: MailboxBase, message: Message, identityKey: SealedIdentityKey): Promise<Attempt> {
  const transport = transportFor(box.environment(), { test: outboundOf(message).test });
  const content = contentOf(message, box.messages.bodies(message.seq));
  const envelope = {
    from: content.from.address,
    to: waiting(box.messages.deliveries(message.seq)).map(({ recipient }) => recipient),
  };
  assertUnchanged(message, content, envelope.to);
  const attachments = await Promise.all(content.attachments.map((attachment) => readAttachment(box, attachment)));
  const dkimKeys = await signingKeys(box, content);
  const { preserves_bytes } = transport;
  const identity = identityOfAttempt(box, message, { content, identityKey, dkimKeys, preserves_bytes });
  const composed = await composeMessage({
    content,
    attachments,
    message_id: message.rfc_message_id ?? "",
    date: identity.date,
    extra_headers: identity.headers,
  });
  const raw = preserves_bytes ? await signDkim(composed, dkimKeys, new Date(box.now())) : composed;
  const outcomes = await transport.deliver(envelope, raw, AbortSignal.timeout(ATTEMPT_LIMIT));
  if (!outcomes.some(({ outcome }) => outcome === "accepted")) return { outcomes, sent: null, transport };
  const dkim_selectors = preserves_bytes ? dkimKeys.map(({ selector }) => selector) : [];
  return { outcomes, sent: { raw, identity, dkim_selectors }, transport };
}

/** What was approved is what leaves, to nobody else. @throws Error otherwise, and nothing leaves. */
function assertUnchanged(message: Message, content: MessageContent, recipients: string[]): void {
  if (contentHash(content) !== outboundOf(message).content_hash) {
    throw new Error("the content is not what was hashed at submission");
  }
  const known = new Set(envelopeRecipients(content).map(comparableAddress));
  if (!recipients.every((recipient) => known.has(comparableAddress(recipient)))) {
    throw new Error("the envelope names someone the content does not");
  }
}

async function signingKeys(box: MailboxBase, content: MessageContent) {
  return signingKeysOf(box.database(), box.environment(), domainOf(content.from.address));
}

async function readAttachment(box: MailboxBase, { key, sha256, name }: StoredAttachment): Promise<Uint8Array> {
  const object = await box.environment().STORE.get(key);
  if (!object) throw new Error(`the attachment ${name} is not in the store`);
  const bytes = new Uint8Array(await object.arrayBuffer());
  if (createHash("sha256").update(bytes).digest("hex") !== sha256)
    throw new Error(`the attachment ${name} was changed in the store`);
  return bytes;
}

function undelivered(box: MailboxBase, message: Message, response: string): RecipientOutcome[] {
  return waiting(box.messages.deliveries(message.seq)).map(({ recipient }) => ({
    recipient,
    outcome: "deferred",
    code: null,
    response,
  }));
}

/** @returns the R2 key of the bytes as sent, or null if R2 did not take them in three tries; the audit entry says which. */
async function keepRaw(box: MailboxBase, message: Message, raw: Uint8Array): Promise<string | null> {
  const { tenant_id, id } = box.settings();
  const key = rawKey(tenant_id, id, message.id);
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      await box.environment().STORE.put(key, raw);
      return key;
    } catch (error) {
      console.error(`the sent bytes of ${message.id} could not be kept (try ${attempt} of 3)`, error);
    }
  }
  return null;
}

const STATE_OF = { accepted: "accepted", deferred: "deferred", refused: "bounced" } as const;

/** Writes what the far end said of each recipient and derives the message's status from all of them. */
function finishAttempt(box: MailboxBase, emailId: string, attempt: Attempt, stored: string | null): void {
  const message = box.messages.get(emailId);
  const answers = new Map(attempt.outcomes.map((outcome) => [comparableAddress(outcome.recipient), outcome]));
  const before = box.messages.deliveries(message.seq);
  const bounced: DeliveryRow[] = [];
  const rows = before.map((row) => {
    const answer = waiting([row]).length ? answers.get(comparableAddress(row.recipient)) : undefined;
    if (!answer) return row;
    const now = {
      ...row,
      state: STATE_OF[answer.outcome],
      attempts: row.attempts + 1,
      code: answer.code,
      response: answer.response,
    };
    box.messages.saveDelivery(message.seq, now);
    if (now.state === "bounced") bounced.push(now);
    if (now.state === "accepted" && isHumanApproved(message)) {
      box.history.addKnownRecipient(comparableAddress(now.recipient), domainOf(now.recipient));
    }
    return now;
  });
  const event = waiting(rows).length
    ? "temp_fail"
    : rows.some(({ state }) => state === "accepted")
      ? "accepted"
      : "perm_fail";
  if (!box.advance(message, event)) throw new Error(`${emailId} is ${message.status}, which ${event} does not follow`);
  if (stored) message.record.raw_key = stored;
  if (attempt.sent) keepIdentity(box, message, attempt.sent.identity);
  for (const row of bounced) noteBounce(box, message, row);
  recordOutcome(box, message, attempt, stored);
  outboundOf(message).copy ||= box.verdictNow(message).copy;
  // Whoever oversees reads along as soon as anyone has it, not once the last recipient has answered.
  if (outboundOf(message).copy && !before.some(isAccepted) && rows.some(isAccepted))
    box.schedule("copy", message.id, box.now());
  if (event !== "temp_fail") end(box, message);
  else if (!takeBackIfTightened(box, message, SYSTEM)) retryLater(box, message);
  box.messages.save(message);
  // Last, since it may tighten the mailbox and so take back other messages.
  for (const _row of bounced) noteTrouble(box, "bounced");
}

/** A person or a key decided on it, and it went out; a rule that lets it go, a template or the sandbox knows nobody. */
function isHumanApproved({ record: { decision, outbound } }: Message): boolean {
  return decision?.decision === "approve" && outbound?.test === false;
}

function isAccepted({ state }: DeliveryRow): boolean {
  return state === "accepted";
}

function retryLater(box: MailboxBase, message: Message): void {
  const { attempts, first_attempt_at } = outboundOf(message);
  const giveUpAt = (first_attempt_at ?? box.now()) + GIVE_UP_AFTER;
  box.schedule("deliver", message.id, Math.min(box.now() + backoff(attempts), giveUpAt), { attempts });
}

/** No recipient is left to try. */
function end(box: MailboxBase, message: Message): void {
  const { record } = message;
  box.unschedule("deliver", message.id);
  if (message.status === "sent") {
    if (!outboundOf(message).test) count(box, "sent");
    record.sent_at = box.time();
    box.emit("message.sent", message);
  } else {
    const last = box.messages.deliveries(message.seq).find(({ state }) => state !== "accepted");
    record.end_reason = last?.response ?? null;
    box.emit("message.send_failed", message, { reason_code: last?.code ?? null });
  }
}

function noteBounce(box: MailboxBase, message: Message, row: DeliveryRow): void {
  message.record.bounced_at = box.time();
  message.record.bounce_type = "hard";
  box.record({
    message,
    actor: SYSTEM,
    action: "delivery.bounced",
    detail: { position: row.position, code: row.code },
    personal: { recipient: row.recipient, response: row.response },
  });
  box.emit("message.bounced", message, { recipient_position: row.position, code: row.code, bounce_type: "hard" });
}

/** Ends a message that is `sent` to some: nobody else is tried. Inside `commit`. */
export function stopTrying(box: MailboxBase, message: Message): void {
  failWaiting(box, message);
  end(box, message);
}

function failWaiting(box: MailboxBase, message: Message): void {
  for (const row of waiting(box.messages.deliveries(message.seq))) {
    box.messages.saveDelivery(message.seq, { ...row, state: "failed" });
  }
}

function giveUp(box: MailboxBase, message: Message): void {
  failWaiting(box, message);
  if (!box.advance(message, "give_up")) throw new Error(`${message.id} is ${message.status} and cannot be given up`);
  box.record({
    message,
    actor: SYSTEM,
    action: "delivery.given_up",
    detail: { status: message.status, attempts: outboundOf(message).attempts },
  });
  end(box, message);
  box.messages.save(message);
}

function recordOutcome(
  box: MailboxBase,
  message: Message,
  { outcomes, sent, transport }: Attempt,
  stored: string | null,
): void {
  const count = (outcome: RecipientOutcome["outcome"]) => outcomes.filter((each) => each.outcome === outcome).length;
  box.record({
    message,
    actor: SYSTEM,
    action: "delivery.answered",
    detail: {
      status: message.status,
      transport: transport?.name ?? null,
      attempt: outboundOf(message).attempts,
      accepted: count("accepted"),
      deferred: count("deferred"),
      refused: count("refused"),
      dkim_signed: transport?.preserves_bytes ?? false,
      dkim_selectors: sent?.dkim_selectors ?? [],
      identity_kid: sent?.identity.signed?.kid ?? null,
      raw_stored: stored !== null,
    },
    // Only of what somebody has: a signature of what was never delivered is nowhere.
    personal: { outcomes, ...(sent && { signatures: sent.identity.signature_values }) },
  });
}
