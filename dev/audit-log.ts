import { z } from "zod";
import type { HashedEntry } from "../src/audit/verify.ts";
import type { Api } from "./api.ts";

/** Reads an audit log through the API and checks it as an outsider would (FORMATS.md §6). */

/** The members of an entry that are hashed, and its hash; the API has more beside them for convenience. */
const MEMBERS: Record<keyof HashedEntry, true> = {
  v: true,
  log: true,
  seq: true,
  id: true,
  at: true,
  actor: true,
  action: true,
  resource: true,
  mode: true,
  detail: true,
  sealed: true,
  prev: true,
  hash: true,
};

const pageShape = z.object({ entries: z.array(z.record(z.string(), z.unknown())), cursor: z.string().nullish() });

/** Whether what an entry must have is there; the chain shows whether it is right. */
function isEntry(value: Record<string, unknown>): value is Record<string, unknown> & HashedEntry {
  return Object.keys(MEMBERS).every((member) => member === "sealed" || member in value);
}

function entryOf(given: Record<string, unknown>): HashedEntry {
  const entry = Object.fromEntries(Object.entries(given).filter(([member]) => Object.hasOwn(MEMBERS, member)));
  if (!isEntry(entry)) throw new Error(`This is no audit entry: ${JSON.stringify(given)}`);
  return entry;
}

/** @returns all entries of a mailbox's log that have reached the audit table, in order. */
export async function auditLogOf(admin: Api, mailboxId: string): Promise<HashedEntry[]> {
  const entries: HashedEntry[] = [];
  let cursor: string | null | undefined = null;
  do {
    const query = new URLSearchParams({ mailbox_id: mailboxId, limit: "100", ...(cursor && { cursor }) });
    const answer = await admin("GET", `/v1/audit-log?${query}`);
    if (answer.status !== 200)
      throw new Error(`get_audit_log answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    const page = pageShape.parse(answer.body);
    entries.push(...page.entries.map(entryOf).filter(({ log }) => log === mailboxId));
    cursor = page.cursor;
  } while (cursor);
  return entries.sort((a, b) => a.seq - b.seq);
}
