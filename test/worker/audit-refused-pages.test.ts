import { beforeAll, describe, expect, test } from "vitest";
import type { Action } from "../../src/audit/actions.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { asEmailId } from "../../src/ids.ts";
import { addedBy, entriesOfAccount } from "../support/audit-fields.ts";
import { ConsoleBrowser } from "../support/console-client.ts";
import { held } from "../support/console-world.ts";
import { request } from "../support/door-harness.ts";
import {
  AS_APPROVER,
  type Asked,
  ana,
  BY_LINK,
  ben,
  by,
  chosen,
  decision,
  FILE,
  foreign,
  form,
  gatherPeople,
  hiddenIn,
  linkedDecision,
  linkedPage,
  pageOf,
  ROUTES,
  routeOf,
  stranger,
  WALK,
  waiting,
  world,
} from "../support/walked-pages.ts";

/**
 * What people ask of pages and are refused is in the log, too: by the person, and of what is not theirs in their own account alone.
 * Derived from the same routes as `audit-complete-pages.test.ts`.
 */

beforeAll(gatherPeople);

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
  const choosy = ROUTES.filter((route) => / \/console\/(?:queue|items|emails|audit)/.test(route));
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
