import { describe, expect, test } from "vitest";
import {
  afterChange,
  afterLook,
  type Belief,
  DOUBT_MS,
  GRACE_MS,
  type LookResult,
  newBelief,
  POLLED_FOR_MS,
  patience,
  RECHECK_MS,
  resultOf,
  revived,
} from "../../src/mail/domain-belief.ts";
import type { Alignment, CheckResult, RecordFinding } from "../../src/mail/domain-plan.ts";

/** What is believed of a domain from look to look. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 0, 1);

const STATUS = { aligned: "aligned", bad: "misaligned", doubtful: "pending" } as const;

/** Looks when the belief itself says, with these results. @returns each belief, its news, and how long each wait was. */
function looks(results: readonly LookResult[], first: Belief = newBelief(START)) {
  let belief = first;
  let now = START;
  const seen: { status: string; news: string | null; waited: number }[] = [];
  for (const result of results) {
    if (belief.next_look_at === null) break;
    const waited = belief.next_look_at - now;
    now = belief.next_look_at;
    const after = afterLook(belief, { result, status: STATUS[result] }, now);
    belief = after.belief;
    seen.push({ status: belief.status, news: after.news, waited });
  }
  return { belief, now, seen };
}

function aligned(): Belief {
  return looks(["aligned"]).belief;
}

describe("a domain that is awaited", () => {
  test("is looked at after a minute, doubling, at most six hours apart, for thirty days", () => {
    const { seen, belief, now } = looks(Array.from({ length: 500 }, () => "bad" as const));
    const waits = seen.map(({ waited }) => waited / MINUTE);
    expect(waits.slice(0, 6)).toEqual([1, 1, 2, 4, 8, 16]);
    expect(Math.max(...waits)).toBe(360);
    expect(belief.next_look_at).toBeNull();
    expect(now - START).toBeGreaterThanOrEqual(POLLED_FOR_MS);
    expect(now - START).toBeLessThan(POLLED_FOR_MS + 6 * HOUR);
    expect(seen.every(({ news }) => news === null)).toBe(true);
  });

  test("also where the DNS never answers", () => {
    const { seen, belief } = looks(Array.from({ length: 500 }, () => "doubtful" as const));
    expect(belief).toMatchObject({ status: "pending", next_look_at: null });
    expect(new Set(seen.map(({ status }) => status))).toEqual(new Set(["pending"]));
  });

  test("is awaited anew once somebody asks after the end, and not before", () => {
    const { belief, now } = looks(Array.from({ length: 500 }, () => "bad" as const));
    const again = revived(belief, now + DAY);
    expect(again.next_look_at).toBe(now + DAY);
    expect(looks(["bad", "bad"], again).belief.next_look_at).not.toBeNull();
    const fresh = newBelief(START);
    expect(revived(fresh, START + HOUR)).toBe(fresh);
  });

  test("tells once that it is aligned, and is looked at daily then", () => {
    const { seen, belief } = looks(["bad", "aligned", "aligned", "aligned"]);
    expect(seen.map(({ news }) => news)).toEqual([null, "verified", null, null]);
    expect(seen.slice(2).map(({ waited }) => waited)).toEqual([RECHECK_MS, RECHECK_MS]);
    expect(belief.aligned_since).toBe(START + 2 * MINUTE);
  });
});

describe("a domain that was aligned", () => {
  test("is broken once two looks an hour apart saw it, and says so once", () => {
    const { seen, belief, now } = looks(["bad", "bad", "bad", "bad"], aligned());
    expect(seen.map(({ status, news }) => `${status} ${news}`)).toEqual([
      "aligned null",
      "misaligned broken",
      "misaligned null",
      "misaligned null",
    ]);
    expect(seen[1]?.waited).toBe(DOUBT_MS);
    expect(belief.broken_since).toBeLessThan(now);
  });

  test.each([
    ["a good one between them", ["bad", "aligned", "bad", "aligned"]],
    ["only breakdowns", Array.from({ length: 300 }, () => "doubtful")],
    ["one bad look among breakdowns", ["doubtful", "bad", "doubtful", "aligned"]],
  ] as [string, LookResult[]][])("is not broken by %s", (_what, results) => {
    const { seen, belief } = looks(results, aligned());
    expect(seen.map(({ news }) => news).filter((news) => news !== null)).toEqual([]);
    expect(belief).toMatchObject({ status: "aligned", broken_since: null });
  });

  test("is not broken by many looks within the hour, however often somebody asks", () => {
    let belief = aligned();
    const from = START + DAY;
    for (let minute = 0; minute < 60; minute++) {
      const after = afterLook(belief, { result: "bad", status: "misaligned" }, from + minute * MINUTE);
      expect([minute, after.news]).toEqual([minute, null]);
      belief = after.belief;
    }
    expect(belief.next_look_at).toBe(from + DOUBT_MS);
    expect(afterLook(belief, { result: "bad", status: "misaligned" }, from + DOUBT_MS).news).toBe("broken");
  });

  test("is well again with the first good look, and tells it", () => {
    const broken = looks(["bad", "bad"], aligned());
    const again = afterLook(broken.belief, { result: "aligned", status: "aligned" }, broken.now + MINUTE);
    expect(again).toMatchObject({
      news: "verified",
      belief: { status: "aligned", broken_since: null, doubted_since: null },
    });
    expect(again.belief.aligned_since).toBe(aligned().aligned_since);
  });

  test("is never left alone while it is broken: mail waits for it", () => {
    const { belief, seen } = looks(
      Array.from({ length: 700 }, (_, n) => (n % 3 === 2 ? "doubtful" : "bad") as LookResult),
      looks(["bad", "bad"], aligned()).belief,
    );
    expect(belief.next_look_at).not.toBeNull();
    expect(Math.max(...seen.slice(1).map(({ waited }) => waited))).toBe(RECHECK_MS);
  });
});

describe("once something else is asked for", () => {
  const from = START + 10 * DAY;

  /** @returns after how long a break is believed, where somebody asks for something else every so often. */
  function believedAfter(askedEvery: number, first: Belief = afterChange(aligned(), from)): number {
    let belief = first;
    let asked = from;
    for (let looked = 0; looked < 2_000; looked++) {
      const now = belief.next_look_at ?? Number.POSITIVE_INFINITY;
      const after = afterLook(belief, { result: "bad", status: "misaligned" }, now);
      if (after.news === "broken") return now - from;
      belief = after.belief;
      if (now >= asked + askedEvery) {
        asked = now;
        belief = afterChange(belief, now);
      }
    }
    throw new Error("never");
  }

  test("its owner has a day to publish it", () => {
    expect(believedAfter(Number.POSITIVE_INFINITY)).toBe(GRACE_MS);
    const { belief, seen } = looks(["bad", "aligned", "aligned"], { ...afterChange(aligned(), START) });
    expect([belief.changed_since, ...seen.map(({ status }) => status)]).toEqual([
      null,
      "aligned",
      "aligned",
      "aligned",
    ]);
  });

  test("asking again and again does not make it longer", () => {
    for (const every of [MINUTE, HOUR, 6 * HOUR])
      expect([every, believedAfter(every) <= GRACE_MS + HOUR]).toEqual([every, true]);
  });

  test("what was broken before stays so", () => {
    const broken = looks(["bad", "bad"], aligned()).belief;
    expect(afterChange(broken, from)).toMatchObject({
      status: "misaligned",
      broken_since: broken.broken_since,
      changed_since: null,
    });
  });
});

test("patience is a minute at least and six hours at most", () => {
  expect([0, 30_000, 5 * MINUTE, DAY, POLLED_FOR_MS].map((waited) => patience(START, START + waited))).toEqual([
    MINUTE,
    MINUTE,
    5 * MINUTE,
    6 * HOUR,
    null,
  ]);
});

describe("what a look came to", () => {
  function alignment(status: Alignment["status"], findings: [CheckResult, boolean][], checked: CheckResult = "pass") {
    return {
      status,
      checks: { alignment: checked },
      findings: findings.map(([result, required]) => ({ result, required }) as RecordFinding),
    } as Alignment;
  }

  test.each([
    ["all is there", alignment("aligned", [["pass", true]]), "aligned"],
    ["something that is not required lacks", alignment("aligned", [["missing", false]]), "aligned"],
    ["something required lacks", alignment("pending", [["missing", true]]), "bad"],
    ["something required is wrong", alignment("misaligned", [["fail", true]]), "bad"],
    ["the DNS does not answer", alignment("pending", [["unknown", true]], "unknown"), "doubtful"],
    [
      "it does not answer for one, and another lacks",
      alignment("pending", [
        ["unknown", true],
        ["missing", true],
      ]),
      "bad",
    ],
    [
      "what lacks is not required",
      alignment("pending", [
        ["unknown", true],
        ["missing", false],
      ]),
      "doubtful",
    ],
    ["nothing would align", alignment("pending", [["pass", true]], "missing"), "bad"],
  ] as const)("%s", (_what, found, result) => expect(resultOf(found)).toBe(result));
});
