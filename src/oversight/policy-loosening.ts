import { isLooser } from "./modes.ts";
import { coversRecipients } from "./recipient-patterns.ts";
import { BUDGET_NAMES, BUDGETS, PERIOD_WORDS } from "./rules/budgets.ts";
import { matchesGlob } from "./rules/glob.ts";
import type {
  AttachmentRule,
  Budgets,
  ContentPlace,
  ContentRule,
  FallBack,
  Policy,
  RuleAction,
} from "./rules/policy-type.ts";
import { openMinutes, sayHours } from "./rules/sending-hours.ts";
import { counted, inQuotes } from "./rules/words.ts";

/**
 * What a new policy lets happen that the one in force does not. Where that cannot be told for sure, it counts as a loosening: a
 * question too many costs a human a look, one too few lets an agent loosen its own rope. A human allows exactly these words, so
 * they leave nothing out: two policies that loosen different things never read alike.
 */

type Loosening = (to: Policy, now: Policy) => string[];

type Treatment = "allow" | RuleAction;

/** The first is the loosest. */
const TREATMENTS: readonly Treatment[] = ["allow", "hold", "block"];
const DEALT_WITH: Readonly<Record<Treatment, string>> = {
  allow: "let go",
  hold: "held",
  block: "blocked",
};

/** @returns whether `to` is at least as strict as `now`. */
function isAsStrict(to: Treatment, now: Treatment): boolean {
  return TREATMENTS.indexOf(to) >= TREATMENTS.indexOf(now);
}

/** Whether a limit, null for none, lets more through than it did. */
function isRaised(to: number | null, now: number | null): boolean {
  return now !== null && (to === null || to > now);
}

function riskWords(to: number | null, now: number | null, dealtWith: string): string[] {
  if (!isRaised(to, now)) return [];
  const words =
    to === null ? `risky mail is no longer ${dealtWith}` : `mail is ${dealtWith} only from a risk of ${to} on`;
  return [`${words} (now from ${now} on)`];
}

function newRecipientWords(to: Treatment, now: Treatment): string[] {
  if (isAsStrict(to, now)) return [];
  return [`mail to people whom no human has approved before is ${DEALT_WITH[to]} (now ${DEALT_WITH[now]})`];
}

function blocklistWords(to: readonly string[], now: readonly string[]): string[] {
  const kept = new Set(to);
  // One address covers nothing but itself.
  const wide = to.filter((pattern) => pattern.includes("*") || !pattern.includes("@"));
  const freed = now.filter((pattern) => !kept.has(pattern) && !wide.some((other) => coversRecipients(other, pattern)));
  return freed.length === 0 ? [] : [`it may write to ${freed.join(", ")} (now on the blocklist)`];
}

/** One thing that content rules look for in one place, as people read it. */
interface Search {
  what: string;
  place: ContentPlace;
  action: RuleAction;
}

function searchesOf({ in: places, keywords, pattern, action }: ContentRule): Search[] {
  const sought = [
    ...keywords.map((keyword) => inQuotes(keyword)),
    ...(pattern === null ? [] : [`what the pattern ${inQuotes(pattern)} finds`]),
  ];
  return places.flatMap((place) => sought.map((what) => ({ what, place, action })));
}

/** What is done to mail in which the searches' own thing is found: the strictest of what they say. */
function strictest(searches: readonly Search[]): Treatment {
  return TREATMENTS.findLast((treatment) => searches.some(({ action }) => action === treatment)) ?? "allow";
}

function contentWords(to: readonly ContentRule[], now: readonly ContentRule[]): string[] {
  const keyOf = ({ what, place }: Search) => `${what} in the ${place}`;
  const after = Map.groupBy(to.flatMap(searchesOf), keyOf);
  const before = Map.groupBy(now.flatMap(searchesOf), keyOf);
  return [...before].flatMap(([key, searches]) => {
    const treated = strictest(after.get(key) ?? []);
    const was = strictest(searches);
    return isAsStrict(treated, was) ? [] : [`mail with ${key} is ${DEALT_WITH[treated]} (now ${DEALT_WITH[was]})`];
  });
}

/** Whether files of every size that `now` is for are large enough for `to`. */
function isAsWide(to: number | null, now: number | null): boolean {
  return to === null || (now !== null && to <= now);
}

/** Whether whatever `now` applies to falls under a rule that is as strict. */
function isCoveredBy(rules: readonly AttachmentRule[], now: AttachmentRule): boolean {
  const isCovered = (type: string | null) =>
    rules.some(
      (to) =>
        isAsStrict(to.action, now.action) &&
        isAsWide(to.larger_than, now.larger_than) &&
        (to.types.length === 0 || (type !== null && to.types.some((wide) => matchesGlob(wide, type)))),
    );
  return now.types.length === 0 ? isCovered(null) : now.types.every(isCovered);
}

function sayAttachmentRules(rules: readonly AttachmentRule[]): string {
  const said = rules.map(({ types, larger_than, action }) => {
    const size = larger_than === null ? "" : ` over ${counted(larger_than, "byte")}`;
    return `${types.join(", ") || "all"}${size} ${DEALT_WITH[action]}`;
  });
  return said.join("; ") || "none held or blocked";
}

function attachmentWords(to: readonly AttachmentRule[], now: readonly AttachmentRule[]): string[] {
  if (now.every((rule) => isCoveredBy(to, rule))) return [];
  return [`of attachments: ${sayAttachmentRules(to)} (now: ${sayAttachmentRules(now)})`];
}

function hoursWords(to: Policy["sending_hours"], now: Policy["sending_hours"]): string[] {
  if (now === null) return [];
  if (to === null) return [`it may send at any hour (now ${sayHours(now)})`];
  const openNow = openMinutes(now);
  // Two zones may agree today and differ in summer.
  const isWithin = to.time_zone === now.time_zone && openMinutes(to).every((open, at) => open <= (openNow[at] ?? 0));
  return isWithin ? [] : [`it may send ${sayHours(to)} (now ${sayHours(now)})`];
}

function budgetWords(to: Budgets, now: Budgets): string[] {
  return BUDGET_NAMES.filter((name) => isRaised(to[name], now[name])).map((name) => {
    const { period, per } = BUDGETS[name];
    const budget = to[name];
    const who = per === "mailbox" ? "it may send" : "it may send one recipient";
    const many = budget === null ? "any number of messages" : counted(budget, "message");
    return `${who} ${many} ${PERIOD_WORDS[period]} (now ${now[name]})`;
  });
}

function sayFallBack({ mode, bounces, complaints, days }: FallBack): string {
  const limits = [
    ...(bounces === null ? [] : [counted(bounces, "bounce")]),
    ...(complaints === null ? [] : [counted(complaints, "complaint")]),
  ];
  return `falls back to ${mode} after more than ${limits.join(" or ")} within ${counted(days, "day")}`;
}

function fallBackWords(to: FallBack | null, now: FallBack | null): string[] {
  if (now === null) return [];
  if (to === null) return [`it no longer ${sayFallBack(now)}`];
  const isLoosened =
    isLooser(to.mode, now.mode) ||
    isRaised(to.bounces, now.bounces) ||
    isRaised(to.complaints, now.complaints) ||
    to.days < now.days;
  return isLoosened ? [`it ${sayFallBack(to)} (now it ${sayFallBack(now)})`] : [];
}

/**
 * What loosens each part. An exhaustive Record: a part left out does not compile. What can be long comes last, so that nothing can
 * be buried under it.
 */
const LOOSENINGS: Readonly<Record<keyof Policy, Loosening>> = {
  templates_only: (to, now) =>
    now.templates_only && !to.templates_only ? ["it may send without an approved template"] : [],
  risk_hold: (to, now) => riskWords(to.risk_hold, now.risk_hold, DEALT_WITH.hold),
  risk_block: (to, now) => riskWords(to.risk_block, now.risk_block, DEALT_WITH.block),
  new_recipients: (to, now) => newRecipientWords(to.new_recipients, now.new_recipients),
  sending_hours: (to, now) => hoursWords(to.sending_hours, now.sending_hours),
  budgets: (to, now) => budgetWords(to.budgets, now.budgets),
  fall_back: (to, now) => fallBackWords(to.fall_back, now.fall_back),
  blocklist: (to, now) => blocklistWords(to.blocklist, now.blocklist),
  attachments: (to, now) => attachmentWords(to.attachments, now.attachments),
  content: (to, now) => contentWords(to.content, now.content),
};

/**
 * Compares a policy with the one in force.
 * @returns what it loosens, each a clause that a person understands (`it may send 50 messages a day (now 20)`); empty only if no
 *   message could be judged more loosely than now.
 */
export function whatPolicyLoosens(to: Policy, now: Policy): string[] {
  return Object.values(LOOSENINGS).flatMap((loosening) => loosening(to, now));
}
