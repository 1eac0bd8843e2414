import { domainOf } from "../mail/address.ts";
import { limitNesting } from "../mail/html-nesting.ts";
import { isImitation, shapeOf } from "../pages/misleading/domains.ts";
import { isProgram } from "../pages/misleading/files.ts";
import { findHiddenCharacters } from "../pages/misleading/hidden-characters.ts";
import { type HtmlContent, readHtml } from "../pages/misleading/html-content.ts";
import { judgeLink } from "../pages/misleading/links.ts";
import { judgeWords } from "../pages/misleading/names.ts";

/** How risky a message is, by what the mailbox knows itself: no look-ups, no model. */

/** What speaks for a risk. */
export interface RiskReason {
  /** A stable name. */
  reason: string;
  /** 0 to 1: the risk if there were nothing else. */
  weight: number;
  /** One plain sentence. It may name recipients, so in the audit log it is personal. */
  because: string;
}

export interface Risk {
  /** 0 to 1, two decimals: 1 − Π(1 − weight), the chance that one of independent reasons is right. */
  score: number;
  reasons: RiskReason[];
}

export const NO_RISK: Risk = { score: 0, reasons: [] };

/** What the risk of a message is assessed from. */
export interface RiskFacts {
  recipients: {
    address: string;
    /** It is not new: an earlier delivery there was approved by a human. */
    known: boolean;
    /** This mailbox wrote to the domain before. */
    domain_known: boolean;
  }[];
  /** Domains this mailbox wrote to before, at most some hundreds. */
  known_domains: string[];
  attachments: { name: string; content_type: string }[];
  /** How many of the mailbox's messages came back lately. */
  recent_bounces: number;
  subject: string;
  text: string;
  html: string | null;
}

/** From how many on a count is a sign. */
const MANY_RECIPIENTS = 20;
const MANY_NEW_RECIPIENTS = 5;
const MANY_BOUNCES = 3;

/** The facts, with the HTML read. */
interface Examined extends RiskFacts {
  content: HtmlContent | null;
}

interface Signal {
  /** How much it says by itself. Above 0.5: more likely wrong than right. */
  weight: number;
  /** @returns why it applies, in one plain sentence; null if it does not. */
  why: (facts: Examined) => string | null;
}

/**
 * Every signal with its weight. One that any new customer sets off is light; together three light ones weigh as much as a grave one.
 * Grave are those that ordinary mail hardly has: a domain made to look like one that is known, a program, text made to mislead.
 */
const SIGNALS = {
  new_domain: { weight: 0.2, why: whyNewDomain },
  lookalike_domain: { weight: 0.7, why: whyLookalike },
  many_recipients: { weight: 0.2, why: ({ recipients }) => whyMany(recipients.length, MANY_RECIPIENTS, "recipients") },
  many_new_recipients: {
    weight: 0.3,
    why: ({ recipients }) =>
      whyMany(recipients.filter(({ known }) => !known).length, MANY_NEW_RECIPIENTS, "new recipients"),
  },
  program_attached: { weight: 0.6, why: whyProgram },
  recent_bounces: {
    weight: 0.3,
    why: ({ recent_bounces }) =>
      recent_bounces < MANY_BOUNCES ? null : `${recent_bounces} messages of this mailbox came back lately.`,
  },
  misleading_link: { weight: 0.5, why: whyLink },
  hidden_text: { weight: 0.4, why: whyHidden },
  lookalike_words: { weight: 0.4, why: whyLookalikeWords },
} satisfies Record<string, Signal>;

function whyMany(count: number, many: number, what: string): string | null {
  return count < many ? null : `It has ${count} ${what}.`;
}

function newDomains({ recipients }: RiskFacts): string[] {
  const domains = recipients.filter(({ domain_known }) => !domain_known).map(({ address }) => domainOf(address));
  return [...new Set(domains)];
}

function whyNewDomain(facts: RiskFacts): string | null {
  const [first, ...rest] = newDomains(facts);
  if (first === undefined) return null;
  const more = rest.length > 0 ? ` and ${rest.length} more` : "";
  return `This mailbox never wrote to ${first}${more} before.`;
}

function whyLookalike(facts: RiskFacts): string | null {
  const known = new Map(facts.known_domains.map((domain) => [shapeOf(domain), domain]));
  for (const domain of newDomains(facts)) {
    const twin = known.get(shapeOf(domain));
    if (twin !== undefined && twin !== domain) return `${domain} looks like ${twin}, but it is a different domain.`;
    if (isImitation(domain)) return `${domain} is written with letters that only look like others.`;
  }
  return null;
}

function whyProgram({ attachments }: RiskFacts): string | null {
  const programs = attachments.filter(isProgram).length;
  return programs === 0 ? null : "An attachment can run as a program when it is opened.";
}

function whyLink({ content }: Examined): string | null {
  const warnings = content?.links.flatMap(judgeLink) ?? [];
  return warnings.find(({ severity }) => severity === "danger")?.message ?? null;
}

function whyHidden({ subject, text, content }: Examined): string | null {
  const [first] = [
    ...findHiddenCharacters(subject, "subject", "The subject", "line"),
    ...findHiddenCharacters(text, "text", "The plain text version", "body"),
    ...findHiddenCharacters(content?.text ?? "", "html", "The formatted version", "body"),
  ];
  if (first !== undefined) return first.message;
  return content?.hidden.length ? "The formatted version contains text that people do not see." : null;
}

function whyLookalikeWords({ subject, text, content }: Examined): string | null {
  const words = `${subject}\n${text}\n${content?.text ?? ""}`;
  return judgeWords(words, "text", "The message", "caution")[0]?.message ?? null;
}

/**
 * Assesses a message by its facts. Pure, and linear in its size.
 * @returns the reasons in the order of the table, and their combined score.
 */
export function assessRisk(facts: RiskFacts): Risk {
  const content = facts.html === null ? null : readHtml(limitNesting(facts.html));
  const reasons = Object.entries<Signal>(SIGNALS).flatMap(([reason, { weight, why }]): RiskReason[] => {
    const because = why({ ...facts, content });
    return because === null ? [] : [{ reason, weight, because }];
  });
  const clear = reasons.reduce((chance, { weight }) => chance * (1 - weight), 1);
  return { score: Math.round((1 - clear) * 100) / 100, reasons };
}
