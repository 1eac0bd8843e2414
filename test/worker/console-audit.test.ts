import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { RECORDED_REFUSALS } from "../../durable-objects/tenant/accesses.ts";
import type { TenantRpc } from "../../durable-objects/tenant-rpc.ts";
import type { Action } from "../../src/audit/actions.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { openPersonal } from "../../src/audit/sealing.ts";
import { readTrust } from "../../src/audit/trust.ts";
import { type ExportVerdict, ExportVerifier } from "../../src/audit/verify-export.ts";
import { hashConsoleToken } from "../../src/oversight/console-tokens.ts";
import { recordPeople } from "../../src/store/people.ts";
import { advanceTenant, ConsoleBrowser, inTenant, runTenant, signedIn } from "../support/console-client.ts";
import { held, type Overseen, overseenTenant } from "../support/console-world.ts";
import { call } from "../support/door-harness.ts";

/** The account's logs in the console: who gets them, what is in an export, and what is written of it. In a browser: `test/browser/`. */

const SUBJECT = "Secret offer";
const CUSTOMER = "ana@customer.example";

let world: Overseen;
let foreign: Overseen;
let operator: ConsoleBrowser;
let approver: ConsoleBrowser;

beforeAll(async () => {
  [world, foreign] = [await overseenTenant(), await overseenTenant()];
  await held(world, world.sales, { to: CUSTOMER, subject: SUBJECT });
  operator = await signedIn(world.id, world.operator);
  approver = await signedIn(world.id, world.ana);
});

const exportOf = (log: string) => `/console/audit/export?${new URLSearchParams({ log })}`;

async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await response.arrayBuffer());
}

async function exported(log: string, browser = operator): Promise<{ response: Response; text: string }> {
  const response = await browser.get(exportOf(log));
  const text = await textOf(response);
  expect(response.status, text).toBe(200);
  return { response, text };
}

/** Checks an export with nothing but the key that the log publishes. */
async function verified(text: string, log: string): Promise<ExportVerdict> {
  const { body } = await call<{ verifier_key: string }>(`/v1/audit-log/verifier-key?log=${log}`);
  const verifier = new ExportVerifier(readTrust({ keys: body.verifier_key, log }));
  verifier.write(new TextEncoder().encode(text));
  return verifier.end();
}

interface Opened {
  entry: Entry;
  personal: unknown;
}

const exportsOf = (tenantId: string) => entriesOf(tenantId, "audit.exported");
const refusalsOf = (tenantId: string) => entriesOf(tenantId, "access.refused");

/** What an account's log says of one action, the oldest first. */
async function entriesOf(tenantId: string, action: Action): Promise<Opened[]> {
  await runTenant(tenantId);
  const { results } = await env.DB.prepare(
    `SELECT entry, wrapped FROM audit_log LEFT JOIN data_keys ON kid = json_extract(entry, '$.sealed.kid')
     WHERE log = ? AND action = ? ORDER BY seq`,
  )
    .bind(tenantId, action)
    .all<{ entry: string; wrapped: string | null }>();
  return results.map(({ entry: text, wrapped }) => {
    const entry: Entry = JSON.parse(text);
    return { entry, personal: openPersonal(env, entry, wrapped) };
  });
}

/** Makes somebody else the operator; who was it decides from now on, and no more. */
async function replaceOperator({ id, operator: before }: Overseen): Promise<void> {
  await inTenant(id, (object) => {
    object.commit(() => {
      const tenant = object.tenant();
      const confirmed_approvers = [...tenant.confirmed_approvers, before];
      object.saveTenant({ ...tenant, operator_email: "other@people.example", confirmed_approvers });
    });
  });
}

/** What everybody is told who may not have it. */
async function expectNothingHere(response: Response): Promise<void> {
  expect(response.status).toBe(404);
  expect(await response.text()).toContain("There is nothing here");
}

describe("the page of the logs", () => {
  test("lists the account's log and each mailbox's by its address, each to check and to download", async () => {
    const response = await operator.get("/console/audit");
    expect(response.status).toBe(200);
    const page = await response.text();
    for (const { id, address } of [world.sales, world.support, world.legal, world.closed]) {
      expect(page).toContain(address);
      expect(page).toContain(`data-export="${exportOf(id)}" data-log="${id}"`);
      expect(page).toContain(`href="${exportOf(id)}" download`);
    }
    expect(page).toContain(`data-log="${world.id}"`);
    expect(page).toContain('href="/verify-audit"');
    for (const { id, address } of [foreign.sales, foreign.support]) {
      expect(page).not.toContain(address);
      expect(page).not.toContain(id);
    }
  });

  test("says how many entries each has at its newest checkpoint", async () => {
    const { text } = await exported(world.sales.id);
    const size = text.trim().split("\n").length - 1;
    const report = { root: "", origin: "", at: "", checkpoint: "", verifier_key: "", witnesses: 0 };
    await inTenant(world.id, (object) => object.recordCheckpoint({ log: world.sales.id, size, ...report }));
    const page = await (await operator.get("/console/audit")).text();
    expect(page).toContain(`${size} entries at its newest checkpoint`);
    expect(page).toContain("no checkpoint yet");
  });

  test("is on record as seen, by whom; nobody else's try to see it is", async () => {
    const before = (await entriesOf(world.id, "mailboxes.listed")).length;
    await operator.get("/console/audit");
    await approver.get("/console/audit");
    expect((await entriesOf(world.id, "mailboxes.listed")).slice(before)).toMatchObject([
      {
        entry: {
          actor: { type: "human", id: "operator", via: "console" },
          resource: { type: "tenant", id: world.id },
          detail: { results: 4 },
        },
        personal: { person: world.operator },
      },
    ]);
  });

  test("runs the script of /verify-audit alone, which reaches exports here and published keys", async () => {
    const response = await operator.get("/console/audit");
    const policy = (response.headers.get("content-security-policy") ?? "").split("; ");
    for (const directive of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src https://mail.test/console/audit/export https://mail.test/v1/audit-log/verifier-key",
      "require-trusted-types-for 'script'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ]) {
      expect(policy).toContain(directive);
    }
    const [script] = (await response.text()).match(/<script[^>]*>[^<]*/g) ?? [];
    expect(script).toMatch(/^<script type="module" src="\/verify-audit\/verifier\.js\?[0-9a-f]{16}">$/);
    const source = /src="([^"]+)"/.exec(script ?? "")?.[1] ?? "";
    expect((await new ConsoleBrowser().get(source)).headers.get("cache-control")).toContain("immutable");
  });

  test("an account with more mailboxes than a page has shows the rest on the next one", async () => {
    const [first = "", ...rest] = [world.sales, world.support, world.legal, world.closed].map(({ id }) => id).sort();
    const page = await (await operator.get(`/console/audit?after=${first}`)).text();
    expect([...page.matchAll(/data-log="(\w+)"/g)].map(([, log]) => log)).toEqual(rest);
    for (const forged of ["'; DROP", "ten_1", foreign.id]) {
      const all = await (await operator.get(`/console/audit?${new URLSearchParams({ after: forged })}`)).text();
      expect(all).toContain(`data-log="${world.id}"`);
    }
  });

  test("is linked for the operator on every page of the console, and for nobody else", async () => {
    expect(await (await operator.get("/console/queue")).text()).toContain('href="/console/audit"');
    expect(await (await approver.get("/console/queue")).text()).not.toContain("/console/audit");
  });
});

describe("an export", () => {
  test("of a mailbox's log verifies, and has nothing personal in it", async () => {
    const { response, text } = await exported(world.sales.id);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("content-security-policy")).toContain("sandbox");
    expect(response.headers.get("content-disposition")).toMatch(
      new RegExp(`^attachment; filename="${world.sales.id}-0-\\d+\\.ndjson"`),
    );
    expect(await verified(text, world.sales.id)).toMatchObject({ ok: true, log: world.sales.id, opened: 0 });
    for (const personal of [SUBJECT, CUSTOMER, world.operator, world.ana, '"personal"']) {
      expect(text).not.toContain(personal);
    }
  });

  test("of the account's own log verifies, and has nothing personal in it", async () => {
    const { text } = await exported(world.id);
    expect(await verified(text, world.id)).toMatchObject({ ok: true, log: world.id, opened: 0 });
    for (const personal of [world.operator, world.ana, '"personal"']) expect(text).not.toContain(personal);
  });

  test("is an entry of the account's log: the operator, in the console, who they are, and which log", async () => {
    const before = (await exportsOf(world.id)).length;
    await exported(world.sales.id);
    const after = await exportsOf(world.id);
    expect(after).toHaveLength(before + 1);
    expect(after.at(-1)).toMatchObject({
      entry: {
        actor: { type: "human", id: "operator", via: "console" },
        resource: { type: "log", id: world.sales.id },
        detail: { format: "ndjson", opened: false },
      },
      personal: { person: world.operator },
    });
    expect(after.at(-1)?.entry.actor).not.toHaveProperty("key_id");
  });

  test("takes no wish for opened fields", async () => {
    const text = await textOf(await operator.get(`${exportOf(world.sales.id)}&personal=true&format=csv`));
    expect(text).not.toContain(SUBJECT);
    expect(await verified(text, world.sales.id)).toMatchObject({ ok: true, opened: 0 });
  });

  test("begins on a page of ours: another site fills no log with exports", async () => {
    const before = (await exportsOf(world.id)).length;
    for (const site of ["cross-site", "same-site", "none"]) {
      const response = await operator.get(exportOf(world.sales.id), { "Sec-Fetch-Site": site });
      expect(response.status, site).toBe(403);
      expect(await response.text()).toContain("Nothing was exported.");
    }
    expect(await exportsOf(world.id)).toHaveLength(before);
    const own = await operator.get(exportOf(world.sales.id), { "Sec-Fetch-Site": "same-origin" });
    expect(own.status).toBe(200);
    await textOf(own);
  });
});

describe("whoever is not the operator of that account", () => {
  const ways = (): string[] => ["/console/audit", exportOf(world.id), exportOf(world.sales.id)];

  test("an approver finds nothing there; nothing is on record as exported, and no checkpoint made for them", async () => {
    const before = (await exportsOf(world.id)).length;
    for (const way of [...ways(), exportOf(world.legal.id)]) await expectNothingHere(await approver.get(way));
    expect(await exportsOf(world.id)).toHaveLength(before);
    const box: DurableObjectStub = env.MAILBOX.getByName(world.legal.id.slice(-8));
    const made = await runInDurableObject(box, (_object: unknown, { storage }) =>
      storage.sql.exec("SELECT * FROM checkpoints").toArray(),
    );
    expect(made).toEqual([]);
  });

  test("an approver's session is no operator's to the account itself, whatever asks for it", async () => {
    const hash = hashConsoleToken((approver.cookie ?? "").split("=")[1] ?? "");
    const before = (await exportsOf(world.id)).length;
    const found = await inTenant(world.id, async (object) => ({
      session: await object.consoleSession(hash),
      sizes: await object.sizesInSession(hash, [world.id]),
      recorded: await object.recordExportInSession(hash, world.id),
    }));
    expect(found).toMatchObject({ session: { person: world.ana, is_operator: false }, sizes: null, recorded: false });
    expect(await exportsOf(world.id)).toHaveLength(before);
  });

  test("somebody who is not signed in is asked to, and so is who signed out", async () => {
    const left = await signedIn(world.id, world.operator);
    const csrf = await left.csrf();
    const { cookie } = left;
    await left.post("/console/sign-out", { csrf });
    for (const way of ways()) {
      for (const kept of [null, cookie]) {
        const browser = new ConsoleBrowser();
        browser.cookie = kept;
        const response = await browser.get(way);
        expect([response.status, response.headers.get("location")]).toEqual([303, "/console"]);
      }
    }
  });

  test("an account's operator finds no log of another account, whether there is one or not", async () => {
    const before = [(await exportsOf(world.id)).length, (await exportsOf(foreign.id)).length];
    const nobody = `mbx_${"0".repeat(18)}${foreign.sales.id.slice(-8)}`;
    for (const log of [foreign.id, foreign.sales.id, nobody, "mbx_1", "ten_1", "", "../x", `${world.id}'`]) {
      await expectNothingHere(await operator.get(exportOf(log)));
    }
    expect([(await exportsOf(world.id)).length, (await exportsOf(foreign.id)).length]).toEqual(before);
  });

  test("one person who is operator of two accounts gets in each session that account's logs alone", async () => {
    await inTenant(foreign.id, (object) => {
      object.commit(() => object.saveTenant({ ...object.tenant(), operator_email: world.operator }));
    });
    await recordPeople(env.DB, foreign.id, [world.operator]);
    const there = await signedIn(foreign.id, world.operator);
    await exported(foreign.sales.id, there);
    await expectNothingHere(await there.get(exportOf(world.sales.id)));
    await expectNothingHere(await operator.get(exportOf(foreign.sales.id)));
  });

  test("an operator who is none any more finds nothing from that moment on", async () => {
    const own = await overseenTenant();
    const browser = await signedIn(own.id, own.operator);
    expect((await browser.get("/console/audit")).status).toBe(200);
    await replaceOperator(own);
    for (const way of ["/console/audit", exportOf(own.id)]) await expectNothingHere(await browser.get(way));
  });

  test("an operator who is replaced while an export is made for them does not get it", async () => {
    const own = await overseenTenant();
    const browser = await signedIn(own.id, own.operator);
    const getByName = (name: string) =>
      new Proxy(env.TENANT.getByName(name), {
        get:
          (stub, method: keyof TenantRpc) =>
          async (...given: never[]) => {
            if (method === "recordExportInSession") await replaceOperator(own);
            return (stub[method] as (...all: never[]) => Promise<unknown>)(...given);
          },
      });
    const slow = { ...env, TENANT: { ...env.TENANT, getByName } };
    await expectNothingHere(await browser.get(exportOf(own.sales.id), {}, "GET", slow));
    expect(await exportsOf(own.id)).toEqual([]);
  });

  test("nothing of it takes a form, and no API key opens it", async () => {
    for (const path of ["/console/audit", "/console/audit/export"]) {
      const response = await operator.post(path, {});
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
      await response.text();
      const headers = { Authorization: `Bearer ${world.keys.admin}` };
      expect((await new ConsoleBrowser().get(path, headers)).status).toBe(303);
    }
  });
});

describe("what a person in the console finds nothing of", () => {
  test("is on record in their own account: who, which page, and what they asked for, sealed; and nowhere else", async () => {
    const waits = await held(foreign, foreign.sales, { to: CUSTOMER, subject: SUBJECT });
    const tries: [browser: ConsoleBrowser, path: string, operation: string, asked: Record<string, string[]>][] = [
      [approver, "/console/audit", "GET /console/audit", {}],
      [approver, exportOf(world.legal.id), "GET /console/audit/export", { log: [world.legal.id] }],
      [operator, `/console/items/${waits}`, "GET /console/items/:id", { id: [waits] }],
      [operator, `/console/items/${waits}/attachments/0`, "GET /console/items/:id/attachments/:index", { id: [waits] }],
      [operator, "/console/emails/em_1/record", "GET /console/emails/:id/record", { id: ["em_1"] }],
    ];
    const before = [(await refusalsOf(world.id)).length, (await refusalsOf(foreign.id)).length];
    for (const [browser, path] of tries) await expectNothingHere(await browser.get(path));
    const csrf = await operator.csrf();
    await expectNothingHere(await operator.post(`/console/items/${waits}`, { csrf, decision: "reject" }));

    const recorded = (await refusalsOf(world.id)).slice(before[0]);
    const expected = [...tries, [operator, "", "POST /console/items/:id", { id: [waits] }] as const];
    expect(recorded).toMatchObject(
      expected.map(([browser, , operation, asked]) => ({
        entry: {
          actor: { type: "human", id: browser === operator ? "operator" : "approver", via: "console" },
          resource: { type: "tenant", id: world.id },
          detail: { operation, code: "not_found" },
        },
        personal: { asked, person: browser === operator ? world.operator : world.ana },
      })),
    );
    expect(JSON.stringify(recorded.map(({ entry }) => entry))).not.toContain(waits);
    expect(await refusalsOf(foreign.id)).toHaveLength(before[1] ?? 0);
  });

  test("has a hundred entries an hour in each session; how many more there were is said after it", async () => {
    const own = await overseenTenant();
    const browser = await signedIn(own.id, own.ana);
    for (let tried = 0; tried < RECORDED_REFUSALS + 3; tried++) await browser.get("/console/items/pend_1");
    expect(await refusalsOf(own.id)).toHaveLength(RECORDED_REFUSALS);
    const other = await signedIn(own.id, own.operator);
    await expectNothingHere(await other.get("/console/items/pend_1"));
    expect(await refusalsOf(own.id)).toHaveLength(RECORDED_REFUSALS + 1);
    await advanceTenant(own.id, 3600_000);
    expect(await entriesOf(own.id, "access.refusals_left_out")).toMatchObject([
      { entry: { detail: { count: 3 }, resource: { type: "tenant", id: own.id } } },
    ]);
  });

  test("what another site has a browser ask for is no try of its person", async () => {
    const before = (await refusalsOf(world.id)).length;
    const response = await operator.get(exportOf(world.sales.id), { "Sec-Fetch-Site": "cross-site" });
    expect(response.status).toBe(403);
    expect(await refusalsOf(world.id)).toHaveLength(before);
  });

  test("a session that has ended leaves nothing", async () => {
    const before = (await refusalsOf(world.id)).length;
    await inTenant(world.id, (object) =>
      object.recordRefusalInSession("0".repeat(64), { operation: "GET /console/audit", code: "not_found", asked: {} }),
    );
    expect(await refusalsOf(world.id)).toHaveLength(before);
  });
});
