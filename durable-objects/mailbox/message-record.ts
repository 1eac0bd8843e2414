import type { ApprovalKind } from "../../src/identity/claim.ts";
import type { DomainIntelligence } from "../../src/intelligence/domain-facts.ts";
import type { Risk } from "../../src/intelligence/risk.ts";
import type { ForwardForm } from "../../src/mail/forwarded-message.ts";
import type { AuthenticationVerdicts, MailAddress, StoredAttachment } from "../../src/mail/message.ts";
import type { ReceivedIdentity } from "../../src/mail/received-identity.ts";
import type { PendingKind } from "../../src/operations/shapes/pending.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import type { Reason, Verdict } from "../../src/oversight/policy.ts";
import type { Author } from "../../src/oversight/separation.ts";
import type { OutboundStatus } from "../../src/oversight/statuses.ts";
import type { Submission } from "../mailbox-rpc.ts";
import type { Promotion } from "./terms.ts";

/** What a mailbox keeps of each message besides its columns and bodies, as JSON. */

/** A decision on a pending item. There is at most one. */
export interface RecordedDecision {
  approval_ref: string;
  decision: "approve" | "reject";
  kind: ApprovalKind;
  /** An approver's address, or a key id. */
  by: string;
  /** Whose seat it was: an approver's address, or `KEY_SEAT`. */
  seat: string;
  at: string;
  reason: string | null;
  content_hash: string;
  /** The approver changed the message first, and approved what they made of it. */
  edited?: true;
  /** The mailbox was tightened while the message was being sent: nothing further rests on this. */
  void?: true;
}

/** Why and until when an item waits, and how far its decision has come. */
export interface Hold {
  kind: PendingKind;
  /** Which rule held it: `mode gated_send`, or a rule's name. */
  rule: string;
  /** The same in a sentence. */
  because: string;
  reasons: Reason[];
  /** Null: it waits for ever. */
  expires_at: string | null;
  /** How many different people must approve, as it was when the item was held or tightened since. */
  quorum: number;
  /** Approvals so far, of exactly the present content. */
  approvals: RecordedDecision[];
  /** How many links were mailed for it. */
  links: number;
  /** How many of them were withdrawn because they came back in inbound mail. */
  withdrawn?: number;
  /** People who were asked, and for whose seat, in the order in which they were. */
  asked: { person: string; seat: string }[];
  /** How often the time for an answer has passed. */
  rounds: number;
}

/** An earlier version of a message that was changed before it left. */
export interface Revision {
  /** An approver's address, or a key id. */
  by: string;
  at: string;
  content_hash: string;
  /** Subject, recipients and body as they were. */
  before: string;
  /** To what came after, in unified form. */
  difference: string;
}

/** What the columns leave out. */
export interface MessageRecord {
  mode: Mode;
  from: MailAddress;
  /** More than one only in broken inbound mail. */
  other_from: MailAddress[];
  reply_to: MailAddress[];
  to: MailAddress[];
  cc: MailAddress[];
  bcc: MailAddress[];
  subject: string;
  in_reply_to: string | null;
  references: string[];
  /** As in MessageContent. */
  redirected?: string;
  attachments: StoredAttachment[];
  tags: Record<string, string>;
  /** Keys of `tags` that a key with `admin` set: these alone can have the content kept for less long. Left out where there are none. */
  operator_tags?: string[];
  /**
   * Keys of tags that a key without `admin` took off, and that had a period of their own then: the content is kept as if they were still
   * there. Left out where there are none.
   */
  former_tags?: string[];
  metadata: Record<string, unknown>;
  hold: Hold | null;
  decision: RecordedDecision | null;
  raw_key: string | null;
  received_at: string | null;
  sent_at: string | null;
  delivered_at: string | null;
  bounced_at: string | null;
  bounce_type: string | null;
  /** Why it ended without a decision: the reason given with a cancellation, or what the transport said last. */
  end_reason: string | null;
  /** Which key cancelled it, and when. */
  cancelled?: { by: string; at: string };
  outbound: OutboundRecord | null;
  inbound: InboundRecord | null;
}

/**
 * Parts a record into what the message says, or servers and rules say of it, and what people and keys noted of it, who name whomever
 * they like: decisions, tags, and why a key took it back.
 */
export function partedRecord({ hold, decision, tags, operator_tags, former_tags, end_reason, ...said }: MessageRecord) {
  const noted = { hold, decision, tags, operator_tags, former_tags };
  if (said.cancelled === undefined) return { said: { ...said, end_reason }, noted };
  return { said, noted: { ...noted, end_reason } };
}

export interface OutboundRecord {
  author: Author;
  /** Whoever wrote at the draft that it was; left out where it was none. */
  writers?: Author[];
  model_id: string | null;
  model_provider: string | null;
  ai_disclosure: boolean;
  /** The request's own mode, which may only tighten. */
  requested_mode: Mode | null;
  /** `mm_test_`: ends in the sandbox. */
  test: boolean;
  /** The overseer gets a copy of what is sent. */
  copy: boolean;
  content_hash: string;
  /** What mode and rules said when it was last judged. */
  verdict: Verdict;
  /** ISO 8601; null: at once. */
  send_at: string | null;
  gate_timing: "gate_first" | "schedule_first";
  /** The approved template that it was rendered from. */
  template: Submission["template"];
  /** How often it was changed before it left. */
  revisions: number;
  /** When it was let go for the first time, which is when it counted towards the budgets. */
  let_go_at: string | null;
  /** What the first answer said. */
  first_status: OutboundStatus;
  attempts: number;
  first_attempt_at: number | null;
  /** The key that sends is bound to the agent it sends for; left out where the agent was only named. */
  key_is_bound?: true;
  /** The Date under which somebody has it, ISO 8601; left out before. Further attempts keep it. */
  dated_at?: string;
  /** It counts as promotional, why, and what its footer says; left out for all other mail. */
  promotion?: Promotion;
  /** What it waits for besides its time: the domain that it is from is broken. */
  waits_for?: "domain";
  /** What was looked up of the recipients' domains when it was last judged; left out where nothing was. */
  intelligence?: DomainIntelligence;
  /** What that came to, of the domains alone. */
  domain_risk?: Risk;
  /** How what somebody has was signed; left out before, and where the mailbox does not sign. */
  identity?: SentIdentity;
  /** It passes another message on; left out of all others. */
  forward?: ForwardRecord;
}

/** Which message is passed on, and how. */
export interface ForwardRecord {
  email_id: string;
  form: ForwardForm;
  /** Where its bytes lie in R2. */
  raw_key: string;
  /** Octets. */
  size: number;
  /** Lower-case hex. The bytes that leave have this hash, or nothing leaves. */
  sha256: string;
  /** No agent sends it: a person wants all such mail passed on. Neither mode nor rules judge it. */
  standing?: true;
  /** Whose ARC seal somebody has it under; left out before, and where none was added. */
  sealed?: { domain: string; selector: string };
}

/** What a claim was made of, and may change while some recipients still wait: it then holds of what the others got alone. */
export interface IdentityBasis {
  content_hash: string;
  oversight_mode: Mode;
  approval_ref: string | null;
}

/** The identity of a message that went out (FORMATS.md §2). */
export interface SentIdentity {
  kid: string;
  basis: IdentityBasis;
  /** As they stand in the message, in its order. */
  headers: [name: string, value: string][];
}

export interface InboundRecord {
  envelope_from: string;
  headers: [string, string][];
  authentication: AuthenticationVerdicts;
  flags: string[];
  content_hash: string;
  /** Why nobody but a person sees it before a person released it; left out of mail that was not set aside on arrival. */
  set_aside?: string;
  /** The server on whose word mail that fails DMARC was taken. */
  dmarc_overridden_by?: string;
  /** Null where it carries no identity header; left out of mail that came before they were read. */
  identity?: ReceivedIdentity | null;
}
