import { createHash } from "node:crypto";
import { composeMessage } from "../../src/mail/compose.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";
import type { MessageContent, StoredAttachment } from "../../src/mail/message.ts";
import type { MailboxBase } from "./base.ts";
import type { AttemptIdentity } from "./identity.ts";
import type { ForwardRecord } from "./message-record.ts";
import { type Message, outboundOf } from "./messages.ts";

/** The bytes that are handed over: composed of what was hashed, and signed. */

/** The bytes of one copy, and by whom they are signed. */
export interface Made {
  raw: Uint8Array;
  dkim_selectors: string[];
  /** The ARC seal of what is passed on as it is; null for all else, and where none was added. */
  sealed: NonNullable<ForwardRecord["sealed"]> | null;
}

/** Makes one copy. @param headers that it alone has. */
export type Make = (headers: readonly [name: string, value: string][]) => Promise<Made>;

export interface Making {
  content: MessageContent;
  identity: AttemptIdentity;
  dkimKeys: readonly DkimSigningKey[];
  /** Whether the transport leaves our bytes alone. */
  preserves_bytes: boolean;
}

/** @returns what composes and signs a message. @throws Error if a file is not in the store as it was hashed. */
export async function composing(
  box: MailboxBase,
  message: Message,
  { content, identity, dkimKeys, preserves_bytes }: Making,
): Promise<Make> {
  const attachments = await Promise.all(content.attachments.map((attachment) => readAttachment(box, attachment)));
  return async (headers) => {
    const composed = await composeMessage({
      content,
      attachments,
      message_id: message.rfc_message_id ?? "",
      date: identity.date,
      extra_headers: [...identity.headers, ...headers],
      ...(outboundOf(message).forward && { encloses: true }),
    });
    if (!preserves_bytes) return { raw: composed, dkim_selectors: [], sealed: null };
    const raw = await signDkim(composed, dkimKeys, new Date(box.now()));
    return { raw, dkim_selectors: dkimKeys.map(({ selector }) => selector), sealed: null };
  };
}

async function readAttachment(box: MailboxBase, { key, sha256, name }: StoredAttachment): Promise<Uint8Array> {
  return readUnchanged(box, { key, sha256, what: `the attachment ${name}` });
}

/** @returns the bytes that were hashed. @throws Error, with `what` they are, if they are gone or others. */
export async function readUnchanged(
  box: MailboxBase,
  { key, sha256, what }: { key: string; sha256: string; what: string },
): Promise<Uint8Array> {
  const object = await box.environment().STORE.get(key);
  if (!object) throw new Error(`${what} is not in the store`);
  const bytes = new Uint8Array(await object.arrayBuffer());
  if (createHash("sha256").update(bytes).digest("hex") !== sha256) throw new Error(`${what} was changed in the store`);
  return bytes;
}
