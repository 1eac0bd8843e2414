import { z } from "zod";
import type { Entry } from "../audit/entry.ts";
import { openPersonal } from "../audit/sealing.ts";
import { asEmailId, isId } from "../ids.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { type AuditRow, findEntries } from "../store/audit-search.ts";
import { findMailboxByAddress } from "../store/directory.ts";
import type { MasterKeys } from "../store/secrets.ts";
import { agreed, cursor, instant, knownAgentId, limit } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { mailboxNames } from "./references.ts";

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

function shown(master: MasterKeys, { hash, entry: text, wrapped }: AuditRow): z.output<typeof entryShape> {
  const entry: Entry = JSON.parse(text);
  return {
    ...entry,
    hash,
    personal: openPersonal(master, entry, wrapped),
    resource_type: entry.resource.type,
    resource_id: entry.resource.id,
    actor_key_id: entry.actor.key_id ?? null,
    metadata: entry.detail,
    created_at: entry.at,
  };
}

/**
 * @param name a mailbox's id or address.
 * @returns the id that entries have; null for an address that no mailbox of the caller's tenant has.
 * @throws {Refused} `invalid_address` for what can be neither.
 */
async function mailboxIdOf({ env, caller }: OperationContext, name: string): Promise<string | null> {
  if (!name.includes("@")) return name;
  const [parsed] = parseAddresses([name], "mailbox_id");
  return parsed ? findMailboxByAddress(env.DB, caller.tenant_id, comparableAddress(parsed.address)) : null;
}

export const getAuditLog = defineOperation({
  name: "get_audit_log",
  summary: "Reads the audit log, the newest entries first.",
  scope: ["admin"],
  effect: null,
  input: z
    .strictObject({
      agent_id: knownAgentId.optional().describe("Entries of what this agent did"),
      domain: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .describe("The sending domain of the mailbox, as entries have it in detail.domain"),
      email_id: z.string().min(1).max(64).optional().describe("Entries about this message: em_… or pend_…"),
      ...mailboxNames,
      action: z.string().min(1).max(64).optional().describe("Entries of this action, such as message.held"),
      from: instant.optional().describe("Entries at this time or later"),
      to: instant.optional().describe("Entries before this time"),
      limit,
      cursor,
    })
    .transform(({ mailbox_id, mailbox, ...rest }, context) => ({
      ...rest,
      mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
    })),
  output: z.object({ entries: z.array(entryShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/audit-log" }],
  async handler(context, { limit, cursor, mailbox, ...filters }) {
    const { env, caller } = context;
    if (cursor !== undefined && !isId("aud", cursor)) throw foreignCursor();
    const mailboxId = mailbox === null ? null : await mailboxIdOf(context, mailbox);
    // As with every other filter, what is not there has no entries.
    if (mailbox !== null && mailboxId === null) return { status: 200, body: { entries: [], cursor: null } };
    const asked = {
      agent_id: filters.agent_id ?? null,
      domain: filters.domain?.toLowerCase() ?? null,
      // A pending item's entries are its email's.
      email_id: filters.email_id === undefined ? null : (asEmailId(filters.email_id) ?? filters.email_id),
      mailbox_id: mailboxId,
      action: filters.action ?? null,
      from: filters.from ?? null,
      to: filters.to ?? null,
    };
    const { rows, next } = await findEntries(env.DB, caller, asked, { limit, before: cursor ?? null });
    return { status: 200, body: { entries: rows.map((row) => shown(env, row)), cursor: next } };
  },
});
