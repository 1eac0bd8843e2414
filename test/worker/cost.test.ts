import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { EXAMINED_ROWS } from "../../durable-objects/mailbox/inbox-query.ts";
import type { InboxQuery } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import { countD1, countStorage, growMailbox, type StorageCost } from "../support/counted-storage.ts";
import {
  arrival,
  EVERYTHING,
  inObject,
  makeMailbox,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

const keyed = { idempotency: { key: "k", digest: "d" }, tags: { a: "", b: "" } };

describe("one API send", () => {
  test.each(["gated_send", "autonomous", "monitored"] as const)(
    "writes at most 32 rows in the object (%s)",
    async (oversight_mode) => {
      const box = await makeMailbox({ oversight_mode });
      const cost = await inObject(box, (object) =>
        countStorage(object, () => object.submit(box.agent, submission(box, keyed))),
      );
      expect(cost.rowsWritten).toBeGreaterThan(5);
      expect(cost.rowsWritten).toBeLessThanOrEqual(32);
    },
  );

  test("with 50 recipients writes no more", async () => {
    const box = await makeMailbox();
    const to = Array.from({ length: 50 }, (_, i) => ({ name: null, address: `r${i}@customer.example` }));
    const cost = await inObject(box, (object) =>
      countStorage(object, () => object.submit(box.agent, submission(box, { ...keyed, to }))),
    );
    expect(cost.rowsWritten).toBeLessThanOrEqual(32);
  });

  test("awaits one D1 statement if it is held, none if it is not", async () => {
    for (const [oversight_mode, statements] of [
      ["gated_send", ["INSERT INTO pending"]],
      ["autonomous", []],
    ] as const) {
      const box = await makeMailbox({ oversight_mode });
      const used = await inObject(box, (object) =>
        countD1(object, () => object.submit(box.agent, submission(box, keyed))),
      );
      expect(used).toMatchObject({ alone: statements, batches: [] });
      expect(used.rowsWritten).toBeLessThanOrEqual(3);
    }
  });

  test("shares one background drain: 20 sends, one batch", async () => {
    const box = await makeMailbox();
    await inObject(box, (object) => object.drain());
    const drained = await inObject(box, async (object) => {
      for (let i = 0; i < 20; i++) unwrap(await object.submit(box.agent, submission(box)));
      return countD1(object, () => object.drain());
    });
    // Entries, their data keys and events: three statements in one round trip.
    expect(drained).toMatchObject({ alone: [], batches: [3] });
    // D1 counts index entries: an audit row has 7 to 9, an event 2, a data key 1.
    expect(drained.rowsWritten / 20).toBeGreaterThan(3);
    expect(drained.rowsWritten / 20).toBeLessThanOrEqual(12);
    const { n } = (await env.DB.prepare("SELECT count(*) AS n FROM audit_log WHERE log = ? AND action = 'message.held'")
      .bind(box.mailbox.id)
      .first<{ n: number }>()) ?? { n: 0 };
    expect(n).toBe(20);
  });
});

describe("a mailbox of 100,000 messages costs what one of 100 does", () => {
  const queries: [string, Partial<InboxQuery>][] = [
    ["newest", {}],
    ["a filter that most pass", { direction: "inbound", dkim_result: "pass" }],
    ["a filter that nothing passes", { subject_contains: "nothing has this" }],
    ["full text, a common word", { q: "common" }],
    ["full text, one word of several", { q: "word3" }],
    ["a thread", { thread_id: "thr_3" }],
  ];

  async function costs(size: number): Promise<Record<string, StorageCost>> {
    const box: TestMailbox = await makeMailbox();
    await box.stub.receive(arrival(box));
    return inObject(box, async (object) => {
      object.commit(() => growMailbox(object, size));
      const all: Record<string, StorageCost> = {};
      for (const [name, query] of queries) {
        all[name] = await countStorage(object, async () =>
          unwrap(await object.list(box.agent, { ...EVERYTHING, ...query })),
        );
      }
      all.send = await countStorage(object, () => object.submit(box.agent, submission(box, keyed)));
      all.receive = await countStorage(object, () => object.receive(arrival(box)));
      return all;
    });
  }

  test("in rows read and written", async () => {
    const [small, large] = [await costs(100), await costs(100_000)];
    const grown = Object.keys(large).filter((name) => {
      const [a, b] = [small[name] as StorageCost, large[name] as StorageCost];
      // A filter that nothing passes examines one page of rows, which 100 messages do not fill.
      const page = name === "a filter that nothing passes" ? 2 * EXAMINED_ROWS : 10;
      return b.rowsRead > a.rowsRead + page || b.rowsWritten > a.rowsWritten;
    });
    expect(grown).toEqual([]);
    expect(large.newest?.rowsRead).toBeLessThan(100);
    expect(large["a filter that nothing passes"]?.rowsRead).toBeLessThan(3 * EXAMINED_ROWS);
  }, 120_000);
});
