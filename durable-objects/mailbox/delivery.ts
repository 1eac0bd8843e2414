import { comparableAddress, domainOf } from "../../src/mail/address.ts";
import { keepsBack, type Suppressed } from "../../src/mail/suppression.ts";
import type { RecipientOutcome } from "../../src/mail/transports/transport.ts";
import { rawKey } from "../../src/store/mail-store.ts";
import { SYSTEM } from "../ledger.ts";
import type { DeliveryAdmission, DeliveryQuestion } from "../tenant-rpc.ts";
import { backoff, GIVE_UP_AFTER, type Timer } from "../timers.ts";
import { type Attempt, envelopeRecipients, handOver } from "./attempt.ts";
import type { MailboxBase } from "./base.ts";
import { automaticCopies } from "./content.ts";
import { count } from "./counts.ts";
import { noteTrouble } from "./fall-back.ts";
import { recordForwarding } from "./forward-bytes.ts";
import { keepIdentity } from "./identity.ts";
import { KNOWN_DOMAIN } from "./intelligence.ts";
import { type DeliveryRow, isStanding, type Message, outboundOf } from "./messages.ts";
import { keepProviderIds } from "./provider-events.ts";
import { isTaken, isWaiting } from "./recipient-states.ts";
import { followReports, noteRefusal } from "./returned-mail.ts";
import { takeBackIfTightened } from "./take-back.ts";

/** Longer than an attempt lasts (`ATTEMPT_LIMIT`), so that it never ends while one still runs. */
const LEASE = 90_000;
const PAUSED_RECHECK = 60_000;

/** Serves a `deliver` timer: one attempt, or the end of trying. */
export async function deliver(box: MailboxBase, timer: Timer): Promise<void> {
  // Before the tenant is asked: while it does not answer, what was interrupted can be cancelled, and waits if it must.
  if (box.messages.get(timer.ref).status === "sending" && !box.commit(() => recoverAttempt(box, timer))) return;
  // Asked before each attempt; if the tenant does not answer, the attempt fails and is made later.
  const { agent_id, key_id } = outboundOf(box.messages.get(timer.ref)).author;
  const tenant = box.environment().TENANT.getByName(box.settings().tenant_id);
  const question = questionOf(box, timer);
  const admission = await tenant.admitDelivery(agent_id ?? key_id, question);
  const message = box.commit(() => beginAttempt(box, timer, admission, question));
  if (!message) return;
  // `sending` is committed, and nothing is composed or signed yet: a crash from here on is `recovered` and tried again under
  // the same Message-ID. A cancellation or a stricter mode came before this point or comes too late.
  await box.flush();
  const attempt = await handOver(box, message, admission).catch((error): Attempt => {
    // Ours to mend (a setting, an attachment or a key that cannot be read): it waits as after any passing failure.
    console.error(`${message.id} could not be handed over`, error);
    return { outcomes: undelivered(box, message, String(error)), sent: null, transport: null };
  });
  // The far end has answered. A crash before the commit below delivers again, under the same Message-ID.
  const stored = attempt.sent ? await keepRaw(box, message, attempt.sent.raw) : null;
  box.commit(() => finishAttempt(box, message.id, attempt, stored));
}

/** What the tenant is asked about besides. */
function questionOf(box: MailboxBase, { ref }: Timer): DeliveryQuestion {
  const { record } = box.messages.get(ref);
  return { domain: domainOf(box.settings().address), recipients: envelopeRecipients(record).map(comparableAddress) };
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
function beginAttempt(
  box: MailboxBase,
  timer: Timer,
  { paused, domain, suppressed }: DeliveryAdmission,
  asked: DeliveryQuestion,
): Message | null {
  const broken = domain.status === "broken";
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
  noteBrokenDomain(box, message, broken);
  if (paused || stopped || !is_active || broken) {
    waitWhilePaused(box, message);
    return null;
  }
  if (outbound.first_attempt_at !== null && box.now() >= outbound.first_attempt_at + GIVE_UP_AFTER) {
    giveUp(box, message);
    return null;
  }
  makeRows(box, message);
  const waiting = box.messages.deliveries(message.seq).filter(isWaiting);
  if (!waiting.every(({ recipient }) => asked.recipients.includes(comparableAddress(recipient)))) {
    throw new Error(`${message.id} got other recipients while its tenant was asked`);
  }
  holdBackSuppressed(box, message, suppressed);
  if (!box.messages.deliveries(message.seq).some(isWaiting)) {
    giveUp(box, message);
    return null;
  }
  if (!box.advance(message, "attempt")) throw new Error(`${message.id} is queued and cannot be attempted`);
  outbound.attempts += 1;
  outbound.first_attempt_at ??= box.now();
  box.schedule("deliver", message.id, box.now() + LEASE, { leased: true });
  box.messages.save(message);
  box.record({ message, actor: SYSTEM, action: "delivery.attempted", detail: { attempt: outbound.attempts } });
  return message;
}

/** One row a recipient, when delivery first begins. */
function makeRows(box: MailboxBase, { seq, record }: Message): void {
  if (box.messages.deliveries(seq).length > 0) return;
  for (const [position, recipient] of envelopeRecipients(record).entries()) {
    box.messages.saveDelivery(seq, { position, recipient, state: "queued", attempts: 0, code: null, response: null });
  }
}

/** Whoever is on the account's suppression list now gets nothing, whatever the list said when the message was submitted. */
function holdBackSuppressed(box: MailboxBase, message: Message, suppressed: readonly Suppressed[]): void {
  const promotional = outboundOf(message).promotion !== undefined;
  const reasons = new Map(suppressed.map(({ address, reason }) => [address, reason]));
  const copies = automaticCopies(box.settings());
  for (const row of box.messages.deliveries(message.seq).filter(isWaiting)) {
    const address = comparableAddress(row.recipient);
    const reason = reasons.get(address);
    const ordered = isStanding(message) || copies.has(address);
    if (reason === undefined || !keepsBack(reason, { promotional, ordered })) continue;
    const response = `Not sent: the address is on the suppression list (${reason}).`;
    box.messages.saveDelivery(message.seq, { ...row, state: "suppressed", code: null, response });
    box.record({
      message,
      actor: SYSTEM,
      action: "delivery.suppressed",
      detail: { position: row.position, reason },
      personal: { recipient: row.recipient },
    });
  }
}

/** For read_email, and once into the audit log where it begins and where it ends. The caller saves the message. */
function noteBrokenDomain(box: MailboxBase, message: Message, broken: boolean): void {
  const outbound = outboundOf(message);
  if (broken === (outbound.waits_for === "domain")) return;
  if (broken) outbound.waits_for = "domain";
  else delete outbound.waits_for;
  box.record({ message, actor: SYSTEM, action: broken ? "delivery.domain_broken" : "delivery.domain_mended" });
}

/** Nothing leaves and nothing is lost: the time for giving up stands still too. */
function waitWhilePaused(box: MailboxBase, message: Message): void {
  const outbound = outboundOf(message);
  if (outbound.first_attempt_at !== null) outbound.first_attempt_at += PAUSED_RECHECK;
  box.schedule("deliver", message.id, box.now() + PAUSED_RECHECK);
  box.messages.save(message);
}

function undelivered(box: MailboxBase, message: Message, response: string): RecipientOutcome[] {
  return box.messages
    .deliveries(message.seq)
    .filter(isWaiting)
    .map(({ recipient }) => ({
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
    const answer = isWaiting(row) ? answers.get(comparableAddress(row.recipient)) : undefined;
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
      noteKnownRecipient(box, now.recipient);
    }
    return now;
  });
  const event = rows.some(isWaiting) ? "temp_fail" : rows.some(isTaken) ? "accepted" : "perm_fail";
  if (!box.advance(message, event)) throw new Error(`${emailId} is ${message.status}, which ${event} does not follow`);
  if (stored) message.record.raw_key = stored;
  if (attempt.sent) keepIdentity(box, message, attempt.sent.identity);
  const { forward } = outboundOf(message);
  if (forward && attempt.sent?.sealed) forward.sealed = attempt.sent.sealed;
  keepProviderIds(box, message, attempt.outcomes);
  for (const row of bounced) noteBounce(box, message, row);
  recordOutcome(box, message, attempt, stored);
  outboundOf(message).copy ||= box.verdictNow(message).copy;
  // Whoever oversees reads along as soon as anyone has it, not once the last recipient has answered.
  if (outboundOf(message).copy && !before.some(isTaken) && rows.some(isTaken))
    box.schedule("copy", message.id, box.now());
  if (event !== "temp_fail") end(box, message);
  else if (!takeBackIfTightened(box, message, SYSTEM)) retryLater(box, message);
  box.messages.save(message);
  // Last, since it may tighten the mailbox and so take back other messages.
  if (isStanding(message)) return;
  for (const { recipient } of bounced) noteTrouble(box, "bounced", recipient);
}

/** Whoever a human let be written to; their domain is told to the tenant's other mailboxes. Inside `commit`. */
function noteKnownRecipient(box: MailboxBase, recipient: string): void {
  const domain = domainOf(recipient);
  if (box.history.areKnownDomains([domain]).size === 0) box.schedule(KNOWN_DOMAIN, domain, box.now());
  box.history.addKnownRecipient(comparableAddress(recipient), domain);
}

/** A person or a key decided on it, and it went out; a rule that lets it go, a template or the sandbox knows nobody. */
function isHumanApproved({ record: { decision, outbound } }: Message): boolean {
  return decision?.decision === "approve" && outbound?.test === false;
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
    if (!outboundOf(message).test && !isStanding(message)) count(box, "sent");
    record.sent_at = box.time();
    box.emit("message.sent", message);
    // Of some of its recipients something may have come back while others were still tried.
    followReports(box, message);
  } else {
    const last = box.messages.deliveries(message.seq).find((row) => !isTaken(row));
    record.end_reason = last?.response ?? null;
    box.emit("message.send_failed", message, { reason_code: last?.code ?? null });
  }
  recordForwarding(box, message);
}

function noteBounce(box: MailboxBase, message: Message, row: DeliveryRow): void {
  message.record.bounced_at = box.time();
  const bounce_type = noteRefusal(box, message, row);
  message.record.bounce_type = bounce_type;
  box.record({
    message,
    actor: SYSTEM,
    action: "delivery.bounced",
    detail: { position: row.position, code: row.code, bounce_type },
    personal: { recipient: row.recipient, response: row.response },
  });
  box.emit("message.bounced", message, { recipient_position: row.position, code: row.code, bounce_type });
}

/** Ends a message that is `sent` to some: nobody else is tried. Inside `commit`. */
export function stopTrying(box: MailboxBase, message: Message): void {
  failWaiting(box, message);
  end(box, message);
}

function failWaiting(box: MailboxBase, message: Message): void {
  for (const row of box.messages.deliveries(message.seq).filter(isWaiting)) {
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
      dkim_signed: (transport?.preserves_bytes ?? false) && message.record.redirected === undefined,
      dkim_selectors: sent?.dkim_selectors ?? [],
      identity_kid: sent?.identity.signed?.kid ?? null,
      raw_stored: stored !== null,
    },
    // Only of what somebody has: a signature of what was never delivered is nowhere.
    personal: { outcomes, ...(sent && { signatures: sent.identity.signature_values }) },
  });
}
