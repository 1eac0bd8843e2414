import { Refused } from "../errors.ts";
import type { StoredAttachment } from "../mail/message.ts";
import { type AttachmentBytes, attachmentKey, deleteKeys, storeAttachments } from "../store/mail-store.ts";
import { routingOrNotFound } from "../store/mailbox-client.ts";
import type { OperationContext } from "./operation.ts";
import { ownMailboxId } from "./references.ts";

/** Files on their way to a message or draft. */
export interface Uploads {
  emailId: string;
  files: AttachmentBytes[];
  /** The number of the first one under the email's prefix; whatever lies there under the same number is overwritten. */
  first: number;
}

/**
 * Stores files for the length of a call, and for good if it takes them. They are deleted again if the object refuses or did not
 * need them; after a breakdown they stay, since the object may have committed, and its daily sweep deletes them if not.
 * @param call hands what was stored to the object.
 * @param isTaken whether an answer means that the object refers to them now.
 */
export async function withStoredFiles<T>(
  context: OperationContext,
  { emailId, files, first }: Uploads,
  call: (stored: StoredAttachment[]) => Promise<T>,
  isTaken: (answer: T) => boolean,
): Promise<T> {
  if (files.length === 0) return call([]);
  // Bytes are stored under a mailbox's prefix only if it is the caller's.
  const mailboxId = await ownMailboxId(context, routingOrNotFound(emailId));
  const bucket = context.env.STORE;
  const keyOf = (n: number) => attachmentKey(context.caller.tenant_id, mailboxId, emailId, first + n);
  const stored: StoredAttachment[] = [];
  const discard = () =>
    deleteKeys(
      bucket,
      files.map((_file, n) => keyOf(n)),
    );
  try {
    await storeAttachments(bucket, keyOf, files, stored);
  } catch (error) {
    await discard();
    throw error;
  }
  try {
    const answer = await call(stored);
    if (!isTaken(answer)) await discard();
    return answer;
  } catch (error) {
    if (error instanceof Refused) await discard();
    throw error;
  }
}
