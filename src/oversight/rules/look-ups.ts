import type { JudgedSend, Reason } from "./verdict-type.ts";
import { listed } from "./words.ts";

/** What could not be looked up, because too many new names were today, is for a human: names carry secrets to whoever answers for them. */
export function judgeLookUps({ over_budget = [] }: JudgedSend): Reason[] {
  if (over_budget.length === 0) return [];
  const because = `The account has looked up as many new domains today as it may, so nothing is known of ${listed(over_budget)}.`;
  return [{ rule: "look_ups", action: "hold", because }];
}
