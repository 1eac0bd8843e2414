import type { DecisionItem, MessageItem } from "../../../durable-objects/mailbox-rpc.ts";

/** What a person typed to change a message, as the form sent it: null where the form had no such field. */
export interface TypedEdit {
  subject: string | null;
  body: string | null;
  /** Addresses that are not to get it. */
  without: string[];
}

/** A message that can be changed before it is sent. */
export type EditableItem = MessageItem & { kind: "send"; source: NonNullable<MessageItem["source"]> };

/** @returns whether a person can change this item before they approve it. */
export function isEditable(item: DecisionItem): item is EditableItem {
  return item.kind === "send" && item.source !== null;
}

/**
 * The text as it comes back from a form that was shown with it and not touched: line ends as LF, and what HTML and UTF-8 cannot
 * carry replaced (HTML, "RCDATA state" and "newline normalization").
 */
export function asTyped(text: string): string {
  return text.replace(/\r\n?/g, "\n").replaceAll("\0", "\uFFFD").toWellFormed();
}

/** @returns the addresses of everybody who gets the message, each once. */
export function recipientsOf({ content }: EditableItem): string[] {
  const { to, cc, bcc } = content;
  return [...new Set([...to, ...cc, ...bcc].map(({ address }) => address))];
}

/** @returns the subject that was typed; the message's own where it was not touched. */
export function typedSubject({ subject }: TypedEdit, { content }: EditableItem): string {
  // A one-line field drops line ends by itself.
  const own = asTyped(content.subject).replaceAll("\n", "");
  return subject === null || asTyped(subject) === own ? content.subject : asTyped(subject);
}

/** @returns the body's source as it was typed; the message's own where it was not touched. */
export function typedBody({ body }: TypedEdit, { source }: EditableItem): string {
  return body === null || asTyped(body) === asTyped(source.text) ? source.text : asTyped(body);
}

/** @returns whether a person changed anything. */
export function isChanged(typed: TypedEdit, item: EditableItem): boolean {
  return (
    typed.without.length > 0 ||
    typedSubject(typed, item) !== item.content.subject ||
    typedBody(typed, item) !== item.source.text
  );
}
