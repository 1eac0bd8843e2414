import { isAutomatic } from "../../src/mail/automatic-mail.ts";
import { MOST_ANSWERS_TO_PROGRAMS } from "../../src/oversight/rules/loops.ts";
import type { MailboxBase } from "./base.ts";
import { isStanding } from "./messages.ts";

const HOUR = 3600_000;
/** Each of theirs and each of ours, with room for others in the thread. */
const LOOKED_AT = 4 * MOST_ANSWERS_TO_PROGRAMS;

/**
 * @returns how many messages went out in a thread within the hour, if what came in there last was a program's: it says so, or it
 *   carries an agent's identity, as the mail of every agent of this service does. Else 0.
 */
export function answersToProgram(box: MailboxBase, threadId: string | null): number {
  if (threadId === null) return 0;
  const newest = box.messages.ofThread(threadId, LOOKED_AT);
  const last = newest.find(({ direction }) => direction === "inbound")?.record.inbound;
  if (!last || !(isAutomatic(last.flags) || last.identity)) return 0;
  const since = new Date(box.now() - HOUR).toISOString();
  // What a person has passed on goes to other people.
  return newest.filter((each) => each.direction === "outbound" && each.created_at > since && !isStanding(each)).length;
}
