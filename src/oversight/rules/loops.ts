import type { JudgedSend, Reason } from "./verdict-type.ts";

/** Two programs that answer each other do not tire. */

/** So many messages an hour a thread with another program may have; a person who oversees says whether it goes on. */
export const MOST_ANSWERS_TO_PROGRAMS = 10;

/** What a thread with another program has no room for is held. */
export function judgeLoops({ moment }: JudgedSend): Reason[] {
  const answers = moment?.answers_to_program ?? 0;
  if (answers < MOST_ANSWERS_TO_PROGRAMS) return [];
  const because = `Another program answers in this thread, and ${answers} messages went to it within an hour: this may be a loop.`;
  return [{ rule: "loop", action: "hold", because }];
}
