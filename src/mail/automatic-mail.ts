import { type RoutingNumber, routingNumberOf } from "../ids.ts";
import { isBounceAddress } from "./bounce-address.ts";

/**
 * Mail that no person wrote, or that went in a circle. Whatever here reacts by itself to mail asks `isAutomatic` first: answering
 * such mail is how two machines come to write to each other for ever (RFC 3834 §2, RFC 5321 §4.5.5).
 */

/** What shows it. The names are flags of the message (`flags` in API.md). */
export const AUTOMATIC_FLAGS = [
  "auto_submitted",
  "null_sender",
  "bulk_precedence",
  "response_suppressed",
  "mailing_list",
  "return_path",
  "own_message",
  "mail_loop",
] as const;
export type AutomaticFlag = (typeof AUTOMATIC_FLAGS)[number];

/** On every message that has one of the others. */
export const AUTOMATIC = "auto_generated";

/** RFC 5321 §6.3 refuses at 100; a mail that passed half as many servers is on its way to that. */
export const MOST_HOPS = 50;

export interface ArrivingMail {
  headers: readonly (readonly [name: string, value: string])[];
  /** Empty for `<>`. */
  envelope_from: string;
  envelope_to: string;
  rfc_message_id: string | null;
  /** Of the mailbox it came to. */
  routing: RoutingNumber;
}

type Values = (name: string) => string[];

/** A Message-ID of ours is an email's id at a domain, and that id names its mailbox. */
const OWN_MESSAGE_ID = /^<(em_[0-9A-HJKMNP-TV-Z]{26})@[^<>@]+>$/i;

/** RFC 3834 §5: `no` is what a person's program may write; parameters may follow. */
function isAutoSubmitted(values: Values): boolean {
  const said = values("auto-submitted").map((value) => /^[a-z-]*/i.exec(value.trim())?.[0].toLowerCase());
  const older = ["x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response"];
  return (
    said.some((word) => word !== "no") || older.some((name) => values(name).some((value) => !/^\s*no\b/i.test(value)))
  );
}

/** How each flag is seen. An exhaustive Record: one left out does not compile. */
const SEEN: Readonly<Record<AutomaticFlag, (values: Values, mail: ArrivingMail) => boolean>> = {
  auto_submitted: isAutoSubmitted,
  null_sender: (_values, { envelope_from }) => envelope_from.trim() === "" || envelope_from.trim() === "<>",
  bulk_precedence: (values) => values("precedence").some((value) => /^\s*(?:bulk|list|junk|auto_reply)\b/i.test(value)),
  // [MS-OXCMAIL] §2.2.3.2.14: the sender wants no automatic answers, which programs write and people do not.
  response_suppressed: (values) =>
    values("x-auto-response-suppress").some((value) => /\b(?:all|oof|autoreply|dr|rn|nrn)\b/i.test(value)),
  mailing_list: (values) => ["list-id", "list-post", "mailing-list"].some((name) => values(name).length > 0),
  // Only programs answer to the envelope's sender (RFC 3834 §4).
  return_path: (_values, { envelope_to }) => isBounceAddress(envelope_to),
  // The mailbox's own mail comes back: an answer has another Message-ID.
  own_message: (_values, { rfc_message_id, routing }) => {
    const id = OWN_MESSAGE_ID.exec(rfc_message_id ?? "")?.[1];
    return id !== undefined && routingNumberOf(`em_${id.slice(3).toUpperCase()}`) === routing;
  },
  mail_loop: (values) => values("received").length > MOST_HOPS,
};

/** @returns the flags of a message, `auto_generated` first; none for mail that a person may have written. */
export function automaticFlags(mail: ArrivingMail): string[] {
  const byName = new Map<string, string[]>();
  for (const [name, value] of mail.headers) {
    const key = name.toLowerCase();
    const known = byName.get(key);
    if (known) known.push(value);
    else byName.set(key, [value]);
  }
  const values: Values = (name) => byName.get(name) ?? [];
  const seen = AUTOMATIC_FLAGS.filter((flag) => SEEN[flag](values, mail));
  return seen.length > 0 ? [AUTOMATIC, ...seen] : [];
}

/** @returns whether nothing here may answer or pass on a message by itself. */
export function isAutomatic(flags: readonly string[]): boolean {
  return flags.includes(AUTOMATIC);
}
