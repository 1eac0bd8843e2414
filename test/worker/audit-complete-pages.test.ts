import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Action } from "../../src/audit/actions.ts";
import type { Entry } from "../../src/audit/entry.ts";
import type { Env } from "../../src/env.ts";
import { asEmailId } from "../../src/ids.ts";
import { addedBy, entriesOfAccount, type OpenedEntry } from "../support/audit-fields.ts";
import { askForLink, ConsoleBrowser, runTenant, signedIn } from "../support/console-client.ts";
import { request } from "../support/door-harness.ts";
import { mailed, ONE_CLICK } from "../support/unsubscribe-links.ts";
import {
  AS_APPROVER,
  AS_OPERATOR,
  AS_RECIPIENT,
  type Asked,
  ana,
  BY_LINK,
  by,
  chosen,
  decision,
  foreign,
  form,
  gatherPeople,
  linkedDecision,
  linkedPage,
  operator,
  pageOf,
  ROUTES,
  routeOf,
  stranger,
  WALK,
  waiting,
  world,
} from "../support/walked-pages.ts";

/**
 * Everything is in the log, also what people do on pages: each page that is opened and each form that is sent leaves an entry by
 * the person. Derived from the routes that the worker serves; `audit-complete.test.ts` does the same for the operations.
 */

beforeAll(gatherPeople);

/** What a page must leave when it is served. */
interface Recorded {
  /** Prepares what it needs. `account`: where it must be an entry, if that is not the world's; `who`: the person. */
  ask: () => Promise<Asked & { account?: string; who?: string }>;
  actions: Action[];
  actor: Pick<Entry["actor"], "id" | "via">;
  /** HEAD tells less, and may say so. */
  onHead?: Action[];
  /** Why it is recorded after its answer, and what is waited for. */
  later?: { reason: string; wait: () => Promise<void> };
}

const RECORDED: Readonly<Record<string, Recorded>> = {
  "POST /console/sign-in": {
    async ask() {
      return { ...form(new ConsoleBrowser(), "/console/sign-in", { address: world.ben }), who: world.ben };
    },
    actions: ["console.link_sent"],
    actor: AS_APPROVER,
    later: {
      reason: "neither its words nor its time tell whether the address oversees anything; the entry is of the mail",
      wait: () => runTenant(world.id),
    },
  },
  "POST /console/enter/:token": {
    async ask() {
      const browser = new ConsoleBrowser();
      return { ...form(browser, await askForLink(world.id, world.operator, browser), {}), who: world.operator };
    },
    actions: ["console.signed_in"],
    actor: AS_OPERATOR,
  },
  "POST /console/sign-out": {
    async ask() {
      const browser = await signedIn(world.id, world.operator);
      return { ...form(browser, "/console/sign-out", { csrf: await browser.csrf() }), who: world.operator };
    },
    actions: ["console.signed_out"],
    actor: AS_OPERATOR,
  },
  "GET /console/queue": {
    async ask() {
      await waiting();
      return by(ana, "/console/queue");
    },
    actions: ["pending.listed", "pending.read"],
    actor: AS_APPROVER,
  },
  "POST /console/queue": {
    ask: async () => chosen(ana, await waiting()),
    actions: ["decision.approved"],
    actor: AS_APPROVER,
  },
  "GET /console/items/:id": {
    ask: async () => by(ana, `/console/items/${await waiting()}`),
    actions: ["pending.read"],
    actor: AS_APPROVER,
  },
  "POST /console/items/:id": {
    ask: async () => decision(ana, await waiting()),
    actions: ["decision.rejected"],
    actor: AS_APPROVER,
  },
  "GET /console/items/:id/attachments/:index": {
    ask: async () => by(ana, `/console/items/${await waiting()}/attachments/0`),
    actions: ["attachment.downloaded"],
    onHead: ["pending.read"],
    actor: AS_APPROVER,
  },
  "GET /console/emails/:id/record": {
    ask: async () => by(ana, `/console/emails/${asEmailId(await waiting())}/record`),
    actions: ["message.record_read"],
    actor: AS_APPROVER,
  },
  "GET /console/audit": {
    ask: async () => ({ ...by(operator, "/console/audit"), who: world.operator }),
    actions: ["mailboxes.listed"],
    actor: AS_OPERATOR,
  },
  "GET /console/audit/export": {
    ask: async () => ({ ...by(operator, `/console/audit/export?log=${world.sales.id}`), who: world.operator }),
    actions: ["audit.exported"],
    actor: AS_OPERATOR,
  },
  "GET /v1/approve/:token": {
    ask: async () => ({ path: await linkedPage(await waiting()) }),
    actions: ["link.opened"],
    actor: BY_LINK,
  },
  "POST /v1/approve/:token": {
    ask: async () => linkedDecision(await linkedPage(await waiting())),
    actions: ["decision.rejected"],
    actor: BY_LINK,
  },
  "GET /v1/approve/:token/attachments/:index": {
    ask: async () => ({ path: `${await linkedPage(await waiting())}/attachments/0` }),
    actions: ["attachment.downloaded"],
    onHead: ["link.opened"],
    actor: BY_LINK,
  },
  "GET /v1/unsubscribe/:token": {
    async ask() {
      const { box, ana: recipient, path } = await mailed();
      return { path, account: box.mailbox.tenant_id, who: recipient.address };
    },
    actions: ["unsubscribe.opened"],
    actor: AS_RECIPIENT,
  },
  "POST /v1/unsubscribe/:token": {
    async ask() {
      const { box, ana: recipient, path } = await mailed();
      return { path, options: ONE_CLICK, account: box.mailbox.tenant_id, who: recipient.address };
    },
    actions: ["message.unsubscribed"],
    actor: AS_RECIPIENT,
  },
};

/** What reads nothing of any account, and leaves nothing. */
const EXCEPTIONS: Readonly<Record<string, { reason: string; ask: () => Promise<string> | string }>> = {
  "GET /console": {
    reason: "asks for an address, or leads whoever is signed in to the queue",
    ask: () => "/console",
  },
  "GET /console/": { reason: "leads to the same page, under its own name", ask: () => "/console/" },
  "GET /console/sent": { reason: "is the same for every address", ask: () => "/console/sent" },
  "GET /console/enter/:token": {
    reason: "shows a button and asks no account whether the link works: scanners follow links",
    ask: () => askForLink(foreign.id, foreign.ana),
  },
  "GET /verify": { reason: "is the same for everybody; the check is made in the browser", ask: () => "/verify" },
  "GET /verify/verifier.js": { reason: "is the page's script", ask: () => "/verify/verifier.js" },
  "GET /verify-audit": {
    reason: "is the same for everybody; the check is made in the browser",
    ask: () => "/verify-audit",
  },
  "GET /verify-audit/verifier.js": { reason: "is the page's script", ask: () => "/verify-audit/verifier.js" },
};

test("each page is in one of the tables, and no table has one that is gone", () => {
  expect([...Object.keys(RECORDED), ...Object.keys(EXCEPTIONS)].toSorted()).toEqual(ROUTES.toSorted());
});

/** Longer than a worker goes on by itself once it has its answer. */
const LATE = 30;

/** Objects whose answers come late. `underWay`: how many calls nobody has waited for. */
function slowObjects(): { slow: Env; underWay: () => number } {
  let calls = 0;
  const slowly = <Stub extends DurableObjectStub>(stub: Stub): Stub =>
    new Proxy(stub, {
      get:
        (_stub, method) =>
        async (...given: never[]) => {
          calls += 1;
          const answer = await (stub[method as keyof Stub] as (...all: never[]) => Promise<unknown>)(...given);
          await new Promise((resume) => setTimeout(resume, LATE));
          calls -= 1;
          return answer;
        },
    });
  const getTenant = env.TENANT.getByName.bind(env.TENANT);
  const getMailbox = env.MAILBOX.getByName.bind(env.MAILBOX);
  const TENANT = { ...env.TENANT, getByName: (name: string) => slowly(getTenant(name)) };
  const MAILBOX = { ...env.MAILBOX, getByName: (name: string) => slowly(getMailbox(name)) };
  return { slow: { ...env, TENANT, MAILBOX }, underWay: () => calls };
}

function sealedIn({ personal }: OpenedEntry): unknown[] {
  return Object.values(personal ?? {});
}

describe.each(WALK.filter((asked) => routeOf(asked) in RECORDED))("%s", (asked) => {
  const { ask, actions, onHead, actor, later } = RECORDED[routeOf(asked)] as Recorded;
  const isHead = asked.startsWith("HEAD ");

  test("leaves an entry by the person, before its answer", async () => {
    const { path, options, account = world.id, who = world.ana } = await ask();
    const context = createExecutionContext();
    const afterwards = vi.spyOn(context, "waitUntil");
    const { slow, underWay } = slowObjects();
    const { result: answer, added } = await addedBy(account, async () => {
      const given = await request(path, { ...options, context, env: slow, ...(isHead && { method: "HEAD" }) });
      if (!later) expect([underWay(), afterwards.mock.calls], "something is done after the answer").toEqual([0, []]);
      await given.text();
      await later?.wait();
      return given;
    });
    expect(answer.status, asked).toBeLessThan(400);
    const own = added.filter(
      ({ actor: { type, id, via } }) => type === "human" && id === actor.id && via === actor.via,
    );
    const expected = isHead && onHead ? onHead : actions;
    expect(
      own.map(({ action }) => action),
      `${asked} left ${added.map(({ action }) => action).join(", ") || "nothing"}`,
    ).toEqual(expect.arrayContaining(expected));
    for (const entry of own.filter(({ action }) => expected.includes(action as Action))) {
      expect(sealedIn(entry), `${entry.action} does not say who it was`).toContain(who);
      // An account has no mode; a mailbox always has one.
      expect(entry.mode === null).toBe(entry.log === account);
    }
  });
});

describe.each(WALK.filter((asked) => routeOf(asked) in EXCEPTIONS))("%s", (asked) => {
  const { reason, ask } = EXCEPTIONS[routeOf(asked)] as (typeof EXCEPTIONS)[string];

  test(`leaves nothing: it ${reason}`, async () => {
    const path = await ask();
    const accounts = [world.id, foreign.id];
    const before = await Promise.all(accounts.map(entriesOfAccount));
    for (const browser of [new ConsoleBrowser(), ana]) {
      const asking = by(browser, path);
      const answer = await request(path, { ...asking.options, method: asked.split(" ")[0] ?? "" });
      expect(answer.status).toBeLessThan(400);
      await answer.text();
    }
    expect(await Promise.all(accounts.map(entriesOfAccount))).toEqual(before);
  });
});

test("an empty queue, and one in which a search finds nothing, was looked at", async () => {
  for (const path of ["/console/queue", "/console/queue?agent=nobody", "/console/queue?mailbox=nobody@agents.test"]) {
    const asked = by(stranger, path);
    const { added } = await addedBy(foreign.id, async () => pageOf(asked));
    expect(added, path).toMatchObject([
      { action: "pending.listed", log: foreign.id, detail: { results: 0 }, personal: { person: foreign.operator } },
    ]);
  }
});
