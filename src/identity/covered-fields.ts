import { readAddresses } from "./address-list.ts";
import type { CoveredMessage } from "./covered-message.ts";
import { type Fault, HEADER, KEY_FIELDS, KEY_IN_MESSAGE, type Read, read, unread } from "./header-form.ts";
import { readDate, readMessageId, readSubject } from "./header-values.ts";
import type { MessageParts } from "./mime-leaves.ts";

/** The header fields of a received message, as far as signatures cover them (FORMATS.md §2.4, §2.6). */

/** The names of the headers that make a message one with an identity, lower-case: the disclosure stands on unsigned mail too. */
export const IDENTITY_HEADERS: ReadonlySet<string> = new Set(
  Object.values(HEADER)
    .filter((name) => name !== HEADER.disclosure)
    .map((name) => name.toLowerCase()),
);

/** All of FORMATS.md §2, lower-case. */
const OUR_HEADERS = new Set([...IDENTITY_HEADERS, HEADER.disclosure.toLowerCase()]);

/** What may stand in a message only once: readers differ in which one they take. */
const ONCE: readonly string[] = [
  ...["From", "To", "Cc", "Subject", "Date", "Message-ID", "Content-Type", "MIME-Version", "Content-Transfer-Encoding"],
  ...Object.values(HEADER),
];

/** A message's headers by name. */
export class Fields {
  private readonly all: MessageParts["headers"];
  constructor(headers: MessageParts["headers"]) {
    this.all = headers;
  }

  values(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.all.filter(([found]) => found.toLowerCase() === wanted).map(([, value]) => value);
  }

  /** @returns the value of a header that stands there once; undefined where it does not, or twice. */
  only(name: string): string | undefined {
    const [value, ...more] = this.values(name);
    return more.length === 0 ? value : undefined;
  }

  /** @returns whether the message has one of the headers that carry an identity. */
  carryIdentity(): boolean {
    return this.all.some(([name]) => IDENTITY_HEADERS.has(name.toLowerCase()));
  }

  /** @returns the headers of FORMATS.md §2, lower-case names; those of a repeated one joined by LF. */
  identityHeaders(): Record<string, string> {
    const names = new Set(this.all.map(([name]) => name.toLowerCase()).filter((name) => OUR_HEADERS.has(name)));
    return Object.fromEntries([...names].map((name) => [name, this.values(name).join("\n")]));
  }

  /** @returns what makes the message unverified whatever its signatures say. */
  faults(): Fault[] {
    const repeated = ONCE.filter((name) => this.values(name).length > 1);
    return [
      ...(repeated.length > 0
        ? [{ reason: "repeated", detail: `The message has more than one ${repeated.join(", ")}.` } as const]
        : []),
      ...(this.all.some(bringsKey) ? [KEY_IN_MESSAGE] : []),
    ];
  }
}

const KEY_NAME = new RegExp(`^x-(?:multimail|mm)-(?:.*-)?(?:${KEY_FIELDS.join("|")})(?:-|$)`, "i");
const KEY_FIELD = new RegExp(`(?:^|[;,{\\s"'])(?:${KEY_FIELDS.join("|")})["']?\\s*[=:]`, "i");

function bringsKey([name, value]: readonly [string, string]): boolean {
  return KEY_NAME.test(name) || (OUR_HEADERS.has(name.toLowerCase()) && KEY_FIELD.test(value));
}

/** @returns the address in From, as it is written. */
export function readSender(fields: Fields): Read<string> {
  const value = fields.only("From");
  if (value === undefined) return unread("missing_part", "The message has not one From.");
  const found = readAddresses("From", value);
  if (found.fault) return found;
  const [sender, ...more] = found.value;
  return sender !== undefined && more.length === 0 ? read(sender) : unread("malformed", "From names not one sender.");
}

function readRecipients(fields: Fields): Read<string[]> {
  const recipients: string[] = [];
  for (const name of ["To", "Cc"]) {
    const value = fields.only(name);
    const found: Read<string[]> = value === undefined ? read([]) : readAddresses(name, value);
    if (found.fault) return found;
    recipients.push(...found.value);
  }
  return read(recipients);
}

/** @returns what `X-MultiMail-Signature` covers, rebuilt from the message. */
export function readCovered(fields: Fields, parts: MessageParts): Read<CoveredMessage> {
  const [dateValue, idValue] = [fields.only("Date"), fields.only("Message-ID")];
  if (dateValue === undefined) return unread("missing_part", "The message has not one Date.");
  if (idValue === undefined) return unread("missing_part", "The message has not one Message-ID.");
  const from = readSender(fields);
  if (from.fault) return from;
  const recipients = readRecipients(fields);
  if (recipients.fault) return recipients;
  const [date, id, subject] = [readDate(dateValue), readMessageId(idValue), readSubject(fields.only("Subject") ?? "")];
  if (date.fault) return date;
  if (id.fault) return id;
  if (subject.fault) return subject;
  const { text, html, attachments_sha256 } = parts;
  return read({
    from: from.value,
    recipients: recipients.value,
    date: date.value,
    message_id: id.value,
    subject: subject.value,
    text,
    html,
    attachments_sha256,
  });
}
