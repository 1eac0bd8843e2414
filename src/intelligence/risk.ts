import { domainOf } from "../mail/address.ts";
import { limitNesting } from "../mail/html-nesting.ts";
import { isProgram } from "../pages/misleading/files.ts";
import { findHiddenCharacters } from "../pages/misleading/hidden-characters.ts";
import { type HtmlContent, readHtml } from "../pages/misleading/html-content.ts";
import { judgeLink } from "../pages/misleading/links.ts";
import { judgeWords } from "../pages/misleading/names.ts";
import type { DomainFacts } from "./domain-facts.ts";
import { type DomainHistory, factsOf, judgeDomains, NO_HISTORY } from "./domain-signals.ts";

/** How risky a message is, by what the mailbox knows itself and what was looked up before: no look-ups here, no model. */

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
  /** What was looked up of the recipients' domains; left out or empty: nothing. */
  looked_up?: readonly DomainFacts[];
  /** What the mailbox lived through with a domain, by the domain as it stands in the address; left out: nothing. */
  history?: ReadonlyMap<string, DomainHistory>;
  /** Milliseconds since the epoch. */
  now: number;
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
 * Every signal of the message itself with its weight; those of its recipients' domains are in domain-signals.ts. One that any new
 * customer sets off is light; together three light ones weigh as much as a grave one. Grave are those that ordinary mail hardly
 * has: a program, text made to mislead.
 */
const SIGNALS = {
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

/** @returns the score of reasons, and them. */
export function riskFrom(reasons: RiskReason[]): Risk {
  const clear = reasons.reduce((chance, { weight }) => chance * (1 - weight), 1);
  return { score: Math.round((1 - clear) * 100) / 100, reasons };
}

function domainReasons({ recipients, known_domains, looked_up = [], history, now }: RiskFacts): RiskReason[] {
  const known = new Map(recipients.map(({ address, domain_known }) => [domainOf(address), domain_known]));
  const domains = [...known].map(([domain, isKnown]) => ({
    domain,
    known: isKnown,
    facts: factsOf(domain, looked_up),
    history: history?.get(domain) ?? NO_HISTORY,
  }));
  return judgeDomains({ domains, known_domains, now });
}

/**
 * Assesses a message by its facts. Pure, and linear in its size.
 * @returns the reasons, those of its recipients' domains first, each in the order of its table; and their combined score.
 */
export function assessRisk(facts: RiskFacts): Risk {
  const content = facts.html === null ? null : readHtml(limitNesting(facts.html));
  const reasons = Object.entries<Signal>(SIGNALS).flatMap(([reason, { weight, why }]): RiskReason[] => {
    const because = why({ ...facts, content });
    return because === null ? [] : [{ reason, weight, because }];
  });
  return riskFrom([...domainReasons(facts), ...reasons]);
}
