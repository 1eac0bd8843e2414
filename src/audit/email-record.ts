import { INBOUND_STATUSES, OUTBOUND_STATUSES, type Status } from "../oversight/statuses.ts";
import type { Action } from "./actions.ts";
import type { Actor, DetailValue, Entry } from "./entry.ts";
import { sentenceOf } from "./record-sentences.ts";
import { ALTERED_WORDS, type EntryFault } from "./stored-entry.ts";

/** One message's whole story, from its audit entries alone. Pure: entries in, story out. */

/** An entry about the message, as its reader may see it. */
export interface RecordedEntry {
  entry: Entry;
  /** Lower-case hex. */
  hash: string;
  /** The opened fields; null where there are none, they were erased, or they cannot be opened. */
  personal: Readonly<Record<string, unknown>> | null;
  /** They are there, but cannot be opened. */
  unreadable?: boolean;
}

/** What was altered in D1: of the entry itself, its place and its hash are all that is known. */
export interface AlteredEntry {
  seq: number;
  /** As the log has it, lower-case hex. */
  hash: string;
  /** What D1 has in its place. */
  stored: string;
}

/** What a step of the story is about. */
export type RecordPart =
  | "written"
  | "judged"
  | "asked"
  | "decided"
  | "delivered"
  | "read"
  | "marked"
  | "erased"
  | "other";

/** One entry, in plain words and in full. Of one that was altered, what an entry says itself is null. */
export interface RecordStep {
  /** ISO 8601. */
  at: string | null;
  seq: number;
  entry_id: string | null;
  /** The leaf hash, lower-case hex: SHA-256(0x00 ‖ RFC 8785 form of `entry`). */
  hash: string;
  part: RecordPart;
  text: string;
  /** Exactly what is hashed. */
  entry: Entry | null;
  personal: Readonly<Record<string, unknown>> | null;
  /** It had personal fields, and they were erased. */
  erased: boolean;
  fault: EntryFault | null;
  /** What D1 has in the place of an entry that was altered: nobody wrote that to the log. */
  stored: string | null;
}

export interface RecordedDecision {
  at: string;
  seq: number;
  decision: "approved" | "rejected" | "counted";
  /** Who, and for whose seat; null if it was erased. */
  decided_by: string | null;
  on_behalf_of: string | null;
  /** How it was given: `human_link`, `human_session`, a key …, and by which way in. */
  approval_kind: string | null;
  via: Actor["via"];
  approval_ref: string | null;
  note: string | null;
  content_hash: string | null;
  edited: boolean;
}

export interface RecordedAttempt {
  at: string;
  seq: number;
  attempt: number | null;
  transport: string | null;
  accepted: number;
  deferred: number;
  refused: number;
  /** What the transport said of each recipient; null if it was erased. */
  outcomes: unknown[] | null;
}

/** The story. What the entries do not say, or what was erased, is null. */
export interface EmailStory {
  direction: "outbound" | "inbound" | null;
  /** Who wrote it. Null for mail that came in. */
  author: {
    agent_id: string | null;
    key_id: string | null;
    model_id: string | null;
    model_provider: string | null;
    via: Actor["via"];
  } | null;
  /** The oversight mode that it was under, as the newest entry has it. */
  mode: Entry["mode"];
  from: string | null;
  to: string[] | null;
  subject: string | null;
  /** Where it stands, as the newest entry that says so has it. */
  status: string | null;
  /** What was checked before it was let go, held or blocked: the newest verdict. */
  checks: {
    at: string;
    rule: string | null;
    rules: string[];
    because: string | null;
    /** In hundredths. */
    risk: number | null;
    domain_risk: number | null;
    authentication: Record<string, string> | null;
  } | null;
  /** SHA-256 of its content, lower-case hex, as the newest entry has it. */
  content_hash: string | null;
  decisions: RecordedDecision[];
  attempts: RecordedAttempt[];
  /** By what it was signed. The forms are names of headers; the signatures themselves stand in the step. */
  signatures: { identity_kid: string | null; dkim_selectors: string[]; forms: string[] } | null;
  /** When its content or its personal fields were erased. */
  erased_at: string | null;
  /** How many of the steps were altered. All of the above rests on the others alone, and lacks what those said. */
  altered: number;
  /** In the order of their log. */
  steps: RecordStep[];
}

const PARTS: Readonly<Partial<Record<Action, RecordPart>>> = {
  "message.held": "judged",
  "message.queued": "judged",
  "message.scheduled": "judged",
  "message.blocked": "judged",
  "message.taken_back": "judged",
  "message.inbound_held": "judged",
  "message.set_aside": "judged",
  "message.received": "delivered",
  "message.edited": "written",
  "message.cancelled": "decided",
  "message.expired": "decided",
  "message.read": "read",
  "message.tags_read": "read",
  "message.record_read": "read",
  "identity.receipt_read": "read",
  "attachment.downloaded": "read",
  "draft.read": "read",
  "email.erasure_read": "read",
  "unsubscribe.opened": "read",
  "unsubscribe.refused": "read",
  "message.marked": "marked",
  "message.tagged": "marked",
  "message.untagged": "marked",
  "message.complained": "delivered",
  "message.unsubscribed": "delivered",
  "identity.verified": "judged",
  "identity.not_verified": "judged",
};

const PART_OF_GROUP: Readonly<Record<string, RecordPart>> = {
  draft: "written",
  notification: "asked",
  digest: "asked",
  link: "asked",
  session: "asked",
  copy: "asked",
  decision: "decided",
  delivery: "delivered",
  forwarding: "delivered",
  email: "erased",
  content: "erased",
};

/** @returns which part of the story an action belongs to. */
export function partOf(action: string): RecordPart {
  return PARTS[action as Action] ?? PART_OF_GROUP[action.slice(0, action.indexOf("."))] ?? "other";
}

/** Actions that whoever reads or tags can repeat without end: they must not crowd out the rest of a story. */
export const REPEATABLE: readonly Action[] = [
  ...(Object.keys(PARTS) as Action[]).filter((action) => PARTS[action] === "read" || PARTS[action] === "marked"),
  "draft.changed",
];

function textIn(value: unknown): string | null {
  const [first] = Array.isArray(value) ? value : [value];
  return typeof first === "string" ? first : null;
}

function numberIn(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function listIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

/** The newest value that any entry has, so that a later one which leaves it out takes nothing away. */
function newest<T>(entries: readonly RecordedEntry[], find: (recorded: RecordedEntry) => T | null): T | null {
  for (const recorded of entries.toReversed()) {
    const found = find(recorded);
    if (found !== null) return found;
  }
  return null;
}

const ARRIVALS: ReadonlySet<string> = new Set(["message.received", "message.inbound_held", "message.set_aside"]);
const PLACED: ReadonlySet<string> = new Set(["message.held", "message.queued", "message.scheduled", "message.blocked"]);

function authorOf({ entry: { actor, detail } }: RecordedEntry): EmailStory["author"] {
  return {
    agent_id: actor.agent_id ?? null,
    key_id: actor.key_id ?? null,
    model_id: textIn(detail.model_id),
    model_provider: textIn(detail.model_provider),
    via: actor.via,
  };
}

const RESULTS = ["dkim_result", "spf_result", "dmarc_result", "arc_result"] as const;

function checksOf({ entry: { at, action, detail }, personal }: RecordedEntry): EmailStory["checks"] {
  const isArrival = ARRIVALS.has(action);
  if (!isArrival && !PLACED.has(action) && action !== "message.taken_back") return null;
  const results = RESULTS.map((name) => [name, textIn(detail[name]) ?? "none"]);
  return {
    at,
    rule: textIn(detail.rule),
    rules: listIn(detail.rules),
    because: textIn(personal?.because),
    risk: numberIn(detail.risk),
    domain_risk: numberIn(detail.domain_risk),
    authentication: isArrival ? Object.fromEntries(results) : null,
  };
}

const DECISIONS = {
  "decision.approved": "approved",
  "decision.rejected": "rejected",
  "decision.counted": "counted",
} as const;

function decisionOf({ entry, personal }: RecordedEntry): RecordedDecision[] {
  const { at, seq, action, actor, detail } = entry;
  if (!(action in DECISIONS)) return [];
  return [
    {
      at,
      seq,
      decision: DECISIONS[action as keyof typeof DECISIONS],
      decided_by: textIn(personal?.decided_by),
      on_behalf_of: textIn(personal?.on_behalf_of),
      approval_kind: textIn(detail.approval_kind),
      via: actor.via,
      approval_ref: textIn(detail.approval_ref),
      note: textIn(personal?.reason),
      content_hash: textIn(personal?.content_hash),
      edited: detail.edited === true,
    },
  ];
}

function attemptOf({ entry: { at, seq, action, detail }, personal }: RecordedEntry): RecordedAttempt[] {
  if (action !== "delivery.answered") return [];
  const { attempt, transport, accepted, deferred, refused } = detail;
  return [
    {
      at,
      seq,
      attempt: numberIn(attempt),
      transport: textIn(transport),
      accepted: numberIn(accepted) ?? 0,
      deferred: numberIn(deferred) ?? 0,
      refused: numberIn(refused) ?? 0,
      outcomes: Array.isArray(personal?.outcomes) ? personal.outcomes : null,
    },
  ];
}

function signaturesOf({ entry: { action, detail }, personal }: RecordedEntry): EmailStory["signatures"] {
  if (action !== "delivery.answered") return null;
  const identity_kid = textIn(detail.identity_kid);
  const dkim_selectors = detail.dkim_signed === true ? listIn(detail.dkim_selectors) : [];
  if (identity_kid === null && dkim_selectors.length === 0) return null;
  return { identity_kid, dkim_selectors, forms: Object.keys(personal?.signatures ?? {}) };
}

/** Codes of reports stand in `status` too; they are none of ours. */
const STATUSES: ReadonlySet<string> = new Set<Status>([...OUTBOUND_STATUSES, ...INBOUND_STATUSES]);

/** How many recipients the newest report of each says that of. */
function reported(entries: readonly RecordedEntry[], action: string): number {
  const last = new Map<DetailValue, string>();
  for (const { entry } of entries) {
    if (entry.detail.changed === true) last.set(entry.detail.position ?? null, entry.action);
  }
  return [...last.values()].filter((each) => each === action).length;
}

/** Reports about recipients change how a sent message stands: one complaint does, the rest once it is known of all who were sent it. */
function statusOf(entries: readonly RecordedEntry[]): string | null {
  const last = newest(entries, ({ entry: { detail, resource } }) => {
    const status = resource.type === "email" ? textIn(detail.status) : null;
    return status !== null && STATUSES.has(status) ? status : null;
  });
  if (last !== "sent") return last;
  const taken = entries.flatMap(attemptOf).reduce((sum, { accepted }) => sum + accepted, 0);
  const returned = reported(entries, "delivery.returned");
  const delivered = reported(entries, "delivery.delivered");
  if (reported(entries, "message.complained") > 0) return "complained";
  if (returned > 0 && returned >= taken) return "bounced";
  return delivered > 0 && delivered + returned >= taken ? "delivered" : last;
}

function isRecorded(each: RecordedEntry | AlteredEntry): each is RecordedEntry {
  return "entry" in each;
}

function stepOf(recorded: RecordedEntry | AlteredEntry): RecordStep {
  const { hash } = recorded;
  if (!isRecorded(recorded)) {
    const { seq, stored } = recorded;
    const unknown = { at: null, entry_id: null, entry: null, personal: null, erased: false } as const;
    return { ...unknown, seq, hash, part: "other", text: ALTERED_WORDS, fault: "altered", stored };
  }
  const { entry, personal, unreadable = false } = recorded;
  const { at, seq, id, action } = entry;
  const text = sentenceOf({ entry, personal: personal ?? {} });
  const erased = entry.sealed !== undefined && personal === null && !unreadable;
  const fault = unreadable ? "unreadable" : null;
  return { at, seq, entry_id: id, hash, part: partOf(action), text, entry, personal, erased, fault, stored: null };
}

/**
 * Tells a message's story.
 * @param recorded the entries about the message and the draft that it was, of one log, in the order of that log.
 */
export function emailStory(recorded: readonly (RecordedEntry | AlteredEntry)[]): EmailStory {
  const entries = recorded.filter(isRecorded);
  const arrival = entries.find(({ entry }) => ARRIVALS.has(entry.action));
  const submitted = entries.find(({ entry }) => PLACED.has(entry.action) || entry.action === "forwarding.queued");
  // Mails to people who decide have a recipient too: one, never a list.
  const addressed = newest(entries, ({ personal }) => (Array.isArray(personal?.to) ? listIn(personal.to) : null));
  const arrivedAt = textIn(arrival?.personal?.envelope_to);
  return {
    direction: arrival ? "inbound" : submitted ? "outbound" : null,
    author: submitted && !arrival ? authorOf(submitted) : null,
    mode: entries.at(-1)?.entry.mode ?? null,
    from: textIn(arrival?.personal?.from ?? arrival?.personal?.envelope_from),
    to: addressed ?? (arrivedAt === null ? null : [arrivedAt]),
    subject: newest(entries, ({ personal }) => textIn(personal?.subject)),
    status: statusOf(entries),
    checks: newest(entries, checksOf),
    content_hash: newest(entries, ({ personal }) => textIn(personal?.content_hash)),
    decisions: entries.flatMap(decisionOf),
    attempts: entries.flatMap(attemptOf),
    signatures: newest(entries, signaturesOf),
    erased_at: newest(entries, ({ entry }) => (entry.action === "email.erased" ? entry.at : null)),
    altered: recorded.length - entries.length,
    steps: recorded.map(stepOf),
  };
}
