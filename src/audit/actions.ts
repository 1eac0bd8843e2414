import { ACCOUNT_ACTIONS, KEY_ACTIONS, MAILBOX_ACTIONS } from "./actions/accounts.ts";
import { DECISION_ACTIONS, DRAFT_ACTIONS } from "./actions/decisions.ts";
import { DOMAIN_ACTIONS } from "./actions/domains.ts";
import { ATTEMPT_ACTIONS, CONSOLE_ACTIONS } from "./actions/doors.ts";
import { ERASURE_ACTIONS, LOG_ACTIONS } from "./actions/logs.ts";
import { DELIVERY_ACTIONS, INCOMING_ACTIONS, MARK_ACTIONS, OUTGOING_ACTIONS } from "./actions/messages.ts";
import { LOOKUP_ACTIONS, READ_ACTIONS } from "./actions/reads.ts";

/**
 * Every action that an entry can have, and what its fields are. An entry with a field that its action does not name does not compile;
 * docs/audit.md shows this table. Actions are only ever added: entries of years ago have theirs.
 */
export const ACTIONS = {
  ...OUTGOING_ACTIONS,
  ...INCOMING_ACTIONS,
  ...DELIVERY_ACTIONS,
  ...MARK_ACTIONS,
  ...READ_ACTIONS,
  ...LOOKUP_ACTIONS,
  ...DRAFT_ACTIONS,
  ...DECISION_ACTIONS,
  ...LOG_ACTIONS,
  ...ERASURE_ACTIONS,
  ...MAILBOX_ACTIONS,
  ...ACCOUNT_ACTIONS,
  ...KEY_ACTIONS,
  ...DOMAIN_ACTIONS,
  ...ATTEMPT_ACTIONS,
  ...CONSOLE_ACTIONS,
} as const;

/** What an entry says was done. */
export type Action = keyof typeof ACTIONS;

/** The names of the open fields that entries of an action may have; of several actions, those that all of them may have. */
export type DetailField<A extends Action> = keyof FieldsOf<A, "detail">;
/** The same of the sealed ones. */
export type PersonalField<A extends Action> = keyof FieldsOf<A, "personal">;

/** Distributed over the union, so that `keyof` gives what its members share. */
type FieldsOf<A extends Action, Kind extends "detail" | "personal"> = A extends Action
  ? { [Name in (typeof ACTIONS)[A][Kind][number]]: true }
  : never;

/** `never` for each of the fields that has another name than these. */
export type Only<Fields, Name> = { [Field in KeyOfAny<Fields>]?: Field extends Name ? unknown : never };

/** The keys of each member of a union, where `keyof` has only those that all of them share. */
type KeyOfAny<Fields> = Fields extends unknown ? keyof Fields : never;

/** What an entry's fields may be: `never` for each that its action does not name, so that such an entry does not compile. */
export type OnlyNamed<E extends { action: Action; detail?: object; personal?: object }> = E extends unknown
  ? {
      detail?: Only<E["detail"], DetailField<E["action"]>>;
      personal?: Only<E["personal"], PersonalField<E["action"]>>;
    }
  : never;

/** @returns whether an action is one of the table's: entries of older versions may have another. */
export function isAction(text: string): text is Action {
  return Object.hasOwn(ACTIONS, text);
}
