import type { Mention } from "../../src/mail/mentions.ts";
import { findBodies } from "../../src/store/mail-store.ts";
import type { MailboxBase } from "./base.ts";
import { isUnderWay } from "./erase.ts";
import { partedRecord } from "./message-record.ts";
import type { Message } from "./messages.ts";

/** Which messages of a mailbox name a person. */

/** So many rows are examined in one stretch, or fewer where they are long. */
const EXAMINED_ROWS = 500;
/** Characters: they are in memory at once. */
const EXAMINED_CHARACTERS = 4_000_000;
/** So many of the bodies that lie in R2 are read in one stretch. */
const READ_BODIES = 20;

/** How a message names somebody: in what it says or who takes part in it, or only in what was noted of it (`partedRecord`). */
type Naming = "content" | "noted";

export interface NamingMessages {
  named: string[];
  /** Those that name the person only among those who decided, or in tags: they stay, without the name. */
  noted: string[];
  /** Where the next stretch begins; null: there is none. */
  next: number | null;
}

/** Looks at the messages behind `after`. @throws whatever R2 throws. */
export async function namingMessages(box: MailboxBase, mention: Mention, after: number): Promise<NamingMessages> {
  const { messages, more } = stretch(box, after);
  const found: NamingMessages = { named: [], noted: [], next: null };
  for (const message of messages) {
    const naming = (await isInStore(box, mention, message)) ? "content" : namingOf(box, mention, message);
    if (naming === "content") found.named.push(message.id);
    if (naming === "noted") found.noted.push(message.id);
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
  const { said, noted } = partedRecord(record);
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
  return mention.isIn([noted, revisions.map(({ by }) => by)]) ? "noted" : null;
}

/** Long bodies have only their beginnings in the object. */
async function isInStore(box: MailboxBase, mention: Mention, { seq }: Message): Promise<boolean> {
  const { bodies_key } = box.messages.bodies(seq);
  return bodies_key !== null && mention.isIn(await findBodies(box.environment().STORE, bodies_key));
}

/** So many stretches are looked at to say how many there are: of short messages 10,000. */
const COUNTED_STRETCHES = 20;
/** Of messages behind these, so many that the full-text index finds. */
const COUNTED_BY_WORDS = 500;

/** How many messages would be erased, and how many would stay without the name. */
export interface CountedMessages {
  messages: number;
  redacted: number;
  /** There were too many to look at all of them. */
  more: boolean;
}

/** Counts what an erasure would find, by the very same look as far as that is short. @throws whatever R2 throws. */
export async function countMessages(box: MailboxBase, mention: Mention): Promise<CountedMessages> {
  const counted = { messages: 0, redacted: 0 };
  let after = 0;
  for (let stretches = 0; stretches < COUNTED_STRETCHES; stretches++) {
    const { named, noted, next } = await namingMessages(box, mention, after);
    counted.messages += named.length;
    counted.redacted += noted.length;
    if (next === null) return { ...counted, more: false };
    after = next;
    // Others have their turn.
    await scheduler.wait(0);
  }
  const behind = box.messages.withWords(mention.address, COUNTED_BY_WORDS).filter(({ seq }) => seq > after);
  counted.messages += behind.filter((message) => namingOf(box, mention, message) === "content").length;
  return { ...counted, more: true };
}

/** @returns those on their way, or before people, that name a person. */
export function namedUnderWay(box: MailboxBase, mention: Mention): string[] {
  const ids = new Set([...box.scheduled("deliver"), ...box.scheduled("due"), ...box.waiting.all()]);
  return [...ids].filter((id) => {
    const message = box.messages.find(id);
    return message !== null && isUnderWay(message) && namingOf(box, mention, message) === "content";
  });
}
