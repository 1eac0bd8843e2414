import type { Mode } from "../modes.ts";

/** What a human sets for a mailbox besides its mode. Every rule only tightens what the mode says. */

/** What a rule does with a message: `hold` asks a human, `block` ends it. */
export type RuleAction = "hold" | "block";

/** Where a content rule looks. `body`: the plain text and the words of the HTML. `tags`: their keys and their values. */
export const CONTENT_PLACES = ["subject", "body", "tags"] as const;
export type ContentPlace = (typeof CONTENT_PLACES)[number];

/** Finds words: it applies where one of the keywords or the pattern is found in one of the places. */
export interface ContentRule {
  /** What people call it. */
  name: string;
  in: ContentPlace[];
  /** Whole words and phrases, compared without case, compatibility forms, look-alike letters and what stands between the words. */
  keywords: string[];
  /** RE2 syntax, without case, found anywhere in the text as one line with single spaces; null: none. */
  pattern: string | null;
  action: RuleAction;
}

/** Finds files: it applies to a file that is of one of the types and larger than the size. */
export interface AttachmentRule {
  /** What people call it. */
  name: string;
  /** Globs over the media type (`application/*`) or over the end of the file name (`.exe`), in lower case. Empty: every file. */
  types: string[];
  /** Decoded bytes; null: of any size. */
  larger_than: number | null;
  action: RuleAction;
}

/** In the order of Monday as the first day. */
export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Day = (typeof DAYS)[number];

/** When mail may leave without being held. */
export interface SendingHours {
  /** IANA name. */
  time_zone: string;
  /** The days on which the time begins. */
  days: Day[];
  /** `HH:MM`, local, included. */
  from: string;
  /** `HH:MM`, local, not included. At or before `from`: of the next day. */
  until: string;
}

/** How many messages may be let go in a sliding hour or day before the next is held; null: any number. */
export interface Budgets {
  per_hour: number | null;
  per_day: number | null;
  per_recipient_per_hour: number | null;
  per_recipient_per_day: number | null;
}

/**
 * The mailbox falls back to the stricter of its mode and this one, once more than that many bounces or complaints came within `days`.
 * Null: that kind is not counted.
 */
export interface FallBack {
  mode: Mode;
  bounces: number | null;
  complaints: number | null;
  days: number;
}

/** A mailbox's policy. It is always replaced whole. */
export interface Policy {
  /** Nothing is sent but by an approved template. */
  templates_only: boolean;
  /** Mail of this risk (0 to 1) or more is held; null: of no risk. */
  risk_hold: number | null;
  /** Mail of this risk (0 to 1) or more is blocked; null: of no risk. */
  risk_block: number | null;
  /** What happens to mail for someone whom no human approved before. */
  new_recipients: "allow" | RuleAction;
  /** Normal forms of `parseRecipientPattern`: mail for any of them is blocked. */
  blocklist: string[];
  content: ContentRule[];
  attachments: AttachmentRule[];
  /** Null: at all hours. */
  sending_hours: SendingHours | null;
  budgets: Budgets;
  /** Null: never. */
  fall_back: FallBack | null;
}

/** Restricts nothing: the mode alone decides. */
export const OPEN_POLICY: Policy = {
  templates_only: false,
  risk_hold: null,
  risk_block: null,
  new_recipients: "allow",
  blocklist: [],
  content: [],
  attachments: [],
  sending_hours: null,
  budgets: { per_hour: null, per_day: null, per_recipient_per_hour: null, per_recipient_per_day: null },
  fall_back: null,
};
