import { pendingIdOf } from "../../src/ids.ts";
import { domainOf, formatAddress } from "../../src/mail/address.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import type { Email, EmailSummary, Mailbox, PendingItem, SendAnswer } from "../../src/operations/shapes.ts";
import { judgeSend } from "../../src/oversight/policy.ts";
import type { DecisionItem } from "../mailbox-rpc.ts";
import { type Bodies, contentOf, type DeliveryRow, type Message, outboundOf } from "./messages.ts";

/** Turns what is stored into the shapes of API.md. Pure. */

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
    agent_metadata: outbound && {
      agent_id: outbound.author.agent_id,
      model_id: outbound.model_id,
      model_provider: outbound.model_provider,
      oversight_mode: record.mode,
      ai_disclosure: outbound.ai_disclosure,
    },
    identity_headers: {},
    identity_verified: null,
    dkim_result: inbound?.authentication.dkim_result ?? null,
    dkim_domain: inbound?.authentication.dkim_domain ?? null,
    dkim_selector: inbound?.authentication.dkim_selector ?? null,
    spf_result: inbound?.authentication.spf_result ?? null,
    dmarc_result: inbound?.authentication.dmarc_result ?? null,
    arc_result: inbound?.authentication.arc_result ?? null,
    domain_intelligence: null,
    spam_score: null,
    spam_verdict: null,
    approved_at: decision?.decision === "approve" ? decision.at : null,
    approved_by: decision?.decision === "approve" ? decision.by : null,
    approval_ref: decision?.approval_ref ?? null,
    decision_reason: decision?.reason ?? record.end_reason,
    flags: inbound?.flags ?? [],
  };
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
    authentication: inbound ? { ...inbound.authentication } : null,
  };
}

/** The headers a sent message has besides MIME's and the signatures; never Bcc. */
function outboundHeaders({ rfc_message_id, created_at, record }: Message): [string, string][] {
  const list = (addresses: MailAddress[]) => addresses.map(formatAddress).join(", ");
  const all: [string, string | null][] = [
    ["From", formatAddress(record.from)],
    ["Reply-To", list(record.reply_to)],
    ["To", list(record.to)],
    ["Cc", list(record.cc)],
    ["Subject", record.subject],
    ["Message-ID", rfc_message_id],
    ["Date", new Date(created_at).toUTCString().replace("GMT", "+0000")],
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

export function pendingItem(message: Message, bodies: Bodies, mailbox: Mailbox): PendingItem {
  const { hold } = message.record;
  return {
    ...email(message, bodies, [], mailbox),
    id: pendingIdOf(message.id),
    email_id: message.id,
    content_hash: contentHashOf(message),
    expires_at: hold?.expires_at ?? null,
    kind: hold?.kind ?? "send",
    html: bodies.html,
  };
}

export function decisionItem(message: Message, bodies: Bodies, mailbox: Mailbox): DecisionItem {
  const { record } = message;
  const { outbound, inbound, hold } = record;
  return {
    pending_id: pendingIdOf(message.id),
    email_id: message.id,
    kind: hold?.kind ?? "send",
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
    held_by: hold?.rule ?? judgeSend(record.mode).rule,
    domain_intelligence: null,
    submitted_at: message.created_at,
    authentication: inbound && {
      dkim_result: inbound.authentication.dkim_result,
      spf_result: inbound.authentication.spf_result,
      dmarc_result: inbound.authentication.dmarc_result,
    },
  };
}

/** What an agent is told in words. An exhaustive Record: each first status has its sentence. */
const FIRST_STATUS_SENTENCE: Record<string, string> = {
  pending_send_approval: "A human must approve this message before it leaves; it waits in the mailbox's queue.",
  queued: "The message is on its way; read_email says when the recipient's server has taken it.",
};

export function sendAnswer(message: Message, mailbox: Mailbox): SendAnswer {
  const outbound = outboundOf(message);
  const held = outbound.first_status === "pending_send_approval";
  const sandboxed = " This key is a test key: the message ends in the sandbox and never leaves.";
  return {
    id: message.id,
    message_id: message.id,
    status: outbound.first_status,
    thread_id: message.thread_id,
    ...(held && { pending_id: pendingIdOf(message.id) }),
    dkim_domain: domainOf(mailbox.address),
    authentication: {
      spf: "checked_by_recipient",
      dkim: "signed_at_delivery",
      dmarc: "checked_by_recipient",
      identity_signed: false,
    },
    domain_intelligence: null,
    message: (FIRST_STATUS_SENTENCE[outbound.first_status] ?? "") + (outbound.test ? sandboxed : ""),
    ...(outbound.test && { sandbox: true }),
  };
}
