import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Action } from "../../src/audit/actions.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { createApp } from "../../src/doors/app.ts";
import { routerPath } from "../../src/doors/rest.ts";
import { rpcPaths } from "../../src/doors/rpc.ts";
import { WELL_KNOWN_PATHS } from "../../src/doors/well-known.ts";
import type { Env } from "../../src/env.ts";
import { asEmailId } from "../../src/ids.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { findDecisionTokens } from "../../src/oversight/decision-links.ts";
import { mailsTo } from "../support/approvals.ts";
import { addedBy, entriesOfAccount, type OpenedEntry } from "../support/audit-fields.ts";
import { askForLink, ConsoleBrowser, OUR_PAGE, runTenant, signedIn } from "../support/console-client.ts";
import { held, mailboxOf, type Overseen, overseenTenant } from "../support/console-world.ts";
import { type CallOptions, request } from "../support/door-harness.ts";
import { runAlarm } from "../support/mailbox-harness.ts";
import { mailed, ONE_CLICK } from "../support/unsubscribe-links.ts";

/**
 * Everything is in the log, also what people do on pages: each page that is opened and each form that is sent leaves an entry by
 * the person. Derived from the routes that the worker serves; `audit-complete.test.ts` does the same for the operations.
 */

const FORM = "application/x-www-form-urlencoded";
const FILE = { name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" };

let world: Overseen;
let foreign: Overseen;
let operator: ConsoleBrowser;
let ana: ConsoleBrowser;
let ben: ConsoleBrowser;
let stranger: ConsoleBrowser;

beforeAll(async () => {
  [world, foreign] = [await overseenTenant(), await overseenTenant()];
  operator = await signedIn(world.id, world.operator);
  ana = await signedIn(world.id, world.ana);
  ben = await signedIn(world.id, world.ben);
  stranger = await signedIn(foreign.id, foreign.operator);
});

/** A request that a browser or a mail program makes. */
interface Asked {
  path: string;
  options?: CallOptions;
}

function by({ cookie }: ConsoleBrowser, path: string): Asked {
  return { path, options: { headers: cookie === null ? {} : { Cookie: cookie } } };
}

/** A form of that browser's, as our page sends it. */
function form({ cookie }: ConsoleBrowser, path: string, fields: Record<string, string>): Asked {
  const headers = { ...OUR_PAGE, "Content-Type": FORM, ...(cookie !== null && { Cookie: cookie }) };
  return { path, options: { raw: new URLSearchParams(fields).toString(), headers } };
}

/** What the form of a page has in its hidden fields. */
function hiddenIn(page: string): Record<string, string> {
  const hidden = page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g);
  return Object.fromEntries([...hidden].map(([, name = "", value = ""]) => [name, value]));
}

async function pageOf({ path, options }: Asked): Promise<string> {
  return (await request(path, options)).text();
}

/** An item that waits for Ana, with a file. */
function waiting(): Promise<string> {
  return held(world, world.sales, { attachments: [FILE] });
}

/** What decides on an item, as its page would send it. */
async function decision(browser: ConsoleBrowser, id: string, fields: Record<string, string> = {}): Promise<Asked> {
  const path = `/console/items/${id}`;
  return form(browser, path, { ...hiddenIn(await pageOf(by(browser, path))), decision: "reject", ...fields });
}

/** The queue's form, with one item chosen. */
async function chosen(browser: ConsoleBrowser, id: string, decision = "approve"): Promise<Asked> {
  const { csrf = "", content_hash } = hiddenIn(await pageOf(by(browser, `/console/items/${id}`)));
  return form(browser, "/console/queue", { csrf, item: `${id}.${content_hash}`, decision });
}

/** The page of the link that Ana was mailed for an item. */
async function linkedPage(id: string): Promise<string> {
  await runAlarm({ stub: mailboxOf(id) as never });
  const token = (await mailsTo(world.ana)).flatMap(({ text }) => findDecisionTokens(text)).at(-1);
  if (token === undefined) throw new Error("no link was mailed");
  return `/v1/approve/${token}`;
}

/** What decides by a link, as its page would send it. */
async function linkedDecision(path: string): Promise<Asked> {
  return form(new ConsoleBrowser(), path, { ...hiddenIn(await pageOf({ path })), decision: "reject" });
}

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

const AS_OPERATOR = { id: "operator", via: "console" } as const;
const AS_APPROVER = { id: "approver", via: "console" } as const;
const BY_LINK = { id: "approver", via: "link" } as const;
const AS_RECIPIENT = { id: "recipient", via: "link" } as const;

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

/** What is no page of people's: operations have their own walk, and so has the set-up door. */
const OPERATION_ROUTES: ReadonlySet<string> = new Set([
  ...OPERATIONS.flatMap(({ name, rest }) => [
    ...rpcPaths(name).map((path) => `POST ${path}`),
    ...rest.map(({ method, path }) => `${method} ${routerPath(path)}`),
  ]),
  ...["/health", "/v1/openapi.json", "/docs", ...WELL_KNOWN_PATHS].map((path) => `GET ${path}`),
  ...["POST /setup", "POST /setup/reseal"],
]);

const ROUTES = [
  ...new Set(
    createApp({ now: Date.now })
      .routes.filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path}`),
  ),
].filter((route) => !OPERATION_ROUTES.has(route));

/** Each route as it is asked: what answers GET answers HEAD, too. */
const WALK = ROUTES.flatMap((route) =>
  route.startsWith("GET ") ? [route, `HEAD ${route.slice("GET ".length)}`] : [route],
);

function routeOf(asked: string): string {
  return asked.replace(/^HEAD /, "GET ");
}

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

/** What a page is asked for by somebody whom it is not for. */
const REFUSED: Readonly<Record<string, (id: string, browser: ConsoleBrowser) => Promise<Asked> | Asked>> = {
  "POST /console/queue": async (id, browser) => {
    const csrf = await browser.csrf();
    return form(browser, "/console/queue", { csrf, item: `${id}.${"0".repeat(64)}`, decision: "approve" });
  },
  "GET /console/items/:id": (id, browser) => by(browser, `/console/items/${id}`),
  "POST /console/items/:id": async (id, browser) => {
    const csrf = await browser.csrf();
    return form(browser, `/console/items/${id}`, { csrf, content_hash: "0".repeat(64), decision: "approve" });
  },
  "GET /console/items/:id/attachments/:index": (id, browser) => by(browser, `/console/items/${id}/attachments/0`),
  "GET /console/emails/:id/record": (id, browser) => by(browser, `/console/emails/${asEmailId(id)}/record`),
  "GET /console/audit": (_id, browser) => by(browser, "/console/audit"),
  "GET /console/audit/export": (_id, browser) => by(browser, `/console/audit/export?log=${world.sales.id}`),
};

/** What the operator alone sees is theirs in any account; an export of another's log is not. */
const FOR_ANY_OPERATOR = new Set(["GET /console/audit"]);

test("each page of the console that is for some people and not for others is walked", () => {
  const choosy = Object.keys(RECORDED).filter((route) => / \/console\/(?:queue|items|emails|audit)/.test(route));
  expect(Object.keys(REFUSED).toSorted()).toEqual(choosy.filter((route) => route !== "GET /console/queue").toSorted());
});

describe.each(WALK.filter((asked) => routeOf(asked) in REFUSED))("%s", (asked) => {
  const people = [
    { what: "in another account", who: () => stranger, account: () => foreign, person: () => foreign.operator },
    { what: "without a seat there", who: () => ben, account: () => world, person: () => world.ben },
  ];

  test.each(people.filter(({ what }) => what !== "in another account" || !FOR_ANY_OPERATOR.has(routeOf(asked))))(
    "for whoever is $what is refused, and that is an entry of their own account alone",
    async (one) => {
      const id = await waiting();
      const { path, options } = await (REFUSED[routeOf(asked)] as (typeof REFUSED)[string])(id, one.who());
      const others = one.account() === world ? foreign : world;
      const before = await entriesOfAccount(others.id);
      const { result: answer, added } = await addedBy(one.account().id, () =>
        request(path, { ...options, ...(asked.startsWith("HEAD ") && { method: "HEAD" }) }),
      );
      // Of many items each has its own answer, on a page that is there.
      expect(answer.status).toBe(asked === "POST /console/queue" ? 200 : 404);
      expect(await answer.text()).not.toContain("Offer");
      expect(added).toMatchObject([
        {
          log: one.account().id,
          action: "access.refused",
          actor: { type: "human", via: "console" },
          detail: { operation: asked, code: "not_found" },
          personal: { person: one.person() },
        },
      ]);
      if (asked.includes(":id")) expect(JSON.stringify(added[0]?.personal)).toContain(id.slice("pend_".length));
      expect(await entriesOfAccount(others.id)).toEqual(before);
    },
  );
});

/** A decision that is not taken: what was tried, and what the mailbox's log says of it by whom. */
interface NotTaken {
  what: string;
  ask: () => Promise<Asked>;
  status: 200 | 409 | 422;
  actor: Pick<Entry["actor"], "id" | "via">;
  left: { action: Action; detail: object }[];
}

/** Each is shown the page as it stands now, where there is one. */
const READ_AGAIN = { action: "pending.read", detail: {} } as const;

const sessionRefused = (code: string, state = "refused") => ({
  action: "session.refused" as const,
  detail: { state, code },
});

/** An item that Ana approved already, and Ben must too. */
async function approvedByAna(): Promise<string> {
  const id = await held(world, world.legal);
  const { path, options } = await decision(ana, id, { decision: "approve" });
  expect((await request(path, options)).status).toBe(303);
  return id;
}

/** Sends a form that decides. @returns the same form, to be sent again. */
async function sentOnce(asked: Asked): Promise<Asked> {
  expect((await request(asked.path, asked.options)).status).toBeLessThan(400);
  return asked;
}

const NOT_TAKEN: NotTaken[] = [
  {
    what: "of what is decided already",
    ask: async () => sentOnce(await decision(ana, await waiting())),
    status: 409,
    actor: AS_APPROVER,
    left: [sessionRefused("already_decided", "decided")],
  },
  {
    what: "of other words than stand there",
    ask: async () => decision(ana, await waiting(), { content_hash: "0".repeat(64) }),
    status: 409,
    actor: AS_APPROVER,
    left: [sessionRefused("content_changed"), READ_AGAIN],
  },
  {
    what: "of what they approved already, and others must too",
    ask: async () => decision(ana, await approvedByAna(), { decision: "approve" }),
    status: 409,
    actor: AS_APPROVER,
    left: [sessionRefused("already_decided"), READ_AGAIN],
  },
  {
    what: "without a choice",
    ask: async () => decision(ana, await waiting(), { decision: "" }),
    status: 422,
    actor: AS_APPROVER,
    left: [READ_AGAIN],
  },
  {
    what: "among others of what is decided already",
    ask: async () => sentOnce(await chosen(ana, await waiting())),
    status: 200,
    actor: AS_APPROVER,
    left: [sessionRefused("already_decided", "decided")],
  },
  {
    what: "among others of what they approved already",
    ask: async () => sentOnce(await chosen(ana, await held(world, world.legal))),
    status: 200,
    actor: AS_APPROVER,
    left: [sessionRefused("already_decided")],
  },
  {
    what: "among others of what must be opened first",
    ask: async () => chosen(ana, await held(world, world.sales, { attachments: [{ ...FILE, name: "offer.pdf.exe" }] })),
    status: 200,
    actor: AS_APPROVER,
    left: [sessionRefused("content_not_seen")],
  },
  {
    what: "by a link of what is decided already",
    ask: async () => sentOnce(await linkedDecision(await linkedPage(await waiting()))),
    status: 409,
    actor: BY_LINK,
    left: [{ action: "link.refused", detail: { state: "decided", code: null } }],
  },
  {
    what: "by a link that was opened more often than has entries",
    async ask() {
      const asked = await sentOnce(await linkedDecision(await linkedPage(await waiting())));
      for (let opened = 0; opened < 25; opened++) await pageOf({ path: asked.path });
      return asked;
    },
    status: 409,
    actor: BY_LINK,
    left: [{ action: "link.refused", detail: { state: "decided", code: null } }],
  },
  {
    what: "by a link of what they approved already, and others must too",
    async ask() {
      const path = await linkedPage(await held(world, world.legal));
      const approve = async () =>
        form(new ConsoleBrowser(), path, { ...hiddenIn(await pageOf({ path })), decision: "approve" });
      return sentOnce(await approve());
    },
    status: 409,
    actor: BY_LINK,
    left: [
      { action: "link.opened", detail: { state: "open" } },
      { action: "link.refused", detail: { state: "open", code: "already_decided" } },
    ],
  },
];

test.each(NOT_TAKEN)("a decision $what is not taken, and that is an entry", async ({ ask, status, actor, left }) => {
  const { path, options } = await ask();
  const { result: answer, added } = await addedBy(world.id, () => request(path, options));
  expect(answer.status).toBe(status);
  expect(added).toMatchObject(
    left.map((entry) => ({ ...entry, actor: { type: "human", ...actor }, personal: { person: world.ana } })),
  );
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
