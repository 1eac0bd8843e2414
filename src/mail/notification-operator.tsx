import type { MailboxRecord } from "../operations/shapes/mailbox.ts";
import type { Mode } from "../oversight/modes.ts";
import { recordFacts, recordTime } from "../pages/record-words.ts";
import { count, MODE_WORDS, timeInWords } from "../pages/words.ts";
import { Code, Facts, Mail, Paragraph, Quoted, renderMail } from "./notification-layout.tsx";
import {
  Checkpoint,
  foot,
  lowerFirst,
  type PersonMail,
  paragraphs,
  TitledFacts,
  titledFacts,
} from "./notification-parts.tsx";
import { barred, factLines, oneLine, quotingSubject } from "./notification-text.ts";

/** Mail about how much rope a mailbox has: the code that gives it more, and the notice that it took some back by itself. */

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
  /** What the mailbox that the change is about did lately; left out where it is about none, or about several. */
  record?: MailboxRecord | null;
  mailbox_address?: string | null;
  product_url?: string;
  checkpoint?: string | null;
}

/** The mail with a one-time code: it says the change in words, so that nobody lets through what they have not read. */
export function operatorCodeMail(request: OperatorCode): PersonMail {
  const { code, key_id, expires_at, product_url = "", checkpoint = null } = request;
  const past = recordOf(request);
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
      past && titledFacts(past.title, past.facts),
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
        {past && <TitledFacts title={past.title} facts={past.facts} />}
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

function recordOf({ record = null, mailbox_address = null }: OperatorCode) {
  if (record === null) return null;
  const whose = mailbox_address === null ? "this mailbox" : oneLine(mailbox_address, 200, "strict");
  return { title: `${recordTime(record)}, ${whose}`, facts: recordFacts(record) };
}

/** A change in words may quote names that someone chose, so it is cleaned like any other text. */
function excerptOf(words: string): string {
  return words
    .split("\n")
    .map((line) => oneLine(line, 500))
    .join("\n")
    .trim();
}

/** What the notice of a mailbox that took back its rope is made of. */
export interface FallBackNotice {
  mailbox_address: string;
  from: Mode;
  to: Mode;
  /** Which limit was passed. */
  what: "bounces" | "complaints";
  /** How many there were in the last `days` days. */
  count: number;
  days: number;
  /** ISO 8601. */
  at: string;
  approver: string;
  product_url: string;
  checkpoint?: string | null;
}

const TROUBLE: Record<FallBackNotice["what"], { noun: string; meaning: string }> = {
  bounces: { noun: "bounce", meaning: "Other servers sent back what the agent wrote." },
  complaints: { noun: "complaint", meaning: "Recipients reported what the agent wrote as spam." },
};

/** The notice that a mailbox fell back to a stricter mode by itself: why, and what is another now. */
export function fallBackMail(notice: FallBackNotice): PersonMail {
  const { from, to, what, days, at, product_url, checkpoint = null } = notice;
  const mailbox = oneLine(notice.mailbox_address, 200, "strict");
  const { noun, meaning } = TROUBLE[what];
  const title = "A mailbox has less freedom now";
  const lead =
    "It fell back by itself, as its policy says. What had not left yet waits for a decision where the new mode asks for one; nothing is lost.";
  const facts = [
    ["Mailbox", mailbox],
    ["When", timeInWords(at)],
    ["Why", `${count(notice.count, noun)} in the last ${count(days, "day")}, more than its policy allows. ${meaning}`],
    ["Mode now", `${MODE_WORDS[to].name}: ${lowerFirst(MODE_WORDS[to].meaning)}`],
    ["Before", `${MODE_WORDS[from].name}: ${lowerFirst(MODE_WORDS[from].meaning)}`],
  ] as const;
  const next =
    "It stays so until the operator gives it more freedom again. Look first at what the agent sent, and to whom.";
  const why = `You get this because ${oneLine(notice.approver, 200, "strict")} decides for ${mailbox}.`;
  return {
    subject: quotingSubject(title, mailbox),
    text: paragraphs(title, lead, factLines(facts), next, foot(why, product_url, checkpoint)),
    html: renderMail(
      <Mail title={title} preview={lead} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        <Facts facts={facts} />
        <Paragraph>{next}</Paragraph>
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}
