import type { WebhookEvent } from "../webhooks/event.ts";
import { ACTIONS, isAction } from "./actions.ts";
import type { Entry } from "./entry.ts";
import { type OcsfNames, ocsfClassOf, ocsfNames } from "./ocsf-classes.ts";
import { ALTERED_WORDS } from "./stored-entry.ts";

/** Audit entries for programs that watch: as the event that webhooks carry, and in the shape of OCSF 1.3. Pure. */

/** An entry's opened fields; null where it has none, the reader may not see them, or they were erased. */
export type Personal = Readonly<Record<string, unknown>> | null;

/** An entry in the shape of OCSF 1.3 (https://schema.ocsf.io). What an entry does not say is left out, never invented. */
export interface OcsfEvent extends OcsfNames {
  /** Milliseconds since the epoch. */
  time: number;
  message: string;
  metadata: {
    version: "1.3.0";
    product: { name: "MultiMail"; vendor_name: "MultiMail" };
    /** The entry's id. */
    uid: string;
    /** The entry's place in its log. */
    sequence: number;
    log_name: string;
    /** The entry's action. */
    event_code: string;
  };
  actor: { user: OcsfUser; app_uid?: string };
  src_endpoint: { name: string };
  unmapped: {
    mode: Entry["mode"];
    detail: Entry["detail"];
    personal: Personal;
    hash: string;
  };
  api?: { operation: string; service: { name: "MultiMail" } };
  resources?: { type: string; uid: string }[];
  entity?: { type: string; uid: string };
  /** Whom an account change or an authentication is about. */
  user?: OcsfUser;
  direction_id?: 1 | 2;
  direction?: "Inbound" | "Outbound";
  email?: Record<string, unknown>;
}

/** An account, as OCSF names one. `type_id` is 1 for a person, 3 for the system, 99 for an agent. */
interface OcsfUser {
  uid: string;
  type_id?: 1 | 3 | 99;
  type?: string;
  /** The API key that was used. */
  credential_uid?: string;
}

const METADATA = {
  version: "1.3.0",
  product: { name: "MultiMail", vendor_name: "MultiMail" },
} as const;

const USER_TYPES = {
  human: { type_id: 1, type: "User" },
  system: { type_id: 3, type: "System" },
  agent: { type_id: 99, type: "Agent" },
} as const;

function actorOf({ actor: { type, id, agent_id, key_id } }: Entry): OcsfEvent["actor"] {
  return {
    user: { uid: id, ...USER_TYPES[type], ...(key_id !== undefined && { credential_uid: key_id }) },
    ...(agent_id !== undefined && { app_uid: agent_id }),
  };
}

function textIn(value: unknown): string | undefined {
  const [first] = Array.isArray(value) ? value : [value];
  return typeof first === "string" ? first : undefined;
}

function listIn(value: unknown): string[] | undefined {
  const list = Array.isArray(value) ? value : [value];
  return list.every((each) => typeof each === "string") ? list : undefined;
}

/** Members that have a value. */
function filled(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined && value !== null));
}

function emailOf({ resource, detail }: Entry, personal: Personal): Record<string, unknown> {
  return filled({
    uid: resource.type === "email" ? resource.id : undefined,
    from: textIn(personal?.from),
    to: listIn(personal?.to ?? personal?.recipient ?? personal?.envelope_to),
    cc: listIn(personal?.cc),
    subject: textIn(personal?.subject),
    message_uid: textIn(personal?.rfc_message_id),
    smtp_from: textIn(personal?.envelope_from),
    size: detail.size,
  });
}

const ARRIVING: ReadonlySet<string> = new Set([
  "message.received",
  "message.inbound_held",
  "message.set_aside",
  "identity.verified",
  "identity.not_verified",
]);

/** Everything that is about mail is about mail on its way out, but what arrived, or was refused when it came by mail. */
function directionOf({ action, actor }: Entry): Pick<OcsfEvent, "direction_id" | "direction"> {
  const isInbound = ARRIVING.has(action) || (action === "message.refused" && actor.via === "email");
  return isInbound ? { direction_id: 1, direction: "Inbound" } : { direction_id: 2, direction: "Outbound" };
}

/** What each class wants besides. */
function ofItsClass(entry: Entry, personal: Personal): Partial<OcsfEvent> {
  const { action, resource } = entry;
  const thing = { type: resource.type, uid: resource.id };
  switch (ocsfClassOf(action)) {
    case "api_activity":
      return { api: { operation: action, service: { name: "MultiMail" } }, resources: [thing] };
    case "email_activity":
      return { email: emailOf(entry, personal), ...directionOf(entry) };
    case "entity_management":
      return { entity: thing };
    case "account_change":
      return { user: { uid: resource.id, type: resource.type } };
    case "authentication":
      return { user: { uid: textIn(personal?.person) ?? resource.id } };
  }
}

/**
 * @param hash the entry's leaf hash, by which an event leads back to its place in the log.
 * @param personal the opened fields, where whoever gets the event may see them.
 * @returns the entry in the shape of OCSF 1.3.
 */
export function ocsfEvent(entry: Entry, hash: string, personal: Personal): OcsfEvent {
  const { id, at, seq, log, action, actor, mode, detail } = entry;
  return {
    ...ocsfNames(action),
    time: Date.parse(at),
    message: isAction(action) ? ACTIONS[action].says : action,
    metadata: { ...METADATA, uid: id, sequence: seq, log_name: log, event_code: action },
    actor: actorOf(entry),
    src_endpoint: { name: actor.via },
    ...ofItsClass(entry, personal),
    unmapped: { mode, detail, personal, hash },
  };
}

/**
 * An entry that was altered in D1, as the fault of a log. Nothing of what is stored there stands where an entry's own words would.
 * @param at when it was noticed: when it was written, nobody can tell from it.
 */
export function ocsfAltered(
  { id, log, seq, text, hash }: { id: string; log?: string; seq?: number; text: string; hash: string },
  at: number,
) {
  return {
    ...ocsfNames("log.fault"),
    time: at,
    message: ALTERED_WORDS,
    metadata: {
      ...METADATA,
      ...{ uid: id, event_code: "altered" },
      ...(log !== undefined && { log_name: log }),
      ...(seq !== undefined && { sequence: seq }),
    },
    actor: { user: { uid: "multimail", ...USER_TYPES.system } },
    src_endpoint: { name: "system" },
    entity: { type: "entry", uid: id },
    unmapped: { stored: text, hash },
  };
}

/** The last line of an export in this shape: what the exported entries can be held against. */
export function ocsfCheckpoint({
  log,
  size,
  at,
  checkpoint,
}: {
  log: string;
  size: number;
  at: string;
  checkpoint: string;
}) {
  return {
    ...ocsfNames("log.checkpoint"),
    time: Date.parse(at),
    message: "The checkpoint of the log that was exported.",
    metadata: { ...METADATA, uid: `${log}/${size}`, log_name: log, event_code: "checkpoint" },
    actor: { user: { uid: "multimail", ...USER_TYPES.system } },
    src_endpoint: { name: "system" },
    api: { operation: "checkpoint", service: { name: "MultiMail" } },
    resources: [{ type: "log", uid: log }],
    unmapped: { size, checkpoint },
  };
}

/** The body of a webhook that carries an entry. */
export type AuditEvent = Omit<WebhookEvent, "type" | "event" | "event_type"> &
  Record<"type" | "event" | "event_type", "audit.entry">;

/** Whose log an entry is in, and what an event about it says of the entry. */
export interface AuditEventAbout {
  tenant_id: string;
  /** The mailbox's address; null for the tenant's own log. */
  mailbox: string | null;
  hash: string;
  /** Null where the subscriber may not see it. */
  personal: Personal;
}

/**
 * An entry as the event `audit.entry` (FORMATS.md §5). Its id and sequence are the entry's, so that an event that is told twice is
 * known, and a missing one is missed.
 * @param shape how `data` gives the entry: as it is hashed, or in the shape of OCSF.
 */
export function auditEvent(
  entry: Entry,
  { tenant_id, mailbox, hash, personal }: AuditEventAbout,
  shape: "entry" | "ocsf" = "entry",
): AuditEvent {
  const email_id = entry.resource.type === "email" ? entry.resource.id : null;
  return {
    id: `evt_${entry.id.slice(entry.id.indexOf("_") + 1)}`,
    type: "audit.entry",
    event: "audit.entry",
    event_type: "audit.entry",
    timestamp: entry.at,
    sequence: entry.seq,
    tenant_id,
    mailbox,
    mailbox_id: mailbox === null ? null : entry.log,
    message_id: email_id,
    email_id,
    thread_id: null,
    data: shape === "ocsf" ? { ...ocsfEvent(entry, hash, personal) } : { entry, hash, personal },
  };
}
