import { afterEach, describe, expect, test } from "vitest";
import { resealEverything } from "../../dev/resealing.ts";
import type { Env } from "../../src/env.ts";
import {
  CHANGING,
  databaseThrough,
  deploy,
  expectAllUnderNew,
  forgetDeployment,
  makeDeployment,
  NEW,
  OLD,
  openedBy,
  rekeyObject,
  resealCall,
} from "../support/master-key-world.ts";

/** The command's walk, through the worker's own door. */

afterEach(forgetDeployment);

describe("npm run reseal", () => {
  interface Said {
    words: string[];
    pauses: number[];
  }

  function run(worker: () => Promise<Env> | Env, said: Said): Promise<void> {
    return resealEverything({
      async step(cursor) {
        const { status, body, headers } = await resealCall<unknown>(await worker(), cursor);
        const wait = headers.get("retry-after");
        return { status, body, retry_after: wait === null ? null : Number(wait) };
      },
      say: (sentence) => said.words.push(sentence),
      pause: async (ms) => {
        said.pauses.push(ms);
      },
    });
  }

  test("walks until nothing is left, and says only then that the old key may be removed", async () => {
    await makeDeployment();
    const worker = await deploy(CHANGING);
    const said: Said = { words: [], pauses: [] };
    await run(() => worker, said);
    await expectAllUnderNew();
    expect(said.words).toEqual([
      expect.stringMatching(/^Resealed 1 domains, 0 DKIM keys, 2 identity keys, \d+ data keys, 6 log keys\./),
      "Everything is sealed under the current MASTER_KEY. MASTER_KEY_PREVIOUS may be removed now:",
      "  npx wrangler secret delete MASTER_KEY_PREVIOUS",
    ]);
  });

  test("waits as long as it is asked to, and goes on", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    await rekeyObject(one.id, OLD);
    const said: Said = { words: [], pauses: [] };
    let calls = 0;
    await run(async () => {
      calls += 1;
      if (calls === 4) await rekeyObject(one.id, CHANGING);
      return worker;
    }, said);
    await expectAllUnderNew();
    expect(said.pauses).toEqual([30_000, 30_000]);
  });

  test.each<[string, (worker: Env) => Env, string]>([
    ["without the right token", (worker) => ({ ...worker, SETUP_TOKEN: "another" }), "SETUP_TOKEN"],
    [
      "with a D1 that stays away",
      (worker) => ({ ...worker, DB: databaseThrough(() => Promise.reject(new Error("away"))) }),
      "does not answer",
    ],
    [
      "with an invalid MASTER_KEY_PREVIOUS",
      (worker) => ({ ...worker, MASTER_KEY_PREVIOUS: "x" }),
      "MASTER_KEY_PREVIOUS must be",
    ],
  ])("%s it ends with the reason, and does not say that it is done", async (_what, change, reason) => {
    await makeDeployment();
    const worker = change(await deploy(CHANGING));
    const said: Said = { words: [], pauses: [] };
    await expect(run(() => worker, said)).rejects.toThrow(reason);
    expect(said.words.join("\n")).not.toContain("may be removed");
  });

  test("with a wrong MASTER_KEY_PREVIOUS it says so, and that no old key may be thrown away", async () => {
    await makeDeployment();
    const worker = await deploy({ ...NEW, MASTER_KEY_PREVIOUS: Buffer.alloc(32, 4).toString("base64") });
    const said: Said = { words: [], pauses: [] };
    await expect(run(() => worker, said)).rejects.toThrow(/\d+ sealed values open under neither/);
    expect(said.words.join("\n")).not.toContain("may be removed");
    expect(await openedBy(OLD)).toMatchObject({ closed: [] });
  });
});
