import { createHash } from "node:crypto";
import type { Submission } from "../../durable-objects/mailbox-rpc.ts";
import { canonical } from "../canonical-json.ts";
import { Refused } from "../errors.ts";
import { newId, type RoutingNumber } from "../ids.ts";
import type { StoredAttachment } from "../mail/message.ts";
import { type AttachmentBytes, attachmentKey, deleteKeys, storeAttachments } from "../store/mail-store.ts";
import { callMailbox, routingOrNotFound } from "../store/mailbox-client.ts";
import { actingAs } from "./acting-agent.ts";
import { type AttachmentIn, decodeAttachments } from "./attachments-in.ts";
import { type BodyIn, readRecipients, refuseTooLarge, renderBody } from "./message-in.ts";
import type { Answer, OperationContext } from "./operation.ts";
import { ownMailboxId } from "./references.ts";
import type { SendAnswer } from "./shapes.ts";

/** A parsed send or reply. */
interface MessageIn {
  to?: string | string[] | undefined;
  cc?: string | string[] | undefined;
  bcc?: string | string[] | undefined;
  reply_to?: string | string[] | undefined;
  subject?: string | undefined;
  content: BodyIn;
  attachments: AttachmentIn[];
  tags?: Record<string, string> | undefined;
  metadata: Record<string, unknown>;
  agent_id?: string | undefined;
  model_id?: string | undefined;
  model_provider?: string | undefined;
  oversight_mode?: Submission["oversight_mode"] | undefined;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * @returns the digest by which a repeated call is recognised: SHA-256 of the canonical input, in lower-case hex. Files enter it
 *   by their own hash, since an isolate has no memory for further copies of them.
 */
function inputDigest(operation: string, input: MessageIn, reply: Submission["reply"]): string {
  const attachments = input.attachments.map(({ content_base64, ...rest }) => ({
    ...rest,
    sha256: sha256(content_base64),
  }));
  // Through JSON, which drops what was left out.
  return sha256(canonical(JSON.parse(JSON.stringify({ operation, input: { ...input, attachments }, reply }))));
}

/**
 * Hands a message to its mailbox. Everything that can be refused without the object is refused before anything is stored.
 * @param operation which one, for the idempotency digest.
 */
export async function submitMessage(
  context: OperationContext,
  operation: string,
  routing: RoutingNumber,
  input: MessageIn,
  reply: Submission["reply"],
): Promise<Answer<SendAnswer>> {
  const caller = actingAs(context.caller, input.agent_id ?? null);
  const recipients = readRecipients(input);
  const body = renderBody(input.content);
  const files = decodeAttachments(input.attachments);
  refuseTooLarge(body, files);
  const { idempotencyKey } = context;
  const submission: Submission = {
    id: newId("em", context.now(), routing),
    ...recipients,
    ...body,
    subject: input.subject ?? null,
    attachments: [],
    reply,
    tags: input.tags ?? {},
    metadata: input.metadata,
    agent_id: caller.agent_id,
    model_id: input.model_id ?? null,
    model_provider: input.model_provider ?? null,
    oversight_mode: input.oversight_mode ?? null,
    idempotency: idempotencyKey === null ? null : { key: idempotencyKey, digest: inputDigest(operation, input, reply) },
  };
  const answer = await withStoredFiles(context, submission.id, files, (attachments) =>
    callMailbox(context.env, routing, (object) => object.submit(caller, { ...submission, attachments })),
  );
  return { status: answer.idempotent ? 200 : 202, body: answer };
}

/**
 * Stores files for the length of a call, and for good if it takes them. They are deleted again if the object refuses or knew
 * the message already; after a breakdown they stay, since the object may have committed, and its daily sweep deletes them if not.
 */
async function withStoredFiles(
  context: OperationContext,
  emailId: string,
  files: AttachmentBytes[],
  call: (stored: StoredAttachment[]) => Promise<SendAnswer>,
): Promise<SendAnswer> {
  if (files.length === 0) return call([]);
  // Bytes are stored under a mailbox's prefix only if it is the caller's.
  const mailboxId = await ownMailboxId(context, routingOrNotFound(emailId));
  const bucket = context.env.STORE;
  const keyOf = (n: number) => attachmentKey(context.caller.tenant_id, mailboxId, emailId, n);
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
    if (answer.idempotent) await discard();
    return answer;
  } catch (error) {
    if (error instanceof Refused) await discard();
    throw error;
  }
}
