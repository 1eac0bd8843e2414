import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import type { StoredAttachment } from "../mail/message.ts";

/** The attachments of what waits for a person, by their number from 0. */

/** @returns the attachment with that number; null if the item has none, or no number is given. */
export function attachmentAt(item: DecisionItem, number: number | undefined): StoredAttachment | null {
  return number !== undefined && "content" in item ? (item.content.attachments[number] ?? null) : null;
}

/** @returns what an entry says of a file, sealed. */
export function fileNamed({ name, sha256 }: StoredAttachment): { file_name: string; sha256: string } {
  return { file_name: name, sha256 };
}
