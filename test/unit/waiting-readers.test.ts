import { describe, expect, test } from "vitest";
import type { Message } from "../../durable-objects/mailbox/messages.ts";
import { MAX_WAITING, WaitingReaders } from "../../durable-objects/mailbox/waiting-readers.ts";

/** A clock that tests move. */
function clock() {
  let now = 0;
  const timers = new Map<() => void, number>();
  return {
    later: (ms: number, wake: () => void) => {
      timers.set(wake, now + ms);
      return () => timers.delete(wake);
    },
    advance: (ms: number) => {
      now += ms;
      for (const [wake, due] of [...timers]) if (due <= now && timers.delete(wake)) wake();
    },
    get waiting() {
      return timers.size;
    },
  };
}

const message = (id: string) => ({ id }) as Message;
const any = () => true;

describe("a call that waits", () => {
  test("gets the first message it wants, whatever else comes", async () => {
    const { later } = clock();
    const readers = new WaitingReaders(later);
    const waiting = readers.wait(({ id }) => id === "b", 1_000);
    for (const id of ["a", "b", "c"]) readers.tell(message(id));
    expect(await waiting).toEqual({ id: "b" });
  });

  test("gets null when its time is over, and not a moment before", async () => {
    const time = clock();
    const readers = new WaitingReaders(time.later);
    const waiting = readers.wait(any, 1_000);
    time.advance(999);
    expect(readers.size).toBe(1);
    time.advance(1);
    expect(readers.size).toBe(0);
    readers.tell(message("a"));
    expect(await waiting).toBeNull();
  });

  test("leaves nothing behind, however it ends", async () => {
    const time = clock();
    const readers = new WaitingReaders(time.later);
    const failing = readers.wait(() => {
      throw new Error("storage");
    }, 1_000);
    const answered = readers.wait(any, 1_000);
    readers.tell(message("a"));
    await expect(failing).rejects.toThrow("storage");
    expect(await answered).toEqual({ id: "a" });
    expect([readers.size, time.waiting]).toEqual([0, 0]);
  });

  test("is told together with all others, each by its own wants", async () => {
    const time = clock();
    const readers = new WaitingReaders(time.later);
    const waits = ["a", "b", "b"].map((wanted) => readers.wait(({ id }) => id === wanted, 1_000));
    readers.tell(message("b"));
    expect(readers.size).toBe(1);
    time.advance(1_000);
    expect(await Promise.all(waits)).toEqual([null, { id: "b" }, { id: "b" }]);
  });
});

test(`there is room for ${MAX_WAITING}, and again when one has ended`, async () => {
  const time = clock();
  const readers = new WaitingReaders(time.later);
  const waits: Promise<Message | null>[] = [];
  for (let n = 0; n < MAX_WAITING; n++) {
    expect(readers.isFull).toBe(false);
    waits.push(readers.wait(({ id }) => id === String(n), 1_000));
  }
  expect(readers.isFull).toBe(true);
  readers.tell(message("3"));
  expect(await waits[3]).toEqual({ id: "3" });
  expect(readers.isFull).toBe(false);
});
