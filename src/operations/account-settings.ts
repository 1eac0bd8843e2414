import { comparableAddress } from "../mail/address.ts";

/** What an account decides for all of its mailboxes and logs. */
export interface AccountSettings {
  /** What the footer of promotional mail says; null: nothing. */
  postal_address: string | null;
  /** How long objects and D1 keep audit entries that R2 holds; null: always. */
  audit_retention_days: number | null;
  /** Nothing of the account may be erased, nor leave its logs, while it is on. */
  legal_hold: boolean;
  /** Who is mailed the account's checkpoints; null: nobody. */
  auditor_email: string | null;
  /** Verifier keys (C2SP signed-note) of those who co-sign checkpoints. */
  witnesses: string[];
}

/** What an account has that never said anything. */
export const ACCOUNT_DEFAULTS: AccountSettings = {
  postal_address: null,
  audit_retention_days: null,
  legal_hold: false,
  auditor_email: null,
  witnesses: [],
};

/** In words, what a change of one setting gives away; null: nothing. Each says whole what it leads to, since a code is bound to it. */
type Loosens<Value> = (before: Value, after: Value) => string | null;

const LOOSENED_BY: { readonly [Name in keyof AccountSettings]: Loosens<AccountSettings[Name]> } = {
  postal_address: () => null,
  audit_retention_days(before, after) {
    if (after === null || (before !== null && after >= before)) return null;
    return `let audit entries leave the service's own database ${after} days after they were written (until now: ${before === null ? "never" : `${before} days`}); sealed copies stay in R2`;
  },
  legal_hold: (before, after) =>
    before && !after ? "lift the account's legal hold, so that data may be erased" : null,
  auditor_email(before, after) {
    if (before === null || (after !== null && comparableAddress(after) === comparableAddress(before))) return null;
    return `no longer mail the audit log's checkpoints to ${before}${after === null ? "" : `, but to ${after}`}`;
  },
  witnesses(before, after) {
    const dropped = before.filter((key) => !after.includes(key));
    return dropped.length === 0 ? null : `no longer count on the witness ${dropped.join(", ")} for the audit log`;
  },
};

function loosenedBy<Name extends keyof AccountSettings>(
  name: Name,
  before: AccountSettings,
  after: AccountSettings,
): string | null {
  return LOOSENED_BY[name](before[name], after[name]);
}

/** @returns the names of the settings that differ. */
export function changedSettings(before: AccountSettings, after: AccountSettings): (keyof AccountSettings)[] {
  const names = Object.keys(ACCOUNT_DEFAULTS) as (keyof AccountSettings)[];
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
}

/** @returns what a change gives away, in words for the operator; null if it gives away nothing. */
export function accountLoosening(before: AccountSettings, after: AccountSettings): string | null {
  const given = changedSettings(before, after).flatMap((name) => loosenedBy(name, before, after) ?? []);
  return given.length === 0 ? null : `For the whole account: ${given.join("; and ")}.`;
}
