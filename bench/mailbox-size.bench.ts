import { test } from "vitest";
import type { MailboxObject } from "../durable-objects/mailbox.ts";
import { unwrap } from "../src/errors.ts";
import { growMailbox } from "../test/support/counted-storage.ts";
import {
  arrival,
  EVERYTHING,
  inObject,
  makeMailbox,
  submission,
  type TestMailbox,
} from "../test/support/mailbox-harness.ts";

/**
 * How long listing, searching and sending take in a mailbox of 100,000 messages, as a multiple of one of 100. `rowsRead` hides
 * what full-text search does, so time is what shows it. Ratios of medians, alternating within one run.
 */
const SIZES = [100, 100_000] as const;
const ROUNDS = 15;
/** workerd's clock shows whole milliseconds, so one measurement is of many operations. */
const OPERATIONS = 40;

const work: Record<string, (object: MailboxObject, box: TestMailbox) => Promise<unknown>> = {
  "list, newest": async (object, box) => unwrap(await object.list(box.agent, EVERYTHING)),
  "list, full text, common word": async (object, box) =>
    unwrap(await object.list(box.agent, { ...EVERYTHING, q: "common" })),
  "list, full text, two words": async (object, box) =>
    unwrap(await object.list(box.agent, { ...EVERYTHING, q: "word3 text" })),
  "list, a thread": async (object, box) => unwrap(await object.list(box.agent, { ...EVERYTHING, thread_id: "thr_3" })),
  send: async (object, box) => unwrap(await object.submit(box.agent, submission(box))),
  receive: (object, box) => object.receive(arrival(box)),
};

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

test("a mailbox's size", async () => {
  const boxes = await Promise.all(
    SIZES.map(async (size) => {
      const box = await makeMailbox();
      await box.stub.receive(arrival(box));
      await inObject(box, (object) => object.commit(() => growMailbox(object, size)));
      return box;
    }),
  );
  console.log(
    `time in ${SIZES[1]} messages / time in ${SIZES[0]} (medians of ${ROUNDS} times ${OPERATIONS} operations)`,
  );
  for (const [name, run] of Object.entries(work)) {
    const times = SIZES.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, box] of boxes.entries()) {
        const took = await inObject(box, async (object) => {
          const begun = performance.now();
          for (let i = 0; i < OPERATIONS; i++) await run(object, box);
          return (performance.now() - begun) / OPERATIONS;
        });
        times[index]?.push(took);
      }
    }
    const [small, large] = times.map(median) as [number, number];
    console.log(`${name.padEnd(32)} ${(large / small).toFixed(2)}  (${small.toFixed(2)} ms, ${large.toFixed(2)} ms)`);
  }
}, 300_000);
