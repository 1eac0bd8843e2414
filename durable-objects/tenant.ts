import type { AccessEntry } from "../src/audit/access.ts";
import type { Env } from "../src/env.ts";
import { accepted, type Outcome, type Refusal } from "../src/errors.ts";
import type { Account, Agent, ApiKey } from "../src/operations/shapes/account.ts";
import type { Domain } from "../src/operations/shapes/domain.ts";
import type { Suppression } from "../src/operations/shapes/recipient-lists.ts";
import type { Caller } from "../src/oversight/caller.ts";
import type { StoredDkimKey } from "../src/store/domains.ts";
import { ownDomainOf } from "../src/store/identity-directory.ts";
import type { DomainWish, LookedAtDomain } from "./domain-rpc.ts";
import type { KeepingTerms } from "./ledger/retention.ts";
import type { LogCheckpoint } from "./log-rpc.ts";
import { endRefusals, REFUSALS, recordAccess, recordRefusal } from "./tenant/accesses.ts";
import { createAgent, deleteAgent, getAgent, listAgents, projectAgent, updateAgent } from "./tenant/agents.ts";
import { FORGET_ANSWERS, forgetAnswers, recall, remember } from "./tenant/answers.ts";
import { TenantBase } from "./tenant/base.ts";
import {
  AUDITOR_MAIL,
  announceCheckpoint,
  mailAuditor,
  newestNote,
  recordCheckpoint,
  whyNotAuditor,
} from "./tenant/checkpoints.ts";
import { lookAtDomain, lookByTimer, recheckDomain, tellFormerOwner } from "./tenant/domain-looks.ts";
import { admitNames } from "./tenant/domain-names.ts";
import { bringDomain } from "./tenant/domain-projection.ts";
import { DOMAIN_LOOK, DOMAIN_ROW, DOMAIN_TAKEN } from "./tenant/domain-rows.ts";
import {
  configureDomain,
  deleteDomain,
  getDomain,
  isDomainConfigured,
  listDomains,
  mayHaveMailboxes,
  rotateDkim,
  standingOf,
} from "./tenant/domains.ts";
import { beginRound, ERASE_PART, ERASE_ROUND, eraseContact, erasePart, erasureOf } from "./tenant/erasures.ts";
import {
  activeIdentityKey,
  IDENTITY_KEY,
  projectIdentityKeys,
  publishedIdentityKeys,
  rotateIdentityKey,
} from "./tenant/identity-keys.ts";
import { createKey, listKeys, projectKey, revokeKey, updateKey, whyNotKey } from "./tenant/keys.ts";
import { askedUpgrade, askOperator, redeemCode } from "./tenant/operator-codes.ts";
import { isPaused, pauses, setPause } from "./tenant/pauses.ts";
import { account, confirmApprover, provision, settingsOf, updateAccount, whoOversees } from "./tenant/people.ts";
import {
  recordExportInSession,
  recordQueueInSession,
  recordRefusalInSession,
  sizesInSession,
} from "./tenant/session-audit.ts";
import { askSignIn, mailSignInLink, SIGN_IN, SIGN_IN_LIMITED, session, signIn, signOut } from "./tenant/sessions.ts";
import {
  addSuppression,
  findSuppression,
  listSuppressions,
  noteTrouble,
  projectSuppression,
  removeSuppression,
  SUPPRESSION,
  suppressedAmong,
} from "./tenant/suppressions.ts";
import type {
  AccountChange,
  AccountUpdateAnswer,
  AgentChange,
  AgentRegistration,
  ApiKeyChange,
  AskedUpgrade,
  ConsoleSession,
  CreatedAgent,
  DeliveryAdmission,
  DeliveryQuestion,
  ErasureAnswer,
  ErasureView,
  KeyRotation,
  KeyUpdateAnswer,
  NewApiKey,
  NewSuppression,
  NewTenant,
  Pauses,
  PublishedIdentityKey,
  RecalledAnswer,
  RecipientTrouble,
  RefusedAttempt,
  RememberedAnswer,
  SuppressionPage,
  TenantRpc,
} from "./tenant-rpc.ts";
import type { Timer } from "./timers.ts";

/** One tenant: its keys, its people, the operator's confirmations, its panic switches, its audit chain. Named by the tenant's id. */
export class TenantObject extends TenantBase implements TenantRpc {
  protected readonly slowTimers: ReadonlySet<string> = new Set([
    AUDITOR_MAIL,
    SIGN_IN,
    DOMAIN_LOOK,
    DOMAIN_TAKEN,
    ERASE_ROUND,
    ERASE_PART,
  ]);

  private readonly timerWork: Readonly<Record<string, (timer: Timer) => Promise<void> | void>> = {
    // A key whose row D1 did not take at once.
    key: (timer) => projectKey(this, timer.ref),
    // The same of an agent.
    agent: (timer) => projectAgent(this, timer.ref),
    [IDENTITY_KEY]: () => projectIdentityKeys(this),
    [SUPPRESSION]: (timer) => projectSuppression(this, timer.ref),
    [DOMAIN_LOOK]: (timer) => lookByTimer(this, timer),
    [DOMAIN_ROW]: (timer) => bringDomain(this, timer.ref),
    [DOMAIN_TAKEN]: (timer) => tellFormerOwner(this, timer),
    [AUDITOR_MAIL]: (timer) => mailAuditor(this, timer),
    [REFUSALS]: (timer) => endRefusals(this, timer),
    [FORGET_ANSWERS]: (timer) => forgetAnswers(this, timer),
    [ERASE_ROUND]: (timer) => beginRound(this, timer),
    [ERASE_PART]: (timer) => erasePart(this, timer),
    [SIGN_IN]: (timer) => mailSignInLink(this, timer),
    [SIGN_IN_LIMITED]: (timer) => this.commit(() => this.unschedule(timer.kind, timer.ref)),
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.wake();
  }

  protected async runTimer(timer: Timer): Promise<void> {
    const work = this.timerWork[timer.kind];
    if (!work) throw new Error(`there is no work for the timer ${timer.kind}`);
    await work(timer);
  }

  async provision(tenant: NewTenant): Promise<Outcome<Account>> {
    return provision(this, tenant, () => this.establish(tenant.id, tenant.id));
  }

  async account(caller: Caller): Promise<Outcome<Account>> {
    return account(this, caller);
  }

  async updateAccount(
    caller: Caller,
    change: AccountChange,
    approvedWords: string | null,
  ): Promise<Outcome<AccountUpdateAnswer>> {
    return updateAccount(this, caller, change, approvedWords);
  }

  async eraseContact(caller: Caller, address: string, approvedWords: string | null): Promise<Outcome<ErasureAnswer>> {
    return eraseContact(this, caller, address, approvedWords);
  }

  async erasure(caller: Caller, id: string): Promise<Outcome<ErasureView>> {
    return erasureOf(this, caller, id);
  }

  async noteTrouble(trouble: RecipientTrouble): Promise<void> {
    if (this.isProvisioned()) await noteTrouble(this, trouble);
  }

  async findSuppression(caller: Caller, address: string): Promise<Outcome<Suppression | null>> {
    return findSuppression(this, caller, address);
  }

  async listSuppressions(
    caller: Caller,
    page: { limit: number; cursor: number | null },
  ): Promise<Outcome<SuppressionPage>> {
    return listSuppressions(this, caller, page);
  }

  async addSuppression(
    caller: Caller,
    suppression: NewSuppression,
  ): Promise<Outcome<{ suppression: Suppression; existed: boolean }>> {
    return addSuppression(this, caller, suppression);
  }

  async removeSuppression(caller: Caller, address: string, approvedWords: string | null) {
    return removeSuppression(this, caller, address, approvedWords);
  }

  async createKey(caller: Caller | null, wanted: NewApiKey): Promise<Outcome<ApiKey & { key: string }>> {
    return createKey(this, caller, wanted);
  }

  async listKeys(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ api_keys: ApiKey[]; cursor: string | null }>> {
    return listKeys(this, caller, page);
  }

  async updateKey(
    caller: Caller,
    keyId: string,
    change: ApiKeyChange,
    approvedWords: string | null,
  ): Promise<Outcome<KeyUpdateAnswer>> {
    return updateKey(this, caller, keyId, change, approvedWords);
  }

  async revokeKey(caller: Caller, keyId: string): Promise<Outcome<ApiKey>> {
    return revokeKey(this, caller, keyId);
  }

  async mayMakeKeys(keys: NewApiKey[]): Promise<Outcome<true>> {
    for (const key of this.isProvisioned() ? keys : []) {
      const refusal = whyNotKey(this, key, null);
      if (refusal) return { ok: false, refusal };
    }
    return accepted(true);
  }

  async createAgent(caller: Caller, agent: AgentRegistration): Promise<Outcome<CreatedAgent>> {
    return createAgent(this, caller, agent);
  }

  async updateAgent(caller: Caller, id: string, change: AgentChange): Promise<Outcome<Agent>> {
    return updateAgent(this, caller, id, change);
  }

  async deleteAgent(caller: Caller, id: string): Promise<Outcome<Agent>> {
    return deleteAgent(this, caller, id);
  }

  async getAgent(caller: Caller, id: string): Promise<Outcome<Agent>> {
    return getAgent(this, caller, id);
  }

  async listAgents(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ agents: Agent[]; cursor: string | null }>> {
    return listAgents(this, caller, page);
  }

  async isConfirmedApprover(address: string): Promise<boolean> {
    return whoOversees(this, [address]).confirmed.length > 0;
  }

  async confirmApprover(caller: Caller, address: string): Promise<Outcome<true>> {
    return confirmApprover(this, caller, address);
  }

  async whoOversees(people: readonly string[]): Promise<{ confirmed: string[]; operator: string }> {
    return whoOversees(this, people);
  }

  async admitDelivery(agentId: string | null, question?: DeliveryQuestion): Promise<DeliveryAdmission> {
    const identity_key = await activeIdentityKey(this);
    // After the wait, so that a switch thrown meanwhile counts.
    const suppressed = suppressedAmong(this, question?.recipients ?? []);
    const domain = standingOf(this, question?.domain ?? ownDomainOf(this.env.MAIL_DOMAIN));
    const checkpoint = newestNote(this);
    return { checkpoint, paused: isPaused(this, agentId), identity_key, suppressed, domain };
  }

  async recordCheckpoint(checkpoint: LogCheckpoint): Promise<void> {
    if (this.isProvisioned()) recordCheckpoint(this, checkpoint);
  }

  async newestCheckpoint(): Promise<string> {
    return newestNote(this);
  }

  async witnessKeys(): Promise<string[]> {
    return settingsOf(this.tenant()).witnesses;
  }

  async keepingTerms(): Promise<KeepingTerms> {
    if (!this.isProvisioned()) return { retention_days: null, legal_hold: false };
    const { audit_retention_days, legal_hold } = settingsOf(this.tenant());
    return { retention_days: audit_retention_days, legal_hold };
  }

  protected witnesses(): Promise<string[]> {
    return this.witnessKeys();
  }

  checkpointMade(checkpoint: LogCheckpoint): void {
    announceCheckpoint(this, checkpoint);
  }

  protected whyNotAuditor(caller: Caller): Refusal | null {
    return whyNotAuditor(this, caller);
  }

  async configureDomain(caller: Caller, wish: DomainWish, keys: readonly StoredDkimKey[] | null) {
    return configureDomain(this, caller, wish, keys);
  }

  async isDomainConfigured(caller: Caller, domain: string): Promise<Outcome<boolean>> {
    return isDomainConfigured(this, caller, domain);
  }

  async admitNames(caller: Caller, names: readonly string[]): Promise<Outcome<true>> {
    return admitNames(this, caller, names);
  }

  async getDomain(caller: Caller, id: string): Promise<Outcome<Domain>> {
    return getDomain(this, caller, id);
  }

  async listDomains(caller: Caller, page: { limit: number; cursor: string | null }) {
    return listDomains(this, caller, page);
  }

  async deleteDomain(caller: Caller, id: string): Promise<Outcome<Domain>> {
    return deleteDomain(this, caller, id);
  }

  async lookAtDomain(caller: Caller, id: string): Promise<Outcome<LookedAtDomain>> {
    return lookAtDomain(this, caller, id);
  }

  async rotateDkim(caller: Caller, id: string, keys: readonly StoredDkimKey[] | null) {
    return rotateDkim(this, caller, id, keys);
  }

  async mayHaveMailboxes(caller: Caller, domain: string): Promise<Outcome<boolean>> {
    return mayHaveMailboxes(this, caller, domain);
  }

  async recheckDomain(id: string): Promise<void> {
    if (this.isProvisioned()) recheckDomain(this, id);
  }

  async identityKeys(): Promise<PublishedIdentityKey[]> {
    return publishedIdentityKeys(this);
  }

  async rotateIdentityKey(caller: Caller, revoke: string | null): Promise<Outcome<KeyRotation>> {
    return rotateIdentityKey(this, caller, revoke);
  }

  async setPause(caller: Caller, agentId: string | null, paused: boolean): Promise<Outcome<Pauses>> {
    return setPause(this, caller, agentId, paused);
  }

  async pauses(caller: Caller): Promise<Outcome<Pauses>> {
    return pauses(this, caller);
  }

  async askOperator(
    caller: Caller,
    change: string,
    words: string,
    upgrade: AskedUpgrade | null = null,
  ): Promise<Outcome<{ expires_at: string; sent_to: string }>> {
    return askOperator(this, caller, { change, words, upgrade });
  }

  async askedUpgrade(caller: Caller, mailboxId: string): Promise<Outcome<string | null>> {
    return askedUpgrade(this, caller, mailboxId);
  }

  async redeemCode(caller: Caller, change: string, code: string): Promise<Outcome<true>> {
    return redeemCode(this, caller, change, code);
  }

  async recordAccess(caller: Caller, entry: AccessEntry): Promise<Outcome<true>> {
    return recordAccess(this, caller, entry);
  }

  async recordRefusal(caller: Caller, attempt: RefusedAttempt): Promise<void> {
    if (this.isProvisioned() && this.tenant().id === caller.tenant_id) recordRefusal(this, caller, attempt);
  }

  async recall(caller: Caller, idempotencyKey: string, digest: string): Promise<Outcome<RecalledAnswer | null>> {
    return recall(this, caller, idempotencyKey, digest);
  }

  async remember(caller: Caller, idempotencyKey: string, answer: RememberedAnswer): Promise<Outcome<true>> {
    return remember(this, caller, idempotencyKey, answer);
  }

  async askSignIn(address: string): Promise<void> {
    if (this.isProvisioned()) askSignIn(this, address);
  }

  async signIn(linkHash: string): Promise<{ token: string } | null> {
    return this.isProvisioned() ? signIn(this, linkHash) : null;
  }

  async consoleSession(sessionHash: string): Promise<ConsoleSession | null> {
    return this.isProvisioned() ? session(this, sessionHash) : null;
  }

  async sizesInSession(sessionHash: string, logs: readonly string[]): Promise<Record<string, number> | null> {
    return this.isProvisioned() ? sizesInSession(this, sessionHash, logs) : null;
  }

  async recordExportInSession(sessionHash: string, log: string): Promise<boolean> {
    return this.isProvisioned() && recordExportInSession(this, sessionHash, log);
  }

  async recordQueueInSession(sessionHash: string, results: number): Promise<boolean> {
    return this.isProvisioned() && recordQueueInSession(this, sessionHash, results);
  }

  async recordRefusalInSession(sessionHash: string, attempt: RefusedAttempt): Promise<void> {
    if (this.isProvisioned()) recordRefusalInSession(this, sessionHash, attempt);
  }

  async signOut(sessionHash: string, everywhere: boolean): Promise<void> {
    if (this.isProvisioned()) signOut(this, sessionHash, everywhere);
  }
}
