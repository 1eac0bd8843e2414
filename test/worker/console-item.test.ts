import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { asEmailId } from "../../src/ids.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import { entriesIn } from "../support/audit-fields.ts";
import { type ConsoleBrowser, secretIn, signedIn } from "../support/console-client.ts";
import { agentOf, held, mailboxOf, type Overseen, overseenTenant, statusOf } from "../support/console-world.ts";
import { call, request } from "../support/door-harness.ts";

/** One item in a person's session: everything of it, and the decision about it. */

let world: Overseen;
let ana: ConsoleBrowser;
let ben: ConsoleBrowser;

beforeAll(async () => {
  world = await overseenTenant();
  [ana, ben] = await Promise.all([signedIn(world.id, world.ana), signedIn(world.id, world.ben)]);
});

async function text(answer: Response): Promise<string> {
  return (await answer.text()).replace(/<\/?bdi>/g, "");
}

interface Form {
  csrf: string;
  content_hash: string;
}

async function open(browser: ConsoleBrowser, id: string): Promise<{ page: string; form: Form }> {
  const answer = await browser.get(`/console/items/${id}`);
  expect(answer.status).toBe(200);
  const page = await text(answer);
  const content_hash = /name="content_hash" value="([^"]+)"/.exec(page)?.[1] ?? "";
  return { page, form: { csrf: secretIn(page), content_hash } };
}

async function itemOf(id: string): Promise<PendingItem> {
  return (await call<PendingItem>(`/v1/oversight/pending/${id}`, { key: world.keys.agent ?? null })).body;
}

describe("the page of an item", () => {
  test("shows all of it, who decides, and the ways back and out; opening it decides nothing", async () => {
    const id = await held(world, world.sales, { subject: "Quarterly <i>offer</i>", text: "All of the text" });
    const { page } = await open(ana, id);
    for (const words of [
      "Quarterly &lt;i&gt;offer",
      "All of the text",
      world.ana,
      "/console/queue",
      "/console/sign-out",
    ]) {
      expect(page).toContain(words);
    }
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("of something that has ended shows the outcome, not the content", async () => {
    const id = await held(world, world.sales, { text: "All of the text" });
    const { form } = await open(ana, id);
    await ana.post(`/console/items/${id}`, { ...form, decision: "reject", note: "No." });
    const answer = await ana.get(`/console/items/${id}`);
    expect(answer.status).toBe(200);
    const page = await text(answer);
    expect(page).toContain(`Rejected by ${world.ana}`);
    expect(page).not.toContain("All of the text");
  });

  test("is on record as read, also once it has ended: who looked, at which item", async () => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    await ana.post(`/console/items/${id}`, { ...form, decision: "reject" });
    expect((await ana.get(`/console/items/${id}`)).status).toBe(200);
    const reads = (await entriesIn(env.MAILBOX.getByName(world.sales.id.slice(-8)))).filter(
      ({ action, detail }) =>
        action === "pending.read" && JSON.stringify(detail.items).includes(id.replace("pend_", "")),
    );
    expect(reads).toHaveLength(2);
    for (const { actor, personal } of reads) {
      expect([actor, personal]).toEqual([{ type: "human", id: "approver", via: "console" }, { person: world.ana }]);
    }
  });

  test("is asked of nobody's mailbox but the item's, and is the same 404 for whatever this person may not decide", async () => {
    const foreign = await held(world, world.support);
    const other = await overseenTenant();
    const theirs = await held(other, other.sales);
    const pages = new Set<string>();
    for (const id of [foreign, theirs, `${foreign.slice(0, -1)}0`, foreign.replace("pend", "em"), "pend_x", "%00"]) {
      const answer = await ana.get(`/console/items/${id}`);
      expect(answer.status, id).toBe(404);
      pages.add(await answer.text());
    }
    expect(pages.size).toBe(1);
  });
});

describe("what its agent changed after it was looked at", () => {
  test.each([
    ["the page of the item", (id: string) => `/console/items/${id}`],
    ["the queue", () => "/console/queue"],
  ])("is not let go from an older page, also where HEAD asked for %s meanwhile", async (_what, pathOf) => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    const send_at = new Date(Date.now() + 24 * 3600_000).toISOString();
    const change = { email_id: asEmailId(id), send_at };
    const edited = await call("/v1/edit_scheduled_email", { key: world.keys.agent ?? null, json: change });
    expect(edited.status, JSON.stringify(edited.body)).toBeLessThan(300);
    const headers = { Cookie: ana.cookie ?? "" };
    expect((await request(pathOf(id), { method: "HEAD", headers })).status).toBe(200);
    const answer = await ana.post(`/console/items/${id}`, { ...form, decision: "approve" });
    expect(answer.status).toBe(409);
    expect(await text(answer)).toContain("It was changed after you looked at it");
    expect(await statusOf(world, id)).toBe("pending_send_approval");
    // That answer shows it as it is now, and what it shows can be decided.
    expect((await ana.post(`/console/items/${id}`, { ...form, decision: "approve" })).status).toBe(303);
  });
});

describe("deciding", () => {
  test.each([
    ["approve", /^(?:queued|sending|sent)$/],
    ["reject", /^rejected$/],
  ])("%s is taken once, and the page then shows the outcome", async (decision, status) => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    const answer = await ana.post(`/console/items/${id}`, { ...form, decision, note: "Because." });
    expect([answer.status, answer.headers.get("Location")]).toEqual([303, `/console/items/${id}`]);
    expect(await itemOf(id)).toMatchObject({ status: expect.stringMatching(status), decision_reason: "Because." });
    // A form sent twice is the same person's same decision.
    expect((await ana.post(`/console/items/${id}`, { ...form, decision, note: "Because." })).status).toBe(409);
  });

  test("with a change sends what the person made of it, and both versions are in the record", async () => {
    const id = await held(world, world.sales, { subject: "Offer", text: "Price: 100" });
    const { page, form } = await open(ana, id);
    expect(page).toContain('name="body"');
    const edit = { subject: "Better offer", body: "Price: 90" };
    const plain = await ana.post(`/console/items/${id}`, { ...form, ...edit, decision: "approve" });
    expect(plain.status).toBe(422);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
    const answer = await ana.post(`/console/items/${id}`, { ...form, ...edit, decision: "approve_edited" });
    expect(answer.status, await text(answer.clone())).toBe(303);
    expect(await itemOf(id)).toMatchObject({ subject: "Better offer", text: expect.stringContaining("Price: 90") });
  });

  test("a change that adds a recipient is not possible: there is no field for it, and its words are refused", async () => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    const answer = await ana.post(`/console/items/${id}`, {
      ...form,
      decision: "approve_edited",
      subject: "Offer\r\nBcc: eve@evil.example",
      to: "eve@evil.example",
      bcc: "eve@evil.example",
    });
    expect(answer.status).toBe(422);
    expect(await itemOf(id)).toMatchObject({ status: "pending_send_approval", bcc: [] });
  });

  test("what changed since the page was opened is shown anew with what was typed, and not decided", async () => {
    const id = await held(world, world.sales, { subject: "Before" });
    const { form } = await open(ana, id);
    const edited = await mailboxOf(id).edit(await agentOf(world), id, { subject: "After" });
    expect(edited.ok, JSON.stringify(edited)).toBe(true);
    const answer = await ana.post(`/console/items/${id}`, { ...form, decision: "approve", note: "Typed before." });
    expect(answer.status).toBe(409);
    const page = await text(answer);
    for (const words of ["was changed after you opened this page", "After", "Typed before."])
      expect(page).toContain(words);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
    const fresh = await open(ana, id);
    expect((await ana.post(`/console/items/${id}`, { ...fresh.form, decision: "approve" })).status).toBe(303);
  });

  test("where two are needed, each person's approval counts once", async () => {
    const id = await held(world, world.legal);
    const first = await open(ana, id);
    expect((await ana.post(`/console/items/${id}`, { ...first.form, decision: "approve" })).status).toBe(303);
    expect((await open(ana, id)).page).toContain("You have approved this");
    const again = await ana.post(`/console/items/${id}`, { ...first.form, decision: "approve" });
    expect([again.status, await text(again)]).toEqual([409, expect.stringContaining("Your approval counts already")]);
    expect(await statusOf(world, id)).toBe("pending_send_approval");
    const second = await open(ben, id);
    expect(second.page).toContain(`1 of 2 people have approved: ${world.ana}`);
    expect((await ben.post(`/console/items/${id}`, { ...second.form, decision: "approve" })).status).toBe(303);
    expect(await statusOf(world, id)).not.toBe("pending_send_approval");
  });

  test("what another decided first is 409 with who it was, and what was typed is not lost", async () => {
    const id = await held(world, world.legal);
    const { form } = await open(ana, id);
    const other = await open(ben, id);
    await ben.post(`/console/items/${id}`, { ...other.form, decision: "reject", note: "No." });
    const answer = await ana.post(`/console/items/${id}`, {
      ...form,
      subject: "My better subject",
      body: "Hello",
      decision: "approve_edited",
    });
    expect(answer.status).toBe(409);
    const page = await text(answer);
    expect(page).toContain(`Rejected by ${world.ben}`);
    expect(page).toContain("My better subject");
  });

  test("a held query is shown exactly, and once it is approved the agent may use it", async () => {
    const path = `/v1/mailboxes/${world.closed.id}/emails?q=invoices`;
    const asked = await call<{ pending_id: string }>(path, { key: world.keys.agent ?? null });
    expect(asked.status).toBe(202);
    const id = asked.body.pending_id;
    const { page, form } = await open(ana, id);
    expect(page).toContain("invoices");
    expect((await ana.post(`/console/items/${id}`, { ...form, decision: "approve" })).status).toBe(303);
    const { approval_ref } = await itemOf(id);
    const answered = await call(`${path}&approval_ref=${approval_ref}`, { key: world.keys.agent ?? null });
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
  });

  test("no decision, or two: 422, the form again with the note", async () => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    for (const decisions of [[], ["approve", "reject"], ["maybe"]]) {
      const fields = [
        ...Object.entries({ ...form, note: "kept note" }),
        ...decisions.map((each) => ["decision", each]),
      ];
      const answer = await ana.post(`/console/items/${id}`, fields as [string, string][]);
      expect(answer.status).toBe(422);
      expect(await answer.text()).toContain("kept note");
    }
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });

  test("without a session: 401, and nothing is decided", async () => {
    const id = await held(world, world.sales);
    const { form } = await open(ana, id);
    const raw = new URLSearchParams({ ...form, decision: "approve" }).toString();
    const headers = { "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin" };
    for (const key of [null, ...Object.values(world.keys)]) {
      const answer = await request(`/console/items/${id}`, { method: "POST", raw, headers, key });
      expect(answer.status).toBe(401);
    }
    expect(await statusOf(world, id)).toBe("pending_send_approval");
  });
});

describe("the files of an item", () => {
  const FILE = { name: "offer.html", content_base64: "PGI+aGVsbG88L2I+", content_type: "text/html" };

  test("come as bytes that a browser saves and never runs, to whoever may decide, while it waits", async () => {
    const id = await held(world, world.sales, { attachments: [FILE] });
    const path = `/console/items/${id}/attachments/0`;
    const answer = await ana.get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(answer.headers.get("Content-Disposition")).toMatch(/^attachment; filename="offer\.html"/);
    expect(answer.headers.get("Content-Security-Policy")).toMatch(/^sandbox; default-src 'none'/);
    expect(await answer.text()).toBe("<b>hello</b>");
    expect((await ben.get(path)).status).toBe(404);
    expect((await request(path)).status).toBe(303);
    for (const index of ["1", "00", "-1", "x", "0%00"]) {
      expect((await ana.get(`/console/items/${id}/attachments/${index}`)).status, index).toBe(404);
    }
    const { form } = await open(ana, id);
    await ana.post(`/console/items/${id}`, { ...form, decision: "reject" });
    expect((await ana.get(path)).status).toBe(410);
  });

  test("a file that the store has lost is 503, not a mistake", async () => {
    const id = await held(world, world.sales, { attachments: [FILE] });
    const { objects } = await env.STORE.list({
      prefix: `att/${world.id}/${world.sales.id}/${id.replace("pend_", "em_")}/`,
    });
    for (const { key } of objects) await env.STORE.delete(key);
    const answer = await ana.get(`/console/items/${id}/attachments/0`);
    expect([answer.status, answer.headers.get("Retry-After")]).toEqual([503, "30"]);
  });
});
