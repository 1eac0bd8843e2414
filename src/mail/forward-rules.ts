import { findRecipientPattern } from "../oversight/recipient-patterns.ts";
import { uniqueAddresses } from "./address.ts";
import { isSameMailbox } from "./forwarded-message.ts";
import type { MailAddress } from "./message.ts";

/** Where a mailbox's arriving mail is passed on to, as a person set it. */

/** Both conditions must hold where both are there. */
export interface ForwardRule {
  /** An address, a domain or a glob, in the normal form of `parseRecipientPattern`; null: whoever wrote it. */
  from_pattern: string | null;
  /** Case does not matter; null: whatever it is about. */
  subject_contains: string | null;
  /** A bare address. */
  to: string;
}

export interface ForwardSettings {
  /** The mailbox's own address, to which nothing is passed on. */
  address: string;
  /** Gets everything; null: nobody does. */
  forward_inbound: string | null;
  forward_rules: readonly ForwardRule[];
}

/** Of a mailbox that nobody set any for. */
export const FORWARD_DEFAULTS: { forward_rules: ForwardRule[] } = { forward_rules: [] };

/** What the rules look at. */
export interface ArrivedMail {
  from: MailAddress;
  subject: string;
}

function matches({ from_pattern, subject_contains }: ForwardRule, { from, subject }: ArrivedMail): boolean {
  if (from_pattern !== null && findRecipientPattern([from_pattern], from.address) === null) return false;
  return subject_contains === null || subject.toLowerCase().includes(subject_contains.toLowerCase());
}

/** @returns to whom a message is passed on, each once, in the order of the settings; never the mailbox itself. */
export function forwardTargets(settings: ForwardSettings, mail: ArrivedMail): string[] {
  const everything = settings.forward_inbound === null ? [] : [settings.forward_inbound];
  const matching = settings.forward_rules.filter((rule) => matches(rule, mail)).map(({ to }) => to);
  const targets = [...everything, ...matching].filter((to) => !isSameMailbox(to, settings.address));
  return uniqueAddresses(targets.map((address) => ({ name: null, address }))).map(({ address }) => address);
}

/** @returns a rule in words. */
export function ruleInWords({ from_pattern, subject_contains, to }: ForwardRule): string {
  const conditions = [
    ...(from_pattern === null ? [] : [`from ${from_pattern}`]),
    ...(subject_contains === null ? [] : [`whose subject has ${JSON.stringify(subject_contains)}`]),
  ];
  return `mail ${conditions.join(" and ")} to ${to}`;
}
