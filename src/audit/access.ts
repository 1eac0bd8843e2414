import type { Action, OnlyNamed } from "./actions.ts";
import type { DetailValue } from "./entry.ts";

/** Entries that a door asks for: of what is read where no object sees who asks. */

/** Actions that a door may write. All of them are reads: what changes anything has its entry in the transaction of the change. */
export const ACCESS_ACTIONS = [
  "account.exported",
  "account.read",
  "agent.read",
  "agents.listed",
  "answer.repeated",
  "audit.read",
  "audit.exported",
  "audit.verified",
  "checkpoint.key_read",
  "checkpoint.proved",
  "checkpoint.read",
  "decisions.made",
  "domain.looked_at",
  "domain.read",
  "domains.listed",
  "identity.agent_key_read",
  "identity.keys_read",
  "identity.message_checked",
  "keys.listed",
  "log.reconciled",
  "mailboxes.listed",
  "pauses.read",
  "pending.listed",
  "suppression.checked",
  "suppressions.listed",
  "templates.listed",
] as const satisfies readonly Action[];

/** An entry of the caller's tenant's log. */
export interface AccessEntry {
  action: (typeof ACCESS_ACTIONS)[number];
  /** What it is about; left out: the account. */
  resource?: { type: string; id: string };
  detail?: Record<string, DetailValue>;
  /** Sealed under a key of the entry's own. */
  personal?: Record<string, unknown>;
}

/** @returns the entry, whose fields its action names. */
export function access<E extends AccessEntry>(entry: E & OnlyNamed<E>): AccessEntry {
  return entry;
}
