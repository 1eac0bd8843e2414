import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import { warningsAbout } from "../pages/decision/judged.ts";
import { KIND_WORDS } from "../pages/decision/kinds.ts";
import { count, durationInWords, TEST_MESSAGE, timeInWords } from "../pages/words.ts";
import { briefFacts, itemExcerpt, itemFacts, itemRecord, matterOf, REQUEST_WORDS } from "./notification-item.ts";
import { Alarm, Button, Facts, Heading, Mail, Paragraph, PlainLink, renderMail } from "./notification-layout.tsx";
import {
  Checkpoint,
  foot,
  type PersonMail,
  paragraphs,
  QuotedOr,
  quotedText,
  TitledFacts,
  titledFacts,
  warningSentence,
} from "./notification-parts.tsx";
import { factLines, oneLine, quotingSubject } from "./notification-text.ts";

/** Mail that asks people to decide: one item at a time, or everything that waits. No link in it decides. */

/** What an approval request is made of. */
export interface ApprovalRequest {
  item: DecisionItem;
  /** The decision link, whole. */
  link: string;
  approver: string;
  /** ISO 8601; null: it waits for ever. */
  expires_at: string | null;
  /** Seconds that passed without a decision by those who were asked before; null if nobody was. */
  escalated_after?: number | null;
  /** The approver in whose place this person decides; null for their own seat. */
  on_behalf_of?: string | null;
  product_url: string;
  /** The newest checkpoint of the tenant's audit log, so that people outside hold old ones (FORMATS.md §6). */
  checkpoint?: string | null;
}

/** Why this person is asked, where it is not simply their turn. */
function turnOf({ escalated_after = null, on_behalf_of = null }: ApprovalRequest): string | null {
  const escalation =
    escalated_after === null
      ? ""
      : `Those who were asked first did not decide within ${durationInWords(escalated_after)}, so you are asked too.`;
  const standing =
    on_behalf_of === null ? "" : `You stand in for ${oneLine(on_behalf_of, 200, "strict")} while they are away.`;
  return [standing, escalation].filter((sentence) => sentence !== "").join(" ") || null;
}

function isTest(item: DecisionItem): boolean {
  return "test" in item && item.test;
}

function otherwise({ item, expires_at }: ApprovalRequest): string {
  return expires_at === null
    ? "It waits until someone decides."
    : `If nobody decides by ${timeInWords(expires_at)}, ${KIND_WORDS[item.kind].otherwise}.`;
}

/**
 * The mail that asks a person to decide. Its one link opens the decision page; no link decides. Nothing in it that the agent
 * wrote can be pressed, hides characters, or passes for our words.
 */
export function approvalRequestMail(request: ApprovalRequest): PersonMail {
  const { item, link, approver, product_url, checkpoint = null } = request;
  const words = REQUEST_WORDS[item.kind];
  const facts = itemFacts(item);
  const start = itemExcerpt(item);
  const record = itemRecord(item);
  const alarm = warningSentence(warningsAbout(item));
  const turn = turnOf(request);
  const ending = `Opening the link decides nothing. ${otherwise(request)}`;
  const why = `You get this because ${oneLine(approver, 200, "strict")} decides for ${oneLine(item.mailbox_address, 200, "strict")}. The link is yours alone: do not forward this mail.`;
  return {
    subject: quotingSubject(words.ours, matterOf(item)),
    text: paragraphs(
      words.title,
      words.lead,
      turn,
      isTest(item) ? TEST_MESSAGE : null,
      alarm,
      `${words.button}:\n${link}`,
      ending,
      factLines(facts),
      quotedText(start, words.none, `${words.intro}:`),
      record && titledFacts(record.title, record.facts),
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={words.title} preview={words.lead} product_url={product_url} why={why}>
        <Paragraph soft>{words.lead}</Paragraph>
        {turn !== null && <Paragraph>{turn}</Paragraph>}
        {isTest(item) && (
          <Paragraph>
            <b>{TEST_MESSAGE}</b>
          </Paragraph>
        )}
        {alarm !== null && <Alarm>{alarm}</Alarm>}
        <Facts facts={facts} />
        <QuotedOr words={start} none={words.none} intro={`${words.intro}:`} />
        {record && <TitledFacts title={record.title} facts={record.facts} />}
        <Button href={link} label={words.button} />
        <Paragraph soft small>
          {ending}
        </Paragraph>
        <Paragraph soft small>
          If the button does nothing, open this address: <PlainLink href={link} />
        </Paragraph>
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}

/** What a digest is made of: everything that waits for one person. */
export interface Digest {
  /** Each with its own decision link, the longest waiting first. */
  items: readonly { item: DecisionItem; link: string }[];
  /** How many wait besides these. */
  more: number;
  approver: string;
  product_url: string;
  checkpoint?: string | null;
}

/** An item among others: what it is, by what it is recognised, and its link. */
function digestEntry({ item, link }: Digest["items"][number], index: number) {
  const number = index + 1;
  const title = quotingSubject(`${number}. ${REQUEST_WORDS[item.kind].title}`, matterOf(item));
  const alarm = warningSentence(warningsAbout(item));
  return { number, title, alarm, test: isTest(item) ? TEST_MESSAGE : null, facts: briefFacts(item), link };
}

/** The one mail for everything that waits for a person. Each item has its own link, and no link decides. */
export function digestMail({ items, more, approver, product_url, checkpoint = null }: Digest): PersonMail {
  const all = items.length + more;
  const title = `${count(all, "decision")} ${all === 1 ? "waits" : "wait"} for you`;
  const lead = "Each one has its own link below. Opening a link decides nothing.";
  const entries = items.map(digestEntry);
  const rest =
    more === 0 ? null : `And ${more} more, which this mail has no room for: sign in to the console to see them all.`;
  const why = `You get this because ${oneLine(approver, 200, "strict")} decides for these mailboxes. The links are yours alone: do not forward this mail.`;
  return {
    subject: title,
    text: paragraphs(
      title,
      lead,
      ...entries.map((entry) =>
        [entry.title, entry.test, entry.alarm, factLines(entry.facts), entry.link]
          .filter((line) => line !== null)
          .join("\n"),
      ),
      rest,
      foot(why, product_url, checkpoint),
    ),
    html: renderMail(
      <Mail title={title} preview={lead} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        {entries.map((entry) => (
          <>
            <Heading>{entry.title}</Heading>
            {entry.test !== null && (
              <Paragraph>
                <b>{entry.test}</b>
              </Paragraph>
            )}
            {entry.alarm !== null && <Alarm>{entry.alarm}</Alarm>}
            <Facts facts={entry.facts} />
            <Button href={entry.link} label={`Open number ${entry.number}`} />
          </>
        ))}
        {rest !== null && <Paragraph>{rest}</Paragraph>}
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}
