import type { AccessEntry } from "../src/audit/access.ts";
import type { ErrorCode, Outcome } from "../src/errors.ts";
import type { PublicJwk } from "../src/identity/keys.ts";
import type { Suppressed, SuppressionReason } from "../src/mail/suppression.ts";
import type { AccountSettings } from "../src/operations/account-settings.ts";
import type { Account, Agent, ApiKey } from "../src/operations/shapes/account.ts";
import type { MailboxRecord } from "../src/operations/shapes/mailbox.ts";
import type { Suppression } from "../src/operations/shapes/recipient-lists.ts";
import type { Caller, Scope } from "../src/oversight/caller.ts";
import type { ResealedPage, ResealRequest } from "../src/store/resealing.ts";
import type { Sealed } from "../src/store/secrets.ts";
import type { ErasedCounts } from "./contact-erasure.ts";
import type { DomainRpc, DomainStanding } from "./domain-rpc.ts";
import type { KeepingTerms } from "./ledger/retention.ts";
import type { LogCheckpoint, LogRpc } from "./log-rpc.ts";

/**
 * What a tenant object answers over RPC: the authority for keys, approvers, the operator's confirmations and the panic switches
 * above a mailbox's own. A method that takes a caller checks the tenant, and that the key still has what the caller brings.
 */
export interface TenantRpc extends DomainRpc, LogRpc {
  /**
   * Makes the tenant; a second call with the same id answers what is there. `approver_is_mailbox` if one of its people is a mailbox
   * here; no mailbox can be made at their addresses afterwards.
   */
  provision(tenant: NewTenant): Promise<Outcome<Account>>;
  account(caller: Caller): Promise<Outcome<Account>>;
  /** Changes the account; what is left out stays. D1 has it when this returns. */
  /**
   * Changes the account's settings. What loosens changes nothing and answers `needs_approval`, unless `approvedWords` are exactly
   * what it gives away now.
   */
  updateAccount(
    caller: Caller,
    change: AccountChange,
    approvedWords: string | null,
  ): Promise<Outcome<AccountUpdateAnswer>>;
  /**
   * Begins to erase a person from the account, once the operator allowed exactly that; one that is under way is answered as it stands.
   * `in_service` where something works under the address, `wrong_state` while messages that name it are under way; `legal_hold`.
   * @param address as `comparableAddress` gives it.
   */
  eraseContact(caller: Caller, address: string, approvedWords: string | null): Promise<Outcome<ErasureAnswer>>;
  /** How far an erasure has come. */
  erasure(caller: Caller, id: string): Promise<Outcome<ErasureView>>;
  /**
   * A message of one of the tenant's mailboxes had trouble with a recipient: they are suppressed, at once or once it was often enough.
   * Durable when this returns; the same again changes nothing.
   */
  noteTrouble(trouble: RecipientTrouble): Promise<void>;
  /** What the suppression list says of one address; null if it may be written to. */
  findSuppression(caller: Caller, address: string): Promise<Outcome<Suppression | null>>;
  /** The newest first. */
  listSuppressions(caller: Caller, page: { limit: number; cursor: number | null }): Promise<Outcome<SuppressionPage>>;
  /** Enters an address; one that is there for a weightier reason stays as it is. Effective at once. */
  addSuppression(
    caller: Caller,
    suppression: NewSuppression,
  ): Promise<Outcome<{ suppression: Suppression; existed: boolean }>>;
  /** As `updateKey`: taking an address off the list lets mail go to it again, which the operator has to allow. */
  removeSuppression(
    caller: Caller,
    address: string,
    approvedWords: string | null,
  ): Promise<Outcome<{ removed: Suppression } | { needs_approval: { change: string } }>>;
  /**
   * The plain key is in the answer and nowhere else. Usable at once: the D1 row is written before this returns.
   * `conflicting_scopes` if it, or the agent it is bound to, could then both send and approve.
   */
  createKey(caller: Caller | null, key: NewApiKey): Promise<Outcome<ApiKey & { key: string }>>;
  listKeys(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ api_keys: ApiKey[]; cursor: string | null }>>;
  /** Whether `createKey` would take each of these beside the keys there are. They are not compared with each other. */
  mayMakeKeys(keys: NewApiKey[]): Promise<Outcome<true>>;
  /**
   * Changes a key. Narrowing is immediate: every door knows it 5 seconds from now at the latest. A change that widens changes
   * nothing and answers `needs_approval`, unless `approvedWords` are exactly what it gives away now.
   */
  updateKey(
    caller: Caller,
    keyId: string,
    change: ApiKeyChange,
    approvedWords: string | null,
  ): Promise<Outcome<KeyUpdateAnswer>>;
  /** Returned means: no door lets the key in any more, 5 seconds from now at the latest. */
  revokeKey(caller: Caller, keyId: string): Promise<Outcome<ApiKey>>;
  /**
   * Registers an agent; known to sends when this returns. The same call again answers the same, `wrong_state` if it is there with
   * other values. `invalid_input` for a key that cannot have it as its default, `conflicting_scopes` if the agent could then both
   * send and approve. A key that is bound to mailboxes, or to another agent, registers none; nor changes or deletes one.
   */
  createAgent(caller: Caller, agent: AgentRegistration): Promise<Outcome<CreatedAgent>>;
  /** Changes an agent; what is left out stays. Refuses as `createAgent`. */
  updateAgent(caller: Caller, id: string, change: AgentChange): Promise<Outcome<Agent>>;
  /** Deletes an agent; a key whose default it was has none, 5 seconds from now at the latest. Harmless to repeat. */
  deleteAgent(caller: Caller, id: string): Promise<Outcome<Agent>>;
  getAgent(caller: Caller, id: string): Promise<Outcome<Agent>>;
  listAgents(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ agents: Agent[]; cursor: string | null }>>;
  /** Whether the operator has confirmed this person as an approver, or is this person. */
  isConfirmedApprover(address: string): Promise<boolean>;
  /** The operator has confirmed a person. `approver_is_mailbox` if a mailbox was made at the address meanwhile. */
  confirmApprover(caller: Caller, address: string): Promise<Outcome<true>>;
  /** Which of these people the operator has confirmed (the operator counts), as they are given, and who the operator is. */
  whoOversees(people: readonly string[]): Promise<{ confirmed: string[]; operator: string }>;
  /** Makes a checkpoint of one of its mailboxes an entry of the tenant's log, unless it has that or a newer one. */
  recordCheckpoint(checkpoint: LogCheckpoint): Promise<void>;
  /** The newest signed checkpoint of the tenant's log, as a note. */
  newestCheckpoint(): Promise<string>;
  /** The verifier keys of the witnesses that the account has named. */
  witnessKeys(): Promise<string[]>;
  /** How long the account's logs are kept. */
  keepingTerms(): Promise<KeepingTerms>;
  /**
   * What a delivery has to know right before each attempt: whether a panic switch stops it, and the key that signs it. Makes the
   * tenant's first identity key where there is none; durable when this returns.
   */
  admitDelivery(agentId: string | null, question?: DeliveryQuestion): Promise<DeliveryAdmission>;
  /** Every identity key's public half, the oldest first. Makes the first key where there is none. */
  identityKeys(): Promise<PublishedIdentityKey[]>;
  /**
   * Puts a new identity key in the place of the active one, which stays valid for five minutes more; `rate_limited` where 12
   * were made within a day. With `revoke`, that key is worth nothing from now on, which the operator has allowed; it is replaced only if it is
   * the active one, and revoking it again changes nothing.
   */
  rotateIdentityKey(caller: Caller, revoke: string | null): Promise<Outcome<KeyRotation>>;
  /**
   * Throws the panic switch of an agent, or with null of the whole tenant: at once. Lifting it needs the operator's code, which
   * the caller has redeemed.
   */
  setPause(caller: Caller, agentId: string | null, paused: boolean): Promise<Outcome<Pauses>>;
  pauses(caller: Caller): Promise<Outcome<Pauses>>;
  /**
   * Mails the operator a one-time code bound to `change` (canonical JSON of the exact request) and the asking key.
   * The mail says the change in `words`. At most 5 an hour, and as many for upgrades. The code lives 24 h and survives five tries.
   * @param upgrade where an agent asks more rope for a mailbox: the mail shows what the mailbox did. The code takes the place of an
   *   earlier one for the same mailbox by the same key.
   */
  askOperator(
    caller: Caller,
    change: string,
    words: string,
    upgrade?: AskedUpgrade | null,
  ): Promise<Outcome<{ expires_at: string; sent_to: string }>>;
  /** The `change` that this key's latest live code for an upgrade of that mailbox is for, or null. */
  askedUpgrade(caller: Caller, mailboxId: string): Promise<Outcome<string | null>>;
  /**
   * Makes a read an entry of the tenant's log, before it is answered; `invalid_key` if the key was revoked or narrowed meanwhile.
   * Only doors call it.
   */
  recordAccess(caller: Caller, entry: AccessEntry): Promise<Outcome<true>>;
  /**
   * Makes a refused attempt an entry of the caller's tenant's log, a revoked key's too. Of one key at most 100 an hour; how many
   * more there were is one entry at the hour's end.
   */
  recordRefusal(caller: Caller, attempt: RefusedAttempt): Promise<void>;
  /**
   * What a writing call with this idempotency key by this key answered within 24 hours, or null.
   * @param digest of the call that comes now, as `remember` takes it.
   */
  recall(caller: Caller, idempotencyKey: string, digest: string): Promise<Outcome<RecalledAnswer | null>>;
  /** Remembers a call's answer for 24 hours; the first one stays. Durable when it returns. */
  remember(caller: Caller, idempotencyKey: string, answer: RememberedAnswer): Promise<Outcome<true>>;
  /** Redeems a code for exactly that change by exactly that key. Works once; compared in constant time. */
  redeemCode(caller: Caller, change: string, code: string): Promise<Outcome<true>>;
  /**
   * Has a one-time link to the console mailed to a person who oversees something here; for anybody else nothing happens. Returned
   * means: the mail will be tried. Which of the two it was is not said.
   */
  askSignIn(address: string): Promise<void>;
  /**
   * Redeems a sign-in link by the SHA-256 of its token. Works once.
   * @returns the token of the session it opened, which is in this answer and nowhere else, or null.
   */
  signIn(linkHash: string): Promise<{ token: string } | null>;
  /** Whose session has this token's SHA-256, and prolongs it; null once it ended, or its person oversees nothing here any more. */
  consoleSession(sessionHash: string): Promise<ConsoleSession | null>;
  /**
   * How many entries each of these logs had at its newest checkpoint, as far as one was reported here; by the log's name. Null unless
   * the session is the operator's: approvers decide, they do not audit. That the operator saw the list is on record when it returns.
   */
  sizesInSession(sessionHash: string, logs: readonly string[]): Promise<Record<string, number> | null>;
  /** Records that the operator exports a log in a session. False: the session is not theirs, and nothing may be exported. */
  recordExportInSession(sessionHash: string, log: string): Promise<boolean>;
  /** Records that a person saw a page of their queue, with so many items. False: the session has ended, and nothing may be shown. */
  recordQueueInSession(sessionHash: string, results: number): Promise<boolean>;
  /** Makes what a person was refused in their session an entry, in number like `recordRefusal`. Of a session that ended, none. */
  recordRefusalInSession(sessionHash: string, attempt: RefusedAttempt): Promise<void>;
  /** Ends a session, or with `everywhere` all sessions of its person. */
  signOut(sessionHash: string, everywhere: boolean): Promise<void>;
  /** Brings a page of its identity keys and data keys under the current MASTER_KEY. Repeating it is harmless. */
  reseal(request: ResealRequest): Promise<Outcome<ResealedPage>>;
}

/** How far the erasure of a person has come; nothing in it says who. */
export interface ErasureView {
  status: "erasing" | "erased";
  erasure_id: string;
  started_at: string;
  finished_at: string | null;
  erased: ErasedCounts;
  /** Messages on their way, settings that name the person since, a legal hold, or segments that R2 has otherwise or does not answer. */
  waits_for: string[];
}

/** `told`: how much there is of it now. */
export type ErasureAnswer = { erasure: ErasureView } | { needs_approval: { change: string; told: string } };

/** A person in the console, as their session establishes them. */
export interface ConsoleSession {
  tenant_id: string;
  tenant_name: string;
  /** Their address as the tenant has it. */
  person: string;
  /** Whether they are the tenant's operator, who may read its logs. */
  is_operator: boolean;
}

/** What an attempt is about to do. */
export interface DeliveryQuestion {
  /** The domain in From, in A-labels. */
  domain: string;
  /** Whom it is for, in comparable form. */
  recipients: string[];
}

/** What a tenant says of one attempt of a delivery. */
export interface DeliveryAdmission {
  /** The newest checkpoint of the tenant's log, for the receipt. */
  checkpoint: string;
  /** The tenant's panic switch is on, or that of the agent. */
  paused: boolean;
  identity_key: SealedIdentityKey;
  domain: DomainStanding;
  /** Those of the recipients asked about who are on the suppression list, as they were given. */
  suppressed: Suppressed[];
}

/** A tenant's active identity key (FORMATS.md §3). Only `src/store/identity-keys.ts` opens it. */
export interface SealedIdentityKey {
  tenant_id: string;
  kid: string;
  public_jwk: PublicJwk;
  /** PKCS #8 DER, sealed under MASTER_KEY with tenant and kid as associated data. */
  private_key: Sealed;
}

/** An identity key as anyone may know it. Times are ISO 8601. */
export interface PublishedIdentityKey {
  kid: string;
  public_jwk: PublicJwk;
  not_before: string;
  retired_at: string | null;
  revoked_at: string | null;
  /** The tenant signs with it now. */
  active: boolean;
}

/** What a rotation or a revocation left. */
export interface KeyRotation {
  /** The key that signs from now on. */
  active: PublishedIdentityKey;
  /** The key that it replaced, or that was revoked. */
  replaced: PublishedIdentityKey;
}

/** What stands still by a panic switch. */
export interface Pauses {
  tenant: boolean;
  agents: string[];
}

/** What a key, or a person in the console, was refused. */
export interface RefusedAttempt {
  /** The operation; in the console the method and the page's path, with names in place of ids. */
  operation: string;
  code: ErrorCode;
  /** What the call named, as it named it: ids and addresses, at home here or anywhere. Sealed. */
  asked: Record<string, string[]>;
}

export interface RememberedAnswer {
  /** SHA-256 of the operation and its input. It is not kept as it is. */
  digest: string;
  /** The answer's body as JSON. */
  body: string;
}

/** `erased`: it is the same call, and what it answered named somebody who was erased since. */
export type RecalledAnswer = { state: "same_call"; body: string } | { state: "other_call" | "erased" };

/** Settings that are left out have their defaults (ACCOUNT_DEFAULTS). */
export interface NewTenant extends Partial<AccountSettings> {
  id: string;
  name: string;
  operator_email: string;
  confirmed_approvers: string[];
}

/** What of an account can be changed; what is left out stays. */
export type AccountChange = Partial<AccountSettings>;

/** The account after a change; or what the change would give away, and nothing was changed. */
export type AccountUpdateAnswer = { account: Account } | { needs_approval: { change: string } };

export interface NewSuppression {
  /** An addr-spec. */
  address: string;
  reason: SuppressionReason;
  note: string | null;
}

/** What became of a message at a recipient, as far as it says something about writing to them again. */
export interface RecipientTrouble {
  address: string;
  what: "hard_bounce" | "soft_bounce" | "complaint" | "unsubscribed";
  email_id: string;
}

export interface SuppressionPage {
  suppressions: Suppression[];
  /** Where the next page goes on; null at the end. */
  cursor: number | null;
}

/** A mailbox that an agent asks more rope for. */
export interface AskedUpgrade {
  mailbox_id: string;
  mailbox_address: string;
  record: MailboxRecord;
}

export interface AgentRegistration {
  id: string;
  name: string | null;
  model_id: string;
  model_provider: string;
  /** Ids of the keys that act under it by default, each once, in their order. */
  default_for: string[];
}

/** What of an agent can be changed; what is left out stays. */
export type AgentChange = Partial<Omit<AgentRegistration, "id">>;

export interface CreatedAgent {
  agent: Agent;
  /** The very same was registered before. */
  existed: boolean;
}

/** What of a key can be changed; what is left out stays. */
export type ApiKeyChange = Partial<Pick<NewApiKey, "name" | "scopes" | "mailbox_ids" | "agent_id">>;

/** A change that widens waits for the operator's code; `change` says it in words. */
export type KeyUpdateAnswer = { key: ApiKey } | { needs_approval: { change: string } };

export interface NewApiKey {
  name: string;
  scopes: Scope[];
  mailbox_ids: string[] | null;
  agent_id: string | null;
  test: boolean;
}
