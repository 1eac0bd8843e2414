import { describe, expect, test } from "vitest";
import { departure } from "../../src/oversight/departure.ts";

const NOW = Date.parse("2027-03-01T12:00:00.000Z");
const at = (ms: number) => new Date(NOW + ms).toISOString();

describe("when a message leaves", () => {
  test.each<[what: string, asked: string | null, leaves: string | null]>([
    ["nothing asked for", null, null],
    ["now", at(0), null],
    ["60 seconds ago", at(-60_000), null],
    ["in 60 seconds", at(60_000), null],
    ["in a little more", at(60_001), at(60_001)],
    ["with an offset", "2027-03-01T15:00:00+02:00", "2027-03-01T13:00:00.000Z"],
    ["in a year to the millisecond, over a leap day", "2028-03-01T12:00:00.000Z", "2028-03-01T12:00:00.000Z"],
  ])("%s", (_what, asked, leaves) => {
    expect(departure(asked, NOW)).toEqual({ ok: true, value: leaves });
  });

  test.each([
    ["a little more than 60 seconds ago", at(-60_001), "is in the past"],
    ["the year 0001", "0001-01-01T00:00:00Z", "is in the past"],
    ["a millisecond over a year away", "2028-03-01T12:00:00.001Z", "is over a year away"],
    ["the year 9999", "9999-12-31T23:59:59Z", "is over a year away"],
  ])("%s is refused", (_what, asked, problem) => {
    expect(departure(asked, NOW)).toEqual({
      ok: false,
      refusal: { code: "invalid_input", error: `send_at ${problem}.`, issues: [{ path: "send_at", message: problem }] },
    });
  });
});
