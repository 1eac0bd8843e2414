/** How long a mailbox keeps what its messages say. Pure. */

export interface ContentRetention {
  /** Days; null: always. */
  days: number | null;
  /** Of messages with a tag, by its key: this goes before `days`. Of several tags the longest counts. */
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

/** @returns for how many days the content of a message with these tags is kept; null: always. */
export function keptDays({ days, tags }: ContentRetention, tagged: Readonly<Record<string, string>>): number | null {
  const own = Object.keys(tagged).flatMap((key) => (Object.hasOwn(tags, key) ? [tags[key] ?? null] : []));
  return own.length === 0 ? days : longest(own);
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
  const kept = (of: ContentRetention, tag: string) => keptDays(of, { [tag]: "" });
  const tags = Object.keys({ ...to.tags, ...now.tags });
  return (
    isShorter(to.days, now.days) ||
    tags.some((tag) => isShorter(kept(to, tag), kept(now, tag))) ||
    (fewestDays(to) !== null && Object.keys(now.tags).some((tag) => !Object.hasOwn(to.tags, tag)))
  );
}

function inDays(period: number | null): string {
  if (period === null) return "for good";
  return `for ${period} day${period === 1 ? "" : "s"}`;
}

/** @returns the setting in words that follow "what its messages say is kept". */
export function retentionInWords({ days, tags }: ContentRetention): string {
  const own = Object.entries(tags).map(
    ([tag, period]) => `${inDays(period)} where it is tagged ${JSON.stringify(tag)}`,
  );
  return [inDays(days), ...own].join(", ");
}
