import { type ActionRow, NONE } from "./row.ts";

/** What is done with the logs themselves, and what is erased. See ../actions.ts. */

/** What of a person is erased beside whole messages, and how much of it. */
const TRACES = ["redacted", "drafts", "requests", "templates", "lists", "entries", "answers"] as const;

/** The log itself. */
export const LOG_ACTIONS = {
  "mailbox.checkpointed": {
    says: "A mailbox's log was signed at this size: its checkpoint is part of the account's log from here on.",
    detail: ["size", "root", "checkpoint", "verifier_key"],
    personal: NONE,
  },
  "checkpoint.read": { says: "A checkpoint was asked for.", detail: ["log", "size"], personal: NONE },
  "checkpoint.proved": {
    says: "A proof was asked for that leads to a checkpoint.",
    detail: ["log", "kind", "seq", "first", "size"],
    personal: NONE,
  },
  "checkpoint.key_read": { says: "The key that checks a log was asked for.", detail: NONE, personal: ["log"] },
  "checkpoint.cosigned": {
    says: "Witnesses signed a checkpoint too.",
    detail: ["size", "witnesses"],
    personal: NONE,
  },

  "log.dropped": {
    says: "Entries are older than they are kept, and left object and D1; R2 holds them.",
    detail: ["first", "last", "segments", "retention_days"],
    personal: NONE,
  },
  "log.reconciled": {
    says: "Somebody had the log compared with what D1 and R2 have of it.",
    detail: ["log", "entries", "segments", "data_keys", "erased_keys", "repaired", "faults", "is_complete"],
    personal: NONE,
  },
  "log.repaired": {
    says: "D1 or R2 had lost something of the log, or had it otherwise, and it was put right.",
    detail: ["entries", "dropped_entries", "segments", "segment_rows", "data_keys", "erased_keys"],
    personal: NONE,
  },
  "log.fault": {
    says: "D1 or R2 has something else than the log, which cannot be put right.",
    detail: ["what", "entry"],
    personal: NONE,
  },
  "log.fault_gone": {
    says: "Such a difference is none any more.",
    detail: ["what", "entry"],
    personal: NONE,
  },
} as const satisfies Record<string, ActionRow>;

/** Erasing. What an entry says of it is of no person: ids of what is gone, and numbers. */
export const ERASURE_ACTIONS = {
  "email.erased": {
    says: "A message was erased, with everything that was made of it.",
    detail: ["status", "erasure_id", "drafts", "requests"],
    personal: NONE,
  },
  "email.erasure_read": {
    says: "Whether an erased message is gone everywhere was read.",
    detail: NONE,
    personal: NONE,
  },
  "contact.traces_erased": {
    says: "Mentions of a person were erased in a mailbox, beside the messages that name them.",
    detail: ["erasure_id", ...TRACES],
    personal: NONE,
  },
  "content.expired": {
    says: "What a message said was removed, since the mailbox keeps it no longer.",
    detail: ["days"],
    personal: NONE,
  },
  "contact.erasure_started": {
    says: "The operator allowed a person to be erased from the whole account.",
    detail: ["erasure_id", "mailboxes"],
    personal: NONE,
  },
  "contact.erasure_read": {
    says: "How far a person's erasure has come was read.",
    detail: ["erasure_id"],
    personal: NONE,
  },
  "contact.erased": {
    says: "A person was erased from the whole account.",
    detail: ["erasure_id", "rounds", "mailboxes", "messages", ...TRACES, "gone"],
    personal: NONE,
  },
  "mailbox.exported": {
    says: "Everything that a mailbox has was exported with its account.",
    detail: NONE,
    personal: NONE,
  },
  "account.exported": {
    says: "Everything that the account owns was exported.",
    detail: NONE,
    personal: NONE,
  },
} as const satisfies Record<string, ActionRow>;
