import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { ACTIONS, isAction } from "../../src/audit/actions.ts";
import { type Entry, entryText } from "../../src/audit/entry.ts";
import { openPersonal } from "../../src/audit/sealing.ts";

/** Whether entries are what the table of actions says (src/audit/actions.ts). */

/** Addresses and whatever else is a person's. */
const PERSONAL = /@/;

/** What an entry has that its action does not name, or that names a person in the open. */
export function faultsOf(entry: Entry, personal: Record<string, unknown> | null): string[] {
  if (!isAction(entry.action)) return [`${entry.action} is no action of the table`];
  const row: { detail: readonly string[]; personal: readonly string[] } = ACTIONS[entry.action];
  const extra = (fields: object | null, named: readonly string[], kind: string) =>
    Object.keys(fields ?? {})
      .filter((field) => !named.includes(field))
      .map((field) => `${entry.action} has the ${kind} ${field}, which its row does not name`);
  const { actor, resource, detail } = entry;
  const open = [actor.id, actor.agent_id, actor.key_id, resource.id, ...Object.values(detail).flat()];
  return [
    ...extra(detail, row.detail, "detail"),
    ...extra(personal, row.personal, "personal field"),
    ...open.filter((value) => PERSONAL.test(String(value))).map((value) => `${entry.action} tells ${value} openly`),
  ];
}

/** An entry with its sealed fields opened. */
export type OpenedEntry = Entry & { personal: Record<string, unknown> | null };

/** Every entry of an object's log, its sealed fields opened; each is what the table of actions says. */
export async function entriesIn(stub: DurableObjectStub): Promise<OpenedEntry[]> {
  const rows = await runInDurableObject(stub, (_object, state) =>
    state.storage.sql
      .exec<{ entry: string; wrapped: string | null }>(
        `SELECT entry, wrapped FROM entries
         LEFT JOIN data_keys ON kid = json_extract(entry, '$.sealed.kid') ORDER BY seq`,
      )
      .toArray(),
  );
  return rows.map(({ entry: text, wrapped }) => {
    const entry: Entry = JSON.parse(text);
    const personal = openPersonal(env, entry, wrapped);
    expect(faultsOf(entry, personal)).toEqual([]);
    expect(entryText(entry)).toBe(text);
    return { ...entry, personal };
  });
}

/** Every entry of every log of an account: its own, and those of its mailboxes. */
export async function entriesOfAccount(tenantId: string): Promise<OpenedEntry[]> {
  const { results } = await env.DB.prepare("SELECT routing FROM mailboxes WHERE tenant_id = ?")
    .bind(tenantId)
    .all<{ routing: string }>();
  const logs = [env.TENANT.getByName(tenantId), ...results.map(({ routing }) => env.MAILBOX.getByName(routing))];
  return (await Promise.all(logs.map(entriesIn))).flat();
}

/** What work adds to an account's logs. */
export async function addedBy<T>(
  tenantId: string,
  work: () => Promise<T>,
): Promise<{ result: T; added: OpenedEntry[] }> {
  const before = new Set((await entriesOfAccount(tenantId)).map(({ id }) => id));
  const result = await work();
  return { result, added: (await entriesOfAccount(tenantId)).filter(({ id }) => !before.has(id)) };
}
