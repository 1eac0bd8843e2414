import { blankDecisionTokens } from "../oversight/decision-links.ts";
import { makeVisible, type TextContext } from "../pages/misleading/characters.ts";
import { shorten } from "../pages/misleading/warning.ts";
import type { MailAddress, MessageContent } from "./message.ts";
import { htmlToPlainText } from "./plain-text.ts";

/** Someone else's words made fit for a mail of ours: visible, bounded, without links and without decision links. */

const LONGEST_VALUE = 200;
const MOST_PEOPLE = 5;
const WEB_ADDRESS = /\b[a-z][a-z0-9+.-]*:\/\/([^\s/?#<>"']+)[^\s<>"']*|\b(www\.[^\s/?#<>"']+)[^\s<>"']*/giu;
/** `evil.example/approve`: mail programs make a link of it without being asked. */
const HOST_WITH_PATH = /(?<![@\p{L}\p{N}.-])((?:[\p{L}\p{N}-]+\.)+\p{L}{2,})\/[^\s<>"']*/giu;

/** Mail programs turn addresses into links; in our mail only ours may be pressed. */
function withoutLinks(text: string): string {
  return text
    .replace(WEB_ADDRESS, (_all, host?: string, www?: string) => `[link to ${host ?? www}]`)
    .replace(HOST_WITH_PATH, (_all, host: string) => `[link to ${host}]`);
}

/** @returns one line of someone else's text: hidden characters spelled out, line breaks as spaces, at most `limit` characters. */
export function oneLine(text: string, limit = LONGEST_VALUE, context: TextContext = "line"): string {
  const line = blankDecisionTokens(text.replace(/[\s\u2028\u2029]+/gu, " ").trim());
  return shorten(withoutLinks(makeVisible(line, context)), limit);
}

/** @returns our words and after them, in quotes, someone else's: they are one bounded line, and the quote cannot end itself. */
export function quotingSubject(ours: string, theirs: string): string {
  const quote = oneLine(theirs, 70).replace(/[“”„‟«»"]/g, "'");
  return `${ours}: ${quote === "" ? "(no subject)" : `“${quote}”`}`;
}

/** @returns an address with its name in one line. */
export function person({ name, address }: MailAddress): string {
  const plain = oneLine(address, LONGEST_VALUE, "strict");
  return name === null || name === "" ? plain : `${oneLine(name, 80)} <${plain}>`;
}

/** @returns the first few people, and how many more there are. */
export function people(list: readonly MailAddress[]): string {
  const listed = list.slice(0, MOST_PEOPLE).map(person).join(", ");
  return list.length > MOST_PEOPLE ? `${listed} and ${list.length - MOST_PEOPLE} more` : listed;
}

/** A label and its value, already fit for a mail. */
export type Fact = readonly [label: string, value: string];

/** From, all recipients and subject, as labels and values. */
export function envelopeFacts(content: MessageContent): Fact[] {
  const lists: [string, readonly MailAddress[]][] = [
    ["Answers to", content.reply_to],
    ["To", content.to],
    ["Cc", content.cc],
    ["Bcc", content.bcc],
  ];
  const files = content.attachments.slice(0, MOST_PEOPLE).map((file) => oneLine(file.name, 80, "strict"));
  const more = content.attachments.length > MOST_PEOPLE ? ` and ${content.attachments.length - MOST_PEOPLE} more` : "";
  return [
    ["From", person(content.from)],
    ...lists.filter(([, list]) => list.length > 0).map(([label, list]): Fact => [label, people(list)]),
    ["Subject", oneLine(content.subject) || "(no subject)"],
    ...(files.length > 0 ? [["Files", files.join(", ") + more] as const] : []),
  ];
}

/** @returns the beginning of a message's text, as `excerpt` makes it. */
export function bodyExcerpt(content: MessageContent, lines: number, characters: number): string {
  return excerpt(content.text ?? (content.html === null ? "" : htmlToPlainText(content.html)), lines, characters);
}

/** @returns the beginning of a text, at most `lines` lines and `characters` characters, visible and without links. */
export function excerpt(whole: string, lines: number, characters: number): string {
  const text = whole
    .replace(/\r\n?/g, "\n")
    .replace(/[\u2028\u2029]/g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
  // Cut before it is looked through, or a long body would cost its whole length.
  const head = text.slice(0, characters * 2).split("\n");
  const first = withoutLinks(makeVisible(blankDecisionTokens(head.slice(0, lines).join("\n")).toWellFormed(), "body"));
  const cut = shorten(first, characters);
  const isWhole = cut === first && head.length <= lines && text.length <= characters * 2;
  return isWhole || cut.endsWith("…") ? cut : `${cut.trimEnd()}\n…`;
}

/** @returns `text` with a bar before each line, so that it cannot pass for ours. */
export function barred(text: string): string {
  return text
    .split("\n")
    .map((line) => `| ${line}`.trimEnd())
    .join("\n");
}

/** @returns labels and values in two columns. */
export function factLines(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(([label]) => label.length)) + 2;
  return facts.map(([label, value]) => `${`${label}:`.padEnd(width)}${value}`).join("\n");
}
