/**
 * Whoever holds a link, or a scanner that follows it, must not fill the log with it. A use has an entry while fewer uses of the link
 * than this have one: opening it often does not hide what is tried or downloaded then.
 */
const RECORDED_USES = {
  "link.opened": 20,
  "unsubscribe.opened": 20,
  "link.refused": 40,
  "unsubscribe.refused": 40,
  "nothing.changed": 40,
  "attachment.downloaded": 140,
} as const;

/** What is done by a link, where that can be repeated without end. */
export type RepeatableUse = keyof typeof RECORDED_USES;

/** @param recorded how many uses of the link have entries. @returns whether one more of this kind has one, too. */
export function hasEntry(action: RepeatableUse, recorded: number): boolean {
  return recorded < RECORDED_USES[action];
}
