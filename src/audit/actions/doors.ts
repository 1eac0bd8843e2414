import { type ActionRow, NONE } from "./row.ts";

/** Who comes in, and what they are refused. See ../actions.ts. */

const LINK_MAILED = { detail: ["attempt", "code"], personal: ["person", "response"] } as const;

/** Attempts. */
export const ATTEMPT_ACTIONS = {
  "access.refused": {
    says: "A key, or a person in the console, was refused what they asked for.",
    detail: ["operation", "code"],
    personal: ["asked", "person"],
  },
  "access.refusals_left_out": {
    says: "A key or a person was refused more often within an hour than has entries.",
    detail: ["count"],
    personal: NONE,
  },
  "answer.repeated": {
    says: "A call was repeated, and answered as it was the first time.",
    detail: ["operation"],
    personal: NONE,
  },
  "nothing.changed": {
    says: "A call asked for what stood so already.",
    detail: ["would_be"],
    personal: ["recipient"],
  },
} as const satisfies Record<string, ActionRow>;

/** The console. */
export const CONSOLE_ACTIONS = {
  "console.link_sent": { says: "A sign-in link was mailed.", ...LINK_MAILED },
  "console.link_deferred": { says: "The mail of a sign-in link is tried again later.", ...LINK_MAILED },
  "console.link_failed": { says: "The mail of a sign-in link could not be delivered.", ...LINK_MAILED },
  "console.signed_in": { says: "A person signed in to the console.", detail: NONE, personal: ["person"] },
  "console.signed_out": { says: "A person signed out.", detail: ["everywhere"], personal: ["person"] },
  "console.refused": { says: "A sign-in was refused.", detail: ["reason"], personal: ["person"] },
} as const satisfies Record<string, ActionRow>;
