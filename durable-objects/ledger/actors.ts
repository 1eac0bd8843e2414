import type { Actor } from "../../src/audit/entry.ts";

/** The system itself as the actor of an entry. */
export const SYSTEM: Actor = { type: "system", id: "multimail", via: "system" };
/** Whoever runs the deployment, through the set-up door. */
export const OPERATOR: Actor = { type: "human", id: "operator", via: "system" };
