/**
 * Every action that an entry can have, and what its fields are. An entry with a field that its action does not name does not compile;
 * docs/audit.md shows this table. Actions are only ever added: entries of years ago have theirs.
 */

interface ActionRow {
  /** One short sentence. */
  says: string;
  /** Fields that stand openly for ever: enums, ids, integers, booleans. Never what says something of a person. */
  detail: readonly string[];
  /** Fields that are sealed under a data key, and erased with it. */
  personal: readonly string[];
}

/** The approval that a held read or annotation was got with. */
const PERMIT = ["approval_ref"] as const;
/** Where a submission, or what an edit made of it, was placed, and by which rule. */
const PLACED = [
  "status",
  "rule",
  "rules",
  "risk",
  "approval_ref",
  "approval_kind",
  "send_at",
  "gate_timing",
  "template_id",
  "template_version",
  "domain",
  "recipients",
  "attachments",
  "thread_id",
  "sandbox",
  "model_id",
  "model_provider",
  "domain_risk",
  "unknown_sources",
  "new_names",
  "promotional",
  "forwards",
  "form",
  "pending_id",
] as const;
const PLACED_PERSONAL = [
  "to",
  "cc",
  "bcc",
  "subject",
  "metadata",
  "file_names",
  "content_hash",
  "because",
  "forwarded_sha256",
  "domain_intelligence",
] as const;
/** What a reader asked for: it can name people. */
const QUERY = [
  "cursor",
  "offset",
  "status",
  "direction",
  "sender",
  "subject_contains",
  "q",
  "date_after",
  "date_before",
  "has_attachments",
  "tag",
  "thread_id",
  "dkim_result",
  "since_id",
  "unread_only",
  "metadata",
] as const;
const RESULTS = ["dkim_result", "spf_result", "dmarc_result", "arc_result"] as const;
const ARRIVED = ["status", "thread_id", "size", "attachments", ...RESULTS, "flags"] as const;
const CORRESPONDENTS = ["envelope_from", "envelope_to", "from", "subject", "rfc_message_id", "dkim_domain"] as const;
const ARRIVED_PERSONAL = [...CORRESPONDENTS, "dmarc_overridden_by"] as const;
const DECIDED = ["rule", "status", "kind", "approval_ref", "approval_kind", "approvals", "quorum", "edited"] as const;
const DECIDED_PERSONAL = ["decided_by", "on_behalf_of", "reason", "content_hash"] as const;
const DRAFTED = ["attachments", "template_id", ...PERMIT] as const;
const DRAFTED_PERSONAL = ["to", "cc", "bcc", "subject", "file_names"] as const;
const MAILED = { detail: ["attempt", "code"], personal: ["to", "response"] } as const;
const CAME_BACK = {
  detail: ["position", "form", "changed", "raw_key", "bounce_type", "status", "code"],
  personal: ["recipient", "diagnostic"],
} as const;
const FORWARDED = {
  detail: ["forwards", "form", "standing", "key_id", "agent_id", "arc_domain", "arc_selector"],
  personal: ["from", "recipients", "sha256"],
} as const;
const DOMAIN_SETTINGS = ["dkim_key_type", "dmarc_policy", "mta_sts"] as const;
const DOMAIN = ["domain"] as const;
const LINK_MAILED = { detail: ["attempt", "code"], personal: ["person", "response"] } as const;
const MODEL = ["model_id", "model_provider"] as const;
/** What of a person is erased beside whole messages, and how much of it. */
const TRACES = ["redacted", "drafts", "requests", "templates", "lists", "entries", "answers"] as const;
const NONE = [] as const;

/** What a mail with a checkpoint came to. */
const CHECKPOINT_MAIL = { detail: ["size", "attempt", "code"], personal: ["to", "response"] } as const;

export const ACTIONS = {
  // A message on its way out.
  "message.held": {
    says: "A message waits for a person's decision.",
    detail: PLACED,
    personal: PLACED_PERSONAL,
  },
  "message.queued": { says: "A message may leave and is on its way.", detail: PLACED, personal: PLACED_PERSONAL },
  "message.scheduled": { says: "A message leaves at a later time.", detail: PLACED, personal: PLACED_PERSONAL },
  "message.blocked": { says: "A rule blocked a message for good.", detail: PLACED, personal: PLACED_PERSONAL },
  "message.refused": {
    says: "Mode or rules refused a submission, or DMARC a message that arrived; it was not stored.",
    detail: ["rule", "applied_mode", "because", "size", ...RESULTS],
    personal: ["to", "because", "reason", ...CORRESPONDENTS],
  },
  "message.edited": {
    says: "A message that had not left was changed, and every approval of it became void.",
    detail: ["revision", "rule"],
    personal: ["by", "difference", "content_hash"],
  },
  "message.cancelled": {
    says: "A message was taken back before it was handed over.",
    detail: ["status"],
    personal: ["reason"],
  },
  "message.taken_back": {
    says: "A stricter mode or rule holds a message that was on its way.",
    detail: ["status", "rule", "attempts"],
    personal: ["because"],
  },
  "message.expired": { says: "Nobody decided on a message in time.", detail: ["status"], personal: NONE },

  // A message that came in.
  "message.received": { says: "A message arrived.", detail: ARRIVED, personal: ARRIVED_PERSONAL },
  "message.inbound_held": {
    says: "A message arrived and waits for a person to release it.",
    detail: ARRIVED,
    personal: ARRIVED_PERSONAL,
  },
  "message.set_aside": {
    says: "A message arrived that fails DMARC, and was quarantined.",
    detail: ARRIVED,
    personal: ARRIVED_PERSONAL,
  },
  "identity.verified": {
    says: "The identity headers of a message that arrived are genuine.",
    detail: ["reasons", "forms", "source", "nonce_seen"],
    personal: ["agent", "kids", "headers"],
  },
  "identity.not_verified": {
    says: "The identity headers of a message that arrived prove nothing.",
    detail: ["reasons", "forms", "source", "nonce_seen"],
    personal: ["agent", "kids", "headers"],
  },
  "forwarding.queued": {
    says: "A message that arrived is passed on, as a person wants it.",
    detail: ["forwards", "form", "recipients", "standing"],
    personal: ["to", "subject", "forwarded_sha256", "content_hash"],
  },
  "forwarding.skipped": {
    says: "A message that arrived could not be passed on.",
    detail: ["reason"],
    personal: NONE,
  },
  "forwarding.sent": { says: "A message was passed on.", ...FORWARDED },
  "forwarding.failed": { says: "A message that was to be passed on reached nobody.", ...FORWARDED },

  // Reading.
  "message.read": { says: "A message was read.", detail: ["marked", ...PERMIT], personal: NONE },
  "message.record_read": { says: "The whole story of a message was read.", detail: NONE, personal: NONE },
  "message.tags_read": { says: "A message's tags were read.", detail: PERMIT, personal: NONE },
  "inbox.listed": {
    says: "A mailbox's messages were listed or searched.",
    detail: ["results", ...PERMIT],
    personal: QUERY,
  },
  "inbox.waited": {
    says: "Somebody waited for a message that matches.",
    detail: ["results", "timed_out", ...PERMIT],
    personal: QUERY,
  },
  "thread.read": { says: "A thread was read.", detail: ["results", ...PERMIT], personal: NONE },
  "attachment.downloaded": {
    says: "An attachment was downloaded.",
    detail: ["size", ...PERMIT],
    personal: ["file_name", "sha256", "person"],
  },
  "identity.receipt_read": { says: "The identity receipt of a message was read.", detail: PERMIT, personal: NONE },
  "draft.read": { says: "A draft was read.", detail: PERMIT, personal: NONE },
  "drafts.listed": { says: "A mailbox's drafts were listed.", detail: ["results", ...PERMIT], personal: NONE },
  "template.read": {
    says: "A template was read.",
    detail: ["template_id", "version", ...PERMIT],
    personal: NONE,
  },
  "templates.listed": { says: "Templates were listed.", detail: ["results", ...PERMIT], personal: NONE },
  "message.judged": {
    says: "Somebody asked what would become of a submission; it was not stored.",
    detail: ["verdict", "rule", "applied_mode"],
    personal: ["to", "subject", "because"],
  },
  "mailbox.read": { says: "A mailbox's settings were read.", detail: NONE, personal: NONE },
  "policy.read": { says: "A mailbox's rules were read.", detail: NONE, personal: NONE },
  "track_record.read": { says: "What a mailbox did in 30 days was read.", detail: NONE, personal: NONE },
  "allowlist.listed": {
    says: "The recipients that are approved beforehand were listed.",
    detail: ["results"],
    personal: NONE,
  },
  "account.read": { says: "The account's settings were read.", detail: NONE, personal: NONE },
  "mailboxes.listed": { says: "Mailboxes were listed.", detail: ["results"], personal: NONE },
  "keys.listed": { says: "Keys were listed.", detail: ["results"], personal: NONE },
  "pauses.read": { says: "It was read what stands still.", detail: NONE, personal: NONE },
  "agent.read": { says: "An agent was read.", detail: NONE, personal: NONE },
  "agents.listed": { says: "Agents were listed.", detail: ["results"], personal: NONE },
  "domain.read": { says: "A domain was read.", detail: NONE, personal: NONE },
  "domains.listed": { says: "Domains were listed.", detail: ["results"], personal: NONE },
  "domain.looked_at": { says: "A domain's records were looked at for somebody.", detail: ["status"], personal: NONE },
  "suppression.checked": {
    says: "It was asked whether an address is suppressed.",
    detail: ["suppressed"],
    personal: ["address"],
  },
  "suppressions.listed": { says: "Suppressed addresses were listed.", detail: ["results"], personal: NONE },
  "audit.read": { says: "The audit log was read.", detail: ["results"], personal: ["query"] },
  "audit.exported": {
    says: "A log, or a stretch of one, was exported.",
    detail: ["format", "opened", "from_seq", "to_seq", "from", "to"],
    personal: ["person"],
  },
  "audit.verified": {
    says: "A log, or a stretch of one, was verified.",
    detail: ["from_seq", "to_seq", "entries", "fault"],
    personal: NONE,
  },
  "identity.keys_read": {
    says: "Public identity keys were read with a key.",
    detail: NONE,
    personal: ["tenant_id", "kid"],
  },
  "identity.agent_key_read": {
    says: "The public key of an agent's domain was read with a key.",
    detail: NONE,
    personal: ["agent_id", "domain", "tenant_id"],
  },
  "identity.message_checked": {
    says: "The identity headers of a given message were checked with a key.",
    detail: ["verified"],
    personal: NONE,
  },
  "pending.listed": { says: "It was listed what waits for a decision.", detail: ["results"], personal: NONE },
  "pending.read": { says: "What waits for a decision was read.", detail: ["items"], personal: ["person"] },

  // Marks and tags.
  "message.marked": {
    says: "A message that arrived was marked.",
    detail: ["from", "status", ...PERMIT],
    personal: NONE,
  },
  "message.tagged": { says: "A message was given tags.", detail: ["count", ...PERMIT], personal: ["tags"] },
  "message.untagged": { says: "A message lost a tag.", detail: ["count", ...PERMIT], personal: ["tags"] },

  // Drafts and templates.
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

  // What waits for a person, and what they decide.
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

  // The log itself.
  "mailbox.checkpointed": {
    says: "A mailbox's log was signed at this size: its checkpoint is part of the account's log from here on.",
    detail: ["size", "root", "checkpoint", "verifier_key"],
    personal: NONE,
  },
  "checkpoint.read": { says: "A checkpoint was asked for.", detail: ["log", "size"], personal: NONE },
  "checkpoint.proved": {
    says: "A proof was asked for that leads to a checkpoint.",
    detail: ["log", "kind", "seq", "first", "size"],
    personal: NONE,
  },
  "checkpoint.key_read": { says: "The key that checks a log was asked for.", detail: NONE, personal: ["log"] },
  "checkpoint.cosigned": {
    says: "Witnesses signed a checkpoint too.",
    detail: ["size", "witnesses"],
    personal: NONE,
  },

  // Delivery.
  "delivery.attempted": { says: "An attempt to deliver began.", detail: ["attempt"], personal: NONE },
  "delivery.recovered": {
    says: "An attempt that a restart interrupted was taken up again.",
    detail: ["attempt"],
    personal: NONE,
  },
  "delivery.answered": {
    says: "The transport answered an attempt; what was signed is named.",
    detail: [
      "status",
      "transport",
      "attempt",
      "accepted",
      "deferred",
      "refused",
      "dkim_signed",
      "dkim_selectors",
      "identity_kid",
      "raw_stored",
    ],
    personal: ["outcomes", "signatures"],
  },
  "delivery.bounced": {
    says: "The transport refused a recipient.",
    detail: ["position", "code", "bounce_type"],
    personal: ["recipient", "response"],
  },
  "delivery.given_up": {
    says: "No recipient is left to try.",
    detail: ["status", "attempts"],
    personal: NONE,
  },
  "delivery.suppressed": {
    says: "A recipient on the suppression list was left out.",
    detail: ["position", "reason"],
    personal: ["recipient"],
  },
  "delivery.domain_broken": {
    says: "A message waits since its domain's records are not in order.",
    detail: NONE,
    personal: NONE,
  },
  "delivery.domain_mended": { says: "The domain's records are in order again.", detail: NONE, personal: NONE },
  "delivery.delivered": { says: "A report says that a message was delivered.", ...CAME_BACK },
  "delivery.returned": { says: "A message came back.", ...CAME_BACK },
  "delivery.delayed": { says: "A report says that a message is delayed.", ...CAME_BACK },
  "delivery.reported": { says: "A report about a message came that changes nothing.", ...CAME_BACK },
  "delivery.feedback": { says: "A feedback report came that is no complaint.", ...CAME_BACK },
  "message.complained": { says: "A recipient complained.", ...CAME_BACK },
  "message.unsubscribed": { says: "A recipient wants no more such mail.", ...CAME_BACK },

  // Look-ups.
  "domains.looked_up": {
    says: "Domains were looked up that never were before.",
    detail: ["new_names"],
    personal: ["names"],
  },
  "domain.checked": { says: "Somebody had a domain looked up.", detail: PERMIT, personal: DOMAIN },

  // A mailbox, its rules and its rope.
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

  // Erasing. What an entry says of it is of no person: ids of what is gone, and numbers.
  "email.erased": {
    says: "A message was erased, with everything that was made of it.",
    detail: ["status", "erasure_id", "drafts", "requests"],
    personal: NONE,
  },
  "email.erasure_read": {
    says: "Whether an erased message is gone everywhere was read.",
    detail: NONE,
    personal: NONE,
  },
  "contact.traces_erased": {
    says: "Mentions of a person were erased in a mailbox, beside the messages that name them.",
    detail: ["erasure_id", ...TRACES],
    personal: NONE,
  },
  "content.expired": {
    says: "What messages said was removed, since the mailbox keeps it no longer.",
    detail: ["messages"],
    personal: NONE,
  },
  "contact.erasure_started": {
    says: "The operator allowed a person to be erased from the whole account.",
    detail: ["erasure_id", "mailboxes"],
    personal: NONE,
  },
  "contact.erasure_read": {
    says: "How far a person's erasure has come was read.",
    detail: ["erasure_id"],
    personal: NONE,
  },
  "contact.erased": {
    says: "A person was erased from the whole account.",
    detail: ["erasure_id", "rounds", "mailboxes", "messages", ...TRACES],
    personal: NONE,
  },
  "mailbox.exported": {
    says: "Everything that a mailbox has was exported with its account.",
    detail: NONE,
    personal: NONE,
  },
  "account.exported": {
    says: "Everything that the account owns was exported.",
    detail: NONE,
    personal: NONE,
  },

  // The account and its people.
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

  // Agents and keys.
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

  // The log itself.
  "log.dropped": {
    says: "Entries are older than they are kept, and left object and D1; R2 holds them.",
    detail: ["first", "last", "segments", "retention_days"],
    personal: NONE,
  },
  "log.reconciled": {
    says: "Somebody had the log compared with what D1 and R2 have of it.",
    detail: ["log", "entries", "segments", "erased_keys", "repaired", "faults", "is_complete"],
    personal: NONE,
  },
  "log.repaired": {
    says: "D1 or R2 had lost something of the log, or had again what had left it, and it was put right.",
    detail: ["entries", "dropped_entries", "segments", "segment_rows", "erased_keys"],
    personal: NONE,
  },
  "log.fault": {
    says: "D1 or R2 has something else than the log, which cannot be put right.",
    detail: ["what", "entry"],
    personal: NONE,
  },
  "log.fault_gone": {
    says: "Such a difference is none any more.",
    detail: ["what", "entry"],
    personal: NONE,
  },

  // Domains.
  "domain.configured": {
    says: "A domain was set up.",
    detail: [...DOMAIN_SETTINGS, "is_owned"],
    personal: DOMAIN,
  },
  "domain.updated": {
    says: "A domain's settings were changed.",
    detail: ["changed", ...DOMAIN_SETTINGS],
    personal: DOMAIN,
  },
  "domain.deleted": { says: "A domain was given up.", detail: NONE, personal: DOMAIN },
  "domain.verified": { says: "A domain's records are in order.", detail: ["not_passing"], personal: DOMAIN },
  "domain.broken": { says: "A domain's records are not in order.", detail: ["not_passing"], personal: DOMAIN },
  "domain.proved": { says: "Control of a domain was proved.", detail: NONE, personal: DOMAIN },
  "domain.taken_over": {
    says: "Control of a domain was proved that another account had reserved.",
    detail: NONE,
    personal: DOMAIN,
  },
  "domain.reserved": { says: "A domain was reserved.", detail: NONE, personal: DOMAIN },
  "domain.lost": { says: "Another account proved control of a domain.", detail: NONE, personal: DOMAIN },
  "domain.dkim_rotation_started": {
    says: "New DKIM keys were made, and wait to be published.",
    detail: ["selectors"],
    personal: DOMAIN,
  },
  "domain.dkim_rotated": { says: "New DKIM keys took over.", detail: ["selectors"], personal: DOMAIN },
  "domain.dkim_keys_removed": {
    says: "Old DKIM keys were deleted.",
    detail: ["selectors"],
    personal: DOMAIN,
  },

  // Attempts.
  "access.refused": {
    says: "A key, or a person in the console, was refused what they asked for.",
    detail: ["operation", "code"],
    personal: ["asked", "person"],
  },
  "access.refusals_left_out": {
    says: "A key or a person was refused more often within an hour than has entries.",
    detail: ["count"],
    personal: NONE,
  },
  "answer.repeated": {
    says: "A call was repeated, and answered as it was the first time.",
    detail: ["operation"],
    personal: NONE,
  },
  "nothing.changed": {
    says: "A call asked for what stood so already.",
    detail: ["would_be"],
    personal: NONE,
  },

  // The console.
  "console.link_sent": { says: "A sign-in link was mailed.", ...LINK_MAILED },
  "console.link_deferred": { says: "The mail of a sign-in link is tried again later.", ...LINK_MAILED },
  "console.link_failed": { says: "The mail of a sign-in link could not be delivered.", ...LINK_MAILED },
  "console.signed_in": { says: "A person signed in to the console.", detail: NONE, personal: ["person"] },
  "console.signed_out": { says: "A person signed out.", detail: ["everywhere"], personal: ["person"] },
  "console.refused": { says: "A sign-in was refused.", detail: ["reason"], personal: ["person"] },
} as const satisfies Record<string, ActionRow>;

/** What an entry says was done. */
export type Action = keyof typeof ACTIONS;

/** The names of the open fields that entries of an action may have; of several actions, those that all of them may have. */
export type DetailField<A extends Action> = keyof FieldsOf<A, "detail">;
/** The same of the sealed ones. */
export type PersonalField<A extends Action> = keyof FieldsOf<A, "personal">;

/** Distributed over the union, so that `keyof` gives what its members share. */
type FieldsOf<A extends Action, Kind extends "detail" | "personal"> = A extends Action
  ? { [Name in (typeof ACTIONS)[A][Kind][number]]: true }
  : never;

/** `never` for each of the fields that has another name than these. */
export type Only<Fields, Name> = { [Field in KeyOfAny<Fields>]?: Field extends Name ? unknown : never };

/** The keys of each member of a union, where `keyof` has only those that all of them share. */
type KeyOfAny<Fields> = Fields extends unknown ? keyof Fields : never;

/** What an entry's fields may be: `never` for each that its action does not name, so that such an entry does not compile. */
export type OnlyNamed<E extends { action: Action; detail?: object; personal?: object }> = E extends unknown
  ? {
      detail?: Only<E["detail"], DetailField<E["action"]>>;
      personal?: Only<E["personal"], PersonalField<E["action"]>>;
    }
  : never;

/** @returns whether an action is one of the table's: entries of older versions may have another. */
export function isAction(text: string): text is Action {
  return Object.hasOwn(ACTIONS, text);
}
