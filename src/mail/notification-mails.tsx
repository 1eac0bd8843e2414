import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import type { Status } from "../oversight/statuses.ts";
import { findMisleading } from "../pages/misleading.ts";
import { count, heldInWords, MODE_WORDS, STATUS_WORDS, TEST_MESSAGE, timeInWords } from "../pages/words.ts";
import {
  Alarm,
  Button,
  Code,
  Facts,
  Mail,
  Paragraph,
  PlainLink,
  Quoted,
  renderMail,
  sentBy,
} from "./notification-layout.tsx";
import { barred, envelopeFacts, excerpt, factLines, oneLine, quotingSubject } from "./notification-text.ts";

/** A mail to a person, ready to be composed: both bodies say the same. */
export interface PersonMail {
  subject: string;
  text: string;
  html: string;
}

const FIRST_LINES = { lines: 12, characters: 800 };
const COPIED = { lines: 400, characters: 20_000 };

function paragraphs(...parts: (string | null)[]): string {
  return `${parts.filter((part) => part !== null && part !== "").join("\n\n")}\n`;
}

/** How many findings there are, and how bad, in one sentence; null if there are none. */
function warningSentence(content: DecisionItem["content"]): string | null {
  const warnings = findMisleading(content).filter((warning) => warning.severity !== "notice");
  if (warnings.length === 0) return null;
  const serious = warnings.filter((warning) => warning.severity === "danger").length;
  if (serious === 0) return `Look twice: ${count(warnings.length, "thing")} in it could mislead.`;
  return `Careful: ${count(warnings.length, "warning")}, ${serious} serious. Something in it looks made to mislead.`;
}

function foot(why: string, productUrl: string, checkpoint: string | null): string {
  const proof = checkpoint === null ? "" : `\n\nNewest checkpoint of the audit log:\n${checkpoint}`;
  return `-- \n${why} ${sentBy(productUrl)}${proof}`;
}

const KINDS = {
  send: {
    ours: "Decision needed",
    title: "An agent asks to send an email",
    lead: "It has not left. Read it, then approve or reject it.",
    otherwise: (time: string) => `If nobody decides by ${time}, it is not sent.`,
  },
  inbound: {
    ours: "Decision needed, incoming",
    title: "An email waits for your release",
    lead: "It came from outside. The agent has not seen it. Read it, then release or reject it.",
    otherwise: (time: string) => `If nobody decides by ${time}, the agent does not get it.`,
  },
} as const;

/** What an approval request is made of. */
export interface ApprovalRequest {
  item: DecisionItem;
  /** The decision link, whole. */
  link: string;
  approver: string;
  /** ISO 8601. */
  expires_at: string;
  product_url: string;
  /** The newest checkpoint of the tenant's audit log, so that people outside hold old ones (FORMATS.md §6). */
  checkpoint?: string | null;
}

/**
 * The mail that asks a person to decide. Its one link opens the decision page; no link decides. Nothing in it that the agent
 * wrote can be pressed, hides characters, or passes for our words.
 */
export function approvalRequestMail(request: ApprovalRequest): PersonMail {
  const { item, link, approver, expires_at, product_url, checkpoint = null } = request;
  const words = KINDS[item.kind];
  const facts = envelopeFacts(item.content);
  const agent =
    item.agent.agent_id === null ? [] : [["Agent", `${oneLine(item.agent.agent_id)} (its own claim)`] as const];
  const all = [...facts, ...agent, ["Why held", oneLine(heldInWords(item.held_by))] as const];
  const start = excerpt(item.content, FIRST_LINES.lines, FIRST_LINES.characters);
  const alarm = warningSentence(item.content);
  const otherwise = words.otherwise(timeInWords(expires_at));
  const why = `You get this because ${oneLine(approver, 200, "strict")} decides for ${oneLine(item.mailbox_address, 200, "strict")}. The link is yours alone: do not forward this mail.`;
  const open = "Opening the link decides nothing.";
  return {
    subject: quotingSubject(words.ours, item.content.subject),
    text: paragraphs(
      words.title,
      words.lead,
      item.test ? TEST_MESSAGE : null,
      alarm,
      `Review and decide:\n${link}`,
      `${open} ${otherwise}`,
      factLines(all),
      start === "" ? "(The message has no text.)" : `How it begins:\n\n${barred(start)}`,
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={words.title} preview={words.lead} product_url={product_url} why={why}>
        <Paragraph soft>{words.lead}</Paragraph>
        {item.test && (
          <Paragraph>
            <b>{TEST_MESSAGE}</b>
          </Paragraph>
        )}
        {alarm !== null && <Alarm>{alarm}</Alarm>}
        <Facts facts={all} />
        {start === "" ? <Paragraph soft>The message has no text.</Paragraph> : <Quoted text={start} />}
        <Button href={link} label="Review and decide" />
        <Paragraph soft small>
          {open} {otherwise}
        </Paragraph>
        <Paragraph soft small>
          If the button does nothing, open this address: <PlainLink href={link} />
        </Paragraph>
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}

const Checkpoint = ({ note }: { note: string }) => (
  <Paragraph soft small>
    Newest checkpoint of the audit log:
    <br />
    <span style="font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;white-space:pre-wrap">{note}</span>
  </Paragraph>
);

/** What a monitored copy is made of. */
export interface MonitoredCopy {
  item: Pick<DecisionItem, "content" | "mailbox_address" | "agent" | "oversight_mode" | "email_id" | "test">;
  status: Status;
  /** ISO 8601; null while it has not left. */
  sent_at: string | null;
  product_url: string;
  checkpoint?: string | null;
}

/** The copy that a monitored mailbox's overseer gets of each message: nothing to do, everything to read. */
export function monitoredCopyMail(copy: MonitoredCopy): PersonMail {
  const { item, status, sent_at, product_url, checkpoint = null } = copy;
  const mailbox = oneLine(item.mailbox_address, 200, "strict");
  const title = item.test ? "An agent sent a test message" : "An agent sent an email";
  const how = item.test ? testInWords(sent_at) : STATUS_WORDS[status];
  const standing = `This message ${how}${sent_at === null ? "" : ` (${timeInWords(sent_at)})`}.`;
  const lead = `${standing} This is your copy; there is nothing to do.`;
  const agent =
    item.agent.agent_id === null ? [] : [["Agent", `${oneLine(item.agent.agent_id)} (its own claim)`] as const];
  const facts = [...envelopeFacts(item.content), ...agent, ["Message", item.email_id] as const];
  const body = excerpt(item.content, COPIED.lines, COPIED.characters);
  const alarm = warningSentence(item.content);
  const mode = MODE_WORDS[item.oversight_mode];
  const why = `You get this because you oversee ${mailbox}, whose mode is “${mode.name}”: ${lowerFirst(mode.meaning)}`;
  return {
    subject: quotingSubject("Copy", item.content.subject),
    text: paragraphs(
      title,
      lead,
      alarm,
      factLines(facts),
      body === "" ? "(The message has no text.)" : barred(body),
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={title} preview={standing} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        {alarm !== null && <Alarm>{alarm}</Alarm>}
        <Facts facts={facts} />
        {body === "" ? <Paragraph soft>The message has no text.</Paragraph> : <Quoted text={body} />}
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}

/** How a test message stands: nothing it goes through is a mail server. */
function testInWords(sentAt: string | null): string {
  return sentAt === null
    ? "is a test: it ends in the sandbox and reaches nobody"
    : "is a test: it ended in the sandbox and reached nobody";
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** What a one-time code's mail is made of. */
export interface OperatorCode {
  code: string;
  /** The change that the code lets through, as a sentence. */
  words: string;
  /** The API key that asked. */
  key_id: string;
  /** ISO 8601. */
  expires_at: string;
  tenant_name: string;
  product_url?: string;
  checkpoint?: string | null;
}

/** The mail with a one-time code: it says the change in words, so that nobody lets through what they have not read. */
export function operatorCodeMail(request: OperatorCode): PersonMail {
  const { code, key_id, expires_at, product_url = "", checkpoint = null } = request;
  const tenant = oneLine(request.tenant_name, 80);
  const words = excerptOf(request.words);
  const title = "A change needs your code";
  const lead = `A program asks to loosen what it may do at ${tenant}. Nothing has changed yet.`;
  const facts = [
    ["API key", oneLine(key_id, 80, "strict")],
    ["Works until", timeInWords(expires_at)],
  ] as const;
  const give =
    "Only if you want exactly this change, give the code to whoever asked for it. It works once, and for nothing else.";
  const ignore =
    "If you did not expect this, ignore this mail: without the code nothing changes. Then consider revoking the API key.";
  const why = `You get this because you are the operator of ${tenant}.`;
  return {
    // The code stays out of the subject: lock screens show subjects to whoever passes by.
    subject: quotingSubject("Code for a change", words),
    text: paragraphs(
      title,
      lead,
      `The change:\n\n${barred(words)}`,
      `Code: ${code}`,
      factLines(facts),
      give,
      ignore,
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={title} preview={lead} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        <Quoted text={words} />
        <Code code={code} />
        <Facts facts={facts} />
        <Paragraph>{give}</Paragraph>
        <Paragraph soft small>
          {ignore}
        </Paragraph>
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}

/** A change in words may quote names that someone chose, so it is cleaned like any other text. */
function excerptOf(words: string): string {
  return words
    .split("\n")
    .map((line) => oneLine(line, 500))
    .join("\n")
    .trim();
}
