import { getAccount } from "./account.ts";
import { createApiKey, listApiKeys, revokeApiKey } from "./api-keys.ts";
import { downloadAttachment } from "./attachments.ts";
import { getAuditLog } from "./audit-log.ts";
import { checkInbox, getThread, markEmail, readEmail, searchEmail } from "./emails.ts";
import { createMailbox, getMailbox, listMailboxesOperation, updateMailbox } from "./mailboxes.ts";
import type { Operation } from "./operation.ts";
import { decideEmail, getPending, listPending } from "./oversight.ts";
import { cancelMessage, replyEmail, sendEmail } from "./send.ts";
import { deleteTag, getTags, tagEmail } from "./tags.ts";

/** Every operation, in the order that documentation shows them. Doors, OpenAPI and the scope tests read this list. */
export const OPERATIONS: readonly Operation[] = [
  createMailbox,
  listMailboxesOperation,
  getMailbox,
  updateMailbox,
  sendEmail,
  replyEmail,
  cancelMessage,
  checkInbox,
  searchEmail,
  readEmail,
  getThread,
  markEmail,
  tagEmail,
  getTags,
  deleteTag,
  downloadAttachment,
  listPending,
  getPending,
  decideEmail,
  createApiKey,
  listApiKeys,
  revokeApiKey,
  getAccount,
  getAuditLog,
];
