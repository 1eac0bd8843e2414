import type { DecisionItem, MessageItem, RequestItem, TemplateItem } from "../../durable-objects/mailbox-rpc.ts";
import type { PendingKind } from "../operations/shapes/pending.ts";
import { shorten } from "../pages/misleading/warning.ts";
import { fieldInWords, operationInWords, valueInWords } from "../pages/operation-words.ts";
import { recordFacts, recordTime } from "../pages/record-words.ts";
import { quorumInWords, riskInWords, timeInWords } from "../pages/words.ts";
import { agentFact } from "./notification-parts.tsx";
import { bodyExcerpt, envelopeFacts, excerpt, type Fact, oneLine } from "./notification-text.ts";

/** What a mail says of an item that waits: our words for its kind, and what it is about, made fit for a mail of ours. */

const FIRST_LINES = { lines: 12, characters: 800 };
const LONGEST_FIELD = 160;
/** Reasons beyond these are on the page. */
const MOST_REASONS = 3;

interface RequestWords {
  /** Begins the subject. */
  ours: string;
  title: string;
  lead: string;
  /** What stands before the quote. */
  intro: string;
  /** In the place of the quote, where there is nothing to quote. */
  none: string;
  button: string;
}

export const REQUEST_WORDS: Record<PendingKind, RequestWords> = {
  send: {
    ours: "Decision needed",
    title: "An agent asks to send an email",
    lead: "It has not left. Read it, then approve or reject it.",
    intro: "How it begins",
    none: "The message has no text.",
    button: "Review and decide",
  },
  inbound: {
    ours: "Decision needed, incoming",
    title: "An email waits for your release",
    lead: "It came from outside. The agent has not seen it. Read it, then release or reject it.",
    intro: "How it begins",
    none: "The message has no text.",
    button: "Review and decide",
  },
  read: {
    ours: "Decision needed, reading",
    title: "An agent asks to read mail",
    lead: "It has seen nothing. Look at what it asks for, then allow it once or reject it.",
    intro: "What it asks for, whole on the page",
    none: "It gave nothing besides.",
    button: "Review and decide",
  },
  annotate: {
    ours: "Decision needed, a change",
    title: "An agent asks to change something",
    lead: "Nothing has changed. Look at what it asks for, then allow it once or reject it.",
    intro: "What it asks for, whole on the page",
    none: "It gave nothing besides.",
    button: "Review and decide",
  },
  template: {
    ours: "Decision needed, template",
    title: "An agent asks to send from a template",
    lead: "It cannot use it yet. Once you approve it, what it sends from it needs no further approval unless a rule holds it.",
    intro: "How it begins",
    none: "The template has no text.",
    button: "Review and decide",
  },
  upgrade: {
    ours: "An agent asks for more freedom",
    title: "An agent asks for more freedom",
    lead: "Nothing has changed. Only the operator lets this through, with a code that was mailed to them; you can reject it.",
    intro: "What would change",
    none: "It did not say what.",
    button: "Look at it",
  },
};

/** What of an item is quoted in a subject: someone else's words. */
export function matterOf(item: DecisionItem): string {
  if ("content" in item) return item.content.subject;
  if ("request" in item) return operationInWords(item.request.operation) ?? item.request.operation;
  return item.kind === "template" ? item.template.name : item.change;
}

function messageFacts(item: MessageItem): Fact[] {
  const leaves: Fact[] = item.send_at === null ? [] : [["Leaves", timeInWords(item.send_at)]];
  const risk: Fact[] = item.risk === null || item.kind !== "send" ? [] : [["Risk", riskFact(item.risk)]];
  return [...forwardFacts(item), ...envelopeFacts(item.content), ...leaves, ...risk];
}

/** Whose words they are, before anything is quoted of them. */
function forwardFacts({ forwarded }: MessageItem): Fact[] {
  if (!forwarded) return [];
  const { form, from, subject } = forwarded;
  if (form === "redirected") return [["Passes on", "the message below as it is; others wrote it"]];
  return [["Attached", `${oneLine(subject) || "(no subject)"}, from ${oneLine(from.address, 200, "strict")}`]];
}

function riskFact({ score, reasons }: NonNullable<MessageItem["risk"]>): string {
  const because = reasons.slice(0, MOST_REASONS).map((reason) => oneLine(reason.because));
  return because.length === 0 ? riskInWords(score) : `${riskInWords(score)}: ${because.join(" ")}`;
}

function requestFacts({ request, about }: RequestItem): Fact[] {
  const operation = operationInWords(request.operation);
  const name = oneLine(request.operation, 80, "strict");
  return [
    ["Asks to", operation === null ? name : `${operation} (${name})`],
    ...(about
      ? [["Message", `${oneLine(about.subject) || "(no subject)"}, from ${oneLine(about.from)}`] as const]
      : []),
  ];
}

function templateFacts({ template }: TemplateItem): Fact[] {
  const { name, version, subject, variables, allowed_domains } = template;
  return [
    ["Template", `${oneLine(name)}, version ${version}`],
    ["Subject", oneLine(subject) || "(no subject)"],
    ["Fills in", oneLine(variables.map((variable) => variable.name).join(", ")) || "nothing"],
    [
      "May go to",
      allowed_domains === null
        ? "any domain that the rules let through"
        : oneLine(allowed_domains.join(", ")) || "nobody",
    ],
  ];
}

function matterFacts(item: DecisionItem): Fact[] {
  if ("content" in item) return messageFacts(item);
  if ("request" in item) return requestFacts(item);
  return item.kind === "template" ? templateFacts(item) : [];
}

/** Why it waits: the deciding rule's sentence, and what else would have held it. */
function whyFacts({ because, reasons }: DecisionItem): Fact[] {
  const others = reasons.map((reason) => reason.because).filter((each) => each !== because);
  return [
    ["Why it waits", oneLine(because)],
    ...others.slice(0, MOST_REASONS).map((each): Fact => ["And", oneLine(each)]),
  ];
}

/** @returns what a person should know before they open the page, as labels and values. */
export function itemFacts(item: DecisionItem): Fact[] {
  const progress = quorumInWords(item.quorum);
  return [
    ...matterFacts(item),
    ...(item.kind === "inbound" ? [] : agentFact(item.agent)),
    ...whyFacts(item),
    ...(progress === null ? [] : [["Approvals", oneLine(progress, 400)] as const]),
  ];
}

/** The fewest facts by which an item is recognised among others. */
export function briefFacts(item: DecisionItem): Fact[] {
  const envelope = "content" in item ? envelopeFacts(item.content).filter(([label]) => label !== "Subject") : [];
  return [
    ["Mailbox", oneLine(item.mailbox_address, 200, "strict")],
    ...envelope,
    ...("content" in item ? [] : matterFacts(item)),
    ["Why it waits", oneLine(item.because)],
    ...(item.expires_at === null ? [] : [["Decide by", timeInWords(item.expires_at)] as const]),
  ];
}

/** One short line for each field, so that no value can pass for a field of its own, or push the next one away. */
function fieldLine([name, value]: [string, unknown]): string {
  return shorten(`${fieldInWords(name)} (${name}): ${valueInWords(value)}`.replace(/\s+/gu, " "), LONGEST_FIELD);
}

/** @returns the beginning of what it is about, in someone else's words. */
export function itemExcerpt(item: DecisionItem): string {
  const { lines, characters } = FIRST_LINES;
  if ("content" in item) return bodyExcerpt(item.content, lines, characters);
  if (item.kind === "template") return excerpt(item.template.markdown, lines, characters);
  if (item.kind === "upgrade") return excerpt(item.change, lines, characters);
  return excerpt(Object.entries(item.request.input).map(fieldLine).join("\n"), lines, characters);
}

/** What the mailbox did lately, where that is asked about; its heading with it. */
export function itemRecord(item: DecisionItem): { title: string; facts: Fact[] } | null {
  return item.kind === "upgrade"
    ? { title: `${recordTime(item.record)}, this mailbox`, facts: recordFacts(item.record) }
    : null;
}
