import { codeIn, statusIn } from "./bounce-kind.ts";
import { type DeliveryReport, type DsnAction, oneDiagnosticLine } from "./delivery-report.ts";
import type { ReportMessage } from "./report-fields.ts";

/** Bounces that are written for people. Each form has its own words; a mail without any of them is no bounce. */

interface Form {
  name: string;
  /** In the text. */
  words: RegExp;
  action: DsnAction;
}

/** The first that fits counts: a warning names the failure that may follow, so warnings come before. */
const WRITTEN: readonly Form[] = [
  {
    name: "postfix_delay",
    words: /THIS IS A WARNING ONLY\.\s+YOU DO NOT NEED TO RESEND YOUR MESSAGE/i,
    action: "delayed",
  },
  {
    name: "exim_delay",
    words: /has not (?:yet )?been delivered to one or more of its recipients after/i,
    action: "delayed",
  },
  {
    name: "sendmail_delay",
    words: /THIS IS A WARNING MESSAGE ONLY|had transient non-fatal errors/i,
    action: "delayed",
  },
  {
    name: "gmail_delay",
    words:
      /There was a temporary problem delivering your message|Delivery to the following recipient has been delayed/i,
    action: "delayed",
  },
  {
    name: "exchange_delay",
    words: /Delivery (?:is|has been) delayed to these recipients or (?:groups|distribution lists)/i,
    action: "delayed",
  },
  { name: "qmail", words: /^Hi\. This is the qmail-send program at /m, action: "failed" },
  {
    name: "postfix",
    words:
      /This is the (?:mail system at host|Postfix program at host)[\s\S]{0,400}could not\s+be delivered to one or more recipients/i,
    action: "failed",
  },
  {
    name: "exim",
    words:
      /This message was created automatically by mail delivery software[\s\S]{0,300}could not be\s+delivered to (?:one or more|all) of its recipients/i,
    action: "failed",
  },
  { name: "sendmail", words: /The following addresses had permanent (?:fatal|delivery) errors/i, action: "failed" },
  {
    name: "gmail",
    words:
      /Delivery to the following recipients? failed permanently|Your message wasn['’]t delivered to |Your message to .{1,320} has been blocked/i,
    action: "failed",
  },
  {
    name: "yahoo",
    words: /Sorry,? we (?:were|are) unable to deliver your message to the following address/i,
    action: "failed",
  },
  {
    name: "exchange",
    words:
      /Delivery has failed to these recipients or (?:groups|distribution lists)|did not reach the following recipient\(s\)|Your message to .{1,320} couldn['’]t be delivered/i,
    action: "failed",
  },
  { name: "domino", words: /Your message[\s\S]{0,400}was not delivered to:[\s\S]{0,400}because:/i, action: "failed" },
  {
    name: "amazon_ses",
    words: /An error occurred while trying to deliver the mail to the following recipients/i,
    action: "failed",
  },
  {
    name: "generic",
    words:
      /(?:message|mail|e-mail|email) (?:could not|cannot|can ?not) be delivered|undeliverable (?:message|mail)|was (?:unable|not able) to deliver (?:your|the) (?:message|mail)|delivery (?:has )?failed permanently|permanent(?:ly)? fail(?:ed|ure) .{0,40}deliver/i,
    action: "failed",
  },
];

/** Each with its words wherever a server breaks its lines. */
const FORMS = WRITTEN.map((form) => ({
  ...form,
  words: new RegExp(form.words.source.replace(/\\s\+| /g, "\\s+"), form.words.flags),
}));

/** Where the returned mail begins: a code below it is not about this delivery. */
const COPY =
  /^(?:-{2,}\s*(?:Below this line is a copy|This is a copy of|The (?:body of the|header of the)|Original message|Returned message|Forwarded message|Unsent message|Message header follows|The original message|Message headers?)|Original message headers:)/im;

const MAX_TEXT = 64 * 1024;
/** How far behind the words the reason is looked for. */
const REASON_CHARACTERS = 4 * 1024;

/** Who writes bounces: RFC 5321 §4.5.1 and custom. A person writes about bounces too, and quotes them. */
const BOUNCER =
  /^(?:mailer-daemon|postmaster|mail-?daemon|mail\.daemon|microsoftexchange[0-9a-f]+|bounces?|no-?reply)(?:[+@.-]|$)/i;
const BOUNCE_SUBJECT =
  /undeliver|delivery (?:status|failure|failed|has failed|delayed|incomplete|problem|notification|report)|failure notice|returned (?:mail|to sender)|mail (?:delivery|system) (?:failed|error|failure|problem)|non[- ]?delivery|(?:message|mail) (?:not|could not be) delivered|warning: (?:message|could not)|unzustellbar|non remis|no entregad/i;

/** A form alone is not enough: an answer may quote one. */
function isFromMailSystem({ headers, from, subject }: ReportMessage): boolean {
  const failed = headers.some(([name]) => name.toLowerCase() === "x-failed-recipients");
  return (
    failed || (from.length <= 1 && from.every(({ address }) => BOUNCER.test(address)) && BOUNCE_SUBJECT.test(subject))
  );
}

/**
 * Lines and paragraphs as they were, with one space or one empty line where there are more: a pattern that seeks words with any space
 * between them would else try each way to share out a gap of some thousand spaces.
 */
function withoutGaps(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[^\S\n]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n");
}

/**
 * Reads a bounce that has no machine part.
 * @returns what it says of its one recipient, the one whose return path it came to; null if it is no bounce of a known form.
 */
export function readPlainBounce(message: ReportMessage): DeliveryReport | null {
  if (!isFromMailSystem(message)) return null;
  const text = withoutGaps(message.text.slice(0, MAX_TEXT));
  const form = FORMS.find(({ words }) => words.test(text));
  if (!form) return null;
  const from = text.search(form.words);
  const behind = text.slice(from, from + REASON_CHARACTERS);
  const copy = behind.search(COPY);
  const reason = copy < 0 ? behind : behind.slice(0, copy);
  const status = statusIn(reason);
  return {
    form: form.name,
    statuses: [
      {
        action: form.action,
        recipients: [],
        status,
        code: codeIn(reason),
        diagnostic: oneDiagnosticLine(aroundCode(reason, status)),
      },
    ],
    truncated: false,
  };
}

/** The words beside the code say why; without a code, the words behind the form's own. */
function aroundCode(reason: string, status: string | null): string {
  const at = status === null ? reason.search(/\b[45]\d\d[ -]/) : reason.indexOf(status);
  if (at < 0) return reason;
  const paragraph = reason.lastIndexOf("\n\n", at);
  return reason.slice(Math.max(paragraph, at - 200, 0));
}
