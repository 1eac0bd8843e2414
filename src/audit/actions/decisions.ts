import { type ActionRow, NONE, PERMIT } from "./row.ts";

/** What agents prepare, what waits for a person, and what they decide. See ../actions.ts. */

const DECIDED = ["rule", "status", "kind", "approval_ref", "approval_kind", "approvals", "quorum", "edited"] as const;
const DECIDED_PERSONAL = ["decided_by", "on_behalf_of", "reason", "content_hash"] as const;
const DRAFTED = ["attachments", "template_id", ...PERMIT] as const;
const DRAFTED_PERSONAL = ["to", "cc", "bcc", "subject", "file_names"] as const;
const MAILED = { detail: ["attempt", "code"], personal: ["to", "response"] } as const;
/** What a mail with a checkpoint came to. */
const CHECKPOINT_MAIL = { detail: ["size", "attempt", "code"], personal: ["to", "response"] } as const;

/** Drafts and templates. */
export const DRAFT_ACTIONS = {
  "draft.created": { says: "A draft was saved.", detail: DRAFTED, personal: DRAFTED_PERSONAL },
  "draft.changed": { says: "A draft was changed.", detail: DRAFTED, personal: DRAFTED_PERSONAL },
  "draft.deleted": { says: "A draft was deleted.", detail: DRAFTED, personal: DRAFTED_PERSONAL },
  "draft.sent": {
    says: "A draft was submitted as a message.",
    detail: ["written_by", "changed_by", "drafted_for"],
    personal: NONE,
  },
  "template.proposed": {
    says: "A template, or a new version of one, was proposed.",
    detail: ["template_id", "version", "pending_id", "variables"],
    personal: ["name", "subject", "content_hash"],
  },
  "template.deleted": { says: "A template was deleted.", detail: ["template_id", ...PERMIT], personal: NONE },
} as const satisfies Record<string, ActionRow>;

/** What waits for a person, and what they decide. */
export const DECISION_ACTIONS = {
  "request.held": {
    says: "A read, an annotation or a look-up waits for a person's decision.",
    detail: ["operation", "kind", "pending_id", "email_id"],
    personal: ["input"],
  },
  "request.refused": {
    says: "An approval was brought that is not for this call, or is used up.",
    detail: ["operation"],
    personal: ["input", "approval_ref"],
  },
  "request.fruitless": {
    says: "An approval was used up by a call that was refused after all.",
    detail: ["code", ...PERMIT],
    personal: NONE,
  },
  "request.consumed": { says: "An approval was used.", detail: ["operation"], personal: NONE },
  "request.cancelled": { says: "What waited was taken back.", detail: ["kind"], personal: NONE },
  "request.expired": { says: "Nobody decided in time.", detail: ["status"], personal: NONE },
  "decision.counted": {
    says: "A person approved, and more must.",
    detail: DECIDED,
    personal: DECIDED_PERSONAL,
  },
  "decision.approved": { says: "It was approved.", detail: DECIDED, personal: DECIDED_PERSONAL },
  "decision.rejected": { says: "It was rejected.", detail: DECIDED, personal: DECIDED_PERSONAL },
  "decisions.made": {
    says: "Many items were decided on in one call; each has its own entry.",
    detail: ["decided", "results", "dry_run"],
    personal: ["query"],
  },
  "link.opened": {
    says: "A person's decision link was opened.",
    detail: ["state"],
    personal: ["person"],
  },
  "link.refused": {
    says: "A decision by a link was refused.",
    detail: ["state", "code"],
    personal: ["person"],
  },
  "session.refused": {
    says: "A decision in the console was refused.",
    detail: ["state", "code"],
    personal: ["person"],
  },
  "link.revoked": { says: "Decision links were withdrawn.", detail: ["reason"], personal: NONE },
  "notification.sent": { says: "A person was asked to decide.", ...MAILED },
  "notification.deferred": { says: "The mail that asks a person is tried again later.", ...MAILED },
  "notification.failed": { says: "The mail that asks a person could not be delivered.", ...MAILED },
  "digest.sent": { says: "A person was told of everything that waits.", ...MAILED },
  "digest.deferred": { says: "The mail of what waits is tried again later.", ...MAILED },
  "digest.failed": { says: "The mail of what waits could not be delivered.", ...MAILED },
  "copy.sent": { says: "The overseer got a copy of what was sent.", ...MAILED },
  "copy.deferred": { says: "The overseer's copy is tried again later.", ...MAILED },
  "copy.failed": { says: "The overseer's copy could not be delivered.", ...MAILED },
  "fall_back_notice.sent": { says: "A person was told that the mailbox has less rope now.", ...MAILED },
  "fall_back_notice.deferred": { says: "The mail that says so is tried again later.", ...MAILED },
  "fall_back_notice.failed": { says: "The mail that says so could not be delivered.", ...MAILED },

  "auditor_mail.sent": { says: "The auditor was mailed a checkpoint.", ...CHECKPOINT_MAIL },
  "auditor_mail.deferred": { says: "The auditor's mail is tried again later.", ...CHECKPOINT_MAIL },
  "auditor_mail.failed": { says: "The auditor's mail could not be delivered.", ...CHECKPOINT_MAIL },
} as const satisfies Record<string, ActionRow>;
