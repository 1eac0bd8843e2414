import { type ActionRow, NONE } from "./row.ts";

/** Mailboxes, the account, its people, agents and keys. See ../actions.ts. */

const MODEL = ["model_id", "model_provider"] as const;

/** A mailbox, its rules and its rope. */
export const MAILBOX_ACTIONS = {
  "mailbox.created": {
    says: "A mailbox was made.",
    detail: ["oversight_mode", "approver_pending"],
    personal: ["address", "display_name", "approvers"],
  },
  "mailbox.updated": {
    says: "A mailbox's settings were changed.",
    detail: ["changed", "oversight_mode", "quorum", "paused", "operator_approved"],
    personal: [
      "display_name",
      "oversight_mode",
      "approvers",
      "approvers_pending",
      "quorum",
      "escalate_after",
      "expires_after",
      "delegations",
      "notify",
      "paused",
      "default_gate_timing",
      "scheduling_enabled",
      "ai_disclosure",
      "identity_signing",
      "identity_format",
      "auto_cc",
      "auto_bcc",
      "forward_inbound",
      "forward_rules",
      "signature_block",
      "dmarc_fail_action",
      "trusted_arc_sealers",
      "oversight_keys_may_decide",
      "is_active",
      "legal_hold",
      "content_retention",
    ],
  },
  "mailbox.fell_back": {
    says: "Bounces or complaints passed a limit, and the mailbox has less rope.",
    detail: ["from", "oversight_mode", "because", "count", "limit"],
    personal: NONE,
  },
  "policy.changed": {
    says: "A mailbox's rules were changed.",
    detail: ["changed", "operator_approved"],
    personal: ["policy"],
  },
  "allowlist.added": {
    says: "A recipient was approved beforehand.",
    detail: ["entry_id", "approval_ref", "operator_approved"],
    personal: ["recipient", "note"],
  },
  "allowlist.removed": {
    says: "A recipient is approved beforehand no more.",
    detail: ["entry_id"],
    personal: ["recipient"],
  },
  "upgrade.requested": {
    says: "An agent asked for more rope.",
    detail: ["pending_id"],
    personal: ["change", "reason"],
  },
  "upgrade.applied": {
    says: "The operator's code gave a mailbox more rope.",
    detail: ["pending_id", "operator_approved"],
    personal: NONE,
  },
  "store.swept": { says: "Stored files that belong to nothing were deleted.", detail: ["removed"], personal: NONE },
} as const satisfies Record<string, ActionRow>;

/** The account and its people. */
export const ACCOUNT_ACTIONS = {
  "tenant.created": {
    says: "The account was made.",
    detail: NONE,
    personal: ["name", "operator_email", "approvers"],
  },
  "account.updated": {
    says: "The account's settings were changed.",
    detail: ["changed", "audit_retention_days", "legal_hold", "witnesses"],
    personal: ["postal_address", "auditor_email"],
  },
  "approver.confirmed": { says: "The operator confirmed a person.", detail: NONE, personal: ["address"] },
  "operator.asked": {
    says: "The operator was mailed a code for a change.",
    detail: ["mailbox_id"],
    personal: ["change"],
  },
  "operator.confirmed": { says: "The operator's code was brought.", detail: ["asked"], personal: NONE },
  "operator.code_refused": { says: "A wrong code was brought.", detail: ["asked"], personal: NONE },
  "sending.paused": {
    says: "Nothing leaves in the name of an agent, or of the whole account.",
    detail: NONE,
    personal: NONE,
  },
  "sending.resumed": { says: "Mail may leave again.", detail: NONE, personal: NONE },
  "suppression.added": {
    says: "An address gets no more mail of the account.",
    detail: ["reason", "email_id"],
    personal: ["address", "note"],
  },
  "suppression.removed": {
    says: "An address may be written to again.",
    detail: ["reason"],
    personal: ["address"],
  },
} as const satisfies Record<string, ActionRow>;

/** Agents and keys. */
export const KEY_ACTIONS = {
  "agent.created": {
    says: "An agent was registered.",
    detail: [...MODEL, "default_for"],
    personal: ["name"],
  },
  "agent.updated": {
    says: "An agent was changed.",
    detail: [...MODEL, "changed", "default_for"],
    personal: ["name"],
  },
  "agent.deleted": {
    says: "An agent was deleted.",
    detail: [...MODEL, "was_default_for"],
    personal: ["name"],
  },
  "key.created": {
    says: "A key was made.",
    detail: ["scopes", "test", "mailboxes", "agent_id"],
    personal: ["name"],
  },
  "key.updated": {
    says: "A key was changed.",
    detail: ["changed", "scopes", "mailboxes", "agent_id", "default_agent_id", "operator_approved"],
    personal: ["name"],
  },
  "key.revoked": { says: "A key was revoked.", detail: NONE, personal: NONE },
  "identity.key_created": {
    says: "The account's first identity key was made.",
    detail: ["fingerprint"],
    personal: NONE,
  },
  "identity.key_rotated": {
    says: "A new identity key took over.",
    detail: ["fingerprint", "replaced", "retired_at"],
    personal: NONE,
  },
  "identity.key_revoked": { says: "An identity key was revoked.", detail: NONE, personal: NONE },
  "master_key.resealed": {
    says: "Secrets were brought under a new MASTER_KEY.",
    detail: ["dkim_keys", "identity_keys", "data_keys", "log_keys"],
    personal: NONE,
  },
} as const satisfies Record<string, ActionRow>;
