import { isId } from "../../ids.ts";
import { comparableAddress, domainOf } from "../../mail/address.ts";
import { PENDING_KINDS } from "../../operations/shapes/pending.ts";
import { ANYTHING, type PendingFilter } from "../../oversight/pending-filter.ts";
import { AGES, NO_FILTERS, type QueueFilters } from "../../pages/console/queue.tsx";
import { findMailboxByAddress } from "../../store/directory.ts";

/** What the address of the queue asks for. */

const LONGEST_VALUE = 320;

export interface AskedQueue {
  filters: QueueFilters;
  after: string;
  /** Whether everything on the page is chosen already. */
  chooseAll: boolean;
  /** What of it cannot be asked, as a sentence; null if all can. */
  trouble: string | null;
}

/** Reads a query string. What it does not know it leaves out; what cannot be asked is told, never dropped. */
export function askedQueue(query: URLSearchParams): AskedQueue {
  const names = Object.keys(NO_FILTERS) as (keyof QueueFilters)[];
  const given = names.map((name): [string, string] => [name, (query.get(name) ?? "").trim().slice(0, LONGEST_VALUE)]);
  const filters = { ...NO_FILTERS, ...Object.fromEntries(given) };
  const after = query.get("after") ?? "";
  return { filters, after, chooseAll: query.get("select") === "page", trouble: troubleIn(filters, after) };
}

function troubleIn({ kind, older }: QueueFilters, after: string): string | null {
  if (kind !== "" && !PENDING_KINDS.some((each) => each === kind)) return "There is no such kind of item.";
  if (older !== "" && !Object.hasOwn(AGES, older)) return "There is no such age to filter by.";
  return after === "" || isId("pend", after) ? null : "There is no such page of the queue.";
}

/**
 * Turns what was asked into a filter.
 * @param now milliseconds since the epoch.
 * @returns null where nothing can match: the tenant has no such mailbox.
 */
export async function filterOf(
  db: D1Database,
  tenantId: string,
  { mailbox, kind, agent, domain, rule, older }: QueueFilters,
  now: number,
): Promise<PendingFilter | null> {
  const mailboxId = mailbox === "" ? null : await findMailboxByAddress(db, tenantId, comparableAddress(mailbox));
  if (mailbox !== "" && mailboxId === null) return null;
  const age = Object.hasOwn(AGES, older) ? AGES[older as keyof typeof AGES] : null;
  return {
    ...ANYTHING,
    mailbox_id: mailboxId,
    kind: PENDING_KINDS.find((each) => each === kind) ?? null,
    agent_id: agent === "" ? null : agent,
    recipient_domain: domain === "" ? null : domainOf(`@${domain.replace(/^.*@/, "")}`),
    rule: rule === "" ? null : rule,
    created_before: age && new Date(now - age.ms).toISOString(),
  };
}
