import type { Verdict } from "../../src/oversight/policy.ts";
import type { OutboundFacts } from "../../src/oversight/transitions.ts";
import type { MailboxBase } from "./base.ts";
import { type Message, outboundOf } from "./messages.ts";
import { isTaken } from "./recipient-states.ts";

/** @param sendAt ISO 8601, or null for at once. @returns whether its time has come. */
export function isDue(sendAt: string | null, now: number): boolean {
  return sendAt === null || Date.parse(sendAt) <= now;
}

/**
 * What the state machine looks at, for a message as it stands now. What costs something is looked up only by the guards that ask.
 * @param verdict what mode and rules say now; left out: the standing rules are asked.
 */
export function factsOf(box: MailboxBase, message: Message, verdict?: Verdict): OutboundFacts {
  const outbound = outboundOf(message);
  let judged: Verdict | undefined = verdict;
  return {
    get verdict() {
      judged ??= box.verdictNow(message);
      return judged.verdict;
    },
    approved: isApproved(box, message),
    due: isDue(outbound.send_at, box.now()),
    gate_timing: outbound.gate_timing,
    scanning: false,
    paused: box.settings().paused,
    get any_accepted() {
      return box.messages.deliveries(message.seq).some(isTaken);
    },
  };
}

/** One valid approval: of exactly this content, not void, by as many different people as are asked for now. */
export function isApproved(box: MailboxBase, { record }: Message): boolean {
  const { decision, hold, outbound } = record;
  if (decision?.decision !== "approve" || decision.void || decision.content_hash !== outbound?.content_hash)
    return false;
  const voices = hold?.approvals.filter(({ content_hash }) => content_hash === outbound.content_hash) ?? [];
  return voices.length >= box.settings().quorum;
}
