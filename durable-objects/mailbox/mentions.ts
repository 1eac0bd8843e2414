import type { Mention } from "../../src/mail/mentions.ts";
import { findBodies } from "../../src/store/mail-store.ts";
import type { MailboxBase } from "./base.ts";
import { isUnderWay } from "./erase.ts";
import type { Message } from "./messages.ts";

/** Which messages of a mailbox name a person. */

/** So many rows are examined in one stretch, or fewer where they are long. */
const EXAMINED_ROWS = 500;
/** Characters: they are in memory at once. */
const EXAMINED_CHARACTERS = 4_000_000;
/** So many of the bodies that lie in R2 are read in one stretch. */
const READ_BODIES = 20;

/** How a message names somebody: in what it says or who takes part in it, or only among those who decided on it. */
type Naming = "content" | "overseer";

export interface NamingMessages {
  named: string[];
  /** Those that name the person only among those who decided. */
  overseen: string[];
  /** Where the next stretch begins; null: there is none. */
  next: number | null;
}

/** Looks at the messages behind `after`. @throws whatever R2 throws. */
export async function namingMessages(box: MailboxBase, mention: Mention, after: number): Promise<NamingMessages> {
  const { messages, more } = stretch(box, after);
  const found: NamingMessages = { named: [], overseen: [], next: null };
  for (const message of messages) {
    const naming = (await isInStore(box, mention, message)) ? "content" : namingOf(box, mention, message);
    if (naming === "content") found.named.push(message.id);
    if (naming === "overseer") found.overseen.push(message.id);
  }
  return { ...found, next: more ? (messages.at(-1)?.seq ?? null) : null };
}

function stretch(box: MailboxBase, after: number): { messages: Message[]; more: boolean } {
  const messages: Message[] = [];
  let characters = 0;
  let inStore = 0;
  for (const message of box.messages.present(after, EXAMINED_ROWS)) {
    const { length, is_in_store } = box.messages.extent(message.seq);
    characters += length;
    inStore += is_in_store ? 1 : 0;
    messages.push(message);
    if (characters > EXAMINED_CHARACTERS || inStore === READ_BODIES) return { messages, more: true };
  }
  return { messages, more: messages.length === EXAMINED_ROWS };
}

/** What is there of a message in the object itself. @returns null: it does not name the person. */
export function namingOf(box: MailboxBase, mention: Mention, { seq, rfc_message_id, record }: Message): Naming | null {
  const { hold, decision, ...said } = record;
  const revisions = box.messages.revisions(seq);
  const content = [
    rfc_message_id,
    said,
    box.messages.bodies(seq),
    revisions.map(({ before, difference }) => [before, difference]),
    box.messages.originalOrNull(seq),
    box.messages.deliveries(seq),
    box.messages.receipt(seq),
  ];
  if (mention.isIn(content)) return "content";
  return mention.isIn([hold, decision, revisions.map(({ by }) => by)]) ? "overseer" : null;
}

/** Long bodies have only their beginnings in the object. */
async function isInStore(box: MailboxBase, mention: Mention, { seq }: Message): Promise<boolean> {
  const { bodies_key } = box.messages.bodies(seq);
  return bodies_key !== null && mention.isIn(await findBodies(box.environment().STORE, bodies_key));
}

/** So many of what the full-text index finds are looked at, to say how many there are. */
const COUNTED = 500;

/** How many messages name a person in an address, a subject or a text, as far as they are counted. */
export function countMessages(box: MailboxBase, mention: Mention): { messages: number; more: boolean } {
  const found = box.messages.withWords(mention.address, COUNTED + 1);
  const naming = found.slice(0, COUNTED).filter((message) => namingOf(box, mention, message) === "content");
  return { messages: naming.length, more: found.length > COUNTED };
}

/** @returns those on their way, or before people, that name a person. */
export function namedUnderWay(box: MailboxBase, mention: Mention): string[] {
  const ids = new Set([...box.scheduled("deliver"), ...box.scheduled("due"), ...box.waiting.all()]);
  return [...ids].filter((id) => {
    const message = box.messages.find(id);
    return message !== null && isUnderWay(message) && namingOf(box, mention, message) === "content";
  });
}
