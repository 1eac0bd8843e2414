import { formatAddress } from "../../src/mail/address.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import { unifiedDifference } from "../../src/oversight/difference.ts";
import type { DecisionItem, RequestItem, TemplateItem } from "../mailbox-rpc.ts";
import { isWithheld, type MailboxBase } from "./base.ts";
import { trackRecord } from "./counts.ts";
import { quorumView } from "./decide.ts";
import { type HeldRequest, requestItem } from "./requests.ts";
import type { TemplateContent } from "./templates.ts";
import { peopleOf } from "./views.ts";

/** Turns requests into the shapes of API.md and of the decision page. */

type Common = Omit<RequestItem, "kind" | "request" | "about">;

function common(box: MailboxBase, request: HeldRequest): Common {
  const { record } = request;
  const { hold, author } = record;
  const mailbox = box.settings();
  return {
    pending_id: request.id,
    email_id: request.id,
    mailbox_id: mailbox.id,
    mailbox_address: mailbox.address,
    oversight_mode: mailbox.oversight_mode,
    content_hash: record.content_hash,
    agent: { agent_id: author.agent_id, model_id: null, model_provider: null },
    key_id: author.key_id,
    held_by: hold.rule,
    because: hold.because,
    reasons: hold.reasons,
    submitted_at: request.created_at,
    expires_at: hold.expires_at,
    quorum: peopleOf(quorumView(box, { hold })),
  };
}

/** What the people who decide see of it. */
export function requestView(box: MailboxBase, request: HeldRequest): DecisionItem {
  const { content } = request.record;
  const shared = common(box, request);
  switch (request.kind) {
    case "template":
      return { ...shared, kind: "template", ...templateView(box, content) };
    case "upgrade":
      return { ...shared, kind: "upgrade", change: upgradeWords(content), record: trackRecord(box) };
    default:
      return {
        ...shared,
        kind: request.kind,
        request: { operation: request.record.operation, input: content },
        about: aboutOf(box, request),
      };
  }
}

function upgradeWords(content: Record<string, unknown>): string {
  const { words, reason } = content as { words: string; reason: string | null };
  return reason === null ? words : `${words} The agent's reason: ${reason}`;
}

function templateView(
  box: MailboxBase,
  content: Record<string, unknown>,
): Pick<TemplateItem, "template" | "frame" | "difference"> {
  const template = content as unknown as TemplateItem["template"];
  const inUse = box.templates.inUse(template.id);
  const { display_name, signature_block, ai_disclosure } = box.settings();
  return {
    template,
    frame: { display_name, signature_block, ai_disclosure },
    difference: inUse ? unifiedDifference(readable(inUse.content), readable(template)) : null,
  };
}

/** Everything a template says, as one text. */
function readable({ name, subject, markdown, variables, allowed_domains }: TemplateContent): string {
  const declared = variables.map(
    ({ name: variable, type, required, max_length }) =>
      `Variable ${variable}: ${type}, at most ${max_length} characters${required ? "" : ", may be left out"}`,
  );
  const domains = allowed_domains === null ? "any" : allowed_domains.join(", ");
  return [`Name: ${name}`, `Subject: ${subject}`, ...declared, `Domains: ${domains}`, "", markdown, ""].join("\n");
}

/** The message a query is about, where the human may know of it. */
function aboutOf(box: MailboxBase, { record }: HeldRequest): RequestItem["about"] {
  const message = record.email_id === null ? null : box.messages.find(record.email_id);
  if (!message || isWithheld(message)) return null;
  return { subject: message.record.subject, from: formatAddress(message.record.from), at: message.created_at };
}

/** A request among what waits, in the shape of an email that it is not. */
export function pendingRequest(box: MailboxBase, request: HeldRequest): PendingItem {
  const { record } = request;
  const item = requestItem(box, request);
  const mailbox = box.settings();
  const { decision, hold, author } = record;
  const text = JSON.stringify(record.content, null, 2);
  return {
    id: request.id,
    message_id: request.id,
    email_id: record.email_id ?? request.id,
    rfc_message_id: null,
    mailbox_id: mailbox.id,
    thread_id: "",
    direction: "outbound",
    from: "",
    from_address: null,
    from_domain: null,
    to: [],
    cc: [],
    bcc: [],
    subject: record.operation,
    status: request.status,
    oversight_mode: mailbox.oversight_mode,
    created_at: request.created_at,
    received_at: null,
    sent_at: null,
    delivered_at: null,
    bounced_at: null,
    bounce_type: null,
    has_attachments: false,
    attachments: [],
    tags: {},
    metadata: {},
    agent_id: author.agent_id,
    agent_metadata: null,
    identity_headers: {},
    waits_because: null,
    content_expired_at: null,
    erased_at: null,
    identity_verified: null,
    dkim_result: null,
    dkim_domain: null,
    dkim_selector: null,
    spf_result: null,
    dmarc_result: null,
    arc_result: null,
    domain_intelligence: null,
    spam_score: null,
    spam_verdict: null,
    approved_at: decision?.decision === "approve" ? decision.at : null,
    approved_by: decision?.decision === "approve" ? decision.by : null,
    approval_ref: decision?.approval_ref ?? null,
    decision_reason: decision?.reason ?? record.end_reason,
    flags: [],
    markdown: text,
    quoted: null,
    text,
    body: text,
    html: null,
    headers: {},
    recipients: [],
    authentication: null,
    content_hash: record.content_hash,
    expires_at: hold.expires_at,
    kind: request.kind,
    rule: hold.rule,
    because: hold.because,
    reasons: hold.reasons,
    risk: null,
    quorum: quorumView(box, item),
    send_at: null,
    request: { operation: record.operation, input: record.content },
  };
}
