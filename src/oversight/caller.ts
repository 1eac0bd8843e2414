/** What a key may be used for. A key never has `send` and `oversight` together. */
export const SCOPES = ["read", "send", "oversight", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** By which door a request came in; recorded in every audit entry. */
export type Door = "rest" | "mcp" | "link" | "console" | "email" | "system";

/** What a caller asks for, as it is shown to a human where the mode holds it (DESIGN.md, "A held read"). */
export interface AskedOperation {
  operation: string;
  /** The parsed input as plain JSON, without `approval_ref`: an approval is for exactly this. */
  input: Record<string, unknown>;
  /** The approval that the caller brings: from the body, the query or `X-MM-Approval`. */
  approval_ref: string | null;
}

/** Who asks, as a door established it. Objects trust it, since only this worker can call them. */
export interface Caller {
  tenant_id: string;
  key_id: string;
  /** The key that created this one, or null if a human did (set-up, console). */
  created_by: string | null;
  scopes: readonly Scope[];
  /** Mailboxes the key is bound to, or null for all of its tenant's. */
  mailbox_ids: readonly string[] | null;
  /** The agent that acts: the request's, or the one the key is bound to, or the key's default. */
  agent_id: string | null;
  /** `agent_id` is the key's default: nobody named it, and whatever names one goes before it. */
  acts_by_default?: true;
  /** The agent the key is bound to; a bound key cannot name another. */
  bound_agent_id: string | null;
  /** An `mm_test_` key: what it sends ends in the sandbox. */
  test: boolean;
  via: Door;
  /** What they ask for; left out by callers that no mode holds (set-up, the system). */
  asked?: AskedOperation;
}

/** Whoever calls a public operation without a key: of no tenant, with no scope, bound to no mailbox. */
export const ANYONE: Caller = {
  tenant_id: "",
  key_id: "",
  created_by: null,
  scopes: [],
  mailbox_ids: [],
  agent_id: null,
  bound_agent_id: null,
  test: false,
  via: "rest",
};

/** @returns the caller's tenant; null for anyone. */
export function tenantOf({ tenant_id }: Caller): string | null {
  return tenant_id === ANYONE.tenant_id ? null : tenant_id;
}

/** A person who decides, as a link or a session established them. */
export interface Person {
  /** Their address as it was confirmed. */
  address: string;
  via: "link" | "console";
}
