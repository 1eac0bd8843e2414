import type { Risk } from "../../intelligence/risk.ts";
import type { Mode } from "../modes.ts";
import type { Policy } from "./policy-type.ts";

/** What a judgement looks at, and what it says. */

/** Every rule that can decide. `allowlist` only ever approves beforehand; `template` does so too, or refuses a recipient. */
export type RuleName =
  | "mode"
  | "templates_only"
  | "risk"
  | "content"
  | "new_recipients"
  | "attachments"
  | "blocklist"
  | "sending_hours"
  | "budget"
  | "look_ups"
  | "loop"
  | "allowlist"
  | "template";

/** Why a rule tightens. */
export interface Reason {
  rule: RuleName;
  action: "hold" | "block" | "deny";
  /** One plain sentence. It may name recipients and files, so in the audit log it is personal. */
  because: string;
}

/** What a human approved beforehand, and by which approval. */
export interface ApprovalBeforehand {
  kind: "template" | "allowlist";
  ref: string;
}

/** A verdict on a message about to leave. */
export interface Verdict {
  verdict: "allow" | "hold" | "deny" | "block";
  /** Whether the overseer gets a copy of what is sent. */
  copy: boolean;
  /** The mode that was applied. */
  mode: Mode;
  /** Which rule decided: `mode <mode>`, else a RuleName. */
  rule: string;
  /** The deciding rule in one plain sentence; personal, as in Reason. */
  because: string;
  /** Whatever tightened, the deciding one among them; empty if nothing did. */
  reasons: Reason[];
  /** The approval to record with a message that is let go; null for every other, and where none was needed. */
  approval: ApprovalBeforehand | null;
  risk: Risk;
}

/** One envelope recipient. */
export interface JudgedRecipient {
  address: string;
  /**
   * A copy that the operator set for everything the mailbox sends. It does not count for the allowlist, new recipients, a
   * template's domains and budgets per recipient, which are about whom an agent writes to.
   */
  automatic: boolean;
  /** An earlier delivery to this address was approved by a human. */
  known: boolean;
  /** The approval_ref of the allowlist entry that has this address, or null. */
  allowlisted: string | null;
}

/** How many messages were let go already, without the one that is judged. */
export interface SentCounts {
  hour: number;
  day: number;
  /** By comparable address. Whoever is missing got none. */
  recipients: Record<string, { hour: number; day: number }>;
}

/** The approved template that a message was made from. */
export interface JudgedTemplate {
  id: string;
  approval_ref: string;
  /** Patterns of `parseRecipientPattern` for everyone it may be sent to; an empty list is nobody. Left out: anyone. */
  allowed_domains?: string[];
}

export interface JudgedFile {
  name: string;
  content_type: string;
  /** Decoded bytes. */
  size: number;
}

/** A message as the rules see it. */
export interface JudgedSend {
  /** The stricter of the mailbox's and the request's mode. */
  mode: Mode;
  policy: Policy;
  /** To, Cc and Bcc, the automatic copies included. */
  recipients: JudgedRecipient[];
  subject: string;
  text: string;
  html: string | null;
  tags: Record<string, string>;
  attachments: JudgedFile[];
  /** Null: written freely. */
  template: JudgedTemplate | null;
  risk: Risk;
  /** Recipients' domains that were not looked up, since the day's budget of new names was used up; left out: none. */
  over_budget?: readonly string[];
  /** `now` in milliseconds since the epoch. Null: only the rules that stand at all times, for what was let go already. */
  moment: {
    now: number;
    sent: SentCounts;
    /** How many messages went to another program in this thread within the hour; left out: none. */
    answers_to_program?: number;
  } | null;
}

/** A rule: pure, and it never loosens. @returns a reason for each thing that it found. */
export type Rule = (send: JudgedSend) => Reason[];
