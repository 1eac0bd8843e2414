import type { Mention } from "../../src/mail/mentions.ts";
import { addressHash } from "../../src/mail/suppression.ts";
import { forgetPerson, forgetSuppression } from "../../src/store/erasure.ts";
import type { Findings, Phase } from "../contact-erasure.ts";
import { destroyKeys, forgetKeys } from "../ledger/erasure.ts";
import { kidsToErase } from "../ledger/erasure-walk.ts";
import type { TenantBase } from "./base.ts";
import { SUPPRESSION } from "./suppressions.ts";

/** The tenant object's own part of erasing a person. */

export function ownPhases(box: TenantBase): readonly (readonly [string, Phase])[] {
  return [
    ["settings", (mention) => ({ after: null, apply: null, waits: inServiceHere(box, mention) })],
    ["rows", (mention) => ({ after: null, apply: forgetRows(box, mention) })],
    ["entries", (mention, after) => entriesPhase(box, mention, Number(after ?? 0))],
    ["outside", (mention) => outsidePhase(box, mention)],
  ];
}

/** Tables whose rows have the name of something that works: their id, and their record as JSON. */
const NAMED = [
  ["api_keys", "key", "key"],
  ["agents", "agent", "agent"],
  ["domains", "record", "domain"],
] as const;

/** @returns where the address works in the account itself: people have to change that themselves first. */
export function inServiceHere(box: TenantBase, mention: Mention): string[] {
  const settings = Object.entries(box.tenant()).filter(([, value]) => mention.isIn(value));
  const things = NAMED.flatMap(([table, column, what]) =>
    box.rows
      .exec<{ id: string; record: string }>(`SELECT id, ${column} AS record FROM ${table}`)
      .toArray()
      .filter(({ id, record }) => mention.isIn([id, JSON.parse(record)]))
      .map(({ id }) => `${what} ${mention.isIn(id) ? "of that name" : id}`),
  );
  return [...settings.map(([name]) => `${name} of the account`), ...things];
}

/** Rows that name the person readably: by which column they are known, and the column that names them. */
const READABLE = [
  ["idempotency", "key", "key || ' ' || body"],
  ["confirmations", "id", "change"],
  ["sign_in_links", "token_hash", "person"],
  ["sessions", "token_hash", "person"],
] as const;

/** @returns what forgets them; null: there is nothing. */
function forgetRows(box: TenantBase, mention: Mention): Findings["apply"] {
  const hash = addressHash(box.tenant().id, mention.address);
  const lists = listRows(box, hash) + timersOf(box, mention).length;
  const naming = READABLE.map(([table, id, text]) => ({ table, id, ids: namingIn(box, mention, { table, id, text }) }));
  const answers = naming.reduce((sum, { ids }) => sum + ids.length, 0);
  if (lists + answers === 0) return null;
  return () => {
    box.rows.exec("DELETE FROM suppressions WHERE hash = ?", hash);
    box.rows.exec("DELETE FROM soft_bounces WHERE hash = ?", hash);
    box.unschedule(SUPPRESSION, hash);
    for (const { kind, ref } of timersOf(box, mention)) box.unschedule(kind, ref);
    for (const { table, id, ids } of naming) {
      box.rows.exec(`DELETE FROM ${table} WHERE ${id} IN (SELECT value FROM json_each(?))`, JSON.stringify(ids));
    }
    return { lists, answers };
  };
}

function listRows(box: TenantBase, hash: string): number {
  return box.rows
    .exec<{ n: number }>(
      `SELECT (SELECT count(*) FROM suppressions WHERE hash = ?1) + (SELECT count(*) FROM soft_bounces WHERE hash = ?1) AS n`,
      hash,
    )
    .one().n;
}

function namingIn(
  box: TenantBase,
  mention: Mention,
  { table, id, text }: { table: string; id: string; text: string },
): (string | number)[] {
  return box.rows
    .exec<{ id: string | number; text: string }>(`SELECT ${id} AS id, ${text} AS text FROM ${table}`)
    .toArray()
    .filter((row) => mention.isIn(row.text))
    .map((row) => row.id);
}

/** Mail that was about to be sent to the person. */
function timersOf(box: TenantBase, mention: Mention): { kind: string; ref: string }[] {
  return box.rows
    .exec<{ kind: string; ref: string }>("SELECT kind, ref FROM timers")
    .toArray()
    .filter(({ ref }) => mention.isIn(ref));
}

async function entriesPhase(box: TenantBase, mention: Mention, after: number): Promise<Findings> {
  const { kids, next } = await kidsToErase(box, mention, after);
  const apply = () => {
    destroyKeys(box, kids);
    return { entries: kids.length };
  };
  return { after: next, apply: kids.length === 0 ? null : apply };
}

/** Repeated in each round: what a write that was under way brought back goes with the next. @throws whatever D1 throws. */
async function outsidePhase(box: TenantBase, { address }: Mention): Promise<Findings> {
  const { DB } = box.environment();
  const { id } = box.tenant();
  await forgetKeys(box);
  await forgetSuppression(DB, id, addressHash(id, address));
  if (!box.tenant().confirmed_approvers.includes(address)) await forgetPerson(DB, id, address);
  return { after: null, apply: null };
}
