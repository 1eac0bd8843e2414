import type { ErrorCode } from "../src/errors.ts";
import type { Risk } from "../src/intelligence/risk.ts";
import type { MessageContent } from "../src/mail/message.ts";
import type { MailboxRecord } from "../src/operations/shapes/mailbox.ts";
import type { PendingKind } from "../src/operations/shapes/pending.ts";
import type { Template } from "../src/operations/shapes/template.ts";
import type { Mode } from "../src/oversight/modes.ts";
import type { Reason } from "../src/oversight/policy.ts";
import type { RequestStatus } from "../src/oversight/request-transitions.ts";
import type { Status } from "../src/oversight/statuses.ts";
import type { ShownOriginal } from "./mailbox/forward-content.ts";

/** What people see of an item that waits, and what they answer: the shapes between the mailbox object and the pages. */

/** What a decision page shows for a token, or for an item in a person's session. */
export type LinkView =
  | { state: "unknown" }
  | { state: "revoked"; reason: string }
  | { state: "expired"; expired_at: string }
  | {
      state: "open";
      /** Who decides here. */
      approver: string;
      /** Null: it waits for ever. */
      expires_at: string | null;
      item: DecisionItem;
      /** When this person approved; others must still do so. Null if they have not. */
      approved_at: string | null;
    }
  | { state: "decided"; approver: string; outcome: LinkOutcome }
  /** Only when deciding: nothing was decided, and why. The item still waits. */
  | { state: "refused"; code: ErrorCode; error: string };

/** What every kind of item shows. */
interface CommonItem {
  pending_id: string;
  email_id: string;
  mailbox_id: string;
  mailbox_address: string;
  oversight_mode: Mode;
  content_hash: string;
  agent: { agent_id: string | null; model_id: string | null; model_provider: string | null };
  key_id: string | null;
  /** Which rule held it: `mode gated_send`, or a rule's name. */
  held_by: string;
  /** The same as a sentence for people. */
  because: string;
  /** Every rule that would have held it, the deciding one first. */
  reasons: Reason[];
  submitted_at: string;
  /** Null: it waits for ever. */
  expires_at: string | null;
  /** The approvals it has, and how many it needs. */
  quorum: { needed: number; approvals: { by: string; at: string }[] };
}

/** A message: exactly what will leave, or exactly what came. */
export interface MessageItem extends CommonItem {
  kind: "send" | "inbound";
  content: MessageContent;
  /** The message that it passes on; left out where it passes on none. */
  forwarded?: ShownOriginal;
  /** Submitted by an `mm_test_` key: approved or not, it ends in the sandbox. */
  test: boolean;
  metadata: Record<string, unknown>;
  tags: Record<string, string>;
  risk: Risk | null;
  domain_intelligence: Record<string, unknown> | null;
  /** When it leaves, if it is approved; null: at once. */
  send_at: string | null;
  /** What a person's edit starts from: the body before signature and disclosure. Null where nothing can be edited. */
  source: { format: "markdown" | "text"; text: string } | null;
  /** Once its delivery was tried: the addresses that have it. The decision is about the others, and leaves none of them out. */
  tried?: { reached: string[] };
  /** Earlier versions, the oldest first: who changed them, and the difference to the next one in unified form. */
  edits: { by: string; at: string; difference: string }[];
  /** For inbound. */
  authentication: { dkim_result: string | null; spf_result: string | null; dmarc_result: string | null } | null;
  /** Of mail that came in with identity headers: the agent that is proven to have written it, if one is. */
  identity: { agent: { agent_id: string; oversight_mode: Mode } | null } | null;
}

/** A read or annotation that a human must allow: exactly the query. */
export interface RequestItem extends CommonItem {
  kind: "read" | "annotate";
  request: { operation: string; input: Record<string, unknown> };
  /** The message it is about, where it is about one that the human may know. */
  about: { subject: string; from: string; at: string } | null;
}

export interface TemplateItem extends CommonItem {
  kind: "template";
  template: Pick<Template, "id" | "version" | "name" | "subject" | "markdown" | "variables" | "allowed_domains">;
  /** What the mailbox puts around its words in every message. */
  frame: { display_name: string | null; signature_block: string | null; ai_disclosure: boolean };
  /** The approved version that it would take the place of: the difference in unified form; null for the first. */
  difference: string | null;
}

/** A looser setting that an agent asks for. Only the operator's code lets it through; it can be rejected. */
export interface UpgradeItem extends CommonItem {
  kind: "upgrade";
  /** What would change, in words. */
  change: string;
  record: MailboxRecord;
}

/** Everything the approver must see. */
export type DecisionItem = MessageItem | RequestItem | TemplateItem | UpgradeItem;

/** What a person makes of a message before they approve it. It adds no recipient. */
export interface Edit {
  subject: string;
  /** Null: as it is, in every version. */
  body: EditedBody | null;
  /** Addresses that do not get it. */
  without: string[];
}

/** A body as it was written and as it was rendered; `source` is null where `markdown` is the source. */
export interface EditedBody {
  text: string;
  html: string | null;
  markdown: string | null;
}

/** What a person decides through a link or in a session. */
export interface PersonDecision {
  decision: "approve" | "reject";
  note: string | null;
  /** With `approve` only: approve this in place of what was written. */
  edit: Edit | null;
}

/** The outcome, without the content. */
export interface LinkOutcome {
  status: Status | RequestStatus;
  quorum: { needed: number; approvals: { by: string; at: string }[] };
  /** `approved_partly`: this person's approval counts, others are needed. */
  decision: "approved" | "approved_partly" | "rejected" | "cancelled" | "expired" | "superseded";
  kind: PendingKind;
  decided_by: string | null;
  decided_at: string | null;
  reason: string | null;
  approval_ref: string | null;
  /** Submitted by an `mm_test_` key: `sent` means that it ended in the sandbox. */
  test: boolean;
  /** Whether this very request decided. */
  just_now: boolean;
}
