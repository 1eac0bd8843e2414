import type { Actor } from "../src/audit/entry.ts";
import type { Mention } from "../src/mail/mentions.ts";

/**
 * Erasing a person from an account: the tenant object leads, and each mailbox object does its own part, step by step. A step looks at a
 * bounded stretch; where one is repeated after a crash it finds nothing any more.
 */

/** What a mailbox is asked to erase. The address is in no row of the mailbox. */
export interface ContactErasure {
  tenant_id: string;
  erasure_id: string;
  /** As `comparableAddress` gives it. */
  address: string;
  /** On whose behalf. */
  actor: Actor;
}

/** What was erased of a person beside whole messages. */
export const TRACE_KINDS = ["redacted", "drafts", "requests", "templates", "lists", "entries", "answers"] as const;
/** How much of each kind. */
export type ErasedCounts = Record<"messages" | (typeof TRACE_KINDS)[number], number>;

export const NOTHING_ERASED: Readonly<ErasedCounts> = {
  messages: 0,
  redacted: 0,
  drafts: 0,
  requests: 0,
  templates: 0,
  lists: 0,
  entries: 0,
  answers: 0,
};

/** @returns both together. */
export function addCounts(one: ErasedCounts, other: Partial<ErasedCounts>): ErasedCounts {
  const names = Object.keys(NOTHING_ERASED) as (keyof ErasedCounts)[];
  return Object.fromEntries(names.map((name) => [name, one[name] + (other[name] ?? 0)])) as ErasedCounts;
}

/** Where a walk goes on: `after` is the last key or number of its phase that was looked at. */
export interface ErasurePosition {
  phase: string;
  after: string | number | null;
}

/** Entries of a log that are in no store any more, so that nobody can tell whether they named the person. */
export interface GoneStretch {
  log: string;
  first: number;
  last: number;
}

/** @returns the same with those of one log that follow each other as one. */
export function joinStretches(stretches: readonly GoneStretch[]): GoneStretch[] {
  const joined: GoneStretch[] = [];
  for (const stretch of stretches) {
    const before = joined.at(-1);
    if (before?.log === stretch.log && before.last + 1 === stretch.first) before.last = stretch.last;
    else joined.push({ ...stretch });
  }
  return joined;
}

/** What a stretch came to. */
export interface Findings {
  /** The last key that was looked at; null: the phase is at its end. */
  after: string | number | null;
  /** Erases what was found. Inside `commit`. Null: nothing was. */
  apply: (() => Partial<ErasedCounts>) | null;
  /** What names the person and cannot be erased yet. */
  waits?: string[];
  gone?: GoneStretch[];
}

/** Looks at the stretch behind `after`. It changes nothing itself. */
export type Phase = (mention: Mention, after: ErasurePosition["after"]) => Findings | Promise<Findings>;

/** How far some steps have come. Durable when it is returned. */
export interface ErasureSteps {
  /** Null: everything was looked at. */
  next: ErasurePosition | null;
  /** Whether something was found, or waits. */
  found: boolean;
  /** What names the person and is looked at again in the next round. */
  waits: string[];
  /** What it went past. */
  gone: GoneStretch[];
  /** Why it stands where it is: nothing may be erased now. */
  blocked: string | null;
  /** Of this part as a whole. */
  counts: ErasedCounts;
}

/** So many stretches in one call: some seconds at most. */
const STEPS_AT_ONCE = 20;

interface Walk {
  phases: readonly (readonly [name: string, phase: Phase])[];
  mention: Mention;
  from: ErasurePosition | null;
  /** Why nothing may be erased now; null: it may. */
  whyNot: () => Promise<string | null>;
  /** Does it in one transaction, with its entry. @returns the counts of this part as a whole. */
  apply: (erase: () => Partial<ErasedCounts>) => ErasedCounts;
  counts: ErasedCounts;
}

/** Walks on for some steps. @throws whatever a phase throws; what was done before stays done. */
export async function walkOn({ phases, mention, from, whyNot, apply, ...walk }: Walk): Promise<ErasureSteps> {
  let counts = walk.counts;
  let at: ErasurePosition | null = from ?? { phase: phases[0]?.[0] ?? "", after: null };
  let found = false;
  const waits: string[] = [];
  const gone: GoneStretch[] = [];
  for (let step = 0; at !== null && step < STEPS_AT_ONCE; step++) {
    const index = phases.findIndex(([name]) => name === at?.phase);
    const phase = phases[index]?.[1];
    if (!phase) throw new Error(`an erasure has no phase ${at.phase}`);
    const findings: Findings = await phase(mention, at.after);
    found ||= findings.apply !== null;
    const blocked = findings.apply ? await whyNot() : null;
    // Nothing is passed over: it is looked at again once it may be erased.
    if (blocked !== null) return { next: at, found: true, waits, gone, blocked, counts };
    if (findings.apply) counts = apply(findings.apply);
    waits.push(...(findings.waits ?? []));
    gone.push(...(findings.gone ?? []));
    const following = phases[index + 1]?.[0];
    if (findings.after !== null) at = { phase: at.phase, after: findings.after };
    else at = following === undefined ? null : { phase: following, after: null };
  }
  return { next: at, found: found || waits.length > 0, waits, gone: joinStretches(gone), blocked: null, counts };
}

/** @returns the value with every text that names the person replaced. */
export function redacted<Value>(value: Value, mention: Mention): Value {
  if (typeof value === "string") return (mention.isIn(value) ? REDACTED : value) as Value;
  if (Array.isArray(value)) return value.map((each) => redacted(each, mention)) as Value;
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, inner]) => [redacted(key, mention), redacted(inner, mention)]);
  return Object.fromEntries(entries) as Value;
}

/** What stands where a person was named. */
export const REDACTED = "(erased)";
