import { type Action, isAction } from "./actions.ts";

/**
 * Which class and activity of the Open Cybersecurity Schema Framework (OCSF 1.3) each action of the audit log is. docs/audit.md
 * shows the first table. A new action does not compile before its group and its verb stand here.
 */

type GroupOf<A extends string> = A extends `${infer Group}.${string}` ? Group : never;
type VerbOf<A extends string> = A extends `${string}.${infer Verb}` ? Verb : never;
/** What stands before an action's point. */
export type Group = GroupOf<Action>;
/** What stands after it. */
type Verb = VerbOf<Action>;

/** What was done, as far as OCSF has a name for it. */
type Kind =
  | "create"
  | "read"
  | "update"
  | "delete"
  | "enable"
  | "disable"
  | "logon"
  | "logoff"
  | "send"
  | "receive"
  | "scan"
  | "other";

interface OcsfClass {
  category_uid: number;
  category_name: string;
  class_uid: number;
  class_name: string;
  /** Its activities; what has none here is `Other`, 99. */
  activities: Readonly<Partial<Record<Kind, { id: number; name: string }>>>;
}

const CRUD = {
  create: { id: 1, name: "Create" },
  read: { id: 2, name: "Read" },
  update: { id: 3, name: "Update" },
  delete: { id: 4, name: "Delete" },
} as const;
const IAM = { category_uid: 3, category_name: "Identity & Access Management" } as const;

export const OCSF_CLASSES = {
  account_change: {
    ...IAM,
    class_uid: 3001,
    class_name: "Account Change",
    activities: {
      create: { id: 1, name: "Create" },
      enable: { id: 2, name: "Enable" },
      disable: { id: 5, name: "Disable" },
      delete: { id: 6, name: "Delete" },
    },
  },
  authentication: {
    ...IAM,
    class_uid: 3002,
    class_name: "Authentication",
    activities: { logon: { id: 1, name: "Logon" }, logoff: { id: 2, name: "Logoff" } },
  },
  entity_management: { ...IAM, class_uid: 3004, class_name: "Entity Management", activities: CRUD },
  email_activity: {
    category_uid: 4,
    category_name: "Network Activity",
    class_uid: 4009,
    class_name: "Email Activity",
    activities: {
      send: { id: 1, name: "Send" },
      receive: { id: 2, name: "Receive" },
      scan: { id: 3, name: "Scan" },
    },
  },
  api_activity: {
    category_uid: 6,
    category_name: "Application Activity",
    class_uid: 6003,
    class_name: "API Activity",
    activities: CRUD,
  },
} as const satisfies Record<string, OcsfClass>;
export type OcsfClassName = keyof typeof OCSF_CLASSES;

/** The class of a group's actions. */
export const CLASS_OF_GROUP: Readonly<Record<Group, OcsfClassName>> = {
  access: "api_activity",
  account: "entity_management",
  agent: "account_change",
  agents: "api_activity",
  allowlist: "entity_management",
  answer: "api_activity",
  approver: "account_change",
  attachment: "api_activity",
  audit: "api_activity",
  auditor_mail: "email_activity",
  checkpoint: "api_activity",
  console: "authentication",
  contact: "entity_management",
  content: "entity_management",
  copy: "email_activity",
  decision: "api_activity",
  decisions: "api_activity",
  delivery: "email_activity",
  digest: "email_activity",
  domain: "entity_management",
  domains: "api_activity",
  draft: "api_activity",
  drafts: "api_activity",
  email: "entity_management",
  fall_back_notice: "email_activity",
  forwarding: "email_activity",
  identity: "entity_management",
  inbox: "api_activity",
  key: "account_change",
  keys: "api_activity",
  link: "entity_management",
  log: "entity_management",
  mailbox: "entity_management",
  mailboxes: "api_activity",
  master_key: "entity_management",
  message: "email_activity",
  nothing: "api_activity",
  notification: "email_activity",
  operator: "authentication",
  pauses: "api_activity",
  pending: "api_activity",
  policy: "entity_management",
  request: "api_activity",
  sending: "entity_management",
  session: "api_activity",
  store: "entity_management",
  suppression: "entity_management",
  suppressions: "api_activity",
  template: "api_activity",
  templates: "api_activity",
  tenant: "entity_management",
  thread: "api_activity",
  track_record: "api_activity",
  unsubscribe: "api_activity",
  upgrade: "entity_management",
};

/** Actions that are of another class than the rest of their group. */
const CLASS_OF_ACTION: Readonly<Partial<Record<Action, OcsfClassName>>> = {
  "domain.checked": "api_activity",
  "identity.verified": "email_activity",
  "identity.not_verified": "email_activity",
  "identity.receipt_read": "api_activity",
  "identity.agent_key_read": "api_activity",
  "identity.keys_read": "api_activity",
  "identity.message_checked": "api_activity",
  "message.judged": "api_activity",
  "message.read": "api_activity",
  "message.record_read": "api_activity",
  "message.tags_read": "api_activity",
  "message.marked": "api_activity",
  "message.tagged": "api_activity",
  "message.untagged": "api_activity",
};

const KIND_OF_VERB: Readonly<Record<Verb, Kind>> = {
  ...{ created: "create", added: "create", proposed: "create", configured: "create", key_created: "create" },
  ...{ read: "read", listed: "read", waited: "read", downloaded: "read", tags_read: "read", receipt_read: "read" },
  ...{ looked_up: "read", checked: "read", looked_at: "read", record_read: "read", erasure_read: "read" },
  ...{ keys_read: "read", key_read: "read", agent_key_read: "read", message_checked: "read", repeated: "read" },
  ...{ exported: "read", judged: "read", opened: "read" },
  ...{ updated: "update", changed: "update", marked: "update", tagged: "update", untagged: "update" },
  ...{ key_rotated: "update", dkim_rotated: "update", dkim_rotation_started: "update", resealed: "update" },
  ...{ fell_back: "update", applied: "update", taken_over: "update", reserved: "update" },
  ...{ paused: "update", resumed: "update", broken: "update", cosigned: "update", repaired: "update" },
  ...{ deleted: "delete", removed: "delete", key_revoked: "delete", lost: "delete", swept: "delete" },
  ...{ erased: "delete", traces_erased: "delete", dropped: "delete" },
  ...{ dkim_keys_removed: "delete", revoked: "disable", confirmed: "enable" },
  ...{ signed_in: "logon", refused: "other", code_refused: "other", signed_out: "logoff" },
  ...{ link_sent: "other", link_deferred: "other", link_failed: "other", asked: "other" },
  ...{ sent: "send", deferred: "send", failed: "send", attempted: "send", answered: "send" },
  ...{ received: "receive", inbound_held: "receive", set_aside: "receive" },
  ...{ verified: "scan", not_verified: "scan" },
  ...{ held: "other", queued: "other", scheduled: "other", blocked: "other", edited: "other", cancelled: "other" },
  ...{ taken_back: "other", expired: "other", skipped: "other", complained: "other", unsubscribed: "other" },
  ...{ fruitless: "other", consumed: "other", counted: "other", approved: "other", rejected: "other" },
  ...{ requested: "other", recovered: "other", bounced: "other", given_up: "other", suppressed: "other" },
  ...{ domain_broken: "other", domain_mended: "other", delivered: "other", returned: "other", delayed: "other" },
  ...{ reported: "other", feedback: "other", made: "other", refusals_left_out: "other", erasure_started: "other" },
  ...{ checkpointed: "other", reconciled: "other", fault: "other", fault_gone: "other", proved: "other" },
};

/** How much it should trouble whoever watches, where that is more than 1, Informational. */
const SEVERITY_OF_VERB: Readonly<Partial<Record<Verb, 2 | 3 | 4>>> = {
  ...{ failed: 2, link_failed: 2, bounced: 2, returned: 2, given_up: 2, rejected: 2, fruitless: 2, revoked: 2 },
  ...{ erased: 2, traces_erased: 2, erasure_started: 2, exported: 2, repaired: 2, refusals_left_out: 3, fault: 4 },
  ...{ refused: 3, code_refused: 3, blocked: 3, complained: 3, fell_back: 3, broken: 3, key_revoked: 3, lost: 4 },
};
const SEVERITIES = { 1: "Informational", 2: "Low", 3: "Medium", 4: "High" } as const;

/** What did not come to what it was meant to. */
const FAILED: ReadonlySet<string> = new Set<Verb>([
  ...(["failed", "link_failed", "deferred", "link_deferred", "refused", "code_refused", "blocked"] as const),
  ...(["fault", "refusals_left_out"] as const),
  ...(["bounced", "returned", "given_up", "fruitless", "not_verified", "broken", "domain_broken"] as const),
]);

/** How OCSF names what an entry says. */
export interface OcsfNames {
  category_uid: number;
  category_name: string;
  class_uid: number;
  class_name: string;
  activity_id: number;
  activity_name: string;
  type_uid: number;
  type_name: string;
  severity_id: number;
  severity: string;
  status_id: 1 | 2;
  status: "Success" | "Failure";
}

/** @returns the class that an action is of; actions that later versions dropped are API activity. */
export function ocsfClassOf(action: string): OcsfClassName {
  if (!isAction(action)) return "api_activity";
  return CLASS_OF_ACTION[action] ?? CLASS_OF_GROUP[action.slice(0, action.indexOf(".")) as Group];
}

/** @returns how OCSF names an action. An activity that its class has no number for is 99, with the action's own verb as its name. */
export function ocsfNames(action: string): OcsfNames {
  const { activities, ...named }: OcsfClass = OCSF_CLASSES[ocsfClassOf(action)];
  const verb = action.slice(action.indexOf(".") + 1) as Verb;
  const activity = activities[KIND_OF_VERB[verb] ?? "other"] ?? { id: 99, name: verb };
  const severity_id = SEVERITY_OF_VERB[verb] ?? 1;
  const hasFailed = FAILED.has(verb);
  return {
    ...named,
    activity_id: activity.id,
    activity_name: activity.name,
    type_uid: named.class_uid * 100 + activity.id,
    type_name: `${named.class_name}: ${activity.name}`,
    severity_id,
    severity: SEVERITIES[severity_id],
    status_id: hasFailed ? 2 : 1,
    status: hasFailed ? "Failure" : "Success",
  };
}
