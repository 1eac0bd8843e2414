import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import type { Env } from "../../src/env.ts";
import { masterKeyId } from "../../src/store/secrets.ts";
import {
  CHANGING,
  databaseThrough,
  deploy,
  expectAllUnderNew,
  type FaultTime,
  faultAt,
  forgetDeployment,
  inObjectOf,
  makeDeployment,
  NEW,
  OLD,
  objectsOf,
  objectsThrough,
  openedBy,
  resealedEntries,
  sealedValues,
  send,
  walk,
} from "../support/master-key-world.ts";

// Resealing under a new MASTER_KEY while things fail and change, in the real objects and D1. Whatever fails, repeating the step ends
// with everything under the new key, and what others write meanwhile is kept.

/** The statements that write what was resealed. */
const UPDATE = /^\s*UPDATE/;

afterEach(forgetDeployment);

describe("what fails under way", () => {
  const TIMES: FaultTime[] = ["before", "after"];
  /** Each walks there and back for every fault. */
  const EACH_FAULT = 60_000;

  /** Brings everything under the old key again, so that the next fault meets the same deployment. */
  async function changeBack(): Promise<void> {
    await walk(await deploy({ ...OLD, MASTER_KEY_PREVIOUS: NEW.MASTER_KEY }));
    expect(await openedBy(OLD)).toMatchObject({ closed: [] });
  }

  test.each(TIMES)(
    "each statement of D1 once, %s it took effect: repeating the step finishes",
    async (time) => {
      await makeDeployment();
      let statements = Number.POSITIVE_INFINITY;
      for (let nth = 1; nth <= statements; nth++) {
        const worker = await deploy(CHANGING);
        const fault = faultAt(nth, time);
        const done = await walk({ ...worker, DB: databaseThrough((work) => fault.through(work)) });
        expect(done.refusals.map(({ code }) => code)).toEqual(["unavailable"]);
        await expectAllUnderNew();
        // A repeated step asks anew, which is not one more statement to fail.
        statements = Math.min(statements, fault.calls() - 1);
        await changeBack();
      }
      expect(statements).toBeGreaterThanOrEqual(6);
    },
    EACH_FAULT,
  );

  test.each(TIMES)(
    "each object once, %s it took effect: repeating the step finishes",
    async (time) => {
      await makeDeployment();
      for (let nth = 1; nth <= 6; nth++) {
        const worker = await deploy(CHANGING);
        const fault = faultAt(nth, time);
        await walk({ ...worker, ...objectsThrough(worker, (work) => fault.through(work)) });
        expect(fault.calls()).toBe(7);
        await expectAllUnderNew();
        await changeBack();
      }
    },
    EACH_FAULT,
  );

  test("an object that never answers is named, and those before it are done", async () => {
    const { one, two } = await makeDeployment();
    const worker = await deploy(CHANGING);
    const broken =
      [...one.mailboxes, ...two.mailboxes]
        .map(({ id }) => id)
        .sort()
        .at(-1) ?? "";
    const objects = objectsThrough(worker, (work, name) =>
      broken.endsWith(name) ? Promise.reject(new Error("it is broken")) : work(),
    );
    await expect(walk({ ...worker, ...objects })).rejects.toThrow(`The object of ${broken} does not answer`);
    const { opened } = await openedBy(OLD);
    expect(opened.filter((what) => !what.startsWith("D1: data key")).every((what) => what.startsWith(broken))).toBe(
      true,
    );
  });

  test("a transaction inside an object: nothing of the page is written, and no entry says so", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    const [id] = objectsOf(one);
    if (id === undefined) throw new Error("there is no object");
    const before = await sealedValues();
    await inObjectOf(id, async (object) => {
      const append = Reflect.get(object, "append");
      Reflect.set(object, "append", () => {
        throw new Error("power cut");
      });
      await expect(object.reseal({ under: masterKeyId(NEW), position: null })).rejects.toThrow("power cut");
      Reflect.set(object, "append", append);
    });
    expect(await sealedValues()).toEqual(before);
    expect(await resealedEntries(id)).toEqual([]);
    await walk(worker);
    await expectAllUnderNew();
  });

  test("a drain that read a data key before and writes it after: the walk waits for it", async () => {
    const { one } = await makeDeployment();
    await send(one);
    const worker = await deploy(CHANGING);
    const { id } = one.mailbox;
    await inObjectOf(id, async (object) => {
      const whole: Cloudflare.Env = Reflect.get(object, "env");
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const DB = {
        prepare: env.DB.prepare.bind(env.DB),
        batch: async (statements: D1PreparedStatement[]) => {
          await released;
          return env.DB.batch(statements);
        },
      };
      Reflect.set(object, "env", { ...whole, DB });
      const drained = object.drain();
      const order: string[] = [];
      const resealed = object.reseal({ under: masterKeyId(NEW), position: null }).then(() => order.push("resealed"));
      void drained.then(() => order.push("drained"));
      release();
      await Promise.all([resealed, drained]);
      expect(order).toEqual(["drained", "resealed"]);
      Reflect.set(object, "env", whole);
    });
    await walk(worker);
    await expectAllUnderNew();
  });
});

describe("what is changed under way", () => {
  /** Does `meanwhile` once, after a step has read a table and before it writes it. */
  function interrupted(worker: Env, meanwhile: () => Promise<unknown>): Env {
    let done = false;
    return {
      ...worker,
      DB: databaseThrough(async (work, sql) => {
        if (!done && UPDATE.test(sql)) {
          done = true;
          await meanwhile();
        }
        return work();
      }),
    };
  }

  test("a domain's keys that were replaced stay replaced, and are resealed too", async () => {
    await makeDeployment();
    const worker = await deploy(CHANGING);
    const { dkim_keys } = (await env.DB.prepare("SELECT dkim_keys FROM domains").first<{ dkim_keys: string }>()) ?? {};
    const replaced = (JSON.parse(dkim_keys ?? "[]") as { selector: string }[]).map((key) => ({
      ...key,
      public_key: "new",
    }));
    await walk(
      interrupted(worker, () =>
        env.DB.prepare("UPDATE domains SET dkim_keys = ?").bind(JSON.stringify(replaced)).run(),
      ),
    );
    await expectAllUnderNew();
    const stored = await env.DB.prepare("SELECT dkim_keys FROM domains").first<string>("dkim_keys");
    expect((JSON.parse(stored ?? "[]") as { public_key: string }[]).map(({ public_key }) => public_key)).toEqual(
      replaced.map(() => "new"),
    );
  });

  test("a data key that was erased stays erased", async () => {
    const { one } = await makeDeployment();
    await env.DB.prepare("DELETE FROM domains").run();
    const worker = await deploy(CHANGING);
    const erased = one.mailbox.id;
    await walk(interrupted(worker, () => env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(erased).run()));
    expect(await env.DB.prepare("SELECT 1 FROM data_keys WHERE kid = ?").bind(erased).first()).toBeNull();
    await expectAllUnderNew();
  });
});
