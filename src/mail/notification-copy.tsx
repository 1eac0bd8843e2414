import type { MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import type { Status } from "../oversight/statuses.ts";
import { findMisleading } from "../pages/misleading.ts";
import { MODE_WORDS, STATUS_WORDS, timeInWords } from "../pages/words.ts";
import { Alarm, Facts, Mail, Paragraph, renderMail } from "./notification-layout.tsx";
import {
  agentFact,
  Checkpoint,
  foot,
  lowerFirst,
  type PersonMail,
  paragraphs,
  QuotedOr,
  quotedText,
  warningSentence,
} from "./notification-parts.tsx";
import { bodyExcerpt, envelopeFacts, factLines, oneLine, quotingSubject } from "./notification-text.ts";

const COPIED = { lines: 400, characters: 20_000 };
const NO_TEXT = "The message has no text.";

/** What a monitored copy is made of. */
export interface MonitoredCopy {
  item: Pick<MessageItem, "content" | "mailbox_address" | "agent" | "oversight_mode" | "email_id" | "test">;
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
  const facts = [...envelopeFacts(item.content), ...agentFact(item.agent), ["Message", item.email_id] as const];
  const body = bodyExcerpt(item.content, COPIED.lines, COPIED.characters);
  const alarm = warningSentence(findMisleading(item.content));
  const mode = MODE_WORDS[item.oversight_mode];
  const why = `You get this because you oversee ${mailbox}, whose mode is “${mode.name}”: ${lowerFirst(mode.meaning)}`;
  return {
    subject: quotingSubject("Copy", item.content.subject),
    text: paragraphs(
      title,
      lead,
      alarm,
      factLines(facts),
      quotedText(body, NO_TEXT),
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={title} preview={standing} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        {alarm !== null && <Alarm>{alarm}</Alarm>}
        <Facts facts={facts} />
        <QuotedOr words={body} none={NO_TEXT} />
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
