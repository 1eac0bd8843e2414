import { findRecipientPattern } from "../recipient-patterns.ts";
import type { ApprovalBeforehand, JudgedRecipient, JudgedSend, Reason } from "./verdict-type.ts";
import { listed } from "./words.ts";

/** Rules about whom a message goes to, and what was approved beforehand. */

/** Those the agent writes to. */
function chosen(recipients: readonly JudgedRecipient[]): JudgedRecipient[] {
  return recipients.filter(({ automatic }) => !automatic);
}

function addresses(recipients: readonly JudgedRecipient[]): string {
  return listed(recipients.map(({ address }) => address));
}

/** Nobody on the blocklist gets anything, by whatever tag, copy or earlier approval. */
export function judgeBlocklist({ policy: { blocklist }, recipients }: JudgedSend): Reason[] {
  const blocked = recipients.filter(({ address }) => findRecipientPattern(blocklist, address, "tagged") !== null);
  if (blocked.length === 0) return [];
  return [{ rule: "blocklist", action: "block", because: `The blocklist has ${addresses(blocked)}.` }];
}

/** Mail to someone whom no human approved, by a decision or on the allowlist. */
export function judgeNewRecipients({ policy: { new_recipients }, recipients }: JudgedSend): Reason[] {
  if (new_recipients === "allow") return [];
  const unknown = chosen(recipients).filter(({ known, allowlisted }) => !known && allowlisted === null);
  if (unknown.length === 0) return [];
  const because = `No human has approved mail to ${addresses(unknown)} before.`;
  return [{ rule: "new_recipients", action: new_recipients, because }];
}

/** A mailbox that may send by templates alone. */
export function judgeTemplatesOnly({ policy: { templates_only }, template }: JudgedSend): Reason[] {
  if (!templates_only || template !== null) return [];
  const because = "This mailbox sends nothing but approved templates, and the message was made from none.";
  return [{ rule: "templates_only", action: "deny", because }];
}

/** A template goes nowhere but to the domains it was approved for. */
export function judgeTemplate({ template, recipients }: JudgedSend): Reason[] {
  const domains = template?.allowed_domains;
  if (template === null || domains === undefined) return [];
  const outside = chosen(recipients).filter(({ address }) => findRecipientPattern(domains, address) === null);
  if (outside.length === 0) return [];
  const because = `The template ${template.id} was not approved for ${addresses(outside)}.`;
  return [{ rule: "template", action: "deny", because }];
}

/** @returns what a human approved of this message before it was written: its template, else everyone it is for; null if neither. */
export function approvedBeforehand({ template, recipients }: JudgedSend): ApprovalBeforehand | null {
  if (template !== null) return { kind: "template", ref: template.approval_ref };
  const refs = chosen(recipients).map(({ allowlisted }) => allowlisted);
  const [first] = refs;
  if (first === undefined || first === null || refs.includes(null)) return null;
  return { kind: "allowlist", ref: first };
}
