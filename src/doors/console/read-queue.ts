import type { DecisionItem } from "../../../durable-objects/mailbox-rpc.ts";
import type { Env } from "../../env.ts";
import { type RoutingNumber, routingNumberOf } from "../../ids.ts";
import type { Person } from "../../oversight/caller.ts";
import { matchesItem, type PendingFilter } from "../../oversight/pending-filter.ts";
import { factsOf, type QueueRow, rowOf } from "../../pages/console/row.ts";
import { askMailbox } from "../../store/mailbox-client.ts";
import { findPendingOf, type PendingRef } from "../../store/pending-search.ts";

/** What waits for a person across a tenant's mailboxes: D1 gives the ids, each mailbox says which of them are for this person. */

/** More rows than a person looks through on a phone are another page. */
export const PAGE_ROWS = 20;
/** How many items of the index one page looks at; it may come back short, with where to go on. */
const MOST_EXAMINED = 300;
/** Items are read whole, and an RPC carries at most 32 MiB. */
const ITEMS_PER_CALL = 5;
const EXAMINED_AT_ONCE = 20;

export interface QueueView {
  rows: QueueRow[];
  /** The id after which the next page begins; null at the end. */
  next: string | null;
  /** Items whose mailbox did not answer. */
  unread: number;
}

/**
 * One page of what waits for a person, the oldest first.
 * @param after the last id of the page before, or empty. @param use whether the person is going to see it (`ItemUse`).
 */
export async function readQueue(
  env: Env,
  tenantId: string,
  person: Person,
  filter: PendingFilter,
  after: string,
  use: "show" | "ask",
): Promise<QueueView> {
  const view: QueueView = { rows: [], next: null, unread: 0 };
  let at = after;
  for (let examined = 0; examined < MOST_EXAMINED; examined += EXAMINED_AT_ONCE) {
    const page = await findPendingOf(env.DB, tenantId, { limit: EXAMINED_AT_ONCE, after: at }, filter);
    const { rows, unread } = await readRows(env, person, page.items, use);
    const matching = rows.filter((row) => matchesItem(factsOf(row), filter));
    const room = PAGE_ROWS - view.rows.length;
    view.rows.push(...matching.slice(0, room));
    view.unread += unread;
    if (matching.length > room) return { ...view, next: view.rows.at(-1)?.pending_id ?? null };
    if (page.next === null) return view;
    at = page.next;
    if (view.rows.length === PAGE_ROWS) break;
  }
  return { ...view, next: at };
}

/** The rows of those items that the person may decide, in the order given. A mailbox that does not answer holds up no other. */
async function readRows(
  env: Env,
  person: Person,
  references: readonly PendingRef[],
  use: "show" | "ask",
): Promise<{ rows: QueueRow[]; unread: number }> {
  const calls = [...Map.groupBy(references, ({ mailbox_id }) => mailbox_id)].flatMap(([mailboxId, items]) =>
    chunks(items, ITEMS_PER_CALL).map((chunk) => ({
      routing: routingNumberOf(mailboxId),
      ids: chunk.map(({ id }) => id),
    })),
  );
  const answers = await Promise.all(calls.map(({ routing, ids }) => readItems(env, person, routing, ids, use)));
  const unread = answers.reduce((sum, answer, i) => sum + (answer === null ? (calls[i]?.ids.length ?? 0) : 0), 0);
  // Bodies are dropped with the items: a row is some hundred bytes.
  const byId = new Map(answers.flatMap((items) => items ?? []).map((item) => [item.pending_id, rowOf(item)]));
  return { rows: references.flatMap(({ id }) => byId.get(id) ?? []), unread };
}

async function readItems(
  env: Env,
  person: Person,
  routing: RoutingNumber | null,
  ids: string[],
  use: "show" | "ask",
): Promise<DecisionItem[] | null> {
  try {
    return routing === null ? [] : await askMailbox(env, routing, (mailbox) => mailbox.itemsFor(person, ids, use));
  } catch (error) {
    console.error("console: a mailbox does not answer", { routing, error: String(error) });
    return null;
  }
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
