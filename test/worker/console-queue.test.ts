import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { MailboxRpc } from "../../durable-objects/mailbox-rpc.ts";
import type { Env } from "../../src/env.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { type Decision, PENDING_KINDS } from "../../src/operations/shapes/pending.ts";
import { type ConsoleBrowser, inTenant, OUR_PAGE, secretIn, signedIn } from "../support/console-client.ts";
import {
  agentOf,
  held,
  mailboxOf,
  type Overseen,
  overseenTenant,
  picksOn,
  statusOf,
} from "../support/console-world.ts";
import { call } from "../support/door-harness.ts";
import { caller } from "../support/mailbox-harness.ts";

/** What waits for a person, and what becomes of it when they decide about many at once. */

const PROGRAM = { name: "invoice.pdf.exe", content_base64: "TVo=", content_type: "application/x-msdownload" };

async function pageOf(browser: ConsoleBrowser, query = ""): Promise<string> {
  const answer = await browser.get(`/console/queue${query}`);
  expect(answer.status).toBe(200);
  return answer.text();
}

async function idsOn(browser: ConsoleBrowser, query = ""): Promise<string[]> {
  return [...picksOn(await pageOf(browser, query)).keys()];
}

/** Decides about these items as the page shows them. @returns what the result page says of each, by its id or title. */
async function together(
  browser: ConsoleBrowser,
  decision: string,
  ids: readonly string[],
  more: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const page = await pageOf(browser);
  const picks = picksOn(page);
  const fields = [
    ["csrf", secretIn(page)],
    ["decision", decision],
    ...ids.map((id) => ["item", picks.get(id) ?? `${id}.${"0".repeat(64)}`]),
    ...Object.entries(more),
  ] as [string, string][];
  const answer = await browser.post("/console/queue", fields);
  return { status: answer.status, text: (await answer.text()).replace(/<\/?bdi>/g, "") };
}

/** The results of a page, as `<what it is called>: <title>`. */
function results(page: string): string[] {
  return [...page.matchAll(/<li><span>(.*?)<\/span><span><b class="\w+"><svg.*?<\/svg>(.*?)<\/b>/gs)].map(
    ([, called = "", title]) => `${called.replace(/<[^>]*>/g, "").trim()}: ${title}`,
  );
}

/** The entries about decisions in a mailbox. */
async function decisions(mailbox: Mailbox): Promise<{ resource: string; action: string; actor: unknown }[]> {
  const { results: rows } = await env.DB.prepare(
    "SELECT entry FROM audit_log WHERE log = ? AND action LIKE 'decision.%' ORDER BY seq",
  )
    .bind(mailbox.id)
    .all<{ entry: string }>();
  return rows.map(({ entry }) => {
    const { resource, action, actor } = JSON.parse(entry);
    return { resource: resource.id, action, actor };
  });
}

describe("the queue", () => {
  let world: Overseen;
  let ana: ConsoleBrowser;
  let ben: ConsoleBrowser;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    world = await overseenTenant();
    ids.sales = await held(world, world.sales, {
      subject: "From sales <b>now</b>",
      agent_id: "seller",
      to: "a@one.example",
    });
    ids.support = await held(world, world.support, { subject: "From support", to: ["b@two.example", "c@one.example"] });
    ids.legal = await held(world, world.legal, { subject: "From legal", agent_id: "lawyer" });
    const asked = await call<{ pending_id: string }>(`/v1/mailboxes/${world.closed.id}/emails?q=secret`, {
      key: world.keys.agent ?? null,
    });
    expect(asked.status).toBe(202);
    ids.query = asked.body.pending_id;
    [ana, ben] = await Promise.all([signedIn(world.id, world.ana), signedIn(world.id, world.ben)]);
  });

  test("shows each person what they may decide, over all mailboxes, the oldest first", async () => {
    expect(await idsOn(ana)).toEqual([ids.sales, ids.legal, ids.query]);
    expect(await idsOn(ben)).toEqual([ids.support, ids.legal]);
  });

  test("the operator, who has no seat where others decide, sees nothing of it", async () => {
    expect(await idsOn(await signedIn(world.id, world.operator))).toEqual([]);
  });

  test("another tenant's people see nothing of it", async () => {
    const other = await overseenTenant();
    for (const person of [other.ana, other.ben, other.operator]) {
      expect(await idsOn(await signedIn(other.id, person))).toEqual([]);
    }
  });

  test("each row says what it is, why it waits and how far it is; someone else's words are text", async () => {
    const page = (await pageOf(ana)).replace(/<\/?bdi>/g, "");
    expect(page).toContain("From sales &lt;b&gt;now&lt;/b&gt;");
    expect(page).toContain("a@one.example");
    expect(page).toContain("0 of 2 approvals");
    expect(page).toMatch(/Ends in <time[^>]*>\d+ days/);
    expect(page).toContain("See a list of messages in the mailbox");
    expect(page).toContain(`href="/console/items/${ids.legal}"`);
  });

  const filters: [string, () => string, string[]][] = [
    ["a mailbox", () => `mailbox=${encodeURIComponent(world.sales.address)}`, ["sales"]],
    ["a mailbox in capitals", () => `mailbox=${encodeURIComponent(world.sales.address.toUpperCase())}`, ["sales"]],
    ["a mailbox that is none", () => "mailbox=nobody%40agents.test", []],
    ["a kind", () => "kind=read", ["query"]],
    ["messages", () => "kind=send", ["sales", "legal"]],
    ["an agent", () => "agent=lawyer", ["legal"]],
    ["a recipient's domain", () => "domain=one.example", ["sales"]],
    ["a domain that only ends alike", () => "domain=ne.example", []],
    ["a rule", () => "rule=mode+gated_send", ["sales", "legal"]],
    ["every mode", () => "rule=mode", ["sales", "legal", "query"]],
    ["what has waited an hour", () => "older=hour", []],
    ["two conditions", () => "kind=send&agent=seller", ["sales"]],
    ["words that it does not know", () => "color=red", ["sales", "legal", "query"]],
  ];
  test.each(filters)("filtered by %s", async (_what, query, expected) => {
    expect(await idsOn(ana, `?${query()}`)).toEqual(expected.map((name) => ids[name]));
  });

  test.each(["kind=letter", "older=century", "older=constructor", "after=em_1", "after=%00"])(
    "a filter that cannot be (%s) is told, and shows nothing",
    async (query) => {
      const answer = await ana.get(`/console/queue?${query}`);
      expect(answer.status).toBe(422);
      expect(picksOn(await answer.text()).size).toBe(0);
    },
  );

  test("selecting all on the page checks every box, by a link that decides nothing", async () => {
    const page = await pageOf(ana, "?select=page");
    expect(page.match(/type="checkbox"[^>]*checked/g)).toHaveLength(3);
    expect((await pageOf(ana)).match(/type="checkbox"[^>]*checked/g)).toBeNull();
    expect(await statusOf(world, ids.sales ?? "")).toBe("pending_send_approval");
  });

  test("GET and HEAD decide nothing, whatever they carry", async () => {
    const page = await pageOf(ana);
    const [pick = ""] = picksOn(page).values();
    const query = new URLSearchParams({ csrf: secretIn(page), decision: "approve", item: pick });
    for (const method of ["GET", "HEAD"]) {
      await ana.get(`/console/queue?${query}`, {}, method);
      await ana.get(`/console/items/${ids.sales}?${query}`, {}, method);
    }
    expect(await statusOf(world, ids.sales ?? "")).toBe("pending_send_approval");
  });

  test("names every kind of item", async () => {
    const page = await pageOf(ana);
    for (const kind of PENDING_KINDS) expect(page).toContain(`<option value="${kind}">`);
  });
});

test("a long queue comes page by page, nothing twice and nothing left out", async () => {
  const world = await overseenTenant();
  const ids: string[] = [];
  for (let i = 0; i < 23; i++) {
    ids.push(await held(world, world.sales));
    // What is not for Ana stands between.
    if (i % 3 === 0) await held(world, world.support);
  }
  const ana = await signedIn(world.id, world.ana);
  const seen: string[] = [];
  let query = "";
  for (let pages = 0; pages < 5; pages++) {
    const page = await pageOf(ana, query);
    seen.push(...picksOn(page).keys());
    const next = /href="\/console\/queue(\?after=[^"]+)">Next page/.exec(page)?.[1];
    if (next === undefined) break;
    query = next;
  }
  expect(seen).toEqual(ids);
});

describe("deciding about many", () => {
  test("approves each by itself: its own decision, its own entry, its own words", async () => {
    const world = await overseenTenant();
    const ids = [
      await held(world, world.sales, { subject: "One" }),
      await held(world, world.sales, { subject: "Two" }),
    ];
    const left = await held(world, world.sales, { subject: "Three" });
    const ana = await signedIn(world.id, world.ana);
    const { status, text } = await together(ana, "approve", ids, { note: "Fine." });
    expect(status).toBe(200);
    expect(results(text)).toEqual(["One: Approved", "Two: Approved"]);
    for (const id of ids) expect(["queued", "sending", "sent"]).toContain(await statusOf(world, id));
    expect(await statusOf(world, left)).toBe("pending_send_approval");
    await runDurableObjectAlarm(env.MAILBOX.getByName(world.sales.id.slice(-8)));
    const made = await decisions(world.sales);
    expect(made.map(({ resource }) => resource.replace("em_", "pend_")).sort()).toEqual([...ids].sort());
    for (const { action, actor } of made) {
      expect(action).toBe("decision.approved");
      expect(actor).toMatchObject({ type: "human", via: "console" });
    }
  });

  test("rejects each with the note, which the agent reads", async () => {
    const world = await overseenTenant();
    const ids = [await held(world, world.sales), await held(world, world.sales, { attachments: [PROGRAM] })];
    const ana = await signedIn(world.id, world.ana);
    const { text } = await together(ana, "reject", ids, { note: "Not today." });
    expect(results(text)).toEqual(["Offer: Rejected", "Offer: Rejected"]);
    for (const id of ids) {
      const { body } = await call<{ status: string; decision_reason: string }>(`/v1/oversight/pending/${id}`, {
        key: world.keys.agent ?? null,
      });
      expect(body).toMatchObject({ status: "rejected", decision_reason: "Not today." });
    }
  });

  test("where two are needed, the first approval counts and the second lets it through", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.legal);
    const [ana, ben] = [await signedIn(world.id, world.ana), await signedIn(world.id, world.ben)];
    expect(results((await together(ana, "approve", [id])).text)).toEqual(["Offer: Approved; others are needed"]);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
    expect(results((await together(ana, "approve", [id])).text)).toEqual(["Offer: Decided already"]);
    expect(await pageOf(ben)).toContain("1 of 2 approvals");
    expect(results((await together(ben, "approve", [id])).text)).toEqual(["Offer: Approved"]);
    expect(await statusOf(world, id)).not.toBe("pending_send_approval");
  });

  test("what looks made to mislead, or has a high risk, is not approved unopened; the others are", async () => {
    const world = await overseenTenant();
    const plain = await held(world, world.sales, { subject: "Plain" });
    const program = await held(world, world.sales, { subject: "Program", attachments: [PROGRAM] });
    const ana = await signedIn(world.id, world.ana);
    expect(await pageOf(ana)).toContain("Open it first");
    const { text } = await together(ana, "approve", [program, plain]);
    expect(results(text)).toEqual(["Program: Must be opened", "Plain: Approved"]);
    expect(await statusOf(world, program)).toBe("pending_send_approval");
    expect(text).toContain(`href="/console/items/${program}"`);
  });

  test("what changed between the page and the press is not decided; the others are", async () => {
    const world = await overseenTenant();
    const [changed, same] = [await held(world, world.sales, { subject: "Before" }), await held(world, world.sales)];
    const ana = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const picks = picksOn(page);
    const edited = await mailboxOf(changed).edit(await agentOf(world), changed, { subject: "After" });
    expect(edited.ok, JSON.stringify(edited)).toBe(true);
    const answer = await ana.post("/console/queue", [
      ["csrf", secretIn(page)],
      ["decision", "approve"],
      ["item", picks.get(changed) ?? ""],
      ["item", picks.get(same) ?? ""],
    ]);
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual([
      "After: Changed meanwhile",
      "Offer: Approved",
    ]);
    expect(await statusOf(world, changed)).toBe("pending_send_approval");
  });

  test("what another decided first is told, with who it was", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.support);
    const ben = await signedIn(world.id, world.ben);
    const page = await pageOf(ben);
    await call<Decision>("/v1/oversight/pending", { key: world.keys.overseer ?? null });
    const decided = await call<Decision>("/v1/oversight/decide", {
      key: world.keys.overseer ?? null,
      json: { email_id: id, decision: "reject" },
    });
    expect(decided.status, JSON.stringify(decided.body)).toBe(200);
    const answer = await ben.post("/console/queue", {
      csrf: secretIn(page),
      decision: "approve",
      item: picksOn(page).get(id) ?? "",
    });
    const text = (await answer.text()).replace(/<\/?bdi>/g, "");
    expect(text).toMatch(/Decided already<\/b>Rejected by key_/);
    expect(await statusOf(world, id)).toBe("rejected");
  });

  test("two people at once: one decision each item, and both learn which", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.legal);
    const [ana, ben] = [await signedIn(world.id, world.ana), await signedIn(world.id, world.ben)];
    const texts = await Promise.all([together(ana, "reject", [id]), together(ben, "reject", [id])]);
    const titles = texts.flatMap(({ text }) => results(text).map((each) => each.split(": ")[1]));
    expect(titles.sort()).toEqual(["Decided already", "Rejected"]);
  });

  const nothing: [string, (pick: string) => [string, string][], RegExp][] = [
    ["nothing selected", () => [["decision", "approve"]], /select something first/],
    ["no decision", (pick) => [["item", pick]], /choose to approve or to reject/],
    [
      "two decisions",
      (pick) => [
        ["item", pick],
        ["decision", "approve"],
        ["decision", "reject"],
      ],
      /choose to approve/,
    ],
    [
      "an edited approval",
      (pick) => [
        ["item", pick],
        ["decision", "approve_edited"],
      ],
      /choose to approve/,
    ],
    [
      "a selection without a hash",
      (pick) => [
        ["item", pick.split(".")[0] ?? ""],
        ["decision", "approve"],
      ],
      /not one that this page made/,
    ],
    [
      "one value that is none of ours",
      (pick) => [
        ["item", pick],
        ["item", "x"],
        ["decision", "approve"],
      ],
      /not one that this page made/,
    ],
    [
      "a long note",
      (pick) => [
        ["item", pick],
        ["decision", "approve"],
        ["note", "x".repeat(2_001)],
      ],
      /2001 characters long/,
    ],
  ];
  test.each(nothing)("%s: 422, the page again, and nothing decided", async (_what, fieldsOf, words) => {
    const world = await overseenTenant();
    const id = await held(world, world.sales);
    const ana = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const answer = await ana.post("/console/queue", [
      ["csrf", secretIn(page)],
      ...fieldsOf(picksOn(page).get(id) ?? ""),
    ]);
    expect(answer.status).toBe(422);
    expect((await answer.text()).replace(/<\/?bdi>/g, "")).toMatch(words);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });
});

/** The worker's environment with a mailbox whose methods are replaced. */
function withMailbox(mailbox: Mailbox, replace: (own: MailboxRpc) => Partial<MailboxRpc>): Env {
  const getByName = (routing: string) => {
    const stub = env.MAILBOX.getByName(routing);
    if (routing !== mailbox.id.slice(-8)) return stub;
    const { openItem, itemsFor, decideInSession } = {
      openItem: (...input: Parameters<MailboxRpc["openItem"]>) => stub.openItem(...input),
      itemsFor: (...input: Parameters<MailboxRpc["itemsFor"]>) => stub.itemsFor(...input),
      decideInSession: (...input: Parameters<MailboxRpc["decideInSession"]>) => stub.decideInSession(...input),
      ...replace(stub),
    };
    return { openItem, itemsFor, decideInSession } as typeof stub;
  };
  return { ...env, MAILBOX: { getByName } };
}

describe("while people decide about many", () => {
  test("what changes between the last look and the decision is not decided", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.sales, { subject: "Before" });
    const ana = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const agent = await agentOf(world);
    const changing = withMailbox(world.sales, (own) => ({
      openItem: async (person, pendingId, use) => {
        const view = await own.openItem(person, pendingId, use);
        await own.edit(agent, pendingId, { subject: "After" });
        return view;
      },
    }));
    const fields = { csrf: secretIn(page), decision: "approve", item: picksOn(page).get(id) ?? "" };
    const answer = await ana.post("/console/queue", fields, OUR_PAGE, changing);
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual(["Before: Changed meanwhile"]);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("a mailbox that does not answer holds up no other, in the queue and in what is decided", async () => {
    const world = await overseenTenant();
    const [broken, good] = [await held(world, world.sales), await held(world, world.legal)];
    const ana = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const down = withMailbox(world.sales, () => {
      const fail = () => Promise.reject(new Error("the object is broken"));
      return { openItem: fail, itemsFor: fail, decideInSession: fail };
    });
    const shown = await (await ana.get("/console/queue", {}, "GET", down)).text();
    expect([...picksOn(shown).keys()]).toEqual([good]);
    expect(shown).toContain("1 item could not be read just now");
    const picks = [...picksOn(page).values()].map((pick): [string, string] => ["item", pick]);
    const form: [string, string][] = [["csrf", secretIn(page)], ["decision", "reject"], ...picks];
    const answer = await ana.post("/console/queue", form, OUR_PAGE, down);
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual([
      `${broken}: Could not be reached`,
      "Offer: Rejected",
    ]);
    expect(await statusOf(world, broken)).toBe("pending_send_approval");
    expect((await ana.get(`/console/items/${broken}`, {}, "GET", down)).status).toBe(503);
  });
});

describe("attacks on the queue", () => {
  test("a form without this session's own secret, or from elsewhere, decides nothing", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.sales);
    const [ana, ben] = [await signedIn(world.id, world.ana), await signedIn(world.id, world.ben)];
    const again = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const item = picksOn(page).get(id) ?? "";
    const own = secretIn(page);
    const forms: [string, string, Record<string, string>][] = [
      ["no secret", "", OUR_PAGE],
      ["another person's", await ben.csrf(), OUR_PAGE],
      ["another session's of the same person", await again.csrf(), OUR_PAGE],
      ["one character off", own.slice(0, -1) + (own.endsWith("A") ? "B" : "A"), OUR_PAGE],
      ["another site", own, { "Sec-Fetch-Site": "cross-site", Origin: "null" }],
      ["a sibling", own, { "Sec-Fetch-Site": "same-site" }],
      ["another origin", own, { Origin: "https://evil.example" }],
    ];
    for (const [what, csrf, headers] of forms) {
      const answer = await ana.post("/console/queue", { csrf, item, decision: "approve" }, headers);
      expect(answer.status, what).toBe(403);
      const single = await ana.post(
        `/console/items/${id}`,
        { csrf, content_hash: item.split(".")[1] ?? "", decision: "approve" },
        headers,
      );
      expect(single.status, what).toBe(403);
    }
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("another tenant's person decides nothing, though they know the item, its content and their own secret", async () => {
    const [world, other] = [await overseenTenant(), await overseenTenant()];
    const id = await held(world, world.sales);
    const ana = await signedIn(world.id, world.ana);
    const item = picksOn(await pageOf(ana)).get(id) ?? "";
    const stranger = await signedIn(other.id, other.ana);
    const csrf = await stranger.csrf();
    const answer = await stranger.post("/console/queue", { csrf, item, decision: "approve" });
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual([`${id}: Not for you to decide`]);
    const single = await stranger.post(`/console/items/${id}`, {
      csrf,
      content_hash: item.split(".")[1] ?? "",
      decision: "approve",
    });
    expect(single.status).toBe(404);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("somebody who oversees two tenants decides in the session of one about that one only", async () => {
    const [world, other] = [await overseenTenant(), await overseenTenant()];
    const id = await held(world, world.sales);
    const item = picksOn(await pageOf(await signedIn(world.id, world.ana))).get(id) ?? "";
    // Ana oversees something at the other tenant as well.
    await env.DB.prepare("INSERT OR IGNORE INTO people VALUES (?, ?)").bind(world.ana, other.id).run();
    await inTenant(other.id, (object) => {
      object.commit(() => object.saveTenant({ ...object.tenant(), confirmed_approvers: [world.ana] }));
    });
    const there = await signedIn(other.id, world.ana);
    const csrf = await there.csrf();
    const answer = await there.post("/console/queue", { csrf, item, decision: "approve" });
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual([`${id}: Not for you to decide`]);
    expect((await there.get(`/console/items/${id}`)).status).toBe(404);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("an approver whose seat was taken away sees and decides nothing there any more, in the same session", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.sales);
    const ana = await signedIn(world.id, world.ana);
    const page = await pageOf(ana);
    const item = picksOn(page).get(id) ?? "";
    const admin = caller(world.id, ["admin"]);
    const asked = await mailboxOf(world.sales.id).update(admin, { approvers: [world.ben] }, null);
    const words = asked.ok && "needs_approval" in asked.value ? asked.value.needs_approval.change : null;
    expect((await mailboxOf(world.sales.id).update(admin, { approvers: [world.ben] }, words)).ok).toBe(true);
    const answer = await ana.post("/console/queue", { csrf: secretIn(page), item, decision: "approve" });
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual([`${id}: Not for you to decide`]);
    expect((await ana.get(`/console/items/${id}`)).status).toBe(404);
    expect(await idsOn(ana)).toEqual([]);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("a hash that was never shown decides nothing", async () => {
    const world = await overseenTenant();
    const id = await held(world, world.sales);
    const ana = await signedIn(world.id, world.ana);
    const { text } = await together(ana, "approve", [id.replace(/.$/, "0"), id].slice(0, 1));
    expect(results(text)[0]).toMatch(/Not for you to decide$/);
    const answer = await ana.post("/console/queue", {
      csrf: await ana.csrf(),
      item: `${id}.${"0".repeat(64)}`,
      decision: "approve",
    });
    expect(results((await answer.text()).replace(/<\/?bdi>/g, ""))).toEqual(["Offer: Changed meanwhile"]);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });
});
