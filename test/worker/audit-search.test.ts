import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../src/ids.ts";
import { placeOfTime } from "../../src/store/audit-range.ts";
import {
  type AuditFilters,
  archiveQuestion,
  findEntries,
  pageQuestion,
  type Question,
} from "../../src/store/audit-search.ts";
import { caller } from "../support/mailbox-harness.ts";

/** The queries of get_audit_log, in D1 itself: which index each walks, and that none looks further than it may. */

const NO_FILTERS: AuditFilters = {
  log: null,
  email_id: null,
  agent_id: null,
  actor: null,
  domain: null,
  action: null,
  from: null,
  to: null,
};
const TIME = "2026-11-20T08:00:00.000Z";

const tenantId = newId("ten", Date.now());
const admin = caller(tenantId, ["admin"]);
const mailbox = newId("mbx", Date.now());
const other = newId("mbx", Date.now());
const bound = caller(tenantId, ["admin"], { mailbox_ids: [mailbox] });

/** A step of what SQLite does for a statement, and the query that it is a step of. */
interface Step {
  parent: number;
  detail: string;
}

async function planOf({ sql, values }: Question): Promise<Step[]> {
  const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .bind(...values)
    .all<Step>();
  return results;
}

function written(plan: Step[]): string {
  return plan.map(({ detail }) => detail).join("\n");
}

interface Made {
  log?: string;
  actor?: Record<string, string>;
  email?: string;
  domain?: string;
  action?: string;
}

let made = 0;

/** Inserts entries as a drain does, the time of each a second after the one before. */
async function insert(rows: Made[]): Promise<string[]> {
  const first = made;
  made += rows.length;
  const values = rows.map(({ log = mailbox, actor = { type: "system", id: "multimail" }, ...rest }, index) => {
    const seq = first + index;
    return { seq, log, id: newId("aud", Date.parse(TIME) + seq * 1_000), actor, ...rest };
  });
  await env.DB.prepare(
    `INSERT INTO audit_log (log, seq, id, tenant_id, at, action, email_id, agent_id, key_id, domain, hash, entry)
     SELECT json_extract(value, '$.log'), json_extract(value, '$.seq'), json_extract(value, '$.id'), ?2, ?3,
       coalesce(json_extract(value, '$.action'), 'message.read'), json_extract(value, '$.email'),
       json_extract(value, '$.actor.agent_id'), json_extract(value, '$.actor.key_id'), json_extract(value, '$.domain'),
       'hash', json_object('actor', json_extract(value, '$.actor'), 'resource', json('{}'), 'detail', json('{}'))
     FROM json_each(?1)`,
  )
    .bind(JSON.stringify(values), tenantId, TIME)
    .run();
  return values.map(({ id }) => id);
}

async function find(filters: Partial<AuditFilters>, who = admin): Promise<string[]> {
  const { rows } = await findEntries(env.DB, who, { ...NO_FILTERS, ...filters }, { limit: 100, before: null });
  return rows.map(({ id }) => id);
}

/** Every filter by itself, and the index that was made for it. */
const ALONE: [name: string, filter: Partial<AuditFilters>, index: string][] = [
  ["nothing", {}, "audit_log_by_tenant"],
  ["log", { log: mailbox }, "audit_log_by_log"],
  ["email_id", { email_id: "em_1" }, "audit_log_by_email"],
  ["agent_id", { agent_id: "alice" }, "audit_log_by_agent"],
  ["action", { action: "message.held" }, "audit_log_by_action"],
  ["domain", { domain: "agents.test" }, "audit_log_by_domain"],
  ["actor: a kind", { actor: "human" }, "audit_log_by_actor_type"],
  ["actor: a key", { actor: newId("key", 0) }, "audit_log_by_key"],
  ["actor: a name", { actor: "approver" }, "audit_log_by_actor"],
  ["from and to", { from: TIME, to: "2026-11-21T08:00:00.000Z" }, "audit_log_by_tenant"],
];

describe("the plan of a page", () => {
  for (const [name, filter, index] of ALONE) {
    for (const before of [null, newId("aud", 0)]) {
      test(`by ${name}${before ? ", with a cursor" : ""}: walks ${index} alone, in its order`, async () => {
        const plan = await planOf(pageQuestion(admin, { ...NO_FILTERS, ...filter }, { limit: 20, before }));
        const walks = plan.filter(({ detail }) => /audit_log USING (?:COVERING )?INDEX/.test(detail));
        expect(walks, written(plan)).toHaveLength(1);
        expect(walks[0]?.detail).toContain(`SEARCH audit_log USING COVERING INDEX ${index} (tenant_id=?`);
        expect(written(plan)).not.toMatch(/SCAN (?:audit_log|data_keys)/);
        // What was found may be sorted once more, never what is walked.
        const beside = plan.filter(({ parent }) => parent === walks[0]?.parent);
        expect(written(beside)).not.toContain("TEMP B-TREE");
      });
    }
  }

  test("a key that is bound to one mailbox walks that mailbox's log", async () => {
    const plan = await planOf(pageQuestion(bound, NO_FILTERS, { limit: 20, before: null }));
    expect(written(plan)).toContain("audit_log_by_log (tenant_id=? AND log=?)");
  });

  test("since when entries are archived is looked up without a scan", async () => {
    const plan = await planOf(archiveQuestion(admin, { log: null }));
    expect(written(plan)).not.toContain("SCAN");
    expect(written(plan)).toContain("audit_floors_by_tenant");
  });
});

describe("what a page finds", () => {
  const key = newId("key", 0);
  let ids: string[];

  beforeAll(async () => {
    ids = await insert([
      { actor: { type: "agent", id: "alice", agent_id: "alice", key_id: key }, email: "em_1", action: "message.held" },
      { actor: { type: "agent", id: key, key_id: key }, domain: "agents.test", action: "message.queued" },
      { actor: { type: "human", id: "approver" }, email: "em_1", action: "decision.approved" },
      { actor: { type: "human", id: "operator" }, log: tenantId, action: "operator.confirmed" },
      { log: other },
    ]);
  });

  test.each<[string, Partial<AuditFilters>, number[]]>([
    ["nothing", {}, [4, 3, 2, 1, 0]],
    ["a kind of actor", { actor: "human" }, [3, 2]],
    ["a key, whatever its agent", { actor: key }, [1, 0]],
    ["an agent as the actor", { actor: "alice" }, [0]],
    ["a person as the actor", { actor: "approver" }, [2]],
    ["the system", { actor: "system" }, [4]],
    ["a log", { log: mailbox }, [2, 1, 0]],
    ["the tenant's own log", { log: tenantId }, [3]],
    ["a message", { email_id: "em_1" }, [2, 0]],
    ["a domain", { domain: "agents.test" }, [1]],
    ["two filters", { email_id: "em_1", actor: "human" }, [2]],
    ["filters that exclude each other", { log: other, actor: "human" }, []],
    ["a time, its beginning included", { from: "2026-11-20T08:00:03.000Z" }, [4, 3]],
    ["a time, its end excluded", { to: "2026-11-20T08:00:01.000Z" }, [0]],
    ["a log of nobody", { log: newId("mbx", 0) }, []],
  ])("by %s", async (_name, filter, expected) => {
    expect(await find(filter)).toEqual(expected.map((index) => ids[index]));
  });

  test("a bound key finds nothing of another log, whatever it asks for", async () => {
    expect(await find({}, bound)).toEqual([ids[2], ids[1], ids[0]]);
    for (const filter of [{ log: other }, { log: tenantId }, { actor: "operator" }, { action: "operator.confirmed" }]) {
      expect(await find(filter, bound), JSON.stringify(filter)).toEqual([]);
    }
  });

  test("another tenant finds nothing by any of these names, nor by a cursor", async () => {
    const stranger = caller(newId("ten", Date.now()), ["admin"]);
    for (const [, filter] of ALONE) expect(await find(filter, stranger)).toEqual([]);
    expect(await find({ log: tenantId, email_id: "em_1" }, stranger)).toEqual([]);
    const page = { limit: 10, before: ids[4] ?? null };
    expect((await findEntries(env.DB, stranger, NO_FILTERS, page)).rows).toEqual([]);
  });

  test("two filters examine a bounded stretch, and go on where it ends", async () => {
    const rare = await insert([{ action: "rare.action" }]);
    await insert(Array.from({ length: 1_000 }, () => ({})));
    const asked = { ...NO_FILTERS, log: mailbox, action: "rare.action" };
    const first = await findEntries(env.DB, admin, asked, { limit: 10, before: null });
    expect(first.rows).toEqual([]);
    const second = await findEntries(env.DB, admin, asked, { limit: 10, before: first.next });
    expect(second.rows.map(({ id }) => id)).toEqual(rare);
    expect(second.next).toBeNull();
  });
});

describe("what has left D1", () => {
  const archived = newId("mbx", Date.now());
  const LAST = "2026-06-30T23:00:00.000Z";

  beforeAll(async () => {
    const segment = (first: number, last: number, last_at: string) =>
      env.DB.prepare(
        `INSERT INTO audit_segments VALUES (?1, ?2, ?3, ?4, printf('audit/%s/%s/%012d-%012d.ndjson', ?4, ?1, ?2, ?3), ?5, ?6, ?7, ?7, ?7)`,
      ).bind(archived, first, last, tenantId, "0".repeat(64), last - first + 1, last_at);
    await env.DB.batch([
      segment(0, 4, "2026-05-31T23:00:00.000Z"),
      segment(5, 9, LAST),
      segment(10, 19, "2026-07-31T23:00:00.000Z"),
      env.DB.prepare("INSERT INTO audit_floors VALUES (?, ?, 0)").bind(archived, tenantId),
      env.DB.prepare("UPDATE audit_floors SET floor = 10 WHERE log = ?").bind(archived),
    ]);
  });

  const until = async (filters: Partial<AuditFilters>, who = admin) =>
    (await findEntries(env.DB, who, { ...NO_FILTERS, ...filters }, { limit: 1, before: newId("aud", 0) }))
      .archived_before;

  test("is told on the last page, of the logs and the time that were asked for", async () => {
    expect(await until({})).toBe(LAST);
    expect(await until({ log: archived })).toBe(LAST);
    expect(await until({ from: "2026-06-01T00:00:00.000Z" })).toBe(LAST);
    expect(await until({ from: "2026-07-01T00:00:00.000Z" })).toBeNull();
    expect(await until({ log: mailbox })).toBeNull();
    expect(await until({}, bound)).toBeNull();
    expect(await until({}, caller(newId("ten", Date.now()), ["admin"]))).toBeNull();
    const first = await findEntries(env.DB, admin, NO_FILTERS, { limit: 1, before: null });
    expect(first.archived_before).toBeNull();
  });
});

describe("the place of a time in a log", () => {
  const log = newId("mbx", Date.now());
  /** Places 0, 1 | 2, 3, 4 | 5: ids of one millisecond are in no order. */
  const AT = [0, 0, 1, 1, 1, 2].map((ms) => new Date(Date.parse(TIME) + ms).toISOString());

  beforeAll(async () => {
    const rows = AT.map((at, seq) => ({
      seq,
      at,
      id: `${newId("aud", Date.parse(at)).slice(0, 14)}${9 - seq}${"0".repeat(15)}`,
    }));
    await env.DB.prepare(
      `INSERT INTO audit_log (log, seq, id, tenant_id, at, action, hash, entry)
       SELECT ?2, json_extract(value, '$.seq'), json_extract(value, '$.id'), ?3, json_extract(value, '$.at'), 'x', 'hash', '{}'
       FROM json_each(?1)`,
    )
      .bind(JSON.stringify(rows), log, tenantId)
      .run();
  });

  test.each([
    ["the beginning of all", 0, 0],
    ["before the beginning", -1, 0],
    ["a millisecond of several entries: the first of them", 1, 2],
    ["the last", 2, 5],
    ["after the last: the size", 3, 6],
  ])("%s", async (_name, ms, place) => {
    const iso = new Date(Date.parse(TIME) + ms).toISOString();
    expect(await placeOfTime(env, { log, tenant_id: tenantId, size: AT.length }, iso)).toBe(place);
  });

  test("is not beyond what the checkpoint has, though the log has grown", async () => {
    expect(await placeOfTime(env, { log, tenant_id: tenantId, size: 4 }, AT[5] ?? "")).toBe(4);
  });
});
