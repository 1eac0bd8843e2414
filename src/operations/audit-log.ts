import { z } from "zod";
import { access } from "../audit/access.ts";
import { readPersonal } from "../audit/sealing.ts";
import { ocsfAltered, ocsfEvent } from "../audit/siem.ts";
import { storedEntry } from "../audit/stored-entry.ts";
import { checkTimes } from "../audit/time-range.ts";
import { asEmailId, isId } from "../ids.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { UNREADABLE } from "../store/audit-export.ts";
import { type AuditRow, findEntries } from "../store/audit-search.ts";
import { findMailboxByAddress } from "../store/directory.ts";
import type { MasterKeys } from "../store/secrets.ts";
import { agreed, cursor, instant, knownAgentId, limit } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { mailboxNames } from "./references.ts";
import { timestamp } from "./shapes/values.ts";

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
  personal: z.record(z.string(), z.unknown()).nullable().describe("Null: there are none, they were erased, or `fault`"),
  fault: z
    .enum(["unreadable"])
    .nullable()
    .describe("unreadable: there are sealed fields, and they were not erased, but what is stored does not open"),
  resource_type: z.string(),
  resource_id: z.string(),
  actor_key_id: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  created_at: z.string(),
});

/**
 * What D1 has in the place of an entry that was altered there. It has none of an entry's members, so that nobody takes it for one. Each
 * entry is held against its own hash: it costs next to nothing, while asking the log of every entry on a page would be a call each.
 */
const alteredShape = z.object({
  id: z.string(),
  hash: z.string(),
  fault: z
    .literal("altered")
    .describe("What is stored is not what this hash stands for: it was changed after it was written"),
  stored: z.string().describe("What is stored there, as it is: nobody wrote that to the log"),
});

/** The same entry as an event of the Open Cybersecurity Schema Framework (docs/audit.md has the table). */
const ocsfShape = z.looseObject({ class_uid: z.number(), type_uid: z.number(), time: z.number() });

/** The entry of a row; null where the row was altered. */
function entryOf({ id, hash, entry: text }: AuditRow) {
  const entry = storedEntry(text, hash);
  return entry?.id === id ? entry : null;
}

function shown(master: MasterKeys, row: AuditRow): z.output<typeof entryShape> | z.output<typeof alteredShape> {
  const { id, hash } = row;
  const entry = entryOf(row);
  if (entry === null) return { id, hash, fault: "altered", stored: row.entry };
  const { personal, unreadable } = readPersonal(master, entry, row.wrapped);
  return {
    ...entry,
    hash,
    personal,
    fault: unreadable ? "unreadable" : null,
    resource_type: entry.resource.type,
    resource_id: entry.resource.id,
    actor_key_id: entry.actor.key_id ?? null,
    metadata: entry.detail,
    created_at: entry.at,
  };
}

function shownToSiem(master: MasterKeys, row: AuditRow): z.output<typeof ocsfShape> {
  const { id, hash } = row;
  const entry = entryOf(row);
  if (entry === null) return ocsfAltered({ id, hash, text: row.entry }, Date.now());
  const { personal, unreadable } = readPersonal(master, entry, row.wrapped);
  return { ...ocsfEvent(entry, hash, unreadable ? UNREADABLE : personal) };
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

/**
 * A mailbox's entries are those of its log, so that the two filters are one.
 * @returns which log is asked for, null for all; `none` where what was asked for has no entries.
 */
async function logAskedFor(
  context: OperationContext,
  { log, mailbox }: { log?: string | undefined; mailbox: string | null },
): Promise<string | null | "none"> {
  if (mailbox === null) return log ?? null;
  const id = await mailboxIdOf(context, mailbox);
  // A tenant's log is asked for as a log: no mailbox has it.
  if (id === null || !id.startsWith("mbx_") || (log !== undefined && log !== id)) return "none";
  return id;
}

export const getAuditLog = defineOperation({
  name: "get_audit_log",
  summary: "Reads the audit log, the newest entries first.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: ({ limit: _limit, cursor: _cursor, ...query }, body) =>
      access({ action: "audit.read", detail: { results: body?.entries.length ?? 0 }, personal: { query } }),
  },
  input: z
    .strictObject({
      agent_id: knownAgentId.optional().describe("Entries of what this agent did"),
      actor: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .describe("Entries of what this one did: agent, human or system; a key's id; or the id that entries have"),
      domain: z
        .string()
        .min(1)
        .max(255)
        .optional()
        .describe("The sending domain of the mailbox, as entries have it in detail.domain"),
      email_id: z.string().min(1).max(64).optional().describe("Entries about this message: em_… or pend_…"),
      ...mailboxNames,
      log: z.string().min(1).max(64).optional().describe("Entries of this log: a mailbox's id, or the account's own"),
      action: z.string().min(1).max(64).optional().describe("Entries of this action, such as message.held"),
      from: instant.optional().describe("Entries at this time or later"),
      to: instant.optional().describe("Entries before this time"),
      format: z.enum(["entry", "ocsf"]).default("entry").describe("ocsf: as events that a SIEM takes"),
      limit,
      cursor,
    })
    .transform(({ mailbox_id, mailbox, ...rest }, context) => ({
      ...rest,
      mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
    })),
  output: z.object({
    entries: z.array(z.union([entryShape, alteredShape, ocsfShape])),
    cursor: z.string().nullable(),
    archived_before: timestamp
      .nullable()
      .describe("On the last page: entries up to this time may be in the sealed segments alone, which exports read"),
  }),
  rest: [{ method: "GET", path: "/v1/audit-log" }],
  async handler(context, { limit, cursor, mailbox, format, ...filters }) {
    const { env, caller } = context;
    if (cursor !== undefined && !isId("aud", cursor)) throw foreignCursor();
    checkTimes(filters);
    const log = await logAskedFor(context, { log: filters.log, mailbox });
    // As with every other filter, what is not there has no entries.
    if (log === "none") return { status: 200, body: { entries: [], cursor: null, archived_before: null } };
    const asked = {
      log,
      agent_id: filters.agent_id ?? null,
      actor: filters.actor ?? null,
      domain: filters.domain?.toLowerCase() ?? null,
      // A pending item's entries are its email's.
      email_id: filters.email_id === undefined ? null : (asEmailId(filters.email_id) ?? filters.email_id),
      action: filters.action ?? null,
      from: filters.from ?? null,
      to: filters.to ?? null,
    };
    const { rows, next, archived_before } = await findEntries(env.DB, caller, asked, { limit, before: cursor ?? null });
    const show = format === "ocsf" ? shownToSiem : shown;
    return { status: 200, body: { entries: rows.map((row) => show(env, row)), cursor: next, archived_before } };
  },
});
