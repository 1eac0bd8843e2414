import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import { authoredText } from "../../src/mail/finished-body.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import {
  BULK_PERIOD,
  BULK_RECIPIENTS,
  type CategoryVerdict,
  categoryOf,
  withFooter,
  wordDigests,
} from "../../src/mail/promotional.ts";
import { keepsBack } from "../../src/mail/suppression.ts";
import { unsubscribeUrl } from "../../src/mail/unsubscribe-token.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { type SendingTerms, sendingTerms } from "../../src/store/suppressions.ts";
import type { Submission } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { addressed, automaticCopies } from "./content.ts";
import { everyAddress, type Message } from "./messages.ts";

/** What a send meets before it is judged: whom the account does not write to, and what promotional mail has to say. */

/** What is known of a message whose category is asked. */
export interface Written {
  content: MessageContent;
  tags: Readonly<Record<string, string>>;
  /** See `isAnswer`. */
  is_reply: boolean;
  from_template: boolean;
  /** A person decides on exactly this message. */
  is_held: boolean;
}

/** Why a message counts as promotional, and what its footer says. */
export interface Promotion {
  because: CategoryVerdict["because"];
  postal_address: string;
}

/** @returns whom a message is for, in comparable form, without the copies that the mailbox makes of everything. */
export function chosenRecipients(
  { to, cc, bcc }: Pick<MessageContent, "to" | "cc" | "bcc">,
  mailbox: Mailbox,
): string[] {
  const automatic = automaticCopies(mailbox);
  const all = [...to, ...cc, ...bcc].map(({ address }) => comparableAddress(address));
  return all.filter((address) => !automatic.has(address));
}

/**
 * Looks up what a submission meets, before its transaction, which cannot wait.
 * @returns null where D1 does not answer: before each delivery the tenant is asked in any case.
 */
export async function termsFor(box: MailboxBase, submission: Submission): Promise<SendingTerms | null> {
  const mailbox = box.settings();
  const found = addressed(box, mailbox, submission);
  // Whatever is wrong with it is said when it is submitted.
  if (!found.ok) return null;
  try {
    return await sendingTerms(box.database(), mailbox.tenant_id, chosenRecipients(found.value.content, mailbox));
  } catch (error) {
    console.error(`what a message of ${mailbox.id} meets could not be looked up`, error);
    return null;
  }
}

/** How many different people got these words within a day, or are to get them now; counted no further than it matters. */
function sameWords(box: MailboxBase, { content }: Written, recipients: readonly string[]): number {
  const since = box.now() - BULK_PERIOD;
  const counts = wordsOf(box, content).map((digest) => {
    const before = box
      .storage()
      .exec<{ recipient: string }>(
        "SELECT recipient FROM same_words WHERE digest = ? AND at > ? LIMIT ?",
        digest,
        since,
        BULK_RECIPIENTS,
      )
      .toArray();
    return new Set([...before.map(({ recipient }) => recipient), ...recipients]).size;
  });
  return Math.max(0, ...counts);
}

/** @returns which category a message has, and why. */
export function categoryFor(box: MailboxBase, written: Written): CategoryVerdict {
  const { tags, is_reply, from_template, is_held } = written;
  const recipients = chosenRecipients(written.content, box.settings());
  const same_words = is_reply ? 0 : sameWords(box, written, recipients);
  return categoryOf({ tags, recipients: recipients.length, same_words, is_reply, from_template, is_held });
}

/**
 * @param answered what a message answers, as its author says.
 * @returns whether it does: something came in, and whoever it is for took part in that. An answer may name other recipients, and what an
 *   agent sent itself can be answered too; neither is one, or any mailing would be.
 */
export function isAnswer(box: MailboxBase, content: MessageContent, answered: readonly Message[]): boolean {
  const people = answered.filter(({ direction }) => direction === "inbound").flatMap(everyAddress);
  const asked = new Set(people.map(({ address }) => comparableAddress(address)));
  return asked.size > 0 && chosenRecipients(content, box.settings()).every((address) => asked.has(address));
}

/** @returns by which the author's words of a content without its footer are known; what the mailbox adds is in all of its mail. */
export function wordsOf(box: MailboxBase, { subject, text }: MessageContent): string[] {
  return wordDigests({ subject, text: authoredText(text ?? "", box.settings().signature_block) });
}

/** Remembers who got which words. Inside `commit`. */
export function rememberWords(box: MailboxBase, words: readonly string[], content: MessageContent): void {
  for (const digest of words) {
    for (const recipient of chosenRecipients(content, box.settings())) {
      box.storage().exec("INSERT OR REPLACE INTO same_words VALUES (?, ?, ?)", digest, recipient, box.now());
    }
  }
}

const UNKNOWN_TERMS = refused("unavailable", "The account's postal address could not be looked up; try again.", {
  detail: { retry_after: 5 },
});

const NO_ADDRESS = refused(
  "postal_address_missing",
  "Promotional mail has to say where its sender can be written to, and this account has no postal address.",
  {
    hint: "update_account sets postal_address. Mail to many people counts as promotional unless a person approves it tagged `transactional`, or its template.",
  },
);

/** @returns what makes a message promotional, null if it is not; refused where it lacks what such mail has to say. */
export function promotionOf(
  { category, because }: CategoryVerdict,
  terms: SendingTerms | null,
): Outcome<Promotion | null> {
  if (category !== "promotional") return accepted(null);
  if (terms === null) return UNKNOWN_TERMS;
  return terms.postal_address === null ? NO_ADDRESS : accepted({ because, postal_address: terms.postal_address });
}

/** @returns the content with the footer that promotional mail needs: what a person decides on. */
export function withPromotion(
  box: MailboxBase,
  emailId: string,
  content: MessageContent,
  promotion: Promotion | null,
): MessageContent {
  if (promotion === null) return content;
  const env = box.environment();
  const unsubscribe_url = unsubscribeUrl(env.PUBLIC_URL, env, { email_id: emailId, position: null });
  const { postal_address } = promotion;
  return {
    ...content,
    ...withFooter({ text: content.text ?? "", html: content.html }, { postal_address, unsubscribe_url }),
  };
}

/** @returns the refusal of a message that nobody would get, since everyone it is for is suppressed; null if somebody would. */
export function whyNobodyGets(
  { content }: Pick<Written, "content">,
  mailbox: Mailbox,
  terms: SendingTerms | null,
  promotion: Promotion | null,
): Outcome<never> | null {
  const recipients = chosenRecipients(content, mailbox);
  const kept = (terms?.suppressed ?? []).filter(({ reason }) => keepsBack(reason, { promotional: promotion !== null }));
  const gone = new Set(kept.map(({ address }) => address));
  if (recipients.length === 0 || !recipients.every((address) => gone.has(address))) return null;
  return refused(
    "recipient_suppressed",
    recipients.length === 1
      ? "The recipient is on the account's suppression list; nothing is sent to them."
      : "Every recipient is on the account's suppression list; nothing is sent to them.",
    {
      hint: "check_suppression says why. Only the operator can allow mail to them again.",
      detail: { suppressed: kept },
    },
  );
}
