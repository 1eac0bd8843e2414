import { createHash } from "node:crypto";
import type { StoredAttachment } from "../mail/message.ts";

/** Mail in R2. A key names tenant, mailbox and message, so that erasing one is deleting its prefix. */

/** An attachment before it is stored. */
export interface AttachmentBytes {
  name: string;
  content_type: string;
  disposition: "attachment" | "inline";
  content_id: string | null;
  bytes: Uint8Array;
}

/** The bodies of a message that are too long for the mailbox object. */
export interface MessageBodies {
  markdown: string;
  quoted: string | null;
  text: string;
  html: string | null;
}

/** @returns where the bytes of a message lie exactly as they were received or sent. */
export function rawKey(tenantId: string, mailboxId: string, emailId: string): string {
  return `raw/${tenantId}/${mailboxId}/${emailId}.eml`;
}

/** @returns where the decoded bytes of the message's n-th attachment lie, counted from 0. */
export function attachmentKey(tenantId: string, mailboxId: string, emailId: string, n: number): string {
  return `att/${tenantId}/${mailboxId}/${emailId}/${n}`;
}

/** @returns where the message's bodies lie as JSON, if they are over 64 KiB. */
export function bodiesKey(tenantId: string, mailboxId: string, emailId: string): string {
  return `body/${tenantId}/${mailboxId}/${emailId}.json`;
}

/** @returns where a report about a message of ours lies exactly as it came. @param id a ULID of its own. */
export function returnedKey(tenantId: string, mailboxId: string, emailId: string, id: string): string {
  return `returned/${tenantId}/${mailboxId}/${emailId}/${id}.eml`;
}

/** @returns what the keys of all of a mailbox's mail begin with; the email's id follows. */
export function mailboxPrefixes(tenantId: string, mailboxId: string): string[] {
  return ["raw", "att", "body", "returned"].map((kind) => `${kind}/${tenantId}/${mailboxId}/`);
}

/**
 * Streams a message into R2. Durable when it returns.
 * @param size octets of the message, exactly.
 * @throws Error if the stream has another length or breaks off; nothing is stored then.
 */
export async function storeRaw(
  bucket: R2Bucket,
  key: string,
  stream: ReadableStream<Uint8Array>,
  size: number,
): Promise<void> {
  const sized = new FixedLengthStream(size);
  const stored = bucket.put(key, sized.readable, { httpMetadata: { contentType: "message/rfc822" } });
  // Both are awaited whatever happens to either, so that a broken stream leaves no rejection unheard.
  const [piped, put] = await Promise.allSettled([stream.pipeTo(sized.writable), stored]);
  if (piped.status === "rejected") throw piped.reason;
  if (put.status === "rejected") throw put.reason;
}

/**
 * Stores attachments, one after the other, so that they are in memory once only.
 * @param stored receives each as soon as it is durable; what it holds after a throw is what has to be deleted.
 * @returns `stored`, in the order of `attachments`.
 */
export async function storeAttachments(
  bucket: R2Bucket,
  keyOf: (n: number) => string,
  attachments: AttachmentBytes[],
  stored: StoredAttachment[] = [],
): Promise<StoredAttachment[]> {
  for (const [n, attachment] of attachments.entries()) {
    const described = describeAttachment(attachment, keyOf(n));
    const { key, sha256 } = described;
    await bucket.put(key, attachment.bytes, { sha256, httpMetadata: { contentType: "application/octet-stream" } });
    stored.push(described);
  }
  return stored;
}

/** @param key where it is stored; empty for one that is not. @returns what a message knows of an attachment. */
export function describeAttachment({ bytes, ...described }: AttachmentBytes, key: string): StoredAttachment {
  return { ...described, size: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex"), key };
}

/** Stores the bodies of a message as JSON. */
export async function storeBodies(bucket: R2Bucket, key: string, bodies: MessageBodies): Promise<void> {
  await bucket.put(key, JSON.stringify(bodies), { httpMetadata: { contentType: "application/json" } });
}

/** @returns the bodies stored under `key`; null if there are none. */
export async function findBodies(bucket: R2Bucket, key: string): Promise<MessageBodies | null> {
  const object = await bucket.get(key);
  return object && (await object.json<MessageBodies>());
}

/** @returns the bodies stored under `key`. @throws Error if there are none. */
export async function readBodies(bucket: R2Bucket, key: string): Promise<MessageBodies> {
  const bodies = await findBodies(bucket, key);
  if (bodies === null) throw new Error("the bodies of this message are missing in R2");
  return bodies;
}

/** Deletes everything that lies in the store of one message or draft. Returned means: nothing of it is there. */
export async function deleteMail(
  bucket: R2Bucket,
  tenantId: string,
  mailboxId: string,
  emailId: string,
): Promise<void> {
  for (const prefix of mailboxPrefixes(tenantId, mailboxId)) {
    for (;;) {
      const { objects, truncated } = await bucket.list({ prefix: `${prefix}${emailId}` });
      await deleteKeys(
        bucket,
        objects.map(({ key }) => key),
      );
      if (!truncated) break;
    }
  }
}

/** Deletes what lies under `keys`; keys that hold nothing are no error. */
export async function deleteKeys(bucket: R2Bucket, keys: string[]): Promise<void> {
  // R2 takes at most 1,000 keys a call.
  for (let at = 0; at < keys.length; at += 1_000) await bucket.delete(keys.slice(at, at + 1_000));
}
