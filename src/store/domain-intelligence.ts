import type { Answer, FactStore, StoredAnswer } from "../intelligence/look-up.ts";

/** What was looked up of domains, in D1, for each tenant by itself. */

/** How many known domains others are compared with. */
const RELATIVES = 500;
/** A name that was not asked for in so many days counts as new again. */
const REMEMBERED_DAYS = 400;
const DAY = 24 * 3600_000;

interface AnswerRow {
  domain: string;
  source: string;
  answer: string;
  expires_at: number;
}

/** @param ownDomain the deployment's own domain, which is everybody's. */
export function factStore(db: D1Database, tenantId: string, ownDomain: string): FactStore {
  return {
    async read(domains) {
      const list = JSON.stringify(domains);
      const [answers, seen, relatives] = await db.batch<AnswerRow & { name: string }>([
        db
          .prepare(
            `SELECT domain, source, answer, expires_at FROM domain_answers
             WHERE tenant_id = ?1 AND domain IN (SELECT value FROM json_each(?2))`,
          )
          .bind(tenantId, list),
        db
          .prepare(
            "SELECT name FROM looked_up_names WHERE tenant_id = ?1 AND name IN (SELECT value FROM json_each(?2))",
          )
          .bind(tenantId, list),
        db
          .prepare(
            `SELECT domain AS name FROM (SELECT domain FROM domains WHERE tenant_id = ?1 AND status = 'verified' LIMIT ?2)
             UNION SELECT domain FROM (SELECT domain FROM known_domains WHERE tenant_id = ?1 LIMIT ?2)`,
          )
          .bind(tenantId, RELATIVES),
      ]);
      return {
        answers: (answers?.results ?? []).map(({ domain, source, answer, expires_at }) => ({
          domain,
          source,
          answer: JSON.parse(answer) as Answer,
          expires_at,
        })),
        seen: (seen?.results ?? []).map(({ name }) => name),
        relatives: [ownDomain, ...(relatives?.results ?? []).map(({ name }) => name)],
      };
    },

    async admit(names, day, budget) {
      const list = JSON.stringify(names);
      const forgotten = new Date(Date.parse(day) - REMEMBERED_DAYS * DAY).toISOString().slice(0, 10);
      // One statement, so that calls at the same time cannot both take what is left of the budget.
      const [, , admitted] = await db.batch<{ name: string }>([
        db.prepare("DELETE FROM looked_up_names WHERE tenant_id = ?1 AND day < ?2").bind(tenantId, forgotten),
        db
          .prepare(
            `INSERT INTO looked_up_names (tenant_id, name, day)
             SELECT ?1, value, ?3 FROM (
               SELECT value, row_number() OVER (ORDER BY key) AS position FROM json_each(?2)
               WHERE value NOT IN (SELECT name FROM looked_up_names WHERE tenant_id = ?1)
             ) WHERE position <= ?4 - (SELECT count(*) FROM looked_up_names WHERE tenant_id = ?1 AND day = ?3)`,
          )
          .bind(tenantId, list, day, budget),
        db
          .prepare(
            "SELECT name FROM looked_up_names WHERE tenant_id = ?1 AND name IN (SELECT value FROM json_each(?2))",
          )
          .bind(tenantId, list),
      ]);
      const there = new Set((admitted?.results ?? []).map(({ name }) => name));
      return names.filter((name) => there.has(name));
    },

    async write(answers, now) {
      const rows = answers.map(({ domain, source, answer, expires_at }: StoredAnswer) => [
        domain,
        source,
        JSON.stringify(answer),
        expires_at,
      ]);
      await db.batch([
        db
          .prepare(
            `INSERT OR REPLACE INTO domain_answers (tenant_id, domain, source, answer, expires_at)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)`,
          )
          .bind(tenantId, JSON.stringify(rows)),
        db.prepare("DELETE FROM domain_answers WHERE tenant_id = ?1 AND expires_at < ?2").bind(tenantId, now),
      ]);
    },
  };
}

/** Brings a domain that mail reached to D1. Harmless to repeat. */
export async function projectKnownDomain(db: D1Database, tenantId: string, domain: string): Promise<void> {
  await db
    .prepare("INSERT INTO known_domains (tenant_id, domain) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
    .bind(tenantId, domain)
    .run();
}
