import { createHash } from "node:crypto";
import { type Bodies, escapeHtml, normalizeNewlines } from "./finished-body.ts";
import { trimEndOf } from "./trim.ts";

/**
 * Which mail is promotional, and what has to stand in it: who sends it from where, and how to get no more of it. Whoever sends
 * tags it `promotional`; what goes to many people counts as such without a tag, unless a person said otherwise.
 */

/** From so many recipients on, one message or the same words within a day are bulk. Below it stands what teams and their customers get. */
export const BULK_RECIPIENTS = 20;
/** Over which time the same words are counted. */
export const BULK_PERIOD = 24 * 3600_000;

export const CATEGORIES = ["promotional", "transactional"] as const;
export type Category = (typeof CATEGORIES)[number];

/** What is known of a message when it is submitted. */
export interface CategoryFacts {
  tags: Readonly<Record<string, string>>;
  /** Whom it is for, without the copies that the mailbox makes of everything. */
  recipients: number;
  /** How many different people got, or are to get, these words within a day, these recipients among them. */
  same_words: number;
  /** It answers a message that came in. */
  is_reply: boolean;
  /** Its words are those of a template that a person approved. */
  from_template: boolean;
  /** A person decides on exactly this message before it leaves, and sees its tags. */
  is_held: boolean;
}

/** Why a message is what it is. `null` category: neither tagged nor bulk. */
export interface CategoryVerdict {
  category: Category | null;
  because: "tagged" | "bulk" | "a_person_decides" | "approved_template" | "reply" | "few";
}

/**
 * Of an agent's two words one is believed without asking: that its mail is promotional. That bulk is not, a person has to agree to:
 * by deciding on the message, which shows the tag, or by the template that they approved.
 */
export function categoryOf(facts: CategoryFacts): CategoryVerdict {
  const says = (category: Category) => Object.hasOwn(facts.tags, category);
  if (says("promotional")) return { category: "promotional", because: "tagged" };
  if (facts.from_template) return { category: "transactional", because: "approved_template" };
  const told = says("transactional") ? "transactional" : null;
  if (facts.is_reply && facts.recipients < BULK_RECIPIENTS) return { category: told, because: "reply" };
  if (Math.max(facts.recipients, facts.same_words) < BULK_RECIPIENTS) return { category: told, because: "few" };
  if (told !== null && facts.is_held) return { category: told, because: "a_person_decides" };
  return { category: "promotional", because: "bulk" };
}

/** Names, numbers and dates are what differs between mails of one mailing. */
function sameForAll(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\s]+/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
}

/** The first line of a body greets a person by their name. */
function withoutGreeting(text: string): string {
  const lines = normalizeNewlines(text).trim();
  const end = lines.indexOf("\n");
  return end < 0 ? lines : lines.slice(end + 1);
}

/**
 * By what one mailing is known: its subject and its body, each without what differs from person to person.
 * @returns SHA-256 of each, in base64url; nothing for a part that has no words.
 */
export function wordDigests({ subject, text }: { subject: string; text: string }): string[] {
  const parts = { subject: sameForAll(subject), body: sameForAll(withoutGreeting(text)) };
  return Object.entries(parts)
    .filter(([, words]) => words !== "")
    .map(([part, words]) => createHash("sha256").update(`${part}\0${words}`).digest("base64url"));
}

/** What the footer says. */
export interface FooterFacts {
  /** Plain text of at most some lines. */
  postal_address: string;
  unsubscribe_url: string;
}

/** @returns finished bodies with the footer below everything else: what a person who decides sees, and what is hashed. */
export function withFooter(bodies: Bodies, { postal_address, unsubscribe_url }: FooterFacts): Bodies {
  const address = normalizeNewlines(postal_address).trim();
  const html =
    bodies.html === null
      ? null
      : `${bodies.html}\n<hr />\n<p>${escapeHtml(address).replace(/\n/g, "<br />")}<br /><a href="${escapeHtml(unsubscribe_url)}">Unsubscribe</a></p>`;
  return { text: `${trimEndOf(bodies.text, "\n")}\n\n${address}\nUnsubscribe: ${unsubscribe_url}`, html };
}
