import type { Mailbox } from "../operations/shapes/mailbox.ts";

/** Who oversees a mailbox, as its settings name them. Pure. */

type Overseen = Pick<Mailbox, "approvers" | "delegations">;

/** @returns everyone who may have a voice, each once: the approvers in their order, then the delegates. */
export function peopleOf({ approvers, delegations }: Overseen): string[] {
  return [...new Set([...approvers, ...delegations.map(({ delegate }) => delegate)])];
}

/**
 * Fills in what follows from who oversees: the first approver goes by the older names too.
 * @param unconfirmed people whom the operator has not confirmed; those who do not oversee this mailbox are left out.
 */
export function withPeople<Settings extends Overseen>(
  settings: Settings,
  unconfirmed: readonly string[],
): Settings & Pick<Mailbox, "approvers_pending" | "approver_email" | "approver_pending"> {
  const approvers_pending = peopleOf(settings).filter((person) => unconfirmed.includes(person));
  const [first = null] = settings.approvers;
  const approver_pending = first !== null && approvers_pending.includes(first);
  return { ...settings, approvers_pending, approver_email: first, approver_pending };
}
