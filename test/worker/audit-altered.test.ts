import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { readTrust } from "../../src/audit/trust.ts";
import { type ExportVerdict, ExportVerifier } from "../../src/audit/verify-export.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { EmailRecord } from "../../src/store/email-record.ts";
import { ALTERATIONS, type EntryRow, rewrite, rowOf } from "../support/altered-rows.ts";
import { call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";

/**
 * What D1 has is not believed: a row that somebody altered there is said to be altered, in whatever it is read by, and stops nobody
 * from reading the rest. The object is the authority.
 */

let tenant: TestTenant;
/** A message that nobody touches. */
let untouched: string;

interface ShownEntry {
  id: string;
  action?: string;
  resource_id?: string;
  hash: string;
  personal?: { subject?: string } | null;
  fault: string | null;
  stored?: string;
}

interface ShownEvent {
  class_uid: number;
  message: string;
  metadata: { uid: string; event_code: string };
  unmapped: { personal?: { unreadable?: boolean; subject?: string } | null; stored?: string };
}

const admin = () => ({ key: keyOf(tenant, "admin") });

async function send(subject: string): Promise<string> {
  const json = { to: "ana@customer.example", subject, text: "Hello", mailbox_id: tenant.mailbox.id };
  const { status, body } = await call<SendAnswer>("/v1/send_email", { key: keyOf(tenant, "agent"), json });
  expect(status).toBe(202);
  return body.id;
}

async function entries<Shown = ShownEntry>(query: string): Promise<Shown[]> {
  const { status, body } = await call<{ entries: Shown[] }>(`/v1/audit-log?limit=100&${query}`, admin());
  expect(status, JSON.stringify(body)).toBe(200);
  return body.entries;
}

async function recordOf(id: string): Promise<EmailRecord> {
  const { status, body } = await call<EmailRecord>(`/v1/emails/${id}/record`, admin());
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

async function pageOf(id: string): Promise<string> {
  return (await request(`/v1/emails/${id}/record?format=html`, admin())).text();
}

async function exported(query = ""): Promise<string> {
  const answer = await request(`/v1/audit-log/export?log=${tenant.mailbox.id}&${query}`, admin());
  expect(answer.status).toBe(200);
  return answer.text();
}

async function verified(text: string): Promise<ExportVerdict> {
  const log = tenant.mailbox.id;
  const { body } = await call<{ verifier_key: string }>(`/v1/audit-log/verifier-key?log=${log}`);
  const verifier = new ExportVerifier(readTrust({ keys: body.verifier_key, log }));
  verifier.write(new TextEncoder().encode(text));
  return verifier.end();
}

function reconciled() {
  const json = { log: tenant.mailbox.id };
  return call<{ repaired: { what: string; count: number }[]; faults: { what: string; seq: number }[] }>(
    "/v1/audit-log/reconcile",
    { ...admin(), json },
  );
}

beforeAll(async () => {
  tenant = await makeTenant();
  untouched = await send("Nobody touches it");
  // D1 has it from here on.
  await recordOf(untouched);
});

describe.each<[string, string]>([
  ["of another message", `(SELECT wrapped FROM data_keys WHERE kid = ?2)`],
  ["with other bytes", `json_set(wrapped, '$.ct', 'AAAA' || substr(json_extract(wrapped, '$.ct'), 5))`],
  ["cut", `json_set(wrapped, '$.ct', 'AAAA')`],
  ["that is no JSON", "'x'"],
  ["that is JSON of nothing", "'null'"],
  ["that is empty", "''"],
])("a data key %s", (what, value) => {
  let id: string;

  beforeAll(async () => {
    id = await send(`Under a key ${what}`);
    await recordOf(id);
    const { meta } = await env.DB.prepare(`UPDATE data_keys SET wrapped = ${value} WHERE kid = ?1 AND ?2 <> ''`)
      .bind(id, untouched)
      .run();
    expect(meta.changes).toBe(1);
  });

  test.each(["", "log"])("hides what it sealed, and nothing else, in the log: %s", async (filter) => {
    const shown = await entries(filter && `log=${tenant.mailbox.id}`);
    const [lost, open] = [id, untouched].map((each) => shown.filter(({ resource_id }) => resource_id === each));
    expect(lost?.find(({ action }) => action === "message.held")).toMatchObject({
      personal: null,
      fault: "unreadable",
    });
    const held = open?.find(({ action }) => action === "message.held");
    expect(held).toMatchObject({ personal: { subject: "Nobody touches it" }, fault: null });
  });

  test("is told to a SIEM", async () => {
    const events = await entries<ShownEvent>(`email_id=${id}&format=ocsf`);
    const held = events.find(({ metadata }) => metadata.event_code === "message.held");
    expect(held?.unmapped.personal).toEqual({ unreadable: true });
  });

  test("is told in the record, which does not call it erased, and on its page", async () => {
    const record = await recordOf(id);
    expect(record).toMatchObject({ subject: null, direction: "outbound", altered: 0 });
    expect(record.steps[0]).toMatchObject({ fault: "unreadable", erased: false, personal: null });
    expect(record.steps[0]?.entry).toMatchObject({ action: "message.held" });
    const page = await pageOf(id);
    expect(page).toContain("details cannot be read");
    expect(page).toContain("It cannot be read.");
    expect(page).not.toContain("details erased");
    expect((await recordOf(untouched)).steps.every(({ fault }) => fault === null)).toBe(true);
  });

  test("breaks no export, of which the rest is opened", async () => {
    const whole = await exported();
    expect(await verified(whole)).toMatchObject({ ok: true });
    expect(whole).toContain("Nobody touches it");
    expect(whole).toContain(',"personal":{"unreadable":true}}');
    expect(await exported("format=csv")).toContain('"{""unreadable"":true}"');
    expect(await exported("format=ocsf")).toContain('"personal":{"unreadable":true}');
  });

  test("is put right from the object by the reconciler, which says so", async () => {
    const { status, body } = await reconciled();
    expect(status).toBe(200);
    expect(body).toMatchObject({ repaired: [{ what: "data_keys", count: 1 }], faults: [] });
    expect((await recordOf(id)).subject).toBe(`Under a key ${what}`);
    expect((await reconciled()).body).toMatchObject({ repaired: [], faults: [] });
  });
});

describe.each(Object.entries(ALTERATIONS))("an entry altered in D1: %s", (what, { told, alter }) => {
  let id: string;
  let before: EntryRow;

  beforeAll(async () => {
    id = await send(`Altered: ${what}`);
    await recordOf(id);
    before = await rowOf(id, "message.held");
    await rewrite(before, alter(before, await rowOf(untouched, "message.held")), { action: "message.queued" });
  });

  test("is no step of the record, which says that it was changed and rests on nothing in it", async () => {
    const record = await recordOf(id);
    expect(record).toMatchObject({ altered: 1, direction: null, author: null, status: null, checks: null });
    expect(record.steps[0]).toMatchObject({
      ...{ seq: before.seq, hash: before.hash, fault: "altered", part: "other", erased: false },
      ...{ at: null, entry_id: null, entry: null, personal: null },
      text: expect.stringMatching(/^This entry was changed after it was written: /),
    });
    expect(record.steps[0]?.proof.length).toBeGreaterThan(0);
    expect(record.steps.slice(1).map(({ fault }) => fault)).toEqual(record.steps.slice(1).map(() => null));
    const { stored, ...step } = record.steps[0] ?? {};
    expect(stored).toBe((await rowAt(before)).entry);
    expect(JSON.stringify({ ...record, steps: [step, ...record.steps.slice(1)] })).not.toContain("message.queued");
  });

  test("is on the record's page in words that a person understands, and its own words are not", async () => {
    const page = await pageOf(id);
    expect(page).toContain("This entry was changed after it was written");
    expect(page).toContain("1 entry about this message was changed after it was written");
    expect(page).not.toContain("message.queued");
    expect(page).not.toMatch(/it may leave/);
  });

  test.skipIf(!told)("is shown in the log as altered, to a SIEM too, with nothing that it says", async () => {
    const shown = await entries(`log=${tenant.mailbox.id}`);
    const altered = shown.filter(({ id }) => id === JSON.parse(before.entry).id);
    const { entry: stored, hash } = await rowAt(before);
    expect(altered).toEqual([{ id: JSON.parse(before.entry).id, hash, fault: "altered", stored }]);
    const held = shown.find(({ resource_id, action }) => resource_id === untouched && action === "message.held");
    expect(held).toMatchObject({ fault: null, personal: { subject: "Nobody touches it" } });
    const events = await entries<ShownEvent>(`log=${tenant.mailbox.id}&format=ocsf`);
    const [event] = events.filter(({ metadata }) => metadata.uid === JSON.parse(before.entry).id);
    expect(event).toMatchObject({ class_uid: 3004, metadata: { event_code: "altered" }, unmapped: { stored } });
    expect(event?.message).toMatch(/^This entry was changed/);
  });

  test("breaks no export, whose check names it", async () => {
    const { seq } = before;
    const part = `from_seq=${seq}&to_seq=${seq + 1}`;
    expect(await verified(await exported(part))).toMatchObject({ ok: false });
    const csv = await exported(`${part}&format=csv`);
    const ocsf = await exported(`${part}&format=ocsf`);
    // Its own hash gives it away, or it is for the check of the NDJSON to tell.
    expect(csv.includes(",altered,")).toBe(told);
    expect(ocsf.includes('"event_code":"altered"')).toBe(told);
    expect(csv).toContain(",checkpoint,");
    expect(ocsf.trimEnd().split("\n")).toHaveLength(2);
  });

  test("is a fault that the reconciler names", async () => {
    const { body } = await reconciled();
    expect(body.faults).toContainEqual(expect.objectContaining({ what: "entry_differs", seq: before.seq }));
  });
});

async function rowAt({ log, seq }: EntryRow): Promise<EntryRow> {
  const row = await env.DB.prepare("SELECT log, seq, hash, entry FROM audit_log WHERE log = ? AND seq = ?")
    .bind(log, seq)
    .first<EntryRow>();
  if (!row) throw new Error(`D1 has no entry ${seq}`);
  return row;
}
