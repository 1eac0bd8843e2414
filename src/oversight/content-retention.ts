/** How long a mailbox keeps what its messages say. Pure. */

/** What tells of a message how long its content is kept, as the mailbox object has it. */
export interface Tagged {
  tags: Readonly<Record<string, string>>;
  /** Keys of `tags` that a key with `admin` set. */
  operator_tags?: readonly string[];
  /** Keys of tags that other keys took off. */
  former_tags?: readonly string[];
}

export interface ContentRetention {
  /** Days; null: always. */
  days: number | null;
  /** Of messages with a tag, by its key. Of several the longest counts; one that is shorter than `days` only if the operator set it. */
  tags: Record<string, number | null>;
}

/** A mailbox that says nothing else keeps everything, and is under no legal hold. */
export const KEEPING_DEFAULTS: Readonly<{ legal_hold: boolean; content_retention: ContentRetention }> = {
  legal_hold: false,
  content_retention: { days: null, tags: {} },
};

/** Null is longer than any number of days. */
function isShorter(period: number | null, than: number | null): boolean {
  return period !== null && (than === null || period < than);
}

function longest(periods: readonly (number | null)[]): number | null {
  return periods.reduce((longer, period) => (isShorter(longer, period) ? period : longer));
}

/** @returns whether messages with that tag have a period of their own. */
export function hasOwnPeriod({ tags }: ContentRetention, tag: string): boolean {
  return Object.hasOwn(tags, tag);
}

/**
 * @returns for how many days the content of a message is kept; null: always. What an agent tagged, or took a tag off, only lengthens: it
 *   could get rid of what it wrote otherwise.
 */
export function keptDays(
  retention: ContentRetention,
  { tags, operator_tags = [], former_tags = [] }: Tagged,
): number | null {
  const periods = (keys: readonly string[]) =>
    keys.filter((key) => hasOwnPeriod(retention, key)).map((key) => retention.tags[key] ?? null);
  const operators = periods(operator_tags);
  const said = operators.length === 0 ? retention.days : longest(operators);
  return longest([said, ...periods([...Object.keys(tags), ...former_tags])]);
}

/** @returns the fewest days that any message's content is kept; null: all of it is kept always. */
export function fewestDays({ days, tags }: ContentRetention): number | null {
  const periods = [days, ...Object.values(tags)].filter((period) => period !== null);
  return periods.length === 0 ? null : Math.min(...periods);
}

/**
 * @returns whether some message's content would be kept for less long. A tag that gets no period of its own any more counts as one:
 *   beside another tag it may have been what kept a message.
 */
export function isShortened(to: ContentRetention, now: ContentRetention): boolean {
  const kept = (of: ContentRetention, tag: string) => keptDays(of, { tags: { [tag]: "" }, operator_tags: [tag] });
  const tags = Object.keys({ ...to.tags, ...now.tags });
  return (
    isShorter(to.days, now.days) ||
    tags.some((tag) => isShorter(kept(to, tag), kept(now, tag))) ||
    (fewestDays(to) !== null && Object.keys(now.tags).some((tag) => !Object.hasOwn(to.tags, tag)))
  );
}

/** @returns a period as it stands in a sentence. */
function inDays(period: number | null): string {
  if (period === null) return "for good";
  return `for ${period} day${period === 1 ? "" : "s"}`;
}

/** @returns the setting in words that follow "what its messages say is kept". */
export function retentionInWords({ days, tags }: ContentRetention): string {
  const own = Object.entries(tags).map(([tag, period]) => {
    const tagged = isShorter(period, days) ? "a key with admin tagged it" : "it is tagged";
    return `${inDays(period)} where ${tagged} ${JSON.stringify(tag)}`;
  });
  return [inDays(days), ...own].join(", ");
}
