import { comparableAddress, withoutTag } from "../../mail/address.ts";
import type { Budgets } from "./policy-type.ts";
import type { JudgedRecipient, JudgedSend, Reason, SentCounts } from "./verdict-type.ts";
import { counted, listed } from "./words.ts";

type Period = "hour" | "day";

export const PERIOD_WORDS: Readonly<Record<Period, string>> = { hour: "an hour", day: "a day" };

/** Which period each budget is for, and whose. An exhaustive Record: a budget left out does not compile. */
export const BUDGETS: Readonly<Record<keyof Budgets, { period: Period; per: "mailbox" | "recipient" }>> = {
  per_hour: { period: "hour", per: "mailbox" },
  per_day: { period: "day", per: "mailbox" },
  per_recipient_per_hour: { period: "hour", per: "recipient" },
  per_recipient_per_day: { period: "day", per: "recipient" },
};
export const BUDGET_NAMES = Object.keys(BUDGETS) as (keyof Budgets)[];

function sentTo(sent: SentCounts, address: string, period: Period): number {
  const key = comparableAddress(address);
  return Object.hasOwn(sent.recipients, key) ? (sent.recipients[key]?.[period] ?? 0) : 0;
}

/** Whom a budget does not have room for, in words; null if there is room. */
function whyOver(name: keyof Budgets, budget: number, recipients: JudgedRecipient[], sent: SentCounts): string | null {
  const { period, per } = BUDGETS[name];
  const allowed = `${counted(budget, "message")} ${PERIOD_WORDS[period]}`;
  // The message itself counts as one.
  const isOver = (count: number) => count + 1 > budget;
  if (per === "mailbox") {
    return isOver(sent[period]) ? `This mailbox may send ${allowed}, and there is no room for another.` : null;
  }
  const chosen = recipients.filter(({ automatic }) => !automatic).map(({ address }) => address);
  const people = Map.groupBy(chosen, (address) => withoutTag(comparableAddress(address)));
  // A person's +tags are the person (RFC 5233), and each is a message that they get.
  const over = chosen.filter((address) => {
    const more = (people.get(withoutTag(comparableAddress(address)))?.length ?? 1) - 1;
    return isOver(sentTo(sent, address, period) + more);
  });
  if (over.length === 0) return null;
  return `One recipient may get ${allowed}, and this would be more for ${listed(over)}.`;
}

/** What a budget has no room for is held. */
export function judgeBudgets({ policy: { budgets }, recipients, moment }: JudgedSend): Reason[] {
  if (moment === null) return [];
  return BUDGET_NAMES.flatMap((name): Reason[] => {
    const budget = budgets[name];
    const because = budget === null ? null : whyOver(name, budget, recipients, moment.sent);
    return because === null ? [] : [{ rule: "budget", action: "hold", because }];
  });
}
