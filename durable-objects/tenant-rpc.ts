import type { Outcome } from "../src/errors.ts";
import type { Account, ApiKey } from "../src/operations/shapes.ts";
import type { Caller, Scope } from "../src/oversight/caller.ts";

/** What a tenant object answers over RPC: the authority for keys, approvers and the operator's confirmations. */
export interface TenantRpc {
  /** Makes the tenant; a second call with the same id answers what is there. */
  provision(tenant: NewTenant): Promise<Outcome<Account>>;
  account(caller: Caller): Promise<Outcome<Account>>;
  /** The plain key is in the answer and nowhere else. Usable at once: the D1 row is written before this returns. */
  createKey(caller: Caller | null, key: NewApiKey): Promise<Outcome<ApiKey & { key: string }>>;
  listKeys(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ api_keys: ApiKey[]; cursor: string | null }>>;
  /** Returned means: no door lets the key in any more, 5 seconds from now at the latest. */
  revokeKey(caller: Caller, keyId: string): Promise<Outcome<ApiKey>>;
  /** Whether the operator has confirmed this person as an approver. */
  isConfirmedApprover(address: string): Promise<boolean>;
  confirmApprover(caller: Caller, address: string): Promise<void>;
  /** Who decides for a mailbox whose approver is `approver`: the approver if confirmed, else the operator. */
  overseerFor(approver: string | null): Promise<string>;
  /**
   * Mails the operator a one-time code bound to `change` (canonical JSON of the exact request) and the asking key.
   * The mail says the change in `words`. At most 5 an hour. The code lives 24 h and survives five tries.
   */
  askOperator(caller: Caller, change: string, words: string): Promise<Outcome<{ expires_at: string; sent_to: string }>>;
  /** What a writing call with this idempotency key by this key answered within 24 hours, or null. */
  recall(caller: Caller, idempotencyKey: string): Promise<Outcome<RememberedAnswer | null>>;
  /** Remembers a call's answer for 24 hours; the first one stays. Durable when it returns. */
  remember(caller: Caller, idempotencyKey: string, answer: RememberedAnswer): Promise<Outcome<true>>;
  /** Redeems a code for exactly that change by exactly that key. Works once; compared in constant time. */
  redeemCode(caller: Caller, change: string, code: string): Promise<Outcome<true>>;
}

export interface RememberedAnswer {
  /** SHA-256 of the operation and its input. */
  digest: string;
  /** The answer's body as JSON. */
  body: string;
}

export interface NewTenant {
  id: string;
  name: string;
  operator_email: string;
  confirmed_approvers: string[];
}

export interface NewApiKey {
  name: string;
  scopes: Scope[];
  mailbox_ids: string[] | null;
  agent_id: string | null;
  test: boolean;
}
