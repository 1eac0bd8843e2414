import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Batches } from "../../src/store/audit-drain.ts";

/** A D1 that takes batches and answers when the test says so. */
function silentD1() {
  const answers: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const db = {
    batch: () => new Promise((resolve, reject) => answers.push({ resolve: () => resolve([]), reject })),
  } as unknown as D1Database;
  return { db, answers };
}

const settledness = async (promise: Promise<unknown>) => {
  let is = "waits";
  promise.then(
    () => (is = "resolved"),
    () => (is = "rejected"),
  );
  await vi.advanceTimersByTimeAsync(0);
  return is;
};

describe("batches to D1", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("one that is not answered within a minute has failed, so that the drain goes on", async () => {
    const { db } = silentD1();
    const sent = new Batches().send(db, []);
    const failed = expect(sent).rejects.toThrow("in time");
    await vi.advanceTimersByTimeAsync(59_000);
    expect(await settledness(sent)).toBe("waits");
    await vi.advanceTimersByTimeAsync(1_000);
    await failed;
  });

  test("is waited for all the same by who erases: it may arrive later", async () => {
    const { db, answers } = silentD1();
    const batches = new Batches();
    const failed = expect(batches.send(db, [])).rejects.toThrow("in time");
    await vi.advanceTimersByTimeAsync(60_000);
    await failed;
    const answered = batches.answered();
    expect(await settledness(answered)).toBe("waits");
    answers[0]?.resolve();
    expect(await settledness(answered)).toBe("resolved");
  });

  test.each([
    ["taken", (answer: { resolve: () => void }) => answer.resolve(), "resolved"],
    ["refused", (answer: { reject: (error: Error) => void }) => answer.reject(new Error("no")), "rejected"],
  ] as const)("one that is %s is over, and nobody waits for it", async (_what, end, becomes) => {
    const { db, answers } = silentD1();
    const batches = new Batches();
    const sent = batches.send(db, []);
    for (const answer of answers) end(answer);
    expect(await settledness(sent)).toBe(becomes);
    expect(await settledness(batches.answered())).toBe("resolved");
    expect(vi.getTimerCount()).toBe(0);
  });
});
