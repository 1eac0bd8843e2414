import { getAccount, updateAccount } from "./account.ts";
import { getAgentPublicKey } from "./agent-public-key.ts";
import { createAgent, deleteAgent, getAgent, listAgents, updateAgent } from "./agents.ts";
import { addToAllowlist, listAllowlist, removeFromAllowlist } from "./allowlist.ts";
import { createApiKey, listApiKeys, revokeApiKey, updateApiKey } from "./api-keys.ts";
import { downloadAttachment } from "./attachments.ts";
import { cosignCheckpoint, getAuditProof, getCheckpoint, getVerifierKey } from "./audit-checkpoints.ts";
import { exportAuditLog } from "./audit-export.ts";
import { getAuditLog } from "./audit-log.ts";
import { reconcileAuditLog } from "./audit-reconcile.ts";
import { verifyAuditLog } from "./audit-verify.ts";
import { decideEmails } from "./bulk-decisions.ts";
import { checkDomainIntelligence } from "./domain-intelligence.ts";
import { configureDomain, deleteDomain, getDomain, listDomains, rotateDkim, verifyDomainAlignment } from "./domains.ts";
import { createDraft, deleteDraft, getDraft, listDrafts, sendDraft, updateDraft } from "./drafts.ts";
import { getEmailRecord } from "./email-record.ts";
import { checkInbox, getThread, markEmail, readEmail, searchEmail } from "./emails.ts";
import { eraseContact, eraseEmail } from "./erasure.ts";
import { exportAccount } from "./export-account.ts";
import { forwardEmail } from "./forward.ts";
import { getIdentityPublicKey, rotateIdentityKey } from "./identity-keys.ts";
import { getIdentityReceipt } from "./identity-receipt.ts";
import { configureMailbox, createMailbox, getMailbox, listMailboxesOperation, updateMailbox } from "./mailboxes.ts";
import type { Operation } from "./operation.ts";
import { decideEmail, getPending, listPending } from "./oversight.ts";
import { getPauses, pauseSending, resumeSending } from "./pauses.ts";
import { getPolicy, getTrackRecord, setPolicy } from "./policy.ts";
import { editScheduledEmail } from "./schedule.ts";
import { cancelMessage, replyEmail, scheduleEmail, sendEmail } from "./send.ts";
import { addSuppression, checkSuppression, removeSuppression } from "./suppressions.ts";
import { deleteTag, getTags, tagEmail } from "./tags.ts";
import { createTemplate, deleteTemplate, getTemplate, listTemplates, updateTemplate } from "./templates.ts";
import { applyUpgrade, requestUpgrade } from "./upgrades.ts";
import { verifyIdentity } from "./verify-identity.ts";
import { waitForEmail } from "./wait.ts";

/** Every operation, in the order that documentation shows them. Doors, OpenAPI and the scope tests read this list. */
export const OPERATIONS: readonly Operation[] = [
  createMailbox,
  listMailboxesOperation,
  getMailbox,
  updateMailbox,
  configureMailbox,
  setPolicy,
  getPolicy,
  getTrackRecord,
  addToAllowlist,
  listAllowlist,
  removeFromAllowlist,
  requestUpgrade,
  applyUpgrade,
  sendEmail,
  scheduleEmail,
  replyEmail,
  forwardEmail,
  editScheduledEmail,
  cancelMessage,
  createDraft,
  updateDraft,
  listDrafts,
  getDraft,
  sendDraft,
  deleteDraft,
  checkDomainIntelligence,
  createTemplate,
  updateTemplate,
  listTemplates,
  getTemplate,
  deleteTemplate,
  checkInbox,
  searchEmail,
  waitForEmail,
  readEmail,
  getThread,
  markEmail,
  tagEmail,
  getTags,
  deleteTag,
  downloadAttachment,
  getIdentityReceipt,
  listPending,
  getPending,
  decideEmail,
  decideEmails,
  createApiKey,
  listApiKeys,
  updateApiKey,
  revokeApiKey,
  pauseSending,
  resumeSending,
  getPauses,
  configureDomain,
  listDomains,
  getDomain,
  deleteDomain,
  verifyDomainAlignment,
  rotateDkim,
  getIdentityPublicKey,
  getAgentPublicKey,
  rotateIdentityKey,
  verifyIdentity,
  createAgent,
  listAgents,
  getAgent,
  updateAgent,
  deleteAgent,
  checkSuppression,
  addSuppression,
  removeSuppression,
  eraseEmail,
  eraseContact,
  exportAccount,
  getAccount,
  updateAccount,
  getAuditLog,
  exportAuditLog,
  verifyAuditLog,
  getEmailRecord,
  getCheckpoint,
  getAuditProof,
  getVerifierKey,
  cosignCheckpoint,
  reconcileAuditLog,
];
