import { z } from "zod";
import type { Entry } from "../audit/entry.ts";
import { openPersonal } from "../audit/sealing.ts";
import { asEmailId, isId } from "../ids.ts";
import { type AuditRow, findEntries } from "../store/audit-search.ts";
import { agentId, cursor, instant, limit } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";

/** An entry of FORMATS.md §6 with its hash and opened fields, and some of its members again under the names that clients read. */
const entryShape = z.looseObject({
  v: z.literal(1),
  log: z.string(),
  seq: z.number(),
  id: z.string(),
  at: z.string(),
  action: z.string(),
  hash: z.string(),
  prev: z.string(),
  personal: z.record(z.string(), z.unknown()).nullable(),
  resource_type: z.string(),
  resource_id: z.string(),
  actor_key_id: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  created_at: z.string(),
});

function shown(masterKey: string, { hash, entry: text, wrapped }: AuditRow): z.output<typeof entryShape> {
  const entry: Entry = JSON.parse(text);
  return {
    ...entry,
    hash,
    personal: openPersonal(masterKey, entry, wrapped),
    resource_type: entry.resource.type,
    resource_id: entry.resource.id,
    actor_key_id: entry.actor.key_id ?? null,
    metadata: entry.detail,
    created_at: entry.at,
  };
}

const id = z.string().min(1).max(64);

export const getAuditLog = defineOperation({
  name: "get_audit_log",
  summary: "Reads the audit log, the newest entries first.",
  scope: ["admin"],
  effect: null,
  input: z.strictObject({
    agent_id: agentId.optional(),
    domain: z.string().min(1).max(255).optional(),
    email_id: id.optional(),
    mailbox_id: id.optional(),
    action: z.string().min(1).max(64).optional(),
    from: instant.optional().describe("Entries at this time or later"),
    to: instant.optional().describe("Entries before this time"),
    limit,
    cursor,
  }),
  output: z.object({ entries: z.array(entryShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/audit-log" }],
  async handler({ env, caller }, { limit, cursor, ...filters }) {
    if (cursor !== undefined && !isId("aud", cursor)) throw foreignCursor();
    const asked = {
      agent_id: filters.agent_id ?? null,
      domain: filters.domain?.toLowerCase() ?? null,
      // A pending item's entries are its email's.
      email_id: filters.email_id === undefined ? null : (asEmailId(filters.email_id) ?? filters.email_id),
      mailbox_id: filters.mailbox_id ?? null,
      action: filters.action ?? null,
      from: filters.from ?? null,
      to: filters.to ?? null,
    };
    const { rows, next } = await findEntries(env.DB, caller, asked, { limit, before: cursor ?? null });
    return { status: 200, body: { entries: rows.map((row) => shown(env.MASTER_KEY, row)), cursor: next } };
  },
});
