import type { RuleAction } from "./policy-type.ts";
import type { JudgedSend, Reason } from "./verdict-type.ts";

/** Risk at or over a threshold. */
export function judgeRisk({ policy, risk }: JudgedSend): Reason[] {
  const thresholds: [RuleAction, number | null][] = [
    ["block", policy.risk_block],
    ["hold", policy.risk_hold],
  ];
  const why = risk.reasons.map(({ because }) => ` ${because}`).join("");
  return thresholds.flatMap(([action, threshold]): Reason[] => {
    if (threshold === null || risk.score < threshold) return [];
    return [
      {
        rule: "risk",
        action,
        because: `Its risk is ${risk.score}, and from ${threshold} on it is ${PARTICIPLES[action]}.${why}`,
      },
    ];
  });
}

const PARTICIPLES: Readonly<Record<RuleAction, string>> = { hold: "held", block: "blocked" };
