import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { parseCheckpoint } from "../../src/audit/checkpoint.ts";
import { entryText, hashEntryText } from "../../src/audit/entry.ts";
import { verifyInclusion } from "../../src/audit/merkle-proof.ts";
import { parseNote, parseVerifierKey, signedBy } from "../../src/audit/signed-note.ts";
import { routingNumberOf } from "../../src/ids.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { type EmailRecord, readRecord } from "../../src/store/email-record.ts";
import { signedIn } from "../support/console-client.ts";
import { held, type Overseen, overseenTenant } from "../support/console-world.ts";
import { call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";
import { inObject, runAlarm, type TestMailbox } from "../support/mailbox-harness.ts";

/** One message's whole story, through the worker's own doors and in the console. */

let tenant: TestTenant;
let emailId: string;
let record: EmailRecord;

/** The object of a mailbox, for what drives its alarm. */
function boxOf(mailboxId: string): TestMailbox {
  return { stub: env.MAILBOX.getByName(routingNumberOf(mailboxId) ?? "") } as unknown as TestMailbox;
}

async function send(change: Record<string, unknown> = {}): Promise<SendAnswer> {
  const { status, body } = await call<SendAnswer>("/v1/send_email", {
    key: keyOf(tenant, "agent"),
    json: {
      mailbox_id: tenant.mailbox.id,
      to: "ana@customer.example",
      subject: "Offer 4711",
      text: "Hello Ana",
      agent_id: "alice",
      model_id: "sample-1",
      model_provider: "sampler",
      ...change,
    },
  });
  expect(status).toBe(202);
  return body;
}

async function recordOf(id: string, key = keyOf(tenant, "admin")): Promise<EmailRecord> {
  const { status, body } = await call<EmailRecord>(`/v1/emails/${id}/record`, { key });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

const actionsOf = ({ steps }: EmailRecord) => steps.map(({ entry }) => entry?.action);

beforeAll(async () => {
  tenant = await makeTenant();
  emailId = (await send()).id;
  await call(`/v1/emails/${emailId}`, { key: keyOf(tenant, "agent") });
  const overseer = keyOf(tenant, "overseer");
  await call(`/v1/oversight/pending/${emailId.replace("em_", "pend_")}`, { key: overseer });
  const json = { email_id: emailId, decision: "approve", reason: "The price is right." };
  expect((await call("/v1/oversight/decide", { key: overseer, json })).status).toBe(200);
  await runAlarm(boxOf(tenant.mailbox.id));
  record = await recordOf(emailId);
});

describe("get_email_record", () => {
  test("says who wrote it, under which mode, what was checked, who decided, what was signed and what came of it", () => {
    expect(record).toMatchObject({
      email_id: emailId,
      mailbox_id: tenant.mailbox.id,
      direction: "outbound",
      author: { agent_id: "alice", model_id: "sample-1", model_provider: "sampler", via: "rest" },
      mode: "gated_send",
      to: ["ana@customer.example"],
      subject: "Offer 4711",
      status: "sent",
      checks: { rule: expect.any(String), because: expect.any(String), risk: expect.any(Number) },
      decisions: [{ decision: "approved", note: "The price is right.", via: "rest", edited: false }],
      attempts: [{ attempt: 1, transport: "smtp", accepted: 1, deferred: 0, refused: 0 }],
      erased_at: null,
      left_out: 0,
      archived_before: null,
    });
    expect(record.author?.key_id).toMatch(/^key_/);
    expect(record.content_hash).toMatch(/^[0-9a-f]{64}$/);
    expect(record.decisions[0]?.content_hash).toBe(record.content_hash);
    expect(record.signatures?.identity_kid).toMatch(/^idk_/);
    expect(record.signatures?.forms.length).toBeGreaterThan(0);
    expect(JSON.stringify(record.attempts[0]?.outcomes)).toContain("ana@customer.example");
  });

  test("has every entry about the message in the order of its log, the reading of the record included", async () => {
    const { results } = await env.DB.prepare("SELECT seq, action FROM audit_log WHERE email_id = ? ORDER BY seq")
      .bind(emailId)
      .all<{ seq: number; action: string }>();
    expect(record.steps.map(({ seq, entry }) => ({ seq, action: entry?.action }))).toEqual(results);
    for (const action of [
      "message.held",
      "message.read",
      "decision.approved",
      "delivery.attempted",
      "delivery.answered",
    ]) {
      expect(actionsOf(record)).toContain(action);
    }
    expect(actionsOf(record).at(-1)).toBe("message.record_read");
  });

  test("each step is a sentence, and says of the personal what the reader may see", () => {
    for (const { text } of record.steps) expect(text).toMatch(/^\S.*[.”]$/s);
    const texts = record.steps.map(({ text }) => text).join("\n");
    expect(texts).toContain("The agent alice (key key_");
    expect(texts).toContain("submitted it to ana@customer.example");
    expect(texts).toContain("“The price is right.”");
  });

  test("can be checked by itself: each entry's hash, its way into the tree, and the signature over that", () => {
    const { checkpoint, steps } = record;
    const note = parseNote(checkpoint.checkpoint);
    if (!note) throw new Error("there is no note");
    expect(signedBy(note, parseVerifierKey(checkpoint.verifier_key)).signed).toBe("valid");
    const tree = parseCheckpoint(note.text);
    if (!tree) throw new Error("there is no checkpoint");
    expect(tree.origin).toBe(`mail.test/logs/${tenant.mailbox.id}`);
    for (const { seq, hash, entry, proof } of steps) {
      expect(entry && hashEntryText(entryText(entry))).toBe(hash);
      const claim = {
        ...{ seq, size: tree.size, root: tree.root },
        leafHash: Buffer.from(hash, "hex"),
        proof: proof.map((each) => Buffer.from(each, "base64")),
      };
      expect(verifyInclusion(claim), `entry ${seq}`).toBe(true);
      expect(verifyInclusion({ ...claim, seq: seq + 1 })).toBe(false);
    }
    expect(checkpoint.size).toBe((steps.at(-1)?.seq ?? 0) + 1);
  });

  test("begins with the draft that it was", async () => {
    const key = keyOf(tenant, "agent");
    const json = { mailbox_id: tenant.mailbox.id, to: "ben@customer.example", subject: "Drafted", text: "Hello" };
    const { body: draft } = await call<{ id: string }>(`/v1/mailboxes/${tenant.mailbox.id}/drafts`, { key, json });
    await call(`/v1/mailboxes/${tenant.mailbox.id}/drafts/${draft.id}/send`, { key, json: {} });
    const story = await recordOf(draft.id);
    expect(actionsOf(story)).toEqual(["draft.created", "message.held", "draft.sent", "message.record_read"]);
  });

  test("is the same by the id of what waits, and to a key with oversight", async () => {
    const story = await recordOf(emailId.replace("em_", "pend_"), keyOf(tenant, "oversight"));
    expect(story).toMatchObject({ email_id: emailId, subject: "Offer 4711" });
  });

  test("is a page that can be printed, where one is asked for", async () => {
    const answer = await request(`/v1/emails/${emailId}/record?format=html`, { key: keyOf(tenant, "admin") });
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(answer.headers.get("content-security-policy")).toMatch(/default-src 'none'.*style-src 'sha256-/);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const page = await answer.text();
    for (const words of ["Offer 4711", "The price is right.", "ana@customer.example", record.checkpoint.verifier_key]) {
      expect(page).toContain(words.replaceAll("+", "+"));
    }
    expect(page).not.toMatch(/<script/i);
  });

  test("says that what was erased is erased, and keeps what happened", async () => {
    const { id } = await send({ subject: "To be erased" });
    await recordOf(id);
    await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(id).run();
    const story = await recordOf(id);
    expect(story).toMatchObject({ subject: null, to: null, direction: "outbound", author: { agent_id: "alice" } });
    expect(story.steps[0]).toMatchObject({ erased: true, personal: null, part: "judged" });
    expect(story.steps.at(-1)?.erased).toBe(false);
    expect(JSON.stringify(story)).not.toContain("To be erased");
    const page = await (await request(`/v1/emails/${id}/record?format=html`, { key: keyOf(tenant, "admin") })).text();
    expect(page).toContain("details erased");
  });

  test("an agent that reads without end does not crowd out what happened", async () => {
    const { id } = await send({ subject: "Read often" });
    await inObject(boxOf(tenant.mailbox.id), (object) => {
      const message = object.messages.get(id);
      object.commit(() => {
        for (let n = 0; n < 150; n++) {
          object.record({
            message,
            actor: { type: "agent", id: "key_1", via: "rest" },
            action: "message.read",
            detail: { marked: false },
          });
        }
      });
    });
    const story = await recordOf(id);
    expect(actionsOf(story)[0]).toBe("message.held");
    expect(actionsOf(story).filter((action) => action === "message.read")).toHaveLength(99);
    expect(story.left_out).toBe(51);
  });
});

describe("who gets no record", () => {
  test("a key that neither administers nor oversees", async () => {
    for (const name of ["read", "send", "agent"]) {
      const answer = await call(`/v1/emails/${emailId}/record`, { key: keyOf(tenant, name) });
      expect(answer, name).toMatchObject({ status: 403, body: { code: "missing_scope" } });
    }
  });

  test("another tenant, and whoever asks for what is not there: the same answer, and nothing is written", async () => {
    const foreign = await makeTenant();
    const before = await env.DB.prepare("SELECT count(*) AS n FROM audit_log WHERE email_id = ?")
      .bind(emailId)
      .first("n");
    const answers = new Set<string>();
    for (const id of [emailId, `em_01ARZ3NDEKTSV4RRFF${emailId.slice(-8)}`, "em_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"]) {
      const answer = await call(`/v1/emails/${id}/record`, { key: keyOf(foreign, "admin") });
      expect(answer.status).toBe(404);
      answers.add(JSON.stringify(answer.body));
    }
    expect(answers.size).toBe(1);
    await recordOf((await send()).id);
    const after = await env.DB.prepare("SELECT count(*) AS n FROM audit_log WHERE email_id = ?")
      .bind(emailId)
      .first("n");
    expect(after).toBe(before);
  });
});

test("while D1 does not take what the log has, no story is told that may lack its end", async () => {
  const reader = { address: "approver@people.example", via: "console" } as const;
  const box = boxOf(tenant.mailbox.id);
  const routing = routingNumberOf(emailId) ?? "";
  const found = { id: emailId, routing };
  await inObject(box, (object) => {
    const whole: Cloudflare.Env = Reflect.get(object, "env");
    const DB = { prepare: env.DB.prepare.bind(env.DB), batch: () => Promise.reject(new Error("D1 is away")) };
    Reflect.set(object, "env", { ...whole, DB });
  });
  await expect(readRecord(env, tenant.id, reader, found)).rejects.toMatchObject({ refusal: { code: "unavailable" } });
  await inObject(box, (object) => void Reflect.set(object, "env", env));
  expect((await readRecord(env, tenant.id, reader, found)).email_id).toBe(emailId);
});

describe("in the console", () => {
  let world: Overseen;

  beforeAll(async () => {
    world = await overseenTenant();
  });

  test("whoever decides for the mailbox sees the record, finds it from what they decided, and is written down", async () => {
    const pending = await held(world, world.sales, { subject: "Shown in the console" });
    const id = pending.replace("pend_", "em_");
    const ana = await signedIn(world.id, world.ana);
    const item = await (await ana.get(`/console/items/${pending}`)).text();
    const form = {
      csrf: /name="csrf" value="([^"]+)"/.exec(item)?.[1] ?? "",
      content_hash: /name="content_hash" value="([^"]+)"/.exec(item)?.[1] ?? "",
    };
    await ana.post(`/console/items/${pending}`, { ...form, decision: "reject", note: "Not this one." });
    const decided = await (await ana.get(`/console/items/${pending}`)).text();
    expect(decided).toContain(`href="/console/emails/${id}/record"`);
    const answer = await ana.get(`/console/emails/${id}/record`);
    expect(answer.status).toBe(200);
    const page = (await answer.text()).replace(/<\/?bdi>/g, "");
    expect(page).toContain("Shown in the console");
    expect(page).toContain("Not this one.");
    expect(page).toContain(`${world.ana} rejected it in the console`);
    const { body } = await call<EmailRecord>(`/v1/emails/${id}/record`, { key: world.keys.admin ?? null });
    expect(body.steps.filter(({ entry }) => entry?.action === "message.record_read")[0]?.entry?.actor).toEqual({
      type: "human",
      id: "approver",
      via: "console",
    });
  });

  test("is the same 404 for whoever decides elsewhere, in another tenant, or about what never was put before a person", async () => {
    const id = (await held(world, world.support)).replace("pend_", "em_");
    const other = await overseenTenant();
    const theirs = (await held(other, other.sales)).replace("pend_", "em_");
    const ana = await signedIn(world.id, world.ana);
    const { status, body: free } = await call<SendAnswer>(`/v1/mailboxes/${world.sales.id}/send`, {
      key: world.keys.agent ?? null,
      json: {
        ...{ to: "x@customer.example", subject: "Never put before a person", text: "x", gate_timing: "schedule_first" },
        send_at: new Date(Date.now() + 24 * 3600_000).toISOString(),
      },
    });
    expect([status, free.status]).toEqual([202, "scheduled"]);
    const pages = new Set<string>();
    for (const each of [id, theirs, free.id, `${id.slice(0, -1)}0`, "em_x", "%00"]) {
      const answer = await ana.get(`/console/emails/${each}/record`);
      expect(answer.status, each).toBe(404);
      pages.add(await answer.text());
    }
    expect(pages.size).toBe(1);
  });

  test("without a session leads to signing in", async () => {
    const answer = await request(`/console/emails/${emailId}/record`);
    expect(answer.status).toBe(303);
    expect(answer.headers.get("location")).toBe("/console");
  });
});
