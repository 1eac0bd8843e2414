import { type ActionRow, DOMAIN, NONE, PERMIT } from "./row.ts";

/** What is read and looked up. See ../actions.ts. */

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

/** Reading. */
export const READ_ACTIONS = {
  "message.read": { says: "A message was read.", detail: ["marked", ...PERMIT], personal: NONE },
  "message.record_read": { says: "The whole story of a message was read.", detail: NONE, personal: ["person"] },
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
  "mailboxes.listed": { says: "Mailboxes were listed.", detail: ["results"], personal: ["person"] },
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
    detail: ["from_seq", "to_seq", "entries", "fault", "grown_from"],
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
  "pending.listed": { says: "It was listed what waits for a decision.", detail: ["results"], personal: ["person"] },
  "pending.read": { says: "What waits for a decision was read.", detail: ["items"], personal: ["person"] },
} as const satisfies Record<string, ActionRow>;

/** Look-ups. */
export const LOOKUP_ACTIONS = {
  "domains.looked_up": {
    says: "Domains were looked up that never were before.",
    detail: ["new_names"],
    personal: ["names"],
  },
  "domain.checked": { says: "Somebody had a domain looked up.", detail: PERMIT, personal: DOMAIN },
} as const satisfies Record<string, ActionRow>;
