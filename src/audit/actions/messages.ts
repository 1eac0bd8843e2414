import { type ActionRow, NONE, PERMIT } from "./row.ts";

/** What befalls a message: on its way out and in, delivered, marked. See ../actions.ts. */

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
const RESULTS = ["dkim_result", "spf_result", "dmarc_result", "arc_result"] as const;
const ARRIVED = ["status", "thread_id", "size", "attachments", ...RESULTS, "flags"] as const;
const CORRESPONDENTS = ["envelope_from", "envelope_to", "from", "subject", "rfc_message_id", "dkim_domain"] as const;
const ARRIVED_PERSONAL = [...CORRESPONDENTS, "dmarc_overridden_by"] as const;
const CAME_BACK = {
  detail: ["position", "form", "changed", "raw_key", "bounce_type", "status", "code"],
  personal: ["recipient", "diagnostic"],
} as const;
const FORWARDED = {
  detail: ["forwards", "form", "standing", "key_id", "agent_id", "arc_domain", "arc_selector"],
  personal: ["from", "recipients", "sha256"],
} as const;

/** A message on its way out. */
export const OUTGOING_ACTIONS = {
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
} as const satisfies Record<string, ActionRow>;

/** A message that came in. */
export const INCOMING_ACTIONS = {
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
} as const satisfies Record<string, ActionRow>;

/** Delivery. */
export const DELIVERY_ACTIONS = {
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
  "unsubscribe.opened": { says: "A link to unsubscribe was opened.", detail: NONE, personal: ["recipient"] },
  "unsubscribe.refused": {
    says: "An address was to be unsubscribed that the message did not go to.",
    detail: NONE,
    personal: NONE,
  },
} as const satisfies Record<string, ActionRow>;

/** Marks and tags. */
export const MARK_ACTIONS = {
  "message.marked": {
    says: "A message that arrived was marked.",
    detail: ["from", "status", ...PERMIT],
    personal: NONE,
  },
  "message.tagged": { says: "A message was given tags.", detail: ["count", ...PERMIT], personal: ["tags"] },
  "message.untagged": { says: "A message lost a tag.", detail: ["count", ...PERMIT], personal: ["tags"] },
} as const satisfies Record<string, ActionRow>;
