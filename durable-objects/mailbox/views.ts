import { pendingIdOf, signatureIdOf } from "../../src/ids.ts";
import { domainOf, formatAddress } from "../../src/mail/address.ts";
import { brokenDomain } from "../../src/mail/domain-words.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { preservesBytes } from "../../src/mail/transports/choose.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { judgeByMode, type Verdict } from "../../src/oversight/policy.ts";
import type { OutboundStatus } from "../../src/oversight/statuses.ts";
import type { MessageItem } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { quorumView } from "./decide.ts";
import { shownOriginal } from "./forward-content.ts";
import { messageItem } from "./held-item.ts";
import { formsWritten } from "./identity.ts";
import { intelligenceOf } from "./intelligence.ts";
import type { MessageRecord, OutboundRecord } from "./message-record.ts";
import { type Bodies, contentOf, type DeliveryRow, type Message, outboundOf } from "./messages.ts";
import { isTaken } from "./recipient-states.ts";

/** Turns what is stored into the shapes of API.md. */

export function emailSummary(message: Message, mailbox: Mailbox): EmailSummary {
  const { record } = message;
  const { outbound, inbound, decision } = record;
  return {
    id: message.id,
    message_id: message.id,
    rfc_message_id: message.rfc_message_id,
    mailbox_id: mailbox.id,
    thread_id: message.thread_id,
    direction: message.direction,
    from: formatAddress(record.from),
    from_address: record.from.address === "" ? null : record.from.address,
    from_domain: record.from.address === "" ? null : domainOf(record.from.address),
    to: record.to.map(formatAddress),
    cc: record.cc.map(formatAddress),
    bcc: record.bcc.map(formatAddress),
    subject: record.subject,
    status: message.status,
    oversight_mode: record.mode,
    created_at: message.created_at,
    received_at: record.received_at,
    sent_at: record.sent_at,
    delivered_at: record.delivered_at,
    bounced_at: record.bounced_at,
    bounce_type: record.bounce_type,
    has_attachments: record.attachments.length > 0,
    attachments: record.attachments.map(({ name, size, content_type }) => ({ name, size, content_type })),
    tags: record.tags,
    metadata: record.metadata,
    agent_id: outbound?.author.agent_id ?? null,
    agent_metadata: agentMetadata(record),
    identity_headers: identityHeaders(record),
    identity_verified: inbound?.identity?.verified ?? null,
    dkim_result: inbound?.authentication.dkim_result ?? null,
    dkim_domain: inbound?.authentication.dkim_domain ?? null,
    dkim_selector: inbound?.authentication.dkim_selector ?? null,
    spf_result: inbound?.authentication.spf_result ?? null,
    dmarc_result: inbound?.authentication.dmarc_result ?? null,
    arc_result: inbound?.authentication.arc_result ?? null,
    domain_intelligence: outbound && intelligenceOf(outbound),
    spam_score: null,
    spam_verdict: null,
    approved_at: decision?.decision === "approve" ? decision.at : null,
    approved_by: decision?.decision === "approve" ? decision.by : (outbound?.verdict.approval?.kind ?? null),
    approval_ref: decision?.approval_ref ?? outbound?.verdict.approval?.ref ?? null,
    decision_reason: decision?.reason ?? record.end_reason,
    flags: inbound?.flags ?? [],
    waits_because: whyItWaits(message, mailbox),
    content_expired_at: message.content_expired_at,
    erased_at: message.erased_at,
  };
}

/** Why a message that is let go has not left. */
function whyItWaits({ status, record: { outbound } }: Message, { address }: Mailbox): string | null {
  return status === "queued" && outbound?.waits_for === "domain" ? brokenDomain(domainOf(address)) : null;
}

/** Of our own agent, or of another's as far as it is proven. */
function agentMetadata({ mode, outbound, inbound }: MessageRecord): EmailSummary["agent_metadata"] {
  const proven = inbound?.identity?.agent;
  if (proven) {
    const { agent_id, model_id, model_provider, oversight_mode, ai_disclosure } = proven;
    return { agent_id, model_id, model_provider, oversight_mode, ai_disclosure };
  }
  return (
    outbound && {
      agent_id: outbound.author.agent_id,
      model_id: outbound.model_id,
      model_provider: outbound.model_provider,
      oversight_mode: mode,
      ai_disclosure: outbound.ai_disclosure,
    }
  );
}

/** As they arrived, or as they went out. */
function identityHeaders({ outbound, inbound }: MessageRecord): Record<string, string> {
  if (inbound?.identity) return inbound.identity.headers;
  return Object.fromEntries((outbound?.identity?.headers ?? []).map(([name, value]) => [name.toLowerCase(), value]));
}

export function email(message: Message, bodies: Bodies, deliveries: DeliveryRow[], mailbox: Mailbox): Email {
  const { inbound } = message.record;
  return {
    ...emailSummary(message, mailbox),
    markdown: bodies.markdown ?? bodies.text,
    quoted: bodies.quoted,
    text: bodies.text,
    body: bodies.text,
    html: bodies.html,
    headers: headerMap(inbound ? inbound.headers : outboundHeaders(message)),
    recipients: deliveries.map(({ recipient, state, attempts, code, response }) => ({
      address: recipient,
      state,
      attempts,
      response: code !== null && !response?.startsWith(String(code)) ? `${code} ${response ?? ""}`.trim() : response,
    })),
    authentication: inbound
      ? {
          ...inbound.authentication,
          ...(inbound.dmarc_overridden_by !== undefined && { dmarc_overridden_by: inbound.dmarc_overridden_by }),
        }
      : null,
  };
}

/**
 * The headers a sent message has besides MIME's and the signatures; never Bcc. Of one that was passed on as it is, those who got it
 * stand in the envelope alone, and its Date is its author's.
 */
function outboundHeaders({ rfc_message_id, created_at, record }: Message): [string, string][] {
  const list = (addresses: MailAddress[]) => addresses.map(formatAddress).join(", ");
  const own: [string, string | null][] = [
    ["To", list(record.to)],
    ["Cc", list(record.cc)],
    ["Date", new Date(record.outbound?.dated_at ?? created_at).toUTCString().replace("GMT", "+0000")],
  ];
  const all: [string, string | null][] = [
    ["From", formatAddress(record.from)],
    ["Reply-To", list(record.reply_to)],
    ...(record.redirected === undefined ? own : []),
    ["Subject", record.subject],
    ["Message-ID", rfc_message_id],
    ["In-Reply-To", record.in_reply_to],
    ["References", record.references.join(" ")],
  ];
  return all.filter((header): header is [string, string] => header[1] !== null && header[1] !== "");
}

function headerMap(headers: [string, string][]): Email["headers"] {
  const map = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    const seen = map.get(name);
    map.set(name, seen === undefined ? value : [seen, value].flat());
  }
  return Object.fromEntries(map);
}

/** What is decided on: the hash of the outbound content, or of the inbound message as it arrived. */
export function contentHashOf({ id, record }: Message): string {
  const hash = record.outbound?.content_hash ?? record.inbound?.content_hash;
  if (hash === undefined) throw new Error(`${id} has no content hash`);
  return hash;
}

export function pendingItem(box: MailboxBase, message: Message): PendingItem {
  const item = messageItem(box, message);
  const bodies = box.messages.bodies(message.seq);
  const { hold } = item;
  return {
    ...email(message, bodies, [], box.settings()),
    id: item.pendingId,
    email_id: message.id,
    content_hash: item.contentHash(),
    expires_at: hold.expires_at,
    kind: hold.kind,
    html: bodies.html,
    rule: hold.rule,
    because: hold.because,
    reasons: hold.reasons,
    risk: message.record.outbound?.verdict.risk ?? null,
    quorum: quorumView(box, item),
    send_at: message.record.outbound?.send_at ?? null,
    request: null,
    ...(message.record.outbound?.forward && { forwarded: forwardedView(box, message) }),
  };
}

/** A forwarding for a key that sends and may not read: without what others wrote. */
export function withoutOriginal(item: PendingItem): PendingItem {
  const { forwarded, ...rest } = item;
  if (!forwarded) return item;
  const words = { markdown: "", quoted: null, text: "", body: "", html: null, attachments: [] };
  return { ...rest, subject: "", headers: {}, ...(forwarded.form === "redirected" && words) };
}

/** The message that is passed on, as programs get it. */
function forwardedView(box: MailboxBase, message: Message): PendingItem["forwarded"] {
  const original = shownOriginal(box, message);
  if (!original) return undefined;
  const { from, to, cc, body, ...rest } = original;
  return {
    ...rest,
    from: formatAddress(from),
    to: to.map(formatAddress),
    cc: cc.map(formatAddress),
    text: body?.text ?? null,
    html: body?.html ?? null,
  };
}

/** Characters of each difference that a page shows: a message may have been changed often, and an RPC carries at most 32 MiB. */
const SHOWN_DIFFERENCE = 32 * 1024;
const LEFT_OUT = "\\ The rest of the difference is left out.\n";

function shownEdit({ by, at, difference, is_cut }: ReturnType<MailboxBase["messages"]["edits"]>[number]) {
  if (!is_cut) return { by, at, difference };
  return { by, at, difference: difference.slice(0, difference.lastIndexOf("\n") + 1) + LEFT_OUT };
}

/** What the people who decide see of a message. */
export function decisionItem(box: MailboxBase, message: Message): MessageItem {
  const { record } = message;
  const { outbound, inbound, hold } = record;
  const bodies = box.messages.bodies(message.seq);
  const judged = outbound?.verdict ?? judgeByMode(record.mode);
  const mailbox = box.settings();
  const original = shownOriginal(box, message);
  const deliveries = box.messages.deliveries(message.seq);
  return {
    ...(original && { forwarded: original }),
    ...(deliveries.length > 0 && {
      tried: { reached: deliveries.filter(isTaken).map(({ recipient }) => recipient) },
    }),
    pending_id: pendingIdOf(message.id),
    email_id: message.id,
    mailbox_id: mailbox.id,
    kind: hold?.kind === "inbound" ? "inbound" : "send",
    mailbox_address: mailbox.address,
    oversight_mode: record.mode,
    content: contentOf(message, bodies),
    content_hash: contentHashOf(message),
    agent: {
      agent_id: outbound?.author.agent_id ?? null,
      model_id: outbound?.model_id ?? null,
      model_provider: outbound?.model_provider ?? null,
    },
    key_id: outbound?.author.key_id ?? null,
    test: outbound?.test ?? false,
    metadata: record.metadata,
    tags: record.tags,
    held_by: hold?.rule ?? judged.rule,
    because: hold?.because ?? judged.because,
    reasons: hold?.reasons ?? [],
    risk: outbound?.verdict.risk ?? null,
    domain_intelligence: outbound && intelligenceOf(outbound),
    send_at: outbound?.send_at ?? null,
    source: outbound && record.redirected === undefined ? sourceOf(bodies) : null,
    edits: box.messages.edits(message.seq, SHOWN_DIFFERENCE).map(shownEdit),
    quorum: hold ? peopleOf(quorumView(box, { hold })) : { needed: mailbox.quorum, approvals: [] },
    submitted_at: message.created_at,
    expires_at: hold?.expires_at ?? null,
    authentication: inbound && {
      dkim_result: inbound.authentication.dkim_result,
      spf_result: inbound.authentication.spf_result,
      dmarc_result: inbound.authentication.dmarc_result,
    },
    identity: provenAgent(record),
  };
}

function provenAgent({ inbound }: MessageRecord): MessageItem["identity"] {
  if (!inbound?.identity) return null;
  const { agent } = inbound.identity;
  return { agent: agent && { agent_id: agent.agent_id, oversight_mode: agent.oversight_mode } };
}

/** The form that pages show. */
export function peopleOf({ needed, approvals }: PendingItem["quorum"]): MessageItem["quorum"] {
  return { needed, approvals };
}

/** The body as it was written. HTML that somebody wrote themselves is edited as the text it says. */
function sourceOf({ markdown, source, text }: Bodies): MessageItem["source"] {
  return markdown === null ? { format: "text", text: source ?? text } : { format: "markdown", text: markdown };
}

/** A verdict as programs get it. */
export function verdictView({ verdict, rule, because, reasons, mode, risk }: Verdict): SendAnswer["verdict"] {
  return { outcome: verdict, rule, because, reasons, oversight_mode: mode, risk };
}

/** What an agent is told in words. An exhaustive Record of where a submission can be placed: each has its sentence. */
const PLACED_SENTENCE: Record<"pending_send_approval" | "queued" | "scheduled" | "blocked", string> = {
  pending_send_approval: "A human must approve this message before it leaves; it waits in the mailbox's queue.",
  queued: "The message is on its way; read_email says when the recipient's server has taken it.",
  scheduled: "The message waits for its time; edit_scheduled_email changes it and cancel_message takes it back.",
  blocked: "A rule of this mailbox blocks the message; it will not be sent.",
};

/** What the first answer said of a submission. */
export function sendAnswer(box: MailboxBase, message: Message): SendAnswer {
  return answerOf(box, message, outboundOf(message).first_status);
}

/** The same of a message as it stands now. */
export function presentAnswer(box: MailboxBase, message: Message): SendAnswer {
  return answerOf(box, message, message.status as OutboundStatus);
}

/** How it is signed once it is delivered; what a rule blocks, and what a test key sends, never is. */
function signedAtDelivery(
  box: MailboxBase,
  outbound: OutboundRecord,
  status: OutboundStatus,
): SendAnswer["authentication"] {
  const isOurs = preservesBytes(box.environment(), outbound);
  const isSigned = status !== "blocked" && !outbound.test;
  const forms = isSigned ? formsWritten(box, outbound, isOurs) : [];
  const dkim = !isSigned ? "not_signed" : isOurs ? "signed_at_delivery" : "signed_by_transport";
  const isRedirected = outbound.forward?.form === "redirected";
  return {
    spf: "checked_by_recipient",
    dkim: isRedirected ? "left_as_it_came" : dkim,
    ...(isRedirected && { arc: isSigned ? "sealed_at_delivery" : "not_sealed" }),
    dmarc: "checked_by_recipient",
    identity_signed: forms.length > 0,
    identity_forms: forms,
  };
}

const PROMOTIONAL = " It counts as promotional mail: it carries your postal address and a way to unsubscribe.";

function answerOf(box: MailboxBase, message: Message, status: OutboundStatus): SendAnswer {
  const mailbox = box.settings();
  const outbound = outboundOf(message);
  const authentication = signedAtDelivery(box, outbound, status);
  const sandboxed = " This key is a test key: the message ends in the sandbox and never leaves.";
  const isStopped = status === "queued" && mailbox.paused;
  const sentence = isStopped
    ? "The mailbox's panic switch is on: the message leaves once it is lifted."
    : ((PLACED_SENTENCE as Partial<Record<OutboundStatus, string>>)[status] ?? "");
  return {
    id: message.id,
    message_id: message.id,
    status,
    thread_id: message.thread_id,
    ...(status === "pending_send_approval" && { pending_id: pendingIdOf(message.id) }),
    dkim_domain: domainOf(mailbox.address),
    authentication,
    ...(authentication.identity_signed && { identity_sig_id: signatureIdOf(message.id) }),
    domain_intelligence: intelligenceOf(outbound),
    verdict: verdictView(outbound.verdict),
    send_at: outbound.send_at,
    approval_ref: outbound.verdict.approval?.ref ?? null,
    ...(outbound.forward && { form: outbound.forward.form }),
    message: sentence + (outbound.promotion ? PROMOTIONAL : "") + (outbound.test ? sandboxed : ""),
    ...(outbound.test && { sandbox: true }),
  };
}
