import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { approveRoutes } from "../../src/doors/approve.tsx";
import { rpcPaths } from "../../src/doors/rpc.ts";
import type { Env } from "../../src/env.ts";
import worker from "../../src/index.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { findDecisionTokens } from "../../src/oversight/decision-links.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import type { MasterKeys } from "../../src/store/secrets.ts";
import { decidedBy, hold, mailsTo, somebody } from "../support/approvals.ts";
import { OUR_PAGE, signedIn } from "../support/console-client.ts";
import { call, keyOf, type RefusalBody, request, type TestTenant } from "../support/door-harness.ts";
import { runAlarm, status } from "../support/mailbox-harness.ts";
import {
  CHANGING,
  deploy,
  forgetDeployment,
  inObjectOf,
  makeDeployment,
  NEW,
  OLD,
  openedBy,
  sealedValues,
  send,
  walk,
} from "../support/master-key-world.ts";
import { lastCode } from "../support/operator-codes.ts";
import { receivedFor } from "../support/received-mail.ts";

// What a deployment does without a MASTER_KEY, and while one is being changed for another.

afterEach(forgetDeployment);

type Keys = Partial<MasterKeys>;

function withKeys(keys: Keys): Env {
  const { MASTER_KEY: _key, ...rest } = env;
  return { ...rest, ...keys } as Env;
}

/** What is no pair of keys, and what the answer to it says. */
const UNUSABLE: [string, Keys, string][] = [
  ["no MASTER_KEY", {}, "openssl rand -base64 32"],
  ["an empty MASTER_KEY", { MASTER_KEY: "" }, "openssl rand -base64 32"],
  ["a MASTER_KEY of 31 bytes", { MASTER_KEY: Buffer.alloc(31).toString("base64") }, "openssl rand -base64 32"],
  ["the previous key alone", { MASTER_KEY_PREVIOUS: OLD.MASTER_KEY }, "openssl rand -base64 32"],
  ["an empty previous key", { ...NEW, MASTER_KEY_PREVIOUS: "" }, "wrangler secret delete MASTER_KEY_PREVIOUS"],
  ["a previous key that is none", { ...NEW, MASTER_KEY_PREVIOUS: "short" }, "MASTER_KEY_PREVIOUS must be"],
];

/** Every path that the worker serves, and some that it does not. */
function everyPath(): [method: string, path: string][] {
  const paths: [string, string][] = OPERATIONS.flatMap(({ name, rest }) => [
    ...rpcPaths(name).map((path): [string, string] => ["POST", path]),
    ...rest.map(({ method, path }): [string, string] => [method, path.replace(/\{\w+\}/g, "x")]),
  ]);
  const others = [
    "/health",
    "/docs",
    "/v1/openapi.json",
    "/console",
    "/console/queue",
    "/v1/approve/x",
    "/nowhere",
    "/",
  ];
  return [
    ...paths,
    ...others.map((path): [string, string] => ["GET", path]),
    ["POST", "/setup"],
    ["POST", "/setup/reseal"],
  ];
}

describe.each(UNUSABLE)("with %s", (_what, keys, words) => {
  test("every path answers 503 and says what to do", async () => {
    for (const [method, path] of everyPath()) {
      const options = { method, key: "setup-token-for-tests", env: withKeys(keys) };
      const { status, body, headers } = await call(path, options);
      expect([method, path, status, body.code]).toEqual([method, path, 503, "unavailable"]);
      expect(body.error).toContain(words);
      expect(headers.get("retry-after")).not.toBeNull();
    }
  });

  test("mail that arrives is deferred, not refused: its sender tries again", async () => {
    const touched: unknown[] = [];
    const message = new Proxy({} as ForwardableEmailMessage, {
      get(_target, name) {
        touched.push(name);
        return () => touched.push(name);
      },
    });
    await expect(worker.email(message, withKeys(keys), createExecutionContext())).rejects.toThrow(words);
    expect(touched).toEqual([]);
  });

  test("what a queue brings is kept for later", async () => {
    const batch = { queue: "multimail-email-events", messages: [], metadata: {} } as unknown as MessageBatch;
    await expect(worker.queue(batch, withKeys(keys), createExecutionContext())).rejects.toThrow(words);
  });
});

test("the worker has no other handlers that could run without a MASTER_KEY", () => {
  expect(Object.keys(worker).sort()).toEqual(["email", "fetch", "queue"]);
});

/** Asks for a change that the operator must allow. */
async function askForCode(tenant: TestTenant, using: Env, approval_code?: string) {
  return call<RefusalBody & { status?: string }>(`/v1/mailboxes/${tenant.mailbox.id}`, {
    method: "PATCH",
    key: keyOf(tenant, "admin"),
    json: { oversight_mode: "monitored", ...(approval_code !== undefined && { approval_code }) },
    env: using,
  });
}

test("another MASTER_KEY in its place overwrites nothing, and with the right one back everything goes on", async () => {
  const { one } = await makeDeployment();
  const sent = await send(one);
  await inObjectOf(one.mailbox.id, (object) => object.settled());
  const before = await sealedValues();
  const wrong = await deploy(NEW);
  const admin = { key: keyOf(one, "admin"), env: wrong };
  // Nothing is told as if its fields alone could not be read.
  for (const read of [
    "/v1/audit-log",
    `/v1/audit-log?log=${one.mailbox.id}&format=ocsf`,
    `/v1/audit-log/export?log=${one.mailbox.id}`,
    `/v1/emails/${sent}/record`,
  ]) {
    expect((await call(read, admin)).status, read).toBe(503);
  }
  const path = `/v1/mailboxes/${one.mailbox.id}`;
  expect((await call(path, { ...admin, method: "PATCH", json: { display_name: "Other" } })).status).toBe(503);
  expect((await call(`${path}/emails`, { key: keyOf(one, "agent"), env: wrong })).status).toBe(503);
  await expect(send(one, wrong)).rejects.toThrow("503");
  expect(await sealedValues()).toEqual(expect.arrayContaining(before));
  const back = await deploy({ ...OLD, MASTER_KEY_PREVIOUS: NEW.MASTER_KEY });
  await inObjectOf(one.mailbox.id, (object) => object.settled());
  expect(await walk(back)).toMatchObject({ unreadable: 0 });
  expect(await openedBy(OLD)).toMatchObject({ closed: [] });
  const right = await deploy(OLD);
  expect((await call("/v1/audit-log?limit=100", { ...admin, env: right })).status).toBe(200);
  expect((await call(path, { ...admin, env: right, method: "PATCH", json: { display_name: "Other" } })).status).toBe(
    200,
  );
});

describe("while the key is being changed", () => {
  test("what was sealed before opens, and what is sealed now is under the new key", async () => {
    const { one } = await makeDeployment();
    const before = (await sealedValues()).length;
    const changing = await deploy(CHANGING);
    await send(one, changing);
    const added = (await sealedValues()).length - before;
    expect(added).toBeGreaterThan(0);
    expect((await openedBy(NEW)).opened).toHaveLength(added);
    const log = await call("/v1/audit-log?limit=100", { key: keyOf(one, "admin"), env: changing });
    expect(JSON.stringify(log.body)).toContain("ana@customer.example");
    expect(await signingKeysOf(env.DB, CHANGING, "agents.test")).toEqual(
      await signingKeysOf(env.DB, OLD, "agents.test"),
    );
    await expect(signingKeysOf(env.DB, NEW, "agents.test")).rejects.toThrow();
  });

  test("the operator's code from before is taken, by the new key alone it is not", async () => {
    const { one, two } = await makeDeployment();
    for (const tenant of [one, two]) expect((await askForCode(tenant, env)).status).toBe(202);
    const [first, second] = [await lastCode(one), await lastCode(two)];
    const changing = await deploy(CHANGING);
    const wrong = first === "00000000" ? "00000001" : "00000000";
    expect((await askForCode(one, changing, wrong)).body.code).toBe("invalid_approval_code");
    expect((await askForCode(one, changing, first)).status).toBe(200);
    await walk(changing);
    const after = await deploy(NEW);
    expect((await askForCode(two, after, second)).body.code).toBe("invalid_approval_code");
  });

  test("a code that is mailed now is taken when the old key is gone", async () => {
    const { one } = await makeDeployment();
    const changing = await deploy(CHANGING);
    expect((await askForCode(one, changing)).status).toBe(202);
    await walk(changing);
    expect((await askForCode(one, await deploy(NEW), await lastCode(one))).status).toBe(200);
  });

  test("a decision page that was opened before still decides, by the new key alone it does not", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const id = await hold(box);
    const token = (await mailsTo(ana)).flatMap(({ text }) => findDecisionTokens(text)).at(-1) ?? "";
    const path = `${env.PUBLIC_URL}/v1/approve/${token}`;
    const app = approveRoutes();
    const page = await (await app.request(path, {}, withKeys(OLD))).text();
    const hidden = [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
    const fields = new URLSearchParams(hidden.map(([, name = "", value = ""]) => [name, value]));
    fields.append("decision", "approve");
    const press = (keys: Keys) =>
      app.request(
        path,
        {
          method: "POST",
          body: fields.toString(),
          headers: { "Content-Type": "application/x-www-form-urlencoded", Origin: env.PUBLIC_URL },
        },
        withKeys(keys),
      );
    expect((await press(NEW)).status).toBe(403);
    expect(await status(box, id)).toBe("pending_send_approval");
    expect((await press(CHANGING)).status).toBe(303);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
  });

  test("a page of the console that was opened before still takes its form, by the new key alone it does not", async () => {
    const { one } = await makeDeployment();
    const browser = await signedIn(one.id, one.operator_email);
    const csrf = await browser.csrf();
    const [after, changing] = [withKeys(NEW), withKeys(CHANGING)];
    expect((await browser.post("/console/sign-out", { csrf }, OUR_PAGE, after)).status).toBe(403);
    expect((await browser.post("/console/sign-out", { csrf }, OUR_PAGE, changing)).status).toBe(303);
    expect(browser.cookie).toBeNull();
  });

  test("mail is delivered at every stage, signed with the domain's keys and the tenant's", async () => {
    const { one } = await makeDeployment();
    const [, mailbox] = one.mailboxes;
    if (!mailbox) throw new Error("there is no autonomous mailbox");
    const deliver = async (using: Env, name: string) => {
      const to = somebody(name);
      const json = { to, subject: "Offer", text: "Hello Ana" };
      const options = { key: keyOf(one, "agent"), json, env: using };
      expect((await request(`/v1/mailboxes/${mailbox.id}/send`, options)).status).toBeLessThan(300);
      await inObjectOf(mailbox.id, async (object) => {
        await object.alarm();
        await object.settled();
      });
      const [mail] = await receivedFor(to);
      expect(mail?.raw.match(/^DKIM-Signature:/gim), name).toHaveLength(2);
      expect(mail?.raw, name).toMatch(/^X-MultiMail-Identity: /m);
    };
    await deliver(env, "before");
    const changing = await deploy(CHANGING);
    await deliver(changing, "changing");
    await walk(changing);
    await deliver(changing, "resealed");
    await deliver(await deploy(NEW), "after");
  });
});
