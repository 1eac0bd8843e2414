import type { IdentityPolicy, MessageVerdict, PolicyResult, PolicyRule } from "./verdict.ts";

/** What a reader may demand of a message beyond signatures that hold. */

type Answer = { passed: boolean; detail: string };

function answer(passed: boolean, yes: string, no: string): Answer {
  return { passed, detail: passed ? yes : no };
}

function age(sentAt: string | null, seconds: number, now: Date): Answer {
  if (sentAt === null) return answer(false, "", "The message does not say when it was sent.");
  const away = Math.abs(now.getTime() - Date.parse(sentAt));
  // Both directions: a time far in the future is as wrong as an old one.
  return answer(away <= seconds * 1000, "It is recent enough.", `It was not sent within ${seconds} seconds of now.`);
}

function nonce(claim: Record<string, unknown> | null, seen: readonly string[]): Answer {
  const value = claim?.nonce;
  if (typeof value !== "string") return answer(false, "", "The message has no nonce to remember.");
  return answer(!seen.includes(value), "Its nonce is new.", "Its nonce has been seen before.");
}

/** Each rule's answer on a verified message; null where the policy does not ask. */
const RULES: Record<PolicyRule, (verdict: MessageVerdict, policy: IdentityPolicy, now: Date) => Answer | null> = {
  age: ({ agent_metadata }, { max_age }, now) =>
    max_age === undefined ? null : age(agent_metadata?.sent_at ?? null, max_age, now),
  agent: ({ agent_metadata }, { expected_agent }) =>
    expected_agent === undefined
      ? null
      : answer(
          agent_metadata?.agent_id === expected_agent,
          "It is from the expected agent.",
          "It is from another agent.",
        ),
  mode: ({ agent_metadata }, { allowed_modes }) =>
    allowed_modes === undefined
      ? null
      : answer(
          allowed_modes.some((mode) => mode === agent_metadata?.oversight_mode),
          "Its oversight mode is allowed.",
          "Its oversight mode is not allowed.",
        ),
  disclosure: ({ agent_metadata }, { ai_disclosure }) =>
    ai_disclosure === undefined
      ? null
      : answer(
          agent_metadata?.ai_disclosure === ai_disclosure,
          "Its disclosure is as demanded.",
          "Its disclosure is not as demanded.",
        ),
  approval: ({ agent_metadata }, { require_approval }) =>
    require_approval === true
      ? answer(typeof agent_metadata?.approval_ref === "string", "It names its approval.", "It names no approval.")
      : null,
  nonce: ({ claim }, { seen_nonces }) => (seen_nonces === undefined ? null : nonce(claim, seen_nonces)),
};

/**
 * Asks a reader's policy of a verdict.
 * @param now the reader's time.
 * @returns one answer for each rule that the policy asks, in a fixed order. A message that is not verified passes none.
 */
export function applyPolicy(verdict: MessageVerdict, policy: IdentityPolicy, now: Date): PolicyResult[] {
  return Object.entries(RULES).flatMap(([rule, ask]): PolicyResult[] => {
    const found = ask(verdict, policy, now);
    if (!found) return [];
    const unverified = { passed: false, detail: "The message is not verified." };
    return [{ rule: rule as PolicyRule, ...(verdict.verified === true ? found : unverified) }];
  });
}
