import { DAYS, type Day, type SendingHours } from "./policy-type.ts";
import type { JudgedSend, Reason } from "./verdict-type.ts";

const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = DAYS.length * DAY_MINUTES;

/** @returns whether the platform knows the time zone. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** @returns minutes since Monday's beginning by the clocks of that zone. */
function minuteOfWeek(timeZone: string, now: number): number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]));
  const day = DAYS.indexOf((parts.weekday ?? "").toLowerCase() as Day);
  return day * DAY_MINUTES + Number(parts.hour) * 60 + Number(parts.minute);
}

function minuteOfDay(time: string): number {
  const [hours, minutes] = time.split(":").map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}

/** @returns for each minute of the week, from Monday's beginning, 1 if mail may leave then, else 0. */
export function openMinutes({ days, from, until }: Pick<SendingHours, "days" | "from" | "until">): Uint8Array {
  const opens = minuteOfDay(from);
  const length = (minuteOfDay(until) - opens + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
  const open = new Uint8Array(WEEK_MINUTES);
  for (const day of days) {
    const begin = DAYS.indexOf(day) * DAY_MINUTES + opens;
    for (let minute = begin; minute < begin + length; minute++) open[minute % WEEK_MINUTES] = 1;
  }
  return open;
}

const DAY_WORDS: Readonly<Record<Day, string>> = {
  mon: "Monday",
  tue: "Tuesday",
  wed: "Wednesday",
  thu: "Thursday",
  fri: "Friday",
  sat: "Saturday",
  sun: "Sunday",
};

/** @returns the hours as people read them. */
export function sayHours({ time_zone, days, from, until }: SendingHours): string {
  return `from ${from} until ${until} on ${days.map((day) => DAY_WORDS[day]).join(", ")} (${time_zone})`;
}

/** Outside of its hours a mailbox's mail is held. */
export function judgeSendingHours({ policy: { sending_hours }, moment }: JudgedSend): Reason[] {
  if (sending_hours === null || moment === null) return [];
  const { time_zone } = sending_hours;
  // A zone that went out of use since the policy was set is never open.
  const isOpen = isTimeZone(time_zone) && openMinutes(sending_hours)[minuteOfWeek(time_zone, moment.now)] === 1;
  if (isOpen) return [];
  const because = `Mail leaves this mailbox ${sayHours(sending_hours)}, and it is not that time.`;
  return [{ rule: "sending_hours", action: "hold", because }];
}
