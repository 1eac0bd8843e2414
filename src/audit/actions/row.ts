/** One row of the table of actions, and the fields that rows of several kinds have. */

export interface ActionRow {
  /** One short sentence. */
  says: string;
  /** Fields that stand openly for ever: enums, ids, integers, booleans. Never what says something of a person. */
  detail: readonly string[];
  /** Fields that are sealed under a data key, and erased with it. */
  personal: readonly string[];
}

/** The approval that a held read or annotation was got with. */
export const PERMIT = ["approval_ref"] as const;
export const DOMAIN = ["domain"] as const;
export const NONE = [] as const;
