import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { MailboxObject } from "../../durable-objects/mailbox.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { openPersonal } from "../../src/audit/sealing.ts";
import { unwrap } from "../../src/errors.ts";
import {
  chainOf,
  checkMailbox,
  EVERYTHING,
  inObject,
  makeMailbox,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

async function drainedOf(box: TestMailbox): Promise<number> {
  return (
    (await env.DB.prepare("SELECT count(*) AS n FROM audit_log WHERE log = ?")
      .bind(box.mailbox.id)
      .first<number>("n")) ?? 0
  );
}

async function busy(): Promise<TestMailbox> {
  const box = await makeMailbox();
  for (let i = 0; i < 5; i++) unwrap(await box.stub.list(box.agent, EVERYTHING));
  unwrap(await box.stub.submit(box.agent, submission(box)));
  return box;
}

describe("the audit table in D1 is append-only", () => {
  test.each([
    ["UPDATE", "UPDATE audit_log SET action = 'x' WHERE log = ?1"],
    ["DELETE", "DELETE FROM audit_log WHERE log = ?1"],
    [
      "UPSERT",
      "INSERT INTO audit_log SELECT * FROM audit_log WHERE log = ?1 AND seq = 0 ON CONFLICT DO UPDATE SET action = 'x'",
    ],
  ])("%s is refused or changes nothing", async (_what, statement) => {
    const box = await busy();
    await inObject(box, (object) => object.drain());
    const before = await checkMailbox(box);
    await env.DB.prepare(statement)
      .bind(box.mailbox.id)
      .run()
      .catch((error) => expect(String(error)).toContain("append-only"));
    await checkMailbox(box);
    expect(await drainedOf(box)).toBe(before.length);
  });

  test("REPLACE leaves the first row as it is", async () => {
    const box = await busy();
    await inObject(box, (object) => object.drain());
    const columns = "log, seq, id, tenant_id, at, action, mailbox_id, email_id, agent_id, key_id, domain, hash, entry";
    await env.DB.prepare(
      `REPLACE INTO audit_log (${columns}) SELECT ${columns.replace("action", "'x'")} FROM audit_log WHERE log = ?`,
    )
      .bind(box.mailbox.id)
      .run();
    const { results } = await env.DB.prepare("SELECT action FROM audit_log WHERE log = ? AND action = 'x'")
      .bind(box.mailbox.id)
      .all();
    expect(results).toEqual([]);
    await checkMailbox(box);
  });
});

describe("the drain", () => {
  test("brings everything within one alarm, in order, each entry once", async () => {
    const box = await busy();
    await runAlarm(box);
    expect(await drainedOf(box)).toBe((await checkMailbox(box)).length);
  });

  test("repeated, by two at once or after a crash before it was noted, changes nothing", async () => {
    const box = await busy();
    await inObject(box, async (object, state) => {
      await Promise.all([object.drain(), object.drain()]);
      state.storage.sql.exec("UPDATE ledger SET drained = 0, events_drained = 0");
      await object.drain();
    });
    expect(await drainedOf(box)).toBe((await checkMailbox(box)).length);
  });

  test("survives D1 being away, and goes on where it stopped", async () => {
    const box = await busy();
    await inObject(box, async (object) => {
      const whole: Cloudflare.Env = Reflect.get(object, "env");
      Reflect.set(object, "env", {
        ...whole,
        DB: { prepare: env.DB.prepare.bind(env.DB), batch: () => Promise.reject(new Error("D1 is away")) },
      });
      await object.drain();
      await object.drain();
      Reflect.set(object, "env", whole);
    });
    const before = await drainedOf(box);
    unwrap(await box.stub.list(box.agent, EVERYTHING));
    await runAlarm(box);
    expect(await drainedOf(box)).toBeGreaterThan(before);
    expect(await drainedOf(box)).toBe((await checkMailbox(box)).length);
  });

  test("carries more than one batch", async () => {
    const box = await makeMailbox();
    await inObject(box, (object) => {
      for (let i = 0; i < 1_200; i++)
        object.commit(() =>
          object.record({
            actor: { type: "system", id: "test", via: "system" },
            action: "store.swept",
            detail: { removed: i },
          }),
        );
    });
    await runAlarm(box);
    expect(await drainedOf(box)).toBe((await checkMailbox(box)).length);
  });
});

describe("a state and its entry are one transaction", () => {
  test("a throw inside commit leaves neither", async () => {
    const box = await makeMailbox();
    const before = await chainOf(box);
    await inObject(box, (object) => {
      expect(() =>
        object.commit(() => {
          object.record({ actor: { type: "system", id: "test", via: "system" }, action: "store.swept" });
          throw new Error("power cut");
        }),
      ).toThrow("power cut");
    });
    expect(await chainOf(box)).toEqual(before);
  });

  test("commit refuses a function that returns a promise, and writes nothing of it", async () => {
    const box = await makeMailbox();
    const before = await chainOf(box);
    await inObject(box, (object: MailboxObject) => {
      expect(() =>
        object.commit(async () =>
          object.record({ actor: { type: "system", id: "test", via: "system" }, action: "store.swept" }),
        ),
      ).toThrow("synchronous");
    });
    expect(await chainOf(box)).toEqual(before);
  });
});

test("personal fields are sealed: no address, subject or text is readable in an entry, and the key in D1 opens them", async () => {
  const box = await busy();
  await runAlarm(box);
  const { results } = await env.DB.prepare("SELECT entry FROM audit_log WHERE log = ?")
    .bind(box.mailbox.id)
    .all<{ entry: string }>();
  const all = results.map(({ entry }) => entry).join("\n");
  for (const secret of ["ana@customer.example", "Offer", "Hello Ana", box.mailbox.address, "approver@people.example"])
    expect(all).not.toContain(secret);
  const entry = results
    .map((row) => JSON.parse(row.entry) as Entry)
    .find(({ action }) => action === "message.held") as Entry;
  const wrapped = await env.DB.prepare("SELECT wrapped FROM data_keys WHERE kid = ?")
    .bind(entry.sealed?.kid)
    .first<string>("wrapped");
  expect(openPersonal(env, entry, wrapped)).toMatchObject({
    to: ["ana@customer.example"],
    subject: "Offer",
  });
});

test("a clock that jumps backwards does not turn the log's time back", async () => {
  const box = await busy();
  await inObject(box, (object) => {
    object.clock = () => Date.now() - 3_600_000;
  });
  unwrap(await box.stub.list(box.agent, EVERYTHING));
  await checkMailbox(box);
});
