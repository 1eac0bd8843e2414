import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import type { ResealAnswer } from "../../src/operations/reseal.ts";
import { RESEAL_ROWS } from "../../src/store/resealing.ts";
import { deriveKeys, type MasterKeys, seal } from "../../src/store/secrets.ts";
import { type Answer, call, keyOf, type RefusalBody } from "../support/door-harness.ts";
import {
  CHANGING,
  deploy,
  expectAllUnderNew,
  forgetDeployment,
  inObjectOf,
  makeDeployment,
  NEW,
  OLD,
  objectsOf,
  objectsThrough,
  openedBy,
  rekeyObject,
  resealCall,
  resealedEntries,
  sealedValues,
  send,
  walk,
} from "../support/master-key-world.ts";

// Resealing under a new MASTER_KEY, in the real objects and D1. The key is changed by giving every object, and the doors, other
// secrets, as a new deployment does.

afterEach(forgetDeployment);

async function keysOfLog(id: string): Promise<number> {
  return inObjectOf(
    id,
    (_object, { storage }) => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM data_keys").one().n,
  );
}

/** Puts data keys into an object, as many as a large mailbox has. */
async function addDataKeys(id: string, count: number, master: MasterKeys = OLD): Promise<void> {
  await inObjectOf(id, (object, { storage }) => {
    const keys = deriveKeys(master, "data-key");
    object.commit(() => {
      for (let n = 0; n < count; n++) {
        const kid = `em_${String(n).padStart(26, "0")}`;
        storage.sql.exec("INSERT INTO data_keys VALUES (?, ?)", kid, JSON.stringify(seal(keys, kid, Buffer.alloc(32))));
      }
    });
  });
}

describe("a walk", () => {
  test("leaves nothing that the old key opens, and everything that the new key alone opens", async () => {
    const { one, two } = await makeDeployment();
    expect(await openedBy(OLD)).toMatchObject({ closed: [] });
    const all = (await sealedValues()).map(({ what }) => what);
    for (const kind of [
      /^D1: DKIM key/,
      /^D1: data key/,
      /^ten_.*log key/,
      /^mbx_.*log key/,
      /^ten_.*identity key/,
      /^ten_.*data key/,
      /^mbx_.*data key/,
    ]) {
      expect(all.filter((what) => kind.test(what)).length, String(kind)).toBeGreaterThan(0);
    }
    const done = await walk(await deploy(CHANGING));
    await expectAllUnderNew();
    const dataKeys = all.filter((what) => what.includes("data key")).length;
    expect(done).toMatchObject({
      unreadable: 0,
      refusals: [],
      resealed: { domains: 1, identity_keys: 2, data_keys: dataKeys, log_keys: 6 },
    });
    for (const id of [one, two].flatMap(objectsOf)) expect(await resealedEntries(id)).toHaveLength(1);
  });

  test("is recorded in the log of each object that had keys, with their number and by whom", async () => {
    const { one } = await makeDeployment();
    const counts = await Promise.all(objectsOf(one).map(keysOfLog));
    await walk(await deploy(CHANGING));
    for (const [index, id] of objectsOf(one).entries()) {
      const isTenant = id === one.id;
      expect(await resealedEntries(id)).toMatchObject([
        {
          actor: { type: "human", id: "operator", via: "system" },
          resource: { type: isTenant ? "tenant" : "mailbox", id },
          detail: { identity_keys: isTenant ? 1 : 0, data_keys: counts[index], log_keys: 1 },
        },
      ]);
    }
  });

  test("repeated finds nothing to do and records nothing", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    await walk(worker);
    const before = await sealedValues();
    expect(await walk(worker)).toMatchObject({
      resealed: { domains: 0, dkim_keys: 0, identity_keys: 0, data_keys: 0, log_keys: 0 },
      unreadable: 0,
    });
    expect(await sealedValues()).toEqual(before);
    for (const id of objectsOf(one)) expect(await resealedEntries(id)).toHaveLength(1);
  });

  test("by two at once ends as by one", async () => {
    await makeDeployment();
    const worker = await deploy(CHANGING);
    await Promise.all([walk(worker), walk(worker)]);
    await expectAllUnderNew();
  });

  test("beside agents that go on sending loses nothing, and what they made meanwhile is under the new key", async () => {
    const { one, two } = await makeDeployment();
    const worker = await deploy(CHANGING);
    let cursor: string | null = null;
    for (;;) {
      await Promise.all([send(one, worker), send(two, worker)]);
      const { body }: Answer<ResealAnswer> = await resealCall(worker, cursor);
      if (body.done) break;
      ({ cursor } = body);
    }
    for (const id of [one, two].flatMap(objectsOf)) await inObjectOf(id, (object) => object.settled());
    await expectAllUnderNew();
    const after = await deploy(NEW);
    const log = await call<{ entries: { personal: unknown }[] }>("/v1/audit-log?limit=100", {
      key: keyOf(one, "admin"),
      env: after,
    });
    expect(log.status).toBe(200);
    expect(JSON.stringify(log.body.entries)).toContain("ana@customer.example");
  });

  test("takes a large mailbox in pages, so that it answers others in between", async () => {
    const { one } = await makeDeployment();
    const there = await keysOfLog(one.mailbox.id);
    await addDataKeys(one.mailbox.id, 2 * RESEAL_ROWS);
    const worker = await deploy(CHANGING);
    const counted: number[] = [];
    const objects = objectsThrough(worker, async (work) => {
      const outcome = await work();
      const { resealed } = (outcome as unknown as { value: { resealed: { data_keys: number } } }).value;
      counted.push(resealed.data_keys);
      return outcome;
    });
    const done = await walk({ ...worker, ...objects });
    await expectAllUnderNew();
    expect(Math.max(...counted)).toBe(RESEAL_ROWS);
    expect(done.steps).toBeGreaterThan(4);
    const entries = await resealedEntries(one.mailbox.id);
    expect(entries.map(({ detail }) => detail.data_keys)).toEqual([RESEAL_ROWS, RESEAL_ROWS, there]);
  });

  test("takes D1 in pages", async () => {
    await makeDeployment();
    const keys = deriveKeys(OLD, "data-key");
    const rows = Array.from({ length: 2 * RESEAL_ROWS }, (_, n) => {
      const kid = `em_${String(n).padStart(26, "0")}`;
      return { kid, wrapped: JSON.stringify(seal(keys, kid, Buffer.alloc(32))) };
    });
    await env.DB.prepare(
      "INSERT INTO data_keys SELECT json_extract(value, '$.kid'), 'ten_x', json_extract(value, '$.wrapped') FROM json_each(?)",
    )
      .bind(JSON.stringify(rows))
      .run();
    await walk(await deploy(CHANGING));
    await expectAllUnderNew();
  });

  test("skips a mailbox that was reserved and never made, and writes nothing into it", async () => {
    const { one } = await makeDeployment();
    const routing = newRoutingNumber();
    const id = newId("mbx", Date.now(), routing);
    await env.DB.prepare("INSERT INTO mailboxes VALUES (?, ?, ?, ?, '{}', 0)")
      .bind(id, one.id, `${routing.toLowerCase()}@agents.test`, routing)
      .run();
    const done = await walk(await deploy(CHANGING));
    expect(done.refusals).toEqual([]);
    const tables = await inObjectOf(id, (_object, { storage }) =>
      storage.sql
        .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
        .toArray(),
    );
    expect(tables).toEqual([]);
  });
});

describe("keys that do not fit", () => {
  test("what neither key opens is counted, left as it is, and holds nothing up", async () => {
    const { one } = await makeDeployment();
    const third: MasterKeys = { MASTER_KEY: Buffer.alloc(32, 3).toString("base64") };
    await addDataKeys(one.mailbox.id, 2, third);
    const lost = JSON.stringify(seal(deriveKeys(third, "data-key"), "em_lost", Buffer.alloc(32)));
    await env.DB.prepare("INSERT INTO data_keys VALUES ('em_lost', ?, ?), ('em_torn', ?, 'torn')")
      .bind(one.id, lost, one.id)
      .run();
    expect(await walk(await deploy(CHANGING))).toMatchObject({ unreadable: 4, refusals: [] });
    await env.DB.prepare("DELETE FROM data_keys WHERE kid IN ('em_lost', 'em_torn')").run();
    expect((await openedBy(third)).opened).toHaveLength(2);
    expect((await openedBy(NEW)).closed).toHaveLength(2);
    expect(await openedBy(OLD)).toMatchObject({ opened: [] });
  });

  test("an object that runs with the keys from before reseals nothing the wrong way round, and the step waits", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    const swapped: MasterKeys = { MASTER_KEY: OLD.MASTER_KEY, MASTER_KEY_PREVIOUS: NEW.MASTER_KEY };
    await rekeyObject(one.id, swapped);
    const first = await resealCall(worker);
    const waits = await resealCall<RefusalBody>(worker, first.body.cursor);
    expect(waits).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(waits.body.error).toContain("has not reached every part");
    expect(waits.headers.get("retry-after")).toBe("30");
    expect(await resealedEntries(one.id)).toEqual([]);
    await rekeyObject(one.id, CHANGING);
    await walk(worker);
    await expectAllUnderNew();
  });

  test("a cursor from before the change is not gone on with", async () => {
    await makeDeployment();
    const { body } = await resealCall(await deploy(OLD));
    const answer = await resealCall<RefusalBody>(await deploy(CHANGING), body.cursor);
    expect(answer).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(answer.body.error).toContain("another MASTER_KEY");
  });

  test.each([
    ["no base64url", "!!"],
    ["no JSON", Buffer.from("x").toString("base64url")],
    ["another list's", Buffer.from('{"after":"x"}').toString("base64url")],
    [
      "of an unknown phase",
      Buffer.from(JSON.stringify({ under: "x", phase: "all", after: "", within: null })).toString("base64url"),
    ],
  ])("a cursor that is %s is refused", async (_what, cursor) => {
    expect(await resealCall(env, cursor)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
  });
});

describe("who may", () => {
  test("only the holder of SETUP_TOKEN: for keys of tenants, and for nobody, there is nothing at this path", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    const before = await sealedValues();
    for (const key of [null, "wrong", keyOf(one, "admin"), keyOf(one, "owner"), keyOf(one, "agent")]) {
      for (const json of [{}, { cursor: "x" }]) {
        expect(await call("/setup/reseal", { key, json, env: worker })).toMatchObject({
          status: 404,
          body: { code: "not_found" },
        });
      }
    }
    const { SETUP_TOKEN: _token, ...without } = worker;
    expect((await resealCall(without)).status).toBe(404);
    expect((await call("/setup/reseal", { key: "setup-token-for-tests", env: worker })).status).toBe(404);
    expect(await sealedValues()).toEqual(before);
  });

  test.each([{ cursor: 1 }, { cursor: "", more: true }, { cursor: "x".repeat(2_001) }, [], "x"])(
    "%j is refused",
    async (json) => {
      expect((await call("/setup/reseal", { key: "setup-token-for-tests", json })).status).toBe(422);
    },
  );

  test("the answers and the log's entries hold nothing of a key", async () => {
    const { one } = await makeDeployment();
    const worker = await deploy(CHANGING);
    const told: string[] = [];
    let cursor: string | null = null;
    for (let done = false; !done; ) {
      const { body }: Answer<ResealAnswer> = await resealCall(worker, cursor);
      told.push(JSON.stringify(body), Buffer.from(body.cursor ?? "", "base64url").toString());
      ({ cursor, done } = body);
    }
    for (const id of objectsOf(one)) told.push(JSON.stringify(await resealedEntries(id)));
    const all = told.join("\n");
    for (const master of [OLD, NEW]) {
      expect(all).not.toContain(master.MASTER_KEY);
      expect(all).not.toContain(Buffer.from(master.MASTER_KEY, "base64").toString("hex").slice(0, 16));
    }
  });
});
