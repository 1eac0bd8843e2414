import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { CheckpointAnswer } from "../../durable-objects/log-rpc.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { csvColumns } from "../../src/audit/export-csv.ts";
import { type SegmentEntry, segmentBytes, segmentDigest, segmentKey } from "../../src/audit/segment.ts";
import { readTrust } from "../../src/audit/trust.ts";
import { type ExportVerdict, ExportVerifier } from "../../src/audit/verify-export.ts";
import { unwrap } from "../../src/errors.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";
import { caller } from "../support/mailbox-harness.ts";
import { takeAwayD1 } from "../support/tenant-harness.ts";

/** Exports of a log by the worker's own door, checked as somebody outside checks them; and the service's check of itself. */

const SUBJECT = "Secret offer";
const ANA = "ana@customer.example";
let tenant: TestTenant;
let mailbox: string;

const admin = () => keyOf(tenant, "admin");

async function send(subject = SUBJECT): Promise<string> {
  const json = { to: ANA, subject, text: "Hello", mailbox_id: mailbox, agent_id: "alice" };
  const { status, body } = await call<SendAnswer>("/v1/send_email", { key: keyOf(tenant, "agent"), json });
  expect(status).toBe(202);
  return body.id;
}

beforeAll(async () => {
  tenant = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
    { name: "bound", scopes: ["admin"], mailboxes: [second] },
  ]);
  mailbox = tenant.mailbox.id;
  for (let n = 0; n < 5; n++) await send();
});

async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await response.arrayBuffer());
}

async function exported(query = "", key = admin()): Promise<{ response: Response; text: string }> {
  const response = await request(`/v1/audit-log/export?log=${mailbox}&${query}`, { key });
  const text = await textOf(response);
  expect(response.status, text).toBe(200);
  return { response, text };
}

function checkpointOf(log: string): Promise<CheckpointAnswer> {
  const auditor = caller(tenant.id, ["admin"]);
  const object = log === tenant.id ? env.TENANT.getByName(log) : env.MAILBOX.getByName(log.slice(-8));
  return object.checkpoint(auditor).then(unwrap) as Promise<CheckpointAnswer>;
}

/** Checks an export with nothing but the key that the log publishes. */
async function verified(text: string, log = mailbox): Promise<ExportVerdict> {
  const { body } = await call<{ verifier_key: string }>(`/v1/audit-log/verifier-key?log=${log}`);
  const verifier = new ExportVerifier(readTrust({ keys: body.verifier_key, log }));
  verifier.write(new TextEncoder().encode(text));
  return verifier.end();
}

type Line = Entry & { hash: string; personal?: Record<string, unknown> };

function entriesIn(text: string): Line[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter((line) => "seq" in line);
}

/** The age of each entry, as its log has it. */
async function timesOf(log: string): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT at FROM audit_log WHERE log = ? ORDER BY seq").bind(log).all();
  return results.map(({ at }) => String(at));
}

describe("export_audit_log", () => {
  test("gives a whole log that verifies outside, with opened fields beside the entries", async () => {
    const { response, text } = await exported();
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = entriesIn(text);
    expect(response.headers.get("content-disposition")).toContain(`filename="${mailbox}-0-${lines.length - 1}.ndjson"`);
    expect(await verified(text)).toMatchObject({ ok: true, log: mailbox, entries: lines.length, size: lines.length });
    const held = lines.filter(({ action }) => action === "message.held");
    expect(held).toHaveLength(5);
    for (const { personal } of held) expect(personal).toMatchObject({ subject: SUBJECT, to: [ANA] });
    expect(text).not.toContain('"proof":');
  });

  test("leaves opened fields out when asked to, and verifies all the same", async () => {
    const { text } = await exported("personal=false");
    expect(text).not.toContain(SUBJECT);
    expect(text).not.toContain(ANA);
    expect(await verified(text)).toMatchObject({ ok: true, opened: 0 });
  });

  test.each([
    ["from_seq=2&to_seq=5", 2, 5],
    ["from_seq=3", 3, null],
    ["to_seq=1", 0, 1],
    ["from_seq=4&to_seq=5", 4, 5],
  ])("a range by places, %s, brings the proof that it is part of the log", async (query, start, end) => {
    const { text } = await exported(query);
    const lines = entriesIn(text);
    expect(lines[0]?.seq).toBe(start);
    if (end !== null) expect(lines.at(-1)?.seq).toBe(end - 1);
    expect(text).toContain('{"proof":');
    expect(await verified(text)).toMatchObject({ ok: true, first: start, entries: lines.length });
  });

  test("a range by times begins with the first entry of that time and ends before the first of the other", async () => {
    const times = await timesOf(mailbox);
    const [from = "", to = ""] = [times[2], times.at(-2)];
    const { text } = await exported(`from=${from}&to=${to}`);
    expect(entriesIn(text).map(({ seq }) => seq)).toEqual(
      times.flatMap((at, seq) => (at >= from && at < to ? [seq] : [])),
    );
    expect(await verified(text)).toMatchObject({ ok: true });
  });

  test("the account's own log is what is exported where none is named, and says who exported what", async () => {
    await exported("from_seq=1&format=csv");
    const text = await textOf(await request("/v1/audit-log/export", { key: admin() }));
    expect(await verified(text, tenant.id)).toMatchObject({ ok: true, log: tenant.id });
    expect(entriesIn(text).findLast(({ action }) => action === "audit.exported")).toMatchObject({
      resource: { type: "log", id: mailbox },
      detail: { format: "csv", opened: true, from_seq: 1 },
    });
  });

  test("is a fixed range, however the log grows while it is read", async () => {
    const response = await request(`/v1/audit-log/export?log=${mailbox}`, { key: admin() });
    await send("While it is read");
    const text = await textOf(response);
    expect(text).not.toContain("While it is read");
    expect(await verified(text)).toMatchObject({ ok: true });
  });

  test("has everything that was there when it was asked for, though D1 had not drained it yet", async () => {
    const id = await send("Just now");
    expect((await exported()).text).toContain(id);
  });

  test("what was erased is left out, and the log still verifies", async () => {
    const id = await send("To be erased");
    await checkpointOf(mailbox);
    await env.DB.prepare("DELETE FROM data_keys WHERE kid = ?").bind(id).run();
    const { text } = await exported();
    expect(text).toContain(id);
    expect(text).not.toContain("To be erased");
    expect(await verified(text)).toMatchObject({ ok: true });
  });
});

describe("as CSV", () => {
  test("is a line of names, a record an entry, and the checkpoint at the end", async () => {
    const { response, text } = await exported("format=csv");
    expect(response.headers.get("content-type")).toMatch(/^text\/csv/);
    const [header, first] = text.split("\r\n");
    expect(header).toBe(csvColumns(true).join(","));
    expect(first).toMatch(new RegExp(`^${mailbox},0,`));
    const note = (await checkpointOf(mailbox)).newest.checkpoint;
    expect(text.slice(text.lastIndexOf(`${mailbox},`))).toContain(",checkpoint,");
    expect(text).toContain(note.split("\n")[0]);
    expect(text).toContain(SUBJECT);
    expect((await exported("format=csv&personal=false")).text).not.toContain(SUBJECT);
  });

  test("no cell that a stranger wrote is a formula", async () => {
    await send('=HYPERLINK("https://evil.example")');
    const { text } = await exported("format=csv");
    expect(text).toContain(`"'=HYPERLINK(""https://evil.example"")"`);
    expect(text).not.toMatch(/(?:^|,)"?=/m);
  });
});

test("as OCSF: an event a line, the last of them the checkpoint", async () => {
  const { text } = await exported("format=ocsf");
  const events = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.at(-1)).toMatchObject({
    metadata: { event_code: "checkpoint" },
    unmapped: { size: events.length - 1 },
  });
  expect(events[0]).toMatchObject({ class_uid: 3004, metadata: { log_name: mailbox, sequence: 0, version: "1.3.0" } });
});

describe("what is refused", () => {
  test.each([
    ["from_seq=5&to_seq=2", "to_seq"],
    ["from_seq=3&to_seq=3", "to_seq"],
    ["to_seq=0", "to_seq"],
    ["from_seq=900000000", "from_seq"],
    ["to_seq=900000000", "to_seq"],
    ["from=2026-11-21&to=2026-11-20", "to"],
    ["from=2026-11-21&to=2026-11-21", "to"],
    ["from=2999-01-01", "from"],
    ["to=2001-01-01", "to"],
    ["from=1969-12-31", "from"],
    ["from_seq=1&from=2026-01-01", "from_seq"],
    ["to_seq=1&to=2026-01-01", "to_seq"],
  ])("a range without an entry, or asked for both ways: %s", async (query, path) => {
    const answer = await call(`/v1/audit-log/export?log=${mailbox}&${query}`, { key: admin() });
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_range", issues: [{ path }] } });
  });

  test.each([
    ["from_seq=-1"],
    ["from_seq=1.5"],
    ["from_seq=1e3"],
    ["from=yesterday"],
    ["format=xml"],
    ["personal=maybe"],
  ])("what is no range at all: %s", async (query) => {
    const answer = await call(`/v1/audit-log/export?log=${mailbox}&${query}`, { key: admin() });
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid_input" } });
  });

  test("a log of another tenant, one that is not there, and one that only leads to the same object", async () => {
    const foreign = await makeTenant();
    const twin = `mbx_01ARZ3NDEKTSV4RRFF${mailbox.slice(-8)}`;
    for (const log of [foreign.id, foreign.mailbox.id, "mbx_01ARZ3NDEKTSV4RRFFQ69G5FAV", twin, "nonsense"]) {
      for (const path of ["export", "verify"]) {
        const answer = await call(`/v1/audit-log/${path}?log=${log}`, { key: admin() });
        expect(answer, `${path} ${log}`).toMatchObject({ status: 404, body: { code: "not_found" } });
      }
    }
  });

  test("a key that is bound to another mailbox, for that log and for the account's; its own it gets", async () => {
    const key = keyOf(tenant, "bound");
    for (const log of [mailbox, tenant.id]) {
      const answer = await call(`/v1/audit-log/export?log=${log}`, { key });
      expect(answer).toMatchObject({ status: 403, body: { code: "mailbox_not_allowed" } });
    }
    const own = tenant.mailboxes[1]?.id ?? "";
    const text = await textOf(await request(`/v1/audit-log/export?log=${own}`, { key }));
    expect(await verified(text, own)).toMatchObject({ ok: true });
  });

  test("every key without the scope admin", async () => {
    for (const name of ["read", "send", "oversight", "agent", "overseer"]) {
      const answer = await call(`/v1/audit-log/export?log=${mailbox}`, { key: keyOf(tenant, name) });
      expect(answer, name).toMatchObject({ status: 403, body: { code: "missing_scope" } });
    }
  });
});

test("while D1 does not take what the log has, nothing incomplete is given out, nor called verified", async () => {
  const bringBack = await takeAwayD1(tenant.id);
  for (const path of ["export", "verify"]) {
    const answer = await call(`/v1/audit-log/${path}`, { key: admin() });
    expect(answer, path).toMatchObject({ status: 503, body: { code: "unavailable" } });
    expect(answer.headers.get("retry-after")).toBe("30");
  }
  await bringBack();
  expect((await request("/v1/audit-log/export", { key: admin() })).status).toBe(200);
});

/** D1 as it would be if somebody had taken entries out of it. */
async function without(log: string, seq: number, work: () => Promise<void>): Promise<void> {
  const whole = await env.DB.prepare("SELECT * FROM audit_log WHERE log = ? AND seq = ?").bind(log, seq).first();
  const { sql } = (await env.DB.prepare("SELECT sql FROM sqlite_master WHERE name = 'audit_log_refuses_delete'").first<{
    sql: string;
  }>()) ?? { sql: "" };
  await env.DB.prepare("DROP TRIGGER audit_log_refuses_delete").run();
  await env.DB.prepare("DELETE FROM audit_log WHERE log = ? AND seq = ?").bind(log, seq).run();
  try {
    await work();
  } finally {
    const columns = Object.keys(whole ?? {});
    await env.DB.prepare(`INSERT INTO audit_log (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`)
      .bind(...Object.values(whole ?? {}))
      .run();
    await env.DB.prepare(sql).run();
  }
}

describe("an entry that neither D1 nor R2 has", () => {
  test("in the middle: the answer breaks off, and has no checkpoint that would make it look whole", async () => {
    await without(mailbox, 3, async () => {
      const response = await request(`/v1/audit-log/export?log=${mailbox}&personal=false`, { key: admin() });
      expect(response.status).toBe(200);
      let text = "";
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      await expect(async () => {
        for (;;) {
          const { done, value } = (await reader?.read()) ?? { done: true, value: "" };
          if (done) return;
          text += value;
        }
      }).rejects.toThrow(/entry 3 of mbx_\w+ cannot be read/);
      expect(text).not.toContain("checkpoint");
    });
  });

  test("is what the check of the service itself names", async () => {
    await without(mailbox, 3, async () => {
      const { body } = await call<Verdict>(`/v1/audit-log/verify?log=${mailbox}`, { key: admin() });
      expect(body).toMatchObject({ ok: false, fault: { code: "gap", seq: 3 }, next: null });
    });
  });
});

interface Verdict {
  ok: boolean;
  log: string;
  from_seq: number;
  to_seq: number;
  entries: number;
  size: number;
  fault: { code: string; seq: number } | null;
  next: number | null;
}

async function verify(query: string): Promise<Verdict> {
  const { status, body } = await call<Verdict>(`/v1/audit-log/verify?log=${mailbox}&${query}`, { key: admin() });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

describe("verify_audit_log", () => {
  test("says that a whole log is as its checkpoint says", async () => {
    const verdict = await verify("");
    expect(verdict).toMatchObject({ ok: true, log: mailbox, from_seq: 0, fault: null, next: null });
    expect(verdict.entries).toBe(verdict.size);
    const { body } = await call<Verdict>("/v1/audit-log/verify", { key: admin() });
    expect(body).toMatchObject({ ok: true, log: tenant.id });
  });

  test("goes through a large log part by part, without leaving anything out", async () => {
    const parts: [number, number][] = [];
    for (let next: number | null = 0; next !== null; ) {
      const verdict: Verdict = await verify(`from_seq=${next}&limit=3`);
      expect(verdict).toMatchObject({ ok: true, from_seq: next });
      parts.push([verdict.from_seq, verdict.to_seq]);
      next = verdict.next;
    }
    expect(parts.length).toBeGreaterThan(2);
    for (const [index, [start]] of parts.entries()) expect(start).toBe(index === 0 ? 0 : parts[index - 1]?.[1]);
  });

  test("takes as many entries as it does in one call, and no more", async () => {
    for (const [limit, status] of [
      [20_000, 200],
      [20_001, 422],
      [0, 422],
    ]) {
      expect((await call(`/v1/audit-log/verify?log=${mailbox}&limit=${limit}`, { key: admin() })).status).toBe(status);
    }
  });

  test("names an entry that was changed in D1, by one letter of what was done", async () => {
    const change = (from: string, to: string) =>
      env.DB.batch([
        env.DB.prepare("DROP TRIGGER audit_log_refuses_update"),
        env.DB.prepare("UPDATE audit_log SET entry = replace(entry, ?, ?) WHERE log = ? AND seq = 2").bind(
          from,
          to,
          mailbox,
        ),
        env.DB.prepare(
          "CREATE TRIGGER audit_log_refuses_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
        ),
      ]);
    await change('"via":"rest"', '"via":"resu"');
    const fault = (await verify("")).fault;
    await change('"via":"resu"', '"via":"rest"');
    expect(fault).toMatchObject({ seq: 2 });
    expect((await verify("")).ok).toBe(true);
  });
});

describe("what has left D1 for a sealed segment", () => {
  const LEFT = 4;
  let other: string;
  let times: string[];

  beforeAll(async () => {
    const rich = await makeTenant();
    tenant = rich;
    other = mailbox = rich.mailbox.id;
    for (let n = 0; n < 6; n++) await send(`Message ${n}`);
    const { newest } = await checkpointOf(other);
    times = await timesOf(other);
    const { results } = await env.DB.prepare(
      "SELECT seq, hash, entry AS text FROM audit_log WHERE log = ? AND seq < ? ORDER BY seq",
    )
      .bind(other, LEFT)
      .all<SegmentEntry>();
    const bytes = segmentBytes(results, newest.checkpoint);
    const key = segmentKey(rich.id, other, 0, LEFT - 1);
    await env.STORE.put(key, bytes);
    await env.DB.batch([
      env.DB.prepare("INSERT INTO audit_segments VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?)").bind(
        ...[other, LEFT - 1, rich.id, key, segmentDigest(bytes), LEFT],
        ...[times[0], times[LEFT - 1], times[LEFT - 1]],
      ),
      env.DB.prepare("INSERT INTO audit_floors VALUES (?, ?, 0)").bind(other, rich.id),
      env.DB.prepare("UPDATE audit_floors SET floor = ? WHERE log = ?").bind(LEFT, other),
      env.DB.prepare("DELETE FROM audit_log WHERE log = ? AND seq < ?").bind(other, LEFT),
    ]);
  });

  test("is part of an export as before, opened fields too, and of the check of the service", async () => {
    const { text } = await exported();
    expect(entriesIn(text).map(({ seq }) => seq)).toEqual(times.map((_, seq) => seq));
    expect(await verified(text)).toMatchObject({ ok: true, first: 0 });
    expect(text).toContain("Message 0");
    expect((await verify("")).ok).toBe(true);
  });

  test("is found by its time, on both sides of the border", async () => {
    for (const [start, end] of [
      [1, 3],
      [2, LEFT + 2],
      [LEFT, LEFT + 1],
    ] as const) {
      const [from = "", to = ""] = [times[start], times[end]];
      const { text } = await exported(`from=${from}&to=${to}`);
      const expected = times.flatMap((at, seq) => (at >= from && at < to ? [seq] : []));
      expect(entriesIn(text).map(({ seq }) => seq)).toEqual(expected);
      expect(await verified(text)).toMatchObject({ ok: true });
    }
  });

  test("is told of on the last page of a query, since no query finds it", async () => {
    const { body } = await call<{ archived_before: string | null }>(`/v1/audit-log?log=${other}&limit=100`, {
      key: admin(),
    });
    expect(body.archived_before).toBe(times[LEFT - 1]);
  });

  test("and was changed there by one byte is never given out", async () => {
    const key = segmentKey(tenant.id, other, 0, LEFT - 1);
    const whole = await (await env.STORE.get(key))?.arrayBuffer();
    const changed = new Uint8Array(whole ?? new ArrayBuffer(0)).slice();
    changed[10] = (changed[10] ?? 0) ^ 1;
    await env.STORE.put(key, changed);
    expect(await verify("")).toMatchObject({ ok: false, fault: { code: "gap", seq: 0 } });
    const answer = await call(`/v1/audit-log/export?log=${other}`, { key: admin() });
    expect(answer).toMatchObject({ status: 503, body: { code: "unavailable" } });
    await env.STORE.put(key, whole ?? new ArrayBuffer(0));
    expect((await verify("")).ok).toBe(true);
  });
});
