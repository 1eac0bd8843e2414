import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, type Refusal } from "../../src/errors.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import type { Mention } from "../../src/mail/mentions.ts";
import {
  addressHash,
  outweighs,
  SOFT_BOUNCE_PERIOD,
  SOFT_BOUNCES,
  type Suppressed,
  type SuppressionReason,
} from "../../src/mail/suppression.ts";
import type { Suppression } from "../../src/operations/shapes/recipient-lists.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { forgetSuppression } from "../../src/store/erasure.ts";
import { recordSuppression } from "../../src/store/suppressions.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { NewSuppression, RecipientTrouble, SuppressionPage } from "../tenant-rpc.ts";
import { noteUnchanged } from "./accesses.ts";
import type { TenantBase } from "./base.ts";

/**
 * Whom the tenant does not write to: what came back, complained or unsubscribed, and what somebody entered. A row is found by a
 * hash of its address, so that it can outlive the address where a person's data is erased.
 */

/** The timer that brings a row to D1, where the direct way did not succeed. */
export const SUPPRESSION = "suppression";
const DIRECT_WAY = 2_000;

/** A row as the object keeps it. */
interface Row extends Record<string, SqlStorageValue> {
  hash: string;
  /** Null once it was taken off the list, or its person's data was erased. */
  address: string | null;
  reason: SuppressionReason;
  note: string | null;
  /** The message that came back, was complained about or unsubscribed from. */
  email_id: string | null;
  created_at: string;
  /** Its place in the list: the newest is the highest. */
  place: number;
  active: number;
  version: number;
}

const COLUMNS = "hash, address, reason, note, email_id, created_at, place, active, version";

function find(box: TenantBase, address: string): Row | null {
  const hash = addressHash(box.tenant().id, address);
  return box.rows.exec<Row>(`SELECT ${COLUMNS} FROM suppressions WHERE hash = ?`, hash).toArray()[0] ?? null;
}

function shown({ address, reason, note, email_id, created_at }: Row): Suppression {
  return { address, reason, note, email_id, created_at };
}

/** A key that is bound to mailboxes does not reach beyond them, and this list is about all of them. */
function whyNotReached({ mailbox_ids }: Caller): Refusal | null {
  if (mailbox_ids === null) return null;
  return {
    code: "mailbox_not_allowed",
    error: "This key is bound to its mailboxes, and the suppression list is that of the whole account.",
  };
}

/** Inside `commit`. @returns whether anything was changed. */
function put(box: TenantBase, wanted: NewSuppression & { email_id: string | null }, actor: Actor): boolean {
  const address = comparableAddress(wanted.address);
  const before = find(box, address);
  if (before?.active === 1 && !outweighs(wanted.reason, before.reason)) return false;
  const hash = addressHash(box.tenant().id, address);
  box.rows.exec(
    `INSERT OR REPLACE INTO suppressions (${COLUMNS})
     VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(place), 0) + 1 FROM suppressions), 1, ?)`,
    hash,
    address,
    wanted.reason,
    wanted.note,
    wanted.email_id,
    box.time(),
    (before?.version ?? 0) + 1,
  );
  box.schedule(SUPPRESSION, hash, box.now() + DIRECT_WAY);
  box.record({
    actor,
    action: "suppression.added",
    resource: { type: "tenant", id: box.tenant().id },
    detail: { reason: wanted.reason, email_id: wanted.email_id },
    personal: { address, note: wanted.note },
  });
  return true;
}

/** Brings a row to D1; of one that was erased here, D1's goes too. @throws whatever D1 threw. */
export async function projectSuppression(box: TenantBase, hash: string): Promise<void> {
  const read = () =>
    box.rows.exec<Row>(`SELECT ${COLUMNS} FROM suppressions WHERE hash = ?`, hash).toArray()[0] ?? null;
  const row = read();
  const { DB } = box.environment();
  const tenant_id = box.tenant().id;
  if (row) {
    const { reason, active, version } = row;
    await recordSuppression(DB, { tenant_id, address_hash: hash, reason, active: active === 1, version });
  } else await forgetSuppression(DB, tenant_id, hash);
  // Changed meanwhile: the timer stays, and brings that version.
  if (read()?.version === row?.version) box.commit(() => box.unschedule(SUPPRESSION, hash));
}

/** The hashes of rows whose address names a person: their own, and return paths that have it within. */
export function suppressionsOf(box: TenantBase, mention: Mention): string[] {
  const own = addressHash(box.tenant().id, mention.address);
  const hashes = box.rows
    .exec<{ hash: string; address: string | null }>("SELECT hash, address FROM suppressions")
    .toArray()
    .filter(({ hash, address }) => hash === own || mention.isIn(address))
    .map(({ hash }) => hash);
  const isCounted = box.rows.exec("SELECT 1 FROM soft_bounces WHERE hash = ? LIMIT 1", own).toArray().length > 0;
  return [...new Set([...hashes, ...(isCounted ? [own] : [])])];
}

/** Erases rows, since a hash would confirm a guess. Inside `commit`; their timers take them from D1. */
export function eraseSuppressions(box: TenantBase, hashes: readonly string[]): void {
  for (const hash of hashes) {
    box.rows.exec("DELETE FROM suppressions WHERE hash = ?", hash);
    box.rows.exec("DELETE FROM soft_bounces WHERE hash = ?", hash);
    box.schedule(SUPPRESSION, hash, box.now());
  }
}

/** The hashes of rows whose note names a person. */
export function notesNaming(box: TenantBase, mention: Mention): string[] {
  return box.rows
    .exec<{ hash: string; note: string }>("SELECT hash, note FROM suppressions WHERE note IS NOT NULL")
    .toArray()
    .filter(({ note }) => mention.isIn(note))
    .map(({ hash }) => hash);
}

/** Takes the notes from rows that stay. D1 has none. Inside `commit`. */
export function eraseNotes(box: TenantBase, hashes: readonly string[]): void {
  box.rows.exec(
    "UPDATE suppressions SET note = NULL WHERE hash IN (SELECT value FROM json_each(?))",
    JSON.stringify(hashes),
  );
}

async function bringToD1(box: TenantBase, address: string): Promise<void> {
  const hash = addressHash(box.tenant().id, address);
  if (box.isScheduled(SUPPRESSION, hash)) await projectSuppression(box, hash);
}

/** Of these addresses those that are not to be written to, as they are given. */
export function suppressedAmong(box: TenantBase, addresses: readonly string[]): Suppressed[] {
  return addresses.flatMap((address) => {
    const row = find(box, address);
    return row?.active === 1 ? [{ address, reason: row.reason }] : [];
  });
}

/** Which trouble puts its recipient on the list at once. `soft_bounce` is counted, and does so when there are enough. */
const AT_ONCE = {
  hard_bounce: "hard_bounce",
  complaint: "complaint",
  unsubscribed: "unsubscribed",
} as const satisfies Partial<Record<RecipientTrouble["what"], SuppressionReason>>;

/** Counts one message that came back from an address. Inside `commit`. @returns how many did within the period. */
function countSoftBounce(box: TenantBase, { address, email_id }: RecipientTrouble): number {
  const hash = addressHash(box.tenant().id, address);
  box.rows.exec("DELETE FROM soft_bounces WHERE at <= ?", box.now() - SOFT_BOUNCE_PERIOD);
  // One message counts once, however often its report comes.
  box.rows.exec("INSERT OR IGNORE INTO soft_bounces VALUES (?, ?, ?)", hash, email_id, box.now());
  return box.rows.exec<{ n: number }>("SELECT count(*) AS n FROM soft_bounces WHERE hash = ?", hash).one().n;
}

/** A message of one of the tenant's mailboxes had trouble with a recipient. The same again changes nothing. */
export async function noteTrouble(box: TenantBase, trouble: RecipientTrouble): Promise<void> {
  const { address, what, email_id } = trouble;
  box.commit(() => {
    const enough = what !== "soft_bounce" || countSoftBounce(box, trouble) >= SOFT_BOUNCES;
    const reason = what === "soft_bounce" ? "soft_bounces" : AT_ONCE[what];
    if (enough) put(box, { address, reason, note: null, email_id }, { ...SYSTEM, via: "email" });
  });
  await bringToD1(box, address);
}

/** Enters an address; one that is there for a weightier reason stays as it is. */
export async function addSuppression(
  box: TenantBase,
  caller: Caller,
  wanted: NewSuppression,
): Promise<Outcome<{ suppression: Suppression; existed: boolean }>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotReached(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const changed = box.commit(() => put(box, { ...wanted, email_id: null }, actorOf(caller)));
  if (!changed) noteUnchanged(box, caller, "suppression.added", { type: "tenant", id: caller.tenant_id });
  await bringToD1(box, wanted.address);
  const row = find(box, wanted.address);
  if (!row) throw new Error("a suppression is missing right after it was entered");
  return accepted({ suppression: shown(row), existed: !changed });
}

/** What the list says of one address; null if it may be written to. */
export function findSuppression(box: TenantBase, caller: Caller, address: string): Outcome<Suppression | null> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotReached(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const row = find(box, address);
  return accepted(row?.active === 1 ? shown(row) : null);
}

/** One page, the newest first. @param page `cursor`: the place of the last one of the page before. */
export function listSuppressions(
  box: TenantBase,
  caller: Caller,
  page: { limit: number; cursor: number | null },
): Outcome<SuppressionPage> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotReached(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const rows = box.rows
    .exec<Row>(
      `SELECT ${COLUMNS} FROM suppressions WHERE active = 1 AND place < ? ORDER BY place DESC LIMIT ?`,
      page.cursor ?? Number.MAX_SAFE_INTEGER,
      page.limit + 1,
    )
    .toArray();
  const shownRows = rows.slice(0, page.limit);
  const last = rows.length > page.limit ? shownRows.at(-1) : undefined;
  return accepted({ suppressions: shownRows.map(shown), cursor: last?.place ?? null });
}

const REASON_WORDS: Readonly<Record<SuppressionReason, string>> = {
  complaint: "it complained about your mail",
  manual: "somebody entered it",
  hard_bounce: "mail to it came back, since it does not exist",
  soft_bounces: "mail to it came back again and again",
  unsubscribed: "it unsubscribed",
};

/**
 * Takes an address off the list, so that it is written to again: only in the words that the operator allowed. It then starts anew:
 * what came back before is not counted.
 */
export async function removeSuppression(
  box: TenantBase,
  caller: Caller,
  address: string,
  approvedWords: string | null,
): Promise<Outcome<{ removed: Suppression } | { needs_approval: { change: string } }>> {
  if (!box.isMine(caller)) return notFound();
  const unreached = whyNotReached(caller);
  if (unreached) return { ok: false, refusal: unreached };
  const row = find(box, address);
  if (row?.active !== 1) return notFound();
  const change = `Mail may go to ${comparableAddress(address)} again, though ${REASON_WORDS[row.reason]} on ${row.created_at.slice(0, 10)}.`;
  if (approvedWords !== change) return accepted({ needs_approval: { change } });
  box.commit(() => {
    box.rows.exec(
      "UPDATE suppressions SET active = 0, address = NULL, note = NULL, version = version + 1 WHERE hash = ?",
      row.hash,
    );
    box.rows.exec("DELETE FROM soft_bounces WHERE hash = ?", row.hash);
    box.schedule(SUPPRESSION, row.hash, box.now() + DIRECT_WAY);
    box.record({
      actor: actorOf(caller),
      action: "suppression.removed",
      resource: { type: "tenant", id: caller.tenant_id },
      detail: { reason: row.reason },
      personal: { address: row.address },
    });
  });
  await bringToD1(box, address);
  return accepted({ removed: shown(row) });
}
