import { domainOf } from "../mail/address.ts";
import type { PendingKind } from "../operations/shapes/pending.ts";

/** Which of what waits is meant, for the console's queue and for decisions on many. Pure. */

/** Everything that is not null must hold. */
export interface PendingFilter {
  mailbox_id: string | null;
  kind: PendingKind | null;
  /** The agent as it named itself. */
  agent_id: string | null;
  /** Some recipient is at exactly this domain, in A-labels. */
  recipient_domain: string | null;
  /** The rule that held it; `mode` stands for every mode. What other rules found does not count. */
  rule: string | null;
  /** ISO 8601 UTC with milliseconds: it was submitted before. */
  created_before: string | null;
}

export const ANYTHING: PendingFilter = {
  mailbox_id: null,
  kind: null,
  agent_id: null,
  recipient_domain: null,
  rule: null,
  created_before: null,
};

/** What D1's index knows of an item. */
export interface IndexedFacts {
  mailbox_id: string;
  kind: string;
  created_at: string;
}

/** What only its mailbox knows. */
export interface ItemFacts {
  agent_id: string | null;
  /** Addresses over to, cc and bcc. */
  recipients: readonly string[];
  rule: string;
}

/** @returns false where something that the index knows speaks against an item. */
export function matchesIndexed(facts: IndexedFacts, { mailbox_id, kind, created_before }: PendingFilter): boolean {
  return (
    (mailbox_id === null || facts.mailbox_id === mailbox_id) &&
    (kind === null || facts.kind === kind) &&
    (created_before === null || facts.created_at < created_before)
  );
}

/** @returns whether the item itself is meant, where the index did not speak against it. */
export function matchesItem(facts: ItemFacts, { agent_id, recipient_domain, rule }: PendingFilter): boolean {
  return (
    (agent_id === null || facts.agent_id === agent_id) &&
    (recipient_domain === null || facts.recipients.some((address) => domainOf(address) === recipient_domain)) &&
    (rule === null || facts.rule === rule || (rule === "mode" && facts.rule.startsWith("mode ")))
  );
}
