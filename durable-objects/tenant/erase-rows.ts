import type { Mention } from "../../src/mail/mentions.ts";
import { addressHash } from "../../src/mail/suppression.ts";
import { forgetPerson, forgetSuppression } from "../../src/store/erasure.ts";
import { type Findings, type Phase, redacted } from "../contact-erasure.ts";
import { destroyKeys, forgetKeys } from "../ledger/erasure.ts";
import { kidsToErase } from "../ledger/erasure-walk.ts";
import { type StoredAgent, saveAgent } from "./agents.ts";
import { answersNaming, eraseAnswers } from "./answers.ts";
import type { TenantBase } from "./base.ts";
import { saveKey } from "./keys.ts";
import type { StoredKey } from "./stored-key.ts";
import {
  eraseNotes,
  eraseSuppressions,
  notesNaming,
  projectSuppression,
  SUPPRESSION,
  suppressionsOf,
} from "./suppressions.ts";

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
  ["api_keys", "key", "key", "json_extract(key, '$.revoked_at') IS NULL"],
  ["agents", "agent", "agent", "json_extract(agent, '$.deleted_at') IS NULL"],
  ["domains", "record", "domain", "1"],
] as const;

/** @returns where the address works in the account itself: people have to change that themselves first. */
export function inServiceHere(box: TenantBase, mention: Mention): string[] {
  const settings = Object.entries(box.tenant()).filter(([, value]) => mention.isIn(value));
  const things = NAMED.flatMap(([table, column, what, works]) =>
    box.rows
      .exec<{ id: string; record: string }>(`SELECT id, ${column} AS record FROM ${table} WHERE ${works}`)
      .toArray()
      .filter(({ id, record }) => mention.isIn([id, JSON.parse(record)]))
      .map(({ id }) => `${what} ${mention.isIn(id) ? "of that name" : id}`),
  );
  return [...settings.map(([name]) => `${name} of the account`), ...things];
}

/** Rows that name the person readably: by which column they are known, and the column that names them. */
const READABLE = [
  ["confirmations", "id", "change"],
  ["sign_in_links", "token_hash", "person"],
  ["sessions", "token_hash", "person"],
] as const;

/** @returns what forgets them; null: there is nothing. */
function forgetRows(box: TenantBase, mention: Mention): Findings["apply"] {
  const [suppressions, notes, timers] = [
    suppressionsOf(box, mention),
    notesNaming(box, mention),
    timersOf(box, mention),
  ];
  const [keys, agents, answers] = [
    revokedKeysNaming(box, mention),
    deletedAgentsNaming(box, mention),
    answersNaming(box, mention),
  ];
  const naming = READABLE.map(([table, id, text]) => ({ table, id, ids: namingIn(box, mention, { table, id, text }) }));
  const counts = {
    lists: suppressions.length + timers.length,
    answers: naming.reduce((sum, { ids }) => sum + ids.length, answers.length),
    redacted: notes.length + keys.length + agents.length,
  };
  if (counts.lists + counts.answers + counts.redacted === 0) return null;
  return () => {
    eraseSuppressions(box, suppressions);
    eraseNotes(box, notes);
    for (const { kind, ref } of timers) box.unschedule(kind, ref);
    for (const key of keys) saveKey(box, { ...redacted(key, mention), version: (key.version ?? 0) + 1 });
    for (const agent of agents) saveAgent(box, { ...redacted(agent, mention), version: agent.version + 1 });
    eraseAnswers(box, answers);
    for (const { table, id, ids } of naming) {
      box.rows.exec(`DELETE FROM ${table} WHERE ${id} IN (SELECT value FROM json_each(?))`, JSON.stringify(ids));
    }
    return counts;
  };
}

/** What works no more nobody can change, so it holds nothing up: what it says of the person is replaced. */
function revokedKeysNaming(box: TenantBase, mention: Mention): StoredKey[] {
  return box.rows
    .exec<{ key: string }>("SELECT key FROM api_keys WHERE json_extract(key, '$.revoked_at') IS NOT NULL")
    .toArray()
    .map(({ key }) => JSON.parse(key) as StoredKey)
    .filter((key) => mention.isIn(key));
}

function deletedAgentsNaming(box: TenantBase, mention: Mention): StoredAgent[] {
  return box.rows
    .exec<{ agent: string }>("SELECT agent FROM agents WHERE json_extract(agent, '$.deleted_at') IS NOT NULL")
    .toArray()
    .map(({ agent }) => JSON.parse(agent) as StoredAgent)
    .filter((agent) => mention.isIn(agent));
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
  const { kids, next, waits, gone } = await kidsToErase(box, mention, after);
  const apply = () => {
    destroyKeys(box, kids);
    return { entries: kids.length };
  };
  return { after: next, waits, gone, apply: kids.length === 0 ? null : apply };
}

/** Repeated in each round: what a write that was under way brought back goes with the next. @throws whatever D1 throws. */
async function outsidePhase(box: TenantBase, { address }: Mention): Promise<Findings> {
  const { DB } = box.environment();
  const { id } = box.tenant();
  await forgetKeys(box);
  for (const hash of box.scheduled(SUPPRESSION)) await projectSuppression(box, hash);
  await forgetSuppression(DB, id, addressHash(id, address));
  if (!box.tenant().confirmed_approvers.includes(address)) await forgetPerson(DB, id, address);
  return { after: null, apply: null };
}
